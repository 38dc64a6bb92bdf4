#![allow(clippy::cast_precision_loss)] // Milliseconds as f64.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::*;

const POLICY: RetryPolicy = RetryPolicy {
    pause_min: Duration::from_secs(15),
    pause_max: Duration::from_mins(30),
    give_up_after: Duration::from_hours(1),
};
const DAY: Duration = Duration::from_hours(24);

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

fn others(last_success: Option<SystemTime>) -> OtherEvents {
    OtherEvents {
        last_success,
        most_fail: false,
    }
}

/// Simulates an event that fails at each attempt. Returns the number of attempts, and the time
/// until it was given up.
fn fail(
    cause: Cause,
    until: Duration,
    last_success: impl Fn(SystemTime) -> Option<SystemTime>,
) -> (u64, Option<Duration>) {
    let (mut attempts, mut now, mut tries) = (Attempts::default(), at(0), 0);
    while now < at(0) + until {
        tries += 1;
        attempts.add(now, cause, others(last_success(now)));
        if attempts.are_exhausted(now, POLICY) {
            return (tries, Some(attempts.failing(now)));
        }
        now += POLICY.pause(attempts.failing(now), None, None);
    }
    (tries, None)
}

#[test]
fn never_gives_up_while_no_event_succeeds() {
    let retention = 14 * DAY;
    let (tries, given_up) = fail(Cause::Unclear, retention * 4 / 5, |_| Some(at(0)));
    assert_eq!(given_up, None);
    assert!(tries < 850, "{tries} receives; SQS allows 1000");
}

#[test]
fn never_gives_up_while_the_erp_system_is_busy() {
    let (_, given_up) = fail(Cause::Busy, 11 * DAY, Some);
    assert_eq!(given_up, None);
}

/// Simulates a backlog. Returns the time until all events are done, in seconds. Five events are
/// handled at once, and each takes 50 ms.
fn drain(events: u32, rate_limit: f64) -> f64 {
    let mut waiting: BinaryHeap<_> = (0..events).map(|_| Reverse((0, None))).collect();
    let (mut free, mut room, mut last) = ([0_u64; 5], 1.0, 0);
    while let Some(Reverse((due, first))) = waiting.pop() {
        let instance = free.iter_mut().min().unwrap();
        let now = due.max(*instance);
        *instance = now + 50;
        room = f64::min(1.0, room + (now - last) as f64 / 1000.0 * rate_limit);
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
fn a_backlog_drains_despite_a_rate_limit() {
    let hours = drain(5000, 1.0) / 3600.0;
    assert!((1.3..3.5).contains(&hours), "{hours}");
}

#[test]
fn an_attempt_does_not_count_while_most_other_events_fail() {
    let mut attempts = Attempts::default();
    let mut recent = RecentEvents::default();
    for number in 0..12_u64 {
        recent.note(&format!("event {number}"), number % 4 == 0);
        attempts.add(
            at(number),
            Cause::Unclear,
            OtherEvents {
                last_success: Some(at(number)),
                most_fail: recent.most_others_fail("it"),
            },
        );
    }
    assert_eq!(attempts.counted, 2, "too few events are known at first");
}

#[test]
fn remembers_only_the_latest_result_of_each_recent_event() {
    let mut recent = RecentEvents::default();
    for _ in 0..30 {
        recent.note("it", false);
        recent.note("another", false);
    }
    assert!(
        !recent.most_others_fail("it"),
        "only one other event is known"
    );
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
fn gives_up_after_ten_attempts_over_an_hour_while_others_succeed() {
    let (tries, given_up) = fail(Cause::Unclear, DAY, Some);
    assert!((11..60).contains(&tries), "{tries}");
    let hours = given_up.unwrap().as_secs_f32() / 3600.0;
    assert!((1.0..1.5).contains(&hours), "{hours}");
}

#[test]
fn a_failure_caused_by_the_event_always_counts() {
    let (_, given_up) = fail(Cause::Event, DAY, |_| None);
    assert!(given_up.unwrap() >= POLICY.give_up_after);
}

#[test]
fn an_attempt_counts_if_another_event_succeeded_since_the_previous_one() {
    let mut attempts = Attempts::default();
    let mut add = |now, success: Option<u64>| {
        attempts.add(at(now), Cause::Unclear, others(success.map(at)));
        attempts.counted
    };
    assert_eq!(
        add(100, Some(99)),
        0,
        "the first attempt has no previous one"
    );
    assert_eq!(add(200, Some(99)), 0);
    assert_eq!(add(300, None), 0);
    assert_eq!(add(400, Some(300)), 0, "at the same time, not since");
    assert_eq!(add(500, Some(401)), 1);
    assert_eq!(attempts.first, Some(at(100)));
    assert_eq!(attempts.first_counted, Some(at(500)));
}

#[test]
fn does_not_give_up_after_ten_attempts_alone_or_an_hour_alone() {
    let many = Attempts {
        counted: 50,
        first_counted: Some(at(0)),
        ..Attempts::default()
    };
    assert!(!many.are_exhausted(at(3599), POLICY));
    assert!(many.are_exhausted(at(3600), POLICY));
    let few = Attempts { counted: 9, ..many };
    assert!(!few.are_exhausted(at(100_000), POLICY));
}

#[test]
fn the_pause_grows_within_limits_and_respects_retry_after() {
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
    assert_eq!(pause(0, Some(2)), 15, "never less than the minimum");
    assert_eq!(pause(0, Some(120)), 120);
    assert_eq!(pause(1_000_000, Some(u64::MAX)), 3600);
}

#[test]
fn a_pause_ends_before_the_queue_deletes_the_message() {
    assert_eq!(retention_left(11 * DAY, 14 * DAY), DAY / 5);
    assert_eq!(retention_left(DAY * 112 / 10, 14 * DAY), Duration::ZERO);
    assert_eq!(retention_left(20 * DAY, 14 * DAY), Duration::ZERO);
    let pause = |left| POLICY.pause(DAY, None, Some(Duration::from_secs(left)));
    let pauses = [700, 3].map(|left| pause(left).as_secs());
    assert_eq!(pauses, [700, 15], "no pause exceeds the time left");
}

#[test]
fn tolerates_a_clock_that_was_set_back() {
    let mut attempts = Attempts::default();
    attempts.add(at(100), Cause::Event, others(None));
    attempts.add(at(50), Cause::Event, others(None));
    assert_eq!(attempts.failing(at(50)), Duration::ZERO);
    assert!(!attempts.are_exhausted(at(50), POLICY));
}
