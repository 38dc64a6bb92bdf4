"""The real functions, behind the real template, against SQS: what a shop gets and what a consumer reads."""

import base64
import json
import random
import re
import socket
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import pytest
from function import Function
from shop import assert_nothing_leaks, raw_body, request, sample, with_body
from stack import EVENTS, NO_RULES, ROOT, STACK_NAME, STATE, Stack, channels, paths, replay, sample_requests, show_logs, switches, template
from stand_in import running

SAMPLES = list(sample_requests())
NAMES = [f"{channel}-{case}" for channel, case, _ in SAMPLES]


def status(stack, channel, made):
    return stack.invoke(channel, made)[0]["statusCode"]


# Samples


@pytest.mark.parametrize(("channel", "case", "made"), SAMPLES, ids=NAMES)
def test_a_sample_gives_its_answer_and_its_message(stack, channel, case, made):
    answer, message = replay(stack, channel, made)
    assert answer == json.loads((EVENTS / channel / f"{case}.answer.json").read_text())
    assert_nothing_leaks(channel, made, answer, log="")
    expected = EVENTS / channel / f"{case}.message.json"
    assert message == (json.loads(expected.read_text()) if expected.exists() else None)
    if message:
        schema = json.loads((ROOT / "shared" / "schema" / f"{channel}.json").read_text())
        checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
        jsonschema.Draft202012Validator(schema, format_checker=checker).validate(message["MessageBody"])


def test_the_shapes_of_one_order_give_one_canonical_order(stack):
    def order(case):
        message = json.loads((EVENTS / "sales_order_place_after" / f"{case}.message.json").read_text())
        return message["MessageBody"]["data"]["order"]

    # The spec's order knows no store.
    assert order("ideal") | {"store_id": 1} == order("loaded")
    assert order("ideal") == order("spec-bare")


@pytest.mark.parametrize("channel", list(channels()))
def test_the_gateway_carries_a_shops_request(stack, channel):
    made = sample(channel)
    for path in paths(channel):
        code, body, _ = stack.post(channel, made["headers"], raw_body(made), path)
        assert (code, body) == (200, '{"op":"success"}'), path


# Verification


def test_a_body_of_php_signed_by_openssl_is_accepted_and_one_flipped_byte_is_not(stack, shop_key, tmp_path):
    channel = "sales_order_place_after"
    raw = (
        rb'{"order":{"increment_id":"000000777","grand_total":"12.5000","order_currency_code":"EUR","customer_firstname":'
        rb'"Zo\u00eb","items":{"5":{"sku":"A\/B","qty_ordered":"1.0000"}},"extension_attributes":[]}}'
    )
    (tmp_path / "signed").write_bytes(base64.b64encode(raw))
    command = ["openssl", "dgst", "-sha256", "-sign", shop_key, tmp_path / "signed"]
    signature = subprocess.run(command, check=True, capture_output=True).stdout

    def signed(body, by):
        made = sample(channel)
        made["headers"]["x-adobe-commerce-webhook-signature"] = base64.b64encode(by).decode()
        return with_body(made, body)

    answer, message = replay(stack, channel, signed(raw, signature))
    assert answer["statusCode"] == 200
    assert message["MessageBody"]["data"]["order"]["customer_firstname"] == "Zoë"
    assert message["MessageBody"]["data"]["order"]["items"] == [{"sku": "A/B", "qty_ordered": "1"}]

    def flipped(content, index):
        changed = bytearray(content)
        changed[index] ^= 1
        return bytes(changed)

    for index in range(0, len(raw), 7):
        assert status(stack, channel, signed(flipped(raw, index), signature)) == 401, f"byte {index} of the body"
    for index in range(0, len(signature), 16):
        assert status(stack, channel, signed(raw, flipped(signature, index))) == 401, f"byte {index} of the signature"
    assert stack.messages(stack.queue(channel)) == []


def test_header_names_come_in_any_case(stack):
    made = sample("customer_delete_after", "ideal")
    made["headers"] = {name.upper(): value for name, value in made["headers"].items()}
    assert status(stack, "customer_delete_after", made) == 200


def test_without_any_configuration_a_function_does_not_start():
    for channel in channels():
        ended = subprocess.run([ROOT / "target" / "debug" / channel], env={}, capture_output=True, text=True)
        assert ended.returncode == 1
        reasons = [json.loads(line)["message"] for line in ended.stdout.splitlines()]
        assert any("WEBHOOK_KEYS: has no key" in reason for reason in reasons), reasons
        assert ended.stderr == ""


# Refusals


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"", {}, 400),
        (b"not json", {}, 400),
        (b'{"order":{}', {}, 400),
        (b"[]", {}, 400),
        (b'{"order":"\xff"}', {}, 400),
        ({"event": "observer.sales_order_save_after", "order": {}}, {}, 400),
        ({"order": {}}, {}, 422),
        ({}, {}, 422),
        ({"order": {}}, {"content-type": "text/xml"}, 415),
        ({"order": {}}, {"content-encoding": "gzip"}, 415),
        ({"order": {}}, {"x-adobe-signature": "0" * 64}, 401),
        ({"order": {}}, {"x-adobe-signature": ""}, 401),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(stack, body, headers, expected):
    answer, message = replay(stack, "sales_order_place_after", request("sales_order_place_after", body, **headers))
    assert answer["statusCode"] == answer["body"]["status"] == expected
    assert answer["headers"] == {"content-type": "application/problem+json"}
    assert message is None


def test_missing_fields_are_named_by_their_pointers(stack):
    made = request("sales_order_place_after", {"data": {"order": {"entity_id": 7, "items": {"5": {"name": "x"}}}}})
    answer, message = replay(stack, "sales_order_place_after", made)
    assert (answer["statusCode"], message["MessageAttributes"]["issues"]) == (200, "expected")
    issues = message["MessageBody"]["data"]["issues"]
    assert {issue["pointer"]: issue["kind"] for issue in issues} == dict.fromkeys(
        [
            "/data/order/grand_total",
            "/data/order/order_currency_code",
            "/data/order/items/5/sku",
            "/data/order/items/5/qty_ordered",
        ],
        "missing",
    )


# Messages


def test_a_repeat_is_one_message(stack):
    made = request("catalog_product_save_after", {"product": {"entity_id": 7, "sku": "REPEATED"}})
    for _ in range(3):
        assert status(stack, "catalog_product_save_after", made) == 200
    assert len(stack.messages(stack.queue("catalog_product_save_after"))) == 1


def test_the_same_product_in_two_fresh_carts_is_two_messages(stack):
    channel = "checkout_cart_product_add_after"
    stack.client("sqs").purge_queue(QueueUrl=stack.queue(channel))
    for delivery in ("gateway-1", "gateway-2", "gateway-2"):
        made = request(channel, {"quote_item": {"sku": "CAP", "qty": 1}})
        made["requestContext"]["requestId"] = delivery
        assert status(stack, channel, made) == 200
    assert len(stack.messages(stack.queue(channel))) == 2


def test_messages_of_one_order_share_a_group(stack):
    bodies = {
        "sales_order_save_after": {"order": {"entity_id": "61", "increment_id": "000000061", "state": "processing"}},
        "sales_order_invoice_pay": {"invoice": {"entity_id": 9, "order_id": "61", "grand_total": 5, "state": "2"}},
        "sales_order_shipment_save_after": {"shipment": {"entity_id": "3", "order_id": 61}},
    }
    for channel, body in bodies.items():
        assert status(stack, channel, request(channel, body)) == 200
    messages = stack.messages(stack.queue("sales_order_save_after"))
    assert [message["MessageGroupId"] for message in messages] == ["order/61"] * 3
    assert [message["MessageAttributes"]["channel"] for message in messages] == list(bodies)


def test_an_event_over_the_limit_of_sqs_travels_compressed_and_whole(stack):
    items = {str(i): {"sku": f"SKU-{i}", "qty_ordered": 1, "product_options": {"info": "x" * 900}} for i in range(2000)}
    body = {"data": {"order": {"entity_id": 5, "increment_id": "000000005", "state": "new", "items": items}}}
    answer, message = replay(stack, "sales_order_save_after", request("sales_order_save_after", body))
    assert answer["statusCode"] == 200
    assert message["MessageAttributes"]["content-encoding"] == "gzip, base64"
    assert message["MessageBody"]["data"]["original"] == body["data"]["order"]


def test_an_event_that_no_message_can_hold_is_refused(stack):
    noise = base64.b64encode(random.Random(1).randbytes(2_000_000)).decode()
    body = {"order": {"entity_id": 5, "increment_id": "000000005", "state": "new", "noise": noise}}
    answer, message = replay(stack, "sales_order_save_after", request("sales_order_save_after", body))
    assert (answer["statusCode"], message) == (413, None)


# Faults


def at_all_channels(work):
    with ThreadPoolExecutor(len(channels())) as pool:
        return dict(zip(channels(), pool.map(work, channels())))


def with_queue_at(stack, port, timeout_ms):
    """Invokes every channel, cold, while its queue is at another port: answer and log. What gives up too late gets another answer:
    of the emulator, which ends it. Hooks of type before are forwarded, too."""

    def one(channel):
        made = sample(channel)
        variables = {"AWS_ENDPOINT_URL_SQS": f"http://127.0.0.1:{port}", "HOOK_TIMEOUT_MS": str(timeout_ms), "FORWARD_BEFORE": "true"}
        with stack.copy(channel, **variables, LOG_LEVEL="trace") as function:
            made["requestContext"]["timeEpoch"] = int(time.time() * 1000)
            return stack.invoke(function, made)

    return at_all_channels(one)


def test_a_stopped_queue_gives_503_and_no_log_of_the_event(stack):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        results = with_queue_at(stack, nobody.getsockname()[1], 5000)
    for channel, (answer, log) in results.items():
        assert answer["statusCode"] == 503, channel
        assert json.loads(answer["body"])["type"] == "urn:commerce-webhooks:queue_unreachable"
        assert '"forwarded":"no"' in log
        assert_nothing_leaks(channel, sample(channel), answer, log)


def test_a_silent_queue_gives_504_and_says_that_nobody_knows(stack):
    silent = socket.create_server(("127.0.0.1", 0), backlog=64)
    kept = []
    threading.Thread(target=lambda: [kept.append(silent.accept()) for _ in range(64)], daemon=True).start()
    results = with_queue_at(stack, silent.getsockname()[1], 3000)
    for channel, (answer, log) in results.items():
        assert answer["statusCode"] == 504, channel
        assert '"forwarded":"unknown"' in log
        assert_nothing_leaks(channel, sample(channel), answer, log)


def test_accepted_events_are_not_logged_either(stack):
    def one(channel):
        with stack.copy(channel, LOG_LEVEL="trace", FORWARD_BEFORE="true") as function:
            return stack.invoke(function, sample(channel))

    for channel, (answer, log) in at_all_channels(one).items():
        assert answer["statusCode"] == 200
        assert '"outcome":"accepted"' in log
        assert_nothing_leaks(channel, sample(channel), answer, log)
    # No other test forwards the events of hooks of type before, so they are no duplicates: leave none of them in a queue.
    for queue in {stack.queue(channel) for channel in channels()}:
        stack.messages(queue)


def test_everything_in_the_template_is_deployed(stack):
    made = stack.client("cloudformation").describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    statuses = {one["LogicalResourceId"]: one["ResourceStatus"] for one in made}
    assert set(statuses.values()) == {"CREATE_COMPLETE"}
    on = switches(template())
    conditional = {name for name, one in template()["Resources"].items() if "Condition" in one and one["Condition"] not in on}
    # The emulator mounts no layers.
    assert set(template()["Resources"]) - conditional - {"Rules"} <= set(statuses)
    assert set(stack.outputs) == {name for name, one in template()["Outputs"].items() if "Condition" not in one or one["Condition"] in on}
    (dashboard,) = stack.client("cloudwatch").list_dashboards()["DashboardEntries"]
    body = stack.client("cloudwatch").get_dashboard(DashboardName=dashboard["DashboardName"])["DashboardBody"]
    assert "${" not in body and json.loads(body)["widgets"], "names are put in, and it is JSON"


def test_the_gateway_calls_the_alias_of_a_version(stack):
    lambda_service = stack.client("lambda")
    for name in channels().values():
        (alias,) = lambda_service.list_aliases(FunctionName=stack.function(name))["Aliases"]
        newest = lambda_service.list_versions_by_function(FunctionName=stack.function(name))["Versions"][-1]["Version"]
        assert (alias["Name"], alias["FunctionVersion"]) == ("live", newest) and newest.isdigit()
    integrations = stack.client("apigatewayv2").get_integrations(ApiId=stack.api)["Items"]
    assert {one["IntegrationUri"] for one in integrations} == {f"{stack.function(name)}:live" for name in channels().values()}


# The merchant's files


def test_the_functions_have_no_rules_unless_a_test_gives_them_some(stack):
    aws = stack.client("lambda")
    for channel, name in channels().items():
        variables = aws.get_function_configuration(FunctionName=stack.function(name))["Environment"]["Variables"]
        assert variables["RULES_FILE"] == Function(channel, "").environment["RULES_FILE"] == str(NO_RULES)


def test_no_test_reads_the_settings_or_the_rules_of_the_merchant():
    """The examples, local/tests/samconfig.toml and what a test writes itself are there instead."""
    merchants = re.compile(r"""merchant_rules\(|ROOT / "functions".*"rules\.json"|ROOT / "samconfig\.toml"|"functions/\{.*rules\.json|preflight\.CONFIG(?! =|,)""")
    tests = [path for path in (ROOT / "local" / "tests").rglob("*.py") if path != Path(__file__)]
    assert [(path.name, found) for path in tests if (found := merchants.findall(path.read_text()))] == []


# The emulator


def test_what_the_emulator_unpacks_is_below_target_and_is_removed_with_it(stack):
    code = f"ministack-provided-code-{stack.port}"
    channel = next(iter(channels()))
    stack.invoke(channel, sample(channel))
    assert (stack.scratch / code).is_dir() and stack.scratch.is_relative_to(STATE)
    assert not Path(tempfile.gettempdir(), code).exists()
    with Undeployed(port=0) as other:
        left = other.scratch / "of an emulator"
        left.touch()
        assert stack.scratch != other.scratch
    assert not other.scratch.exists()
    assert (stack.scratch / code).is_dir(), "that of another is left alone"


def test_logs_of_a_wrong_port_are_told():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(SystemExit, match="nothing is up at port .* give PORT=… as make run printed"):
            show_logs(nobody.getsockname()[1])
    with running() as another, pytest.raises(SystemExit, match="is not the bundle; give PORT=… as make run printed"):
        show_logs(another.server_port)


class Undeployed(Stack):
    def deploy(self):
        pass
