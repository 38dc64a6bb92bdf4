"""A short soak; `make soak` is the long one. And its judge, who must see every mistake that it looks for."""

import hashlib
import itertools
import json
import random
import uuid
from collections import Counter, defaultdict

import pytest
import soak
from hostile.case import key
from shop import LATE_MS
from stack import ROOT, channels, queued

CART = "checkout_cart_product_add_after"
PLACED = "sales_order_place_after"
SAVED = "sales_order_save_after"
DELETED = "customer_delete_after"


def test_nothing_is_lost_or_doubled_while_everything_fails_at_random(stack):
    seed = random.randrange(10**6)
    rows, mistakes = soak.soak(stack, events=1600, seed=seed)
    figures = {row["what"]: row["count"] for row in rows}
    assert not any(mistakes.values()), f"seed {seed}: {mistakes}"
    # It was a storm.
    faults = [name for name in figures if name.startswith("fault: ")]
    failures = [name for name in figures if name.startswith("answer: ") and "accepted" not in name]
    assert len(faults) > 10 and len(failures) >= 4, f"seed {seed}: {figures}"
    assert figures["fault: process killed"] > 0 and figures["events answered 200"] > 500
    # And much of it was hard to tell apart.
    assert figures["of these with the content of another"] > 200, f"seed {seed}: {figures}"
    slowest = next(count for name, count in figures.items() if name.startswith("slowest answer"))
    assert slowest < soak.HOOK_TIMEOUT_MS + LATE_MS, f"seed {seed}: {slowest} ms"


# The ids


def test_the_judge_knows_the_channels():
    """It derives the ids by itself, so it has facts of its own, which are held against the functions here."""
    once = {name for name in queued() if "const ONCE: bool = true;" in (ROOT / "functions" / name / "src" / "lib.rs").read_text()}
    assert once == soak.ONCE, "soak.ONCE is not what the functions say"
    assert set(soak.KEYS) == set(queued()), "add the keys of the channel's entity to soak.KEYS"
    assert {name: keys[0] for name, keys in soak.KEYS.items()} == {name: key(name) for name in queued()}


def test_the_bits_of_an_id_are_those_of_rfc_9562():
    # Its appendix B.2: the SHA-256 of a name.
    digest = hashlib.sha256(uuid.NAMESPACE_DNS.bytes + b"www.example.com").digest()
    assert soak.version_8(digest) == "5c146b14-3c52-8afd-938a-375d0df1fbf6"


def test_an_id_is_made_of_the_entity_as_it_stands_and_of_the_delivery():
    entity = r'{ "entity_id":7,"a\/b":[1.50,"}\""]}'
    shop = '"merchant_id":"m","environment_id":"e"'
    body = f'{{{shop},"x":[{{}}], "data" : {{"data_object":1, "order" :{entity} }}, "event_id":"D"}}'
    content = hashlib.sha256(f"{SAVED}\0/adobe-commerce/m/e\0{entity}".encode()).hexdigest()
    assert soak.ids(SAVED, body, "R") == (content, soak.version_8(hashlib.sha256(f"{content}\0D".encode()).digest()))


@pytest.mark.parametrize(
    ("body", "entity"),
    [
        ('{"order":{"a":1}}', '{"a":1}'),
        ('{"data":{"order":{"a":1},"data_object":{"a":2}},"order":{"a":3}}', '{"a":1}'),
        ('{"data":{"order":null,"data_object":{"a":2}},"order":{"a":3}}', '{"a":2}'),
        ('{"data":{"order":[]},"order":{"a":3}}', '{"a":3}'),
    ],
)
def test_the_entity_is_found_where_the_functions_look_for_it(body, entity):
    assert soak.ids(SAVED, body, "")[0] == soak.content_id(SAVED, "/adobe-commerce", entity)


# What is one event, and what are two: channel, two entities, two event_ids (None: the request ids differ), whether it is one.
ONE = {"entity_id": 7}
SAME = [
    (SAVED, ONE, ONE, None, None, False),
    (SAVED, ONE, ONE, "D", "D", True),
    (SAVED, ONE, ONE, "D", "d", False),
    (SAVED, ONE, ONE | {"state": "new"}, "D", "D", False),
    (CART, {"sku": "A"}, {"sku": "A"}, None, None, False),
    (PLACED, ONE, ONE, None, None, True),
    (PLACED, ONE, ONE, "D", "E", True),
    (PLACED, ONE, ONE | {"state": "new"}, None, None, False),
    (PLACED, {"increment_id": "7", "store_id": 0}, {"increment_id": "7", "store_id": 0}, None, None, True),
    (PLACED, {"increment_id": "7", "store_id": None}, {"increment_id": "7", "store_id": None}, None, None, False),
    (PLACED, {"increment_id": "7"}, {"increment_id": "7"}, "D", "E", False),
    ("sales_order_invoice_pay", {"order_id": 7}, {"order_id": 7}, None, None, False),
    (DELETED, {"email": "a@b.example"}, {"email": "a@b.example"}, None, None, False),
    (DELETED, {"id": "7"}, {"id": "7"}, None, None, True),
]


@pytest.mark.parametrize(("channel", "first", "second", "given", "given_too", "one"), SAME)
def test_which_events_are_one(channel, first, second, given, given_too, one):
    def identity(entity, event_id, request_id):
        return soak.ids(channel, json.dumps({"event_id": event_id, "data": {soak.KEYS[channel][0]: entity}}), request_id)[1]

    assert (identity(first, given, "R") == identity(second, given_too, "S")) == one


# What is sent


def fired(channel, count=2000, seed=1):
    return list(itertools.islice(soak.Plan(channel, seed), count))


def test_a_seed_chooses_what_is_sent():
    assert fired(SAVED) == fired(SAVED) != fired(SAVED, seed=2)


@pytest.mark.parametrize("channel", queued())
def test_what_is_sent_is_hard_to_tell_apart(channel):
    requests = fired(channel)
    bodies = [json.loads(body) for body, *_ in requests]
    ids = [soak.ids(channel, body, f"request-{index}", shop) for index, (body, _, shop) in enumerate(requests)]
    entities = [soak.span(body, "data", key) for body, *_ in requests for key in soak.KEYS[channel]]

    assert {"eventName" in body for body in bodies} == {"event_id" in body for body in bodies} == {True, False}
    named = Counter(name for _, name, _ in requests)
    assert named[None] > 300 and sum(count > 1 for name, count in named.items() if name) > 300, "the shop's own requests"
    by_content, by_event_id = defaultdict(set), defaultdict(set)
    for (content, identity), body in zip(ids, bodies):
        by_content[content].add(identity)
        by_event_id[body.get("event_id")].add(identity)
    assert sum(len(identities) > 1 for identities in by_content.values()) > 30, "one content, several events"
    assert sum(len(identities) > 1 for given, identities in by_event_id.items() if given) > 100, "one event_id, several events"
    assert sum(count > 1 for _, count in Counter(identity for _, identity in ids).items()) > 100, "one event, several requests"
    there_and_back = [(one, two) for one, two, three in zip(ids, ids[1:], ids[2:]) if one[0] == three[0] != two[0]]
    assert len(there_and_back) > 50
    names = {soak.names_itself(json.loads(entity)) for entity in entities if entity not in (None, "null")}
    if channel in soak.ONCE:
        assert names == {True, False}


def test_shops_have_the_same_orders():
    shops_of = defaultdict(set)
    for body, _, shop in fired(SAVED):
        shops_of[body].add(shop)
    assert sum(shops == set(soak.SHOPS) for shops in shops_of.values()) > 50, "the same bytes from every shop"
    counts = Counter(shop for *_, shop in fired(SAVED))
    assert counts.keys() == soak.SHOPS.keys() and min(counts.values()) > 300


def test_channels_share_event_ids():
    given = [{json.loads(body).get("event_id") for body, *_ in fired(channel, 200)} - {None} for channel in queued()]
    assert set.intersection(*given)


# The judge


class Product:
    """Stands for functions and queue: an id for each request, and a queue that knows it for as long as the soak lasts."""

    def __init__(self, identify=soak.ids, deduplicate=lambda content, identity: identity):
        self.events, self.messages = {}, []
        self.identify, self.deduplicate, self.known = identify, deduplicate, set()
        self.requests = 0

    def take(self, channel, body, answer=(200, "yes"), shop_request=None, shop=None):
        self.requests += 1
        request_id = f"request-{self.requests}"
        content, identity = soak.ids(channel, body, request_id, shop)
        event = self.events.setdefault(identity, soak.Event(content, shop))
        event.answers.append(answer)
        said, given = self.identify(channel, body, shop_request if self.identify is by_shop_request else request_id, shop)
        event.said.add(given)
        key = self.deduplicate(said, given)
        if answer[1] != "no" and key not in self.known:
            self.known.add(key)
            self.messages.append(message(channel, body, said, given, shop))

    def mistakes(self):
        return {name: identities for name, identities in soak.judge(self.events, self.messages).items() if identities}


def message(channel, body, said, identity, of=None, **shown):
    """A message of the shop `of`, which shows another one's attribute or group if `shown` says so."""
    entity = next(found for key in soak.KEYS[channel] if (found := soak.span(body, "data", key)) not in (None, "null"))
    envelope = json.loads(body)
    head = {"id": identity, "source": soak.source_of(of, envelope), "type": f"com.adobe.commerce.observer.{channel}"}
    text = json.dumps(head | {"contentid": said, "data": {}})
    shown = {"shop": of, "group": f"{of}/order/1" if of else "order/1"} | shown
    return soak.Message(text.replace('"data": {}', f'"data":{{"original":{entity}}}'), **shown)


def without_delivery(channel, body, _, shop):
    content, _ = soak.ids(channel, body, "", shop)
    return content, soak.event_id(content, "")


def by_event_id(channel, body, request_id, shop):
    content, identity = soak.ids(channel, body, request_id, shop)
    return content, json.loads(body).get("event_id") or identity


def by_shop_request(channel, body, shop_request, shop):
    return soak.ids(channel, body, shop_request or "", shop)


def without_shop(channel, body, request_id, _):
    return soak.ids(channel, body, request_id)


def by_body(channel, body, request_id, shop):
    """As if the exception were the rule, and its bytes the whole body."""
    content, _ = soak.ids(channel, body, request_id, shop)
    return content, soak.event_id(hashlib.sha256(body.encode()).hexdigest(), "")


def reprinted(channel, body, request_id, shop):
    if json.loads(body).get("data", {}).get("data_object") is not None:
        body = json.dumps(json.loads(body))
    return soak.ids(channel, body, request_id, shop)


def everything(product):
    for channel in queued():
        for body, shop_request, shop in fired(channel, 300):
            product.take(channel, body, shop_request=shop_request, shop=shop)
    return product


LOST, MERGED = "answered 200 and lost", "answered 200 and merged with another"
TWICE, DENIED, NOWHERE = "queued twice", "queued though said not to be", "queued from nowhere"
CONTENT = "contentid wrong"


def test_functions_that_keep_the_rules_make_no_mistake():
    product = everything(Product())
    assert product.mistakes() == {}
    assert len(product.messages) == len(product.events) < product.requests


@pytest.mark.parametrize("identify", [without_delivery, by_event_id, by_shop_request, by_body])
def test_functions_that_take_two_events_for_one_are_found_out(identify):
    product = everything(Product(identify))
    mistakes = product.mistakes()
    assert len(product.messages) < len(product.events)
    assert len(mistakes[MERGED]) > 100 and mistakes[MERGED] <= mistakes[LOST]


def test_a_queue_that_takes_two_events_for_one_is_found_out():
    product = everything(Product(deduplicate=lambda content, identity: content))
    mistakes = product.mistakes()
    assert mistakes.keys() == {LOST, MERGED}
    assert mistakes[LOST] == mistakes[MERGED]
    assert len(mistakes[MERGED]) == len(product.events) - len(product.messages) > 100


def test_functions_that_hash_something_else_than_what_was_sent_are_found_out():
    assert len(everything(Product(reprinted)).mistakes()[CONTENT]) > 100
    # As the functions were before there was one.
    product = everything(Product(lambda *request: (None, soak.ids(*request)[1])))
    assert product.mistakes().keys() == {CONTENT}


BODIES = [f'{{"data":{{"order":{{"entity_id":{number}}}}}}}' for number in (7, 8, 9)]


def placed(*answers):
    """Three orders are placed; the first with these answers."""
    product = Product()
    for answer in answers:
        product.take(PLACED, BODIES[0], answer)
    for body in BODIES[1:]:
        product.take(PLACED, body)
    return product, soak.ids(PLACED, BODIES[0], "")[1]


@pytest.mark.parametrize("answers", [[(200, "yes")], [(503, "unknown"), (200, "yes")], [(200, "yes"), (502, "unknown")]])
def test_an_event_that_was_answered_200_and_is_not_there_is_lost(answers):
    product, first = placed(*answers)
    assert product.mistakes() == {}
    product.messages = [message for message in product.messages if message.id != first]
    assert product.mistakes() == {LOST: {first}}


@pytest.mark.parametrize("answers", [[(503, "no")], [(504, "unknown"), (503, "no")]])
def test_an_event_that_was_never_answered_200_may_be_missing(answers):
    product, first = placed(*answers)
    product.messages = [message for message in product.messages if message.id != first]
    assert product.mistakes() == {}


def test_an_event_that_is_there_twice_is_found():
    product, first = placed((200, "yes"))
    product.messages += [message for message in product.messages if message.id == first]
    assert product.mistakes() == {TWICE: {first}}


def test_an_event_that_was_said_not_to_be_there_and_is_there_is_found():
    product, first = placed((503, "no"), (503, "no"))
    assert product.mistakes() == {}
    product.messages.append(message(PLACED, BODIES[0], *soak.ids(PLACED, BODIES[0], "")))
    assert product.mistakes() == {DENIED: {first}}


def test_a_message_of_no_event_is_found():
    product, _ = placed((200, "yes"))
    body = BODIES[0].replace("7", "6")
    content, stray = soak.ids(PLACED, body, "")
    product.messages.append(message(PLACED, body, content, stray))
    assert product.mistakes() == {NOWHERE: {stray}}


def test_functions_that_forget_the_shop_are_found_out():
    product = Product(without_shop)
    for body, shop_request, shop in fired(SAVED, 300):
        product.take(SAVED, body, shop_request=shop_request, shop=shop)
    assert len(product.mistakes()[LOST]) > 100 and len(product.mistakes()[NOWHERE]) > 100


@pytest.mark.parametrize(
    ("source", "attribute", "group"),
    [("de", "fr", "de/order/1"), ("de", None, "de/order/1"), ("fr", "de", "de/order/1"), (None, "de", "de/order/1"), ("de", "de", "fr/order/1"),
     ("de", "de", "order/1"), ("fr", "fr", "fr/order/1"), (None, None, "order/1")],
)  # fmt: skip
def test_a_message_with_something_of_another_shop_is_found(source, attribute, group):
    product = Product()
    product.take(PLACED, BODIES[0], shop="de")
    (identity,) = product.events
    assert product.mistakes() == {}
    product.messages = [message(PLACED, BODIES[0], "", identity, source, shop=attribute, group=group)]
    assert product.mistakes()["of another shop"] == {identity}


def test_a_message_with_the_content_of_another_event_is_found():
    product, first = placed((200, "yes"))
    content, _ = soak.ids(PLACED, BODIES[1], "")
    product.messages[0] = message(PLACED, BODIES[1], content, first)
    assert product.mistakes() == {CONTENT: {first}}


def test_an_event_that_is_refused_for_what_it_holds_is_found():
    product, first = placed((422, "no"))
    assert product.mistakes() == {"refused, though nothing is wrong with it": {first}}
    assert placed((401, "no"))[0].mistakes() == {}
