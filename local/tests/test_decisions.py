"""What a merchant decides without Rust: rules and the stock check, in the real functions, inside the shop's time."""

import contextlib
import http.server
import itertools
import json
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import figures
import jsonschema
import pytest
from certificates import certificates
from shop import LATE_MS, SECRET, assert_nothing_leaks, condition, request, sample
from stack import EVENTS, ROOT, channels, example_rules, is_metrics

PLACED = "sales_order_place_after"
CART = "checkout_cart_product_add_after"
SUCCESS = '{"op":"success"}'
LOCAL = ROOT / "target" / "debug" / "local"


def written(channel):
    """The example rules of a channel, if it has any."""
    file = example_rules(channel)
    return json.loads(file.read_text())["rules"] if file.exists() else []


def rules_file(folder, rules, mode="enforce"):
    path = folder / f"{len(list(folder.iterdir()))}.json"
    path.write_text(json.dumps({"mode": mode, "rules": rules}))
    return str(path)


def enabled(rules):
    return [{key: value for key, value in rule.items() if key != "mode"} | {"enabled": True} for rule in rules]


def line(log):
    """The log line of the last request."""
    lines = [json.loads(text) for text in log.splitlines() if text.startswith("{") and not is_metrics(text)]
    return [one for one in lines if one["message"] == "answered"][-1]


# Rules


ORDER = {
    "increment_id": "000000123",
    "grand_total": "12000.0000",
    "order_currency_code": "EUR",
    "customer_is_guest": True,
    "status": "pending",
    "items": {"5": {"sku": "A/B", "qty_ordered": 2}, "6": {"sku": 1001, "qty_ordered": "3.0000"}},
    "addresses": [{"address_type": "shipping", "postcode": 97477, "country_id": "US"}],
    "coupon_code": "TEN",
    "extension_attributes": [],
}
OTHER_ORDER = ORDER | {"increment_id": "7", "grand_total": 10000, "status": "", "items": [{"sku": "X", "qty_ordered": 1}]}
OPERATORS = [
    condition("order.grand_total", "greaterThan", 10000),
    condition("order.items[].qty_ordered", "lessThan", "2.5"),
    condition("order.items[].sku", "equal", "A/B"),
    condition("order.increment_id", "notEqual", "7"),
    condition("order.increment_id", "regex", "#^0{6}\\d+$#"),
    condition("order.items[].qty_ordered", "in", "3, 4"),
    condition("data.order.billing_address", "isEmpty"),
    condition("order.status", "notEmpty"),
]


def test_every_operator_and_every_operation_byte_for_byte(stack, tmp_path):
    add = {"op": "add", "path": "data/order/ext_order_id", "value": {"a": [1, None, "é/"]}, "instance": "Magento\\Order"}
    replace = {"op": "replace", "path": "data/order/customer_note", "value": "checked"}
    remove = {"op": "remove", "path": "data/order/coupon_code"}
    refuse = {"op": "exception", "message": "{order.items[].sku}: no", "type": "Magento\\Framework\\Exception\\LocalizedException"}
    cart = [condition("order.coupon_code", "equal", "NONE")]
    file = rules_file(tmp_path, [
        *({"name": f"op-{i}", "when": [one], "then": remove | {"path": f"data/order/x/{i}"}} for i, one in enumerate(OPERATORS)),
        {"name": "all", "when": OPERATORS, "then": [add, replace, remove]},
        {"name": "bare", "when": cart, "then": {"op": "exception"}},
        {"name": "never", "when": [*OPERATORS, *cart], "then": refuse},
    ])  # fmt: skip
    refusing = rules_file(tmp_path, [{"name": "all", "when": OPERATORS, "then": refuse}])
    removes = ",".join(f'{{"op":"remove","path":"data/order/x/{i}"}}' for i in range(8))
    changes = (
        f"[{removes},"
        '{"op":"add","path":"data/order/ext_order_id","value":{"a":[1,null,"é/"]},"instance":"Magento\\\\Order"},'
        '{"op":"replace","path":"data/order/customer_note","value":"checked"},'
        '{"op":"remove","path":"data/order/coupon_code"}]'
    )
    exception = '{"op":"exception","message":"A/B, 1001: no","type":"Magento\\\\Framework\\\\Exception\\\\LocalizedException"}'
    queue = stack.queue(PLACED)
    cases = [
        (file, ORDER, changes, True),
        (file, OTHER_ORDER, '[{"op":"remove","path":"data/order/x/1"},{"op":"remove","path":"data/order/x/6"}]', True),
        (file, OTHER_ORDER | {"coupon_code": "NONE"}, '{"op":"exception"}', False),
        (file, {**OTHER_ORDER, "billing_address": {"city": "X"}}, '{"op":"remove","path":"data/order/x/1"}', True),
        (refusing, ORDER, exception, False),
        (refusing, OTHER_ORDER | {"increment_id": "8"}, SUCCESS, True),
    ]
    for path, order, expected, queued in cases:
        with stack.copy(PLACED, RULES_FILE=path) as function:
            answer, _ = stack.invoke(function, request(PLACED, {"data": {"order": order}}))
        assert answer["body"] == expected
        assert (answer["statusCode"], answer["headers"]) == (200, {"content-type": "application/json"})
        assert len(stack.messages(queue)) == (1 if queued else 0)


def test_a_large_order_of_a_guest_is_refused_or_only_observed(stack, tmp_path):
    body = json.loads((EVENTS / PLACED / "guest-order-limit.body.json").read_text())
    body["data"]["order"]["increment_id"] = "000009001"  # the sample itself was sent before: a repeat
    made = request(PLACED, body)
    limit = enabled(rule for rule in written(PLACED) if rule["name"] == "guest-order-limit")
    sentence = "Guests can order for up to 10,000. This order comes to 12002.25 USD: please sign in."

    with stack.copy(PLACED, RULES_FILE=rules_file(tmp_path, limit), LOG_LEVEL="trace") as function:
        answer, log = stack.invoke(function, made)
    assert answer["body"] == json.dumps({"op": "exception", "message": sentence}, separators=(",", ":"))
    assert stack.messages(stack.queue(PLACED)) == []
    said = line(log)
    assert (said["outcome"], said["rules"], said["forwarded"]) == ("refused", "guest-order-limit", "no")
    assert "observed" not in said
    assert_nothing_leaks(PLACED, made, "", log)

    with stack.copy(PLACED, RULES_FILE=rules_file(tmp_path, limit, "observe"), LOG_LEVEL="trace") as function:
        logs = [stack.invoke(function, made) for _ in range(3)]
    for answer, log in logs:
        assert answer["body"] == SUCCESS
        assert_nothing_leaks(PLACED, made, answer, log)
    assert len(stack.messages(stack.queue(PLACED))) == 1, "the same event three times"
    counted = [line(log) for _, log in logs]
    assert [(one["rules"], one["observed"], one["outcome"]) for one in counted] == [
        ("guest-order-limit", "refused", "accepted")
    ] * 3


def test_a_rule_that_cannot_be_evaluated_is_named_and_costs_no_event(stack, tmp_path):
    looks = {"name": "looks", "when": [condition("order.x.y", "notEmpty")], "then": {"op": "exception"}}
    matches = {"name": "matches", "when": [condition("order.x.z", "regex", "/a/")], "then": {"op": "exception"}}

    def outcome(number, x, rule, mode="enforce"):
        raw = json.dumps({"order": ORDER | {"increment_id": f"00000900{number}", "x": "@@"}}).replace('"@@"', x).encode()
        with stack.copy(PLACED, RULES_FILE=rules_file(tmp_path, [rule], mode)) as function:
            answer, log = stack.invoke(function, request(PLACED, raw))
        said = line(log)
        queued = len(stack.messages(stack.queue(PLACED)))
        assert "observed" not in said and "rules" not in said
        assert [one for one in log.splitlines() if is_metrics(one) and '"RulesUnevaluated":1' in one]
        return json.loads(answer["body"])["op"], said["level"], said["unevaluated"], queued

    unreadable, too_long = r'{"\ud800": 1}', json.dumps({"z": "b" * 33_000})
    for number, mode in enumerate(("enforce", "observe")):
        assert outcome(number, unreadable, looks, mode) == ("success", "WARN", "looks", 1)
        assert outcome(number + 2, too_long, matches, mode) == ("success", "WARN", "matches", 1)
    assert outcome(4, too_long, matches | {"whenUnreadable": "refuse"}) == ("exception", "WARN", "matches", 0)


def test_rules_can_be_enforced_and_observed_at_once_and_keep_an_event_out_of_the_queue(stack, tmp_path):
    always = [condition("order.increment_id", "notEmpty")]
    note = {"op": "add", "path": "data/order/note", "value": "{order.increment_id}"}
    copy = {"op": "replace", "path": "data/order/ext_order_id", "valueField": "order.grand_total"}
    rules = [
        {"name": "watch", "mode": "observe", "when": always, "then": {"op": "exception"}},
        {"name": "keep", "when": always, "then": [note, copy, {"op": "doNotForward"}]},
    ]
    body = {"data": {"order": ORDER | {"increment_id": "000009101", "grand_total": "12.1000"}}}
    with stack.copy(PLACED, RULES_FILE=rules_file(tmp_path, rules)) as function:
        answer, log = stack.invoke(function, request(PLACED, body))
    said = line(log)
    assert (said["outcome"], said["forwarded"], said["status"]) == ("not_forwarded", "no", 200)
    assert (said["rules"], said["observed"], said["observed_rules"]) == ("keep,watch", "refused", "watch")
    assert answer["body"] == (
        '[{"op":"add","path":"data/order/note","value":"000009101"},'
        '{"op":"replace","path":"data/order/ext_order_id","value":"12.1000"}]'
    )
    assert stack.messages(stack.queue(PLACED)) == []
    assert_nothing_leaks(PLACED, request(PLACED, body), "", log)


EXAMPLES = [(channel, rule["name"]) for channel in channels() for rule in written(channel)]


@pytest.mark.parametrize(("channel", "name"), EXAMPLES)
def test_an_example_rule_is_off_and_its_sample_triggers_it(stack, tmp_path, channel, name):
    rule = next(rule for rule in written(channel) if rule["name"] == name)
    assert rule["enabled"] is False, "shops can disagree on it"
    with stack.copy(channel, RULES_FILE=rules_file(tmp_path, enabled(written(channel)))) as function:
        answer, log = stack.invoke(function, sample(channel, name))
        normal, _ = stack.invoke(function, sample(channel, "default"))
    stack.messages(stack.queue(channel))
    assert line(log)["rules"] == name
    body = json.loads(answer["body"])
    then = rule["then"] if isinstance(rule["then"], list) else [rule["then"]]
    assert [one["op"] for one in (body if isinstance(body, list) else [body])] == [one["op"] for one in then]
    assert "{" not in body.get("message", ""), "every placeholder is filled"
    assert normal["body"] == SUCCESS, "an everyday event passes"


@pytest.mark.parametrize("channel", sorted({channel for channel, _ in EXAMPLES}))
def test_the_example_rules_fit_their_schema(channel):
    schema = json.loads((ROOT / "shared" / "rules.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(json.loads(example_rules(channel).read_text()))
    for rule in written(channel):
        assert (EVENTS / channel / f"{rule['name']}.body.json").exists(), "a sample triggers it"


def test_with_a_bad_rules_file_a_function_does_not_start(stack, tmp_path):
    bad = [
        {"name": "one", "when": [condition("order.items.sku", "equal", 1)], "then": {"op": "remove", "path": "/x"}},
        {"name": "two", "enabled": False, "when": [condition("order.status", "regex", "/(?=a)/")], "then": {"op": "exception"}},
    ]
    path = rules_file(tmp_path, bad)
    name = ROOT / "target" / "debug" / PLACED
    environment = {
        "RULES_FILE": path, "QUEUE_URL": stack.queue(PLACED), "HOOK_TIMEOUT_MS": "5000", "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "WEBHOOK_KEYS": stack.keys,
    }  # fmt: skip
    ended = subprocess.run([name], env=environment, capture_output=True, text=True)
    said = [json.loads(text)["message"] for text in ended.stdout.splitlines()]
    assert ended.returncode == 1
    assert [text.split(": ", 2)[2].split(":")[0] for text in said] == ["rule one"] * 2 + ["rule two"], said
    missing = subprocess.run([name], env=environment | {"RULES_FILE": "/nowhere.json"}, capture_output=True, text=True)
    assert missing.returncode == 1
    assert "not started: /nowhere.json: cannot be read" in missing.stdout

    checked = subprocess.run([LOCAL, "rules", PLACED, path], capture_output=True, text=True)
    assert checked.returncode == 1
    assert [text.split(": ")[1] for text in checked.stderr.splitlines()] == ["rule one"] * 2 + ["rule two"]


def test_a_rules_file_can_be_tried_on_an_event(tmp_path):
    def tried(*arguments):
        command = [LOCAL, "rules", PLACED, *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)

    case = f"events/{PLACED}/guest-order-limit"
    for event in (f"{case}.body.json", f"{case}.request.json"):
        said = tried(example_rules(PLACED), event, "--all")
        assert said.returncode == 0
        assert "guest-order-limit: matched → refused (not enabled)" in said.stdout
        assert 'true     order.shipping_address.postcode regex "/^9[0-9]{4}$/"  found "97477"' in said.stdout
        assert '{"op":"exception","message":"Guests can order for up to 10,000.' in said.stdout
    said = tried(example_rules(PLACED), f"{case}.body.json")
    assert "No rule is enabled." in said.stdout and SUCCESS in said.stdout
    said = tried(rules_file(tmp_path, enabled(written(PLACED)), "observe"), f"events/{PLACED}/default.body.json")
    assert "guest-order-limit: did not match" in said.stdout
    assert "false    order.grand_total greaterThan 10000" in said.stdout
    of_shop = [{"name": "eu", "when": [{"field": "@shop", "operator": "equal", "value": "eu"}], "then": {"op": "exception"}}]
    for shop, word in (("eu", "matched → refused"), ("us", "did not match"), (None, "did not match")):
        said = tried(rules_file(tmp_path, of_shop), f"{case}.body.json", *(["--shop", shop] if shop else []))
        assert said.returncode == 0 and f"eu: {word}\n" in said.stdout, said
        assert f"found {json.dumps(shop) if shop else 'nothing'}" in said.stdout, said
    said = tried(rules_file(tmp_path, of_shop), f"{case}.body.json", "--shop", "EU")
    assert said.returncode == 1 and "is not the name of a shop" in said.stderr
    said = tried(example_rules(PLACED), f"events/{PLACED}/invalid.body.json")
    assert said.returncode == 1 and "would answer 422 (invalid)\n  /data/order" in said.stderr
    assert tried().returncode == 2 and "Usage: local rules" in tried().stderr


# The stock check


class StockSystem(http.server.ThreadingHTTPServer):
    """A merchant's inventory system, whose behaviour the SKU chooses."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, tls=None):
        super().__init__(("127.0.0.1", 0), StockAnswer)
        self.connections, self.questions, self.ended = 0, [], threading.Event()
        self.hangs_up_after = None
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    def get_request(self):
        self.connections += 1
        return super().get_request()

    def handle_error(self, *_):
        pass  # a client that hangs up is what is tested


class StockAnswer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self.server.questions.append((self.path, self.headers.get("authorization")))
        self.asked = getattr(self, "asked", 0) + 1
        if self.server.hangs_up_after and self.asked > self.server.hangs_up_after:
            self.close_connection = True
            return
        behaviour = self.path.rsplit("/", 1)[1]
        if behaviour == "silent":
            self.server.ended.wait(30)
        elif behaviour == "slow-headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            self.server.ended.wait(30)
        elif behaviour == "slow-body":
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
            self.server.ended.wait(30)
        elif behaviour == "breaks":
            self.close_connection = True
        elif behaviour == "broken-http":
            self.wfile.write(b"\x15\x03\x01\0")
            self.close_connection = True
        else:
            code, body = {
                "fails": (500, '{"stock":{"qty":9}}'),
                "busy": (429, "{}"),
                "unknown": (404, '{"stock":{"qty":9}}'),
                "moved": (302, ""),
                "html": (200, "<html>"),
                "no-pointer": (200, '{"qty":9}'),
                "huge": (200, " " * 100_000 + '{"stock":{"qty":9}}'),
                "out": (200, '{"stock":{"qty":"1.0000"}}'),
                "no": (200, '{"stock":{"qty":false}}'),
                "GIFT": (200, '{"stock":{"qty":null}}'),
            }.get(behaviour, (200, '{"stock":{"qty":"2.0000"}}'))
            self.send_response(code)
            self.send_header("content-length", str(len(body)))
            self.send_header("location", "/stock/moved")
            self.end_headers()
            self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def stock_system(tls=None):
    with StockSystem(tls) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()


def settings(server, scheme="http", **more):
    url = f"{scheme}://localhost:{server.server_address[1]}/stock/{{sku}}"
    return {"STOCK_URL": url, "STOCK_POINTER": "/stock/qty", "STOCK_WHEN_UNKNOWN": "allow", "STOCK_TIMEOUT_MS": "400", **more}


def added(sku, qty="2.0000"):
    made = request(CART, {"data": {"quote_item": {"sku": sku, "qty": qty, "product_id": "7"}}}, **{"x-adobe-commerce-request-id": f"request-{time.time_ns()}"})
    made["requestContext"]["timeEpoch"] = int(time.time() * 1000)
    return made


REFUSED = '{"op":"exception","message":"Product is not in stock"}'
BEHAVIOURS = {
    "CAP-77": "in_stock",
    "out": "out_of_stock",
    "no": "out_of_stock",
    "silent": "stock_timed_out",
    "slow-headers": "stock_timed_out",
    "slow-body": "stock_timed_out",
    "breaks": "stock_unreachable",
    "broken-http": "stock_unreachable",
    "fails": "stock_failed",
    "busy": "stock_failed",
    "unknown": "stock_refused",
    "moved": "stock_refused",
    "html": "stock_nonsense",
    "no-pointer": "stock_nonsense",
    "huge": "stock_nonsense",
}


@pytest.mark.parametrize("policy", ["allow", "refuse"])
def test_every_behaviour_of_the_stock_system_has_its_answer(stack, policy):
    def one(server, behaviour):
        with stack.copy(CART, **settings(server, STOCK_WHEN_UNKNOWN=policy)) as function:
            return stack.invoke(function, added(behaviour))

    with stock_system() as server, ThreadPoolExecutor(4) as pool:
        results = pool.map(lambda behaviour: one(server, behaviour), BEHAVIOURS)
        for (behaviour, finding), (answer, log) in zip(BEHAVIOURS.items(), results):
            allowed = finding == "in_stock" or (finding != "out_of_stock" and policy == "allow")
            assert (answer["statusCode"], answer["body"]) == (200, SUCCESS if allowed else REFUSED), behaviour
            said = line(log)
            assert (said["finding"], said["forwarded"]) == (finding, "yes" if allowed else "no"), behaviour
    stack.messages(stack.queue(CART))


def test_without_an_endpoint_nobody_is_asked(stack):
    answer, log = stack.invoke(CART, added("out"))
    assert answer["body"] == SUCCESS and "finding" not in line(log)
    stack.messages(stack.queue(CART))


def test_a_sentence_can_be_chosen_and_the_rules_come_first(stack, tmp_path):
    no_caps = [{"name": "no-caps", "when": [condition("quote_item.sku", "equal", "CAP")], "then": {"op": "exception"}}]
    with stock_system() as server:
        chosen = settings(server, STOCK_MESSAGE="Ausverkauft – é", RULES_FILE=rules_file(tmp_path, no_caps))
        with stack.copy(CART, **chosen) as function:
            assert stack.invoke(function, added("out"))[0]["body"] == '{"op":"exception","message":"Ausverkauft – é"}'
            assert stack.invoke(function, added("CAP"))[0]["body"] == '{"op":"exception"}'
        assert [path for path, _ in server.questions] == ["/stock/out"], "what the rules refuse is not asked for"


def test_a_connection_is_kept_and_a_dead_one_replaced(stack):
    with stock_system() as server, stack.copy(CART, **settings(server)) as function:
        for _ in range(5):
            assert line(stack.invoke(function, added("CAP"))[1])["finding"] == "in_stock"
        assert (server.connections, len(server.questions)) == (1, 5)
        # From now on the server takes the question over the kept connection, and hangs up instead of answering.
        server.hangs_up_after = 1
        for number in range(2, 5):
            assert line(stack.invoke(function, added("CAP"))[1])["finding"] == "in_stock"
            assert server.connections == number
    stack.messages(stack.queue(CART))


def test_only_a_kept_connection_is_worth_a_second_question(stack):
    with stock_system() as server, stack.copy(CART, **settings(server)) as function:
        for number in range(1, 4):
            assert line(stack.invoke(function, added("breaks"))[1])["finding"] == "stock_unreachable"
            assert len(server.questions) == number
    stack.messages(stack.queue(CART))


def test_a_failing_endpoint_is_left_alone_for_a_while(stack):
    with stock_system() as server, stack.copy(CART, **settings(server)) as function:
        findings = [line(stack.invoke(function, added("fails"))[1])["finding"] for _ in range(6)]
        assert findings == ["stock_failed"] * 3 + ["stock_paused"] * 3
        assert len(server.questions) == 3
        time.sleep(10.1)
        findings = [line(stack.invoke(function, added("fails"))[1])["finding"] for _ in range(2)]
        assert findings == ["stock_failed", "stock_paused"], "one trial"
    stack.messages(stack.queue(CART))


@pytest.mark.parametrize("behaviour", ["GIFT", "html", "huge", "unknown"])
def test_an_answer_without_sense_for_one_product_says_nothing_of_the_others(stack, behaviour):
    with stock_system() as server, stack.copy(CART, **settings(server, STOCK_WHEN_UNKNOWN="refuse")) as function:
        for _ in range(4):
            assert stack.invoke(function, added(behaviour))[0]["body"] == REFUSED
        answer, log = stack.invoke(function, added("CAP"))
        assert (answer["body"], line(log)["finding"]) == (SUCCESS, "in_stock")
    stack.messages(stack.queue(CART))


@pytest.mark.parametrize("policy", ["allow", "refuse"])
def test_what_nobody_can_be_asked_for_follows_the_policy(stack, policy):
    """A SKU that the path of a URL cannot carry, and a SKU or a quantity that cannot be read."""
    cases = [(".", 1, "stock_not_asked"), ("..", 1, "stock_not_asked")]
    cases += [(sku, 1, "stock_item_unreadable") for sku in (None, {"a": 1}, [])]
    cases += [("CAP", qty, "stock_item_unreadable") for qty in (None, "12 pcs", [1], True)]
    with stock_system() as server, stack.copy(CART, **settings(server, STOCK_WHEN_UNKNOWN=policy)) as function:
        for sku, qty, finding in cases:
            answer, log = stack.invoke(function, added(sku, qty))
            said = line(log)
            assert (answer["statusCode"], answer["body"]) == (200, SUCCESS if policy == "allow" else REFUSED), (sku, qty)
            assert (said["finding"], said["forwarded"]) == (finding, "yes" if policy == "allow" else "no"), (sku, qty)
        assert server.questions == []
    stack.messages(stack.queue(CART))


def test_over_tls_with_a_token_that_nobody_else_sees(stack, tmp_path):
    authority, tls = certificates(tmp_path)
    keys = json.dumps(json.loads(stack.keys) | {"stock_token": "hush-hush-hush"})
    with stock_system(tls) as server:
        ours = settings(server, "https", WEBHOOK_KEYS=keys, WEBHOOK_KEYS_SECRET=None, LOG_LEVEL="trace", STOCK_TIMEOUT_MS="2000")
        with stack.copy(CART, SSL_CERT_FILE=authority, **ours) as function:
            made = added("sku-of-the-event")
            answer, log = stack.invoke(function, made)
        assert line(log)["finding"] == "in_stock"
        assert server.questions == [("/stock/sku-of-the-event", "Bearer hush-hush-hush")]
        assert "hush-hush" not in log + json.dumps(answer)
        assert_nothing_leaks(CART, made, answer, log)
        # A certificate that nobody vouches for is not trusted.
        with stack.copy(CART, **ours) as function:
            assert line(stack.invoke(function, added("CAP"))[1])["finding"] == "stock_unreachable"
        assert len(server.questions) == 1
    stack.messages(stack.queue(CART))


# Deadlines


@contextlib.contextmanager
def silent_port():
    """Takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def closed_port():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        yield nobody.getsockname()[1]


@contextlib.contextmanager
def slow_relay(port, seconds):
    """Passes everything on to a port, after a while."""

    def pump(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                time.sleep(seconds)
                target.sendall(data)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                upstream = socket.create_connection(("127.0.0.1", port))
                for pair in ((client, upstream), (upstream, client)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=256) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


HOOK_TIMEOUT_MS = 2000
STOCKS = ["CAP-77", "silent", "slow-headers", "slow-body", "breaks", "fails", "unreachable"]
QUEUES = ["good", "silent", "closed", "slow"]


def test_the_answer_leaves_in_time_however_slow_stock_and_queue_are(stack):
    """At every combination, cold and warm, and counted from API Gateway's own timestamp."""

    def one(stock, queue, policy, age_ms):
        # The keys are inline: the emulator, busy with all the others, would spend the time of this one on them.
        keys = {"WEBHOOK_KEYS": stack.keys, "WEBHOOK_KEYS_SECRET": None, "HOOK_TIMEOUT_MS": str(HOOK_TIMEOUT_MS)}
        variables = settings(servers, STOCK_WHEN_UNKNOWN=policy, STOCK_TIMEOUT_MS="20000", **keys)
        if stock == "unreachable":
            variables["STOCK_URL"] = f"http://127.0.0.1:{ports['closed']}/{{sku}}"
        if queue != "good":
            variables["AWS_ENDPOINT_URL_SQS"] = f"http://127.0.0.1:{ports[queue]}"
        spent = []
        with stack.copy(CART, **variables) as function:
            for _ in range(2):  # cold, then warm
                made = added(stock)
                made["requestContext"]["timeEpoch"] -= age_ms
                answer, log = stack.invoke(function, made)
                # When the answer left the function; what the emulator takes on top is not ours.
                left = datetime.fromisoformat(line(log)["timestamp"].replace("Z", "+00:00")).timestamp()
                left = left * 1000 - made["requestContext"]["timeEpoch"]
                spent.append(left)
        # A busy machine may hand the request over so late that too little is left.
        began_late = left - line(log)["spent_ms"] > 300
        return answer, line(log), spent, began_late

    with stock_system() as servers, contextlib.ExitStack() as opened:
        ports = {"silent": opened.enter_context(silent_port()), "closed": opened.enter_context(closed_port())}
        ports["slow"] = opened.enter_context(slow_relay(stack.port, 0.1))
        policies = [("allow", 0), ("allow", 700), ("refuse", 700)]
        cases = [(stock, queue, *policy) for stock, queue, policy in itertools.product(STOCKS, QUEUES, policies)]
        with ThreadPoolExecutor(6) as pool:
            results = list(pool.map(lambda case: one(*case), cases))
    figures.write("stock", [
        {"stock system": "answers" if stock == "CAP-77" else stock, "queues": ", ".join(QUEUES), "slowest answer, ms": round(max(
            max(spent) for case, (_, _, spent, _) in zip(cases, results) if case[0] == stock
        )), "may take, ms": HOOK_TIMEOUT_MS}
        for stock in STOCKS
    ])  # fmt: skip
    for case, (answer, said, spent, began_late) in zip(cases, results):
        stock, queue, policy, age_ms = case
        assert max(spent) < HOOK_TIMEOUT_MS + LATE_MS, (case, spent, said)
        if stock != "CAP-77" and policy == "refuse":
            assert answer["body"] == REFUSED, case
        elif (queue == "slow" or began_late) and answer["statusCode"] == 504:
            pass  # in time, though in vain
        elif queue in ("good", "slow"):
            assert answer["body"] == SUCCESS, (case, said)
        else:
            assert answer["statusCode"] == {"closed": 503, "silent": 504}[queue], case
            assert SECRET not in json.dumps(said)
    stack.messages(stack.queue(CART))
