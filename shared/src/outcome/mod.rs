//! The outcome of a request: the status and body of the response, the name and level in the log,
//! and the metric in CloudWatch.

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
    /// The event is accepted, but a rule or the operator keeps it out of the queue. Commerce
    /// carries out these operations.
    NotForwarded(Vec<Operation>),
    /// A rule or the channel refused the event. It is not in the queue.
    Refused(Refusal),
    /// The event is unusable, for this reason, and its body is in the quarantine queue.
    Quarantined(Failure),
    /// The event is not accepted. The queue may have it nevertheless: see [`Self::forwarded`].
    Failed(Failure),
}

impl Outcome {
    /// Returns the HTTP status of the response.
    pub fn status(&self) -> u16 {
        match self {
            Self::Accepted(_) | Self::NotForwarded(_) | Self::Refused(_) | Self::Quarantined(_) => {
                200
            }
            Self::Failed(failure) => failure.status(),
        }
    }

    /// Returns the media type of the response's body.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Accepted(_) | Self::NotForwarded(_) | Self::Refused(_) | Self::Quarantined(_) => {
                "application/json"
            }
            Self::Failed(_) => "application/problem+json",
        }
    }

    /// Returns the body of the response. `request_id` is that of API Gateway. It identifies the log
    /// line.
    pub fn into_body(self, request_id: &str) -> String {
        match self {
            Self::Accepted(operations) | Self::NotForwarded(operations) => {
                operation::body(&operations)
            }
            Self::Refused(refusal) => operation::body(&[refusal.into()]),
            Self::Quarantined(_) => operation::body(&[]),
            Self::Failed(failure) => failure.problem(request_id),
        }
    }

    /// Returns the name in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::NotForwarded(_) => "not_forwarded",
            Self::Refused(_) => "refused",
            Self::Quarantined(_) => "quarantined",
            Self::Failed(failure) => failure.name(),
        }
    }

    /// Returns the metric that counts it, if there is one.
    pub fn metric(&self) -> Option<Metric> {
        match self {
            Self::Accepted(_) => Some(Metric::Accepted),
            Self::NotForwarded(_) => Some(Metric::NotForwarded),
            Self::Refused(_) => Some(Metric::Refused),
            Self::Quarantined(_) => Some(Metric::Quarantined),
            Self::Failed(failure) => failure.metric(),
        }
    }

    /// Returns the minimum log level: a warning if the sender caused the outcome, an error if AWS
    /// or the function did.
    pub fn log_level(&self) -> LogLevel {
        match self {
            Self::Accepted(_) | Self::NotForwarded(_) | Self::Refused(_) => LogLevel::Info,
            Self::Quarantined(_) => LogLevel::Warn,
            Self::Failed(failure) => failure.log_level(),
        }
    }

    /// Returns whether the event is in the queue.
    pub fn forwarded(&self) -> Forwarded {
        match self {
            Self::Accepted(_) => Forwarded::Yes,
            Self::NotForwarded(_) | Self::Refused(_) | Self::Quarantined(_) => Forwarded::No,
            Self::Failed(failure) => failure.forwarded(),
        }
    }

    /// Returns the failure that quarantined the event, or that prevented its acceptance.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Accepted(_) | Self::NotForwarded(_) | Self::Refused(_) => None,
            Self::Quarantined(failure) | Self::Failed(failure) => Some(failure),
        }
    }
}

/// Whether an event is in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// The queue has the event.
    Yes,
    /// The queue does not have the event.
    No,
    /// The queue did not respond, so it may have the event.
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
