//! The secret as it is known now, and when it is read again.
//!
//! The secret is read at cold start and kept in memory. It is read again on a timer, and when no
//! known key verifies a signature, so that a new key needs no deployment. While Secrets Manager is
//! unavailable, the known keys stay in use.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, SystemTime},
};

use tracing::{debug, error};

use crate::{
    aws::Aws,
    deadline::Deadline,
    verify::{
        Keys,
        secret::{Secret, SignaturePolicy},
        store::{Store, StoreSettings, WAIT_MAX},
    },
};

/// The minimum time between two refreshes for signatures that the new keys do not verify either.
/// Without it, forged events could use up the time of the function and the account's quota of
/// Secrets Manager requests.
pub const UNKNOWN_SIGNATURE_PAUSE: Duration = Duration::from_secs(10);

/// The time until a failed refresh is retried.
const RETRY_PAUSE: Duration = Duration::from_secs(15);

/// The time until a failed refresh is retried if it blocks events: no key is known, or perhaps
/// not the key that signed an event.
const URGENT_PAUSE: Duration = Duration::from_secs(1);

/// The source of the secret.
#[derive(Debug)]
pub enum SecretSource {
    /// From an environment variable. It never changes.
    Inline(Secret),
    /// From Secrets Manager.
    Store(StoreSettings),
}

impl SecretSource {
    /// Returns whether events without a signature are accepted.
    pub fn accepts_unsigned(&self) -> bool {
        match self {
            Self::Inline(secret) => matches!(secret.keys, Keys::AcceptUnsigned),
            Self::Store(settings) => settings.policy == SignaturePolicy::AcceptUnsigned,
        }
    }
}

/// The secret as it is known now.
#[derive(Debug)]
pub struct Keyring {
    known: RefCell<Rc<Secret>>,
    store: Option<Store>,
    schedule: RefreshSchedule,
}

impl Keyring {
    /// Creates a keyring with an inline secret, or without any key yet. Sends no request.
    pub fn new(source: SecretSource, aws: &Aws) -> Self {
        let (secret, store, schedule) = match source {
            SecretSource::Inline(secret) => (secret, None, RefreshSchedule::default()),
            SecretSource::Store(settings) => (
                Secret::empty(&settings.policy),
                Some(settings.clone()),
                RefreshSchedule::new(settings.refresh),
            ),
        };
        Self {
            known: RefCell::new(Rc::new(secret)),
            store: store.map(|settings| Store::new(settings, aws)),
            schedule,
        }
    }

    /// Reads the secret at cold start, within a limit.
    pub async fn warm_up(&self, limit: Duration) {
        if !self.refresh(RefreshReason::Timer, limit).await {
            // The failure may be brief, so the first event tries again at once.
            self.schedule.timer_from.set(None);
        }
    }

    /// Returns the secret for a request, read again if it is due. Waits for at most a quarter of
    /// the remaining time, or half of it if no key is known.
    pub async fn current(&self, deadline: Deadline) -> Rc<Secret> {
        let share = if self.known().keys.is_empty() { 2 } else { 4 };
        let limit = (deadline.remaining() / share).min(WAIT_MAX);
        self.refresh(RefreshReason::Timer, limit).await;
        self.known()
    }

    /// Reads the secret again for a signature that no known key verifies. Returns `None` if it was
    /// not read: the last such refresh is too recent, or the request failed.
    pub async fn refreshed(&self, deadline: Deadline) -> Option<Rc<Secret>> {
        let limit = (deadline.remaining() / 4).min(WAIT_MAX);
        let reason = RefreshReason::UnknownSignature;
        self.refresh(reason, limit).await.then(|| self.known())
    }

    /// Ends [`UNKNOWN_SIGNATURE_PAUSE`]: a new key verified an event, so the event was not forged.
    pub fn unknown_signature_was_valid(&self) {
        self.schedule.unknown_from.set(None);
    }

    fn known(&self) -> Rc<Secret> {
        Rc::clone(&self.known.borrow())
    }

    /// Reads the secret if it is due. Returns whether at least one version was read.
    async fn refresh(&self, reason: RefreshReason, limit: Duration) -> bool {
        let Some(store) = &self.store else {
            return false;
        };
        let known = self.known();
        let started = SystemTime::now();
        if limit.is_zero() || !self.schedule.is_due(reason, known.keys.is_empty(), started) {
            return false;
        }
        let result = match store.fetch(&known, limit, started).await {
            Ok(fetched) => {
                debug!(keys = ?fetched.secret.keys, "keys read");
                self.known.replace(Rc::new(fetched.secret));
                if fetched.is_complete {
                    RefreshResult::Complete
                } else {
                    RefreshResult::Partial
                }
            }
            Err(failure) => {
                let store_error = failure.name();
                if known.keys.is_empty() {
                    error!(
                        store_error,
                        "no key is known: until the secret can be read, every event is answered \
                         with 503"
                    );
                } else {
                    error!(
                        store_error,
                        known = ?known.keys,
                        "keys not read; the known keys stay in use"
                    );
                }
                RefreshResult::Failed
            }
        };
        let is_empty = self.known().keys.is_empty();
        self.schedule
            .record(reason, result, is_empty, SystemTime::now());
        result != RefreshResult::Failed
    }
}

/// Why the secret is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RefreshReason {
    /// The known keys are old.
    Timer,
    /// No known key verifies a signature.
    UnknownSignature,
}

/// How reading the secret went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RefreshResult {
    Complete,
    /// One of the two versions was not read.
    Partial,
    Failed,
}

/// When the secret was read, and from when it may be read again.
///
/// It uses the wall clock, which also counts the time for which Lambda freezes the function.
#[derive(Debug, Default)]
struct RefreshSchedule {
    interval: Duration,
    /// When the known keys were read completely.
    completed: Cell<Option<SystemTime>>,
    timer_from: Cell<Option<SystemTime>>,
    unknown_from: Cell<Option<SystemTime>>,
}

impl RefreshSchedule {
    fn new(interval: Duration) -> Self {
        Self {
            interval,
            ..Self::default()
        }
    }

    fn is_due(&self, reason: RefreshReason, is_empty: bool, now: SystemTime) -> bool {
        match reason {
            RefreshReason::UnknownSignature => has_passed(self.unknown_from.get(), now),
            RefreshReason::Timer => {
                let age = self.completed.get().map(|then| now.duration_since(then));
                let is_fresh = age.is_some_and(|age| age.is_ok_and(|age| age < self.interval));
                (is_empty || !is_fresh) && has_passed(self.timer_from.get(), now)
            }
        }
    }

    fn record(
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
        if reason == RefreshReason::UnknownSignature {
            let pause = if is_complete {
                UNKNOWN_SIGNATURE_PAUSE
            } else {
                URGENT_PAUSE
            };
            self.unknown_from.set(Some(now + pause));
        }
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
        let reason = RefreshReason::UnknownSignature;
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
        schedule.unknown_from.set(None);
        assert_eq!(
            count(RefreshResult::Failed),
            100,
            "one per second while Secrets Manager fails"
        );
    }
}
