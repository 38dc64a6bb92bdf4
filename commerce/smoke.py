"""Whether a deployed stack answers: `make smoke` posts a check to the route of every channel.

A check is a request without a signature and with the header x-webhook-check. Our functions refuse it with 401 after they have read their
keys, so the right answer says that the route, the function and the secret are there. It reaches no queue, and is not counted.
"""

import contextlib
import json
import math
import queue
import sys
import threading
import time
from dataclasses import dataclass

import requests
import urllib3

from bundle import left_out, own_hooks
from hooks import ROUTE
from names import routes_of
from rest import ROUTE_TIMES, ShopError, host_of, innermost, limited, root_of, web_address
from terminal import Parser, paint, wrapped
from text import printable

CONNECT, ANSWER = ROUTE_TIMES
AT_ONCE = 4
EXAMPLE = "https://….execute-api.eu-west-1.amazonaws.com"
HEADERS = {"Content-Type": "application/json", "x-webhook-check": "1"}
# It can be no event, whatever answers there.
BODY = b"[]"
OURS, EXPECTED = "urn:commerce-webhooks:", ("signature_missing", "Unverified event")
OK, COLD, SLOW = "ok", "ok, slow only at its first request", "slow"
LOG = "the functions' log (output FunctionLogGroup)"
DOMAIN = "With DomainName the API's own address is switched off; give URL=https://<the domain>."
POINTS = "A CNAME record of the domain must point to the output DomainTarget"
# What each verdict but the good ones means, and what helps. {0} is what was found beside it.
HELP = {
    SLOW: "the answer is right, but took longer than SoftTimeoutMs ({0} ms) a second time, too. The time is as seen from here: try it from "
    "nearer to the region. If it stays, see SlowAnswersAlarm in RUNBOOK.md.",
    "keys unavailable": f"the function runs, but has no key. In {LOG}, `store_error` and `code` say why: the secret (output WebhookKeysArn) "
    "is gone or holds no key, or the function's role or the policy of the KMS key (KmsKeyArn) does not let it read it.",
    "other problem": f"the function answers, but with {{0}}. Is the stack deployed from this checkout? `outcome` in {LOG} says more.",
    "forbidden": f"API Gateway does not serve this address. {DOMAIN}",
    "no such route": f"API Gateway has no such route. Is the stack deployed from this checkout, with this channel? {DOMAIN}",
    "turned away": "there was no room for one more request: RequestsPerSecond is used up, or all copies of the function or of the account "
    "are at work. Try again in a moment; see ThrottlesAlarm in RUNBOOK.md.",
    "function fails": f"the function does not start, crashed, or took too long. Look for `not started` in {LOG}.",
    "401, not ours": "something in front of the functions answered: an authorizer, or a proxy on the way. Take it away for these routes.",
    "somebody else": "{0} is an answer that these functions do not give. Is URL the bundle's, or does the domain point elsewhere?",
    "no such host": f"DNS does not know {{0}}. {POINTS}, which takes a while to be known everywhere.",
    "TLS fails": f"there is no safe connection: {{0}}. {POINTS}, and the certificate must be for the domain.",
    "no answer": "{0}. Does the network here let HTTPS out, and is the address right?",
}


@dataclass(frozen=True)
class Finding:
    """What came of one check. The detail is for the sentence of its verdict."""

    verdict: str
    status: str = "-"
    detail: str = ""
    took_ms: int = 0

    @property
    def good(self):
        return self.verdict in (OK, COLD)


def check(url, soft_timeout):
    """What came of the checks of a route, with a second one if the first was only slow: the finding, and the time of each."""
    with requests.Session() as session:
        first = once(session, url, soft_timeout)
        if first.verdict != SLOW:
            return first, [first.took_ms]
        second = once(session, url, soft_timeout)
        times = [first.took_ms, second.took_ms]
        return (Finding(COLD, second.status) if second.verdict == OK else second), times


def once(session, url, soft_timeout):
    # Without `auth`, requests would add what a ~/.netrc has for the host.
    how = {"timeout": (CONNECT, ANSWER), "allow_redirects": False, "stream": True, "auth": lambda request: request}
    host = host_of(url)
    started = time.monotonic()
    try:
        with session.post(url, BODY, headers=HEADERS, **how) as answer:
            content = limited(answer, host)
        verdict, detail = judge(answer, content)
        status = str(answer.status_code)
    except (requests.exceptions.RequestException, ShopError) as error:
        status, (verdict, detail) = "-", unreached(error, host)
    took_ms = round((time.monotonic() - started) * 1000)
    if verdict == OK and took_ms > soft_timeout:
        verdict, detail = SLOW, str(soft_timeout)
    return Finding(verdict, status, printable(detail), took_ms)


def judge(answer, content):
    """The verdict on an answer, and its detail."""
    status = answer.status_code
    kind, title = problem_of(answer, content)
    if kind is not None:
        if status == 401 and (kind, title) == EXPECTED:
            return OK, ""
        return ("keys unavailable", "") if kind == "keys_unavailable" else ("other problem", f"status {status}, {kind}")
    if status >= 500:
        return "function fails", ""
    known = {401: "401, not ours", 403: "forbidden", 404: "no such route", 429: "turned away"}
    return known.get(status, "somebody else"), f"status {status}"


def problem_of(answer, content):
    """Name and title of a problem that our functions wrote, or None twice."""
    media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    try:
        problem = json.loads(content) if media_type == "application/problem+json" else None
    except (ValueError, RecursionError):
        problem = None
    kind = problem.get("type") if isinstance(problem, dict) else None
    if not isinstance(kind, str) or not kind.startswith(OURS):
        return None, None
    return kind.removeprefix(OURS)[:40], problem.get("title")


def unreached(error, host):
    if isinstance(error, ShopError):
        return "somebody else", str(error)
    if isinstance(error, requests.exceptions.SSLError):
        return "TLS fails", innermost(error)
    if isinstance(root_of(error), urllib3.exceptions.NameResolutionError):
        return "no such host", host
    return "no answer", f"{host}: {innermost(error)}"


def show(findings):
    """The table, and below it what each bad verdict means."""
    rows = [("CHANNEL", "STATUS", "MS", "VERDICT")]
    rows += [(channel, one.status, ", ".join(map(str, times)) or "-", one.verdict) for channel, (one, times) in findings.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    good = [None, *(one.good for one, _ in findings.values())]
    for (*cells, verdict), fine in zip(rows, good):
        line = "  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths)), verdict])
        print(paint(line, 1 if fine is None else 32 if fine else 31))
    for verdict, detail in dict.fromkeys((one.verdict, one.detail) for one, _ in findings.values() if not one.good):
        print("\n" + wrapped(f"{paint(verdict, 1)}: ", HELP[verdict].format(detail), "  "))


def check_all(urls, soft_timeout):
    """The findings of all channels, in their order, a few at a time. What does not end by itself is left behind."""
    todo, begun, findings = queue.SimpleQueue(), set(), {}
    for channel in urls:
        todo.put(channel)

    def take():
        with contextlib.suppress(queue.Empty):
            while True:
                channel = todo.get_nowait()
                begun.add(channel)
                findings[channel] = check(urls[channel], soft_timeout)

    # Two checks for each, if every answer begins as late as it may.
    until = time.monotonic() + 2 * (CONNECT + ANSWER) * math.ceil(len(urls) / AT_ONCE)
    workers = [threading.Thread(target=take, daemon=True) for _ in range(AT_ONCE)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(max(until - time.monotonic(), 0))
    late = Finding("no answer", detail="an answer that began and did not end in time"), []
    never = Finding("no answer", detail="not asked, because the others took too long"), []
    return {channel: findings.get(channel, late if channel in begun else never) for channel in urls}


def work(options):
    # They are the channels, and say the soft timeout of a stack that nobody names.
    hooks = own_hooks()
    outputs = None
    if options.url:
        url, soft_timeout = web_address("URL", ROUTE.sub("", options.url.rstrip("/")), EXAMPLE), options.soft_timeout_ms
    else:
        from aws import stack_says  # boto3 takes a third of a second, which only this needs

        url, said = stack_says(options.stack)
        soft_timeout, outputs = said["soft_timeout"], said["outputs"]
    assumed = "" if soft_timeout else " assumed"
    soft_timeout = soft_timeout or hooks[0].soft_timeout
    print(f"Bundle  {url}  (soft timeout {soft_timeout} ms{assumed})\n", flush=True)
    unasked = left_out(outputs)
    asked = [hook for hook in hooks if hook.channel not in unasked]
    findings = check_all({hook.channel: url + routes_of(hook.webhook_method, hook.webhook_type)[0] for hook in asked}, soft_timeout)
    show(findings)
    for why in unasked.values():
        print("\n" + wrapped(paint("! ", 33), why, "  "))
    bad = sum(not one.good for one, _ in findings.values())
    if bad:
        print(f"\n{bad} of {len(findings)} channels do not answer as they should.")
        return 1
    print(f"\nAll {len(findings)} channels answer, and each function can read its keys.")
    return 0


def read_options(arguments):
    parser = Parser("smoke", __doc__)
    parser.add_argument("--stack", help="the stack in CloudFormation")
    parser.add_argument("--url", help="the API's endpoint, instead of a stack")
    parser.add_argument("--soft-timeout-ms", type=int, help="SoftTimeoutMs of the stack, with --url")
    options = parser.parse_args(arguments)
    if bool(options.stack) == bool(options.url):
        parser.error("which stack? Add ENV=… or STACK=…, or URL=… with the API's endpoint; one of them")
    return options


def main(arguments=None):
    options = read_options(arguments)
    try:
        return work(options)
    except ShopError as error:
        reason = str(error)
    except KeyboardInterrupt:
        print("\nsmoke: stopped", file=sys.stderr)
        return 130
    sys.stdout.flush()
    print(f"smoke: {printable(reason)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
