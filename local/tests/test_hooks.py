"""What commerce/webhooks.xml makes the shop send, and the commands that read and print the file."""

import json
import subprocess

import pytest
from shop import request
from shop_tool import BUNDLE, CHANNELS, OWN, OWN_FILE, commerce_hooks, environment, fields_of, run  # noqa: F401 — fixtures, too
from stack import EVENTS, ROOT, replay

# What the hooks send


def filtered(body, fields, keyed="kept", missing="null"):
    """The body as a hook with these fields sends it. Adobe documents lists and objects; of a map keyed by id it says nothing, and
    little of what is not there: so every likely way is tried."""
    tree = {}
    for name, source in fields:
        assert name == source, "nothing is renamed"
        at = tree
        for step in name.split("."):
            at = at.setdefault(step, {})
    return picked(tree, body, keyed, missing)


def picked(tree, value, keyed, missing):
    if not tree:
        return value
    result = {}
    for step, below in tree.items():
        name = step.removesuffix("[]")
        there = value.get(name) if isinstance(value, dict) else None
        if there is None and missing == "absent":
            continue
        if step == name and (below or there is not None):
            result[name] = picked(below, there, keyed, missing)
        elif isinstance(there, list):
            result[name] = [picked(below, one, keyed, missing) for one in there]
        elif isinstance(there, dict):
            parts = {key: picked(below, one, keyed, missing) for key, one in there.items()}
            result[name] = parts if keyed == "kept" else list(parts.values())
        else:
            result[name] = None
    return result


def entity_in(channel, case):
    """The name of the entity in the sample's message and the entity; nothing if it has no model or is not forwarded."""
    path = EVENTS / channel / f"{case}.message.json"
    message = json.loads(path.read_text()) if path.exists() else None
    data = message["MessageBody"]["data"] if message else {}
    return [(name, value) for name, value in data.items() if name not in ("original", "related", "issues", "more_issues")]


@pytest.mark.parametrize("missing", ["null", "absent"])
@pytest.mark.parametrize("keyed", ["kept", "listed"])
@pytest.mark.parametrize(
    ("channel", "case"), [*((channel, "default") for channel in CHANNELS if entity_in(channel, "default")), ("sales_order_place_after", "loaded")]
)
def test_what_the_hook_sends_gives_the_same_entity_as_everything(stack, channel, case, keyed, missing):
    body = json.loads((EVENTS / channel / f"{case}.body.json").read_text())
    less = filtered(body, fields_of(channel), keyed, missing)
    assert len(json.dumps(less)) < len(json.dumps(body))
    # Other spaces in the entity, or else some of these would be repeats of others, and one message.
    spaces = 1 + ["kept", "listed"].index(keyed) + 2 * ["null", "absent"].index(missing)
    answer, message = replay(stack, channel, request(channel, json.dumps(less, indent=spaces).encode()))
    assert answer["statusCode"] == 200
    [(entity, expected)] = entity_in(channel, case)
    assert message["MessageBody"]["data"][entity] == expected


def test_an_event_is_refused_when_its_hook_leaves_out_what_identifies_it(stack):
    channel = "sales_order_place_after"
    body = json.loads((EVENTS / channel / "default.body.json").read_text())
    fields = [field for field in fields_of(channel) if not field[0].endswith((".increment_id", ".entity_id"))]
    answer, message = replay(stack, channel, request(channel, filtered(body, fields)))
    assert (answer["statusCode"], message) == (422, None)


def test_should_a_shop_leave_keyed_lines_out_a_saved_order_comes_without_them(stack):
    body = json.loads((EVENTS / "sales_order_save_after" / "default.body.json").read_text())
    sent = filtered(body, fields_of("sales_order_save_after"))
    sent["data"]["order"] |= {"items": None, "addresses": None}
    answer, message = replay(stack, "sales_order_save_after", request("sales_order_save_after", sent))
    assert answer["statusCode"] == 200
    assert not message["MessageBody"]["data"]["order"].keys() & {"items", "billing_address", "shipping_address"}


def test_what_the_hook_sends_is_of_no_use_at_another_route(stack):
    body = json.loads((EVENTS / "sales_order_place_after" / "default.body.json").read_text())
    sent = filtered(body, fields_of("sales_order_place_after"))
    answer, message = replay(stack, "sales_order_save_after", request("sales_order_save_after", sent))
    assert (answer["statusCode"], message) == (400, None)


@pytest.fixture
def tree(tmp_path):
    """The project's samples and hooks, without rules."""
    (tmp_path / "events").symlink_to(EVENTS)
    for channel in CHANNELS:
        (tmp_path / "functions" / channel).mkdir(parents=True)
        write_rules(tmp_path, channel)
    (tmp_path / "commerce").mkdir()
    (tmp_path / "commerce" / "webhooks.xml").write_text((ROOT / "commerce" / "webhooks.xml").read_text())
    update(tmp_path)
    return tmp_path


def write_rules(tree, channel, *fields):
    made = [
        {"name": f"rule-{number}", "when": [{"field": field, "operator": "notEmpty"}], "then": {"op": "exception"}}
        for number, field in enumerate(fields)
    ]
    (tree / "functions" / channel / "rules.json").write_text(json.dumps({"rules": made}))


def update(tree, *options):
    """The exit code, what it says, and the fields of the hooks then."""
    ended = subprocess.run([ROOT / "target/debug/local", "hooks", "--root", tree, *options], capture_output=True, text=True)
    assert ended.stdout == "", "make webhooks-xml prints the file there"
    hooks = commerce_hooks.from_xml((tree / "commerce" / "webhooks.xml").read_text())
    return ended.returncode, ended.stderr, {hook.channel: [name for name, _ in hook.fields] for hook in hooks}


def test_a_hook_sends_what_the_rules_look_at(tree):
    channel = "customer_save_after_data_object"
    _, said, without = update(tree)
    assert said == "", "nothing changes"
    write_rules(tree, channel, "orig_customer_data_object.group_id", "delegate_data", "customer.rp_token", "customer.tier")
    code, said, fields = update(tree, "--check")
    assert code == 1 and fields == without and "is out of date. Run `make hooks`." in said
    code, said, fields = update(tree)
    # In front of what the file keeps below a comment, which has the first field already.
    *known, kept = without[channel]
    new = ["data.customer_data_object.tier", "data.delegate_data"]
    assert code == 0 and kept == "data.orig_customer_data_object" and fields == without | {channel: [*known, *new, kept]}
    assert said.splitlines() == [
        f"Hook of {channel}:",
        "  + data.customer_data_object.tier  for the rule rule-3",
        "  + data.delegate_data  for the rule rule-1",
        "  ! no hook sends data.customer_data_object.rp_token, which the rule rule-2 uses",
        "commerce/webhooks.xml is updated. Run `make apply`, or copy the file to the shop.",
    ]
    body = json.loads((EVENTS / channel / "default.body.json").read_text())
    for before in (None, {"id": 57, "email": "a@shop.example"}):
        body["data"]["orig_customer_data_object"] = before
        sent = filtered(body, [(name, name) for name in fields[channel]])
        assert sent["data"]["orig_customer_data_object"] == before, "whole, or null for a new account"
    write_rules(tree, channel)
    code, said, fields = update(tree)
    assert code == 0 and fields == without and "  - data.customer_data_object.tier  which no rule uses\n" in said


# Files


def test_our_own_file_is_healthy(run):
    code, said = run("doctor", None, "--xml", str(OWN_FILE))
    assert (code, "Nothing is wrong" in said) == (0, True), said


def test_the_doctor_looks_at_a_file(run, tmp_path):
    text = OWN_FILE.read_text()
    text = text.replace('timeout="5000"', 'timeout="100"', 1).replace('ttl="0"', 'ttl="5" sslVerification="false"', 1)
    text = text.replace('<field name="data.order.increment_id" />', '<field name="data.order.increment_id" remove="true" />', 1)
    (tmp_path / "webhooks.xml").write_text(text)
    code, said = run("doctor", None, "--xml", str(tmp_path / "webhooks.xml"))
    assert code == 1
    for expected in (
        "has a timeout of 100 ms",
        "has a ttl of 5 s",
        "has sslVerification off",
        "does not send increment_id",
        "make webhooks-xml",
    ):
        assert expected in said
    assert "3 errors" in said


@pytest.mark.parametrize("content", [None, "<config", "no xml"])
def test_a_file_that_cannot_be_read_is_told(run, tmp_path, content):
    path = tmp_path / "webhooks.xml"
    if content:
        path.write_text(content)
    code, said = run("doctor", None, "--xml", str(path))
    assert code == 1 and str(path) in said and said.count("\n") == 1


def test_the_file_is_printed_with_the_times_of_the_bundle(run):
    code, said = run("xml", None, "--hook-timeout-ms", "3000", "--soft-timeout-ms", "700")
    text, note = said[: said.index("</config>") + 9], said[said.index("</config>") + 9 :]
    hooks = commerce_hooks.from_xml(text)
    assert code == 0 and BUNDLE in note
    assert {(hook.timeout, hook.soft_timeout) for hook in hooks} == {(3000, 700)}
    assert [hook.fields for hook in hooks] == [hook.fields for hook in OWN]
