"""An example of a consumer in plain Python: writes every event into a SQLite database, each once, and in the order of its group.

    worker.py QUEUE_URL DEAD_LETTER_QUEUE_URL DATABASE_FILE [--once]

It runs until Ctrl-C. With --once it ends when nothing more comes.
"""

import base64
import contextlib
import json
import os
import signal
import sqlite3
import sys
import uuid
import zlib

import boto3
import botocore.exceptions


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
    event = json.loads(text)
    if event["specversion"] != "1.0" or not event["type"].startswith("com.adobe.commerce.observer."):
        raise ValueError("not an event of ours")
    return {**event, "id": str(uuid.UUID(event["id"]))}, text


def handle(sqs, message, dead_letters, database):
    try:
        event, text = read(message)
    except Exception:
        ids = {name: message["Attributes"][name] for name in ("MessageGroupId", "MessageDeduplicationId")}
        reason = {"reason": {"DataType": "String", "StringValue": "unreadable"}}
        attributes = {**message.get("MessageAttributes", {}), **reason}
        sqs.send_message(QueueUrl=dead_letters, MessageBody=message["Body"], MessageAttributes=attributes, **ids)
        return "set aside"
    with database:  # one transaction: the work and the note, or neither
        if database.execute("INSERT OR IGNORE INTO done (id) VALUES (?)", (event["id"],)).rowcount == 0:
            return "repeated"
        work(database, event, text)
        return "done"


def run(sqs, queue, dead_letters, database, once):
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
                outcome = handle(sqs, message, dead_letters, database)
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            except Exception as failure:
                halted.add(group)
                outcome = f"failed: {type(failure).__name__}"
            print(message["MessageId"], outcome, flush=True)


def open_database(file):
    database = sqlite3.connect(file)
    database.execute("CREATE TABLE IF NOT EXISTS done (id TEXT PRIMARY KEY)")
    database.execute("CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, id TEXT, type TEXT, event TEXT)")
    return database


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5) or sys.argv[4:] not in ([], ["--once"]):
        sys.exit(__doc__)
    try:
        # boto3 itself reads only AWS_DEFAULT_REGION, and ~/.aws.
        sqs = boto3.client("sqs", region_name=os.environ.get("AWS_REGION") or None)
    except botocore.exceptions.NoRegionError:
        sys.exit("In which region are the queues? Set AWS_REGION.")
    # A shell starts background jobs with Ctrl-C ignored, and Python leaves that so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        run(sqs, *sys.argv[1:3], open_database(sys.argv[3]), once="--once" in sys.argv)
