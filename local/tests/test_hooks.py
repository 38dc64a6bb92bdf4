"""What commerce/webhooks.xml makes the shop send, and the commands that read and print the file."""

import json

import pytest
from shop import request
from shop_tool import BUNDLE, CHANNELS, OWN, commerce_hooks, environment, fields_of, run  # noqa: F401 — fixtures, too
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


@pytest.mark.parametrize("missing", ["null", "absent"])
@pytest.mark.parametrize("keyed", ["kept", "listed"])
@pytest.mark.parametrize(
    ("channel", "case"), [*((channel, "default") for channel in CHANNELS), ("sales_order_place_after", "loaded")]
)
def test_what_the_hook_sends_gives_the_same_entity_as_everything(stack, channel, case, keyed, missing):
    body = json.loads((EVENTS / channel / f"{case}.body.json").read_text())
    less = filtered(body, fields_of(channel), keyed, missing)
    assert len(json.dumps(less)) < len(json.dumps(body))
    # Other spaces in the entity, or else some of these would be repeats of others, and one message.
    spaces = 1 + ["kept", "listed"].index(keyed) + 2 * ["null", "absent"].index(missing)
    answer, message = replay(stack, channel, request(channel, json.dumps(less, indent=spaces).encode()))
    assert answer["statusCode"] == 200
    expected = json.loads((EVENTS / channel / f"{case}.message.json").read_text())["MessageBody"]["data"]
    [entity] = expected.keys() - {"original", "related"}
    assert message["MessageBody"]["data"][entity] == expected[entity]


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


def test_what_the_rules_that_ship_look_at_is_sent():
    body = json.loads((EVENTS / "customer_save_after_data_object" / "default.body.json").read_text())
    for before in (None, {"id": 57, "email": "a@shop.example"}):
        body["data"]["orig_customer_data_object"] = before
        sent = filtered(body, fields_of("customer_save_after_data_object"))
        assert sent["data"]["orig_customer_data_object"] == before, "whole, or null for a new account"


# Files


def test_our_own_file_is_healthy(run):
    code, said = run("doctor", None, "--xml", str(ROOT / "commerce" / "webhooks.xml"))
    assert (code, "Nothing is wrong" in said) == (0, True), said


def test_the_doctor_looks_at_a_file(run, tmp_path):
    text = (ROOT / "commerce" / "webhooks.xml").read_text()
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
