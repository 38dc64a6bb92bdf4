"""What `make run` shows of the bundle in the emulator, and what it does with the merchant's rules."""

import json

import pytest
import run
import stack as local_stack
from reload import Rules
from shop import condition, raw_body, request

PLACED = "sales_order_place_after"
ALL = [condition("order.increment_id", "notEmpty")]
REFUSE = {"mode": "enforce", "rules": [{"name": "no-orders", "when": ALL, "then": {"op": "exception", "message": "No."}}]}


def test_the_table_shows_the_queue_of_each_channel(stack, capsys):
    channels = local_stack.channels()
    rows = [(channel, 200, '{"op":"success"}', 7) for channel in channels]
    run.show(rows, {channel: {"MessageBody": {}} for channel in list(channels)[:-1]}, {})
    shown = {row[0]: row[4] for row in (line.split() for line in capsys.readouterr().out.splitlines()[1:])}
    urls = {stack.outputs["ErpQueueUrl"]: "ERP", stack.outputs["CrmQueueUrl"]: "CRM"}
    assert shown == {channel: urls[stack.queue(channel)] for channel in channels} | {list(channels)[-1]: "-"}
    assert {"ERP", "CRM"} <= set(shown.values())


def test_the_table_fits_a_terminal_whatever_is_in_it(capsys, monkeypatch):
    long = "plugin_" + "x" * 56 + "z"
    monkeypatch.setattr(run, "queue_of", lambda channel: "ErpQueue")
    answer = json.dumps([{"op": "replace"}] * 9)
    run.show([(long, 200, answer, 12345.6)], {long: {"MessageBody": {"subject": "s" * 99}}}, {long: ("refused " * 30, True)})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100 and "…" in lines[1] and lines[1].split()[0].endswith("xz")


def test_channels_with_the_same_reason_share_a_line(capsys):
    run.show([], {}, {"one": ("not forwarded", True), "two": ("refused", True), "three": ("not forwarded", True)})
    assert capsys.readouterr().out.splitlines()[2:] == ["one, three: not forwarded.", "two: refused."]


@pytest.mark.parametrize(
    ("message", "line", "text", "right"),
    [
        (None, {"outcome": "refused", "rules": "a"}, "refused by rule a of functions/sales_order_place_after/rules.json", True),
        (None, {"outcome": "refused", "rules": "a,b"}, "refused by rules a,b of", True),
        (None, {"outcome": "refused", "finding": "out_of_stock"}, "refused (out_of_stock), and not queued", False),
        (None, {"outcome": "not_forwarded", "rules": "a"}, "accepted and not forwarded, by rule a of", True),
        (None, {"outcome": "queue_unreachable"}, "queue_unreachable, and not queued", False),
        (None, {}, "no log line, and not queued", False),
        ({}, {"outcome": "accepted", "rules": "a", "observed": "refused"}, "accepted; if enforced: refused, by rule a of", True),
    ],
)
def test_a_sample_that_is_not_simply_queued_has_its_reason(message, line, text, right):
    said, is_right = run.reason(PLACED, message, line)
    assert said.startswith(text) and is_right == right
    assert run.reason(PLACED, {}, {"outcome": "accepted", "rules": "changed"}) is None


def test_what_it_says_when_it_is_up_fits_a_terminal(stack, capsys, monkeypatch):
    monkeypatch.setattr(stack, "api", run.API)
    run.introduce(stack)
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 100, said
    assert all(f"observer.{channel}" in said for channel in ("sales_order_place_after", "customer_delete_after"))


def test_a_hook_of_type_before_is_no_failure(monkeypatch):
    monkeypatch.setattr(run, "hook_types", lambda: {PLACED: "before"})
    said, right = run.reason(PLACED, None, {"outcome": "not_forwarded"})
    assert right and "because the hook is of type before" in said


def test_a_changed_rules_file_takes_effect_and_an_invalid_one_changes_nothing(stack, tmp_path, monkeypatch):
    """Through the routes of the gateway, which lead to a version. What `make run` shows is of the same channel."""
    file = tmp_path / "rules.json"
    file.write_text('{"rules": []}')
    (tmp_path / "copies").mkdir()
    rules = Rules(tmp_path / "copies", lambda channel: file)
    monkeypatch.setattr("reload.channels", lambda: [PLACED])
    rules.copy(PLACED)
    made = request(PLACED, {"order": {"increment_id": "000070001"}})

    def looks():
        return [line for _ in range(2) for line in rules.reload(stack)]

    def answer():
        return stack.post(PLACED, made["headers"], raw_body(made))[1]

    assert looks() == []
    file.write_text(json.dumps(REFUSE))
    (line,) = looks()
    assert line.startswith(f"Reloaded {file}: 1 enforced")
    assert answer() == '{"op":"exception","message":"No."}'
    assert run.log_lines(stack, [PLACED])[PLACED]["rules"] == "no-orders"

    file.write_text("{")
    (line,) = looks()
    assert line.startswith(f"{file}: ") and line.endswith(f"\nThe rules of {PLACED} stay as they were.")
    assert answer() == '{"op":"exception","message":"No."}' and looks() == [], "said once"

    file.write_text('{"rules": []}')
    (line,) = looks()
    assert line.startswith(f"Reloaded {file}: 0 enforced")
    assert answer() == '{"op":"success"}'
    stack.configure(PLACED, RULES_FILE=str(local_stack.NO_RULES))
    stack.messages(stack.queue(PLACED))


def test_the_url_can_be_the_same_at_every_start(stack):
    deployed, made = stack.api, request(PLACED, {"order": {"increment_id": "000070002"}})
    try:
        stack.serve_at("fixed")
        assert stack.url(PLACED) == f"{stack.endpoint}/_aws/execute-api/fixed/webhook/observer.{PLACED}"
        assert stack.post(PLACED, made["headers"], raw_body(made))[:2] == (200, '{"op":"success"}')
    finally:
        stack.client("apigatewayv2").delete_api(ApiId="fixed")
        stack.api = deployed
    stack.messages(stack.queue(PLACED))
