"""An example of a consumer in plain Python: writes every event into a SQLite database, each once, and in the order of its group.

    worker.py QUEUE_URL DEAD_LETTER_QUEUE_URL DATABASE_FILE [--once] [--take-expected-issues]

It runs until Ctrl-C. With --once it ends when nothing more comes. An event with issues of fields that its channel expects
goes to the dead-letter queue, unless --take-expected-issues is given.
"""

import argparse
import base64
import contextlib
import datetime
import json
import os
import re
import signal
import sqlite3
import sys
import uuid
import zlib

import boto3
import botocore.exceptions


TYPE_PREFIX = "com.adobe.commerce.observer."
# Every entity has its name in `data`. It is found by that name, because a later version may put other members beside it.
ENTITIES = {"order", "invoice", "shipment", "customer", "product", "quote_item"}


class UnknownSchema(Exception):
    """The event keeps to a contract that is not known here."""


def work(database, event, text):
    """What is done with an event: replace it. What it writes here stands or falls with the note that the event is done."""
    database.execute("INSERT INTO events (id, type, event) VALUES (?, ?, ?)", (event["id"], event["type"], text))


def read(message):
    """The event, and its JSON as it was sent. An exception means that the message can never succeed."""
    text, encoding = message["Body"], message.get("MessageAttributes", {}).get("content-encoding")
    if encoding:
        unpacker = zlib.decompressobj(wbits=31)  # gzip, up to 64 MB
        text = unpacker.decompress(base64.b64decode(text, validate=True), 64 * 1024 * 1024).decode()
        if encoding["StringValue"] != "gzip, base64" or not unpacker.eof:
            raise ValueError("unknown encoding, or too large")
    event = json.loads(text, parse_int=whole_number)
    if event["specversion"] != "1.0" or not event["type"].startswith(TYPE_PREFIX):
        raise ValueError("not an event of ours")
    # The last part is the major version of the contract. Earlier functions named none.
    known = f"urn:commerce-webhooks:message:{event['type'].removeprefix(TYPE_PREFIX)}:1"
    if event.get("dataschema") not in (None, known):
        raise UnknownSchema
    if not isinstance(event["source"], str) or not isinstance(event.get("subject"), str | None):
        raise ValueError("not a CloudEvent")
    if event.get("contentid") is not None and not re.fullmatch("[0-9a-f]{64}", event["contentid"]):
        raise ValueError("not a content id of ours")
    entity(event)
    return {**event, "id": str(uuid.UUID(event["id"]))}, text


def entity(event):
    (name,) = ENTITIES & event["data"].keys()
    return event["data"][name]


def has_expected_issues(message, data):
    """Whether something is wrong with a field that the channel expects. The attribute says so; if it was lost on the way, the
    list of issues does. Where neither can tell, the answer is yes: somebody should look."""
    told = message.get("MessageAttributes", {}).get("issues", {}).get("StringValue")
    if told in ("expected", "other"):
        return told == "expected"
    try:
        return "more_issues" in data or any(issue["expected"] for issue in data.get("issues", []))
    except (KeyError, TypeError):
        return True


def updated_at(event):
    """The entity's own time of its last change, as it was sent; None if there is none that can be compared."""
    try:
        text = entity(event)["updated_at"]
        return text if datetime.datetime.fromisoformat(text).tzinfo else None
    except (KeyError, TypeError, ValueError):
        return None


def entity_name(event):
    """The subject, with the store view, because the numbers of two stores may be the same. None if there is no subject."""
    subject, known = event.get("subject"), entity(event)
    store = known.get("store_id") if isinstance(known, dict) else None
    return subject if subject is None or store is None else f"{subject} of store {store}"


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


def set_aside(sqs, message, dead_letters, reason):
    ids = {name: message["Attributes"][name] for name in ("MessageGroupId", "MessageDeduplicationId")}
    attributes = {**message.get("MessageAttributes", {}), "reason": {"DataType": "String", "StringValue": reason}}
    sqs.send_message(QueueUrl=dead_letters, MessageBody=message["Body"], MessageAttributes=attributes, **ids)
    return f"set aside: {reason}"


def whole_number(digits):
    """Python refuses to read thousands of digits, which stand in what the shop sent only. Such a number stays text."""
    return int(digits) if len(digits) < 1000 else digits


def handle(sqs, message, dead_letters, database, take_expected_issues):
    try:
        event, text = read(message)
        expected_issues = has_expected_issues(message, event["data"])
    except UnknownSchema:
        return set_aside(sqs, message, dead_letters, "unknown_schema")
    except Exception:
        return set_aside(sqs, message, dead_letters, "unreadable")
    if expected_issues and not take_expected_issues:
        return set_aside(sqs, message, dead_letters, "expected_issues")
    with database:  # one transaction: the work and the notes, or neither
        of_event = event["source"], event["type"], event["id"]
        if database.execute("INSERT OR IGNORE INTO done_events (source, type, id) VALUES (?, ?, ?)", of_event).rowcount == 0:
            return "repeated"
        if skipped := compare(database, event):
            return skipped
        work(database, event, text)
        note(database, event)
        return "done"


def run(sqs, queue, dead_letters, database, once, take_expected_issues=False):
    wanted = {"MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"]}
    while True:
        messages = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1 if once else 20, **wanted).get("Messages", [])
        if once and not messages:
            return
        halted = set()
        for message in messages:
            group = message["Attributes"]["MessageGroupId"]
            if group in halted:
                continue  # it comes again, after the one before it
            try:
                outcome = handle(sqs, message, dead_letters, database, take_expected_issues)
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            except Exception as failure:
                halted.add(group)
                outcome = f"failed: {type(failure).__name__}"
            print(message["MessageId"], outcome, flush=True)


def open_database(file):
    database = sqlite3.connect(file)
    for table, key, rest in (
        ("done_events", "source, type, id", ""),
        ("last_done", "source, type, subject", "contentid, updated_at, "),
        ("contents", "source, type, subject, contentid", ""),
    ):
        database.execute(f"CREATE TABLE IF NOT EXISTS {table} ({key}, {rest}PRIMARY KEY ({key}))")
    database.execute("CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, id TEXT, type TEXT, event TEXT)")
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


if __name__ == "__main__":
    chosen = parser().parse_args()
    try:
        # boto3 itself reads only AWS_DEFAULT_REGION, and ~/.aws.
        sqs = boto3.client("sqs", region_name=os.environ.get("AWS_REGION") or None)
    except botocore.exceptions.NoRegionError:
        sys.exit("In which region are the queues? Set AWS_REGION.")
    # A shell starts background jobs with Ctrl-C ignored, and Python leaves that so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        database = open_database(chosen.database)
        run(sqs, chosen.queue, chosen.dead_letters, database, chosen.once, chosen.take_expected_issues)
