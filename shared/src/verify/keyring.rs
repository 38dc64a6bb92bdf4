//! The secret as it is known now, and when it is read again.
//!
//! The secret is read at cold start and kept in memory. It is read again on a timer, and when no
//! known key verifies a signature, so that a new key needs no deployment. While Secrets Manager is
//! unavailable, the known keys stay in use.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, SystemTime},
};

use tracing::{debug, error};

use crate::{
    aws::Aws,
    deadline::Deadline,
    verify::{
        Keys, SignaturePolicy,
        refresh::{RefreshReason, RefreshResult, RefreshSchedule},
        secret::Secret,
        store::{Store, StoreSettings, WAIT_MAX},
    },
};

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
            self.schedule.retry_at_once();
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
        let reason = RefreshReason::UnknownKey;
        self.refresh(reason, limit).await.then(|| self.known())
    }

    /// Ends the pause between such refreshes: a new key verified an event, so the event was not
    /// forged.
    pub fn unknown_signature_was_valid(&self) {
        self.schedule.end_unknown_pause();
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
