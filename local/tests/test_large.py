"""How large an event may be: what fits into a message, what travels compressed, and what does not fit at all."""

import base64
import gzip
import json
import random
import uuid

import figures
import pytest
from function import Function
from shop import request

SAVED = "sales_order_save_after"
# What Lambda takes as a request: the body, escaped, in API Gateway's JSON.
LAMBDA_BYTES_MAX = 6 * 1024 * 1024
MEGABYTE = 1_000_000
MEASURED = []


@pytest.fixture(scope="module")
def function(stack):
    stack.messages(stack.queue(SAVED))
    with Function(SAVED, stack.queue(SAVED), HOOK_TIMEOUT_MS="20000") as running:
        yield running
    figures.write("large", MEASURED)


def order_with(items):
    """The text of an order: with as many items as a large one has, in the fields that a shop sends by default."""
    return json.dumps({"entity_id": 7, "increment_id": uuid.uuid4().hex, "state": "new", "items": items})


def shop_like(count):
    chance = random.Random(count)
    words = "shirt cotton blue large women men summer leather running steel classic organic slim wool travel kids".split()

    def item(number):
        price = chance.randrange(100, 90000) / 100
        name = " ".join(chance.choices(words, k=5))
        page = base64.b64encode(f"https://shop.example/{name.replace(' ', '-')}.html".encode()).decode()
        options = {"info_buyRequest": {"uenc": page, "product": chance.randrange(10**6), "qty": 1, "options": []}}
        fields = ("base_price", "original_price", "base_original_price", "price_incl_tax", "base_price_incl_tax", "row_total",
                  "base_row_total", "row_total_incl_tax", "base_row_total_incl_tax")  # fmt: skip
        return {
            "item_id": 10**6 + number, "order_id": "7", "quote_item_id": str(2 * 10**6 + number), "sku": f"SKU-{chance.randrange(10**8)}",
            "name": name, "product_id": str(chance.randrange(10**6)), "product_type": "simple", "qty_ordered": "1.0000",
            "price": f"{price:.4f}", **{field: f"{price * (1 + chance.randrange(9) / 100):.4f}" for field in fields},
            "tax_percent": "19.0000", "tax_amount": f"{price * 0.19:.4f}", "discount_amount": "0.0000", "weight": "0.5000",
            "created_at": "2026-06-18 20:27:11", "updated_at": "2026-06-18 20:27:11", "product_options": options,
            "is_virtual": "0", "free_shipping": "0", "store_id": "1", "extension_attributes": [],
        }  # fmt: skip

    return {str(number): item(number) for number in range(count)}


def noise(size):
    """Text that no compression makes smaller than SQS's base64 makes it larger."""
    letters = "".join(chr(code) for code in range(32, 127) if chr(code) not in '"\\')
    return [{"sku": "x", "qty_ordered": 1, "noise": "".join(random.Random(size).choices(letters, k=size))}]


def send(function, order):
    """What becomes of an order: status, and whether Lambda would take the request."""
    made = request(SAVED, f'{{"data":{{"order":{order}}}}}'.encode())
    # As API Gateway hands over JSON: as text, not in base64.
    made["body"], made["isBase64Encoded"] = base64.b64decode(made["body"]).decode(), False
    return function.invoke(made), len(json.dumps(made, ensure_ascii=False).encode()) <= LAMBDA_BYTES_MAX


def text_of(message):
    """What a consumer does: the text of the CloudEvent."""
    if message["MessageAttributes"].get("content-encoding", {}).get("StringValue") == "gzip, base64":
        return gzip.decompress(base64.b64decode(message["Body"])).decode()
    return message["Body"]


def receive(stack):
    sqs, queue = stack.client("sqs"), stack.queue(SAVED)
    message = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"], AttributeNames=["All"])["Messages"][0]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return message


def largest(function, make, low, high, step):
    """The largest size that is accepted, to within a step, by bisection. The one above it must get 413."""
    while high - low > step:
        middle = (low + high) // 2
        order = make(middle)
        result, taken = send(function, order)
        assert result.status in (200, 413), result.log
        if result.status == 200 and taken:
            low, best = middle, len(order)
        else:
            high, why = middle, "413" if taken else "Lambda takes no larger request"
    return best, why


def test_orders_of_a_shop_are_carried_nearly_up_to_what_lambda_takes(stack, function):
    best, why = largest(function, lambda count: order_with(shop_like(count)), low=3500, high=6500, step=50)
    MEASURED.append({"order": "as a shop writes it", "largest, bytes": best, "beyond it": why})
    assert best > 4.5 * MEGABYTE, f"beyond it: {why}"
    stack.messages(stack.queue(SAVED))


def test_what_cannot_be_compressed_is_carried_up_to_the_limit_of_sqs(stack, function):
    best, why = largest(function, lambda size: order_with(noise(size)), low=1_000_000, high=1_100_000, step=1_000)
    MEASURED.append({"order": "noise that cannot be compressed", "largest, bytes": best, "beyond it": why})
    assert why == "413"
    assert best > 1.03 * MEGABYTE
    stack.messages(stack.queue(SAVED))


@pytest.mark.parametrize("count", [1, 500, 900, 5000])
def test_a_consumer_reads_what_the_shop_sent_byte_for_byte(stack, function, count):
    order = order_with(shop_like(count)).replace("/", "\\/").replace("cotton", "cott\\u00f6n \U0001f455")
    result, taken = send(function, order)
    assert (result.status, taken) == (200, True), result.log
    message = receive(stack)
    text = text_of(message)
    assert f'"original":{order}' in text, "the original, byte for byte"
    canonical = json.loads(text)["data"]["order"]
    assert len(canonical["items"]) == count
    compressed = "content-encoding" in message["MessageAttributes"]
    assert compressed == (count >= 900)
    attributes = sum(len(name) + len("String") + len(value["StringValue"]) for name, value in message["MessageAttributes"].items())
    assert len(message["Body"].encode()) + attributes <= 1024 * 1024


def test_at_the_very_limit_of_sqs(stack, function):
    """One message just below the limit goes as it is, one just above it compressed: nothing between is lost."""

    def size_of(filler):
        order = json.dumps({"entity_id": 7, "increment_id": uuid.uuid4().hex, "state": "new", "filler": "x" * filler})
        result, _ = send(function, order)
        assert result.status == 200, result.log
        message = receive(stack)
        assert f'"original":{order}' in text_of(message)
        return "content-encoding" in message["MessageAttributes"], len(message["Body"])

    compressed, size = size_of(1_000_000)
    assert not compressed
    room = 1024 * 1024 - 2 * 1024 - size
    assert size_of(1_000_000 + room) == (False, 1024 * 1024 - 2 * 1024)
    compressed, size = size_of(1_000_000 + room + 1)
    assert compressed and size < 10_000


def test_a_body_over_the_limit_is_refused_before_any_work(function):
    made = request(SAVED, b'{"order":{"entity_id":7,"filler":"' + b"x" * LAMBDA_BYTES_MAX + b'"}}')
    made["headers"]["x-adobe-signature"] = "0" * 64
    result = function.invoke(made)
    assert (result.status, result.line["outcome"]) == (413, "too_large"), "not even its signature is looked at"
