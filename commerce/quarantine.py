"""The quarantine of a stack: the events that nobody could use, kept for 14 days where InvalidEvents is `quarantine`.

    quarantine.py STACK             list them
    quarantine.py STACK --send      send them again; what is accepted leaves the quarantine
    quarantine.py STACK --delete    delete those of --id or --channel, after asking

An event is posted to the API as the shop sent it. Its event_id is its first delivery, unless the shop gave it one, so that it has the
same id however often it is sent. It is signed with the first HMAC secret of its shop, and asks for a 422 if it still cannot be used.
The body of a plugin's event has no place for an event_id, so such an event has a new id each time it is sent.

Nothing of a body and no secret is ever shown.
"""

import base64
import json
import re
import sys
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import botocore.exceptions

from aws import PATIENCE, boto3_session, reason_of
from bundle import channel_named, methods
from routes import DECODER, Stack, api_of, decoded, operations
from rest import ShopError
from shops import NAME, only_name
from terminal import Parser, agreed, paint, wrapped

sys.path.append(str(Path(__file__).resolve().parent.parent / "consumers"))

from redrive import UNPACKED_BYTES_MAX, attribute, count, give_back, plain, receive, text_attribute  # noqa: E402

SHOWN_POINTERS = 4
# What a pointer looks like that leads through names of the contract. Another could hold a customer's data.
POINTER = re.compile(r"(/[A-Za-z0-9_.-]{1,64}){0,12}")
# An id of API Gateway, or of Lambda.
REQUEST = re.compile(r"[A-Za-z0-9_=-]{1,128}")
CHANNEL = re.compile(r"[a-z][a-z0-9_]{1,99}")
SPACE = re.compile(r"[ \t\r\n]*")
NEW_ID = "a plugin's body has no event_id, so it was posted unchanged: if an earlier attempt arrived, the event comes twice"
STAYS = "The event stays in the quarantine, and nothing more was sent. If it arrived all the same, it keeps its id the next time."
ADVICE = {
    401: " Is hmac_secrets of the stack's secret what the functions know? It takes up to five minutes after a change by hand.",
    404: " Is the stack of this project, and does it have the channel?",
    429: " Try again in a moment, or with MAX=….",
}


@dataclass(frozen=True)
class Event:
    """An event in the quarantine. Of one that cannot be read only the first four are known."""

    id: str
    channel: str
    taken: datetime
    size: int
    readable: bool
    request: str = "-"
    key: str = "-"
    reasons: str = ""
    delivery: str = ""
    body: str = ""
    # Its name in the secret; None for the one without.
    shop: str = None


# What the quarantine holds


def read(message):
    known = message["Attributes"]
    taken = datetime.fromtimestamp(int(known["SentTimestamp"]) / 1000, UTC)
    own_id = plain(known["MessageDeduplicationId"])
    try:
        return Event(id=own_id, readable=True, **parts(json.loads(text(message))))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, zlib.error):
        # Nobody is told more: the reason could quote the body.
        channel = plain(text_attribute(message, "channel"))
        return Event(id=own_id, channel=channel, taken=taken, size=len(message["Body"]), readable=False)


def text(message):
    encoding = text_attribute(message, "content-encoding")
    if not encoding:
        return message["Body"]
    if encoding != "gzip, base64":
        raise ValueError("another encoding")
    unpacking = zlib.decompressobj(wbits=31)
    unpacked = unpacking.decompress(base64.b64decode(message["Body"], validate=True), UNPACKED_BYTES_MAX)
    if not unpacking.eof:
        raise ValueError("cut off, or too large")
    return unpacked


def parts(said):
    """What is known of an event by its message."""
    if not CHANNEL.fullmatch(said["channel"]) or not isinstance(said["delivery"], str) or not said["delivery"]:
        raise ValueError("no channel or delivery")
    shop = said.get("shop")
    if shop is not None and not NAME.fullmatch(shop):
        raise ValueError("no name of a shop")
    request = said.get("request_id") or "-"
    return {
        "channel": said["channel"],
        "taken": datetime.fromisoformat(said["time"]).astimezone(UTC),
        "size": len(said["body"].encode()),
        "request": request if REQUEST.fullmatch(request) else "-",
        "key": plain(said["key"]) if said.get("key") else "none, signatures are not checked",
        "reasons": pointers(said.get("reasons"), said.get("more_reasons")),
        "delivery": said["delivery"],
        "body": said["body"],
        "shop": shop,
    }


def pointers(reasons, more):
    """How many reasons there are, and where the first of them are."""
    reasons = reasons if isinstance(reasons, list) else []
    places = [one["pointer"] if isinstance(one, dict) and isinstance(one.get("pointer"), str) else "-" for one in reasons]
    places = dict.fromkeys(place or "the body" for place in (place if POINTER.fullmatch(place) else "-" for place in places))
    number = len(reasons) + (more if isinstance(more, int) else 0)
    shown = ", ".join(list(places)[:SHOWN_POINTERS])
    return f"{number}: {shown}{', …' if len(places) > SHOWN_POINTERS or number > len(reasons) else ''}" if shown else str(number)


def is_chosen(event, options):
    ids = {event.id, event.request} - {"-"}
    if options.shop and event.shop != options.shop:
        return False
    return (not options.channel or event.channel == options.channel) and (not options.id or options.id in ids)


def show(event, retention):
    until = event.taken.timestamp() + retention
    print(
        f"{paint(event.channel, 1)}  {event.taken:%Y-%m-%d %H:%M:%S} UTC  {kilobytes(event.size)}  "
        f"kept until {datetime.fromtimestamp(until, UTC):%Y-%m-%d}"
    )
    rows = {"id": event.id}
    if event.shop:
        rows["shop"] = event.shop
    if event.readable:
        rows |= {"request": event.request, "key": event.key, "reasons": event.reasons}
    for name, value in rows.items():
        print(wrapped(f"    {name:7}  ", value, " " * 13))
    if not event.readable:
        note("!", "cannot be read, and is never sent: it is not a message that the functions write")


def note(mark, words):
    print(wrapped(f"    {paint(mark, 32 if mark == '✓' else 33)} ", words, " " * 6), flush=True)


def kilobytes(size):
    return f"{size} B" if size < 1024 else f"{size / 1024:.1f} KB"


# Sending


def send(api, event):
    """Posts an event again, shows what came of it, and says it in a word or two for the sum."""
    if not event.readable:
        return "not sent"
    if reason := api.why_not(event.shop):
        note("!", f"not sent, and kept: {reason}")
        return "not sent"
    try:
        body = (event.body if is_plugin(event.channel) else with_event_id(event.body, event.delivery)).encode()
    except (ValueError, RecursionError):
        note("!", "not sent, and kept: its body is not a JSON object, or is nested too deeply")
        return "not sent"
    try:
        response, content = api.post(event.channel, body, event.shop)
    except ShopError as error:
        raise ShopError(f"{error}. {STAYS}") from None
    status, answer = response.status_code, decoded(content)
    if status == 422:
        problem = answer if isinstance(answer, dict) else {}
        more = problem.get("more_errors", "")
        reasons = pointers(problem.get("errors"), int(more) if str(more).isdecimal() else 0)
        note("!", f"still unusable, and kept; reasons {reasons}")
        return "still unusable"
    if status == 413:
        note("!", "too large, and kept: there is no room for the event_id that it would need")
        return "too large"
    names = operations(answer) if status == 200 else []
    if not names:
        what = f"status {status}" if status != 200 else "something else than operations"
        raise ShopError(f"the API answered {what}.{ADVICE.get(status, '')} {STAYS}")
    if "exception" in names:
        note("!", "refused by a rule or the stock check, and kept")
        return "refused"
    if is_plugin(event.channel):
        note("!", NEW_ID)
    note("✓", "accepted, and deleted from the quarantine")
    return "accepted"


def is_plugin(channel):
    method, _ = methods().get(channel, (channel.replace("plugin_", "plugin."), None))
    return method.startswith("plugin.")


def with_event_id(body, delivery):
    """The body with the delivery as its event_id, if it has none. Nothing else of it changes."""
    places = [(start, end) for name, start, end in members(body) if name == "event_id"]
    value = json.dumps(delivery)
    if not places:
        at = body.index("{") + 1
        comma = "" if body[SPACE.match(body, at).end()] == "}" else ","
        return f'{body[:at]}"event_id":{value}{comma}{body[at:]}'
    [start, end], *others = places
    if others or is_delivery(DECODER.decode(body[start:end])):
        return body
    return body[:start] + value + body[end:]


def is_delivery(event_id):
    """Whether the functions take this for the name of a delivery: a number, or a text that is not empty. They know no others."""
    if isinstance(event_id, bool) or not isinstance(event_id, str) or not event_id:
        return False
    try:
        event_id.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def members(body):
    """The name of each member of the outermost object, and where its value begins and ends."""
    if not isinstance(DECODER.decode(body), dict):
        raise ValueError("no object")
    at = SPACE.match(body, body.index("{") + 1).end()
    while body[at] != "}":
        name, at = DECODER.raw_decode(body, at)
        # Behind the colon.
        start = SPACE.match(body, SPACE.match(body, at).end() + 1).end()
        _, end = DECODER.raw_decode(body, start)
        yield name, start, end
        at = SPACE.match(body, end).end()
        if body[at] == ",":
            at = SPACE.match(body, at + 1).end()


def work(options):
    stack = Stack(options.stack)
    queue = stack.output("QuarantineQueueUrl")
    api = api_of(stack) if options.send else None
    if api and (reason := api.why_not(options.shop) if options.shop else api.why_nobody()):
        raise ShopError(reason)
    sqs = boto3_session().client("sqs", config=PATIENCE)
    waiting, hidden, retention = (
        int(attribute(sqs, queue, name) or 0)
        for name in ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "MessageRetentionPeriod")
    )
    print(f"Quarantine of {options.stack}: about {events(waiting)}{f', and {hidden} that another run looks at' if hidden else ''}\n")
    outcomes, held = [], {}
    try:
        for message in receive(sqs, queue, held):
            event = read(message)
            if not is_chosen(event, options):
                continue
            show(event, retention)
            outcome = send(api, event) if api else "listed"
            if outcome == "accepted":
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=held.pop(message["MessageId"]))
            outcomes.append((outcome, message["MessageId"]))
            print()
            if len(outcomes) == options.max:
                break
        if options.delete and outcomes and may_delete(len(outcomes), options):
            for number, (_, own_id) in enumerate(outcomes):
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=held.pop(own_id))
                outcomes[number] = ("deleted", own_id)
    except (ShopError, KeyboardInterrupt):
        if options.send and outcomes:
            print(f"\n{summary([outcome for outcome, _ in outcomes], options)}")
        raise
    finally:
        give_back(sqs, queue, held)
    print(summary([outcome for outcome, _ in outcomes], options))


def may_delete(number, options):
    refusal = "nothing was deleted: there is nobody to ask. Add YES=1 to delete unasked."
    return options.yes or agreed(f"Delete {events(number)} for good?", refusal)


def summary(outcomes, options):
    if not outcomes:
        return "It has no such event." if options.channel or options.id or options.shop else "It has nothing to show."
    counts = {outcome: outcomes.count(outcome) for outcome in dict.fromkeys(outcomes)}
    counted = ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
    if options.delete:
        return f"{counted}." if "deleted" in counts else "Nothing was deleted."
    return f"{counted}." if options.send else f"{counted}. SEND=1 sends them again. DELETE=1 deletes those of ID=… or CHANNEL=…."


def events(number):
    return f"{number} event{'' if number == 1 else 's'}"


def read_options(arguments):
    parser = Parser("quarantine", __doc__)
    parser.add_argument("stack", help="the stack in CloudFormation")
    parser.add_argument("--send", action="store_true", help="send the events again")
    parser.add_argument("--delete", action="store_true", help="delete them; needs --id or --channel")
    parser.add_argument("--yes", action="store_true", help="delete without asking")
    parser.add_argument("--channel", type=channel_named, help="only this channel's, as sales_order_place_after")
    parser.add_argument("--id", help="only the one with this id, or of this request")
    parser.add_argument("--shop", help="only this shop's, by its name in the secret")
    parser.add_argument("--max", type=count, help="no more than this many, at least 1")
    options = parser.parse_args(arguments)
    if options.send and options.delete:
        parser.error("SEND=1 and DELETE=1: one of them")
    if options.delete and not options.id and not options.channel:
        parser.error("which events shall be deleted? Add ID=… or CHANNEL=…")
    return options


def main(arguments=None):
    options = read_options(arguments)
    try:
        options.shop = only_name(options.shop)
        work(options)
        return 0
    except ShopError as error:
        reason = str(error)
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        reason = reason_of(error)
    except KeyboardInterrupt:
        print("\nquarantine: stopped. What was not accepted stays, and keeps its id when it is sent again.", file=sys.stderr)
        return 130
    sys.stdout.flush()
    print(f"quarantine: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
