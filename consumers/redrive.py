"""Moves messages from a dead-letter queue back to the queue that they came from, oldest first.

    redrive.py QUEUE_URL [--dry-run] [--channel NAME] [--id EVENT_ID] [--max N]

A message keeps its group, its deduplication id, its body and its attributes, but for the reason why
it was set aside. It is deleted here only when it is there, so a move that is cut off leaves it in
both queues: its event id tells the consumer.

Messages stay that were sent less than six minutes ago, by SQS's own clock. For five of them SQS
takes the same deduplication id for a repeat: it would say that it has the message, drop it, and the
copy that is deleted here would have been the last one.

Credentials, region and endpoint come from AWS's usual environment variables. No body is ever shown.
"""

import argparse
import base64
import json
import os
import re
import signal
import sys
import time
import uuid
import zlib
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import boto3
import botocore.exceptions

# How long the messages that are looked at are kept from others: longer than a look takes, and they are given back at its end.
HELD_SECONDS = 600
# SQS looks for repeats for five minutes, and a minute is for what its clocks may differ.
DEDUPLICATION_SECONDS = 360
UNPACKED_BYTES_MAX = 64 * 1024 * 1024
# What says that somebody must log in, from SQS and from the credentials' own source.
NOT_VALID = re.compile("Token|Expired|UnrecognizedClient")
NO_LOGIN = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.CredentialRetrievalError,
    botocore.exceptions.SSOError,
    botocore.exceptions.TokenRetrievalError,
)
COLUMNS = ("MESSAGE GROUP", "EVENT ID", "CHANNEL", "SENT (UTC)", "RECEIVED", "REASON", "")


def find_source(sqs, queue):
    """The queue whose dead letters these are."""
    try:
        sources = sqs.list_dead_letter_source_queues(QueueUrl=queue)["queueUrls"]
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "InvalidAction":
            raise
        # An emulator need not know the action. What it says stands in the queues' own policies.
        arn = attribute(sqs, queue, "QueueArn")
        pages = sqs.get_paginator("list_queues").paginate()
        urls = [url for page in pages for url in page.get("QueueUrls", [])]
        sources = [url for url in urls if arn in attribute(sqs, url, "RedrivePolicy")]
    if not sources:
        raise SystemExit(
            f"{queue} is no dead-letter queue of any queue. Give the output ErpDeadLetterQueueUrl or CrmDeadLetterQueueUrl of the stack."
        )
    if len(sources) > 1:
        raise SystemExit(f"This must be the dead-letter queue of one queue, but takes the dead letters of {', '.join(sources)}")
    return sources[0]


def attribute(sqs, queue, name):
    return sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=[name]).get("Attributes", {}).get(name, "")


def clock_offset(sqs, queue):
    """How far SQS's clock is ahead of this machine's, to the second: by a fast one a message would seem older than it is."""
    date = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(date).timestamp() - time.time() if date else 0.0


def receive(sqs, queue, held):
    """Every message that can be had, once. `held` comes to know the receipt handles of those that must be given back."""
    while True:
        batch = sqs.receive_message(
            QueueUrl=queue,
            MaxNumberOfMessages=10,
            VisibilityTimeout=HELD_SECONDS,
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        new = [message for message in batch if message["MessageId"] not in held]
        held.update({message["MessageId"]: message["ReceiptHandle"] for message in batch})
        if not new:
            return
        yield from new


def give_back(sqs, queue, held):
    """Makes the messages visible again that were only looked at."""
    handles = list(held.values())
    for start in range(0, len(handles), 10):
        entries = [
            {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
            for number, handle in enumerate(handles[start : start + 10])
        ]
        sqs.change_message_visibility_batch(QueueUrl=queue, Entries=entries)


def move(sqs, message, source, queue):
    known = message["Attributes"]
    trace = {}
    if "AWSTraceHeader" in known:
        trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": known["AWSTraceHeader"]}}
    sqs.send_message(
        QueueUrl=source,
        MessageBody=message["Body"],
        MessageGroupId=known["MessageGroupId"],
        MessageDeduplicationId=known["MessageDeduplicationId"],
        MessageAttributes={name: value for name, value in message.get("MessageAttributes", {}).items() if name != "reason"},
        MessageSystemAttributes=trace,
    )
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def event_id(message):
    """The event's id, which is all that is read of a body; of an unreadable one the deduplication id."""
    try:
        text = message["Body"]
        if "content-encoding" in message.get("MessageAttributes", {}):
            text = zlib.decompressobj(wbits=31).decompress(base64.b64decode(text), UNPACKED_BYTES_MAX)
        return str(uuid.UUID(json.loads(text)["id"]))
    except Exception:
        return plain(message["Attributes"]["MessageDeduplicationId"])


def text_attribute(message, name):
    return message.get("MessageAttributes", {}).get(name, {}).get("StringValue", "")


def plain(text):
    """What has the look of an id or a name. Anything else could be a customer's data, and is not shown."""
    return text if re.fullmatch(r"[A-Za-z0-9_./:-]{1,140}", text) else "-"


def row(message, note):
    known = message["Attributes"]
    sent = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(int(known["SentTimestamp"]) / 1000))
    return (
        plain(known["MessageGroupId"]),
        event_id(message),
        plain(text_attribute(message, "channel")),
        sent,
        known["ApproximateReceiveCount"],
        plain(text_attribute(message, "reason")),
        note,
    )


def show(cells):
    widths = (28, 36, 31, 19, 8, 17, 0)
    print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip(), flush=True)


def redrive(sqs, queue, chosen):
    """Lists what is chosen, and moves it unless it is only to be listed."""
    source = find_source(sqs, queue)
    print(f"{queue}\n  holds about {attribute(sqs, queue, 'ApproximateNumberOfMessages')} messages, and takes those of\n{source}\n")
    show(COLUMNS)
    listed, moved, young, held = 0, 0, set(), {}
    offset = clock_offset(sqs, queue)
    try:
        for message in receive(sqs, queue, held):
            group = message["Attributes"]["MessageGroupId"]
            if chosen.channel and text_attribute(message, "channel") != chosen.channel:
                continue
            if chosen.id and chosen.id not in (event_id(message), message["Attributes"]["MessageDeduplicationId"]):
                continue
            listed += 1
            age = max(0.0, time.time() + offset - int(message["Attributes"]["SentTimestamp"]) / 1000)
            if age < chosen.min_age:
                young.add(group)
            if group in young:
                # Nor what follows it in its group, or the order would be lost.
                note = f"too young, by {max(0, chosen.min_age - age):.0f} s"
            elif chosen.dry_run:
                note = "would move"
            else:
                move(sqs, message, source, queue)
                del held[message["MessageId"]]
                moved += 1
                note = "moved"
            show(row(message, note))
            if listed == chosen.max:
                break
    finally:
        try:
            give_back(sqs, queue, held)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
            minutes = HELD_SECONDS // 60
            print(f"Up to {len(held)} messages were not given back. SQS shows them again in {minutes} minutes.", file=sys.stderr)
    print(f"\n{listed} listed, {moved} moved.")
    if chosen.dry_run or chosen.channel or chosen.id:
        print("SQS shows no more than ten messages of a group at once, and then nothing that is behind them.")
    if young:
        print("SQS would drop what is too young as a repeat: try again when it has the age.")


def queue_url(text):
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.count("/") < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no URL of a queue, as https://sqs.eu-west-1.amazonaws.com/123456789012/…")
    return text


def count(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def parser():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("queue", type=queue_url, help="URL of the dead-letter queue")
    parser.add_argument("--dry-run", action="store_true", help="only list; every message is visible to others again at once")
    parser.add_argument("--channel", help="only this channel's, as sales_order_place_after")
    parser.add_argument("--id", help="only the message with this event id")
    parser.add_argument("--max", type=count, help="no more than this many, at least 1")
    parser.add_argument(
        "--min-age",
        type=int,
        default=DEDUPLICATION_SECONDS,
        help="seconds since a message was sent (default %(default)s); less only for what its queue has not had for so long",
    )
    return parser


def main():
    chosen = parser().parse_args()
    # As Ctrl-C does, so that what is held is given back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        # boto3 itself reads only AWS_DEFAULT_REGION, and ~/.aws.
        redrive(boto3.client("sqs", region_name=os.environ.get("AWS_REGION") or None), chosen.queue, chosen)
    except botocore.exceptions.NoRegionError:
        raise SystemExit("In which region is the queue? Set AWS_REGION.") from None
    except botocore.exceptions.ProfileNotFound as error:
        raise SystemExit(f"~/.aws has no profile {error.kwargs['profile']}, which AWS_PROFILE names. Log in to AWS.") from None
    except NO_LOGIN:
        raise SystemExit("There are no credentials of AWS. Log in to AWS.") from None
    except botocore.exceptions.ClientError as error:
        # The code alone: the message could quote the request.
        code = error.response["Error"]["Code"]
        advice = ". Log in to AWS again." if NOT_VALID.search(code) else ""
        raise SystemExit(f"AWS refuses {error.operation_name}: {code}{advice}") from None
    except botocore.exceptions.BotoCoreError as error:
        raise SystemExit(f"AWS is out of reach: {error}") from None
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
