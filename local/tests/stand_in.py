"""A stand-in for the webhook endpoints of a shop, and for Adobe IMS: as Adobe documents them, on loopback, and misbehaving on demand.
And one for the bundle's address, which answers checks.

Subscribing a hook that is there does not change it: the shop refuses. Errors have Magento's form. Every OAuth 1.0a signature is
verified, and no nonce counts twice. A store code that the shop does not know is a part of the path to it, as in Magento.
"""

import base64
import email
import json
import re
import threading
import time
import urllib.parse
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jsonschema
from oauthlib.oauth1 import SIGNATURE_HMAC_SHA256, Client

IDENTITY = ("webhook_method", "webhook_type", "batch_name", "hook_name")
BASE = "/rest/all"
TOKEN = "token-that-nobody-may-see"
INTEGRATION = {
    "COMMERCE_CONSUMER_KEY": "consumer-key-0123456789",
    "COMMERCE_CONSUMER_SECRET": "consumer-secret-&%+",
    "COMMERCE_ACCESS_TOKEN": "access-token-0123456789",
    "COMMERCE_ACCESS_TOKEN_SECRET": "access-token-secret-/=",
}
IMS = {
    "COMMERCE_CLIENT_ID": "client-0123456789",
    "COMMERCE_CLIENT_SECRET": "p8e-client-secret",
    "COMMERCE_ORG_ID": "12345@AdobeOrg",
}
# What the hooks get, and the token that IMS gives the shop for it.
HOOK_OAUTH = {
    "WEBHOOK_OAUTH_CLIENT_ID": "hook-client-0123456789",
    "WEBHOOK_OAUTH_CLIENT_SECRET": "p8e-client-secret-of-the-hooks",
    "WEBHOOK_OAUTH_ORG_ID": "67890@AdobeOrg",
}
TEXT, FILLED, NUMBER = {"type": "string"}, {"type": "string", "minLength": 1}, {"type": "number"}


def entries(needed, **others):
    return {"type": "object", "required": list(needed), "properties": needed | others}


# What may be subscribed: what Adobe's client lets through. `change` looks at the times.
SUBSCRIPTION = jsonschema.Draft202012Validator(
    entries(
        dict.fromkeys((*IDENTITY, "url"), FILLED),
        **dict.fromkeys(("method", "fallback_error_message"), TEXT),
        **dict.fromkeys(("priority", "batch_order"), NUMBER),
        required={"type": "boolean"},
        fields={"type": "array", "items": entries({"name": FILLED}, source=TEXT)},
        rules={"type": "array", "items": entries({"field": FILLED, "operator": FILLED, "value": TEXT})},
        headers={"type": "array", "items": entries({"name": FILLED, "value": FILLED})},
        developer_console_oauth=entries(dict.fromkeys(("client_id", "client_secret", "org_id"), FILLED), environment=TEXT),
    )
)


def token(**claims):
    """A token of the form that IMS gives out: Adobe's client reads in it when it expires."""
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "RS256"}, claims))
    return ".".join((*parts, "signature"))


IMS_TOKEN = token(type="access_token", created_at=str(int(time.time() * 1000)), expires_in=str(24 * 3600 * 1000))
HOOK_TOKEN = token(type="access_token", client_id=HOOK_OAUTH["WEBHOOK_OAUTH_CLIENT_ID"])
HOOK_SECRET = HOOK_OAUTH["WEBHOOK_OAUTH_CLIENT_SECRET"]
SECRETS = {TOKEN, IMS_TOKEN, HOOK_TOKEN, HOOK_SECRET, *INTEGRATION.values(), IMS["COMMERCE_CLIENT_SECRET"]}


def encrypted(hook):
    """The hook as a shop keeps it and lists it: with the client secret encrypted, and the environment that it takes if none is given."""
    oauth = hook.get("developer_console_oauth")
    if not oauth:
        return hook
    secret = "0:3:" + base64.b64encode(oauth["client_secret"].encode()).decode()
    return hook | {"developer_console_oauth": oauth | {"client_secret": secret, "environment": oauth.get("environment") or "production"}}


class ShopStandIn(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hooks=(), supported=None, denied=()):
        super().__init__(("127.0.0.1", 0), Handler)
        self.live = {identity(hook): dict(hook) for hook in hooks}
        self.supported, self.denied = supported, denied
        # What happens to the next request of a kind, once each: ("POST subscribe", what), see Handler.misbehave.
        self.faults = []
        self.seen, self.nonces, self.forms = [], set(), []
        # How a list comes out of PHP.
        self.written = lambda hook: hook
        # The beginning of the names of methods that this shop does not know.
        self.unknown = None
        # What an `unsubscribe` does to a hook that stands in a file of the shop: nothing.
        self.in_files = set()
        # Whether the shop has the webhooks modules.
        self.modules = {"list", "supportedList", "subscribe", "unsubscribe"}
        # Called with the number of a request and "before" or "after" it is done.
        self.watch = lambda number, when: None

    def handle_error(self, *_):
        """Clients that hang up are part of the tests."""

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def url(self):
        return self.origin + BASE

    def changes(self):
        """What was asked of the shop that changes it."""
        return [path.rpartition("/")[2] for verb, path in self.seen if verb == "POST" and "/V1/" in path]


@contextmanager
def running(*arguments, **more):
    with ShopStandIn(*arguments, **more) as shop:
        threading.Thread(target=shop.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield shop
        shop.shutdown()


def identity(hook):
    """As a shop tells hooks apart. Of a plugin's two names it knows only one: see `unknown`."""
    return tuple(hook.get(name) for name in IDENTITY)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer
    # And a longer one does not wait for its acknowledgement.
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.serve("GET")

    def do_POST(self):
        self.serve("POST")

    @property
    def place(self):
        """The last part of the path, without the query."""
        return self.path.partition("?")[0].rpartition("/")[2]

    def serve(self, verb):
        shop = self.server
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        shop.seen.append((verb, self.path))
        number = len(shop.seen)
        shop.watch(number, "before")
        kind = f"{verb} {self.place}"
        fault = next((one for one in shop.faults if one[0] == kind), None)
        if fault:
            shop.faults.remove(fault)
            if self.misbehave(fault[1], content):
                return
        answer = self.respond(kind, content)
        shop.watch(number, "after")
        self.answer(*answer)

    def misbehave(self, what, content):
        """Whether that was all."""
        if what == "break":
            self.close_connection = True
        elif what == "do and break":
            self.respond(f"{self.command} {self.place}", content)
            self.close_connection = True
        elif what == "page":
            self.answer(200, b"<html><title>Log in</title></html>", {"Content-Type": "text/html"})
        elif what == "huge":
            self.answer(200, b"[" + b" " * 9 * 1024 * 1024 + b"]")
        elif what == "redirect":
            self.answer(302, b"", {"Location": "https://elsewhere.example/rest?token=x"})
        elif isinstance(what, int):
            self.answer(what, json.dumps({"message": "Service said %1", "parameters": [what]}).encode(), {"Retry-After": "0"})
        elif isinstance(what, tuple):
            self.answer(*what)
        elif callable(what):
            what(self)
            return False
        else:
            self.answer(400, json.dumps({"message": what}).encode())
        return True

    def respond(self, kind, content):
        if self.path in ("/ims/token/v2", "/ims/token/v3"):
            return self.sign_in(content)
        if self.path.startswith("/plain/"):
            return 404, b"<html>404 Not Found</html>"
        place = kind.split()[1]
        # On PaaS, REST is below the code of a store, on SaaS below the tenant.
        if not re.match(r"/(rest/(all/|default/)?|(?!rest/)[\w-]+/)V1/", self.path):
            return problem(404, "Request does not match any route.")
        if self.path.endswith("/V1/directory/currency"):
            return 200, b'{"base_currency_code": "EUR"}'
        signed = self.headers.get("Authorization", "").startswith("OAuth ")
        if signed and not self.known():
            return problem(401, "The signature is invalid. Verify and try again.")
        webhooks = "/V1/webhooks/" in self.path
        if webhooks and place not in self.server.modules:
            return problem(404, "Request does not match any route.")
        resource = {"list": "webhooks_list", "supportedList": "webhooks_list"}.get(place, "webhooks")
        resource = f"Magento_AdobeCommerceWebhooks::{resource}" if webhooks else f"Magento_Backend::{place}"
        if (not signed and not self.known()) or resource in self.server.denied:
            return problem(401, "The consumer isn't authorized to access %resources.", resources=resource)
        if place in ("storeViews", "modules"):
            return 200, b"[]"
        if kind == "GET list":
            return 200, json.dumps([self.server.written(hook) for hook in self.server.live.values()]).encode()
        if kind == "GET supportedList" and self.server.supported is not None:
            return 200, json.dumps([{"name": name} for name in self.server.supported]).encode()
        if kind in ("POST subscribe", "POST unsubscribe"):
            return self.change(kind, json.loads(content).get("webhook", {}))
        return problem(404, "Request does not match any route.")

    def change(self, kind, hook):
        live = self.server.live
        for name in IDENTITY:
            if not hook.get(name):
                return problem(400, '"%fieldName" is required. Enter and try again.', fieldName=name)
        for name in ("batch_name", "hook_name"):
            if not isinstance(hook[name], str) or not re.fullmatch(r"[A-Za-z0-9_]+", hook[name]):
                return problem(400, "The %1 must contain English alphanumeric characters and underscores only", name)
        if self.server.unknown and hook["webhook_method"].startswith(self.server.unknown):
            return problem(400, "The webhook method is not supported")
        if kind == "POST unsubscribe":
            if identity(hook) not in self.server.in_files and live.pop(identity(hook), None) is None:
                return problem(400, "The webhook does not exist")
            return 200, b"[]"
        for name in ("timeout", "soft_timeout", "ttl"):
            if type(hook.get(name, 0)) is not int or hook.get(name, 0) < 0:
                return problem(400, "%1 must be a non-negative integer", name)
        if not SUBSCRIPTION.is_valid(hook):
            return problem(400, "The webhook is not valid")
        if identity(hook) in live:
            return problem(400, "The webhook already exists")
        live[identity(hook)] = encrypted(hook)
        return 200, b"[]"

    def known(self):
        given = self.headers.get("Authorization", "")
        if given.startswith("OAuth "):
            return self.signed(given)
        if given == f"Bearer {IMS_TOKEN}":
            return (
                self.headers.get("x-api-key") == IMS["COMMERCE_CLIENT_ID"]
                # Adobe's guide sends it, Adobe's own client does not.
                and self.headers.get("x-gw-ims-org-id") in (None, IMS["COMMERCE_ORG_ID"])
            )
        return given == f"Bearer {TOKEN}"

    def signed(self, header):
        """Signs the same request once more, with the nonce and the time that were used, and compares."""
        parts = {name: urllib.parse.unquote(value) for name, value in re.findall(r'(\w+)="([^"]*)"', header)}
        if parts.get("oauth_signature_method") != SIGNATURE_HMAC_SHA256 or parts["oauth_nonce"] in self.server.nonces:
            return False
        self.server.nonces.add(parts["oauth_nonce"])
        client = Client(
            *INTEGRATION.values(),
            signature_method=SIGNATURE_HMAC_SHA256,
            nonce=parts["oauth_nonce"],
            timestamp=parts["oauth_timestamp"],
        )
        _, headers, _ = client.sign(self.server.origin + self.path, self.command)
        right = re.search(r'oauth_signature="([^"]*)"', headers["Authorization"]).group(1)
        return urllib.parse.unquote(right) == parts["oauth_signature"]

    def sign_in(self, content):
        form = self.form(content)
        self.server.forms.append(form)
        if (form.get("client_id"), form.get("client_secret")) == (HOOK_OAUTH["WEBHOOK_OAUTH_CLIENT_ID"], HOOK_SECRET):
            return 200, json.dumps({"access_token": HOOK_TOKEN, "token_type": "bearer", "expires_in": 86399}).encode()
        if (form.get("client_id"), form.get("client_secret")) != (IMS["COMMERCE_CLIENT_ID"], IMS["COMMERCE_CLIENT_SECRET"]):
            return 400, json.dumps(
                {"error": "invalid_client", "error_description": f"no such client: {form.get('client_secret')}"}
            ).encode()
        if form.get("grant_type") != "client_credentials" or "commerce.accs" not in form.get("scope", "").split(","):
            return 400, b'{"error":"invalid_scope"}'
        return 200, json.dumps({"access_token": IMS_TOKEN, "token_type": "bearer", "expires_in": 86399}).encode()

    def form(self, content):
        """Adobe's guide sends a form as browsers do by default, Adobe's client as they do with files."""
        kind = self.headers.get("Content-Type", "")
        if not kind.startswith("multipart/form-data"):
            return dict(urllib.parse.parse_qsl(content.decode()))
        parts = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + content).get_payload()
        return {part.get_param("name", header="content-disposition"): part.get_payload().rstrip("\r\n") for part in parts}

    def answer(self, status, content, headers=None):
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def problem(status, message, *numbered, **named):
    return status, json.dumps({"message": message, "parameters": list(numbered) or named}).encode()


class BundleStandIn(ThreadingHTTPServer):
    """The bundle's address, as API Gateway and the functions answer a check: 401 with a problem, or what `others` says for a channel."""

    daemon_threads = True
    RIGHT = 401, "application/problem+json", b'{"type": "urn:commerce-webhooks:signature_missing", "title": "Unverified event"}'

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Check)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.posts, self.usual, self.others = [], self.RIGHT, {}
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def handle_error(self, *_):
        """Clients that hang up are part of the tests."""


class Check(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *_):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.posts.append(self.path)
        usual = self.server.usual if re.fullmatch(r"/webhook/(observer|plugin)\.[\w.]*(/before|/after)?", self.path) else (404, "application/json", b'{"message":"Not Found"}')
        status, kind, content = self.server.others.get(self.path.rpartition(".")[2], usual)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
