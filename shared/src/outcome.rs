//! Every way in which a request can fail, and what the shop is told: RFC 9457 problems that hold nothing of the event.

use serde::Serialize;

use crate::{
    aws::AwsError,
    model::Violation,
    telemetry::{LogLevel, Metric},
    verify::Untrusted,
};

/// Why an event was neither accepted nor refused by a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The function was invoked with something else than an HTTP request of API Gateway (payload 2.0).
    NotARequest,
    /// The body is not `application/json`.
    NotApplicationJson,
    /// The body, or the message that would be made of it, is too large.
    TooLarge,
    /// The lists of the event have more elements than any shop sends ([`crate::model::ELEMENTS_MAX`]).
    TooManyElements,
    /// No key vouches for the body.
    Untrusted(Untrusted),
    /// It has no signature, and says that it only checks a deployment.
    Check,
    /// No key is known, because the secret could not be read, so nobody can say whether to trust the body.
    NoKeys,
    /// The body is no JSON object, or not the UTF-8 that JSON is written in.
    NotJson,
    /// The body names another event than the route.
    WrongEvent,
    /// The event is unusable: what identifies it is missing, its entity is not one, or a name is given twice.
    Invalid {
        /// What is wrong, at most [`crate::model::LISTED_MAX`].
        violations: Vec<Violation>,
        /// How many more there are.
        unlisted: usize,
    },
    /// The queue did not take the message.
    Queue(AwsError),
    /// The budget was used up before the queue was asked.
    OutOfTime,
    /// Our own mistake.
    Internal,
}

impl From<AwsError> for Failure {
    fn from(trouble: AwsError) -> Self {
        Self::Queue(trouble)
    }
}

impl Failure {
    /// The event is unusable: what is listed of it, and how many more there are.
    pub(crate) fn from_violations((violations, unlisted): (Vec<Violation>, usize)) -> Self {
        Self::Invalid {
            violations,
            unlisted,
        }
    }

    /// HTTP status and the two texts of the problem: a title that never changes, and what happened.
    fn describe(&self) -> (u16, &'static str, &'static str) {
        match self {
            Self::NotARequest => (
                400,
                "Not a request",
                "The function takes HTTP requests of API Gateway, payload 2.0.",
            ),
            Self::NotApplicationJson => (
                415,
                "Unsupported media type",
                "The body must be application/json in UTF-8.",
            ),
            Self::TooLarge => (
                413,
                "Event too large",
                "The event is larger than what can be queued.",
            ),
            Self::TooManyElements => (
                413,
                "Event too large",
                "The lists of the event have more than 20,000 elements.",
            ),
            Self::Untrusted(Untrusted::Missing) => {
                (401, "Unverified event", "The signature is missing.")
            }
            // Whoever sent it learns what anybody without a signature does.
            Self::Check => Self::Untrusted(Untrusted::Missing).describe(),
            Self::Untrusted(Untrusted::NoKey) => (
                401,
                "Unverified event",
                "There is no key here for this kind of signature.",
            ),
            Self::Untrusted(Untrusted::Wrong) => (
                401,
                "Unverified event",
                "The signature does not fit the body.",
            ),
            Self::NoKeys => (
                503,
                "Keys unavailable",
                "The keys that verify events could not be read.",
            ),
            Self::NotJson => (
                400,
                "Not an event",
                "The body must be a JSON object in UTF-8.",
            ),
            Self::WrongEvent => (
                400,
                "Wrong event",
                "The body names another event than the route.",
            ),
            Self::Invalid { .. } => (
                422,
                "Invalid event",
                "Fields of the event are missing or invalid.",
            ),
            Self::Queue(AwsError::TimedOut) => {
                (504, "Out of time", "The queue did not answer in time.")
            }
            Self::Queue(_) => (503, "Queue unavailable", "The event could not be queued."),
            Self::OutOfTime => (
                504,
                "Out of time",
                "The time that the shop waits was used up.",
            ),
            Self::Internal => (500, "Internal error", "The event could not be processed."),
        }
    }

    /// HTTP status of the answer.
    pub fn status(&self) -> u16 {
        self.describe().0
    }

    /// Short name for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotARequest => "not_a_request",
            Self::NotApplicationJson => "unsupported_media_type",
            Self::TooLarge => "too_large",
            Self::TooManyElements => "too_many_elements",
            Self::Untrusted(Untrusted::Missing) => "signature_missing",
            Self::Untrusted(Untrusted::NoKey) => "signature_without_key",
            Self::Untrusted(Untrusted::Wrong) => "signature_wrong",
            Self::Check => "check",
            Self::NoKeys => "keys_unavailable",
            Self::NotJson => "not_json",
            Self::WrongEvent => "wrong_event",
            Self::Invalid { .. } => "invalid",
            Self::Queue(AwsError::Refused) => "queue_refused",
            Self::Queue(AwsError::Unreachable) => "queue_unreachable",
            Self::Queue(AwsError::Interrupted) => "queue_interrupted",
            Self::Queue(AwsError::TimedOut) => "queue_timed_out",
            Self::OutOfTime => "out_of_time",
            Self::Internal => "internal",
        }
    }

    /// What it counts as; a check as nothing, so that no alarm rings because somebody checked.
    pub fn metric(&self) -> Option<Metric> {
        Some(match self {
            Self::Check => return None,
            Self::Untrusted(_) => Metric::Unverified,
            Self::NotARequest
            | Self::NotApplicationJson
            | Self::TooLarge
            | Self::TooManyElements
            | Self::NotJson
            | Self::WrongEvent
            | Self::Invalid { .. } => Metric::Invalid,
            Self::NoKeys | Self::Queue(_) | Self::OutOfTime | Self::Internal => Metric::Failed,
        })
    }

    /// How loud the log is: an error is ours, a warning the sender's, and a check is neither.
    pub fn log_level(&self) -> LogLevel {
        if *self == Self::Check {
            LogLevel::Info
        } else if self.status() >= 500 {
            LogLevel::Error
        } else {
            LogLevel::Warn
        }
    }

    /// Whether the event is in the queue all the same. Nobody knows when the queue went silent.
    pub fn forwarded(&self) -> Forwarded {
        match self {
            Self::Queue(trouble) if trouble.may_be_done() => Forwarded::Unknown,
            _ => Forwarded::No,
        }
    }

    /// How many fields are wrong.
    pub fn violations(&self) -> usize {
        match self {
            Self::Invalid {
                violations,
                unlisted,
            } => violations.len() + unlisted,
            _ => 0,
        }
    }

    /// Where the fields are that are wrong.
    pub fn pointers(&self) -> impl Iterator<Item = &str> {
        let violations = match self {
            Self::Invalid { violations, .. } => violations.as_slice(),
            _ => &[],
        };
        violations.iter().map(|violation| &*violation.pointer)
    }

    /// The body of the answer, as `application/problem+json`. `request_id` is the gateway's, to find the log by.
    pub fn problem(&self, request_id: &str) -> String {
        let (status, title, detail) = self.describe();
        let (errors, more_errors) = match self {
            Self::Invalid {
                violations,
                unlisted,
            } => (violations.as_slice(), *unlisted),
            _ => (&[][..], 0),
        };
        let name = match self {
            Self::Check => Self::Untrusted(Untrusted::Missing).name(),
            _ => self.name(),
        };
        let problem = Problem {
            kind: format!("urn:commerce-webhooks:{name}"),
            title,
            status,
            detail,
            request_id,
            errors,
            more_errors,
        };
        serde_json::to_string(&problem).unwrap_or_default()
    }
}

/// Whether an event went to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// The queue has it.
    Yes,
    /// The queue has it not.
    No,
    /// The queue did not say in time.
    Unknown,
}

impl Forwarded {
    /// Name for logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Violation],
    #[serde(skip_serializing_if = "is_zero")]
    more_errors: usize,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
