"""Every channel has all its parts, and what is said twice is said alike."""

import re
import sys
import tomllib
import xml.etree.ElementTree as ElementTree

import pytest
from stack import EVENTS, ROOT, channels, constant, shipped, template

sys.path.insert(0, str(ROOT / "commerce"))

from names import channel_of, logical_id, routes_of  # noqa: E402

FUNCTIONS = {path.name for path in (ROOT / "functions").iterdir() if path.is_dir()}
METHODS = ElementTree.parse(ROOT / "commerce" / "webhooks.xml").getroot()
HOOKS = {channel_of(method.get("name"), method.get("type")): method for method in METHODS}
REPAIR = "`make channel` adds a channel with all its parts, and REMOVE=… removes it (docs/channels.md)"


def described(channel):
    """The method and the type of a channel's hook, as its code says them."""
    library = (ROOT / "functions" / channel / "src" / "lib.rs").read_text()
    method = re.search(r'const METHOD: &str =\s*"([^"]+)"', library)
    assert method, f"functions/{channel}/src/lib.rs: no METHOD"
    return method[1], "before" if "HOOK_TYPE: HookType = HookType::Before" in library else "after"


@pytest.mark.parametrize(("place", "there"), [
    ("template.yaml", set(channels())),
    ("commerce/webhooks.xml", set(HOOKS)),
    ("events/", {path.name for path in EVENTS.iterdir() if path.is_dir()} - {"sample-keys"}),
    ("shared/schema/", {path.stem for path in (ROOT / "shared" / "schema").iterdir()}),
    ("local/channels/Cargo.toml", {
        name for name, one in tomllib.loads((ROOT / "local" / "channels" / "Cargo.toml").read_text())["dependencies"].items()
        if one.get("path") == f"../../functions/{name}"
    }),
])  # fmt: skip
def test_every_channel_is_everywhere_and_nothing_is_there_without_its_channel(place, there):
    assert FUNCTIONS - there == set(), f"{place} lacks these channels of functions/. {REPAIR}"
    assert there - FUNCTIONS == set(), f"{place} has these channels, which functions/ has not. {REPAIR}"


@pytest.mark.parametrize("channel", sorted(FUNCTIONS))
def test_a_channel_is_complete(channel):
    folder = ROOT / "functions" / channel
    assert f'name = "{channel}"' in (folder / "Cargo.toml").read_text(), "the binary is named like the channel"
    library = (folder / "src" / "lib.rs").read_text()
    assert 'const NAME: &str = env!("CARGO_PKG_NAME");' in library, "the channel has the name of its package"
    method, hook_type = described(channel)
    assert channel_of(method, hook_type) == channel, "the name is made of METHOD and HOOK_TYPE"
    assert channels()[channel] == logical_id(channel), "template.yaml"

    events = template()["Resources"][channels()[channel]]["Properties"]["Events"]
    routes = [(event["Properties"]["Method"], event["Properties"]["Path"]) for event in events.values()]
    assert routes == [("POST", route) for route in routes_of(method, hook_type)]

    cases = {path.name.split(".")[0] for path in (EVENTS / channel).glob("*.body.json")}
    # A plugin's body has no envelope, so the spec has no form of it.
    required = {"default"} if method.startswith("plugin.") else {"ideal", "default"}
    missing = required - cases
    assert not missing and len(cases) > len(required), (
        f"events/{channel}/: {', '.join(missing) or 'a case with which something is wrong'} is missing; add CASE.body.json, then `make samples`"
    )
    statuses, irregular = [], False
    for case in cases:
        assert (EVENTS / channel / f"{case}.request.json").exists(), f"{case}: run `make samples`"
        answer = (EVENTS / channel / f"{case}.answer.json").read_text()
        statuses.append('"op": "success"' in answer)
        message = EVENTS / channel / f"{case}.message.json"
        # Nothing has happened yet, so nothing is queued.
        assert message.exists() == (statuses[-1] and hook_type == "after"), case
        irregular |= message.exists() and '"issues"' in message.read_text()
    assert not all(statuses) or irregular, "one case is not accepted, or has issues"


@pytest.mark.parametrize("channel", sorted(FUNCTIONS))
def test_a_hook_fits_the_template(channel):
    method = HOOKS[channel]
    assert (method.get("name"), method.get("type")) == described(channel)
    hooks = list(method.iter("hook"))
    assert len(hooks) == 1
    hook = hooks[0]
    assert hook.get("name") == channel
    assert hook.get("url") == f"{{env:COMMERCE_WEBHOOKS_URL}}{routes_of(*described(channel))[0]}"
    assert hook.get("timeout") == str(template()["Parameters"]["HookTimeoutMs"]["Default"])
    # Until the template has the parameter, its default is what it will have.
    assert hook.get("softTimeout") == str(template()["Parameters"]["SoftTimeoutMs"]["Default"])
    assert hook.get("ttl") == "0", "a cached answer forwards nothing"
    assert hook.get("method") == "POST"
    assert hook.get("required") in ("true", "false")
    if channel in shipped():
        cart = method.get("type") == "before" or channel == "checkout_cart_product_add_after"
        assert hook.get("required") == ("false" if cart else "true")
    assert hook.get("fallbackErrorMessage")
    assert [batch.get("name") for batch in method.iter("batch")] == ["aws_commerce_webhooks"]
    if channel in shipped():
        assert list(hook.iter("field")), "local/channels/tests/schema.rs checks which ones"


@pytest.mark.parametrize("channel", sorted(FUNCTIONS))
def test_a_function_is_its_channel_and_one_call(channel):
    folder, name = ROOT / "functions" / channel, logical_id(channel)
    lines = [line for line in (folder / "src" / "main.rs").read_text().splitlines() if line.startswith("    ")]
    assert len(lines) == 1 and re.fullmatch(rf"    shared::run\({name}(::default\(\))?\)", lines[0]), lines
    # So `cargo test` runs the tests of the library, and links no second binary without any.
    assert tomllib.loads((folder / "Cargo.toml").read_text())["bin"] == [{"name": channel, "test": False}]


LIMITS = [
    ("ELEMENTS_MAX", "{:,} elements", ["README.md", "SECURITY.md", "shared/src/outcome/failure.rs"]),
    ("LISTED_MAX", "at most {} elements", ["docs/contract.md"]),
    ("VALUE_BYTES_MAX", "at most {} bytes", ["docs/contract.md", "shared/src/schema.rs"]),
    ("POINTERS_MAX", "the first {} of them", ["README.md"]),
    ("CONTRACT_VERSION", 'SCHEMA_MAJOR: &str = "{}"', ["consumers/worker/src/event.rs"]),
    ("LEVELS_MAX", "{} levels", ["README.md", "SECURITY.md", "shared/src/event/limits.rs"]),
    ("MEMBERS_MAX", "{} members", ["SECURITY.md", "shared/src/event/limits.rs"]),
    ("RULES_MAX", "{} rules", ["SECURITY.md", "docs/rules.md"]),
    ("REGEXES_MAX", "{} conditions with a `regex`", ["docs/rules.md"]),
    ("CONDITIONS_MAX", "{} conditions", ["SECURITY.md", "docs/rules.md"]),
    ("OPERATIONS_MAX", "{} operations", ["docs/rules.md"]),
    ("LIST_MAX", "a list {} values", ["docs/rules.md"]),
]


@pytest.mark.parametrize(("name", "form", "places"), LIMITS, ids=[name for name, *_ in LIMITS])
def test_a_limit_is_said_as_it_is(name, form, places):
    for place in places:
        assert form.format(constant(name)) in (ROOT / place).read_text(), place


def test_the_sizes_of_texts_and_messages_are_said_as_they_are():
    security, rules = (ROOT / "SECURITY.md").read_text(), (ROOT / "docs" / "rules.md").read_text()
    kilobytes = constant("TEXT_BYTES_MAX") // 1024
    assert f"look at texts of at most {kilobytes} KB" in security
    # The number of its states stands in the test of the expressions.
    assert f"`/a.{{300}}b/` at {constant('WORK_MAX') // 605 // 1024} KB" in rules
    assert f"It looks at texts of up to {kilobytes} KB" in rules
    assert f"computed values of an event together have at most {constant('COMPUTED_BYTES_MAX') // 1024} KB" in rules
    assert f"at most {constant('EXPRESSION_BYTES_MAX') // 1024} KB long" in security
    assert f"a message of at most {constant('UNPACKED_BYTES_MAX') // 1024**2} MB before compression" in security


def test_the_files_that_the_architecture_names_exist():
    """By their path in the checkout or in one of the folders that the page is about."""
    named = set(re.findall(r"`([\w./-]+(?:\.(?:rs|py|json|toml|yaml|xml)|/))`", (ROOT / "ARCHITECTURE.md").read_text()))
    bases = ["", "shared", "shared/src", "shared/src/rules", "commerce", "local", "local/bench", "local/channels", "local/tests"]
    assert [path for path in sorted(named) if not any((ROOT / base / path).exists() for base in bases)] == []


def test_a_shops_name_and_the_keys_of_ims_are_the_same_everywhere():
    length = constant("SHOP_NAME_CHARS_MAX")
    for reader in ("commerce/shops.py", "consumers/worker.py", "local/tests/audit.py"):
        assert f'"[a-z0-9][a-z0-9_-]{{0,{length - 1}}}"' in (ROOT / reader).read_text(), reader
    assert f"SHOP_NAME_BYTES_MAX: usize = {length};" in (ROOT / "consumers/worker/src/origin.rs").read_text()
    default = template()["Parameters"]["ImsKeysUrl"]["Default"]
    assert f'IMS_KEYS_URL: &str = "{default}";' in (ROOT / "shared/src/config/keys.rs").read_text()
