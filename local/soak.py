"""Sends events to all eight functions while faults are switched on and off at random, and then compares what the shop was told
with what is in the queues.

    soak.py --events 100000 --seed 1

Nothing may be lost, nothing may be there twice, and no event may be there of which the log says that it is not. Exits with 1 if so.
"""

import argparse
import collections
import contextlib
import hashlib
import hmac
import json
import random
import resource
import sys
import threading
import time
import uuid

import figures
from faults import REACHES_AWS, Proxy
from function import Function
from stack import EVENTS, Stack, channels

HOOK_TIMEOUT_MS = 1500
ANSWER_MARGIN_MS = 300
FAULTS = [fault for fault in REACHES_AWS if fault != "passes"]
# SQS looks for repeats for five minutes, so whoever repeats an event must do it sooner.
REPEAT_WITHIN_S = 120


class Secret:
    """A secret in the emulated store that is replaced while events come."""

    def __init__(self, stack, chance):
        self.store, self.chance = stack.client("secretsmanager"), chance
        self.values = [self.new()]
        self.id = self.store.create_secret(Name=f"soak-{uuid.uuid4().hex[:8]}", SecretString=self.content())["ARN"]

    def new(self):
        return f"secret-{self.chance.getrandbits(128):032x}"

    def content(self):
        return json.dumps({"hmac_secrets": self.values[-1:]})

    def replace(self):
        self.values = [*self.values[-1:], self.new()]
        self.store.put_secret_value(SecretId=self.id, SecretString=self.content())

    def sign(self, body, chance):
        """With the current secret or the one before: both count."""
        return hmac.new(chance.choice(self.values).encode(), body, hashlib.sha256).hexdigest()


class Sent:
    """One event: its id, what the shop was told, and what the log says of the queue."""

    def __init__(self, channel, identity, body):
        self.channel, self.id, self.body = channel, identity, body
        self.started = time.monotonic()
        self.answers = []

    def accepted(self):
        return any(status == 200 for status, _ in self.answers)

    def surely_not_queued(self):
        return all(forwarded == "no" for _, forwarded in self.answers)


class Shop:
    """Sends the events of one channel, one after the other, to its function."""

    def __init__(self, channel, stack, secret, seed, count):
        self.channel, self.secret, self.count = channel, secret, count
        self.chance = random.Random(f"{seed} {channel}")
        self.template = json.loads((EVENTS / channel / "ideal.request.json").read_text())
        self.event = json.loads((EVENTS / channel / "ideal.body.json").read_text())
        self.sqs, self.store = Proxy(stack.port), Proxy(stack.port)
        self.function = Function(
            channel, stack.queue(channel), WEBHOOK_KEYS=None, WEBHOOK_KEYS_SECRET=secret.id, KEYS_REFRESH_SECONDS="2",
            HOOK_TIMEOUT_MS=str(HOOK_TIMEOUT_MS),
        )  # fmt: skip
        self.sent, self.to_repeat = [], collections.deque()
        self.outcomes, self.slowest_ms, self.died = collections.Counter(), 0, 0
        self.ended = False

    def __enter__(self):
        self.sqs.__enter__()
        self.store.__enter__()
        self.function.environment["AWS_ENDPOINT_URL_SQS"] = self.sqs.endpoint
        self.function.environment["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = self.store.endpoint
        self.function.__enter__()
        return self

    def __exit__(self, *_):
        self.function.__exit__()
        self.sqs.__exit__()
        self.store.__exit__()

    def run(self):
        for _ in range(self.count):
            identity = str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
            body = json.dumps(self.event | {"event_id": identity}).encode()
            event = Sent(self.channel, identity, body)
            self.sent.append(event)
            self.send(event)
            # As a real shop, half of the time: it never sends again. The other half somebody does.
            if self.chance.random() < (0.05 if event.accepted() else 0.5):
                self.to_repeat.append(event)
            while self.to_repeat and (len(self.to_repeat) > 20 or time.monotonic() - self.to_repeat[0].started > REPEAT_WITHIN_S / 2):
                self.repeat()
        while self.to_repeat:
            self.repeat()
        self.ended = True

    def repeat(self):
        event = self.to_repeat.popleft()
        if time.monotonic() - event.started < REPEAT_WITHIN_S:
            self.send(event)
            if not event.accepted():
                self.to_repeat.append(event)

    def send(self, event):
        made = self.template
        made["headers"]["x-adobe-signature"] = self.secret.sign(event.body, self.chance)
        made["requestContext"]["timeEpoch"] = int(time.time() * 1000)
        made["body"], made["isBase64Encoded"] = event.body.decode(), False
        result = self.function.invoke(made)
        if result.answer is None:
            self.outcomes["died"] += 1
            event.answers.append((502, "unknown"))
            return
        line = result.line
        self.outcomes[f"{result.status} {line['outcome']}"] += 1
        self.slowest_ms = max(self.slowest_ms, line["spent_ms"])
        event.answers.append((result.status, line["forwarded"]))


class Weather(threading.Thread):
    """Switches faults on and off."""

    def __init__(self, shops, secret, seed):
        super().__init__(daemon=True)
        self.shops, self.secret, self.chance = shops, secret, random.Random(f"{seed} weather")
        self.over = threading.Event()
        self.counts = collections.Counter()

    def run(self):
        kinds = ["queue", "queue", "queue", "queue closed", "store", "store closed", "kill", "starve", "secret replaced"]
        while not self.over.is_set():
            self.over.wait(self.chance.uniform(0.0, 0.15))
            kind, shop = self.chance.choice(kinds), self.chance.choice(self.shops)
            threading.Thread(target=self.strike, args=(kind, shop, self.chance.choice(FAULTS), self.chance.random()), daemon=True).start()

    def strike(self, kind, shop, fault, how):
        lasts = 0.05 + how / 2
        if kind in ("queue", "store"):
            proxy = shop.sqs if kind == "queue" else shop.store
            # All requests, or every other one.
            proxy.fault = fault if how < 0.5 else lambda _, turns=iter(range(10**9)): (fault, "passes")[next(turns) % 2]
            if kind == "store" and how < 0.3:
                self.kill(shop)  # a cold start without a key
            time.sleep(lasts)
            proxy.fault = "passes"
            self.counts[f"{kind} {fault}"] += 1
        elif kind in ("queue closed", "store closed"):
            proxy = shop.sqs if kind == "queue closed" else shop.store
            proxy.stop_listening()
            time.sleep(lasts)
            with contextlib.suppress(OSError):
                proxy.listen_again()
            self.counts[kind] += 1
        elif kind == "kill":
            self.kill(shop)
        elif kind == "starve":
            self.starve(shop, lasts)
        elif how < 0.1:
            self.secret.replace()
            self.counts["secret replaced"] += 1

    def kill(self, shop):
        process = shop.function.process
        if process and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            self.counts["process killed"] += 1

    def starve(self, shop, lasts):
        process = shop.function.process
        with contextlib.suppress(ProcessLookupError, AttributeError):
            allowed = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
            if allowed[0] == 3:
                return
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (3, allowed[1]))
            shop.sqs.stop_listening()
            with contextlib.suppress(OSError):
                shop.sqs.listen_again()
            time.sleep(lasts)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, allowed)
            self.counts["no file descriptor left"] += 1


class Consumer(threading.Thread):
    """Takes messages out of a queue and counts their ids."""

    def __init__(self, stack, queue):
        super().__init__(daemon=True)
        self.sqs, self.queue, self.ids = stack.client("sqs"), queue, collections.Counter()
        self.last = threading.Event()

    def run(self):
        while True:
            ending = self.last.is_set()
            taken = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", [])
            for message in taken:
                self.ids[json.loads(message["Body"])["id"]] += 1
            if taken:
                entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(taken)]
                self.sqs.delete_message_batch(QueueUrl=self.queue, Entries=entries)
            elif ending:
                return
            else:
                time.sleep(0.2)


def soak(stack, events, seed):
    """The figures of one soak, and the mistakes: sets of ids."""
    secret = Secret(stack, random.Random(f"{seed} secret"))
    started = time.monotonic()
    with contextlib.ExitStack() as opened:
        each = -(-events // len(channels()))
        shops = [opened.enter_context(Shop(channel, stack, secret, seed, each)) for channel in channels()]
        queues = list(dict.fromkeys(stack.queue(channel) for channel in channels()))
        for queue in queues:
            # What others left, hidden from receives or not, is none of this storm.
            stack.client("sqs").purge_queue(QueueUrl=queue)
        consumers = [Consumer(stack, queue) for queue in queues]
        weather = Weather(shops, secret, seed)
        threads = [threading.Thread(target=shop.run, daemon=True) for shop in shops]
        for thread in [*threads, *consumers, weather]:
            thread.start()
        watch(threads, shops, events, started)
        for thread in threads:
            thread.join()
        weather.over.set()
        for consumer in consumers:
            consumer.last.set()
            consumer.join()
        if not all(shop.ended for shop in shops):
            raise SystemExit("a sender broke off: see above")
    return judge(shops, consumers, weather, time.monotonic() - started)


def watch(threads, shops, events, started):
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.5)
        sent = sum(len(shop.sent) for shop in shops)
        if sys.stderr.isatty():
            rate = sent / (time.monotonic() - started)
            print(f"\r{sent:>7} of {events} events, {rate:.0f}/s ", end="", file=sys.stderr, flush=True)


def judge(shops, consumers, weather, seconds):
    queued = sum((consumer.ids for consumer in consumers), collections.Counter())
    sent = {event.id: event for shop in shops for event in shop.sent}
    accepted = {identity for identity, event in sent.items() if event.accepted()}
    denied = {identity for identity, event in sent.items() if event.surely_not_queued()}
    unknown = set(sent) - accepted - denied
    mistakes = {
        "answered 200 and lost": accepted - set(queued),
        "queued twice": {identity for identity, count in queued.items() if count > 1},
        "queued though said not to be": denied & set(queued),
        "queued from nowhere": set(queued) - set(sent),
    }
    slowest = max(shop.slowest_ms for shop in shops)
    outcomes = sum((shop.outcomes for shop in shops), collections.Counter())
    rows = [("events", len(sent)), ("requests, with repeats", sum(outcomes.values()))]
    rows += [(f"fault: {name}", count) for name, count in sorted(weather.counts.items())]
    rows += [(f"answer: {name}", count) for name, count in sorted(outcomes.items())]
    rows += [("events answered 200", len(accepted)), ("of these in the queue", len(accepted & set(queued)))]
    rows += [("events never answered 200, surely not queued", len(denied)), ("events never answered 200, perhaps queued", len(unknown))]
    rows += [("of these in the queue", len(unknown & set(queued)))]
    rows += [(name, len(identities)) for name, identities in mistakes.items()]
    rows += [(f"slowest answer, ms (may take {HOOK_TIMEOUT_MS - ANSWER_MARGIN_MS})", slowest), ("seconds", round(seconds))]
    return [{"what": name, "count": count} for name, count in rows], mistakes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="chooses the faults; their moments are the machine's")
    arguments = parser.parse_args()
    print(f"Seed {arguments.seed}. Deploying template.yaml to an emulator of AWS on loopback …", flush=True)
    with Stack(port=0) as stack:
        rows, mistakes = soak(stack, arguments.events, arguments.seed)
    print(f"\n{figures.table(rows)}")
    figures.write("soak", rows)
    if any(mistakes.values()):
        sys.exit(f"\nnot as it should be: {({name: sorted(identities)[:5] for name, identities in mistakes.items() if identities})}")


if __name__ == "__main__":
    main()
