//! How AWS is asked, whichever of its services.

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

/// How a request to AWS went wrong, and with it what AWS may have done all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsError {
    /// It answered, with no.
    Refused,
    /// No connection came about.
    Unreachable,
    /// The connection broke before the answer, or the answer was that AWS failed. It may have done what was asked.
    Interrupted,
    /// The time was up before the answer. It may have done what was asked.
    TimedOut,
}

impl AwsError {
    /// Whether AWS may have done what was asked: the queue may have the message.
    pub fn may_be_done(self) -> bool {
        matches!(self, Self::Interrupted | Self::TimedOut)
    }

    /// Name for logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Interrupted => "interrupted",
            Self::TimedOut => "timed_out",
        }
    }
}

use self::http::Connections;

const TRACE_HEADER: &str = "x-amzn-trace-id";

/// With which identity AWS is asked, where, and on which connections. The first two are from the environment that Lambda sets.
#[derive(Clone, Debug)]
pub struct Aws {
    /// The function's own region.
    pub region: String,
    /// The function's own credentials.
    pub credentials: Credentials,
    /// How AWS is reached.
    pub connections: Connections,
}

/// One attempt of AWS's client, which leaves connections to [`Connections`].
pub(crate) fn no_retries() -> RetryConfig {
    RetryConfig::disabled().with_reconnect_mode(ReconnectMode::ReuseAllConnections)
}

/// Takes X-Ray's header off every request. AWS's client writes it as it stands in the environment, where Lambda's runtime put it
/// unread, and SQS refuses a request with a malformed one. A message has its trace as an attribute, which was checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WithoutTraceHeader;

impl Intercept for WithoutTraceHeader {
    fn name(&self) -> &'static str {
        "WithoutTraceHeader"
    }

    /// The client's own interceptors have run by then.
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

/// How a request went wrong. Only an answer that says no, and a connection that never came about, are sure to have done nothing.
pub(crate) fn classify<E>(error: &SdkError<E>) -> AwsError
where
    E: std::error::Error + 'static,
{
    match error {
        SdkError::ConstructionFailure(_) => AwsError::Refused,
        SdkError::ServiceError(answer) if answer.raw().status().is_client_error() => {
            AwsError::Refused
        }
        SdkError::DispatchFailure(failure) => {
            let cause = failure
                .as_connector_error()
                .and_then(|error| error.source());
            match cause.and_then(|cause| cause.downcast_ref::<hyper_util::client::legacy::Error>())
            {
                Some(error) if error.is_connect() => AwsError::Unreachable,
                _ => AwsError::Interrupted,
            }
        }
        _ => AwsError::Interrupted,
    }
}
