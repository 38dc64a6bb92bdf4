//! Reads the keys of IMS over HTTP.

use std::time::Duration;

use aws_smithy_runtime_api::client::{
    http::{HttpConnector as _, SharedHttpConnector},
    orchestrator::HttpRequest,
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use lambda_http::http::{HeaderValue, Request, Uri, header::USER_AGENT};

use crate::{
    aws::http::{Connections, PRODUCT},
    verify::{ims::ImsKeys, store::WAIT_MAX},
};

/// The maximum size of an answer in bytes.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why the keys of IMS were not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImsError {
    /// No answer arrived, or only a part of it.
    Unreachable,
    /// The timeout passed.
    TimedOut,
    /// The status of the answer is not 200.
    Status,
    /// The answer is larger than 64 KB, or has more than 64 keys.
    TooLarge,
    /// The answer is not a JWK Set (RFC 7517).
    NotKeys,
    /// The answer has no key that can verify an access token.
    NoKey,
}

impl ImsError {
    /// Returns the name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Status => "status",
            Self::TooLarge => "too_large",
            Self::NotKeys => "not_keys",
            Self::NoKey => "no_key",
        }
    }
}

/// The client of one URL.
#[derive(Debug)]
pub(super) struct KeysClient {
    connector: SharedHttpConnector,
    url: Uri,
}

impl KeysClient {
    pub(super) fn new(url: Uri, connections: &Connections) -> Self {
        Self {
            connector: connections.connector(WAIT_MAX),
            url,
        }
    }

    /// Reads the keys within the limit. Retries once if the connection breaks, because IMS may have
    /// closed it since the last request.
    pub(super) async fn fetch(&self, limit: Duration) -> Result<ImsKeys, ImsError> {
        let fetched = tokio::time::timeout(limit, async {
            match self.ask().await {
                Err(ImsError::Unreachable) => self.ask().await,
                other => other,
            }
        });
        let keys = ImsKeys::parse(&fetched.await.map_err(|_| ImsError::TimedOut)??)?;
        if keys.is_empty() {
            return Err(ImsError::NoKey);
        }
        Ok(keys)
    }

    /// Returns the body of an answer with status 200. Redirects are not followed.
    async fn ask(&self) -> Result<Vec<u8>, ImsError> {
        let mut request = Request::new(SdkBody::empty());
        *request.uri_mut() = self.url.clone();
        let product = HeaderValue::from_static(PRODUCT);
        request.headers_mut().insert(USER_AGENT, product);
        let request = HttpRequest::try_from(request).map_err(|_| ImsError::Unreachable)?;
        let answer = self.connector.call(request).await;
        let answer = answer.map_err(|_| ImsError::Unreachable)?;
        if answer.status().as_u16() != 200 {
            return Err(ImsError::Status);
        }
        let mut body = ByteStream::new(answer.into_body());
        let mut whole = Vec::new();
        while let Some(part) = body.next().await {
            let part = part.map_err(|_| ImsError::Unreachable)?;
            if whole.len() + part.len() > ANSWER_BYTES_MAX {
                return Err(ImsError::TooLarge);
            }
            whole.extend_from_slice(&part);
        }
        Ok(whole)
    }
}
