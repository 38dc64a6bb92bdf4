//! The queue that carries what was accepted: SQS FIFO, through AWS's own client.

use std::{collections::HashMap, error::Error as _, io, time::Duration};

use aws_sdk_sqs::{
    Client, Config,
    config::{
        BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata as _, SdkError},
    types::{
        MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
    },
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tracing::{debug, error};

use crate::{
    deadline::Deadline,
    message::{CONTENT_ENCODING, CONTENT_TYPE, Message},
};

/// One attempt and one more: what the shop's time allows.
const ATTEMPTS_MAX: u32 = 2;

/// Pause before the second attempt.
const BACKOFF_MAX: Duration = Duration::from_millis(50);

/// How long a cold start waits for the first connection. The shop is already waiting.
const WARM_UP_MAX: Duration = Duration::from_millis(500);

/// Where messages go, and with which identity. All of it from the environment that Lambda sets, and `QUEUE_URL`.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// URL of the queue.
    pub url: String,
    /// Region of the queue.
    pub region: String,
    /// Scheme and host that are asked.
    pub endpoint: String,
    /// The function's own credentials.
    pub credentials: Credentials,
    /// Upper limit for one attempt.
    pub attempt_max: Duration,
}

/// Why the queue has not said that it has the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueError {
    /// It answered, with no.
    Refused,
    /// No connection came about.
    Unreachable,
    /// The connection broke before the answer. The queue may have the message.
    Interrupted,
    /// The time was up before the answer. The queue may have the message.
    TimedOut,
}

/// Attributes that travel beside a message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trace<'a> {
    /// W3C Trace Context of the shop's request.
    pub traceparent: Option<&'a str>,
    /// X-Ray's trace header of this invocation.
    pub xray: Option<&'a str>,
}

/// One SQS FIFO queue.
#[derive(Debug)]
pub struct Queue {
    client: Client,
    url: String,
}

impl Queue {
    /// A client for the queue. Nothing is sent yet.
    pub fn new(settings: QueueSettings) -> Self {
        // Named, because the default draws entropy for 40 ms of CPU at its first handshake.
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(settings.attempt_max)
            .operation_attempt_timeout(settings.attempt_max)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS_MAX)
            .with_initial_backoff(BACKOFF_MAX)
            .with_max_backoff(BACKOFF_MAX);
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(settings.endpoint)
            .region(Region::new(settings.region))
            .credentials_provider(settings.credentials)
            .http_client(http)
            .retry_config(retries)
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        Self {
            client: Client::from_conf(config.build()),
            url: settings.url,
        }
    }

    /// Opens the connection that the first message will use, while Lambda is still starting the function. A queue that is
    /// away now may be back by then, so nothing hangs on the result.
    pub async fn warm_up(&self) {
        let look = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .send();
        match tokio::time::timeout(WARM_UP_MAX, look).await {
            Ok(Ok(_)) => debug!("queue reached"),
            Ok(Err(reason)) => error!(
                queue_error = classify(&reason).name(),
                code = reason.code(),
                "queue not reached"
            ),
            Err(_) => error!(
                queue_error = QueueError::TimedOut.name(),
                "queue not reached"
            ),
        }
    }

    /// Sends a message: within the deadline it is there, or the error says why not.
    pub async fn send(
        &self,
        channel: &str,
        message: Message,
        trace: Trace<'_>,
        deadline: Deadline,
    ) -> Result<(), QueueError> {
        let mut request = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_group_id(message.group)
            .message_deduplication_id(message.deduplication)
            .set_message_attributes(Some(attributes(channel, message.compressed, trace)))
            .message_body(message.body);
        let xray = trace.xray.map(|xray| {
            MessageSystemAttributeValue::builder()
                .data_type("String")
                .string_value(xray)
                .build()
        });
        if let Some(Ok(xray)) = xray {
            request = request.message_system_attributes(
                MessageSystemAttributeNameForSends::AwsTraceHeader,
                xray,
            );
        }
        match tokio::time::timeout_at(deadline.instant(), request.send()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(reason)) => {
                let kind = classify(&reason);
                // The code is one of SQS's own words; its message could quote the request.
                error!(
                    queue_error = kind.name(),
                    code = reason.code(),
                    "message not queued"
                );
                Err(kind)
            }
            Err(_) => Err(QueueError::TimedOut),
        }
    }
}

impl QueueError {
    /// Name for logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "queue_refused",
            Self::Unreachable => "queue_unreachable",
            Self::Interrupted => "queue_interrupted",
            Self::TimedOut => "queue_timed_out",
        }
    }
}

fn attributes(
    channel: &str,
    compressed: bool,
    trace: Trace<'_>,
) -> HashMap<String, MessageAttributeValue> {
    let values = [
        ("channel", Some(channel)),
        ("content-type", Some(CONTENT_TYPE)),
        ("content-encoding", compressed.then_some(CONTENT_ENCODING)),
        ("traceparent", trace.traceparent),
    ];
    let attribute = |(name, value): (&str, Option<&str>)| {
        let value = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(value?)
            .build();
        Some((name.to_owned(), value.ok()?))
    };
    values.into_iter().filter_map(attribute).collect()
}

fn classify<E>(error: &SdkError<E>) -> QueueError
where
    E: std::error::Error + 'static,
{
    match error {
        SdkError::TimeoutError(_) => QueueError::TimedOut,
        SdkError::DispatchFailure(failure) => {
            let mut cause = failure
                .as_connector_error()
                .and_then(|error| error.source());
            while let Some(error) = cause {
                // Only a connection that never came about is sure to have carried nothing.
                if let Some(error) = error.downcast_ref::<io::Error>() {
                    return match error.kind() {
                        io::ErrorKind::ConnectionReset
                        | io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::BrokenPipe
                        | io::ErrorKind::UnexpectedEof => QueueError::Interrupted,
                        _ => QueueError::Unreachable,
                    };
                }
                cause = error.source();
            }
            if failure.is_timeout() {
                QueueError::Unreachable
            } else {
                QueueError::Interrupted
            }
        }
        SdkError::ResponseError(_) => QueueError::Interrupted,
        _ => QueueError::Refused,
    }
}
