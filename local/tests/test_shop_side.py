"""The hooks in the shop: what commerce/webhooks.xml makes it send, and `plan`, `apply` and `doctor` against a stand-in for its REST."""

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import ssl
import sys
import urllib.parse

import pytest
import stand_in
from shop import request
from stack import EVENTS, ROOT, channels, replay, rules, template
from stand_in import IMS, IMS_TOKEN, INTEGRATION, SECRETS, TOKEN, identity, running

sys.path.append(str(ROOT / "commerce"))

import doctor  # noqa: E402
import hooks as commerce_hooks  # noqa: E402
import rest  # noqa: E402

specification = importlib.util.spec_from_file_location("commerce_shop", ROOT / "commerce" / "shop.py")
program = importlib.util.module_from_spec(specification)
sys.modules["commerce_shop"] = program
specification.loader.exec_module(program)

BUNDLE = "https://a1b2c3.execute-api.eu-west-1.amazonaws.com"
CHANNELS = sorted(channels())
OWN = commerce_hooks.from_xml((ROOT / "commerce" / "webhooks.xml").read_text())
BATCH = OWN[0].batch_name
TIMES = {"timeout": 5000, "soft_timeout": 1000}
FOREIGN = {
    "webhook_method": "observer.sales_order_place_after",
    "webhook_type": "before",
    "batch_name": "tax",
    "hook_name": "check",
    "url": "https://x.example/",
}


def flat(said):
    """Without the line breaks that the width of a terminal asks for."""
    return " ".join(said.split())


def wanted(**changes):
    """The hooks as this bundle wants them, as the shop's list would give them; `channel={…}` changes one, None takes it away."""
    made = {hook.channel: commerce_hooks.to_rest(commerce_hooks.for_bundle(hook, BUNDLE, 5000, 1000)) for hook in OWN}
    for channel, change in changes.items():
        made[channel] = None if change is None else made[channel] | change
    return [hook for hook in made.values() if hook]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("COMMERCE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("COMMERCE_TOKEN", TOKEN)
    monkeypatch.setattr(rest, "REPEATED", {verb: policy.new(backoff_factor=0) for verb, policy in rest.REPEATED.items()})


@pytest.fixture
def run(capsys):
    """Runs a command against a stand-in: exit code, and everything that was printed, which never holds a secret."""

    def run(command, shop=None, *more):
        where = ["--shop", getattr(shop, "url", shop)] if shop else []
        if not {"--url", "--stack"} & set(more):
            more = ("--url", BUNDLE, *more)
        capsys.readouterr()
        try:
            code = program.main([command, *where, *more])
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        for secret in SECRETS:
            assert secret not in out + err
        assert "Traceback" not in err
        return code, out + err

    return run


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


def fields_of(channel):
    return next(hook.fields for hook in OWN if hook.channel == channel)


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


# Plan


def test_a_fresh_shop_lacks_every_hook(run):
    with running([FOREIGN]) as shop:
        code, said = run("plan", shop)
        assert code == 2
        assert said.count("will be subscribed") == 8
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


# Apply


def test_apply_makes_it_so_and_leaves_others_alone(run):
    changed = {"url": "https://old.example/webhook/observer.sales_order_place_after"}
    extra = {**FOREIGN, "batch_name": BATCH}
    with running(wanted(sales_order_place_after=changed, customer_delete_after=None) + [FOREIGN, extra]) as shop:
        code, said = run("apply", shop, "--yes")
        assert code == 0, said
        assert shop.changes() == ["unsubscribe", "subscribe", "subscribe", "unsubscribe"]
        assert {identity(hook) for hook in wanted()} | {identity(FOREIGN)} == set(shop.live)
        assert run("plan", shop)[0] == 0
        assert run("apply", shop, "--yes")[0] == 0, "a second time"
        assert len(shop.changes()) == 4
        assert run("doctor", shop)[0] == 0


def test_apply_asks_first(run, monkeypatch):
    with running() as shop:
        code, said = run("apply", shop)
        assert code == 1 and "YES=1" in said
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)

        def at_its_end(_):
            raise EOFError

        for answer in (lambda _: "n", at_its_end):
            monkeypatch.setattr("builtins.input", answer)
            code, said = run("apply", shop)
            assert code == 2 and said.endswith("Nothing was changed.\n"), "there are changes still, which is no failure of make's"
        assert shop.changes() == []
        monkeypatch.setattr("builtins.input", lambda _: "y")
        assert run("apply", shop)[0] == 0
        assert len(shop.live) == 8


def test_a_dry_run_shows_the_requests_and_sends_none(run):
    with running(wanted(sales_order_place_after={"timeout": 1}, customer_delete_after=None)) as shop:
        code, said = run("apply", shop, "--dry-run")
        assert code == 2
        assert shop.changes() == []
        shown = [line.rpartition("/")[2] for line in said.splitlines() if line.startswith("POST ")]
        assert shown == ["unsubscribe", "subscribe", "subscribe"]
        bodies = said.partition("\nPOST ")[2]
        first, second, third = (json.loads(part[part.index("{") :]) for part in bodies.split("\nPOST "))
        assert set(first["webhook"]) == set(stand_in.IDENTITY)
        assert second["webhook"]["timeout"] == 5000
        assert third["webhook"]["fields"][1] == {"name": "data.customer.entity_id", "source": "data.customer.entity_id"}


def test_a_header_of_our_file_is_sent_and_its_value_never_shown(run, monkeypatch, tmp_path):
    text = (ROOT / "commerce" / "webhooks.xml").read_text()
    header = '<headers><header name="x-tenant">of-this-tenant</header></headers>'
    (tmp_path / "webhooks.xml").write_text(text.replace("<fields>", f"{header}<fields>", 1))
    monkeypatch.setattr(program, "OWN_FILE", tmp_path / "webhooks.xml")
    with running(wanted()) as shop:
        said = "".join(run("apply", shop, how)[1] for how in ("--dry-run", "--yes"))
        assert "x-tenant" in said and "of-this-tenant" not in said
        sent = [hook.get("headers") for hook in shop.live.values() if hook["hook_name"] == "sales_order_place_after"]
        assert sent == [[{"name": "x-tenant", "value": "of-this-tenant"}]]
        assert run("plan", shop)[0] == 0


CHANGED = {"sales_order_place_after": {"timeout": 1}, "sales_order_save_after": {"timeout": 2}}


def test_a_change_that_fails_is_rolled_back_and_hides_no_other(run):
    with running(wanted(**CHANGED)) as shop:
        shop.faults = [("POST subscribe", "The URL is not allowed")]
        code, said = run("apply", shop, "--yes")
        assert code == 1
        assert "The URL is not allowed" in flat(said) and "The old hook is in place." in flat(said)
        assert "sales_order_save_after: changed" in said
        live = {one[3]: hook for one, hook in shop.live.items()}
        assert live["sales_order_place_after"] == next(
            hook for hook in wanted(**CHANGED) if hook["hook_name"] == "sales_order_place_after"
        )
        assert live["sales_order_save_after"]["timeout"] == 5000
        assert run("apply", shop, "--yes")[0] == 0, "the next time it converges"
        assert run("plan", shop)[0] == 0


def test_a_change_that_cannot_be_rolled_back_says_so(run):
    with running(wanted(**CHANGED)) as shop:
        shop.faults = [("POST subscribe", "no"), ("POST subscribe", "no again")]
        code, said = run("apply", shop, "--yes")
        assert code == 1 and "THE HOOK IS GONE" in flat(said)
        assert len(shop.live) == 7
        assert run("apply", shop, "--yes")[0] == 0
        assert run("plan", shop)[0] == 0


def test_when_the_list_stays_away_nobody_claims_to_know(run, monkeypatch):
    original, calls = rest.Shop.hooks, []

    def once(self):
        calls.append(None)
        if len(calls) > 1:
            raise rest.ShopError("the list is away")
        return original(self)

    monkeypatch.setattr(rest.Shop, "hooks", once)
    with running(wanted(sales_order_place_after={"timeout": 1})) as shop:
        shop.faults = [("POST subscribe", "break"), ("POST subscribe", "break")]
        code, said = run("apply", shop, "--yes")
    assert code == 1 and "NOBODY KNOWS WHETHER THE HOOK IS THERE" in flat(said)


def test_a_shop_that_goes_away_before_a_change_has_changed_nothing(run):
    def go_away(handler):
        handler.close_connection = True
        handler.server.socket.shutdown(socket.SHUT_RDWR)

    with running(wanted(customer_delete_after=None)) as shop:
        shop.faults = [("GET list", go_away)]
        code, said = run("apply", shop, "--yes")
        assert code == 1 and shop.changes() == []
    assert "cannot be reached" in flat(said) and "Nothing was changed." in flat(said)


def test_a_hook_that_cannot_be_taken_out_stays(run):
    with running(wanted(**CHANGED)) as shop:
        shop.faults = [("POST unsubscribe", "not now")]
        code, said = run("apply", shop, "--yes")
    assert code == 1 and "The old hook is in place." in flat(said) and "sales_order_save_after: changed" in said
    assert len(shop.live) == 8


@pytest.mark.parametrize("fault", ["break", "do and break", 500, "page"])
@pytest.mark.parametrize("deed", ["subscribe", "unsubscribe"])
def test_after_an_unknown_outcome_the_list_is_read_again(run, deed, fault):
    with running(wanted(**CHANGED)) as shop:
        shop.faults = [(f"POST {deed}", fault)]
        code, said = run("apply", shop, "--yes")
        assert len(shop.live) == 8, "nothing is lost"
        if fault == "do and break":
            assert code == 0, said
        else:
            assert code == 1
            assert "The old hook is in place." in flat(said)
        assert run("apply", shop, "--yes")[0] == 0
        assert run("plan", shop)[0] == 0


@pytest.mark.parametrize(
    ("deed", "fault"),
    [("subscribe", "break"), ("subscribe", "do and break"), ("unsubscribe", "break"), ("unsubscribe", "do and break")],
)
def test_when_the_list_cannot_be_read_again_either_no_hook_is_lost(run, monkeypatch, deed, fault):
    original, calls = rest.Shop.hooks, []

    def away_once(self):
        calls.append(None)
        if len(calls) == 2:
            raise rest.ShopError("the list is away")
        return original(self)

    with running(wanted(sales_order_place_after={"timeout": 1})) as shop:
        shop.faults = [(f"POST {deed}", fault)]
        monkeypatch.setattr(rest.Shop, "hooks", away_once)
        code, said = run("apply", shop, "--yes")
        assert len(shop.live) == 8 and len(calls) >= 3
        assert (code == 0) == (fault == "do and break"), said
        assert code == 0 or "The old hook is in place." in flat(said)
        assert run("apply", shop, "--yes")[0] == 0
        assert run("plan", shop)[0] == 0


def test_a_hook_from_a_file_of_the_shop_is_named_as_such(run):
    from_file = {"url": f"{commerce_hooks.URL_VARIABLE}/webhook/observer.sales_order_place_after"}
    with running(wanted(sales_order_place_after=from_file)) as shop:
        assert "come from a webhooks.xml of the shop" in run("plan", shop)[1]
        assert run("doctor", shop)[0] == 0
        shop.in_files = set(shop.live)
        code, said = run("apply", shop, "--yes")
    assert code == 1 and "already exists" in said


def test_a_yes_that_changes_nothing_is_noticed(run, monkeypatch):
    monkeypatch.setattr(rest.Shop, "subscribe", lambda self, body: None)
    with running(wanted(customer_delete_after=None)) as shop:
        code, said = run("apply", shop, "--yes")
    assert code == 1 and "its list says otherwise" in flat(said)


def test_ctrl_c_waits_until_the_hook_is_whole(run):
    def interrupt(_):
        os.kill(os.getpid(), signal.SIGINT)

    with running(wanted(**CHANGED)) as shop:
        shop.faults = [("POST subscribe", interrupt)]
        code, said = run("apply", shop, "--yes")
        assert code == 1 and said.endswith("shop: stopped\n")
        assert shop.changes() == ["unsubscribe", "subscribe"], "the first hook, whole"
        assert len(shop.live) == 8


# Signing in


@pytest.mark.parametrize("credentials", [{"COMMERCE_TOKEN": TOKEN}, INTEGRATION, IMS], ids=["token", "OAuth 1.0a", "IMS"])
def test_each_way_to_sign_in_is_taken(run, monkeypatch, credentials):
    monkeypatch.delenv("COMMERCE_TOKEN")
    with running() as shop:
        for name, value in (credentials | {"COMMERCE_IMS_URL": f"{shop.origin}/ims/token/v3"}).items():
            monkeypatch.setenv(name, value)
        shop.faults = [("GET list", 503)]
        assert run("apply", shop, "--yes")[0] == 0
        assert run("plan", shop)[0] == 0
    signed_in = [path for _, path in shop.seen if path == "/ims/token/v3"]
    assert len(signed_in) == (2 if credentials is IMS else 0), "once a run"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"COMMERCE_TOKEN": None}, "no credentials in the environment"),
        ({"COMMERCE_CONSUMER_KEY": "x"}, "unset all but one"),
        ({"COMMERCE_TOKEN": None, "COMMERCE_CONSUMER_KEY": "x"}, "COMMERCE_CONSUMER_SECRET, COMMERCE_ACCESS_TOKEN"),
        (
            {"COMMERCE_TOKEN": None, "COMMERCE_CONSUMER_KEY": "x"},
            "COMMERCE_ACCESS_TOKEN and COMMERCE_ACCESS_TOKEN_SECRET are missing",
        ),
        ({"COMMERCE_TOKEN": None, **IMS, "COMMERCE_ORG_ID": None}, "COMMERCE_ORG_ID is missing"),
        (
            {"COMMERCE_TOKEN": None, "COMMERCE_CLIENT_ID": "client"},
            "the credentials of Adobe IMS are not complete: COMMERCE_CLIENT_SECRET and COMMERCE_ORG_ID are missing",
        ),
        (
            {"COMMERCE_TOKEN": None, **IMS, "COMMERCE_CLIENT_SECRET": "b"},
            "shop: COMMERCE_CLIENT_SECRET has fewer than 6 characters, which no real credential has.",
        ),
        (
            {"COMMERCE_TOKEN": None, **INTEGRATION, "COMMERCE_CONSUMER_KEY": "a", "COMMERCE_ACCESS_TOKEN": "12345"},
            "COMMERCE_CONSUMER_KEY and COMMERCE_ACCESS_TOKEN have fewer than 6 characters",
        ),
        ({"COMMERCE_TOKEN": f"{TOKEN}\n"}, "line breaks"),
        ({"COMMERCE_TOKEN": f"{TOKEN}€"}, "beyond ASCII"),
        ({"COMMERCE_IMS_URL": "http://ims.example/"}, "COMMERCE_IMS_URL must begin with https://"),
    ],
)
def test_credentials_that_cannot_be_are_told(run, monkeypatch, change, expected):
    for name, value in change.items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    with running() as shop:
        code, said = run("plan", shop)
        assert code == 1 and expected in said and said.count("\n") == 1
        assert shop.seen == []


def test_a_token_is_told_from_a_public_name(run, monkeypatch):
    monkeypatch.setenv("COMMERCE_CLIENT_ID", IMS["COMMERCE_CLIENT_ID"])
    monkeypatch.setenv("COMMERCE_ORG_ID", IMS["COMMERCE_ORG_ID"])
    monkeypatch.setenv("COMMERCE_TOKEN", IMS_TOKEN)
    with running() as shop:
        assert run("plan", shop)[0] == 2


def test_ims_that_refuses_is_told(run, monkeypatch):
    monkeypatch.delenv("COMMERCE_TOKEN")
    with running() as shop:
        for name, value in IMS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("COMMERCE_IMS_URL", f"{shop.origin}/ims/token/v3")
        monkeypatch.setenv("COMMERCE_CLIENT_SECRET", "another-secret-of-ours")
        code, said = run("plan", shop)
        assert code == 1 and "status 400 (invalid_client)" in said
        assert "another-secret-of-ours" not in said
        shop.faults = [("POST v3", "page")]
        assert "gave no token" in run("plan", shop)[1]


def test_a_wrong_signature_and_wrong_scopes_are_told(run, monkeypatch):
    monkeypatch.delenv("COMMERCE_TOKEN")
    with running() as shop:
        for name, value in (INTEGRATION | {"COMMERCE_ACCESS_TOKEN_SECRET": "another"}).items():
            monkeypatch.setenv(name, value)
        code, said = run("plan", shop)
        assert code == 1 and "one of the integration's four values is wrong" in said
        for name in INTEGRATION:
            monkeypatch.delenv(name)
        for name, value in (IMS | {"COMMERCE_IMS_URL": f"{shop.origin}/ims/token/v3", "COMMERCE_SCOPES": "openid"}).items():
            monkeypatch.setenv(name, value)
        assert "status 400 (invalid_scope)" in run("plan", shop)[1]


def test_a_netrc_does_not_take_the_place_of_the_token(run, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with running() as shop:
        assert run("plan", shop)[0] == 2


@pytest.mark.parametrize("credentials", [{"COMMERCE_TOKEN": TOKEN}, INTEGRATION], ids=["token", "OAuth 1.0a"])
def test_anything_below_v1_can_be_read_with_a_query(monkeypatch, credentials):
    def respond(self, kind, _):
        asked.append((kind, urllib.parse.parse_qsl(self.path.partition("?")[2])))
        return (200, b'{"items": []}') if self.known() else stand_in.problem(404, "No such entity")

    asked = []
    monkeypatch.setattr(stand_in.Handler, "respond", respond)
    query = {"searchCriteria[pageSize]": 100, "searchCriteria[filter_groups][0][filters][0][value]": "2026-06-18 20:27:11"}
    with running() as shop:
        assert rest.Shop(shop.url, credentials).get("orders", **query) == {"items": []}
        with pytest.raises(rest.ShopError, match="has no orders/7.") as failed:
            rest.Shop(shop.url, {"COMMERCE_TOKEN": "another-token"}).get("orders/7")
    assert failed.value.status == 404
    assert asked == [("GET orders", [(name, str(value)) for name, value in query.items()]), ("GET 7", [])]


# What a shop may answer


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("page", "something else than JSON"),
        ("huge", "more than 8 MB"),
        ("redirect", "sends us on to elsewhere.example (status 302)"),
        (400, '(status 400). The shop says: "Service said 400"'),
        (f"your token {TOKEN} is bad", "your token ••• is bad"),
    ],
)
def test_an_answer_of_no_use_is_told_in_one_line(run, fault, expected):
    with running() as shop:
        shop.faults = [("GET list", fault)]
        code, said = run("plan", shop)
    assert code == 1 and expected in said and said.count("\n") == 1


@pytest.mark.parametrize("fault", [429, 500, 503, "break"])
def test_reading_is_repeated_and_ends(run, fault):
    with running(wanted()) as shop:
        shop.faults = [("GET list", fault)] * 4
        assert run("plan", shop)[0] == 0
        shop.faults = [("GET list", fault)] * 5
        code, said = run("plan", shop)
        told = said.splitlines()
        news = "no answer yet" if fault == "break" else f"answered with status {fault}"
        assert code == 1 and len(told) == 5
        assert all(news in line and line.endswith(", trying again") for line in told[:4])
        assert told[4].startswith("shop: ")
        assert len(shop.seen) == 10


def test_a_post_is_repeated_only_if_it_was_certainly_not_done(run):
    with running(wanted(customer_delete_after=None)) as shop:
        shop.faults = [("POST subscribe", 503)]
        assert run("apply", shop, "--yes")[0] == 1
        assert shop.changes() == ["subscribe"]
        shop.seen.clear()
        shop.faults = [("POST subscribe", 429)]
        assert run("apply", shop, "--yes")[0] == 0
        assert shop.changes() == ["subscribe", "subscribe"]


def test_a_role_without_the_resource_is_told_which(run):
    with running(denied={"Magento_AdobeCommerceWebhooks::webhooks_list"}) as shop:
        code, said = run("plan", shop)
        assert code == 1 and "lacks the resource Magento_AdobeCommerceWebhooks::webhooks_list" in said
    with running(denied={"Magento_AdobeCommerceWebhooks::webhooks"}) as shop:
        code, said = run("apply", shop, "--yes")
        assert code == 1 and "lacks the resource Magento_AdobeCommerceWebhooks::webhooks," in flat(said)


def test_a_wrong_base_and_an_old_shop_are_told_apart(run, monkeypatch):
    with running() as shop:
        code, said = run("plan", f"{shop.origin}/plain/rest")
        assert code == 1 and "is SHOP the base of REST" in said
        monkeypatch.setattr(stand_in.Handler, "respond", lambda *_: stand_in.problem(404, "Request does not match any route."))
        code, said = run("plan", shop)
        assert code == 1 and "1.13.0" in said
        assert run("plan", f"{shop.url}/V1/")[0] == 1, "V1 may be there"
        assert shop.seen[-1] == ("GET", "/rest/all/V1/webhooks/list")


@pytest.mark.parametrize(
    "base",
    [
        "http://shop.example/rest/all",
        "shop.example",
        "https://user@shop.example/rest",
        "ftp://shop.example",
        "https://shop.example:port/rest",
        "https://shop.example:99999/rest",
        "https://[::1/rest",
        "",
    ],
)
def test_no_credentials_go_where_they_could_be_read(run, base):
    code, said = run("plan", None, "--shop", base)
    assert code == 1 and "SHOP" in said and said.count("\n") == 1


def test_a_shop_that_is_not_there_or_silent_or_not_trusted_is_told(run, monkeypatch, tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        code, said = run("plan", f"http://127.0.0.1:{nobody.getsockname()[1]}/rest/all")
        assert code == 1 and "cannot be reached" in said and "object at 0x" not in said
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(rest, "READ", 0.1)
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        code, said = run("plan", f"http://{host}/rest/all")
        again, end = said.splitlines()
        assert code == 1 and again == f"{host}: no answer yet, trying again" and end == f"shop: {host} gave no answer in time"
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    with running() as shop:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        shop.socket = context.wrap_socket(shop.socket, server_side=True)
        code, said = run("plan", shop.url.replace("http:", "https:").replace("127.0.0.1", "localhost"))
        assert code == 1 and f"no safe connection to localhost:{shop.server_port}" in said and said.count("\n") == 1
        assert shop.seen == []


def test_a_shop_that_answers_half_and_then_hangs_is_not_waited_for_longer(run, monkeypatch):
    def half(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[")
        handler.wfile.flush()
        handler.rfile.read(1)

    monkeypatch.setattr(rest, "READ", 0.1)
    with running() as shop:
        shop.faults = [("GET list", half)] * 9
        code, said = run("plan", shop)
        assert code == 1 and said.count("no answer yet, trying again") == 1 and "no answer in time" in said
        assert len(shop.seen) == 2


def test_https_to_a_port_without_it_is_told(run):
    with running() as shop:
        code, said = run("plan", shop.url.replace("http:", "https:"))
    assert code == 1 and said.count("\n") == 1
    assert f"127.0.0.1:{shop.server_port}: what answers there is not TLS; does it speak HTTPS at this port?" in said
    assert "SSL:" not in said


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://shop.example/rest", "shop.example"),
        ("https://shop.example:443/rest", "shop.example"),
        ("https://shop.example:8443/rest", "shop.example:8443"),
        ("http://localhost:80/rest", "localhost"),
        ("http://localhost:443/rest", "localhost:443"),
    ],
)
def test_a_host_is_named_with_a_port_that_is_not_the_usual_one(url, host):
    assert rest.host_of(url) == host


def test_what_nobody_expected_shows_no_secret_either(run, monkeypatch):
    def broken(self):
        raise RuntimeError(f"oh {TOKEN}")

    monkeypatch.setattr(rest.Shop, "hooks", broken)
    code, said = run("plan", "https://shop.example/rest/all")
    assert code == 1 and said == "shop: unexpected: RuntimeError: oh •••\n"


def test_the_program_itself_prints_no_token_at_all():
    with running() as shop:
        command = [sys.executable, ROOT / "commerce" / "shop.py", "plan", "--shop", shop.url, "--url", BUNDLE]
        ended = subprocess.run(command, env={**os.environ, "PYTHONWARNINGS": "default"}, capture_output=True, text=True)
    assert ended.returncode == 2 and "8 to subscribe" in ended.stdout
    assert TOKEN not in ended.stdout + ended.stderr


def test_whoever_starts_it_without_its_modules_is_told_how():
    command = [sys.executable, "-S", ROOT / "commerce" / "shop.py", "plan"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 1 and ended.stdout == ""
    assert "`make plan`" in ended.stderr and ".venv/bin/python" in ended.stderr and ended.stderr.count("\n") == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(("command", "codes"), [("plan", {2}), ("xml", {0, 1}), ("doctor", {1})])
def test_a_reader_that_has_read_enough_is_no_fault(command, codes, unbuffered):
    with running() as shop:
        where = ["--shop", shop.url, "--url", BUNDLE]
        reading, writing = os.pipe()
        os.close(reading)
        ended = subprocess.run(
            [sys.executable, ROOT / "commerce" / "shop.py", command, *where],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(writing)
    assert [line for line in ended.stderr.splitlines() if not line.startswith("Set in the shop's environment")] == []
    assert ended.returncode in codes


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
        assert "(timeout 5000 ms assumed, soft 1000 ms assumed)" in run("plan", shop)[1]
        assert "(timeout 600 ms, soft 1000 ms assumed)" in run("plan", shop, "--hook-timeout-ms", "600")[1]
        said = run("doctor", shop, "--hook-timeout-ms", "29000", "--soft-timeout-ms", "100")[1]
        assert "(timeout 29000 ms, soft 100 ms)" in said


# Doctor


@pytest.mark.parametrize(
    ("change", "level", "expected"),
    [
        ({"timeout": 0}, "error", "has no timeout"),
        ({"timeout": 2000}, "error", "has a timeout of 2000 ms"),
        ({"timeout": 9000}, "info", "has a timeout of 9000 ms"),
        ({"soft_timeout": None}, "warning", "has no soft timeout"),
        ({"soft_timeout": 5000}, "warning", "has a soft timeout of 5000 ms"),
        ({"soft_timeout": 500}, "info", "has a soft timeout of 500 ms"),
        ({"ttl": 60}, "error", "has a ttl of 60 s"),
        ({"url": f"{BUNDLE}/webhook/observer.sales_order_save_after"}, "error", "goes to"),
        ({"url": "https://old.example/webhook/observer.sales_order_place_after"}, "error", "not to this bundle"),
        ({"url": f"{BUNDLE.replace('https', 'http')}/webhook/observer.sales_order_place_after"}, "error", "plain HTTP"),
        ({"url": BUNDLE}, "error", "does not end in"),
        ({"method": "PUT"}, "error", "uses PUT, not POST"),
        ({"required": False}, "info", "is not required"),
        ({"fallback_error_message": None}, "info", "has no fallback message"),
        (
            {"rules": [{"field": "data.order.grand_total", "operator": "greaterThan", "value": "10"}]},
            "info",
            "has the condition data.order.grand_total greaterThan",
        ),
    ],
)
def test_the_doctor_finds(run, change, level, expected):
    with running(wanted(sales_order_place_after=change)) as shop:
        code, said = run("doctor", shop)
    line = next(line for line in said.splitlines() if expected in line)
    assert line.split()[0] == level
    assert code == (1 if level == "error" else 0)
    assert sum(line.split()[:1] in (["error"], ["warning"], ["info"]) for line in said.splitlines()) == 1, "nothing else"


def fields_without(channel, *endings, **more):
    kept = [field for field in fields_of(channel) if not field[0].endswith(endings)]
    return {
        "fields": [{"name": name, "source": source} for name, source in kept]
        + [{"name": name, "source": source} for name, source in more.items()]
    }


@pytest.mark.parametrize(
    ("channel", "change", "findings"),
    [
        (
            "sales_order_place_after",
            fields_without("sales_order_place_after", ".increment_id", ".entity_id", "items[].sku"),
            {"error": "does not send increment_id or entity_id", "warning": "does not send items[].sku"},
        ),
        (
            "sales_order_place_after",
            fields_without("sales_order_place_after", ".grand_total", "[].qty_ordered"),
            {"warning": "does not send grand_total, items[].qty_ordered"},
        ),
        (
            "sales_order_place_after",
            fields_without("sales_order_place_after", ".increment_id"),
            {"warning": "does not send increment_id"},
        ),
        (
            "sales_order_save_after",
            fields_without("sales_order_save_after", ".updated_at"),
            {"warning": "does not send updated_at"},
        ),
        ("sales_order_save_after", fields_without("sales_order_save_after", ".subtotal"), {"warning": "does not send subtotal"}),
        (
            "sales_order_save_after",
            fields_without("sales_order_save_after", "[].address_type"),
            {"warning": "does not send addresses[].address_type"},
        ),
        (
            "customer_save_after_data_object",
            fields_without("customer_save_after_data_object", "object.id"),
            {"warning": "does not send id"},
        ),
        (
            "customer_save_after_data_object",
            fields_without("customer_save_after_data_object", "object.id", ".email"),
            {"error": "does not send id or email"},
        ),
        (
            "customer_delete_after",
            fields_without("customer_delete_after", "entity_id", ".email"),
            {"error": "does not send entity_id or email"},
        ),
        (
            "customer_delete_after",
            fields_without("customer_delete_after", "entity_id", ".email", ".website_id"),
            {"error": "does not send entity_id or email with website_id"},
        ),
        ("customer_delete_after", fields_without("customer_delete_after", ".email"), {"warning": "does not send email"}),
        (
            "sales_order_invoice_pay",
            fields_without("sales_order_invoice_pay", ".entity_id", ".increment_id", ".order_id", ".grand_total"),
            {"error": "does not send entity_id or increment_id or order_id or grand_total"},
        ),
        (
            "customer_delete_after",
            fields_without("customer_delete_after", "entity_id", **{"data.customer.id": "data.customer.entity_id"}),
            {"info": "takes data.customer.id from"},
        ),
        ("sales_order_place_after", {"fields": [{"name": "eventName"}, {"name": "order", "source": "data.order"}]}, {}),
        ("sales_order_place_after", {"fields": [{"name": "eventName"}, {"name": "data.order"}]}, {}),
        ("sales_order_place_after", {"fields": [{"name": "eventName"}, {"name": "data"}]}, {}),
        ("sales_order_save_after", {"fields": [{"name": "eventName"}, {"name": "data.data_object", "source": None}]}, {}),
        ("sales_order_place_after", {"fields": []}, {}),
        ("sales_order_place_after", {"fields": [{"name": "data.order"}]}, {"warning": "does not send eventName"}),
        (
            "sales_order_place_after",
            {"fields": [{"name": "eventName"}, {"name": "body", "source": "data.order"}]},
            {"error": "does not send increment_id or entity_id", "warning": "does not send"},
        ),
        (
            "sales_order_place_after",
            fields_without(
                "sales_order_place_after", "items[].sku", **{"data.order.items[].sku": "data.order.items[].product_sku"}
            ),
            {"warning": "takes data.order.items[].sku from"},
        ),
    ],
)
def test_the_doctor_knows_which_fields_the_model_needs(run, channel, change, findings):
    with running(wanted(**{channel: change})) as shop:
        code, said = run("doctor", shop)
    said = {line.split()[0]: line for line in said.splitlines() if line.split()[:1] in (["error"], ["warning"], ["info"])}
    assert said.keys() == findings.keys()
    assert all(text in said[level] for level, text in findings.items())
    assert code == ("error" in findings)


def test_the_doctor_reads_what_identifies_an_event_and_what_is_expected_of_it_out_of_its_schema():
    contract = doctor.read_contract("sales_order_place_after")
    assert (contract.entity, contract.identity) == ("order", [["increment_id"], ["entity_id"]])
    assert contract.expected >= {"grand_total", "order_currency_code", "items[].sku", "items[].qty_ordered"}
    for channel in CHANNELS:
        contract = doctor.read_contract(channel)
        named = {path for together in contract.identity for path in together} | contract.expected
        lists = {path.split("[]")[0] for path in contract.fields}
        assert contract.identity and named <= {*contract.fields, *lists}, channel


@pytest.mark.parametrize("how", ["refuse", "quarantine", None])
def test_the_doctor_warns_of_unusable_events_that_are_lost(run, monkeypatch, how):
    monkeypatch.setattr("aws.stack_says", lambda _: (BUNDLE, dict(TIMES, invalid_events=how, contract="tolerant")))
    with running(wanted(sales_order_save_after={"required": False})) as shop:
        code, said = run("doctor", shop, "--stack", "any")
    channels_warned = re.findall(r"^! (\w+)  not required$", said, re.MULTILINE)
    assert code == 0
    assert channels_warned == (["sales_order_save_after", "checkout_cart_product_add_after"] if how == "refuse" else [])
    assert ("Deploy with InvalidEvents=quarantine" in flat(said)) == (how == "refuse")


def test_to_a_strict_bundle_an_expected_field_that_is_not_sent_is_an_error(run, monkeypatch):
    monkeypatch.setattr("aws.stack_says", lambda _: (BUNDLE, dict(TIMES, invalid_events="quarantine", contract="strict")))
    with running(wanted(sales_order_save_after=fields_without("sales_order_save_after", ".state"))) as shop:
        code, said = run("doctor", shop, "--stack", "any")
    assert code == 1 and "error does not send state With Contract=strict no event is of use without it." in flat(said)


def test_the_doctor_finds_hooks_that_are_not_there_twice_there_or_too_early(run):
    twice = {**wanted()[0], "batch_name": "by_hand", "hook_name": "orders"}
    hooks = wanted(
        customer_delete_after=None,
        catalog_product_save_after={"webhook_type": "before"},
        checkout_cart_product_add_after={"required": True},
    )
    other = {**FOREIGN, "webhook_method": "observer.x", "batch_name": BATCH, "required": False}
    with running(hooks + [twice, FOREIGN, other]) as shop:
        code, said = run("doctor", shop)
        planned = flat(run("plan", shop)[1])
    assert "! by_hand/orders, of another batch, sends observer.sales_order_place_after here, too" in planned
    lines, said = said.splitlines(), flat(said)
    assert code == 1
    for line in ("✗ sales_order_place_after  required", "✓ sales_order_save_after  required", "✗ customer_delete_after"):
        assert line in lines
    assert f"is subscribed 2 times: {BATCH}/sales_order_place_after, by_hand/orders" in said
    assert "customer_delete_after error is not subscribed" in said
    assert "checkout_cart_product_add_after required warning is required" in said
    assert "has the type before, not after" in said
    assert "warning is required" in said
    assert f"observer.x not required error {BATCH}/check is for an event that the bundle does not take" in said
    assert "Hooks of others, not looked at: 1." in said


def test_the_doctor_does_not_promise_to_change_what_is_not_ours(run):
    hooks = wanted(sales_order_place_after={"batch_name": "by_hand", "ttl": 60})
    with running(hooks) as shop:
        code, said = run("doctor", shop)
    assert code == 1 and "Change it in the shop" in said and "make apply" not in said


def test_the_doctor_asks_which_events_the_shop_supports(run):
    supported = [f"observer.{channel}" for channel in CHANNELS]
    with running(wanted(), supported=supported[1:]) as shop:
        code, said = run("doctor", shop)
        assert code == 1 and said.count("is not supported by this shop") == 1
        for none_of_ours in ([], ["observer.another_event"]):
            shop.supported = none_of_ours
            code, said = run("doctor", shop)
            assert code == 0 and said.count("has none of ours") == 1 and "1 warning." in said
        shop.supported = supported
        assert run("doctor", shop)[0] == 0
        shop.faults = [("GET supportedList", 403)]
        code, said = run("doctor", shop)
        assert code == 0 and "could not be asked" in said


def test_the_doctor_looks_at_the_rules_of_the_bundle(run, monkeypatch, tmp_path):
    written = json.loads(rules("sales_order_place_after").read_text())
    for rule in written["rules"]:
        rule.pop("enabled", None)
    written["rules"][0]["when"] += [
        {"field": "order.coupon_code", "operator": "notEmpty"},
        {"field": "data.quote.id", "operator": "notEmpty"},
    ]
    written["rules"].append(
        {"name": "off", "enabled": False, "when": [{"field": "order.off", "operator": "isEmpty"}], "then": {"op": "exception"}}
    )
    written["rules"][1]["then"] = {"op": "exception", "message": "Not {order.state} nor {order.mood}"}
    for folder in ("functions", "shared"):
        (tmp_path / folder).mkdir()
    (tmp_path / "shared" / "schema").symlink_to(ROOT / "shared" / "schema")
    for channel in CHANNELS:
        (tmp_path / "functions" / channel).mkdir()
        (tmp_path / "functions" / channel / "rules.json").write_text(rules(channel).read_text())
    (tmp_path / "functions" / "sales_order_place_after" / "rules.json").write_text(json.dumps(written))
    monkeypatch.setattr("doctor.ROOT", tmp_path)
    with running(wanted()) as shop:
        code, said = run("doctor", shop)
    assert code == 0
    found = [line.split("does not send ")[1].split(",")[0] for line in said.splitlines() if "does not send" in line]
    assert found == ["order.coupon_code", "data.quote.id", "order.mood"]


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


def test_the_readme_shows_what_is_printed(run):
    invoice = {"timeout": 2000, "ttl": 60} | fields_without("sales_order_invoice_pay", ".state", ".created_at")
    others = [{**FOREIGN, "hook_name": name} for name in "abc"]
    bundle = "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"
    hooks = [
        hook | {"url": hook["url"].replace(BUNDLE, bundle)}
        for hook in wanted(sales_order_invoice_pay=invoice, customer_delete_after=None)
    ]

    def told(text):
        return re.sub(r"127\.0\.0\.1:\d+|within \d+ ms", "", text)

    readme = told((ROOT / "README.md").read_text())
    where = ["--url", bundle, "--hook-timeout-ms", "5000", "--soft-timeout-ms", "1000"]
    with running(hooks + others) as shop:
        examined = told(run("doctor", shop, *where)[1])
        assert examined[examined.index("✗") :] in readme
        assert told(run("apply", shop, "--yes", *where)[1]) in readme


# The stack


def test_where_the_bundle_is_comes_from_its_stack(run, stack, monkeypatch):
    for name, value in {
        "AWS_ENDPOINT_URL": stack.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    with running() as shop:
        code, said = run("apply", shop, "--yes", "--stack", "commerce-webhooks")
        assert code == 0, said
        urls = {hook["url"] for hook in shop.live.values()}
        assert urls == {value for key, value in stack.outputs.items() if "/webhook/observer." in value}
        assert {hook["timeout"] for hook in shop.live.values()} == {5000}
        code, said = run("plan", shop, "--stack", "another-stack")
        assert code == 1 and said.count("\n") == 1
        assert said.startswith("shop: there is no stack another-stack in eu-west-1. Name another with STACK=…, or give URL=…")
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        assert run("plan", shop, "--stack", "commerce-webhooks")[0] == 0, "AWS_REGION alone will do"


@pytest.fixture
def no_aws(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "in which region is the stack commerce-webhooks? Set AWS_REGION, or give URL=…"),
        ({"AWS_REGION": "eu west", **KEYS}, "'eu west' is no region of AWS. Set AWS_REGION"),
        ({"AWS_REGION": "eu-west-1"}, "there are no credentials of AWS"),
        ({"AWS_REGION": "eu-west-1", "AWS_PROFILE": "shop"}, "~/.aws has no profile shop, which AWS_PROFILE names. Log in to AWS"),
        ({"AWS_REGION": "eu-west-1", **KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "AWS is out of reach in eu-west-1"),
    ],
)
def test_a_stack_that_cannot_be_asked_for_is_told_why(run, monkeypatch, no_aws, given, expected):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with running() as shop:
        code, said = run("plan", shop, "--stack", "commerce-webhooks")
    assert code == 1 and said.startswith(f"shop: {expected}") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "ExpiredToken", "AWS does not take the credentials (ExpiredToken). Log in to AWS again"),
        (403, "AccessDenied", "these credentials of AWS may not read the stack commerce-webhooks (cloudformation:DescribeStacks)"),
        (400, "ValidationError", "the stack commerce-webhooks in eu-west-1 cannot be read: AWS says ValidationError"),
    ],
)
def test_what_aws_refuses_is_told(run, monkeypatch, no_aws, status, code, expected):
    answer = f"<ErrorResponse><Error><Code>{code}</Code><Message>AKIAEXAMPLE is bad</Message></Error></ErrorResponse>"
    monkeypatch.setattr(stand_in.Handler, "respond", lambda *_: (status, answer.encode()))
    with running() as shop:
        for name, value in {"AWS_REGION": "eu-west-1", **KEYS, "AWS_ENDPOINT_URL": shop.origin}.items():
            monkeypatch.setenv(name, value)
        ended, said = run("plan", shop, "--stack", "commerce-webhooks")
    assert ended == 1 and said.startswith(f"shop: {expected}") and said.count("\n") == 1
    assert "AKIA" not in said
