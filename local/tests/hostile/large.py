"""Bodies of 6 MB, as large as Lambda's own limit and larger than the gateway passes on. Each is run in a fresh process."""

import base64
import random

from .case import (
    CART,
    CUSTOMER,
    DELETE,
    INVOICE,
    PLACE,
    PRODUCT,
    SAVE,
    SHIPMENT,
    Case,
    at,
    b64,
    body,
    gateway_event,
    php_json,
    signed,
)

CASES = []
MOST = 6 * 1024 * 1024
WRONG = 19_998


def case(name, channel, content, outcome, pointers=(), why="", more=0, sign=signed):
    CASES.append(Case(name, channel, lambda: sign(channel, content()), outcome, pointers, more, why=why, large=True))


def filled(channel, unit, before='"', after='"', size=MOST):
    """A good body of this many bytes, nearly, with a field that no contract has full of these units."""
    frame = php_json(body(channel, note="@@"))
    count = (size - len(frame) - len(before) - len(after)) // len(unit.encode())
    return frame.replace('"@@"', before + unit * count + after)


def noise(size):
    return base64.urlsafe_b64encode(random.Random(1).randbytes(size * 3 // 4)).decode()


def unsigned(channel, content):
    return gateway_event(channel, content, {"content-type": "application/json", "x-adobe-signature": "0" * 64})


def by_wrong_rsa(channel, content):
    headers = {"content-type": "application/json", "x-adobe-commerce-webhook-signature": b64(b"\1" * 256)}
    return gateway_event(channel, content, headers)


case("one-letter", PLACE, lambda: filled(PLACE, "a"), "accepted", why="compressed, it fits")
case("noise", SAVE, lambda: php_json(body(SAVE, note=noise(MOST - 200))), "too_large", why="no compression makes it fit")
case(
    "noise-in-the-sku",
    CART,
    lambda: php_json(body(CART, sku=noise(MOST - 200))),
    "too_large",
    why="it stands in the message three times",
)
case("small-things", INVOICE, lambda: filled(INVOICE, '"small",', "[", "1]"), "accepted", why="many of what nobody reads")
case("escapes", PRODUCT, lambda: filled(PRODUCT, r"\u0000"), "accepted", why="a million NULs, never resolved")
case("digits", DELETE, lambda: filled(DELETE, "9", "", "9"), "accepted", why="one number")
case("members", CUSTOMER, lambda: filled(CUSTOMER, '"a":1,', "{", '"a":1}'), "accepted", why="a million times the same name")
case(
    "items-each-wrong",
    PLACE,
    lambda: php_json(body(PLACE, items="@@")).replace('"@@"', "[" + '"ab",' * WRONG + "0]"),
    "accepted",
    at(PLACE, *(f"items/{index}" for index in range(100))),
    more=WRONG - 99,
    why="a list of issues ends somewhere",
)
for name, (unit, close) in {
    "empty-addresses": ('"addresses":[' + "{},", "{}]"),
    "items-of-nothing": ('"items":[' + "null,", "null]"),
}.items():
    case(
        name,
        SAVE,
        lambda unit=unit, close=close: filled(SAVE, unit[unit.index("[") + 1 :], unit[: unit.index("[") + 1], close).replace('"note":', ""),
        "too_many_elements",
        why="two or three bytes become hundreds",
    )
case(
    "text-read",
    PRODUCT,
    lambda: filled(PRODUCT, r"\u00e9").replace('"note"', '"name"'),
    "accepted",
    why="resolved, printed, and as it was",
)
case("whitespace", INVOICE, lambda: " " * MOST, "not_json")
case("brackets-left-open", SHIPMENT, lambda: "[" * MOST, "not_json")
case("brackets-inside-left-open", SHIPMENT, lambda: '{"a":' + "[" * (MOST - 5), "not_json")
case(
    "brackets-as-many-closed",
    SHIPMENT,
    lambda: filled(SHIPMENT, "[" * 129 + '"' + "x" * 10_000 + '"' + "]" * 129 + ",", "[", "1]"),
    "invalid",
    ("",),
    "deep here and there",
)
case("bytes-of-no-text", CART, lambda: b"\xff" * MOST, "not_json")
case("bad-byte-at-the-end", CART, lambda: filled(CART, "a").encode()[:-1] + b"\xff", "not_json")
case("signed-wrongly", PLACE, lambda: filled(PLACE, "a"), "signature_wrong", sign=unsigned)
case("signed-wrongly-by-rsa", PLACE, lambda: filled(PLACE, "a"), "signature_wrong", sign=by_wrong_rsa)
case("one-byte-too-large", PRODUCT, lambda: " " * (MOST + 1), "too_large")
case("twice-too-large", PRODUCT, lambda: filled(PRODUCT, "a", size=2 * MOST), "too_large")
case(
    "too-large-and-of-another-type",
    PRODUCT,
    lambda: " " * (MOST + 1),
    "unsupported_media_type",
    sign=lambda channel, content: gateway_event(channel, content, {}),
)
case("too-large-in-base64", PRODUCT, lambda: b"\xff" * (MOST + 1), "too_large")
