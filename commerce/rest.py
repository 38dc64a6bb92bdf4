"""The REST endpoints of a shop: who we are to it, what may be asked twice, and what came back."""

import os
import re
from urllib.parse import quote, urlsplit

import requests
import urllib3

import causes
from answers import NO_ANSWER, NOTHING, Answer, Patience, ShopError, in_time, innermost, limited, redirected, root_of
from credentials import GUIDE, OAUTH_GUIDE, STAGING, Bearer, hook_oauth, secret_names, way, with_client_secret
from terminal import note

# Seconds until the connection stands, and between two pieces of the answer.
CONNECT, READ = 5, 30
# The same for a route of the bundle: a function gives up before API Gateway does, after 30.
ROUTE_TIMES = 5, 35
PAUSES = {"total": 4, "backoff_factor": 0.5, "retry_after_max": 20, "raise_on_status": False}
# Reading may be repeated. What changes the shop may be repeated only if it certainly did not get there: no connection, or 429.
REPEATED = {
    "GET": Patience(allowed_methods={"GET"}, status_forcelist={429, *range(500, 600)}, **PAUSES),
    "POST": Patience(allowed_methods={"POST"}, status_forcelist={429}, read=0, **PAUSES),
}
# A shop that hangs mostly goes on hanging, and each attempt lasts long: but one more.
AGAIN_AFTER_SILENCE = 1
IMS_URL = "https://ims-na1.adobelogin.com/ims/token/v3"
# Those that Adobe's documentation of server-to-server authentication names.
IMS_SCOPES = "openid,AdobeID,email,profile,additional_info.roles,additional_info.projectedProductContext,commerce.accs"
# What Commerce asks for when it gets a token for a hook.
HOOK_SCOPES = (
    "AdobeID,openid,read_organizations,additional_info.projectedProductContext,additional_info.roles,adobeio_api,read_client_secret,"
    "manage_client_secrets"
)
STAGING_IMS_URL = "https://ims-na1-stg1.adobelogin.com/ims/token/v3"
SAAS_HOST = "api.commerce.adobe.com"


class Caller:
    """Sends requests as often as is safe, and keeps secrets out of what is shown."""

    def __init__(self, environment=os.environ):
        self._secrets = {value for name, value in environment.items() if name in secret_names() and value}
        self._session = requests.Session()

    def clean(self, text):
        """The text without any of the credentials, whoever wrote them into it."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            for form in {secret, quote(secret, safe="")}:
                text = text.replace(form, "•••")
        return text

    def _ims_token(self, url, client, secret, scopes, remedy):
        """An access token of Adobe IMS for these credentials."""
        form = {"client_id": client, "client_secret": secret, "grant_type": "client_credentials", "scope": scopes}
        answer = self._send("POST", url, data=form, auth=lambda request: request)
        said = answer.json if isinstance(answer.json, dict) else {}
        token = said.get("access_token")
        if answer.status != 200 or not isinstance(token, str) or not (token and token.isascii() and token.isprintable()):
            code = said.get("error")
            code = f" ({code})" if isinstance(code, str) and re.fullmatch(r"[\w.-]{1,40}", code) else ""
            page = f", {answer.form()}" if answer.json is NOTHING else ""
            raise ShopError(f"Adobe IMS gave no token: status {answer.status}{code}{page}.", remedy=remedy)
        self._secrets.add(token)
        return token

    def _send(self, verb, url, **how):
        """The answer, after as many attempts as are safe. Each is signed anew: a shop takes no nonce twice."""
        # To ask for a token changes nothing, though it is a POST.
        kind, host = "GET" if "data" in how else verb, host_of(url)
        repeated = REPEATED[kind]
        while True:
            response = None
            try:
                response, content = in_time(self._once, host, verb, url, **how)
                answer = Answer(response.status_code, response.headers, content)
                if answer.status not in repeated.status_forcelist:
                    redirected(response, host)
                    return answer
                fault, news = None, f"{host} answered with status {answer.status}"
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
                raw = None if fault else response.raw
                repeated = repeated.increment(kind, url, response=raw, error=fault)
            except urllib3.exceptions.HTTPError:
                if fault is None:
                    return answer
                unknown = kind == "POST" and isinstance(fault, urllib3.exceptions.ProtocolError)
                raise ShopError(reason, unknown=unknown) from None
            note(f"{news}, trying again")
            repeated.sleep(raw)

    def _once(self, host, verb, url, **how):
        with self._session.request(verb, url, timeout=(CONNECT, READ), allow_redirects=False, stream=True, **how) as response:
            return response, limited(response, host)


class HookTokens(Caller):
    """The tokens that hooks with Developer Console OAuth send: from Adobe IMS, as the shop gets them."""

    def __init__(self, oauth, environment=os.environ):
        super().__init__(environment)
        self.oauth = oauth
        usual = STAGING_IMS_URL if oauth.environment == STAGING else IMS_URL
        self._url = web_address("WEBHOOK_OAUTH_IMS_URL", environment.get("WEBHOOK_OAUTH_IMS_URL") or usual)
        self._scopes = environment.get("WEBHOOK_OAUTH_SCOPES") or HOOK_SCOPES

    def get(self):
        remedy = (
            "Are WEBHOOK_OAUTH_CLIENT_ID, WEBHOOK_OAUTH_CLIENT_SECRET and WEBHOOK_OAUTH_ENVIRONMENT those of an OAuth server-to-server "
            f"credential? {OAUTH_GUIDE} says how to get one."
        )
        return self._ims_token(self._url, self.oauth.client_id, self.oauth.client_secret, self._scopes, remedy)


class Shop(Caller):
    """The endpoints of one shop, as SHOP names it: https://shop.example/rest/all or https://na1.api.commerce.adobe.com/<tenant>."""

    def __init__(self, base, environment=os.environ):
        if not base:
            raise ShopError(
                "which shop? Add SHOP=… as https://shop.example/rest/all or https://na1.api.commerce.adobe.com/<tenant>"
            )
        super().__init__(environment)
        self.base = web_address("SHOP", base).removesuffix("/V1")
        self.host = host_of(self.base)
        self.way, self._given = way(environment)
        self._public = [environment.get(name) for name in ("COMMERCE_CLIENT_ID", "COMMERCE_ORG_ID")]
        self._ims_url = web_address("COMMERCE_IMS_URL", environment.get("COMMERCE_IMS_URL") or IMS_URL)
        self._scopes = environment.get("COMMERCE_SCOPES") or IMS_SCOPES
        self._auth = None
        # With which the shop signs in at Adobe for its hooks, or None.
        self.oauth = hook_oauth(environment)

    @property
    def is_saas(self):
        """Whether it is Adobe Commerce as a Cloud Service; otherwise it is PaaS or on-premises."""
        host = urlsplit(self.base).hostname
        return host == SAAS_HOST or host.endswith(f".{SAAS_HOST}")

    @property
    def token(self):
        """The bearer token, if that is how we sign in."""
        return self._given[0] if self.way == "a token" else None

    def get(self, path, **query):
        """The JSON that the shop has at a path below V1, as get("orders", **{"searchCriteria[pageSize]": 100})."""
        return self._ask("GET", path, query=query)

    def hooks(self):
        return self.get("webhooks/list")

    def supported(self):
        """The events that may be subscribed, or None where the shop does not say: only SaaS does."""
        answer = self._request("GET", "webhooks/supportedList")
        if answer.status == 404 and answer.is_commerce:
            return None
        listed = self._json("GET", "webhooks/supportedList", answer)
        return {one.get("name") for one in listed if isinstance(one, dict)} if isinstance(listed, list) else None

    def subscribe(self, body):
        self._ask("POST", "webhooks/subscribe", {"webhook": with_client_secret(body, self.oauth)})

    def unsubscribe(self, body):
        self._ask("POST", "webhooks/unsubscribe", {"webhook": body})

    def is_there(self, path):
        """Whether Commerce answers at a path that is open to all; None if nobody knows."""
        try:
            # Wrong credentials are refused even there. But on SaaS a gateway lets nobody pass without.
            answer = self._request("GET", path, signed=self.is_saas)
        except ShopError:
            return None
        return None if answer.status == 429 or answer.status >= 500 else answer.is_commerce and answer.good

    def is_known(self, paths):
        """Whether Commerce takes our credentials for one of the paths; None if it says neither yes nor no."""
        for path in paths:
            try:
                answer = self._request("GET", path)
            except ShopError:
                return None
            if answer.is_commerce and answer.good:
                return True
            if answer.status not in (401, 403):
                return None
        return False

    def _ask(self, verb, path, body=None, query=None):
        return self._json(verb, path, self._request(verb, path, body, query))

    def _request(self, verb, path, body=None, query=None, signed=True):
        if signed and self._auth is None:
            self._auth = self._sign_in()
        # Without any, requests would take those of a ~/.netrc.
        auth = self._auth if signed else lambda request: request
        how = {"json": body, "params": query, "auth": auth, "headers": {"Accept": "application/json"}}
        return self._send(verb, f"{self.base}/V1/{path}", **how)

    def _json(self, verb, path, answer):
        if answer.good and answer.is_commerce:
            return answer.json
        raise causes.refusal(self, verb, path, answer)

    def _sign_in(self):
        given = self._given
        if self.way == "an integration":
            # Only this way needs oauthlib, which takes a while to load.
            from requests_oauthlib import OAuth1

            return OAuth1(*given, signature_method="HMAC-SHA256")
        if self.way == "a token":
            return Bearer(given[0], *self._public)
        client, secret, organisation = given
        remedy = (
            "Are COMMERCE_CLIENT_ID, COMMERCE_CLIENT_SECRET and the scopes those of an OAuth server-to-server credential with the API of "
            f"Adobe Commerce as a Cloud Service? {GUIDE} says how to get one."
        )
        token = self._ims_token(self._ims_url, client, secret, self._scopes, remedy)
        return Bearer(token, client, organisation)


def web_address(name, address, example="https://shop.example/rest/all"):
    """An address that credentials may be sent to: over TLS, or on this machine."""
    address = address or ""
    try:
        parts = urlsplit(address)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole or parts.query or parts.fragment or "@" in parts.netloc or not is_name(parts.hostname):
        raise ShopError(f"{name} must be a URL as {example}")
    if not address.isprintable() or " " in address:
        raise ShopError(f"{name} holds spaces or characters that no URL has; it must be one as {example}")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ShopError(f"{name} must begin with https://: nothing secret goes over plain HTTP")
    return address.rstrip("/")


def is_loopback(host):
    return host in ("127.0.0.1", "localhost", "::1")


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
