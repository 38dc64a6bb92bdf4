//! How a request ends, and what is told of each end: to the shop the status and the body of the
//! answer, to the log its name and level, to CloudWatch the metric.

mod failure;

pub use self::failure::Failure;

use crate::{
    channel::Refusal,
    operation::{self, Operation},
    telemetry::{LogLevel, Metric},
};

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The event is in the queue. Commerce carries out these operations.
    Accepted(Vec<Operation>),
    /// A rule or the channel stops the shopper.
    Refused(Refusal),
    /// The event is unusable, for this reason, and its body is in the quarantine queue.
    Quarantined(Failure),
    /// The event is not accepted.
    Failed(Failure),
}

impl Outcome {
    /// Returns the HTTP status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::Accepted(_) | Self::Refused(_) | Self::Quarantined(_) => 200,
            Self::Failed(failure) => failure.status(),
        }
    }

    /// Returns the media type of the answer's body.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Accepted(_) | Self::Refused(_) | Self::Quarantined(_) => "application/json",
            Self::Failed(_) => "application/problem+json",
        }
    }

    /// Returns the body of the answer. `request_id` is API Gateway's, by which the log line is
    /// found.
    pub fn into_body(self, request_id: &str) -> String {
        match self {
            Self::Accepted(operations) => operation::body(&operations),
            Self::Refused(refusal) => operation::body(&[refusal.into()]),
            Self::Quarantined(_) => operation::body(&[]),
            Self::Failed(failure) => failure.problem(request_id),
        }
    }

    /// Returns the name in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Refused(_) => "refused",
            Self::Quarantined(_) => "quarantined",
            Self::Failed(failure) => failure.name(),
        }
    }

    /// Returns the metric that counts it, if any does.
    pub fn metric(&self) -> Option<Metric> {
        match self {
            Self::Accepted(_) => Some(Metric::Accepted),
            Self::Refused(_) => Some(Metric::Refused),
            Self::Quarantined(_) => Some(Metric::Quarantined),
            Self::Failed(failure) => failure.metric(),
        }
    }

    /// Returns the lowest level at which it is logged: a warning is the sender's, an error ours.
    pub fn log_level(&self) -> LogLevel {
        match self {
            Self::Accepted(_) | Self::Refused(_) => LogLevel::Info,
            Self::Quarantined(_) => LogLevel::Warn,
            Self::Failed(failure) => failure.log_level(),
        }
    }

    /// Returns whether the event is in the queue.
    pub fn forwarded(&self) -> Forwarded {
        match self {
            Self::Accepted(_) => Forwarded::Yes,
            Self::Refused(_) | Self::Quarantined(_) => Forwarded::No,
            Self::Failed(failure) => failure.forwarded(),
        }
    }

    /// Returns what is wrong with the event, or with us.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Accepted(_) | Self::Refused(_) => None,
            Self::Quarantined(failure) | Self::Failed(failure) => Some(failure),
        }
    }
}

/// Whether an event is in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// The queue has it.
    Yes,
    /// The queue does not have it.
    No,
    /// The queue did not answer, so it may have it.
    Unknown,
}

impl Forwarded {
    /// Returns the name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}
