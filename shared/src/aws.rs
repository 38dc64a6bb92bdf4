//! How AWS is asked, whichever of its services.

use std::error::Error as _;

use aws_sdk_sqs::{config::Credentials, error::SdkError};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::error::Trouble;

/// With which identity AWS is asked, where, and through which client. All of it from the environment that Lambda sets.
#[derive(Clone, Debug)]
pub struct Aws {
    /// The function's own region.
    pub region: String,
    /// The function's own credentials.
    pub credentials: Credentials,
    /// Keeps the connections.
    pub http: SharedHttpClient,
}

impl Aws {
    /// Nothing is sent yet.
    pub fn new(region: String, credentials: Credentials) -> Self {
        // Named, because the default draws entropy for 40 ms of CPU at its first handshake.
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        Self {
            region,
            credentials,
            http,
        }
    }
}

/// How a request went wrong. Only an answer that says no, and a connection that never came about, are sure to have done nothing.
pub(crate) fn classify<E>(error: &SdkError<E>) -> Trouble
where
    E: std::error::Error + 'static,
{
    match error {
        SdkError::ConstructionFailure(_) => Trouble::Refused,
        SdkError::ServiceError(answer) if answer.raw().status().is_client_error() => {
            Trouble::Refused
        }
        SdkError::DispatchFailure(failure) => {
            let error = failure.as_connector_error();
            let mut cause = error.and_then(|error| error.source());
            let mut connected = !failure.is_timeout(); // only connecting has a timeout of the client's
            while let Some(error) = cause {
                if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
                    connected = !error.is_connect();
                }
                cause = error.source();
            }
            if connected {
                Trouble::Interrupted
            } else {
                Trouble::Unreachable
            }
        }
        _ => Trouble::Interrupted,
    }
}
