"""What both examples of a consumer do with one message after another: work on it, skip it, or set it aside."""

import collections
import contextlib
import hashlib
import http.server
import json
import re
import sqlite3
import threading
import time
import urllib.error
import urllib.request
import uuid

import pytest
from stack import ROOT
from test_consumers import (  # noqa: F401 (fixtures among them)
    cloud_event, deliver, erp, erp_server, ledger_key, lines_of, python_worker, queues, redrive, rust_worker, started, strings,
)  # fmt: skip

CHANNEL = "sales_order_save_after"
# One after the other, the first two in one second of the shop's clock.
EARLY, SAME_SECOND, LATE = "2026-06-18T12:00:00Z", "2026-06-18T12:00:00Z", "2026-06-18T12:00:00.250Z"


Message = collections.namedtuple("Message", "id body attributes")


def message(content, updated_at=EARLY, data=None, attributes=None, store=None, **changes):
    """An event with this content, as a message. Every call makes another event. A member that is None is left out."""
    entity = {"entity_id": 1, "state": content, "updated_at": updated_at, "store_id": store}
    event = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/adobe-commerce",
        "type": f"com.adobe.commerce.observer.{CHANNEL}",
        "subject": "order/1",
        "dataschema": f"urn:commerce-webhooks:message:{CHANNEL}:1",
        "contentid": hashlib.sha256(content.encode()).hexdigest(),
        "data": {**(data or {}), "order": {name: value for name, value in entity.items() if value is not None}},
    }
    event = {name: value for name, value in (event | changes).items() if value is not None}
    return Message(event["id"], json.dumps(event), {"channel": CHANNEL, **(attributes or {})})


class Consumer:
    """A consumer at its queue, and what it remembers."""

    def __init__(self, queues):
        self.queues = queues
        # Of the last messages that it handled: the line of each, as names and values.
        self.lines = []

    def handle(self, *messages, **how):
        """What becomes of each message."""
        for given in messages:
            self.queues.send(given.body, **given.attributes)
        return self.handle_what_is_there(**how)


class InRust(Consumer):
    def __init__(self, queues, function, erp, stack):  # noqa: F811
        super().__init__(queues)
        self.function, self.erp, self.dynamodb = function, erp, stack.client("dynamodb")

    def handle_what_is_there(self, take_expected_issues=False):
        setting = {"EXPECTED_ISSUES": "take"} if take_expected_issues else {}
        if setting.items() - self.function.environment.items():
            self.function.environment |= setting
            self.function.kill()
        outcomes, _, log = deliver(self.queues, self.function)
        self.lines = [line for line in lines_of(log) if line["message"] == "handled"]
        return outcomes

    def worked_on(self):
        return self.erp.accepted()

    def origins(self):
        """Shop and trace of each event, as the work got them."""
        return [tuple(post.headers.get(name) for name in ("x-shop", "traceparent")) for post in self.erp.posts]

    def notes(self):
        return self.dynamodb.scan(TableName=self.function.table)["Items"]


class InPython(Consumer):
    def __init__(self, queues, file, stack):  # noqa: F811
        super().__init__(queues)
        self.file, self.stack = file, stack

    def handle_what_is_there(self, take_expected_issues=False):
        options = ["--once", *["--take-expected-issues"] * take_expected_issues]
        code, said, errors = started(self.stack, "worker.py", self.queues.live, self.queues.dead, self.file, *options)
        assert (code, errors) == (0, "")
        self.lines = [dict(word.split("=") for word in line.split() if "=" in word) for line in said.splitlines()]
        return [re.sub("( [a-z_]+=[^ ]+)+$", "", line.split(" ", 1)[1]).removeprefix("set aside: ") for line in said.splitlines()]

    def worked_on(self):
        return self.rows("SELECT id FROM events ORDER BY number")

    def origins(self):
        """Shop and trace of each event, as the work got them."""
        with contextlib.closing(sqlite3.connect(self.file)) as database:
            return database.execute("SELECT shop, traceparent FROM events ORDER BY number").fetchall()

    def notes(self):
        return [row for table in ("done_events", "last_done", "contents") for row in self.rows(f"SELECT * FROM {table}")]

    def rows(self, query):
        with contextlib.closing(sqlite3.connect(self.file)) as database:
            return [row[0] for row in database.execute(query)]


@pytest.fixture(params=["Rust", "Python"])
def consumer(request, stack, queues, erp, tmp_path):  # noqa: F811
    if request.param == "Python":
        yield InPython(queues, tmp_path / "events.sqlite", stack)
    else:
        with rust_worker(stack, queues, erp) as function:
            yield InRust(queues, function, erp, stack)


def test_the_python_worker_knows_the_entities_of_the_schemas():
    schemas = [json.loads(file.read_text()) for file in (ROOT / "shared" / "schema").glob("*.json")]
    assert {name for schema in schemas for name in schema["properties"]["data"]["required"]} - {"original"} == python_worker.ENTITIES


# What is done already


PLACE = "plugin.magento.sales.api.order_management.place"
MEMO = "observer.sales_order_creditmemo_save_after"


def without_model(method, channel, updated_at, **original):
    """An event of a channel without a model: its data is what the shop sent."""
    content = {"entity_id": "7", "store_id": "1", "updated_at": updated_at, **original}
    known = {"type": f"com.adobe.commerce.{method}", "dataschema": f"urn:commerce-webhooks:message:{channel}:1"}
    made = json.loads(message(json.dumps(content), subject="creditmemo/7", **known).body)
    made["data"] = {"original": content, "related": {"x": 1}}
    return Message(made["id"], json.dumps(made), {"channel": channel})


def test_events_without_a_model_of_plugins_and_before_an_action_are_taken(consumer):
    memo, newer = (without_model(MEMO, MEMO[9:], f"2026-06-18 20:27:1{second}") for second in (1, 2))
    again = without_model(MEMO, MEMO[9:], "2026-06-18 20:27:11")
    of_plugin = without_model(PLACE, "plugin_sales_api_order_management_place", None, password="never shown")
    before = message("b", type="com.adobe.commerce.observer.sales_order_save_after", dataschema=f"urn:commerce-webhooks:message:{CHANNEL}_before:1")
    unknown = [
        without_model(PLACE, "sales_api_order_management_place", None),
        without_model(MEMO, "sales_order_save_after", None),
        message("c", dataschema=None, type=f"com.adobe.commerce.{PLACE}"),
    ]
    outcomes = consumer.handle(memo, newer, again, of_plugin, before, *unknown)
    assert outcomes == ["done", "done", "stale", "done", "done", *["unknown_schema"] * 3]
    assert consumer.worked_on() == [memo.id, newer.id, of_plugin.id, before.id]


def test_an_event_that_comes_again_is_skipped(consumer):
    event = message("a")
    assert consumer.handle(event, event) == ["done", "repeated"]
    assert consumer.worked_on() == [event.id]


def test_what_was_done_last_for_an_entity_is_skipped_under_another_id(consumer):
    first = message("a", LATE)
    assert consumer.handle(first, message("a", LATE), message("a", LATE)) == ["done", "repeated", "repeated"]
    assert consumer.worked_on() == [first.id]


def test_content_that_was_done_before_something_newer_is_stale(consumer):
    old, new = message("a", EARLY), message("b", LATE)
    assert consumer.handle(old, new, message("a", EARLY), message("b", LATE)) == ["done", "done", "stale", "repeated"]
    assert consumer.worked_on() == [old.id, new.id]
    assert consumer.queues.holds(consumer.queues.live) == (0, 0), "a stale event is finished"
    assert consumer.queues.holds(consumer.queues.dead) == (0, 0)


def test_the_orders_of_two_stores_with_one_number_are_two(consumer):
    of_one = [message("a", EARLY, store=1), message("b", SAME_SECOND, store=1)]
    assert consumer.handle(*of_one, message("c", LATE, store=2), message("a", EARLY, store=1)) == ["done"] * 4
    # Within one store it is older than the last.
    assert consumer.handle(message("d", LATE, store=1), message("b", EARLY, store=1)) == ["done", "stale"]


def test_there_and_back_again_within_one_second_is_three_times_work(consumer):
    events = [message("a", EARLY), message("b", SAME_SECOND), message("a", EARLY)]
    assert consumer.handle(*events) == ["done"] * 3
    assert consumer.worked_on() == [event.id for event in events]


def test_content_that_comes_for_the_first_time_is_worked_on_however_old_it_is(consumer):
    events = [message("b", LATE), message("a", EARLY)]
    assert consumer.handle(*events) == ["done"] * 2
    # The older was done last, so the newer is no repetition of it.
    events.append(message("b", LATE))
    assert consumer.handle(events[-1]) == ["done"]
    assert consumer.worked_on() == [event.id for event in events]


@pytest.mark.parametrize("unknown", [None, "yesterday", 7])
def test_without_a_time_of_change_nothing_is_stale(consumer, unknown):
    events = [message("a", unknown), message("b", LATE), message("a", unknown), message("c", unknown), message("b", LATE)]
    assert consumer.handle(*events) == ["done"] * 5


def test_an_event_that_was_skipped_is_skipped_again_whatever_was_done_since(consumer):
    repeated = message("a", EARLY)
    events = [message("a", EARLY), repeated, message("b", SAME_SECOND), repeated]
    assert consumer.handle(*events) == ["done", "repeated", "done", "repeated"]


def test_without_a_subject_every_event_is_work(consumer):
    line = [message("a", subject=None) for _ in range(3)]
    assert consumer.handle(*line, line[0]) == ["done"] * 3 + ["repeated"]
    assert consumer.worked_on() == [event.id for event in line]


def test_messages_of_earlier_functions_have_only_their_id(consumer):
    events = [message("a", contentid=None, dataschema=None) for _ in range(3)]
    assert consumer.handle(*events, events[0]) == ["done"] * 3 + ["repeated"]
    assert consumer.worked_on() == [event.id for event in events]


def test_after_a_message_of_an_earlier_function_nothing_is_taken_for_a_repetition(consumer):
    events = [message("a"), message("b", contentid=None), message("a")]
    assert consumer.handle(*events) == ["done"] * 3


@pytest.mark.parametrize("member", ["source", "type", "subject"])
def test_events_of_different_entities_do_not_stand_in_each_others_way(consumer, member):
    placed = "com.adobe.commerce.observer.sales_order_place_after"
    other = {"source": "/another-shop", "type": placed, "subject": "order/2"}[member]
    schema = {"dataschema": "urn:commerce-webhooks:message:sales_order_place_after:1"} if member == "type" else {}
    one, another = message("a"), message("a", **{member: other}, **schema)
    assert consumer.handle(one, another) == ["done"] * 2
    if member != "subject":
        # Even with one id: it is unique only with source and type.
        same_id = message("b", id=one.id, **{member: other}, **schema)
        assert consumer.handle(same_id) == ["done"]


def test_what_was_not_done_leaves_no_notes(stack, queues, erp):  # noqa: F811
    erp.answer = lambda key, body, before: 422 if len(erp.posts) == 0 else 200
    with rust_worker(stack, queues, erp) as function:
        consumer = InRust(queues, function, erp, stack)
        assert consumer.handle(message("a")) == ["refused"]
        assert consumer.notes() == []
        assert consumer.handle(message("a")) == ["done"]


def test_the_notes_of_the_rust_worker_have_keys_of_one_length_and_all_expire(stack, queues, erp):  # noqa: F811
    event = message("a", LATE, subject="order/" + "9" * 3000, source="/" + "s" * 3000)
    with rust_worker(stack, queues, erp) as function:
        consumer = InRust(queues, function, erp, stack)
        assert consumer.handle(event) == ["done"]
        notes = {item["id"]["S"]: item for item in consumer.notes()}
    assert set(notes) == {
        ledger_key("event", event.body, "id"),
        ledger_key("entity", event.body, "subject", "store"),
        ledger_key("content", event.body, "subject", "store", "contentid"),
        "last_success",
    }
    entity = notes[ledger_key("entity", event.body, "subject", "store")]
    assert entity["contentid"]["S"] == json.loads(event.body)["contentid"]
    assert entity["updated_at"]["S"] == "2026-06-18T12:00:00.25Z"
    assert all(len(key) <= 72 for key in notes)
    assert all(float(item["expires"]["N"]) > time.time() + 28 * 24 * 3600 for item in notes.values())


class Table(http.server.ThreadingHTTPServer):
    """DynamoDB, which notes what is asked of it, and refuses the operations in `refused`."""

    daemon_threads = True

    def __init__(self, endpoint):
        super().__init__(("127.0.0.1", 0), TableCall)
        self.endpoint, self.url = endpoint, f"http://127.0.0.1:{self.server_port}"
        self.asked, self.refused = [], set()


class TableCall(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        operation = self.headers["x-amz-target"].split(".")[1]
        self.server.asked.append(operation)
        if operation in self.server.refused:
            status, answer = 400, b'{"__type":"com.amazonaws.dynamodb.v20120810#AccessDeniedException"}'
        else:
            status, answer = self.pass_on(body)
        self.send_response(status)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def pass_on(self, body):
        kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length")}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.server.endpoint, body, kept)) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def log_message(self, *_):
        pass


@pytest.fixture
def watched(stack, queues, erp):  # noqa: F811
    """The worker in Rust with a DynamoDB that can be watched: consumer and table."""
    with Table(stack.endpoint) as table:
        threading.Thread(target=table.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        with rust_worker(stack, queues, erp, AWS_ENDPOINT_URL_DYNAMODB=table.url) as function:
            yield InRust(queues, function, erp, stack), table
        table.shutdown()


def test_the_rust_worker_asks_its_table_no_more_than_it_needs(watched):
    consumer, table = watched
    of_one = {
        # Once in a while it also notes that events are done.
        "done": (message("a"), ["PutItem", "TransactGetItems", "TransactWriteItems", "UpdateItem"]),
        "repeated": (message("a"), ["PutItem", "TransactGetItems", "UpdateItem"]),
        "expected_issues": (message("b", attributes={"issues": "expected"}), []),
    }
    for outcome, (given, operations) in of_one.items():
        table.asked.clear()
        assert consumer.handle(given) == [outcome]
        assert sorted(table.asked) == operations
    table.asked.clear()
    assert consumer.handle(message("a", subject=None)) == ["done"]
    assert table.asked == ["UpdateItem", "PutItem"]


def test_an_event_that_cannot_be_compared_comes_again_and_is_not_claimed_meanwhile(watched):
    consumer, table = watched
    table.refused.add("TransactGetItems")
    assert consumer.handle(message("a")) == ["ledger_unavailable"]
    assert consumer.worked_on() == consumer.notes() == []
    table.refused.clear()
    assert consumer.handle_what_is_there() == ["done"]


def test_what_cannot_be_noted_is_done_again_so_that_no_state_is_taken_for_an_older_one(watched):
    consumer, table = watched
    assert consumer.handle(message("new")) == ["done"]
    table.refused.add("TransactWriteItems")
    assert consumer.handle(message("holded", "2026-06-18T12:00:05Z")) == ["ledger_unavailable"]
    table.refused.clear()
    assert consumer.handle(message("new", "2026-06-18T12:00:09Z")) == ["done", "done"]
    posts = consumer.erp.posts
    assert [post.body["state"] for post in posts] == ["new", "holded", "holded", "new"]
    assert posts[1].key == posts[2].key, "by which the ERP system knows the repeat"


def test_there_and_back_again_is_done_though_the_one_between_got_no_answer(stack, queues, erp):  # noqa: F811
    holds = {}

    def answer(key, body, before):
        if "state" in body:
            holds[body["entity_id"]] = body["state"]
            # It is done, and the answer comes too late.
            time.sleep(0.6 if body["state"] == "holded" else 0)
        return 200

    erp.answer = answer
    with rust_worker(stack, queues, erp, ERP_TIMEOUT_MS="300", GIVE_UP_AFTER_SECONDS="1") as function:
        consumer = InRust(queues, function, erp, stack)
        assert consumer.handle(message("new")) == ["done"]
        outcomes = consumer.handle(message("holded", "2026-06-18T12:00:05Z"))
        for number in range(60):
            queues.send(cloud_event(), group=f"other/{number}")
            if "failed_alone" in (outcomes := consumer.handle_what_is_there()):
                break
        assert "failed_alone" in outcomes and holds == {1: "holded"}
        assert consumer.handle(message("new", "2026-06-18T12:00:09Z")) == ["done"]
    assert holds == {1: "new"}


# What the message is


def test_the_entity_is_found_by_its_name(consumer):
    stranger = {"aaa": {"updated_at": "2030-01-01T00:00:00Z"}}
    old, new = message("a", EARLY, stranger), message("b", LATE, stranger)
    assert consumer.handle(old, new, message("a", EARLY, stranger)) == ["done", "done", "stale"]
    if isinstance(consumer, InRust):
        assert [post.body["state"] for post in consumer.erp.posts] == ["a", "b"]


def test_an_event_of_another_contract_is_set_aside(consumer):
    prefix = "urn:commerce-webhooks:message:"
    other = [f"{prefix}{name}" for name in (f"{CHANNEL}:2", f"{CHANNEL}:1.0", CHANNEL, "customer_delete_after:1")]
    events = [message("a", dataschema=dataschema) for dataschema in [*other, "https://example.com/1"]]
    assert consumer.handle(*events, message("b"), message("c", dataschema=None)) == ["unknown_schema"] * 5 + ["done"] * 2
    dead = consumer.queues.peek(consumer.queues.dead)
    assert [(each["Body"], strings(each)["reason"]) for each in dead] == [(event.body, "unknown_schema") for event in events]


# Where it comes from


def context(digit, flags):
    return f"00-{digit * 32}-{digit * 16}-{flags}"


def test_the_work_on_each_event_continues_the_trace_of_its_own_request(consumer):
    queues = consumer.queues  # noqa: F811
    state = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
    traces = [context("a", "01"), context("b", "00"), None, "00-zoe"]
    for number, traceparent in enumerate(traces):
        headers = {"traceparent": traceparent, "tracestate": state} if traceparent else {}
        queues.shop_sends(CHANNEL, {"order": {"entity_id": number + 1, "increment_id": f"{number}", "state": "new"}}, **headers)
    # An invalid one that did not come from the functions.
    queues.send(message("x").body, group="x", traceparent="00-" + "a" * 51, tracestate=state)
    assert consumer.handle_what_is_there() == ["done"] * 5
    passed = [traceparent for _, traceparent in consumer.origins()]
    assert passed[2:] == [None] * 3, "without a valid context there is no trace"
    assert not any("trace_id" in line or "span_id" in line for line in consumer.lines[2:])
    for digit, flags, continued, line in zip("ab", ("01", "00"), passed, consumer.lines):
        version, trace, span, sampled = continued.split("-")
        assert (version, trace, sampled) == ("00", digit * 32, flags)
        assert re.fullmatch("[0-9a-f]{16}", span) and span != digit * 16
        assert {name: line[name] for name in line if name.endswith("_id") and name not in ("event_id", "message_id")} == {
            "trace_id": trace, "span_id": span, "parent_span_id": digit * 16,
        }  # fmt: skip
    if isinstance(consumer, InRust):
        assert [post.headers.get("tracestate") for post in consumer.erp.posts] == [state] * 2 + [None] * 3


def test_a_further_attempt_is_another_span_of_the_same_trace(stack, queues, erp):  # noqa: F811
    erp.answer = lambda key, body, before: 200 if before else 503
    queues.send(message("a").body, traceparent=context("a", "01"))
    with rust_worker(stack, queues, erp) as function:
        consumer = InRust(queues, function, erp, stack)
        assert [consumer.handle_what_is_there() for _ in range(2)] == [["erp_failed"], ["done"]]
    first, second = (post.headers["traceparent"].split("-") for post in erp.posts)
    assert first[1] == second[1] == "a" * 32 and first[2] != second[2]


def of_shop(shop, content, **changes):
    """An event of a shop with the number, the entity and the content that the other shops' have, too."""
    named = {"source": f"https://{shop}.example", "attributes": {"shop": shop}} if shop else {}
    return message(content, **named, **changes)


def test_the_orders_of_two_shops_with_one_number_are_two_and_nobody_waits_for_the_other(consumer):
    shops = [None, "eu", "u-s_2"]
    for content, expected in (("a", "done"), ("a", "repeated"), ("b", "done")):
        for shop in shops:
            # The id, too, is the same: a consumer must not rely on its being another.
            event = of_shop(shop, content, id=str(uuid.UUID(int=ord(content))) if expected == "done" else str(uuid.uuid4()))
            consumer.queues.send(event.body, group=f"{shop}/order/1" if shop else "order/1", **event.attributes)
        assert consumer.handle_what_is_there() == [expected] * 3
        assert [line.get("shop") for line in consumer.lines] == shops
    assert [shop for shop, _ in consumer.origins()] == shops * 2
    if isinstance(consumer, InRust):
        down = "eu"
        consumer.erp.answer = lambda key, body, before: 503 if body["state"] == "c" and consumer.erp.posts[-1].status == 200 else 200
        events = [of_shop(down, "c"), of_shop(down, "d"), of_shop(None, "d")]
        for event, group in zip(events, ("eu/order/1", "eu/order/1", "order/1")):
            consumer.queues.send(event.body, group=group, **event.attributes)
        assert consumer.handle_what_is_there() == ["erp_failed", "behind_a_failure", "done"]


def test_an_event_whose_shop_cannot_be_told_is_set_aside_unread(consumer):
    reason = "not_ours" if isinstance(consumer, InRust) else "unreadable"
    wrong = [of_shop(None, "a", attributes={"shop": name}) for name in ("EU", "eu/us", "x" * 33, "zo\u00eb@shop.example")]
    assert consumer.handle(*wrong, of_shop("x" * 32, "a")) == [reason] * 4 + ["done"]
    assert consumer.worked_on() and not any("shop" in line for line in consumer.lines[:4])
    assert [strings(dead)["shop"] for dead in consumer.queues.peek(consumer.queues.dead)] == [event.attributes["shop"] for event in wrong]


def test_a_dead_letter_and_its_redrive_keep_the_shop_and_the_trace(consumer):
    # Every attribute that a message can have: SQS takes ten, and the reason is one more.
    everything = {
        "content-type": "application/cloudevents+json", "reconciled": "true", "issues": "expected",
        "traceparent": context("a", "01"), "tracestate": "rojo=1",
    }  # fmt: skip
    event = of_shop("eu", "a")
    event.attributes.update(everything)
    assert consumer.handle(event) == ["expected_issues"]
    (dead,) = consumer.queues.peek(consumer.queues.dead)
    assert strings(dead) == {**event.attributes, "reason": "expected_issues"}
    # Once more, because SQS drops the first as a repeat.
    consumer.queues.send(dead["Body"], group="eu/order/1", queue=consumer.queues.dead, **strings(dead))
    assert "2 listed, 2 moved" in redrive(consumer.queues, "--min-age", "0")
    (back,) = consumer.queues.peek(consumer.queues.live)
    assert back["Attributes"]["MessageGroupId"] == "eu/order/1"
    assert strings(back) == event.attributes


def test_the_python_worker_adds_its_columns_to_the_database_of_an_earlier_version(tmp_path):
    file = tmp_path / "events.sqlite"
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE events (number INTEGER PRIMARY KEY, id TEXT, type TEXT, event TEXT)")
        database.execute("INSERT INTO events (id, type, event) VALUES ('1', 't', '{}')")
    for _ in range(2):
        with contextlib.closing(python_worker.open_database(file)) as database:
            assert database.execute("SELECT id, shop, traceparent FROM events").fetchall() == [("1", None, None)]


# Issues


def issue(kind, expected):
    where = {"pointer": "/data/order/grand_total", "field": "order.grand_total"}
    return {**where, "kind": kind, "expected": expected, "detail": "must be a number"}


@pytest.mark.parametrize("attribute", ["as sent", "lost"])
@pytest.mark.parametrize("kind", ["unreadable", "missing", "skipped"])
def test_an_event_with_expected_issues_is_set_aside_and_one_with_others_is_worked_on(consumer, kind, attribute):
    def with_issues(content, *expected):
        told = {"issues": "expected" if any(expected) else "other"} if attribute == "as sent" else {}
        return message(content, data={"issues": [issue(kind, each) for each in expected]}, attributes=told)

    bad, good = with_issues("a", False, True), with_issues("b", False)
    assert consumer.handle(bad) == ["expected_issues"]
    assert consumer.worked_on() == consumer.notes() == [], "no work, and no claim"
    assert consumer.handle(good) == ["done"]
    assert consumer.worked_on() == [good.id]
    (dead,) = consumer.queues.peek(consumer.queues.dead)
    assert (dead["Body"], strings(dead)) == (bad.body, {**bad.attributes, "reason": "expected_issues"})


def test_where_nobody_can_tell_whether_issues_were_expected_the_event_is_set_aside(consumer):
    unlisted = message("a", data={"issues": [issue("missing", False)], "more_issues": 3})
    assert consumer.handle(unlisted, message("b", data={"issues": "many"})) == ["expected_issues"] * 2


def test_events_that_were_set_aside_for_their_issues_are_worked_on_once_the_setting_takes_them(consumer):
    # As a consumer leaves them. Their deduplication ids are new, because SQS drops one that it had less than five minutes ago.
    events = [
        message("a", data={"issues": [issue("missing", True)]}, attributes={"issues": told, "reason": "expected_issues"})
        for told in ("expected", "new")
    ]
    for event in events:
        consumer.queues.send(event.body, queue=consumer.queues.dead, **event.attributes)
    assert "2 listed, 2 moved" in redrive(consumer.queues, "--min-age", "0")
    assert consumer.handle_what_is_there(take_expected_issues=True) == ["done", "repeated"]
    assert consumer.worked_on() == [events[0].id]
    assert consumer.queues.holds(consumer.queues.dead) == (0, 0)
