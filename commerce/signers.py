"""What signs the events that the operator's tools post, for each shop of a stack: an HMAC secret, a token of Adobe IMS, or both."""

import hashlib
import hmac
import json
import threading
from collections import Counter
from dataclasses import dataclass, field

from credentials import HOOK_OAUTH, enumerated, hook_oauth
from rest import HookTokens, ShopError
from schemes import ACCEPT_UNSIGNED, DEFAULT, TOKEN, ways
from shops import ims_command, words

HMAC = "hmac"
# Of the ways that a stack takes, the first of these. Nobody but the shop has the key for RSA.
WAYS = (frozenset({HMAC}), frozenset({HMAC, TOKEN}), frozenset({TOKEN}))
# As the functions take it.
SECRET_BYTES_MIN = 16


@dataclass(frozen=True)
class Signer:
    """What an event of one shop is signed with."""

    secret: bytes = field(default=None, repr=False)
    token: str = field(default=None, repr=False)
    organization: str = None

    def headers(self, body):
        headers = {}
        if self.secret:
            headers["X-Adobe-Signature"] = hmac.new(self.secret, body, hashlib.sha256).hexdigest()
        if self.token:
            headers |= {"Authorization": f"Bearer {self.token}", "x-gw-ims-org-id": self.organization}
        return headers


class Signers:
    """What signs for each shop, by the secret of a stack, which is read once. Several threads may use it."""

    def __init__(self, stack, read, environment):
        self._stack, self._read, self._environment = stack, read, environment
        self._schemes = stack.parameters.get("SignatureSchemes") or DEFAULT
        # Unsigned events are accepted, and a signed one as well.
        possible = [frozenset({HMAC})] if self._schemes == ACCEPT_UNSIGNED else ways(self._schemes)
        self._ways = [way for way in WAYS if way in possible]
        self._content, self._known, self._token, self._lock = None, {}, None, threading.Lock()

    def of(self, shop=None):
        """The signer of a shop. Raises ShopError if there is none."""
        with self._lock:
            if shop not in self._known:
                try:
                    self._known[shop] = self._made(shop)
                except ShopError as error:
                    self._known[shop] = error
            found = self._known[shop]
        if isinstance(found, ShopError):
            raise found
        return found

    def shops(self):
        """The names of the shops in the secret, as far as it was read."""
        shops = (self._content or {}).get("shops")
        return list(shops) if isinstance(shops, dict) else []

    def _made(self, shop):
        name = self._stack.name
        if not self._ways:
            raise ShopError(
                f"the functions of {name} take no HMAC (SignatureSchemes={self._schemes}). Deploy with hmac,rsa to send events again"
            )
        if self._content is None:
            self._content = content_of(name, self._read(self._stack.output("WebhookKeysArn")))
        entry = entry_of(self._content, shop)
        if entry is None:
            raise ShopError(f"the secret of {name} has no shop {shop}. Add its keys: make keys HMAC=FILE SHOP={shop}")
        reasons = []
        for way in self._ways:
            try:
                return self._by(way, shop, entry)
            except ShopError as error:
                reasons.append(error)
        raise reasons[0]

    def _by(self, way, shop, entry):
        name, option = self._stack.name, f" SHOP={shop}" if shop else ""
        secret = None
        if HMAC in way:
            secret = next(iter(usable_secrets(self._content, shop)), None)
            if secret is None:
                of_shop = f" of {words(shop)}" if shop else ""
                raise ShopError(f"the secret of {name} has no HMAC secret{of_shop} to sign with. Add one: make keys HMAC=FILE{option}")
        if TOKEN not in way:
            return Signer(secret)
        oauth = hook_oauth(self._environment)
        if oauth is None:
            variables = enumerated(tuple(HOOK_OAUTH.values()))
            raise ShopError(f"the functions of {name} need a token (SignatureSchemes={self._schemes}). Set {variables}")
        ims = entry.get("ims") if isinstance(entry.get("ims"), dict) else {}
        if oauth.client_id not in texts(ims.get("client_ids")) or oauth.org_id not in texts(ims.get("org_ids")):
            raise ShopError(
                f"`ims` of {words(shop)} in the secret of {name} does not name the client {oauth.client_id} with the organization "
                f"{oauth.org_id}. Add them: {ims_command(oauth.client_id, oauth.org_id, shop, name)}"
            )
        if self._token is None:
            self._token = HookTokens(oauth, self._environment).get()
        return Signer(secret, self._token, oauth.org_id)


def content_of(stack, text):
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ShopError(f"the secret of {stack} is not a JSON object")
    return content


def entry_of(content, shop):
    """The part of a secret that holds the keys of a shop, or None."""
    if shop is None:
        return content
    shops = content.get("shops")
    entry = shops.get(shop) if isinstance(shops, dict) else None
    return entry if isinstance(entry, dict) else None


def usable_secrets(content, shop):
    """The HMAC secrets of a shop. One that another shop has, too, verifies nothing."""
    shops = content.get("shops") if isinstance(content.get("shops"), dict) else {}
    everywhere = Counter(secret for name in (None, *shops) for secret in set(secrets_of(entry_of(content, name) or {})))
    return [secret for secret in secrets_of(entry_of(content, shop) or {}) if everywhere[secret] == 1]


def secrets_of(entry):
    # As the functions read it: line breaks at the end belong to the file that it came from.
    usable = [one.rstrip("\r\n").encode() for one in texts(entry.get("hmac_secrets")) if "-----BEGIN" not in one]
    return [one for one in usable if len(one) >= SECRET_BYTES_MIN and one.strip()]


def texts(value):
    """The texts of an entry: one text, or a list."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
