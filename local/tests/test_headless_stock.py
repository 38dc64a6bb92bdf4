"""The stock check of headless storefronts: the real function before a cart line is saved, with a stock system that answers."""

import json

import pytest
from shop import request
from stack import EVENTS
from test_decisions import CART, REFUSED, SUCCESS, line, settings, stock_system

HEADLESS = "sales_quote_item_save_before"
GRAPHQL = r"Magento\Framework\GraphQl\Exception\GraphQlInputException"
REFUSED_IN_GRAPHQL = json.dumps(json.loads(REFUSED) | {"type": GRAPHQL}, separators=(",", ":"))


def saved(**item):
    """A line as a shop sends it before saving it. Until it is saved for the first time it has no id."""
    item = {"sku": "CAP-77", "qty": 2, "product_id": "7", "product_type": "simple", "quote_id": "63"} | item
    return request(HEADLESS, {"eventName": HEADLESS, "subject": [], "data": {"item": item, "data_object": {}}})


@pytest.fixture(scope="module")
def stock(stack):
    """A function that asks a stock system, and that system."""
    with stock_system() as server, stack.copy(HEADLESS, **settings(server)) as function:
        yield function, server


def asked(stack, stock, **item):
    """Whether the stock system was asked about a line, and what came of it."""
    function, server = stock
    server.questions.clear()
    answer, log = stack.invoke(function, saved(**item))
    assert (answer["statusCode"], line(log)["outcome"]) == (200, "not_forwarded" if answer["body"] == SUCCESS else "refused")
    return [path.rsplit("/", 1)[1] for path, _ in server.questions], line(log)["finding"], answer["body"]


NOT_NEEDED = ([], "stock_not_needed", SUCCESS)
CONFIGURABLE = {"product_type": "configurable", "qty": 2}
BUNDLE = {"product_type": "bundle", "qty": 3}
LINES = {
    "new": ({"qty": 2, "qty_to_add": 2, "previous_qty": None}, (["CAP-77"], "in_stock", SUCCESS)),
    "new, too many": ({"qty": 3}, (["CAP-77"], "out_of_stock", REFUSED_IN_GRAPHQL)),
    "new, sold out": ({"sku": "no", "qty": 1}, (["no"], "out_of_stock", REFUSED_IN_GRAPHQL)),
    "risen": ({"item_id": "9", "qty": 3, "qty_to_add": 1, "previous_qty": "2.0000"}, (["CAP-77"], "out_of_stock", REFUSED_IN_GRAPHQL)),
    "risen, in an older shop": ({"item_id": "9", "qty": 3, "qty_to_add": 1}, (["CAP-77"], "out_of_stock", REFUSED_IN_GRAPHQL)),
    "sold out, lowered": ({"sku": "no", "item_id": "9", "qty": 1, "previous_qty": 2}, NOT_NEEDED),
    "sold out, unchanged": ({"sku": "no", "item_id": "9", "qty": 2, "previous_qty": 2, "qty_to_add": 1}, NOT_NEEDED),
    "sold out, taken out": ({"sku": "no", "item_id": "9", "qty": 0, "previous_qty": 2}, NOT_NEEDED),
    "sold out, edited": ({"sku": "no", "item_id": "9", "qty": 1, "previous_qty": 0, "qty_to_add": 1}, NOT_NEEDED),
    "sold out, set to a quantity": ({"sku": "no", "item_id": "9", "qty": 1}, NOT_NEEDED),
    "configurable": ({**CONFIGURABLE, "sku": "CAP-77-BLU"}, (["CAP-77-BLU"], "in_stock", SUCCESS)),
    "of a configurable": ({"qty": 1, "product": {"parent_product_id": "5", "selection_id": None}}, NOT_NEEDED),
    "of a configurable, with its parent": ({"qty": 1, "parent_item": CONFIGURABLE}, NOT_NEEDED),
    "bundle": ({**BUNDLE, "sku": "no"}, NOT_NEEDED),
    "of a bundle": ({"qty": 2, "product": {"parent_product_id": "5", "selection_id": "31"}}, (["CAP-77"], "in_stock", SUCCESS)),
    "of a bundle, with its parent": (
        {"qty": 2, "product": {"parent_product_id": "5", "stick_within_parent": BUNDLE}}, (["CAP-77"], "out_of_stock", REFUSED_IN_GRAPHQL),
    ),
    "new, without a quantity": ({"qty": None}, ([], "stock_item_unreadable", SUCCESS)),
}  # fmt: skip


@pytest.mark.parametrize("kind", LINES)
def test_a_line_is_asked_about_if_it_is_new_or_its_quantity_rose(stack, stock, kind):
    item, expected = LINES[kind]
    assert asked(stack, stock, **item) == expected


@pytest.mark.parametrize(("policy", "body"), [("allow", SUCCESS), ("refuse", REFUSED_IN_GRAPHQL)])
def test_a_stock_system_that_is_away_decides_nothing_about_a_line_that_stays(stack, policy, body):
    nobody = {"STOCK_URL": "http://127.0.0.1:1/{sku}", "STOCK_WHEN_UNKNOWN": policy}
    with stack.copy(HEADLESS, **nobody) as function:
        answer, log = stack.invoke(function, saved())
        assert (answer["body"], line(log)["finding"]) == (body, "stock_unreachable")
        answer, log = stack.invoke(function, saved(item_id="9"))
        assert (answer["body"], line(log)["finding"]) == (SUCCESS, "stock_not_needed")


def test_the_type_of_the_exception_can_be_chosen(stack):
    own = r"Acme\Stock\SoldOutException"
    with stock_system() as server, stack.copy(HEADLESS, **settings(server, STOCK_EXCEPTION_TYPE=own)) as function:
        assert json.loads(stack.invoke(function, saved(sku="no"))[0]["body"])["type"] == own


def test_the_samples_are_forwarded_only_if_the_operator_wants_events_of_before(stack):
    made = json.loads((EVENTS / HEADLESS / "ideal.request.json").read_text())
    queue = stack.queue(HEADLESS)
    stack.messages(queue)  # of other tests
    answer, log = stack.invoke(HEADLESS, made)
    said = line(log)
    assert (answer["body"], said["outcome"], said["forwarded"]) == (SUCCESS, "not_forwarded", "no")
    assert '"NotForwarded":1' in log and "finding" not in said
    assert stack.messages(queue) == []
    with stock_system() as server, stack.copy(HEADLESS, FORWARD_BEFORE="true", **settings(server)) as function:
        refused, _ = stack.invoke(function, made)
        assert [path for path, _ in server.questions] == ["/stock/CAP-77-BLU"], "three of it, of which there are two"
        assert (refused["body"], stack.messages(queue)) == (REFUSED_IN_GRAPHQL, [])
        answer, log = stack.invoke(function, saved())
    assert (answer["body"], line(log)["outcome"]) == (SUCCESS, "accepted")
    (message,) = stack.messages(queue)
    assert message["MessageBody"]["type"] == f"com.adobe.commerce.observer.{HEADLESS}"
    assert message["MessageBody"]["data"]["quote_item"]["sku"] == "CAP-77"
    assert message["MessageGroupId"] == "quote/63"


def test_the_other_function_of_the_cart_asks_about_every_line_but_a_bundle(stack):
    """An add is a rise, and the exception needs no type: the pages of the shop show the message of any."""
    with stock_system() as server, stack.copy(CART, **settings(server)) as function:
        def added(**item):
            item = {"sku": "no", "qty": 1, "product_id": "7", "quote_id": "63"} | item
            answer, log = stack.invoke(function, request(CART, {"data": {"quote_item": item}}))
            return answer["body"], line(log)["finding"]

        assert added(item_id="9", previous_qty=2) == (REFUSED, "out_of_stock")
        assert added(product_type="configurable") == (REFUSED, "out_of_stock")
        assert len(server.questions) == 2
        assert added(product_type="bundle") == (SUCCESS, "stock_not_needed")
        assert len(server.questions) == 2
    stack.messages(stack.queue(CART))
