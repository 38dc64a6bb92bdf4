//! The dead-letter queue, and the reasons for which a message goes there. The worker sends such a
//! message itself: SQS would deliver it a thousand times first, and block its group meanwhile.

use std::collections::HashMap;

use aws_sdk_sqs::{
    Client,
    error::ProvideErrorMetadata as _,
    primitives::Blob,
    types::{
        MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
    },
};
use tracing::error;

use crate::batch::{Message, MessageAttribute};

/// The message attribute with the reason.
const REASON_ATTRIBUTE: &str = "reason";

/// Why a message went to the dead-letter queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeadLetterReason {
    /// The body does not match `content-encoding`, or is not JSON.
    Unreadable,
    /// The body exceeds the size limit after decompression.
    TooLarge,
    /// The body is JSON, but not a CloudEvent.
    NotACloudEvent,
    /// The body is a CloudEvent of an unknown version.
    WrongVersion,
    /// The CloudEvent is not from the webhook functions.
    NotOurs,
    /// The worker does not support this version of the contract.
    UnknownSchema,
    /// A field that the channel expects is missing or invalid.
    ExpectedIssues,
    /// The ERP system rejected the event permanently.
    Refused,
    /// The event kept failing while other events succeeded.
    FailedAlone,
    /// The event failed until the queue was about to delete it.
    ExpiresSoon,
}

impl DeadLetterReason {
    /// Returns the value for the log and for the message attribute.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
            Self::NotACloudEvent => "not_a_cloud_event",
            Self::WrongVersion => "wrong_version",
            Self::NotOurs => "not_ours",
            Self::UnknownSchema => "unknown_schema",
            Self::ExpectedIssues => "expected_issues",
            Self::Refused => "refused",
            Self::FailedAlone => "failed_alone",
            Self::ExpiresSoon => "expires_soon",
        }
    }
}

/// The dead-letter queue did not accept a message. The cause is in the log.
#[derive(Debug)]
pub(crate) struct SendError;

/// The dead-letter queue.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    client: Client,
    url: String,
}

impl DeadLetters {
    pub(crate) fn new(client: Client, url: String) -> Self {
        Self { client, url }
    }

    /// Sends the unchanged message, with the reason as an additional attribute.
    ///
    /// The deduplication id stays the same, so a second send within five minutes adds no second
    /// dead letter. For the same reason `make redrive` waits until SQS has forgotten the id:
    /// otherwise SQS would drop the next dead letter of this event.
    pub(crate) async fn send(
        &self,
        message: &Message,
        reason: DeadLetterReason,
    ) -> Result<(), SendError> {
        let system = &message.attributes;
        let trace = system.trace_header.as_ref().map(|header| {
            let trace = MessageSystemAttributeValue::builder().data_type("String");
            trace.string_value(header).build()
        });
        let mut request = self
            .client
            .send_message()
            .queue_url(&self.url)
            .set_message_group_id(system.message_group_id.clone())
            .set_message_deduplication_id(system.message_deduplication_id.clone())
            .set_message_attributes(Some(attributes(message, reason)))
            .message_body(&message.body);
        if let Some(Ok(trace)) = trace {
            let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
            request = request.message_system_attributes(name, trace);
        }
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                // Only the error code: the message of an error could quote the request.
                error!(code = error.code(), "dead-letter queue unavailable");
                Err(SendError)
            }
        }
    }
}

/// Returns the attributes of a dead letter. The new reason replaces an earlier one.
fn attributes(
    message: &Message,
    reason: DeadLetterReason,
) -> HashMap<String, MessageAttributeValue> {
    let reason = MessageAttribute {
        data_type: "String".to_owned(),
        string_value: Some(reason.name().to_owned()),
        binary_value: None,
    };
    let original = message.message_attributes.iter();
    original
        .filter_map(|(name, attribute)| Some((name.clone(), attribute_value(attribute)?)))
        .chain(attribute_value(&reason).map(|value| (REASON_ATTRIBUTE.to_owned(), value)))
        .collect()
}

/// Converts an attribute from Lambda's form to that of the SDK. Returns `None` for an attribute
/// that SQS cannot have sent.
fn attribute_value(attribute: &MessageAttribute) -> Option<MessageAttributeValue> {
    let binary = match &attribute.binary_value {
        Some(base64) => Some(base64_simd::STANDARD.decode_to_vec(base64).ok()?),
        None => None,
    };
    MessageAttributeValue::builder()
        .data_type(&attribute.data_type)
        .set_string_value(attribute.string_value.clone())
        .set_binary_value(binary.map(Blob::new))
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::tests::lambda_record;

    #[test]
    fn keeps_all_attributes_and_replaces_the_reason() {
        let mut record = lambda_record("m", Some("g"), "{}");
        record["messageAttributes"] = json!({
            "channel": { "stringValue": "x", "dataType": "String" },
            "digest": { "binaryValue": "AP8=", "stringListValues": [], "dataType": "Binary" },
            "reason": { "stringValue": "refused", "dataType": "String" }
        });
        let message = serde_json::from_value(record).unwrap();
        let sent = attributes(&message, DeadLetterReason::Unreadable);
        assert_eq!(sent.len(), 3);
        assert_eq!(sent["channel"].string_value(), Some("x"));
        assert_eq!(sent["reason"].string_value(), Some("unreadable"));
        assert_eq!(sent["digest"].data_type(), "Binary");
        assert_eq!(sent["digest"].binary_value().unwrap().as_ref(), [0, 255]);
    }
}
