"""The benchmark: the function beside what people use today and beside a floor, in shuffled rounds of one run.

    bench.py            check that all do the same, measure, and print the table
    bench.py publish    write the figures of the last run into BENCHMARKS.md, and draw them
"""

import argparse
import collections
import datetime
import io
import json
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import events
import report
import subjects
from subjects import BUILT, Scenario, run, warm_up

MAIN = Scenario("10 KB, HMAC")
SCENARIOS = [
    MAIN,
    Scenario("10 KB, RSA", scheme="rsa"),
    Scenario("2 KB, HMAC", size=2_000),
    Scenario("2 KB, RSA", size=2_000, scheme="rsa"),
    Scenario("200 KB, HMAC", size=200_000, measured=30),
    Scenario("200 KB, RSA", size=200_000, scheme="rsa", measured=30),
    Scenario("10 KB, HMAC, every 20 ms", pause_ms=20, measured=30),
    Scenario("10 KB, RSA, every 20 ms", scheme="rsa", pause_ms=20, measured=30),
    Scenario("200 KB, HMAC, every 20 ms", size=200_000, pause_ms=20, measured=30),
    Scenario("10 KB, HMAC, plain HTTP", tls=False),
    Scenario("10 KB, RSA, plain HTTP", scheme="rsa", tls=False),
    Scenario("10 KB, HMAC, plain HTTP, every 20 ms", tls=False, pause_ms=20, measured=30),
    Scenario("10 KB, HMAC, any processor", together=False),
]
# The first is what is judged, and is run so often in each round that the least of all its runs is hardly an accident. The others are in
# some rounds, because most of the time is the slower peers'.
OFTEN = [MAIN] * 3
RARE = 3
# What SQS takes as it is, up to what must be compressed for it.
GROWTH = [2_000, 20_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000]
# Of two runs, so that what happens only once is in neither's difference.
SHORT, LONG = 20, 220


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("command", nargs="?", choices=["publish"])
    arguments.add_argument("--rounds", type=int, default=15)
    arguments = arguments.parse_args()
    results = BUILT / "results.json"
    if arguments.command == "publish":
        report.publish(json.loads(results.read_text()))
        return
    chosen = subjects.subjects()
    check(chosen)
    measured = {
        "machine": machine(),
        "rounds": arguments.rounds,
        "subjects": [one.name for one in chosen],
        "scenarios": [one.name for one in SCENARIOS],
        "sizes": {one.name: sizes(one.binary) for one in chosen if one.binary},
        "counts": {one.name: counts(one) for one in chosen if one.binary},
        "runs": rounds(chosen, arguments.rounds),
        "growth": growth(next(one for one in chosen if one.name == "this")),
    }
    results.write_text(json.dumps(measured))
    print(report.text(measured))


# That all do the same


def check(chosen):
    """All give the same answers to the same requests, and send the same messages. Without that, no figure says anything."""
    requests = cases()
    path = subjects.world() / "cases.events"
    path.write_text("\n".join(requests.values()))
    expected = None
    for subject in sorted(chosen, key=lambda one: one.name != "this"):
        if not subject.works:
            continue
        say(f"checking {subject.name}")
        ran = run(subject, MAIN, events=str(path), warm_up=0, measured=len(requests) - 1, keep=True)
        answers = dict(zip(requests, map(answer, ran["answers"]), strict=True))
        messages = [message(json.loads(sent)) for sent in ran["sent"]]
        expected = expected or (answers, messages)
        for case, (is_, should) in {case: (answers[case], expected[0][case]) for case in requests}.items():
            if is_ != should:
                raise SystemExit(f"{subject.name} answers {is_} to {case}, and not {should}")
        if messages != expected[1]:
            raise SystemExit(f"{subject.name} does not send the messages that all send")
    if not {200, 400, 401, 422} <= {status for status, _ in expected[0].values()}:
        raise SystemExit("the cases are not what they should be")


def cases():
    """Requests by name: good ones of all kinds, and some with a mistake."""
    good = {
        f"a good one of {size} bytes by {scheme}": events.request(bytes_, events.sign(bytes_, scheme))
        for size in (2_000, 10_000, 200_000)
        for scheme in ("hmac", "rsa")
        for bytes_ in [events.body(size, size)]
    }
    body = events.body(10_000, 7)

    def without(old, new):
        changed = body.replace(old.encode(), new.encode())
        assert changed != body, old
        return events.request(changed, events.sign(changed, "hmac"))

    return {
        **good,
        "one that was changed": events.request(body.replace(b"shop.example", b"shop.invalid"), events.sign(body, "hmac")),
        "one that was changed, by rsa": events.request(body.replace(b"shop.example", b"shop.invalid"), events.sign(body, "rsa")),
        "one without signature": events.request(body, {}),
        "no JSON": events.request(body[:-1], events.sign(body[:-1], "hmac")),
        "another event": without("sales_order_place_after", "sales_order_save_after"),
        "one without total": without('"grand_total"', '"grand_sum"'),
        "one without SKU": without('"sku"', '"sku_"'),
    }


def answer(text):
    """What Commerce sees of an answer. How the body of a refusal is worded is everybody's own."""
    said = json.loads(text)
    status = said["statusCode"]
    return status, json.loads(said["body"]) if status == 200 else None


def message(sent):
    """What SQS sees of a message, without the moment, and with its body as JSON."""
    body = json.loads(sent.pop("MessageBody"))
    made = datetime.datetime.fromisoformat(body.pop("time"))
    if abs(datetime.datetime.now(datetime.UTC) - made) > datetime.timedelta(minutes=1):
        raise SystemExit(f"a message is of {made}")
    sent.pop("QueueUrl")
    return {**sent, "body": body}


# Measuring


def rounds(chosen, count):
    """Every subject in every scenario, in a new order each round: what the machine does meanwhile hits all alike."""
    runs = collections.defaultdict(list)
    for number in range(count):
        scenarios = OFTEN + SCENARIOS[1:] if number % RARE == 0 else OFTEN
        order = [(subject, scenario) for subject in chosen for scenario in scenarios]
        random.shuffle(order)
        for index, (subject, scenario) in enumerate(order):
            say(f"round {number + 1} of {count}, run {index + 1} of {len(order)}")
            ran = run(subject, scenario)
            ran["p50"] = statistics.median(ran["latencies"])
            ran["p99"] = sorted(ran.pop("latencies"))[int(scenario.measured * 0.99)]
            wrong = ran["messages"] != (1 + scenario.measured + warm_up(subject, scenario) if subject.works else 0)
            if wrong or ran["connections"] > 1 + (subject.name in ("plain Rust", "Node", "Python")):
                raise SystemExit(f"{subject.name}, {scenario.name}: {ran['messages']} messages, {ran['connections']} connections")
            runs[f"{subject.name}/{scenario.name}"].append({key: ran[key] for key in FIGURES})
    return runs


FIGURES = ["cold_wall", "cold_cpu", "first_cpu", "event_cpu", "p50", "p99", "memory"]


def counts(subject):
    """What an event costs, counted and not timed: system calls, instructions, allocations. The same whenever it is counted."""
    found = {}
    if needs("strace"):
        found["syscalls"] = difference(subject, system_calls)
    if needs("valgrind"):
        found["instructions"] = difference(subject, instructions)
        found["allocations"] = difference(subject, allocations)
    return found


def difference(subject, count):
    say(f"counting {count.__name__.replace('_', ' ')} of {subject.name}")
    return (count(subject, LONG) - count(subject, SHORT)) / (LONG - SHORT)


def needs(tool):
    if shutil.which(tool):
        return True
    say(f"{tool} is missing (Debian: apt install {tool}): what it counts is left out\n")
    return False


def under(subject, command, measured):
    return run(replace(subject, command=[*command, *subject.command]), MAIN, warm_up=0, measured=measured)


def system_calls(subject, measured):
    with tempfile.NamedTemporaryFile(dir=BUILT) as file:
        # Not as the parent, which would take the signal that ends the program.
        under(subject, ["strace", "-D", "-f", "-o", file.name], measured)
        time.sleep(0.5)
        return sum(1 for line in Path(file.name).read_text().splitlines() if re.match(r"\d+ +\w+\(", line))


def instructions(subject, measured):
    """With those of SHA-256 in software, because valgrind knows none of the processor's for it."""
    with tempfile.NamedTemporaryFile(dir=BUILT) as file:
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={file.name}"]
        under(subject, tool, measured)
        totals = re.search(r"^(?:totals|summary): (\d+)", Path(file.name).read_text(), re.MULTILINE)
        return int(totals[1])


def allocations(subject, measured):
    with tempfile.NamedTemporaryFile(dir=BUILT) as file:
        under(subject, ["valgrind", "--tool=dhat", f"--dhat-out-file={file.name}"], measured)
        return sum(point["tbk"] for point in json.loads(Path(file.name).read_text())["pps"])


def growth(subject):
    """How processor time and memory grow with the body."""
    runs = collections.defaultdict(list)
    for size in random.sample(GROWTH * 5, k=len(GROWTH) * 5):
        say(f"an order of {size} bytes")
        runs[size].append(run(subject, Scenario("growth", size=size, measured=20), warm_up=5))
    return [{"size": size, **{figure: min(one[figure] for one in runs[size]) for figure in ("event_cpu", "memory")}} for size in GROWTH]


def sizes(binary):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        archive.write(binary, "bootstrap")
    return {"binary": binary.stat().st_size, "zip": packed.tell()}


def machine():
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "rust": version("rustc", "--version"),
        "node": version("node", "--version"),
        "python": version(BUILT / "python/bin/python", "--version"),
    }


def version(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def say(text):
    """One line that is written over, or nothing where nobody looks on."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text.endswith("\n"):
        print(text, end="", file=sys.stderr)


if __name__ == "__main__":
    main()
