//! Metrics: one JSON line for each request, in the embedded metric format, of which CloudWatch Logs makes metrics. No line ever holds
//! a value out of an event.

use std::{
    io::{self, Write as _},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, Serializer};

use crate::telemetry::Line;

/// The metrics, by the names that alarms and dashboards know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Metric {
    /// The event is in the queue.
    Accepted,
    /// A rule or the stock check stopped the shopper.
    Refused,
    /// No key vouched for it.
    Unverified,
    /// It is no event, or not a valid one.
    Invalid,
    /// It is ours, or AWS's, that it was not accepted.
    Failed,
    /// How long it took to find out whether a key vouches for it.
    VerifyTime,
    /// How long the rules and the channel took.
    DecideTime,
    /// How long the queue took.
    EnqueueTime,
    /// What was left of the budget when the answer was made.
    TimeLeft,
    /// It was the first request of a process.
    ColdStart,
    /// A key vouched for it: which one is a dimension.
    Verified,
}

impl Metric {
    fn unit(self) -> &'static str {
        match self {
            Self::VerifyTime | Self::DecideTime | Self::EnqueueTime | Self::TimeLeft => {
                "Milliseconds"
            }
            Self::Accepted
            | Self::Refused
            | Self::Unverified
            | Self::Invalid
            | Self::Failed
            | Self::ColdStart
            | Self::Verified => "Count",
        }
    }
}

/// What a request is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Verify,
    Read,
    Decide,
    Write,
    Enqueue,
}

impl Stage {
    /// The metric of its time, if it takes long enough to have one.
    fn metric(self) -> Option<Metric> {
        match self {
            Self::Verify => Some(Metric::VerifyTime),
            Self::Decide => Some(Metric::DecideTime),
            Self::Enqueue => Some(Metric::EnqueueTime),
            Self::Read | Self::Write => None,
        }
    }
}

/// How long each stage took that was reached. A stage ends where the next one begins, or where the request does, however it ends.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    current: Option<(Stage, Instant)>,
    ended: Vec<(Stage, Duration)>,
}

impl Stages {
    pub(crate) fn enter(&mut self, stage: Stage) {
        self.end();
        self.current = Some((stage, Instant::now()));
    }

    pub(crate) fn end(&mut self) {
        if let Some((stage, since)) = self.current.take() {
            self.ended.push((stage, since.elapsed()));
        }
    }
}

/// Where the metrics go: a namespace of CloudWatch, by way of the standard output.
#[derive(Debug)]
pub(crate) struct Metrics {
    namespace: String,
}

impl Metrics {
    pub(crate) fn new(namespace: String) -> Self {
        Self { namespace }
    }

    /// Writes the metrics of a request, at once, so that no log line comes between.
    pub(crate) fn write(&self, line: &Line<'_>) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let document = self.document(line, now);
        // Without an output there is nobody to tell. An answer must not hang on it.
        let _ = io::stdout().lock().write_all(document.as_bytes());
    }

    /// The line of a request. What it names as a metric is made of the values that it has, so neither can be without the other.
    fn document(&self, line: &Line<'_>, now: Duration) -> String {
        let mut values = vec![(line.metric, 1.0)];
        values.extend(line.cold_start.then_some((Metric::ColdStart, 1.0)));
        for (stage, took) in &line.stages.ended {
            values.extend(stage.metric().map(|metric| (metric, millis(*took))));
        }
        values.push((Metric::TimeLeft, millis(line.left)));
        let mut directives = vec![Directive {
            namespace: &self.namespace,
            dimensions: &[&["channel"], &[]],
            metrics: values
                .iter()
                .map(|(name, _)| Definition::of(*name))
                .collect(),
        }];
        if line.key.is_some() {
            values.push((Metric::Verified, 1.0));
            directives.push(Directive {
                namespace: &self.namespace,
                dimensions: &[&["channel", "key"]],
                metrics: vec![Definition::of(Metric::Verified)],
            });
        }
        let document = Document {
            aws: Metadata {
                timestamp: now.as_millis(),
                cloud_watch_metrics: directives,
            },
            channel: line.channel,
            key: line.key,
            request_id: line.request_id,
            values: Values(values),
        };
        let mut text = serde_json::to_string(&document).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// Milliseconds with three decimals. More than an hour, which no function runs, is an hour and something.
fn millis(duration: Duration) -> f64 {
    f64::from(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)) / 1000.0
}

/// The root: what CloudWatch shall do, and the members that it says that with.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "_aws")]
    aws: Metadata<'a>,
    channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    request_id: &'a str,
    #[serde(flatten)]
    values: Values,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata<'a> {
    timestamp: u128,
    cloud_watch_metrics: Vec<Directive<'a>>,
}

/// Some metrics, each of which counts once under every set of dimensions. The empty set is the total.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'a> {
    namespace: &'a str,
    dimensions: &'a [&'a [&'a str]],
    metrics: Vec<Definition>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: Metric,
    unit: &'static str,
}

impl Definition {
    fn of(name: Metric) -> Self {
        let unit = name.unit();
        Self { name, unit }
    }
}

struct Values(Vec<(Metric, f64)>);

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        error::{Failure, Trouble},
        signature::Untrusted,
        telemetry::Loudness,
    };

    const NOW: Duration = Duration::from_millis(1_781_814_431_123);

    fn line(metric: Metric, stages: &Stages) -> Line<'_> {
        Line {
            loudness: Loudness::Info,
            metric,
            channel: "sales_order_place_after",
            outcome: "accepted",
            status: 200,
            forwarded: "yes",
            request_id: "JKJaXmPLvHcESHA=",
            trace_id: None,
            shop_request_id: Some("shop-1"),
            event_id: None,
            key: None,
            rules: None,
            observed: None,
            finding: None,
            violations: 0,
            stages,
            spent: Duration::from_micros(7_890),
            left: Duration::from_micros(4_680_250),
            cold_start: false,
        }
    }

    fn document(line: &Line<'_>) -> String {
        Metrics::new("CommerceWebhooks/my-stack".to_owned()).document(line, NOW)
    }

    fn ended(stages: &[(Stage, u64)]) -> Stages {
        let took = |&(stage, micros)| (stage, Duration::from_micros(micros));
        Stages {
            current: None,
            ended: stages.iter().map(took).collect(),
        }
    }

    #[test]
    fn a_request_that_went_all_the_way() {
        let stages = ended(&[
            (Stage::Verify, 84),
            (Stage::Read, 50),
            (Stage::Decide, 1_121),
            (Stage::Write, 90),
            (Stage::Enqueue, 6_345),
        ]);
        let text = document(&Line {
            key: Some("current/hmac_secrets/0"),
            cold_start: true,
            ..line(Metric::Accepted, &stages)
        });
        let expected = concat!(
            r#"{"_aws":{"Timestamp":1781814431123,"CloudWatchMetrics":["#,
            r#"{"Namespace":"CommerceWebhooks/my-stack","Dimensions":[["channel"],[]],"Metrics":["#,
            r#"{"Name":"Accepted","Unit":"Count"},{"Name":"ColdStart","Unit":"Count"},"#,
            r#"{"Name":"VerifyTime","Unit":"Milliseconds"},{"Name":"DecideTime","Unit":"Milliseconds"},"#,
            r#"{"Name":"EnqueueTime","Unit":"Milliseconds"},{"Name":"TimeLeft","Unit":"Milliseconds"}]},"#,
            r#"{"Namespace":"CommerceWebhooks/my-stack","Dimensions":[["channel","key"]],"Metrics":["#,
            r#"{"Name":"Verified","Unit":"Count"}]}]},"#,
            r#""channel":"sales_order_place_after","key":"current/hmac_secrets/0","request_id":"JKJaXmPLvHcESHA=","#,
            r#""Accepted":1.0,"ColdStart":1.0,"VerifyTime":0.084,"DecideTime":1.121,"EnqueueTime":6.345,"#,
            r#""TimeLeft":4680.25,"Verified":1.0}"#,
            "\n"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn a_request_that_ended_at_once() {
        let stages = Stages::default();
        let document = document(&Line {
            left: Duration::ZERO,
            ..line(Metric::Invalid, &stages)
        });
        assert_eq!(
            serde_json::from_str::<Value>(&document).unwrap(),
            json!({
                "_aws": {
                    "Timestamp": 1_781_814_431_123_u64,
                    "CloudWatchMetrics": [{
                        "Namespace": "CommerceWebhooks/my-stack",
                        "Dimensions": [["channel"], []],
                        "Metrics": [
                            { "Name": "Invalid", "Unit": "Count" },
                            { "Name": "TimeLeft", "Unit": "Milliseconds" },
                        ],
                    }],
                },
                "channel": "sales_order_place_after",
                "request_id": "JKJaXmPLvHcESHA=",
                "Invalid": 1.0,
                "TimeLeft": 0.0,
            })
        );
    }

    #[test]
    fn a_stage_ends_where_the_next_one_begins_or_the_request_does() {
        let mut stages = Stages::default();
        stages.end();
        assert!(stages.ended.is_empty(), "none was reached");
        stages.enter(Stage::Verify);
        std::thread::sleep(Duration::from_millis(2));
        stages.enter(Stage::Decide);
        stages.end();
        stages.end();
        let names: Vec<_> = stages.ended.iter().map(|(stage, _)| *stage).collect();
        assert_eq!(names, [Stage::Verify, Stage::Decide]);
        assert!(stages.ended[0].1 >= Duration::from_millis(2));
        assert!(stages.ended[1].1 < stages.ended[0].1);
    }

    #[test]
    fn a_time_has_three_decimals_and_an_end() {
        for (duration, expected) in [
            (Duration::ZERO, 0.0),
            (Duration::from_nanos(999), 0.0),
            (Duration::from_nanos(84_999), 0.084),
            (Duration::from_secs(30), 30_000.0),
            (Duration::MAX, 4_294_967.295),
        ] {
            assert_eq!(millis(duration).to_string(), f64::to_string(&expected));
        }
    }

    #[test]
    fn every_failure_counts_as_what_its_status_says() {
        let troubles = [
            Trouble::Refused,
            Trouble::Unreachable,
            Trouble::Interrupted,
            Trouble::TimedOut,
        ];
        let untrusted = [Untrusted::Missing, Untrusted::NoKey, Untrusted::Wrong];
        let failures = [
            Failure::NotARequest,
            Failure::NotApplicationJson,
            Failure::TooLarge,
            Failure::NoKeys,
            Failure::NotJson,
            Failure::WrongEvent,
            Failure::Invalid {
                violations: Vec::new(),
                unlisted: 1,
            },
            Failure::OutOfTime,
            Failure::Internal,
        ];
        let all = failures
            .into_iter()
            .chain(untrusted.map(Failure::Untrusted))
            .chain(troubles.map(Failure::Queue));
        for failure in all {
            let expected = match failure.status() {
                401 => Metric::Unverified,
                400 | 413 | 415 | 422 => Metric::Invalid,
                500 | 503 | 504 => Metric::Failed,
                other => panic!("{other}"),
            };
            assert_eq!(failure.metric(), expected, "{failure:?}");
        }
    }
}
