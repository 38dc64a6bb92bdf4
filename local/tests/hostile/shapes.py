"""Bodies that contradict themselves or their route: in what the event is called, in where its entity stands, in the envelope."""

from .case import CART, CUSTOMER, DELETE, INVOICE, PLACE, PRODUCT, SAVE, SHIPMENT, Case, body, entity, key, signed

CASES = []


def case(name, channel, content, outcome="accepted", pointers=(), why=""):
    CASES.append(Case(name, channel, lambda: signed(channel, content), outcome, pointers, why=why))


def called(name, channel, outcome="wrong_event", why="", **names):
    case(f"called-{name}", channel, {**names, **body(channel)}, outcome, why=why)


def bare(channel, **fields):
    return {key(channel): entity(channel, **fields)}


# The name of the event

called("another", PLACE, event="observer.sales_order_save_after")
called("another-as-a-shop", PLACE, eventName="sales_order_save_after")
called("another-of-the-same-entity", CUSTOMER, event="observer.customer_delete_after")
called("another-besides", SAVE, event="observer.sales_order_save_after", eventName="sales_order_place_after")
called("another-first", SAVE, event="observer.sales_order_place_after", eventName="sales_order_save_after")
called("in-capitals", SAVE, event="OBSERVER.SALES_ORDER_SAVE_AFTER", why="names of events have a case")
called("with-a-capital", SAVE, eventName="Sales_order_save_after")
called("after-a-space", INVOICE, event=" observer.sales_order_invoice_pay")
called("before-a-space", INVOICE, event="observer.sales_order_invoice_pay ")
called("before-a-line-break", INVOICE, event="observer.sales_order_invoice_pay\n")
called("before-nul", INVOICE, event="observer.sales_order_invoice_pay\0")
called("before-a-zero-width-space", INVOICE, event="observer.sales_order_invoice_pay\u200b")
called("with-a-bom", INVOICE, event="\ufeffobserver.sales_order_invoice_pay")
called("with-a-lookalike", INVOICE, event="observer.sales_оrder_invoice_pay")
called("in-fullwidth", INVOICE, event="ｓales_order_invoice_pay")
called("with-hyphens", SHIPMENT, event="observer.sales-order-shipment-save-after")
called("in-camels", SHIPMENT, event="observer.salesOrderShipmentSaveAfter")
called("plugin", SHIPMENT, event="plugin.sales_order_shipment_save_after")
called("observer-twice", SHIPMENT, event="observer.observer.sales_order_shipment_save_after")
called("observer-alone", SHIPMENT, event="observer.")
called("observer-without-a-dot", SHIPMENT, event="observersales_order_shipment_save_after")
called("observer-in-capitals", SHIPMENT, event="Observer.sales_order_shipment_save_after")
called("by-its-route", SHIPMENT, event="/webhook/observer.sales_order_shipment_save_after")
called("by-its-type", SHIPMENT, event="com.adobe.commerce.observer.sales_order_shipment_save_after")
called("cut-off", PRODUCT, event="observer.catalog_product_save")
called("and-more", PRODUCT, event="observer.catalog_product_save_after_commit", why="another event of Magento's")
called("before", PRODUCT, event="observer.catalog_product_save_before")
called("nothing", PRODUCT, "accepted", event="", why="PHP's nothing: it has no name")
called("number", PRODUCT, event=7)
called("true", PRODUCT, event=True)
called("false", PRODUCT, "accepted", eventName=False)
called("list", PRODUCT, event=["observer.catalog_product_save_after"])
called("object", PRODUCT, event={"name": "observer.catalog_product_save_after"})
called("empty-list", PRODUCT, "accepted", eventName=[])
called("in-10-kb", PRODUCT, event="observer.catalog_product_save_after" * 300)
called("star", PRODUCT, event="observer.*")
called("regex", PRODUCT, event=".*")
called("path", PRODUCT, event="observer.../catalog_product_save_after")
called("null", CART, "accepted", event=None, eventName=None, why="a name that is missing is no error")
called(
    "twice-alike", CART, "accepted", event="checkout_cart_product_add_after", eventName="observer.checkout_cart_product_add_after"
)
called("right-and-null", CART, "accepted", event="checkout_cart_product_add_after", eventName=None)
called("another-in-another-case", CART, "accepted", Event="observer.other", event_name="other", why="those are other names")
case(
    "called-another-by-an-escaped-key", CART, b'{"\\u0065vent":"observer.other","quote_item":{"sku":"A","qty":1}}', "wrong_event"
)
case("called-another-in-data", CART, {"data": {**body(CART)["data"], "event": "observer.other"}}, why="an argument of that name")
case(
    "called-by-an-escaped-name",
    CART,
    b'{"event":"\\u006fbserver.checkout_cart_product_add_after","quote_item":{"sku":"B","qty":1}}',
)
case("called-another-and-invalid", CART, {"event": "observer.other", "quote_item": {}}, "wrong_event", why="the name comes first")

# Where the entity stands

case("nothing", PLACE, {}, "invalid", ("/data/order",))
case("data-null", PLACE, {"data": None}, "invalid", ("/data/order",))
case("data-empty-list", PLACE, {"data": []}, "invalid", ("/data/order",), "PHP's empty object")
case("data-empty-object", PLACE, {"data": {}}, "invalid", ("/data/order",))
case("data-list", PLACE, {"data": [body(PLACE)["data"]]}, "invalid", ("/data",))
case("data-text", PLACE, {"data": "order"}, "invalid", ("/data",))
case("data-number", PLACE, {"data": 1}, "invalid", ("/data",))
case("data-false", PLACE, {"data": False}, "invalid", ("/data/order",))
case("data-json-in-json", PLACE, {"data": '{"order":{}}'}, "invalid", ("/data",))
case("data-text-beside-the-entity", PLACE, {"data": "x", **bare(PLACE)}, "invalid", ("/data",), "nothing that was sent gets lost")
case("data-list-beside-the-entity", PLACE, {"data": [1], **bare(PLACE)}, "invalid", ("/data",))
case("data-empty-beside-the-entity", PLACE, {"data": [], **bare(PLACE)})
case("data-in-data", PLACE, {"data": body(PLACE)}, "invalid", ("/data/order",))
case("data-in-capitals", PLACE, {"Data": body(PLACE)["data"]}, "invalid", ("/data/order",))
case("entity-null", SAVE, {"data": {"order": None}}, "invalid", ("/data/order",))
case("entity-empty-list", SAVE, {"data": {"order": []}}, "invalid", ("/data/order",))
case("entity-empty-list-with-blanks", SAVE, b'{"data":{"order":[ \r\n ]}}', "invalid", ("/data/order",))
case(
    "entity-empty-object",
    SAVE,
    {"data": {"order": {}}},
    "invalid",
    ("/data/order/entity_id", "/data/order/increment_id"),
)
case("entity-list", SAVE, {"data": {"order": [entity(SAVE)]}}, "invalid", ("/data/order",))
case("entity-list-of-null", SAVE, {"order": [None]}, "invalid", ("/order",))
case("entity-text", SAVE, {"data": {"order": "000000777"}}, "invalid", ("/data/order",))
case("entity-empty-text", SAVE, {"data": {"order": ""}}, "invalid", ("/data/order",))
case("entity-json-in-json", SAVE, {"order": '{"entity_id":1}'}, "invalid", ("/order",))
case("entity-number", SAVE, {"data": {"order": 7}}, "invalid", ("/data/order",))
case("entity-negative", SAVE, {"data": {"order": -7}}, "invalid", ("/data/order",))
case("entity-float", SAVE, {"data": {"order": 7.5}}, "invalid", ("/data/order",))
case("entity-1e999", SAVE, b'{"data":{"order":1e999}}', "invalid", ("/data/order",), "JSON, out of range, and no object")
case("entity-400-digits", SAVE, b'{"order":' + b"9" * 400 + b"}", "invalid", ("/order",))
case("entity-true", SAVE, {"data": {"order": True}}, "invalid", ("/data/order",))
case("entity-false", SAVE, {"data": {"order": False}}, "invalid", ("/data/order",))
case(
    "entity-in-itself",
    SAVE,
    {"order": {"order": entity(SAVE)}},
    "invalid",
    ("/order/entity_id", "/order/increment_id"),
)
case("entity-in-the-plural", SAVE, {"orders": [entity(SAVE)]}, "invalid", ("/data/order",))
case("entity-in-capitals", SAVE, {"data": {"Order": entity(SAVE)}}, "invalid", ("/data/order",))
case("entity-of-another-channel", SAVE, body(INVOICE), "invalid", ("/data/order",))
case("entity-in-items", SAVE, {"data": {"items": [{"order": entity(SAVE)}]}}, "invalid", ("/data/order",))
case("entity-under-payload", SAVE, {"payload": body(SAVE)["data"]}, "invalid", ("/data/order",))
case("entity-without-a-name", SAVE, entity(SAVE), "invalid", ("/data/order",))
case("entity-without-a-name-in-data", SAVE, {"data": entity(SAVE)}, "invalid", ("/data/order",))
case("entity-of-a-cloud-event", SAVE, {"specversion": "1.0", "type": "order", "data": entity(SAVE)}, "invalid", ("/data/order",))
case(
    "entity-in-both-places",
    INVOICE,
    {**body(INVOICE), **bare(INVOICE, state="1")},
    why="data comes first, the other is kept beside it",
)
case(
    "entity-bad-in-data-good-at-the-top",
    INVOICE,
    {"data": {"invoice": {"state": 2}}, **bare(INVOICE)},
    "invalid",
    tuple(f"/data/invoice/{name}" for name in ("entity_id", "increment_id", "order_id", "grand_total")),
)
case("entity-wrong-in-data-good-at-the-top", INVOICE, {"data": {"invoice": 5}, **bare(INVOICE)}, "invalid", ("/data/invoice",))
case("entity-null-in-data-good-at-the-top", INVOICE, {"data": {"invoice": None}, **bare(INVOICE, note="null in data")})
case("copy-alike", SAVE, {"data": {"order": entity(SAVE), "data_object": entity(SAVE)}})
case("copy-different", SAVE, {"data": {"order": entity(SAVE), "data_object": entity(SAVE, state="new")}}, why="kept beside it")
case("copy-that-is-none", SAVE, {"data": {"order": entity(SAVE), "data_object": 7}})
case("copy-alone", SAVE, {"data": {"data_object": entity(SAVE)}})
case(
    "copy-bad",
    SAVE,
    {"data": {"data_object": {"entity_id": 1}}},
    "accepted",
    ("/data/data_object/increment_id", "/data/data_object/state"),
)
case("copy-at-the-top", SAVE, {"data_object": entity(SAVE)}, "invalid", ("/data/order",), "the shop has it under data only")
case("copy-good-entity-bad", SAVE, {"data": {"order": "x", "data_object": entity(SAVE)}}, "invalid", ("/data/order",))
case(
    "customer-by-both-names",
    CUSTOMER,
    {"data": {"customer": {"id": 1}, **body(CUSTOMER)["data"]}},
    why="the other is kept beside it",
)
case(
    "customer-before-alone",
    CUSTOMER,
    {"data": {"orig_customer_data_object": entity(CUSTOMER)}},
    "invalid",
    ("/data/customer_data_object",),
)
case("customer-before-bad", CUSTOMER, {"data": {**body(CUSTOMER)["data"], "orig_customer_data_object": "x"}})
case("bare-of-another-event", SAVE, {"order": {**entity(PLACE)}}, "accepted", ("/order/entity_id", "/order/state"))
case(
    "envelope-of-names-only",
    CART,
    {"merchant_id": "m", "environment_id": "e", "event": f"observer.{CART}"},
    "invalid",
    ("/data/quote_item",),
)

# The envelope

UUID = "0b6f4f0e-3c55-4d0e-9a53-8f4c1f2f6a"


def envelope(name, channel, outcome="accepted", why="", pointers=(), **members):
    case(f"envelope-{name}", channel, {**members, **body(channel)}, outcome, pointers, why)


envelope("id-in-capitals", PRODUCT, event_id=f"{UUID.upper()}01")
envelope("id-in-braces", PRODUCT, event_id=f"{{{UUID}02}}", why="a spelling of a UUID")
envelope("id-as-urn", PRODUCT, event_id=f"urn:uuid:{UUID}03", why="a spelling of a UUID")
envelope("id-without-hyphens", PRODUCT, event_id=f"{UUID}04".replace("-", ""), why="a spelling of a UUID")
envelope("id-null", PRODUCT, event_id=None)
envelope("id-empty", PRODUCT, event_id="", why="as PHP writes what is not set")
envelope("id-of-version-1", PRODUCT, event_id="2c5ea4c0-4067-11e9-8bad-9b1deb4d3b7d")
for name, identity in {
    "short": UUID + "0",
    "long": UUID + "055",
    "no-hex": UUID + "0g",
    "in-quotes": f'"{UUID}05"',
    "half-in-braces": "{" + UUID + "05",
    "space-before": f" {UUID}05",
    "space-after": f"{UUID}05 ",
    "line-break-after": f"{UUID}05\n",
    "nul-after": f"{UUID}05\0",
    "hyphens-elsewhere": "0b6f4f0e3-c55-4d0e-9a53-8f4c1f2f6a05",
    "unicode-hyphens": f"{UUID}05".replace("-", "‐"),
    "fullwidth": f"{UUID}05".replace("0", "０"),
    "base64": "C29PDjxVTQ6aU49MHy9qBQ==",
    "ulid": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "word": "latest",
    "path": "../../etc/passwd",
    "injection": 'x"}\n{"message":"answered"}',
    "10-kb": UUID * 300,
}.items():
    envelope(f"id-{name}", PRODUCT, event_id=identity, why="whatever it is, it tells one delivery from another")
envelope("id-number", PRODUCT, event_id=7)
envelope("id-empty-list", PRODUCT, event_id=[], why="PHP's nothing")
for name, identity in {
    "true": True,
    "list": [f"{UUID}05"],
    "object": {"uuid": f"{UUID}05"},
}.items():
    envelope(f"id-{name}", PRODUCT, event_id=identity, pointers=("/event_id",))
envelope("merchant-number", DELETE, merchant_id=7)
envelope("merchant-list", DELETE, merchant_id=["m"], pointers=("/merchant_id",))
envelope("environment-true", DELETE, environment_id=True, pointers=("/environment_id",))
envelope("all-wrong", DELETE, event_id={}, merchant_id={}, environment_id=[1], pointers=("/event_id", "/merchant_id", "/environment_id"))
envelope("merchant-null", DELETE, merchant_id=None, environment_id=None)
envelope("merchant-empty", DELETE, merchant_id="", environment_id="")
envelope("merchant-as-a-url", DELETE, merchant_id="https://evil.example/?a=b#c", why="escaped in the message's source")
envelope("merchant-as-a-path", DELETE, merchant_id="../..", environment_id="%2e%2e")
envelope("merchant-with-line-breaks", DELETE, merchant_id="a\r\nb\0c\u2028", environment_id="😀")
envelope("merchant-of-100-kb", DELETE, merchant_id="ü" * 50_000)
envelope("subject-text", CART, subject="x")
envelope("subject-object", CART, subject={"quote_item": {"sku": "B", "qty": 2}}, why="not the entity")
envelope("subject-number", CART, subject=1.5)
envelope("result-true", CART, result=True)
envelope("result-list", CART, result=[{"op": "exception"}], why="no answer of ours")
envelope("result-text", CART, result="<script>")
envelope("half-a-pair", CART, subject="\ud800", why="nobody reads it")
