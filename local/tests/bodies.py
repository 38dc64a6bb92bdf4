"""Bodies that fill one place of an event with as much as fits: every list, map and text of every entity and of the envelope."""

import json
import random
from dataclasses import dataclass

from hostile.case import body, key, php_json
from stack import ROOT

# What Lambda takes as a request: the body, escaped, in API Gateway's JSON, of which 4 KB are for all else.
PAYLOAD_BYTES_MAX = 6 * 1024 * 1024
ROOM = PAYLOAD_BYTES_MAX - 4096


@dataclass(frozen=True)
class Filler:
    """A JSON value that is made of many units: `unit` makes one of its number."""

    name: str
    before: str
    unit: object
    after: str
    separator: str = ","

    def text(self, room):
        """The value, as large as fits into so many bytes of a payload, in which a body's quotes are escaped."""
        return self.of(max(1, room // size_in_payload(self.unit(10**6) + self.separator)))

    def of(self, count):
        """The value with so many units."""
        return self.before + self.separator.join(map(self.unit, range(count))) + self.after


def size_in_payload(text):
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2


def same(unit):
    return lambda _: unit


def fillers():
    for unit in ("{}", "[]", "null", "1", '""', '"a"', "[{}]", '{"a":1}', "1e999", r'"\ud800"'):
        yield "list", Filler(f"list of {unit}", "[", same(unit), "]")
    for value in ("{}", "null", '"a"'):
        yield "list", Filler(f"map of ids to {value}", "{", lambda number, value=value: f'"{number}":{value}', "}")
        yield "list", Filler(f"map of names to {value}", "{", lambda number, value=value: f'"_{number}":{value}', "}")
    yield "list", Filler("collection", '{"totalRecords":1,"items":[', same("{}"), "]}")
    yield "object", Filler("members of one name", "{", same('"a":1'), "}")
    yield "object", Filler("members of an empty name", "{", same('"":{}'), "}")
    for unit in ("a", "\u00e9", "\ufffe", "\U0001f455", r"\u0001", r"\/", r"\n", r"a\n", r"\\", r"\"", " ", "%"):
        yield "text", Filler(f"text of {ascii(unit)}", '"', same(unit), '"', "")
    yield "number", Filler("digits", "", same("1"), "", "")
    yield "number", Filler("decimals", "0.", same("1"), "", "")
    yield "number", Filler("quoted digits", '"', same("1"), '"', "")
    yield "number", Filler("exponent", "1e", same("9"), "", "")


FILLERS = list(fillers())


@dataclass(frozen=True)
class Place:
    """A place of a body, by the names and indexes that lead to it, and what stands there by the contract."""

    path: tuple
    kind: str

    @property
    def name(self):
        return "/".join(map(str, self.path)) or "the body"


KINDS = {"array": "list", "object": "object", "string": "text", "integer": "number", "number": "number"}


def places(channel):
    """Every place of the channel's entity by its message's schema, what a shop sends beside it, and the places of the envelope."""
    schema = json.loads((ROOT / "shared" / "schema" / f"{channel}.json").read_text())
    data = schema["properties"]["data"]
    [name] = data["required"]
    entity = data["properties"][name]
    definitions = schema.get("$defs", {})
    if "billing_address" in entity["properties"]:
        # The shop lists the addresses, the contract names them.
        address = {"$ref": entity["properties"]["billing_address"]["$ref"]}
        entity["properties"]["addresses"] = {"type": "array", "items": address}
    at = ("data", key(channel))
    yield Place(at, "object")
    yield from below(entity, at, definitions)
    for name in ("merchant_id", "environment_id", "event", "event_id", "eventName", "note"):
        yield Place((name,), "text")
    yield from (Place((name,), "object") for name in ("subject", "result", "data"))
    yield from (Place(path, "list") for path in ((), ("data", "data_object"), ("data", "note"), (*at, "note")))


def below(schema, path, definitions):
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    for name, field in schema.get("properties", {}).items():
        kind = field.get("type") or "object"
        kind = next(one for one in kind if one != "null") if isinstance(kind, list) else kind
        yield Place((*path, name), KINDS[kind])
        yield from below(field, (*path, name), definitions)
    if "items" in schema:
        kind = schema["items"].get("type") or "object"
        yield Place((*path, 0), KINDS[kind])
        yield from below(schema["items"], (*path, 0), definitions)


def filled(channel, place, text):
    """A good body of the channel, but for this JSON text at the place."""
    if not place.path:
        return text
    content = body(channel)
    node = content
    for step, following in zip(place.path, (*place.path[1:], None)):
        if following is None:
            below = "@@"
        elif isinstance(following, int):
            below = []
        else:
            below = {}
        if isinstance(node, list):
            node[:] = node or [below]
        elif following is None or not isinstance(node.get(step), dict | list):
            node[step] = below
        if following is None:
            node[step] = below
        node = node[step]
    return php_json(content).replace('"@@"', text)


def bodies(channel, elements_max, seed=1):
    """Names and bodies: at every place something that fits its kind, at every list much of it, and now and then what does not fit, each
    of 6 MB; and lists that are as long as they may be, which cost most for their size."""
    chance = random.Random(f"{channel} {seed}")
    for place in places(channel):
        fitting = [filler for kind, filler in FILLERS if kind == place.kind]
        others = [filler for kind, filler in FILLERS if kind != place.kind]
        wanted = chance.sample(fitting, 6 if place.kind == "list" else 1)
        for filler in wanted + chance.sample(others, chance.random() < 0.3):
            yield f"{place.name}: {filler.name}", filled(channel, place, filler.text(ROOM))
            if place.kind == "list" and filler.separator:
                yield f"{place.name}: {filler.name}, as many as may be", filled(channel, place, filler.of(elements_max - 10))
