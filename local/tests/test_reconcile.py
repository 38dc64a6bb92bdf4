"""`make reconcile`: it finds what the shop has and no accepted event tells of, and posts it. Against the real functions, with a stand-in
for the shop's records; and, for what they do not do on demand, against log lines and an API of our own."""

import contextlib
import functools
import hashlib
import hmac
import json
import os
import sys
import threading
import time
import types
import uuid
from concurrent.futures import ThreadPoolExecutor

import boto3
import botocore.exceptions
import pytest
import record_shop
from record_shop import customer, invoice, observed, order, product, shipment, written
from shop import SECRET, request
from stack import REGION, ROOT, STACK_NAME, is_metrics
from stand_in import TOKEN
from test_deploy import run as command
from test_quarantine import EXCEPTION, KEY, SUCCESS, Api

sys.path.append(str(ROOT / "commerce"))

import accepted  # noqa: E402
import aws  # noqa: E402
import bundle as bundles  # noqa: E402
import gaps  # noqa: E402
import reconcile  # noqa: E402
import records  # noqa: E402
import resend  # noqa: E402

PLACED, SAVED, PAID = "sales_order_place_after", "sales_order_save_after", "sales_order_invoice_pay"
SHIPPED, ACCOUNT, CATALOG = "sales_order_shipment_save_after", "customer_save_after_data_object", "catalog_product_save_after"
# What no output may hold: who the orders are of, and how one signs.
PERSONAL = ("Zoë", "Núñez", "zoe@", "Springfield", "555-0100", TOKEN, KEY, SECRET)
HOUR = 3600


@functools.cache
def session():
    """One for all runs: to make its clients takes longer than all else."""
    return boto3.Session(region_name=REGION)


@pytest.fixture
def shop():
    with record_shop.running() as running:
        yield running


@pytest.fixture
def run(account, shop, capsys, monkeypatch):
    """Runs the tool: exit code, and all that it printed."""
    for name, value in (account | {"COLUMNS": "100", "COMMERCE_TOKEN": TOKEN}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(resend, "PAUSES", (0, 0))
    for module in (aws, bundles, reconcile):
        monkeypatch.setattr(module, "boto3_session", session)

    def run(stack, *arguments):
        capsys.readouterr()
        try:
            code = reconcile.main(["--shop", shop.url, "--stack", stack, *arguments])
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        assert not any(text in out + err for text in PERSONAL), "nothing personal and no secret is shown"
        assert "Traceback" not in err and all(letter.isprintable() or letter == "\n" for letter in out + err)
        assert all(len(line) <= 100 for line in out.splitlines()), "it fits the terminal"
        return code, out + err

    return run


# With the real functions


@pytest.fixture
def numbers():
    """Numbers that no other run of this machine has."""
    own = uuid.uuid4().hex[:6]
    return (f"{own}{number:06}" for number in range(10**6))


def post(stack, channel, body):
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    status, _, _ = stack.post(channel, {"content-type": "application/json", "x-adobe-signature": signature}, body)
    return status


def at_once(work, things):
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(work, things))


def until_logged(stack, channels, done):
    """On a busy machine the emulator sometimes has the last lines of a function only with its next request: one that is no event."""
    for _ in range(50):
        if done():
            return
        at_once(lambda channel: stack.post(channel, {}, b"[]"), [*channels] * 4)
    raise AssertionError("the emulator lost lines of the log")


def digests_logged(stack):
    log = [json.loads(line) for line in stack.logs() if '"outcome":"accepted"' in line and not is_metrics(line)]
    return {line.get("subject_digest") for line in log}


def digests_of(orders):
    return {records.digest(f"order/{one['increment_id']}", one["store_id"]) for one in orders}


def lines(stack):
    """The log lines of reconciled events."""
    return [json.loads(line) for line in stack.logs() if '"reconciled":true' in line and not is_metrics(line)]


def missing(said, channel):
    """The records that are listed under a channel."""
    part = said.partition(f"\n{channel}\n")[2].partition("\n\n")[0]
    return [line.split()[0] for line in part.splitlines()]


def gaps_among(stack, run, shop, numbers, orders, every):
    """Places orders of which every so many is lost: half of these while the queue is away, and half are never sent."""
    begun = time.time()
    placed = [shop.add("orders", order(number, next(numbers), begun)) for number in range(1, orders + 1)]
    lost = placed[::every]
    refused, never = lost[::2], lost[1::2]
    arrived = [one for place, one in enumerate(placed) if place % every]
    assert set(at_once(lambda one: post(stack, PLACED, observed("order", one)), arrived)) == {200}
    stack.configure(PLACED, AWS_ENDPOINT_URL_SQS="http://127.0.0.1:9", HOOK_TIMEOUT_MS="1000")
    try:
        # Not by the gateway, which calls the version that is deployed.
        answers = at_once(lambda one: stack.invoke(PLACED, request(PLACED, observed("order", one)))[0], refused)
        assert {answer["statusCode"] for answer in answers} == {503}
    finally:
        stack.configure(PLACED, AWS_ENDPOINT_URL_SQS=None, HOOK_TIMEOUT_MS="5000")
    assert len(refused) + len(never) == len(lost)
    until_logged(stack, [PLACED], lambda: digests_of(arrived) <= digests_logged(stack))

    since = ("--since", written(begun - 1).replace(" ", "T"), "--settle", "0s", "--all")
    api = f"{stack.endpoint}/_aws/execute-api/{stack.api}"
    code, said = run(STACK_NAME, *since)
    assert code == 2 and f"orders     {orders:9,} {len(lost):9,}\n" in said
    assert sorted(missing(said, PLACED)) == sorted(f"order/{one['increment_id']}" for one in lost), "every gap, and nothing else"

    code, said = run(STACK_NAME, *since, "--send", "--yes", "--url", api, "--max", str(orders), "--rate", "1000")
    assert code == 0 and f"\n{len(lost):,} accepted.\n" in said
    until_logged(stack, [PLACED], lambda: digests_of(lost) <= digests_logged(stack))
    code, said = run(STACK_NAME, *since)
    assert code == 0 and said.endswith("\nNothing is missing.\n"), said
    return lost


# RECONCILE_ORDERS=5000 makes it the run of which docs/reconcile.md tells.
ORDERS = int(os.environ.get("RECONCILE_ORDERS", "600"))


def test_every_gap_among_many_orders_is_found_and_closed_and_nothing_else(stack, run, shop, numbers):
    before = len(lines(stack))
    queue = stack.queue(PLACED)
    list(stack.take(queue))
    lost = gaps_among(stack, run, shop, numbers, ORDERS, 10)
    reconciled = lines(stack)[before:]
    assert len(reconciled) == len(lost) and all(line["channel"] == PLACED and line["issues"] == 0 for line in reconciled)
    subjects = [
        message["MessageBody"]["subject"]
        for message in stack.messages(queue)
        if message["MessageAttributes"].get("reconciled") == "true"
    ]
    assert sorted(subjects) == sorted(f"order/{one['increment_id']}" for one in lost)


def test_a_record_of_each_kind_becomes_an_event_without_issues(stack, run, shop, numbers):
    # Long before this machine's other invoices, which have no number in the log either.
    before, then, own = len(lines(stack)), time.time() - 19 * HOUR, int(uuid.uuid4().int % 10**9)
    virtual = {"is_virtual": 1, "extension_attributes": {"shipping_assignments": [{"shipping": {"address": None}}]}}
    shop.add("orders", order(1, next(numbers), then))
    shop.add("orders", order(2, next(numbers), then, **virtual))
    shop.add("orders", order(3, next(numbers), then - 9 * HOUR, updated_at=written(then)))
    shop.add("invoices", invoice(5, next(numbers), then))
    shop.add("shipments", shipment(6, next(numbers), then))
    shop.add("customers/search", customer(own, then))
    del shop.add("customers/search", customer(own + 1, then))["store_id"]
    shop.add("products", product(9, f"SKU {own}", then))

    options = ["--since", "20h", "--channel", ",".join(records.CHANNELS)]
    api = f"{stack.endpoint}/_aws/execute-api/{stack.api}"
    code, said = run(STACK_NAME, *options, "--send", "--yes", "--url", api)
    assert code == 0 and "\n8 accepted.\n" in said
    until_logged(stack, {PLACED, SAVED, PAID, SHIPPED, ACCOUNT, CATALOG}, lambda: len(lines(stack)) == before + 8)
    sent = lines(stack)[before:]
    assert sorted(line["channel"] for line in sent) == sorted([PLACED, PLACED, SAVED, PAID, SHIPPED, ACCOUNT, ACCOUNT, CATALOG])
    assert [line["issues"] for line in sent] == [0] * 8
    code, said = run(STACK_NAME, *options)
    assert code == 0, said


# With log lines of our own


class Bundle:
    """A stack of which only what the tool asks for is there: a log group of its own, a secret, and where to post to."""

    def __init__(self, stack, url):
        self.stack, self.logs = stack, stack.client("logs")
        self.name = f"reconcile-{uuid.uuid4().hex[:8]}"
        self.url = url

    def forget(self):
        """Begins a new log."""
        self.end()
        self.logs.create_log_group(logGroupName=self.name)
        self.logs.create_log_stream(logGroupName=self.name, logStreamName="functions")

    def end(self):
        with contextlib.suppress(self.logs.exceptions.ResourceNotFoundException):
            self.logs.delete_log_group(logGroupName=self.name)

    def deploy(self, secret=None, without=(), **parameters):
        secret = json.dumps({"hmac_secrets": KEY}) if secret is None else secret
        outputs = {"FunctionLogGroup": self.name, "WebhooksUrl": self.url, "WebhookKeysArn": {"Ref": "Keys"}}
        parameters = {"SignatureSchemes": "hmac,rsa", "LogRetentionDays": "30", **parameters}
        bundle = {
            "Parameters": {name: {"Type": "String"} for name in parameters},
            "Resources": {"Keys": {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": secret}}},
            "Outputs": {name: {"Value": value} for name, value in outputs.items() if name not in without},
        }
        cloudformation = self.stack.client("cloudformation")
        given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
        cloudformation.create_stack(StackName=self.name, TemplateBody=json.dumps(bundle), Parameters=given)
        cloudformation.get_waiter("stack_create_complete").wait(StackName=self.name, WaiterConfig={"Delay": 0.1})
        self.forget()
        return self

    def log(self, *events):
        """Writes lines: (channel, subject or None, store, when)."""
        made = [{"timestamp": int(when * 1000), "message": line(channel, subject, store)} for channel, subject, store, when in events]
        made.sort(key=lambda one: one["timestamp"])
        for first in range(0, len(made), 5000):
            self.logs.put_log_events(logGroupName=self.name, logStreamName="functions", logEvents=made[first : first + 5000])


def line(channel, subject, store="", **more):
    said = {"message": "answered", "channel": channel, "outcome": "accepted", "event_id": str(uuid.uuid4()), "request_id": "r"}
    if subject:
        said["subject_digest"] = hashlib.sha256(f"{subject}\0{store}".encode()).hexdigest()[:32]
    return json.dumps(said | more)


@pytest.fixture(scope="module")
def deployed(stack):
    with Api() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield Bundle(stack, server.url).deploy(), server
        server.shutdown()


@pytest.fixture
def bundle(deployed):
    deployed[0].forget()
    yield deployed[0]
    deployed[0].end()


@pytest.fixture
def api(deployed):
    deployed[1].posts.clear()
    deployed[1].answers.clear()
    return deployed[1]


def test_a_lost_change_of_an_order_is_found_though_its_earlier_events_arrived(bundle, run, shop):
    then = time.time() - HOUR
    shop.add("orders", order(1, "100", then, updated_at=written(then + 60)))
    shop.add("orders", order(2, "200", then, updated_at=written(then + 60)))
    bundle.log((PLACED, "order/100", 1, then - 1), (SAVED, "order/100", 1, then), (SAVED, "order/100", 1, then + 20))
    bundle.log((PLACED, "order/200", 1, then - 1), (SAVED, "order/200", 1, then + 60))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 2 and missing(said, SAVED) == ["order/100"] and PLACED not in said
    assert f"  order/100  store 1   {written(then + 60)}  changed 40 s after its last event\n" in said or "changed 39 s" in said
    assert said.endswith("\n1 event is missing. SEND=1 posts them through the functions, after asking.\n")
    assert run(bundle.name, "--since", "6h", "--tolerance", "60s")[0] == 0


def test_an_order_that_nothing_changed_needs_no_event_but_its_first(bundle, run, shop):
    then = time.time() - HOUR
    shop.add("orders", order(1, "100", then))
    bundle.log((PLACED, "order/100", 1, then - 30))
    assert run(bundle.name, "--since", "6h")[0] == 0
    shop.add("orders", order(2, "200", then - 9 * HOUR, updated_at=written(then)))
    bundle.log((SAVED, "order/200", 1, then + 0.4))
    assert run(bundle.name, "--since", "6h")[0] == 0, "placed long before"
    assert run(bundle.name, "--since", "6h", "--channel", SAVED)[0] == 2, "the first event does not count where nobody asks for it"


def test_an_event_of_another_stores_order_with_the_same_number_does_not_count(bundle, run, shop):
    then = time.time() - HOUR
    shop.add("orders", order(1, "100", then, store_id=1))
    shop.add("orders", order(2, "100", then, store_id=2))
    bundle.log((PLACED, "order/100", 1, then))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 2 and missing(said, PLACED) == ["order/100"] and "  store 2 " in said
    bundle.log((PLACED, "order/100", "", then))
    assert run(bundle.name, "--since", "6h")[0] == 2, "an event without a store may be either's"


def test_an_event_that_says_no_store_counts_where_only_one_record_has_its_number(bundle, run, shop):
    then = time.time() - HOUR
    shop.add("orders", order(1, "100", then))
    without_store = customer(7, then)
    del without_store["store_id"]
    shop.add("customers/search", without_store)
    shop.add("customers/search", customer(8, then))
    bundle.log((PLACED, "order/100", "", then), (ACCOUNT, "customer/7", "", then), (ACCOUNT, "customer/8", 1, then))
    assert run(bundle.name, "--since", "6h")[0] == 0


def test_what_changed_just_now_is_left_out(bundle, run, shop):
    shop.add("orders", order(1, "100", time.time() - 30))
    assert run(bundle.name, "--since", "6h")[0] == 0
    assert run(bundle.name, "--since", "6h", "--settle", "10s")[0] == 2


def test_an_older_release_is_not_taken_for_gaps(bundle, run, shop):
    then = time.time() - HOUR
    shop.add("orders", order(1, "100", then))
    bundle.log((PLACED, None, "", then))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 1 and "reconcile: none of 1 accepted events of sales_order_place_after has a subject_digest" in said
    bundle.log((PLACED, "order/300", 1, then))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 2 and "! 1 event of sales_order_place_after, the last of" in said


def test_a_channel_that_the_shop_does_not_send_is_named(bundle, run, shop):
    then = time.time() - HOUR
    shop.add("orders", order(1, "100", then))
    shop.add("shipments", shipment(6, "600", then))
    bundle.log((PLACED, "order/100", 1, then))
    code, said = run(bundle.name, "--since", "6h")
    said = " ".join(said.split())
    assert code == 2 and f"no event of {SHIPPED} was accepted in this time. If the shop does not send it, name the others: CHANNEL=…" in said
    assert run(bundle.name, "--since", "6h", "--channel", f"{PLACED},observer.{SAVED}")[0] == 0
    assert not shop.searches("products"), "imports change products without an event"


# Invoices, whose events have no number yet


def unnumbered(*times):
    return [(PAID, None, "", time) for time in times]


def test_an_event_without_a_number_counts_for_the_invoice_that_is_nearest(bundle, run, shop):
    then = int(time.time() - HOUR)
    for number in range(20):
        shop.add("invoices", invoice(number, f"{number}", then + 3 * number))
    shop.add("invoices", invoice(90, "90", then, state=1))
    shop.add("invoices", invoice(91, "91", then, state="3"))
    bundle.log(*unnumbered(*(then + 3 * number - 1 for number in range(20))))
    assert run(bundle.name, "--since", "6h")[0] == 0, "each has one; those that are not paid need none"
    shop.add("invoices", invoice(20, "20", then + 200))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 2 and missing(said, PAID) == ["invoice/20"] and "no accepted event" in said


def test_an_invoice_that_was_paid_later_has_its_number(bundle, run, shop):
    then = int(time.time() - HOUR)
    shop.add("invoices", invoice(1, "100", then, updated_at=written(then + 600)))
    bundle.log((PAID, "invoice/100", 1, then + 600))
    assert run(bundle.name, "--since", "6h")[0] == 0


def test_where_one_of_several_invoices_lacks_its_event_all_of_them_are_listed(bundle, run, shop, api):
    then = int(time.time() - HOUR)
    for number in range(3):
        shop.add("invoices", invoice(number, f"{number}", then + number))
    shop.add("invoices", invoice(9, "9", then + 300))
    bundle.log(*unnumbered(then, then + 2, then + 299))
    code, said = run(bundle.name, "--since", "6h", "--send", "--yes")
    assert code == 0 and missing(said, PAID) == ["invoice/0", "invoice/1", "invoice/2"]
    assert said.count("no event for one of 3 invoices") == 3
    assert sorted(body["data"]["invoice"]["increment_id"] for body in api.bodies()) == ["0", "1", "2"]


def test_what_was_reconciled_does_not_lend_its_event_to_another_invoice(bundle, run, shop):
    then = int(time.time() - HOUR)
    for number in range(3):
        shop.add("invoices", invoice(number, f"{number}", then + number))
    # Of three, one event came. The first two were reconciled before the third could be seen.
    bundle.log(*unnumbered(then + 1))
    reconciled = [line(PAID, f"invoice/{number}", 1, reconciled=True) for number in (0, 1)]
    now = int(time.time() * 1000)
    made = [{"timestamp": now, "message": text} for text in reconciled]
    bundle.logs.put_log_events(logGroupName=bundle.name, logStreamName="functions", logEvents=made)
    code, said = run(bundle.name, "--since", "6h")
    assert code == 2 and missing(said, PAID) == ["invoice/2"]


def test_an_old_invoice_that_changed_is_not_said_to_be_missing(bundle, run, shop):
    now = time.time()
    shop.add("invoices", invoice(1, "100", now - 9 * HOUR, updated_at=written(now - HOUR)))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 0 and "! 1 invoice was made before this time and changed in it." in said


def test_events_are_handed_on_until_as_many_invoices_as_can_have_one():
    # The nearest one leaves the first without: it reaches no other.
    times, events = [0, 3], [2, 6]
    reach = [range(0, 1), range(0, 2)]
    assert gaps.paired(times, events, reach, [True, True]) == {0: 0, 1: 1}
    assert gaps.paired(times, events, reach, [False, True]) == {1: 0}, "nobody needs it for the first"
    many = 3000
    times = list(range(many))
    events = [time + 0.9 for time in range(-1, many - 1)]
    reach = [range(max(number - 1, 0), number + 1) for number in range(many)]
    assert len(gaps.paired(times, events, reach, [True] * many)) == many, "long chains, too"


# What the shop may answer


def test_records_are_paged_by_time_and_id_though_the_shop_goes_on(bundle, run, shop, monkeypatch):
    monkeypatch.setattr(records, "PAGE", 7)
    then = int(time.time() - HOUR)
    for number in range(60):
        shop.add("orders", order(number + 1, f"{number}", then + number // 20))
    changes = iter(range(5))

    def go_on(place):
        number = next(changes, None)
        if place == "orders" and number is not None:
            # What was read already moves behind all that was not.
            shop.records["orders"][number + 1]["updated_at"] = written(then + 100 + number)

    shop.before = go_on
    code, said = run(bundle.name, "--since", "6h", "--all")
    assert code == 2 and sorted(missing(said, PLACED)) == sorted(f"order/{number}" for number in range(60))
    assert len(shop.searches("orders")) >= 9
    assert "fields=items%5Bentity_id%2Cincrement_id%2Cstore_id" in shop.searches("orders")[0], "no name leaves the shop"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"[]", "the shop answered orders with something else than a list of records"),
        (b'{"items":7}', "the shop answered orders with something else than a list of records"),
        (b'"Zo\\u00eb"', "the shop answered orders with something else than a list of records"),
        (b"{", "something else than JSON"),
        (b"[" * 100_000, "something else than JSON"),
        (b" " * (8 * 1024**2 + 1), "answered with more than 8 MB"),
        (json.dumps({"items": [order(1, "1", 1e9)], "total_count": 9}).encode(), "in the order that was asked for"),
        (json.dumps({"items": [{"entity_id": 1}], "total_count": 9}).encode(), "in the order that was asked for"),
    ],
)
def test_an_odd_answer_ends_it_with_one_line(bundle, run, shop, answer, words):
    shop.instead["orders"] = answer
    code, said = run(bundle.name, "--since", "6h")
    assert code == 1 and said.count("reconcile: ") == 1 and words in " ".join(said.split())


def test_a_shop_without_changes_has_nothing_to_compare(bundle, run, shop):
    shop.instead = dict.fromkeys(record_shop.RESOURCES, b'{"items":null,"total_count":0}')
    assert run(bundle.name, "--since", "6h")[0] == 0


def test_a_record_that_cannot_be_read_is_counted_and_nothing_of_it_obeyed(bundle, run, shop):
    then = time.time() - HOUR
    bad = [
        {"entity_id": 2, "updated_at": written(then)},
        {"entity_id": "x", "increment_id": "3", "updated_at": written(then)},
        {"entity_id": 4, "increment_id": "4", "updated_at": "0000-00-00 00:00:00"},
        {"entity_id": True, "increment_id": "5", "updated_at": written(then)},
        {"entity_id": 6, "increment_id": ["6"], "updated_at": written(then)},
        "\x1b[2J",
        None,
        order(7, "\x1b]0;Z\x07\n" + "7" * 90, then),
        order(8, "\ud800", then, store_id="\x1b[31m"),
    ]
    shop.instead["orders"] = json.dumps({"items": bad, "total_count": len(bad)}).encode()
    code, said = run(bundle.name, "--since", "6h")
    assert code == 2 and "! 7 records could not be compared" in said
    assert "  order/ ]0;Z  777777777777777" in said or "order/" in said
    assert "2 events are missing" in said


def test_the_shops_own_refusal_names_the_resource(bundle, run, shop):
    shop.denied = {"Magento_Sales::sales_invoice"}
    code, said = run(bundle.name, "--since", "6h")
    assert code == 1 and "lacks the resource Magento_Sales::sales_invoice" in " ".join(said.split())


@pytest.mark.parametrize("fault", [503, "break"])
def test_a_shop_that_fails_once_is_asked_again(bundle, run, shop, fault):
    shop.add("orders", order(1, "100", time.time() - HOUR))
    shop.faults = [("GET orders", fault)]
    assert run(bundle.name, "--since", "6h")[0] == 2


# Sending


def orders_missing(shop, number):
    then = time.time() - HOUR
    return [shop.add("orders", order(one + 1, f"{one + 100}", then + one)) for one in range(number)]


def test_what_is_sent_is_signed_marked_and_the_same_event_however_often(bundle, run, shop, api):
    [one] = orders_missing(shop, 1)
    for _ in range(2):
        code, said = run(bundle.name, "--since", "6h", "--send", "--yes")
        assert code == 0 and said.endswith("\n1 accepted.\n")
    (path, headers, body), (_, _, again) = api.posts
    assert path == f"/webhook/observer.{PLACED}" and body == again
    assert headers["x-adobe-signature"] == hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()
    assert headers["x-webhook-reconciled"] == headers["x-webhook-reconciled"] == "1"
    said = json.loads(body)
    assert said["event_id"].startswith("reconciled-") and set(said) == {"event_id", "data"}
    sent = said["data"]["order"]
    assert sent.pop("shipping_address") == one["extension_attributes"]["shipping_assignments"][0]["shipping"]["address"]
    assert sent == one, "as REST gave it"
    one["state"] = "processing"
    run(bundle.name, "--since", "6h", "--send", "--yes")
    assert json.loads(api.posts[2][2])["event_id"] != said["event_id"], "another state is another event"


def test_nobody_is_asked_in_vain(bundle, run, shop, api, monkeypatch):
    orders_missing(shop, 3)
    code, said = run(bundle.name, "--since", "6h", "--send")
    assert code == 1 and "nothing was sent: there is nobody to ask. Add YES=1 to send unasked." in said
    asked = []
    for answer, code in (("n", 2), ("y", 0)):
        monkeypatch.setattr(reconcile, "agreed", lambda question, _, answer=answer: asked.append(question) or answer == "y")
        assert run(bundle.name, "--since", "6h", "--send")[0] == code
    assert asked == [f"Post 3 events to {api.url}?"] * 2 and len(api.posts) == 3


def test_a_run_sends_no_more_than_it_may_and_says_what_is_left(bundle, run, shop, api):
    orders_missing(shop, 7)
    code, said = run(bundle.name, "--since", "6h", "--send", "--yes", "--max", "5")
    assert code == 2 and len(api.posts) == 5
    assert "! 7 events are missing. This run sends the first 5; MAX=… sends more." in " ".join(said.split())
    assert "\n5 accepted, 2 left.\nRun it again for the rest" in said


def test_whoever_ends_it_knows_what_was_done_and_the_next_run_does_the_rest(bundle, run, shop, api, monkeypatch):
    all_of_them = {one["increment_id"] for one in orders_missing(shop, 12)}
    read, asked = resend.content_of, []

    def ended_at_the_fifth(*arguments):
        asked.append(arguments)
        if len(asked) == 5:
            raise KeyboardInterrupt
        return read(*arguments)

    monkeypatch.setattr(resend, "content_of", ended_at_the_fifth)
    code, said = run(bundle.name, "--since", "6h", "--send", "--yes")
    assert code == 130 and "\n4 accepted, 8 left.\n" in said and said.endswith("reconcile: stopped\n")
    first = [body["data"]["order"]["increment_id"] for body in api.bodies()]
    assert len(first) == 4
    bundle.log(*((PLACED, f"order/{number}", 1, time.time()) for number in first))
    code, said = run(bundle.name, "--since", "6h", "--send", "--yes")
    assert code == 0 and said.endswith("\n8 accepted.\n")
    sent = [body["data"]["order"]["increment_id"] for body in api.bodies()]
    assert len(sent) == 12 and set(sent) == all_of_them


def test_an_event_is_sent_again_while_there_is_no_room_for_it(bundle, run, shop, api):
    orders_missing(shop, 1)
    api.answers = [(503, {}), (429, {}, ("retry-after", "0")), SUCCESS]
    assert run(bundle.name, "--since", "6h", "--send", "--yes")[0] == 0
    assert len({body for _, _, body in api.posts}) == 1 and len(api.posts) == 3


def test_it_stops_where_the_functions_are_away_and_loses_count_of_nothing(bundle, run, shop, api):
    orders_missing(shop, 20)
    api.answers = [SUCCESS] * 2 + [(503, {})] * 500
    code, said = run(bundle.name, "--since", "6h", "--send", "--yes")
    assert code == 1 and "\n2 accepted, 18 left.\n" in said and "reconcile: the API answered status 503, 3 times" in said


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, {"type": "urn:commerce-webhooks:signature_wrong"}), "status 401. Is hmac_secrets of the stack's secret"),
        ((404, {}), "status 404. Is the stack of this project"),
        ((200, b"<html>"), "something else than operations"),
        ((200, []), "something else than operations"),
        ((302, b"", ("location", "https://elsewhere.example")), "status 302"),
    ],
)
def test_it_stops_where_something_else_answers(bundle, run, shop, api, answer, words):
    orders_missing(shop, 9)
    api.answers = [answer] * 9
    code, said = run(bundle.name, "--since", "6h", "--send", "--yes")
    assert code == 1 and words in said and "9 left." in said and len(api.posts) <= resend.AT_ONCE + 1


def test_what_is_not_accepted_is_listed_with_the_reason_and_the_others_are_sent(bundle, run, shop, api, monkeypatch):
    monkeypatch.setattr(resend, "AT_ONCE", 1)
    orders_missing(shop, 6)
    api.answers = [EXCEPTION, (422, {"errors": []}), (413, {}), SUCCESS, (200, [{"op": "replace", "path": "a", "value": 1}])]
    deleted = shop.records["orders"][6]
    read = resend.content_of
    monkeypatch.setattr(resend, "content_of", lambda asked, gap: None if gap.id == deleted["entity_id"] else read(asked, gap))
    code, said = run(bundle.name, "--since", "6h", "--send", "--yes")
    part = said.partition("Not accepted:\n")[2]
    assert code == 2 and [row.split("  ")[-1] for row in part.splitlines()[:4]] == [
        "refused by a rule or the stock check",
        "cannot be used",
        "too large for a function",
        "gone from the shop",
    ]
    counts = "2 accepted, 1 refused by a rule or the stock check, 1 cannot be used, 1 too large for a function, 1 gone from the shop."
    assert counts in " ".join(part.split())


def test_a_record_that_the_shop_cannot_give_does_not_hold_up_the_others(bundle, run, shop, api, monkeypatch):
    orders_missing(shop, 6)
    read = resend.content_of

    def given(asked, record):
        if record.id in bad:
            raise reconcile.ShopError("answered with more than 8 MB")
        return read(asked, record)

    monkeypatch.setattr(resend, "content_of", given)
    bad = {2, 3, 5}
    code, said = run(bundle.name, "--since", "6h", "--send", "--yes")
    assert code == 2 and said.endswith("\n3 accepted, 3 not given by the shop.\n")
    bad = {2, 3, 4}
    code, said = run(bundle.name, "--since", "6h", "--send", "--yes")
    assert code == 1 and "\n1 accepted, 2 not given by the shop, 3 left.\n" in said and "reconcile: answered with more" in said


def test_a_record_is_sent_as_it_is_then(bundle, run, shop, api):
    [one] = orders_missing(shop, 1)

    def change(place):
        if len(shop.searches("orders")) == 2:
            one["state"] = "complete"

    shop.before = change
    run(bundle.name, "--since", "6h", "--send", "--yes")
    assert api.bodies()[0]["data"]["order"]["state"] == "complete"


# What it refuses


@pytest.mark.parametrize(
    ("secret", "parameters", "words"),
    [
        ("{}", {}, "has no HMAC secret to sign with. Add one: make keys HMAC=FILE"),
        ("[]", {}, "is not a JSON object"),
        (None, {"SignatureSchemes": "rsa"}, "take no HMAC (SignatureSchemes=rsa)"),
    ],
)
def test_without_a_secret_to_sign_with_it_lists_and_does_not_send(stack, run, shop, api, secret, parameters, words):
    bundle = Bundle(stack, api.url).deploy(secret, **parameters)
    orders_missing(shop, 1)
    code, said = run(bundle.name, "--since", "6h", "--send", "--yes")
    assert code == 1 and words in said and api.posts == []
    assert run(bundle.name, "--since", "6h")[0] == 2


def test_it_does_not_look_back_beyond_the_log(stack, run, shop, api):
    bundle = Bundle(stack, api.url).deploy(LogRetentionDays="7")
    code, said = run(bundle.name, "--since", "8d")
    assert code == 1 and "the functions' log is kept for 7 days (LogRetentionDays): give a later SINCE=…" in said
    assert shop.seen == [], "the shop is not asked for nothing"


def test_a_stack_without_its_log_group_is_named(stack, run, api):
    bundle = Bundle(stack, api.url).deploy(without=("FunctionLogGroup",))
    code, said = run(bundle.name, "--since", "6h")
    assert code == 1 and f"the stack {bundle.name} has no output FunctionLogGroup" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "since when? Add SINCE=…"),
        (("--since", "yesterday"), "'yesterday' is no time as 6h, 2d or 2026-06-18T20:00"),
        (("--since", "6h", "--channel", "customer_delete_after"), "the shop keeps nothing of the others"),
        (("--since", "6h", "--channel", ","), "choose out of"),
        (("--since", "6h", "--settle", "5"), "is no time as 90s"),
        (("--since", "6h", "--max", "0"), "at least 1"),
        (("--since", "1m"), "nothing is between SINCE and the last 2 min"),
        (("--since", "2100-01-01"), "nothing is between SINCE and"),
    ],
)
def test_options_that_make_no_sense_are_refused(bundle, run, arguments, words):
    code, said = run(bundle.name, *arguments)
    assert code == 1 and words in said


def test_make_passes_on_what_it_is_given():
    given = {"SHOP": "https://shop.example/rest/all", "STACK": "mine", "SINCE": "6h", "CHANNEL": "a,b", "TOLERANCE": "9s", "SETTLE": "1m"}
    more = {"MAX": "9", "RATE": "3", "URL": "https://api.example"}
    _, said = command("make", "-n", "reconcile", "ALL=1", "SEND=1", "YES=1", *(f"{name}={value}" for name, value in (given | more).items()))
    first, last = (" ".join(f'--{name.lower()} "{value}"' for name, value in some.items()) for some in (given, more))
    assert f"python commerce/reconcile.py {first} --all --send --yes {last} ||" in " ".join(said.replace("\\\n", " ").split()), said


def test_the_program_itself_starts(bundle, shop, account):
    orders_missing(shop, 1)
    arguments = ("--shop", shop.url, "--stack", bundle.name, "--since", "6h")
    code, said = command(sys.executable, ROOT / "commerce" / "reconcile.py", *arguments, **account, COMMERCE_TOKEN=TOKEN)
    assert code == 2 and "1 event is missing." in said


def test_which_permission_is_missing_is_said(bundle, run, shop, monkeypatch):
    orders_missing(shop, 1)

    def denied(*_):
        raise botocore.exceptions.ClientError({"Error": {"Code": "AccessDeniedException", "Message": TOKEN}}, "StartQuery")

    monkeypatch.setattr(accepted, "by_filter", denied)
    code, said = run(bundle.name, "--since", "6h")
    assert code == 1 and "AWS refuses StartQuery: AccessDeniedException. These credentials need logs:StartQuery." in said


# Logs Insights


class Insights:
    """Logs Insights with so many events, one each second: it gives a part of them, and fails on demand."""

    def __init__(self, times, limit=10, faults=()):
        self.meta = types.SimpleNamespace(endpoint_url="https://logs.eu-west-1.amazonaws.com")
        self.times, self.limit, self.faults = times, limit, list(faults)
        self.queries, self.scanned, self.lock = {}, 0, threading.Lock()
        self.at_work = self.most_at_work = 0

    def start_query(self, logGroupName, startTime, endTime, queryString):
        with self.lock:
            fault = self.faults.pop(0) if self.faults else "Complete"
            if fault.endswith("Exception"):
                raise botocore.exceptions.ClientError({"Error": {"Code": fault}}, "StartQuery")
            self.at_work += 1
            self.most_at_work = max(self.at_work, self.most_at_work)
            own = str(len(self.queries))
            self.queries[own] = [(startTime, endTime), ["Scheduled", "Running", fault]]
        assert logGroupName == "group" and 'filter message = "answered" and outcome = "accepted" and channel in ["' in queryString
        return {"queryId": own}

    def get_query_results(self, queryId):
        (first, last), states = self.queries[queryId]
        status = states.pop(0) if len(states) > 1 else states[0]
        if status in ("Scheduled", "Running"):
            return {"status": status, "results": []}
        with self.lock:
            self.at_work -= 1
            self.scanned += last - first
        within = [one for one in self.times if first <= one <= last][: self.limit]
        return {"status": status, "results": [self.row(one) for one in within] if status == "Complete" else []}

    def row(self, when):
        cells = {"@timestamp": f"{written(when)}.000", "channel": PLACED, "@ptr": "x", "event_id": f"id-{when}"}
        cells |= {"subject_digest": f"{when:032x}"} if when % 2 else {}
        return [{"field": name, "value": value} for name, value in cells.items()]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(accepted, "ROWS_MAX", 10)
    monkeypatch.setattr(accepted, "POLLS", (0, 0))


BEGIN = 1_800_000_000


def found_in(logs, since=BEGIN, until=BEGIN + 5000):
    shown = []
    known = accepted.read(logs, "group", since, until, (PLACED, SAVED), lambda done, of: shown.append((done, of)))
    return known, shown


def test_insights_is_asked_in_halves_where_it_would_leave_something_out(quick):
    times = [BEGIN + number * 7 for number in range(5000 // 7)]
    logs = Insights(times)
    known, shown = found_in(logs)
    assert known.numbers[PLACED] == sum(one % 2 for one in times)
    assert len(known.without_subject(PLACED)) == sum(not one % 2 for one in times), "what two halves share counts once"
    assert shown[-1][0] == shown[-1][1] and logs.most_at_work <= accepted.AT_ONCE
    assert known.last(PLACED, [f"{times[1]:032x}"]) == times[1]


def test_where_little_was_accepted_each_second_of_the_log_is_read_once(quick):
    logs = Insights([BEGIN + 3601 * number for number in range(200)])
    found_in(logs, BEGIN, BEGIN + 200 * 3600)
    assert logs.scanned == 200 * 3600 + 1 and len(logs.queries) <= accepted.PIECES + 1


@pytest.mark.parametrize("fault", ["LimitExceededException", "ThrottlingException", "Failed", "Cancelled", "Timeout"])
def test_a_query_that_fails_once_is_asked_again(quick, fault):
    known, _ = found_in(Insights([BEGIN + 1, BEGIN + 3], faults=[fault]))
    assert known.numbers[PLACED] == 2


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        (["Failed"] * 99, "Logs Insights did not answer for the time from 2027-01-15 \\d\\d:\\d\\d:00 UTC on, 3 times: Failed"),
        (["LimitExceededException"] * 99, "Logs Insights had no room for a query within"),
    ],
)
def test_a_query_that_goes_on_failing_ends_it(quick, monkeypatch, faults, words):
    monkeypatch.setattr(accepted, "PLACE", 0)
    with pytest.raises(accepted.ShopError, match=words):
        found_in(Insights([BEGIN], faults=faults))


def test_more_events_of_one_second_than_insights_gives_are_not_left_out_silently(quick):
    with pytest.raises(accepted.ShopError, match="10 or more events of one second"):
        found_in(Insights([BEGIN + 2500] * 30))


def test_insights_refusing_something_else_is_not_hidden(quick):
    with pytest.raises(botocore.exceptions.ClientError):
        found_in(Insights([BEGIN], faults=["AccessDeniedException"]))


def test_where_insights_is_not_there_all_lines_are_read(quick, bundle):
    logs = types.SimpleNamespace(
        meta=types.SimpleNamespace(endpoint_url="https://logs.elsewhere.example"), get_paginator=bundle.logs.get_paginator
    )

    def start_query(**_):
        raise botocore.exceptions.ClientError({"Error": {"Code": "UnknownOperationException"}}, "StartQuery")

    logs.start_query = start_query
    now = time.time()
    bundle.log(*((PLACED, f"order/{number}", 1, now - number) for number in range(35)))
    known = accepted.read(logs, bundle.name, now - HOUR, now + 1, (PLACED,))
    assert known.numbers[PLACED] == 35


def test_lines_that_are_no_answers_are_passed_over(bundle):
    now = time.time()
    others = [
        "START RequestId: 1",
        '{"_aws":{}}',
        "{" * 100_000,
        "[]",
        line(PLACED, "order/1", 1, outcome="refused"),
        line(PLACED, "order/1", 1, message="message not queued"),
        line(CATALOG, "order/1", 1),
    ]
    made = [{"timestamp": int(now * 1000), "message": text} for text in others]
    bundle.logs.put_log_events(logGroupName=bundle.name, logStreamName="functions", logEvents=made)
    known = accepted.read(bundle.logs, bundle.name, now - 60, now + 60, (PLACED,))
    assert known.numbers == {PLACED: 0} and known.last(PLACED, records.digest("order/1", 1)) is None
