"""A stand-in for the records of a shop: REST's search over orders, invoices, shipments, customers and products, as Magento does it.

It filters, sorts and pages what it holds, gives only the fields that are asked for, and takes credentials as stand_in.py does.
"""

import json
import re
import threading
import time
import urllib.parse
from contextlib import contextmanager
from datetime import UTC, datetime

from stand_in import Handler, ShopStandIn, problem

# What a role needs to read them.
RESOURCES = {
    "orders": "Magento_Sales::actions_view",
    "invoices": "Magento_Sales::sales_invoice",
    "shipments": "Magento_Sales::shipment",
    "customers/search": "Magento_Customer::customer",
    "products": "Magento_Catalog::products",
}
IDS = {"customers/search": "id", "products": "id"}


class RecordShop(ShopStandIn):
    def __init__(self, **more):
        super().__init__(**more)
        self.RequestHandlerClass = RecordHandler
        self.records = {place: {} for place in RESOURCES}
        # Seconds that its clock is wrong by.
        self.ahead = 0
        # What comes out of a search instead of it, and what happens before each one.
        self.instead, self.before = {}, lambda place: None

    def add(self, place, record):
        self.records[place][record.get(IDS.get(place, "entity_id"))] = record
        return record

    def searches(self, place):
        return [path for verb, path in self.seen if f"/V1/{place}?" in path]


@contextmanager
def running(**more):
    with RecordShop(**more) as shop:
        threading.Thread(target=shop.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield shop
        shop.shutdown()


class RecordHandler(Handler):
    def date_time_string(self, timestamp=None):
        return super().date_time_string(timestamp or time.time() + self.server.ahead)

    def respond(self, kind, content):
        path, _, query = self.path.partition("?")
        place = path.partition("/V1/")[2]
        if self.command != "GET" or place not in RESOURCES:
            return super().respond(kind, content)
        if not self.known() or RESOURCES[place] in self.server.denied:
            return problem(401, "The consumer isn't authorized to access %resources.", resources=RESOURCES[place])
        self.server.before(place)
        if place in self.server.instead:
            return 200, self.server.instead[place]
        return 200, json.dumps(search(self.server.records[place], dict(urllib.parse.parse_qsl(query)), IDS.get(place))).encode()


def search(records, query, own_id):
    tests = groups(query)
    found = [one for one in list(records.values()) if all(any(holds(one, *test, own_id) for test in group) for group in tests)]
    orders = sorted({int(number) for number in re.findall(r"\[sortOrders\]\[(\d+)\]", " ".join(query))}, reverse=True)
    for order in orders:
        prefix = f"searchCriteria[sortOrders][{order}]"
        name = query[f"{prefix}[field]"]
        found.sort(key=lambda one: value_of(one, name, own_id), reverse=query[f"{prefix}[direction]"] == "DESC")
    size, page = int(query["searchCriteria[pageSize]"]), int(query.get("searchCriteria[currentPage]", 1))
    items = found[(page - 1) * size : page * size]
    asked = re.fullmatch(r"items\[([\w,]+)\],total_count", query.get("fields", ""))
    if asked:
        items = [{name: one[name] for name in asked[1].split(",") if name in one} for one in items]
    return {"items": items, "total_count": len(found)}


def groups(query):
    """The tests of each group: field, condition, value."""
    tests = {}
    for name, value in query.items():
        if place := re.fullmatch(r"searchCriteria\[filter_groups\]\[(\d+)\]\[filters\]\[(\d+)\]\[(\w+)\]", name):
            tests.setdefault(place[1], {}).setdefault(place[2], {})[place[3]] = value
    return [[(one["field"], one.get("condition_type", "eq"), one["value"]) for one in group.values()] for group in tests.values()]


def holds(record, field, condition, value, own_id):
    has = value_of(record, field, own_id)
    value = int(value) if isinstance(has, int) else value
    return {"eq": has == value, "gt": has > value, "gteq": has >= value, "lteq": has <= value}[condition]


def value_of(record, field, own_id):
    """As the database compares it."""
    return int(record[own_id or "entity_id"]) if field == "entity_id" else record[field]


def written(seconds):
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


# Records as REST gives them

# Of an invoice, or of a shipment.
ITEM = {
    "entity_id": 118, "name": "Trail Bottle 1/2 L", "order_item_id": 1501, "price": 31.08, "product_id": 216, "qty": 2,
    "sku": "WB-1001",
}  # fmt: skip


def order(entity_id, number, at, store_id=1, **more):
    address = {
        "address_type": "billing", "city": "Springfield", "country_id": "US", "email": "zoe@shop.example", "entity_id": 7,
        "firstname": "Zoë", "lastname": "Núñez", "postcode": "97477", "region": "Oregon", "region_code": "OR", "region_id": 49,
        "street": ["12/3 Example Road", "Unit 4"], "telephone": "555-0100",
    }  # fmt: skip
    item = {
        "base_price": 31.08, "item_id": 2001, "name": "Trail Bottle 1/2 L", "order_id": entity_id, "price": 31.08, "product_id": 216,
        "product_type": "simple", "qty_ordered": 2, "row_total": 62.16, "sku": "WB-1001", "store_id": store_id, "tax_amount": 5.13,
    }  # fmt: skip
    shipping = {"address": address | {"address_type": "shipping", "entity_id": 8}, "method": "flatrate_flatrate"}
    return {
        "base_currency_code": "USD", "base_grand_total": 67.29, "created_at": written(at), "customer_email": "zoe@shop.example",
        "customer_firstname": "Zoë", "customer_id": 57, "customer_is_guest": 0, "customer_lastname": "Núñez", "discount_amount": 0,
        "entity_id": entity_id, "grand_total": 67.29, "increment_id": number, "order_currency_code": "USD", "shipping_amount": 0,
        "state": "new", "status": "pending", "store_id": store_id, "subtotal": 62.16, "tax_amount": 5.13, "total_qty_ordered": 2,
        "updated_at": written(at), "items": [item], "billing_address": address,
        "payment": {"account_status": None, "additional_information": ["Check / Money order"], "cc_last4": None, "method": "checkmo"},
        "status_histories": [],
        "extension_attributes": {"shipping_assignments": [{"shipping": shipping, "items": [item]}]},
        **more,
    }  # fmt: skip


def invoice(entity_id, number, at, state=2, **more):
    return {
        "base_grand_total": 67.29, "created_at": written(at), "entity_id": entity_id, "grand_total": 67.29, "increment_id": number,
        "order_currency_code": "USD", "order_id": 998, "state": state, "store_id": 1, "total_qty": 2, "updated_at": written(at),
        "items": [ITEM], "comments": [], **more,
    }  # fmt: skip


def shipment(entity_id, number, at, **more):
    track = {"carrier_code": "ups", "entity_id": 54, "order_id": 998, "parent_id": entity_id, "title": "United Parcel Service"}
    return {
        "created_at": written(at), "entity_id": entity_id, "increment_id": number, "order_id": 998, "packages": [], "store_id": 1,
        "total_qty": 2, "updated_at": written(at), "items": [ITEM], "tracks": [track | {"track_number": "1ZEXAMPLE0000000001"}],
        "comments": [], "extension_attributes": {"source_code": "default"}, **more,
    }  # fmt: skip


def customer(own_id, at, **more):
    return {
        "addresses": [], "created_at": written(at), "created_in": "Default Store View", "disable_auto_group_change": 0,
        "email": "zoe@shop.example", "extension_attributes": {"is_subscribed": False}, "firstname": "Zoë", "group_id": 1, "id": own_id,
        "lastname": "Núñez", "store_id": 1, "updated_at": written(at), "website_id": 1, **more,
    }  # fmt: skip


def product(own_id, sku, at, **more):
    return {
        "attribute_set_id": 4, "created_at": written(at), "custom_attributes": [], "extension_attributes": {"website_ids": [1]},
        "id": own_id, "media_gallery_entries": [], "name": "Trail Bottle", "options": [], "price": 31.08, "product_links": [], "sku": sku,
        "status": 1, "tier_prices": [], "type_id": "simple", "updated_at": written(at), "visibility": 4, "weight": 0.6, **more,
    }  # fmt: skip


def observed(entity, record, **changes):
    """The body that the shop sends of it by itself: addresses as a list, money as text."""
    record = {name: str(value) if isinstance(value, (int, float)) else value for name, value in record.items()} | changes
    if entity == "order":
        [assignment] = record.pop("extension_attributes")["shipping_assignments"]
        addresses = [record.pop("billing_address"), assignment["shipping"]["address"]]
        record["addresses"] = [one | {"street": "\n".join(one["street"])} for one in addresses]
    return json.dumps({"data": {entity: record}}).encode()
