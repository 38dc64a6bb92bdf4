"""Values that real shops were seen to send (forms, imports, modules, marketplaces): every event gets through, with what can be read
exactly and an issue for the rest; with CONTRACT=strict the same issues refuse it. And which events are the same."""

import json
import uuid
from contextlib import ExitStack

import pytest
from function import Function
from hostile.case import CART, CUSTOMER, DELETE, INVOICE, PLACE, PRODUCT, SAVE, SHIPMENT, key
from shop import request
from stack import EVENTS, ROOT, channels, queued, sample_requests

ORDER = {
    "entity_id": "9001", "increment_id": "000000901", "store_id": "1", "state": "processing", "status": "processing",
    "grand_total": "25.0000", "order_currency_code": "EUR", "updated_at": "2026-06-18 20:27:11",
    "items": [{"item_id": None, "sku": "CAP-77-BLU", "name": "Blue cap", "qty_ordered": 1, "price": "25.0000"}],
}  # fmt: skip
# What each channel sends when all is well.
GOOD = {
    PLACE: ORDER,
    SAVE: ORDER,
    INVOICE: {"entity_id": "12", "order_id": "9001", "increment_id": "12", "grand_total": "25.0000", "state": 2},
    SHIPMENT: {"entity_id": "45", "order_id": "9001", "increment_id": "45", "items": [{"sku": "A", "qty": 1}]},
    PRODUCT: {"entity_id": "77", "sku": "CAP-77-BLU", "name": "Blue cap", "status": "1"},
    CUSTOMER: {"id": "57", "email": "zoe@shop.example", "website_id": "1"},
    DELETE: {"entity_id": "57", "email": "zoe@shop.example", "website_id": "1"},
    CART: {"sku": "CAP-77-BLU", "qty": 1, "item_id": None, "quote_id": None, "price": 12.5},
}
ABSENT = object()


def php_date(date, kind, zone):
    return {"date": date, "timezone_type": kind, "timezone": zone}


def shipping(**fields):
    return [{"address_type": "shipping", "city": "Town", **fields}]


COUNTRY, STREET = "shipping_address.country_id", "shipping_address.street"
EVENING = "2026-06-18T20:27:11Z"
# A change of a good entity, where to look in the message (ABSENT: nothing is there), and the pointers of the issues, below the entity.
READ = [
    # Prices as the Admin's form posts them for a locale
    (PRODUCT, {"price": "1,299.00"}, {"price": ABSENT}, ["price"]),
    (PRODUCT, {"price": "1.299,00"}, {"price": ABSENT}, ["price"]),
    (PRODUCT, {"price": "13\u00a0300"}, {"price": ABSENT}, ["price"]),
    (PRODUCT, {"price": "3,700"}, {"price": ABSENT}, ["price"]),
    (PRODUCT, {"price": "$12"}, {"price": ABSENT}, ["price"]),
    (PRODUCT, {"price": "12.50 "}, {"price": 12.5}, []),
    # Emails of marketplaces, tills and imports
    (PLACE, {"customer_email": "Invalid Request"}, {"customer_email": ABSENT}, ["customer_email"]),
    (PLACE, {"customer_email": "n/a"}, {"customer_email": ABSENT}, ["customer_email"]),
    (PLACE, {"customer_email": "zoe@shop.example, acc@shop.example"}, {"customer_email": ABSENT}, ["customer_email"]),
    (PLACE, {"customer_email": "zoe@shop.example."}, {"customer_email": ABSENT}, ["customer_email"]),
    (PLACE, {"customer_email": "zoe@shop.example "}, {"customer_email": "zoe@shop.example"}, []),
    (PLACE, {"customer_email": '"zoe nunez"@shop.example'}, {"customer_email": '"zoe nunez"@shop.example'}, []),
    (DELETE, {"email": "n/a"}, {"email": ABSENT, "entity_id": 57}, ["email"]),
    # Countries and currencies of imported orders
    (SAVE, {"addresses": shipping(country_id="USA")}, {COUNTRY: ABSENT, "shipping_address.city": "Town"}, ["addresses/0/country_id"]),
    (SAVE, {"addresses": shipping(country_id="Germany")}, {COUNTRY: ABSENT}, ["addresses/0/country_id"]),
    (SAVE, {"addresses": shipping(country_id=840)}, {COUNTRY: ABSENT}, ["addresses/0/country_id"]),
    (SAVE, {"addresses": shipping(country_id="GB ")}, {COUNTRY: "GB"}, []),
    (SAVE, {"order_currency_code": "EURO"}, {"order_currency_code": ABSENT}, ["order_currency_code"]),
    (SAVE, {"order_currency_code": "eur"}, {"order_currency_code": "EUR"}, []),
    # Status and state
    (PRODUCT, {"status": True}, {"status": ABSENT}, ["status"]),
    (PRODUCT, {"status": "Enabled"}, {"status": ABSENT}, ["status"]),
    (PRODUCT, {"status": 0}, {"status": ABSENT}, ["status"]),
    (INVOICE, {"state": 1}, {"state": 1}, []),
    # Dates of modules
    (PRODUCT, {"updated_at": "2026-06-18"}, {"updated_at": ABSENT}, ["updated_at"]),
    (PRODUCT, {"updated_at": php_date("2026-06-18 20:27:11.000000", 3, "UTC")}, {"updated_at": EVENING}, []),
    (PRODUCT, {"updated_at": php_date("2026-06-18 22:27:11.000000", 1, "+02:00")}, {"updated_at": EVENING}, []),
    (PRODUCT, {"updated_at": php_date("2026-06-18 20:27:11.000000", 3, "Europe/Berlin")}, {"updated_at": ABSENT}, ["updated_at"]),
    (PRODUCT, {"updated_at": []}, {"updated_at": ABSENT}, []),
    (PRODUCT, {"updated_at": "-0001-11-30 00:00:00"}, {"updated_at": ABSENT}, []),
    (PRODUCT, {"updated_at": "0000-00-00"}, {"updated_at": ABSENT}, []),
    # Ids as decimals, guests, stores
    (SAVE, {"entity_id": "9001.0000", "store_id": 1.0, "customer_id": "0"}, {"entity_id": 9001, "store_id": 1, "customer_id": ABSENT}, []),
    (CUSTOMER, {"id": 57.0}, {"entity_id": 57}, []),
    (INVOICE, {"store_id": "2"}, {"store_id": 2}, []),
    (SHIPMENT, {"store_id": "2"}, {"store_id": 2}, []),
    (CART, {"store_id": "2"}, {"store_id": 2}, []),
    # Lists: collections, maps with any keys, elements that hold nothing
    (SHIPMENT, {"items": {"totalRecords": 2, "items": [{"sku": "A", "qty": "1.0000"}, {"sku": "B", "qty": 2}]}}, {"items.1.sku": "B"}, []),
    (SHIPMENT, {"tracks": {"totalRecords": 1, "items": [{"track_number": "1Z9"}]}}, {"tracks.0.track_number": "1Z9"}, []),
    (SAVE, {"addresses": {"totalRecords": 1, "items": shipping(country_id="DE")}}, {COUNTRY: "DE"}, []),
    (SHIPMENT, {"items": {"_0": {"sku": "A", "qty": 1}}}, {"items.0.sku": "A"}, []),
    (SHIPMENT, {"items": {"_0": {"sku": "A", "qty": "many"}}}, {"items.0.sku": "A"}, ["items"]),
    (SHIPMENT, {"items": [None, {"sku": "A", "qty": 1}, []]}, {"items.0.sku": "A"}, ["items/0", "items/2"]),
    (SHIPMENT, {"items": "none"}, {"items": ABSENT}, ["items"]),
    (SAVE, {"addresses": [{"address_type": "pickup", "country_id": "USA"}]}, {"shipping_address": ABSENT}, ["addresses/0"]),
    # Lines of a street, whose place means something
    (SAVE, {"addresses": shipping(street="Rua 1\n100\n\nCentro")}, {STREET: ["Rua 1", "100", "", "Centro"]}, []),
    (SAVE, {"addresses": shipping(street=["Rua 1", "100", None, "Centro"])}, {STREET: ["Rua 1", "100", "", "Centro"]}, []),
    # What the channel expects and does not get
    (PLACE, {"items": []}, {"items": []}, ["items"]),
    (PLACE, {"grand_total": None}, {"grand_total": ABSENT}, ["grand_total"]),
    (PLACE, {"order_currency_code": ""}, {"order_currency_code": ABSENT}, ["order_currency_code"]),
    (PLACE, {"items": [{"sku": "A"}]}, {"items.0.qty_ordered": ABSENT}, ["items/0/qty_ordered"]),
    (PLACE, {"items": [{"qty_ordered": 1}]}, {"items.0.sku": ABSENT}, ["items/0/sku"]),
    (SAVE, {"state": None}, {"state": ABSENT}, ["state"]),
    (SAVE, {"entity_id": None}, {"entity_id": ABSENT}, ["entity_id"]),
    (SAVE, {"increment_id": ""}, {"increment_id": ABSENT}, ["increment_id"]),
    (INVOICE, {"grand_total": "n/a"}, {"grand_total": ABSENT}, ["grand_total"]),
    (INVOICE, {"state": None}, {"state": ABSENT}, ["state"]),
    (SHIPMENT, {"order_id": None}, {"order_id": ABSENT}, ["order_id"]),
    (SHIPMENT, {"entity_id": None}, {"entity_id": ABSENT}, ["entity_id"]),
    (SHIPMENT, {"items": [{"sku": "A"}]}, {"items.0.qty": ABSENT}, ["items/0/qty"]),
    (PRODUCT, {"entity_id": None}, {"entity_id": ABSENT}, ["entity_id"]),
    (PRODUCT, {"sku": None}, {"sku": ABSENT}, ["sku"]),
    (CUSTOMER, {"id": None}, {"entity_id": ABSENT, "email": "zoe@shop.example"}, ["entity_id"]),
    (CUSTOMER, {"email": "n/a"}, {"email": ABSENT}, ["email"]),
    (DELETE, {"entity_id": None}, {"entity_id": ABSENT}, ["entity_id"]),
    (CART, {"qty": None}, {"qty": ABSENT}, ["qty"]),
    (CART, {"sku": None, "product_id": 305}, {"product_id": 305}, ["sku"]),
    (CART, {"qty": 0}, {"qty": 0}, []),
]  # fmt: skip
# What identifies no entity is unusable, and nothing else: a change of a good entity (None takes all of it), and the pointers of the 422.
UNUSABLE = [
    (PLACE, {"increment_id": None, "entity_id": "x"}, ["increment_id", "entity_id"]),
    (SAVE, {"increment_id": "", "entity_id": "-1"}, ["entity_id", "increment_id"]),
    (INVOICE, {"entity_id": [], "increment_id": "", "order_id": None, "grand_total": "n/a"},
     ["entity_id", "increment_id", "order_id", "grand_total"]),
    (SHIPMENT, {"entity_id": None, "increment_id": None, "order_id": "x"}, ["entity_id", "increment_id", "order_id"]),
    (PRODUCT, {"entity_id": None, "sku": []}, ["entity_id", "sku"]),
    (CUSTOMER, {"id": None, "email": "n/a"}, ["entity_id", "email"]),
    (DELETE, {"entity_id": None, "website_id": None}, ["entity_id", "website_id"]),
    (CART, {"sku": None}, ["sku", "product_id"]),
    (PLACE, None, [""]),
]  # fmt: skip


class Shop:
    """Sends events to functions that keep running, and reads what each put into the queue."""

    def __init__(self, stack, running):
        self.stack, self.running, self.functions = stack, running, {}

    def function(self, channel, **environment):
        which = channel, tuple(sorted(environment.items()))
        if which not in self.functions:
            queue = self.stack.queue(channel)
            self.functions[which] = self.running.enter_context(Function(channel, queue, **environment))
        return self.functions[which]

    def send(self, channel, body, shop_request=None, gateway_request=None, **environment):
        function = self.function(channel, **environment)
        made = request(channel, body)
        made["headers"].pop("x-adobe-commerce-request-id")
        if shop_request:
            made["headers"]["x-adobe-commerce-request-id"] = shop_request
        made["requestContext"]["requestId"] = gateway_request or uuid.uuid4().hex
        invocation = function.invoke(made)
        messages = self.stack.messages(self.stack.queue(channel))
        assert len(messages) <= 1
        return invocation, messages[0] if messages else None


@pytest.fixture(scope="module")
def shop(stack):
    for channel in channels():
        stack.client("sqs").purge_queue(QueueUrl=stack.queue(channel))
    with ExitStack() as running:
        yield Shop(stack, running)
    for channel in channels():
        stack.messages(stack.queue(channel))


def event(channel, change):
    """A body of the channel whose entity is good but for this change."""
    return {"eventName": channel, "data": {key(channel): GOOD[channel] | change}}


def schema_of(channel):
    """What the schema of the channel's message says of the data, and the name of the entity in it."""
    data = json.loads((ROOT / "shared" / "schema" / f"{channel}.json").read_text())["properties"]["data"]
    return data, data["required"][0]


def pointers(channel, places):
    return [f"/data/{key(channel)}/{place}".rstrip("/") for place in places]


def at(data, path):
    for step in path.split("."):
        try:
            data = data[int(step) if isinstance(data, list) else step]
        except (KeyError, IndexError):
            return ABSENT
    return data


def named(entry):
    return f"{entry[0]}-{json.dumps(entry[1])[:60]}"


@pytest.mark.parametrize("entry", READ, ids=named)
def test_a_real_value_is_read_or_becomes_an_issue_and_never_stops_the_shop(shop, entry):
    channel, change, expected, places = entry
    _, name = schema_of(channel)
    invocation, message = shop.send(channel, event(channel, change))
    assert (invocation.status, invocation.body) == (200, {"op": "success"})
    data = message["MessageBody"]["data"]
    for path, value in expected.items():
        assert at(data[name], path) == value, path
    issues = data.get("issues", [])
    assert [issue["pointer"] for issue in issues] == pointers(channel, places)

    line = invocation.line
    assert (line["level"], line["outcome"], line["issues"]) == ("WARN" if places else "INFO", "accepted", len(places))
    assert line.get("pointers", "") == " ".join(pointers(channel, places))
    irregular = [json.loads(metrics) for metrics in invocation.metrics if '"Irregular"' in metrics]
    assert [metrics.get("channel") for metrics in irregular] == ([None, channel] if places else [])
    attribute = message["MessageAttributes"].get("issues")
    assert attribute == (None if not issues else "expected" if any(issue["expected"] for issue in issues) else "other")


@pytest.mark.parametrize("entry", READ, ids=named)
def test_a_strict_contract_refuses_what_has_an_issue(shop, entry):
    channel, change, _, places = entry
    invocation, message = shop.send(channel, event(channel, change), CONTRACT="strict")
    if not places:
        # An event that happens once is in the queue already.
        assert (invocation.status, invocation.line["forwarded"]) == (200, "yes")
        return
    assert (invocation.status, message) == (422, None)
    assert [error["pointer"] for error in invocation.body["errors"]] == pointers(channel, places)
    assert invocation.line["pointers"] == " ".join(pointers(channel, places))


def test_a_strict_contract_refuses_the_samples_with_issues_and_no_others(shop):
    refused = set()
    for channel, case, made in sample_requests():
        invocation = shop.function(channel, CONTRACT="strict").invoke(made)
        tolerant = json.loads((EVENTS / channel / f"{case}.answer.json").read_text())["statusCode"]
        expected = EVENTS / channel / f"{case}.message.json"
        issues = json.loads(expected.read_text())["MessageBody"]["data"].get("issues") if expected.exists() else None
        assert invocation.status == (422 if issues else tolerant), case
        refused |= {f"{channel}/{case}"} if issues else set()
    assert len(refused) >= 4
    for channel in channels():
        shop.stack.messages(shop.stack.queue(channel))


@pytest.mark.parametrize("entry", UNUSABLE, ids=named)
def test_what_identifies_nothing_is_refused(shop, entry):
    channel, change, places = entry
    body = event(channel, change or {})
    if change is None:
        body["data"][key(channel)] = "none"
    invocation, message = shop.send(channel, body)
    assert (invocation.status, message) == (422, None)
    assert [error["pointer"] for error in invocation.body["errors"]] == pointers(channel, places)
    assert (invocation.line["level"], invocation.line["pointers"]) == ("WARN", " ".join(pointers(channel, places)))


@pytest.mark.parametrize("channel", queued())
def test_every_expected_field_is_missing_or_unreadable_once(channel):
    data, name = schema_of(channel)
    expected = data["then"]["properties"][name]
    wanted = set(expected["required"])
    for field, elements in expected.get("properties", {}).items():
        wanted |= {f"{field}/0/{below}" for below in elements["items"]["required"]}
    tried = {place for known, _, _, places in READ if known == channel for place in places}
    assert wanted <= tried, f"add an entry to READ for {sorted(wanted - tried)}"
    assert any(known == channel for known, _, _ in UNUSABLE), "add an entry to UNUSABLE"


# Which events are the same


def ids(messages):
    return [message["MessageBody"]["id"] for message in messages]


def contents(messages):
    return [message["MessageBody"]["contentid"] for message in messages]


def test_equal_carts_of_three_shoppers_are_three_events(shop):
    sent = [shop.send(CART, event(CART, {})) for _ in range(3)]
    messages = [message for _, message in sent]
    assert [invocation.status for invocation, _ in sent] == [200] * 3
    assert (len(set(ids(messages))), len(set(contents(messages)))) == (3, 1)


def test_a_state_that_goes_there_and_back_in_one_second_is_three_events(shop):
    states = ["processing", "pending_payment", "processing"]
    messages = [shop.send(SAVE, event(SAVE, {"state": state}), shop_request=uuid.uuid4().hex)[1] for state in states]
    assert [message["MessageBody"]["data"]["order"]["state"] for message in messages] == states
    first, second, third = contents(messages)
    assert len(set(ids(messages))) == 3 and first == third != second
    assert len({message["MessageGroupId"] for message in messages}) == 1


def test_one_id_of_a_sender_for_events_of_three_channels_merges_nothing(shop):
    identity = {"event_id": "6f6b7f0e-5d1c-4f2f-9f64-0f6f5f2f3c11"}
    messages = [shop.send(channel, event(channel, {}) | identity)[1] for channel in (SAVE, INVOICE, SHIPMENT)]
    assert len(set(ids(messages))) == 3
    # All about one order, in one group, in which SQS looks for repeats.
    assert {message["MessageGroupId"] for message in messages} == {"order/9001"}


def test_who_names_an_event_can_send_it_again(shop):
    named = event(SAVE, {}) | {"event_id": "change-7"}
    _, first = shop.send(SAVE, named)
    invocation, again = shop.send(SAVE, named)
    assert invocation.status == 200
    assert invocation.line["event_id"] == first["MessageBody"]["id"] and again is None, "SQS has it already"


def test_an_order_that_is_placed_again_is_the_same_event_if_it_names_itself(shop):
    placed = event(PLACE, {"entity_id": None, "updated_at": None, "increment_id": f"again-{uuid.uuid4().hex[:6]}"})
    _, first = shop.send(PLACE, placed)
    invocation, again = shop.send(PLACE, placed)
    assert invocation.line["event_id"] == first["MessageBody"]["id"] and again is None
    # Without its store, another order may have the number.
    del placed["data"]["order"]["store_id"]
    messages = [shop.send(PLACE, placed)[1] for _ in range(2)]
    assert len(set(ids(messages))) == 2


def test_two_stores_with_one_number_are_two_events(shop):
    unsaved = {"entity_id": None, "updated_at": None, "increment_id": "2000000000"}
    messages = [shop.send(PLACE, event(PLACE, unsaved | {"store_id": store}))[1] for store in ("1", "2")]
    assert len(set(ids(messages))) == 2
    assert [message["MessageBody"]["data"]["order"]["store_id"] for message in messages] == [1, 2]


def test_without_the_gateways_id_lambdas_own_tells_deliveries_apart(shop):
    function = shop.function(SAVE)
    made = request(SAVE, event(SAVE, {"status": "by_lambda"}))
    made["requestContext"]["requestId"] = ""
    events = {function.invoke(made).line["event_id"] for _ in range(2)}
    assert len(events) == 2
