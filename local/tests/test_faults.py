"""What a shop gets, and what is in the queue, while AWS, the net or the machine fails. The real functions, the real queue API."""

import contextlib
import json
import resource
import socket
import threading
import time
import urllib.request
import uuid

import figures
import ims
import pytest
from faults import REACHES_AWS, Proxy
from function import PREFIX, Function, RuntimeApi
from shop import LATE_MS, request
from stack import sample_keys, sample_secret

PLACED = "sales_order_place_after"
HOOK_TIMEOUT_MS = 1500
ANSWER_MARGIN_MS = 300
# Until a function, on a busy machine, sees that its connection is gone.
SEEN_SECONDS_MAX = 30
MEASURED = []


@pytest.fixture(scope="module", autouse=True)
def measured():
    yield
    figures.write("faults", MEASURED)


def note(fault, where, results):
    """Keeps the slowest of some answers for the page of figures."""
    slowest = max(result.seconds for result in results)
    answers = sorted({f"{result.status} {result.line['outcome'] if result.answer else 'died'}" for result in results})
    queued = sorted({result.line["forwarded"] if result.answer else "unknown" for result in results})
    MEASURED.append({"fault": fault, "where": where, "answer": ", ".join(answers), "queued": ", ".join(queued),
                     "slowest, ms": round(slowest * 1000)})  # fmt: skip


def order(number):
    return {"order": {"increment_id": number, "grand_total": 1, "order_currency_code": "EUR", "items": [{"sku": "x", "qty_ordered": 1}]}}


def placed():
    """A request with an order that never was before, dated now."""
    made = request(PLACED, order(uuid.uuid4().hex))
    return dated_now(made)


def dated_now(made):
    made["requestContext"]["timeEpoch"] = int(time.time() * 1000)
    return made


def in_time(result):
    assert result.seconds * 1000 < HOOK_TIMEOUT_MS + LATE_MS, f"{result.seconds} s: {result.log}"
    return result


class Bench:
    """A function whose queue and secret are asked through proxies."""

    def __init__(self, stack, **environment):
        self.stack = stack
        self.queue = stack.queue(PLACED)
        self.environment = {"HOOK_TIMEOUT_MS": str(HOOK_TIMEOUT_MS), **environment}
        self.opened = contextlib.ExitStack()

    def __enter__(self):
        self.sqs = self.opened.enter_context(Proxy(self.stack.port))
        self.store = self.opened.enter_context(Proxy(self.stack.port))
        endpoints = {"AWS_ENDPOINT_URL_SQS": self.sqs.endpoint, "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.store.endpoint}
        self.function = self.opened.enter_context(Function(PLACED, self.queue, **endpoints, **self.environment))
        return self

    def __exit__(self, *_):
        self.opened.close()
        self.stack.messages(self.queue)

    def send(self, made=None, **how):
        return in_time(self.function.invoke(made or placed(), **how))

    def disconnect(self):
        """SQS refuses connections, and the function has seen that its own is gone."""
        before = len(self.function.sockets())
        self.sqs.stop_listening()
        stop = time.monotonic() + SEEN_SECONDS_MAX
        while len(self.function.sockets()) >= before:
            assert time.monotonic() < stop, "the function still has its connection"
            time.sleep(0.01)

    def queued(self):
        """Ids of what is in the queue, each as often as it is there."""
        return [message["MessageBody"]["id"] for message in self.stack.messages(self.queue)]

    def assert_truth(self, results):
        """Every event answered 200 is in the queue exactly once; of every other one, what the log says is true."""
        queued = self.queued()
        assert len(queued) == len(set(queued)), "twice in the queue"
        for result in results:
            if not result.answer:
                continue
            identity, forwarded = result.line["event_id"], result.line["forwarded"]
            assert (result.status == 200) == (forwarded == "yes")
            if forwarded != "unknown":
                assert (identity in queued) == (forwarded == "yes"), result.log
        known = {result.line["event_id"] for result in results if result.answer}
        assert set(queued) <= known, "an event from nowhere"
        return queued


# The queue


QUEUE_FAULTS = {
    "throttled": (503, "queue_refused", "no"),
    "denied": (503, "queue_refused", "no"),
    **dict.fromkeys(["fails", "resets", "garbage", "empty"], (503, "queue_interrupted", "unknown")),
    **dict.fromkeys(["resets-after", "truncated-after", "fails-after"], (503, "queue_interrupted", "unknown")),
    **dict.fromkeys(["hangs", "hangs-after"], (504, "queue_timed_out", "unknown")),
}


def test_every_fault_of_the_proxy_is_tried():
    assert {*QUEUE_FAULTS, "passes"} == set(REACHES_AWS)


@pytest.mark.parametrize("fault", QUEUE_FAULTS)
def test_a_failing_queue(stack, fault):
    status, outcome, forwarded = QUEUE_FAULTS[fault]
    with Bench(stack) as bench:
        bench.sqs.fault = fault
        cold = placed()
        results = [bench.send(cold), bench.send()]
        bench.sqs.fault = "passes"
        results += [bench.send()]
        bench.sqs.fault = fault
        warm = placed()
        results += [bench.send(warm)]
        for index in (0, 1, 3):
            said = results[index]
            assert (said.status, said.line["outcome"], said.line["forwarded"]) == (status, outcome, forwarded), said.log
            assert said.body["status"] == status
        assert results[2].status == 200, "the queue is back"
        note(f"queue {fault}", "cold and warm", [results[0], results[1], results[3]])
        queued = bench.assert_truth(results)
        assert len(queued) == (4 if REACHES_AWS[fault] else 1)

        # Commerce never sends again, but a person may: what had arrived is no second message, what had not arrives now.
        bench.sqs.fault = "passes"
        again = [bench.send(dated_now(made)) for made in (cold, warm)]
        assert [result.status for result in again] == [200, 200]
        assert len(bench.queued()) == (0 if REACHES_AWS[fault] else 2)
        assert bench.function.starts == 1


@pytest.mark.parametrize("fault", QUEUE_FAULTS)
def test_a_queue_that_is_back_at_the_second_attempt(stack, fault):
    with Bench(stack) as bench:
        bench.send()
        attempts = iter([fault, "passes"])
        bench.sqs.fault = lambda _: next(attempts)
        result = bench.send()
        if fault == "denied":
            assert (result.status, result.line["forwarded"]) == (503, "no"), "no second attempt makes it allowed"
        else:
            assert (result.status, result.line["forwarded"]) == (200, "yes"), result.log
        note(f"queue {fault}, then back", "warm", [result])
        assert result.line["event_id"] in bench.queued() or fault == "denied"


def test_a_queue_that_refuses_connections_and_comes_back(stack):
    with Bench(stack) as bench:
        bench.sqs.stop_listening()
        cold = [bench.send(), bench.send()]
        bench.sqs.listen_again()
        back = bench.send()
        bench.disconnect()
        warm = [bench.send(), bench.send()]
        bench.sqs.listen_again()
        back_again = bench.send()
        for result in [*cold, *warm]:
            assert (result.status, result.line["outcome"]) == (503, "queue_unreachable"), result.log
        assert (back.status, back_again.status) == (200, 200)
        note("queue refuses connections", "cold and warm", [*cold, *warm])
        bench.assert_truth([*cold, back, *warm, back_again])


@pytest.mark.parametrize("service", ["SQS", "SECRETS_MANAGER"])
def test_a_name_that_dns_does_not_know(stack, service):
    keys = {"WEBHOOK_KEYS": None, "WEBHOOK_KEYS_SECRET": "webhook-keys"} if service == "SECRETS_MANAGER" else {}
    with Bench(stack, **keys) as bench:
        bench.function.environment[f"AWS_ENDPOINT_URL_{service}"] = "http://nowhere.invalid"
        results = [bench.send(), bench.send()]
        for result in results:
            expected = "queue_unreachable" if service == "SQS" else "keys_unavailable"
            assert (result.status, result.line["outcome"], result.line["forwarded"]) == (503, expected, "no")
        note(f"DNS knows no {service}", "cold and warm", results)
        assert bench.queued() == []


# The machine


def limit_files(process, count):
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (count, resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[1]))


def test_out_of_file_descriptors(stack):
    with Bench(stack) as bench:
        first = bench.send()
        allowed = resource.prlimit(bench.function.process.pid, resource.RLIMIT_NOFILE)[0]
        limit_files(bench.function.process, 3)
        bench.disconnect()  # the connection is gone …
        bench.sqs.listen_again()
        starved = [bench.send(), bench.send()]  # … and a new one needs a descriptor
        limit_files(bench.function.process, allowed)
        fed = bench.send()
        for result in starved:
            assert (result.status, result.line["outcome"], result.line["forwarded"]) == (503, "queue_unreachable", "no"), result.log
        assert fed.status == 200
        assert bench.function.starts == 1
        note("no file descriptor left", "warm", starved)
        bench.assert_truth([first, *starved, fed])


@pytest.mark.parametrize("fault", ["hangs", "hangs-after"])
def test_a_process_killed_in_the_middle(stack, fault):
    with Bench(stack) as bench:
        assert bench.send().status == 200
        bench.sqs.fault = fault

        def kill():
            asked = len(bench.sqs.requests)
            deadline = time.monotonic() + 5
            while len(bench.sqs.requests) == asked and bench.sqs.requests[-1][1] == "passes" and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(0.1)  # so that what reaches the queue is there
            bench.function.process.kill()

        made = placed()
        killed = bench.send(made, while_it_runs=kill)
        assert killed.answer is None, "API Gateway answers 502 for it, so the shop knows"
        bench.sqs.fault = "passes"
        after = bench.send()
        assert after.status == 200
        assert bench.function.starts == 2
        note(f"killed while the queue {fault}", "warm", [killed])
        repeat = bench.send(dated_now(made))
        assert repeat.status == 200
        queued = bench.queued()
        assert queued.count(repeat.line["event_id"]) == 1
        assert len(queued) == 3, "the first, the killed one once, the one after"


# Time


@pytest.mark.parametrize(("skew_ms", "status"), [(3_600_000, 200), (-3_600_000, 200), (-29_000, 504), (-1_400, 504), (-500, 200)])
def test_clocks_that_disagree(stack, skew_ms, status):
    with Bench(stack) as bench:
        bench.send()
        made = placed()
        made["requestContext"]["timeEpoch"] += skew_ms
        result = bench.send(made)
        assert result.status == status, result.log
        bench.sqs.fault = "hangs"
        made = placed()
        made["requestContext"]["timeEpoch"] += skew_ms
        hanging = bench.send(made)
        assert hanging.status == 504
        if -HOOK_TIMEOUT_MS < skew_ms < 0:
            assert hanging.seconds * 1000 - skew_ms < HOOK_TIMEOUT_MS + LATE_MS, "what has passed counts"
        note(f"gateway's clock {skew_ms:+} ms, queue hangs", "warm", [hanging])


@pytest.mark.parametrize("lambda_seconds", [0.0, 0.05, 0.4, 0.9])
def test_lambda_ends_before_the_shop_does(stack, lambda_seconds):
    with Bench(stack, HOOK_TIMEOUT_MS="20000") as bench:
        bench.send()
        bench.sqs.fault = "hangs"
        # Long before the shop's deadline. Lambda would end what is later than its own.
        made = placed()
        invocation = bench.function.server.submit(made, lambda_seconds)
        started = time.monotonic()
        assert invocation.done.wait(lambda_seconds + LATE_MS / 1000), "no answer before Lambda's deadline"
        took = time.monotonic() - started
        assert invocation.answer["statusCode"] == 504
        forwarded = [json.loads(line) for line in bench.function.log().splitlines()][-1]["forwarded"]
        assert forwarded == ("no" if lambda_seconds < 0.1 else "unknown")
        MEASURED.append({"fault": f"Lambda's deadline in {lambda_seconds * 1000:.0f} ms, queue hangs", "where": "warm",
                         "answer": "504", "queued": forwarded, "slowest, ms": round(took * 1000)})  # fmt: skip


# The secret store. What replacing keys means stands in test_keys.py.


STORE_FAULTS = [fault for fault in REACHES_AWS if fault != "passes"]


@pytest.fixture
def secret(stack):
    """The name of a secret of its own, with the sample keys."""
    name = f"keys-{uuid.uuid4().hex[:8]}"
    stack.client("secretsmanager").create_secret(Name=name, SecretString=sample_keys())
    return name


def with_secret(stack, name, **more):
    return Bench(stack, WEBHOOK_KEYS=None, WEBHOOK_KEYS_SECRET=name, KEYS_REFRESH_SECONDS="1", **more)


@pytest.mark.parametrize("fault", [*STORE_FAULTS, "closed"])
def test_a_failing_secret_store_at_cold_start(stack, secret, fault):
    with with_secret(stack, secret) as bench:
        if fault == "closed":
            bench.store.stop_listening()
        else:
            bench.store.fault = fault
        results = [bench.send(), bench.send()]
        for result in results:
            assert (result.status, result.line["outcome"], result.line["forwarded"]) == (503, "keys_unavailable", "no"), result.log
            assert result.line["level"] == "ERROR"
        assert "no key is known" in results[0].log and '"store_error"' in results[0].log
        note(f"secret store {'refuses connections' if fault == 'closed' else fault}", "cold", results)
        if fault == "closed":
            bench.store.listen_again()
        bench.store.fault = "passes"
        time.sleep(1.0)
        back = bench.send()
        assert (back.status, back.line["key"]) == (200, "current/hmac_secrets/0"), back.log
        assert bench.function.starts == 1
        bench.assert_truth([back])


@pytest.mark.parametrize("fault", STORE_FAULTS)
def test_a_hiccup_of_the_secret_store_costs_no_event(stack, secret, fault):
    with with_secret(stack, secret) as bench:
        attempts = iter([fault])
        bench.store.fault = lambda _: next(attempts, "passes")
        result = bench.send()
        assert result.status == 200, result.log
        assert '"store_error"' in result.log, "it was tried in vain"
        note(f"secret store {fault}, then back", "cold", [result])


@pytest.mark.parametrize("fault", [*STORE_FAULTS, "closed"])
def test_a_failing_secret_store_later(stack, secret, fault):
    """Known keys keep working, and only one request in a while waits for a store that is away."""
    with with_secret(stack, secret) as bench:
        assert bench.send().status == 200
        time.sleep(1.0)  # the keys are old now
        if fault == "closed":
            bench.store.stop_listening()
        else:
            bench.store.fault = fault
        results = [bench.send() for _ in range(5)]
        assert [result.status for result in results] == [200] * 5, results[0].log
        assert '"store_error"' in results[0].log, "it was asked, in vain"
        assert not any('"store_error"' in result.log for result in results[1:]), "and then left alone for a while"
        forged = placed()
        forged["headers"]["x-adobe-signature"] = "0" * 64
        refused = bench.send(forged)
        assert (refused.status, refused.line["outcome"]) == (401, "signature_wrong")
        note(f"secret store {'refuses connections' if fault == 'closed' else fault}", "warm", results)
        assert len(bench.queued()) == 6


# IMS. What its keys mean stands in test_ims.py, and which tokens count in hostile/tokens.py.


IMS_FAULTS = {
    "hangs": "timed_out",
    **dict.fromkeys(["resets", "garbage", "empty", "truncated", "closed"], "unreachable"),
    **dict.fromkeys(["fails", "denied", "redirect"], "status"),
    "huge": "too_large",
    "not-json": "not_keys",
    "no-keys": "no_key",
}


def test_every_fault_of_ims_is_tried():
    assert set(IMS_FAULTS) == {*ims.FAULTS, "closed"}


@pytest.fixture
def benches(stack):
    """For each fault of IMS a function that takes a signature or a token, and its stand-in for IMS. Together, so that they wait once."""
    with contextlib.ExitStack() as opened:
        made = {}
        for fault in IMS_FAULTS:
            server = opened.enter_context(ims.Ims())
            named = {"WEBHOOK_KEYS": sample_secret(), "SIGNATURE_SCHEMES": "hmac,rsa,ims", "IMS_KEYS_URL": server.url}
            made[fault] = server, opened.enter_context(Bench(stack, IMS_KEYS_REFRESH_SECONDS="1", **named))
        yield made


def with_token(server):
    made = placed()
    del made["headers"]["x-adobe-signature"]
    made["headers"] |= server.headers()
    return made


def strike(server, fault):
    if fault == "closed":
        server.stop_listening()
    else:
        server.fault = fault


def of_ims(fault):
    return f"IMS {'refuses connections' if fault == 'closed' else fault}"


def test_a_failing_ims_at_cold_start(benches):
    accepted = []
    for fault, (server, bench) in benches.items():
        strike(server, fault)
        results = [bench.send(with_token(server)), bench.send(with_token(server))]
        for result in results:
            assert (result.status, result.line["outcome"], result.line["forwarded"]) == (503, "ims_keys_unavailable", "no"), result.log
            assert result.line["level"] == "ERROR"
        assert "no key of IMS is known" in results[0].log and f'"ims_error":"{IMS_FAULTS[fault]}"' in results[0].log
        note(of_ims(fault), "cold", results)
        accepted.append(bench.send())
        assert (accepted[-1].status, accepted[-1].line["key"]) == (200, "inline/hmac_secrets/0"), "a signature is enough meanwhile"
        if fault == "closed":
            server.listen_again()
        server.fault = "serves"
    time.sleep(1.0)
    for server, bench in benches.values():
        accepted.append(bench.send(with_token(server)))
        assert (accepted[-1].status, accepted[-1].line["key"]) == (200, "inline/ims/client_ids/0"), accepted[-1].log
        assert bench.function.starts == 1
    bench.assert_truth(accepted)


def test_a_failing_ims_later(benches):
    """Known keys keep working, and only one request in a while waits for an IMS that is away."""
    accepted = []
    for server, bench in benches.values():
        accepted.append(bench.send(with_token(server)))
        assert accepted[-1].status == 200
    time.sleep(1.0)  # the keys are old now
    for fault, (server, bench) in benches.items():
        strike(server, fault)
        results = [bench.send(with_token(server)) for _ in range(4)]
        assert [result.line.get("key") for result in results] == ["inline/ims/client_ids/0"] * 4, results[0].log
        assert f'"ims_error":"{IMS_FAULTS[fault]}"' in results[0].log, "it was asked, in vain"
        assert sum('"ims_error"' in result.log for result in results) <= 1 + sum(result.seconds for result in results), "once a second"
        note(of_ims(fault), "warm", results)
        accepted += results
    bench.assert_truth(accepted)


def test_a_process_that_is_gone_takes_no_request_with_it():
    """Of the Runtime API that all these tests stand on."""
    server = RuntimeApi()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    with socket.create_connection(server.server_address) as gone:
        gone.sendall(f"GET {PREFIX}/invocation/next HTTP/1.1\r\nhost: {address}\r\n\r\n".encode())
        time.sleep(0.2)
    invocation = server.submit({"for": "the next"}, lambda_seconds=5)
    with urllib.request.urlopen(f"http://{address}{PREFIX}/invocation/next", timeout=5) as taken:
        assert taken.headers["lambda-runtime-aws-request-id"] == invocation.id
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("content", ["", "hush", "[]", '{"hmac_secret":"0123456789abcdef"}', "{}", '{"hmac_secrets":["short"]}'])
def test_a_secret_that_cannot_be_used(stack, content):
    name = f"keys-{uuid.uuid4().hex[:8]}"
    store = stack.client("secretsmanager")
    store.create_secret(Name=name, SecretString=content or " ")
    with with_secret(stack, name) as bench:
        result = bench.send()
        assert (result.status, result.line["outcome"]) == (503, "keys_unavailable")
        assert "hush" not in result.log and "short" not in result.log.replace("shorter", "")
        assert '"message":"secret: ' in result.log and '"version":"current"' in result.log
        store.put_secret_value(SecretId=name, SecretString=sample_keys())
        time.sleep(1.0)
        assert bench.send().status == 200, "mended, without a new start"
        assert bench.function.starts == 1


def test_no_secret_of_that_name(stack):
    name = f"keys-{uuid.uuid4().hex[:8]}"
    with with_secret(stack, name) as bench:
        result = bench.send()
        assert (result.status, result.line["outcome"]) == (503, "keys_unavailable")
        assert "ResourceNotFoundException" in result.log
        stack.client("secretsmanager").create_secret(Name=name, SecretString=sample_keys())
        time.sleep(1.0)
        assert bench.send().status == 200
