//! The failures of a request: one table with the HTTP status, name and texts of each, and its
//! metric. The shop receives a problem (RFC 9457), which never contains a value of the event.

use serde::Serialize;

use super::Forwarded;
use crate::{
    aws::AwsError,
    model::Violation,
    telemetry::{LogLevel, Metric},
    verify::{SignatureError, ims::TokenError},
};

/// Why an event was not accepted. A refusal is not a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The payload of the invocation is not an HTTP request of API Gateway (payload format 2.0).
    NotARequest,
    /// The body is not declared as `application/json`.
    NotApplicationJson,
    /// The body, or the message with the event, is too large.
    TooLarge,
    /// The lists of the event have more than [`crate::model::ELEMENTS_MAX`] elements.
    TooManyElements,
    /// No key verifies the body, or it has no signature, or its access token does not count.
    Untrusted(SignatureError),
    /// The request has no signature, and a header marks it as a check of the deployment.
    Check,
    /// The secret could not be read, so there is no key to verify the body with.
    NoKeys,
    /// An access token is needed, and the keys of IMS could not be read.
    NoImsKeys,
    /// The body is not a JSON object in UTF-8.
    NotJson,
    /// The body names another event than the route.
    WrongEvent,
    /// The event is unusable: its identity is missing, its entity is not an object, or a name is
    /// repeated.
    Invalid {
        /// The violations, at most [`crate::model::LISTED_MAX`].
        violations: Vec<Violation>,
        /// How many more violations there are.
        unlisted: usize,
    },
    /// The queue did not confirm that it has the message.
    Queue(AwsError),
    /// The deadline passed before the message was sent.
    OutOfTime,
    /// A defect of the function.
    Internal,
}

/// The status, name and texts of a failure.
struct Description {
    /// HTTP status of the response.
    status: u16,
    /// Name in the log, and in the type of the problem.
    name: &'static str,
    /// Title of the problem.
    title: &'static str,
    /// What happened, for readers of the problem.
    detail: &'static str,
}

impl Failure {
    /// Creates [`Self::Invalid`] from the listed violations, and the number of the other ones.
    pub(crate) fn from_violations((violations, unlisted): (Vec<Violation>, usize)) -> Self {
        Self::Invalid {
            violations,
            unlisted,
        }
    }

    fn describe(&self) -> Description {
        const QUEUE: (&str, &str) = ("Queue unavailable", "The event could not be queued.");
        let (status, name, title, detail) = match self {
            Self::NotARequest => (
                400,
                "not_a_request",
                "Not a request",
                "The function takes HTTP requests of API Gateway, payload 2.0.",
            ),
            Self::NotApplicationJson => (
                415,
                "unsupported_media_type",
                "Unsupported media type",
                "The body must be application/json in UTF-8.",
            ),
            Self::TooLarge => (
                413,
                "too_large",
                "Event too large",
                "The event is larger than what can be queued.",
            ),
            Self::TooManyElements => (
                413,
                "too_many_elements",
                "Event too large",
                "The lists of the event have more than 20,000 elements.",
            ),
            Self::Untrusted(error) => {
                let (name, detail) = describe_untrusted(*error);
                (401, name, "Unverified event", detail)
            }
            // Its texts are never used: `problem` answers as if the signature were missing.
            Self::Check => (401, "check", "", ""),
            Self::NoKeys => (
                503,
                "keys_unavailable",
                "Keys unavailable",
                "The keys that verify events could not be read.",
            ),
            Self::NoImsKeys => (
                503,
                "ims_keys_unavailable",
                "Keys unavailable",
                "The keys that verify access tokens could not be read.",
            ),
            Self::NotJson => (
                400,
                "not_json",
                "Not an event",
                "The body must be a JSON object in UTF-8.",
            ),
            Self::WrongEvent => (
                400,
                "wrong_event",
                "Wrong event",
                "The body names another event than the route.",
            ),
            Self::Invalid { .. } => (
                422,
                "invalid",
                "Invalid event",
                "Fields of the event are missing or invalid.",
            ),
            Self::Queue(AwsError::TimedOut) => (
                504,
                "queue_timed_out",
                "Out of time",
                "The queue did not answer in time.",
            ),
            Self::Queue(AwsError::Refused) => (503, "queue_refused", QUEUE.0, QUEUE.1),
            Self::Queue(AwsError::Unreachable) => (503, "queue_unreachable", QUEUE.0, QUEUE.1),
            Self::Queue(AwsError::Interrupted) => (503, "queue_interrupted", QUEUE.0, QUEUE.1),
            Self::OutOfTime => (
                504,
                "out_of_time",
                "Out of time",
                "The time that the shop waits was used up.",
            ),
            Self::Internal => (
                500,
                "internal",
                "Internal error",
                "The event could not be processed.",
            ),
        };
        Description {
            status,
            name,
            title,
            detail,
        }
    }

    /// Returns the HTTP status of the response.
    pub fn status(&self) -> u16 {
        self.describe().status
    }

    /// Returns the name in the log.
    pub fn name(&self) -> &'static str {
        self.describe().name
    }

    /// Returns the metric that counts it. A check is not counted, so that it triggers no
    /// alarm.
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
            Self::NoKeys | Self::NoImsKeys | Self::Queue(_) | Self::OutOfTime | Self::Internal => {
                Metric::Failed
            }
        })
    }

    /// Returns the log level: a warning if the sender caused the failure, an error if AWS or the
    /// function did.
    pub fn log_level(&self) -> LogLevel {
        match self.metric() {
            None => LogLevel::Info,
            Some(Metric::Failed) => LogLevel::Error,
            Some(_) => LogLevel::Warn,
        }
    }

    /// Returns whether the event is in the queue despite the failure.
    pub fn forwarded(&self) -> Forwarded {
        match self {
            Self::Queue(error) if error.may_be_done() => Forwarded::Unknown,
            _ => Forwarded::No,
        }
    }

    /// Returns the violations that are listed, and how many more there are.
    pub fn violations(&self) -> (&[Violation], usize) {
        match self {
            Self::Invalid {
                violations,
                unlisted,
            } => (violations, *unlisted),
            _ => (&[], 0),
        }
    }

    /// Returns the body of the response, as `application/problem+json`. `request_id` is that of API
    /// Gateway. It identifies the log line.
    pub fn problem(&self, request_id: &str) -> String {
        if *self == Self::Check {
            return Self::Untrusted(SignatureError::Missing).problem(request_id);
        }
        let Description {
            status,
            name,
            title,
            detail,
        } = self.describe();
        let (errors, more_errors) = self.violations();
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

/// Returns the name and the detail of a request that is not verified.
fn describe_untrusted(error: SignatureError) -> (&'static str, &'static str) {
    match error {
        SignatureError::Missing => ("signature_missing", "The signature is missing."),
        SignatureError::NoKey => (
            "signature_without_key",
            "There is no key here for this kind of signature.",
        ),
        SignatureError::Mismatch => ("signature_wrong", "The signature does not fit the body."),
        SignatureError::ShopsDiffer => (
            "shops_differ",
            "The signature and the access token are of different shops.",
        ),
        SignatureError::Token(error) => describe_token(error),
    }
}

/// Returns the name and the detail of an access token that does not count.
fn describe_token(error: TokenError) -> (&'static str, &'static str) {
    match error {
        TokenError::Missing => ("token_missing", "The access token is missing."),
        TokenError::Malformed => (
            "token_malformed",
            "The access token is not one of Adobe's identity service.",
        ),
        TokenError::KeyUnknown => (
            "token_key_unknown",
            "The access token is signed with an unknown key.",
        ),
        TokenError::Wrong => (
            "token_wrong",
            "The signature of the access token is not valid.",
        ),
        TokenError::Type => ("token_type", "The token is not an access token."),
        TokenError::Expired => ("token_expired", "The access token has expired."),
        TokenError::NotYetValid => (
            "token_not_yet_valid",
            "The access token was created in the future.",
        ),
        TokenError::Client => (
            "token_client",
            "The client of the access token is not accepted here.",
        ),
        TokenError::Organization => (
            "token_organization",
            "The organization of the access token is missing, or not accepted here.",
        ),
        // `Failure::NoImsKeys` reports it.
        TokenError::KeysUnavailable => ("token_keys_unavailable", "The key could not be read."),
    }
}

/// A problem (RFC 9457).
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
    reason = "serde passes a reference"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::body::Unverified;

    #[test]
    fn every_request_that_is_not_verified_has_a_name_of_its_own() {
        let token = SignatureError::Token;
        let expected = [
            (SignatureError::Missing, 401, "signature_missing"),
            (SignatureError::NoKey, 401, "signature_without_key"),
            (SignatureError::Mismatch, 401, "signature_wrong"),
            (SignatureError::ShopsDiffer, 401, "shops_differ"),
            (token(TokenError::Missing), 401, "token_missing"),
            (token(TokenError::Malformed), 401, "token_malformed"),
            (token(TokenError::KeyUnknown), 401, "token_key_unknown"),
            (token(TokenError::Wrong), 401, "token_wrong"),
            (token(TokenError::Type), 401, "token_type"),
            (token(TokenError::Expired), 401, "token_expired"),
            (token(TokenError::NotYetValid), 401, "token_not_yet_valid"),
            (token(TokenError::Client), 401, "token_client"),
            (token(TokenError::Organization), 401, "token_organization"),
            (
                token(TokenError::KeysUnavailable),
                503,
                "ims_keys_unavailable",
            ),
        ];
        for (error, status, name) in expected {
            let body = Unverified::new(b"{}").unwrap();
            let failure = Failure::from((body, error));
            assert_eq!((failure.status(), failure.name()), (status, name));
            let problem = failure.problem("request-1");
            let kind = format!("\"type\":\"urn:commerce-webhooks:{name}\"");
            assert!(problem.contains(&kind), "{problem}");
            let metric = if status == 401 {
                Metric::Unverified
            } else {
                Metric::Failed
            };
            assert_eq!(failure.metric(), Some(metric), "{name}");
        }
    }
}
