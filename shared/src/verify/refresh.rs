//! When keys that are kept in memory are read again.

use std::{
    cell::Cell,
    time::{Duration, SystemTime},
};

/// The minimum time between two refreshes for unknown keys that the new keys do not contain either.
/// Without it, forged events could use up the time of the function and the quota of the server that
/// has the keys.
const UNKNOWN_KEY_PAUSE: Duration = Duration::from_secs(10);

/// The time until a failed refresh is retried.
const RETRY_PAUSE: Duration = Duration::from_secs(15);

/// The time until a failed refresh is retried if it blocks events: no key is known, or perhaps
/// not the key that signed an event.
const URGENT_PAUSE: Duration = Duration::from_secs(1);

/// Why keys are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefreshReason {
    /// The known keys are old.
    Timer,
    /// No known key verifies a signature, or the key that a token names is not known.
    UnknownKey,
}

/// How reading the keys went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefreshResult {
    Complete,
    /// One of the two versions of the secret was not read.
    Partial,
    Failed,
}

/// When keys were read, and from when it may be read again.
///
/// It uses the wall clock, which also counts the time for which Lambda freezes the function.
#[derive(Debug, Default)]
pub(super) struct RefreshSchedule {
    interval: Duration,
    /// When the known keys were read completely.
    completed: Cell<Option<SystemTime>>,
    timer_from: Cell<Option<SystemTime>>,
    unknown_from: Cell<Option<SystemTime>>,
}

impl RefreshSchedule {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            ..Self::default()
        }
    }

    pub(super) fn is_due(&self, reason: RefreshReason, is_empty: bool, now: SystemTime) -> bool {
        match reason {
            RefreshReason::UnknownKey => has_passed(self.unknown_from.get(), now),
            RefreshReason::Timer => {
                let age = self.completed.get().map(|then| now.duration_since(then));
                let is_fresh = age.is_some_and(|age| age.is_ok_and(|age| age < self.interval));
                (is_empty || !is_fresh) && has_passed(self.timer_from.get(), now)
            }
        }
    }

    pub(super) fn record(
        &self,
        reason: RefreshReason,
        result: RefreshResult,
        is_empty: bool,
        now: SystemTime,
    ) {
        let is_complete = result == RefreshResult::Complete;
        if is_complete {
            self.completed.set(Some(now));
        }
        let pause = if is_empty {
            URGENT_PAUSE
        } else if is_complete {
            Duration::ZERO
        } else {
            RETRY_PAUSE.min(self.interval)
        };
        self.timer_from.set(Some(now + pause));
        if reason == RefreshReason::UnknownKey {
            let pause = if is_complete {
                UNKNOWN_KEY_PAUSE
            } else {
                URGENT_PAUSE
            };
            self.unknown_from.set(Some(now + pause));
        }
    }

    /// Ends the pause after a failed refresh.
    pub(super) fn retry_at_once(&self) {
        self.timer_from.set(None);
    }

    /// Ends [`UNKNOWN_KEY_PAUSE`]: a new key verified an event, so the event was not forged.
    pub(super) fn end_unknown_pause(&self) {
        self.unknown_from.set(None);
    }
}

/// Returns whether a moment has passed. A moment beyond the longest pause was recorded before the
/// clock was set back, and counts as passed.
fn has_passed(moment: Option<SystemTime>, now: SystemTime) -> bool {
    let left = moment.and_then(|moment| moment.duration_since(now).ok());
    left.is_none_or(|left| left.is_zero() || left > RETRY_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_EMPTY: bool = false;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn schedule() -> RefreshSchedule {
        RefreshSchedule::new(Duration::from_mins(5))
    }

    #[test]
    fn refreshes_old_keys_on_a_timer_and_retries_a_failure_sooner() {
        use RefreshResult::{Complete, Failed, Partial};
        let schedule = schedule();
        let is_due = |is_empty, now| schedule.is_due(RefreshReason::Timer, is_empty, at(now));
        let record = |result, is_empty, now| {
            schedule.record(RefreshReason::Timer, result, is_empty, at(now));
        };
        assert!(is_due(true, 1000), "at cold start");
        record(Failed, true, 1000);
        assert!(!is_due(true, 1000) && is_due(true, 1001), "failed");
        record(Complete, true, 1001);
        assert!(
            !is_due(true, 1001) && is_due(true, 1002),
            "the secret has no key"
        );
        record(Complete, NOT_EMPTY, 1002);
        assert!(!is_due(NOT_EMPTY, 1301) && is_due(NOT_EMPTY, 1302), "old");
        record(Failed, NOT_EMPTY, 1302);
        assert!(
            !is_due(NOT_EMPTY, 1316) && is_due(NOT_EMPTY, 1317),
            "failed"
        );
        record(Partial, NOT_EMPTY, 1317);
        assert!(
            !is_due(NOT_EMPTY, 1331) && is_due(NOT_EMPTY, 1332),
            "partial"
        );
        record(Complete, NOT_EMPTY, 1332);
        assert!(is_due(NOT_EMPTY, 900), "the clock was set back");
    }

    #[test]
    fn limits_the_refreshes_that_forged_events_cause() {
        let schedule = schedule();
        let reason = RefreshReason::UnknownKey;
        schedule.record(
            RefreshReason::Timer,
            RefreshResult::Complete,
            NOT_EMPTY,
            at(1000),
        );
        let count = |result| {
            let due = (1000..1100).filter(|now| {
                let is_due = schedule.is_due(reason, NOT_EMPTY, at(*now));
                if is_due {
                    schedule.record(reason, result, NOT_EMPTY, at(*now));
                }
                is_due
            });
            due.count()
        };
        assert_eq!(count(RefreshResult::Complete), 10, "one in ten seconds");
        schedule.end_unknown_pause();
        assert_eq!(
            count(RefreshResult::Failed),
            100,
            "one per second while the server fails"
        );
    }
}
