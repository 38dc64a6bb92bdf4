"""Posts the events of records that lack one: a few at a time, at a bounded rate, each with the record as it is then."""

import sys
import threading
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import routes
from records import body_of, content_of
from rest import ShopError

AT_ONCE = 4
# What a function or API Gateway says when it has no time or no room. Sent again, an event keeps its id.
AGAIN = {429, 500, 502, 503, 504}
# Seconds between the attempts for one event. Those who wait hold up the others, too.
PAUSES = (1, 2, 4, 8, 15)
PAUSE_MAX = 30
# Of how many records one after another the shop may give none, before that is taken for the shop's own trouble.
FAILURES_MAX = 3
ACCEPTED = "accepted"
WORDS = {413: "too large for a function", 422: "cannot be used"}
ADVICE = {
    401: "Is hmac_secrets of the stack's secret what the functions know? It takes up to five minutes after a change by hand.",
    404: "Is the stack of this project, and does it have the channel?",
}
SAY_EVERY = 5


class Stopped(ShopError):
    """Sending makes no sense for now."""


@dataclass
class Sent:
    """What came of it."""

    outcomes: Counter = field(default_factory=Counter)
    left: list = field(default_factory=list)
    stopped: str = ""
    interrupted: bool = False

    @property
    def number(self):
        return self.outcomes.total()


class Sender:
    """Sends the events of gaps. What it did so far is in `sent`, however it ends."""

    def __init__(self, shop, api, rate, name=None):
        self._shop, self._api, self._every, self._name = shop, api, 1 / rate, name
        self._end, self._lock, self._shop_lock = threading.Event(), threading.Lock(), threading.Lock()
        self.sent, self._failures = Sent(), 0

    def send(self, gaps):
        progress = Progress(len(gaps), self.sent)
        running, next_at = deque(), time.monotonic()
        pool = ThreadPoolExecutor(AT_ONCE)
        try:
            kind = None
            for gap in gaps:
                # An invoice of an order comes after the order.
                while running and (len(running) >= AT_ONCE or gap.record.kind is not kind or running[0].done()):
                    running.popleft().result()
                kind = gap.record.kind
                self._end.wait(max(0, next_at - time.monotonic()))
                if self._end.is_set():
                    break
                next_at = max(next_at + self._every, time.monotonic())
                content = self._content(gap)
                if content:
                    running.append(pool.submit(self._post, gap, content))
                progress.say()
            while running:
                running.popleft().result()
        except KeyboardInterrupt:
            self.sent.interrupted = True
        except ShopError as error:
            self.sent.stopped = str(error)
        finally:
            self._end.set()
            pool.shutdown(wait=True, cancel_futures=True)
            progress.end()
        return self.sent

    def _content(self, gap):
        """The record as it is now. One that the shop cannot give must not keep the others from being sent."""
        with self._shop_lock:
            try:
                content = content_of(self._shop, gap.record)
            except ShopError:
                self._failures += 1
                if self._failures == FAILURES_MAX:
                    self._end.set()
                    raise
                self._note(gap, "not given by the shop")
                return None
            self._failures = 0
        if content is None:
            self._note(gap, "gone from the shop")
        return content

    def _note(self, gap, outcome):
        with self._lock:
            self.sent.outcomes[outcome] += 1
            if outcome != ACCEPTED:
                self.sent.left.append((gap, outcome))

    def _post(self, gap, content):
        for pause in (*PAUSES, None):
            if self._end.is_set():
                return
            # After a pause the record may be another, of which an event came meanwhile: that must not be followed by an older state.
            content = content or self._content(gap)
            if not content:
                return
            body, content = body_of(gap.record, gap.channel, content), None
            try:
                answer, said = self._api.post(gap.channel, body, self._name, **{"x-webhook-reconciled": "1"})
                status, reason = answer.status_code, f"the API answered status {answer.status_code}"
            except ShopError as error:
                answer, status, reason = None, None, str(error)
            if status is not None and status not in AGAIN:
                return self._judge(gap, status, said)
            if pause is None:
                self._end.set()
                raise Stopped(f"{reason}, {len(PAUSES) + 1} times")
            self._end.wait(max(pause, retry_after(answer)))

    def _judge(self, gap, status, content):
        answer = routes.decoded(content)
        operations = routes.operations(answer) if status == 200 else []
        if "exception" in operations:
            self._note(gap, "refused by a rule or the stock check")
        elif operations:
            self._note(gap, ACCEPTED)
        elif status in WORDS:
            self._note(gap, WORDS[status])
        else:
            self._end.set()
            what = f"status {status}" if status != 200 else "something else than operations"
            raise Stopped(f"the API answered {what}. {ADVICE.get(status, '')}".rstrip())


def retry_after(answer):
    """The seconds that an answer asks for, within reason."""
    said = answer.headers.get("Retry-After", "") if answer is not None else ""
    return min(int(said), PAUSE_MAX) if said.isascii() and said.isdecimal() and len(said) < 6 else 0


class Progress:
    """How far it is: in place on a terminal, otherwise a line now and then."""

    def __init__(self, of, sent):
        self._of, self._sent, self._said = of, sent, time.monotonic()
        self._terminal = sys.stderr.isatty()

    def say(self):
        now = time.monotonic()
        if now - self._said >= (0.2 if self._terminal else SAY_EVERY):
            self._said = now
            self._write("\r" if self._terminal else "", "" if self._terminal else "\n")

    def end(self):
        if self._terminal:
            self._write("\r", "\n")

    def _write(self, before, after):
        accepted = self._sent.outcomes[ACCEPTED]
        words = f"{self._sent.number:,} of {self._of:,} sent, {accepted:,} accepted"
        print(f"{before}  {words}", end=after, file=sys.stderr, flush=True)
