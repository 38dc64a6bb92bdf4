//! Metrics: JSON lines for each request, in the embedded metric format, of which CloudWatch Logs makes metrics. No line ever holds a
//! value out of an event.

use std::{io::Write as _, time::Duration};

use metrics::{Label, Unit, counter, histogram};
use metrics_cloudwatch_embedded::{Builder, Collector};
use tracing::error;

use crate::telemetry::{Line, Metric, Output};

/// Where the metrics go: a namespace of CloudWatch, by way of the standard output. A process has one at most, because what is counted
/// goes to the one recorder that it has.
pub(crate) struct Metrics(&'static Collector);

impl Metrics {
    /// Events are taken also without metrics.
    pub(crate) fn start(namespace: String) -> Option<Self> {
        Self::of(Builder::new().cloudwatch_namespace(namespace))
    }

    fn of(builder: Builder) -> Option<Self> {
        builder
            .init()
            .inspect_err(|reason| error!("no metrics: {reason}"))
            .ok()
            .map(Self)
    }

    /// Writes the metrics of a request.
    pub(crate) fn write(&self, line: &Line<'_>) {
        let _ = Output.write_all(&self.documents(line));
    }

    /// A line for each set of dimensions: none, which is the total, the channel, and the channel with the key. Of what counts as
    /// nothing there is none.
    fn documents(&self, line: &Line<'_>) -> Vec<u8> {
        let Some(outcome) = line.metric else {
            return Vec::new();
        };
        let channel = || vec![Label::from_static_parts("channel", line.channel)];
        self.0.set_property("request_id", line.request_id);
        count(outcome, Vec::new());
        count(outcome, channel());
        if line.cold_start {
            count(Metric::ColdStart, channel());
        }
        if outcome == Metric::Accepted && line.issues > 0 {
            count(Metric::Irregular, Vec::new());
            count(Metric::Irregular, channel());
        }
        if line.unevaluated.is_some() {
            count(Metric::RulesUnevaluated, channel());
        }
        for (stage, took) in line.stages.ended() {
            if let Some(metric) = stage.metric() {
                time(metric, *took, channel());
            }
        }
        time(Metric::TimeLeft, line.left, channel());
        if let Some(key) = line.key {
            let mut labels = channel();
            labels.push(Label::new("key", key.to_owned()));
            count(Metric::Verified, labels);
        }
        let mut documents = Vec::new();
        // A vector takes everything.
        let _ = self.0.flush(&mut documents);
        documents
    }
}

fn count(metric: Metric, labels: Vec<Label>) {
    counter!(unit: Unit::Count, description: "", metric.name(), labels).increment(1);
}

/// A histogram is written once and then forgotten. A gauge would be written again with every later request.
fn time(metric: Metric, took: Duration, labels: Vec<Label>) {
    histogram!(unit: Unit::Milliseconds, description: "", metric.name(), labels)
        .record(millis(took));
}

/// Milliseconds with three decimals. More than an hour, which no function runs, is an hour and something.
fn millis(duration: Duration) -> f64 {
    f64::from(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)) / 1000.0
}

#[cfg(test)]
mod tests {
    use std::sync::{LazyLock, Mutex};

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        aws::AwsError,
        outcome::Failure,
        telemetry::{LogLevel, Stage, Stages},
        verify::Untrusted,
    };

    const CHANNEL: &str = "sales_order_place_after";
    const NOW: u64 = 1_781_814_431_123;

    /// The one of this process. Who has the lock is alone with it, as a request is.
    static METRICS: LazyLock<Mutex<Metrics>> = LazyLock::new(|| {
        let builder = Builder::new()
            .cloudwatch_namespace("CommerceWebhooks/my-stack")
            .with_timestamp(NOW);
        Mutex::new(Metrics::of(builder).unwrap())
    });

    fn documents(line: &Line<'_>) -> String {
        String::from_utf8(METRICS.lock().unwrap().documents(line)).unwrap()
    }

    fn line(metric: Metric, stages: &Stages) -> Line<'_> {
        Line {
            level: LogLevel::Info,
            metric: Some(metric),
            channel: CHANNEL,
            outcome: "accepted",
            status: 200,
            forwarded: "yes",
            request_id: "JKJaXmPLvHcESHA=",
            trace_id: None,
            shop_request_id: Some("shop-1"),
            event_id: None,
            subject_digest: None,
            reconciled: None,
            key: None,
            rules: None,
            unevaluated: None,
            observed: None,
            finding: None,
            violations: 0,
            issues: 0,
            pointers: None,
            stages,
            spent: Duration::from_micros(7_890),
            left: Duration::from_micros(4_680_250),
            cold_start: false,
        }
    }

    fn ended(stages: &[(Stage, u64)]) -> Stages {
        let took = |&(stage, micros)| (stage, Duration::from_micros(micros));
        Stages::that_took(stages.iter().map(took).collect())
    }

    fn all_the_way() -> Stages {
        ended(&[
            (Stage::Verify, 84),
            (Stage::Read, 50),
            (Stage::Decide, 1_121),
            (Stage::Write, 90),
            (Stage::Enqueue, 6_345),
        ])
    }

    #[test]
    fn a_request_that_went_all_the_way() {
        let text = documents(&Line {
            key: Some("current/hmac_secrets/0"),
            cold_start: true,
            ..line(Metric::Accepted, &all_the_way())
        });
        let expected = concat!(
            r#"{"_aws":{"Timestamp":1781814431123,"CloudWatchMetrics":[{"Namespace":"CommerceWebhooks/my-stack","#,
            r#""Dimensions":[[]],"Metrics":[{"Name":"Accepted","Unit":"Count"}]}]},"#,
            r#""request_id":"JKJaXmPLvHcESHA=","Accepted":1}"#,
            "\n",
            r#"{"_aws":{"Timestamp":1781814431123,"CloudWatchMetrics":[{"Namespace":"CommerceWebhooks/my-stack","#,
            r#""Dimensions":[["channel"]],"Metrics":[{"Name":"Accepted","Unit":"Count"},{"Name":"ColdStart","Unit":"Count"},"#,
            r#"{"Name":"DecideTime","Unit":"Milliseconds"},{"Name":"EnqueueTime","Unit":"Milliseconds"},"#,
            r#"{"Name":"TimeLeft","Unit":"Milliseconds"},{"Name":"VerifyTime","Unit":"Milliseconds"}]}]},"#,
            r#""channel":"sales_order_place_after","request_id":"JKJaXmPLvHcESHA=","#,
            r#""Accepted":1,"ColdStart":1,"DecideTime":[1.121],"EnqueueTime":[6.345],"TimeLeft":[4680.25],"VerifyTime":[0.084]}"#,
            "\n",
            r#"{"_aws":{"Timestamp":1781814431123,"CloudWatchMetrics":[{"Namespace":"CommerceWebhooks/my-stack","#,
            r#""Dimensions":[["channel","key"]],"Metrics":[{"Name":"Verified","Unit":"Count"}]}]},"#,
            r#""channel":"sales_order_place_after","key":"current/hmac_secrets/0","request_id":"JKJaXmPLvHcESHA=","Verified":1}"#,
            "\n"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn a_request_that_ended_at_once_tells_nothing_of_the_one_before() {
        documents(&Line {
            key: Some("current/hmac_secrets/0"),
            request_id: "before",
            cold_start: true,
            ..line(Metric::Accepted, &all_the_way())
        });
        let text = documents(&Line {
            left: Duration::ZERO,
            ..line(Metric::Invalid, &Stages::default())
        });
        let documents: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let told = |dimensions, metrics| {
            json!({
                "Timestamp": NOW,
                "CloudWatchMetrics": [{
                    "Namespace": "CommerceWebhooks/my-stack",
                    "Dimensions": [dimensions],
                    "Metrics": metrics,
                }],
            })
        };
        let invalid = json!({ "Name": "Invalid", "Unit": "Count" });
        let time_left = json!({ "Name": "TimeLeft", "Unit": "Milliseconds" });
        assert_eq!(
            documents,
            [
                json!({
                    "_aws": told(json!([]), json!([invalid])),
                    "request_id": "JKJaXmPLvHcESHA=",
                    "Invalid": 1,
                }),
                json!({
                    "_aws": told(json!(["channel"]), json!([invalid, time_left])),
                    "channel": CHANNEL,
                    "request_id": "JKJaXmPLvHcESHA=",
                    "Invalid": 1,
                    "TimeLeft": [0.0],
                }),
            ]
        );
    }

    #[test]
    fn a_process_has_one_recorder() {
        LazyLock::force(&METRICS);
        assert!(Metrics::start("CommerceWebhooks/other".to_owned()).is_none());
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
            AwsError::Refused,
            AwsError::Unreachable,
            AwsError::Interrupted,
            AwsError::TimedOut,
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
            assert_eq!(failure.metric(), Some(expected), "{failure:?}");
        }
    }

    #[test]
    fn a_check_counts_as_nothing() {
        assert_eq!(Failure::Check.metric(), None);
        let text = documents(&Line {
            metric: None,
            cold_start: true,
            ..line(Metric::Invalid, &all_the_way())
        });
        assert_eq!(text, "");
    }
}
