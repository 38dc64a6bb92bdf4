"""No body kills or stalls a function: generated bodies of up to 6 MB, to the functions as they are deployed, under a real limit of
memory."""

import contextlib
import itertools
import json
import random
import re
import socket
import threading
import time

import bodies
import figures
import pytest
from function import RELEASE, Function
from hostile.case import body, signed
from shop import condition
from stack import constant, shipped

MEGABYTE = 1024 * 1024

# How much memory a request may take beside the process's own: so many times its body, and this. SECURITY.md promises it.
MULTIPLE_MAX, BESIDE = 8, 16 * MEGABYTE

# The address space of the whole process, of Lambda's 256 MB.
PROCESS_MAX = 200 * MEGABYTE

CPU_SECONDS_MAX = 1

ELEMENTS_MAX = constant("ELEMENTS_MAX")

# Anything that answers is fine here; what it answers, the hostile corpus says.
ANSWERS = {200, 400, 413, 422}

# The longest of these tests sends 200 bodies of 6 MB, each to a process of its own: a minute.
pytestmark = pytest.mark.timeout(1800)

# For the page of figures.
MEASURED = {"limits": [], "limits-of-rules": [], "rules-loaded": [], "growth": []}


@pytest.fixture(scope="module", autouse=True)
def measured():
    yield
    for name, rows in MEASURED.items():
        if rows:
            figures.write(name, rows)


def limited(stack, channel):
    """The deployed function with a limit of memory that the kernel keeps."""
    return Function(
        channel,
        stack.queue(channel),
        program=RELEASE / channel,
        memory_max=PROCESS_MAX,
        LOG_LEVEL="info",
        HOOK_TIMEOUT_MS="29000",
    )


def payload(channel, content):
    return json.dumps(signed(channel, content), ensure_ascii=False).encode()


def warm(function):
    """The process's own memory and CPU: what one small event leaves."""
    invocation = function.invoke(payload(function.channel, json.dumps(body(function.channel))))
    assert invocation.status == 200, invocation.log
    return function.memory_peak(), function.cpu_seconds()


@pytest.mark.parametrize("channel", shipped())
def test_no_body_takes_more_memory_or_time_than_promised(stack, channel):
    count = answered = most = slowest = 0
    over = []

    def measured(request):
        """The answer, whether the function is alive, its memory and its CPU."""
        with limited(stack, channel) as function:
            own, busy = warm(function)
            invocation = function.invoke(request)
            alive = function.alive() and function.starts == 1
            return invocation, alive, function.memory_peak() - own if alive else None, function.cpu_seconds() - busy if alive else 0

    for name, content in bodies.bodies(channel, ELEMENTS_MAX):
        request = payload(channel, content)
        assert len(request) <= bodies.PAYLOAD_BYTES_MAX, name
        invocation, alive, taken, busy = measured(request)
        if busy > CPU_SECONDS_MAX:
            # Other processes can slow a function down, but hardly twice.
            busy = min(busy, measured(request)[3])
        size = len(content.encode())
        count += 1
        answered += alive and invocation.status in ANSWERS
        most = max(most, (taken or 0) - BESIDE and ((taken or 0) - BESIDE) / size)
        slowest = max(slowest, busy)
        if not alive or taken > MULTIPLE_MAX * size + BESIDE or busy > CPU_SECONDS_MAX or invocation.status not in ANSWERS:
            over.append((name, size, taken and taken // 1024, round(busy, 2), invocation.status))
    MEASURED["limits"].append({
        "channel": channel,
        "bodies": count,
        "answered": answered,
        "most memory beyond 16 MB, in bodies": round(most, 1),
        "most CPU, ms": round(slowest * 1000),
    })  # fmt: skip
    assert not over, over


@pytest.mark.parametrize("channel", shipped())
def test_no_sequence_of_bodies_kills_a_function(stack, channel):
    """What one event leaves behind must leave room for the next."""
    many = list(bodies.bodies(channel, ELEMENTS_MAX, seed=2))
    random.Random(channel).shuffle(many)
    with limited(stack, channel) as function:
        warm(function)
        for name, content in many:
            invocation = function.invoke(payload(channel, content))
            assert invocation.status in ANSWERS and function.starts == 1, (name, invocation.status, invocation.log)
        warm(function)


# Rules

SAVED = "sales_order_save_after"
# What a hook waits for, in seconds, and how much of it is kept for the way of the answer. Rules have half of what is left.
HOOK, ANSWER_MARGIN = 0.6, 0.3
RULES_SECONDS = (HOOK - ANSWER_MARGIN) / 2
# A match cannot be interrupted. The slowest takes 30 ms of an idle core, and several times as much of one that is shared.
RULES_OVER_SECONDS_MAX = 0.15

EXCEPTION = {"op": "exception"}


def rules_of(conditions, then=EXCEPTION, per_rule=10):
    chunks = [conditions[at : at + per_rule] for at in range(0, len(conditions), per_rule)]
    return [{"name": f"rule-{number}", "when": chunk, "then": then} for number, chunk in enumerate(chunks)]


def matches(field, count, regex):
    return rules_of([condition(field, "regex", regex(number)) for number in range(count)], per_rule=1)


def order(raw=None, **fields):
    """The text of an order. In place of `@@` comes a JSON text."""
    return json.dumps({"order": {"entity_id": 1, "increment_id": "1", "state": "new", **fields}}).replace('"@@"', raw or "")


def letters(count, seed=1):
    return "".join(random.Random(seed).choices("ab", k=count))


def slow(number):
    return f"/(a|b)*a(a|b){{{60 + number % 40}}}c{number}/"


def large(number):
    return f"/a.{{{250 + number % 20}}}c{number}/s"


def empty(number):
    """Many ways to match nothing, which costs most for each character."""
    return f"/(?:(?:a*)(?:b*)){{{100 + number % 20}}}c{number}/"


def chains(depth):
    """Every path of so many steps, by name or to each element."""
    return ["order.x" + "".join(steps) for steps in itertools.product([".a", "[]"], repeat=depth)]


def nested(depth, inside):
    return '{"a":' * depth + inside + "}" * depth


ONES = "[" + "1," * 2_700_000 + "1]"
ALL_CHAINS = rules_of([condition(field, "notEmpty") for field in chains(9)])
ONE_CHAIN = [condition("order.x" + ".a" * depth, "isEmpty") for depth in range(14)]

# Each: the rules, the body, and whether they are known to run out of time.
RULES = {
    # More of such a text does not fit into a message, whatever the rules do.
    "one expression on a text of 4 MB": (matches("order.customer_note", 1, slow), lambda: order(customer_note=letters(4_000_000)), True),
    "100 expressions on a text of 32 KB": (matches("order.customer_note", 100, slow), lambda: order(customer_note=letters(32 * 1024)), True),
    "100 expressions on a text that is nearly too long": (matches("order.note", 100, slow), lambda: order(note=letters(6500)), True),
    "100 expressions of many steps on such a text": (matches("order.note", 100, large), lambda: order(note=letters(8500)), True),
    "100 expressions of nothing in many ways on such a text": (matches("order.note", 100, empty), lambda: order(note=letters(3000)), True),
    "100 expressions on each of 900 names of 6 KB": (
        matches("order.items[].name", 100, slow),
        lambda: order(items=[{"sku": "a", "qty_ordered": 1, "name": letters(6000, seed)} for seed in range(900)]),
        True,
    ),
    "100 expressions on each of 250,000 short texts": (
        matches("order.notes[]", 100, slow),
        lambda: order(notes=[letters(16, seed) for seed in range(1000)] * 250),
        True,
    ),
    "1,000 conditions on a field that no item has": (
        rules_of([condition("order.items[].name", "equal", str(number)) for number in range(1000)]),
        lambda: order(items=[{}] * 19_000),
        False,
    ),
    "1,000 conditions on a field that nothing in a list has": (
        rules_of([condition("order.x[].foo", "equal", str(number)) for number in range(1000)]),
        lambda: order(x=[{}] * 1_400_000),
        True,
    ),
    "1,000 fields of an object with a million members": (
        rules_of([condition(f"order.x.f{number}", "notEmpty") for number in range(1000)]),
        lambda: order("{" + '"f":1,' * 900_000 + '"f":1}', x="@@"),
        False,
    ),
    "1,000 fields of each of a million elements": (
        rules_of([condition(f"order.x[].f{number}", "notEmpty") for number in range(1000)]),
        lambda: order(x=[{}] * 1_400_000),
        True,
    ),
    "1,000 lists of values on every SKU": (
        rules_of([condition("order.items[].sku", "in", ",".join(f"{number}{one}" for one in range(50))) for number in range(1000)]),
        lambda: order(items=[{"sku": f"a{number}", "qty_ordered": 1} for number in range(19_000)]),
        False,
    ),
    "a message with ten values that nothing has": (
        rules_of([condition("order.state", "equal", "new")], EXCEPTION | {"message": "".join(f"{{order.x[].f{n}}}" for n in range(10))}),
        lambda: order(x=[{}] * 1_400_000),
        False,
    ),
    "a message with ten values beside a large one": (
        rules_of([condition("order.state", "equal", "new")], EXCEPTION | {"message": "".join(f"{{order.y{n}}}" for n in range(10))}),
        lambda: order(ONES, x="@@"),
        False,
    ),
    "a message with ten values of nothing but markup": (
        rules_of([condition("order.state", "equal", "new")], EXCEPTION | {"message": "{order.customer_firstname}" * 10}),
        lambda: order(customer_firstname="".join(random.Random(1).choices("<>\x7f\x80", k=4_000_000))),
        False,
    ),
    "paths of sixteen steps through lists of lists": (
        rules_of([condition("order.x" + "[]" * 14, "equal", str(number)) for number in range(1000)]),
        lambda: order("[" * 14 + "1," * 2_700_000 + "1" + "]" * 14, x="@@"),
        True,
    ),
    "every path of nine steps": (ALL_CHAINS, lambda: order(nested(9, ONES), x="@@"), True),
    "a path that ends at each of its steps": (rules_of(ONE_CHAIN), lambda: order(nested(14, ONES), x="@@"), False),
    "1,000 conditions, of which the first take all the time": (
        rules_of(ONE_CHAIN + [condition("order.items[].sku", "equal", str(number)) for number in range(980)]),
        lambda: order(nested(14, "[" + "1," * 2_600_000 + "1]"), x="@@", items=[{}] * 19_900),
        False,
    ),
}  # fmt: skip


def with_rules(stack, folder, mode, rules, hook_seconds):
    path = folder / f"{len(list(folder.iterdir()))}.json"
    path.write_text(json.dumps({"mode": mode, "rules": rules}))
    environment = {"RULES_FILE": str(path), "HOOK_TIMEOUT_MS": str(int(hook_seconds * 1000)), "LOG_LEVEL": "info"}
    return Function(SAVED, stack.queue(SAVED), program=RELEASE / SAVED, memory_max=PROCESS_MAX, **environment)


@pytest.mark.parametrize("mode", ["enforce", "observe"])
@pytest.mark.parametrize("name", RULES)
def test_rules_end_in_their_share_of_the_time(stack, tmp_path, name, mode):
    rules, make, runs_out = RULES[name]
    content = make()
    request = payload(SAVED, content)

    def taken(rules):
        """The CPU of each of several events, the memory of all, and what came of the last. An expression is slow only when it has given
        up to be quick."""
        with with_rules(stack, tmp_path, mode, rules, HOOK) as function:
            own, busy = warm(function)
            spent = []
            for _ in range(4):
                invocation = function.invoke(request)
                assert function.starts == 1, invocation.log
                # So little time is left beside so large an event that a busy machine may not queue it.
                assert invocation.status in (200, 413, 504)
                spent.append(function.cpu_seconds() - busy - sum(spent))
            return spent, function.memory_peak() - own, invocation

    without, _, _ = taken([])
    spent, memory, invocation = taken(rules)
    without, spent = min(without), max(spent)
    unevaluated = invocation.line.get("unevaluated")
    MEASURED["limits-of-rules"].append({
        "rules": name,
        "mode": mode,
        "CPU, ms": round((spent - without) * 1000),
        "memory, MB": round(memory / MEGABYTE),
        "rules not evaluated": len(unevaluated.split(",")) if unevaluated else 0,
    })  # fmt: skip
    assert spent - without <= RULES_SECONDS + RULES_OVER_SECONDS_MAX
    assert memory <= MULTIPLE_MAX * len(content) + BESIDE
    if runs_out and (mode == "enforce" or invocation.status == 200):
        assert unevaluated


@pytest.mark.parametrize(
    "name",
    [
        "one expression on a text of 4 MB",
        "100 expressions on a text of 32 KB",
        "1,000 fields of each of a million elements",
        "every path of nine steps",
    ],
)
def test_rules_that_are_observed_cost_no_event(stack, tmp_path, name):
    """The worst rules, with the time that a hook has by default."""
    rules, make, _ = RULES[name]
    with with_rules(stack, tmp_path, "observe", rules, 5) as function:
        invocation = function.invoke(payload(SAVED, make()))
    assert (invocation.status, invocation.body) == (200, {"op": "success"}), invocation.log
    assert (invocation.line["forwarded"], invocation.line["level"]) == ("yes", "WARN")
    assert invocation.line["unevaluated"]


# The largest files that load

WIDE = r"[b-\x{10ffff}]"
FILES = {
    "ranges over all of Unicode": rules_of([condition("order.note", "regex", f"/{WIDE}{{0}}a/iu") for _ in range(16)], per_rule=1),
    "100 expressions of 2 KB": rules_of([condition("order.note", "regex", f"/[{'ab' * 1000}{n}]/iu") for n in range(100)], per_rule=1),
    "100 expressions of nothing": rules_of([condition("order.note", "regex", f"/(?:{'|' * 2000}){{0}}a{n}/") for n in range(100)], per_rule=1),
    "1,000 lists": rules_of([condition("order.state", "in", ",".join(f"{n}-{one}" for one in range(50))) for n in range(1000)]),
    "values that are deep": rules_of(
        [condition("order.state", "equal", "x")], {"op": "add", "path": "data/order/x", "value": json.loads('{"":' * 100 + "1" + "}" * 100)}
    )
    * 100,
}  # fmt: skip
START_CPU_SECONDS_MAX = 2


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_loads_starts_a_function_in_time(stack, tmp_path, name):
    rules = [rule | {"name": f"rule-{number}"} for number, rule in enumerate(FILES[name])]
    with with_rules(stack, tmp_path, "enforce", rules, 5) as function:
        _, busy = warm(function)
    MEASURED["rules-loaded"].append({"file": name, "CPU of start and first event, ms": round(busy * 1000)})
    assert busy < START_CPU_SECONDS_MAX


# Answers of the stock system

CART = "checkout_cart_product_add_after"


# What a server begins with and then repeats: one byte at a time, the same in chunks, chunks whose size has thousands of zeros, headers.
ENDLESS = {
    "bytes": (b"HTTP/1.1 200 OK\r\ncontent-length: 65536\r\n\r\n", b" "),
    "chunks": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "zeros": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"0" * 9000 + b"1\r\n \r\n"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n"),
}
# So far apart that the function reads each alone.
PACE_SECONDS = 0.00003


def endless(connection, answer, seconds):
    first, again = ENDLESS[answer]
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.recv(65536)
    connection.sendall(first)
    now = time.perf_counter()
    ends = now + seconds
    while now < ends:
        connection.sendall(again)
        now += PACE_SECONDS
        # A sleep would be longer.
        while time.perf_counter() < now:
            pass


@pytest.mark.parametrize("answer", ENDLESS)
def test_no_answer_of_the_stock_system_takes_more_memory_than_promised(stack, answer):
    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    endless(connection, answer, 3)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        settings = {"STOCK_URL": f"http://127.0.0.1:{server.getsockname()[1]}/{{sku}}", "STOCK_WHEN_UNKNOWN": "allow"}
        with Function(CART, stack.queue(CART), program=RELEASE / CART, memory_max=PROCESS_MAX, LOG_LEVEL="info", **settings) as function:
            function.invoke({})
            own = function.memory_peak()
            invocation = function.invoke(payload(CART, json.dumps(body(CART))))
            taken = function.memory_peak() - own
            assert (invocation.status, function.starts) == (200, 1), invocation.log
    assert invocation.line["finding"] in ("stock_timed_out", "stock_nonsense", "stock_unreachable")
    assert taken < BESIDE


# Growth: what is twice as large takes twice the work, counted in instructions, which no busy machine changes


def instructions(stack, folder, content=None):
    """How many instructions a process executes for its start, a small event, and this one."""
    counted = folder / "counted"
    valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={counted}", "--log-file=/dev/null"]
    environment = {"LOG_LEVEL": "info", "HOOK_TIMEOUT_MS": "29000"}
    with Function(SAVED, stack.queue(SAVED), program=RELEASE / SAVED, under=valgrind, **environment) as function:
        warm(function)
        if content:
            invocation = function.invoke(payload(SAVED, content))
            assert invocation.status in ANSWERS, invocation.log
        function.process.terminate()
        function.process.wait(60)
    return int(re.search(r"^summary: (\d+)", counted.read_text(), re.MULTILINE)[1])


@pytest.fixture(scope="module")
def without(stack, tmp_path_factory):
    return instructions(stack, tmp_path_factory.mktemp("growth"))


FITTING = {
    "list": [("data", "order", "items"), ("data", "order", "addresses"), ("data", "order", "billing_address", "street")],
    "object": [("data", "order"), ("data", "order", "payment"), ("data",)],
    "text": [("data", "order", "customer_firstname"), ("data", "order", "customer_email"), ("data", "order", "billing_address", "street")],
    "number": [("data", "order", "grand_total"), ("data", "order", "entity_id"), ("data", "order", "created_at")],
}


@pytest.mark.parametrize(
    "place, filler",
    [
        pytest.param(bodies.Place(chance.choice(FITTING[kind]), kind), filler, id=filler.name)
        for chance in [random.Random(1)]
        for kind, filler in bodies.FILLERS
    ],
)
def test_work_grows_no_faster_than_the_body(stack, tmp_path, without, place, filler):
    # Lists stay below their limit, and what becomes a message below the size at which it is compressed.
    count = 8_000 if filler.separator else 40_000
    once = instructions(stack, tmp_path, bodies.filled(SAVED, place, filler.of(count))) - without
    twice = instructions(stack, tmp_path, bodies.filled(SAVED, place, filler.of(2 * count))) - without
    assert twice < 2.5 * once + 1_000_000, (place.name, once, twice)
    MEASURED["growth"].append({"what is doubled": f"{place.name}: {filler.name}", "instructions": once, "times as many for twice": round(twice / once, 2)})


def test_compression_grows_no_faster_than_the_body(stack, tmp_path, without):
    note = bodies.Place(("data", "order", "note"), "text")
    text = '"' + letters(1_100_000) + letters(1_100_000) + '"'
    once, twice = (
        instructions(stack, tmp_path, bodies.filled(SAVED, note, one)) - without for one in (f'"{letters(1_200_000)}"', text)
    )
    assert twice < 2.5 * once
