//! What is measured of a request, for whoever writes it down.

use std::time::{Duration, Instant};

/// The metrics, by the names that alarms and dashboards know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The event is in the queue.
    Accepted,
    /// A rule or the stock check stopped the shopper.
    Refused,
    /// It is unusable, and in the quarantine queue.
    Quarantined,
    /// No key vouched for it.
    Unverified,
    /// It is no event, or not a valid one.
    Invalid,
    /// It is ours, or AWS's, that it was not accepted.
    Failed,
    /// How long it took to find out whether a key vouches for it.
    VerifyTime,
    /// How long the rules and the channel took.
    DecideTime,
    /// How long the queue took.
    EnqueueTime,
    /// What was left of the budget when the answer was made.
    TimeLeft,
    /// It was the first request of a process.
    ColdStart,
    /// At least one of the merchant's rules could not be evaluated.
    RulesUnevaluated,
    /// It was accepted with issues.
    Irregular,
    /// A key vouched for it: which one is a dimension.
    Verified,
}

impl Metric {
    /// Its name in CloudWatch.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Refused => "Refused",
            Self::Quarantined => "Quarantined",
            Self::Unverified => "Unverified",
            Self::Invalid => "Invalid",
            Self::Failed => "Failed",
            Self::VerifyTime => "VerifyTime",
            Self::DecideTime => "DecideTime",
            Self::EnqueueTime => "EnqueueTime",
            Self::TimeLeft => "TimeLeft",
            Self::ColdStart => "ColdStart",
            Self::RulesUnevaluated => "RulesUnevaluated",
            Self::Irregular => "Irregular",
            Self::Verified => "Verified",
        }
    }
}

/// What a request is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Verify,
    Read,
    Decide,
    Write,
    Enqueue,
}

impl Stage {
    /// The metric of its time, if it takes long enough to have one.
    pub(crate) fn metric(self) -> Option<Metric> {
        match self {
            Self::Verify => Some(Metric::VerifyTime),
            Self::Decide => Some(Metric::DecideTime),
            Self::Enqueue => Some(Metric::EnqueueTime),
            Self::Read | Self::Write => None,
        }
    }
}

/// How long each stage took that was reached, in all. A stage ends where the next one begins, or where the request does, however it ends.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    current: Option<(Stage, Instant)>,
    ended: Vec<(Stage, Duration)>,
}

impl Stages {
    #[cfg(test)]
    pub(crate) fn that_took(ended: Vec<(Stage, Duration)>) -> Self {
        Self {
            current: None,
            ended,
        }
    }

    pub(crate) fn enter(&mut self, stage: Stage) {
        self.end();
        self.current = Some((stage, Instant::now()));
    }

    pub(crate) fn ended(&self) -> &[(Stage, Duration)] {
        &self.ended
    }

    pub(crate) fn end(&mut self) {
        if let Some((stage, since)) = self.current.take() {
            let took = since.elapsed();
            match self.ended.iter_mut().find(|(known, _)| *known == stage) {
                Some((_, before)) => *before += took,
                None => self.ended.push((stage, took)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_ends_where_the_next_one_begins_or_the_request_does() {
        let mut stages = Stages::default();
        stages.end();
        assert!(stages.ended.is_empty(), "none was reached");
        stages.enter(Stage::Verify);
        std::thread::sleep(Duration::from_millis(2));
        stages.enter(Stage::Decide);
        stages.end();
        stages.end();
        let names: Vec<_> = stages.ended.iter().map(|(stage, _)| *stage).collect();
        assert_eq!(names, [Stage::Verify, Stage::Decide]);
        assert!(stages.ended[0].1 >= Duration::from_millis(2));
        stages.enter(Stage::Verify);
        stages.end();
        assert_eq!(stages.ended.len(), 2, "a second time adds to the first");
    }
}
