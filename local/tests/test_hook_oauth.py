"""Developer Console OAuth of hooks: what `plan`, `apply` and `doctor` make of it, and where the client secret never is."""

import base64
import json

import pytest
from shop_tool import (  # noqa: F401 — fixtures, too
    BUNDLE,
    CHANGED,
    OWN,
    TIMES,
    commerce_hooks,
    environment,
    flat,
    journals,
    keys,
    lose_a_hook,
    rest,
    run,
    wanted,
)
from stand_in import HOOK_OAUTH, HOOK_SECRET, encrypted, running

CLIENT, ORGANIZATION = HOOK_OAUTH["WEBHOOK_OAUTH_CLIENT_ID"], HOOK_OAUTH["WEBHOOK_OAUTH_ORG_ID"]
PLACED = "sales_order_place_after"
OTHER = {"client_id": "another-client", "client_secret": "of-another-client", "org_id": "1@AdobeOrg"}


def oauth(**changes):
    return {"client_id": CLIENT, "client_secret": HOOK_SECRET, "org_id": ORGANIZATION, "environment": "production"} | changes


def listed(**changes):
    """The hooks of a shop, all with the credentials, as its list gives them."""
    changes = {hook.channel: {"developer_console_oauth": oauth()} | changes.get(hook.channel, {}) for hook in OWN}
    return [encrypted(hook) for hook in wanted(**changes)]


def secrets_of(shop):
    """The client secrets that a shop has, decrypted."""
    given = [(hook.get("developer_console_oauth") or {}).get("client_secret") for hook in shop.live.values()]
    return [one and base64.b64decode(one.removeprefix("0:3:")).decode() for one in given]


@pytest.fixture
def given(monkeypatch):
    """Puts credentials into the environment, and makes a stand-in of IMS answer for them."""

    def put(shop=None, **changes):
        for name, value in (HOOK_OAUTH | changes).items():
            monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
        if shop:
            monkeypatch.setenv("WEBHOOK_OAUTH_IMS_URL", f"{shop.origin}/ims/token/v3")

    return put


@pytest.fixture
def stack(monkeypatch):
    """Makes the stack `any`, with a secret that knows these clients and organizations."""

    def make(schemes, clients=(CLIENT,), organizations=(ORGANIZATION,), kinds=("rsa",), ims_keys_url="https://ims-na1.adobelogin.com/ims/keys"):
        said = {**TIMES, "schemes": schemes, "secret": "arn", "ims_keys_url": ims_keys_url}
        monkeypatch.setattr("aws.stack_says", lambda _: (BUNDLE, said))
        monkeypatch.setattr("keys.known_of", lambda *_: keys.Known(frozenset(kinds), False, tuple(clients), tuple(organizations)))
        return "--stack", "any"

    return make


# Plan and apply


def test_hooks_get_the_credentials_of_the_environment_and_nobody_sees_the_secret(run, given):
    with running(wanted()) as shop:
        given(shop)
        code, said = run("plan", shop)
        assert code == 2 and flat(said).count(f"+ client_id {CLIENT}, environment production, org_id {ORGANIZATION}") == len(OWN)
        code, said = run("apply", shop, "--dry-run")
        assert code == 2 and said.count('"client_secret": "•••"') == len(OWN)
        assert run("apply", shop, "--yes")[0] == 0
        assert secrets_of(shop) == [HOOK_SECRET] * len(OWN)
        assert '"environment"' not in run("apply", shop, "--dry-run", "--renew-oauth")[1], "older releases do not know it"
        assert {form["scope"] for form in shop.forms} == {rest.HOOK_SCOPES}, "IMS is asked as the shop asks it"
        assert run("plan", shop)[0] == 0, "that the list has the secret encrypted is no difference"
        assert run("doctor", shop)[0] == 0
        given(WEBHOOK_OAUTH_ENVIRONMENT="staging")
        lines = [" ".join(line.split()) for line in run("plan", shop)[1].splitlines()]
        assert "developer_console_oauth - environment production" in lines and "+ environment staging" in lines
        assert run("apply", shop, "--dry-run")[1].count('"environment": "staging"') == len(OWN)


def test_the_secret_can_be_sent_again(run, given):
    with running(listed()) as shop:
        given(shop)
        assert run("plan", shop)[0] == 0
        code, said = run("plan", shop, "--renew-oauth")
        assert code == 2 and said.count("+ the client secret of the environment") == len(OWN)
        for hook in shop.live.values():
            hook["developer_console_oauth"]["client_secret"] = "0:3:b2xk"
        assert run("apply", shop, "--yes", "--renew-oauth")[0] == 0
        assert secrets_of(shop) == [HOOK_SECRET] * len(OWN)


def test_a_stack_that_needs_a_token_gets_no_hook_without_credentials(run, given, stack):
    for schemes in ("ims", "rsa+ims", "hmac+ims,rsa+ims"):
        where = stack(schemes)
        with running() as shop:
            for command in ("plan", "apply"):
                code, said = run(command, shop, *where)
                assert code == 1 and shop.seen == []
                assert f"the stack any takes no event without a token of Adobe IMS (SignatureSchemes={schemes})" in flat(said)
                assert "WEBHOOK_OAUTH_CLIENT_ID, WEBHOOK_OAUTH_CLIENT_SECRET and WEBHOOK_OAUTH_ORG_ID. How to get them: docs/ims.md." in flat(said)
            given(shop)
            assert run("apply", shop, "--yes", *where)[0] == 0
            assert secrets_of(shop) == [HOOK_SECRET] * len(OWN)
            given(**dict.fromkeys(HOOK_OAUTH))


def test_a_stack_that_looks_at_no_token_gives_hooks_none(run, given, stack):
    where = stack("hmac,rsa")
    with running(listed()) as shop:
        given(shop)
        code, said = run("plan", shop, *where)
        assert code == 2 and "so no hook gets Developer Console OAuth" in flat(said) and said.count(f"- client_id {CLIENT}") == len(OWN)
        given(**dict.fromkeys(HOOK_OAUTH))
        assert run("apply", shop, "--yes", *where)[0] == 0
        assert secrets_of(shop) == [None] * len(OWN)


def test_credentials_that_nobody_gives_are_left_and_not_lost_by_accident(run, given, stack):
    for where in ((), stack("rsa,ims")):
        with running(listed()) as shop:
            assert run("plan", shop, *where)[0] == 0, "whoever has no credentials does not mean to take them away"
            shop.live = {identity: hook | {"timeout": 1} for identity, hook in shop.live.items()}
            code, said = run("apply", shop, "--yes", *where)
            assert code == 1 and shop.changes() == []
            assert f"Hooks that change have the OAuth client {CLIENT}, whose client secret is not in the environment." in flat(said)
            assert said.endswith("shop: nothing was changed\n") and "ANYWAY=oauth" in flat(said)
            assert run("apply", shop, "--yes", "--anyway", "oauth", *where)[0] == 0
            assert secrets_of(shop) == [None] * len(OWN)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"WEBHOOK_OAUTH_CLIENT_SECRET": None}, "are not complete: WEBHOOK_OAUTH_CLIENT_SECRET is missing"),
        ({"WEBHOOK_OAUTH_CLIENT_ID": None, "WEBHOOK_OAUTH_ORG_ID": None}, "WEBHOOK_OAUTH_CLIENT_ID and WEBHOOK_OAUTH_ORG_ID are missing"),
        ({"WEBHOOK_OAUTH_CLIENT_SECRET": f"{HOOK_SECRET}\n"}, "WEBHOOK_OAUTH_CLIENT_SECRET must have no spaces, no line breaks"),
        ({"WEBHOOK_OAUTH_CLIENT_SECRET": "short"}, "has fewer than 6 characters"),
        ({"WEBHOOK_OAUTH_ENVIRONMENT": "stage"}, "WEBHOOK_OAUTH_ENVIRONMENT must be production or staging"),
    ],
)
def test_credentials_that_cannot_be_right_are_refused(run, given, changes, said):
    with running() as shop:
        given(shop, **changes)
        for command in ("plan", "apply", "doctor"):
            code, output = run(command, shop)
            assert code == 1 and said in flat(output) and shop.seen == []


def test_required_hooks_are_not_subscribed_if_ims_gives_no_token(run, given):
    with running() as shop:
        given(shop, WEBHOOK_OAUTH_CLIENT_SECRET="a-wrong-client-secret")
        code, said = run("apply", shop, "--yes")
        assert code == 1 and shop.changes() == [] and "a-wrong" not in said
        assert "Adobe IMS gave no token: status 400 (invalid_client). The shop would get none either" in flat(said)
        assert "To go on all the same: ANYWAY=no-token" in flat(said)
        assert "warning Adobe IMS gave no token: status 400 (invalid_client)." in flat(run("doctor", shop)[1])
        assert run("apply", shop, "--yes", "--anyway", "no-token")[0] == 0


# The way back


def test_an_old_hook_is_put_back_with_the_secret_of_the_environment(run, given):
    with running(listed(**{PLACED: {"timeout": 1}})) as shop:
        given(shop)
        before = dict(shop.live)
        shop.faults = [("POST subscribe", "The URL is not allowed")]
        code, said = run("apply", shop, "--yes")
        assert code == 1 and "The old hook is in place." in flat(said)
        assert shop.live == before, "its secret was not encrypted a second time"


def test_a_hook_of_another_client_changes_only_if_that_is_meant(run, given):
    with running(listed(**{PLACED: {"developer_console_oauth": OTHER}})) as shop:
        given(shop)
        code, said = run("apply", shop, "--yes")
        assert code == 1 and shop.changes() == []
        assert f"If the shop refuses a new hook, the old one can be put back only with the client {CLIENT}." in flat(said)
        shop.faults = [("POST subscribe", "The URL is not allowed")]
        code, said = run("apply", shop, "--yes", "--anyway", "oauth")
        assert secrets_of(shop) == [HOOK_SECRET] * len(OWN), "it was put back with what there is"
        assert run("plan", shop)[0] == 0


def test_the_journal_has_no_client_secret_and_the_next_run_needs_it(run, given):
    with running(listed(**{name: {**change, "developer_console_oauth_secret": "hush-hush"} for name, change in CHANGED.items()})) as shop:
        given(shop)
        lose_a_hook(run, shop)
        [journal] = journals()
        text = journal.read_text()
        assert CLIENT in text and "client_secret" not in text and HOOK_SECRET not in text and "0:3:" not in text and "hush-hush" not in text
        given(**dict.fromkeys(HOOK_OAUTH))
        code, said = run("apply", shop, "--yes")
        assert code == 1 and said.endswith(f"nothing was changed. Still MISSING in the shop: {PLACED}\n")
        given(shop)
        assert run("apply", shop, "--yes")[0] == 0 and journals() == []
        assert secrets_of(shop) == [HOOK_SECRET] * len(OWN)


def test_a_journal_of_an_older_release_gives_no_secret_back(run, given):
    with running(listed(**CHANGED)) as shop:
        given(shop)
        lose_a_hook(run, shop)
        [journal] = journals()
        written = json.loads(journal.read_text())
        written["hooks"][0]["old"]["developer_console_oauth"]["client_secret"] = "0:3:old"
        journal.write_text(json.dumps(written))
        assert run("apply", shop, "--yes")[0] == 0
        assert secrets_of(shop) == [HOOK_SECRET] * len(OWN)


# Doctor


NO_OAUTH = {"developer_console_oauth": None}


@pytest.mark.parametrize(
    ("schemes", "hook", "secret", "level", "expected"),
    [
        ("ims", NO_OAUTH, {}, "error", "has no Developer Console OAuth, and the stack takes no event without a token"),
        ("rsa,ims", NO_OAUTH, {}, None, None),
        ("rsa+ims", {}, {}, None, None),
        ("rsa", {}, {"ims_keys_url": None}, "info", "has Developer Console OAuth The shop asks Adobe IMS for tokens, and the stack looks at none"),
        ("ims", {}, {"clients": ["x"]}, "error", f"has the OAuth client {CLIENT}, which `ims` of the shop without a name in the secret does not name"),
        ("rsa,ims", {}, {"clients": ["x"]}, "warning", f"has the OAuth client {CLIENT}, which"),
        ("ims", {}, {"organizations": ["x"]}, "error", f"has the organization {ORGANIZATION}, which"),
        ("ims", {"developer_console_oauth": oauth(environment="staging")}, {}, "error", "gets its tokens from the staging environment"),
        ("ims", {}, {"ims_keys_url": "https://ims-na1-stg1.adobelogin.com/ims/keys"}, "error", "gets its tokens from the production environment"),
        ("ims", {}, {"ims_keys_url": "https://127.0.0.1/keys"}, None, None),
        ("ims", {"headers": [{"name": "authorization", "value": "Basic x"}]}, {}, "error", "has a header Authorization beside"),
    ],
)
def test_the_doctor_compares_hooks_and_secret(run, stack, schemes, hook, secret, level, expected):
    where = stack(schemes, **secret)
    with running(listed(**{PLACED: hook})) as shop:
        said = flat(run("doctor", shop, *where, "--channel", PLACED)[1])
    assert (f"{level} {expected}" in said) if level else ("OAuth" not in said)
    if expected and "client" in expected:
        assert f"→ make keys IMS_CLIENT={CLIENT} IMS_ORG={ORGANIZATION} STACK=any" in said


def test_what_a_shop_lists_is_no_command(run, stack):
    where = stack("ims", clients=["x"])
    with running(listed(**{PLACED: {"developer_console_oauth": oauth(client_id="$(shell id)", org_id="`id`")}})) as shop:
        said = flat(run("doctor", shop, *where, "--channel", PLACED)[1])
    assert "→ make keys IMS_CLIENT=… IMS_ORG=… STACK=any" in said


def test_a_secret_that_takes_no_token_of_the_hooks_gets_no_required_hook(run, given, stack):
    where = stack("rsa+ims", clients=["x"])
    with running() as shop:
        given(shop)
        code, said = run("apply", shop, "--yes", *where)
        assert code == 1 and shop.changes() == [] and "cannot be known" not in said
        assert f"its `ims` does not name the client {CLIENT} with the organization {ORGANIZATION}" in flat(said)
        assert f"Add its client: make keys IMS_CLIENT={CLIENT} IMS_ORG={ORGANIZATION} STACK=any." in flat(said)


# By files


def test_a_file_takes_the_credentials_from_the_shops_environment(run, stack, tmp_path):
    code, said = run("xml", None, *stack("ims"))
    text, _, notes = said.partition("</config>")
    hooks = commerce_hooks.from_xml(f"{text}</config>")
    # Those that a stack without these outputs leaves out are not in it.
    assert code == 0 and hooks and {hook.holds_client_secret for hook in hooks} == {False}
    names = {dict(hook.developer_console_oauth)["client_id"] for hook in hooks}
    assert names == {"{env:WEBHOOK_OAUTH_CLIENT_ID}"} and text.count("<clientSecret>{env:WEBHOOK_OAUTH_CLIENT_SECRET}</clientSecret>") == len(hooks)
    assert "And WEBHOOK_OAUTH_CLIENT_ID, WEBHOOK_OAUTH_CLIENT_SECRET and WEBHOOK_OAUTH_ORG_ID" in flat(notes)
    file = tmp_path / "webhooks.xml"
    file.write_text(f"{text}</config>")
    assert "OAuth" not in run("doctor", None, "--xml", str(file), *stack("ims"))[1]
    file.write_text(f"{text}</config>".replace("{env:WEBHOOK_OAUTH_CLIENT_SECRET}", "hush-hush"))
    said = run("doctor", None, "--xml", str(file), *stack("ims"))[1]
    assert "has its client secret in the file" in flat(said) and "hush" not in said
    assert "developerConsoleOauth" not in run("xml", None, *stack("hmac,rsa"))[1]
