"""`make apply` against a stand-in for the shop that misbehaves."""

import json
import socket
import sys
import uuid

import pytest
import stand_in
from shop_tool import (  # noqa: F401 — fixtures, too
    ADDRESS,
    BATCH,
    BUNDLE,
    FOREIGN,
    TIMES,
    aws,
    commerce_hooks,
    environment,
    flat,
    keys,
    rest,
    run,
    wanted,
)
from stack import ROOT
from stand_in import identity, running

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
    monkeypatch.setattr("bundle.OWN_FILE", tmp_path / "webhooks.xml")
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
        assert shop.changes() == ["unsubscribe", "subscribe", "subscribe"], "no other hook is risked"
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
    assert "shop: after that, the list is away" in said
    assert said.splitlines()[-1].startswith("shop: sales_order_place_after may be MISSING in the shop, whose list cannot be read. ")


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


# One channel, and hooks that are not required


def test_one_channel_is_changed_and_no_other(run):
    changed = {name: {"timeout": 1} for name in ("sales_order_place_after", "sales_order_save_after")}
    stray = {**FOREIGN, "batch_name": BATCH, "webhook_method": "observer.x"}
    with running(wanted(**changed, customer_delete_after=None) + [stray]) as shop:
        for name in ("sales_order_place_after", "observer.customer_delete_after"):
            code, said = run("plan", shop, "--channel", name)
            assert code == 2 and "sales_order_save_after" not in said
            assert f"Only the hooks of {name.removeprefix('observer.')} were looked at." in said
            code, said = run("apply", shop, "--yes", "--channel", name)
            assert code == 0 and f"the hooks of {name.removeprefix('observer.')} are as they should be" in said
            assert run("plan", shop, "--channel", name)[0] == 0
        assert shop.changes() == ["unsubscribe", "subscribe", "subscribe"]
        assert run("plan", shop)[0] == 2
        only = run("doctor", shop, "--channel", "sales_order_place_after")
        assert only[0] == 0 and "Only sales_order_place_after was looked at." in only[1]


@pytest.mark.parametrize("command", ["plan", "apply", "doctor"])
def test_a_channel_that_there_is_not_is_told_with_those_that_there_are(run, command):
    with running() as shop:
        code, said = run(command, shop, "--channel", "sales_order_placed\x1b[2J" + "x" * 1000)
        assert code == 1 and said.startswith("shop: there is no channel 'sales_order_placed")
        assert said.endswith("catalog_product_save_after, checkout_cart_product_add_after\n") and len(said) < 600
        assert shop.seen == []


def test_hooks_that_are_not_required_are_subscribed_without_a_check_and_said_to_be_so(run, monkeypatch):
    monkeypatch.setattr(ADDRESS, "usual", (502, "application/json", b"{}"))
    with running() as shop:
        code, said = run("apply", shop, "--yes", "--required", "false")
        assert code == 0 and "With REQUIRED=false no hook is required" in said, said
        assert {hook["required"] for hook in shop.live.values()} == {False} and len(shop.live) == 8
        assert ADDRESS.posts == [], "nothing stops the shop, so nothing is looked at"
        assert run("plan", shop, "--required", "false")[0] == 0
        code, said = run("plan", shop)
        assert code == 2 and said.count("false → true") == 7
        monkeypatch.setattr(ADDRESS, "usual", ADDRESS.RIGHT)
        examined = run("doctor", shop)[1]
        assert examined.count("  not required\n") == 8 and examined.count("is not required") == 1
        assert run("doctor", shop, "--required", "true") == (1, "shop: argument --required: invalid choice: 'true' (choose from 'false')\n")


# What must hold before required hooks are subscribed


def test_an_address_that_does_not_answer_as_the_bundle_gets_no_required_hook(run, monkeypatch):
    monkeypatch.setattr(ADDRESS, "usual", (200, "text/html", b"<html>Welcome</html>"))
    with running() as shop:
        code, said = run("apply", shop, "--yes")
        assert code == 1 and shop.changes() == []
        assert "These 7 hooks are required: when one fails, the shop stops the shopper." in said
        assert "does not answer as this bundle: somebody else. Status 200 is an answer that these functions do not give." in flat(said)
        assert "To go on all the same: ANYWAY=unanswered" in flat(said) and said.count("ANYWAY=") == 1
        assert said.endswith("nothing was changed. To begin harmlessly, subscribe the hooks as not required: REQUIRED=false\n")
        assert run("apply", shop, "--yes", "--anyway", "path,no-key")[0] == 1, "each check has its own word"
        assert run("apply", shop, "--yes", "--anyway", "unanswered")[0] == 0
    monkeypatch.setattr(ADDRESS, "usual", ADDRESS.RIGHT)
    monkeypatch.setattr(ADDRESS, "others", {"customer_delete_after": (404, "application/json", b'{"message":"Not Found"}')})
    with running() as shop:
        code, said = run("apply", shop, "--yes")
        assert code == 1 and "this bundle for customer_delete_after: no such route." in flat(said) and shop.changes() == []
        assert run("apply", shop, "--yes", "--channel", "sales_order_place_after")[0] == 0, "that one answers"


def test_an_address_that_does_not_exist_gets_no_required_hook(run):
    with running() as shop:
        code, said = run("apply", shop, "--yes", "--url", "https://nowhere.invalid")
        assert code == 1 and "does not answer as this bundle: no such host. DNS does not know nowhere.invalid." in flat(said)
        code, said = run("doctor", shop, "--url", "https://nowhere.invalid")
        assert code == 1 and "On all 8 channels: error" in flat(said) and said.count("no such host") == 1
        assert shop.changes() == []


@pytest.mark.parametrize("path", ["/webhook", "/prod/", "/webhook/observer.x/more"])
def test_a_url_with_a_path_gets_no_required_hook(run, monkeypatch, path):
    with running() as shop:
        code, said = run("apply", shop, "--yes", "--url", BUNDLE + path, "--anyway", "unanswered")
        assert code == 1 and f"has a path, {path.rstrip('/')}." in said and f"→ Give URL={BUNDLE}. To go on all the same: ANYWAY=path" in flat(said)
        assert ("/webhook/webhook/…" in said) == (path == "/webhook")
        assert f"has a path, {path.rstrip('/')}" in run("doctor", shop, "--url", BUNDLE + path)[1]
        assert shop.changes() == []
        assert run("apply", shop, "--yes", "--url", BUNDLE + path, "--anyway", "unanswered,path")[0] == 0
        assert {hook["url"].removeprefix(BUNDLE + path.rstrip("/")).partition(".")[0] for hook in shop.live.values()} == {"/webhook/observer"}


def test_without_a_stack_it_is_said_that_the_key_was_not_looked_at(run):
    with running() as shop:
        code, said = run("apply", shop, "--yes")
        assert code == 0 and "Whether the shop has a key in the secret of the stack was not checked: no stack is named." in flat(said)


PUBLIC = (ROOT / "shared" / "tests" / "signature" / "public-key.pem").read_text()
SAMPLE = (ROOT / "events" / "sample-keys" / "public-key.pem").read_text()
GENERATED = "aB3" * 21 + "x"
USED, ADDED = "an-hmac-secret-of-the-operator", "another-secret-of-the-operator"


@pytest.fixture
def secret(stack, account, monkeypatch):
    """Puts a secret into the emulated Secrets Manager, and makes the stack `any` have it."""
    for name, value in account.items():
        monkeypatch.setenv(name, value)

    def put(content, schemes="hmac,rsa", emulated=False):
        text = content if isinstance(content, str) else json.dumps(content)
        arn = stack.client("secretsmanager").create_secret(Name=f"apply-{uuid.uuid4().hex[:8]}", SecretString=text)["ARN"]
        said = {**TIMES, "invalid_events": "refuse", "contract": "tolerant", "schemes": schemes, "secret": arn}
        monkeypatch.setattr("aws.stack_says", lambda _: (BUNDLE, said))
        original = aws.secret_store
        monkeypatch.setattr("keys.secret_store", lambda: (original()[0], emulated))
        return arn

    return put


@pytest.mark.parametrize(
    ("content", "how", "lacking"),
    [
        ({"public_keys": [], "hmac_secrets": GENERATED}, {}, "it holds only the HMAC secret that the deployment generated"),
        ({"public_keys": [SAMPLE], "hmac_secrets": GENERATED}, {}, "it holds only the HMAC secret that the deployment generated"),
        ({"public_keys": ["hush"], "hmac_secrets": ["short"]}, {}, "it holds no key that can be used"),
        ({"public_keys": [SAMPLE]}, {}, "it holds no key that can be used"),
        ("no JSON", {}, "it holds no key that can be used"),
        ({"public_keys": [PUBLIC]}, {"schemes": "hmac"}, "its keys are not of the kind that SignatureSchemes=hmac takes"),
        ({"hmac_secrets": [USED]}, {"schemes": "rsa"}, "its keys are not of the kind that SignatureSchemes=rsa takes"),
        ({"public_keys": [PUBLIC], "hmac_secrets": GENERATED}, {}, None),
        ({"hmac_secrets": [GENERATED, ADDED]}, {}, None),
        ({"hmac_secrets": USED}, {}, None),
        ({"public_keys": [SAMPLE]}, {"emulated": True}, None),
        ({}, {"schemes": "accept-unsigned"}, None),
    ],
)
def test_a_secret_without_a_key_of_the_shop_gets_no_required_hook(run, secret, content, how, lacking):
    secret(content, **how)
    with running() as shop:
        code, said = run("apply", shop, "--yes", "--stack", "any")
        if lacking is None:
            assert code == 0, said
            return
        assert code == 1 and shop.changes() == []
        assert f"The secret of any has no key that the shop could use: {lacking}. Every event would get 401." in flat(said)
        assert "Add the shop's public key: make keys PEM=shop.pem STACK=any. To go on all the same: ANYWAY=no-key" in flat(said)
        assert f"no key that the shop could use: {lacking}" in flat(run("doctor", shop, "--stack", "any")[1])
        assert run("apply", shop, "--yes", "--stack", "any", "--anyway", "no-key")[0] == 0


def test_a_secret_that_may_not_be_read_is_said_not_to_be_checked(run, secret, monkeypatch):
    secret({})
    monkeypatch.setattr("aws.stack_says", lambda _: (BUNDLE, {**TIMES, "schemes": "hmac,rsa", "secret": "there-is-none"}))
    with running() as shop:
        code, said = run("apply", shop, "--yes", "--stack", "any")
        assert code == 0 and "was not checked: the secret cannot be read:" in flat(said)
        assert "info the secret of any was not looked at" in flat(run("doctor", shop, "--stack", "any")[1])


def test_the_published_keys_are_for_an_emulator_only(secret, monkeypatch, tmp_path, capsys):
    file = ROOT / "events" / "sample-keys"
    for kind, name in (("pem", "public-key.pem"), ("hmac", "hmac-secret.txt")):
        arn = secret({"hmac_secrets": GENERATED})
        monkeypatch.setattr("keys.described", lambda _: {"Outputs": [{"OutputKey": "WebhookKeysArn", "OutputValue": arn}]})
        with pytest.raises(SystemExit, match=f"{name} holds the published sample, with which anybody can sign"):
            keys.main("any", kind, file / name)
        secret({}, emulated=True)
        keys.main("any", kind, file / name)
        assert "Added " in capsys.readouterr().out
