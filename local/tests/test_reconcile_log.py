"""How `make reconcile` reads the accepted events: by Logs Insights, of which there is a stand-in here, or all lines of the log."""

import sys
import threading
import time
import types

import botocore.exceptions
import pytest
from reconciling import CATALOG, HOUR, PLACED, SAVED, bundle, deployed, line  # noqa: F401
from record_shop import written
from stack import ROOT

sys.path.append(str(ROOT / "commerce"))

import accepted  # noqa: E402
import records  # noqa: E402


class Insights:
    """Logs Insights with so many events, one each second: it gives a part of them, and fails on demand."""

    def __init__(self, times, limit=10, faults=()):
        self.meta = types.SimpleNamespace(endpoint_url="https://logs.eu-west-1.amazonaws.com")
        self.times, self.limit, self.faults = times, limit, list(faults)
        self.queries, self.scanned, self.lock = {}, 0, threading.Lock()
        self.at_work = self.most_at_work = 0

    def start_query(self, logGroupName, startTime, endTime, queryString):
        with self.lock:
            fault = self.faults.pop(0) if self.faults else "Complete"
            if fault.endswith("Exception"):
                raise botocore.exceptions.ClientError({"Error": {"Code": fault}}, "StartQuery")
            self.at_work += 1
            self.most_at_work = max(self.at_work, self.most_at_work)
            own = str(len(self.queries))
            self.queries[own] = [(startTime, endTime), ["Scheduled", "Running", fault]]
        assert logGroupName == "group" and 'filter message = "answered" and outcome in ["accepted", "not_forwarded"] and channel in ["' in queryString
        return {"queryId": own}

    def get_query_results(self, queryId):
        (first, last), states = self.queries[queryId]
        status = states.pop(0) if len(states) > 1 else states[0]
        if status in ("Scheduled", "Running"):
            return {"status": status, "results": []}
        with self.lock:
            self.at_work -= 1
            self.scanned += last - first
        within = [one for one in self.times if first <= one <= last][: self.limit]
        return {"status": status, "results": [self.row(one) for one in within] if status == "Complete" else []}

    def row(self, when):
        cells = {"@timestamp": f"{written(when)}.000", "channel": PLACED, "@ptr": "x", "event_id": f"id-{when}"}
        cells |= {"subject_digest": f"{when:032x}"} if when % 2 else {}
        return [{"field": name, "value": value} for name, value in cells.items()]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(accepted, "ROWS_MAX", 10)
    monkeypatch.setattr(accepted, "POLLS", (0, 0))


BEGIN = 1_800_000_000


def found_in(logs, since=BEGIN, until=BEGIN + 5000):
    shown = []
    known = accepted.read(logs, "group", since, until, (PLACED, SAVED), lambda done, of: shown.append((done, of)))
    return known, shown


def test_insights_is_asked_in_halves_where_it_would_leave_something_out(quick):
    times = [BEGIN + number * 7 for number in range(5000 // 7)]
    logs = Insights(times)
    known, shown = found_in(logs)
    assert known.numbers[PLACED] == sum(one % 2 for one in times)
    assert len(known.without_subject(PLACED)) == sum(not one % 2 for one in times), "what two halves share counts once"
    assert shown[-1][0] == shown[-1][1] and logs.most_at_work <= accepted.AT_ONCE
    assert known.last(PLACED, [f"{times[1]:032x}"]) == times[1]


def test_where_little_was_accepted_each_second_of_the_log_is_read_once(quick):
    logs = Insights([BEGIN + 3601 * number for number in range(200)])
    found_in(logs, BEGIN, BEGIN + 200 * 3600)
    assert logs.scanned == 200 * 3600 + 1 and len(logs.queries) <= accepted.PIECES + 1


@pytest.mark.parametrize("fault", ["LimitExceededException", "ThrottlingException", "Failed", "Cancelled", "Timeout"])
def test_a_query_that_fails_once_is_asked_again(quick, fault):
    known, _ = found_in(Insights([BEGIN + 1, BEGIN + 3], faults=[fault]))
    assert known.numbers[PLACED] == 2


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        (["Failed"] * 99, "Logs Insights did not answer for the time from 2027-01-15 \\d\\d:\\d\\d:00 UTC on, 3 times: Failed"),
        (["LimitExceededException"] * 99, "Logs Insights had no room for a query within"),
    ],
)
def test_a_query_that_goes_on_failing_ends_it(quick, monkeypatch, faults, words):
    monkeypatch.setattr(accepted, "PLACE", 0)
    with pytest.raises(accepted.ShopError, match=words):
        found_in(Insights([BEGIN], faults=faults))


def test_more_events_of_one_second_than_insights_gives_are_not_left_out_silently(quick):
    with pytest.raises(accepted.ShopError, match="10 or more events of one second"):
        found_in(Insights([BEGIN + 2500] * 30))


def test_insights_refusing_something_else_is_not_hidden(quick):
    with pytest.raises(botocore.exceptions.ClientError):
        found_in(Insights([BEGIN], faults=["AccessDeniedException"]))


def test_whoever_gives_up_does_not_wait_for_the_other_queries(quick):
    before = set(threading.enumerate())
    logs = Insights([BEGIN], faults=["Running", "Running", "AccessDeniedException"])
    with pytest.raises(botocore.exceptions.ClientError):
        found_in(logs, until=BEGIN + 20 * HOUR)
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()


def test_where_insights_is_not_there_all_lines_are_read(quick, bundle):
    logs = types.SimpleNamespace(
        meta=types.SimpleNamespace(endpoint_url="https://logs.elsewhere.example"), get_paginator=bundle.logs.get_paginator
    )

    def start_query(**_):
        raise botocore.exceptions.ClientError({"Error": {"Code": "UnknownOperationException"}}, "StartQuery")

    logs.start_query = start_query
    now = time.time()
    bundle.log(*((PLACED, f"order/{number}", 1, now - number) for number in range(35)))
    known = accepted.read(logs, bundle.name, now - HOUR, now + 1, (PLACED,))
    assert known.numbers[PLACED] == 35


def test_lines_that_are_no_answers_are_passed_over(bundle):
    now = time.time()
    others = [
        "START RequestId: 1",
        '{"_aws":{}}',
        "{" * 100_000,
        "[]",
        line(PLACED, "order/1", 1, outcome="refused"),
        line(PLACED, "order/1", 1, message="message not queued"),
        line(CATALOG, "order/1", 1),
    ]
    made = [{"timestamp": int(now * 1000), "message": text} for text in others]
    bundle.logs.put_log_events(logGroupName=bundle.name, logStreamName="functions", logEvents=made)
    known = accepted.read(bundle.logs, bundle.name, now - 60, now + 60, (PLACED,))
    assert known.numbers == {PLACED: 0} and known.last(PLACED, records.digest("order/1", 1)) is None


def test_an_event_that_was_not_forwarded_counts(bundle):
    now = time.time()
    made = [{"timestamp": int(now * 1000), "message": line(PLACED, "order/1", 1, outcome="not_forwarded")}]
    bundle.logs.put_log_events(logGroupName=bundle.name, logStreamName="functions", logEvents=made)
    known = accepted.read(bundle.logs, bundle.name, now - 60, now + 60, (PLACED,))
    assert known.last(PLACED, [records.digest("order/1", 1)]) is not None
