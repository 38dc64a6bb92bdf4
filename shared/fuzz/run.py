"""Runs the fuzz targets in parallel and prints a table of the results.

    run.py                         every target for ten minutes
    run.py --seconds 60 event pem  two targets for a minute each
    run.py --runs 20000            this number of inputs for each, from a fixed seed and the samples only
    run.py --input FILE event      one input, to reproduce a crash

It starts with the samples of the repository, and stores inputs that reach new code in target/fuzz/corpus/ for the next run.
It needs no sanitizer, because the workspace forbids unsafe code. So the stable compiler is enough.
"""

import argparse
import base64
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

FUZZ = Path(__file__).resolve().parent
ROOT = FUZZ.parent.parent
WORK = ROOT / "target" / "fuzz"
CHANNELS = sorted(path.name for path in (ROOT / "functions").iterdir() if (path / "rules.json").exists())
OPERATORS = ["greaterThan", "lessThan", "equal", "notEqual", "regex", "in", "isEmpty", "notEmpty", "notIn", "greaterThanOrEqual",
             "lessThanOrEqual", "startsWith", "endsWith", "contains"]  # fmt: skip
# Flags in the second byte of rules and in the first byte of a key, as in fuzz_targets/.
PARTS, DER = 0x80, 0x01

# The maximum length of an input of each target, in bytes: enough for the samples, and short enough for many inputs per second.
TARGETS = {"event": 8192, "pem": 4096, "request": 16384, "rules": 8192, "signature": 4096, "token": 4096}
# In seconds and megabytes; the Lambda function has 512 MB.
TIMEOUT, MEMORY = 10, 512

# Fast to build and fast enough to run. cargo-fuzz adds debug assertions and overflow checks.
PROFILE = {"OPT_LEVEL": "2", "LTO": "off", "STRIP": "none"}
COMMAND = [ROOT / "target" / "tools" / "bin" / "cargo-fuzz", "fuzz", "build", "--fuzz-dir", FUZZ, "--sanitizer", "none", "--codegen-units", "16"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"one of {', '.join(TARGETS)} (default: all)")
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument("--seconds", type=int, default=600, help="how long each target runs (default: %(default)s)")
    limit.add_argument("--runs", type=int, help="the number of inputs for each target, instead of a time")
    limit.add_argument("--input", type=Path, help="run the target on this input only")
    arguments = parser.parse_args()
    targets = arguments.targets or list(TARGETS)
    if unknown := set(targets) - set(TARGETS):
        parser.error(f"unknown target {', '.join(unknown)}; the targets are {', '.join(TARGETS)}")

    binaries = build(targets)
    if arguments.input:
        sys.exit(max(subprocess.run([binaries / target, arguments.input], check=False).returncode for target in targets))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda target: run(target, binaries / target, arguments.seconds, arguments.runs), targets))
    print(f"{'TARGET':<11}{'INPUTS':>10}{'PER SECOND':>12}{'EDGES':>8}{'OF':>8}{'KEPT':>7}{'MB':>6}  RESULT")
    for result in results:
        print("{target:<11}{inputs:>10}{speed:>12}{edges:>8}{of:>8}{kept:>7}{memory:>6}  {result}".format(**result))
    if not arguments.runs:
        write_figures(results, arguments.seconds)
    for result in results:
        print(result["report"], end="")
    sys.exit(any(result["report"] for result in results))


def write_figures(results, seconds):
    """Writes the results for the page of figures."""
    rows = [
        {"target": result["target"], "inputs": result["inputs"], "seconds": seconds, "edges": result["edges"], "result": result["result"]}
        for result in results
    ]
    folder = ROOT / "target" / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fuzz.json").write_text(json.dumps(rows, indent=2) + "\n")


def build(targets):
    """Builds the targets and returns the folder of the binaries."""
    print("Building the fuzz targets …", flush=True)
    profile = {f"CARGO_PROFILE_RELEASE_{name}": value for name, value in PROFILE.items()}
    only = targets if len(targets) == 1 else []
    command = [*COMMAND, "--target-dir", WORK / "build", *only]
    built = subprocess.run(command, env=os.environ | profile, stderr=subprocess.PIPE, text=True, check=False)
    if built.returncode:
        sys.exit(built.stderr)
    host = next(line for line in subprocess.check_output(["rustc", "-vV"], text=True).splitlines() if "host: " in line)
    return WORK / "build" / host.removeprefix("host: ") / "release"


def run(target, binary, seconds, runs):
    """Runs one target and returns its row of the table."""
    seeds, artifacts = empty_folder(WORK / "seeds" / target), WORK / "artifacts" / target
    artifacts.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(dict.fromkeys(SEEDS[target]())):
        (seeds / f"{index:03}").write_bytes(seed)
    dictionary = WORK / f"{target}.dict"
    dictionary.write_text("".join(f'"{escaped(word)}"\n' for word in words(target)))
    if runs:
        corpus, limit = empty_folder(WORK / "scratch" / target), [f"-runs={runs}", "-seed=1"]
    else:
        corpus, limit = WORK / "corpus" / target, [f"-max_total_time={seconds}"]
        corpus.mkdir(parents=True, exist_ok=True)
    options = [
        *limit,
        f"-max_len={TARGETS[target]}",
        f"-timeout={TIMEOUT}",
        f"-rss_limit_mb={MEMORY}",
        f"-dict={dictionary}",
        f"-artifact_prefix={artifacts}/",
        "-print_final_stats=1",
    ]
    command = [binary, *options, corpus, seeds]
    started = time.monotonic()
    process = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    seconds_elapsed = time.monotonic() - started
    log = process.stderr.decode(errors="replace")
    # The fuzzer also writes slow inputs, which are not failures.
    found = [Path(path) for path in re.findall("Test unit written to (.+)", log) if "/slow-unit-" not in path]
    inputs = int(last(r"stat::number_of_executed_units:\s*(\d+)", log, "0"))
    ok = process.returncode == 0
    return {
        "target": target,
        "inputs": inputs,
        "speed": round(inputs / seconds_elapsed),
        "edges": last(r" cov: (\d+) ", log),
        "of": last(r"Loaded 1 PC tables \((\d+) PCs\)", log),
        "kept": last(r" corp: (\d+)/", log),
        "memory": last(r"stat::peak_rss_mb:\s*(\d+)", log),
        "result": "ok" if ok else found[0].name.partition("-")[0] if found else f"exit {process.returncode}",
        "report": "" if ok else report(target, log, found),
    }


def report(target, log, found):
    """Returns why a target failed and how to reproduce it."""
    lines = [line for line in log.splitlines() if not line.startswith("stat::")]
    panic = next((index for index, line in enumerate(lines) if "panicked at" in line), -20)
    reason = "\n".join(f"  {line}" for line in lines[panic:][:40])
    lines = [f"\n{target} failed:", reason]
    for path in found:
        path = path.relative_to(ROOT)
        lines += [f"The input is {path}. To reproduce:", f"  make fuzz TARGET={target} INPUT={path}"]
    return "\n".join(lines) + "\n"


def last(pattern, text, default="-"):
    return (re.findall(pattern, text) or [default])[-1]


def empty_folder(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def samples(pattern):
    """Yields the samples of each channel: the number of the channel and the bytes."""
    for index, channel in enumerate(CHANNELS):
        for path in sorted((ROOT / "events" / channel).glob(pattern)):
            yield index, path.read_bytes()


def event_seeds():
    for index, body in samples("*.body.json"):
        yield bytes([index]) + body
    for index, body in samples("ideal.body.json"):
        event = json.loads(body)
        for data in variations(event["data"]):
            yield bytes([index]) + json.dumps({"data": data}).encode()
        yield bytes([index]) + json.dumps(event | {f"member{number}": number for number in range(70)}).encode()


def variations(value):
    """Yields the entity in forms that no sample has and that random changes rarely find: every list as an object, or long and
    invalid; every scalar replaced."""
    yield replace(value, lambda scalar: scalar, lambda elements: dict(enumerate(elements, 998)))
    yield replace(value, lambda scalar: scalar, lambda elements: [{}] * 150)
    for scalar in [None, True, -1, 1.5e-7, "1e3", "", "2026-06-18T22:27:11.5+02:00", "2026-06-18 20:27:11", [], [1], {}]:
        yield replace(value, lambda _, scalar=scalar: scalar, lambda elements: elements)


def replace(value, change_scalar, change_list):
    if isinstance(value, dict):
        return {key: replace(below, change_scalar, change_list) for key, below in value.items()}
    if isinstance(value, list):
        return change_list([replace(below, change_scalar, change_list) for below in value])
    return change_scalar(value)


def request_seeds():
    for _, text in samples("*.request.json"):
        yield text
    for _, text in samples("ideal.request.json"):
        request = json.loads(text)
        # As a load balancer writes them: each header once, or twice.
        for times in (1, 2):
            lists = {name: [value] * times for name, value in request["headers"].items()}
            yield json.dumps({"multiValueHeaders": lists} | {name: value for name, value in request.items() if name != "headers"}).encode()


def signature_seeds():
    signed = ROOT / "shared" / "tests" / "signature"
    body, rsa = (signed / "body.json").read_bytes(), (signed / "x-adobe-commerce-webhook-signature.txt").read_bytes()
    yield b"\0\n" + rsa.strip() + b"\n" + body
    for _, request in samples("*.request.json"):
        request = json.loads(request)
        headers = {name.lower(): value for name, value in request["headers"].items()}
        body = request["body"].encode()
        if request.get("isBase64Encoded"):
            body = base64.b64decode(body)
        hmac, rsa = headers.get("x-adobe-signature", ""), headers.get("x-adobe-commerce-webhook-signature", "")
        yield f"\0{hmac}\n{rsa}\n".encode() + body
    # The target signs these itself: in each encoding and for each selection of keys, unchanged and with one changed bit.
    yield from (bytes([mode, 5, change]) + b"{}" for mode in range(64) for change in (0, 1))


def token_seeds():
    created, hour = 1781814431000, 3600000
    head = {"alg": "RS256", "kid": "sample-1", "x5u": "ims_na1-key-at-1.cer", "typ": "JWT"}
    claims = {"client_id": "a", "type": "access_token", "as": "ims-na1", "created_at": str(created), "expires_in": str(hour)}
    # The target signs these itself: unchanged and with one changed bit.
    pairs = [(head, claims), (head | {"alg": "none"}, claims), (head | {"kid": "x"}, claims), (head | {"crit": []}, claims)]
    changes = [{"type": "x"}, {"created_at": created, "expires_in": hour}, {"created_at": "1"}, {"created_at": "9" * 20}]
    pairs += [(head, claims | change) for change in changes]
    for one, other in pairs:
        parts = json.dumps(one).encode() + b"\n" + json.dumps(other).encode()
        yield b"\0" + parts
        yield from (bytes([1, 5, change]) + parts for change in (0, 1))
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (head, claims)]
    yield b"\2Bearer " + b".".join([*encoded, b"AAAA"]) + b"\n0@AdobeOrg"
    number = base64.urlsafe_b64encode(b"\xff" * 256).rstrip(b"=").decode()
    key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "sample-1", "n": number, "e": "AQAB"}
    for keys in ([], [key], [key, key], [key, {"kty": "EC", "kid": "b"}], [key | {"kid": str(kid)} for kid in range(3)]):
        yield b"\3" + json.dumps({"keys": keys}).encode()


def pem_seeds():
    for path in sorted([*(ROOT / "shared" / "tests" / "signature").glob("*.pem"), ROOT / "events" / "sample-keys" / "public-key.pem"]):
        pem = path.read_bytes()
        yield b"\0" + pem
        yield b"\0" + pem + pem
        for between in (b" ", b"\\n", b"\\\\r\\\\n", b"", b"\n  \xc2\xa0", b'"\n"'):
            yield b"\0\xef\xbb\xbf" + pem.replace(b"\n", between)
        yield bytes([DER]) + base64.b64decode(b"".join(line for line in pem.splitlines() if not line.startswith(b"-")))


def rules_seeds():
    for index, channel in enumerate(CHANNELS):
        examples = ROOT / "functions" / channel / "examples.json"
        text = examples.read_text() if examples.exists() else '{"rules": []}'
        yield bytes([index, 0]) + text.encode()
        enabled = text.replace('"enabled": false', '"enabled": true')
        for _, body in (sample for sample in samples("*.body.json") if sample[0] == index):
            yield bytes([index, 0]) + enabled.encode() + b"\0" + body
        for rule in json.loads(text)["rules"]:
            then = rule["then"] if isinstance(rule["then"], dict) else rule["then"][0]
            for condition in (one for one in rule["when"] if "field" in one):
                value = condition.get("value", condition.get("valueField"))
                value = value if isinstance(value, str) else json.dumps(value)
                mode = PARTS | OPERATORS.index(condition["operator"])
                lines = [condition["field"], value, then.get("message", ""), then.get("path", "")]
                yield from (bytes([index, mode | kind << 4]) + "\n".join(lines).encode() for kind in range(7))
    # Fields outside the contract, which no sample rule uses.
    for index, body in samples("ideal.body.json"):
        event = json.loads(body)
        key = next(iter(event["data"]))
        for value in [None, True, -1, 1.5, "x", [1, [{"below": 2}]], {"below": {"7": "x"}}]:
            event["data"][key]["extra"] = event["data"]["other"] = value
            for number, field in enumerate([f"{key}.extra", f"{key}.extra.below[]", f"{key}.extra[][].below", "other[]"]):
                mode = PARTS | number * 2
                yield bytes([index, mode]) + f"{field}\n1\nIs {{{field}}}".encode() + b"\0" + json.dumps(event).encode()
    order, regex = CHANNELS.index("sales_order_place_after"), OPERATORS.index("regex")
    for pattern in PATTERNS:
        yield bytes([order, PARTS | regex]) + f"order.status\n{pattern}\n\ndata/order/note".encode()


SEEDS = {
    "event": event_seeds,
    "pem": pem_seeds,
    "request": request_seeds,
    "rules": rules_seeds,
    "signature": signature_seeds,
    "token": token_seeds,
}

JSON_WORDS = ["null", "true", "false", "1e-7", "-0", '""', "[]", "{}", r"\u0000", r"\ud800", "\ufffe", "2026-06-18T20:27:11+02:00"]
SHAPE_WORDS = ["event", "eventName", "event_id", "merchant_id", "environment_id", "data_object", "customer_data_object",
               "address_type", "addresses", "id", "billing", "shipping"]  # fmt: skip
PATTERN_WORDS = ["[^", "[[:alpha:]]", "(?:", "(?P<a>", "{2,3}", r"\d", r"\x{e9}", "$/D", "/isu", "data.", "[].", "{order.items[].sku}", "@shop"]
PATTERNS = ["/^a|b$/i", "/(?:p|(e)+)nd/D", "/(?P<n>[a-z-]{2,3})*$/us", r"/\d\s\w\b\x41/", "/[^[:alpha:]x-z]?/", r"~\A(a{2}|\.)\z~", "/é/u",
            r"/\p{L}/u", "/a**/", "/(?i)a/", "/[a&&b]/", "/$a/"]  # fmt: skip


def words(target):
    """Returns words that mutations rarely find: the names in the contract and in rules files."""
    files = sorted((ROOT / "shared" / "schema").iterdir())
    if target == "rules":
        files.append(ROOT / "shared" / "rules.schema.json")
    names = sorted({name for path in files for name in names_in(json.loads(path.read_text()))})
    if target in ("event", "request"):
        # In a request the body is a string, so its quotes are escaped.
        quote = '"' if target == "event" else '\\"'
        lists = ['"multiValueHeaders":{"', '":["'] if target == "request" else []
        return [f"{quote}{name}{quote}:" for name in [*names, *SHAPE_WORDS]] + JSON_WORDS + lists
    if target == "rules":
        return [*names, *OPERATORS, *JSON_WORDS, *PATTERN_WORDS]
    if target == "signature":
        return ["sha256=", "SHA256=", "=", "=="]
    if target == "token":
        names = ["alg", "kid", "crit", "client_id", "type", "created_at", "expires_in", "keys", "kty", "use", "n", "e"]
        return [*(f'"{name}":' for name in names), *JSON_WORDS, "Bearer ", "RS256", "access_token", "1781814431000"]
    markers = ["-----BEGIN PUBLIC KEY-----\n", "-----END PUBLIC KEY-----\n", "-----BEGIN RSA PUBLIC KEY-----\n", "-----BEGIN PRIVATE KEY-----\n"]
    return [*markers, "\\n", "\\r\\n", "\\\\n", "\\/", "\ufeff", "\u00a0", "\u200b"]


def names_in(schema):
    """Yields the name of every property in a JSON Schema."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for below in schema.values():
            yield from names_in(below)
    elif isinstance(schema, list):
        for below in schema:
            yield from names_in(below)


def escaped(word):
    """Returns a word in the syntax of a libFuzzer dictionary."""
    return "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in word.encode())


if __name__ == "__main__":
    main()
