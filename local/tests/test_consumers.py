"""The examples under consumers/, behind the real functions and real queues: what an ERP system gets, and what becomes of the rest."""

import base64
import collections
import contextlib
import functools
import gzip
import hashlib
import http.server
import io
import json
import socket
import subprocess
import sys
import threading
import time
import uuid

import pytest
from function import Function
from shop import SECRET, loggable, raw_body, request, sample, values
from stack import BUCKET, CREDENTIALS, REGION, ROOT, channels, machine, package, queued, yaml_parse
from stack import template as bundle

CONSUMERS = ROOT / "consumers"
sys.path.insert(0, str(CONSUMERS))

import redrive as redriving  # noqa: E402
import worker as python_worker  # noqa: E402

STACK_NAME = "consumer"
NOTE = "Zo\u00eb <\U0001f4e6>"
TOKEN = "a-token-of-the-erp-system"
# What the worker waits before an event that failed comes again, in seconds.
PAUSE_SECONDS = "1"


# Surroundings


Post = collections.namedtuple("Post", "key headers raw body status")
Answer = collections.namedtuple("Answer", "status headers", defaults=[{}])


class Erp(http.server.ThreadingHTTPServer):
    """A stand-in for the ERP system. It says yes, unless `answer` (a function of event id, body and how often this event was posted
    before) says another status, or an `Answer` with headers."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), ErpCall)
        self.url = f"http://127.0.0.1:{self.server_port}/events"
        self.forget()

    def forget(self):
        self.posts = []
        self.answer = lambda key, body, before: 200

    def accepted(self):
        """Ids of the events that the ERP system has taken, in the order in which it did."""
        return [post.key for post in self.posts if post.status == 200]

    def handle_error(self, *_):
        pass  # a worker that was killed


class ErpCall(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["content-length"]))
        key, body = self.headers["idempotency-key"], json.loads(raw)
        # Those of the test that the post belongs to: a late answer must not reach the next one.
        posts = self.server.posts
        before = sum(post.key == key for post in posts)
        answer = self.server.answer(key, body, before)
        status, headers = answer if isinstance(answer, Answer) else (answer, {})
        posts.append(Post(key, dict(self.headers.items()), raw, body, status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def erp_server():
    with Erp() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def erp(erp_server):
    erp_server.forget()
    return erp_server


class Queues:
    """A queue as the template makes it, with its dead-letter queue, and the shop's events on their way into it."""

    def __init__(self, stack):
        self.stack, self.sqs = stack, stack.client("sqs")
        name = uuid.uuid4().hex[:12]
        fifo = {"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
        self.dead = self.sqs.create_queue(QueueName=f"{name}-dead.fifo", Attributes=fifo)["QueueUrl"]
        said = bundle()["Resources"]["ErpQueue"]["Properties"]
        policy = {"deadLetterTargetArn": self.arn(self.dead), "maxReceiveCount": said["RedrivePolicy"]["maxReceiveCount"]}
        times = {name: str(said[name]) for name in ("VisibilityTimeout", "MessageRetentionPeriod")}
        own = times | {"RedrivePolicy": json.dumps(policy)}
        self.live = self.sqs.create_queue(QueueName=f"{name}.fifo", Attributes=fifo | own)["QueueUrl"]
        self.functions = {}
        self.running = contextlib.ExitStack()

    def arn(self, queue):
        return self.attribute(queue, "QueueArn")

    def attribute(self, queue, name):
        return self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"][name]

    def holds(self, queue):
        """How many messages there are, and how many of them nobody has taken."""
        # In one request: between two of them a message could come back, and be in neither number.
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        numbers = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        visible, taken = (int(numbers[name]) for name in names)
        return visible + taken, visible

    def shop_sends(self, channel, body=None, **headers):
        """The shop's event through the channel's function into the queue."""
        if channel not in self.functions:
            self.functions[channel] = self.running.enter_context(Function(channel, self.live))
        made = sample(channel) if body is None else request(channel, body, **headers)
        assert self.functions[channel].invoke(made).status == 200, channel
        return raw_body(made)

    def order_is_saved(self, entity_id, state):
        self.shop_sends("sales_order_save_after", {"order": {"entity_id": entity_id, "increment_id": f"00{entity_id}", "state": state}})

    def large_event(self):
        """An event that travels compressed: its entity, as the shop wrote it."""
        note = "".join(f"{number:07x} {NOTE}\u2028" for number in range(60_000))
        order = {"entity_id": 5, "increment_id": "5", "state": "new", "note": note}
        self.shop_sends("sales_order_save_after", {"order": order})
        entity = json.dumps(order).encode()
        assert len(entity) > 1024 * 1024
        assert strings(self.peek(self.live)[0])["content-encoding"] == "gzip, base64"
        return entity

    def send(self, body, group="order/1", queue=None, deduplication=None, **attributes):
        """Puts a message straight into the queue: its deduplication id."""
        deduplication = deduplication or str(uuid.uuid4())
        self.sqs.send_message(
            QueueUrl=queue or self.live,
            MessageBody=body,
            MessageGroupId=group,
            MessageDeduplicationId=deduplication,
            MessageAttributes={
                name.replace("_", "-"): {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )
        return deduplication

    def receive(self, queue):
        """What SQS hands out at once."""
        received = self.sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"], MessageAttributeNames=["All"]
        )
        return received.get("Messages", [])

    def peek(self, queue):
        """Every message that can be had, which are then visible again."""
        seen = []
        while batch := self.receive(queue):
            seen += batch
        for message in seen:
            self.sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
        return seen


@contextlib.contextmanager
def queue_pair(stack):
    queues = Queues(stack)
    with queues.running:
        yield queues
    for queue in (queues.live, queues.dead):
        queues.sqs.delete_queue(QueueUrl=queue)


@pytest.fixture
def queues(stack):
    with queue_pair(stack) as pair:
        yield pair


def eventually(holds, seconds=120):
    ends = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < ends, "it did not come about"
        time.sleep(0.05)
    return found


def cloud_event(**changes):
    event = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/s",
        "type": "com.adobe.commerce.observer.sales_order_save_after",
        "data": {"order": {"entity_id": 1}},
    }
    return json.dumps(event | changes)


def ledger_key(kind, event, *members):
    """The key of an item in the table of the worker in Rust."""
    event = json.loads(event)
    # None here has a store.
    event = {"store": "", **event}
    parts = json.dumps([event[member] for member in ("source", "type", *members)], separators=(",", ":"))
    return f"{kind}/{hashlib.sha256(parts.encode()).hexdigest()}"


@functools.cache
def bomb():
    """A small body that unpacks to more than a worker takes."""
    return base64.b64encode(gzip.compress(bytes(64 * 1024 * 1024 + 1), 1)).decode()


def strings(message):
    return {name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()}


# The worker, deployed from its template, with Lambda's own way from the queue to it


@pytest.fixture(scope="module")
def deployed(stack, erp_server):
    """Queues with the worker at work on them."""
    template = yaml_parse((CONSUMERS / "template.yaml").read_text())
    stack.client("s3").put_object(Bucket=BUCKET, Key="worker", Body=package("worker"))
    function = template["Resources"]["Worker"]
    function["Properties"]["CodeUri"] = {"Bucket": BUCKET, "Key": "worker"}
    del function["Metadata"]
    # What a development build can say beside it.
    template["Parameters"]["LogLevel"]["AllowedValues"].append("trace")
    cloudformation = stack.client("cloudformation")
    with queue_pair(stack) as queues:
        parameters = {
            "Architecture": machine(),
            "QueueArn": queues.arn(queues.live),
            "QueueUrl": queues.live,
            "DeadLetterQueueArn": queues.arn(queues.dead),
            "DeadLetterQueueUrl": queues.dead,
            "ErpUrl": erp_server.url,
            "ErpTimeoutMs": "10000",
            "PauseMinSeconds": PAUSE_SECONDS,
            "PauseMaxSeconds": PAUSE_SECONDS,
            "LogLevel": "trace",
        }
        cloudformation.create_stack(
            StackName=STACK_NAME,
            TemplateBody=json.dumps(template),
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )

        def described():
            return cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]

        eventually(lambda: described()["StackStatus"] != "CREATE_IN_PROGRESS")
        assert described()["StackStatus"] == "CREATE_COMPLETE"
        queues.outputs = {output["OutputKey"]: output["OutputValue"] for output in described()["Outputs"]}
        yield queues
        cloudformation.delete_stack(StackName=STACK_NAME)


def log_of(deployed):
    """Every line that the worker has logged so far."""
    logs = deployed.stack.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=deployed.outputs["WorkerLogGroup"])
    return "\n".join(event["message"] for page in pages for event in page["events"])


def without_what_the_log_may_name(log, ids):
    """What is left of a log without the names and numbers that are meant to stand in it."""
    kept = [line for line in log.splitlines() if line.strip() and not line.startswith(("{", "START ", "END ", "REPORT "))]
    for line in lines_of(log):
        assert line.pop("event_id", None) in ids and line.pop("channel", None) in channels()
        del line["timestamp"], line["message_id"], line["spent_ms"]
        kept.append(json.dumps(line))
    return "\n".join(kept)


def lines_of(log):
    return [json.loads(line) for line in log.splitlines() if line.startswith("{")]


def test_every_event_reaches_the_erp_system_once_however_often_it_is_delivered(deployed, erp):
    bodies = [deployed.shop_sends(channel) for channel in queued()]
    eventually(lambda: len(erp.accepted()) == len(queued()))
    expected = {}
    for channel in queued():
        event = json.loads((ROOT / "events" / channel / "default.message.json").read_text())["MessageBody"]
        expected[event["id"]] = (channel, python_worker.entity(event), event)
    for post in erp.posts:
        channel, entity, _ = expected[post.key]
        assert (post.headers["x-channel"], post.headers["content-type"], post.body) == (channel, "application/json", entity)
    # The same events again, as SQS and a shop may deliver them: not only once.
    for channel, _, event in expected.values():
        deployed.send(json.dumps(event), group=channel)
    eventually(lambda: [line["outcome"] for line in lines_of(log_of(deployed))].count("repeated") == len(queued()))
    eventually(lambda: deployed.holds(deployed.live) == (0, 0))
    assert sorted(erp.accepted()) == sorted(expected)
    assert deployed.holds(deployed.dead) == (0, 0)

    log = log_of(deployed)
    assert {line["event_id"] for line in lines_of(log)} == set(expected)
    log = without_what_the_log_may_name(log, expected)
    for channel, body in zip(queued(), bodies):
        for value in values(json.loads(body)):
            assert loggable(value, channel) or value not in log, f"{channel}: a value of the event is in the log"
    table = deployed.stack.client("dynamodb")
    items = table.scan(TableName=deployed.outputs["LedgerName"])["Items"]
    assert {item["event_id"]["S"] for item in items if "done" in item} == set(expected)
    # The emulator takes no notice of TTL in a template.
    ledger = yaml_parse((CONSUMERS / "template.yaml").read_text())["Resources"]["Ledger"]["Properties"]
    assert ledger["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert all(float(item["expires"]["N"]) > time.time() + 28 * 24 * 3600 for item in items)


def test_a_group_keeps_its_order_when_one_of_it_fails_and_others_go_on(deployed, erp):
    erp.answer = lambda key, body, before: 503 if body["state"] == "processing" and before == 0 else 200
    for state in ("new", "processing", "complete"):
        deployed.order_is_saved(901, state)
    deployed.order_is_saved(902, "closed")
    eventually(lambda: len(erp.accepted()) == 4)
    states = [(post.body["entity_id"], post.body["state"]) for post in erp.posts if post.status == 200]
    assert [state for order, state in states if order == 901] == ["new", "processing", "complete"]
    assert states.index((902, "closed")) < states.index((901, "processing")), "the other group did not wait"
    assert len(erp.posts) == 5, "what was done before the failure is not done again"
    eventually(lambda: deployed.holds(deployed.live) == (0, 0))
    assert deployed.holds(deployed.dead) == (0, 0)


def test_what_can_never_succeed_is_set_aside_at_once_and_stops_nobody(deployed, erp):
    erp.answer = lambda key, body, before: 422 if body["entity_id"] == 666 else 200
    secret = "jane@example.com"
    bad = {
        "unreadable": (secret, {}),
        "too_large": (bomb(), {"content_encoding": "gzip, base64"}),
        "not_a_cloud_event": (json.dumps({"email": secret}), {}),
        "wrong_version": (cloud_event(specversion="2.0"), {}),
        "not_ours": (cloud_event(type=f"com.example.{secret}"), {}),
        "unknown_schema": (cloud_event(dataschema="urn:commerce-webhooks:message:sales_order_save_after:2"), {}),
        "expected_issues": (cloud_event(), {"issues": "expected"}),
        "refused": (cloud_event(data={"order": {"entity_id": 666, "email": secret}}), {}),
    }
    ids = {reason: deployed.send(body, channel="x", **attributes) for reason, (body, attributes) in bad.items()}
    good = cloud_event()
    deployed.send(good)
    eventually(lambda: erp.accepted() == [json.loads(good)["id"]])
    eventually(lambda: deployed.holds(deployed.live) == (0, 0))
    found = {strings(message)["reason"]: message for message in deployed.peek(deployed.dead)}
    assert set(found) == set(bad)
    for reason, (body, attributes) in bad.items():
        sent = {name.replace("_", "-"): value for name, value in attributes.items()}
        assert found[reason]["Body"] == body
        assert strings(found[reason]) == {"channel": "x", "reason": reason, **sent}
        assert found[reason]["Attributes"]["MessageGroupId"] == "order/1"
        assert found[reason]["Attributes"]["MessageDeduplicationId"] == ids[reason]
    log = log_of(deployed)
    reasons = collections.Counter(line.get("reason") for line in lines_of(log))
    assert {reason: reasons[reason] for reason in bad} == dict.fromkeys(bad, 1), "what follows in the group waits for no retries"
    assert secret not in log and "666" not in [line.get("entity_id") for line in lines_of(log)]


# The worker alone, where what surrounds it can be taken away


@contextlib.contextmanager
def rust_worker(stack, queues, erp, **environment):
    """The worker under a Runtime API of ours, with a table of its own."""
    table = f"ledger-{uuid.uuid4().hex[:12]}"
    dynamodb = stack.client("dynamodb")
    dynamodb.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    settings = {
        "AWS_ENDPOINT_URL": stack.endpoint,
        "TABLE": table,
        "QUEUE_URL": queues.live,
        "DEAD_LETTER_QUEUE_URL": queues.dead,
        "PAUSE_MIN_SECONDS": PAUSE_SECONDS,
        "ERP_URL": erp.url,
        "ERP_TOKEN": TOKEN,
        # Long, because a busy machine must not look like a slow ERP system.
        "ERP_TIMEOUT_MS": "10000",
        **environment,
    }
    with Function("worker", None, **settings) as function:
        function.table = table
        yield function


def as_lambda_writes(message):
    attributes = {
        name: {"stringValue": value["StringValue"], "stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
        for name, value in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": attributes,
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:000000000000:q.fifo",
        "awsRegion": REGION,
    }


def deliver(queues, function, age=0, lambda_seconds=60, **how):
    """One batch, as Lambda's poller delivers it: what was logged of each message, and how many come again. They do so at once.
    `age` makes all of them older by so many seconds."""
    batch = queues.receive(queues.live)
    records = [as_lambda_writes(message) for message in batch]
    for record in records:
        record["attributes"]["SentTimestamp"] = str(int(record["attributes"]["SentTimestamp"]) - 1000 * age)
    result = function.invoke({"Records": records}, lambda_seconds=lambda_seconds, **how)
    failures = {failure["itemIdentifier"] for failure in result.answer["batchItemFailures"]} if result.answer else None
    for message in batch:
        if failures is not None and message["MessageId"] not in failures:
            queues.sqs.delete_message(QueueUrl=queues.live, ReceiptHandle=message["ReceiptHandle"])
        else:
            queues.sqs.change_message_visibility(QueueUrl=queues.live, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    outcomes = [line.get("reason") or line["outcome"] for line in lines_of(result.log) if line["message"] == "handled"]
    return outcomes, None if failures is None else len(failures), result.log


def test_a_large_event_arrives_whole(stack, queues, erp):
    sent = queues.large_event()
    with rust_worker(stack, queues, erp, ERP_CONTENT="event") as function:
        outcomes, _, log = deliver(queues, function)
    assert outcomes == ["done"]
    (post,) = erp.posts
    assert post.headers["content-type"] == "application/cloudevents+json"
    assert b'"original":' + sent + b"}" in post.raw
    assert post.headers["authorization"] == f"Bearer {TOKEN}"
    for hidden in (TOKEN, SECRET, NOTE):
        assert hidden not in log
    assert len(log) < 1000, "it is one line, without the body in whatever form"


@pytest.mark.parametrize("trouble", ["closed", "silent", 500, 429])
def test_while_the_erp_system_is_away_nothing_is_lost(stack, queues, erp, trouble):
    for order in (1, 2):
        for state in ("new", "complete"):
            queues.order_is_saved(order, state)
    expected = {"closed": "erp_unreachable", "silent": "erp_timed_out", 500: "erp_failed", 429: "erp_busy"}[trouble]
    with contextlib.ExitStack() as until:
        settings = {}
        if trouble in ("closed", "silent"):
            taken = until.enter_context(socket.socket())
            taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
            if trouble == "silent":
                taken.listen()
            settings = {"ERP_URL": f"http://127.0.0.1:{taken.getsockname()[1]}/", "ERP_TIMEOUT_MS": "300"}
        else:
            erp.answer = lambda key, body, before: trouble
        with rust_worker(stack, queues, erp, **settings) as function:
            outcomes, failures, _ = deliver(queues, function)
            assert (sorted(outcomes), failures) == (sorted(["behind_a_failure", expected] * 2), 4)
            erp.forget()
            function.environment |= {"ERP_URL": erp.url, "ERP_TIMEOUT_MS": "10000"}
            function.kill()
            assert deliver(queues, function)[:2] == (["done"] * 4, 0)
    assert [(post.body["entity_id"], post.body["state"]) for post in erp.posts] == [
        (1, "new"), (1, "complete"), (2, "new"), (2, "complete"),
    ]
    assert queues.holds(queues.live) == (0, 0)


def test_what_another_is_at_is_left_to_it_until_its_lease_ends(stack, queues, erp):
    event = cloud_event()
    item = {"id": {"S": ledger_key("event", event, "id")}, "owner": {"S": "another"}, "expires": {"N": "9999999999"}}
    queues.send(event)
    with rust_worker(stack, queues, erp) as function:
        dynamodb = stack.client("dynamodb")
        dynamodb.put_item(TableName=function.table, Item=item | {"lease_ends": {"N": str(int(time.time()) + 60)}})
        assert deliver(queues, function)[:2] == (["in_progress"], 1)
        assert erp.posts == []
        dynamodb.put_item(TableName=function.table, Item=item | {"lease_ends": {"N": str(int(time.time()) - 2)}})
        assert deliver(queues, function)[:2] == (["done"], 0)
    assert len(erp.posts) == 1


def test_a_worker_that_dies_at_work_leaves_its_message_and_a_lease_that_ends(stack, queues, erp):
    queues.send(cloud_event())
    reached, dead = threading.Event(), threading.Event()
    erp.answer = lambda key, body, before: reached.set() or dead.wait(10) and 200
    with rust_worker(stack, queues, erp) as function:
        assert deliver(queues, function, while_it_runs=lambda: reached.wait(10) and function.kill())[1] is None
        dead.set()
        eventually(lambda: len(erp.posts) == 1)
        dynamodb = stack.client("dynamodb")
        (item,) = dynamodb.scan(TableName=function.table)["Items"]
        assert "done" not in item and time.time() < int(item["lease_ends"]["N"]) <= time.time() + 60
        assert deliver(queues, function)[:2] == (["in_progress"], 1)
        dynamodb.put_item(TableName=function.table, Item=item | {"lease_ends": {"N": "1"}})
        assert deliver(queues, function)[:2] == (["done"], 0)
    # What at-least-once means: the first call had got through, and only the key tells the ERP system so.
    assert len(erp.posts) == 2 and len({post.key for post in erp.posts}) == 1


@pytest.mark.parametrize(
    ("settings", "how", "expected"),
    [
        ({"TABLE": "nowhere"}, {}, "ledger_unavailable"),
        ({}, {"lambda_seconds": 5}, "out_of_time"),
    ],
)
def test_what_cannot_be_begun_comes_again(stack, queues, erp, settings, how, expected):
    queues.send(cloud_event())
    with rust_worker(stack, queues, erp, **settings) as function:
        assert deliver(queues, function, **how)[:2] == ([expected], 1)
    assert erp.posts == []
    assert queues.holds(queues.live) == (1, 1)


def test_a_dead_letter_that_nobody_takes_is_kept(stack, queues, erp):
    queues.send("not json")
    erp.answer = lambda key, body, before: 400
    queues.send(cloud_event(), group="order/2")
    with rust_worker(stack, queues, erp, DEAD_LETTER_QUEUE_URL=f"{queues.dead}x") as function:
        assert deliver(queues, function)[:2] == (["dead_letter_queue_unavailable"] * 2, 2)
    assert queues.holds(queues.live) == (2, 2)


def test_what_cannot_be_noted_as_done_comes_again(stack, queues, erp):
    queues.send(cloud_event())
    with rust_worker(stack, queues, erp) as function:
        # The table goes while the ERP system is at it.
        erp.answer = lambda key, body, before: stack.client("dynamodb").delete_table(TableName=function.table) and 200
        assert deliver(queues, function)[:2] == (["ledger_unavailable"], 1)
    assert len(erp.posts) == 1
    assert queues.holds(queues.live)[0] == 1


def test_a_wrong_configuration_does_not_start():
    ended = subprocess.run([ROOT / "target" / "debug" / "worker"], env={"ERP_URL": "x"}, capture_output=True, text=True)
    assert ended.returncode == 1
    reasons = [json.loads(line)["message"] for line in ended.stdout.splitlines()]
    assert "not started: TABLE: the name of the DynamoDB table is missing" in reasons
    assert ended.stderr == ""


# The scripts, as their user starts them


def started(stack, script, *arguments, **environment):
    """A script as its user starts it: exit code, output, errors. An environment variable that is None is taken away."""
    command = [sys.executable, CONSUMERS / script, *arguments]
    given = {name: value for name, value in (aws(stack) | environment).items() if value is not None}
    ended = subprocess.run(command, env=given, capture_output=True, text=True, timeout=60)
    return ended.returncode, ended.stdout, ended.stderr


def aws(stack):
    return {
        "AWS_ENDPOINT_URL": stack.endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
    }


# Moving dead letters back


def redrive(queues, *options):
    """What it says."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        redriving.redrive(queues.sqs, queues.dead, redriving.parser().parse_args([queues.dead, *options]))
    return said.getvalue()


def essence(message):
    """All of a message that a redrive must keep: not why it was set aside."""
    known = message["Attributes"]
    ids = known["MessageGroupId"], known["MessageDeduplicationId"], known.get("AWSTraceHeader")
    attributes = {name: value for name, value in message.get("MessageAttributes", {}).items() if name != "reason"}
    return *ids, message["Body"], attributes


def dead_letters(queues, count=9):
    """Messages of three groups in the dead-letter queue: the events' ids."""
    ids = []
    for number in range(count):
        event = cloud_event(data={"order": {"email": "jane@example.com"}})
        ids.append(json.loads(event)["id"])
        attributes = {"channel": "sales_order_save_after" if number % 2 else "customer_delete_after", "reason": "refused"}
        if number == 3:
            event, attributes["content_encoding"] = base64.b64encode(gzip.compress(event.encode())).decode(), "gzip, base64"
        # SQS gives what it moves itself another deduplication id.
        queues.send(event, group=f"order/{number % 3}", queue=queues.dead, deduplication=f"sqs-{number}", **attributes)
    return ids


def test_a_dry_run_shows_what_is_there_and_changes_nothing(stack, queues):
    ids = dead_letters(queues)
    queues.send("jane@example.com", group="Jane@Doe", queue=queues.dead, channel="jane doe")
    before = [essence(message) for message in queues.peek(queues.dead)]
    code, said, errors = started(stack, "redrive.py", queues.dead, "--dry-run", "--min-age", "0")
    assert (code, errors) == (0, "")
    for shown in [*ids, "order/2", "customer_delete_after", "refused", "holds about 10 messages", "10 listed, 0 moved"]:
        assert shown in said
    assert "jane" not in said.lower()
    assert queues.holds(queues.dead) == (10, 10), "all are visible again"
    assert [essence(message) for message in queues.peek(queues.dead)] == before
    assert queues.holds(queues.live) == (0, 0)


def test_a_redrive_moves_messages_with_all_that_they_have_and_in_their_order(queues):
    queues.sqs.send_message(
        QueueUrl=queues.dead,
        MessageBody=cloud_event(),
        MessageGroupId="traced",
        MessageDeduplicationId="traced",
        MessageAttributes={"digest": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}},
        MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}},
    )
    dead_letters(queues)
    before = [essence(message) for message in queues.peek(queues.dead)]
    assert len(before) == 10
    assert "10 listed, 10 moved" in redrive(queues, "--min-age", "0")
    after = [essence(message) for message in queues.peek(queues.live)]
    assert sorted(after, key=str) == sorted(before, key=str)
    assert not any("reason" in message.get("MessageAttributes", {}) for message in queues.peek(queues.live))
    for group in {group for group, *_ in before}:
        assert [one for one in after if one[0] == group] == [one for one in before if one[0] == group]
    assert queues.holds(queues.dead) == (0, 0)


def test_a_redrive_gets_through_a_long_group(queues):
    for number in range(23):
        queues.send(f"{number}", queue=queues.dead)
    assert "23 listed, 23 moved" in redrive(queues, "--min-age", "0")
    taken = []
    while batch := queues.receive(queues.live):
        taken += [int(message["Body"]) for message in batch]
        for message in batch:
            queues.sqs.delete_message(QueueUrl=queues.live, ReceiptHandle=message["ReceiptHandle"])
    assert taken == list(range(23))


def test_a_redrive_can_choose(queues):
    ids = dead_letters(queues)
    said = redrive(queues, "--min-age", "0", "--id", ids[3])
    assert "1 listed, 1 moved" in said, "the id stands in the event, here a compressed one"
    assert [message["Attributes"]["MessageDeduplicationId"] for message in queues.peek(queues.live)] == ["sqs-3"]
    assert "4 listed, 4 moved" in redrive(queues, "--min-age", "0", "--channel", "customer_delete_after", "--max", "4")
    moved = [strings(message)["channel"] for message in queues.peek(queues.live)]
    assert moved.count("customer_delete_after") == 4 and len(moved) == 5
    assert queues.holds(queues.dead) == (4, 4)


def test_a_redrive_leaves_what_sqs_would_drop_as_a_repeat(queues, monkeypatch):
    for number in range(2):
        queues.send(f"{number}", queue=queues.dead)
    said = redrive(queues)
    assert "2 listed, 0 moved" in said and "too young, by" in said
    assert queues.holds(queues.dead) == (2, 2)
    # A fast clock does not make them older …
    now, age = time.time, redriving.DEDUPLICATION_SECONDS + 1
    monkeypatch.setattr(redriving.time, "time", lambda: now() + age)
    assert "2 listed, 0 moved" in redrive(queues)
    # … and when they are, they are moved.
    monkeypatch.setattr(redriving, "clock_offset", lambda *_: 0)
    assert "2 listed, 2 moved" in redrive(queues)
    assert [message["Body"] for message in queues.peek(queues.live)] == ["0", "1"]


def test_a_message_is_deleted_only_when_it_was_sent(queues, monkeypatch):
    dead_letters(queues, 4)
    real, sent = queues.sqs.send_message, []

    def fails_at_the_third(**message):
        sent.append(message)
        if len(sent) == 3:
            raise ConnectionError
        return real(**message)

    monkeypatch.setattr(queues.sqs, "send_message", fails_at_the_third)
    with pytest.raises(ConnectionError):
        redrive(queues, "--min-age", "0")
    assert queues.holds(queues.live) == (2, 2)
    assert queues.holds(queues.dead) == (2, 2), "the rest is there, and visible"


def test_a_redrive_of_what_is_nobodys_dead_letter_queue_says_so(stack, queues):
    code, _, errors = started(stack, "redrive.py", queues.live)
    assert code == 1 and "is no dead-letter queue of any queue. Give the output ErpDeadLetterQueueUrl or CrmDeadLetterQueueUrl" in errors
    assert {"ErpDeadLetterQueueUrl", "CrmDeadLetterQueueUrl"} <= stack.outputs.keys()
    code, _, errors = started(stack, "redrive.py", f"{queues.dead}x")
    assert code == 1 and "AWS refuses" in errors and "Traceback" not in errors


@pytest.mark.parametrize("queue", ["dead.fifo", "https://sqs.eu-west-1.amazonaws.com", "arn:aws:sqs:eu-west-1:123456789012:dead.fifo"])
def test_a_redrive_of_what_is_no_url_says_so(stack, queue):
    code, _, errors = started(stack, "redrive.py", queue)
    assert code != 0 and "is no URL of a queue" in errors and "Traceback" not in errors


def test_a_script_needs_a_region_and_takes_it_from_either_variable(stack, queues, tmp_path):
    nowhere = {"AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_REGION": None, "AWS_DEFAULT_REGION": None}
    scripts = {
        "redrive.py": [queues.dead, "--dry-run"],
        "worker.py": [queues.live, queues.dead, str(tmp_path / "events.sqlite"), "--once"],
    }
    for script, arguments in scripts.items():
        code, _, errors = started(stack, script, *arguments, **nowhere)
        assert code == 1 and errors.endswith("Set AWS_REGION.\n") and errors.count("\n") == 1
        for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            code, _, errors = started(stack, script, *arguments, **nowhere | {variable: REGION})
            assert (code, errors) == (0, "")


def test_a_script_without_credentials_says_so(stack, queues, tmp_path):
    none = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_EC2_METADATA_DISABLED": "true"}
    none |= {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"), "AWS_CONFIG_FILE": str(tmp_path / "none")}
    code, _, errors = started(stack, "redrive.py", queues.dead, **none)
    assert code == 1 and errors == "There are no credentials of AWS. Log in to AWS.\n"
    code, _, errors = started(stack, "redrive.py", queues.dead, AWS_PROFILE="shop", **none)
    assert code == 1 and errors == "~/.aws has no profile shop, which AWS_PROFILE names. Log in to AWS.\n"
