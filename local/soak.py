"""Sends events to the functions of the bundle's own channels while faults are switched on and off at random, and then compares what the shop was told
with what is in the queues.

    soak.py --events 100000 --seed 1

The events are those of four shops, three of them with a name, which have the same orders and entities: one signs with HMAC, one with
RSA, one has access tokens of IMS, and the one without a name signs with HMAC.

Nothing may be refused, lost, merged with another event, there twice or taken for another shop's, and no event may be there of which the log
says that it is not. Exits with 1 if so.

Which requests are one event is computed here a second time, from what docs/contract.md promises, because a judge that asks the
functions would repeat their mistakes. Most of what is sent is hard to tell apart on purpose: see `Plan`.
"""

import argparse
import base64
import collections
import contextlib
import hashlib
import hmac
import itertools
import json
import random
import resource
import sys
import threading
import time
import uuid

from cryptography.hazmat.primitives import serialization

import figures
import ims
from faults import REACHES_AWS, Proxy
from function import Function
from stack import EVENTS, SAMPLE_ORG, Stack

# The client of the shop that sends access tokens.
CLIENT = "client-of-the-soak"
HOOK_TIMEOUT_MS = 1500
ANSWER_MARGIN_MS = 300
FAULTS = [fault for fault in REACHES_AWS if fault != "passes"]
# The names of the shops, None for the one without a name, and the scheme that each uses.
SHOPS = {None: "hmac", "de": "hmac", "fr": "rsa", "us": "ims"}
# SQS looks for repeats for five minutes, so whoever repeats an event must do it sooner.
REPEAT_WITHIN_S = 120

# The channels, and the keys under which an entity may stand, in the order in which they count.
KEYS = {
    "sales_order_place_after": ["order"],
    "sales_order_save_after": ["order"],
    "sales_order_invoice_pay": ["invoice"],
    "sales_order_shipment_save_after": ["shipment"],
    "customer_save_after_data_object": ["customer_data_object", "customer"],
    "customer_delete_after": ["customer"],
    "catalog_product_save_after": ["product"],
    "checkout_cart_product_add_after": ["quote_item"],
}
# Placed, paid, deleted: it happens once to an entity that names itself.
ONCE = {"sales_order_place_after", "sales_order_invoice_pay", "customer_delete_after"}


def span(text, *path):
    """The text of the member at this path of a JSON object, exactly as it stands there; None if there is none."""
    if not path:
        return text
    decode = json.JSONDecoder().raw_decode
    at = blank(text, 0)
    if text[at] != "{":
        return None
    at = blank(text, at + 1)
    while text[at] != "}":
        name, at = decode(text, at)
        begin = blank(text, blank(text, at) + 1)
        _, end = decode(text, begin)
        if name == path[0]:
            return span(text[begin:end], *path[1:])
        at = blank(text, end)
        if text[at] == ",":
            at = blank(text, at + 1)
    return None


def blank(text, at):
    """Where the white space from here on ends."""
    while text[at] in " \t\r\n":
        at += 1
    return at


def content_id(channel, source, entity):
    return hashlib.sha256("\0".join([channel, source, entity]).encode()).hexdigest()


def event_id(content, delivery):
    return version_8(hashlib.sha256(f"{content}\0{delivery}".encode()).digest())


def version_8(digest):
    """The UUID (RFC 9562) of the first 16 bytes of a hash."""
    bits = int.from_bytes(digest[:16], "big")
    version, variant = 0xF << 76, 0x3 << 62
    return str(uuid.UUID(int=bits & ~(version | variant) | 8 << 76 | 2 << 62))


def names_itself(entity):
    by_number = entity.get("increment_id") and entity.get("store_id") is not None
    return bool(entity.get("entity_id") or entity.get("id") or by_number)


def source_of(shop, envelope):
    """The source of an event. That of a shop with a name does not depend on the event."""
    if shop:
        return f"https://{shop}.example"
    return "/".join(["/adobe-commerce", *(envelope[name] for name in ("merchant_id", "environment_id") if envelope.get(name))])


def ids(channel, body, request_id, shop=None):
    """The `contentid` and the `id` that the message of this body has, if API Gateway has named its request so."""
    places = [("data", key) for key in [*KEYS[channel], "data_object"]] + [(key,) for key in KEYS[channel]]
    entity = next(found for place in places if (found := span(body, *place)) not in (None, "null", "[]"))
    envelope = json.loads(body)
    content = content_id(channel, source_of(shop, envelope), entity)
    once = channel in ONCE and names_itself(json.loads(entity))
    return content, event_id(content, "" if once else envelope.get("event_id") or request_id)


class Secret:
    """A secret in the emulated store, with keys of all shops, that is replaced while events come."""

    def __init__(self, stack, chance):
        self.store, self.chance = stack.client("secretsmanager"), chance
        # Few key pairs, because it takes a while to generate one.
        self.pairs = [ims.new_key() for _ in range(3)]
        self.secrets = {shop: [self.new()] for shop, how in SHOPS.items() if how == "hmac"}
        self.replaced = 0
        self.id = self.store.create_secret(Name=f"soak-{uuid.uuid4().hex[:8]}", SecretString=self.content())["ARN"]

    def new(self):
        return f"secret-{self.chance.getrandbits(128):032x}"

    def pair(self, age=0):
        return self.pairs[(self.replaced - age) % len(self.pairs)]

    def content(self):
        key = self.pair().public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        shops = {shop: {"hmac_secrets": values[-1:]} for shop, values in self.secrets.items()}
        shops["fr"] = {"public_keys": [key.decode()]}
        shops["us"] = {"ims": {"client_ids": [CLIENT], "org_ids": [SAMPLE_ORG]}}
        unnamed = shops.pop(None)
        return json.dumps(unnamed | {"shops": {shop: keys | {"source": source_of(shop, {})} for shop, keys in shops.items()}})

    def replace(self):
        self.secrets = {shop: [*values[-1:], self.new()] for shop, values in self.secrets.items()}
        self.replaced += 1
        self.store.put_secret_value(SecretId=self.id, SecretString=self.content())

    def headers(self, shop, body, chance, server):
        """The headers that authenticate an event of a shop: a signature by the current key or the previous one, which both count, or a token."""
        if SHOPS[shop] == "ims":
            return server.headers(client_id=CLIENT)
        if SHOPS[shop] == "rsa":
            pair = self.pair(chance.randrange(2) if self.replaced else 0)
            signature = ims.signature(pair, base64.b64encode(body).decode())
            return {"x-adobe-commerce-webhook-signature": base64.b64encode(signature).decode()}
        return {"x-adobe-signature": hmac.new(chance.choice(self.secrets[shop]).encode(), body, hashlib.sha256).hexdigest()}


class Event:
    """What the rules take for one event: its `contentid`, its shop, and what came of each of its requests."""

    def __init__(self, content, shop=None):
        self.content, self.shop = content, shop
        self.started = time.monotonic()
        self.answers = []
        # The ids that the log gave it.
        self.said = set()

    def accepted(self):
        return any(status == 200 for status, _ in self.answers)

    def refused(self):
        """For what it is. 401 is right where a secret was replaced and the store did not answer."""
        return any(status in (400, 413, 415, 422) for status, _ in self.answers)

    def surely_not_queued(self):
        return all(forwarded == "no" for _, forwarded in self.answers)


class Plan:
    """The hooks that the shops fire on one channel: a body, the shop's name for its own request, or None, and the shop.

    They come in scenes: what happens to one entity, most often with something in it that was there before."""

    def __init__(self, channel, seed):
        self.channel, self.seed = channel, seed
        self.chance = random.Random(f"{seed} {channel} plan")
        self.shapes = [(EVENTS / channel / f"{shape}.body.json").read_text() for shape in ("ideal", "default")]
        self.shop_request = None
        # How many event_ids were taken that every channel takes.
        self.shared = 0

    def __iter__(self):
        scenes = [self.plain, self.plain, self.there_and_back, self.alike, self.one_event_id, self.an_event_id_of_all_channels]
        scenes += [self.sent_again, self.two_environments]
        while True:
            # The same bytes from each shop, one after the other; or all from one shop.
            shops = list(SHOPS) if self.chance.random() < 0.1 else [self.chance.choice(list(SHOPS))]
            for body in self.chance.choice(scenes)():
                for shop in shops:
                    yield body, self.next_shop_request(), shop

    def next_shop_request(self):
        """A new one, or the same for several events, as the shop does, or none at all."""
        if (kind := self.chance.random()) < 0.4:
            self.shop_request = f"{self.chance.getrandbits(128):032x}"
        return self.shop_request if kind < 0.8 else None

    def plain(self):
        return [self.written(self.entity(), self.maybe_event_id())]

    def there_and_back(self):
        """A state, another, and the first again, within the same second."""
        event = self.entity()
        return [self.written(self.in_state(event, state), self.maybe_event_id()) for state in "ABA"]

    def alike(self):
        """Three shoppers put the same product into fresh carts."""
        return [self.written(self.entity(), None)] * 3

    def one_event_id(self):
        """Whoever made it counted something else than events."""
        event, given = self.entity(), self.new_event_id()
        return [self.written(self.in_state(event, state), given) for state in "AB"]

    def an_event_id_of_all_channels(self):
        self.shared += 1
        given = random.Random(f"{self.seed} shared {self.shared}").getrandbits(128)
        return [self.written(self.entity(), str(uuid.UUID(int=given, version=4)))]

    def sent_again(self):
        """Whoever fires it again says that it is the same event, if he gives it the same event_id."""
        return [self.written(self.entity(), self.new_event_id())] * 2

    def two_environments(self):
        event, given = self.entity(), self.maybe_event_id()
        return [self.written(event | {"merchant_id": "example-merchant", "environment_id": name}, given) for name in "ab"]

    def entity(self):
        """An event of either shape, whose entity is new."""
        event = json.loads(self.chance.choice(self.shapes))
        event.pop("event_id", None)
        entities = self.entities(event)
        change = self.new(next(iter(entities.values())))
        return event | {"data": event["data"] | {name: one | change for name, one in entities.items()}}

    def entities(self, event):
        """The entity, and the copy that some events carry."""
        return {name: one for name, one in event["data"].items() if name in (*KEYS[self.channel], "data_object")}

    def new(self, entity):
        """What makes the entity another one: a number of its own, or none where it can do without."""
        number, names_itself = self.chance.getrandbits(48), self.chance.random() < 0.5
        if self.channel == "checkout_cart_product_add_after":
            # A fresh line has no number, and few of them differ.
            return {"item_id": None, "quote_id": None, "qty": number % 3 + 1}
        if self.channel in ONCE and not names_itself:
            # Before its first save. A number is unique only in its store.
            few = {"email": f"{number % 1000}@shop.example"} if "email" in entity else {"increment_id": f"{number % 1000:09}"}
            return {"entity_id": None, "store_id": None} | few
        if "id" in entity:
            return {"id": str(number)}
        if not entity.get("entity_id") and entity.get("increment_id") and entity.get("store_id"):
            return {"increment_id": f"{number:015}"}
        return {"entity_id": str(number) if isinstance(entity.get("entity_id"), str) else number}

    def in_state(self, event, state):
        """The event with another state of its entity, in a member that the contract does not have."""
        entities = {name: one | {"ext_state": state} for name, one in self.entities(event).items()}
        return event | {"data": event["data"] | entities}

    def new_event_id(self):
        given = str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
        # It need not be a UUID, and is no other for looking like another.
        return self.chance.choice([given, given, given.upper(), f"fired/{given[:13]} é"])

    def maybe_event_id(self):
        return self.new_event_id() if self.chance.random() < 0.4 else None

    def written(self, event, given):
        """The body, as PHP writes it if it is the shop's."""
        event = ({"event_id": given} if given else {}) | event
        if "eventName" in event:
            return json.dumps(event, separators=(",", ":")).replace("/", "\\/")
        return json.dumps(event, indent=self.chance.choice([None, 2]), ensure_ascii=False)


class Sender:
    """Sends the events of one channel, one after the other, to its function."""

    def __init__(self, channel, stack, secret, seed, count):
        self.channel, self.secret, self.count = channel, secret, count
        self.chance = random.Random(f"{seed} {channel}")
        self.template = json.loads((EVENTS / channel / "ideal.request.json").read_text())
        self.plan = Plan(channel, seed)
        self.sqs, self.store, self.ims = Proxy(stack.port), Proxy(stack.port), ims.Ims()
        self.function = Function(
            channel, stack.queue(channel), WEBHOOK_KEYS=None, WEBHOOK_KEYS_SECRET=secret.id, KEYS_REFRESH_SECONDS="2",
            HOOK_TIMEOUT_MS=str(HOOK_TIMEOUT_MS), SIGNATURE_SCHEMES="hmac,rsa,ims", IMS_KEYS_REFRESH_SECONDS="2",
        )  # fmt: skip
        # The events by their ids, and how often a hook was fired, without what somebody sent again.
        self.events, self.fired, self.to_repeat = {}, 0, collections.deque()
        self.outcomes, self.slowest_ms, self.died = collections.Counter(), 0, 0
        self.ended = False

    def __enter__(self):
        self.sqs.__enter__()
        self.store.__enter__()
        self.ims.__enter__()
        self.function.environment["IMS_KEYS_URL"] = self.ims.url
        self.function.environment["AWS_ENDPOINT_URL_SQS"] = self.sqs.endpoint
        self.function.environment["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = self.store.endpoint
        self.function.__enter__()
        return self

    def __exit__(self, *_):
        self.function.__exit__()
        self.sqs.__exit__()
        self.store.__exit__()
        self.ims.__exit__()

    def run(self):
        for body, shop_request, shop in itertools.islice(self.plan, self.count):
            event = self.send(body, shop_request, shop)
            self.fired += 1
            # As a real shop, half of the time: it never sends again. The other half somebody does.
            if not event.refused() and self.chance.random() < (0.05 if event.accepted() else 0.5):
                self.to_repeat.append((event.started, body, shop))
            while self.to_repeat and (len(self.to_repeat) > 20 or time.monotonic() - self.to_repeat[0][0] > REPEAT_WITHIN_S / 2):
                self.repeat()
        while self.to_repeat:
            self.repeat()
        self.ended = True

    def repeat(self):
        """Sends a body again. Without an event_id that is another event, by the rules: what it was before, nobody can know."""
        started, body, shop = self.to_repeat.popleft()
        if time.monotonic() - started > REPEAT_WITHIN_S:
            return
        event = self.send(body, None, shop)
        if not event.accepted() and not event.refused():
            self.to_repeat.append((started, body, shop))

    def send(self, body, shop_request, shop):
        """The event of which this was a request."""
        # API Gateway names each request anew.
        request_id = base64.b64encode(self.chance.randbytes(11)).decode()
        content, identity = ids(self.channel, body, request_id, shop)
        event = self.events.setdefault(identity, Event(content, shop))
        made = self.template
        made["headers"] = {"content-type": "application/json", **self.secret.headers(shop, body.encode(), self.chance, self.ims)}
        if shop_request:
            made["headers"]["x-adobe-commerce-request-id"] = shop_request
        made["requestContext"]["requestId"] = request_id
        made["requestContext"]["timeEpoch"] = int(time.time() * 1000)
        made["body"], made["isBase64Encoded"] = body, False
        result = self.function.invoke(made)
        if result.answer is None:
            self.outcomes["died"] += 1
            event.answers.append((502, "unknown"))
            return event
        line = result.line
        self.outcomes[f"{result.status} {line['outcome']}"] += 1
        self.slowest_ms = max(self.slowest_ms, line["spent_ms"])
        event.answers.append((result.status, line["forwarded"]))
        if "event_id" in line:
            event.said.add(line["event_id"])
        return event


class Weather(threading.Thread):
    """Switches faults on and off."""

    def __init__(self, senders, secret, seed):
        super().__init__(daemon=True)
        self.senders, self.secret, self.chance = senders, secret, random.Random(f"{seed} weather")
        self.over = threading.Event()
        self.counts = collections.Counter()

    def run(self):
        kinds = ["queue", "queue", "queue", "queue closed", "store", "store closed", "ims", "ims closed", "kill", "starve"]
        kinds += ["keys replaced"]
        while not self.over.is_set():
            self.over.wait(self.chance.uniform(0.0, 0.15))
            kind, sender = self.chance.choice(kinds), self.chance.choice(self.senders)
            fault = self.chance.choice(ims.FAULTS if kind == "ims" else FAULTS)
            threading.Thread(target=self.strike, args=(kind, sender, fault, self.chance.random()), daemon=True).start()

    def strike(self, kind, sender, fault, how):
        lasts = 0.05 + how / 2
        proxy = {"queue": sender.sqs, "store": sender.store, "ims": sender.ims}.get(kind.split()[0])
        if kind in ("queue", "store", "ims"):
            works = proxy.WORKS
            # All requests, or every other one.
            proxy.fault = fault if how < 0.5 else lambda _, turns=iter(range(10**9)): (fault, works)[next(turns) % 2]
            if kind != "queue" and how < 0.3:
                self.kill(sender)  # a cold start without a key
            time.sleep(lasts)
            proxy.fault = works
            self.counts[f"{kind} {fault}"] += 1
        elif kind in ("queue closed", "store closed", "ims closed"):
            proxy.stop_listening()
            time.sleep(lasts)
            with contextlib.suppress(OSError):
                proxy.listen_again()
            self.counts[kind] += 1
        elif kind == "kill":
            self.kill(sender)
        elif kind == "starve":
            self.starve(sender, lasts)
        elif how < 0.1:
            self.secret.replace()
            sender.ims.rotate()
            self.counts["keys replaced"] += 1

    def kill(self, sender):
        process = sender.function.process
        if process and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            self.counts["process killed"] += 1

    def starve(self, sender, lasts):
        process = sender.function.process
        with contextlib.suppress(ProcessLookupError, AttributeError):
            allowed = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
            if allowed[0] == 3:
                return
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (3, allowed[1]))
            sender.sqs.stop_listening()
            with contextlib.suppress(OSError):
                sender.sqs.listen_again()
            time.sleep(lasts)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, allowed)
            self.counts["no file descriptor left"] += 1


class Message:
    """What a message says of itself, and the `contentid` that it should say. `shop` is its attribute, and `group` its message group."""

    def __init__(self, body, shop=None, group=""):
        event = json.loads(body)
        self.id, self.said = event["id"], event.get("contentid")
        channel = event["type"].removeprefix("com.adobe.commerce.observer.")
        self.content = content_id(channel, event["source"], span(body, "data", "original"))
        # The shops that its attribute, its source and its group name, which must be one.
        by_source = next((name for name in SHOPS if name and event["source"] == source_of(name, {})), None)
        by_group = group.partition("/")[0]
        self.shops = {shop, by_source, by_group if by_group in SHOPS else None}


def read(message):
    """A message as SQS gives it."""
    shop = message.get("MessageAttributes", {}).get("shop", {}).get("StringValue")
    return Message(message["Body"], shop, message["Attributes"]["MessageGroupId"])


class Consumer(threading.Thread):
    """Takes the messages out of a queue."""

    def __init__(self, stack, queue):
        super().__init__(daemon=True)
        self.sqs, self.queue, self.messages = stack.client("sqs"), queue, []
        self.last = threading.Event()

    def run(self):
        while True:
            ending = self.last.is_set()
            wanted = {"AttributeNames": ["MessageGroupId"], "MessageAttributeNames": ["shop"]}
            taken = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10, **wanted).get("Messages", [])
            self.messages += map(read, taken)
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
        each = -(-events // len(KEYS))
        senders = [opened.enter_context(Sender(channel, stack, secret, seed, each)) for channel in KEYS]
        queues = list(dict.fromkeys(stack.queue(channel) for channel in KEYS))
        for queue in queues:
            # What others left, hidden from receives or not, is none of this storm.
            stack.client("sqs").purge_queue(QueueUrl=queue)
        consumers = [Consumer(stack, queue) for queue in queues]
        weather = Weather(senders, secret, seed)
        threads = [threading.Thread(target=sender.run, daemon=True) for sender in senders]
        for thread in [*threads, *consumers, weather]:
            thread.start()
        watch(threads, senders, events, started)
        for thread in threads:
            thread.join()
        weather.over.set()
        for consumer in consumers:
            consumer.last.set()
            consumer.join()
        if not all(sender.ended for sender in senders):
            raise SystemExit("a sender broke off: see above")
    return report(senders, consumers, weather, time.monotonic() - started)


def watch(threads, senders, events, started):
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.5)
        sent = sum(sender.fired for sender in senders)
        if sys.stderr.isatty():
            rate = sent / (time.monotonic() - started)
            print(f"\r{sent:>7} of {events} events, {rate:.0f}/s ", end="", file=sys.stderr, flush=True)


def judge(events, messages):
    """The mistakes, as sets of ids: of what was sent, `events` by their ids, and of what was in the queues."""
    counts = collections.Counter(message.id for message in messages)
    queued = set(counts)
    accepted = {identity for identity, event in events.items() if event.accepted()}
    denied = {identity for identity, event in events.items() if event.surely_not_queued()}
    refused = {identity for identity, event in events.items() if event.refused()}
    return {
        "refused, though nothing is wrong with it": refused,
        "answered 200 and lost": accepted - queued,
        "answered 200 and merged with another": merged(events, accepted, messages),
        "queued twice": {identity for identity, count in counts.items() if count > 1},
        "queued though said not to be": denied & queued,
        "queued from nowhere": queued - set(events),
        "of another shop": {one.id for one in messages if one.id in events and one.shops != {events[one.id].shop}},
        "contentid wrong": {one.id for one in messages if {one.said, events.get(one.id, one).content} != {one.content}},
    }


def merged(events, accepted, messages):
    """Accepted events that are missing because another took their place: of those with one content, or with one id in the log,
    there are fewer messages than events."""
    should, there = collections.defaultdict(set), collections.defaultdict(set)
    for identity in accepted:
        for key in {events[identity].content, *events[identity].said}:
            should[key].add(identity)
    for message in messages:
        # What was queued and not answered 200 is there in its own right.
        if message.id in accepted or message.id not in events:
            there[message.content].add(message.id)
            there[message.id].add(message.id)
    missing = accepted - {message.id for message in messages}
    few = [identities for key, identities in should.items() if 0 < len(there[key]) < len(identities)]
    return missing & set().union(*few)


def report(senders, consumers, weather, seconds):
    """The figures and the mistakes."""
    events = {identity: event for sender in senders for identity, event in sender.events.items()}
    messages = [message for consumer in consumers for message in consumer.messages]
    mistakes = judge(events, messages)
    queued = {message.id for message in messages}
    accepted = {identity for identity, event in events.items() if event.accepted()}
    denied = {identity for identity, event in events.items() if event.surely_not_queued()}
    unknown = set(events) - accepted - denied
    contents = collections.Counter(event.content for event in events.values())
    slowest = max(sender.slowest_ms for sender in senders)
    outcomes = sum((sender.outcomes for sender in senders), collections.Counter())
    rows = [("events", len(events)), ("of these with the content of another", sum(n for n in contents.values() if n > 1))]
    rows += [(f"of the shop {shop or 'without a name'}, by {how}", sum(event.shop == shop for event in events.values())) for shop, how in SHOPS.items()]
    rows += [("requests, with repeats", sum(outcomes.values()))]
    rows += [("of these for an event that was sent before", sum(outcomes.values()) - len(events))]
    rows += [(f"fault: {name}", count) for name, count in sorted(weather.counts.items())]
    rows += [(f"answer: {name}", count) for name, count in sorted(outcomes.items())]
    rows += [("events answered 200", len(accepted)), ("of these in the queue", len(accepted & queued))]
    rows += [("events never answered 200, surely not queued", len(denied)), ("events never answered 200, perhaps queued", len(unknown))]
    rows += [("of these in the queue", len(unknown & queued))]
    rows += [(name, len(identities)) for name, identities in mistakes.items()]
    rows += [(f"slowest answer, ms (may take {HOOK_TIMEOUT_MS - ANSWER_MARGIN_MS})", slowest), ("seconds", round(seconds))]
    return [{"what": name, "count": count} for name, count in rows], mistakes


def run(soak, name, description, events):
    """Soaks as the command line says, shows and keeps the figures, and ends with 1 after a mistake."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=events)
    about_seed = "chooses events and faults; their moments are the machine's"
    parser.add_argument("--seed", type=int, default=int(time.time()), help=about_seed)
    arguments = parser.parse_args()
    print(f"Seed {arguments.seed}. Deploying template.yaml to an emulator of AWS on loopback …", flush=True)
    with Stack(port=0) as stack:
        rows, mistakes = soak(stack, arguments.events, arguments.seed)
    print(f"\n{figures.table(rows)}")
    figures.write(name, rows)
    if any(mistakes.values()):
        sys.exit(f"\nnot as it should be: {({name: sorted(identities)[:5] for name, identities in mistakes.items() if identities})}")


if __name__ == "__main__":
    run(soak, "soak", __doc__, 100_000)
