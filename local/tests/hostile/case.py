"""What a case is, and what cases are made of."""

import base64
import copy
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from shop import SECRET, sample

PLACE = "sales_order_place_after"
SAVE = "sales_order_save_after"
INVOICE = "sales_order_invoice_pay"
SHIPMENT = "sales_order_shipment_save_after"
PRODUCT = "catalog_product_save_after"
CUSTOMER = "customer_save_after_data_object"
DELETE = "customer_delete_after"
CART = "checkout_cart_product_add_after"
CART_LINE = "sales_quote_item_save_before"

# What can come of a request here: the last part of the problem's type, and the status that the README promises for it.
STATUS = {
    "accepted": 200,
    "not_a_request": 400,
    "not_json": 400,
    "wrong_event": 400,
    "signature_missing": 401,
    "signature_without_key": 401,
    "signature_wrong": 401,
    **dict.fromkeys(["token_missing", "token_malformed", "token_key_unknown", "token_wrong", "token_type"], 401),
    **dict.fromkeys(["token_expired", "token_not_yet_valid", "token_client", "token_organization", "shops_differ"], 401),
    "too_large": 413,
    "too_many_elements": 413,
    "unsupported_media_type": 415,
    "invalid": 422,
}

# The least that each channel takes: the key of its entity, and the entity.
LEAST = {
    PLACE: (
        "order",
        {
            "increment_id": "000000777",
            "grand_total": "12.5000",
            "order_currency_code": "EUR",
            "items": [{"sku": "CAP-77-BLU", "qty_ordered": "1.0000"}],
        },
    ),
    SAVE: ("order", {"entity_id": "7001", "increment_id": "000000777", "state": "processing"}),
    INVOICE: ("invoice", {"grand_total": 12.5, "state": "2"}),
    SHIPMENT: ("shipment", {"entity_id": "7002", "order_id": "7001"}),
    PRODUCT: ("product", {"entity_id": "7003", "sku": "CAP-77-BLU"}),
    CUSTOMER: ("customer_data_object", {"id": "7004", "email": "zoe@shop.example"}),
    DELETE: ("customer", {"entity_id": "7004", "email": "zoe@shop.example"}),
    CART: ("quote_item", {"sku": "CAP-77-BLU", "qty": 1}),
    CART_LINE: ("item", {"sku": "CAP-77-BLU", "qty": 1}),
}


@dataclass(frozen=True)
class Case:
    """A request and what must come of it. `event` makes what Lambda hands to the function: something to be JSON, or its bytes.
    `pointers` are those of a 422, all of them, or of the issues with which it is accepted, for which a strict contract refuses it; for
    the first 100 of more, `more` is the number of the others."""

    name: str
    channel: str
    event: Callable[[], object]
    outcome: str
    pointers: tuple = ()
    more: int = 0
    why: str = ""
    environment: tuple = ()  # pairs of variables that the function has beside the usual ones
    large: bool = False  # is run in a process of its own, whose memory is measured

    @property
    def accepted(self):
        return self.outcome == "accepted"

    @property
    def issues(self):
        return len(self.pointers) + self.more if self.accepted else 0

    @property
    def violations(self):
        return 0 if self.accepted else len(self.pointers) + self.more

    def strict(self):
        """The same request to a function with a strict contract."""
        environment = (*self.environment, ("CONTRACT", "strict"))
        if not self.issues:
            return replace(self, environment=environment)
        # An answer names a place once.
        return replace(self, outcome="invalid", pointers=tuple(dict.fromkeys(self.pointers)), environment=environment)


def entity(channel, **fields):
    """The least entity of the channel with these fields beside it or in it."""
    return {**copy.deepcopy(LEAST[channel][1]), **fields}


def key(channel):
    return LEAST[channel][0]


def body(channel, **fields):
    """A good body in the shop's shape."""
    return {"data": {key(channel): entity(channel, **fields)}}


def at(channel, *paths):
    """Pointers to these fields of the entity in `body`."""
    return tuple(f"/data/{key(channel)}/{path}" if path else f"/data/{key(channel)}" for path in paths)


def raw(content):
    """A body as bytes: those that it is, or JSON as PHP writes it."""
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else php_json(content)).encode()


def php_json(content):
    return json.dumps(content, separators=(",", ":")).replace("/", r"\/")


def hmac_hex(content, secret=SECRET, digest="sha256"):
    return hmac.new(raw(secret), raw(content), digest).hexdigest()


def b64(content):
    return base64.b64encode(raw(content)).decode()


def sha256(content):
    return hashlib.sha256(raw(content)).digest()


def gateway_event(channel, content, headers):
    """What API Gateway makes of a request: the body is text, or base64 of what is none."""
    made = sample(channel, "ideal")
    made["headers"] = headers
    try:
        made["body"], made["isBase64Encoded"] = raw(content).decode(), False
    except UnicodeDecodeError:
        made["body"], made["isBase64Encoded"] = b64(content), True
    return made


def signed(channel, content, **headers):
    """A request with this body, rightly signed. Headers are named with _ for -; None takes one away."""
    named = {
        "content-type": "application/json",
        "x-adobe-commerce-request-id": "0bf6c4989bd71a75cf2394a6dbc73c8a",
        "x-adobe-signature": hmac_hex(content),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return gateway_event(channel, content, {name: value for name, value in named.items() if value is not None})


def with_text_at(channel, path, text):
    """A good body in which this JSON text stands at this place of the entity, as in `items/0/sku`. JSON has no other way to a
    number that Python cannot hold."""
    content = body(channel)
    *steps, last = path.split("/")
    place = content["data"][key(channel)]
    for step in steps:
        if isinstance(place, list):
            place = place[int(step)]
        else:
            place = place.setdefault(step, {})
    place[int(last) if isinstance(place, list) else last] = "@@"
    return php_json(content).replace('"@@"', text)
