"""An example of a consumer in plain Python: writes every event into a SQLite database, each once,
and in the order of its group.

    worker.py QUEUE_URL DEAD_LETTER_QUEUE_URL DATABASE_FILE [--once] [--take-expected-issues]

An event whose work fails waits, and so does all that is behind it in its group. It goes to the
dead-letter queue when its work refuses it, when it keeps failing while others succeed, or before
SQS would delete it for its age. So does an event with issues of fields that its channel expects,
unless --take-expected-issues is given.

It runs until Ctrl-C or SIGTERM, and ends after the message at hand; a second signal ends it at
once. While SQS or the database is out of reach, or the credentials have expired, it waits and
tries again. With --once it ends when nothing more comes, or when it would have to wait.
"""

import argparse
import base64
import contextlib
import dataclasses
import datetime
import json
import math
import os
import random
import re
import signal
import sqlite3
import sys
import time
import typing
import uuid
import zlib

# Until it can end cleanly: boto3 takes a while to load.
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import boto3
import botocore.config
import botocore.parsers
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError, ProfileNotFound

# Longer than the work on one event ever takes. If the process dies meanwhile, the event comes again after this time.
VISIBILITY_SECONDS = 300
# The pause before the next attempt is a quarter of the time since the first one, within these bounds. It is shortened at random
# by up to half, so that a backlog does not come back in bursts.
PAUSE_SECONDS = (15, 30 * 60)
# The most that the work can ask for instead.
RETRY_AFTER_SECONDS_MAX = 3600
# When an event goes to the dead-letter queue that fails while others succeed: after this many attempts, over this time.
ATTEMPTS_MIN, ATTEMPTS_SECONDS_MIN = 10, 3600
# Others succeed if one was done since the attempt before, and so was at least half of the last 20. With fewer than 4 known, the
# first is enough. So a system that is overloaded, and takes only a few, costs only time.
OTHERS_MIN, OTHERS_MAX = 4, 20
# When every event that fails goes there, as a share of the time after which SQS deletes a message.
EXPIRES_SOON = 0.8
# The pauses while SQS is out of reach, from the first to the longest.
AWAY_SECONDS = (1, 60)

# Of the longest name of an event, and of a channel.
EVENT_NAME_BYTES_MAX, CHANNEL_BYTES_MAX = 256, 64
TYPE = re.compile(rf"com\.adobe\.commerce\.(observer|plugin)\.([a-z0-9_.]{{1,{EVENT_NAME_BYTES_MAX}}})")
# The last part is the major version of the contract.
SCHEMA = re.compile(rf"urn:commerce-webhooks:message:([a-z0-9_]{{1,{CHANNEL_BYTES_MAX}}}):1")
# A time as the shop writes it: UTC, without a zone.
SHOP_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
# An entity has its name in `data`. It is found by that name, because a later version may put other members beside it. An event
# without a model has none of them: then the entity is `original`, as the shop sent it.
ENTITIES = {"order", "invoice", "shipment", "customer", "product", "quote_item"}


# The name of a shop, in the message attribute `shop`.
SHOP = re.compile("[a-z0-9][a-z0-9_-]{0,31}")
# W3C Trace Context: version, id of the trace, id of the parent, flags. A version after 00 may add more.
TRACEPARENT = re.compile("(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
TRACESTATE = re.compile(r"[\t -~]{1,512}")
# The flags that are passed on: sampled, and that the id of the trace is random. The others are reserved, and must be zero.
KNOWN_FLAGS = 0b11


class UnknownSchema(Exception):
    """The event keeps to a contract that is not known here."""


class Refused(Exception):
    """The work says that it can never succeed, as an endpoint does by 400, 410, 413 or 422."""


class Conflict(Exception):
    """The work fails because of this event, but may succeed later, as with 409, 423 or 425: a user has locked the order."""


class Busy(Exception):
    """The other side limits how much it takes, as with 408, 429, or 503 with Retry-After. That is never because of this event."""


class Span(typing.NamedTuple):
    """The span in which a message is handled. Its parent is the span of the shop's request. It is not exported: that needs an SDK and a
    collector. Give `traceparent` and `tracestate` to each request that the work makes, so that the trace goes on there."""

    trace_id: str
    span_id: str
    parent_span_id: str
    flags: int
    tracestate: str | None

    @classmethod
    def start(cls, message):
        """None if the shop's request was not traced, or its context is invalid."""
        context = TRACEPARENT.fullmatch(attribute(message, "traceparent") or "")
        if not context or (context[1] == "00" and context[5]):
            return None
        state = attribute(message, "tracestate")
        state = state if state and TRACESTATE.fullmatch(state) else None
        return cls(context[2], f"{random.getrandbits(64) or 1:016x}", context[3], int(context[4], 16) & KNOWN_FLAGS, state)

    @property
    def traceparent(self):
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


class Origin(typing.NamedTuple):
    """Where an event comes from, as the attributes of its message say: the name of the shop, if it has one, and the trace."""

    shop: str | None
    span: Span | None

    @classmethod
    def of(cls, message):
        return cls(shop(message), Span.start(message))

    def __str__(self):
        """For the line of the message."""
        named = {"shop": self.shop, **(self.span._asdict() if self.span else {})}
        names = ("shop", "trace_id", "span_id", "parent_span_id")
        return "".join(f" {name}={named[name]}" for name in names if named.get(name))


def work(database, event, text, origin):
    """What is done with an event: replace it. What it writes here stands or falls with the note that the event is done. `origin` says
    which shop sent it, and has the trace for your own requests.

    To fail it raises Refused, Conflict, Busy, or any other exception. Its attribute `retry_after`, if it has one, is the least
    pause before the next attempt, in seconds.

    What you do outside of this database remains when the work fails: it may happen twice, and `last_done` does not tell of it."""
    traceparent = origin.span.traceparent if origin.span else None
    row = event["id"], event["type"], text, origin.shop, traceparent
    database.execute("INSERT INTO events (id, type, event, shop, traceparent) VALUES (?, ?, ?, ?, ?)", row)


def attribute(message, name):
    """The text of a message attribute; None if it is absent or not a text."""
    return message.get("MessageAttributes", {}).get(name, {}).get("StringValue")


def shop(message):
    """The name of the shop; None if it has none, or an invalid one."""
    name = attribute(message, "shop")
    return name if name and SHOP.fullmatch(name) else None


def read(message):
    """The event, and its JSON as it was sent. An exception means that the message can never succeed."""
    text, attributes = message["Body"], message.get("MessageAttributes", {})
    if "shop" in attributes and not shop(message):
        raise ValueError("an event must not be taken for one of the shop without a name")
    encoding = attributes.get("content-encoding")
    if encoding:
        unpacker = zlib.decompressobj(wbits=31)  # gzip, up to 64 MB
        text = unpacker.decompress(base64.b64decode(text, validate=True), 64 * 1024 * 1024).decode()
        if encoding["StringValue"] != "gzip, base64" or not unpacker.eof:
            raise ValueError("unknown encoding, or too large")
    event = json.loads(text, parse_int=whole_number)
    event_type = TYPE.fullmatch(event["type"])
    if event["specversion"] != "1.0" or not event_type:
        raise ValueError("not an event of ours")
    if not is_known(*event_type.groups(), event.get("dataschema")):
        raise UnknownSchema
    if not isinstance(event["source"], str) or not isinstance(event.get("subject"), str | None):
        raise ValueError("not a CloudEvent")
    if event.get("contentid") is not None and not re.fullmatch("[0-9a-f]{64}", event["contentid"]):
        raise ValueError("not a content id of ours")
    # SQLite takes only what can be encoded as UTF-8. Half of a surrogate pair cannot.
    for noted in (event["source"], event["type"], entity_name(event), updated_at(event)):
        (noted or "").encode()
    return {**event, "id": str(uuid.UUID(event["id"]))}, text


def is_known(kind, name, dataschema):
    """Whether the contract is known here. Its schema names the channel, because one type can have two: that of the hooks before the
    action, and that of the hooks after it. Earlier functions named no schema, and knew no plugins."""
    if dataschema is None:
        return kind == "observer"
    schema = isinstance(dataschema, str) and SCHEMA.fullmatch(dataschema)
    if not schema or kind == "plugin":
        return bool(schema) and schema[1].startswith("plugin_")
    # A longer name is shortened.
    return len(name) + len("_before") > CHANNEL_BYTES_MAX or schema[1] in (name, f"{name}_before", f"{name}_after")


def entity(event):
    names = ENTITIES & event["data"].keys()
    (name,) = names or ("original",)
    return event["data"][name]


def has_expected_issues(message, data):
    """Whether something is wrong with a field that the channel expects. The attribute says so; if it was lost on the way, the
    list of issues does. Where neither can tell, the answer is yes: somebody should look."""
    told = attribute(message, "issues")
    if told in ("expected", "other"):
        return told == "expected"
    try:
        return "more_issues" in data or any(issue["expected"] for issue in data.get("issues", []))
    except (KeyError, TypeError):
        return True


def updated_at(event):
    """The entity's own time of its last change; None if there is none that can be compared."""
    try:
        text = entity(event)["updated_at"]
        if not ENTITIES & event["data"].keys() and SHOP_TIME.fullmatch(text):
            text = f"{text.replace(' ', 'T')}Z"
        return text if datetime.datetime.fromisoformat(text).tzinfo else None
    except (KeyError, TypeError, ValueError):
        return None


def entity_name(event):
    """The subject, with the store view, because the numbers of two stores may be the same. None if there is no subject."""
    subject, known = event.get("subject"), entity(event)
    store = known.get("store_id") if isinstance(known, dict) else None
    # The shop itself writes it as a number or as a text.
    store = int(store) if isinstance(store, str) and re.fullmatch("[0-9]{1,18}", store) else store
    return subject if subject is None or not isinstance(store, int | str) else f"{subject} of store {store}"


def is_older(one, other):
    return None not in (one, other) and datetime.datetime.fromisoformat(one) < datetime.datetime.fromisoformat(other)


def compare(database, event):
    """`repeated` if this is what was done last for its entity, `stale` if it was done before something newer, else None: there
    is work to do. That an event is older is no reason to skip it, because one that comes for the first time may come late."""
    if not event.get("subject") or not event.get("contentid"):
        return None
    of_entity = event["source"], event["type"], entity_name(event)
    last = database.execute("SELECT contentid, updated_at FROM last_done WHERE (source, type, subject) = (?, ?, ?)", of_entity)
    contentid, last_updated_at = last.fetchone() or (None, None)
    if contentid == event["contentid"]:
        return "repeated"
    content = *of_entity, event["contentid"]
    same = database.execute("SELECT 1 FROM contents WHERE (source, type, subject, contentid) = (?, ?, ?, ?)", content)
    return "stale" if same.fetchone() and is_older(updated_at(event), last_updated_at) else None


def note(database, event):
    """Remembers what is done for an entity now."""
    of_entity = event["source"], event["type"], entity_name(event)
    if event.get("subject") and event.get("contentid"):
        content = *of_entity, event["contentid"]
        database.execute("INSERT OR IGNORE INTO contents (source, type, subject, contentid) VALUES (?, ?, ?, ?)", content)
        database.execute("INSERT OR REPLACE INTO last_done VALUES (?, ?, ?, ?, ?)", (*content, updated_at(event)))
    else:
        # What was done last is not known any more: nothing may be taken for a repetition of it.
        database.execute("DELETE FROM last_done WHERE (source, type, subject) = (?, ?, ?)", of_entity)


@dataclasses.dataclass
class Attempts:
    """What is known of the attempts at an event that is not done. Its members are columns of the table `attempts`."""

    # A dead letter that was moved back is another message, and begins anew.
    message: str
    first: float
    # How many events had been done, in all, when the last attempt began.
    successes: int
    # Those that count: the failure was about this event, or others succeed.
    counted: int = 0
    first_counted: float = 0
    # The last one has not ended. If it does not run in another process, its process died.
    running: bool = False

    @classmethod
    def load(cls, database, of_event, message_id, successes):
        columns = ", ".join(field.name for field in dataclasses.fields(cls))
        row = database.execute(f"SELECT {columns} FROM attempts WHERE (source, type, id) = (?, ?, ?)", of_event).fetchone()
        return cls(*row) if row and row[0] == message_id else cls(message_id, time.time(), successes)

    def save(self, database, of_event):
        columns = dataclasses.astuple(self)
        with database:
            database.execute(f"INSERT OR REPLACE INTO attempts VALUES (?, ?, ?{', ?' * len(columns)})", (*of_event, *columns))

    def count(self):
        self.first_counted = self.first_counted if self.counted else time.time()
        self.counted += 1

    def given_up(self, age, expires_after):
        """Why there shall be no further attempt; None if there shall be one."""
        if self.counted >= ATTEMPTS_MIN and time.time() - self.first_counted >= ATTEMPTS_SECONDS_MIN:
            return "failed_alone"
        return "expires_soon" if age >= expires_after else None


class Recent:
    """The latest outcome of each event that this process worked on last: whether it was done."""

    def __init__(self):
        self.done = {}

    def note(self, of_event, done):
        self.done.pop(of_event, None)  # so that it becomes the last one
        self.done[of_event] = done
        if len(self.done) > OTHERS_MAX + 1:
            del self.done[next(iter(self.done))]

    def others_succeed(self, of_event):
        others = [done for event, done in self.done.items() if event != of_event][-OTHERS_MAX:]
        return len(others) < OTHERS_MIN or 2 * sum(others) >= len(others)


def pause_before_next(failing, left, retry_after=0):
    """In seconds, given for how long it has been failing, and how much time is left until it is too old."""
    shortest, longest = PAUSE_SECONDS
    pause = max(min(failing / 4, longest) * random.uniform(0.5, 1), shortest, min(retry_after, RETRY_AFTER_SECONDS_MAX))
    # There must be an attempt when the event is so old that it is the last.
    return math.ceil(min(pause, left))


def retry_after_of(failure):
    """What is not a finite number of seconds is ignored: the exceptions of a library may hold a header's text there, or None."""
    try:
        seconds = failure.retry_after
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        return seconds if is_number and 0 <= seconds < math.inf else 0
    except Exception:
        return 0


def seconds_since(message, name):
    return time.time() - int(message["Attributes"][name]) / 1000


def set_aside(sqs, message, dead_letters, reason):
    ids = {name: message["Attributes"][name] for name in ("MessageGroupId", "MessageDeduplicationId")}
    attributes = {**message.get("MessageAttributes", {}), "reason": {"DataType": "String", "StringValue": reason}}
    sqs.send_message(QueueUrl=dead_letters, MessageBody=message["Body"], MessageAttributes=attributes, **ids)
    return f"set aside: {reason}", None


def whole_number(digits):
    """Python refuses to read thousands of digits, which stand in what the shop sent only. Such a number stays text."""
    return int(digits) if len(digits) < 1000 else digits


def handle(sqs, message, dead_letters, database, recent, expires_after, take_expected_issues, origin):
    """The outcome, and the pause before the next attempt; None if the message is finished."""
    try:
        event, text = read(message)
        expected_issues = has_expected_issues(message, event["data"])
    except UnknownSchema:
        return set_aside(sqs, message, dead_letters, "unknown_schema")
    except Exception:
        return set_aside(sqs, message, dead_letters, "unreadable")
    if expected_issues and not take_expected_issues:
        return set_aside(sqs, message, dead_letters, "expected_issues")
    of_event = event["source"], event["type"], event["id"]
    (successes,) = database.execute("SELECT coalesce(max(number), 0) FROM successes").fetchone()
    attempts = Attempts.load(database, of_event, message["MessageId"], successes)
    if attempts.running and (reason := attempts.given_up(seconds_since(message, "SentTimestamp"), expires_after)):
        return set_aside(sqs, message, dead_letters, reason)
    counted_before = attempts.counted
    if successes > attempts.successes and recent.others_succeed(of_event):
        attempts.count()
    attempts.successes, attempts.running = successes, True
    attempts.save(database, of_event)  # before the work begins, because it may end the process
    try:
        outcome = do(database, event, text, of_event, origin)
    except Exception as raised:
        failure, retry_after = raised, retry_after_of(raised)
    else:
        if outcome == "done":
            recent.note(of_event, True)
        return outcome, None
    # A refusal and a conflict are answers: the system is there.
    recent.note(of_event, isinstance(failure, (Refused, Conflict)))
    if isinstance(failure, Conflict) and attempts.counted == counted_before:
        attempts.count()
    if isinstance(failure, Busy):
        attempts.counted = counted_before
    attempts.running = False
    attempts.save(database, of_event)
    age = seconds_since(message, "SentTimestamp")
    if reason := "refused" if isinstance(failure, Refused) else attempts.given_up(age, expires_after):
        return set_aside(sqs, message, dead_letters, reason)
    pause = pause_before_next(time.time() - attempts.first, expires_after - age, retry_after)
    return failed(failure, pause)


def handle_without_notes(sqs, message, dead_letters, expires_after, problem):
    """The same, after the database or the dead-letter queue has failed. Without a pause that grows, SQS would give the message
    up after 1,000 receives."""
    left = expires_after - seconds_since(message, "SentTimestamp")
    if left <= 0:
        return set_aside(sqs, message, dead_letters, "expires_soon")
    return failed(problem, pause_before_next(seconds_since(message, "ApproximateFirstReceiveTimestamp"), left))


def failed(failure, pause):
    return f"failed: {type(failure).__name__}, next attempt in {pause} s", pause


def do(database, event, text, of_event, origin):
    with database:  # one transaction: the work and the notes, or neither
        database.execute("DELETE FROM attempts WHERE (source, type, id) = (?, ?, ?)", of_event)
        if database.execute("INSERT OR IGNORE INTO done_events (source, type, id) VALUES (?, ?, ?)", of_event).rowcount == 0:
            return "repeated"
        if skipped := compare(database, event):
            return skipped
        work(database, event, text, origin)
        note(database, event)
        database.execute("INSERT INTO successes (id, number) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET number = number + 1")
        return "done"


def handle_next(sqs, queue, dead_letters, database, recent, expires_after, take_expected_issues=False):
    """Receives one message and handles it: whether one came.

    Only one at a time, because SQS counts a receive for every message that it hands out, tried or not. While this one is handled
    or waits for its next attempt, SQS hands out nothing of its group."""
    messages = sqs.receive_message(
        QueueUrl=queue,
        VisibilityTimeout=VISIBILITY_SECONDS,
        WaitTimeSeconds=1,  # signals are noticed after it, because a receive that is broken off can take a message along
        MessageSystemAttributeNames=["All"],
        MessageAttributeNames=["All"],
    ).get("Messages", [])
    for message in messages:
        problem, origin = None, Origin.of(message)
        try:
            outcome, pause = handle(sqs, message, dead_letters, database, recent, expires_after, take_expected_issues, origin)
        except Exception as raised:
            problem = raised
            outcome, pause = handle_without_notes(sqs, message, dead_letters, expires_after, problem)
        of_message = {"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]}
        try:
            if pause is None:
                sqs.delete_message(**of_message)
            else:
                sqs.change_message_visibility(**of_message, VisibilityTimeout=pause)
        except ClientError as error:
            # What SQS says when the visibility timeout is over, or another process has received the message.
            if not re.search("ReceiptHandleIsInvalid|InvalidParameterValue|MessageNotInflight", code_of(error)):
                raise
            outcome += f", after more than {VISIBILITY_SECONDS} s: it comes again"
        print(f"{message['MessageId']} {outcome}{origin}", flush=True)
        if problem:
            raise problem
    return bool(messages)


def connect(queue, dead_letters):
    """A client with the credentials as they are now, and the age at which every event that fails is set aside."""
    config = botocore.config.Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2})
    # boto3 itself reads only AWS_DEFAULT_REGION, and ~/.aws.
    try:
        sqs = boto3.Session().client("sqs", region_name=os.environ.get("AWS_REGION") or None, config=config)
    except ValueError as error:
        sys.exit(f"AWS_ENDPOINT_URL: {error}")
    sqs.get_queue_attributes(QueueUrl=dead_letters, AttributeNames=["QueueArn"])  # whether it is there
    retention = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["MessageRetentionPeriod"])
    return sqs, EXPIRES_SOON * int(retention["Attributes"]["MessageRetentionPeriod"])


def run(queue, dead_letters, database, once=False, take_expected_issues=False):
    sqs, problem, worked, pause = None, None, False, AWAY_SECONDS[0]
    recent = Recent()
    while not Stop.asked:
        try:
            if sqs is None:
                Stop.at_once = True
                sqs, expires_after = connect(queue, dead_letters)
            Stop.at_once = False
            came = handle_next(sqs, queue, dead_letters, database, recent, expires_after, take_expected_issues)
        except (BotoCoreError, ClientError, botocore.parsers.ResponseParserError, sqlite3.Error) as error:
            what, may_pass = explained(error)
            if once or not (worked or may_pass):
                sys.exit(what)
            cause = code_of(error) if isinstance(error, ClientError) else type(error)
            if cause != problem:
                print(f"{what} It tries again until it works.", file=sys.stderr, flush=True)
            sqs, problem, Stop.at_once = None, cause, True
            if not Stop.asked:
                time.sleep(pause)
            pause = min(2 * pause, AWAY_SECONDS[1])
        else:
            if problem:
                print("It works again.", file=sys.stderr, flush=True)
            problem, worked, pause = None, True, AWAY_SECONDS[0]
            if once and not came:
                return


def explained(error):
    """What is wrong, in one line, and whether it may pass."""
    if isinstance(error, ClientError):
        # The code alone: the message could quote the request.
        status, code = error.response["ResponseMetadata"]["HTTPStatusCode"], code_of(error)
        text = f"AWS refuses {error.operation_name}: {code}."
        if re.search("Token|Expired|UnrecognizedClient", code):
            return f"{text} Log in to AWS again.", True
        return text, status >= 500 or "Throttl" in code
    if isinstance(error, NoRegionError):
        return "In which region are the queues? Set AWS_REGION.", False
    if isinstance(error, botocore.parsers.ResponseParserError):
        return "What answers is not SQS.", True
    subject = "The database" if isinstance(error, sqlite3.Error) else "SQS"
    text = f"{subject} is out of reach: {' '.join(str(error).split()).rstrip('.')}."
    return text, not isinstance(error, ProfileNotFound)


def code_of(error):
    return error.response["Error"]["Code"]


class Stop:
    """Whether it is to end, and whether it may do so at once, because it has no message."""

    asked = at_once = False

    @classmethod
    def ask(cls, number, _):
        cls.asked = True
        signal.signal(number, signal.SIG_DFL)  # the second one ends the process, whatever it does
        if cls.at_once:
            sys.exit()


def open_database(file):
    database = sqlite3.connect(file, timeout=60)  # as long as the work of another process may take
    attempts = ", ".join(field.name for field in dataclasses.fields(Attempts))
    for table, key, rest in (
        ("done_events", "source, type, id", ""),
        ("attempts", "source, type, id", f"{attempts}, "),
        ("last_done", "source, type, subject", "contentid, updated_at, "),
        ("contents", "source, type, subject, contentid", ""),
        ("successes", "id", "number, "),
    ):
        database.execute(f"CREATE TABLE IF NOT EXISTS {table} ({key}, {rest}PRIMARY KEY ({key}))")
    database.execute("CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, id TEXT, type TEXT, event TEXT)")
    # A file of an earlier version lacks them.
    known = {name for _, name, *_ in database.execute("PRAGMA table_info(events)")}
    for column in ("shop", "traceparent"):
        if column not in known:
            database.execute(f"ALTER TABLE events ADD COLUMN {column} TEXT")
    return database


def parser():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("queue", help="URL of the queue")
    parser.add_argument("dead_letters", help="URL of its dead-letter queue")
    parser.add_argument("database", help="file of the SQLite database")
    parser.add_argument("--once", action="store_true", help="end when nothing more comes")
    parser.add_argument(
        "--take-expected-issues", action="store_true", help="work on an event although it lacks what its channel expects"
    )
    return parser


def main():
    chosen = parser().parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, Stop.ask)
    try:
        database = open_database(chosen.database)
    except sqlite3.Error as error:
        sys.exit(f"{chosen.database} cannot be opened as a database: {error}")
    with contextlib.closing(database):
        run(chosen.queue, chosen.dead_letters, database, chosen.once, chosen.take_expected_issues)


if __name__ == "__main__":
    main()
