//! How long a request may take: never longer than the shop waits.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Kept back from the hook's timeout, for the way of the answer through Lambda, API Gateway and the net.
pub const ANSWER_MARGIN: Duration = Duration::from_millis(300);

/// Kept back from Lambda's own deadline.
const LAMBDA_MARGIN: Duration = Duration::from_millis(100);

/// API Gateway waits no longer for a function, so a request that seems older tells of a wrong clock, or is a replayed sample.
const GATEWAY_WAIT_MAX: Duration = Duration::from_secs(30);

/// The moment at which an answer must leave.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// The budget runs from the moment at which API Gateway took the request (`requestContext.timeEpoch`, so a cold start
    /// counts) to the hook's timeout less [`ANSWER_MARGIN`], and never past Lambda's deadline. Both moments are in
    /// milliseconds since 1970; 0 means unknown.
    pub fn new(hook_timeout: Duration, accepted_ms: u64, lambda_deadline_ms: u64) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(Instant::now() + budget(hook_timeout, now, accepted_ms, lambda_deadline_ms))
    }

    /// The moment itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The moment at which half of what is left is used up, for work that must leave time for the rest.
    #[must_use]
    pub fn halfway(self) -> Self {
        Self(Instant::now() + self.remaining() / 2)
    }

    /// What is left.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

fn budget(
    hook_timeout: Duration,
    now: Duration,
    accepted_ms: u64,
    lambda_deadline_ms: u64,
) -> Duration {
    // A request from the future, or older than the gateway waits, is dated by another clock: count from here.
    let spent = now
        .checked_sub(Duration::from_millis(accepted_ms))
        .filter(|spent| *spent <= GATEWAY_WAIT_MAX)
        .unwrap_or_default();
    let by_hook = hook_timeout
        .saturating_sub(ANSWER_MARGIN)
        .saturating_sub(spent);
    if lambda_deadline_ms == 0 {
        return by_hook;
    }
    let by_lambda = Duration::from_millis(lambda_deadline_ms)
        .saturating_sub(now)
        .saturating_sub(LAMBDA_MARGIN);
    by_hook.min(by_lambda)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOOK: Duration = Duration::from_secs(5);
    const WHOLE: Duration = Duration::from_millis(4_700);
    const NOW: Duration = Duration::from_secs(1_781_814_431);

    fn left(accepted_before_ms: i64, lambda_in_ms: u64) -> Duration {
        let now = 1_781_814_431_000_u64;
        let lambda = if lambda_in_ms == 0 {
            0
        } else {
            now + lambda_in_ms
        };
        budget(
            HOOK,
            NOW,
            now.checked_add_signed(-accepted_before_ms).unwrap(),
            lambda,
        )
    }

    #[test]
    fn counts_from_the_gateway_and_keeps_a_margin() {
        assert_eq!(left(0, 0), WHOLE);
        assert_eq!(left(1_200, 0), Duration::from_millis(3_500));
        assert_eq!(left(4_900, 0), Duration::ZERO);
        assert_eq!(left(29_000, 0), Duration::ZERO);
    }

    #[test]
    fn never_passes_the_deadline_of_lambda() {
        assert_eq!(left(0, 2_000), Duration::from_millis(1_900));
        assert_eq!(left(0, 60), Duration::ZERO);
        assert_eq!(left(0, 60_000), WHOLE);
    }

    #[test]
    fn a_wrong_clock_or_an_old_sample_counts_from_here() {
        assert_eq!(left(-5_000, 0), WHOLE);
        assert_eq!(left(31_000, 0), WHOLE);
        assert_eq!(budget(HOOK, NOW, 0, 0), WHOLE);
    }
}
