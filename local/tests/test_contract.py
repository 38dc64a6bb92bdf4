"""Nobody who reads the queues is broken by a new version of the bundle: the schemas keep to what is recorded of them.

`.venv/bin/python local/contract.py record` records them. docs/contract.md says what may change."""

import json
import re

import contract
import jsonschema
import pytest
import soak
from stack import shipped

CHANNEL = "sales_order_place_after"
NUMBER = {"type": "integer", "format": "uint64", "minimum": 0}


def test_the_schemas_keep_to_the_recorded_contract():
    problem = contract.Contract(own=contract.merchants_own()).problem()
    assert problem is None, problem


def schema(channel=CHANNEL, major=1):
    """A small one, with all that the schemas of the channels have."""
    name = f"urn:commerce-webhooks:message:{channel}:{major}"
    text = {"type": "string", "minLength": 1}
    item = {"type": "object", "properties": {"sku": text, "qty": {"type": "string", "pattern": "^[0-9]+$"}, "title": text}}
    kind = {"oneOf": [{"const": "unreadable", "description": "…"}, {"const": "missing"}]}
    order = {
        "type": "object",
        "description": "An order.",
        "properties": {
            "entity_id": NUMBER,
            "increment_id": text,
            "email": {"type": "string", "format": "email"},
            "website_id": NUMBER,
            "customer_is_guest": {"type": "integer", "enum": [0, 1]},
            "discount": {"type": "number", "maximum": 0},
            "address": {"anyOf": [{"$ref": "#/$defs/Address"}, {"type": "null"}]},
            "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
        },
        "anyOf": [{"required": ["entity_id"]}, {"required": ["increment_id"]}, {"required": ["email", "website_id"]}],
    }
    expected = {"required": ["email", "items"], "properties": {"items": {"minItems": 1, "items": {"required": ["sku"]}}}}
    issue = {"type": "object", "properties": {"kind": kind}, "required": ["kind"], "additionalProperties": False}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": name,
        "title": f"com.adobe.commerce.observer.{channel}",
        "type": "object",
        "required": ["id", "dataschema", "contentid", "data"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "dataschema": {"const": name},
            "contentid": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "data": {
                "type": "object",
                "required": ["order"],
                "properties": {"order": order, "issues": {"type": "array", "maxItems": 100, "items": issue}},
                "if": {"not": {"required": ["issues"]}},
                "then": {"properties": {"order": expected}},
            },
        },
        "$defs": {"Item": item, "Address": {"type": "object", "properties": {"street": {"type": "array", "items": text}}}},
    }  # fmt: skip


DATA = "/properties/data"
ORDER = f"{DATA}/properties/order"
FIELDS = f"{ORDER}/properties"
ISSUE = f"{DATA}/properties/issues/items"
ITEM = "/$defs/Item/properties"
THEN = f"{DATA}/then/properties/order"
GONE = object()
AN_ORDER = schema()["properties"]["data"]["properties"]["order"]


def changed(at, value, of=None):
    """The schema with another value at a pointer, or without it."""
    made = json.loads(json.dumps(of or schema()))
    *path, last = at.split("/")[1:]
    place = made
    for name in path:
        place = place[int(name) if isinstance(place, list) else name]
    if value is GONE:
        del place[int(last) if isinstance(place, list) else last]
    elif isinstance(place, list):
        place.insert(int(last), value)
    else:
        place[last] = value
    return made


# What is changed, to what, and the places at which somebody would break.
BREAKING = {
    "a property is gone": (f"{FIELDS}/email", GONE, [f"{FIELDS}/email: is gone"]),
    "a property can never be there": (f"{FIELDS}/email", False, [f"{FIELDS}/email: can no longer be there"]),
    "a property of a definition is gone": (f"{ITEM}/title", GONE, [f"{FIELDS}/items/items/properties/title: is gone"]),
    "a property of a member that may be null is gone": (
        "/$defs/Address/properties/street", GONE, [f"{FIELDS}/address/properties/street: is gone"],
    ),
    "another type": (f"{FIELDS}/increment_id", NUMBER, [
        f"{FIELDS}/increment_id/minLength: was 1, is gone", f"{FIELDS}/increment_id/type: may now be integer",
    ]),
    "a type more": (f"{FIELDS}/email/type", ["string", "null"], [f"{FIELDS}/email/type: may now be null"]),
    "any type": (f"{FIELDS}/email/type", GONE, [
        f"{FIELDS}/email/type: may now be array, boolean, integer, null, number, object",
    ]),
    "a wider type": (f"{FIELDS}/entity_id/type", "number", [f"{FIELDS}/entity_id/type: may now be number"]),
    "a type in a list more": ("/$defs/Address/properties/street/items", {}, [
        f"{FIELDS}/address/properties/street/items/minLength: was 1, is gone",
        f"{FIELDS}/address/properties/street/items/type: may now be array, boolean, integer, null, number, object",
    ]),
    "another format": (f"{FIELDS}/email/format", "idn-email", [f'{FIELDS}/email/format: was "email", is "idn-email"']),
    "no format": (f"{FIELDS}/email/format", GONE, [f'{FIELDS}/email/format: was "email", is gone']),
    "another pattern": ("/properties/contentid/pattern", "^.+$", [
        '/properties/contentid/pattern: was "^[0-9a-f]{64}$", is "^.+$"',
    ]),
    "no pattern": ("/properties/contentid/pattern", GONE, ['/properties/contentid/pattern: was "^[0-9a-f]{64}$", is gone']),
    "a value more": (f"{FIELDS}/customer_is_guest/enum/2", 2, [f"{FIELDS}/customer_is_guest/enum: may now be 2"]),
    "a value that only looks alike": (f"{FIELDS}/customer_is_guest/enum", [0, True], [
        f"{FIELDS}/customer_is_guest/enum: may now be true",
    ]),
    "any value": (f"{FIELDS}/customer_is_guest/enum", GONE, [f"{FIELDS}/customer_is_guest/enum: may now be anything"]),
    "a case of oneOf more": (f"{ISSUE}/properties/kind/oneOf/2", {"const": "skipped"}, [
        f'{ISSUE}/properties/kind/const: may now be "skipped"',
    ]),
    "another const": (f"{ISSUE}/properties/kind/oneOf/0/const", "odd", [f'{ISSUE}/properties/kind/const: may now be "odd"']),
    "another dataschema": ("/properties/dataschema/const", "urn:x:1", ['/properties/dataschema/const: may now be "urn:x:1"']),
    "a lower minimum": (f"{FIELDS}/entity_id/minimum", -1, [f"{FIELDS}/entity_id/minimum: was 0, is -1"]),
    "no minimum": (f"{FIELDS}/entity_id/minimum", GONE, [f"{FIELDS}/entity_id/minimum: was 0, is gone"]),
    "a higher maximum": (f"{FIELDS}/discount/maximum", 1, [f"{FIELDS}/discount/maximum: was 0, is 1"]),
    "longer lists": (f"{DATA}/properties/issues/maxItems", 101, [f"{DATA}/properties/issues/maxItems: was 100, is 101"]),
    "a member of the envelope is no longer required": ("/required/1", GONE, ["/required: dataschema is no longer required"]),
    "the entity is no longer required": (f"{DATA}/required", [], [f"{DATA}/required: order is no longer required"]),
    "a weaker identity": (f"{ORDER}/anyOf/2/required/1", GONE, [f'{ORDER}/anyOf: ["email"] is now enough']),
    "an identity more": (f"{ORDER}/anyOf/3", {"required": ["discount"]}, [f'{ORDER}/anyOf: ["discount"] is now enough']),
    "no identity": (f"{ORDER}/anyOf", GONE, [f"{ORDER}/anyOf: [] is now enough"]),
    "a field is no longer expected": (f"{THEN}/required/0", GONE, [f"{THEN}/required: email is no longer required"]),
    "a field of an item is no longer expected": (
        f"{THEN}/properties/items/items/required", [], [f"{THEN}/properties/items/items/required: sku is no longer required"],
    ),
    "an item is no longer expected": (f"{THEN}/properties/items/minItems", GONE, [
        f"{THEN}/properties/items/minItems: was 1, is gone",
    ]),
    "another condition": (f"{DATA}/if/not/required", ["original"], [
        f"{DATA}/if: the condition has changed",
        f"{THEN}/properties/items/items/required: sku is no longer required",
        f"{THEN}/properties/items/minItems: was 1, is gone",
        f"{THEN}/required: email is no longer required",
        f"{THEN}/required: items is no longer required",
    ]),
    "nothing is expected": (f"{DATA}/if", GONE, [
        f"{DATA}/if: the condition has changed",
        f"{THEN}/properties/items/items/required: sku is no longer required",
        f"{THEN}/properties/items/minItems: was 1, is gone",
        f"{THEN}/required: email is no longer required",
        f"{THEN}/required: items is no longer required",
    ]),
    "a property more where there were no others": (f"{ISSUE}/properties/detail", {}, [
        f"{ISSUE}/additionalProperties/detail: was never there",
    ]),
    "others where there were none": (f"{ISSUE}/additionalProperties", GONE, [f"{ISSUE}/additionalProperties: was never there"]),
}  # fmt: skip

HARMLESS = {
    "an optional property more": (f"{FIELDS}/store_id", NUMBER),
    "a required property more": (ORDER, AN_ORDER | {"required": ["customer_is_guest"]}),
    "another description": (f"{ORDER}/description", "What was ordered."),
    "no title": ("/title", GONE),
    "a type less": (f"{FIELDS}/address", {"$ref": "#/$defs/Address"}),
    "a narrower type": (f"{FIELDS}/discount", {"type": "integer", "maximum": 0}),
    "a narrower format": (f"{FIELDS}/entity_id/format", "uint32"),
    "a format where there was none": (f"{FIELDS}/increment_id/format", "uuid"),
    "a pattern where there was none": (f"{FIELDS}/email/pattern", "@"),
    "values of a pattern": (f"{ITEM}/qty", {"enum": ["1", "2"]}),
    "a value less": (f"{FIELDS}/customer_is_guest/enum/1", GONE),
    "a value alone": (f"{FIELDS}/customer_is_guest", {"const": 1}),
    "values where there was any": (f"{FIELDS}/increment_id/enum", ["1"]),
    "a case of oneOf less": (f"{ISSUE}/properties/kind/oneOf/1", GONE),
    "a higher minimum": (f"{FIELDS}/entity_id/minimum", 1),
    "a lower maximum": (f"{FIELDS}/discount/maximum", -1),
    "shorter lists": (f"{DATA}/properties/issues/maxItems", 99),
    "a member of the envelope is required": ("/required/0", "specversion"),
    "a stronger identity": (f"{ORDER}/anyOf/0/required/1", "increment_id"),
    "an identity less": (f"{ORDER}/anyOf/0", GONE),
    "the identity is always required": (
        ORDER, contract.without(AN_ORDER, "anyOf") | {"required": ["entity_id"]},
    ),
    "a field more is expected": (f"{THEN}/required/0", "entity_id"),
    "a field of an item more is expected": (f"{THEN}/properties/items/items/required/0", "qty"),
    "something is expected of an item that was not named": ("/$defs/Item/required", ["qty"]),
    "a definition that nobody uses": ("/$defs/Other", {"type": "string"}),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKING)
def test_a_breaking_change_is_found(name):
    at, value, expected = BREAKING[name]
    found = contract.breaks(schema(), changed(at, value))
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("name", HARMLESS)
def test_a_change_that_breaks_nobody_passes(name):
    at, value = HARMLESS[name]
    made = changed(at, value)
    assert made != schema()
    assert contract.breaks(schema(), made) == []


def test_what_is_expected_may_become_required():
    made = changed(f"{DATA}/if", GONE)
    order = made["properties"]["data"]["properties"]["order"]
    order["required"] = ["email", "items"]
    order["properties"]["items"]["minItems"] = 1
    made["$defs"]["Item"]["required"] = ["sku"]
    assert contract.breaks(schema(), made) == []


def test_a_definition_may_be_written_in_its_place():
    made = schema()
    made["properties"]["data"]["properties"]["order"]["properties"]["items"]["items"] = made["$defs"].pop("Item")
    assert contract.breaks(schema(), made) == contract.breaks(made, schema()) == []


def test_what_cannot_be_compared_is_taken_for_breaking():
    old = changed(f"{FIELDS}/items/contains", {"required": ["sku"]})
    assert contract.breaks(old, changed(f"{FIELDS}/items/contains", {"required": ["qty"]}))
    assert contract.breaks(old, schema())
    assert contract.breaks(schema(), old) == []


def test_a_pattern_may_become_one_that_a_person_found_narrower(monkeypatch):
    narrower = changed("/properties/contentid/pattern", "^[0-9a-f]{63}0$")
    assert contract.breaks(schema(), narrower)
    pair = (schema()["properties"]["contentid"]["pattern"], "^[0-9a-f]{63}0$")
    monkeypatch.setattr(contract, "NARROWER", [("pattern", *pair)])
    assert contract.breaks(schema(), narrower) == []


def promises(made, at=""):
    """The places of all that a schema promises, whose loss somebody could notice."""
    for keyword, value in made.items():
        here = f"{at}/{keyword}"
        if keyword in ("properties", "$defs"):
            for name, one in value.items():
                yield from [f"{here}/{name}"] if keyword == "properties" else []
                yield from promises(one, f"{here}/{name}")
        elif keyword == "required":
            yield from (f"{here}/{index}" for index in range(len(value)))
        elif keyword in ("anyOf", "oneOf"):
            for index, one in enumerate(value):
                yield from promises(one, f"{here}/{index}")
        elif keyword == "type" and contract.values(made):
            continue  # the values say it, too
        elif keyword not in contract.ANNOTATIONS:
            yield here
            if isinstance(value, dict) and keyword != "not":
                yield from promises(value, here)


def assert_all_is_held(made):
    jsonschema.Draft202012Validator.check_schema(made)
    assert contract.breaks(made, json.loads(json.dumps(made))) == []
    unnoticed = [at for at in promises(made) if not contract.breaks(made, changed(at, GONE, of=made))]
    assert unnoticed == []


@pytest.mark.parametrize("path", sorted(contract.SCHEMAS.glob("*.json")), ids=lambda path: path.stem)
def test_nothing_that_the_schemas_promise_can_be_lost_unnoticed(path):
    assert_all_is_held(json.loads(path.read_text()))


def test_nothing_that_the_small_schema_promises_can_be_lost_unnoticed():
    assert len(list(promises(schema()))) > 80
    assert_all_is_held(schema())


# The page


PAGE = (contract.ROOT / "docs" / "contract.md").read_text()


def promised_fields(made):
    """What the page's table has in a row, as the schema has it."""
    data = made["properties"]["data"]
    (entity,) = data["required"]
    expected = data["then"]["properties"][entity]
    fields = {*expected["required"]}
    for name, one in expected.get("properties", {}).items():
        fields |= {f"{name}[].{field}" for field in one["items"]["required"]}
    return entity, {frozenset(case["required"]) for case in data["properties"][entity]["anyOf"]}, fields


@pytest.mark.parametrize("path", [contract.SCHEMAS / f"{channel}.json" for channel in shipped()], ids=lambda path: path.stem)
def test_the_page_says_what_identifies_an_event_and_what_is_expected_of_it(path):
    row = re.search(rf"^\| `{path.stem}` \|(.*)\|$", PAGE, re.MULTILINE)
    entity, identity, expected = (re.findall("`(.*?)`", part) for part in row[1].split("|"))
    cases = {frozenset(re.findall("`(.*?)`", case)) for case in row[1].split("|")[1].split(" or ")}
    assert identity and (*entity, cases, set(expected)) == promised_fields(json.loads(path.read_text()))


def test_the_message_on_the_page_keeps_the_contract():
    text = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)[1]
    message = json.loads(text)
    channel = message["type"].rpartition(".")[2]
    jsonschema.validate(message, json.loads((contract.SCHEMAS / f"{channel}.json").read_text()))
    content = soak.content_id(channel, message["source"], soak.span(text, "data", "original"))
    assert (message["contentid"], message["id"]) == (content, soak.event_id(content, "pay-7"))


def test_the_rules_that_take_the_place_of_422_can_be_used_as_they_are():
    rules = re.findall(r"```json\n(.*?)```", (contract.ROOT / "docs" / "upgrade.md").read_text(), re.DOTALL)
    assert len(rules) == 2
    for text in rules:
        jsonschema.validate(json.loads(text), json.loads((contract.ROOT / "shared" / "rules.schema.json").read_text()))


# The files


@pytest.fixture
def files(tmp_path):
    """Schemas of two channels, and nothing recorded yet."""
    folder = tmp_path / "schema"
    folder.mkdir()

    def write(made, channel=CHANNEL):
        (folder / f"{channel}.json").write_text(json.dumps(made))
        return contract.Contract(folder, tmp_path / "contract")

    write(schema("other"), "other")
    return write


def recorded(tmp_path):
    return sorted(str(path.relative_to(tmp_path / "contract")) for path in tmp_path.glob("contract/*/*.json"))


def test_a_merchants_own_channel_needs_no_record_and_is_held_to_one_that_it_has(files, tmp_path):
    files(schema()).record()
    own = {"schemas": tmp_path / "schema", "recorded": tmp_path / "contract", "own": {"mine"}}
    files(schema("mine"), "mine")
    assert contract.Contract(**own).problem() is None and contract.Contract(**own).record() == []
    assert "mine" in contract.Contract(**own | {"own": set()}).problem()
    contract.Contract(**own | {"own": set()}).record()
    files(changed(f"{FIELDS}/email", GONE, of=schema("mine")), "mine")
    assert "mine" in contract.Contract(**own).problem()


def test_what_is_not_recorded_is_named_with_the_command_that_records_it(files, tmp_path):
    contracts = files(schema())
    assert contracts.problem() == (
        f"not recorded as it is, but nothing breaks: other, {CHANNEL}. Run: .venv/bin/python local/contract.py record"
    )
    contracts.record()
    assert recorded(tmp_path) == ["1/other.json", f"1/{CHANNEL}.json"]
    assert files(schema()).problem() is None
    assert files(schema()).record() == []


def test_what_nobody_can_break_by_must_still_be_recorded(files, tmp_path):
    files(schema()).record()
    assert files(changed(f"{ORDER}/description", "Other words.")).problem() is None
    added = changed(f"{FIELDS}/store_id", NUMBER)
    assert f"nothing breaks: {CHANNEL}." in files(added).problem()
    files(added).record()
    # From now on it is promised.
    assert files(schema()).breaking() == [f"{CHANNEL} {FIELDS}/store_id: is gone"]


def test_a_breaking_change_is_refused_under_the_same_major_version(files, tmp_path):
    files(schema()).record()
    broken = changed(f"{FIELDS}/email", GONE)
    problem = files(broken).problem()
    assert f"{CHANNEL} {FIELDS}/email: is gone" in problem and "new major version" in problem
    assert contract.RECORD not in problem


def test_a_breaking_change_passes_under_a_new_major_version(files, tmp_path):
    files(schema()).record()
    broken = changed(f"{FIELDS}/email", GONE, of=schema(major=2))
    assert files(broken).breaking() == []
    files(broken).record()
    assert recorded(tmp_path) == ["1/other.json", f"1/{CHANNEL}.json", f"2/{CHANNEL}.json"]
    assert files(broken).problem() is None
    assert files(schema()).breaking() == [f"{CHANNEL} /$id: was at major version 2 already"]
    # And the new one is held to, as the old one was.
    assert files(changed(f"{FIELDS}/website_id", GONE, of=broken)).breaking()


def test_a_schema_that_does_not_say_its_version_is_refused(files):
    for other in ("urn:commerce-webhooks:message:other:1", f"urn:commerce-webhooks:message:{CHANNEL}:0", 1, GONE):
        assert files(changed("/$id", other)).breaking()[0].startswith(f"{CHANNEL} /$id: must be")
    for other in ({"const": f"urn:commerce-webhooks:message:{CHANNEL}:2"}, {"type": "string"}, GONE):
        assert "must have the $id as its const" in files(changed("/properties/dataschema", other)).breaking()[0]


def test_a_channel_that_is_gone_is_refused(files, tmp_path):
    files(schema()).record()
    (tmp_path / "schema" / "other.json").unlink()
    assert files(schema()).breaking() == ["other: its schema is gone"]


def test_nothing_is_written_if_anything_breaks(files, tmp_path, monkeypatch):
    files(schema()).record()
    before = {path: path.read_text() for path in tmp_path.glob("contract/*/*.json")}
    files(changed(f"{FIELDS}/store_id", NUMBER, of=schema("other")), "other")
    contracts = files(changed(f"{FIELDS}/email", GONE))
    monkeypatch.setattr(contract, "Contract", lambda own: contracts)
    monkeypatch.setattr("sys.argv", ["contract.py", "record"])
    with pytest.raises(SystemExit, match="email: is gone"):
        contract.main()
    assert before == {path: path.read_text() for path in tmp_path.glob("contract/*/*.json")}
