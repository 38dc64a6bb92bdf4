//! The retry rules: the pause after a failure, and when the worker gives an event up. Only
//! computations belong here; the attempts themselves are kept in `ledger.rs`.
//!
//! If the ERP system is down or overloaded, many events fail, and all of them are retried until it
//! is back. If one event fails while others succeed, the event itself is the cause. The worker
//! gives it up after ten attempts over an hour, because all later events of its group wait. The
//! results of other events since the previous attempt tell the two cases apart.
//! `docs/decisions/004-who-counts-the-attempts.md` explains why SQS does not count the attempts.

use std::{
    collections::VecDeque,
    hash::{BuildHasher as _, RandomState},
    time::{Duration, SystemTime},
};

/// The minimum number of counted attempts before an event is given up.
const COUNTED_MIN: u64 = 10;

/// A pause is at most the time since the first failure divided by this number. So after an outage,
/// events wait for at most a quarter of its duration.
const PAUSE_SHARE: u32 = 4;

/// The number of other events whose latest result is remembered.
const RECENT_MAX: usize = 20;

/// The minimum number of remembered events to decide whether most of them fail.
const RECENT_MIN: usize = 4;

/// The longest pause that the endpoint can request with `Retry-After`.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// An event is given up at this age of its message, in percent of the queue's retention period.
const RETENTION_PERCENT: u32 = 80;

/// The limits of the retries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryPolicy {
    pub(crate) pause_min: Duration,
    pub(crate) pause_max: Duration,
    /// The minimum time from the first counted attempt until the event is given up.
    pub(crate) give_up_after: Duration,
}

/// The failed attempts of an event, as the ledger keeps them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attempts {
    /// The attempts that count: other events succeeded meanwhile, or the event was the cause.
    pub(crate) counted: u64,
    pub(crate) first: Option<SystemTime>,
    pub(crate) first_counted: Option<SystemTime>,
    pub(crate) last: Option<SystemTime>,
}

/// The cause of a failure, as far as the failure shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The event itself, for example because its record is locked.
    Event,
    /// Either the event or the ERP system as a whole.
    Unclear,
    /// The ERP system is throttling. With a rate limit it always accepts some events, but not all.
    Busy,
}

/// The results of other events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OtherEvents {
    /// When any instance of the function last finished the work of an event.
    pub(crate) last_success: Option<SystemTime>,
    /// Whether most events fail in this instance of the function.
    pub(crate) most_fail: bool,
}

/// The latest results of the last few events in this instance of the function, newest first.
#[derive(Debug, Default)]
pub(crate) struct RecentEvents(VecDeque<(String, bool)>);

impl RecentEvents {
    pub(crate) fn note(&mut self, event_id: &str, succeeded: bool) {
        self.0.retain(|(known, _)| known != event_id);
        self.0.truncate(RECENT_MAX);
        self.0.push_front((event_id.to_owned(), succeeded));
    }

    /// Returns whether fewer than half of the events other than this one succeeded.
    pub(crate) fn most_others_fail(&self, event_id: &str) -> bool {
        let others = self.0.iter().filter(|(known, _)| known != event_id);
        let (mut all, mut succeeded) = (0, 0);
        for (_, success) in others.take(RECENT_MAX) {
            all += 1;
            succeeded += usize::from(*success);
        }
        all >= RECENT_MIN && 2 * succeeded < all
    }
}

impl Attempts {
    /// Adds a failed attempt.
    pub(crate) fn add(&mut self, now: SystemTime, cause: Cause, others: OtherEvents) {
        let success_since_last = self
            .last
            .zip(others.last_success)
            .is_some_and(|(last, success)| success > last);
        let counts = match cause {
            Cause::Event => true,
            Cause::Unclear => success_since_last && !others.most_fail,
            Cause::Busy => false,
        };
        if counts {
            self.counted += 1;
            self.first_counted.get_or_insert(now);
        }
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// Returns whether the event must be given up.
    pub(crate) fn are_exhausted(&self, now: SystemTime, policy: RetryPolicy) -> bool {
        self.counted >= COUNTED_MIN && since(self.first_counted, now) >= policy.give_up_after
    }

    /// Returns the time since the first failure.
    pub(crate) fn failing(&self, now: SystemTime) -> Duration {
        since(self.first, now)
    }
}

impl RetryPolicy {
    /// Returns the pause before the next attempt.
    ///
    /// `failing` is the time since the first failure. `left` is the time in which the message can
    /// still be retried: the pause does not exceed it. The pause is random, so that events that
    /// failed together are not retried together.
    pub(crate) fn pause(
        self,
        failing: Duration,
        retry_after: Option<Duration>,
        left: Option<Duration>,
    ) -> Duration {
        let pause = (failing / PAUSE_SHARE)
            .min(self.pause_max)
            .mul_f64(jitter())
            .max(self.pause_min)
            .max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
        left.map_or(pause, |left| pause.min(left.max(self.pause_min)))
    }
}

/// Returns the time in which a message of this age can still be retried. It ends before SQS deletes
/// the message, because SQS does not report that.
pub(crate) fn retention_left(age: Duration, retention: Duration) -> Duration {
    (retention * RETENTION_PERCENT / 100).saturating_sub(age)
}

/// Returns a random number from 0.5 to 1.
fn jitter() -> f64 {
    let random = RandomState::new().hash_one(()) >> 32;
    #[allow(clippy::cast_precision_loss)] // An f64 holds 32 bits exactly.
    let random = random as f64 / f64::from(u32::MAX);
    0.5 + random / 2.0
}

/// Returns the time since `start`, or zero if there is none or the clock was set back.
fn since(start: Option<SystemTime>, now: SystemTime) -> Duration {
    start.map_or(Duration::ZERO, |start| {
        now.duration_since(start).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests;
