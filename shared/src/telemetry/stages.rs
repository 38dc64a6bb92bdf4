//! The stages of a request, and their durations.

use std::time::{Duration, Instant};

use super::Metric;

/// A stage of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Verify,
    Read,
    Decide,
    Write,
    Enqueue,
}

impl Stage {
    /// Returns the metric of its duration; `None` for a stage that is too short for a metric.
    pub(crate) fn metric(self) -> Option<Metric> {
        match self {
            Self::Verify => Some(Metric::VerifyTime),
            Self::Decide => Some(Metric::DecideTime),
            Self::Enqueue => Some(Metric::EnqueueTime),
            Self::Read | Self::Write => None,
        }
    }
}

/// The total duration of each stage that a request reached. A stage ends when the next one begins,
/// or when the request ends.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    current: Option<(Stage, Instant)>,
    ended: Vec<(Stage, Duration)>,
}

impl Stages {
    #[cfg(test)]
    pub(crate) fn with_durations(ended: Vec<(Stage, Duration)>) -> Self {
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
    fn a_stage_ends_when_the_next_one_begins_or_the_request_ends() {
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
