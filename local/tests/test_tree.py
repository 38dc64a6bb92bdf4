"""Every channel has all its parts, and what is said twice is said alike."""

import re
import tomllib
import xml.etree.ElementTree as ElementTree

import pytest
from stack import EVENTS, ROOT, channels, constant, template

FUNCTIONS = {path.name for path in (ROOT / "functions").iterdir() if path.is_dir()}
HOOKS = {method.get("name"): method for method in ElementTree.parse(ROOT / "commerce" / "webhooks.xml").getroot()}


def test_nothing_is_there_without_its_channel():
    assert set(channels()) == FUNCTIONS, "template.yaml and functions/"
    assert set(HOOKS) == {f"observer.{channel}" for channel in FUNCTIONS}, "commerce/webhooks.xml and functions/"
    assert {path.name for path in EVENTS.iterdir() if path.is_dir()} == {*FUNCTIONS, "sample-keys"}, "events/ and functions/"
    assert {path.stem for path in (ROOT / "shared" / "schema").iterdir()} == FUNCTIONS, "shared/schema/ and functions/"


@pytest.mark.parametrize("channel", sorted(FUNCTIONS))
def test_a_channel_is_complete(channel):
    folder = ROOT / "functions" / channel
    assert f'name = "{channel}"' in (folder / "Cargo.toml").read_text(), "the binary is named like the channel"
    library = (folder / "src" / "lib.rs").read_text()
    assert 'const NAME: &str = env!("CARGO_PKG_NAME");' in library, "the channel has the name of its package"

    events = template()["Resources"][channels()[channel]]["Properties"]["Events"]
    routes = [(event["Properties"]["Method"], event["Properties"]["Path"]) for event in events.values()]
    assert routes == [("POST", f"/webhook/observer.{channel}")]

    cases = {path.name.split(".")[0] for path in (EVENTS / channel).glob("*.body.json")}
    assert {"ideal", "default"} <= cases and len(cases) >= 3, "the spec's body, the shop's, and one with which something is wrong"
    statuses, irregular = [], False
    for case in cases:
        assert (EVENTS / channel / f"{case}.request.json").exists(), case
        answer = (EVENTS / channel / f"{case}.answer.json").read_text()
        statuses.append('"op": "success"' in answer)
        message = EVENTS / channel / f"{case}.message.json"
        assert message.exists() == statuses[-1], case
        irregular |= statuses[-1] and '"issues"' in message.read_text()
    assert not all(statuses) or irregular, "one case is not accepted, or has issues"


@pytest.mark.parametrize("channel", sorted(FUNCTIONS))
def test_a_hook_fits_the_template(channel):
    method = HOOKS[f"observer.{channel}"]
    hooks = list(method.iter("hook"))
    assert len(hooks) == 1
    hook = hooks[0]
    assert hook.get("url") == f"{{env:COMMERCE_WEBHOOKS_URL}}/webhook/observer.{channel}"
    assert hook.get("timeout") == str(template()["Parameters"]["HookTimeoutMs"]["Default"])
    # Until the template has the parameter, its default is what it will have.
    assert hook.get("softTimeout") == str(template()["Parameters"]["SoftTimeoutMs"]["Default"])
    assert hook.get("ttl") == "0", "a cached answer forwards nothing"
    assert hook.get("method") == "POST"
    assert method.get("type") == "after"
    assert hook.get("required") == ("false" if channel == "checkout_cart_product_add_after" else "true")
    assert hook.get("fallbackErrorMessage")
    assert [batch.get("name") for batch in method.iter("batch")] == ["aws_commerce_webhooks"]
    assert list(hook.iter("field")), "local/channels/tests/schema.rs checks which ones"


def test_each_function_is_a_dependency_of_the_channels_crate():
    manifest = tomllib.loads((ROOT / "local" / "channels" / "Cargo.toml").read_text())
    paths = {name: one["path"] for name, one in manifest["dependencies"].items() if "path" in one}
    assert paths == {channel: f"../../functions/{channel}" for channel in FUNCTIONS}


@pytest.mark.parametrize("channel", sorted(FUNCTIONS))
def test_a_function_is_its_channel_and_one_call(channel):
    folder, name = ROOT / "functions" / channel, "".join(word.title() for word in channel.split("_"))
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
