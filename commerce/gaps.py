"""Which changed records no accepted event tells of.

An invoice that is paid as it is made has no number yet when its event is sent, so these are told apart by their time alone: each
event counts for one invoice that was created near it. Where there are too few, every invoice whose event may be the missing one is a gap.
"""

import bisect
import itertools
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from records import KINDS, Record

PAID = "2"
# An event comes before its invoice is in the database, or its order: other hooks and the payment may take this many seconds.
BEFORE = 10
# Seconds by which an order's first event can be older than the order: the payment and other hooks come between. What is older still is about
# something else with the same number, as of a shop that was restored from a copy.
EARLIER = 600
NEVER = "no accepted event"


@dataclass(frozen=True)
class Gap:
    """A record, the channel of the event that lacks, and why it is thought to."""

    record: Record
    channel: str
    why: str


@dataclass
class Found:
    """What came of a comparison."""

    gaps: list = field(default_factory=list)
    changed: Counter = field(default_factory=Counter)
    # Invoices of which nobody can say whether they were paid in this time.
    unclear: list = field(default_factory=list)
    # Records whose last change was too late to compare.
    late: Counter = field(default_factory=Counter)


def find(records, accepted, since, tolerance, until=math.inf):
    """Compares what changed with what was accepted. Of a record that comes twice, the later state counts. Events of what changed after
    `until` may be under way: of these records, only events about what was before are missed."""
    latest = {}
    for record in records:
        key = record.kind.name, record.id
        if key not in latest or latest[key].updated <= record.updated:
            latest[key] = record
    found, unnumbered = Found(), []
    stores = defaultdict(set)
    for record in latest.values():
        stores[record.subject].add(record.store)
    for record in latest.values():
        found.changed[record.kind.name] += 1
        # An event that says no store could be that of another store's record with the same number.
        digests = record.digests if len(stores[record.subject]) == 1 else record.digests[:1]
        if record.kind.subject == "invoice":
            of_invoice(record, digests, accepted, since, until, found, unnumbered)
        elif gap := of_other(record, digests, accepted, since, until, tolerance):
            found.gaps.append(gap)
        elif record.updated > until:
            found.late[record.kind.name] += 1
    if unnumbered:
        found.gaps += of_unnumbered(unnumbered, accepted, tolerance)
    order = {kind.name: place for place, kind in enumerate(KINDS)}
    found.gaps.sort(key=lambda gap: (order[gap.record.kind.name], gap.record.updated, gap.record.id))
    return found


def of_other(record, digests, accepted, since, until, tolerance):
    """The gap of a record whose events have a number, if it has one. An order needs one event, be it lacking two."""
    kind, known, earliest = record.kind, accepted.channels, record.created - EARLIER
    placed = accepted.last(kind.placed, digests, earliest) if kind.placed in known else None
    if kind.placed in known and placed is None and since <= record.created <= until:
        return Gap(record, kind.placed, NEVER)
    if kind.saved not in known:
        return None
    times = [time for time in (placed, accepted.last(kind.saved, digests, earliest)) if time is not None]
    if not times and (record.updated <= until or since <= record.created <= until):
        return Gap(record, kind.saved, NEVER)
    if record.updated > until:
        return None
    # An order that nothing changed since it was placed is what its first event says.
    untouched = placed is not None and record.updated - record.created <= tolerance
    late = record.updated - max(times)
    if untouched or late <= tolerance:
        return None
    return Gap(record, kind.saved, f"changed {duration(late)} after its last event")


def of_invoice(record, digests, accepted, since, until, found, unnumbered):
    channel, earliest = record.kind.saved, record.created - EARLIER
    if record.state != PAID or channel not in accepted.channels or accepted.last_original(channel, digests, earliest) is not None:
        return
    closed = accepted.last(channel, digests, earliest) is not None
    if not closed and record.updated > until:
        found.late[record.kind.name] += 1
        closed = True
    if record.created >= since:
        # One that was reconciled, or that is too late to compare, may have an event of its own, without a number, all the same.
        unnumbered.append((record, closed))
    elif not closed:
        found.unclear.append(record)


def of_unnumbered(invoices, accepted, tolerance):
    """The gaps among invoices (record, whether it needs no event any more) that can be told by their time only."""
    invoices = sorted(invoices, key=lambda one: (one[0].created, one[0].id))
    channel = invoices[0][0].kind.saved
    events = accepted.without_subject(channel)
    reach = []
    for record, _ in invoices:
        first = bisect.bisect_left(events, record.created - BEFORE - tolerance)
        reach.append(range(first, bisect.bisect_right(events, record.created + tolerance)))
    owner = paired(reach)
    without = set(range(len(invoices))) - set(owner.values())
    why = dict.fromkeys((invoice for invoice in without if not reach[invoice]), NEVER)
    # Invoices whose times to have an event overlap, one after another.
    several = [invoice for invoice in sorted(doubtful(reach, owner, without)) if invoice not in why]
    far = BEFORE + 2 * tolerance
    apart = [invoices[later][0].created - invoices[one][0].created > far for one, later in itertools.pairwise(several)]
    cluster = dict(zip(several, itertools.accumulate(apart, initial=0)))
    size, lacking = Counter(cluster.values()), Counter(cluster[invoice] for invoice in several if invoice in without)
    for invoice, own in cluster.items():
        why[invoice] = f"no event for {'one' if lacking[own] == 1 else lacking[own]} of {size[own]:,} invoices"
    return [Gap(invoices[invoice][0], channel, words) for invoice, words in sorted(why.items()) if not invoices[invoice][1]]


def paired(reach):
    """Which invoice has which event, for as many as possible: event -> invoice. Both are in the order of their times, and the ranges of
    events that the invoices can have begin and end in this order, so each takes the first one that is left."""
    owner, left = {}, 0
    for invoice, events in enumerate(reach):
        event = max(left, events.start)
        if event < events.stop:
            owner[event] = invoice
            left = event + 1
    return owner


def doubtful(reach, owner, without):
    """The invoices of which each could be one without an event, if the same number of events were paired otherwise: an invoice that lacks
    one could have that of another, which then lacks one. Each event is looked at once."""
    found, waiting = set(without), list(without)
    # From each event, one on the way to the next that was not looked at.
    following = list(range(max((events.stop for events in reach), default=0) + 1))

    def unseen(event):
        while following[event] != event:
            following[event] = event = following[following[event]]
        return event

    while waiting:
        events = reach[waiting.pop()]
        event = unseen(events.start)
        while event < events.stop:
            following[event] = event + 1
            other = owner[event]
            if other not in found:
                found.add(other)
                waiting.append(other)
            event = unseen(event)
    return found


def duration(seconds):
    seconds = int(seconds)
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
