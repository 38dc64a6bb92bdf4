"""What a shop sends, as API Gateway hands it to a function, and what must never come out of it again."""

import base64
import copy
import hashlib
import hmac
import json

from stack import EVENTS

SECRET = (EVENTS / "sample-keys" / "hmac-secret.txt").read_text().strip()


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
    if isinstance(thing, dict):
        for value in thing.values():
            yield from values(value)
    elif isinstance(thing, list):
        for value in thing:
            yield from values(value)
    elif not isinstance(thing, bool) and len(str(thing)) >= 5:
        yield str(thing)


# What the logs may say, though a payload says it too: names of channels and entities.
def loggable(value, channel):
    return value in channel or value.removeprefix("observer.") == channel or value in ("order", "product", "customer")


def assert_nothing_leaks(channel, made, answer, log):
    secrets = [SECRET, *(value for name, value in made["headers"].items() if name.endswith("signature"))]
    for value in [*values(json.loads(raw_body(made))), *secrets]:
        if not loggable(value, channel):
            assert value not in log, f"{channel}: a value of the event is in the log"
            assert value not in json.dumps(answer), f"{channel}: a value of the event is in the answer"
