"""Which changed records no accepted event tells of.

An invoice that is paid as it is made has no number yet when its event is sent, so these are told apart by their time alone: each
event counts for one invoice, the one that is nearest to it.
"""

import bisect
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field

from records import KINDS, Record

PAID = "2"
# An event comes before its invoice is in the database, or its order: other hooks and the payment may take this many seconds.
BEFORE = 10
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


def find(records, accepted, since, tolerance):
    """Compares what changed with what was accepted. Of a record that comes twice, the later state counts."""
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
            of_invoice(record, digests, accepted, since, found, unnumbered)
        elif gap := of_other(record, digests, accepted, since, tolerance):
            found.gaps.append(gap)
    if unnumbered:
        found.gaps += of_unnumbered(unnumbered, accepted, tolerance)
    order = {kind.name: place for place, kind in enumerate(KINDS)}
    found.gaps.sort(key=lambda gap: (order[gap.record.kind.name], gap.record.updated, gap.record.id))
    return found


def of_other(record, digests, accepted, since, tolerance):
    """The gap of a record whose events have a number, if it has one. An order needs one event, be it lacking two."""
    kind, known = record.kind, accepted.channels
    placed = accepted.last(kind.placed, digests) if kind.placed in known else None
    if kind.placed in known and placed is None and record.created >= since:
        return Gap(record, kind.placed, NEVER)
    if kind.saved not in known:
        return None
    times = [time for time in (placed, accepted.last(kind.saved, digests)) if time is not None]
    if not times:
        return Gap(record, kind.saved, NEVER)
    # An order that nothing changed since it was placed is what its first event says.
    untouched = placed is not None and record.updated - record.created <= tolerance
    late = record.updated - max(times)
    if untouched or late <= tolerance:
        return None
    return Gap(record, kind.saved, f"changed {duration(late)} after its last event")


def of_invoice(record, digests, accepted, since, found, unnumbered):
    channel = record.kind.saved
    if record.state != PAID or channel not in accepted.channels:
        return
    closed = accepted.last(channel, digests) is not None
    if closed and not accepted.by_reconciliation_only(channel, digests):
        return
    if record.created >= since:
        # One that was reconciled may have had an event of its own, without a number, all the same.
        unnumbered.append((record, closed))
    elif not closed:
        found.unclear.append(record)


def of_unnumbered(invoices, accepted, tolerance):
    """The gaps among invoices (record, whether it is closed already) that can be told by their time only."""
    invoices = sorted(invoices, key=lambda one: (one[0].created, one[0].id))
    channel = invoices[0][0].kind.saved
    events = accepted.without_subject(channel)
    reach = []
    for record, _ in invoices:
        first = bisect.bisect_left(events, record.created - BEFORE - tolerance)
        reach.append(range(first, bisect.bisect_right(events, record.created + tolerance)))
    taken = paired([record.created for record, _ in invoices], events, reach, [not closed for _, closed in invoices])
    of_event = {event: invoice for invoice, event in taken.items()}
    gaps = {}
    for invoice, (record, closed) in enumerate(invoices):
        if closed or invoice in taken:
            continue
        # It may as well be the event of one of these that never came.
        rivals = {of_event[event] for event in reach[invoice] if event in of_event}
        rivals = [rival for rival in rivals if not invoices[rival][1]]
        gaps[invoice] = NEVER if not rivals else f"no event for one of {len(rivals) + 1} invoices"
        for rival in rivals:
            gaps.setdefault(rival, f"no event for one of {len(rivals) + 1} invoices")
    return [Gap(invoices[invoice][0], channel, why) for invoice, why in gaps.items()]


def paired(times, events, reach, needed):
    """Which invoice has which event: the nearest first, and then so many as can have one of those that they reach."""
    near = sorted((abs(times[one] - events[event]), one, event) for one, range_ in enumerate(reach) for event in range_)
    taken, owner = {}, {}
    for _, invoice, event in near:
        if invoice not in taken and event not in owner:
            taken[invoice], owner[event] = event, invoice
    for invoice in range(len(times)):
        if needed[invoice] and invoice not in taken:
            hand_on(invoice, reach, taken, owner)
    return taken


def hand_on(invoice, reach, taken, owner):
    """Finds an event for the invoice by letting others take another one of theirs: the shortest such chain, if there is one."""
    came, waiting = {}, deque([invoice])
    while waiting:
        one = waiting.popleft()
        for event in reach[one]:
            if event in came:
                continue
            came[event] = one
            if event in owner:
                waiting.append(owner[event])
                continue
            while True:
                one = came[event]
                before = taken.get(one)
                taken[one], owner[event] = event, one
                if one == invoice:
                    return
                event = before


def duration(seconds):
    seconds = int(seconds)
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
