//! The client that sends messages to SQS FIFO queues.

use std::time::Duration;

use aws_sdk_sqs::{
    Client, Config,
    config::{BehaviorVersion, IdentityCache, Region, StalledStreamProtectionConfig},
    error::ProvideErrorMetadata as _,
};
use bytes::Bytes;
use tracing::{debug, error};

use super::{
    message::Message,
    send_message::{NextBody, SendMessage},
};
use crate::{
    aws::{Aws, AwsError, WithoutTraceHeader, no_retries},
    deadline::Deadline,
};

pub use super::send_message::RequestAttributes;

/// The maximum number of attempts. The shop's timeout leaves time for one retry.
const ATTEMPTS_MAX: u32 = 2;

/// The share of the remaining time that the first attempt may take.
const FIRST_SHARE: f32 = 0.45;

/// The share of the budget within which a connection must be open. It is smaller than that of an
/// attempt, so that a slow connection fails as [`AwsError::Unreachable`]: nothing was sent.
const CONNECT_SHARE: f32 = 0.3;

/// The pause before the retry.
const PAUSE: Duration = Duration::from_millis(50);

/// The maximum time that a cold start waits for the first connection. The shop is already waiting.
const WARM_UP_MAX: Duration = Duration::from_millis(500);

/// The settings of a queue.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// URL of the queue.
    pub url: String,
    /// Scheme and host of the endpoint.
    pub endpoint: String,
    /// The maximum time for one event in total.
    pub budget: Duration,
}

/// One SQS FIFO queue.
#[derive(Debug)]
pub struct Queue {
    client: Client,
    url: String,
    body: NextBody,
}

impl Queue {
    /// Creates a client for the queue. Nothing is sent yet.
    pub fn new(settings: QueueSettings, aws: &Aws) -> Self {
        let body = NextBody::default();
        let connect_max = settings.budget.mul_f32(CONNECT_SHARE);
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(settings.endpoint)
            .region(Region::new(aws.region.clone()))
            .credentials_provider(aws.credentials.clone())
            .http_client(aws.connections.client(connect_max))
            // After its own retries, the SDK reports only the error of the last attempt, although
            // an earlier attempt may have reached the queue.
            .retry_config(no_retries())
            .interceptor(body.clone())
            .interceptor(WithoutTraceHeader)
            // The credentials are those of the environment, and never change.
            .identity_cache(IdentityCache::no_cache())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        Self {
            client: Client::from_conf(config.build()),
            url: settings.url,
            body,
        }
    }

    /// Opens the connection for the first message. A failure is only logged, because the queue may
    /// be available again when that message is sent.
    pub async fn warm_up(&self) {
        let request = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .send();
        match tokio::time::timeout(WARM_UP_MAX, request).await {
            Ok(Ok(_)) => debug!("queue reached"),
            Ok(Err(reason)) => error!(
                queue_error = AwsError::of(&reason).name(),
                code = reason.code(),
                "queue not reached"
            ),
            Err(_) => error!(queue_error = AwsError::TimedOut.name(), "queue not reached"),
        }
    }

    /// Returns the URL of the queue.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a message to this queue, or to another queue at the same endpoint.
    ///
    /// # Errors
    /// The reason why the message is not in the queue, or may not be.
    pub async fn send(
        &self,
        to: &str,
        channel: &str,
        message: Message,
        attributes: RequestAttributes<'_>,
        deadline: Deadline,
    ) -> Result<(), AwsError> {
        let body = SendMessage::new(to, channel, &message, attributes).to_json();
        let body = Bytes::from(body.map_err(|_| AwsError::Refused)?);
        drop(message);
        let mut may_be_queued = false;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let last = attempt == ATTEMPTS_MAX;
            let left = deadline.remaining();
            let limit = if last {
                left
            } else {
                left.mul_f32(FIRST_SHARE)
            };
            self.body.set(body.clone());
            let request = self.client.send_message().send();
            let (error, is_final) = match tokio::time::timeout(limit, request).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(reason)) => {
                    let error = AwsError::of(&reason);
                    // Only the error code is logged: the message could quote the request.
                    error!(
                        queue_error = error.name(),
                        code = reason.code(),
                        attempt,
                        "message not queued"
                    );
                    (
                        error,
                        error == AwsError::Refused && !is_throttled(reason.code()),
                    )
                }
                Err(_) => (AwsError::TimedOut, false),
            };
            if last || is_final || deadline.remaining() <= PAUSE {
                return Err(if may_be_queued && !error.may_be_done() {
                    AwsError::Interrupted
                } else {
                    error
                });
            }
            may_be_queued |= error.may_be_done();
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Returns whether SQS refused a request because of its rate, so that a retry may succeed.
fn is_throttled(code: Option<&str>) -> bool {
    code.is_some_and(|code| code.contains("Throttl"))
}

#[cfg(test)]
mod tests;
