"""Everything in hostile/, one request after the other, to the real functions: each gets the answer that the README promises, none
hurts a process, and nothing that came in comes out again but in the queue."""

import json
import re
import uuid
from contextlib import ExitStack

import figures
import hostile
import pytest
from function import Function
from hostile import tokens
from hostile.case import STATUS, body, signed
from shop import assert_nothing_leaks
from stack import ROOT, channels, constant, is_metrics

CORPUS = list(hostile.corpus())
SMALL_ONES = [pytest.param(case, id=f"{theme}-{case.name}") for theme, case in CORPUS if not case.large]
# The contract is not read before the token was verified.
STRICT_ONES = [pytest.param(case, id=f"{theme}-{case.name}") for theme, case in CORPUS if not case.large and theme != "tokens"]
LARGE_ONES = [pytest.param(case, id=f"{theme}-{case.name}") for theme, case in CORPUS if case.large]

# The shop waits no longer (HOOK_TIMEOUT_MS).
PATIENCE_SECONDS = 5

# 6 MB keep an unoptimised build busy for a second or two, and much longer where others compile beside it. So the large requests
# have all the time that there is, and what counts is the function's own.
LARGE = {"HOOK_TIMEOUT_MS": "30000"}

# How much memory a request may take beside the process's own, in sizes of its event: the event as it arrives, the runtime's copy of
# it, the body without the gateway's escapes, and the message, which has three sizes when a SKU is all of it (it stands in the
# subject, in the contract's entity and in the original). One more is for the allocator. Of 6 MB that makes 42 of Lambda's 256.
MEMORY_MULTIPLE_MAX = 7

# The sentences of answers stand in the code: whatever is not found there was made of a request.
SOURCE = "".join(
    path.read_text() for folder in ("shared", "functions") for path in sorted((ROOT / folder).glob("**/src/**/*.rs"))
)

OF_A_COLD_START = ("queue reached", "signatures are not verified: unsigned events are accepted", "keys of IMS read")

# A log line names at most so many places.
LOGGED_MAX = constant("POINTERS_MAX")

PLAIN_ID = re.compile(r"[A-Za-z0-9_.:=-]{1,128}")


class Shop:
    """The functions under test, and what came of the requests so far."""

    def __init__(self, stack, running):
        self.stack = stack
        self.running = running
        self.functions = {}
        self.queued = set()
        self.refused = 0
        self.accepted = 0
        self.lost = 0
        self.slowest = 0
        self.slowest_large = 0
        self.multiple = 0

    def function(self, case):
        """One function takes all requests of a channel."""
        key = case.channel, case.environment
        if key not in self.functions:
            self.functions[key] = self.running.enter_context(self.fresh(case))
        return self.functions[key]

    def fresh(self, case):
        environment = LARGE if case.large else dict(case.environment)
        if "IMS_KEYS_URL" in environment:
            environment["IMS_KEYS_URL"] = tokens.IMS.url
        return Function(case.channel, self.stack.queue(case.channel), **environment)

    def send(self, function, case):
        """Sends the request, checks what must hold of any, and gives the size of the event and the seconds of the answer."""
        event = case.event()
        payload = event if isinstance(event, bytes) else json.dumps(event).encode()
        starts = max(function.starts, 1)
        invocation = function.invoke(payload)
        survived = function.alive() and function.starts == starts
        self.lost += not survived
        self.refused += not case.accepted
        self.accepted += case.accepted
        assert survived and invocation.answer, invocation.log
        line = the_log_of(case, invocation.log)
        if case.accepted:
            self.queued.add(line["event_id"])
        pointers = assert_as_expected(case, invocation.answer, line)
        # Ids are logged on purpose, and a moment looks like any other.
        rest = [value for name, value in line.items() if isinstance(value, str) and not name.endswith(("_id", "timestamp"))]
        assert_nothing_leaks(case.channel, readable(event), pointers, json.dumps(rest, ensure_ascii=False))
        return len(payload), invocation.seconds


@pytest.fixture(scope="module")
def shop(stack):
    take_all(stack)
    with ExitStack() as running, tokens.IMS, tokens.TRAP:
        shop = Shop(stack, running)
        yield shop
    measured = {
        "bad requests": shop.refused,
        "requests that only look bad, accepted": shop.accepted,
        "panics or restarts": shop.lost,
        "slowest answer to a small one, ms": round(shop.slowest * 1000),
        "most CPU for one of 6 MB, ms": round(shop.slowest_large * 1000),
        "most memory, in sizes of the event": round(shop.multiple, 1),
    }
    figures.write("hostile", [{"what": what, "count": count} for what, count in measured.items()])


def take_all(stack):
    """Takes all messages out of the queues, unread: not every reader holds all numbers that JSON can write."""
    return [message for queue in {stack.queue(channel) for channel in channels()} for message in stack.take(queue)]


def the_log_of(case, log):
    """What was logged of the request: one line, which is JSON, with nothing in it that is not ours. A cold start has more.
    Metrics are the audit's."""
    lines = [json.loads(line) for line in log.splitlines() if not is_metrics(line)]
    answered = [line for line in lines if line["message"] == "answered"]
    assert len(answered) == 1
    assert all(line["message"] in OF_A_COLD_START for line in lines if line not in answered)
    line = answered[0]
    assert line["level"] == ("INFO" if case.accepted and not case.issues else "WARN")
    assert line["channel"] == case.channel
    assert line["outcome"] == case.outcome
    assert line["status"] == STATUS[case.outcome]
    assert line["forwarded"] == ("yes" if case.accepted else "no")
    assert (line["violations"], line["issues"]) == (case.violations, case.issues)
    logged = line.get("pointers", "").split()
    assert len(logged) <= LOGGED_MAX and set(logged) <= set(case.pointers)
    assert len(logged) == LOGGED_MAX or sorted(logged) == sorted(filter(None, case.pointers))
    assert all(PLAIN_ID.fullmatch(line[name]) for name in ("request_id", "shop_request_id") if name in line)
    assert all(str(uuid.UUID(line[name])) == line[name] for name in ("event_id",) if name in line)
    assert all(isinstance(line[name], int) for name in ("spent_ms", "left_ms", "cold_start"))
    known = "timestamp level message channel outcome status forwarded violations issues pointers request_id shop_request_id event_id subject_digest key shop finding spent_ms"
    assert set(line) <= {*known.split(), "left_ms", "cold_start", "trace_id"}
    return line


def assert_as_expected(case, answer, line):
    """The answer is one that API Gateway takes, and made of nothing but what we say to everybody, beside the pointers."""
    kind = "application/json" if case.accepted else "application/problem+json"
    content = json.loads(answer["body"])
    assert answer == {
        "statusCode": STATUS[case.outcome],
        "headers": {"content-type": kind},
        "body": answer["body"],
        "isBase64Encoded": False,
    }
    if case.accepted:
        assert content == {"op": "success"}
        return case.pointers
    errors = content.get("errors", [])
    pointers = [error["pointer"] for error in errors]
    assert sorted(pointers) == sorted(case.pointers)
    texts = [content["title"], content["detail"], *(error["detail"] for error in errors)]
    assert all(f'"{text}"' in SOURCE for text in texts)
    assert content.get("more_errors", 0) == case.more
    assert content.get("request_id", line["request_id"]) == line["request_id"]
    assert content["type"] == f"urn:commerce-webhooks:{case.outcome}" and content["status"] == STATUS[case.outcome]
    assert set(content) <= {"type", "title", "status", "detail", "request_id", "errors", "more_errors"}
    return pointers


def readable(event):
    """The request as the function reads it, if it is JSON at all."""
    try:
        return json.loads(event) if isinstance(event, bytes) else event
    except (RecursionError, ValueError):
        return None


def test_every_case_has_a_name_and_an_outcome():
    names = [f"{theme}-{case.name}" for theme, case in CORPUS]
    assert len(set(names)) == len(names)
    assert all(case.outcome in STATUS for _, case in CORPUS)
    assert all(case.pointers if case.outcome == "invalid" else case.accepted or not case.pointers for _, case in CORPUS)
    assert sum(not case.strict().accepted for _, case in CORPUS) >= 330


@pytest.mark.parametrize("case", SMALL_ONES)
def test_a_hostile_request(shop, case):
    _, seconds = shop.send(shop.function(case), case)
    shop.slowest = max(shop.slowest, seconds)
    assert seconds < PATIENCE_SECONDS


@pytest.mark.parametrize("case", STRICT_ONES)
def test_a_hostile_request_to_a_strict_contract(shop, case):
    shop.send(shop.function(case.strict()), case.strict())


@pytest.mark.parametrize("case", LARGE_ONES)
def test_a_large_request_in_bounded_memory(shop, case):
    with shop.fresh(case) as function:
        warm = function.invoke(signed(case.channel, body(case.channel, note=case.name)))
        shop.queued.add(warm.line["event_id"])
        memory, busy = function.memory_peak(), function.cpu_seconds()
        size, _ = shop.send(function, case)
        multiple = (function.memory_peak() - memory) / size
        busy = function.cpu_seconds() - busy
    shop.multiple = max(shop.multiple, multiple)
    shop.slowest_large = max(shop.slowest_large, busy)
    assert multiple <= MEMORY_MULTIPLE_MAX
    assert busy < PATIENCE_SECONDS


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff"])
def test_what_is_no_json_ends_no_process(shop, payload):
    """Lambda hands over nothing but JSON; who else might call it gets an answer, too, and the next request is served."""
    with shop.fresh(SMALL_ONES[0].values[0]) as function:
        assert function.invoke({}).status == 400
        invocation = function.invoke(payload)
        assert (invocation.status, invocation.line["outcome"]) == (400, "not_a_request")
        assert function.invoke({}).status == 400
        assert function.starts == 1


def test_no_token_says_where_keys_are_read(shop):
    assert tokens.TRAP.requests == [], "what a token points to was asked"
    # At cold start, and for the tokens with an unknown key at most every ten seconds.
    functions = len({case.environment for case in tokens.CASES})
    assert {path for path, _ in tokens.IMS.requests} <= {"/ims/keys"} and len(tokens.IMS.requests) <= functions * 20


def test_only_what_was_accepted_is_queued(shop):
    found = {message["Attributes"]["MessageDeduplicationId"] for message in take_all(shop.stack)}
    assert found == shop.queued
