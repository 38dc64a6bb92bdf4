"""`make doctor` against stand-ins for the shop and for the bundle's address."""

import base64
import json
import re

import pytest
from shop_tool import (  # noqa: F401 — fixtures, too
    ADDRESS,
    BATCH,
    BUNDLE,
    CHANNELS,
    FOREIGN,
    OWN,
    TIMES,
    environment,
    examine,
    fields_without,
    flat,
    run,
    wanted,
)
from stack import EVENTS, ROOT, example_rules
from stand_in import INTEGRATION, running

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
        ({"url": "http://old.example/webhook/observer.sales_order_place_after"}, "error", "plain HTTP"),
        ({"url": "http://[::"}, "error", "goes to a URL that is none"),
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
    contract = examine.read_contract("sales_order_place_after")
    assert (contract.entity, contract.identity) == ("order", [["increment_id"], ["entity_id"]])
    assert contract.expected >= {"grand_total", "order_currency_code", "items[].sku", "items[].qty_ordered"}
    for channel in CHANNELS:
        if (contract := examine.read_contract(channel)) is None:
            continue  # it has no model
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
    written = json.loads(example_rules("sales_order_place_after").read_text())
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
        (tmp_path / "functions" / channel / "rules.json").write_text('{"rules": []}')
    (tmp_path / "functions" / "sales_order_place_after" / "rules.json").write_text(json.dumps(written))
    monkeypatch.setattr("examine.ROOT", tmp_path)
    with running(wanted()) as shop:
        code, said = run("doctor", shop)
    assert code == 0
    found = [line.split("does not send ")[1].split(",")[0] for line in said.splitlines() if "does not send" in line]
    assert found == ["order.coupon_code", "data.quote.id", "order.mood"]


def test_the_doctor_finds_the_fields_of_all_that_a_rule_can_hold():
    when = [
        {"any": [{"field": "order.a", "operator": "isEmpty"}, {"count": "order.items[]", "operator": "equal", "value": 1}]},
        {"element": "order.items[]", "all": [{"field": "sku", "operator": "equal", "valueField": "name"}]},
        {"sum": "order.items[].qty", "operator": "lessThan", "valueField": "order.b"},
    ]
    fields = ["order.a", "order.items[]", "order.items[].sku", "order.items[].name", "order.items[].qty", "order.b"]
    assert list(examine.fields_of_conditions(when)) == fields
    added = {"op": "add", "path": "data/order/x", "value": {"note": ["{order.c} of {order.d} {{not this}}"]}}
    assert list(examine.fields_of_operation(added)) == ["order.c", "order.d"]
    assert list(examine.fields_of_operation({"op": "replace", "path": "data/order/x", "valueField": "order.e"})) == ["order.e"]


# What keeps the shop from answering


BASIC = (401, b"<html><body><h1>401 Authorization Required</h1></body></html>", {"Content-Type": "text/html", "WWW-Authenticate": 'Basic realm="staging"'})
BLOCKED = (403, b"<html><title>Access denied</title></html>", {"Content-Type": "text/html", "Server": "cloud\x9bdoor"})
NOT_THE_SHOP = "neither the credentials nor their role are the cause"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (BASIC, ["a web server before", "(status 401, text/html,", "WWW-Authenticate: Basic)", NOT_THE_SHOP, "Let that server admit this machine's address"]),
        ((401, b'{"message": "no"}', {"WWW-Authenticate": "digest realm=x"}), ["WWW-Authenticate: Digest)", NOT_THE_SHOP]),
        (BLOCKED, ["not Commerce but something before", "(status 403, text/html, Server: ", "cloud door): a firewall", NOT_THE_SHOP, "Its own log says which rule"]),
        ((406, b"", {"Content-Type": "text/plain"}), ["not Commerce but something before", "(status 406, text/plain"]),
        ((503, b"<html>Maintenance</html>", {"Content-Type": "text/html"}), ["not the shop but a web server before it answered", "maintenance mode"]),
        ((200, b"<html>Log in</html>", {"Content-Type": "text/html"}), ["something else than JSON", "is SHOP the base of REST"]),
        ((404, b"<html>Not found</html>", {"Content-Type": "text/html"}), ["knows no such place", "is SHOP the base of REST"]),
        ((401, b'{"error_code":"401013","message":"Oauth token is not valid"}'), ["Adobe's gateway does not let us list its hooks (status 401, error_code 401013)", "did not ask the shop", '"Oauth token is not valid"']),
        ((302, b"", {"Location": "https://login.example/"}), ["sends us on to login.example (status 302)", "Give SHOP as it is in the end."]),
    ],
    ids=["basic", "digest", "firewall", "no media type", "maintenance", "login", "no REST", "gateway", "redirect"],
)  # fmt: skip
def test_what_answers_before_the_shop_is_a_finding_of_its_own(run, answer, words):
    with running(wanted()) as shop:
        shop.faults = [("GET list", answer)] * 15
        code, said = run("doctor", shop)
        assert code == 1 and "✗ the shop's REST" in said and "The shop's hooks could not be looked at." in said
        assert all(word in flat(said) for word in words), said
        assert flat(said).count(" error ") == 1 and "lacks the resource" not in said
        assert ("COMMERCE_TOKEN" in said) == ("Adobe's gateway" in said), "nobody renews a token for nothing"
        assert "Adobe's own test" in said, "the rest is looked at all the same"
        for command in ("plan", "apply"):
            code, said = run(command, shop)
            assert code == 1 and all(word in said for word in words), said
        assert shop.changes() == []


@pytest.mark.parametrize("credentials", ["a token", "an expired token", "an integration"])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b'{"message":"Not Found"}'),
        (404, b'{"statusCode":404,"message":"Cannot GET /rest/all/V1/webhooks/list"}'),
        (403, b'{"message":"Forbidden"}'),
        (403, b'{"code":403,"error":"request blocked"}'),
    ],
)
def test_json_of_something_before_the_shop_blames_no_module_role_or_token(run, monkeypatch, status, body, credentials):
    if credentials == "an integration":
        monkeypatch.delenv("COMMERCE_TOKEN")
        for name, value in INTEGRATION.items():
            monkeypatch.setenv(name, value)
    elif credentials == "an expired token":
        monkeypatch.setenv("COMMERCE_TOKEN", token(exp=1750000000))
    with running() as shop:
        places = ("list", "supportedList", "storeViews", "modules", "currency")
        shop.faults = [(f"GET {place}", (status, body, {"Server": "a-gateway"})) for place in places] * 3
        said = flat(run("doctor", shop)[1])
        assert f"not Commerce but something before {shop.origin.removeprefix('http://')} answered (status {status}, application/json, Server: " in said
        assert NOT_THE_SHOP in said and "lets anybody read directory/currency, and that is refused, too" in said
        assert not any(word in said for word in ("module", "expired", "resource", "four values"))


@pytest.mark.parametrize(("status", "body"), [(404, b'{"message":"No such entity"}'), (403, b'{"message":"Der Zugriff ist untersagt"}')])
def test_where_the_shop_lets_anybody_read_the_answer_is_its_own(run, status, body):
    with running() as shop:
        shop.faults = [("GET list", (status, body))]
        said = flat(run("doctor", shop)[1])
        assert ("is missing, not enabled, or too old" if status == 404 else "lacks the resource") in said
        assert [path for _, path in shop.seen if path.endswith("currency")]


def token(**claims):
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "HS256"}, claims, "x"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda shop, _: shop.denied.add("Magento_AdobeCommerceWebhooks::webhooks_list"),
         ["The credentials are valid, because the shop answers them elsewhere: the role or integration lacks the resource "
          "Magento_AdobeCommerceWebhooks::webhooks_list.", "Add the resource to it in the Admin: docs/commerce-credentials.md."]),
        (lambda _, set: set("another-token"), ["The shop takes these credentials nowhere, so the token is expired", "Get a new token"]),
        (lambda _, set: set(token(exp=1750000000)), ["list its hooks (status 401): the token expired at 2025-06-15 15:06 UTC.", "Get a new token"]),
        (lambda _, set: set(token(created_at="1750000000000", expires_in="86400000")), ["the token expired at 2025-06-16 15:06 UTC."]),
        (lambda _, set: set(token(exp=99999999999)), ["The shop takes these credentials nowhere"]),
        (lambda _, set: set(token(exp="x" * 100)), ["The shop takes these credentials nowhere"]),
        (lambda shop, _: shop.modules.clear(), ["the module Magento_AdobeCommerceWebhooks is missing, not enabled, or too old"]),
    ],
    ids=["role", "token", "expired", "IMS token expired", "not expired", "odd token", "module"],
)  # fmt: skip
def test_each_cause_within_the_shop_is_a_finding_of_its_own(run, monkeypatch, change, words):
    with running(wanted(), denied=set()) as shop:
        change(shop, lambda value: monkeypatch.setenv("COMMERCE_TOKEN", value))
        code, said = run("doctor", shop)
        assert code == 1 and all(word in flat(said) for word in words), said
        code, said = run("plan", shop)
        assert code == 1 and all(word in said for word in words), said


def test_a_store_code_that_the_shop_does_not_know_is_told_from_a_missing_module(run):
    with running(wanted()) as shop:
        for base, code in (("/rest/wholesale", "wholesale"), ("/rest/default/", None), ("/rest", None)):
            said = flat(run("doctor", shop.origin + base)[1])
            assert (f"The store code is wrong, if {code} is meant as one" in said) == bool(code)
        assert "Give SHOP=https://…/rest/all" in flat(run("doctor", f"{shop.origin}/rest/wholesale")[1])


def test_an_integrations_values_are_told_from_its_resources(run, monkeypatch):
    monkeypatch.delenv("COMMERCE_TOKEN")
    for name, value in INTEGRATION.items():
        monkeypatch.setenv(name, value)
    with running(wanted(), denied={"Magento_AdobeCommerceWebhooks::webhooks_list"}) as shop:
        assert "The credentials are valid" in flat(run("doctor", shop)[1])
        monkeypatch.setenv("COMMERCE_ACCESS_TOKEN_SECRET", "another-secret")
        said = flat(run("doctor", shop)[1])
        assert "One of the integration's four values is wrong" in said and "lacks the resource" not in said


# The bundle's address


def test_the_doctor_asks_the_address_of_every_channel(run, monkeypatch):
    with running(wanted()) as shop:
        assert run("doctor", shop)[0] == 0
        assert sorted(ADDRESS.posts) == [f"/webhook/observer.{channel}" for channel in CHANNELS]
        monkeypatch.setattr(ADDRESS, "others", {"customer_delete_after": (403, "application/json", b'{"message":"Forbidden"}')})
        code, said = run("doctor", shop)
        assert code == 1 and "✗ customer_delete_after  required\n    error    the bundle does not answer at the address" in said
        assert "forbidden (status 403)" in flat(said) and "On all" not in said


def test_one_cause_on_many_channels_is_one_finding(run, monkeypatch):
    monkeypatch.setattr(ADDRESS, "usual", (404, "application/json", b'{"message":"Not Found"}'))
    moved = {channel: {"url": f"https://old.example/webhook/observer.{channel}"} for channel in CHANNELS}
    moved["sales_order_place_after"]["ttl"] = moved["sales_order_save_after"]["ttl"] = 5
    with running(wanted(**moved)) as shop:
        code, said = run("doctor", shop)
    assert code == 1 and said.count("goes to https://old.example, not to this bundle") == 1 and flat(said).count("no such route (status 404)") == 1
    assert said.count(f"On all {len(OWN)} channels:") == 2 and said.count("has a ttl of 5 s") == 1
    assert "On sales_order_place_after, sales_order_save_after:" in said and said.count("✗") == len(OWN)
    assert "3 errors. Hooks" in said, "as many as there are causes"


# Adobe's own test


def test_adobes_own_test_is_shown_for_the_kind_of_shop(run, monkeypatch):
    with running(wanted()) as shop:
        said = run("doctor", shop)[1]
        assert '\n  bin/magento webhooks:dev:run observer.sales_order_place_after:after "$(cat default.body.json)"\n' in said
        assert "Adobe's own test (PaaS and on-premises)" in said and "events/sales_order_place_after/default.body.json" in said
        said = run("doctor", shop, "--channel", "customer_delete_after")[1]
        assert "webhooks:dev:run observer.customer_delete_after:after" in said and "events/customer_delete_after/default.body.json" in said
    monkeypatch.setattr("rest.Shop.hooks", lambda _: wanted())
    monkeypatch.setattr("rest.Shop.supported", lambda _: None)
    for base in ("https://na1.api.commerce.adobe.com/tenant", "https://na1-sandbox.api.commerce.adobe.com/tenant"):
        said = flat(run("doctor", base)[1])
        assert "Adobe's own test (SaaS)" in said and "System > Webhooks > Webhooks Subscriptions" in said and "webhooks:dev:run" not in said
        assert "At the hook sales_order_place_after, choose Select > Test Webhook, paste events/sales_order_place_after/default.body.json" in said
    assert "webhooks:dev:run" in run("doctor", "https://api.commerce.adobe.com.example/rest/all")[1]


def test_the_samples_of_adobes_own_test_are_there_and_hold_what_the_hooks_send():
    for channel in CHANNELS:
        sample = json.loads((EVENTS / channel / "default.body.json").read_text())
        assert sample["eventName"] == channel and "data" in sample, "the form in which webhooks:dev:run takes it"
