"""The events that a bundle accepted, out of its functions' log: by Logs Insights, or by FilterLogEvents in the local stack."""

import json
import math
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from urllib.parse import urlsplit

import botocore.exceptions

from rest import ShopError, is_loopback

# What one query of Insights gives at most. A range with as many is asked again in halves.
ROWS_MAX = 10_000
# An account can run 30 to 100 queries at a time, with those of its dashboards.
AT_ONCE = 4
# The range is cut into no more pieces than this to begin with, and none is shorter than this many seconds.
PIECES, PIECE_MIN = 24, 15 * 60
# Seconds that a query may take, and that we wait for a place among the queries of the account.
QUERY, PLACE = 300, 120
POLLS = (0.3, 0.5, 1, 2)
# How often a query is asked that fails.
ATTEMPTS = 3
BUSY = {"LimitExceededException", "ThrottlingException", "ServiceUnavailableException"}
NOT_THERE = {"UnknownOperationException", "InvalidAction", "InvalidActionException", "NotImplemented"}
# An event that was not forwarded came, too: a rule or the operator kept it out of the queue.
OUTCOMES = ("accepted", "not_forwarded")
PATTERN = '{ $.message = "answered" && ($.outcome = "accepted" || $.outcome = "not_forwarded") }'
# An order that is placed always has its number.
PLACED = "sales_order_place_after"
# An invoice mostly has none yet, so its events are told apart by their time.
INVOICE_PAID = "sales_order_invoice_pay"


class Accepted:
    """When the last event of a channel about a subject was accepted, and when those that say no subject."""

    def __init__(self, channels, shop=None):
        self.channels = set(channels)
        # The log has no shop for the one without a name.
        self.shop = shop
        self.numbers = dict.fromkeys(channels, 0)
        self._last, self._original = {}, {}
        # By the event's id, so that none counts twice.
        self._without = {channel: {} for channel in channels}

    def add(self, channel, when, subject_digest, event_id, reconciled=False, shop=None):
        if channel not in self.channels or (shop or None) != self.shop:
            return
        if not subject_digest:
            self._without[channel][event_id] = when
            return
        key = (channel, subject_digest)
        if key not in self._last:
            self.numbers[channel] += 1
        self._last[key] = max(when, self._last.get(key, when))
        if not reconciled:
            self._original[key] = max(when, self._original.get(key, when))

    def last(self, channel, digests, earliest=-math.inf):
        """When the last of its events was accepted, or None if none was since the earliest time."""
        return latest(self._last, channel, digests, earliest)

    def last_original(self, channel, digests, earliest=-math.inf):
        """The same, of the events that the shop itself sent."""
        return latest(self._original, channel, digests, earliest)

    def without_subject(self, channel):
        """The times of the events that say no subject, in their order."""
        return sorted(self._without[channel].values())


def latest(times, channel, digests, earliest):
    when = max((times.get((channel, one), -math.inf) for one in digests), default=-math.inf)
    return when if when >= earliest and when > -math.inf else None


def read(logs, group, since, until, channels, report=lambda done, of: None, shop=None):
    """The accepted events of the channels and of one shop between two times, in seconds since 1970."""
    accepted = Accepted(channels, shop)
    since, until = int(since), int(until) + 1
    if is_loopback(urlsplit(logs.meta.endpoint_url).hostname):
        by_filter(logs, group, since, until, accepted)
    else:
        try:
            by_insights(logs, group, since, until, accepted, report)
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in NOT_THERE:
                raise
            by_filter(logs, group, since, until, accepted)
    check_digests(accepted, {PLACED} & accepted.channels)
    check_digests(accepted, accepted.channels - {INVOICE_PAID})
    return accepted


def check_digests(accepted, channels):
    """Ends it if events were accepted and none of them says its subject: all records would count as missing."""
    last = {channel: times[-1] for channel in channels if (times := accepted.without_subject(channel))}
    if last and not any(accepted.numbers[channel] for channel in channels):
        number = sum(len(accepted.without_subject(channel)) for channel in last)
        raise ShopError(
            f"none of {number:,} accepted events of {', '.join(sorted(last))} has a subject_digest in the log, the last of "
            f"{clock(max(last.values()))}. An older release accepted them, or the hook's fields lack the number "
            "(increment_id, id, sku). Give a SINCE=… after the release that has it"
        )


def clock(seconds):
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


# FilterLogEvents


def by_filter(logs, group, since, until, accepted):
    """All lines, which no emulator lets choose by field. What gives no token for more is asked again from its last line on."""
    how, begin = {"logGroupName": group, "filterPattern": PATTERN, "endTime": until * 1000}, since * 1000
    while True:
        last, number = begin, 0
        for page in logs.get_paginator("filter_log_events").paginate(**how, startTime=begin):
            for event in page["events"]:
                number += 1
                last = max(last, event["timestamp"])
                take(event, accepted)
        if number < ROWS_MAX:
            return
        if last == begin:
            raise ShopError(f"the log holds more than {number:,} lines of one millisecond, which cannot all be read")
        begin = last


def take(event, accepted):
    try:
        line = json.loads(event["message"])
    except (ValueError, RecursionError):
        return
    if isinstance(line, dict) and line.get("message") == "answered" and line.get("outcome") in OUTCOMES:
        event_id, when = line.get("event_id") or line.get("request_id"), event["timestamp"] / 1000
        accepted.add(line.get("channel"), when, line.get("subject_digest"), event_id, bool(line.get("reconciled")), line.get("shop"))


# Logs Insights


def by_insights(logs, group, since, until, accepted, report):
    named = ", ".join(f'"{channel}"' for channel in sorted(accepted.channels))
    outcomes = ", ".join(f'"{outcome}"' for outcome in OUTCOMES)
    # A name has no quotation marks. What has no shop is told apart here: a field that no line has is nothing to ask for.
    of_shop = f' and shop = "{accepted.shop}"' if accepted.shop else ""
    text = (
        "fields @timestamp, channel, subject_digest, event_id, request_id, reconciled, shop "
        f'| filter message = "answered" and outcome in [{outcomes}] and channel in [{named}]{of_shop} | limit {ROWS_MAX}'
    )
    pool, running, end = ThreadPoolExecutor(AT_ONCE), {}, threading.Event()

    def begin(first, last):
        running[pool.submit(rows_of, logs, group, first, last, text, end)] = first, last

    try:
        length = max(-(-(until - since) // PIECES), PIECE_MIN)
        for first in range(since, until, length):
            begin(first, min(first + length, until))
        read_seconds, of = 0, until - since
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for one in done:
                (first, last), rows = running.pop(one), one.result()
                # None: it took too long.
                if rows is not None and len(rows) < ROWS_MAX:
                    add_rows(rows, accepted)
                    read_seconds += last - first
                    report(min(read_seconds, of), of)
                elif last - first <= 1:
                    what = f"{ROWS_MAX:,} or more events of one second" if rows else "a query of one second that does not end"
                    raise ShopError(f"Logs Insights has {what}, at {clock(first)}. Choose fewer: CHANNEL=…")
                else:
                    # They share a second: whether the last one of a range counts whole is not said.
                    middle = (first + last) // 2
                    begin(first, middle)
                    begin(middle, last)
    finally:
        # The queries that still run end by themselves.
        end.set()
        pool.shutdown(wait=False, cancel_futures=True)


def rows_of(logs, group, first, last, text, end):
    """The rows of one query, or None if it did not end in time, or nobody waits for it any more."""
    for attempt in range(1, ATTEMPTS + 1):
        query = started(logs, group, first, last, text, end)
        polls, until = list(POLLS), time.monotonic() + QUERY
        while True:
            if end.wait(polls.pop(0) if len(polls) > 1 else polls[0]):
                return None
            try:
                answer = logs.get_query_results(queryId=query)
            except botocore.exceptions.ClientError as error:
                if error.response["Error"]["Code"] not in BUSY:
                    raise
                answer = {"status": "Running"}
            status = answer["status"]
            if status == "Complete":
                return answer["results"]
            if status == "Timeout" or status in ("Scheduled", "Running", "Unknown") and time.monotonic() > until:
                return None
            if status not in ("Scheduled", "Running", "Unknown"):
                break
    raise ShopError(f"Logs Insights did not answer for the time from {clock(first)} on, {ATTEMPTS} times: {status}")


def started(logs, group, first, last, text, end):
    until, pause = time.monotonic() + PLACE, POLLS[1]
    while True:
        try:
            return logs.start_query(logGroupName=group, startTime=first, endTime=last, queryString=text)["queryId"]
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in BUSY:
                raise
            if end.is_set() or time.monotonic() > until:
                code = error.response["Error"]["Code"]
                reason = f"Logs Insights had no room for a query within {PLACE} s: others run in this account ({code})"
                raise ShopError(reason) from None
        end.wait(pause)
        pause = min(2 * pause, 10)


def add_rows(rows, accepted):
    for row in rows:
        cells = {cell.get("field"): cell.get("value") for cell in row}
        when = datetime.fromisoformat(cells["@timestamp"]).replace(tzinfo=UTC).timestamp()
        event_id = cells.get("event_id") or cells.get("request_id")
        # Insights has 1 for true.
        reconciled = cells.get("reconciled") in ("1", "true")
        accepted.add(cells.get("channel"), when, cells.get("subject_digest"), event_id, reconciled, cells.get("shop"))
