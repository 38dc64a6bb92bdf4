//! Writes the body of a `SendMessage` request, and puts it into the request of the AWS SDK.
//!
//! The SDK itself escapes a message byte by byte, with 250,000 instructions for 10 KB.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use aws_sdk_sqs::config::{
    ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextMut,
};
use aws_smithy_runtime_api::box_error::BoxError;
use bytes::Bytes;
use lambda_http::http::header::CONTENT_LENGTH;
use serde::Serialize;

use super::{body::CONTENT_ENCODING, message::Message, quote::quote};

/// The approximate size of a request without the body of its message, in bytes.
const REST_BYTES: usize = 1024;

/// The attributes of a message that depend on the request.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestAttributes<'a> {
    /// The name of the shop, if it has one.
    pub shop: Option<&'a str>,
    /// W3C Trace Context of the shop's request.
    pub traceparent: Option<&'a str>,
    /// W3C Trace Context: the additions of tracing vendors to `traceparent`.
    pub tracestate: Option<&'a str>,
    /// X-Ray's trace header of this invocation, in a form that SQS accepts.
    pub xray: Option<&'a str>,
    /// Whether the reconcile tool sent the event.
    pub reconciled: bool,
}

/// The body of the request, as the API of SQS defines it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendMessage<'a> {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    shop: Option<Attribute<'a>>,
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
    pub(super) fn new(
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
                shop: attributes.shop.map(Attribute::text),
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
    pub(super) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        // Reserves all memory at once, because a growing buffer needs twice as much. In a message,
        // fewer than one byte in seven must be escaped.
        let capacity = self.message_body.len() / 7 * 8 + REST_BYTES;
        let mut json = Vec::with_capacity(capacity);
        serde_json::to_writer(&mut json, self)?;
        json.pop();
        json.extend_from_slice(br#","MessageBody":"#);
        quote(self.message_body, &mut json);
        json.push(b'}');
        Ok(json)
    }
}

/// Replaces the body of the client's next request, before the request is signed.
///
/// One place for the body is enough, because a function sends one message at a time. An interceptor
/// for each request would make the SDK build its whole configuration again.
#[derive(Clone, Default)]
pub(super) struct NextBody(Arc<Mutex<Option<Bytes>>>);

impl fmt::Debug for NextBody {
    /// The SDK requires `Debug`. The body contains the shop's data, so it is not shown.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

impl NextBody {
    pub(super) fn set(&self, body: Bytes) {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        deliver::{body::ATTRIBUTE_BYTES_MAX, message::CONTENT_TYPE},
        request::trace::TRACESTATE_CHARS_MAX,
        verify::SHOP_NAME_CHARS_MAX,
    };

    #[test]
    fn debug_output_hides_the_body() {
        let body = NextBody::default();
        body.set(Bytes::from_static(b"zoe@shop.example"));
        assert_eq!(format!("{body:?}"), "NextBody");
    }

    #[test]
    fn writes_the_request_as_the_api_of_sqs_defines_it() {
        let message = Message {
            body: r#"{"a":"\\"}"#.into(),
            compressed: true,
            group: "order/1".into(),
            deduplication: "2".into(),
            content_type: CONTENT_TYPE,
            issues: Some("other"),
        };
        let attributes = RequestAttributes {
            shop: Some("eu"),
            traceparent: Some("00-1-2-01"),
            tracestate: Some("rojo=1"),
            xray: Some("Root=1"),
            reconciled: true,
        };
        let request = SendMessage::new("https://sqs/1/erp.fifo", "channel", &message, attributes);
        let request: Value = serde_json::from_slice(&request.to_json().unwrap()).unwrap();
        let text = |value: &str| json!({ "DataType": "String", "StringValue": value });
        let expected = json!({
            "QueueUrl": "https://sqs/1/erp.fifo",
            "MessageGroupId": "order/1",
            "MessageDeduplicationId": "2",
            "MessageAttributes": {
                "channel": text("channel"),
                "shop": text("eu"),
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
        assert_eq!(request, expected);
    }

    #[test]
    fn the_longest_attributes_take_at_most_half_of_the_reserved_bytes() {
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
        let shop = "s".repeat(SHOP_NAME_CHARS_MAX);
        let attributes = RequestAttributes {
            shop: Some(&shop),
            traceparent: Some(&traceparent),
            tracestate: Some(&tracestate),
            xray: None,
            reconciled: true,
        };
        let channel = "checkout_cart_product_add_after";
        let request = SendMessage::new("https://sqs/1/erp.fifo", channel, &message, attributes);
        let request: Value = serde_json::from_slice(&request.to_json().unwrap()).unwrap();
        let attributes = request["MessageAttributes"].as_object().unwrap();
        assert_eq!(attributes.len(), 8, "SQS allows ten");
        // SQS counts the name, type and value of each attribute, but not the trace header.
        let size = |(name, attribute): (&String, &Value)| {
            let length = |member: &str| attribute[member].as_str().unwrap().len();
            name.len() + length("DataType") + length("StringValue")
        };
        let bytes: usize = attributes.iter().map(size).sum();
        assert!(bytes <= ATTRIBUTE_BYTES_MAX / 2, "{bytes}");
    }
}
