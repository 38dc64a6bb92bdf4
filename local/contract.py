"""Holds the schemas of the messages to what was promised: docs/contract.md says what may change within a major version.

    contract.py check     says what has changed since the contract was recorded
    contract.py record    records the schemas as the contract of their major version, unless that would break it; of a merchant's own
                          channels only those that are named: contract.py record CHANNEL

The promise of major version 1 is docs/contract/1/, a file for each channel. Consumers rely on it: whatever a new schema allows,
the recorded one must have allowed, too. So a schema may become narrower, but never wider. A breaking change needs a new major
version, in `dataschema` and `$id`, and is recorded in a folder of its own.
"""

import argparse
import json
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = ROOT / "shared" / "schema"
RECORDED = ROOT / "docs" / "contract"
RECORD = ".venv/bin/python local/contract.py record"
ID = r"urn:commerce-webhooks:message:(\w+):([1-9]\d*)"

# They promise nothing.
ANNOTATIONS = {"$comment", "$schema", "default", "deprecated", "description", "examples", "title"}
# Whether one expression matches less than another is hard to tell, so a person does. Keyword, what was, what is narrower.
NARROWER = [("format", "uint64", "uint32")]
LOWEST = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}
HIGHEST = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}
TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object", type(None): "null"}


def breaks(old, new):
    """What of `new` was not promised by `old`, two whole schemas: a line for each, which begins with a pointer into `old`."""
    found = Comparison(old, new).compare(old, new, "")
    return list(dict.fromkeys(found))


class Comparison:
    def __init__(self, old, new):
        self.old_root, self.new_root = old, new

    def compare(self, old, new, at):
        old, new = resolved(old, self.old_root), resolved(new, self.new_root)
        if old is True or old is new is False:
            return []
        if new is False:
            return [f"{at}: can no longer be there"]
        if old is False:
            return [f"{at}: was never there"]
        new = {} if new is True else new
        for keyword in ("anyOf", "oneOf"):
            # Each of the cases must have been promised. Of two cases of `oneOf` none is looked for that excludes the other.
            if keyword in new:
                rest = without(new, keyword)
                return [line for case in new[keyword] for line in self.compare(old, merged(rest, case), at)]
        found = []
        for keyword in sorted(old.keys() - ANNOTATIONS - {"$defs", "then", "else", "additionalProperties"}):
            found += self.keyword(keyword, old, new, at)
        if "additionalProperties" in old:
            found += self.others(old, new, f"{at}/additionalProperties")
        return found

    def keyword(self, keyword, old, new, at):
        was, now = old[keyword], new.get(keyword)
        here = f"{at}/{keyword}"
        match keyword:
            case "properties":
                return self.properties(old, new, at)
            case "required":
                return [f"{here}: {name} is no longer required" for name in was if name not in new.get("required", [])]
            case "type":
                integers = {"integer"} if "number" in types(old) else set()
                wider = (types(new) or set(TYPES.values())) - types(old) - integers
                return [f"{here}: may now be {', '.join(sorted(wider))}"] if wider else []
            case "enum" | "const":
                return self.values(values(old), new, here)
            case "anyOf" | "oneOf":
                return self.cases(was, new, at, here)
            case "if":
                return self.condition(old, new, at)
            case "items":
                return self.compare(was, new.get("items", True), here)
            case _ if now == was or (keyword, said(was), said(now)) in narrower():
                return []
            case "pattern" if (allowed := values(new)) is not None:
                return [f"{here}: {said(one)} does not match" for one in allowed if not re.search(was, str(one))]
            case _ if keyword in LOWEST and now is not None and now > was:
                return []
            case _ if keyword in HIGHEST and now is not None and now < was:
                return []
        # What is not known here can be compared by a person only.
        return [f"{here}: was {said(was)}, is {said(now) if keyword in new else 'gone'}"]

    def properties(self, old, new, at):
        found, now = [], new.get("properties", {})
        for name, was in old["properties"].items():
            here = f"{at}/properties/{name}"
            found += self.compare(was, now[name], here) if name in now else [f"{here}: is gone"]
        return found

    def others(self, old, new, at):
        """What is promised of the properties that have no name in the old schema."""
        named = new.get("properties", {})
        others = {name: named[name] for name in sorted(named.keys() - old.get("properties", {}).keys())}
        promised = old["additionalProperties"]
        found = self.compare(promised, new.get("additionalProperties", True), at)
        return found + [line for name in others for line in self.compare(promised, others[name], f"{at}/{name}")]

    def cases(self, promised, new, at, here):
        """One of several cases was promised, and this one is."""
        # Said of the case that comes nearest, which is one of its type.
        compared = [self.compare(case, new, at) for case in promised]
        lines = min(compared, key=lambda lines: (any(line.startswith(f"{at}/type:") for line in lines), len(lines)))
        if lines and all(case.keys() == {"required"} for case in promised):
            return [f"{here}: {said(new.get('required', []))} is now enough"]
        return lines

    def values(self, allowed, new, at):
        now = values(new)
        if now is None:
            return [f"{at}: may now be anything"]
        return [f"{at}: may now be {said(one)}" for one in now if said(one) not in map(said, allowed)]

    def condition(self, old, new, at):
        """What is promised if something holds: under the same condition, or always."""
        same = "if" in new and plain(old["if"]) == plain(new["if"])
        found = []
        for keyword in ("then", "else"):
            if keyword not in old:
                continue
            now = without(new, "if", "then", "else")
            if same:
                now = merged(now, resolved(new.get(keyword, {}), self.new_root))
            lines = self.compare(old[keyword], now, f"{at}/{keyword}")
            found += lines if same or not lines else [f"{at}/if: the condition has changed", *lines]
        return found


def narrower():
    return {(keyword, said(was), said(now)) for keyword, was, now in NARROWER}


def without(schema, *keywords):
    return {keyword: value for keyword, value in schema.items() if keyword not in keywords}


def merged(one, other):
    """A schema that asks for what both ask for."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return one if other is True else other if one is True else False
    both = one | other
    for keyword in one.keys() & other.keys() - ANNOTATIONS:
        a, b = one[keyword], other[keyword]
        if a == b:
            continue
        if keyword == "required":
            both[keyword] = [*a, *(name for name in b if name not in a)]
        elif keyword == "properties":
            both[keyword] = a | b | {name: merged(a[name], b[name]) for name in a.keys() & b.keys()}
        elif keyword == "items":
            both[keyword] = merged(a, b)
        elif keyword in ("anyOf", "oneOf"):
            both[keyword] = [merged(case, too) for case in a for too in b]
        elif keyword == "allOf":
            both[keyword] = [*a, *b]
        elif keyword in ("type", "enum"):
            a, b = ([one] if isinstance(one, str) else one for one in (a, b))
            both[keyword] = [one for one in a if one in b]
        elif keyword in LOWEST | HIGHEST:
            both[keyword] = (max if keyword in LOWEST else min)(a, b)
        else:
            raise ValueError(f"cannot tell what follows from two of {keyword}: {said(a)} and {said(b)}")
    return both


def resolved(schema, root):
    """The schema without `$ref` and `allOf` at its top."""
    while isinstance(schema, dict) and ("$ref" in schema or "allOf" in schema):
        if "$ref" in schema:
            target = root
            for name in schema["$ref"].removeprefix("#").split("/")[1:]:
                target = target[name]
            schema = merged(target, without(schema, "$ref"))
        else:
            cases, schema = schema["allOf"], without(schema, "allOf")
            for case in cases:
                schema = merged(schema, resolved(case, root))
    return schema


def types(schema):
    """The types that it allows; None: any."""
    if "type" in schema:
        return {schema["type"]} if isinstance(schema["type"], str) else set(schema["type"])
    allowed = values(schema)
    return None if allowed is None else {TYPES[type(value)] for value in allowed}


def values(schema):
    """The values that it allows; None: any."""
    return [schema["const"]] if "const" in schema else schema.get("enum")


def said(value):
    # Not by `==`: to Python, 1 is True.
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def plain(schema):
    """The schema without what promises nothing. A property may be called like an annotation."""
    if not isinstance(schema, dict):
        return schema
    made = {}
    for keyword, value in without(schema, *ANNOTATIONS).items():
        if keyword in ("properties", "$defs"):
            value = {name: plain(one) for name, one in value.items()}
        elif keyword in ("anyOf", "oneOf", "allOf"):
            value = sorted(map(plain, value), key=said)
        elif keyword in ("required", "enum"):
            value = sorted(value, key=said)
        elif keyword not in ("const", "type"):
            value = plain(value)
        made[keyword] = value
    return made


def merchants_own(root=ROOT):
    """The channels that `make channel` made. What they promise is the merchant's to say, so they need not be recorded."""
    manifests = {path.parent.name: tomllib.loads(path.read_text()) for path in (root / "functions").glob("*/Cargo.toml")}
    return {name for name, manifest in manifests.items() if manifest["package"].get("metadata", {}).get("channel", {}).get("custom")}


class Contract:
    """The schemas of all channels, and what is recorded of them. Those of `own` need no record; one that has a record is held to it."""

    def __init__(self, schemas=SCHEMAS, recorded=RECORDED, own=frozenset()):
        self.recorded = recorded
        self.own = own
        self.schemas = {path.stem: json.loads(path.read_text()) for path in sorted(schemas.glob("*.json"))}
        majors = sorted(int(path.name) for path in recorded.glob("*") if path.name.isdigit())
        # The newest of each channel, which is all that a new schema can be held to.
        self.promised = {path.stem: (major, path) for major in majors for path in (recorded / str(major)).glob("*.json")}

    def breaking(self):
        """What may not be recorded: a line for each."""
        found = [f"{channel}: its schema is gone" for channel in sorted(self.promised.keys() - self.schemas.keys())]
        for channel, schema in self.schemas.items():
            found += [f"{channel} {line}" for line in self.breaking_of(channel, schema)]
        return found

    def breaking_of(self, channel, schema):
        name = re.fullmatch(ID, str(schema.get("$id")))
        if not name or name[1] != channel:
            return [f"/$id: must be urn:commerce-webhooks:message:{channel}:<major version>"]
        if resolved(schema["properties"].get("dataschema", {}), schema).get("const") != schema["$id"]:
            return ["/properties/dataschema: must have the $id as its const"]
        major, path = self.promised.get(channel, (0, None))
        if int(name[2]) == major:
            return breaks(json.loads(path.read_text()), schema)
        if int(name[2]) < major:
            return [f"/$id: was at major version {major} already"]
        return []

    def outdated(self):
        """The channels of which something else is recorded, or nothing."""
        return [channel for channel, schema in self.schemas.items() if self.is_outdated(channel, schema)]

    def is_outdated(self, channel, schema):
        _, path = self.promised.get(channel, (0, None))
        if path is None:
            return channel not in self.own
        return plain(json.loads(path.read_text())) != plain(schema)

    def problem(self):
        """What is wrong and what to do; None: nothing."""
        if breaking := self.breaking():
            todo = "Undo that, or give the messages a new major version, in dataschema and $id. See docs/contract.md."
            if not self.promised:
                todo = f"Nothing is recorded yet. When the schemas are as they should be, run: {RECORD}"
            return "\n  ".join(["consumers could not rely on the contract:", *breaking]) + f"\n{todo}"
        if outdated := self.outdated():
            return f"not recorded as it is, but nothing breaks: {', '.join(outdated)}. Run: {RECORD}"
        return None

    def record(self):
        """The files that were written."""
        written = []
        for channel in self.outdated():
            schema = self.schemas[channel]
            path = self.recorded / schema["$id"].rpartition(":")[2] / f"{channel}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
            written.append(path)
        return written


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["check", "record"])
    parser.add_argument("channels", nargs="*", metavar="CHANNEL", help="for record: also these of the merchant's own channels")
    options = parser.parse_args()
    own, what = merchants_own(), options.what
    if unknown := set(options.channels) - own:
        parser.error(f"{', '.join(sorted(unknown))}: no channel that `make channel` made; there are {', '.join(sorted(own)) or 'none'}")
    contract = Contract(own=own - set(options.channels))
    if contract.breaking() or what == "check":
        sys.exit(contract.problem())
    for path in contract.record():
        print(f"recorded {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
