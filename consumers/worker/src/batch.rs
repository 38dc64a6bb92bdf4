//! The types of Lambda's SQS event and of its response, and the order in which a batch is handled.
//! `aws_lambda_events` has the same types, but needs twenty more crates.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// The messages of one invocation, in the order of the queue.
#[derive(Debug, Deserialize)]
pub(crate) struct Batch {
    #[serde(rename = "Records")]
    pub(crate) messages: Vec<Message>,
}

/// A message as Lambda passes it to a function.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message {
    pub(crate) message_id: String,
    pub(crate) receipt_handle: String,
    pub(crate) body: String,
    pub(crate) attributes: SystemAttributes,
    #[serde(default)]
    pub(crate) message_attributes: HashMap<String, MessageAttribute>,
}

/// The system attributes of a message. A message of a standard queue has no group.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SystemAttributes {
    pub(crate) message_group_id: Option<String>,
    pub(crate) message_deduplication_id: Option<String>,
    pub(crate) approximate_receive_count: Option<String>,
    /// In milliseconds since 1970.
    pub(crate) sent_timestamp: Option<String>,
    /// In milliseconds since 1970.
    pub(crate) approximate_first_receive_timestamp: Option<String>,
    #[serde(rename = "AWSTraceHeader")]
    pub(crate) trace_header: Option<String>,
}

/// A message attribute.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageAttribute {
    pub(crate) data_type: String,
    pub(crate) string_value: Option<String>,
    /// In base64.
    pub(crate) binary_value: Option<String>,
}

/// The messages that must be retried. Lambda deletes the others from the queue.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BatchResponse {
    batch_item_failures: Vec<BatchItemFailure>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchItemFailure {
    item_identifier: String,
}

/// What Lambda does with a message after the invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Lambda deletes it.
    Delete,
    /// It stays in the queue, and is delivered again after this pause.
    RetryAfter(Duration),
}

impl Message {
    /// Returns the string value of a message attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.message_attributes.get(name)?.string_value.as_deref()
    }

    /// Returns when the message was sent.
    pub(crate) fn sent(&self) -> Option<SystemTime> {
        parse_timestamp(self.attributes.sent_timestamp.as_deref())
    }

    /// Returns when any consumer first received the message.
    pub(crate) fn first_received(&self) -> Option<SystemTime> {
        parse_timestamp(
            self.attributes
                .approximate_first_receive_timestamp
                .as_deref(),
        )
    }

    /// Returns the group within which order is kept. Without a group, the message has its own.
    fn group(&self) -> &str {
        let group = self.attributes.message_group_id.as_deref();
        group.unwrap_or(&self.message_id)
    }
}

impl Batch {
    /// Handles the messages in order, and returns those to retry, each with its pause.
    ///
    /// If a message must be retried, then so must the later messages of its group, after the same
    /// pause. They are passed to `on_blocked` instead of `handle`: otherwise they would overtake
    /// the first one. Other groups continue.
    pub(crate) async fn handle_in_order(
        &self,
        mut handle: impl AsyncFnMut(&Message) -> Disposition,
        mut on_blocked: impl FnMut(&Message, Duration),
    ) -> Vec<(&Message, Duration)> {
        let mut blocked_groups = HashMap::new();
        let mut retries = Vec::new();
        for message in &self.messages {
            if let Some(pause) = blocked_groups.get(message.group()) {
                on_blocked(message, *pause);
                retries.push((message, *pause));
            } else if let Disposition::RetryAfter(pause) = handle(message).await {
                blocked_groups.insert(message.group(), pause);
                retries.push((message, pause));
            }
        }
        retries
    }
}

impl BatchResponse {
    pub(crate) fn new(retries: &[(&Message, Duration)]) -> Self {
        let failure = |(message, _): &(&Message, Duration)| BatchItemFailure {
            item_identifier: message.message_id.clone(),
        };
        Self {
            batch_item_failures: retries.iter().map(failure).collect(),
        }
    }
}

fn parse_timestamp(millis: Option<&str>) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis?.parse().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Returns a message as Lambda writes it.
    pub(crate) fn lambda_record(id: &str, group: Option<&str>, body: &str) -> Value {
        json!({
            "messageId": id,
            "receiptHandle": "AQEB",
            "body": body,
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": "1781814431000",
                "SequenceNumber": "18849496460467696128",
                "MessageGroupId": group,
                "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                "MessageDeduplicationId": "1",
                "ApproximateFirstReceiveTimestamp": "1781814431001"
            },
            "messageAttributes": {
                "channel": {
                    "stringValue": "x",
                    "stringListValues": [],
                    "binaryListValues": [],
                    "dataType": "String"
                }
            },
            "md5OfBody": "00",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:erp.fifo",
            "awsRegion": "eu-west-1"
        })
    }

    fn batch(messages: &[(&str, Option<&str>)]) -> Batch {
        let records: Vec<_> = messages
            .iter()
            .map(|(id, group)| lambda_record(id, *group, "{}"))
            .collect();
        serde_json::from_value(json!({ "Records": records })).unwrap()
    }

    const PAUSE: Duration = Duration::from_secs(15);

    /// Handles a batch in which the messages `failing` fail. Returns the response, the handled
    /// messages and the blocked ones.
    async fn handle_batch(
        messages: &[(&str, Option<&str>)],
        failing: &[&str],
    ) -> (Value, Vec<String>, Vec<String>) {
        let (mut handled, mut blocked) = (Vec::new(), Vec::new());
        let handle = async |message: &Message| {
            handled.push(message.message_id.clone());
            if failing.contains(&message.message_id.as_str()) {
                Disposition::RetryAfter(PAUSE)
            } else {
                Disposition::Delete
            }
        };
        let on_blocked = |message: &Message, pause| {
            assert_eq!(pause, PAUSE);
            blocked.push(message.message_id.clone());
        };
        let batch = batch(messages);
        let retries = batch.handle_in_order(handle, on_blocked).await;
        assert!(retries.iter().all(|(_, pause)| *pause == PAUSE));
        let response = serde_json::to_value(BatchResponse::new(&retries)).unwrap();
        (response, handled, blocked)
    }

    #[test]
    fn parses_a_message_as_lambda_writes_it() {
        let record = lambda_record("m", Some("order/1"), "{}");
        let message: Message = serde_json::from_value(record).unwrap();
        assert_eq!(
            (message.group(), message.attribute("channel")),
            ("order/1", Some("x"))
        );
        assert_eq!(message.attribute("content-encoding"), None);
        assert_eq!(
            message.attributes.message_deduplication_id.as_deref(),
            Some("1")
        );
        assert_eq!(
            message.attributes.approximate_receive_count.as_deref(),
            Some("1")
        );
        let at = |millis| Some(UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(message.sent(), at(1_781_814_431_000));
        assert_eq!(message.first_received(), at(1_781_814_431_001));
        assert_eq!(message.receipt_handle, "AQEB");
    }

    #[tokio::test]
    async fn retries_nothing_if_all_messages_succeed() {
        let messages = [("1", Some("a")), ("2", Some("a"))];
        let (response, handled, blocked) = handle_batch(&messages, &[]).await;
        assert_eq!(response, json!({ "batchItemFailures": [] }));
        assert_eq!((handled.len(), blocked.len()), (2, 0));
    }

    #[tokio::test]
    async fn a_failure_blocks_its_group_and_no_other() {
        let (a, b) = (Some("a"), Some("b"));
        let messages = [("1", a), ("2", a), ("3", b), ("4", a), ("5", b)];
        let (response, handled, blocked) = handle_batch(&messages, &["2"]).await;
        let expected = json!([{ "itemIdentifier": "2" }, { "itemIdentifier": "4" }]);
        assert_eq!(response["batchItemFailures"], expected);
        assert_eq!(
            (handled, blocked),
            (
                ["1", "2", "3", "5"].map(String::from).to_vec(),
                vec!["4".to_owned()]
            )
        );
    }

    #[tokio::test]
    async fn a_failure_without_a_group_blocks_no_other_message() {
        let messages = [("1", None), ("2", None)];
        let (response, handled, _) = handle_batch(&messages, &["1"]).await;
        assert_eq!(
            response["batchItemFailures"],
            json!([{ "itemIdentifier": "1" }])
        );
        assert_eq!(handled, ["1", "2"]);
    }
}
