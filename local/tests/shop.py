"""What a shop sends, as API Gateway hands it to a function, and what must never come out of it again."""

import base64
import copy
import hashlib
import hmac
import json
import re

from stack import EVENTS

SECRET = (EVENTS / "sample-keys" / "hmac-secret.txt").read_text().strip()
# An answer counts as in time up to this long after the hook's timeout: the test shows that a function gives up by itself, not that the
# machine is idle. Whatever hangs in the tests hangs for longer.
LATE_MS = 5000


def sample(channel, case="default"):
    return json.loads((EVENTS / channel / f"{case}.request.json").read_text())


def request(channel, body, **headers):
    """An HMAC-signed request with this body (bytes, or something to be JSON)."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    made = sample(channel)
    made["headers"] = {
        "content-type": "application/json",
        "x-adobe-commerce-request-id": made["headers"]["x-adobe-commerce-request-id"],
        "x-adobe-signature": hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest(),
        **headers,
    }
    return with_body(made, raw)


def condition(field, operator, *value):
    """A condition of a rule."""
    return {"field": field, "operator": operator, **({"value": value[0]} if value else {})}


def with_body(made, raw):
    """The request with a body of any bytes, as API Gateway passes on what is not text."""
    made = copy.deepcopy(made)
    made["isBase64Encoded"] = True
    made["body"] = base64.b64encode(raw).decode()
    return made


def raw_body(made):
    return base64.b64decode(made["body"]) if made["isBase64Encoded"] else made["body"].encode()


def values(thing):
    """Every value of a payload, as text, that is long enough to be told from others."""
    rest = [thing]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            rest += value.values()
        elif isinstance(value, list):
            rest += value
        elif not isinstance(value, bool) and len(str(value)) >= 5:
            yield str(value)


# What the logs may say, though a payload says it too: names of channels and entities.
def loggable(value, channel):
    return value in channel or value.removeprefix("observer.") == channel or value in ("order", "product", "customer")


def assert_nothing_leaks(channel, made, answer, log):
    # The digits of a time can look like a price.
    log = re.sub(r'"timestamp":"[^"]*"|"(?:\w+Time|TimeLeft)":\[[\d.,]*\]', "", log)
    told = [log, json.dumps(answer), json.dumps(answer, ensure_ascii=False)]
    for value in {SECRET, *signatures(made), *contents(made)}:
        if not loggable(value, channel):
            assert not any(value in text for text in told), f"{channel}: {value!r} of the event is in the log or in the answer"


def signatures(made):
    headers = made.get("headers") if isinstance(made, dict) else None
    for name, value in headers.items() if isinstance(headers, dict) else []:
        if name.lower().endswith("signature") and isinstance(value, str) and len(value) >= 5:
            yield value
        if name.lower() == "authorization" and isinstance(value, str):
            yield from of_token(value)


def of_token(value):
    """A bearer token, its parts, and what its claims hold."""
    parts = value.split()[-1:] + value.split()[-1].split(".") if value.strip() else []
    yield from (part for part in parts if len(part) >= 16)
    for part in parts:
        try:
            claims = json.loads(base64.urlsafe_b64decode(part + "=="))
        except (ValueError, RecursionError):
            continue
        if isinstance(claims, dict):
            named = (claims.get(name) for name in ("client_id", "user_id", "id", "kid"))
            yield from (value for value in named if isinstance(value, str) and len(value) >= 8)


def contents(made):
    """What a request holds: the values of its body, or its words if that is no JSON; or the values of what is no request."""
    try:
        raw = raw_body(made)
    except (AttributeError, KeyError, TypeError, ValueError):
        return values(made)
    try:
        return values(json.loads(raw))
    except (ValueError, RecursionError):
        return re.findall(r"[\w@.%-]{5,}", raw.decode(errors="replace"))
