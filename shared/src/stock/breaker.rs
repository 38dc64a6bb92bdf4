//! The circuit breaker of the stock system.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// The circuit breaker opens after this number of consecutive failures.
const FAILURES_MAX: u32 = 3;

/// How long the circuit breaker stays open. The next request is a trial.
pub(super) const PAUSE: Duration = Duration::from_secs(10);

/// Prevents requests to a stock system that keeps failing.
///
/// A function handles one request at a time, so two cells are enough. A crate would add locks and
/// sliding windows, which are not needed here.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: Cell<u32>,
    pub(super) opened: Cell<Option<Instant>>,
}

impl Breaker {
    /// Returns whether no request should be sent.
    pub(super) fn is_open(&self) -> bool {
        self.opened
            .get()
            .is_some_and(|opened| opened.elapsed() < PAUSE)
    }

    /// Records the result of a request.
    pub(super) fn record(&self, failed: bool) {
        let failures = if failed { self.failures.get() + 1 } else { 0 };
        // If the trial fails, the circuit breaker opens again.
        self.opened
            .set((failures >= FAILURES_MAX).then(Instant::now));
        self.failures.set(failures.min(FAILURES_MAX));
    }
}
