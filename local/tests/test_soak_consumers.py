"""A short soak of the example of a consumer; `make soak-consumers` is the long one. And its judge, who must see every mistake that it
looks for."""

import random

import pytest
import soak_consumers as soak


def test_every_event_is_done_once_and_in_order_or_set_aside_for_a_reason_of_its_own(stack):
    seed = random.randrange(10**6)
    # After a kill an event waits for its lease to end: test_consumer_failures.py has that.
    rows, mistakes = soak.soak(stack, count=200, seed=seed, longest=7, kills=False)
    figures = {row["what"]: row["count"] for row in rows}
    assert not any(mistakes.values()), f"seed {seed}: {mistakes}"
    assert figures["shops"] == 3
    assert figures["events done"] + sum(number for name, number in figures.items() if name.startswith("set aside: ")) == 200


def events():
    chance = random.Random(1)
    made = [soak.Event(group, number, chance) for group in range(2) for number in range(2)]
    for event, kind in zip(made, ["ordinary", "ordinary", "refused", "poisonous"]):
        event.kind = kind
    return made


@pytest.mark.parametrize(
    ("taken", "reasons", "mistake"),
    [
        ({0: 0, 1: 1}, [(2, "refused"), (3, "failed_alone")], None),
        ({0: 0}, [(2, "refused"), (3, "failed_alone")], "neither done nor set aside"),
        ({0: 0, 1: 1, 2: 2}, [(2, "refused"), (3, "failed_alone")], "done and set aside"),
        ({0: 0, 1: 1}, [(2, "failed_alone"), (3, "failed_alone")], "set aside for no reason of its own"),
        ({0: 0, 1: 1}, [(2, "none: SQS gave it up"), (3, "failed_alone")], "set aside for no reason of its own"),
        ({0: 0}, [(1, "expires_soon"), (2, "refused"), (3, "failed_alone")], "set aside for no reason of its own"),
        ({0: 0, 1: 1}, [(2, "refused"), (3, "failed_alone"), (3, "failed_alone")], "set aside twice"),
        ({0: 1, 1: 0}, [(2, "refused"), (3, "failed_alone")], "out of order in its group"),
    ],
)
def test_the_judge_sees_every_mistake(taken, reasons, mistake):
    made = events()
    taken = {made[place].id: when for place, when in taken.items()}
    found = soak.judge(made, taken, [(made[place].id, reason) for place, reason in reasons])
    assert {name for name, identities in found.items() if identities} == ({mistake} if mistake else set())
    again = soak.judge(made, taken, [], [made[0].id], [made[1].id])
    assert again["done again without a cause"] == {made[0].id}
    assert again["taken for an event of another shop"] == {made[1].id}
