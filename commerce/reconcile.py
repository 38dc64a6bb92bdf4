"""Finds what the shop has and no accepted event tells of: `make reconcile` compares the shop's records with the functions' log.

    reconcile.py --shop URL --stack STACK --since 6h           list what is missing
    reconcile.py --shop URL --stack STACK --since 6h --send    post it through the functions, after asking

It ends with 0 if nothing is missing, 2 if something is, 1 if it could not be found out. docs/reconcile.md says what can be found.
No name, no address and no secret is ever shown.
"""

import argparse
import itertools
import math
import re
import shutil
import signal
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import botocore.exceptions

import accepted
import gaps
from aws import PATIENCE, boto3_session, reason_of
from bundle import channel_named
from records import CHANNELS, KINDS, RECORDS_MAX, UNASKED, changed, shifted, written
from resend import ACCEPTED, Sender
from rest import Shop, ShopError
from routes import Stack, api_of
from shops import which, words
from terminal import Parser, agreed, nobody_reads, paint, silence, wrapped, writable
from terminal import note as tell

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# Seconds. An event is logged before its record is changed for good, or a moment later; two clocks differ.
TOLERANCE = 5
# A change within this time is left out: its event may be under way, and the log of it cannot be searched yet.
SETTLE = 120
# Seconds by which the shop's clock may differ from ours before it is corrected for, at least: what it says of it is not exact.
CLOCK = 3
MAX, RATE = 1000, 10
# The exit code if something is missing.
MISSING = 2
ROWS = 50
# A number is never cut shorter.
NUMBER_MIN = 20


class ClockedShop(Shop):
    """A shop whose answers say how far its clock is ahead of ours: by `ahead` seconds, or behind if that is negative, known to about
    one second."""

    ahead, _doubt = 0, math.inf

    def _request(self, verb, path, *more):
        begun = time.time()
        answer = super()._request(verb, path, *more)
        ended, said = time.time(), clock_of(answer.headers)
        # It says whole seconds, and was written at some time between.
        if said is not None and ended - begun < self._doubt:
            self.ahead, self._doubt = said + 0.5 - (begun + ended) / 2, ended - begun
        return answer


def clock_of(headers):
    """What time it was where an answer was written, or None. A cache may have kept it."""
    try:
        return None if headers.get("Age", "0").strip() != "0" else parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def work(options):
    name, base = which(options.shop)
    shop, now = ClockedShop(base), time.time()
    stack = Stack(options.stack)
    level = stack.parameters.get("LogLevel") or "info"
    if level != "info":
        raise ShopError(
            f"the functions of {stack.name} log no accepted event (LogLevel={level}), so everything would count as missing. "
            "Deploy with LogLevel=info; what is accepted from then on can be compared"
        )
    since, until = options.since(now), now - options.settle
    kept = int(stack.parameters.get("LogRetentionDays") or 30) * UNITS["d"]
    if now - since > kept:
        raise ShopError(f"the functions' log is kept for {kept // UNITS['d']} days (LogRetentionDays): give a later SINCE=…")
    if since >= until:
        raise ShopError(f"nothing is between SINCE and the last {gaps.duration(options.settle)}, which are left out")
    group = stack.output("FunctionLogGroup")
    # Before anything is read that only a sender needs.
    api = api_of(stack, options.url) if options.send else None
    if api and (reason := api.why_not(name)):
        raise ShopError(reason)
    print(f"Shop    {f'{name}: ' if name else ''}{shop.base}  ({shop.way})")
    print(f"Stack   {stack.name}")
    print(f"Time    {written(since)} to {written(until)} UTC\n", flush=True)

    kinds = [kind for kind in KINDS if {kind.placed, kind.saved} & set(options.channels)]
    records, unreadable = read_records(shop, kinds, since, now)
    if abs(shop.ahead) > max(options.tolerance, CLOCK):
        ahead = shop.ahead
        way = "ahead of" if ahead > 0 else "behind"
        note(f"the shop's clock is {round(abs(ahead)):,} s {way} the one here. All times are compared and shown by the clock here.")
        print()
        # What changed in this time is between other times there.
        records, unreadable = read_records(shop, kinds, since + ahead, now + ahead)
        records = [shifted(record, -ahead) for record in records]
    # Afterwards, so that what is accepted meanwhile is seen.
    known = read_accepted(group, since - gaps.EARLIER, time.time() + 60, options.channels, name) if records else accepted.Accepted(())
    found = gaps.find(records, known, since, options.tolerance, until)
    show(found, kinds, known, unreadable, options)
    if not found.gaps:
        print("\nNothing is missing." if not unreadable else "\nNothing else is missing.")
        return MISSING if unreadable else 0
    if not options.send:
        number = f"{events(len(found.gaps))} {'is' if len(found.gaps) == 1 else 'are'}"
        print(f"\n{number} missing. SEND=1 posts what is missing through the functions, after asking.")
        return MISSING
    return send(shop, api, found.gaps, options, name)


def read_records(shop, kinds, since, until):
    """What changed, and how many records could not be read."""
    records, unreadable = [], 0
    for kind in kinds:
        for record in changed(shop, kind, since, until):
            if record is None:
                unreadable += 1
            else:
                records.append(record)
            if len(records) > RECORDS_MAX:
                raise ShopError(f"more than {RECORDS_MAX:,} records changed. Give a shorter SINCE=…, or fewer: CHANNEL=…")
            if len(records) % 100 == 0:
                say(f"{len(records):,} records read")
    say("")
    return records, unreadable


def read_accepted(group, since, until, channels, name):
    logs = boto3_session().client("logs", config=PATIENCE)
    known = accepted.read(
        logs, group, since, until, channels, lambda done, of: say(f"{100 * done // of} % of the functions' log searched"), name
    )
    say("")
    return known


def say(words):
    """Shows where it is, on a terminal only, in place of what was said before."""
    if sys.stderr.isatty():
        print(f"\r\033[K{words}", end="", file=sys.stderr, flush=True)


def show(found, kinds, known, unreadable, options):
    missing = Counter(gap.record.kind.name for gap in found.gaps)
    print(paint(f"{'RECORDS':10} {'CHANGED':>9} {'MISSING':>9}", 1))
    for kind in kinds:
        line = f"{kind.name:10} {found.changed[kind.name]:9,} {missing[kind.name]:9,}"
        print(paint(line, 31 if missing[kind.name] else 32))
    silent = [channel for channel in options.channels if channel in known.channels and lacks_all(channel, found, known)]
    if silent:
        note(
            f"no event of {' and '.join(silent)} was accepted in this time. If the shop does not send "
            f"{'it' if len(silent) == 1 else 'them'}, name the others: CHANNEL=…"
        )
    nameless = {channel: known.without_subject(channel) for channel in known.channels if channel != accepted.INVOICE_PAID}
    for channel, times in nameless.items():
        if times:
            note(
                f"{events(len(times))} of {channel}, the last of {accepted.clock(times[-1])}, say no number or come from an older "
                "release, so what they told of counts as missing."
            )
    if found.unclear:
        number = len(found.unclear)
        note(
            f"{number:,} invoice{'s were' if number > 1 else ' was'} made before this time and changed in it. Whether one was paid in "
            "it without an event can be told only with a SINCE=… before it was made."
        )
    if late := found.late.total():
        note(
            f"{late:,} {'record' if late == 1 else 'records'} changed within the last {gaps.duration(options.settle)} (SETTLE): this change "
            "was not compared. Run it again later."
        )
    if unreadable:
        note(f"{unreadable:,} records could not be compared: the shop gives no id, number or time of change for them.")
    rows = found.gaps if options.all else found.gaps[:ROWS]
    for channel, group in itertools.groupby(sorted(rows, key=lambda gap: CHANNELS.index(gap.channel)), lambda gap: gap.channel):
        print(f"\n{paint(channel, 1)}")
        show_rows([(gap, gap.why) for gap in group])
    if len(rows) < len(found.gaps):
        print(f"\n… and {len(found.gaps) - len(rows):,} more. ALL=1 lists all.")


def lacks_all(channel, found, known):
    lacking = any(gap.channel == channel for gap in found.gaps)
    return lacking and not known.numbers[channel] and not known.without_subject(channel)


def show_rows(rows):
    """The lines of gaps, each with some words. Only a number that is too long for the terminal is cut: what differs is its end."""
    cells = [
        (gap.record.shown, f"store {gap.record.store}" if gap.record.store else "", written(gap.record.updated), words)
        for gap, words in rows
    ]
    widths = [max((len(row[column]) for row in cells), default=0) for column in range(4)]
    room = shutil.get_terminal_size((120, 24)).columns - sum(widths[1:]) - 8
    widths[0] = min(widths[0], max(room, NUMBER_MIN))
    for number, *others in cells:
        number = number if len(number) <= widths[0] else f"…{number[1 - widths[0] :]}"
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip((number, *others), widths)).rstrip())


def note(words):
    print(wrapped(f"\n{paint('!', 33)} ", words, "  "))


def events(number):
    return f"{number:,} event{'' if number == 1 else 's'}"


def send(shop, api, missing, options, name=None):
    chosen = missing[: options.max]
    if len(chosen) < len(missing):
        note(f"{events(len(missing))} are missing. This run sends the first {len(chosen):,}; MAX=… sends more.")
    refusal = "nothing was sent: there is nobody to ask. Add YES=1 to send unasked."
    if not options.yes and not agreed(f"Post {events(len(chosen))}{f' of {words(name)}' if name else ''} to {api.url}?", refusal):
        print("Nothing was sent.")
        return MISSING
    print(flush=True)
    sent = Sender(shop, api, options.rate, name).send(chosen)
    counts = [f"{number:,} {outcome}" for outcome, number in sorted(sent.outcomes.items(), key=lambda one: one[0] != ACCEPTED)]
    rest = len(missing) - sent.number
    counts += [f"{rest:,} left"] if rest else []
    if sent.left:
        print("Not accepted:")
        show_rows(sent.left[: None if options.all else ROWS])
        print()
    print(wrapped("", f"{', '.join(counts)}.", ""), flush=True)
    if rest:
        print("Run it again for the rest, after a minute: what was accepted is found then.", flush=True)
    if sent.interrupted:
        raise KeyboardInterrupt
    if sent.stopped:
        raise ShopError(sent.stopped)
    return 0 if sent.outcomes[ACCEPTED] == len(missing) else MISSING


# Options


def seconds(text):
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no time as 90s, 30m, 6h or 2d")
    return int(found[1]) * UNITS[found[2]]


def since(text):
    """When the comparison begins, by what time it is now."""
    if re.fullmatch(r"\d{1,6}[smhd]", text):
        return lambda now: now - seconds(text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time as 6h, 2d or 2026-06-18T20:00") from None
    return lambda now: (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def channels(text):
    given = [channel_named(name.strip()) for name in text.split(",") if name.strip()]
    wrong = [name for name in given if name not in CHANNELS]
    if wrong or not given:
        reason = f"choose out of {', '.join(CHANNELS)}; the shop keeps nothing of the others that could be asked"
        raise argparse.ArgumentTypeError(reason)
    return tuple(name for name in CHANNELS if name in given)


def at_least_one(text):
    if not re.fullmatch(r"\d{1,9}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number, at least 1")
    return int(text)


def read_options(arguments):
    parser = Parser("reconcile", __doc__)
    parser.add_argument("--shop", help="the base of the shop's REST; or its name in the secret, and COMMERCE_URL is that base")
    parser.add_argument("--stack", help="the stack in CloudFormation")
    parser.add_argument("--url", help="the API's endpoint, where the stack's output WebhooksUrl is not the one to post to")
    parser.add_argument("--since", type=since, help="since when, as 6h, 2d, or 2026-06-18T20:00 (UTC)")
    parser.add_argument("--channel", type=channels, default=UNASKED, dest="channels", help="only these channels, with commas between")
    parser.add_argument("--tolerance", type=seconds, default=TOLERANCE, help=f"how much older than its record an event may be ({TOLERANCE}s)")
    parser.add_argument("--settle", type=seconds, default=SETTLE, help=f"a change within this time is not compared ({SETTLE}s)")
    parser.add_argument("--all", action="store_true", help=f"list all that is missing, and not the first {ROWS}")
    parser.add_argument("--send", action="store_true", help="post what is missing")
    parser.add_argument("--yes", action="store_true", help="without asking")
    parser.add_argument("--max", type=at_least_one, default=MAX, help=f"no more than this many ({MAX:,})")
    parser.add_argument("--rate", type=at_least_one, default=RATE, help=f"no more than this many a second ({RATE})")
    parser.add_argument("--exit-zero", action="store_true", help="end with 0 also if something is missing")
    options = parser.parse_args(arguments)
    if not options.stack:
        parser.error("which stack? Add ENV=… or STACK=…")
    if not options.since:
        parser.error("since when? Add SINCE=… as 6h, 2d, or 2026-06-18T20:00 (UTC)")
    return options


def main(arguments=None):
    writable()
    try:
        code = ended(read_options(arguments))
    except OSError as error:
        if not nobody_reads(error):
            raise
        # Whoever read the output has enough.
        code = 141
    silence()
    return code


def ended(options):
    """The exit code, after the reason was told."""
    try:
        code = work(options)
        sys.stdout.flush()
        return 0 if code == MISSING and options.exit_zero else code
    except ShopError as error:
        reason = str(error)
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        reason = reason_of(error)
    except KeyboardInterrupt:
        tell("\nreconcile: stopped")
        return 130
    say("")
    sys.stdout.flush()
    tell(f"reconcile: {reason}")
    return 1


def interrupt(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    # As Ctrl-C does, so that what was sent is said.
    signal.signal(signal.SIGTERM, interrupt)
    sys.exit(main())
