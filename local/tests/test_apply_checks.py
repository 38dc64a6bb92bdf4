"""What `make apply` asks for before it subscribes required hooks, and its options for one channel and for hooks that are not required."""

import json
import uuid

import pytest
from shop_tool import ADDRESS, BATCH, BUNDLE, FOREIGN, OWN, TIMES, aws, commerce_bundle, environment, flat, keys, run, wanted  # noqa: F401 — fixtures, too
from stack import ROOT, template
from stand_in import running

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
        listed = ", ".join(hook.channel for hook in commerce_bundle.own_hooks())
        assert said.endswith(f", but: {listed}\n") and len(said) < 300 + len(listed)
        assert shop.seen == []


def test_hooks_that_are_not_required_are_subscribed_without_a_check_and_said_to_be_so(run, monkeypatch):
    monkeypatch.setattr(ADDRESS, "usual", (502, "application/json", b"{}"))
    with running() as shop:
        code, said = run("apply", shop, "--yes", "--required", "false")
        assert code == 0 and "With REQUIRED=false no hook is required" in said, said
        assert {hook["required"] for hook in shop.live.values()} == {False} and len(shop.live) == len(OWN)
        assert ADDRESS.posts == [], "nothing stops the shop, so nothing is looked at"
        assert run("plan", shop, "--required", "false")[0] == 0
        code, said = run("plan", shop)
        assert code == 2 and said.count("false → true") == 7
        monkeypatch.setattr(ADDRESS, "usual", ADDRESS.RIGHT)
        examined = run("doctor", shop)[1]
        assert examined.count("  not required\n") == len(OWN) and examined.count("is not required") == 1
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
        assert code == 1 and f"On all {len(OWN)} channels: error" in flat(said) and said.count("no such host") == 1
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
        assert code == 0 and "Whether the bundle has a key of the shop was not checked: no stack is named." in flat(said)


PUBLIC = (ROOT / "shared" / "tests" / "signature" / "public-key.pem").read_text()
SAMPLE = (ROOT / "events" / "sample-keys" / "public-key.pem").read_text()
GENERATED = "aB3" * 21 + "x"
# As `openssl rand -hex 32` makes it.
HEX = "0123456789abcdef" * 4
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
        ({"hmac_secrets": HEX}, {}, None),
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
        proxy = " Where a proxy signs with that HMAC secret, nothing is to be added." if "generated" in lacking else ""
        assert f"Add the shop's public key: make keys PEM=shop.pem STACK=any.{proxy} To go on all the same: ANYWAY=no-key" in flat(said)
        assert f"no key that the shop could use: {lacking}" in flat(run("doctor", shop, "--stack", "any")[1])
        assert run("apply", shop, "--yes", "--stack", "any", "--anyway", "no-key")[0] == 0


def test_where_nobody_can_know_whether_there_is_a_key_no_required_hook_is_subscribed(run, secret, monkeypatch):
    secret({})
    monkeypatch.setattr("aws.stack_says", lambda _: (BUNDLE, {**TIMES, "schemes": "hmac,rsa", "secret": "there-is-none"}))
    with running() as shop:
        code, said = run("apply", shop, "--yes", "--stack", "any")
        assert code == 1 and shop.changes() == [] and "has a key of the shop cannot be known: the secret cannot be read:" in flat(said)
        assert "→ Run this where the secret can be read" in said and "ANYWAY=no-key" in flat(said)
        assert "info the secret of any was not looked at" in flat(run("doctor", shop, "--stack", "any")[1])
        assert run("apply", shop, "--yes", "--stack", "any", "--anyway", "no-key")[0] == 0


@pytest.mark.parametrize("script", [None, "exit 1", "echo old"], ids=["not built", "too old to know", "of another version"])
def test_without_the_tool_that_reads_the_secret_no_required_hook_is_subscribed(run, secret, monkeypatch, tmp_path, script):
    secret({"public_keys": [PUBLIC]})
    monkeypatch.setattr(keys, "TOOL", tmp_path / "local")
    if script:
        (tmp_path / "local").write_text(f"#!/bin/sh\ncat > /dev/null\n{script}\n")
        (tmp_path / "local").chmod(0o755)
    with running() as shop:
        code, said = run("apply", shop, "--yes", "--stack", "any")
        assert code == 1 and shop.changes() == [] and "cannot be known" in flat(said) and "ANYWAY=no-key" in flat(said)


def test_the_published_keys_are_for_an_emulator_only(secret, monkeypatch, tmp_path, capsys):
    file = ROOT / "events" / "sample-keys"
    for kind, name in (("pem", "public-key.pem"), ("hmac", "hmac-secret.txt")):
        arn = secret({"hmac_secrets": GENERATED})
        monkeypatch.setattr("keys.described", lambda _: {"Outputs": [{"OutputKey": "WebhookKeysArn", "OutputValue": arn}]})
        with pytest.raises(SystemExit, match=f"{name} contains the published sample key, with which anybody can sign"):
            keys.main("any", kind, file / name)
        secret({}, emulated=True)
        keys.main("any", kind, file / name)
        assert "Added " in capsys.readouterr().out


def test_the_generated_secret_is_known_by_the_length_that_the_template_gives_it():
    (generated,) = (
        one["Properties"]["GenerateSecretString"]
        for one in template()["Resources"].values()
        if one["Type"] == "AWS::SecretsManager::Secret"
    )
    assert keys.GENERATED_LENGTH == generated["PasswordLength"]
