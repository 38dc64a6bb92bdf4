//! Access tokens of Adobe's identity service, IMS, and the public keys that verify them.
//!
//! A hook of the type "Developer Console OAuth" sends such a token. It identifies the caller. It
//! does not cover the body.

mod client;
mod fetch;
mod json;
mod keys;
mod token;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, SystemTime},
};

use lambda_http::http::Uri;
use tracing::{debug, error};

use self::fetch::KeysClient;
pub use self::{
    client::{IMS_ID_CHARS_MAX, ImsClient},
    fetch::ImsError,
    keys::ImsKeys,
    token::{AccessToken, CLOCK_TOLERANCE, TokenError, VerifiedToken},
};
use crate::{
    aws::http::{Connections, check_scheme},
    deadline::Deadline,
    verify::{
        refresh::{RefreshReason, RefreshResult, RefreshSchedule},
        store::WAIT_MAX,
    },
};

/// Where IMS publishes its keys, and how long they are used.
#[derive(Clone, Debug)]
pub struct ImsSettings {
    /// The URL of the keys. [`check_url`] has checked it.
    pub keys_url: Uri,
    /// The maximum age of the keys before they are read again.
    pub refresh: Duration,
}

/// Checks the URL of the keys. It must use TLS, because a changed answer would let anybody sign
/// tokens.
///
/// # Errors
/// Returns what the URL must be.
pub fn check_url(url: &str) -> Result<Uri, &'static str> {
    let url: Uri = url.parse().map_err(|_| "must be a URL")?;
    let authority = url.authority().ok_or("must be a URL with https")?;
    if authority.as_str().contains('@') {
        return Err("must have no user");
    }
    check_scheme(&url)?;
    Ok(url)
}

/// The keys of IMS as they are known now.
///
/// They are read at cold start and kept in memory. They are read again on a timer, and when a token
/// names an unknown key. While IMS is unavailable, the known keys stay in use.
#[derive(Debug)]
pub struct Ims {
    client: KeysClient,
    known: RefCell<Rc<ImsKeys>>,
    schedule: RefreshSchedule,
    /// Whether the last request failed.
    failed: Cell<bool>,
}

/// The result of a refresh for an unknown key.
#[derive(Debug)]
pub enum KidRefresh {
    /// The keys were read again.
    Read(Rc<ImsKeys>),
    /// The last such refresh is too recent, and it succeeded: the key does not exist.
    TooSoon,
    /// IMS could not be asked, so the key may exist.
    Failed,
}

impl Ims {
    /// Creates the keys without any key yet. Sends no request.
    pub fn new(settings: ImsSettings, connections: &Connections) -> Self {
        Self {
            client: KeysClient::new(settings.keys_url, connections),
            known: RefCell::default(),
            schedule: RefreshSchedule::new(settings.refresh),
            failed: Cell::new(false),
        }
    }

    /// Reads the keys at cold start, within a limit.
    pub async fn warm_up(&self, limit: Duration) {
        if !self.refresh(RefreshReason::Timer, limit).await {
            // The failure may be brief, so the first event tries again at once.
            self.schedule.retry_at_once();
        }
    }

    /// Returns the keys for a request, read again if they are old or if none is known. Waits for at
    /// most a quarter of the remaining time, or half of it if no key is known.
    pub async fn current(&self, deadline: Deadline) -> Rc<ImsKeys> {
        let share = if self.known().is_empty() { 2 } else { 4 };
        let limit = (deadline.remaining() / share).min(WAIT_MAX);
        self.refresh(RefreshReason::Timer, limit).await;
        self.known()
    }

    /// Reads the keys again for a token that names an unknown key.
    pub async fn refreshed(&self, deadline: Deadline) -> KidRefresh {
        let limit = (deadline.remaining() / 4).min(WAIT_MAX);
        if self.refresh(RefreshReason::UnknownKey, limit).await {
            KidRefresh::Read(self.known())
        } else if limit.is_zero() || self.failed.get() {
            KidRefresh::Failed
        } else {
            KidRefresh::TooSoon
        }
    }

    /// Ends the pause between refreshes for unknown keys: a new key verified a token, so the token
    /// was not forged.
    pub fn unknown_kid_was_valid(&self) {
        self.schedule.end_unknown_pause();
    }

    fn known(&self) -> Rc<ImsKeys> {
        Rc::clone(&self.known.borrow())
    }

    /// Reads the keys if they are due. Returns whether they were read.
    async fn refresh(&self, reason: RefreshReason, limit: Duration) -> bool {
        let is_empty = self.known().is_empty();
        if limit.is_zero() || !self.schedule.is_due(reason, is_empty, SystemTime::now()) {
            return false;
        }
        let result = match self.client.fetch(limit).await {
            Ok(keys) => {
                debug!(count = keys.len(), "keys of IMS read");
                self.known.replace(Rc::new(keys));
                RefreshResult::Complete
            }
            Err(failure) => {
                let ims_error = failure.name();
                if is_empty {
                    error!(
                        ims_error,
                        "no key of IMS is known: until they can be read, every event that needs an \
                         access token is answered with 503"
                    );
                } else {
                    error!(
                        ims_error,
                        "keys of IMS not read; the known keys stay in use"
                    );
                }
                RefreshResult::Failed
            }
        };
        let is_empty = self.known().is_empty();
        self.failed.set(result == RefreshResult::Failed);
        self.schedule
            .record(reason, result, is_empty, SystemTime::now());
        result != RefreshResult::Failed
    }
}

#[cfg(test)]
mod tests;
