//! The queue that carries what was accepted: SQS FIFO, through AWS's own client.

use std::{
    cell::RefCell,
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_sqs::{
    Client, Config,
    config::{
        BehaviorVersion, ConfigBag, IdentityCache, Intercept, Region, RuntimeComponents,
        StalledStreamProtectionConfig, interceptors::BeforeTransmitInterceptorContextMut,
    },
    error::ProvideErrorMetadata as _,
};
use aws_smithy_runtime_api::box_error::BoxError;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use serde::Serialize;
use tokio::time::{Instant, Sleep};
use tracing::{debug, error};

use crate::{
    aws::{Aws, AwsError, WithoutTraceHeader, classify, no_retries},
    deadline::Deadline,
    deliver::{
        message::{CONTENT_ENCODING, Message},
        quote::quote,
    },
};

/// One attempt and one more: what the shop's time allows.
const ATTEMPTS_MAX: u32 = 2;

/// Share of the time left that an attempt may take while another can follow.
const FIRST_SHARE: f32 = 0.45;

/// Share of an attempt's time that may pass before the connection is there. Sooner than the attempt's own end, because a
/// connection that never came about is sure to have carried nothing.
const CONNECT_SHARE: f32 = 0.3;

/// Pause before the second attempt.
const PAUSE: Duration = Duration::from_millis(50);

/// About what SQS is asked beside the body.
const REST_BYTES: usize = 1024;

/// How long a cold start waits for the first connection. The shop is already waiting.
const WARM_UP_MAX: Duration = Duration::from_millis(500);

/// Where messages go.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// URL of the queue.
    pub url: String,
    /// Scheme and host that are asked.
    pub endpoint: String,
    /// What a whole request may take.
    pub budget: Duration,
}

/// What a message says of the request that brought it, in attributes.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestAttributes<'a> {
    /// W3C Trace Context of the shop's request.
    pub traceparent: Option<&'a str>,
    /// What the vendors on the way say of that trace.
    pub tracestate: Option<&'a str>,
    /// X-Ray's trace header of this invocation, as SQS takes it.
    pub xray: Option<&'a str>,
    /// Whether the operator's own tool sent it, because no message named the event when it happened.
    pub reconciled: bool,
}

/// One SQS FIFO queue.
#[derive(Debug)]
pub struct Queue {
    client: Client,
    url: String,
    body: NextBody,
    alarm: Alarm,
}

impl Queue {
    /// A client for the queue. Nothing is sent yet.
    pub fn new(settings: QueueSettings, aws: &Aws) -> Self {
        let body = NextBody::default();
        let connect_max = settings.budget.mul_f32(CONNECT_SHARE);
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(settings.endpoint)
            .region(Region::new(aws.region.clone()))
            .credentials_provider(aws.credentials.clone())
            .http_client(aws.connections.client(connect_max))
            // The client's own retries tell how the last attempt ended, but not that an earlier one may have arrived.
            .retry_config(no_retries())
            .interceptor(body.clone())
            .interceptor(WithoutTraceHeader)
            // The credentials stand in the environment, and are the same as long as the process runs.
            .identity_cache(IdentityCache::no_cache())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        Self {
            client: Client::from_conf(config.build()),
            url: settings.url,
            body,
            alarm: Alarm::default(),
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
            Err(_) => error!(queue_error = AwsError::TimedOut.name(), "queue not reached"),
        }
    }

    /// The queue's own URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a message to this queue, or to another of the same endpoint: within the deadline it is there, or the error says why not.
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
        let mut may_have_it = false;
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
            let (error, settled) = match self.alarm.within(limit, request).await {
                Some(Ok(_)) => return Ok(()),
                Some(Err(reason)) => {
                    let error = classify(&reason);
                    // The code is one of SQS's own words; its message could quote the request.
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
                None => (AwsError::TimedOut, false),
            };
            if last || settled || deadline.remaining() <= PAUSE {
                return Err(if may_have_it && !error.may_be_done() {
                    AwsError::Interrupted
                } else {
                    error
                });
            }
            may_have_it |= error.may_be_done();
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What SQS is asked, as its API names it. Written here because AWS's client looks at each byte of a message on its own, and takes
/// 250,000 instructions for 10 KB of them.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SendMessage<'a> {
    queue_url: &'a str,
    message_group_id: &'a str,
    message_deduplication_id: &'a str,
    message_attributes: Attributes<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_system_attributes: Option<SystemAttributes<'a>>,
    #[serde(skip)]
    message_body: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Attributes<'a> {
    channel: Attribute<'a>,
    content_type: Attribute<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<Attribute<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issues: Option<Attribute<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<Attribute<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<Attribute<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reconciled: Option<Attribute<'a>>,
}

#[derive(Serialize)]
struct SystemAttributes<'a> {
    #[serde(rename = "AWSTraceHeader")]
    trace_header: Attribute<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute<'a> {
    data_type: &'static str,
    string_value: &'a str,
}

impl<'a> Attribute<'a> {
    fn text(value: &'a str) -> Self {
        Self {
            data_type: "String",
            string_value: value,
        }
    }
}

impl<'a> SendMessage<'a> {
    fn new(
        url: &'a str,
        channel: &'a str,
        message: &'a Message,
        attributes: RequestAttributes<'a>,
    ) -> Self {
        Self {
            queue_url: url,
            message_group_id: &message.group,
            message_deduplication_id: &message.deduplication,
            message_attributes: Attributes {
                channel: Attribute::text(channel),
                content_type: Attribute::text(message.content_type),
                content_encoding: message
                    .compressed
                    .then(|| Attribute::text(CONTENT_ENCODING)),
                issues: message.issues.map(Attribute::text),
                traceparent: attributes.traceparent.map(Attribute::text),
                tracestate: attributes.tracestate.map(Attribute::text),
                reconciled: attributes.reconciled.then(|| Attribute::text("true")),
            },
            message_system_attributes: attributes.xray.map(|xray| SystemAttributes {
                trace_header: Attribute::text(xray),
            }),
            message_body: &message.body,
        }
    }
}

impl SendMessage<'_> {
    fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        // Growing a large text would take twice its memory. Of a message's bytes, which are JSON, hardly a seventh is escaped.
        let about = self.message_body.len() / 7 * 8 + REST_BYTES;
        let mut json = Vec::with_capacity(about);
        serde_json::to_writer(&mut json, self)?;
        json.pop();
        json.extend_from_slice(br#","MessageBody":"#);
        quote(self.message_body, &mut json);
        json.push(b'}');
        Ok(json)
    }
}

/// The body of the next request, which AWS's client takes before it signs. A function sends one message at a time, and asks for nothing
/// else meanwhile. Given request by request it would have the client put its whole configuration together anew.
#[derive(Clone, Default)]
struct NextBody(Arc<Mutex<Option<Bytes>>>);

impl fmt::Debug for NextBody {
    /// AWS's client asks for this, and it holds what the shop sent.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

impl NextBody {
    fn set(&self, body: Bytes) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
    }

    fn take(&self) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Intercept for NextBody {
    fn name(&self) -> &'static str {
        "NextBody"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(body) = self.take() {
            let request = context.request_mut();
            let length = body.len().to_string();
            request.headers_mut().insert(CONTENT_LENGTH, length);
            *request.body_mut() = body.into();
        }
        Ok(())
    }
}

/// The end of an attempt. It is one timer for all attempts: to put one off costs nothing, and a new one, a system call to wake the runtime.
#[derive(Debug, Default)]
struct Alarm(RefCell<Option<Pin<Box<Sleep>>>>);

impl Alarm {
    /// The result, or nothing if it is not there within the limit.
    async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let end = Instant::now() + limit;
        let mut sleep = self
            .0
            .take()
            .unwrap_or_else(|| Box::pin(tokio::time::sleep_until(end)));
        sleep.as_mut().reset(end);
        let mut work = pin!(work);
        let result = tokio::select! {
            biased;
            result = &mut work => Some(result),
            () = &mut sleep => None,
        };
        self.0.replace(Some(sleep));
        result
    }
}

/// Whether another attempt could pass where this one was refused.
fn is_throttled(code: Option<&str>) -> bool {
    code.is_some_and(|code| code.contains("Throttl"))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{Shutdown, TcpListener},
        thread,
        time::Instant,
    };

    use aws_sdk_sqs::config::Credentials;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        aws::http::Connections,
        deliver::message::{ATTRIBUTE_BYTES_MAX, CONTENT_TYPE},
        request::trace::TRACESTATE_CHARS_MAX,
    };

    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{\"MessageId\":\"1-2-3\"}";
    const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    const THROTTLED: &str = "HTTP/1.1 400 Bad Request\r\nx-amzn-errortype: ThrottlingException\r\ncontent-length: 2\r\n\r\n{}";
    const DENIED: &str =
        "HTTP/1.1 403 Forbidden\r\nx-amzn-errortype: AccessDenied\r\ncontent-length: 2\r\n\r\n{}";
    const GARBAGE: &str = "220 smtp.example ESMTP\r\n";

    /// What the stand-in for SQS does with one attempt.
    #[derive(Clone, Copy)]
    enum Does {
        Answer(&'static str),
        Close,
        Nothing,
    }
    use Does::{Answer, Close, Nothing};

    /// Sends a message to a queue that does this with the first attempts, and takes no connection afterwards: the result, and
    /// how many attempts came.
    async fn send(script: &'static [Does], budget: Duration) -> (Result<(), AwsError>, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let listener = (!script.is_empty()).then_some(listener);
        let server = thread::spawn(move || {
            let Some(listener) = listener else {
                return (0, Vec::new());
            };
            let mut kept = Vec::new();
            let mut taken = 0;
            for does in script {
                listener.set_nonblocking(true).unwrap();
                let patience = Instant::now() + Duration::from_secs(2);
                let mut connection = loop {
                    match listener.accept() {
                        Ok((connection, _)) => break connection,
                        Err(_) if Instant::now() > patience => return (taken, kept),
                        Err(_) => thread::sleep(Duration::from_millis(1)),
                    }
                };
                connection.set_nonblocking(false).unwrap();
                let _ = connection.read(&mut vec![0; 64 * 1024]);
                taken += 1;
                match does {
                    Answer(answer) => {
                        connection.write_all(answer.as_bytes()).unwrap();
                        let _ = connection.shutdown(Shutdown::Write);
                    }
                    Close => drop(connection.shutdown(Shutdown::Both)),
                    Nothing => {}
                }
                kept.push(connection);
            }
            // The connections stay open until the result is there; the listener does not.
            (taken, kept)
        });
        let settings = QueueSettings {
            url: format!("http://{address}/1/erp.fifo"),
            endpoint: format!("http://{address}"),
            budget,
        };
        let credentials = Credentials::new("a", "b", None, None, "test");
        let aws = Aws {
            region: "eu-west-1".into(),
            credentials,
            connections: Connections::new().unwrap(),
        };
        let queue = Queue::new(settings, &aws);
        let message = Message {
            body: "{}".into(),
            compressed: false,
            group: "order/1".into(),
            deduplication: "1".into(),
            content_type: CONTENT_TYPE,
            issues: None,
        };
        let deadline = Deadline::new(budget + crate::deadline::ANSWER_MARGIN, 0, u64::MAX);
        let result = queue
            .send(
                queue.url(),
                "x",
                message,
                RequestAttributes::default(),
                deadline,
            )
            .await;
        (result, server.join().unwrap().0)
    }

    #[test]
    fn a_body_that_waits_is_shown_to_nobody() {
        let body = NextBody::default();
        body.set(Bytes::from_static(b"zoe@shop.example"));
        assert_eq!(format!("{body:?}"), "NextBody");
    }

    #[test]
    fn sqs_is_asked_in_its_own_words() {
        let message = Message {
            body: r#"{"a":"\\"}"#.into(),
            compressed: true,
            group: "order/1".into(),
            deduplication: "2".into(),
            content_type: CONTENT_TYPE,
            issues: Some("other"),
        };
        let attributes = RequestAttributes {
            traceparent: Some("00-1-2-01"),
            tracestate: Some("rojo=1"),
            xray: Some("Root=1"),
            reconciled: true,
        };
        let asked = SendMessage::new("https://sqs/1/erp.fifo", "channel", &message, attributes);
        let asked: Value = serde_json::from_slice(&asked.to_json().unwrap()).unwrap();
        let text = |value: &str| json!({ "DataType": "String", "StringValue": value });
        let expected = json!({
            "QueueUrl": "https://sqs/1/erp.fifo",
            "MessageGroupId": "order/1",
            "MessageDeduplicationId": "2",
            "MessageAttributes": {
                "channel": text("channel"),
                "content-type": text(CONTENT_TYPE),
                "content-encoding": text(CONTENT_ENCODING),
                "issues": text("other"),
                "traceparent": text("00-1-2-01"),
                "tracestate": text("rojo=1"),
                "reconciled": text("true"),
            },
            "MessageSystemAttributes": { "AWSTraceHeader": text("Root=1") },
            "MessageBody": r#"{"a":"\\"}"#,
        });
        assert_eq!(asked, expected);
    }

    #[test]
    fn the_longest_attributes_fit_beside_the_largest_body_and_leave_half_of_the_room() {
        let message = Message {
            body: "{}".into(),
            compressed: true,
            group: "order/1".into(),
            deduplication: "2".into(),
            content_type: CONTENT_TYPE,
            issues: Some("expected"),
        };
        let traceparent = "0".repeat(55);
        let tracestate = "0".repeat(TRACESTATE_CHARS_MAX);
        let attributes = RequestAttributes {
            traceparent: Some(&traceparent),
            tracestate: Some(&tracestate),
            xray: None,
            reconciled: true,
        };
        let channel = "checkout_cart_product_add_after";
        let asked = SendMessage::new("https://sqs/1/erp.fifo", channel, &message, attributes);
        let asked: Value = serde_json::from_slice(&asked.to_json().unwrap()).unwrap();
        let attributes = asked["MessageAttributes"].as_object().unwrap();
        assert_eq!(attributes.len(), 7, "of ten that SQS takes");
        // SQS counts name, type and value of each, and nothing of the trace header.
        let counted = |(name, attribute): (&String, &Value)| {
            let length = |member: &str| attribute[member].as_str().unwrap().len();
            name.len() + length("DataType") + length("StringValue")
        };
        let bytes: usize = attributes.iter().map(counted).sum();
        assert!(bytes <= ATTRIBUTE_BYTES_MAX / 2, "{bytes}");
    }

    #[tokio::test]
    async fn the_outcome_says_what_is_known_of_all_attempts() {
        use AwsError::{Interrupted, Refused, TimedOut, Unreachable};
        let cases: [(&[Does], Result<(), AwsError>, usize); 12] = [
            (&[Answer(OK)], Ok(()), 1),
            (&[], Err(Unreachable), 0),
            (&[Answer(DENIED)], Err(Refused), 1),
            (&[Answer(THROTTLED), Answer(OK)], Ok(()), 2),
            (&[Answer(THROTTLED), Answer(THROTTLED)], Err(Refused), 2),
            (&[Answer(BUSY), Answer(OK)], Ok(()), 2),
            (&[Close, Answer(OK)], Ok(()), 2),
            (&[Nothing, Answer(OK)], Ok(()), 2),
            // The first attempt may have arrived, whatever became of the second.
            (&[Close], Err(Interrupted), 1),
            (&[Answer(GARBAGE), Answer(DENIED)], Err(Interrupted), 2),
            (&[Answer(BUSY), Answer(THROTTLED)], Err(Interrupted), 2),
            (&[Nothing, Nothing], Err(TimedOut), 2),
        ];
        for (index, (script, result, taken)) in cases.into_iter().enumerate() {
            let budget = Duration::from_millis(600);
            assert_eq!(send(script, budget).await, (result, taken), "case {index}");
        }
    }
}
