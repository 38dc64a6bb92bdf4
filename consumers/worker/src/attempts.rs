//! What becomes of an event whose work failed: how long it waits, and when it is given up.
//!
//! An ERP system that is away fails for every event, and costs time only. An event that fails while others succeed is at fault
//! itself: it is given up after ten attempts over an hour, because everything behind it in its group waits. Which of the two it
//! is shows in whether any other event succeeded since the attempt before. `docs/decisions/004-who-counts-the-attempts.md` says
//! why this is not left to SQS.

use std::time::{Duration, SystemTime};

/// An event is never given up before this many attempts that count.
const COUNTED_MIN: u64 = 10;

/// A pause is this part of the time since the first failure: an outage lasts a quarter longer than it would for a consumer that
/// asks all the time, and a day of it costs 60 receives.
const PAUSE_SHARE: u32 = 4;

/// The longest wait that an endpoint may ask for with `Retry-After`.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// Of the time that the queue keeps a message, this many percent may pass before it is given up.
const RETENTION_PERCENT: u32 = 80;

/// How long an event waits, and for how long it is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) pause_min: Duration,
    pub(crate) pause_max: Duration,
    /// The attempts that count must go on for at least this long.
    pub(crate) give_up_after: Duration,
}

/// The failed attempts at an event, as the ledger keeps them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attempts {
    /// How many count: others succeeded meanwhile, or the failure was about the event.
    pub(crate) counted: u64,
    pub(crate) first: Option<SystemTime>,
    pub(crate) first_counted: Option<SystemTime>,
    pub(crate) last: Option<SystemTime>,
}

/// What a failure says about its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It is about this event, such as a record that is locked.
    Event,
    /// It may be about the event, or about the ERP system as a whole.
    Unclear,
}

impl Attempts {
    /// Adds a failed attempt. `last_success` is when an event was last done, whichever.
    pub(crate) fn add(&mut self, now: SystemTime, cause: Cause, last_success: Option<SystemTime>) {
        let others_succeed = self
            .last
            .zip(last_success)
            .is_some_and(|(last, success)| success > last);
        if cause == Cause::Event || others_succeed {
            self.counted += 1;
            self.first_counted.get_or_insert(now);
        }
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// The attempts with one more that was begun and never ended: the process died, or Lambda ended it at this time.
    pub(crate) fn with_unfinished(
        mut self,
        ended: SystemTime,
        last_success: Option<SystemTime>,
    ) -> Self {
        self.add(ended, Cause::Unclear, last_success);
        self
    }

    /// Whether the event has had its chances.
    pub(crate) fn are_enough(&self, now: SystemTime, policy: Policy) -> bool {
        self.counted >= COUNTED_MIN && since(self.first_counted, now) >= policy.give_up_after
    }

    /// How long the event has been failing.
    pub(crate) fn failing(&self, now: SystemTime) -> Duration {
        since(self.first, now)
    }
}

impl Policy {
    /// How long something waits that has been failing for so long. `left` is the time in which it can be tried: a longer pause would
    /// end behind it.
    pub(crate) fn pause(
        self,
        failing: Duration,
        retry_after: Option<Duration>,
        left: Option<Duration>,
    ) -> Duration {
        let pause = (failing / PAUSE_SHARE).clamp(self.pause_min, self.pause_max);
        let pause = pause.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
        left.map_or(pause, |left| pause.min(left.max(self.pause_min)))
    }
}

/// The time in which a message of this age can still be tried, before the queue deletes it, which tells nobody.
pub(crate) fn time_left(age: Duration, retention: Duration) -> Duration {
    (retention * RETENTION_PERCENT / 100).saturating_sub(age)
}

fn since(start: Option<SystemTime>, now: SystemTime) -> Duration {
    // A clock that was set back makes no age.
    start.map_or(Duration::ZERO, |start| {
        now.duration_since(start).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        pause_min: Duration::from_secs(15),
        pause_max: Duration::from_mins(30),
        give_up_after: Duration::from_hours(1),
    };
    const DAY: Duration = Duration::from_hours(24);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    /// Fails again and again, as the pauses say: how often, and when it was given up.
    fn fail(
        cause: Cause,
        until: Duration,
        last_success: impl Fn(SystemTime) -> Option<SystemTime>,
    ) -> (u64, Option<Duration>) {
        let (mut attempts, mut now, mut tries) = (Attempts::default(), at(0), 0);
        while now < at(0) + until {
            tries += 1;
            attempts.add(now, cause, last_success(now));
            if attempts.are_enough(now, POLICY) {
                return (tries, Some(attempts.failing(now)));
            }
            now += POLICY.pause(attempts.failing(now), None, None);
        }
        (tries, None)
    }

    #[test]
    fn while_nothing_succeeds_an_event_waits_for_as_long_as_it_takes() {
        let retention = 14 * DAY;
        let (tries, given_up) = fail(Cause::Unclear, retention * 4 / 5, |_| Some(at(0)));
        assert_eq!(given_up, None);
        assert!(
            tries < 600,
            "{tries} receives, of the thousand that SQS counts to"
        );
    }

    #[test]
    fn an_event_that_fails_while_others_succeed_is_given_up_after_an_hour_and_ten_attempts() {
        let (tries, given_up) = fail(Cause::Unclear, DAY, Some);
        assert!((10..40).contains(&tries), "{tries}");
        let hours = given_up.unwrap().as_secs_f32() / 3600.0;
        assert!((1.0..1.5).contains(&hours), "{hours}");
    }

    #[test]
    fn a_failure_about_the_event_counts_even_if_nothing_else_succeeds() {
        let (_, given_up) = fail(Cause::Event, DAY, |_| None);
        assert!(given_up.unwrap() >= POLICY.give_up_after);
    }

    #[test]
    fn an_attempt_counts_only_if_another_event_succeeded_since_the_one_before() {
        let mut attempts = Attempts::default();
        let mut add = |now, success: Option<u64>| {
            attempts.add(at(now), Cause::Unclear, success.map(at));
            attempts.counted
        };
        assert_eq!(add(100, Some(99)), 0, "the first has none before it");
        assert_eq!(add(200, Some(99)), 0);
        assert_eq!(add(300, None), 0);
        assert_eq!(add(400, Some(300)), 0, "not since, but at that time");
        assert_eq!(add(500, Some(401)), 1);
        assert_eq!(attempts.first, Some(at(100)));
        assert_eq!(attempts.first_counted, Some(at(500)));
    }

    #[test]
    fn ten_attempts_within_the_hour_and_an_hour_with_fewer_are_not_enough() {
        let many = Attempts {
            counted: 50,
            first_counted: Some(at(0)),
            ..Attempts::default()
        };
        assert!(!many.are_enough(at(3599), POLICY));
        assert!(many.are_enough(at(3600), POLICY));
        let few = Attempts { counted: 9, ..many };
        assert!(!few.are_enough(at(100_000), POLICY));
    }

    #[test]
    fn pauses_grow_with_the_outage_within_limits_and_heed_the_endpoint() {
        let pause = |failing, retry_after: Option<u64>| {
            let retry_after = retry_after.map(Duration::from_secs);
            POLICY
                .pause(Duration::from_secs(failing), retry_after, None)
                .as_secs()
        };
        assert_eq!(
            [0, 60, 240, 3600].map(|failing| pause(failing, None)),
            [15, 15, 60, 900]
        );
        assert_eq!(pause(1_000_000, None), 1800);
        assert_eq!(pause(0, Some(2)), 15, "never sooner");
        assert_eq!(pause(0, Some(120)), 120);
        assert_eq!(pause(1_000_000, Some(u64::MAX)), 3600);
    }

    #[test]
    fn a_message_is_given_up_before_the_queue_deletes_it() {
        assert_eq!(time_left(11 * DAY, 14 * DAY), DAY / 5);
        assert_eq!(time_left(DAY * 112 / 10, 14 * DAY), Duration::ZERO);
        assert_eq!(time_left(20 * DAY, 14 * DAY), Duration::ZERO);
        let pause = |left| POLICY.pause(DAY, None, Some(Duration::from_secs(left)));
        let pauses = [100_000, 700, 3].map(|left| pause(left).as_secs());
        assert_eq!(pauses, [1800, 700, 15], "none ends behind the time left");
    }

    #[test]
    fn a_clock_that_was_set_back_does_no_harm() {
        let mut attempts = Attempts::default();
        attempts.add(at(100), Cause::Event, None);
        attempts.add(at(50), Cause::Event, None);
        assert_eq!(attempts.failing(at(50)), Duration::ZERO);
        assert!(!attempts.are_enough(at(50), POLICY));
    }
}
