"""Every alarm of the template over data that is good, late, missing and bad, and the log lines that the metric filters count."""

import itertools
import json
import math
import re

import pytest
from alarms import ALARM, EXTRA, INSUFFICIENT_DATA, OK, Alarm, Datapoint, counts, evaluate, minutes, pattern, series
from audit import FIELDS, OURS
from faults import Proxy
from function import Function
from shop import request
from stack import ROOT, channels, template
from test_metrics import PLACED, metrics, order, without
from test_template import expanded, of_type, region  # noqa: F401 (a fixture)

ALARMS = set(of_type(template()["Resources"], "AWS::CloudWatch::Alarm"))
# So that each of them is there.
EACH = {"AlarmQuietHours": 6, "AlarmIrregularEvents": 20, "Deployment": "Canary10Percent5Minutes"}


def alarm(name, **parameters):
    return Alarm(expanded(**EACH | parameters)[name]["Properties"])


# The evaluation, over the examples in AWS's documentation: 0 is good, X bad, - missing. Of the states with `missing`, `ignore`, `breaching`, `notBreaching` the second
# is None where it stays what it was.

THREE_OF_THREE = {
    "0 - X - X": (OK, OK, OK, OK),
    "0 - - - -": (OK, OK, OK, OK),
    "- - - - -": (INSUFFICIENT_DATA, None, ALARM, OK),
    "0 X X - X": (ALARM, ALARM, ALARM, ALARM),
    "- - X - -": (ALARM, None, ALARM, OK),
}
TWO_OF_THREE = {
    "0 - X - X": (ALARM, ALARM, ALARM, ALARM),
    "0 0 X 0 X": (ALARM, ALARM, ALARM, ALARM),
    "0 - X - -": (OK, OK, ALARM, OK),
    "- - - - 0": (OK, OK, ALARM, OK),
    "- - - X -": (ALARM, None, ALARM, OK),
}


@pytest.mark.parametrize("before", [OK, ALARM])
@pytest.mark.parametrize(("needed", "points", "states"), [
    (needed, points, states) for needed, table in ((3, THREE_OF_THREE), (2, TWO_OF_THREE)) for points, states in table.items()
])
def test_an_evaluation_gives_the_state_that_the_documentation_says(needed, points, states, before):
    read = [{"0": False, "X": True, "-": None}[point] for point in points.split()]
    given = tuple(evaluate(read, 3, needed, missing, before) for missing in ("missing", "ignore", "breaching", "notBreaching"))
    assert given == tuple(before if state is None else state for state in states)


def test_windows_move_with_each_minute_and_late_data_counts_from_when_it_is_known():
    said = {"MetricName": "m", "Statistic": "Sum", "Period": 300, "EvaluationPeriods": 1, "Threshold": 10,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold", "TreatMissingData": "notBreaching"}  # fmt: skip
    # The ten events are in one window of five minutes, which is none of those that a clock would make.
    assert Alarm(said).rings({"m": series("- - - - 5 - - - 5")}, 20, 0) == [9]
    assert Alarm(said).rings({"m": series("- - - - 5 - - 5+1")}, 20, 0) == [9]
    assert Alarm(said).rings({"m": series("- - - - 5 - - 5+2")}, 20, 0) == []
    assert Alarm(said | {"EvaluationPeriods": 2, "DatapointsToAlarm": 1}).rings({"m": series("- - - - 5 - - 5+2")}, 20, 0) == [13, 14]
    assert Alarm(said | {"Statistic": "Maximum"}).rings({"m": series("| 5x9 10 5")}, 20, 0) == [2, 3, 4, 5, 6]


def test_a_series_is_read():
    assert series("1*2 | - 5x2+3,7") == [
        Datapoint(-2, (1,)), Datapoint(-1, (1,)), Datapoint(1, (5, 5), 3), Datapoint(1, (7,)),
    ]
    assert series("5") == [Datapoint(0, (5,))]


# The alarms. What happens, the data of each minute, and when the alarm begins to ring and is over at the latest; None if it never rings.
# A deployment begins in minute 0 and ends in minute 5, with Canary10Percent5Minutes.

LASTING = "as long as it goes on"
SERIES = {
    "FailuresAlarm": [
        ("nothing fails", {"5xx": "0*30"}, None),
        ("no requests", {"5xx": "-*30"}, None),
        ("one failure", {"5xx": "0*5 1 0*24"}, (6, 21)),
        ("one that is known ten minutes late", {"5xx": "-*5 1+10 -*24"}, (16, 46)),
        ("a gap in the data", {"5xx": "0*5 -*10 0*15"}, None),
        ("failures that begin again soon are one alarm", {"5xx": "0*5 1 0*11 1 0*30"}, (6, 33)),
    ],
    "UnverifiedAlarm": [
        ("none", {"Unverified": "-*30"}, None),
        ("one", {"Unverified": "-*5 1 -*24"}, (6, 46)),
        ("one that is known ten minutes late", {"Unverified": "-*5 1+10 -*24"}, (16, 46)),
        ("many, then the key is there", {"Unverified": "40*10 -*30"}, (1, 50)),
    ],
    "InvalidAlarm": [
        ("none", {"Invalid": "-*30"}, None),
        ("one", {"Invalid": "-*5 1 -*24"}, (6, 46)),
        ("one that is known ten minutes late", {"Invalid": "-*5 1+10 -*24"}, (16, 46)),
        ("the second half of many is late", {"Invalid": "-*5 1,1+8 1+9 -*24"}, (6, 47)),
    ],
    "ThrottlesAlarm": [
        ("none", {"Throttled": "-*30"}, None),
        ("one", {"Throttled": "-*5 1 -*24"}, (6, 46)),
        ("one that is known ten minutes late", {"Throttled": "-*5 1+10 -*24"}, (16, 46)),
        ("a flood of a minute", {"Throttled": "-*5 30000 -*24"}, (6, 46)),
    ],
    "IrregularAlarm": [
        ("none", {"Irregular": "-*200"}, None),
        ("fewer in an hour than it takes", {"Irregular": "1 -*4 1 -*4 " * 40}, None),
        ("so many in an hour", {"Irregular": "-*9 1 -*19 1*19 -*400"}, (48, 70)),
        ("so many in half an hour, known a quarter of an hour late", {"Irregular": "-*9 1*10 -*10 1+15*10 -*400"}, (54, 70)),
        ("one every two minutes, known three minutes late", {"Irregular": "1+3 - " * 100 + "-*200"}, (42, 240)),
    ],
    "SlowAnswersAlarm": [
        ("quick, and one in a thousand slow", {"Latency": "40x999,3000x1*30"}, None),
        ("one slow minute", {"Latency": "40x100*10 2000x100 40x100*30"}, None),
        ("a gap in the data", {"Latency": "40x100*10 -*20 40x100*10"}, None),
        ("slow for twenty minutes", {"Latency": "40x100*10 40x90,2000x10*20 40x100*30"}, (16, 45)),
        ("the same, and the data four minutes late", {"Latency": "40x100*10 2000x100+4*20 40x100*30"}, (16, 45)),
    ],
    "ErpDeadLettersAlarm": [
        ("empty", {"ApproximateNumberOfMessagesVisible": "0*30"}, None),
        ("not used for hours", {"ApproximateNumberOfMessagesVisible": "-*30"}, None),
        ("one message, until it is moved back", {"ApproximateNumberOfMessagesVisible": "0*5 1*10 0*30"}, (6, 20)),
        ("a gap in the data is one alarm", {"ApproximateNumberOfMessagesVisible": "0*5 1*10 -*4 1*10 0*20"}, (6, 34)),
    ],
    "CrmDeadLettersAlarm": [
        ("empty", {"ApproximateNumberOfMessagesVisible": "0*30"}, None),
        ("one message, until it is moved back", {"ApproximateNumberOfMessagesVisible": "0*5 1*10 0*30"}, (6, 20)),
        ("its data four minutes late", {"ApproximateNumberOfMessagesVisible": "0*5 1+4*10 0*30"}, (10, 20)),
    ],
    "QuarantineAlarm": [
        ("empty", {"ApproximateNumberOfMessagesVisible": "0*30"}, None),
        ("one event, until it is deleted", {"ApproximateNumberOfMessagesVisible": "0*5 1*10 0*30"}, (6, 20)),
    ],
    "ErpBacklogAlarm": [
        ("quick consumers", {"ApproximateAgeOfOldestMessage": "3*30"}, None),
        ("nothing waits", {"ApproximateAgeOfOldestMessage": "-*30"}, None),
        ("as old as it may be", {"ApproximateAgeOfOldestMessage": "3*5 900*25"}, None),
        ("two minutes too old", {"ApproximateAgeOfOldestMessage": "3*5 1000*2 3*25"}, None),
        ("no consumer, until there is one", {"ApproximateAgeOfOldestMessage": "800*5 960*10 3*30"}, (8, 18)),
        ("a gap in the data is one alarm", {"ApproximateAgeOfOldestMessage": "800*5 960*10 -*2 960*10 3*20"}, (8, 30)),
    ],
    "CrmBacklogAlarm": [
        ("quick consumers", {"ApproximateAgeOfOldestMessage": "3*30"}, None),
        ("no consumer, until there is one", {"ApproximateAgeOfOldestMessage": "800*5 960*10 3*30"}, (8, 18)),
        ("its data two minutes late", {"ApproximateAgeOfOldestMessage": "800*5 960+2*10 3*30"}, (10, 20)),
    ],
    "ConcurrencyAlarm": [
        ("far from the limit", {"ClaimedAccountConcurrency": "120*30"}, None),
        ("nobody calls any function", {"ClaimedAccountConcurrency": "-*30"}, None),
        ("just below", {"ClaimedAccountConcurrency": "120*5 799*25"}, None),
        ("two busy minutes", {"ClaimedAccountConcurrency": "120*5 950*2 120*23"}, None),
        ("ten busy minutes", {"ClaimedAccountConcurrency": "120*5 800*10 120*20"}, (8, 18)),
        ("a gap in the data is one alarm", {"ClaimedAccountConcurrency": "120*5 900*10 -*2 900*10 120*20"}, (8, 30)),
        ("its data two minutes late", {"ClaimedAccountConcurrency": "120*5 900+2*10 120*20"}, (10, 20)),
        ("a higher limit of one's own", {"ClaimedAccountConcurrency": "120*5 900*10 120*20"}, None, {"AlarmConcurrencyPercent": 95}),
    ],
    "QuietAlarm": [
        ("an event every five hours", {"Accepted": ("1 -*299 " * 3) + "|" + (" 1 -*299" * 4)}, None),
        ("such a one, known ten minutes late", {"Accepted": ("1 -*299 " * 3) + "| 1 -*299 1 -*299 1+10 -*299"}, None),
        ("a gap in the data of an hour", {"Accepted": "9*360 | 9*60 -*60 9*60"}, None),
        ("nothing any more", {"Accepted": "9*360 | 9*60 -*800"}, (420, LASTING)),
        ("nothing for ten hours", {"Accepted": "9*360 | 9*60 -*600 9*60"}, (420, 661)),
    ],
    "DeploymentAlarm": [
        ("nothing fails", {"Failed": "-*30"}, None),
        ("a disturbance of one minute", {"Failed": "- - 500 -*20"}, None),
        ("such a one, of which half is late", {"Failed": "- - 250,250+3 -*20"}, None),
        ("one late minute", {"Failed": "- 1+3 -*20"}, None),
        ("one crash, which has three lines", {"Crashed": "- 3 -*20"}, None),
        ("a failure just before it", {"Failed": "1 | -*20"}, None),
        ("two bad minutes that were over five minutes before it", {"Failed": "7 7 -*4 | -*20"}, None),
        ("a new version that fails each event, one a minute", {"Failed": "| 1*5 -*20"}, (2, 9)),
        ("the same, known a minute late", {"Failed": "| 1+1*5 -*20"}, (3, 9)),
        ("the same, known two minutes late", {"Failed": "| 1+2*5 -*20"}, (4, 9)),
        ("the same, known three minutes late", {"Failed": "| 1+3*5 -*20"}, (5, 9)),
        ("the first known three minutes later than the second", {"Failed": "| 1+3 1 -*20"}, (4, 6)),
        ("a new version that does not start, an event a minute", {"Crashed": "| 3*5 -*20"}, (2, 9)),
        ("one failure, then one crash", {"Failed": "| - 1 -*20", "Crashed": "| - - 1 -*20"}, (3, 7)),
        ("one event every two minutes", {"Failed": "| - 1 - 1 -*20"}, (4, 7)),
        # What it does not see.
        ("a new version that gets but one event", {"Failed": "| - 1 -*20"}, None),
        ("two events in one minute", {"Failed": "| - 2 -*20"}, None),
        ("an event every five minutes", {"Failed": "| 1 -*4 1 -*4 1 -*20"}, None),
    ],
}


@pytest.mark.parametrize("extra", EXTRA)
@pytest.mark.parametrize(("name", "data", "expected", "parameters"), [
    pytest.param(name, data, expected, dict(*more), id=f"{name}: {what}")
    for name, rows in SERIES.items()
    for what, data, expected, *more in rows
])
def test_an_alarm_rings_when_it_should_and_only_then(name, data, expected, parameters, extra):
    read = {metric: series(text) for metric, text in data.items()}
    end = max(map(minutes, data.values()))
    rung = alarm(name, **parameters).rings(read, end, extra)
    if expected is None:
        assert not rung
        return
    begins, over = expected
    assert rung and rung[0] == begins
    assert rung == [*range(begins, rung[-1] + 1)], "once, and not again and again"
    assert rung[-1] == end - 1 if over == LASTING else rung[-1] < over


def test_every_alarm_has_a_series_in_which_it_rings_and_one_in_which_it_does_not():
    assert set(SERIES) == ALARMS
    for name, rows in SERIES.items():
        assert {expected is None for _, _, expected, *_ in rows} == {True, False}, name


def test_events_that_no_window_holds_together_may_ring_twice():
    # As RUNBOOK.md says. Windows move, and between those that hold all ten are some that hold five each.
    rung = alarm("UnverifiedAlarm", AlarmEvents=10).rings({"Unverified": series("5 5 -*28")}, 30, 0)
    assert rung == [2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 14, 15]


def test_two_slow_minutes_side_by_side_are_enough():
    # Whenever a window of five minutes ends between them.
    assert alarm("SlowAnswersAlarm").rings({"Latency": series("40x100*10 2000x100*2 40x100*30")}, 42, 0) == [16, 21]


@pytest.mark.parametrize("hours", [1, 24])
def test_silence_rings_after_so_many_hours(hours):
    data = {"Accepted": series(f"9*{(hours + 1) * 60} | -*{hours * 60 + 5}")}
    for extra in EXTRA:
        assert alarm("QuietAlarm", AlarmQuietHours=hours).rings(data, hours * 60 + 5, extra) == [*range(hours * 60, hours * 60 + 5)]


def test_the_runbook_says_how_often_a_canary_of_five_minutes_is_enough():
    """A new version gets a tenth of a channel's events and fails all; they come at random, and are known a minute late."""
    patterns = {bad: alarm("DeploymentAlarm").rings({"Failed": series(" ".join("1+1" if one else "-" for one in bad))}, 6, 0)
                for bad in itertools.product((True, False), repeat=5)}  # fmt: skip
    said = (ROOT / "RUNBOOK.md").read_text()
    for events in (5, 10, 20):
        none = math.exp(-events / 10)
        found = sum(math.prod(1 - none if one else none for one in bad) for bad, rung in patterns.items() if rung)
        assert f"| {events} | {100 * found:.0f} % |" in said


@pytest.mark.parametrize("hours", [1, 24])
def test_no_alarm_is_beyond_the_limits_of_cloudwatch(hours):
    for name in ALARMS:
        made = alarm(name, AlarmQuietHours=hours)
        # A day, and for periods of an hour or more a week; over more than a day it would be evaluated once an hour only.
        assert made.periods * made.period <= 24 * 60 and made.needed <= made.periods, name


# What a real function writes, under faults of the real queue: an event a minute, as if it were.


def test_alarms_ring_for_what_a_real_function_writes_under_a_fault(stack):
    day = [("passes", order)] * 2 + [("denied", order)] * 3 + [("passes", lambda: without(order(), "x-adobe-signature"))]
    day += [("passes", lambda: request(PLACED, b"order"))] + [("passes", order)] * 12
    told = {}
    with Proxy(stack.port) as proxy, Function(PLACED, stack.queue(PLACED), AWS_ENDPOINT_URL_SQS=proxy.endpoint) as function:
        for minute, (fault, made) in enumerate(day):
            proxy.fault = fault
            for (dimensions, name), value in metrics(function.invoke(made())).items():
                if not dimensions:
                    told.setdefault(name, []).append(Datapoint(minute, (value,)))
    stack.messages(stack.queue(PLACED))
    assert {name: [one.minute for one in datapoints] for name, datapoints in told.items()} == {
        "Accepted": [0, 1, *range(7, 19)], "Failed": [2, 3, 4], "Unverified": [5], "Invalid": [6],
    }
    # Of the minutes 2, 3 and 4 the second is known in minute 4; two of them are among the last five until minute 8.
    assert alarm("DeploymentAlarm").rings({"Failed": told["Failed"]}, 19, 0) == [4, 5, 6, 7, 8]
    for name, metric, begins in (("UnverifiedAlarm", "Unverified", 6), ("InvalidAlarm", "Invalid", 7)):
        assert alarm(name).rings({metric: told[metric]}, 40, 0) == [*range(begins, begins + 15)]
    assert alarm("QuietAlarm", AlarmQuietHours=1).rings({"Accepted": told["Accepted"]}, 80, 0)[-1] == 79


# The metric filters


CRASHED = pattern("FunctionCrashed")
# As they stand in public logs, with the ids changed.
ID = "9d6e2a54-5f3c-4a68-8d0a-0a4d86cbd0f4"
DONE = f"REPORT RequestId: {ID}\tDuration: 15.48 ms\tBilled Duration: 16 ms\tMemory Size: 256 MB\tMax Memory Used: 31 MB"
CRASHES = [
    f"{DONE}\tStatus: timeout",
    f"{DONE}\tStatus: timeout\nXRAY TraceId: 1-6ac7d63f-0104e99861c65c8039f183da\tSegmentId: 7c4eb6a6d56f2a27\tSampled: true\t\n",
    f"{DONE}\tInit Duration: 293.05 ms\tStatus: error\tError Type: Runtime.ExitError\n",
    f"{DONE}\tStatus: error\tError Type: Runtime.OutOfMemory\nXRAY TraceId: 1-6ac7d63f-0104e99861c65c8039f183da\tSampled: true\t\n",
    "INIT_REPORT Init Duration: 154.03 ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError",
    "INIT_REPORT Init Duration: 99.65 ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ExitError",
    "INIT_REPORT Init Duration: 0.79 ms\tPhase: init\tStatus: error\tError Type: Runtime.InvalidEntrypoint",
    "INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout",
    f"RequestId: {ID} Error: Runtime exited with error: exit status 1\nRuntime.ExitError",
    f"RequestId: {ID} Error: Runtime exited with error: signal: aborted (core dumped)\nRuntime.ExitError",
]
NO_CRASHES = [
    DONE,
    f"{DONE}\tInit Duration: 21.30 ms\t\nXRAY TraceId: 1-6ac7d63f-0104e99861c65c8039f183da\tSegmentId: 7c4eb6a6d56f2a27\tSampled: true\t\n",
    f"START RequestId: {ID} Version: 7",
    f"END RequestId: {ID}",
    "INIT_START Runtime Version: provided:al2023.v100\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:36aeb19f",
]


@pytest.mark.parametrize(("name", "group", "metric"), [
    ("FunctionCrashed", "FunctionLogs", "Crashed"), ("ApiThrottled", "ApiLogs", "Throttled"),
])  # fmt: skip
def test_a_filter_adds_one_to_a_metric_for_each_line_of_its_log_that_counts(name, group, metric):
    made = expanded()[name]["Properties"]
    assert made["LogGroupName"] == {"Ref": group}
    (change,) = made["MetricTransformations"]
    assert change == {"MetricNamespace": change["MetricNamespace"], "MetricName": metric, "MetricValue": "1", "Unit": "Count"}


@pytest.mark.parametrize("line", CRASHES)
def test_a_crash_and_a_timeout_count(line):
    assert counts(CRASHED, line)


@pytest.mark.parametrize("line", NO_CRASHES)
def test_no_other_line_of_lambda_counts(line):
    assert not counts(CRASHED, line)


def test_the_logs_are_text_of_which_the_filter_knows_the_lines():
    for name in channels().values():
        assert expanded()[name]["Properties"]["LoggingConfig"] == {"LogGroup": {"Ref": "FunctionLogs"}}, "with LogFormat JSON they are objects"


def test_nobody_outside_can_make_a_line_that_counts_as_a_crash():
    """It would end a deployment. What a request says goes nowhere into a log, and our own words are others."""
    words = re.findall(r'"([^"]+)"', CRASHED)
    assert len(words) == 3
    assert not any(word in OURS or re.fullmatch(form, word) for word in words for form in FIELDS.values())
    with Function(PLACED, "http://127.0.0.1:9/queue", AWS_ENDPOINT_URL_SQS="http://127.0.0.1:9", HOOK_TIMEOUT_MS="1000") as function:
        for word in words:
            names = ("x-adobe-commerce-request-id", "traceparent", "user-agent", "x-invalid-events", word.replace(": ", "-"))
            said = dict.fromkeys(names, word)
            line = f"\n{word}\tError Type: Runtime.ExitError\n"
            signed = request(PLACED, {"order": {"increment_id": line, "grand_total": word, word: word}}, **said)
            for made in (signed, signed | {"rawPath": line, "version": word}, request(PLACED, line.encode(), **said), word, {word: word},
                         signed | {"headers": dict.fromkeys(signed["headers"], word)}):  # fmt: skip
                log = function.invoke(made).log
                assert log and not any(counts(CRASHED, one) for one in log.splitlines())


def access_line(**values):
    """A line of the access log, in the template's format, with these values of `$context`; the others are empty."""
    stage = next(iter(of_type(expanded(), "AWS::ApiGatewayV2::Stage").values()))["Properties"]
    text = re.sub(r"\$context\.([A-Za-z.]+)", lambda match: str(values.get(match[1], "-")), stage["AccessLogSettings"]["Format"])
    return json.dumps(json.loads(text))


@pytest.mark.parametrize(("values", "counted"), [
    ({"status": 200, "integrationStatus": 200, "integration.status": 200}, False),
    ({"status": 429}, True),
    ({"status": 503, "integrationStatus": 429}, True),
    ({"status": 429, "integrationStatus": 429}, True),
    ({"status": 503, "integrationStatus": 200, "integration.status": 503}, False),
    ({"status": 200, "responseLength": 429, "responseLatency": 429, "integrationLatency": 429}, False),
])  # fmt: skip
def test_what_was_turned_away_counts_once_whoever_did_it(values, counted):
    assert counts(pattern("ApiThrottled"), access_line(**values)) == counted
