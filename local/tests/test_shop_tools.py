"""Several shops with one stack: which one a tool is for, which keys are its own, and which events."""

import hashlib
import hmac
import json
import sys
import time
import types

import pytest
from ims import Ims
from reconciling import HOUR, PLACED, Bundle, deployed, line, missing, orders_missing, shop  # noqa: F401 — fixtures, too
from reconciling import api as own_api  # noqa: F401
from reconciling import run as reconcile  # noqa: F401
from shop_tool import environment, flat, keys  # noqa: F401
from shop_tool import run as shop_tool  # noqa: F401
from stack import ROOT
from stand_in import HOOK_OAUTH, HOOK_TOKEN, running
from test_apply_checks import PUBLIC, secret  # noqa: F401
from test_quarantine import KEY, ORDER, Quarantine, api, post, real  # noqa: F401
from test_quarantine import run as quarantine  # noqa: F401

sys.path.append(str(ROOT / "commerce"))

import answers  # noqa: E402
import shops  # noqa: E402
import signers  # noqa: E402

EU, US = "an-hmac-secret-of-the-eu", "an-hmac-secret-of-the-us"
CLIENT, ORGANIZATION = HOOK_OAUTH["WEBHOOK_OAUTH_CLIENT_ID"], HOOK_OAUTH["WEBHOOK_OAUTH_ORG_ID"]
IMS = {"client_ids": [CLIENT], "org_ids": [ORGANIZATION]}
SECRET = {"hmac_secrets": KEY, "shops": {"eu": {"hmac_secrets": [EU]}, "us": {"public_keys": [PUBLIC]}}}


# Which shop


@pytest.mark.parametrize(
    ("given", "variables", "expected"),
    [
        ("https://shop.example/rest/all", {}, (None, "https://shop.example/rest/all")),
        ("", {}, (None, None)),
        ("", {"COMMERCE_URL": "https://a.example/rest/all"}, (None, "https://a.example/rest/all")),
        ("eu", {"COMMERCE_URL": "https://a.example/rest/all"}, ("eu", "https://a.example/rest/all")),
        ("", {"COMMERCE_URL": "https://a.example/rest/all", "COMMERCE_SHOP": "eu"}, ("eu", "https://a.example/rest/all")),
        ("https://b.example/rest/all", {"COMMERCE_URL": "https://a.example", "COMMERCE_SHOP": "eu"}, ("eu", "https://b.example/rest/all")),
        ("shop.example", {}, (None, "shop.example")),
        ("eu", {}, "SHOP=eu is the name of a shop. Where is its REST? Set COMMERCE_URL in the environment"),
        ("us", {"COMMERCE_SHOP": "eu", "COMMERCE_URL": "https://a.example"}, "the environment is that of the shop eu (COMMERCE_SHOP)"),
        ("", {"COMMERCE_SHOP": "E U"}, "COMMERCE_SHOP is no name of a shop"),
    ],
)
def test_a_shop_is_named_by_its_address_or_its_name(given, variables, expected):
    if isinstance(expected, tuple):
        assert shops.which(given, variables) == expected
    else:
        with pytest.raises(answers.ShopError) as error:
            shops.which(given, variables)
        assert expected in str(error.value)


# The keys of a shop


@pytest.mark.parametrize(
    ("name", "content", "lacking"),
    [
        ("eu", SECRET, "it holds no key of the shop eu that can be used"),
        ("us", SECRET, None),
        ("asia", SECRET, "it holds no key of the shop asia that can be used"),
        ("eu", {"shops": {"eu": {"public_keys": [PUBLIC]}, "us": {"public_keys": [PUBLIC]}}}, "it holds no key of the shop eu that can be used"),
    ],
)
def test_the_key_of_another_shop_is_none_of_this_one(shop_tool, secret, monkeypatch, name, content, lacking):
    # The one of the shop eu is in the secret as the deployment would generate it.
    content = json.loads(json.dumps(content).replace(json.dumps([EU]), "[]"))
    secret(content)
    monkeypatch.setenv("COMMERCE_SHOP", name)
    with running() as shop:
        code, said = shop_tool("apply", shop, "--yes", "--stack", "any")
        assert f"Shop    {name}: {shop.url}" in said
        if lacking is None:
            assert code == 0, said
            return
        assert code == 1 and shop.changes() == [] and f"no key that the shop could use: {lacking}." in flat(said)
        assert f"make keys PEM=shop.pem SHOP={name} STACK=any." in flat(said)


def test_keys_are_added_to_a_shop_and_listed_with_it(secret, monkeypatch, tmp_path, capsys, stack):
    arn = secret({"hmac_secrets": KEY})
    said = {"Outputs": [{"OutputKey": "WebhookKeysArn", "OutputValue": arn}], "Parameters": [{"ParameterKey": "EventSource", "ParameterValue": "https://main.example"}]}
    monkeypatch.setattr("keys.described", lambda _: said)
    file = tmp_path / "shop.pem"
    file.write_text(PUBLIC)
    keys.run(["any", "--pem", str(file), "--shop", "eu", "--source", "https://eu.example"])
    keys.run(["any", "--ims-client", CLIENT, "--ims-org", ORGANIZATION, "--shop", "us"])
    text = stack.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    expected = {"eu": {"public_keys": [PUBLIC], "source": "https://eu.example"}, "us": {"ims": IMS}}
    assert json.loads(text) == {"hmac_secrets": KEY, "shops": expected}
    capsys.readouterr()
    keys.run(["any", "--list"])
    assert capsys.readouterr().out.splitlines() == [
        "the shop without a name",
        "    hmac_secrets/0",
        "the shop eu, source https://eu.example",
        "    shops/eu/public_keys/0",
        "the shop us, source urn:commerce-webhooks:shop:us",
        f"    shops/us/ims/client_ids  {CLIENT}",
        f"    shops/us/ims/org_ids  {ORGANIZATION}",
    ]
    for arguments, words in [
        (["--pem", str(file)], "the secret contains this key at shops/eu/public_keys/0"),
        (["--pem", str(file), "--shop", "us"], "the secret contains this key at shops/eu/public_keys/0"),
        (["--ims-client", CLIENT, "--ims-org", ORGANIZATION], "the secret contains this client at shops/us/ims/client_ids/0"),
        (["--ims-client", CLIENT, "--ims-org", "x", "--shop", "us"], "must end in @AdobeOrg"),
        (["--ims-client", "new", "--ims-org", ORGANIZATION, "--shop", "us", "--source", "https://main.example"], "(EventSource)"),
    ]:
        with pytest.raises(SystemExit, match=r"^keys: ") as ended:
            keys.run(["any", *arguments])
        assert words in str(ended.value)
    assert stack.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"] == text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "which key?"),
        (["--pem", "a", "--hmac", "b"], "which key?"),
        (["--ims-client", "a"], "belong together"),
        (["--pem", "a", "--shop", "EU"], "SHOP must be the name of a shop"),
        (["--pem", "a", "--source", "https://eu.example"], "add SHOP=…"),
    ],
)
def test_keys_asks_for_what_it_needs(capsys, arguments, words):
    with pytest.raises(SystemExit):
        keys.run(["any", *arguments])
    assert words in capsys.readouterr().err


# What signs for a shop


def signed_for(shop, content, schemes="hmac,rsa", variables=None):
    """The headers of an event of a shop, or why there are none."""
    stack = types.SimpleNamespace(name="any", parameters={"SignatureSchemes": schemes}, output=lambda _: "arn")
    try:
        return signers.Signers(stack, lambda _: json.dumps(content), variables or {}).of(shop).headers(b"body")
    except answers.ShopError as error:
        return str(error)


def by(secret):
    return {"X-Adobe-Signature": hmac.new(secret.encode(), b"body", hashlib.sha256).hexdigest()}


def test_an_event_is_signed_with_a_key_of_its_own_shop_alone():
    assert signed_for(None, SECRET) == by(KEY) and signed_for("eu", SECRET) == by(EU)
    lacking = "the secret of any has no HMAC secret of the shop us to sign with. Add one: make keys HMAC=FILE SHOP=us"
    assert signed_for("us", SECRET) == lacking
    assert signed_for("asia", SECRET) == "the secret of any has no shop asia. Add its keys: make keys HMAC=FILE SHOP=asia"
    both = {"hmac_secrets": [KEY, EU + "\n"], "shops": {"eu": {"hmac_secrets": [EU, US]}}}
    assert signed_for("eu", both) == by(US), "a key of two shops counts for neither"
    for odd in ({"shops": []}, {"shops": {"eu": []}}, {"shops": {"eu": {"hmac_secrets": {"a": EU}}}}):
        assert isinstance(signed_for("eu", odd), str)


def test_where_a_token_is_needed_it_is_that_of_the_shops_client():
    content = {"hmac_secrets": KEY, "shops": {"eu": {"hmac_secrets": EU, "ims": IMS}}}
    token = {"Authorization": f"Bearer {HOOK_TOKEN}", "x-gw-ims-org-id": ORGANIZATION}
    assert "need a token (SignatureSchemes=hmac+ims). Set WEBHOOK_OAUTH_CLIENT_ID" in signed_for("eu", content, "hmac+ims")
    with running() as ims:
        variables = HOOK_OAUTH | {"WEBHOOK_OAUTH_IMS_URL": f"{ims.origin}/ims/token/v3"}
        assert signed_for("eu", content, "hmac+ims", variables) == by(EU) | token
        assert signed_for("eu", content, "rsa+ims,ims", variables) == token
        assert signed_for("eu", content, "hmac,rsa+ims", variables) == by(EU), "a token that is not needed is not asked for"
        said = signed_for(None, content, "hmac+ims", variables)
        assert said.startswith("`ims` of the shop without a name in the secret of any does not name the client")
        wrong = variables | {"WEBHOOK_OAUTH_CLIENT_SECRET": "a-wrong-client-secret"}
        said = signed_for("eu", content, "ims", wrong)
        assert said.startswith("Adobe IMS gave no token: status 400 (invalid_client)") and "a-wrong" not in said
    assert "take no HMAC (SignatureSchemes=rsa+ims)" in signed_for("eu", content, "rsa+ims")


# The quarantine


def test_each_event_is_sent_as_one_of_its_shop_or_kept(stack, quarantine, api):
    held = Quarantine(stack, api.url)
    held.deploy(SECRET)
    ids = {name: held.put(json.dumps({"number": number}), shop=name) for number, name in enumerate((None, "eu", "us", "E U"))}
    code, said = quarantine(held, "--shop", "eu")
    assert code == 0 and "    shop     eu\n" in said and ids["eu"] in said and ids["us"] not in said and said.count("kept until") == 1
    code, said = quarantine(held, "--send")
    assert code == 0 and sorted(said.splitlines()[-1].rstrip(".").split(", ")) == ["2 accepted", "2 not sent"]
    assert "not sent, and kept: the secret of" in said and "no HMAC secret of the shop us to sign with" in flat(said)
    assert said.count("cannot be read, and is never sent") == 1, "that is no name of a shop"
    for _, headers, body in api.posts:
        secret = KEY if json.loads(body)["number"] == 0 else EU
        assert headers["x-adobe-signature"] == hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    code, said = quarantine(held, "--send", "--shop", "us")
    assert code == 1 and "no HMAC secret of the shop us" in said
    assert quarantine(held, "--shop", "https://us.example")[0] == 1


def test_a_quarantined_event_stays_one_of_its_shop(real, stack, quarantine):
    held, server = real(CONTRACT="strict", WEBHOOK_KEYS=json.dumps(SECRET))
    [arn] = [one["OutputValue"] for one in stack.client("cloudformation").describe_stacks(StackName=held.name)["Stacks"][0]["Outputs"] if one["OutputKey"] == "WebhookKeysArn"]
    stack.client("secretsmanager").put_secret_value(SecretId=arn, SecretString=json.dumps(SECRET))
    # The same number in both shops, and something that the strict contract does not take.
    content = {"increment_id": "1", "customer_email": "n/a", "grand_total": 5, "order_currency_code": "EUR", "items": [{"sku": "A", "qty_ordered": 1}]}
    body = {"eventName": ORDER, "data": {"order": content}}
    raw = json.dumps(body, separators=(",", ":")).encode()
    of_eu = {"x-adobe-signature": hmac.new(EU.encode(), raw, hashlib.sha256).hexdigest()}
    for headers in ({}, of_eu):
        assert post(server, body, **headers) == (200, {"op": "success"})
    assert [line.get("shop") for line in server.lines] == [None, "eu"]
    # What takes it.
    real(WEBHOOK_KEYS=json.dumps(SECRET))
    code, said = quarantine(held, "--send", "--shop", "eu")
    assert code == 0 and said.endswith("\n1 accepted.\n") and server.lines[-1]["shop"] == "eu"
    assert quarantine(held, "--send")[0] == 0 and "shop" not in server.lines[-1]
    eu, unnamed = [message["MessageBody"] for message in stack.messages(stack.queue(ORDER))]
    assert eu["source"] == "urn:commerce-webhooks:shop:eu" != unnamed["source"]
    assert eu["subject"] == unnamed["subject"] and eu["id"] != unnamed["id"]


@pytest.mark.parametrize("schemes", ["hmac+ims", "ims"])
def test_a_function_takes_the_token_with_which_an_event_is_sent_again(real, stack, quarantine, monkeypatch, schemes):
    eu = {"ims": IMS} | ({"hmac_secrets": [EU]} if "hmac" in schemes else {})
    secret = json.dumps({"hmac_secrets": KEY, "shops": {"eu": eu}})
    for name, value in HOOK_OAUTH.items():
        monkeypatch.setenv(name, value)
    with Ims() as service:
        monkeypatch.setattr(signers.HookTokens, "get", lambda _: service.token(client_id=CLIENT))
        _, server = real(WEBHOOK_KEYS=secret, SIGNATURE_SCHEMES=schemes, IMS_KEYS_URL=service.url)
        held = Quarantine(stack, f"http://127.0.0.1:{server.server_port}")
        held.deploy(secret, schemes)
        content = {"increment_id": "1", "grand_total": 5, "order_currency_code": "EUR", "items": [{"sku": "A", "qty_ordered": 1}]}
        held.put(json.dumps({"data": {"order": content}}), shop="eu")
        code, said = quarantine(held, "--send")
    assert code == 0 and said.endswith("\n1 accepted.\n"), server.lines
    key = "ims/client_ids/0" if schemes == "ims" else "hmac_secrets/0"
    assert (server.lines[-1]["shop"], server.lines[-1]["key"]) == ("eu", f"inline/shops/eu/{key}")


# Reconciling


def test_each_shop_has_gaps_of_its_own(stack, deployed, shop, own_api, reconcile, monkeypatch):
    bundle = Bundle(stack, own_api.url).deploy(json.dumps(SECRET))
    first, second = orders_missing(shop, 2)
    number, then = f"order/{first['increment_id']}", time.time() - HOUR + 10
    text = line(PLACED, number, 1, shop="eu")
    bundle.logs.put_log_events(logGroupName=bundle.name, logStreamName="functions", logEvents=[{"timestamp": int(then * 1000), "message": text}])
    code, said = reconcile(bundle.name, "--since", "6h")
    assert code == 2 and len(missing(said, PLACED)) == 2, "the event is one of the shop eu"
    monkeypatch.setenv("COMMERCE_SHOP", "eu")
    code, said = reconcile(bundle.name, "--since", "6h", "--send", "--yes")
    assert code == 0 and f"Shop    eu: {shop.url}" in said and missing(said, PLACED) == [f"order/{second['increment_id']}"]
    [(_, headers, body)] = own_api.posts
    assert headers["x-adobe-signature"] == hmac.new(EU.encode(), body, hashlib.sha256).hexdigest()
    monkeypatch.setenv("COMMERCE_SHOP", "us")
    code, said = reconcile(bundle.name, "--since", "6h", "--send", "--yes")
    assert code == 1 and "no HMAC secret of the shop us to sign with" in said and len(own_api.posts) == 1
    bundle.end()
