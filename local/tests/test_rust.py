"""The Rust code stays a house in which a stranger finds the way: layers, sizes, names."""

import re

import pytest
from stack import ROOT

SHARED = ROOT / "shared" / "src"

# From the lowest to the highest. A module imports from itself and from lower layers.
LAYERS = [
    {"deadline", "environment", "operation"},
    {"aws", "model", "telemetry"},
    {"verify"},
    {"channel"},
    {"outcome", "stock"},
    {"request"},
    {"event"},
    {"deliver", "rules"},
    {"config"},
    {"pipeline"},
    {"runtime"},
    # For development, never in a function.
    {"schema"},
]
LEVELS = {module: level for level, modules in enumerate(LAYERS) for module in modules}

# Without tests, which have files of their own once they are longer than their limit.
LINES_MAX, TEST_LINES_MAX, COLUMNS_MAX = 420, 200, 100


def sources(*folders):
    """The Rust files of these folders, without what cargo makes."""
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.rs")) if "target" not in path.parts]


def split(path):
    """The code of a file, and the tests in it."""
    code, *tests = re.split(r"^#\[cfg\(test\)\]\n(?=[\w() ]*mod tests)", path.read_text(), maxsplit=1, flags=re.MULTILINE)
    return code, "".join(tests)


ALL = sources("shared", "functions", "consumers", "local")
CODE = [path for path in ALL if path.name != "tests.rs" and "tests" not in path.parts]
OURS = [path for path in CODE if path.is_relative_to(SHARED)]


def name(path):
    return str(path.relative_to(ROOT))


def trees(text):
    """The parts of a `use` tree, at its first level."""
    depth, part = 0, ""
    for character in text + ",":
        if character == "," and depth == 0:
            yield part.strip()
            part = ""
            continue
        depth += {"{": 1, "}": -1}.get(character, 0)
        part += character


def imported(code):
    """The modules of the crate that a file imports."""
    found = set()
    for tree in re.findall(r"\buse crate::(.*?);", code, re.DOTALL):
        inside = tree[1:-1] if tree.startswith("{") else tree
        found |= {re.split(r"\W", part)[0] for part in trees(inside) if part}
    without_comments = re.sub(r"//.*", "", code)
    found |= set(re.findall(r"\bcrate::(\w+)", without_comments))
    # The root exports the types of the channel, and the macros of the model are its own.
    return {module for module in found if module in LEVELS}


def module_of(path):
    return path.relative_to(SHARED).parts[0].removesuffix(".rs")


def test_every_module_has_a_layer():
    assert {module_of(path) for path in sources("shared/src")} - {"lib"} == set(LEVELS)


def test_imports_lead_downward():
    upward = {}
    for path in OURS:
        own = module_of(path)
        if own != "lib":
            code, _ = split(path)
            upward[name(path)] = {module for module in imported(code) - {own} if LEVELS[module] >= LEVELS[own]}
    assert {path: modules for path, modules in upward.items() if modules} == {}


def test_files_are_short_enough_to_read():
    lines = {name(path): [part.count("\n") for part in split(path)] for path in CODE}
    assert {path: code for path, (code, _) in lines.items() if code > LINES_MAX} == {}
    assert {path: tests for path, (_, tests) in lines.items() if tests > TEST_LINES_MAX} == {}, "move them to a file of their own, tests.rs"


def test_comments_are_short_enough_to_read():
    comments = [(name(path), line) for path in ALL for line in path.read_text().splitlines() if re.match(r"\s*//", line)]
    assert [(path, line) for path, line in comments if len(line) > COLUMNS_MAX] == []


def test_every_file_says_what_may_be_in_it():
    assert [name(path) for path in OURS if not path.read_text().startswith("//! ")] == []


@pytest.mark.parametrize("crate", ["shared/src", "consumers/worker/src"])
def test_no_two_types_have_one_name(crate):
    # Not the types of one function alone, nor those that an implementation gives to a trait.
    declared = re.compile(r"^(?:pub(?:\(\w+\))? )?(?:struct|enum|trait|union) (\w+)|^(?:pub(?:\(\w+\))? )?type (\w+)", re.MULTILINE)
    places = {}
    for path in sources(crate):
        if path.name != "tests.rs":
            code, _ = split(path)
            for found in declared.finditer(code):
                places.setdefault(found[1] or found[2], []).append(name(path))
    assert {found: where for found, where in places.items() if len(where) > 1} == {}
