"""Sends events into a queue and lets several copies of the example of a consumer (consumers/worker) work on them, while the ERP system
fails at random, is away for long, answers 409 and cannot take some events at all, and while copies are killed.

    soak_consumers.py --events 20000 --seed 1

Every event must be done exactly once, in the order of its group, or be set aside for a reason of its own. Exits with 1 if not.
Time is shortened: pauses are of 1 to 2 seconds, and an event is given up after 5. What is done is what the ERP system has taken. A
repeat with the same Idempotency-Key changes nothing there, as the example asks for, but it must have a cause: a copy that was killed,
or an answer that came too late. In some groups the entity goes there and back again, which is three events, and not a repeat. Three
shops send the same orders, of the same numbers and contents, and no event may be taken for one of another shop.
"""

import collections
import contextlib
import http.server
import json
import random
import sys
import threading
import time
import uuid

from function import Function
from soak import run

COPIES = 6
ERP_TIMEOUT_MS = 1000
# A message is begun only while there is time for the ERP system and for AWS: 22 s.
LAMBDA_SECONDS = 24
# After a crash a message comes again when this is over, and its event's lease with it.
VISIBILITY_SECONDS = LAMBDA_SECONDS + 1
RETRY = {"PAUSE_MIN_SECONDS": "1", "PAUSE_MAX_SECONDS": "2", "GIVE_UP_AFTER_SECONDS": "5"}
# Much longer than an event is tried that fails alone.
OUTAGE_SECONDS = 60
GROUP = 5
UNDER_WAY_MAX = 600
SHOPS = (None, "eu", "us")
# What an event is like, and how many in a thousand are: the ERP system refuses it; fails for it, always; says 409 to it at first; does
# the work at first too slowly.
KINDS = {"refused": 8, "poisonous": 3, "locked": 12, "slow": 4}
SET_ASIDE = {"refused": "refused", "poisonous": "failed_alone"}
# How many of a thousand answers fail for no reason.
FAILURES = 30
# In how many of a thousand groups the third event has the content of the first.
THERE_AND_BACK = 100


class Event:
    def __init__(self, group, number, chance):
        self.id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        self.group, self.number = group, number
        # Each group is an order of one shop, and each shop has one of the same number.
        self.order, shop = divmod(group, len(SHOPS))
        self.shop = SHOPS[shop]
        kinds = [*KINDS, "ordinary"]
        self.kind = chance.choices(kinds, [*KINDS.values(), 1000 - sum(KINDS.values())])[0]
        self.conflicts = chance.randint(1, 3)
        self.content = number

    def body(self):
        order = {"entity_id": self.order, "increment_id": f"{self.order:09}", "state": f"step {self.content}"}
        return json.dumps(
            {
                "specversion": "1.0",
                "id": self.id,
                "source": f"https://{self.shop}.example" if self.shop else "/adobe-commerce",
                "type": "com.adobe.commerce.observer.sales_order_save_after",
                "subject": f"order/{self.order:09}",
                "contentid": f"{self.order:032x}{self.content:032x}",
                "data": {"order": order},
            }
        )

    def entry(self, number):
        """For SQS, in a batch."""
        attributes = {"shop": {"DataType": "String", "StringValue": self.shop}} if self.shop else {}
        return {
            "Id": str(number),
            "MessageBody": self.body(),
            "MessageGroupId": f"{self.shop}/order/{self.order}" if self.shop else f"order/{self.order}",
            "MessageDeduplicationId": self.id,
            "MessageAttributes": attributes,
        }


def plan(count, chance):
    """The events, each group's in its order, and the groups mixed."""
    groups = [[Event(group, number, chance) for number in range(GROUP)] for group in range(-(-count // GROUP))]
    for group in groups:
        # If the one between is refused, the entity has the content already, and the third is rightly skipped.
        if group[0].group % 1000 < THERE_AND_BACK and group[1].kind != "refused":
            group[2].content = 0
    turns = [group for group, events in enumerate(groups) for _ in events]
    # A group's events come near each other, as a shop's do.
    order = sorted(range(len(turns)), key=lambda place: place + chance.uniform(0, 40 * GROUP))
    queues = [iter(group) for group in groups]
    return [next(queues[turns[place]]) for place in order][:count]


class Erp(http.server.ThreadingHTTPServer):
    """The ERP system: what it has taken, in order, and how it fails."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, events, seed):
        super().__init__(("127.0.0.1", 0), ErpCall)
        self.url = f"http://127.0.0.1:{self.server_port}/events"
        self.planned = {event.id for event in events}
        self.events = {event.id: event for event in events}
        self.taken, self.asked, self.answers = {}, collections.Counter(), collections.Counter()
        # How often each event was taken, and how often an answer to it came too late.
        self.times, self.late = collections.Counter(), collections.Counter()
        # The events that came as those of another shop.
        self.mixed = set()
        self.away, self.lock, self.chance = threading.Event(), threading.Lock(), random.Random(f"{seed} erp")

    def take(self, event):
        """Does the work; a repeat changes nothing."""
        self.taken.setdefault(event.id, len(self.taken))
        self.times[event.id] += 1

    def answer(self, event):
        """Status, headers, and for how long it hesitates before or after the work."""
        with self.lock:
            self.asked[event.id] += 1
            asked, chance = self.asked[event.id], self.chance.random() * 1000
            if self.away.is_set():
                return 503, {}, 0, "away"
            if chance < FAILURES:
                name, status, headers, hesitates = [
                    ("500", 500, {}, 0),
                    ("429", 429, {"Retry-After": "1"}, 0),
                    ("hangs up", None, {}, 0),
                    ("hangs", 504, {}, 2 * ERP_TIMEOUT_MS / 1000),
                    ("401", 401, {}, 0),
                ][int(chance) % 5]
                return status, headers, hesitates, name
            if event.kind == "refused":
                return 422, {}, 0, "refused"
            if event.kind == "poisonous":
                return 500, {}, 0, "poisonous"
            if event.kind == "locked" and asked <= event.conflicts:
                return self.chance.choice([409, 423, 425]), {"Retry-After": "1"}, 0, "locked"
            self.take(event)
            if event.kind == "slow" and asked == 1:
                self.late[event.id] += 1
                return 200, {}, 2 * ERP_TIMEOUT_MS / 1000, "too slow"
            return 200, {}, 0, "done"

    def handle_error(self, *_):
        pass  # a copy that was killed


class ErpCall(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        event = self.server.events[self.headers["idempotency-key"]]
        if self.headers["x-shop"] != event.shop:
            self.server.mixed.add(event.id)
        status, headers, hesitates, name = self.server.answer(event)
        self.server.answers[name] += 1
        time.sleep(hesitates)
        if status is None:
            self.close_connection = True
            return
        self.send_response(status)
        for header, value in {"content-length": "0", **headers}.items():
            self.send_header(header, value)
        self.end_headers()

    def log_message(self, *_):
        pass


class Copy(threading.Thread):
    """A copy of the function, and what Lambda does for it: it takes a message, and deletes it unless it must come again."""

    def __init__(self, function, sqs, queue):
        super().__init__(daemon=True)
        self.function, self.sqs, self.queue = function, sqs, queue
        self.over, self.deaths = threading.Event(), collections.Counter()

    def run(self):
        wanted = {"MaxNumberOfMessages": 1, "WaitTimeSeconds": 1, "MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"]}
        while not self.over.is_set():
            for message in self.sqs.receive_message(QueueUrl=self.queue, **wanted).get("Messages", []):
                attributes = message.get("MessageAttributes", {})
                record = {
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "attributes": message["Attributes"],
                    "messageAttributes": {
                        name: {"stringValue": value["StringValue"], "dataType": value["DataType"]} for name, value in attributes.items()
                    },
                }
                answer = self.function.invoke({"Records": [record]}, lambda_seconds=LAMBDA_SECONDS).answer
                if answer is None:
                    self.deaths[json.loads(message["Body"])["id"]] += 1
                elif not answer["batchItemFailures"]:
                    self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])


class Weather(threading.Thread):
    """The ERP system goes away, once for long, and copies are killed."""

    def __init__(self, erp, copies, seed, longest, kills):
        super().__init__(daemon=True)
        self.erp, self.copies, self.chance, self.longest = erp, copies, random.Random(f"{seed} weather"), longest
        self.may_kill = kills
        self.over, self.kills, self.outages = threading.Event(), 0, []

    def run(self):
        while not self.over.wait(self.chance.uniform(3, 8)):
            if self.chance.random() < 0.3 or not self.may_kill:
                lasts = self.longest if not self.outages else self.chance.uniform(2, self.longest / 3)
                self.outages.append(lasts)
                self.erp.away.set()
                self.over.wait(lasts)
                self.erp.away.clear()
            else:
                process = self.chance.choice(self.copies).function.process
                with contextlib.suppress(ProcessLookupError, AttributeError):
                    process.kill()
                    self.kills += 1


class DeadLetters(threading.Thread):
    """Takes what was set aside: the reason of each event."""

    def __init__(self, sqs, queue):
        super().__init__(daemon=True)
        self.sqs, self.queue, self.reasons, self.over = sqs, queue, [], threading.Event()

    def run(self):
        while not self.over.wait(0.5):
            while taken := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get("Messages"):
                for message in taken:
                    attributes = message.get("MessageAttributes", {})
                    reason = attributes.get("reason", {}).get("StringValue", "none: SQS gave it up")
                    self.reasons.append((json.loads(message["Body"])["id"], reason))
                    self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])


@contextlib.contextmanager
def surroundings(stack):
    """A queue, its dead-letter queue and a ledger: the environment of a worker, without the ERP system."""
    sqs, dynamodb, name = stack.client("sqs"), stack.client("dynamodb"), f"soak-{uuid.uuid4().hex[:8]}"
    fifo = {"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
    dead = sqs.create_queue(QueueName=f"{name}-dead.fifo", Attributes=fifo)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1000})
    own = {"VisibilityTimeout": str(VISIBILITY_SECONDS), "MessageRetentionPeriod": "1209600", "RedrivePolicy": policy}
    queue = sqs.create_queue(QueueName=f"{name}.fifo", Attributes=fifo | own)["QueueUrl"]
    key = {"AttributeName": "id"}
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[key | {"AttributeType": "S"}],
        KeySchema=[key | {"KeyType": "HASH"}],
    )
    yield {"AWS_ENDPOINT_URL": stack.endpoint, "TABLE": name, "QUEUE_URL": queue, "DEAD_LETTER_QUEUE_URL": dead}
    sqs.delete_queue(QueueUrl=queue)
    sqs.delete_queue(QueueUrl=dead)
    dynamodb.delete_table(TableName=name)


def soak(stack, count, seed, longest=OUTAGE_SECONDS, kills=True):
    """The figures of one soak, and the mistakes: sets of ids. `longest`: the longest time away, in seconds."""
    events = plan(count, random.Random(f"{seed} plan"))
    started = time.monotonic()
    with contextlib.ExitStack() as opened:
        environment = opened.enter_context(surroundings(stack))
        erp = opened.enter_context(Erp(events, seed))
        threading.Thread(target=erp.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        opened.callback(erp.shutdown)
        settings = environment | RETRY | {"ERP_URL": erp.url, "ERP_TIMEOUT_MS": str(ERP_TIMEOUT_MS), "LOG_LEVEL": "info"}
        queue = environment["QUEUE_URL"]
        functions = [opened.enter_context(Function("worker", None, **settings)) for _ in range(COPIES)]
        copies = [Copy(function, stack.client("sqs"), queue) for function in functions]
        dead = DeadLetters(stack.client("sqs"), environment["DEAD_LETTER_QUEUE_URL"])
        weather = Weather(erp, copies, seed, longest, kills)
        for thread in [*copies, dead, weather]:
            thread.start()
        send(stack.client("sqs"), queue, events, lambda: len(erp.taken) + len(dead.reasons))
        wait_for_the_end(stack.client("sqs"), queue, erp, dead, weather, count)
        for thread in [*copies, weather, dead]:
            thread.over.set()
        for thread in [*copies, weather, dead]:
            thread.join(60)
    return report(events, erp, dead, copies, weather, time.monotonic() - started)


def send(sqs, queue, events, settled):
    """Sends the events, and never many more than are settled."""
    for start in range(0, len(events), 10):
        while start - settled() > UNDER_WAY_MAX:
            time.sleep(0.05)
        entries = [event.entry(number) for number, event in enumerate(events[start : start + 10])]
        assert not sqs.send_message_batch(QueueUrl=queue, Entries=entries).get("Failed")
        if sys.stderr.isatty() and len(events) > 1:
            print(f"\r{settled():>7} of {len(events)} events settled ", end="", file=sys.stderr, flush=True)


def wait_for_the_end(sqs, queue, erp, dead, weather, count):
    """Until the queue is empty, or nothing was settled for three minutes. Some events go on coming, as a shop's do: what fails alone
    shows only beside others."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    seen, since, chance, more = None, time.monotonic(), random.Random(count), 0
    while time.monotonic() - since < 180:
        settled = len(dead.reasons) + sum(identity in erp.taken for identity in erp.planned)
        if settled != seen:
            seen, since = settled, time.monotonic()
        if settled < count:
            more += 1
            event = Event(count + more, 0, chance)
            event.kind, erp.events[event.id] = "ordinary", event
            send(sqs, queue, [event], lambda: 0)
        else:
            # The last of them come to rest in quiet.
            weather.over.set()
            attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
            if not any(int(number) for number in attributes.values()):
                return
        time.sleep(0.5)


def judge(events, taken, reasons, needless=(), mixed=()):
    """The mistakes, as sets of ids. `taken`: when the ERP system took an event first; `reasons`: why events were set aside; `needless`:
    what it took again without a cause; `mixed`: what came to it as an event of another shop."""
    right = {event.id: SET_ASIDE.get(event.kind) for event in events}
    aside = collections.defaultdict(list)
    for identity, reason in reasons:
        aside[identity].append(reason)
    wrong_order = set()
    groups = collections.defaultdict(list)
    for event in events:
        if event.id in taken:
            groups[event.group].append(event)
    for group in groups.values():
        places = [taken[event.id] for event in sorted(group, key=lambda event: event.number)]
        wrong_order |= {event.id for event in group} if places != sorted(places) else set()
    return {
        "neither done nor set aside": {identity for identity in right if identity not in taken and identity not in aside},
        "done and set aside": {identity for identity in aside if identity in taken},
        "set aside for no reason of its own": {identity for identity, found in aside.items() if set(found) != {right.get(identity)}},
        "set aside twice": {identity for identity, found in aside.items() if len(found) > 1},
        "out of order in its group": wrong_order,
        "done again without a cause": set(needless),
        "taken for an event of another shop": set(mixed),
    }


def report(events, erp, dead, copies, weather, seconds):
    """The figures and the mistakes."""
    causes = sum((copy.deaths for copy in copies), collections.Counter()) + erp.late
    needless = {identity for identity in erp.planned if erp.times[identity] > 1 + causes[identity]}
    mistakes = judge(events, erp.taken, dead.reasons, needless, erp.mixed)
    rows = [("events", len(events)), ("shops", len({event.shop for event in events})), ("groups", len({event.group for event in events}))]
    rows += [("copies of the function", len(copies))]
    rows += [("requests to the ERP system", sum(erp.asked.values()))]
    rows += [(f"answer: {name}", number) for name, number in sorted(erp.answers.items())]
    rows += [("times away", len(weather.outages)), ("longest time away, s", round(max(weather.outages, default=0)))]
    rows += [("copies killed", weather.kills), ("of these at work", sum(sum(copy.deaths.values()) for copy in copies))]
    rows += [("events done", len(erp.planned & set(erp.taken)))]
    rows += [("of these with the content of an earlier one", sum(event.content != event.number and event.id in erp.taken for event in events))]
    rows += [("done again, after a death or a late answer", sum(erp.times[identity] > 1 for identity in erp.planned) - len(needless))]
    reasons = collections.Counter(reason for _, reason in dead.reasons)
    rows += [(f"set aside: {reason}", number) for reason, number in sorted(reasons.items())]
    rows += [(name, len(identities)) for name, identities in mistakes.items()] + [("seconds", round(seconds))]
    return [{"what": name, "count": number} for name, number in rows], mistakes


if __name__ == "__main__":
    run(soak, "soak of consumers", __doc__, 20_000)
