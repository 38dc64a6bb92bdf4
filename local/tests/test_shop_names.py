"""Hooks of plugins, hooks of type before, and channels that a stack does not have."""

import json
import re

import pytest
from shop_tool import (  # noqa: F401 — fixtures, too
    ADDRESS,
    BATCH,
    BUNDLE,
    OWN_FILE,
    TIMES,
    commerce_bundle,
    environment,
    flat,
    run,
    wanted,
)
from stack import ROOT, shipped
from stand_in import running

PLACE = "plugin.magento.sales.api.order_management.place"
PLACE_ON_SAAS = "plugin.sales.api.order_management.place"
PLUGIN = "plugin_sales_api_order_management_place"
BEFORE = "catalog_product_save_after_before"
OPTIONAL = "sales_refund_before"

METHOD = """    <method name="{method}" type="{type}">
        <hooks>
            <batch name="{batch}">
                <hook name="{name}" url="{{env:COMMERCE_WEBHOOKS_URL}}{route}" method="POST" timeout="5000" softTimeout="1000"
                      required="{required}" ttl="0" fallbackErrorMessage="Please try again.">
                    <fields>
{fields}
                    </fields>
                </hook>
            </batch>
        </hooks>
    </method>
"""


def method(name, method, hook_type, route, *fields, required="true"):
    fields = "\n".join(f'                        <field name="{field}" />' for field in fields)
    return METHOD.format(name=name, method=method, type=hook_type, route=f"/webhook/{route}", fields=fields, required=required, batch=BATCH)


@pytest.fixture
def tree(monkeypatch, tmp_path):
    """The project with three more channels: a plugin's, one before a usual event, and one that a parameter switches on."""
    more = [
        method(PLUGIN[:50], PLACE, "before", PLACE, "order.increment_id", "order.customer_id"),
        method(BEFORE, "observer.catalog_product_save_after", "before", "observer.catalog_product_save_after/before", "eventName"),
        method(OPTIONAL, f"observer.{OPTIONAL}", "before", f"observer.{OPTIONAL}", "eventName", required="false"),
    ]
    text = OWN_FILE.read_text()
    (tmp_path / "webhooks.xml").write_text(text.replace("</config>", "".join(more) + "</config>"))
    template = (ROOT / "template.yaml").read_text()
    template = template.replace("\nConditions:\n", '\nConditions:\n  HasRefunds: !Equals [!Ref Refunds, "true"]\n', 1)
    resource = "  SalesRefundBefore:\n    Type: AWS::Serverless::Function\n    Condition: HasRefunds\n"
    (tmp_path / "template.yaml").write_text(template.replace("\nResources:\n", f"\nResources:\n{resource}", 1))
    for channel in (PLUGIN, BEFORE, OPTIONAL):
        rules = tmp_path / "functions" / channel / "rules.json"
        rules.parent.mkdir(parents=True)
        rules.write_text('{"rules": []}')
    schemas = tmp_path / "shared" / "schema"
    schemas.mkdir(parents=True)
    for channel in shipped():
        (tmp_path / "functions" / channel).symlink_to(ROOT / "functions" / channel)
        (schemas / f"{channel}.json").symlink_to(ROOT / "shared" / "schema" / f"{channel}.json")
    for channel in (PLUGIN, BEFORE, OPTIONAL):
        (schemas / f"{channel}.json").write_text('{"properties": {"data": {"required": ["original"], "properties": {"original": {}}}}}')
    monkeypatch.setattr("bundle.OWN_FILE", tmp_path / "webhooks.xml")
    monkeypatch.setattr("commerce_shop.OWN_FILE", tmp_path / "webhooks.xml")
    monkeypatch.setattr("bundle.TEMPLATE", tmp_path / "template.yaml")
    monkeypatch.setattr("examine.ROOT", tmp_path)
    return tmp_path


def methods_of(shop):
    return {hook["webhook_method"] for hook in shop.live.values()}


def as_saas(monkeypatch):
    monkeypatch.setattr("rest.Shop.is_saas", property(lambda _: True))


def test_a_channel_has_one_name_whatever_the_shop_calls_its_method(tree):
    for name in (PLUGIN, PLACE, PLACE_ON_SAAS):
        assert commerce_bundle.channel_named(name) == PLUGIN
    assert commerce_bundle.channel_named("observer.sales_order_place_after") == "sales_order_place_after"
    assert commerce_bundle.route_of(PLUGIN) == f"/webhook/{PLACE}"
    assert commerce_bundle.route_of(BEFORE) == "/webhook/observer.catalog_product_save_after/before"
    assert commerce_bundle.route_of("unknown_event_before") == "/webhook/observer.unknown_event_before"


@pytest.mark.parametrize(
    ("saas", "supported", "name"),
    [
        (False, None, PLACE),
        (False, [PLACE_ON_SAAS], PLACE_ON_SAAS),
        (True, None, PLACE_ON_SAAS),
        (True, [PLACE_ON_SAAS], PLACE_ON_SAAS),
        (True, [PLACE], PLACE),
    ],
)
def test_a_plugin_is_subscribed_with_the_name_that_the_shop_has(run, tree, monkeypatch, saas, supported, name):
    if saas:
        as_saas(monkeypatch)
    with running(supported=supported) as shop:
        shop.unknown = PLACE if name == PLACE_ON_SAAS else PLACE_ON_SAAS
        code, said = run("apply", shop, "--yes", "--anyway", "no-key")
        assert code == 0, said
        assert name in methods_of(shop)
        assert f"+ {BEFORE}" in said and "  will be subscribed (type before)\n" in said
        assert f"{OPTIONAL} is left out, because it is optional. If the stack has Refunds=true, add CHANNEL={OPTIONAL}." in flat(said)
        assert run("plan", shop)[0] == 0


def test_a_plugin_is_the_same_hook_by_either_name_and_either_route(run, tree):
    with running() as shop:
        assert run("apply", shop, "--yes", "--anyway", "no-key")[0] == 0
        [(_, hook)] = [(key, shop.live.pop(key)) for key in list(shop.live) if key[0] == PLACE]
        hook |= {"webhook_method": PLACE_ON_SAAS, "url": f"{BUNDLE}/webhook/{PLACE_ON_SAAS}"}
        shop.live[PLACE_ON_SAAS, "before", BATCH, hook["hook_name"]] = hook
        shop.unknown = PLACE
        code, said = run("plan", shop)
        assert code == 0, said
        assert "(type" not in next(line for line in said.splitlines() if PLUGIN in line), "a plugin's usual type"
        code, said = run("doctor", shop, "--channel", PLACE)
        assert code == 0 and f"Only {PLUGIN} was looked at." in said
        hook["timeout"] = 100
        assert run("apply", shop, "--yes", "--anyway", "no-key", "--channel", PLACE_ON_SAAS)[0] == 0
        assert PLACE_ON_SAAS in methods_of(shop) and run("plan", shop)[0] == 0


def test_the_doctor_knows_plugins_and_hooks_before_an_action(run, tree):
    supported = [hook["webhook_method"] for hook in wanted()] + [PLACE_ON_SAAS]
    with running(supported=supported) as shop:
        assert run("apply", shop, "--yes", "--anyway", "no-key")[0] == 0
        hook = next(hook for hook in shop.live.values() if "plugin" in hook["webhook_method"])
        hook["fields"] = [{"name": "order.increment_id"}]
        before = next(hook for hook in shop.live.values() if "/before" in hook["url"])
        before["url"] = before["url"].removesuffix("/before")
        code, said = run("doctor", shop)
        assert code == 1 and "is not supported" not in said
        assert f"! {PLUGIN}  required\n    warning  does not send order.customer_id" in said
        assert f"✗ {BEFORE}  type before, required" in said
        assert "which does not end in /webhook/observer.catalog_product_save_after/before" in flat(said)
        assert f"On {PLUGIN}, {BEFORE}: warning is required, but decides nothing Events before" in flat(said)
        rules = {"rules": [{"name": "a", "when": [{"field": "order.x", "operator": "isEmpty"}], "then": {"op": "exception"}}]}
        (tree / "functions" / PLUGIN / "rules.json").write_text(json.dumps(rules))
        assert f"On {PLUGIN}, {BEFORE}" not in flat(run("doctor", shop)[1])
        assert "does not send eventName" not in run("doctor", shop, "--channel", PLUGIN)[1], "a plugin has none"


def test_a_hook_of_the_wrong_type_is_its_channels_finding(run, tree):
    early = {**wanted()[0], "webhook_type": "before"}
    with running([early, *wanted()[1:]]) as shop:
        code, said = run("doctor", shop, "--channel", "sales_order_place_after")
    assert code == 1 and "has the type before, not after" in said and "is not subscribed" not in said


def test_what_the_stack_does_not_have_is_left_out(run, tree, monkeypatch):
    outputs = {"SalesOrderPlaceAfterUrl", "SalesRefundBeforeUrl"}
    monkeypatch.setattr("aws.stack_says", lambda _: (BUNDLE, dict(TIMES, outputs=outputs)))
    monkeypatch.setattr("checks.about_keys", lambda _: [])
    with running() as shop:
        code, said = run("apply", shop, "--stack", "any", "--yes")
        assert code == 0, said
        assert methods_of(shop) == {"observer.sales_order_place_after", f"observer.{OPTIONAL}"}
        words = f"{PLUGIN} is left out, because the stack does not have it. To switch it on, deploy it from this checkout: make deploy."
        assert words in flat(said)
        code, said = run("doctor", shop, "--stack", "any")
        assert code == 0 and words in flat(said) and "is not subscribed" not in said
        code, said = run("plan", shop, "--stack", "any", "--channel", PLACE)
        assert code == 1 and said.startswith(f"shop: {PLUGIN} is left out, because the stack does not have it.")
        outputs.remove("SalesRefundBeforeUrl")
        code, said = run("plan", shop, "--stack", "any")
        assert f"- {OPTIONAL} (before, {BATCH}/{OPTIONAL})" in said and "To switch it on, deploy with Refunds=true." in flat(said)


def test_with_a_url_alone_an_optional_channel_must_be_named(run, tree):
    with running(wanted()) as shop:
        code, said = run("apply", shop, "--yes", "--channel", OPTIONAL)
        assert code == 0 and f"observer.{OPTIONAL}" in methods_of(shop), said
        code, said = run("plan", shop)
        assert f"= {OPTIONAL}" in said and f"{OPTIONAL} is left out" not in flat(said), "the shop has it, so the bundle does"


def test_the_file_is_printed_without_what_is_left_out(run, tree):
    code, said = run("xml")
    text, notes = said.split("</config>")
    assert code == 0 and f"observer.{OPTIONAL}" not in text and PLACE in text and f"{OPTIONAL} is left out" in notes
    assert re.search(r"</method>\n</config>", said)
    assert f"observer.{OPTIONAL}" in run("xml", None, "--channel", OPTIONAL)[1]


def test_smoke_asks_the_routes_that_there_are(tree, capsys):
    import smoke

    assert smoke.main(["--url", BUNDLE]) == 0
    said = capsys.readouterr().out
    assert f"{OPTIONAL} is left out" in flat(said) and f"/webhook/{PLACE}" in ADDRESS.posts
    assert "/webhook/observer.catalog_product_save_after/before" in ADDRESS.posts and f"/webhook/observer.{OPTIONAL}" not in ADDRESS.posts
