//! The common parts of all AWS clients: credentials, connections, and the classes of errors.

pub mod http;

use std::error::Error as _;

use aws_sdk_sqs::{
    config::{
        ConfigBag, Credentials, Intercept, RuntimeComponents,
        interceptors::BeforeTransmitInterceptorContextMut,
    },
    error::SdkError,
};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_types::retry::{ReconnectMode, RetryConfig};

use self::http::Connections;

const TRACE_HEADER: &str = "x-amzn-trace-id";

/// The settings that all AWS clients share.
#[derive(Clone, Debug)]
pub struct Aws {
    /// The function's region, from the environment.
    pub region: String,
    /// The function's credentials, from the environment.
    pub credentials: Credentials,
    /// The connections to AWS.
    pub connections: Connections,
}

/// Why a request to AWS failed, and so whether AWS may have carried it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsError {
    /// AWS refused the request.
    Refused,
    /// No connection could be opened.
    Unreachable,
    /// The connection broke before the response, or AWS responded with a server error. AWS may have
    /// carried out the request.
    Interrupted,
    /// The timeout passed before the response. AWS may have carried out the request.
    TimedOut,
}

impl AwsError {
    /// Classifies an error of the SDK. Only [`Self::Refused`] and [`Self::Unreachable`] mean that
    /// AWS did not carry out the request.
    pub(crate) fn of<E: std::error::Error + 'static>(error: &SdkError<E>) -> Self {
        match error {
            SdkError::ConstructionFailure(_) => Self::Refused,
            SdkError::ServiceError(response) if response.raw().status().is_client_error() => {
                Self::Refused
            }
            SdkError::DispatchFailure(failure) => {
                let cause = failure
                    .as_connector_error()
                    .and_then(|error| error.source())
                    .and_then(|cause| cause.downcast_ref::<hyper_util::client::legacy::Error>());
                match cause {
                    Some(error) if error.is_connect() => Self::Unreachable,
                    _ => Self::Interrupted,
                }
            }
            _ => Self::Interrupted,
        }
    }

    /// Returns whether AWS may have carried out the request. If it was `SendMessage`, the queue may
    /// have the message.
    pub fn may_be_done(self) -> bool {
        matches!(self, Self::Interrupted | Self::TimedOut)
    }

    /// Returns the name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Interrupted => "interrupted",
            Self::TimedOut => "timed_out",
        }
    }
}

/// Returns the configuration of a client that sends each request once, and leaves it to
/// [`Connections`] to close connections.
pub(crate) fn no_retries() -> RetryConfig {
    RetryConfig::disabled().with_reconnect_mode(ReconnectMode::ReuseAllConnections)
}

/// Removes X-Ray's trace header from every request.
///
/// The SDK copies the header from the environment, where `lambda_runtime` stores it without
/// validation. SQS refuses a request with a malformed header. A message has its trace in an
/// attribute instead, which is validated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WithoutTraceHeader;

impl Intercept for WithoutTraceHeader {
    fn name(&self) -> &'static str {
        "WithoutTraceHeader"
    }

    /// The SDK's own interceptors, which add the header, run before this method.
    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        context.request_mut().headers_mut().remove(TRACE_HEADER);
        Ok(())
    }
}
