"""Names that are given twice, that are not what they look like, that are very many or very deep. Where two readers of one body could
see two events, it is refused; what nobody here reads travels as it was written."""

from .case import CART, CUSTOMER, DELETE, INVOICE, PLACE, PRODUCT, SAVE, SHIPMENT, Case, at, body, entity, php_json, signed

CASES = []


def case(name, channel, content, outcome="accepted", pointers=(), why="", **more):
    make = content if callable(content) else lambda: content
    CASES.append(Case(name, channel, lambda: signed(channel, make()), outcome, pointers, why=why, **more))


def text(channel, **fields):
    """The entity as JSON text."""
    return php_json(entity(channel, **fields))


def in_data(channel, members):
    return f'{{"data":{{{members}}}}}'


# Twice

ORDER, OTHER = text(SAVE), text(SAVE, state="complete")
for name, content, pointers in [
    ("data", f'{{"data":{{"order":{ORDER}}},"data":{{"order":{OTHER}}}}}', ("/data",)),
    ("data-escaped", f'{{"data":{{"order":{ORDER}}},"\\u0064ata":{{"order":{OTHER}}}}}', ("/data",)),
    ("data-and-null", f'{{"data":{{"order":{ORDER}}},"data":null}}', ("/data",)),
    ("data-null-first", f'{{"data":null,"data":{{"order":{ORDER}}}}}', ("/data",)),
    ("entity", in_data(SAVE, f'"order":{ORDER},"order":{OTHER}'), ("/data/order",)),
    ("entity-alike", in_data(SAVE, f'"order":{ORDER},"order":{ORDER}'), ("/data/order",)),
    ("entity-escaped", in_data(SAVE, f'"order":{ORDER},"\\u006frder":{OTHER}'), ("/data/order",)),
    ("entity-and-null", in_data(SAVE, f'"order":{ORDER},"order":null'), ("/data/order",)),
    ("entity-null-first", in_data(SAVE, f'"order":null,"order":{ORDER}'), ("/data/order",)),
    ("entity-at-the-top", f'{{"order":{ORDER},"order":{OTHER}}}', ("/order",)),
    ("data-object", in_data(SAVE, f'"data_object":{ORDER},"data_object":{OTHER}'), ("/data/data_object",)),
    ("data-object-beside", in_data(SAVE, f'"order":{ORDER},"data_object":{ORDER},"data_object":{OTHER}'), ("/data/data_object",)),
    ("field", in_data(SAVE, f'"order":{ORDER[:-1]},"state":"closed"}}'), ("/data/order/state",)),
    ("field-alike", in_data(SAVE, f'"order":{ORDER[:-1]},"state":"processing"}}'), ("/data/order/state",)),
    ("field-escaped", in_data(SAVE, f'"order":{ORDER[:-1]},"\\u0073tate":"closed"}}'), ("/data/order/state",)),
    ("field-and-null", in_data(SAVE, f'"order":{ORDER[:-1]},"state":null}}'), ("/data/order/state",)),
    ("field-three-times", in_data(SAVE, f'"order":{ORDER[:-1]},"state":"a","state":"b"}}'), ("/data/order/state",)),
    (
        "field-of-an-item",
        in_data(SAVE, f'"order":{ORDER[:-1]},"items":[{{"sku":"A","sku":"B"}}]}}'),
        ("/data/order/items/0/sku",),
    ),
    ("items", in_data(SAVE, f'"order":{ORDER[:-1]},"items":[],"items":{{}}}}'), ("/data/order/items",)),
    ("event", f'{{"event":"observer.{SAVE}","event":"observer.{SAVE}","order":{ORDER}}}', ("/event",)),
    ("event-id", f'{{"event_id":"{"1" * 32}","event_id":"{"2" * 32}","order":{ORDER}}}', ("/event_id",)),
    ("merchant", f'{{"merchant_id":"a","merchant_id":"b","order":{ORDER}}}', ("/merchant_id",)),
    ("environment-escaped", f'{{"environment_id":"a","\\u0065nvironment_id":"b","order":{ORDER}}}', ("/environment_id",)),
    ("argument", in_data(SAVE, f'"order":{ORDER},"zoe@shop.example":1,"zoe@shop.example":2'), ("/data",)),
    ("argument-at-the-top", f'{{"order":{ORDER},"zoe@shop.example":1,"zoe@shop.example":2}}', ("",)),
    ("argument-in-both-places", f'{{"data":{{"order":{ORDER},"zoe":1}},"zoe":2}}', ("/data",)),
]:
    case(f"twice-{name}", SAVE, content, "invalid", pointers, "readers differ in which one counts")
case(
    "twice-name-of-another-event",
    SAVE,
    f'{{"event":"observer.{SAVE}","event":"observer.{PLACE}","order":{ORDER}}}',
    "wrong_event",
)
case("twice-unread-field", SAVE, in_data(SAVE, f'"order":{ORDER[:-1]},"note":1,"note":2}}'), why="travels as it was written")
case("twice-unread-field-below", SAVE, in_data(SAVE, f'"order":{ORDER[:-1]},"a":{{"b":1,"b":2}}}}'))
case("twice-but-for-case", SAVE, in_data(SAVE, f'"order":{ORDER[:-1]},"State":"x","STATE":"y"}}'), why="three different names")
case("twice-but-for-normal-form", SAVE, in_data(SAVE, f'"order":{ORDER},"\u00e9":1,"e\u0301":2'))

# Names with a meaning elsewhere

for name, member in {
    "prototype": "__proto__",
    "constructor": "constructor",
    "prototype-itself": "prototype",
    "to-string": "toString",
    "has-own-property": "hasOwnProperty",
    "length": "length",
    "to-json": "toJSON",
    "dunder-class": "__class__",
    "type": "@type",
    "dollar-type": "$type",
    "dollar-ref": "$ref",
    "dollar-where": "$where",
    "json-ld": "@context",
    "empty": "",
    "space": " ",
    "nul": "\0",
    "slash": "a/b",
    "tilde": "~1~0",
    "dot": "a.b",
    "brackets": "items[0]",
    "quotes": '"a"',
    "line-break": "a\nb",
    "emoji": "😀",
    "serde": "$serde_json::private::RawValue",
    "serde-number": "$serde_json::private::Number",
    "number": "0",
    "xml": "<a>",
}.items():
    case(
        f"named-{name}",
        PRODUCT,
        {"data": {"product": entity(PRODUCT, **{member: {"a": 1}}), member: [1]}},
        why="a name is a name",
    )
case("named-with-10000-letters", PRODUCT, {"data": {"product": entity(PRODUCT, **{"k" * 10_000: 1}), "k" * 10_000: 1}})
case("named-with-1000000-letters", PRODUCT, lambda: body(PRODUCT, **{"k" * 1_000_000: 1}))
case(
    "named-with-half-a-pair-unread",
    PRODUCT,
    f'{{"product":{text(PRODUCT)},"a":{{"\\ud800":1}}}}',
    why="travels as it was written",
)
case(
    "named-with-half-a-pair",
    PRODUCT,
    in_data(PRODUCT, f'"product":{text(PRODUCT)[:-1]},"\\ud800":1}}'),
    "invalid",
    at(PRODUCT, ""),
    "no reader of texts can hold the name",
)
case("named-with-half-a-pair-at-the-top", PRODUCT, f'{{"product":{text(PRODUCT)},"\\ud800":1}}', "not_json")
case("named-with-half-a-pair-in-data", PRODUCT, in_data(PRODUCT, f'"product":{text(PRODUCT)},"\\ud800":1'), "invalid", ("/data",))
case(
    "field-in-capitals",
    DELETE,
    {"customer": {"ENTITY_ID": 1, "Email": "zoe@shop.example"}},
    "invalid",
    ("/customer/entity_id", "/customer/email", "/customer/website_id"),
)
case(
    "field-after-a-space",
    DELETE,
    {"customer": {" entity_id": 1, "email": "zoe@shop.example"}},
    "invalid",
    ("/customer/entity_id", "/customer/website_id"),
)
case("field-in-camels", DELETE, {"customer": {"entityId": 1, "email": "zoe@shop.example"}}, "invalid", ("/customer/entity_id", "/customer/website_id"))
case(
    "field-with-a-lookalike",
    DELETE,
    {"customer": {"еntity_id": 1, "email": "zoe@shop.example"}},
    "invalid",
    ("/customer/entity_id", "/customer/website_id"),
)
case("field-and-nul", DELETE, {"customer": {"entity_id\0": 1, "email": "zoe@shop.example"}}, "invalid", ("/customer/entity_id", "/customer/website_id"))
case(
    "field-as-a-path",
    DELETE,
    {"customer": {"customer/entity_id": 1, "email": "zoe@shop.example"}},
    "invalid",
    ("/customer/entity_id", "/customer/website_id"),
)
case(
    "ids-of-a-customer-differ",
    DELETE,
    {"customer": {"id": 1, "entity_id": 2, "email": "zoe@shop.example"}},
    why="entity_id is the spec's",
)
case(
    "id-of-a-customer-wrong-beside-a-right-one",
    DELETE,
    {"customer": {"id": "x", "entity_id": 2, "email": "zoe@shop.example"}},
    why="one of the two can be read",
)

# Lists that are keyed

ITEM = {"sku": "A", "qty_ordered": 1}
for name, item in {
    "name": "Zoë Núñez",
    "email": "zoe@shop.example",
    "sku": "CAP-77-BLU",
    "negative": "-1",
    "leading-zero": "05",
    "leading-zeros": "00",
    "plus": "+5",
    "space": " 5",
    "space-after": "5 ",
    "float": "5.0",
    "exponent": "1e3",
    "hex": "0x5",
    "empty": "",
    "past-u64": "18446744073709551616",
    "400-digits": "1" * 400,
    "arabic-digits": "٥",
    "fullwidth-digits": "５",
    "superscript": "²",
    "pointer-slash": "5/sku",
    "pointer-escape": "~15~0",
    "prototype": "__proto__",
    "null": "null",
    "nul": "5\0",
    "line-break": "5\n",
    "length": "length",
}.items():
    case(f"keyed-by-{name}", PLACE, body(PLACE, items={item: ITEM}), why="what is no id is a key all the same")
    case(
        f"keyed-by-{name}-with-a-bad-one-below",
        PLACE,
        body(PLACE, items={item: {**ITEM, "price": "x"}, "7": ITEM}),
        "accepted",
        at(PLACE, "items"),
        "but it never comes back in a pointer",
    )
case(
    "keyed-half-by-names",
    PLACE,
    body(PLACE, items={"5": {"sku": "A"}, "zoe": ITEM}),
    "accepted",
    at(PLACE, "items/5/qty_ordered"),
)
case(
    "keyed-by-ids-with-a-bad-one-below",
    PLACE,
    body(PLACE, items={"998": {**ITEM, "price": "x"}}),
    "accepted",
    at(PLACE, "items/998/price"),
)
case("keyed-addresses-by-type", PLACE, body(PLACE, addresses={"billing": {"city": "Bend"}}), "accepted", at(PLACE, "addresses"))
case(
    "keyed-tracks-by-number",
    SHIPMENT,
    body(SHIPMENT, tracks={"1Z999AA10123456784": {"title": "x"}}),
)
case("keyed-by-0", PLACE, body(PLACE, items={"0": ITEM}))
case("keyed-by-the-last-u64", PLACE, body(PLACE, items={"18446744073709551615": ITEM}))
case(
    "keyed-by-the-same-twice",
    PLACE,
    php_json(body(PLACE, items={"5": ITEM})).replace('"items":{', '"items":{"5":{"sku":"B","qty_ordered":2},'),
    why="two lines; none is lost",
)
case("keyed-backwards", PLACE, body(PLACE, items={"9": ITEM, "1": ITEM}))
case("keyed-by-10000", PLACE, lambda: body(PLACE, items={str(id): ITEM for id in range(10_000)}))
case(
    "keyed-by-10000-names",
    PLACE,
    lambda: body(PLACE, items={f"n{id}": ITEM for id in range(10_000)}),
)
case(
    "keyed-by-10000-each-bad",
    PLACE,
    lambda: body(PLACE, items={str(id): {"sku": "A"} for id in range(10_000)}),
    "accepted",
    at(PLACE, *(f"items/{id}/qty_ordered" for id in range(100))),
    "100 are listed, the others counted",
    more=9_900,
)
case(
    "list-of-10000-nulls",
    PLACE,
    lambda: body(PLACE, items=[None] * 10_000),
    "accepted",
    at(PLACE, *(f"items/{index}" for index in range(100))),
    "the list that is left without an element is not missing as well",
    more=9_900,
)
case("items-scalar", PLACE, body(PLACE, items=5), "accepted", at(PLACE, "items"))
case("items-text", PLACE, body(PLACE, items="[]"), "accepted", at(PLACE, "items"), "JSON in JSON")
case("items-true", PLACE, body(PLACE, items=True), "accepted", at(PLACE, "items"))
case("items-null", PLACE, body(PLACE, items=None), "accepted", at(PLACE, "items"))
case("items-empty", PLACE, body(PLACE, items=[]), "accepted", at(PLACE, "items"))
case("items-empty-object", PLACE, body(PLACE, items={}), "accepted", at(PLACE, "items"))
case("items-1e999", PLACE, php_json(body(PLACE, items="@@")).replace('"@@"', "1e999"), "invalid", at(PLACE, "items"))
case("items-of-null", PLACE, body(PLACE, items=[None]), "accepted", at(PLACE, "items/0"))
case("items-of-empty-lists", PLACE, body(PLACE, items=[[], ITEM]), "accepted", at(PLACE, "items/0"))
case("items-of-lists", PLACE, body(PLACE, items=[[ITEM]]), "accepted", at(PLACE, "items/0"))
case("items-of-numbers", PLACE, body(PLACE, items=[1, ITEM, 2]), "accepted", at(PLACE, "items/0", "items/2"))
case("items-of-texts", PLACE, body(PLACE, items=["CAP-77-BLU"]), "accepted", at(PLACE, "items/0"))
case("items-of-1e999", PLACE, php_json(body(PLACE, items=[ITEM, "@@"])).replace('"@@"', "1e999"), "invalid", at(PLACE, "items/1"))
case("items-of-empty-objects", PLACE, body(PLACE, items=[{}]), "accepted", at(PLACE, "items/0/sku", "items/0/qty_ordered"))
case("items-that-are-one-item", PLACE, body(PLACE, items=ITEM), "accepted", at(PLACE, "items", "items"), "a list of one, forgotten")
case("items-deep-in-lists", PLACE, body(PLACE, items=[[[[[[ITEM]]]]]]), "accepted", at(PLACE, "items/0"))

# Deep

LEVELS = 128  # of the whole body, the outermost object being the first


def nest(levels, kind):
    """JSON text of so many levels."""
    opens, closes = {"lists": ("[", "]"), "objects": ('{"a":', "}"), "both": ('[{"a":', "}]")}[kind]
    count = levels // 2 if kind == "both" else levels
    odd = levels % 2 if kind == "both" else 0
    return "[" * odd + opens * count + "1" + closes * count + "]" * odd


def deep(levels, kind, place):
    """A good body that has so many levels in all, at this place."""
    content = {
        "unread": lambda: in_data(SAVE, f'"order":{ORDER[:-1]},"a":{nest(levels - 3, kind)}}}'),
        "argument": lambda: in_data(SAVE, f'"order":{ORDER},"a":{nest(levels - 2, kind)}'),
        "top": lambda: f'{{"order":{ORDER},"a":{nest(levels - 1, kind)}}}',
        "subject": lambda: f'{{"subject":{nest(levels - 1, kind)},"order":{ORDER}}}',
        "items": lambda: in_data(SAVE, f'"order":{ORDER[:-1]},"items":{nest(levels - 3, kind)}}}'),
        "state": lambda: in_data(SAVE, f'"order":{{"entity_id":1,"increment_id":"1","state":{nest(levels - 3, kind)}}}'),
        "entity": lambda: in_data(SAVE, f'"order":{nest(levels - 2, kind)}'),
        "data": lambda: f'{{"data":{nest(levels - 1, kind)}}}',
        "event": lambda: f'{{"event":{nest(levels - 1, kind)},"order":{ORDER}}}',
        "event-id": lambda: f'{{"event_id":{nest(levels - 1, kind)},"order":{ORDER}}}',
    }
    return content[place]()


for place, kind in [
    ("unread", "lists"),
    ("unread", "objects"),
    ("unread", "both"),
    ("argument", "objects"),
    ("top", "both"),
    ("subject", "lists"),
]:
    for levels in (LEVELS - 1, LEVELS):
        case(f"deep-{levels}-{place}-{kind}", SAVE, lambda levels=levels, kind=kind, place=place: deep(levels, kind, place))
    for levels in (LEVELS + 1, 100_000):
        case(
            f"deep-{levels}-{place}-{kind}",
            SAVE,
            lambda levels=levels, kind=kind, place=place: deep(levels, kind, place),
            "invalid",
            ("",),
            "no reader of the queue shall need a deeper stack than this",
        )
for place, kind, outcome, pointers in [
    ("items", "lists", "accepted", at(SAVE, "items/0")),
    ("items", "objects", "accepted", ()),
    ("state", "both", "accepted", at(SAVE, "state")),
    ("entity", "lists", "invalid", at(SAVE, "")),
    ("data", "lists", "invalid", ("/data",)),
    ("event-id", "objects", "accepted", ("/event_id",)),
]:
    case(f"deep-{LEVELS}-{place}-{kind}", SAVE, lambda kind=kind, place=place: deep(LEVELS, kind, place), outcome, pointers)
    case(f"deep-100000-{place}-{kind}", SAVE, lambda kind=kind, place=place: deep(100_000, kind, place), "invalid", ("",))
case(f"deep-{LEVELS}-event-lists", SAVE, lambda: deep(LEVELS, "lists", "event"), "wrong_event")
case("deep-100000-left-open", SAVE, lambda: '{"order":' + "[" * 100_000, "not_json")
case("deep-100000-crossed", SAVE, lambda: '{"order":' + "[" * 100_000 + "}" * 100_000, "not_json")
case("deep-in-a-text", SAVE, lambda: body(SAVE, note="[" * 100_000), why="no levels at all")
case("deep-in-a-text-after-a-quote", SAVE, lambda: body(SAVE, note='\\"' + "[{" * 100_000), why="an escaped quote ends no text")
case("many-side-by-side", SAVE, lambda: body(SAVE, note=[[[]]] * 10_000), why="many, but not deep")

# Wide

case("64-at-the-top", CUSTOMER, {**body(CUSTOMER), **{f"k{i}": 1 for i in range(63)}})
case("65-at-the-top", CUSTOMER, {**body(CUSTOMER), **{f"k{i}": 1 for i in range(64)}}, "invalid", ("",))
case("100000-at-the-top", CUSTOMER, lambda: {**body(CUSTOMER), **{f"k{i}": 1 for i in range(100_000)}}, "invalid", ("",))
case("64-in-data", CUSTOMER, {"data": {**body(CUSTOMER)["data"], **{f"k{i}": 1 for i in range(63)}}})
case("65-in-data", CUSTOMER, {"data": {**body(CUSTOMER)["data"], **{f"k{i}": 1 for i in range(64)}}}, "invalid", ("/data",))
case(
    "100000-in-data",
    CUSTOMER,
    lambda: {"data": {**{f"k{i}": 1 for i in range(100_000)}, **body(CUSTOMER)["data"]}},
    "invalid",
    ("/data",),
)
case("100000-times-the-same-at-the-top", CUSTOMER, lambda: "{" + '"data":{},' * 100_000 + '"a":1}', "invalid", ("",))
case(
    "100000-in-the-entity",
    INVOICE,
    lambda: body(INVOICE, **{f"k{i}": 1 for i in range(100_000)}),
    why="unknown keys are normal and many",
)
case(
    "100000-times-a-field",
    INVOICE,
    lambda: '{"invoice":{' + '"state":2,' * 100_000 + '"grand_total":1}}',
    "invalid",
    ("/invoice/state",),
)
case("100000-below-the-entity", INVOICE, lambda: body(INVOICE, note={f"k{i}": i for i in range(100_000)}))
case("10000-addresses", PLACE, lambda: body(PLACE, addresses=[{"address_type": "billing"}] * 10_000))
case("list-of-events-in-data", CART, lambda: {"data": [body(CART)] * 10_000}, "invalid", ("/data",))
