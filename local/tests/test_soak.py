"""A short soak; `make soak` is the long one."""

import random

import soak
from shop import LATE_MS


def test_nothing_is_lost_or_doubled_while_everything_fails_at_random(stack):
    seed = random.randrange(10**6)
    rows, mistakes = soak.soak(stack, events=1600, seed=seed)
    figures = {row["what"]: row["count"] for row in rows}
    assert not any(mistakes.values()), f"seed {seed}: {mistakes}"
    # It was a storm.
    faults = [name for name in figures if name.startswith("fault: ")]
    failures = [name for name in figures if name.startswith("answer: ") and "accepted" not in name]
    assert len(faults) > 10 and len(failures) >= 4, f"seed {seed}: {figures}"
    assert figures["fault: process killed"] > 0 and figures["events answered 200"] > 500
    slowest = next(count for name, count in figures.items() if name.startswith("slowest answer"))
    assert slowest < soak.HOOK_TIMEOUT_MS + LATE_MS, f"seed {seed}: {slowest} ms"
