//! The deadline of a request. It passes before the shop stops waiting.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The part of the hook's timeout that is reserved for the response to travel through Lambda, API
/// Gateway and the network.
pub const ANSWER_MARGIN: Duration = Duration::from_millis(300);

/// The part of the time before Lambda's deadline that is reserved for the response.
const LAMBDA_MARGIN: Duration = Duration::from_millis(100);

/// The maximum integration timeout of API Gateway. If a request seems to be older, its timestamp
/// is from another clock, or it is a replayed sample.
const GATEWAY_WAIT_MAX: Duration = Duration::from_secs(30);

/// The time at which the response must be sent.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// Returns the deadline of a request: the hook's timeout less [`ANSWER_MARGIN`] after API
    /// Gateway received the request (`requestContext.timeEpoch`, so a cold start counts), but never
    /// after Lambda's deadline. Both times are in milliseconds since 1970; 0 means unknown.
    pub fn new(hook_timeout: Duration, received_ms: u64, lambda_deadline_ms: u64) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(Instant::now() + budget(hook_timeout, now, received_ms, lambda_deadline_ms))
    }

    /// Returns the time itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// Returns the deadline for work that must leave half of the remaining time.
    #[must_use]
    pub fn halfway(self) -> Self {
        Self(Instant::now() + self.remaining() / 2)
    }

    /// Returns the remaining time.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

fn budget(
    hook_timeout: Duration,
    now: Duration,
    received_ms: u64,
    lambda_deadline_ms: u64,
) -> Duration {
    // If the timestamp is in the future, or older than API Gateway waits, the clocks differ. Then
    // the budget starts now.
    let spent = now
        .checked_sub(Duration::from_millis(received_ms))
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
    const FULL_BUDGET: Duration = Duration::from_millis(4_700);
    const NOW: Duration = Duration::from_secs(1_781_814_431);

    fn remaining(accepted_before_ms: i64, lambda_in_ms: u64) -> Duration {
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
    fn starts_when_the_gateway_received_the_request() {
        assert_eq!(remaining(0, 0), FULL_BUDGET);
        assert_eq!(remaining(1_200, 0), Duration::from_millis(3_500));
        assert_eq!(remaining(4_900, 0), Duration::ZERO);
        assert_eq!(remaining(29_000, 0), Duration::ZERO);
    }

    #[test]
    fn ends_before_the_deadline_of_lambda() {
        assert_eq!(remaining(0, 2_000), Duration::from_millis(1_900));
        assert_eq!(remaining(0, 60), Duration::ZERO);
        assert_eq!(remaining(0, 60_000), FULL_BUDGET);
    }

    #[test]
    fn starts_now_if_the_timestamp_is_from_another_clock() {
        assert_eq!(remaining(-5_000, 0), FULL_BUDGET);
        assert_eq!(remaining(31_000, 0), FULL_BUDGET);
        assert_eq!(budget(HOOK, NOW, 0, 0), FULL_BUDGET);
    }
}
