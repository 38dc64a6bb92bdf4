"""Adobe's own client for webhooks (npm: @adobe/aio-commerce-lib-webhooks) judges what `make apply` subscribes, the stand-in of the shop,
and all that the functions answer. `make test-all` installs it into target/adobe/."""

import copy
import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
import stand_in
from certificates import certificates
from function import Function
from shop import condition
from shop import request as signed
from shop_tool import OWN
from stack import EVENTS, ROOT, channels, sample_requests, shipped
from stand_in import HOOK_OAUTH, HOOK_SECRET, IMS, INTEGRATION, TOKEN, running
from test_decisions import CART, PLACED, added, enabled, rules_file, settings, stock_system, written

sys.path.append(str(ROOT / "commerce"))

import credentials  # noqa: E402
import hooks as commerce_hooks  # noqa: E402

ADOBE = ROOT / "target" / "adobe"
IMS_HOST = "ims-na1.adobelogin.com"
# A subscription with all that one can hold.
FULL = commerce_hooks.Hook(
    webhook_method="plugin.magento.sales.api.order_management.place",
    webhook_type="before",
    batch_name="a_batch",
    hook_name="a_hook",
    url="https://hooks.example/check?shop=1",
    timeout=2000,
    soft_timeout=200,
    ttl=60,
    required=False,
    fallback_error_message="Später",
    priority=7,
    batch_order=8,
    fields=(("total", "order.grand_total"), ("order.items[].sku", "order.items[].sku")),
    rules=(("order.grand_total", "greaterThan", "10"), ("order.coupon_code", "isEmpty", "")),
    headers=(("x-tenant", "one"), ("Authorization", "Bearer {env:TOKEN}")),
    developer_console_oauth=(("client_id", "c"), ("environment", "staging"), ("org_id", "o@AdobeOrg")),
)
OAUTH = credentials.HookOauth("c", "o@AdobeOrg", "staging", "client-secret")


@pytest.fixture(scope="module", autouse=True)
def installed():
    how = "make test-one TEST=local/tests/test_adobe_client.py"
    assert (ADOBE / "installed").exists(), f"Adobe's client is not installed, which this does: {how}"


def subscriptions():
    """What `make apply` sends for each hook of ours, and for one that uses everything."""
    hooks = commerce_hooks.from_xml((ROOT / "commerce" / "webhooks.xml").read_text())
    ours = [commerce_hooks.for_bundle(hook, "https://bundle.example", 5000, 1000) for hook in hooks]
    return [*map(commerce_hooks.to_rest, ours), full()]


def full():
    """What `make apply` sends for the hook that uses everything."""
    return credentials.with_client_secret(commerce_hooks.to_rest(FULL), OAUTH)


def node(script, given, folder, **environment):
    # Adobe's client writes credentials and tokens into a file below the user's settings: not the user's own.
    folders = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "PATH": os.environ["PATH"]}
    how = {"env": folders | environment, "cwd": folder, "capture_output": True, "text": True, "timeout": 120}
    ended = subprocess.run(["node", ADOBE / script], input=json.dumps(given), **how)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def type_errors(*typed):
    """What TypeScript says to values that shall be of types that Adobe's package declares."""
    lines = [f'import type * as {part} from "@adobe/aio-commerce-lib-webhooks/{part}";' for part in ("api", "responses")]
    lines += [f"export const value{number}: {name} = {json.dumps(value)};" for number, (name, value) in enumerate(typed)]
    with tempfile.NamedTemporaryFile("w", suffix=".mts", dir=ADOBE) as file:
        file.write("\n".join(lines))
        file.flush()
        options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "esnext", "--types", ""]
        command = [ADOBE / "node_modules" / ".bin" / "tsc", *options, file.name]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert bool(ended.stdout) == bool(ended.returncode), ended.stderr
    return ended.stdout


# The shop's REST


class Tunnel(BaseHTTPRequestHandler):
    """A proxy, behind which the stand-in is Adobe IMS."""

    def do_CONNECT(self):
        if self.path != f"{IMS_HOST}:443":
            return self.send_error(403)
        self.send_response(200)
        self.end_headers()
        with self.server.tls.wrap_socket(self.connection, server_side=True) as connection:
            stand_in.Handler(connection, self.client_address, self.server.shop)

    def log_message(self, *_):
        pass


@contextmanager
def ims(shop, folder):
    """The environment in which Adobe's client takes the stand-in for Adobe IMS."""
    authority, tls = certificates(folder, IMS_HOST)
    with ThreadingHTTPServer(("127.0.0.1", 0), Tunnel) as proxy:
        proxy.daemon_threads, proxy.shop, proxy.tls = True, shop, tls
        threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.server_port}", "NODE_EXTRA_CA_CERTS": authority}
        proxy.shutdown()


class Bundle(BaseHTTPRequestHandler):
    """Where a bundle is: it answers as ours does to what is not signed."""

    def do_POST(self):
        answer = json.loads((EVENTS / CART / "unsigned.answer.json").read_text())
        content = json.dumps(answer["body"]).encode()
        self.send_response(answer["statusCode"])
        for name, value in {**answer["headers"], "content-length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def bundle():
    with ThreadingHTTPServer(("127.0.0.1", 0), Bundle) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@dataclass
class Both:
    """One shop, and the two that talk to it: Adobe's client and our tool."""

    shop: stand_in.ShopStandIn
    base: str
    parameters: dict
    credentials: dict
    folder: Path
    environment: dict

    def adobe(self, *calls):
        return node("client.mjs", {"params": self.parameters, "calls": calls}, self.folder, **self.environment)

    def ours(self, command, bundle, *more):
        folders = {"HOME": str(self.folder), "PATH": os.environ["PATH"], "COLUMNS": "100"}
        arguments = [command, "--shop", self.base, "--url", bundle, *more]
        how = {"env": folders | self.credentials, "cwd": ROOT, "capture_output": True, "text": True, "timeout": 120}
        ended = subprocess.run([sys.executable, "commerce/shop.py", *arguments], stdin=subprocess.DEVNULL, **how)
        return ended.returncode, ended.stdout + ended.stderr

    def paths(self):
        """The requests so far, without those that sign in."""
        seen = [one for one in self.shop.seen if not one[1].startswith("/ims/")]
        self.shop.seen.clear()
        return seen


def hook_oauth(shop):
    """With which hooks get Developer Console OAuth."""
    return HOOK_OAUTH | {"WEBHOOK_OAUTH_IMS_URL": f"{shop.origin}/ims/token/v3"}


@contextmanager
def on_premises(folder):
    """PaaS, with the four values of an integration."""
    names = {"COMMERCE_CONSUMER_KEY": "consumerKey", "COMMERCE_CONSUMER_SECRET": "consumerSecret"}
    names |= {"COMMERCE_ACCESS_TOKEN": "accessToken", "COMMERCE_ACCESS_TOKEN_SECRET": "accessTokenSecret"}
    with running() as shop:
        parameters = {
            "config": {"baseUrl": shop.origin, "flavor": "paas"},
            "auth": {names[name]: value for name, value in INTEGRATION.items()},
        }
        yield Both(shop, shop.url, parameters, INTEGRATION | hook_oauth(shop), folder, {})


@contextmanager
def as_a_service(folder):
    """SaaS, with a credential of Adobe IMS."""
    with running(supported=[f"observer.{channel}" for channel in shipped()]) as shop, ims(shop, folder) as environment:
        account = "technical@techacct.adobe.example"
        base = f"{shop.origin}/a-tenant-1"
        parameters = {
            "config": {"baseUrl": base, "flavor": "saas"},
            "auth": {
                "clientId": IMS["COMMERCE_CLIENT_ID"],
                "clientSecrets": [IMS["COMMERCE_CLIENT_SECRET"]],
                "imsOrgId": IMS["COMMERCE_ORG_ID"],
                "technicalAccountId": account,
                "technicalAccountEmail": account,
                "scopes": ["openid"],
            },
        }
        yield Both(shop, base, parameters, IMS | hook_oauth(shop) | {"COMMERCE_IMS_URL": f"{shop.origin}/ims/token/v3"}, folder, environment)


@pytest.fixture(params=[on_premises, as_a_service], ids=["integration", "Adobe IMS"])
def both(request, tmp_path):
    with request.param(tmp_path) as made:
        yield made


def identity(hook):
    return {name: hook[name] for name in stand_in.IDENTITY}


def test_adobes_client_sends_what_apply_sends_and_each_reads_what_the_other_subscribed(both, bundle):
    code, said = both.ours("apply", bundle, "--yes")
    assert code == 0, said
    ours, asked = both.shop.live.copy(), both.paths()
    assert len(ours) == len(OWN)

    [listed] = both.adobe(["getWebhookList"])
    assert listed["value"] == list(ours.values())
    removed = both.adobe(*(["unsubscribeWebhook", identity(hook)] for hook in ours.values()))
    assert removed == [{"value": []}] * len(OWN) and both.shop.live == {}
    # With the client secret as it was sent.
    sent = [hook | {"developer_console_oauth": hook["developer_console_oauth"] | {"client_secret": HOOK_SECRET}} for hook in ours.values()]
    subscribed = both.adobe(*(["subscribeWebhook", hook] for hook in sent))
    assert subscribed == [{"value": []}] * len(OWN)
    assert both.shop.live == ours, "every member that we send is one that Adobe's client knows"
    assert set(asked) <= set(both.paths()), "and it goes to the same places"

    code, said = both.ours("plan", bundle)
    assert code == 0 and f"{len(OWN)} as they should be" in said, said
    both.adobe(["unsubscribeWebhook", identity(next(iter(ours.values())))])
    code, said = both.ours("plan", bundle)
    assert code == 2 and f"1 to subscribe; {len(OWN) - 1} as they should be" in said, said


def test_adobes_client_takes_a_subscription_that_uses_everything_and_we_read_it_back(both):
    everything = subscriptions()
    assert {hook["webhook_type"] for hook in everything} == {"before", "after"}
    results = both.adobe(*(["subscribeWebhook", hook] for hook in everything), ["getWebhookList"])
    assert results[:-1] == [{"value": []}] * len(everything)
    assert list(both.shop.live.values()) == [*map(stand_in.encrypted, everything)] == results[-1]["value"]
    assert commerce_hooks.from_rest(results[-1]["value"])[-1] == FULL


def test_subscriptions_and_lists_are_of_the_types_that_adobe_declares(bundle):
    everything = subscriptions()
    supported = [{"name": f"observer.{channel}"} for channel in shipped()]
    with running(everything, supported=[one["name"] for one in supported]) as shop:
        listed, said = (
            requests.get(f"{shop.url}/V1/webhooks/{what}", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10).json()
            for what in ("list", "supportedList")
        )
    assert (listed, said) == (everything, supported)
    assert not type_errors(
        ("api.WebhookSubscribeParams[]", everything),
        ("api.WebhookUnsubscribeParams[]", [identity(hook) for hook in everything]),
        ("api.CommerceWebhookManyResponse", listed),
        ("api.CommerceSupportedWebhookManyResponse", said),
    )
    unknown = type_errors(("api.WebhookSubscribeParams", everything[0] | {"softTimeout": 1}))
    assert "may only specify known properties" in unknown, "TypeScript looks at every member"


def test_adobes_client_understands_the_errors_and_what_is_supported(both):
    hook = subscriptions()[0]
    wrong = [
        (["subscribeWebhook", hook], "The webhook already exists"),
        (["subscribeWebhook", hook | {"batch_name": "a-b"}], "must contain English alphanumeric characters and underscores only"),
        (["subscribeWebhook", hook | {"hook_name": "b", "timeout": -1}], "must be a non-negative integer"),
        (["unsubscribeWebhook", identity(hook) | {"hook_name": "b"}], "The webhook does not exist"),
    ]
    subscribed, *results = both.adobe(["subscribeWebhook", hook], *(call for call, _ in wrong))
    assert subscribed == {"value": []}
    for result, (_, message) in zip(results, wrong):
        assert (result["error"], result["status"]) == ("HTTPError", 400)
        assert message in result["said"]["message"]

    [supported] = both.adobe(["getSupportedWebhookList"])
    if both.shop.supported:
        assert supported["value"] == [{"name": f"observer.{channel}"} for channel in shipped()]
    else:
        assert supported["status"] == 404 and "route" in supported["said"]["message"], "PaaS has no such endpoint"

    both.shop.denied = {"Magento_AdobeCommerceWebhooks::webhooks_list"}
    [denied] = both.adobe(["getWebhookList"])
    assert (denied["status"], denied["said"]["parameters"]) == (401, {"resources": "Magento_AdobeCommerceWebhooks::webhooks_list"})


def test_adobes_client_signs_a_repeated_request_anew(both):
    both.shop.faults = [("GET list", 503), ("GET list", 429)]
    assert both.adobe(["getWebhookList"]) == [{"value": []}]
    assert len(both.paths()) == 3


def test_a_wrong_credential_of_adobes_client_is_refused(both):
    if "clientSecrets" in both.parameters["auth"]:
        both.parameters["auth"]["clientSecrets"] = ["another-secret"]
        [refused] = both.adobe(["getWebhookList"])
        assert "invalid_client" in refused["message"]
        assert both.paths() == [], "without a token there is no request"
    else:
        both.parameters["auth"]["accessTokenSecret"] = "another-secret"
        [refused] = both.adobe(["getWebhookList"])
        assert refused["status"] == 401


def changed(hook):
    """The subscription with each of its members missing, empty, or of another type."""
    for value in ("missing", "", None, 7, "7", True, []):
        for path in paths(hook):
            made = copy.deepcopy(hook)
            at = made
            for step in path[:-1]:
                at = at[step]
            if value == "missing":
                del at[path[-1]]
            else:
                at[path[-1]] = value
            yield path, value, made


def paths(value):
    for key, below in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (key,)
        yield from ((key, *path) for path in paths(below))


def test_the_stand_in_subscribes_what_adobes_client_lets_through_and_nothing_else(tmp_path):
    cases = list(changed(full()))
    with on_premises(tmp_path) as both:
        results = both.adobe(*([call, made] for _, _, made in cases for call in ("subscribeWebhook", "unsubscribeWebhook")))[::2]
    with running() as shop, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        for (path, value, made), result in zip(cases, results):
            shop.live.clear()
            answer = session.post(f"{shop.url}/V1/webhooks/subscribe", json={"webhook": made}, timeout=10)
            assert result.get("error") in (None, "ValiError"), (path, value, result)
            assert (answer.status_code == 200) == ("value" in result), (path, value, result, answer.text)
    assert 0 < sum("value" in result for result in results) < len(results)


# The answers


@pytest.fixture(scope="module")
def queue(stack):
    """Apart from the queues of the bundle: what was sent here would be a repeat in other tests."""
    sqs = stack.client("sqs")
    url = sqs.create_queue(QueueName="adobe.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    yield url
    sqs.delete_queue(QueueUrl=url)


OPERATIONS = [
    {"op": "exception"},
    {"op": "exception", "message": "{order.increment_id}: no"},
    {"op": "exception", "type": "Magento\\Framework\\Exception\\LocalizedException"},
    {"op": "exception", "message": "no", "type": "Magento\\Framework\\GraphQl\\Exception\\GraphQlInputException"},
    {"op": "add", "path": "data/order/ext_order_id", "value": "7"},
    {"op": "add", "path": "data/order/x", "value": {"a": [1, None, "é/"]}, "instance": "Magento\\Framework\\DataObject"},
    {"op": "replace", "path": "data/order/customer_note", "value": None},
    {"op": "replace", "path": "data/order/customer_note", "value": False, "instance": "Magento\\Framework\\DataObject"},
    {"op": "remove", "path": "data/order/coupon_code"},
    [{"op": "remove", "path": "data/order/coupon_code"}, {"op": "add", "path": "data/order/x", "value": 1.5}],
    [{"op": "remove", "path": "data/order/coupon_code"}],
]


FAILURE = {"recognised": False, "successful": False, "built": False}


def answers(queue, folder):
    """Answers of the functions, each with its name: to every sample as they ship, with the example rules, and with the strict contract;
    every operation that rules can give; the stock check's; and one without a queue."""
    for channel in channels():
        examples = rules_file(folder, enabled(written(channel)))
        for how in ({}, {"RULES_FILE": examples}, {"RULES_FILE": examples, "CONTRACT": "strict"}):
            with Function(channel, queue, **how) as function:
                for of, case, made in sample_requests():
                    if of == channel:
                        yield f"{channel}/{case} {[*how]}", function.invoke(made)
    for number, then in enumerate(OPERATIONS):
        with Function(PLACED, queue, RULES_FILE=always(then, folder)) as function:
            yield f"operation {number}", function.invoke(signed(PLACED, {"order": {"increment_id": f"00007{number}"}}))
    with stock_system() as server:
        for policy in ("allow", "refuse"):
            with Function(CART, queue, **settings(server, STOCK_WHEN_UNKNOWN=policy)) as function:
                for sku in ("CAP-77", "out", "fails"):
                    yield f"stock {sku}, {policy}", function.invoke(added(sku))
    nowhere = "http://127.0.0.1:9"
    with Function(PLACED, f"{nowhere}/queue", AWS_ENDPOINT_URL_SQS=nowhere, HOOK_TIMEOUT_MS="1000") as function:
        yield "no queue", function.invoke(signed(PLACED, {"order": {"increment_id": "000080"}}))


def always(then, folder):
    return rules_file(folder, [{"name": "one", "when": [condition("order.increment_id", "notEmpty")], "then": then}])


def test_adobes_helpers_recognise_every_answer_and_would_build_the_same(queue, tmp_path):
    given = list(answers(queue, tmp_path))
    operations = []
    for (name, one), said in zip(given, node("answers.mjs", [[one.status, one.body] for _, one in given], tmp_path)):
        outcome = one.line["outcome"]
        if one.status == 200:
            assert outcome in ("accepted", "not_forwarded", "refused"), name
            assert said == {"recognised": True, "successful": outcome != "refused", "built": True}, (name, one.body)
            assert one.answer["headers"]["content-type"] == "application/json", name
            operations.append(one.body)
        else:
            assert outcome not in ("accepted", "not_forwarded", "refused") and said == FAILURE, (name, one.body)
    seen = {(one["op"], *sorted(one)) for body in operations for one in (body if isinstance(body, list) else [body])}
    assert {name for name, *_ in seen} == {"success", "exception", "add", "replace", "remove"} and len(seen) == 10
    assert any(isinstance(body, list) for body in operations)
    assert {one.status for _, one in given} == {200, 400, 401, 422, 503}

    failures = [[200, one.body] for _, one in given if one.status != 200]
    assert node("answers.mjs", failures, tmp_path) == [FAILURE] * len(failures), "no operation, whatever the status"

    assert not type_errors(("(responses.WebhookOperationResponse | responses.WebhookOperationResponse[])[]", operations))
    old = {"op": "exception", "class": "Magento\\Framework\\Exception\\LocalizedException"}
    assert "does not exist in type 'ExceptionOperation'" in type_errors(("responses.WebhookOperationResponse", old))


def test_a_message_in_which_nothing_is_filled_in_is_left_out(queue, tmp_path):
    then = {"op": "exception", "message": "{order.nothing}"}
    with Function(PLACED, queue, RULES_FILE=always(then, tmp_path)) as function:
        answer = function.invoke(signed(PLACED, {"order": {"increment_id": "000081"}}))
    assert node("answers.mjs", [[answer.status, answer.body]], tmp_path)[0]["built"]
    assert answer.body == {"op": "exception"}, "so that the shop shows the hook's fallbackErrorMessage"
