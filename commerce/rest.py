"""The shop's REST endpoints for hooks: who we are to them, what may be asked twice, and what went wrong in one line."""

import json
import os
import re
import sys
import time
from urllib.parse import quote, urlsplit

import requests
import urllib3
from oauthlib.oauth1 import SIGNATURE_HMAC_SHA256
from requests_oauthlib import OAuth1
from urllib3.util import Retry

# Seconds until the connection stands, between two pieces of the answer, and for the whole of it.
CONNECT, READ, WHOLE = 5, 30, 60
ANSWER_BYTES_MAX = 8 * 1024 * 1024
PAUSES = {"total": 4, "backoff_factor": 0.5, "retry_after_max": 20, "raise_on_status": False}
# Reading may be repeated. What changes the shop may be repeated only if it certainly did not get there: no connection, or 429.
REPEATED = {
    "GET": Retry(allowed_methods={"GET"}, status_forcelist={429, *range(500, 600)}, **PAUSES),
    "POST": Retry(allowed_methods={"POST"}, status_forcelist={429}, read=0, **PAUSES),
}
# A shop that hangs mostly goes on hanging, and each attempt lasts long: but one more.
AGAIN_AFTER_SILENCE = 1
NO_ANSWER = "no answer in time"
IMS_URL = "https://ims-na1.adobelogin.com/ims/token/v3"
# Those that Adobe's documentation of server-to-server authentication names.
IMS_SCOPES = "openid,AdobeID,email,profile,additional_info.roles,additional_info.projectedProductContext,commerce.accs"
WAYS = {
    "a token": ("COMMERCE_TOKEN",),
    "an integration": (
        "COMMERCE_CONSUMER_KEY",
        "COMMERCE_CONSUMER_SECRET",
        "COMMERCE_ACCESS_TOKEN",
        "COMMERCE_ACCESS_TOKEN_SECRET",
    ),
    "Adobe IMS": ("COMMERCE_CLIENT_ID", "COMMERCE_CLIENT_SECRET", "COMMERCE_ORG_ID"),
}
# What names no secret, and may be given beside a token.
PUBLIC = {"COMMERCE_CLIENT_ID", "COMMERCE_ORG_ID"}
# No real one is shorter; and to hide one of a letter or two would take these out of every word.
CREDENTIAL_LENGTH_MIN = 6


class ShopError(Exception):
    """What went wrong, for a person. `unknown` says that the shop may have done all the same what it was asked."""

    def __init__(self, reason, *, status=None, unknown=False):
        super().__init__(reason)
        self.status, self.unknown = status, unknown


class Shop:
    """The endpoints of one shop, as SHOP names it: https://shop.example/rest/all or https://na1.api.commerce.adobe.com/<tenant>."""

    def __init__(self, base, environment=os.environ):
        if not base:
            raise ShopError(
                "which shop? Add SHOP=… as https://shop.example/rest/all or https://na1.api.commerce.adobe.com/<tenant>"
            )
        self.base = web_address("SHOP", base).removesuffix("/V1")
        self.host = host_of(self.base)
        self.way, self._given = way(environment)
        self._public = [environment.get(name) for name in ("COMMERCE_CLIENT_ID", "COMMERCE_ORG_ID")]
        self._ims_url = web_address("COMMERCE_IMS_URL", environment.get("COMMERCE_IMS_URL") or IMS_URL)
        self._scopes = environment.get("COMMERCE_SCOPES") or IMS_SCOPES
        self._secrets = {value for name, value in environment.items() if name in secret_names() and value}
        self._session = requests.Session()
        self._auth = None

    def get(self, path, **query):
        """The JSON that the shop has at a path below V1, as get("orders", **{"searchCriteria[pageSize]": 100})."""
        return self._ask("GET", path, query=query)

    def hooks(self):
        return self.get("webhooks/list")

    def supported(self):
        """The events that may be subscribed, or None where the shop does not say: only SaaS does."""
        try:
            answer = self.get("webhooks/supportedList")
        except ShopError as error:
            if error.status == 404:
                return None
            raise
        return {one.get("name") for one in answer if isinstance(one, dict)} if isinstance(answer, list) else None

    def subscribe(self, body):
        self._ask("POST", "webhooks/subscribe", {"webhook": body})

    def unsubscribe(self, body):
        self._ask("POST", "webhooks/unsubscribe", {"webhook": body})

    def clean(self, text):
        """The text without any of the credentials, whoever wrote them into it."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            for form in {secret, quote(secret, safe="")}:
                text = text.replace(form, "•••")
        return text

    def _ask(self, verb, path, body=None, query=None):
        if self._auth is None:
            self._auth = self._sign_in()
        url = f"{self.base}/V1/{path}"
        how = {"json": body, "params": query, "auth": self._auth, "headers": {"Accept": "application/json"}}
        status, content = self._send(verb, url, **how)
        if 200 <= status < 300:
            try:
                return json.loads(content)
            except (ValueError, RecursionError):
                reason = f"{self.host} answered {path} with something else than JSON, perhaps a page to log in: {self._base_hint()}"
                raise ShopError(reason, unknown=verb == "POST") from None
        raise self._refusal(verb, path, status, content)

    def _send(self, verb, url, **how):
        """Status and content of the answer, after as many attempts as are safe. Each is signed anew: a shop takes no nonce twice."""
        # To ask for a token changes nothing, though it is a POST.
        kind, host = "GET" if "data" in how else verb, host_of(url)
        repeated = REPEATED[kind]
        while True:
            answer = None
            try:
                with self._session.request(verb, url, timeout=(CONNECT, READ), allow_redirects=False, stream=True, **how) as answer:
                    content = limited(answer, host)
                if answer.status_code not in repeated.status_forcelist:
                    return redirected(answer, host) or (answer.status_code, content)
                fault, news = None, f"{host} answered with status {answer.status_code}"
            except requests.exceptions.SSLError as error:
                reason = self.clean(f"no safe connection to {host}: {innermost(error)}")
                raise ShopError(reason, unknown=kind == "POST") from None
            except requests.exceptions.RequestException as error:
                never_there = isinstance(root_of(error), urllib3.exceptions.ConnectTimeoutError)
                fault = (urllib3.exceptions.ConnectTimeoutError if never_there else urllib3.exceptions.ProtocolError)("")
                why, news = innermost(error), f"{host}: no answer yet"
                silent = why == NO_ANSWER and not never_there
                state = "cannot be reached:" if never_there else "gave" if silent else "broke off:"
                reason = self.clean(f"{host} {state} {why}")
                if silent:
                    repeated = repeated.new(total=min(repeated.total, AGAIN_AFTER_SILENCE))
            try:
                response = None if fault else answer.raw
                repeated = repeated.increment(kind, url, response=response, error=fault)
            except urllib3.exceptions.HTTPError:
                if fault is None:
                    return answer.status_code, content
                unknown = kind == "POST" and isinstance(fault, urllib3.exceptions.ProtocolError)
                raise ShopError(reason, unknown=unknown) from None
            print(f"{news}, trying again", file=sys.stderr, flush=True)
            repeated.sleep(response)

    def _sign_in(self):
        given = self._given
        if self.way == "an integration":
            return OAuth1(*given, signature_method=SIGNATURE_HMAC_SHA256)
        if self.way == "a token":
            return Bearer(given[0], *self._public)
        client, secret, organisation = given
        form = {"client_id": client, "client_secret": secret, "grant_type": "client_credentials", "scope": self._scopes}
        status, content = self._send("POST", self._ims_url, data=form, auth=lambda request: request)
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        answer = answer if isinstance(answer, dict) else {}
        token = answer.get("access_token")
        if status != 200 or not isinstance(token, str) or not token:
            code = answer.get("error")
            code = f" ({code})" if isinstance(code, str) and re.fullmatch(r"[\w.-]{1,40}", code) else ""
            raise ShopError(
                f"Adobe IMS gave no token: status {status}{code}. Are COMMERCE_CLIENT_ID, COMMERCE_CLIENT_SECRET and the scopes "
                "those of an OAuth server-to-server credential with the API of Adobe Commerce?"
            )
        self._secrets.add(token)
        return Bearer(token, client, organisation)

    def _refusal(self, verb, path, status, content):
        said = self.clean(message_of(content))
        quoted = f' The shop says: "{said}"' if said else ""
        if status in (401, 403):
            # Adobe documents the resource for listing only; for the rest, the shop's own answer names it.
            named = re.search(r"Magento_\w+::\w+", said)
            named = (
                named.group()
                if named
                else "Magento_AdobeCommerceWebhooks::webhooks_list"
                if path.endswith("ist")
                else "for webhooks"
                if path.startswith("webhooks/")
                else f"for {path.partition('/')[0]}"
            )
            reason = f"Either the role or integration lacks the resource {named}, or {self._wrong_way()}."
            return ShopError(f"the shop does not let us {deed(path)} (status {status}). {reason}{quoted}", status=status)
        if status == 404:
            if said and not path.startswith("webhooks/"):
                reason = f"has no {path}."
            elif said:
                reason = (
                    "has no such endpoint: on PaaS, REST lists hooks from version 1.8.0 of the webhooks module and subscribes them from "
                    "1.13.0, with Magento_AdobeCommerceWebhooksSubscriber enabled. Before that, use commerce/webhooks.xml."
                )
            else:
                reason = f"knows no such place: {self._base_hint()}"
            return ShopError(f"{self.host} {reason}{quoted}", status=status)
        unknown = verb == "POST" and status >= 500
        return ShopError(f"the shop would not {deed(path)} (status {status}).{quoted}", status=status, unknown=unknown)

    def _base_hint(self):
        return "is SHOP the base of REST, as https://shop.example/rest/all or https://na1.api.commerce.adobe.com/<tenant>?"

    def _wrong_way(self):
        return {
            "a token": "the token is expired, or is an integration's, which counts alone only if the shop allows it "
            "(set the four values of the integration instead)",
            "an integration": "one of the integration's four values is wrong, or this machine's clock is",
            "Adobe IMS": "the credential's product profile does not hold this shop",
        }[self.way]


class Bearer(requests.auth.AuthBase):
    """Sets its header itself: requests would otherwise prefer a ~/.netrc."""

    def __init__(self, token, client=None, organisation=None):
        self._headers = {"Authorization": f"Bearer {token}", "x-api-key": client, "x-gw-ims-org-id": organisation}

    def __call__(self, request):
        request.headers.update({name: value for name, value in self._headers.items() if value})
        return request


def way(environment):
    """How we sign in: exactly one of the ways must be there, and whole."""
    begun = {}
    for name, variables in WAYS.items():
        given = [variable for variable in variables if environment.get(variable)]
        if set(given) - PUBLIC:
            begun[name] = [variable for variable in variables if variable not in given]
    if not begun and any(environment.get(variable) for variable in PUBLIC):
        begun["Adobe IMS"] = [variable for variable in WAYS["Adobe IMS"] if not environment.get(variable)]
    if not begun:
        ways = "; or ".join(", ".join(variables) for variables in WAYS.values())
        raise ShopError(f"no credentials in the environment. Set one of: {ways}.")
    if len(begun) > 1:
        raise ShopError(f"credentials for {' and for '.join(begun)} are in the environment; unset all but one.")
    [(name, missing)] = begun.items()
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise ShopError(f"the credentials of {name} are not complete: {enumerated(missing)} {are} missing in the environment.")
    values = tuple(environment[variable] for variable in WAYS[name])
    if not all(value.isascii() and value.isprintable() and value == value.strip() for value in values):
        raise ShopError(
            f"the credentials of {name} hold what none does: spaces or line breaks around them, or letters beyond ASCII."
        )
    short = [variable for variable in WAYS[name] if len(environment[variable]) < CREDENTIAL_LENGTH_MIN]
    if short:
        has = "has" if len(short) == 1 else "have"
        raise ShopError(f"{enumerated(short)} {has} fewer than {CREDENTIAL_LENGTH_MIN} characters, which no real credential has.")
    return name, values


def enumerated(names):
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def secret_names():
    return {variable for variables in WAYS.values() for variable in variables} - PUBLIC


def web_address(name, address, example="https://shop.example/rest/all"):
    """An address that credentials may be sent to: over TLS, or on this machine."""
    try:
        parts = urlsplit(address or "")
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole or parts.query or parts.fragment or "@" in parts.netloc or not is_name(parts.hostname):
        raise ShopError(f"{name} must be a URL as {example}")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ShopError(f"{name} must begin with https://: nothing secret goes over plain HTTP")
    return address.rstrip("/")


def is_name(host):
    """Whether each label of it has from 1 to 63 characters, without which requests raises what is no error of its own."""
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def host_of(url):
    """The host, with its port where that is not the usual one."""
    parts = urlsplit(url)
    return parts.hostname if parts.port in (None, {"http": 80, "https": 443}[parts.scheme]) else f"{parts.hostname}:{parts.port}"


def next_piece(answer):
    """What has come, be it little: to wait for more would give whoever sends it slowly all the time in the world."""
    try:
        return answer.raw.read1(64 * 1024, decode_content=True)
    except urllib3.exceptions.DecodeError as error:
        raise requests.exceptions.ContentDecodingError(error) from error
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.exceptions.ConnectionError(error) from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError(error) from error


def limited(answer, host):
    """The content, if it comes in time and is not too much."""
    content, until = bytearray(), time.monotonic() + WHOLE
    while piece := next_piece(answer):
        content += piece
        if len(content) > ANSWER_BYTES_MAX:
            raise ShopError(f"{host} answered with more than {ANSWER_BYTES_MAX // 1024 // 1024} MB", unknown=True)
        if time.monotonic() > until:
            raise ShopError(f"{host} did not end its answer within {WHOLE} s", unknown=True)
    return bytes(content)


def redirected(answer, host):
    if 300 <= answer.status_code < 400:
        target = urlsplit(answer.headers.get("Location", "")).hostname or host
        raise ShopError(
            f"{host} sends us on to {target} (status {answer.status_code}), where no credentials go. Give SHOP as it is in the end."
        )


def message_of(content):
    """The message in an error of Magento, with its parameters filled in, as one short line."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    message = answer.get("message") if isinstance(answer, dict) else None
    if not isinstance(message, str):
        return ""
    parameters = answer.get("parameters") or {}
    if isinstance(parameters, list):
        parameters = {str(number): value for number, value in enumerate(parameters, 1)}
    for name, value in sorted(parameters.items(), reverse=True) if isinstance(parameters, dict) else ():
        message = message.replace(f"%{name}", ", ".join(map(str, value)) if isinstance(value, list) else str(value))
    message = " ".join("".join(letter if letter.isprintable() else " " for letter in message).split())
    return message if len(message) <= 300 else f"{message[:300]}…"


def deed(path):
    """What was asked of the shop, in words."""
    known = {"webhooks/list": "list its hooks", "webhooks/supportedList": "list what it supports"}
    begun, _, rest = path.partition("webhooks/")
    return known.get(path, rest if rest and not begun else f"read {path}")


def root_of(error):
    """What urllib3 gave up over."""
    inner = error.args[0] if error.args else error
    inner = getattr(inner, "reason", inner)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return urllib3.exceptions.ConnectTimeoutError("no connection in time")
    return getattr(inner, "original_error", inner)


def innermost(error):
    """The last words of a chain of exceptions, without the objects that requests prints."""
    root = root_of(error)
    if isinstance(error, requests.exceptions.Timeout) or isinstance(root, urllib3.exceptions.ReadTimeoutError):
        return NO_ANSWER
    words = str(root)
    if re.search("WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE", words):
        return "what answers there is not TLS; does it speak HTTPS at this port?"
    words = re.sub(r"<[^>]*>:? ?|^.*?Connection\(host=[^)]*\):? ?", "", words)
    return " ".join(words.split())[:200] or type(error).__name__
