//! What becomes of an event whose work failed: how long it waits, and when it is given up.
//!
//! An ERP system that is away or overloaded fails for many events, and costs time only. An event that fails while others succeed is at
//! fault itself: it is given up after ten attempts over an hour, because everything behind it in its group waits. Which of the two it
//! is shows in what became of other events since the attempt before. `docs/decisions/004-who-counts-the-attempts.md` says why this is
//! not left to SQS.

use std::{
    collections::VecDeque,
    hash::{BuildHasher as _, RandomState},
    time::{Duration, SystemTime},
};

/// An event is never given up before this many attempts that count.
const COUNTED_MIN: u64 = 10;

/// A pause is this part of the time since the first failure, or less: an outage lasts a quarter longer at most than it would for a
/// consumer that asks all the time.
const PAUSE_SHARE: u32 = 4;

/// How many other events are remembered, and with how few nothing can be said about how many of them fail.
const RECENT_MAX: usize = 20;
const RECENT_MIN: usize = 4;

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
    /// The ERP system has no room for it now. With a limit on its rate, it always takes some events and never all.
    Busy,
}

/// What became of other events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Others {
    /// When an event was last done, by any copy of the function.
    pub(crate) last_success: Option<SystemTime>,
    /// Whether this copy has seen most of them fail.
    pub(crate) most_fail: bool,
}

/// What became of the last few events in this copy of the function: of each the latest.
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<(String, bool)>);

impl Recent {
    pub(crate) fn note(&mut self, event_id: &str, succeeded: bool) {
        self.0.retain(|(known, _)| known != event_id);
        self.0.truncate(RECENT_MAX);
        self.0.push_front((event_id.to_owned(), succeeded));
    }

    /// Whether fewer than half of the events beside this one succeeded.
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
    pub(crate) fn add(&mut self, now: SystemTime, cause: Cause, others: Others) {
        let one_succeeded_since = self
            .last
            .zip(others.last_success)
            .is_some_and(|(last, success)| success > last);
        let counts = match cause {
            Cause::Event => true,
            Cause::Unclear => one_succeeded_since && !others.most_fail,
            Cause::Busy => false,
        };
        if counts {
            self.counted += 1;
            self.first_counted.get_or_insert(now);
        }
        self.first.get_or_insert(now);
        self.last = Some(now);
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
    /// end behind it. Pauses differ by chance, so that what failed together does not come again together.
    pub(crate) fn pause(
        self,
        failing: Duration,
        retry_after: Option<Duration>,
        left: Option<Duration>,
    ) -> Duration {
        let pause = (failing / PAUSE_SHARE)
            .min(self.pause_max)
            .mul_f64(half_to_one())
            .max(self.pause_min)
            .max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
        left.map_or(pause, |left| pause.min(left.max(self.pause_min)))
    }
}

/// The time in which a message of this age can still be tried, before the queue deletes it, which tells nobody.
pub(crate) fn time_left(age: Duration, retention: Duration) -> Duration {
    (retention * RETENTION_PERCENT / 100).saturating_sub(age)
}

/// A random number from 0.5 to 1.
fn half_to_one() -> f64 {
    let random = RandomState::new().hash_one(()) >> 32;
    #[allow(clippy::cast_precision_loss)] // 32 bits fit
    let random = random as f64 / f64::from(u32::MAX);
    0.5 + random / 2.0
}

fn since(start: Option<SystemTime>, now: SystemTime) -> Duration {
    // A clock that was set back makes no age.
    start.map_or(Duration::ZERO, |start| {
        now.duration_since(start).unwrap_or_default()
    })
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss)] // of milliseconds
mod tests {
    use std::{cmp::Reverse, collections::BinaryHeap};

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

    fn others(last_success: Option<SystemTime>) -> Others {
        Others {
            last_success,
            most_fail: false,
        }
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
            attempts.add(now, cause, others(last_success(now)));
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
            tries < 850,
            "{tries} receives, of the thousand that SQS counts to"
        );
    }

    #[test]
    fn an_erp_system_without_room_costs_only_time_whatever_else_it_takes() {
        let (_, given_up) = fail(Cause::Busy, 11 * DAY, Some);
        assert_eq!(given_up, None);
    }

    /// Five at once, 50 ms each: when the last event is done, in seconds.
    fn drain(events: u32, taken_each_second: f64) -> f64 {
        let mut waiting: BinaryHeap<_> = (0..events).map(|_| Reverse((0, None))).collect();
        let (mut free, mut room, mut last) = ([0_u64; 5], 1.0, 0);
        while let Some(Reverse((due, first))) = waiting.pop() {
            let copy = free.iter_mut().min().unwrap();
            let now = due.max(*copy);
            *copy = now + 50;
            room = f64::min(1.0, room + (now - last) as f64 / 1000.0 * taken_each_second);
            last = now;
            if room >= 1.0 {
                room = 0.0;
                continue;
            }
            let first = first.unwrap_or(now);
            let pause = POLICY.pause(Duration::from_millis(now - first), None, None);
            let again = now + u64::try_from(pause.as_millis()).unwrap();
            waiting.push(Reverse((again, Some(first))));
        }
        last as f64 / 1000.0
    }

    #[test]
    fn a_backlog_drains_at_an_erp_system_with_a_limit_on_its_rate() {
        let hours = drain(5000, 1.0) / 3600.0;
        assert!((1.3..3.5).contains(&hours), "{hours}");
    }

    #[test]
    fn an_attempt_does_not_count_while_most_others_fail() {
        let mut attempts = Attempts::default();
        let mut recent = Recent::default();
        for number in 0..12_u64 {
            recent.note(&format!("event {number}"), number % 4 == 0);
            attempts.add(
                at(number),
                Cause::Unclear,
                Others {
                    last_success: Some(at(number)),
                    most_fail: recent.most_others_fail("it"),
                },
            );
        }
        assert_eq!(attempts.counted, 2, "of the first few nothing can be said");
    }

    #[test]
    fn the_latest_of_the_last_events_says_whether_most_fail() {
        let mut recent = Recent::default();
        for _ in 0..30 {
            recent.note("it", false);
            recent.note("another that fails", false);
        }
        assert!(!recent.most_others_fail("it"), "only one other is known");
        for number in 0..3 {
            recent.note(&format!("event {number}"), true);
        }
        assert!(!recent.most_others_fail("it"), "three of four succeeded");
        for number in 0..100 {
            recent.note(&format!("event {number}"), false);
        }
        assert!(recent.most_others_fail("it"));
        assert!(recent.0.len() <= RECENT_MAX + 1);
        for number in 0..100 {
            recent.note(&format!("event {number}"), number % 2 == 0);
        }
        assert!(!recent.most_others_fail("it"), "half of them is not most");
    }

    #[test]
    fn an_event_that_fails_while_others_succeed_is_given_up_after_an_hour_and_ten_attempts() {
        let (tries, given_up) = fail(Cause::Unclear, DAY, Some);
        assert!((11..60).contains(&tries), "{tries}");
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
            attempts.add(at(now), Cause::Unclear, others(success.map(at)));
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
        for _ in 0..100 {
            assert_eq!([0, 60].map(|failing| pause(failing, None)), [15, 15]);
            assert!((450..=900).contains(&pause(3600, None)));
            assert!((900..=1800).contains(&pause(1_000_000, None)));
        }
        let different: std::collections::HashSet<_> = (0..100).map(|_| pause(3600, None)).collect();
        assert!(different.len() > 20, "{different:?}");
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
        let pauses = [700, 3].map(|left| pause(left).as_secs());
        assert_eq!(pauses, [700, 15], "none ends behind the time left");
    }

    #[test]
    fn a_clock_that_was_set_back_does_no_harm() {
        let mut attempts = Attempts::default();
        attempts.add(at(100), Cause::Event, others(None));
        attempts.add(at(50), Cause::Event, others(None));
        assert_eq!(attempts.failing(at(50)), Duration::ZERO);
        assert!(!attempts.are_enough(at(50), POLICY));
    }
}
