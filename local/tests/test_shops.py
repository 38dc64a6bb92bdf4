"""Several shops behind one stack: the key that verifies an event decides whose it is, and nothing else does."""

import contextlib
import hashlib
import hmac
import json
import time
import uuid

import pytest
from function import Function
from ims import Ims
from shop import condition, request
from stack import REGION, readable
from test_keys import Keys
from test_metrics import metrics

SAVED, PLACED, PAID = "sales_order_save_after", "sales_order_place_after", "sales_order_invoice_pay"
# By the name of the shop; the shop without a name has the keys at the top.
SECRETS = {shop: f"the-secret-of-the-shop-{shop}" for shop in (None, "eu", "us")}
SOURCES = {None: "/adobe-commerce/us/staging", "eu": "https://eu.example", "us": "urn:commerce-webhooks:shop:us"}
GROUPS = {None: "order/216", "eu": "eu/order/216", "us": "us/order/216"}
FIFO = {"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}


def content(shops=("eu", "us"), **changes):
    """The secret of the shop without a name and of these."""
    sources = {"eu": {"source": SOURCES["eu"]}}
    named = {shop: {"hmac_secrets": [SECRETS[shop]], **sources.get(shop, {})} for shop in shops}
    return {"hmac_secrets": [SECRETS[None]], "shops": named} | changes


@pytest.fixture(scope="module")
def queues(stack):
    """A queue for events and one for the quarantine."""
    sqs = stack.client("sqs")
    urls = [sqs.create_queue(QueueName=f"shops-{uuid.uuid4().hex[:8]}.fifo", Attributes=FIFO)["QueueUrl"] for _ in range(2)]
    yield urls
    for url in urls:
        sqs.delete_queue(QueueUrl=url)


class Shops:
    """A function with several shops in its secret, and its queues."""

    def __init__(self, stack, queues):
        self.stack, (self.queue, self.quarantine), self.opened = stack, queues, contextlib.ExitStack()

    def start(self, secret=None, channel=SAVED, **environment):
        keys = {"WEBHOOK_KEYS": json.dumps(content() if secret is None else secret)}
        made = Function(channel, self.queue, AWS_ENDPOINT_URL=self.stack.endpoint, **keys | environment)
        return self.opened.enter_context(made)

    def messages(self, queue=None):
        return [readable(message) for message in self.stack.take(queue or self.queue)]

    def message(self):
        (message,) = self.messages()
        return message


@pytest.fixture
def shops(stack, queues):
    made = Shops(stack, queues)
    with made.opened:
        yield made
        made.messages(), made.messages(made.quarantine)


def order(**fields):
    """The same order of the same number, of whichever shop."""
    return {"entity_id": 216, "increment_id": "000000123", "store_id": 1, "state": "new", **fields}


def envelope(entity, **members):
    return {"merchant_id": "us", "environment_id": "staging", "event_id": "e-1", "data": entity} | members


def signed(secret, body, channel=SAVED):
    raw = json.dumps(body).encode()
    return request(channel, raw, **{"x-adobe-signature": hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()})


def of(shop, body=None, channel=SAVED):
    return signed(SECRETS[shop], envelope({"order": order()}) if body is None else body, channel)


def by_shop(result):
    """The metrics with the dimension `shop`: (shop, name) -> value."""
    return {(dict(dimensions)["shop"], name): value for (dimensions, name), value in metrics(result).items() if "shop" in dict(dimensions)}


def totals(result):
    return {name: value for (dimensions, name), value in metrics(result).items() if not dimensions}


def test_one_order_number_and_entity_id_of_several_shops_are_events_of_each(shops):
    function = shops.start()
    results = {shop: function.invoke(of(shop)) for shop in SECRETS}
    messages = dict(zip(SECRETS, shops.messages(), strict=True))
    for shop, result in results.items():
        event, line = messages[shop]["MessageBody"], result.line
        assert (result.status, line["outcome"], line.get("shop")) == (200, "accepted", shop)
        assert line["key"] == f"inline/{f'shops/{shop}/' if shop else ''}hmac_secrets/0"
        assert (event["source"], event["subject"]) == (SOURCES[shop], "order/000000123")
        assert messages[shop]["MessageGroupId"] == GROUPS[shop]
        assert messages[shop]["MessageDeduplicationId"] == event["id"] == line["event_id"]
        assert messages[shop]["MessageAttributes"].get("shop") == shop
        assert by_shop(result) == ({(shop, "Accepted"): 1} if shop else {})
        assert totals(result) == {"Accepted": 1}
    for member in ("id", "contentid", "source"):
        assert len({message["MessageBody"][member] for message in messages.values()}) == 3, member


def test_shops_beside_it_change_nothing_for_the_shop_without_a_name(shops):
    alone, beside = shops.start(content(shops=()) | {"shops": {}}), shops.start()
    ordinary = shops.start({"hmac_secrets": [SECRETS[None]]})
    results, messages = [], []
    for function in (ordinary, alone, beside):
        # An event of its own for SQS, with the same delivery.
        results.append(function.invoke(of(None, envelope({"order": order(note="n")}))))
    messages = shops.messages()
    assert len(messages) == 1, "each has the id of the first, so SQS drops it"
    assert "shop" not in messages[0]["MessageAttributes"] and messages[0]["MessageGroupId"] == "order/216"
    varying = {"timestamp", "event_time", "request_id", "shop_request_id", "trace_id", "cold_start"}
    lines = [{name: value for name, value in each.line.items() if name not in varying and not name.endswith("_ms")} for each in results]
    assert lines[0] == lines[1] == lines[2] and "shop" not in lines[0]
    assert [set(metrics(each)) - {((), "ColdStart")} for each in results[1:]] == [set(metrics(results[0]))] * 2


def test_a_shop_that_claims_to_be_another_is_itself(shops):
    """Another's merchant, environment, delivery, source and name, and its very bytes: only the key counts."""
    function = shops.start(content(ims={"client_ids": ["c"], "org_ids": ["o@AdobeOrg"]}), EVENT_SOURCE="https://top.example")
    claims = {"shop": "eu", "source": SOURCES["eu"], "@shop": "eu", "shops": {"eu": {}}}
    body = envelope({"order": order(**claims)}, **claims)
    made = {shop: of(shop, body) for shop in SECRETS}
    for each in made.values():
        each["headers"] |= {"x-shop": "eu", "shop": "eu"}
    results = {shop: function.invoke(each) for shop, each in made.items()}
    messages = {each["MessageAttributes"].get("shop"): each for each in shops.messages()}
    expected = SOURCES | {None: "https://top.example"}
    assert {shop: each["MessageBody"]["source"] for shop, each in messages.items()} == expected
    assert {shop: result.line.get("shop") for shop, result in results.items()} == {shop: shop for shop in SECRETS}
    assert len({each["MessageBody"]["id"] for each in messages.values()}) == 3
    # Another's signature is another's event, also for the function that has just seen the same body.
    stolen = made["eu"] | {"headers": made["eu"]["headers"] | {"x-adobe-signature": made["us"]["headers"]["x-adobe-signature"]}}
    assert function.invoke(stolen).line["shop"] == "us"
    forged = signed("a secret of nobody", body)
    refused = function.invoke(forged)
    assert (refused.line["outcome"], refused.line.get("shop"), by_shop(refused)) == ("signature_wrong", None, {})


def test_orders_that_are_placed_with_one_number_are_two(shops):
    """Their ids do not depend on the delivery."""
    function = shops.start(channel=PLACED)
    placed = {"increment_id": "7", "store_id": 1, "grand_total": 1, "order_currency_code": "EUR", "items": [{"sku": "x", "qty_ordered": 1}]}
    for number in range(2):
        for shop in SECRETS:
            assert function.invoke(of(shop, envelope({"order": placed}, event_id=f"e-{number}"), PLACED)).status == 200
    messages = shops.messages()
    assert {each["MessageGroupId"] for each in messages} == {"order/7", "eu/order/7", "us/order/7"}
    assert len({each["MessageBody"]["id"] for each in messages}) == len(messages) == 3, "once of each shop"


def test_an_event_in_a_group_of_its_own_has_the_name_of_its_shop_there(shops):
    function = shops.start(channel=PAID)
    for shop in SECRETS:
        assert function.invoke(of(shop, envelope({"invoice": {"grand_total": 1, "state": 2}}), PAID)).status == 200
    for each in shops.messages():
        shop, own_id = each["MessageAttributes"].get("shop"), each["MessageBody"]["id"]
        assert each["MessageGroupId"] == (f"{shop}/{own_id}" if shop else own_id)


def test_a_group_that_is_too_long_still_begins_with_the_shop(shops):
    function = shops.start()
    for shop in SECRETS:
        body = envelope({"order": {"increment_id": "9" * 200, "state": "new"}})
        assert function.invoke(of(shop, body)).status == 200
    groups = {each["MessageAttributes"].get("shop"): each["MessageGroupId"] for each in shops.messages()}
    assert len(set(groups.values())) == 3 and all(len(group) <= 128 for group in groups.values())
    assert all(group.startswith(f"{shop}/") for shop, group in groups.items() if shop)


def test_unusable_events_of_several_shops_are_quarantined_as_those_of_each(shops):
    function = shops.start(INVALID_EVENTS="quarantine", QUARANTINE_QUEUE_URL=shops.quarantine)
    body = envelope({"order": {"state": "new"}})
    for shop in SECRETS:
        result = function.invoke(of(shop, body))
        assert (result.status, result.line["outcome"], result.line.get("shop")) == (200, "quarantined", shop)
        assert by_shop(result) == ({(shop, "Quarantined"): 1} if shop else {})
    messages = {each["MessageAttributes"].get("shop"): each for each in shops.messages(shops.quarantine)}
    assert set(messages) == set(SECRETS)
    for shop, each in messages.items():
        held = each["MessageBody"]
        assert (held.get("shop"), held["delivery"], json.loads(held["body"])) == (shop, "e-1", body)
        assert held["key"] == f"inline/{f'shops/{shop}/' if shop else ''}hmac_secrets/0"
        own_id = each["MessageDeduplicationId"]
        assert each["MessageGroupId"] == (f"{shop}/{own_id}" if shop else own_id)
    assert len({each["MessageDeduplicationId"] for each in messages.values()}) == 3


def with_rules(shops, tmp_path, *rules):
    file = tmp_path / "rules.json"
    refuse = {"op": "exception", "message": "not here"}
    file.write_text(json.dumps({"mode": "enforce", "rules": [{"name": name, "when": when, "then": refuse} for name, *when in rules]}))
    return shops.start(RULES_FILE=str(file))


def test_the_metrics_of_each_outcome_name_the_shop(shops, tmp_path):
    function = with_rules(shops, tmp_path, ("closed", condition("order.state", "equal", "closed")))
    outcomes = {
        "Accepted": {"order": order()},
        "Refused": {"order": order(state="closed")},
        "Invalid": {"order": {"state": "new"}},
    }
    for shop in SECRETS:
        for outcome, body in outcomes.items():
            result = function.invoke(of(shop, body))
            assert by_shop(result) == ({(shop, outcome): 1} if shop else {}), outcome
            assert totals(result) == {outcome: 1}, "the total is of all shops"
        irregular = function.invoke(of(shop, {"order": order(state=[1])}))
        assert by_shop(irregular) == ({(shop, "Accepted"): 1, (shop, "Irregular"): 1} if shop else {})


def test_a_rule_can_tell_shops_apart(shops, tmp_path):
    function = with_rules(
        shops, tmp_path,
        ("eu-only", condition("@shop", "equal", "eu")),
        ("named", condition("@shop", "notEmpty"), condition("order.state", "equal", "closed")),
    )  # fmt: skip

    def outcome(shop, **fields):
        line = function.invoke(of(shop, {"order": order(**fields)})).line
        return line["outcome"], line.get("rules")

    assert outcome(None) == outcome(None, state="closed") == ("accepted", None), "it has no name"
    assert outcome("eu") == ("refused", "eu-only")
    assert outcome("us") == ("accepted", None)
    assert outcome("us", state="closed") == ("refused", "named")


# The secret


def outcome(function, secret, **fields):
    result = function.invoke(signed(secret, envelope({"order": order(note=uuid.uuid4().hex, **fields)})))
    return result.line["outcome"] if result.status != 200 else (result.line.get("shop"), result.line["key"])


SHARED = "a-secret-that-two-shops-have"


@pytest.mark.parametrize(
    ("twins", "other", "form"),
    [
        (("shops/eu/hmac_secrets/0", "shops/us/hmac_secrets/0"), None, SHARED),
        (("hmac_secrets/0", "shops/us/hmac_secrets/0"), "eu", SHARED),
        # Other texts that make the same signatures: a file ends with a line break, and HMAC pads a key with zeros.
        (("hmac_secrets/0", "shops/us/hmac_secrets/0"), "eu", f"{SHARED}\r\n"),
        (("shops/eu/hmac_secrets/0", "shops/us/hmac_secrets/0"), None, f"{SHARED}\0"),
    ],
    ids=["two named shops", "the shop without a name and another", "with a line break", "with a zero"],
)
def test_a_key_of_two_shops_counts_for_none(shops, twins, other, form):
    shared, secret = SHARED, content()
    for place, text in zip(twins, (shared, form)):
        *path, field, _ = place.split("/")
        (secret["shops"][path[1]] if path else secret)[field] = [text]
    function = stored(shops, Keys(shops.stack, **secret))
    result = function.invoke(signed(shared, envelope({"order": order()})))
    assert (result.status, result.line["outcome"]) == (401, "signature_wrong")
    assert all(f"{place}: is the same as" in result.log for place in twins) and shared not in result.log
    assert outcome(function, SECRETS[other])[0] == other, "the others' keys are not touched"
    assert shops.message()["MessageAttributes"].get("shop") == other
    # A secret that is written into the settings is refused as a whole.
    inline = shops.start(secret)
    died = inline.invoke({}, lambda_seconds=5)
    assert died.answer is None and f"{twins[1]}: is the same as" in died.log and shared not in died.log


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # Two shops with one source.
        ({"eu": "https://one.example", "us": "https://one.example"}, {"eu": "urn:commerce-webhooks:shop:eu", "us": "urn:commerce-webhooks:shop:us"}),
        # That of the shop without a name.
        ({"eu": "https://top.example"}, {"eu": "urn:commerce-webhooks:shop:eu"}),
        # That which another has by default, and what could be one of an envelope.
        ({"eu": "urn:commerce-webhooks:shop:us"}, {"eu": "urn:commerce-webhooks:shop:eu", "us": "urn:commerce-webhooks:shop:us"}),
        ({"eu": "/adobe-commerce/us/staging"}, {"eu": "urn:commerce-webhooks:shop:eu"}),
        ({"eu": f"https://{'x' * 93}", "us": "https://us.example"}, {"eu": "urn:commerce-webhooks:shop:eu", "us": "https://us.example"}),
        ({"eu": f"https://{'x' * 92}"}, {"eu": f"https://{'x' * 92}"}),
    ],
    ids=["two shops have it", "EVENT_SOURCE", "a default", "no scheme", "101 characters", "100 characters"],
)
def test_a_source_is_that_of_one_shop(shops, given, expected):
    secret = content()
    for shop, source in given.items():
        secret["shops"][shop]["source"] = source
    function = stored(shops, Keys(shops.stack, **secret), EVENT_SOURCE="https://top.example")
    for shop in (None, *expected):
        assert outcome(function, SECRETS[shop])[0] == shop
    sources = {each["MessageAttributes"].get("shop"): each["MessageBody"]["source"] for each in shops.messages()}
    assert sources == {None: "https://top.example", **expected}


def test_names_of_shops_are_checked_and_one_shop_costs_the_others_nothing(shops):
    good = {name: {"hmac_secrets": [f"the-secret-of-shop-{name}"]} for name in ("2", "a-b_c", "x" * 32)}
    bad = {name: {"hmac_secrets": [f"the-secret-of-shop-{name}"]} for name in ("EU", "-eu", "_", "", "e u", "eu/us", "x" * 33)}
    keys = Keys(shops.stack, hmac_secrets=[SECRETS[None]], shops={**good, **bad, "list": [], "text": "t"})
    function = stored(shops, keys)
    for name in good:
        assert outcome(function, f"the-secret-of-shop-{name}") == (name, f"current/shops/{name}/hmac_secrets/0")
    for name in bad:
        assert outcome(function, f"the-secret-of-shop-{name}") == "signature_wrong", name
    assert outcome(function, SECRETS[None]) == (None, "current/hmac_secrets/0")


def stored(shops, keys, **environment):
    environment = {"WEBHOOK_KEYS": None, "WEBHOOK_KEYS_SECRET": keys.id, "AWS_REGION": REGION, **environment}
    return shops.opened.enter_context(Function(SAVED, shops.queue, AWS_ENDPOINT_URL=shops.stack.endpoint, **environment))


def test_a_key_that_moves_to_another_shop_is_that_shops_key(stack, shops):
    """From the top to a shop, when the secret becomes one of several shops; and back."""
    moving = "a-secret-that-moves"
    keys = Keys(stack, hmac_secrets=[moving])
    running = stored(shops, keys, KEYS_REFRESH_SECONDS="1")
    assert outcome(running, moving) == (None, "current/hmac_secrets/0")
    keys.put(**content(shops={"eu": {}, "us": {}}) | {"shops": {"eu": {"hmac_secrets": [moving], "source": SOURCES["eu"]}}})
    # Not "previous/hmac_secrets/0", where the version before has it.
    assert outcome(stored(shops, keys), moving) == ("eu", "current/shops/eu/hmac_secrets/0")
    time.sleep(1)
    assert outcome(running, moving) == ("eu", "current/shops/eu/hmac_secrets/0"), "one that runs follows within the refresh"
    keys.put(hmac_secrets=[moving])
    assert outcome(stored(shops, keys), moving) == (None, "current/hmac_secrets/0")
    assert [each["MessageAttributes"].get("shop") for each in sorted(shops.messages(), key=lambda each: each["MessageBody"]["time"])].count("eu") == 2


def test_an_old_key_of_a_shop_counts_for_it_for_a_while(stack, shops):
    old = "the-old-secret-of-eu"
    keys = Keys(stack, **content() | {"shops": {"eu": {"hmac_secrets": [old], "source": "https://old.example"}}})
    keys.put(**content())
    function = stored(shops, keys)
    assert outcome(function, old) == ("eu", "previous/shops/eu/hmac_secrets/0")
    assert shops.message()["MessageBody"]["source"] == SOURCES["eu"], "a shop has one source, the newest"
    # A shop that is no more keeps its name and its source for that time.
    keys.put(**content(shops=("us",)))
    function = stored(shops, keys)
    assert outcome(function, SECRETS["eu"]) == ("eu", "previous/shops/eu/hmac_secrets/0")
    assert shops.message()["MessageBody"]["source"] == SOURCES["eu"]


def test_a_key_that_two_shops_have_now_counts_not_even_by_the_version_before(stack, shops):
    keys = Keys(stack, **content())
    shared = SECRETS["eu"]
    keys.put(**content() | {"shops": {"eu": {"hmac_secrets": [shared]}, "us": {"hmac_secrets": [shared]}}})
    assert outcome(stored(shops, keys), shared) == "signature_wrong"


# Access tokens


ORGS = {shop: f"{number:024X}@AdobeOrg" for number, shop in enumerate(SECRETS, 1)}
CLIENTS = {shop: f"the-client-of-the-shop-{shop}" for shop in SECRETS}


@pytest.fixture(scope="module")
def ims():
    with Ims() as running:
        yield running


def with_clients(**others):
    """The secret in which each shop has a client and an organization of its own, too."""
    secret, clients = content(), CLIENTS | others
    for shop, section in ((None, secret), *secret["shops"].items()):
        section["ims"] = {"client_ids": [clients[shop]], "org_ids": [ORGS[shop]]}
    return secret


def with_token(ims, made, client, organization):
    headers = {"authorization": f"Bearer {ims.token(client_id=client)}", "x-gw-ims-org-id": organization}
    return made | {"headers": made["headers"] | headers}


def by_token(ims, client, organization, body=None):
    """A request that only has a token."""
    made = with_token(ims, of(None, body), client, organization)
    del made["headers"]["x-adobe-signature"]
    return made


def told(result):
    return (result.line.get("shop"), result.line["key"]) if result.status == 200 else result.line["outcome"]


def test_the_client_of_a_token_decides_the_shop_and_its_organization_must_be_that_shops(shops, ims):
    function = shops.start(with_clients(), SIGNATURE_SCHEMES="ims", IMS_KEYS_URL=ims.url)
    body = envelope({"order": order(note="by a token")})
    for shop in SECRETS:
        key = f"inline/{f'shops/{shop}/' if shop else ''}ims/client_ids/0"
        assert told(function.invoke(by_token(ims, CLIENTS[shop], ORGS[shop], body))) == (shop, key)
    messages = {each["MessageAttributes"].get("shop"): each for each in shops.messages()}
    assert {shop: each["MessageBody"]["source"] for shop, each in messages.items()} == SOURCES
    assert {shop: each["MessageGroupId"] for shop, each in messages.items()} == GROUPS
    assert len({each["MessageBody"]["id"] for each in messages.values()}) == 3
    assert told(function.invoke(by_token(ims, CLIENTS["eu"], ORGS["us"]))) == "token_organization"
    assert told(function.invoke(by_token(ims, CLIENTS["eu"], ORGS[None]))) == "token_organization"


def test_a_signature_and_a_token_must_be_of_one_shop(shops, ims):
    both = shops.start(with_clients(), SIGNATURE_SCHEMES="hmac+ims", IMS_KEYS_URL=ims.url)
    for signer in SECRETS:
        for client in SECRETS:
            result = both.invoke(with_token(ims, of(signer), CLIENTS[client], ORGS[client]))
            assert result.line["outcome"] == ("accepted" if signer == client else "shops_differ"), (signer, client)
            if signer == client:
                assert (result.line.get("shop"), "hmac_secrets" in result.line["key"]) == (signer, True)
    # Where one of them is enough, the signature decides, because it covers the body.
    either = shops.start(with_clients(), SIGNATURE_SCHEMES="hmac,ims", IMS_KEYS_URL=ims.url)
    assert told(either.invoke(with_token(ims, of("eu"), CLIENTS["us"], ORGS["us"]))) == ("eu", "inline/shops/eu/hmac_secrets/0")


def test_a_client_of_two_shops_counts_for_none(shops, ims):
    keys = Keys(shops.stack, **with_clients(us=CLIENTS["eu"]))
    function = stored(shops, keys, SIGNATURE_SCHEMES="hmac,ims", IMS_KEYS_URL=ims.url)
    result = function.invoke(by_token(ims, CLIENTS["eu"], ORGS["eu"]))
    assert told(result) == "token_client"
    assert all(f"shops/{shop}/ims/client_ids/0: is the same as" in result.log for shop in ("eu", "us"))
    assert told(function.invoke(by_token(ims, CLIENTS["eu"], ORGS["us"]))) == "token_client"
    assert told(function.invoke(by_token(ims, CLIENTS[None], ORGS[None]))) == (None, "current/ims/client_ids/0")
    assert outcome(function, SECRETS["eu"])[0] == "eu", "its other keys are not touched"
