"""What a message says of the request that brought it, in its attributes, and what the log line says of the same."""

import hashlib
import json
import uuid

import pytest
from function import Function
from shop import request, sample
from stack import channels

SAVED = "sales_order_save_after"
RECONCILED = {"x-webhook-reconciled": "1"}


@pytest.fixture
def function(stack):
    list(stack.take(stack.queue(SAVED)))
    with Function(SAVED, stack.queue(SAVED)) as running:
        yield running


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


@pytest.mark.parametrize("channel", channels())
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
