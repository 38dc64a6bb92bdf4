"""Order and repeats, at the real queue API: what of one entity comes in the order in which it happened, and what came twice comes once."""

import contextlib
import json
import random
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from function import Function
from shop import request
from stack import readable

SAVED, PAID, SHIPPED, PLACED = (
    "sales_order_save_after", "sales_order_invoice_pay", "sales_order_shipment_save_after", "sales_order_place_after",
)  # fmt: skip


@pytest.fixture(scope="module")
def send(stack):
    """Sends a body to a channel's function and wants it accepted: the event's id."""
    with contextlib.ExitStack() as opened:
        functions = {channel: opened.enter_context(Function(channel, stack.queue(channel))) for channel in (SAVED, PAID, SHIPPED, PLACED)}

        def one(channel, body, delivery=None):
            made = request(channel, body)
            # API Gateway has an id for each request.
            made["requestContext"]["requestId"] = delivery or uuid.uuid4().hex
            result = functions[channel].invoke(made)
            assert result.status == 200, result.log
            return result.line["event_id"]

        yield one


@pytest.fixture
def erp(stack):
    queue = stack.queue(SAVED)
    stack.messages(queue)
    yield stack.client("sqs"), queue
    stack.messages(queue)


def receive(erp, count=10, seconds=30):
    sqs, queue = erp
    return sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=count, VisibilityTimeout=seconds, AttributeNames=["All"], MessageAttributeNames=["All"]
    ).get("Messages", [])


def delete(erp, message):
    erp[0].delete_message(QueueUrl=erp[1], ReceiptHandle=message["ReceiptHandle"])


def save(entity, state, **more):
    return {"order": {"entity_id": entity, "increment_id": f"{entity:09}", "state": state, **more}}


def new_order():
    return random.randrange(10**6, 10**9)


def test_what_happens_to_an_order_comes_in_that_order_however_orders_mix(send, erp):
    orders = [new_order() for _ in range(4)]
    happened = {number: [] for number in orders}
    steps = [
        (SAVED, lambda number: save(number, "new")),
        (PAID, lambda number: {"invoice": {"entity_id": number + 1, "order_id": number, "grand_total": 5, "state": 2}}),
        (SAVED, lambda number: save(number, "processing")),
        (SHIPPED, lambda number: {"shipment": {"entity_id": number + 2, "order_id": str(number)}}),
        (SAVED, lambda number: save(number, "complete")),
    ]
    waiting = {number: list(steps) for number in orders}
    chance = random.Random(7)
    while any(waiting.values()):
        number = chance.choice([number for number in orders if waiting[number]])
        channel, body = waiting[number].pop(0)
        happened[number].append(send(channel, body(number)))
    came = {number: [] for number in orders}
    while batch := receive(erp, count=3):
        for message in batch:
            came[int(message["Attributes"]["MessageGroupId"].removeprefix("order/"))].append(readable(message)["MessageBody"]["id"])
            delete(erp, message)
    assert came == happened


def test_an_order_that_is_being_worked_on_holds_back_its_own_events_and_no_others(send, erp):
    slow, other = new_order(), new_order()
    first, second = (send(SAVED, save(slow, state)) for state in ("new", "processing"))
    third = send(SAVED, save(other, "new"))
    worked_on = receive(erp, count=1)
    assert [readable(message)["MessageBody"]["id"] for message in worked_on] == [first]
    meanwhile = receive(erp)
    assert [readable(message)["MessageBody"]["id"] for message in meanwhile] == [third]
    # Not done: it comes again, and still before what happened later.
    erp[0].change_message_visibility(QueueUrl=erp[1], ReceiptHandle=worked_on[0]["ReceiptHandle"], VisibilityTimeout=0)
    assert [readable(message)["MessageBody"]["id"] for message in receive(erp)] == [first, second]


def test_each_save_is_an_event_of_its_own_in_the_order_in_which_it_came(send, erp):
    """An order is saved several times in one request of the shop, there and back again within a second."""
    number = new_order()
    at = {"updated_at": "2026-06-18 20:27:11"}
    ids = [send(SAVED, save(number, state, **at)) for state in ("new", "processing", "processing", "new")]
    assert len(set(ids)) == 4
    messages = [readable(message)["MessageBody"] for message in receive(erp)]
    assert [message["id"] for message in messages] == ids
    first, second, third, fourth = (message["contentid"] for message in messages)
    assert first == fourth != second == third


def test_what_happens_once_is_one_event_whoever_sends_it(send, erp):
    order = {"grand_total": 1, "order_currency_code": "EUR", "items": [{"sku": "x", "qty_ordered": 1}]}
    placed = {"order": {"increment_id": f"{new_order()}", "store_id": 1, **order}}
    named = [send(PLACED, placed) for _ in range(2)]
    # Without its store, another order could have the number.
    unnamed = [send(PLACED, {"order": {"increment_id": f"{new_order()}", **order}}) for _ in range(2)]
    assert named[0] == named[1] and unnamed[0] != unnamed[1]
    assert {readable(message)["MessageBody"]["id"] for message in receive(erp)} == {named[0], *unnamed}


def test_a_repeat_is_dropped_even_after_the_first_was_done(send, erp):
    body = {"event_id": str(uuid.uuid4()), **save(new_order(), "complete")}
    identity = send(SAVED, body)
    done = receive(erp)
    assert [message["Attributes"]["MessageDeduplicationId"] for message in done] == [identity]
    delete(erp, done[0])
    assert send(SAVED, body) == identity
    assert receive(erp) == []


def test_a_repeat_at_many_functions_at_once_is_one_message(stack, erp):
    body = {"event_id": str(uuid.uuid4()), "data": save(new_order(), "new")}
    start = threading.Barrier(6)

    def one(_):
        with Function(SAVED, stack.queue(SAVED)) as function:
            function.start()
            start.wait(60)
            return [function.invoke(request(SAVED, body)).line["event_id"] for _ in range(5)]

    with ThreadPoolExecutor(6) as pool:
        [identity] = {found for ids in pool.map(one, range(6)) for found in ids}
    assert [json.loads(message["Body"])["id"] for message in receive(erp)] == [identity]
