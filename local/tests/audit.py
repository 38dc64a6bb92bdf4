"""Watches every request of the whole suite, and in the end looks for whatever of it should not be in a log, a metric or an answer.

Two ways that do not trust each other: every log line and every line of metrics has only members that we know, of a form that holds no
payload; and no value of any payload, no secret and no signature stands in any of them.
"""

import base64
import json
import re

from shop import of_token, values
from stack import EVENTS, ROOT, STACK_NAME, is_metrics

ID = r"[A-Za-z0-9_.:=-]{1,128}"
NUMBER = r"\d+"
KNOWN_KEYS = r"\d+ hmac_secrets, \d+ public_keys(, \d+ IMS clients)?|unsigned bodies accepted"
# What an operator may name a shop.
SHOP = r"[a-z0-9][a-z0-9_-]{0,31}"
FIELDS = {
    "timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",
    "level": r"DEBUG|INFO|WARN|ERROR",
    "channel": r"[a-z0-9_]+",
    "outcome": r"[a-z_]+",
    "status": NUMBER,
    "forwarded": r"yes|no|unknown",
    "request_id": ID,
    # X-Ray's in a function's line, W3C's in the worker's.
    "trace_id": r"1-[0-9a-f]{8}-[0-9a-f]{24}|[0-9a-f]{32}",
    "shop_request_id": ID,
    "event_id": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "subject_digest": r"[0-9a-f]{32}",
    "reconciled": r"True",
    "key": rf"(inline|current|previous)/(shops/{SHOP}/)?(hmac_secrets|public_keys|ims/client_ids)/\d{{1,2}}",
    "shop": SHOP,
    "rules": r"[\w.,-]+",
    "unevaluated": r"[\w.,-]+",
    "observed": r"refused|changed|not_forwarded",
    "observed_rules": r"[\w.,-]+",
    "finding": r"[a-z_]+",
    "violations": NUMBER,
    "issues": NUMBER,
    # Made of names of the contract and of numbers.
    "pointers": r"((/[A-Za-z_][A-Za-z0-9_]*|/\d+)| )+",
    "spent_ms": NUMBER,
    "left_ms": NUMBER,
    "cold_start": r"True|False",
    "queue_error": r"[a-z_]+",
    "store_error": r"[a-z_]+",
    "code": r"[A-Za-z.]+",
    "attempt": r"[12]",
    "keys": KNOWN_KEYS,
    "known": KNOWN_KEYS,
    "count": NUMBER,
    "ims_error": r"[a-z_]+",
    "stage": r"AWSCURRENT|AWSPREVIOUS",
    "version": r"current|previous",
    # The worker's
    "message_id": ID,
    "span_id": r"[0-9a-f]{16}",
    "parent_span_id": r"[0-9a-f]{16}",
    "received": NUMBER,
    "counted": NUMBER,
    "failing_s": NUMBER,
    "pause_s": NUMBER,
    "reason": r"[a-z_]+",
    "step": r"[a-z_ ]+",
}
ONE, MILLISECONDS = "1", r"\['\d+\.\d{1,3}'\]"
OUTCOMES, TIMES = ["Accepted", "NotForwarded", "Refused", "Quarantined", "Unverified", "Invalid", "Failed"], ["VerifyTime", "DecideTime", "EnqueueTime", "TimeLeft"]
# The metrics that there are, by the dimensions that they have, and how the value of each looks.
COUNTS = ["ColdStart", "RulesUnevaluated", "Irregular"]
WRITTEN = {(): {*OUTCOMES, "Irregular"}, ("channel",): {*OUTCOMES, *TIMES, *COUNTS}, ("channel", "key"): {"Verified"}}
# Of a shop with a name. An event that was not verified is of no shop.
WRITTEN[("channel", "shop")] = {*OUTCOMES, "Irregular"} - {"Unverified"}
METRICS = dict.fromkeys([*OUTCOMES, *COUNTS, "Verified"], ONE) | dict.fromkeys(TIMES, MILLISECONDS)
METRICS_FIELDS = {"request_id": ID, **{name: FIELDS[name] for name in ("channel", "key", "shop")}, **METRICS}
NAMESPACE = f"CommerceWebhooks/{STACK_NAME}"
# Fields whose form leaves no room for anything else. Ids come from outside, but they are no payload.
FORMAL = {"timestamp", "request_id", "trace_id", "shop_request_id", "event_id", "subject_digest", "message_id"}
FORMAL |= {"span_id", "parent_span_id"}
FORMAL |= {name for name, form in FIELDS.items() if form == NUMBER}
# Of one body, at most so many values are looked for: the hostile ones have a hundred thousand of a kind.
VALUES_MAX = 2000
# What stands in the code is our own word, though a payload may say it, too.
OURS = "".join(
    path.read_text().split("#[cfg(test)]\nmod tests")[0]
    for folder in ("shared/src", "functions")
    for path in sorted((ROOT / folder).glob("**/*.rs"))
    if path.name != "tests.rs"
)


class Audit:
    def __init__(self):
        self.values, self.lines, self.answers, self.strangers = set(), [], set(), []
        self.requests = 0
        folder = EVENTS / "sample-keys"
        secret = (folder / "hmac-secret.txt").read_text().strip()
        self.secrets = {secret, base64.b64encode(secret.encode()).decode(), "hush-hush", "of-this-shop"}
        # Public keys are no secret, but belong in no log either.
        self.secrets |= {line for line in (folder / "public-key.pem").read_text().splitlines() if "KEY" not in line}

    def saw(self, request, answer, log):
        """One invocation: what came, what was answered (as the function did, or None), and what was logged. Requests that are bytes
        are those of hostile/, which say our own words on purpose: test_hostile.py looks at each, and more closely."""
        self.requests += 1
        self.lines += log.splitlines()
        if isinstance(request, dict):
            self.remember(request)
        if isinstance(answer, dict) and answer.get("headers", {}).get("content-type") == "application/problem+json":
            self.answers.add(answer["body"])

    def remember(self, request):
        headers, body = request.get("headers"), request.get("body")
        if isinstance(headers, dict):
            for name, value in headers.items():
                if "signature" in name.lower() and isinstance(value, str) and len(value) >= 16:
                    self.secrets.add(value)
                if name.lower() == "authorization" and isinstance(value, str):
                    self.secrets |= {str(found) for found in of_token(value)}
                if name.lower() == "x-gw-ims-org-id" and isinstance(value, str) and len(value) >= 16:
                    self.secrets.add(value)
        if not isinstance(body, str) or len(body) > 1_000_000:
            return
        try:
            payload = json.loads(base64.b64decode(body) if request.get("isBase64Encoded") else body)
        except (ValueError, RecursionError):
            return
        for _, value in zip(range(VALUES_MAX), values(payload)):
            self.values.add(value)

    def text_of(self, line):
        """What of a log line could hold something of a payload."""
        if not line.startswith("{"):
            return line
        if is_metrics(line):
            return self.text_of_metrics(line)
        free = []
        for name, value in json.loads(line).items():
            if name != "message":
                form = FIELDS.get(name)
                if form is None or not re.fullmatch(form, str(value)):
                    self.strangers.append(line)
            if name not in FORMAL:
                free.append(str(value))
        return "\t".join(free)

    def text_of_metrics(self, line):
        """As `text_of`. What CloudWatch shall make of the members must be what they are, to the letter."""
        members = json.loads(line, parse_float=str)
        told = members.pop("_aws")
        known = all(re.fullmatch(METRICS_FIELDS.get(name, ""), str(value)) for name, value in members.items())
        if not known or told != {"Timestamp": told.get("Timestamp"), "CloudWatchMetrics": [directive(members)]}:
            self.strangers.append(line)
        # A time leaves no room for anything else, and has digits enough to look like a price.
        if not isinstance(told.pop("Timestamp", None), int):
            self.strangers.append(line)
        return "\t".join([str(told), *(f"{name} {value}" for name, value in members.items() if name not in FORMAL | set(METRICS))])

    def leaks(self):
        """Every value that stands where it should not, with a line that holds it."""
        # Lines that differ in their ids only are one.
        texts = sorted({self.text_of(line) for line in self.lines}) + sorted(self.answers)
        everything = "\n".join(texts)
        found = [value for value in sorted(self.values | self.secrets) if value in everything and value not in OURS]
        return [(value, next(text for text in texts if value in text)[:300]) for value in found]


def directive(members):
    """What a line of metrics with these members has to tell CloudWatch."""
    dimensions = [name for name in ("channel", "key", "shop") if name in members]
    names = [name for name in members if name in WRITTEN.get(tuple(dimensions), ())]
    metrics = [{"Name": name, "Unit": "Count" if METRICS[name] == ONE else "Milliseconds"} for name in names]
    return {"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics}
