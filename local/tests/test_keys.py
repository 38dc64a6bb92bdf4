"""Secrets and key pairs are replaced without a deployment, and no event signed with either is lost."""

import base64
import hashlib
import hmac
import itertools
import json
import subprocess
import threading
import time
import uuid

import pytest
from faults import Proxy
from function import Function
from shop import request
from stack import REGION
from test_decisions import CART, added, settings, stock_system

PLACED = "sales_order_place_after"
FIRST, SECOND, THIRD = ("the-first-secret-of-this-shop", "the-second-secret-of-this-shop", "the-third-secret-of-this-shop")


class Keys:
    """A secret of its own in the emulated Secrets Manager."""

    def __init__(self, stack, **content):
        self.store = stack.client("secretsmanager")
        self.id = self.store.create_secret(Name=f"keys-{uuid.uuid4().hex[:8]}", SecretString=json.dumps(content))["ARN"]

    def put(self, **content):
        self.store.put_secret_value(SecretId=self.id, SecretString=json.dumps(content))


@pytest.fixture
def function(stack):
    """Makes functions that read a secret through a proxy: the function and the proxy."""
    opened = []

    def make(keys, channel=PLACED, **environment):
        proxy = Proxy(stack.port)
        proxy.__enter__()
        opened.append(proxy)
        made = Function(
            channel, stack.queue(channel), WEBHOOK_KEYS=None, WEBHOOK_KEYS_SECRET=keys.id, AWS_REGION=REGION,
            AWS_ENDPOINT_URL_SECRETS_MANAGER=proxy.endpoint, **environment,
        )  # fmt: skip
        made.__enter__()
        opened.append(made)
        return made, proxy

    yield make
    for one in reversed(opened):
        one.__exit__()
    for channel in (PLACED, CART):
        stack.messages(stack.queue(channel))


def body():
    return json.dumps({"order": {"increment_id": uuid.uuid4().hex, "grand_total": 1, "order_currency_code": "EUR",
                                 "items": [{"sku": "x", "qty_ordered": 1}]}}).encode()  # fmt: skip


def by_secret(secret):
    raw = body()
    return request(PLACED, raw, **{"x-adobe-signature": hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()})


def by_key(private):
    raw = body()
    signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", private], input=base64.b64encode(raw), capture_output=True, check=True)
    made = request(PLACED, raw, **{"x-adobe-commerce-webhook-signature": base64.b64encode(signed.stdout).decode()})
    del made["headers"]["x-adobe-signature"]
    return made


def public(private):
    return subprocess.run(["openssl", "rsa", "-in", private, "-pubout"], capture_output=True, check=True, text=True).stdout


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two key pairs of one shop: paths of the private keys."""
    paths = [tmp_path_factory.mktemp("pairs") / f"{number}.pem" for number in range(2)]
    for path in paths:
        subprocess.run(["openssl", "genrsa", "-out", path, "2048"], check=True, capture_output=True)
    return paths


def outcome(result):
    return result.status, result.line.get("key", result.line["outcome"])


def test_a_new_secret_counts_at_once_and_the_old_one_for_a_while(stack, function):
    keys = Keys(stack, hmac_secrets=FIRST)
    one, _ = function(keys)
    assert outcome(one.invoke(by_secret(FIRST))) == (200, "current/hmac_secrets/0")
    assert outcome(one.invoke(by_secret("a secret of somebody else"))) == (401, "signature_wrong")
    other, _ = function(keys)
    other.start()

    keys.put(hmac_secrets=[SECOND])
    # One that started before, one that starts now.
    new, _ = function(keys)
    for running in (other, new):
        assert outcome(running.invoke(by_secret(SECOND))) == (200, "current/hmac_secrets/0")
        assert outcome(running.invoke(by_secret(FIRST))) == (200, "previous/hmac_secrets/0")
        assert running.starts == 1

    keys.put(hmac_secrets=[THIRD])
    newest, _ = function(keys)
    assert outcome(newest.invoke(by_secret(THIRD))) == (200, "current/hmac_secrets/0")
    assert outcome(newest.invoke(by_secret(SECOND))) == (200, "previous/hmac_secrets/0")
    assert outcome(newest.invoke(by_secret(FIRST))) == (401, "signature_wrong"), "two versions ago"


def test_a_new_key_pair_counts_at_once_and_the_old_one_for_a_while(stack, function, pairs):
    old, new = pairs
    keys = Keys(stack, public_keys=[public(old)])
    one, _ = function(keys)
    assert outcome(one.invoke(by_key(old))) == (200, "current/public_keys/0")
    keys.put(public_keys=[public(new).replace("\n", "\r\n")])
    assert outcome(one.invoke(by_key(new))) == (200, "current/public_keys/0")
    assert outcome(one.invoke(by_key(old))) == (200, "previous/public_keys/0")
    # A kind of signature for which there was no key at all.
    keys.put(public_keys=[public(new)], hmac_secrets=[FIRST])
    other, _ = function(Keys(stack, hmac_secrets=FIRST))
    assert outcome(other.invoke(by_key(new))) == (401, "signature_without_key")
    assert one.starts == other.starts == 1


def test_the_operator_can_end_the_old_key_at_once(stack, function):
    keys = Keys(stack, hmac_secrets=FIRST)
    strict, _ = function(keys, KEYS_PREVIOUS_SECONDS="0")
    assert strict.invoke(by_secret(FIRST)).status == 200
    keys.put(hmac_secrets=SECOND)
    assert strict.invoke(by_secret(SECOND)).status == 200
    assert outcome(strict.invoke(by_secret(FIRST))) == (401, "signature_wrong")
    # Without that: the same content twice leaves nothing of the old key.
    patient, _ = function(keys)
    assert outcome(patient.invoke(by_secret(FIRST))) == (200, "previous/hmac_secrets/0")
    keys.put(hmac_secrets=SECOND)
    leaked, _ = function(keys)
    assert outcome(leaked.invoke(by_secret(FIRST))) == (401, "signature_wrong")


def test_where_the_old_key_ends_at_once_a_failing_store_brings_nothing_back(stack, function):
    """The previous version is not even asked for, so that it cannot fail and let the keys of before count again."""
    keys = Keys(stack, hmac_secrets=FIRST)
    one, proxy = function(keys, KEYS_PREVIOUS_SECONDS="0")
    assert one.invoke(by_secret(FIRST)).status == 200
    asked = len(proxy.requests)
    assert asked == 1
    keys.put(hmac_secrets=SECOND)
    proxy.fault = lambda _: "passes" if len(proxy.requests) == asked else "throttled"
    assert outcome(one.invoke(by_secret(SECOND))) == (200, "current/hmac_secrets/0")
    assert outcome(one.invoke(by_secret(FIRST))) == (401, "signature_wrong")


def test_the_previous_keys_end_when_their_time_is_over(stack, function):
    keys = Keys(stack, hmac_secrets=FIRST)
    one, _ = function(keys, KEYS_PREVIOUS_SECONDS="3", KEYS_REFRESH_SECONDS="1")
    keys.put(hmac_secrets=SECOND)
    replaced = time.monotonic()
    assert outcome(one.invoke(by_secret(FIRST))) == (200, "previous/hmac_secrets/0")
    time.sleep(max(0, replaced + 4.1 - time.monotonic()))
    assert one.invoke(by_secret(FIRST)).status == 401
    assert one.invoke(by_secret(SECOND)).status == 200


def test_a_removed_key_counts_no_longer_than_the_refresh(stack, function):
    keys = Keys(stack, hmac_secrets=[FIRST, SECOND])
    one, _ = function(keys, KEYS_REFRESH_SECONDS="1", KEYS_PREVIOUS_SECONDS="0")
    assert outcome(one.invoke(by_secret(SECOND))) == (200, "current/hmac_secrets/1")
    keys.put(hmac_secrets=[FIRST])
    time.sleep(1.0)
    assert one.invoke(by_secret(SECOND)).status == 401, "the first request after the time is checked with fresh keys"


def test_no_event_is_lost_while_the_secret_is_replaced(stack, function):
    """Events signed with either secret come all the time, at three functions at once, while the secret is replaced twice."""
    keys = Keys(stack, hmac_secrets=[FIRST])
    functions = [function(keys, KEYS_REFRESH_SECONDS="1")[0] for _ in range(3)]
    # What the shop signs with: the new secret from the moment at which it is in the store, and for a while still the old one.
    signs = [FIRST]
    ended = threading.Event()
    results = []

    def stream(one):
        for number in itertools.count():
            if ended.is_set():
                return
            results.append((signs[number % len(signs)], one.invoke(by_secret(signs[number % len(signs)]))))

    threads = [threading.Thread(target=stream, args=(one,)) for one in functions]
    for thread in threads:
        thread.start()
    for old, new in ((FIRST, SECOND), (SECOND, THIRD)):
        time.sleep(1.5)
        keys.put(hmac_secrets=[new])
        signs[:] = [old, new]
    time.sleep(1.5)
    ended.set()
    for thread in threads:
        thread.join()
    assert [result.log for _, result in results if result.status != 200] == []
    assert {secret for secret, _ in results} == {FIRST, SECOND, THIRD}
    assert len(results) > 100
    assert [one.starts for one in functions] == [1, 1, 1]
    sent = {result.line["event_id"] for _, result in results}
    queued = [message["MessageBody"]["id"] for message in stack.messages(stack.queue(PLACED))]
    assert sorted(queued) == sorted(sent)


def test_forged_events_do_not_drive_the_secret_store(stack, function):
    one, proxy = function(Keys(stack, hmac_secrets=FIRST))
    one.start()
    assert one.invoke(by_secret(FIRST)).status == 200
    at_start = len(proxy.requests)
    assert at_start == 2, "the current version and the previous one"
    forged = [one.invoke(by_secret("a secret of somebody else")) for _ in range(100)]
    assert {result.status for result in forged} == {401}
    assert len(proxy.requests) == 2 * at_start, "once for a hundred of them"
    unsigned = by_secret(FIRST)
    del unsigned["headers"]["x-adobe-signature"]
    assert one.invoke(unsigned).line["outcome"] == "signature_missing"
    assert len(proxy.requests) == 2 * at_start
    assert one.invoke(by_secret(FIRST)).status == 200


def test_one_broken_key_costs_no_other(stack, function, pairs):
    keys = Keys(stack, hmac_secrets=["short", FIRST], public_keys=["-----BEGIN PUBLIC KEY-----\nAAAA", public(pairs[0])])
    one, _ = function(keys)
    result = one.invoke(by_secret(FIRST))
    assert outcome(result) == (200, "current/hmac_secrets/1"), "its place in the secret, whatever stands before it"
    assert outcome(one.invoke(by_key(pairs[0]))) == (200, "current/public_keys/1")
    said = [json.loads(line)["message"] for line in result.log.splitlines() if '"ERROR"' in line]
    assert said == [
        "secret: hmac_secrets/0: the secret is shorter than 16 bytes",
        "secret: public_keys/0: has no readable PEM block \"PUBLIC KEY\"",
    ]


@pytest.mark.parametrize("between", [" ", "\\n"])
def test_a_key_whose_line_breaks_were_lost_on_the_way_is_read(stack, function, pairs, between):
    one, _ = function(Keys(stack, public_keys=[public(pairs[0]).replace("\n", between)]))
    assert outcome(one.invoke(by_key(pairs[0]))) == (200, "current/public_keys/0")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_break_at_its_end_makes_no_other_secret(stack, function, end):
    keys = Keys(stack, hmac_secrets=[FIRST])
    keys.put(hmac_secrets=[SECOND, FIRST + end])
    one, _ = function(keys)
    assert outcome(one.invoke(by_secret(FIRST))) == (200, "current/hmac_secrets/1"), "not that of the version before"
    assert outcome(one.invoke(by_secret(FIRST + end))) == (401, "signature_wrong")


def test_what_is_no_secret_is_named_in_the_log_and_not_shown(stack, function, pairs):
    private = pairs[0].read_text()
    keys = Keys(stack, hmac_secrets=[" \n" * 20, public(pairs[0]), "hush\n", FIRST], public_keys=[private])
    one, _ = function(keys)
    result = one.invoke(by_secret(FIRST))
    assert outcome(result) == (200, "current/hmac_secrets/3")
    said = [json.loads(line)["message"] for line in result.log.splitlines() if '"ERROR"' in line]
    assert said == [
        "secret: hmac_secrets/0: the secret is empty or white space",
        "secret: hmac_secrets/1: the secret is a PEM text; public keys belong under public_keys",
        "secret: hmac_secrets/2: the secret is shorter than 16 bytes",
        "secret: public_keys/0: is a private key; only the shop may hold it",
    ]
    assert "hush" not in result.log and "MII" not in result.log


def test_a_secret_that_was_spoilt_leaves_the_previous_keys(stack, function):
    keys = Keys(stack, hmac_secrets=[FIRST])
    keys.put(hmac_secrets=[SECOND])
    keys.store.put_secret_value(SecretId=keys.id, SecretString='{"hmac_secrets": [' + FIRST)
    one, _ = function(keys)
    result = one.invoke(by_secret(SECOND))
    assert outcome(result) == (200, "previous/hmac_secrets/0")
    assert "must be JSON" in result.log and FIRST not in result.log


@pytest.mark.parametrize("fault", ["throttled", "hangs", "resets"])
def test_while_the_previous_version_cannot_be_read_its_known_keys_count(stack, function, fault):
    keys = Keys(stack, hmac_secrets=[FIRST])
    one, proxy = function(keys, HOOK_TIMEOUT_MS="3000")
    assert one.invoke(by_secret(FIRST)).status == 200
    keys.put(hmac_secrets=[SECOND])
    asked = itertools.count()
    proxy.fault = lambda _: "passes" if next(asked) == 0 else fault
    assert outcome(one.invoke(by_secret(SECOND))) == (200, "current/hmac_secrets/0")
    assert outcome(one.invoke(by_secret(FIRST))) == (200, "previous/hmac_secrets/0")
    # At cold start, too, what can be read counts.
    asked = itertools.count()
    one.kill()
    assert outcome(one.invoke(by_secret(SECOND))) == (200, "current/hmac_secrets/0")


@pytest.mark.parametrize("fault", ["resets", "fails", "garbage", "throttled"])
def test_a_new_key_and_a_hiccup_of_the_store_at_once(stack, function, fault):
    keys = Keys(stack, hmac_secrets=[FIRST])
    one, proxy = function(keys)
    assert one.invoke(by_secret(FIRST)).status == 200
    keys.put(hmac_secrets=[SECOND])
    faults = iter([fault])
    proxy.fault = lambda _: next(faults, "passes")
    event = by_secret(SECOND)
    if fault == "throttled":
        # Who is told to wait must wait: but a second, not ten.
        assert one.invoke(event).status == 401
        time.sleep(1.0)
    assert outcome(one.invoke(event)) == (200, "current/hmac_secrets/0")


def test_after_a_step_back_both_versions_count(stack, function):
    keys = Keys(stack, hmac_secrets=[FIRST])
    first = keys.store.describe_secret(SecretId=keys.id)["VersionIdsToStages"]
    time.sleep(3.1)
    keys.put(hmac_secrets=[SECOND])
    stages = keys.store.describe_secret(SecretId=keys.id)["VersionIdsToStages"]
    old = next(iter(first))
    new = next(version for version, labels in stages.items() if "AWSCURRENT" in labels)
    keys.store.update_secret_version_stage(SecretId=keys.id, VersionStage="AWSCURRENT", MoveToVersionId=old, RemoveFromVersionId=new)
    # By the older version's date alone the time would be over.
    one, _ = function(keys, KEYS_PREVIOUS_SECONDS="3")
    assert outcome(one.invoke(by_secret(FIRST))) == (200, "current/hmac_secrets/0")
    assert outcome(one.invoke(by_secret(SECOND))) == (200, "previous/hmac_secrets/0")


def test_a_spoilt_secret_costs_no_known_key(stack, function):
    """Put twice, as for a leaked key, neither version can be used. An emptied one is another matter: it says that nobody signs."""
    keys = Keys(stack, hmac_secrets=[FIRST])
    one, _ = function(keys, KEYS_REFRESH_SECONDS="1")
    assert one.invoke(by_secret(FIRST)).status == 200
    for _ in range(2):
        keys.store.put_secret_value(SecretId=keys.id, SecretString='{"hmac_secrets": [')
    time.sleep(1.0)
    result = one.invoke(by_secret(FIRST))
    assert result.status == 200
    assert "must be JSON" in result.log and "keys not read; the known keys stay in use" in result.log
    for _ in range(2):
        keys.put(hmac_secrets=[])
    time.sleep(1.0)
    assert outcome(one.invoke(by_secret(FIRST))) == (503, "keys_unavailable")


def test_events_from_anybody_need_no_key(stack, function):
    keys = Keys(stack, hmac_secrets=FIRST)
    one, proxy = function(keys, SIGNATURE_SCHEMES="accept-unsigned", HOOK_TIMEOUT_MS="1500")
    proxy.stop_listening()
    unsigned = by_secret(FIRST)
    del unsigned["headers"]["x-adobe-signature"]
    result = one.invoke(unsigned)
    assert (result.status, result.line.get("key")) == (200, None), result.log
    assert "unsigned events are accepted" in result.log


def test_the_token_of_the_stock_system_is_replaced_like_a_key(stack, function):
    keys = Keys(stack, hmac_secrets=FIRST, stock_token="hush-hush-1")
    with stock_system() as server:
        one, _ = function(keys, channel=CART, KEYS_REFRESH_SECONDS="1", **settings(server, STOCK_TIMEOUT_MS="2000"))

        def ask(sku):
            made = added(sku)
            raw = base64.b64decode(made["body"])
            made["headers"]["x-adobe-signature"] = hmac.new(FIRST.encode(), raw, hashlib.sha256).hexdigest()
            result = one.invoke(made)
            assert (result.status, result.line["finding"]) == (200, "in_stock"), result.log
            return server.questions[-1]

        assert ask("CAP-1") == ("/stock/CAP-1", "Bearer hush-hush-1")
        keys.put(hmac_secrets=FIRST, stock_token="hush-hush-2")
        time.sleep(1.0)
        assert ask("CAP-2") == ("/stock/CAP-2", "Bearer hush-hush-2")
        assert one.starts == 1


def test_which_key_verified_is_a_metric(stack, function):
    keys = Keys(stack, hmac_secrets=FIRST)
    one, _ = function(keys)
    assert verified(one.invoke(by_secret(FIRST))) == [(PLACED, "current/hmac_secrets/0", 1)]
    keys.put(hmac_secrets=["a-secret-in-between", SECOND])
    assert verified(one.invoke(by_secret(SECOND))) == [(PLACED, "current/hmac_secrets/1", 1)]
    assert verified(one.invoke(by_secret(FIRST))) == [(PLACED, "previous/hmac_secrets/0", 1)]
    assert verified(one.invoke(by_secret("a secret of somebody else"))) == []


def verified(result):
    """Channel, key and value of the metric `Verified`, where it is named as one."""
    found = []
    for root in map(json.loads, result.metrics):
        (directive,) = root["_aws"]["CloudWatchMetrics"]
        if {"Name": "Verified", "Unit": "Count"} in directive["Metrics"]:
            assert directive["Dimensions"] == [["channel", "key"]]
            found.append((root["channel"], root["key"], root["Verified"]))
    assert bool(found) == ("key" in result.line)
    return found
