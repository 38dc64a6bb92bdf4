//! What all clients of AWS have in common: credentials, connections, and what an error means.

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

/// What a client of AWS needs.
#[derive(Clone, Debug)]
pub struct Aws {
    /// The function's region, from the environment.
    pub region: String,
    /// The function's credentials, from the environment.
    pub credentials: Credentials,
    /// The connections to AWS.
    pub connections: Connections,
}

/// Why a request to AWS failed, and with it whether AWS may have carried it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsError {
    /// AWS refused it.
    Refused,
    /// No connection could be opened.
    Unreachable,
    /// The connection broke before the response, or AWS responded that it failed. The request may
    /// have been carried out.
    Interrupted,
    /// The timeout passed before the response. The request may have been carried out.
    TimedOut,
}

impl AwsError {
    /// Returns the error that an SDK error stands for. Only a refusal, and a connection that was
    /// never open, mean that nothing was carried out.
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

    /// Returns whether AWS may have carried out the request: the queue may have the message.
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

/// Makes a client try once, and leave connections to [`Connections`].
pub(crate) fn no_retries() -> RetryConfig {
    RetryConfig::disabled().with_reconnect_mode(ReconnectMode::ReuseAllConnections)
}

/// Removes X-Ray's trace header from every request.
///
/// AWS's client copies it from the environment, where `lambda_runtime` puts it unchecked. SQS
/// refuses a request with a malformed one. A message has its trace as an attribute, which is
/// checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WithoutTraceHeader;

impl Intercept for WithoutTraceHeader {
    fn name(&self) -> &'static str {
        "WithoutTraceHeader"
    }

    /// The client's own interceptors run before this.
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
