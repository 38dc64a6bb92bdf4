"""The example of a consumer in Python: what becomes of an event whose work fails, and that each is done once and in order."""

import contextlib
import json
import math
import signal
import types

import pytest
from python_loop import Loop, done, here, id_of, reasons, rows, tell, tried  # noqa: F401 (a fixture among them)
from test_consumers import (  # noqa: F401 (fixtures among them)
    bomb, cloud_event, eventually, python_worker, queues, started, strings,
)  # fmt: skip


@pytest.fixture(autouse=True)
def as_deployed(queues):  # noqa: F811
    """As the template has it; a receive in these tests says its own visibility timeout."""
    policy = {"deadLetterTargetArn": queues.arn(queues.dead), "maxReceiveCount": 1000}
    queues.sqs.set_queue_attributes(QueueUrl=queues.live, Attributes={"RedrivePolicy": json.dumps(policy)})
    allowed = {"redrivePermission": "byQueue", "sourceQueueArns": [queues.arn(queues.live)]}
    queues.sqs.set_queue_attributes(QueueUrl=queues.dead, Attributes={"RedriveAllowPolicy": json.dumps(allowed)})


# Failures


def test_while_the_work_fails_all_that_is_behind_waits_untried_and_then_comes_in_order(stack, queues, tmp_path):  # noqa: F811
    order, other = [cloud_event() for _ in range(10)], cloud_event()
    for event in order:
        queues.send(event)
    queues.send(other, group="order/2")
    tell(tmp_path, "fails")
    with Loop(stack, queues, tmp_path, constants={"VISIBILITY_SECONDS": 1}) as loop:
        # For five visibility timeouts, and more than five receives.
        eventually(lambda: tried(tmp_path).count(id_of(order[0])) >= 6)
        assert set(tried(tmp_path)) == {id_of(order[0]), id_of(other)}
        assert queues.holds(queues.live)[0] == 11 and done(tmp_path) == []
        tell(tmp_path, "")
        eventually(lambda: queues.holds(queues.live) == (0, 0))
        assert loop.end() == (0, "")
    assert [event for event in done(tmp_path) if event != other] == order
    assert queues.holds(queues.dead) == (0, 0)
    assert set(loop.outcomes()) == {"failed: RuntimeError, next attempt in 1 s", "done"}


def test_after_what_is_refused_or_fails_while_others_succeed_those_behind_go_on(stack, queues, tmp_path):  # noqa: F811
    fates = {"fails": "failed_alone", "conflict": "failed_alone", "refused": "refused"}
    heads, behind = {}, {}
    for what in fates:
        heads[what], behind[what] = cloud_event(), cloud_event()
        tell(tmp_path, what, heads[what])
        queues.send(heads[what], group=what)
        queues.send(behind[what], group=what)
    others = []
    with Loop(stack, queues, tmp_path, constants={"ATTEMPTS_MIN": 3, "ATTEMPTS_SECONDS_MIN": 1}) as loop:

        def another_is_done():
            others.append(cloud_event())
            queues.send(others[-1], group="others")
            return set(behind.values()) < set(done(tmp_path))

        while not another_is_done():
            before = len(tried(tmp_path))
            eventually(lambda: len(tried(tmp_path)) > before)
        assert loop.end() == (0, "")
    assert reasons(queues) == {id_of(heads[what]): reason for what, reason in fates.items()}
    attempts = {what: tried(tmp_path).count(id_of(event)) for what, event in heads.items()}
    assert attempts["refused"] == 1 and attempts["fails"] >= 4 and attempts["conflict"] >= 3, attempts
    assert not set(heads.values()) & set(done(tmp_path))


class Crash(BaseException):
    """Ends the work as the end of the process does: nothing after it is done."""


FAILED = "failed: RuntimeError, next attempt in 0 s"


def test_an_event_fails_alone_after_ten_attempts_that_count_and_an_hour(here):  # noqa: F811
    event = cloud_event()
    here.fate[event] = RuntimeError()
    here.queues.send(event)
    for _ in range(20):
        assert here.attempt() == FAILED
        here.clock.ahead += 3600
    # Nothing else was done: that was only an outage. From here each attempt counts.
    for number in range(10):
        here.another_is_done()
        here.clock.ahead += 399
        assert here.attempt() == FAILED, number
    here.another_is_done()
    here.clock.ahead += 10
    assert here.attempt() == "set aside: failed_alone"
    assert reasons(here.queues) == {id_of(event): "failed_alone"}


def test_an_hour_with_fewer_attempts_is_not_enough(here):  # noqa: F811
    event = cloud_event()
    here.fate[event] = python_worker.Conflict()
    here.queues.send(event)
    for _ in range(9):
        assert here.attempt() == "failed: Conflict, next attempt in 0 s"
        here.clock.ahead += 3600
    # Without another that is done, because a conflict is about this event.
    assert here.attempt() == "set aside: failed_alone"


def test_an_event_at_a_busy_system_only_waits_whatever_else_is_done(here):  # noqa: F811
    event = cloud_event()
    here.fate[event] = python_worker.Busy()
    here.queues.send(event)
    for _ in range(14):
        assert here.attempt() == "failed: Busy, next attempt in 0 s"
        here.another_is_done()
        here.clock.ahead += 3600
    assert here.counted(event) == 0
    # What counted before stays.
    for busy, counted in ((False, 1), (True, 1), (False, 2)):
        here.fate[event] = python_worker.Busy() if busy else RuntimeError()
        here.another_is_done()
        here.attempt()
        assert here.counted(event) == counted


def test_an_event_at_an_overloaded_system_only_waits_although_some_others_are_done(here):  # noqa: F811
    event = cloud_event()
    here.fate[event] = RuntimeError()
    here.queues.send(event)
    here.another_fails()
    assert here.attempt() == FAILED
    for _ in range(12):
        here.another_is_done()
        here.another_fails()
        here.another_fails()
        here.clock.ahead += 3600
        assert here.attempt() == FAILED
    assert here.counted(event) == 0
    # Six of the last 20 were done. With ten it is no overload any more.
    for counted in (0, 0, 0, 0, 1):
        here.another_is_done()
        assert here.attempt() == FAILED
        assert here.counted(event) == counted


def test_what_is_done_while_an_attempt_ends_counts_for_the_next_one(here):  # noqa: F811
    class Failure(Exception):
        @property
        def retry_after(self):
            # It is read after the work was taken back, and before the attempt is noted.
            here.another_is_done()
            raise KeyError("retry-after")

    event = cloud_event()
    here.fate[event] = Failure()
    here.queues.send(event)
    for counted in range(3):
        assert here.attempt() == "failed: Failure, next attempt in 0 s"
        assert here.counted(event) == counted


@pytest.mark.parametrize("odd", [None, "120", [120], math.nan, math.inf, -1, True], ids=str)
def test_a_retry_after_that_is_no_number_of_seconds_is_no_wish(here, monkeypatch, odd):  # noqa: F811
    monkeypatch.setattr(python_worker, "RETRY_AFTER_SECONDS_MAX", 0.5)
    event = cloud_event()
    here.fate[event] = RuntimeError()
    here.fate[event].retry_after = odd
    here.queues.send(event)
    assert here.attempt() == FAILED
    here.fate[event].retry_after = 0.2
    assert here.attempt() == "failed: RuntimeError, next attempt in 1 s"


CLOCKS = pytest.mark.parametrize("ahead", [-300, 0, 300], ids=["clock is slow", "clock is right", "clock is fast"])


@CLOCKS
def test_an_event_keeps_its_attempts_whatever_clock_sqs_has(here, ahead):  # noqa: F811
    here.clock.ahead = ahead
    event = cloud_event()
    here.fate[event] = python_worker.Conflict()
    here.queues.send(event)
    for counted in (1, 2):
        here.attempt()
        assert here.counted(event) == counted


@CLOCKS
def test_a_dead_letter_that_is_moved_back_begins_anew(here, ahead):  # noqa: F811
    here.clock.ahead = ahead
    event = cloud_event()
    here.fate[event] = python_worker.Refused()
    here.queues.send(event)
    assert here.attempt() == "set aside: refused"
    here.fate[event] = python_worker.Conflict()
    here.database.execute("UPDATE attempts SET counted = 9, first_counted = 1")
    here.queues.send(event)
    assert here.attempt() == "failed: Conflict, next attempt in 0 s"
    del here.fate[event]
    assert here.attempt() == "done"
    assert here.database.execute("SELECT count(*) FROM attempts").fetchone() == (0,)


def test_an_attempt_that_never_ended_is_a_failure_like_another(here):  # noqa: F811
    event = cloud_event()
    here.fate[event] = Crash()
    here.queues.send(event)
    for _ in range(11):
        with pytest.raises(Crash):
            here.attempt()
        here.another_is_done()
        here.clock.ahead += 400
    assert here.attempt() == "set aside: failed_alone"
    assert len([text for text in here.tried if text == event]) == 11, "and it was not tried once more"


@pytest.mark.parametrize("fails", [RuntimeError, Crash])
def test_what_fails_is_set_aside_before_the_queue_deletes_it(here, fails):  # noqa: F811
    event, behind = cloud_event(), cloud_event()
    here.fate = {event: fails(), behind: RuntimeError()}
    here.queues.send(event)
    here.queues.send(behind)
    here.clock.ahead = 46
    with contextlib.suppress(Crash):
        assert here.attempt(retention=60) == FAILED
    here.clock.ahead = 49
    assert here.attempt(retention=60) == "set aside: expires_soon"
    # That one is as old, but was never tried.
    assert here.tried.count(behind) == 0
    assert here.attempt(retention=60) == "set aside: expires_soon"
    assert here.tried.count(behind) == 1


@pytest.mark.parametrize("factor", [0.5, 1])
def test_pauses_grow_within_their_bounds_and_end_before_the_event_is_too_old(monkeypatch, factor):
    def uniform(low, high):
        assert (low, high) == (0.5, 1)
        return factor

    monkeypatch.setattr(python_worker, "random", types.SimpleNamespace(uniform=uniform))

    def pause(failing, retry_after=0, left=10**6):
        return python_worker.pause_before_next(failing, left, retry_after)

    expected = {0.5: [15, 15, 30, 450, 900], 1: [15, 15, 60, 900, 1800]}[factor]
    assert [pause(failing) for failing in (-300, 60, 240, 3600, 10**6)] == expected
    assert [pause(0, retry_after=asked) for asked in (2, 120, 10**6)] == [15, 120, 3600]
    assert pause(10**6, retry_after=3000) == 3000
    assert [pause(0, left=left) for left in (7, 0.2)] == [7, 1]


def test_the_age_is_measured_by_the_time_for_which_the_queue_keeps_a_message(stack, queues, tmp_path):  # noqa: F811
    queues.sqs.set_queue_attributes(QueueUrl=queues.live, Attributes={"MessageRetentionPeriod": "60"})
    event = cloud_event()
    queues.send(event)
    tell(tmp_path, "fails")
    with Loop(stack, queues, tmp_path, constants={"EXPIRES_SOON": 1 / 60}) as loop:
        eventually(lambda: queues.holds(queues.dead) == (1, 1))
        assert loop.end() == (0, "")
    assert reasons(queues) == {id_of(event): "expires_soon"}


# Once, and in order


HALF = "\ud800"  # of a surrogate pair


@pytest.mark.parametrize(
    "changes",
    [
        {"id": HALF},
        {"source": HALF},
        {"type": f"com.adobe.commerce.observer.{HALF}"},
        {"subject": f"order/{HALF}"},
        {"subject": "order/1", "data": {"order": {"store_id": HALF}}},
        {"data": {"order": {"updated_at": f"2026-06-18{HALF}12:00:00Z"}}},
    ],
    ids=["id", "source", "type", "subject", "store", "time"],
)
def test_an_event_that_sqlite_cannot_take_is_set_aside(here, changes):  # noqa: F811
    here.queues.send(cloud_event(**changes))
    assert here.attempt() == "set aside: unreadable"


def test_each_event_is_done_once_and_the_bad_are_set_aside(stack, queues, tmp_path):  # noqa: F811
    file = tmp_path / "events.sqlite"
    large = queues.large_event()
    queues.shop_sends("customer_delete_after")
    repeated = cloud_event()
    queues.send(repeated)
    good = queues.peek(queues.live)
    queues.send(repeated)
    bad = dict.fromkeys(("nonsense", cloud_event(specversion="2.0"), cloud_event(id="Jane")), {})
    bad[bomb()] = {"content_encoding": "gzip, base64"}
    ids = {queues.send(body, group="bad", channel="x", **attributes): body for body, attributes in bad.items()}
    code, said, errors = started(stack, "worker.py", queues.live, queues.dead, file, "--once")
    assert (code, errors) == (0, "")
    outcomes = sorted(line.split(" ", 1)[1] for line in said.splitlines())
    assert outcomes == ["done"] * 3 + ["repeated"] + ["set aside: unreadable"] * 4
    kinds = [kind.rpartition(".")[2] for (kind,) in rows(tmp_path, "SELECT type FROM events")]
    assert sorted(kinds) == ["customer_delete_after", "sales_order_save_after", "sales_order_save_after"]
    assert any('"original":' + large.decode() + "}" in text for text in done(tmp_path))
    assert repeated in done(tmp_path)
    assert queues.holds(queues.live) == (0, 0)
    dead = queues.peek(queues.dead)
    assert {message["Attributes"]["MessageDeduplicationId"]: message["Body"] for message in dead} == ids
    assert {(strings(message)["reason"], strings(message)["channel"]) for message in dead} == {("unreadable", "x")}
    # All of them again, to another worker with the same database.
    for message in good:
        queues.send(message["Body"], **{name.replace("-", "_"): value for name, value in strings(message).items()})
    code, said, errors = started(stack, "worker.py", queues.live, queues.dead, file, "--once")
    assert (code, errors) == (0, "")
    assert [line.split(" ", 1)[1] for line in said.splitlines()] == ["repeated"] * 3


def test_an_event_is_done_once_although_the_process_died_at_it(stack, queues, tmp_path):  # noqa: F811
    events = [cloud_event(), cloud_event()]
    for event in events:
        queues.send(event)
    tell(tmp_path, "dies", events[0])
    at_once = {"constants": {"VISIBILITY_SECONDS": 1}}
    with Loop(stack, queues, tmp_path, **at_once) as loop:
        assert loop.process.wait(60) == -signal.SIGKILL
    assert rows(tmp_path, "SELECT id, running FROM attempts") == [(id_of(events[0]), True)]
    assert done(tmp_path) == []
    tell(tmp_path, "", events[0])
    with Loop(stack, queues, tmp_path, **at_once) as loop:
        eventually(lambda: loop.outcomes() == ["done", "done"])
        assert loop.end() == (0, "")
    assert done(tmp_path) == events
    assert tried(tmp_path) == [id_of(events[0]), id_of(events[0]), id_of(events[1])]
    assert queues.holds(queues.live) == (0, 0)


def test_two_copies_with_the_same_message_do_it_once(stack, queues, tmp_path):  # noqa: F811
    event = cloud_event()
    tell(tmp_path, "waits", event)
    queues.send(event)
    # The work takes longer than the message is invisible.
    slow = {"constants": {"VISIBILITY_SECONDS": 1}}
    with Loop(stack, queues, tmp_path, **slow) as one:
        eventually(lambda: tried(tmp_path) and queues.holds(queues.live) == (1, 1))
        with Loop(stack, queues, tmp_path, **slow) as other:
            eventually(lambda: queues.holds(queues.live) == (1, 0))
            tell(tmp_path, "", event)
            eventually(lambda: queues.holds(queues.live) == (0, 0))
            assert (one.end(), other.end()) == ((0, ""), (0, ""))
    assert one.outcomes()[0] == "done, after more than 1 s: it comes again"
    assert {outcome.split(",")[0] for outcome in one.outcomes()[1:] + other.outcomes()} == {"repeated"}
    assert tried(tmp_path) == [id_of(event)] and done(tmp_path) == [event]
