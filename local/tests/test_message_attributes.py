"""What a message says of the request that brought it, in its attributes, and what the log line says of the same."""

import bisect
import hashlib
import json
import random
import re
import string
import uuid

import pytest
from faults import Proxy
from function import Function
from shop import request, sample
from stack import queued

MESSAGE_BYTES_MAX, ATTRIBUTE_BYTES_MAX = 1024 * 1024, 2 * 1024
ROOT = "Root=1-5759e988-bd862e3fe1be46a994272793"
SAVED = "sales_order_save_after"
RECONCILED = {"x-webhook-reconciled": "1"}


@pytest.fixture(scope="module")
def running(stack):
    with Function(SAVED, stack.queue(SAVED)) as function:
        yield function


@pytest.fixture
def function(stack, running):
    """The function, with nothing in its queue, as Lambda calls it by default."""
    list(stack.take(stack.queue(SAVED)))
    running.server.trace_header = f"{ROOT};Parent=53995c3f42cd8ad8;Sampled=1"
    return running


def order(**fields):
    # Each is another event, or else SQS would take the second for a copy of the first.
    return {"order": {"entity_id": 216, "increment_id": "000000123", "state": "new", "note": uuid.uuid4().hex, **fields}}


def taken(stack):
    (message,) = stack.take(stack.queue(SAVED))
    return message


def attribute(message, name):
    return message["MessageAttributes"].get(name, {}).get("StringValue")


def digest(subject, store_id=""):
    return hashlib.sha256(f"{subject}\0{store_id}".encode()).hexdigest()[:32]


@pytest.mark.parametrize("channel", queued())
def test_the_log_line_has_the_digest_of_the_subject_that_the_message_has(stack, channel):
    list(stack.take(stack.queue(channel)))
    with Function(channel, stack.queue(channel)) as function:
        result = function.invoke(sample(channel))
    (message,) = stack.take(stack.queue(channel))
    event = json.loads(message["Body"])
    (entity,) = (value for name, value in event["data"].items() if name not in ("issues", "original", "related"))
    expected = digest(event["subject"], entity.get("store_id", "")) if "subject" in event else None
    assert result.line.get("subject_digest") == expected


def test_the_same_number_in_another_store_has_another_digest(stack, function):
    def logged(**fields):
        return function.invoke(request(SAVED, order(**fields))).line["subject_digest"]

    assert logged(store_id="1") == logged(store_id=1) == digest("order/000000123", 1)
    assert logged(store_id=2) == digest("order/000000123", 2)
    assert logged() == logged(store_id="x") == digest("order/000000123"), "as it was read: unreadable is absent"


def test_an_event_without_a_number_has_no_digest(function):
    assert "subject_digest" not in function.invoke(request(SAVED, {"order": {"entity_id": 216, "state": "new"}})).line
    unusable = function.invoke(request(SAVED, {"order": {"state": "new"}}))
    assert unusable.status == 422 and "subject_digest" not in unusable.line


def test_a_signed_event_that_says_that_it_is_reconciled_is_marked_and_is_the_same_event(stack, function):
    body = order()

    def sent(**headers):
        result = function.invoke(request(SAVED, body, **headers))
        assert result.status == 200, result.log
        return result.line

    line = sent(**RECONCILED)
    message = taken(stack)
    assert (line["reconciled"], attribute(message, "reconciled")) == (True, "true")
    assert sent()["event_id"] == line["event_id"] == json.loads(message["Body"])["id"]
    # SQS takes the second one for a copy, because the mark is not part of the id.
    assert list(stack.take(stack.queue(SAVED))) == []


@pytest.mark.parametrize("value", ["", "0", "true", "1, 1"])
def test_any_other_value_does_not_mark_an_event(stack, function, value):
    line = function.invoke(request(SAVED, order(), **{"x-webhook-reconciled": value})).line
    assert line["outcome"] == "accepted" and "reconciled" not in line
    assert attribute(taken(stack), "reconciled") is None


def test_the_mark_counts_only_with_a_right_signature(stack, function):
    forged = request(SAVED, order(), **RECONCILED)
    forged["headers"]["x-adobe-signature"] = "0" * 64
    line = function.invoke(forged).line
    assert line["outcome"] == "signature_wrong" and "reconciled" not in line
    unsigned = request(SAVED, order(), **RECONCILED)
    del unsigned["headers"]["x-adobe-signature"]
    with Function(SAVED, stack.queue(SAVED), SIGNATURE_SCHEMES="accept-unsigned", WEBHOOK_KEYS=None) as anybody:
        line = anybody.invoke(unsigned).line
    assert line["outcome"] == "accepted" and "reconciled" not in line
    assert attribute(taken(stack), "reconciled") is None


def test_a_reconciled_event_that_is_unusable_says_so_in_the_log(stack, function):
    line = function.invoke(request(SAVED, {"order": {"state": "new"}}, **RECONCILED)).line
    assert (line["outcome"], line["reconciled"]) == ("invalid", True)


# Traces

TRACEPARENT = f"00-{'4' * 32}-{'2' * 16}-01"
WHOLE = f"{ROOT};Parent=53995c3f42cd8ad8;Sampled=0;Lineage=1:fe460cdd:0"
SQS_TAKES = re.compile(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}(;Parent=[0-9a-f]{16})?(;Sampled=[01])?(;Lineage=[0-9a-f:|]+)?")


class AsStrictAsSqs(Proxy):
    """Refuses a trace header that is malformed, wherever it stands, as SQS does and the emulator does not."""

    def treat(self, request, connection, upstream):
        _, _, headers, body = request
        attribute = json.loads(body).get("MessageSystemAttributes", {}).get("AWSTraceHeader", {}).get("StringValue")
        given = [one for one in (headers.get("x-amzn-trace-id"), attribute) if one is not None]
        self.fault = "passes" if all(map(SQS_TAKES.fullmatch, given)) else "denied"
        return super().treat(request, connection, upstream)


@pytest.fixture(scope="module")
def strict(stack):
    with AsStrictAsSqs(stack.port) as sqs, Function(SAVED, stack.queue(SAVED), AWS_ENDPOINT_URL=sqs.endpoint) as function:
        yield function


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (WHOLE, WHOLE),
        (f"Self=1-67891234-12456789abcdef012345678;{ROOT}", ROOT),
        (f"Sampled=?;Parent=%7Bparent%7D;{ROOT};CalledFrom=app", ROOT),
        ("Root=dummy;Parent=53995c3f42cd8ad8;Sampled=0", None),
        ("Root%3D1-5759e988-bd862e3fe1be46a994272793", None),
        ("zo\u00eb@shop.example " * 50, None),
        ("", None),
    ],
)
def test_a_malformed_trace_header_costs_no_event(stack, strict, given, kept):
    list(stack.take(stack.queue(SAVED)))
    # Lambda's runtime also writes it into the environment, where AWS's client finds it.
    strict.server.trace_header = given
    result = strict.invoke(request(SAVED, order()))
    assert result.status == 200, result.log
    assert result.line.get("trace_id") == (kept and ROOT.removeprefix("Root="))
    assert taken(stack)["Attributes"].get("AWSTraceHeader") == kept


def test_the_state_of_a_trace_travels_beside_its_parent(stack, function):
    def attributes(**headers):
        assert function.invoke(request(SAVED, order(), **headers)).status == 200
        message = taken(stack)
        return attribute(message, "traceparent"), attribute(message, "tracestate")

    state = "rojo=00f067aa0ba902b7, congo=t61rcWkgMzE"
    assert attributes(traceparent=TRACEPARENT, tracestate=state) == (TRACEPARENT, state)
    assert attributes(traceparent=TRACEPARENT, tracestate=f"a={'x' * 256},b={'x' * 252}") == (TRACEPARENT, None), "513 characters"
    assert attributes(traceparent=TRACEPARENT, tracestate="zo\u00eb@shop.example") == (TRACEPARENT, None)
    assert attributes(traceparent=TRACEPARENT, tracestate="") == (TRACEPARENT, None)
    assert attributes(traceparent="00-zoe", tracestate=state) == (None, None)
    assert attributes(tracestate=state) == (None, None)


# All of them together

EVERYTHING = {**RECONCILED, "traceparent": TRACEPARENT, "tracestate": f"a={'x' * 256},b={'x' * 251}"}


def sent_with_everything(stack, function, filler):
    """The message of an order with an issue and this filler, and the bytes that SQS counts; None if it is too large."""
    function.server.trace_header = f"{ROOT};Parent=53995c3f42cd8ad8;Sampled=1;Lineage={'1:fe460cdd:0|' * 9}"
    body = json.dumps(order(filler=filler, state=[7])).encode()
    result = function.invoke(request(SAVED, body, **EVERYTHING))
    assert result.status in (200, 413), result.log
    if result.status == 413:
        return None
    message = taken(stack)
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert set(attributes) - {"content-encoding"} == {"channel", "content-type", "issues", "reconciled", "traceparent", "tracestate"}
    # SQS does not count the trace header.
    assert message["Attributes"]["AWSTraceHeader"] == function.server.trace_header
    size = len(message["Body"].encode()) + sum(len(name) + len("String") + len(value) for name, value in attributes.items())
    return message, size


def test_the_largest_message_is_taken_with_every_attribute(stack, function):
    message, _ = sent_with_everything(stack, function, "x" * 1_000_000)
    room = MESSAGE_BYTES_MAX - ATTRIBUTE_BYTES_MAX - len(message["Body"])
    message, size = sent_with_everything(stack, function, "x" * (1_000_000 + room))
    assert len(message["Body"]) == MESSAGE_BYTES_MAX - ATTRIBUTE_BYTES_MAX and attribute(message, "content-encoding") is None
    assert size <= MESSAGE_BYTES_MAX - ATTRIBUTE_BYTES_MAX / 2, "a consumer can add attributes, too"


def test_the_largest_compressed_message_is_taken_with_every_attribute(stack, function):
    # Sixty letters are 5.9 bits each, of which base64 makes 7.9: just little enough for what is too large as it is.
    noise = "".join(random.Random(7).choices(string.ascii_letters + string.digits[:8], k=1_080_000))
    sizes = range(MESSAGE_BYTES_MAX, len(noise), 1_000)
    # The largest that is not refused.
    first_refused = bisect.bisect_left(sizes, True, key=lambda length: sent_with_everything(stack, function, noise[:length]) is None)
    message, size = sent_with_everything(stack, function, noise[: sizes[first_refused - 1]])
    assert attribute(message, "content-encoding") == "gzip, base64"
    assert len(message["Body"]) > MESSAGE_BYTES_MAX - ATTRIBUTE_BYTES_MAX - 2_000, "nearly as large as it may be"
    assert size <= MESSAGE_BYTES_MAX - ATTRIBUTE_BYTES_MAX / 2
