"""What the functions count and time: lines in CloudWatch's embedded metric format, as they come out of the real binaries.

No emulator makes metrics of them, so the rules of the format's specification are written down here.
"""

import collections
import contextlib
import json
import socket
import time
import uuid

import jsonschema
import pytest
from audit import OUTCOMES, WRITTEN
from faults import Proxy
from function import Function
from shop import SECRET, request, with_body
from stack import REGION, STACK_NAME, channels, is_metrics, show_logs
from test_decisions import CART, added, rules_file, settings, stock_system

PLACED = "sales_order_place_after"
HOOK_TIMEOUT_MS = 1500
NAMESPACE = f"CommerceWebhooks/{STACK_NAME}"
TRACE = "1-5759e988-bd862e3fe1be46a994272793"
RULES = [
    {
        "name": "too-much", "when": [{"field": "order.grand_total", "operator": "greaterThan", "value": 1000}],
        "then": {"op": "exception", "message": "Too much"},
    },
    {
        "name": "keep", "when": [{"field": "order.grand_total", "operator": "equal", "value": 7}],
        "then": {"op": "doNotForward"},
    },
    {"name": "note", "when": [{"field": "order.customer_note", "operator": "regex", "value": "/gift/"}], "then": {"op": "exception"}},
]  # fmt: skip

# The specification's rules, and CloudWatch's own for names and dimensions.
NAME = {"type": "string", "minLength": 1, "maxLength": 255}
METADATA = {
    "type": "object",
    "required": ["Timestamp", "CloudWatchMetrics"],
    "additionalProperties": False,
    "properties": {
        "Timestamp": {"type": "integer", "minimum": 0},
        "CloudWatchMetrics": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["Namespace", "Dimensions", "Metrics"],
                "additionalProperties": False,
                "properties": {
                    "Namespace": NAME | {"pattern": r"^[A-Za-z0-9.\-_/#:]+$"},
                    "Dimensions": {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "array", "maxItems": 30, "uniqueItems": True, "items": NAME | {"maxLength": 250}},
                    },
                    "Metrics": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 100,
                        "items": {
                            "type": "object",
                            "required": ["Name"],
                            "additionalProperties": False,
                            "properties": {"Name": NAME, "Unit": {"enum": ["Count", "Milliseconds"]}},
                        },
                    },
                },
            },
        },
    },
}


def read(line):
    """The members of a line of metrics that keeps all rules of the format."""
    assert len(line.encode()) < 256 * 1024 and "\n" not in line

    def unique(pairs):
        assert len({name for name, _ in pairs}) == len(pairs), "a member that is there twice"
        return dict(pairs)

    root = json.loads(line, object_pairs_hook=unique)
    jsonschema.Draft202012Validator(METADATA).validate(root["_aws"])
    for directive in root["_aws"]["CloudWatchMetrics"]:
        for metric in directive["Metrics"]:
            value = root[metric["Name"]]
            numbers = value if isinstance(value, list) else [value]
            assert 1 <= len(numbers) <= 100 and all(type(number) in (int, float) for number in numbers), "a metric is numbers"
        for dimension in (name for dimensions in directive["Dimensions"] for name in dimensions):
            value = root[dimension]
            assert isinstance(value, str) and value.isascii() and value.strip() and len(value) <= 1024, "a dimension is a text"
    # CloudWatch takes no metric that is older than two weeks or from more than two hours ahead. These are of now.
    assert abs(root["_aws"]["Timestamp"] / 1000 - time.time()) < 60
    return root


def published(root):
    """What CloudWatch would make of a line: dimensions and name of each metric -> the sum of its values."""

    def total(value):
        return sum(value) if isinstance(value, list) else value

    return {
        (tuple((name, root[name]) for name in dimensions), metric["Name"]): total(root[metric["Name"]])
        for directive in root["_aws"]["CloudWatchMetrics"]
        for dimensions in directive["Dimensions"]
        for metric in directive["Metrics"]
    }


def metrics(result):
    """What CloudWatch would make of all lines of a request."""
    each = [published(read(line)) for line in result.metrics]
    together = {name: value for one in each for name, value in one.items()}
    assert len(together) == sum(map(len, each)), "a metric that is written twice"
    return together


def by_channel(result):
    """The metrics of a request whose dimension is the channel: name -> value."""
    return {name: value for (dimensions, name), value in metrics(result).items() if [what for what, _ in dimensions] == ["channel"]}


def order(total=1, note=None, **headers):
    """A request with an order that never was before, dated now."""
    made = request(PLACED, {"order": {"increment_id": uuid.uuid4().hex, "grand_total": total, "order_currency_code": "EUR",
                                      "items": [{"sku": "x", "qty_ordered": 1}], "customer_note": note}}, **headers)  # fmt: skip
    made["requestContext"]["timeEpoch"] = int(time.time() * 1000)
    return made


@pytest.fixture
def start(stack, tmp_path):
    """Starts functions whose queue is asked through a proxy: the function and the proxy."""
    with contextlib.ExitStack() as opened:

        def make(**environment):
            proxy = opened.enter_context(Proxy(stack.port))
            given = {"HOOK_TIMEOUT_MS": str(HOOK_TIMEOUT_MS), "RULES_FILE": rules_file(tmp_path, RULES)}
            given |= {"INVALID_EVENTS": "quarantine", "QUARANTINE_QUEUE_URL": stack.outputs["QuarantineQueueUrl"]}
            made = Function(PLACED, stack.queue(PLACED), AWS_ENDPOINT_URL_SQS=proxy.endpoint, **given | environment)
            return opened.enter_context(made), proxy

        yield make
    stack.messages(stack.queue(PLACED))
    stack.messages(stack.outputs["QuarantineQueueUrl"])


def without(made, *names):
    return made | {"headers": {name: value for name, value in made["headers"].items() if name not in names}}


def with_headers(made, **headers):
    return made | {"headers": made["headers"] | {name.replace("_", "-"): value for name, value in headers.items()}}


# The secret of the samples, as that of a shop with a name.
OF_A_SHOP = {"WEBHOOK_KEYS": json.dumps({"shops": {"eu": {"hmac_secrets": [SECRET]}}})}
# What is sent, the fault of the queue meanwhile, the status, the metric, and the stages that are reached.
NO_ORDER = {"order": {"grand_total": 5}}
ALL, NONE = ("VerifyTime", "DecideTime", "EnqueueTime"), ()
MIX = [
    ("accepted", order, "passes", 200, "Accepted", ALL),
    ("accepted with issues", lambda: order("1,299.00"), "passes", 200, "Accepted", ALL),
    ("quarantined", lambda: request(PLACED, NO_ORDER), "passes", 200, "Quarantined", ("VerifyTime", "EnqueueTime")),
    ("accepted, a rule not evaluated", lambda: order(note="a" * 40_000), "passes", 200, "Accepted", ALL),
    ("kept out of the queue by a rule", lambda: order(7), "passes", 200, "NotForwarded", ALL[:2]),
    ("refused by a rule", lambda: order(5000), "passes", 200, "Refused", ALL[:2]),
    ("without a signature", lambda: without(order(), "x-adobe-signature"), "passes", 401, "Unverified", ALL[:1]),
    ("forged", lambda: with_headers(order(), x_adobe_signature="0" * 64), "passes", 401, "Unverified", ALL[:1]),
    ("not JSON", lambda: request(PLACED, b"order"), "passes", 400, "Invalid", ALL[:1]),
    ("another event", lambda: request(PLACED, {"event": "observer.customer_delete_after"}), "passes", 400, "Invalid", ALL[:1]),
    ("not a request", lambda: {"Records": []}, "passes", 400, "Invalid", NONE),
    ("not said to be JSON", lambda: with_headers(order(), content_type="text/plain"), "passes", 415, "Invalid", NONE),
    ("too large", lambda: with_body(order(), b"x" * 6_300_000), "passes", 413, "Invalid", NONE),
    ("invalid", lambda: request(PLACED, NO_ORDER, **{"x-invalid-events": "refuse"}), "passes", 422, "Invalid", ALL[:1]),
    ("the queue refuses", order, "denied", 503, "Failed", ALL),
    ("the queue is silent", order, "hangs", 504, "Failed", ALL),
]


def test_a_mix_of_all_outcomes(start):
    sums = collections.Counter()
    results = []
    for times, keys in ((2, {}), (1, OF_A_SHOP)):
        function, proxy = start(**keys)
        for what, made, fault, status, metric, stages in MIX:
            for _ in range(times if status < 503 else 1):
                proxy.fault = fault
                result = function.invoke(made())
                assert result.status == status, (what, result.log)
                published_now, named = metrics(result), by_channel(result)
                totals = {name for dimensions, name in published_now if not dimensions}
                assert totals - {"Irregular"} == named.keys() & OUTCOMES == {metric}, what
                by_shop = {name for dimensions, name in published_now if dict(dimensions).get("shop") == "eu"}
                assert by_shop == (totals if keys and "key" in result.line else set()), what
                irregular = bool(result.line["issues"])
                assert ("Irregular" in totals, "Irregular" in named) == (irregular, irregular), what
                assert {name for name in named if name.endswith("Time")} == set(stages), what
                for root in map(json.loads, result.metrics):
                    assert root["request_id"] == result.line["request_id"]
                    assert root.get("channel", PLACED) == result.line["channel"] == PLACED
                assert_times(named, result.line)
                assert ("ColdStart" in named) == result.line["cold_start"]
                assert ("RulesUnevaluated" in named) == ("unevaluated" in result.line)
                sums.update(published_now)
                results.append((metric, result))

    told = collections.Counter(metric for metric, _ in results)
    for metric, count in told.items():
        assert sums[((("channel", PLACED),), metric)] == count == sums[((), metric)]
    assert sums[((("channel", PLACED),), "ColdStart")] == 2, "once for each process"
    verified = collections.Counter(result.line["key"] for _, result in results if "key" in result.line)
    assert {name: value for name, value in sums.items() if name[1] == "Verified"} == {
        ((("channel", PLACED), ("key", key)), "Verified"): count for key, count in verified.items()
    }
    assert verified.keys() == {"inline/hmac_secrets/0", "inline/shops/eu/hmac_secrets/0"}
    written = collections.defaultdict(set)
    for dimensions, name in sums:
        written[tuple(what for what, _ in dimensions)].add(name)
    assert written == WRITTEN, "all that there are"


def assert_times(named, line):
    """The stages took no longer than the whole, and what was left is what the log says."""
    times = [value for name, value in named.items() if name.endswith("Time")]
    assert all(value >= 0 for value in times) and sum(times) < line["spent_ms"] + 1
    assert line["left_ms"] <= named["TimeLeft"] < line["left_ms"] + 1


def test_the_time_of_the_queue_is_measured_also_when_it_fails(start):
    function, proxy = start()
    assert "EnqueueTime" in by_channel(function.invoke(order()))
    proxy.fault = "hangs"
    named = by_channel(function.invoke(order()))
    assert named["EnqueueTime"] > 800 and named["TimeLeft"] < 100, named


def test_the_stock_check_counts_as_a_decision(stack):
    with stock_system() as server, Function(CART, stack.queue(CART), **settings(server)) as function:
        out, silent = (by_channel(function.invoke(added(sku))) for sku in ("out", "silent"))
    assert (out["Refused"], "EnqueueTime" in out) == (1, False)
    assert (silent["Accepted"], "EnqueueTime" in silent) == (1, True)
    assert silent["DecideTime"] >= 400, "the stock system's timeout"
    stack.messages(stack.queue(CART))


def test_without_keys_it_is_a_failure_of_ours(start, stack):
    function, _ = start(WEBHOOK_KEYS=None, WEBHOOK_KEYS_SECRET="there-is-none", AWS_REGION=REGION,
                        AWS_ENDPOINT_URL_SECRETS_MANAGER=stack.endpoint)  # fmt: skip
    result = function.invoke(order())
    named = by_channel(result)
    assert (result.status, named["Failed"], named["ColdStart"]) == (503, 1, 1), result.log
    assert "VerifyTime" in named and "DecideTime" not in named
    assert not any(name == "Verified" for _, name in metrics(result))


def test_who_takes_events_from_anybody_has_no_key_to_name(start):
    function, _ = start(SIGNATURE_SCHEMES="accept-unsigned")
    made = metrics(function.invoke(without(order(), "x-adobe-signature")))
    assert made[(), "Accepted"] == 1
    assert {tuple(name for name, _ in dimensions) for dimensions, _ in made} == {(), ("channel",)}


def test_metrics_are_written_whatever_the_log_is_told(start):
    function, _ = start(LOG_LEVEL="error")
    result = function.invoke(order())
    assert result.log.splitlines() == result.metrics, "the only lines"
    assert metrics(result)[(), "Accepted"] == 1


@pytest.mark.parametrize("namespace", [None, "", " "])
def test_without_a_namespace_there_are_none(start, namespace):
    function, _ = start(METRICS_NAMESPACE=namespace)
    result = function.invoke(order())
    assert result.line["status"] == 200 and not any(map(is_metrics, result.log.splitlines()))


def test_a_line_is_one_write_and_so_are_all_metrics_of_a_request(start):
    """A socket that keeps writes apart shows it: no line is ever mixed with another, nor cut."""
    function, _ = start()
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with reader, writer:
        reader.settimeout(5)
        function.log_file.close()
        function.log_file = writer
        function.invoke(order())
        writes = []
        while not any('"answered"' in write for write in writes):
            writes.append(reader.recv(65536).decode())
    assert all(write.endswith("}\n") for write in writes), writes
    (together,) = filter(is_metrics, writes)
    metrics = together.splitlines()
    assert len(metrics) == len(WRITTEN) - 1 and all(map(is_metrics, metrics)), "one less without the name of a shop"
    assert all(write.count("\n") == 1 for write in writes if write != together), writes


def test_a_stack_has_its_own_namespace_and_its_logs_hold_the_metrics(stack, capsys):
    aws = stack.client("lambda")
    for name in channels().values():
        variables = aws.get_function_configuration(FunctionName=stack.function(name))["Environment"]["Variables"]
        assert variables["METRICS_NAMESPACE"] == NAMESPACE
    _, log = stack.invoke(PLACED, order(5))
    stack.messages(stack.queue(PLACED))
    for _ in range(50):
        lines = [line for line in stack.logs() if is_metrics(line)]
        if lines:
            break
        time.sleep(0.2)
    assert {directive["Namespace"] for line in lines for directive in json.loads(line)["_aws"]["CloudWatchMetrics"]} == {NAMESPACE}
    show_logs(stack.port)
    shown = capsys.readouterr().out
    assert '"message":"answered"' in shown and "_aws" not in shown


# Traces


def test_a_trace_of_the_shop_and_x_ray_s_go_into_the_message_and_x_ray_s_into_the_log(start, stack):
    function, _ = start()
    traceparent = f"00-{'4' * 32}-{'2' * 16}-01"
    result = function.invoke(order(traceparent=traceparent))
    assert result.line["trace_id"] == TRACE
    (message,) = stack.take(stack.queue(PLACED))
    assert message["Attributes"]["AWSTraceHeader"] == f"Root={TRACE};Parent=53995c3f42cd8ad8;Sampled=1"
    assert message["MessageAttributes"]["traceparent"]["StringValue"] == traceparent
    function.invoke(order(traceparent="00-zoe"))
    (message,) = stack.take(stack.queue(PLACED))
    assert "traceparent" not in message["MessageAttributes"]


# The rules themselves


def spoilt(change):
    root = {"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [
        {"Namespace": NAMESPACE, "Dimensions": [["channel"]], "Metrics": [
            {"Name": "Accepted", "Unit": "Count"}, {"Name": "TimeLeft", "Unit": "Milliseconds"}]}]},
        "channel": PLACED, "Accepted": 1, "TimeLeft": [4680.25]}  # fmt: skip
    change(root, root["_aws"]["CloudWatchMetrics"][0])
    return json.dumps(root)


@pytest.mark.parametrize("change", [
    lambda root, _: root["_aws"].pop("Timestamp"),
    lambda root, _: root["_aws"].update(Timestamp=time.time()),
    lambda root, _: root["_aws"].update(Timestamp=int(time.time())),
    lambda root, _: root.pop("Accepted"),
    lambda root, _: root.update(Accepted="1"),
    lambda root, _: root.update(Accepted=True),
    lambda root, _: root.update(TimeLeft=[]),
    lambda root, _: root.update(TimeLeft=["4680.25"]),
    lambda root, _: root.update(TimeLeft=[[4680.25]]),
    lambda root, _: root.update(TimeLeft=[4680.25] * 101),
    lambda root, _: root.pop("channel"),
    lambda root, _: root.update(channel=1),
    lambda root, _: root.update(channel=""),
    lambda _, directive: directive.update(Namespace="Commerce Webhooks"),
    lambda _, directive: directive.pop("Dimensions"),
    lambda _, directive: directive.update(Dimensions=[]),
    lambda _, directive: directive.update(Dimensions=["channel"]),
    lambda _, directive: directive.update(Dimensions=[["shop"]]),
    lambda _, directive: directive["Metrics"].append({"Unit": "Count"}),
    lambda _, directive: directive["Metrics"].append({"Name": "VerifyTime", "Unit": "Milliseconds"}),
    lambda _, directive: directive["Metrics"][0].update(Unit="ms"),
])  # fmt: skip
def test_what_breaks_the_format_is_found(change):
    channel = (("channel", PLACED),)
    assert published(read(spoilt(lambda *_: None))) == {(channel, "Accepted"): 1, (channel, "TimeLeft"): 4680.25}
    with pytest.raises((AssertionError, KeyError, jsonschema.ValidationError)):
        read(spoilt(change))
