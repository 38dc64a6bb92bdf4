"""`make plan` against a stand-in for the shop, its command line, and the readme's example of what is printed."""

import json
import re

import pytest
from shop_tool import BATCH, BUNDLE, FOREIGN, OWN, environment, fields_of, fields_without, program, rest, run, wanted  # noqa: F401
from stack import ROOT, template
from stand_in import IMS_TOKEN, running

# Plan


def test_a_fresh_shop_lacks_every_hook(run):
    with running([FOREIGN]) as shop:
        code, said = run("plan", shop)
        assert code == 2
        assert said.count("will be subscribed") == len(OWN)
        assert "Hooks of others, left alone: 1." in said
        assert shop.changes() == []


def test_a_plan_names_what_changes_and_hides_what_may_be_secret(run):
    changed = {"timeout": 2000, "required": False, "headers": [{"name": "Authorization", "value": f"Bearer {IMS_TOKEN}"}]}
    changed["fields"] = [{"name": "data.invoice.grand_total"}, {"name": "total", "source": "data.invoice.subtotal"}]
    extra = {**FOREIGN, "batch_name": BATCH}
    with running(wanted(sales_order_invoice_pay=changed, customer_delete_after=None) + [FOREIGN, extra]) as shop:
        code, said = run("plan", shop)
    assert code == 2
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert "timeout 2000 → 5000" in lines
    assert "required false → true" in lines
    assert "fields - total ← data.invoice.subtotal" in lines
    assert "headers - Authorization" in lines
    assert "+ customer_delete_after will be subscribed" in lines
    assert f"- sales_order_place_after (before, {BATCH}/check) will be unsubscribed" in lines
    assert "1 to subscribe, 1 to change, 1 to unsubscribe; 6 as they should be. Hooks of others, left alone: 1." in lines


def test_a_hook_that_sends_everything_is_told_apart(run):
    with running(wanted(sales_order_save_after={"fields": []})) as shop:
        code, said = run("plan", shop)
    assert code == 2 and f"everything → these {len(fields_of('sales_order_save_after'))} alone" in said


def as_php(hook):
    """The same hook as PHP may write it."""
    written = {
        name: str(value) if isinstance(value, int) and not isinstance(value, bool) else value for name, value in hook.items()
    }
    written |= {
        "method": "",
        "rules": {},
        "headers": None,
        "priority": None,
        "batch_order": None,
        "required": "1" if hook["required"] else "0",
    }
    written["fields"] = {str(at): {"name": one["name"], "source": None} for at, one in enumerate(reversed(hook["fields"]))}
    return written | {"id": 5, "active": True, "developer_console_oauth": None}


def test_however_php_writes_the_list_it_is_in_step(run):
    with running(wanted()) as shop:
        assert "could not be asked" not in run("doctor", shop)[1], "only SaaS says what it supports"
        assert run("plan", shop)[0] == 0
        shop.written = as_php
        assert run("plan", shop)[0] == 0
        assert run("doctor", shop)[0] == 0
        assert run("apply", shop, "--yes")[0] == 0
        assert shop.changes() == []


@pytest.mark.parametrize("listed", ["nonsense", 7, None, {"a": 1}, {"message": "no", "trace": {}}, ["x"]])
def test_a_list_that_is_none_is_told(run, listed, monkeypatch):
    with running() as shop:
        monkeypatch.setattr(rest.Shop, "hooks", lambda self: listed)
        code, said = run("plan", shop)
    assert code == 1 and said == "shop: the shop answered with something else than a list of hooks\n"


def test_a_hook_in_the_list_that_is_none_is_told(run, monkeypatch):
    with running() as shop:
        monkeypatch.setattr(rest.Shop, "hooks", lambda self: [{"url": "https://x"}])
        code, said = run("plan", shop)
    assert code == 1 and said == "shop: a hook in the shop's list has no webhook_method\n"


@pytest.mark.parametrize("empty", [[], {}])
def test_an_empty_list_is_one(run, empty, monkeypatch):
    monkeypatch.setattr(rest.Shop, "hooks", lambda self: empty)
    with running() as shop:
        assert run("plan", shop)[0] == 2


def test_a_timeout_that_is_no_number_is_shown(run):
    with running(wanted(sales_order_place_after={"timeout": "5 s"})) as shop:
        assert "5 s → 5000" in run("plan", shop)[1]
        code, said = run("doctor", shop)
    assert code == 1 and "has a timeout of 5 s ms" in said


def test_what_the_shop_says_cannot_write_to_the_terminal_nor_show_a_password(run):
    changed = {"url": "https://user:of-this-shop@x.example/?code=of-this-shop", "fallback_error_message": "\x1b[2Jno"}
    with running(wanted(sales_order_place_after=changed) + [{**FOREIGN, "batch_name": BATCH, "hook_name": "\x1b[2J"}]) as shop:
        for command in ("plan", "doctor"):
            said = run(command, shop)[1]
            assert "x.example/?•••" in said
            assert "\x1b" not in said and "of-this-shop" not in said


def test_a_hook_that_is_listed_twice_is_told(run):
    with running(wanted()) as shop:
        hooks = list(shop.live.values())
        shop.faults = [("GET list", (200, json.dumps([hooks[0] | {"url": "https://old.example/hook"}, *hooks]).encode()))]
        said = run("plan", shop)[1]
        assert f"{hooks[0]['webhook_method'].removeprefix('observer.')} ({hooks[0]['hook_name']}) stands more than once in the shop's list" in said


# The command line


@pytest.mark.parametrize(
    "arguments",
    [
        ["unplan"],
        ["plan", "--no-such-option"],
        ["plan", "--stack", "a", "--url", BUNDLE],
        *(["plan", "--url", BUNDLE, "--hook-timeout-ms", text] for text in ("5", "599", "29001", "0", "-1", "5 s", "²")),
        *(["plan", "--url", BUNDLE, "--soft-timeout-ms", text] for text in ("99", "29001")),
    ],
)
def test_a_wrong_command_line_is_a_failure_and_no_change(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        program.main(arguments)
    said = capsys.readouterr().err
    assert ended.value.code == 1, "2 says that there are changes"
    assert said.startswith("shop: ") and said.count("\n") == 1


def test_the_times_that_are_taken_are_those_of_the_template():
    for name, allowed in {"HookTimeoutMs": program.HOOK_TIMEOUT_MS, "SoftTimeoutMs": program.SOFT_TIMEOUT_MS}.items():
        parameter = template()["Parameters"][name]
        assert (allowed[0], allowed[-1]) == (parameter["MinValue"], parameter["MaxValue"])


def test_a_time_that_nobody_said_is_shown_as_assumed(run):
    with running() as shop:
        assert "(timeout 5000 ms, soft 1000 ms, assumed)" in run("plan", shop)[1]
        assert "(timeout 600 ms, soft 1000 ms assumed)" in run("plan", shop, "--hook-timeout-ms", "600")[1]
        said = run("doctor", shop, "--hook-timeout-ms", "29000", "--soft-timeout-ms", "100")[1]
        assert "(timeout 29000 ms, soft 100 ms)" in said


def test_the_readme_shows_what_is_printed(run, monkeypatch):
    invoice = {"timeout": 2000, "ttl": 60} | fields_without("sales_order_invoice_pay", ".state", ".created_at")
    others = [{**FOREIGN, "hook_name": name} for name in "abc"]
    hooks = wanted(sales_order_invoice_pay=invoice, customer_delete_after=None)

    def told(text):
        text = text.replace(BUNDLE, "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com")
        # What is left out depends on the stack, which a URL does not name.
        text = re.sub(r"! \w+ is left out, because[^!]*?CHANNEL=\w+\.\n", "", text)
        return re.sub(r"127\.0\.0\.1:\d+|within \d+ ms", "", text)

    readme = told((ROOT / "README.md").read_text())
    where = ["--url", BUNDLE, "--hook-timeout-ms", "5000", "--soft-timeout-ms", "1000"]
    # As with a stack whose secret has the shop's key.
    monkeypatch.setattr("checks.about_keys", lambda _: [])
    with running(hooks + others) as shop:
        examined = told(run("doctor", shop, *where)[1])
        assert examined[examined.index("✗") :] in readme
        assert told(run("apply", shop, "--yes", *where)[1]) in readme
