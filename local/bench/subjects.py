"""What the benchmark runs: the function, what it is held against, and in which world."""

import functools
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import certifi
import trustme

import events

ROOT = events.ROOT
BUILT = ROOT / "target" / "bench"
CHANNEL = "sales_order_place_after"
STOPWATCH = BUILT / "release" / "stopwatch"


@dataclass(frozen=True)
class Subject:
    """A program that does the work, or a part of it."""

    name: str
    command: list
    environment: dict = field(default_factory=dict)
    # The files that make a deployment, for its size; nothing where a runtime of Lambda's is a part of it.
    binary: Path | None = None
    # What is not measured at first, because a program that is compiled while it runs becomes faster.
    warm_up: int = 100
    works: bool = True


def subjects():
    rust = ROOT / "target" / "release"
    plain = BUILT / "plain" / "release" / "plain"
    ours = {
        # Instead of the certificates that are compiled in, to which none can be added: what is read here is what is spared there.
        "AWS_CA_BUNDLE": str(world() / "root.pem"),
        "HOOK_TIMEOUT_MS": "5000",
        "METRICS_NAMESPACE": "CommerceWebhooks/bench",
        "RULES_FILE": str(ROOT / "functions" / CHANNEL / "examples.json"),
    }
    node = BUILT / "node"
    python = BUILT / "python"
    return [
        Subject("null", [BUILT / "release" / "null"], binary=BUILT / "release" / "null", works=False),
        Subject("floor", [BUILT / "release" / "floor"], {"FLOOR_CA": str(world() / "root.pem")}, BUILT / "release" / "floor"),
        Subject("this", [rust / CHANNEL], ours, rust / CHANNEL),
        Subject("plain Rust", [plain], {}, plain),
        Subject("Node", [node / "node_modules/.bin/aws-lambda-ric", "index.handler"], started_in(node / "dist", "index.handler"), None, 300),
        Subject("Python", [python / "bin/python", "-m", "awslambdaric", "handler.handler"], started_in(python, "handler.handler"), None),
    ]


def started_in(folder, handler):
    """How Lambda starts what is not a binary: in the folder of its code."""
    return {"PWD": str(folder), "LAMBDA_TASK_ROOT": str(folder), "_HANDLER": handler}


@functools.cache
def world():
    """The certificates of the stand-in for SQS: by an intermediate of a root that stands among those that everybody knows."""
    folder = BUILT / f"world-{events.version()}"
    if not folder.exists():
        root = trustme.CA(organization_name="Root of the benchmark", key_type=trustme.KeyType.RSA)
        intermediate = root.create_child_ca(key_type=trustme.KeyType.RSA)
        leaf = intermediate.issue_cert("localhost", key_type=trustme.KeyType.RSA)
        with tempfile.TemporaryDirectory(dir=BUILT) as place:
            place = Path(place) / "world"
            place.mkdir()
            root.cert_pem.write_to_path(place / "root.pem")
            (place / "roots.pem").write_bytes(Path(certifi.where()).read_bytes() + root.cert_pem.bytes())
            leaf.private_key_pem.write_to_path(place / "key.pem")
            chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
            (place / "chain.pem").write_bytes(chain)
            place.rename(folder)
    return folder


@dataclass(frozen=True)
class Scenario:
    """What comes in, and how."""

    name: str
    size: int = 10_000
    scheme: str = "hmac"
    tls: bool = True
    pause_ms: int = 0
    # Events that are measured.
    measured: int = 200
    # Whether the stopwatch and what it measures share a processor. To wake somebody on another one takes an interrupt, which on a virtual
    # machine costs now this and now five times as much.
    together: bool = True

    def events(self):
        return events.events(world(), self.size, self.scheme)


def warm_up(subject, scenario):
    """Fewer of those that take long, and of the large ones, of which each is worth many."""
    if scenario.pause_ms:
        return 10
    return min(subject.warm_up, 50) if scenario.size > 100_000 else subject.warm_up


def run(subject, scenario, **changes):
    """One run under the stopwatch."""
    run = {
        "command": [str(part) for part in subject.command],
        "folder": subject.environment.get("PWD"),
        "environment": {**common(), **subject.environment},
        "events": str(scenario.events()),
        "tls": [str(world() / "chain.pem"), str(world() / "key.pem")] if scenario.tls else None,
        "warm_up": warm_up(subject, scenario),
        "measured": scenario.measured,
        "pause_ms": scenario.pause_ms,
        **changes,
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json", dir=BUILT) as file:
        json.dump(run, file)
        file.flush()
        done = subprocess.run([STOPWATCH, file.name], capture_output=True, text=True, preexec_fn=together if scenario.together else None)
    if done.returncode:
        raise SystemExit(f"{subject.name}, {scenario.name}: {done.stderr[-3000:]}")
    return json.loads(done.stdout)


def together():
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def common():
    """What all find in their environment, as Lambda sets it, and the ways in which they learn which certificates to trust."""
    roots = str(world() / "roots.pem")
    return {
        "PATH": os.environ["PATH"],
        "LANG": "en_US.UTF-8",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "ASIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjEXAMPLE" + "x" * 700,
        "AWS_ENDPOINT_URL_SQS": "{queue}",
        "QUEUE_URL": "{queue}/123456789012/erp.fifo",
        "WEBHOOK_KEYS": events.secret(),
        "SSL_CERT_FILE": roots,
        "AWS_CA_BUNDLE": roots,
        "NODE_EXTRA_CA_CERTS": str(world() / "root.pem"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
