"""How CloudWatch evaluates an alarm of the template over a series of datapoints, and which log lines a metric filter counts.

No emulator does either, so AWS's documentation is written down here:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/ alarm-evaluation.html, alarms-and-missing-data.html, alarm-limits.html
(an alarm is evaluated every minute, over windows that end at that minute, whatever its period) and using-metric-math.html;
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/ FilterAndPatternSyntax.html.
"""

import collections
import json
import math
import operator
import re
from dataclasses import dataclass

from stack import template

COMPARISONS = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
}
STATISTICS = {"Sum": sum, "Maximum": max, "p99": lambda values: sorted(values)[math.ceil(0.99 * len(values)) - 1]}
# The account's concurrency in the tests.
QUOTA = 1000
# Each makes a value of the statistic of each metric that has data, or None.
EXPRESSIONS = {
    **dict.fromkeys(("SUM(FILL(METRICS(), 0))", "FILL(accepted, 0)", "FILL(irregular, 0)"), lambda known: sum(known.values())),
    "claimed / SERVICE_QUOTA(executions) * 100": lambda known: 100 * known["ClaimedAccountConcurrency"] / QUOTA if known else None,
}
# How many periods CloudWatch looks back beyond EvaluationPeriods for data in place of what is missing. It does not tell. The examples of
# its documentation have 2; for one and for two periods of a minute somebody measured that it looks at six minutes, which is up to 5
# (infrahouse/terraform-aws-lambda-monitored, docs/monitoring.md). Where data is never missing it does not matter.
EXTRA = (0, 2, 5)
OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"


@dataclass(frozen=True)
class Datapoint:
    """What a metric was told of one minute. It is known `late` minutes after that minute is over."""

    minute: int
    values: tuple
    late: int = 0


def series(text):
    """The datapoints that a text describes, a word for each minute, the first of them minute 0, or after `|` if there is one:

    -       nothing              5        one value             5+3      the same, known three minutes late
    5x99    that value 99 times  5,7+2    several, each as said  ...*60  the same in each of 60 minutes
    """
    before, _, after = map(spread, text.rpartition("|"))
    return [
        datapoint(minute, one) for minute, word in enumerate(before + after, -len(before)) if word != "-" for one in word.split(",")
    ]


def minutes(text):
    """How many minutes of a series there are from minute 0 on."""
    return len(spread(text.rpartition("|")[2]))


def spread(text):
    """A word for each minute."""
    words = [word.partition("*") for word in text.split()]
    return [word for word, _, times in words for _ in range(int(times or 1))]


def datapoint(minute, word):
    value, count, late = re.fullmatch(r"([\d.]+)(?:x(\d+))?(?:\+(\d+))?", word).groups()
    return Datapoint(minute, (float(value),) * int(count or 1), int(late or 0))


class Alarm:
    """An alarm with these properties, in which no parameter stands any more."""

    def __init__(self, said):
        self.expression, self.metrics, self.period, self.statistic = measured(said)
        self.periods = int(said["EvaluationPeriods"])
        self.needed = int(said.get("DatapointsToAlarm", self.periods))
        self.threshold = float(said["Threshold"])
        self.breaches = COMPARISONS[said["ComparisonOperator"]]
        self.missing = said["TreatMissingData"]
        # Beyond a day CloudWatch evaluates once an hour, which this does not.
        assert self.periods * self.period <= 24 * 60

    def rings(self, data, minutes, extra):
        """The minutes in which it is in ALARM, of so many from minute 0 on. `data`: the datapoints of each metric, by its name."""
        assert set(data) <= set(self.metrics), "a metric that the alarm does not watch"
        told = collections.defaultdict(list)
        for name, datapoints in data.items():
            for one in datapoints:
                told[one.minute].append((name, one))
        state, rung = OK, []
        for now in range(minutes):
            points = [self.point(told, now, age) for age in reversed(range(self.periods + extra))]
            state = evaluate(points, self.periods, self.needed, self.missing, state)
            if state == ALARM:
                rung.append(now)
        return rung

    def point(self, told, now, age):
        """Whether the period that ended so many periods ago breaches, as far as CloudWatch knows now; None if it has no data."""
        first = now - (age + 1) * self.period
        known = collections.defaultdict(list)
        for minute in range(first, first + self.period):
            for name, one in told.get(minute, ()):
                if minute + 1 + one.late <= now:
                    known[name] += one.values
        values = {name: STATISTICS[self.statistic](values) for name, values in known.items()}
        value = EXPRESSIONS[self.expression](values) if self.expression else next(iter(values.values()), None)
        return None if value is None else self.breaches(value, self.threshold)


def measured(said):
    """The expression of an alarm or None, its metrics, their period in minutes, and their statistic."""
    if "Metrics" not in said:
        return None, [said["MetricName"]], said["Period"] // 60, said.get("Statistic") or said["ExtendedStatistic"]
    (expression,) = [one["Expression"] for one in said["Metrics"] if "Expression" in one]
    assert expression in EXPRESSIONS, "metric math that this does not understand"
    stats = [one["MetricStat"] for one in said["Metrics"] if "MetricStat" in one]
    ((period, statistic),) = {(one["Period"], one["Stat"]) for one in stats}
    return expression, [one["Metric"]["MetricName"] for one in stats], period // 60, statistic


def evaluate(points, periods, needed, missing, before):
    """The state of an alarm. `points`, the oldest first, are those of the evaluation range: True breaches, None is missing."""
    there = [point for point in points if point is not None]
    if len(there) >= periods:
        return ALARM if sum(there[-periods:]) >= needed else OK
    if not there and missing in ("missing", "ignore"):
        return INSUFFICIENT_DATA if missing == "missing" else before
    filled = periods - len(there) if missing == "breaching" else 0
    if sum(there) + filled >= needed:
        return ALARM
    # All that there is is bad, and the oldest of it is as old as `needed`.
    if missing in ("missing", "ignore") and all(there) and len(points) - points.index(True) >= needed:
        return ALARM if missing == "missing" else before
    return OK


def pattern(name):
    """What a metric filter of the template counts."""
    return template()["Resources"][name]["Properties"]["FilterPattern"]


def counts(pattern, line):
    """Whether a metric filter with this pattern counts a log line."""
    if pattern.startswith("{"):
        inner = re.fullmatch(r"\{ (.+) \}", pattern)[1]
        if number := re.fullmatch(r"\$\.(\w+) >= (\d+)", inner):
            found = json.loads(line).get(number[1])
            return found is not None and found >= int(number[2])
        terms = [re.fullmatch(r'\(?\$\.(\w+) = "(\w+)"\)?', term) for term in inner.split(" || ")]
        try:
            members = json.loads(line)
        except ValueError:
            return False
        return any(members.get(term[1]) == term[2] for term in terms)
    terms = re.findall(r'\?"([^"]+)" ?', pattern)
    assert "".join(f'?"{term}" ' for term in terms).strip() == pattern, "a pattern that this does not understand"
    return any(term in line for term in terms)
