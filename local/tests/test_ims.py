"""Access tokens of IMS: its keys are rotated, and IMS fails, while the functions go on. Which tokens count is in hostile/tokens.py; what
IMS's faults do in test_faults.py."""

import itertools
import json
import threading
import time

import pytest
from faults import Proxy
from function import Function
from hostile.case import hmac_hex
from ims import Ims, private_key
from shop import raw_body, request
from stack import EVENTS, SAMPLE_CLIENT, SAMPLE_ORG, sample_secret
from test_faults import order, placed
from test_keys import Keys

PLACED = "sales_order_place_after"
EU = f"{SAMPLE_CLIENT}-eu"
ANY = "hmac,rsa,ims"


@pytest.fixture
def ims():
    with Ims() as one:
        yield one


@pytest.fixture
def function(stack, ims):
    """Makes functions that read the keys of the stand-in."""
    opened = []

    def make(schemes=ANY, **environment):
        named = {"WEBHOOK_KEYS": sample_secret(), "SIGNATURE_SCHEMES": schemes, "IMS_KEYS_URL": ims.url, **environment}
        made = Function(PLACED, stack.queue(PLACED), **named)
        made.__enter__()
        opened.append(made)
        return made

    yield make
    for one in opened:
        one.__exit__()
    stack.messages(stack.queue(PLACED))


def by_token(ims, made=None, **how):
    """A request with a token instead of a signature."""
    made = made or placed()
    del made["headers"]["x-adobe-signature"]
    made["headers"] |= ims.headers(**how)
    return made


def ims_only():
    """The part of the secret that says which tokens count."""
    return {"ims": {"client_ids": [SAMPLE_CLIENT], "org_ids": [SAMPLE_ORG]}}


def outcome(result):
    return result.status, result.line.get("key", result.line["outcome"])


def test_a_token_is_enough_and_decides_the_shop(stack, function, ims):
    one = function()
    stack.messages(stack.queue(PLACED))
    made = [by_token(ims), by_token(ims, client_id=EU)]
    results = [one.invoke(each) for each in made]
    assert [outcome(result) for result in results] == [(200, "inline/ims/client_ids/0"), (200, "inline/shops/eu/ims/client_ids/0")]
    assert [result.line.get("shop") for result in results] == [None, "eu"]
    messages = {message["MessageBody"]["id"]: message for message in stack.messages(stack.queue(PLACED))}
    unnamed, eu = (messages[result.line["event_id"]] for result in results)
    assert eu["MessageBody"]["source"] == "https://eu.example" and eu["MessageAttributes"]["shop"] == "eu"
    assert eu["MessageGroupId"].startswith("eu/") and not unnamed["MessageGroupId"].startswith("eu/")
    assert "shop" not in unnamed["MessageAttributes"]
    assert [path for path, _ in ims.requests] == ["/ims/keys"], "at cold start"
    # Nothing of the token goes on, not even into the message.
    for result, each, message in zip(results, made, (unnamed, eu)):
        told = result.log + json.dumps(result.answer) + json.dumps(message)
        token = each["headers"]["authorization"].removeprefix("Bearer ")
        assert not [text for text in (*token.split("."), SAMPLE_CLIENT, SAMPLE_ORG, "x-gw-ims") if text in told]


def test_one_order_of_two_shops_is_two_events(stack, function, ims):
    """Same number, same entity, same bytes: two sources, two ids, two groups."""
    one = function()
    stack.messages(stack.queue(PLACED))
    made = request(PLACED, order("000000777") | {"event_id": "one-and-the-same"})
    raw = raw_body(made)
    eu_secret = (EVENTS / "sample-keys" / "eu-hmac-secret.txt").read_text().strip()
    requests = [
        made,
        made | {"headers": made["headers"] | {"x-adobe-signature": hmac_hex(raw, eu_secret)}},
        by_token(ims, made | {"headers": dict(made["headers"])}, client_id=EU),
    ]
    results = [one.invoke(each) for each in requests]
    assert [result.status for result in results] == [200] * 3
    messages = stack.messages(stack.queue(PLACED))
    assert len(messages) == 2, "how a shop proves who it is changes no id"
    for member in ("id", "contentid", "source"):
        assert len({message["MessageBody"][member] for message in messages}) == 2, member
    groups = {message["MessageAttributes"].get("shop"): message["MessageGroupId"] for message in messages}
    assert groups["eu"] == f"eu/{groups[None]}"


def test_without_ims_in_the_schemes_no_request_is_sent_to_it(function, ims):
    one = function("hmac,rsa")
    assert outcome(one.invoke(by_token(ims))) == (401, "signature_missing")
    assert one.invoke(placed() | {}).status == 200
    both = placed()
    both["headers"] |= {"authorization": "Bearer a.b.c", "x-gw-ims-org-id": "x"}
    assert outcome(one.invoke(both)) == (200, "inline/hmac_secrets/0")
    assert ims.requests == [] and "IMS" not in one.log()


def test_rotation_loses_no_event(stack, function, ims):
    """Tokens by the old key and by the new one come all the time, at three functions at once, while IMS replaces its key twice."""
    functions = [function() for _ in range(3)]
    stack.messages(stack.queue(PLACED))
    signers, ended, results = [ims.headers()], threading.Event(), []

    def stream(one):
        for number in itertools.count():
            if ended.is_set():
                return
            made = by_token(ims)
            made["headers"] |= signers[number % len(signers)]
            results.append(one.invoke(made))

    threads = [threading.Thread(target=stream, args=(one,)) for one in functions]
    for thread in threads:
        thread.start()
    for _ in range(2):
        time.sleep(0.7)
        ims.rotate()
        signers[:] = [signers[-1], ims.headers()]
    time.sleep(0.7)
    ended.set()
    for thread in threads:
        thread.join()
    assert [result.log for result in results if result.status != 200] == []
    assert len(results) > 100 and [one.starts for one in functions] == [1, 1, 1]
    assert len(ims.requests) == 3 * len(functions), "at cold start, and once for each new key"
    queued = [message["MessageBody"]["id"] for message in stack.messages(stack.queue(PLACED))]
    assert sorted(queued) == sorted(result.line["event_id"] for result in results)


def test_a_key_that_ims_withdraws_counts_no_longer_than_the_refresh(function, ims):
    one = function(IMS_KEYS_REFRESH_SECONDS="1")
    old = by_token(ims)
    assert one.invoke(old).status == 200
    ims.rotate(keep=0)
    time.sleep(1.0)
    assert outcome(one.invoke(old)) == (401, "token_key_unknown"), "the first request after the time is checked with fresh keys"
    assert one.invoke(by_token(ims)).status == 200


def test_forged_keys_do_not_drive_ims(function, ims):
    one = function()
    assert one.invoke(by_token(ims)).status == 200
    assert len(ims.requests) == 1
    forged = [one.invoke(by_token(ims, header={"kid": f"forged-{number}"})) for number in range(100)]
    assert {outcome(result) for result in forged} == {(401, "token_key_unknown")}
    assert len(ims.requests) == 2, "once for a hundred of them"
    for made in (by_token(ims, age_s=2 * 86400), by_token(ims, client_id="other")):
        assert one.invoke(made).status == 401
    assert len(ims.requests) == 2
    assert one.invoke(by_token(ims)).status == 200


def test_forged_keys_while_ims_is_away_wait_for_it_at_most_once_a_second(function, ims):
    one = function()
    assert one.invoke(by_token(ims)).status == 200
    ims.fault = "fails"
    started, asked = time.monotonic(), len(ims.requests)
    forged = [one.invoke(by_token(ims, header={"kid": f"forged-{number}"})) for number in range(30)]
    assert {outcome(result) for result in forged} == {(503, "ims_keys_unavailable")}, "no function knows that they are forged"
    assert len(ims.requests) - asked <= 2 * (time.monotonic() - started + 1)


def test_a_new_key_while_ims_is_away(function, ims):
    """A known key keeps working. A token by a new key is 503, not 401, and accepted once IMS is back."""
    one = function()
    old = by_token(ims)
    assert one.invoke(old).status == 200
    ims.rotate()
    ims.stop_listening()
    new = by_token(ims)
    assert outcome(one.invoke(new)) == (503, "ims_keys_unavailable")
    assert one.invoke(old).status == 200
    assert outcome(one.invoke(placed())) == (200, "inline/hmac_secrets/0")
    ims.listen_again()
    time.sleep(1.0)
    assert one.invoke(new).status == 200
    assert one.starts == 1


def test_a_slow_ims_delays_no_signature(function, ims):
    ims.delay_s = 5
    one = function(HOOK_TIMEOUT_MS="2000", IMS_KEYS_REFRESH_SECONDS="1")
    first = one.invoke(placed())
    assert outcome(first) == (200, "inline/hmac_secrets/0") and first.seconds < 2
    signed = placed()
    signed["headers"] |= ims.headers()
    started = time.monotonic()
    assert [outcome(one.invoke(signed)) for _ in range(5)] == [(200, "inline/hmac_secrets/0")] * 5
    assert time.monotonic() - started < 1
    alone = one.invoke(by_token(ims))
    assert outcome(alone) == (503, "ims_keys_unavailable") and alone.seconds < 2
    ims.delay_s = 0
    time.sleep(1.0)
    assert one.invoke(by_token(ims)).status == 200


def test_a_wrong_signature_beside_a_token_that_cannot_be_checked(function, ims):
    """Where any one is enough, the token could be right."""
    ims.fault = "fails"
    made = placed()
    made["headers"] |= ims.headers() | {"x-adobe-signature": "0" * 64}
    assert outcome(function().invoke(made)) == (503, "ims_keys_unavailable")
    assert outcome(function("hmac+ims").invoke(made)) == (401, "signature_wrong"), "no token makes it right"


def test_a_token_makes_no_signature_be_checked_twice(function, ims):
    """A forged request with a large body would cost twice the time of all keys."""
    secret = {"hmac_secrets": [f"a-secret-of-this-shop-{number}" for number in range(16)], **ims_only()}
    one = function("hmac,ims", WEBHOOK_KEYS=json.dumps(secret), HOOK_TIMEOUT_MS="30000")
    assert one.invoke(placed()).status == 401

    def cost(**headers):
        made = request(PLACED, b" " * 300_000, **{"x-adobe-signature": "0" * 64}, **headers)
        before = one.cpu_seconds()
        assert outcome(one.invoke(made)) == (401, "signature_wrong")
        return one.cpu_seconds() - before

    assert min(cost(**ims.headers(age_s=2 * 86400)) for _ in range(3)) < 1.5 * min(cost() for _ in range(3))


def test_a_client_that_is_added_to_the_secret_counts_at_once(stack, function, ims):
    content = {"hmac_secrets": ["a-secret-in-front"], "ims": {"client_ids": [SAMPLE_CLIENT], "org_ids": [SAMPLE_ORG]}}
    keys = Keys(stack, **content)
    with Proxy(stack.port) as store:
        endpoint = {"AWS_ENDPOINT_URL_SECRETS_MANAGER": store.endpoint}
        one = function(WEBHOOK_KEYS=None, WEBHOOK_KEYS_SECRET=keys.id, **endpoint)
        assert outcome(one.invoke(by_token(ims))) == (200, "current/ims/client_ids/0")
        asked = len(store.requests)
        assert outcome(one.invoke(by_token(ims, age_s=2 * 86400))) == (401, "token_expired")
        assert len(store.requests) == asked, "no other secret would make it valid"
        keys.put(**content | {"shops": {"eu": {"ims": {"client_ids": [EU], "org_ids": [SAMPLE_ORG]}}}})
        added = one.invoke(by_token(ims, client_id=EU))
        assert outcome(added) == (200, "current/shops/eu/ims/client_ids/0"), added.log
        assert added.line["shop"] == "eu"


def test_the_keys_of_one_scheme_sign_nothing_of_the_other(function, ims):
    """The shop's public key is no key of IMS, and the other way round."""
    one = function("rsa,ims", WEBHOOK_KEYS=sample_secret())
    shop_key = private_key("private-key")
    ims.key, key = shop_key, ims.key
    assert outcome(one.invoke(by_token(ims))) == (401, "token_wrong")
    ims.key = key
    assert one.invoke(by_token(ims)).status == 200
