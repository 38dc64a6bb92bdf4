//! What Lambda hands over, and the answer: a batch of messages, and which of them must come again.
//!
//! `aws_lambda_events` has the same types, and twenty more crates that nothing here needs.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// The messages of one invocation, in the order of the queue.
#[derive(Debug, Deserialize)]
pub(crate) struct Batch {
    #[serde(rename = "Records")]
    pub(crate) records: Vec<Record>,
}

/// One message.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    pub(crate) message_id: String,
    pub(crate) receipt_handle: String,
    pub(crate) body: String,
    pub(crate) attributes: SystemAttributes,
    #[serde(default)]
    pub(crate) message_attributes: HashMap<String, Attribute>,
}

/// What SQS knows of a message. A queue that is not FIFO knows no group.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SystemAttributes {
    pub(crate) message_group_id: Option<String>,
    pub(crate) message_deduplication_id: Option<String>,
    pub(crate) approximate_receive_count: Option<String>,
    /// Both in milliseconds since 1970.
    pub(crate) sent_timestamp: Option<String>,
    pub(crate) approximate_first_receive_timestamp: Option<String>,
    #[serde(rename = "AWSTraceHeader")]
    pub(crate) trace_header: Option<String>,
}

/// One attribute beside the body.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Attribute {
    pub(crate) data_type: String,
    pub(crate) string_value: Option<String>,
    /// In base64.
    pub(crate) binary_value: Option<String>,
}

/// Which messages must come again. Lambda deletes the others from the queue.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    batch_item_failures: Vec<Failure>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: String,
}

/// Whether a message is through with, in whatever way, or comes again after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Settled,
    ComesAgain(Duration),
}

impl Record {
    /// The text of an attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.message_attributes.get(name)?.string_value.as_deref()
    }

    /// When it was sent, and when it was first received by anybody.
    pub(crate) fn sent(&self) -> Option<SystemTime> {
        moment(self.attributes.sent_timestamp.as_deref())
    }

    pub(crate) fn first_received(&self) -> Option<SystemTime> {
        moment(
            self.attributes
                .approximate_first_receive_timestamp
                .as_deref(),
        )
    }

    /// What this message keeps an order with. Without a group that is itself alone.
    fn group(&self) -> &str {
        let group = self.attributes.message_group_id.as_deref();
        group.unwrap_or(&self.message_id)
    }
}

impl Batch {
    /// Goes through the messages: those that come again, and after which pause. Once one must come again, so must all that follow
    /// it in its group, untouched and after the same pause: the order would be lost otherwise. Other groups go on.
    pub(crate) async fn go_through(
        &self,
        mut handle: impl AsyncFnMut(&Record) -> Fate,
        mut pass_over: impl FnMut(&Record, Duration),
    ) -> Vec<(&Record, Duration)> {
        let mut halted = HashMap::new();
        let mut coming_again = Vec::new();
        for record in &self.records {
            if let Some(pause) = halted.get(record.group()) {
                pass_over(record, *pause);
                coming_again.push((record, *pause));
            } else if let Fate::ComesAgain(pause) = handle(record).await {
                halted.insert(record.group(), pause);
                coming_again.push((record, pause));
            }
        }
        coming_again
    }
}

impl Answer {
    pub(crate) fn new(coming_again: &[(&Record, Duration)]) -> Self {
        let failure = |(record, _): &(&Record, Duration)| Failure {
            item_identifier: record.message_id.clone(),
        };
        Self {
            batch_item_failures: coming_again.iter().map(failure).collect(),
        }
    }
}

fn moment(millis: Option<&str>) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis?.parse().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A record as Lambda writes it.
    pub(crate) fn record(id: &str, group: Option<&str>, body: &str) -> Value {
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
                "channel": { "stringValue": "x", "stringListValues": [], "binaryListValues": [], "dataType": "String" }
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
            .map(|(id, group)| record(id, *group, "{}"))
            .collect();
        serde_json::from_value(json!({ "Records": records })).unwrap()
    }

    const PAUSE: Duration = Duration::from_secs(15);

    /// What comes again, what was handled, and what was passed over, when these fail.
    async fn go_through(
        messages: &[(&str, Option<&str>)],
        failing: &[&str],
    ) -> (Value, Vec<String>, Vec<String>) {
        let (mut handled, mut passed) = (Vec::new(), Vec::new());
        let handle = async |record: &Record| {
            handled.push(record.message_id.clone());
            if failing.contains(&record.message_id.as_str()) {
                Fate::ComesAgain(PAUSE)
            } else {
                Fate::Settled
            }
        };
        let pass_over = |record: &Record, pause| {
            assert_eq!(pause, PAUSE);
            passed.push(record.message_id.clone());
        };
        let batch = batch(messages);
        let coming_again = batch.go_through(handle, pass_over).await;
        assert!(coming_again.iter().all(|(_, pause)| *pause == PAUSE));
        let answer = serde_json::to_value(Answer::new(&coming_again)).unwrap();
        (answer, handled, passed)
    }

    #[test]
    fn a_record_is_read_as_lambda_writes_it() {
        let record: Record = serde_json::from_value(record("m", Some("order/1"), "{}")).unwrap();
        assert_eq!(
            (record.group(), record.attribute("channel")),
            ("order/1", Some("x"))
        );
        assert_eq!(record.attribute("content-encoding"), None);
        assert_eq!(
            record.attributes.message_deduplication_id.as_deref(),
            Some("1")
        );
        assert_eq!(
            record.attributes.approximate_receive_count.as_deref(),
            Some("1")
        );
        let at = |millis| Some(UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(record.sent(), at(1_781_814_431_000));
        assert_eq!(record.first_received(), at(1_781_814_431_001));
        assert_eq!(record.receipt_handle, "AQEB");
    }

    #[tokio::test]
    async fn when_all_goes_well_nothing_comes_again() {
        let messages = [("1", Some("a")), ("2", Some("a"))];
        let (answer, handled, passed) = go_through(&messages, &[]).await;
        assert_eq!(answer, json!({ "batchItemFailures": [] }));
        assert_eq!((handled.len(), passed.len()), (2, 0));
    }

    #[tokio::test]
    async fn after_a_failure_its_group_waits_and_the_others_go_on() {
        let (a, b) = (Some("a"), Some("b"));
        let messages = [("1", a), ("2", a), ("3", b), ("4", a), ("5", b)];
        let (answer, handled, passed) = go_through(&messages, &["2"]).await;
        let expected = json!([{ "itemIdentifier": "2" }, { "itemIdentifier": "4" }]);
        assert_eq!(answer["batchItemFailures"], expected);
        assert_eq!(
            (handled, passed),
            (
                ["1", "2", "3", "5"].map(String::from).to_vec(),
                vec!["4".to_owned()]
            )
        );
    }

    #[tokio::test]
    async fn without_groups_every_message_stands_alone() {
        let messages = [("1", None), ("2", None)];
        let (answer, handled, _) = go_through(&messages, &["1"]).await;
        assert_eq!(
            answer["batchItemFailures"],
            json!([{ "itemIdentifier": "1" }])
        );
        assert_eq!(handled, ["1", "2"]);
    }
}
