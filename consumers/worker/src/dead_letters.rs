//! Sets a message aside, so that what follows it in its group can go on. Left to SQS, it would come a thousand times first.

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

use crate::{
    batch::{Attribute, Record},
    event::Reason,
};

/// The attribute that says why a message was set aside.
const REASON: &str = "reason";

/// The dead-letter queue did not take a message.
#[derive(Debug)]
pub(crate) struct Unavailable;

/// The queue for what can never succeed.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    client: Client,
    url: String,
}

impl DeadLetters {
    pub(crate) fn new(client: Client, url: String) -> Self {
        Self { client, url }
    }

    /// Sends the message as it came, and the reason beside it. With the same deduplication id, so that a second try within five minutes
    /// is no second dead letter; `make redrive` waits until SQS has forgotten that id, or the next dead letter of this event would be dropped.
    pub(crate) async fn send(&self, record: &Record, reason: Reason) -> Result<(), Unavailable> {
        let known = &record.attributes;
        let trace = known.trace_header.as_ref().map(|header| {
            let trace = MessageSystemAttributeValue::builder().data_type("String");
            trace.string_value(header).build()
        });
        let mut request = self
            .client
            .send_message()
            .queue_url(&self.url)
            .set_message_group_id(known.message_group_id.clone())
            .set_message_deduplication_id(known.message_deduplication_id.clone())
            .set_message_attributes(Some(attributes(record, reason)))
            .message_body(&record.body);
        if let Some(Ok(trace)) = trace {
            let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
            request = request.message_system_attributes(name, trace);
        }
        match request.send().await {
            Ok(_) => Ok(()),
            Err(failure) => {
                // The code is one of SQS's own words; its message could quote the request.
                error!(code = failure.code(), "dead-letter queue not available");
                Err(Unavailable)
            }
        }
    }
}

fn attributes(record: &Record, reason: Reason) -> HashMap<String, MessageAttributeValue> {
    let reason = Attribute {
        data_type: "String".to_owned(),
        string_value: Some(reason.name().to_owned()),
        binary_value: None,
    };
    let kept = record.message_attributes.iter();
    kept.filter_map(|(name, attribute)| Some((name.clone(), value(attribute)?)))
        .chain(value(&reason).map(|value| (REASON.to_owned(), value)))
        .collect()
}

/// The attribute as SQS takes it. `None` for one that SQS cannot have sent.
fn value(attribute: &Attribute) -> Option<MessageAttributeValue> {
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
    use crate::batch::tests::record;

    #[test]
    fn all_attributes_are_kept_and_the_reason_is_the_latest() {
        let mut record = record("m", Some("g"), "{}");
        record["messageAttributes"] = json!({
            "channel": { "stringValue": "x", "dataType": "String" },
            "digest": { "binaryValue": "AP8=", "stringListValues": [], "dataType": "Binary" },
            "reason": { "stringValue": "refused", "dataType": "String" }
        });
        let kept = attributes(&serde_json::from_value(record).unwrap(), Reason::Unreadable);
        assert_eq!(kept.len(), 3);
        assert_eq!(kept["channel"].string_value(), Some("x"));
        assert_eq!(kept["reason"].string_value(), Some("unreadable"));
        assert_eq!(kept["digest"].data_type(), "Binary");
        assert_eq!(kept["digest"].binary_value().unwrap().as_ref(), [0, 255]);
    }
}
