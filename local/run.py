"""Brings the bundle up on this machine with the merchant's rules, and sends a signed sample of every channel: `make run`.

It stays up in a terminal, or with STAY=1, and then takes over each rules file that is saved. Without, it exits with 1 if a sample failed
for another reason than the merchant's own rules.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import textwrap
import time
import xml.etree.ElementTree as ElementTree

from ims import Ims
from reload import Rules
from stack import EVENTS, PORT, ROOT, STATE, Stack, channels, is_metrics, merchant_rules, paths, queue_of, sample_secret

sys.path.insert(0, str(ROOT / "commerce"))

from names import channel_of  # noqa: E402

WIDTH = 100
# In the URL, which is the same at every start.
API = "commerce"
# Besides signatures also access tokens of the stand-in for IMS.
SCHEMES = {"SignatureSchemes": "hmac,rsa,ims"}
# How often the rules files are looked at.
POLL_SECONDS = 0.2
# The emulator collects the functions' lines a moment after the answer.
LOGGED_WITHIN_SECONDS = 5


def send(stack):
    """Sends the shop's default body of every channel: rows of channel, status, answer, milliseconds, and the messages by channel."""
    rows, queued = [], {}
    for channel in channels():
        request = json.loads((EVENTS / channel / "default.request.json").read_text())
        rows.append((channel, *stack.post(channel, request["headers"], request["body"].encode())))
    for queue in dict.fromkeys(stack.queue(channel) for channel in channels()):
        for message in stack.messages(queue):
            queued[message["MessageAttributes"]["channel"]] = message
    return rows, queued


def log_lines(stack, wanted):
    """The last log line of each channel, at least of these."""
    for _ in range(LOGGED_WITHIN_SECONDS * 5):
        lines = [json.loads(line) for line in stack.logs() if line.startswith("{") and not is_metrics(line)]
        answered = {line["channel"]: line for line in lines if line.get("message") == "answered"}
        if answered.keys() >= set(wanted):
            break
        time.sleep(0.2)
    return answered


def reason(channel, message, line):
    """Why the sample of a channel is not simply in its queue, and whether that is right; None if it is there."""
    outcome, rules = line.get("outcome", "no log line"), line.get("rules")
    file = merchant_rules(channel).relative_to(ROOT)
    named = f"rule{'s' if rules and ',' in rules else ''} {rules} of {file}"
    if outcome == "refused" and rules:
        return f"refused by {named}", True
    if outcome == "not_forwarded" and hook_types().get(channel) == "before":
        return "accepted and not forwarded, because the hook is of type before and ForwardBefore is false", True
    if outcome == "not_forwarded" and rules:
        return f"accepted and not forwarded, by {named}", True
    if message is None:
        finding = f" ({line['finding']})" if line.get("finding") else ""
        return f"{outcome}{finding}, and not queued; make logs shows more", False
    if line.get("observed"):
        return f"accepted; if enforced: {line['observed']}, by {named}", True
    return None


def hook_types():
    """The type of each channel's hook."""
    methods = ElementTree.parse(ROOT / "commerce" / "webhooks.xml").getroot().iter("method")
    return {channel_of(one.get("name"), one.get("type")): one.get("type") for one in methods}


def show(rows, queued, reasons):
    """A table of what was sent, at most as wide as a terminal, and below it the reasons."""
    table = [("CHANNEL", "STATUS", "ANSWER", "MS", "QUEUE", "SUBJECT")]
    for channel, status, answer, spent in rows:
        message = queued.get(channel)
        table.append((
            channel,
            str(status),
            " ".join(operation.get("op", operation.get("title", "?")) for operation in operations(answer)),
            f"{spent:.0f}",
            queue_of(channel).removesuffix("Queue").upper() if message else "-",
            message["MessageBody"].get("subject", "-") if message else "-",
        ))
    others = [min(max(len(row[column]) for row in table), 22) for column in range(1, len(table[0]))]
    room = WIDTH - sum(others) - 2 * len(others)
    widths = [min(max(len(row[0]) for row in table), room), *others]
    for number, row in enumerate(table):
        line = "  ".join(shortened(cell, width).ljust(width) for cell, width in zip(row, widths)).rstrip()
        found = reasons.get(row[0])
        print(coloured(line, "1" if number == 0 else "32" if not found else "33" if found[1] else "31"))
    if reasons:
        print()
    for text in dict.fromkeys(text for text, _ in reasons.values()):
        named = ", ".join(channel for channel, (same, _) in reasons.items() if same == text)
        print(textwrap.fill(f"{named}: {text}.", WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False))


def operations(answer):
    """The operations of an answer, or its problem. An answer of the gateway itself is neither."""
    with contextlib.suppress(ValueError):
        answer = json.loads(answer)
        return [one for one in (answer if isinstance(answer, list) else [answer]) if isinstance(one, dict)]
    return []


def shortened(text, width):
    """The text without its middle, if it is too long: a channel is told by its end."""
    if len(text) <= width:
        return text
    half = (width - 1) // 2
    return f"{text[: width - 1 - half]}…{text[-half:]}"


def coloured(line, code):
    return f"\033[{code}m{line}\033[0m" if sys.stdout.isatty() else line


def show_message(queued):
    """One message as its consumer reads it, and where the others are."""
    folder = STATE / "messages"
    folder.mkdir(exist_ok=True)
    for channel, message in queued.items():
        (folder / f"{channel}.json").write_text(json.dumps(message, indent=2, ensure_ascii=False) + "\n")
    if queued:
        channel, message = next(iter(queued.items()))
        shown = json.loads(json.dumps(message))
        shown["MessageBody"]["data"]["original"] = "… the entity as the shop sent it …"
        print(f"One of the messages, as its consumer reads it ({channel}):\n")
        print(json.dumps(shown, indent=2, ensure_ascii=False))
        print(f"\nAll of them, whole: {folder.relative_to(ROOT)}/\n")


def demo(stack):
    """Sends the samples and shows what came of them. True if none failed; one that a rule of the merchant refuses has not failed."""
    print("Sending a signed sample of every channel, as a shop writes it by default …\n", flush=True)
    rows, queued = send(stack)
    lines = log_lines(stack, channels())
    reasons = {channel: reason(channel, queued.get(channel), lines.get(channel, {})) for channel in channels()}
    reasons = {channel: found for channel, found in reasons.items() if found}
    show_message(queued)
    show(rows, queued, reasons)
    failed = [channel for channel, (_, right) in reasons.items() if not right]
    accepted = sum(status == 200 for _, status, _, _ in rows)
    print(f"\n{len(rows)} samples sent, {accepted} answered with 200, {len(queued)} queued, {len(failed)} failed.", flush=True)
    return not failed


def introduce(stack):
    place = next(iter(channels()))
    routes = [path.removeprefix("/webhook/") for channel in channels() for path in paths(channel)]
    others = textwrap.fill(", ".join(routes), WIDTH, initial_indent="  ", subsequent_indent="  ", break_long_words=False)
    print(f"""
The bundle is up. Post signed events to

  {stack.url(place)}

or, after webhook/, to any other route:

{others}

In another terminal, sign and post a sample, then look at the functions' logs:

  make send ARGS="events/{place}/ideal.body.json \\
    --url {stack.url(place)}"
  make logs{"" if stack.port == PORT else f" PORT={stack.port}"}

`make send SCHEME=rsa` signs as a real shop, SCHEME=ims sends an access token of Adobe IMS instead,
and SHOP=eu is a second shop with keys of its own.

Queues, for any AWS client with --endpoint-url {stack.endpoint} and the credentials test/test:

  ERP  {stack.outputs["ErpQueueUrl"]}
  CRM  {stack.outputs["CrmQueueUrl"]}
""")


def stay(stack, rules):
    """Takes over the rules that are saved, until Ctrl-C."""
    print("A saved rules.json takes effect within a second. Press Ctrl-C to end it.", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            for line in rules.reload(stack):
                print(line, flush=True)
            time.sleep(POLL_SECONDS)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=PORT, help=f"port on loopback, if it is free (default {PORT})")
    arguments = parser.parse_args()
    # As Ctrl-C does, so that nothing is left running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    print("Deploying template.yaml to an emulator of AWS on loopback …", flush=True)
    STATE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STATE, prefix="rules-") as folder:
        rules = Rules(folder)
        with Ims() as ims, Stack(arguments.port, sample_secret(), SCHEMES, rules=rules.copy, ims_url=ims.url) as stack:
            stack.serve_at(API)
            print(f"… up after {time.monotonic() - started:.1f} s.\n", flush=True)
            done = demo(stack)
            if sys.stdin.isatty() or os.environ.get("STAY"):
                introduce(stack)
                stay(stack, rules)
            elif done:
                print("To keep the bundle up: make run STAY=1")
            else:
                raise SystemExit("\nNot every sample was accepted and queued.")


if __name__ == "__main__":
    main()
