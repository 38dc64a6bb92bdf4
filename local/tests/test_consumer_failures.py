"""What the worker in Rust does when the ERP system fails: for all events, for one of them, or between its answer and the ledger."""

import contextlib
import json
import threading
import time

import pytest
from test_consumers import (  # noqa: F401 (fixtures among them)
    Answer, as_lambda_writes, cloud_event, deliver, deployed, erp, erp_server, eventually, ledger_key, lines_of, log_of, queues,
    rust_worker, strings,
)  # fmt: skip

GIVEN_UP_AFTER = 10  # attempts that count


def event_of(order, number=1):
    """An event of this order, the given one of its group."""
    return cloud_event(data={"order": {"entity_id": order, "state": str(number)}})


def id_of(event):
    return json.loads(event)["id"]


def send_group(queues, order, count):  # noqa: F811
    """Events of one order, in one group: their ids."""
    events = [event_of(order, number) for number in range(count)]
    for event in events:
        queues.send(event, group=f"order/{order}")
    return [id_of(event) for event in events]


def reasons_of_dead_letters(queues):  # noqa: F811
    return [strings(message)["reason"] for message in queues.peek(queues.dead)]


# Behind the queue, as it is deployed. It keeps a message that failed invisible for a quarter of an hour, unless the worker says otherwise.


def test_what_is_behind_a_failing_event_waits_untried_and_goes_on_when_that_is_done(deployed, erp):  # noqa: F811
    broken, since = threading.Event(), len(lines_of(log_of(deployed)))
    broken.set()
    head, *behind = ids = send_group(deployed, 1, 10)
    erp.answer = lambda key, body, before: 503 if key == head and broken.is_set() else 200
    # Longer than the five receives after which queues often give up.
    eventually(lambda: sum(post.key == head for post in erp.posts) >= 7)
    assert not [post for post in erp.posts if post.key in behind]
    broken.clear()
    eventually(lambda: erp.accepted() == ids)
    eventually(lambda: deployed.holds(deployed.live) == (0, 0))
    assert deployed.holds(deployed.dead) == (0, 0)

    def received_until_done():
        return {line["event_id"]: int(line["received"]) for line in lines_of(log_of(deployed))[since:] if line["outcome"] == "done"}

    # The emulator writes the last lines a moment later.
    eventually(lambda: set(ids) <= set(received_until_done()))
    received = received_until_done()
    assert received[head] > 7 and all(received[key] == 1 for key in behind), "their receives are used up by nobody else"


def test_an_erp_system_that_is_away_for_long_costs_nothing_but_time(deployed, erp):  # noqa: F811
    away, since = threading.Event(), len(lines_of(log_of(deployed)))
    away.set()
    erp.answer = lambda key, body, before: 503 if away.is_set() else 200
    groups = [send_group(deployed, order, 3) for order in (11, 12, 13)]
    # For most of these rounds the event would be given up, if it were the only one to fail.
    eventually(lambda: all(sum(post.key == head for post in erp.posts) > GIVEN_UP_AFTER + 2 for head, *_ in groups))
    away.clear()
    eventually(lambda: len(erp.accepted()) == 9)
    for ids in groups:
        assert [key for key in erp.accepted() if key in ids] == ids
    eventually(lambda: deployed.holds(deployed.live) == (0, 0))
    assert deployed.holds(deployed.dead) == (0, 0)
    failed = [line for line in lines_of(log_of(deployed))[since:] if line["outcome"] == "failed"]
    assert {line["counted"] for line in failed} == {0}
    assert max(line["failing_s"] for line in failed) > 0, "which the alarm is made of"


# The worker alone


def test_an_event_that_fails_while_others_succeed_is_given_up_and_the_next_goes_on(stack, queues, erp):  # noqa: F811
    poison, after = send_group(queues, 1, 2)
    erp.answer = lambda key, body, before: 500 if key == poison else 200
    with rust_worker(stack, queues, erp, GIVE_UP_AFTER_SECONDS="1") as function:
        seen = []
        while "failed_alone" not in seen:
            assert reasons_of_dead_letters(queues) == []
            send_group(queues, 100 + len(seen), 1)
            # The other one comes after it in the batch, so it counts from the second attempt on.
            seen, _, log = deliver(queues, function)
            assert seen in (["erp_failed", "behind_a_failure", "done"], ["failed_alone", "done", "done"])
            time.sleep(0.1)
    assert lines_of(log)[0]["counted"] >= GIVEN_UP_AFTER
    assert reasons_of_dead_letters(queues) == ["failed_alone"]
    assert sum(post.key == poison for post in erp.posts) > GIVEN_UP_AFTER
    assert after in erp.accepted()
    assert queues.holds(queues.live) == (0, 0)


def test_an_event_that_fails_often_within_a_short_time_is_not_given_up(stack, queues, erp):  # noqa: F811
    (poison,) = send_group(queues, 1, 1)
    erp.answer = lambda key, body, before: 409 if key == poison else 200
    with rust_worker(stack, queues, erp, GIVE_UP_AFTER_SECONDS="3600") as function:
        for _ in range(GIVEN_UP_AFTER + 2):
            outcomes, failures, log = deliver(queues, function)
            assert (outcomes, failures) == (["erp_conflict"], 1)
    assert lines_of(log)[0]["counted"] == GIVEN_UP_AFTER + 2
    assert reasons_of_dead_letters(queues) == []


def test_a_locked_record_is_tried_again_and_the_endpoint_says_when(stack, queues, erp):  # noqa: F811
    answered, asked = threading.Event(), []
    answers = [lambda: answered.wait(10) and 200, lambda: Answer(409, {"retry-after": "7"}), lambda: 423, lambda: 425]

    def answer(key, body, before):
        asked.append(key)
        return answers[len(asked) - 1]() if len(asked) <= len(answers) else 200

    erp.answer = answer
    first, second = send_group(queues, 1, 2)
    with rust_worker(stack, queues, erp, ERP_TIMEOUT_MS="1000", PAUSE_MAX_SECONDS="1") as function:
        seen = []
        for _ in range(5):
            outcomes, failures, log = deliver(queues, function)
            seen.append((outcomes[0], failures, lines_of(log)[0].get("pause_s")))
        answered.set()
    assert seen == [
        ("erp_timed_out", 2, 1),
        ("erp_conflict", 2, 7),
        ("erp_conflict", 2, 1),
        ("erp_conflict", 2, 1),
        ("done", 0, None),
    ]
    assert reasons_of_dead_letters(queues) == []
    assert asked == [first] * 5 + [second]


@pytest.mark.parametrize("status", [402, 405, 407, 419, 421])
def test_an_answer_about_us_sets_no_event_aside(stack, queues, erp, status):  # noqa: F811
    send_group(queues, 1, 1)
    erp.answer = lambda key, body, before: status
    with rust_worker(stack, queues, erp) as function:
        assert deliver(queues, function)[:2] == (["erp_refuses_us"], 1)
    assert reasons_of_dead_letters(queues) == []


def test_a_slow_erp_system_loses_nothing_of_a_full_batch(stack, queues, erp):  # noqa: F811
    ids = [send_group(queues, order, 1)[0] for order in range(10)]
    erp.answer = lambda key, body, before: time.sleep(0.3) or 200
    with rust_worker(stack, queues, erp, ERP_TIMEOUT_MS="1000") as function:
        # The function needs 22 seconds for one, so it begins those that it has time for.
        outcomes, failures, _ = deliver(queues, function, lambda_seconds=23)
        assert "out_of_time" in outcomes and 0 < failures < 10
        eventually(lambda: deliver(queues, function, lambda_seconds=23) and len(erp.accepted()) == 10)
    assert sorted(erp.accepted()) == sorted(ids)
    assert reasons_of_dead_letters(queues) == []
    assert queues.holds(queues.live) == (0, 0)


def test_a_crash_between_the_answer_and_the_ledger_repeats_the_work_with_the_same_key(stack, queues, erp):  # noqa: F811
    first, second = send_group(queues, 1, 2)
    with rust_worker(stack, queues, erp) as function:
        erp.answer = lambda key, body, before: function.process.kill() or 200
        assert deliver(queues, function)[1] is None, "the function died"
        erp.answer = lambda key, body, before: 200
        assert deliver(queues, function)[0] == ["in_progress", "behind_a_failure"]
        end_leases(stack, function)
        assert deliver(queues, function)[0] == ["done", "done"]
    assert erp.accepted() == [first, first, second]
    assert reasons_of_dead_letters(queues) == []


def end_leases(stack, function):
    dynamodb = stack.client("dynamodb")
    for item in dynamodb.scan(TableName=function.table)["Items"]:
        if "lease_ends" in item:
            dynamodb.put_item(TableName=function.table, Item=item | {"lease_ends": {"N": str(int(time.time()) - 1)}})


def test_an_event_that_kills_its_worker_is_given_up_like_one_that_fails(stack, queues, erp):  # noqa: F811
    poison, after = send_group(queues, 1, 2)
    with rust_worker(stack, queues, erp, GIVE_UP_AFTER_SECONDS="1") as function:
        erp.answer = lambda key, body, before: function.process.kill() if key == poison else 200
        deaths = 0
        while not reasons_of_dead_letters(queues):
            outcomes, _, _ = deliver(queues, function)
            deaths += not outcomes
            assert deaths < 3 * GIVEN_UP_AFTER
            end_leases(stack, function)
            # Another is done meanwhile: by another copy of the function.
            with note_of_success(stack, function):
                time.sleep(0.15)
        assert reasons_of_dead_letters(queues) == ["failed_alone"]
        assert deaths >= GIVEN_UP_AFTER
        eventually(lambda: deliver(queues, function) and erp.accepted()[-1:] == [after])


@pytest.mark.parametrize("answer", [Answer(429), Answer(503, {"retry-after": "1"})], ids=lambda answer: str(answer.status))
def test_what_the_erp_system_has_no_room_for_is_not_given_up_whatever_else_it_takes(stack, queues, erp, answer):  # noqa: F811
    (busy,) = send_group(queues, 1, 1)
    erp.answer = lambda key, body, before: answer if key == busy else 200
    with rust_worker(stack, queues, erp, GIVE_UP_AFTER_SECONDS="1") as function:
        for number in range(GIVEN_UP_AFTER + 3):
            send_group(queues, 100 + number, 1)
            assert sorted(deliver(queues, function)[0]) == ["done", "erp_busy"]
            time.sleep(0.1)
    assert reasons_of_dead_letters(queues) == []


def test_an_overloaded_erp_system_that_takes_some_events_costs_only_time(stack, queues, erp):  # noqa: F811
    """It fails for most, and for some of them again and again."""
    ids = [send_group(queues, order, 1)[0] for order in range(9)]
    erp.answer = lambda key, body, before: 503 if key in ids else 200
    with rust_worker(stack, queues, erp, GIVE_UP_AFTER_SECONDS="1") as function:
        for number in range(GIVEN_UP_AFTER + 4):
            send_group(queues, 100 + number % 4, 1)
            outcomes, _, log = deliver(queues, function)
            assert sorted(outcomes) == ["done", *["erp_failed"] * 9]
            time.sleep(0.1)
    assert max(line.get("counted", 0) for line in lines_of(log)) < GIVEN_UP_AFTER
    assert reasons_of_dead_letters(queues) == []


@pytest.mark.parametrize("lease", [{}, {"owner": {"S": "another"}, "lease_ends": {"N": "1"}}], ids=["released", "never ended"])
def test_a_dead_letter_that_is_moved_back_is_tried_whatever_the_ledger_says_of_it(stack, queues, erp, lease):  # noqa: F811
    """As the ledger is when SQS moved the message, or when the function died after it did."""
    event, now = event_of(1), int(time.time())
    times = {"first_ms": now - 90_000, "first_counted_ms": now - 90_000, "last_ms": now - 86_400}
    item = {"id": {"S": ledger_key("event", event, "id")}, "message_id": {"S": "another"}, "attempts": {"N": "9"}}
    item |= {name: {"N": str(at * 1000)} for name, at in times.items()} | {"expires": {"N": "9999999999"}} | lease
    with rust_worker(stack, queues, erp) as function, note_of_success(stack, function):
        stack.client("dynamodb").put_item(TableName=function.table, Item=item)
        queues.send(event)
        erp.answer = lambda key, body, before: 503
        _, _, log = deliver(queues, function)
    assert lines_of(log)[0]["reason"] == "erp_failed" and lines_of(log)[0]["counted"] == 0


def test_the_worker_of_the_release_before_can_claim_what_has_failed(stack, queues, erp):  # noqa: F811
    """If the function is rolled back, or an old copy of it is still there."""
    event = event_of(1)
    queues.send(event)
    erp.answer = lambda key, body, before: 503
    with rust_worker(stack, queues, erp) as function:
        assert deliver(queues, function)[0] == ["erp_failed"]
        stack.client("dynamodb").put_item(
            TableName=function.table,
            Item={"id": {"S": ledger_key("event", event, "id")}, "owner": {"S": "before"}},
            ConditionExpression="attribute_not_exists(id) OR lease_ends < :now",
            ExpressionAttributeValues={":now": {"N": str(int(time.time()))}},
        )


@contextlib.contextmanager
def note_of_success(stack, function):
    yield
    item = {"id": {"S": "last_success"}, "at_ms": {"N": str(int(time.time() * 1000) + 1000)}, "expires": {"N": "9999999999"}}
    stack.client("dynamodb").put_item(TableName=function.table, Item=item)


def test_two_deliveries_of_one_message_at_the_same_time_do_its_work_once(stack, queues, erp):  # noqa: F811
    (event,) = send_group(queues, 1, 1)
    (message,) = queues.receive(queues.live)
    batch = {"Records": [as_lambda_writes(message)]}
    began, both = threading.Event(), threading.Event()
    erp.answer = lambda key, body, before: began.set() or both.wait(10) and 200
    with rust_worker(stack, queues, erp) as one, rust_worker(stack, queues, erp) as other:
        other.environment["TABLE"] = one.table
        results = []
        thread = threading.Thread(target=lambda: results.append(one.invoke(batch, lambda_seconds=60)))
        thread.start()
        assert began.wait(10)
        second = other.invoke(batch, lambda_seconds=60)
        both.set()
        thread.join(30)
        third = other.invoke(batch, lambda_seconds=60)
    outcome = [lines_of(result.log)[0] for result in (second, results[0], third)]
    assert [line.get("reason") or line["outcome"] for line in outcome] == ["in_progress", "done", "repeated"]
    assert erp.accepted() == [event]


@pytest.mark.parametrize("trouble", ["erp", "ledger"])
def test_what_fails_until_the_queue_would_delete_it_goes_to_the_dead_letter_queue(stack, queues, erp, trouble):  # noqa: F811
    young, old = 11 * 24 * 3600, 11.5 * 24 * 3600
    send_group(queues, 1, 1)
    erp.answer = lambda key, body, before: 503
    with rust_worker(stack, queues, erp, **({"TABLE": "nowhere"} if trouble == "ledger" else {})) as function:
        reason = {"erp": "erp_failed", "ledger": "ledger_unavailable"}[trouble]
        assert deliver(queues, function, age=int(young))[:2] == ([reason], 1)
        assert deliver(queues, function, age=int(old))[:2] == (["expires_soon"], 0)
    assert reasons_of_dead_letters(queues) == ["expires_soon"]
    assert queues.holds(queues.live) == (0, 0)


def test_a_queue_that_does_not_say_its_retention_only_costs_the_check(stack, queues, erp):  # noqa: F811
    send_group(queues, 1, 1)
    erp.answer = lambda key, body, before: 503
    with rust_worker(stack, queues, erp, QUEUE_URL=f"{queues.live}x") as function:
        outcomes, failures, log = deliver(queues, function, age=13 * 24 * 3600)
    assert (outcomes, failures) == (["erp_failed"], 1)
    told = [line["message"] for line in lines_of(log)]
    assert "queue retention period unavailable" in told and "messages not paused" in told


def test_an_event_that_is_moved_back_begins_anew(stack, queues, erp):  # noqa: F811
    (key,) = send_group(queues, 1, 1)
    erp.answer = lambda key, body, before: 409
    with rust_worker(stack, queues, erp, GIVE_UP_AFTER_SECONDS="1") as function:
        eventually(lambda: deliver(queues, function) and reasons_of_dead_letters(queues) == ["failed_alone"])
        assert stack.client("dynamodb").scan(TableName=function.table)["Items"] == []
        (message,) = queues.receive(queues.dead)
        queues.send(message["Body"])
        _, _, log = deliver(queues, function)
    assert lines_of(log)[0]["counted"] == 1
    assert id_of(message["Body"]) == key
