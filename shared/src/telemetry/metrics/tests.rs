use std::sync::{LazyLock, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::{
    aws::AwsError,
    outcome::Failure,
    telemetry::{LogLevel, Stage, Stages},
    verify::{SignatureError, ims::TokenError},
};

const CHANNEL: &str = "sales_order_place_after";
const NOW: u64 = 1_781_814_431_123;

/// The recorder of this process. A test holds the lock while it uses it.
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
        shop: None,
        key: None,
        rules: None,
        unevaluated: None,
        observed: None,
        observed_rules: None,
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
    Stages::with_durations(stages.iter().map(took).collect())
}

fn all_stages() -> Stages {
    ended(&[
        (Stage::Verify, 84),
        (Stage::Read, 50),
        (Stage::Decide, 1_121),
        (Stage::Write, 90),
        (Stage::Enqueue, 6_345),
    ])
}

#[test]
fn writes_all_metrics_of_an_accepted_event() {
    let text = documents(&Line {
        key: Some("current/hmac_secrets/0"),
        cold_start: true,
        ..line(Metric::Accepted, &all_stages())
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

/// Returns the metrics with a shop, each with its dimensions.
fn counted_by_shop(line: &Line<'_>) -> Vec<(String, Value, Value)> {
    let text = documents(line);
    let documents = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_shops = documents.filter(|document| document.get("shop").is_some());
    of_shops
        .flat_map(|document| {
            let metrics = document["_aws"]["CloudWatchMetrics"][0].clone();
            assert_eq!(metrics["Dimensions"], json!([["channel", "shop"]]));
            assert_eq!(document["channel"], CHANNEL);
            let names = metrics["Metrics"].as_array().unwrap().clone();
            names.into_iter().map(move |metric| {
                let name = metric["Name"].as_str().unwrap().to_owned();
                let value = document[&name].clone();
                (name, document["shop"].clone(), value)
            })
        })
        .collect()
}

#[test]
fn counts_each_outcome_by_shop_once() {
    let stages = all_stages();
    for metric in [
        Metric::Accepted,
        Metric::NotForwarded,
        Metric::Refused,
        Metric::Quarantined,
        Metric::Invalid,
        Metric::Failed,
    ] {
        let counted = counted_by_shop(&Line {
            shop: Some("eu"),
            key: Some("current/shops/eu/hmac_secrets/0"),
            cold_start: true,
            ..line(metric, &stages)
        });
        assert_eq!(counted, [(metric.name().to_owned(), json!("eu"), json!(1))]);
        assert_eq!(
            counted_by_shop(&line(metric, &stages)),
            [],
            "the shop without a name"
        );
    }
    let irregular = counted_by_shop(&Line {
        shop: Some("eu"),
        issues: 2,
        ..line(Metric::Accepted, &stages)
    });
    let counted = |name: &str| (name.to_owned(), json!("eu"), json!(1));
    assert_eq!(irregular, [counted("Accepted"), counted("Irregular")]);
}

#[test]
fn a_shop_changes_no_other_metric() {
    let stages = all_stages();
    let without = documents(&line(Metric::Accepted, &stages));
    let with = documents(&Line {
        shop: Some("eu"),
        ..line(Metric::Accepted, &stages)
    });
    let others = with.lines().filter(|line| !line.contains("\"shop\""));
    assert_eq!(
        others.collect::<Vec<_>>(),
        without.lines().collect::<Vec<_>>()
    );
    assert_eq!(with.lines().count(), without.lines().count() + 1);
}

#[test]
fn writes_nothing_of_the_previous_request() {
    documents(&Line {
        key: Some("current/hmac_secrets/0"),
        request_id: "before",
        cold_start: true,
        ..line(Metric::Accepted, &all_stages())
    });
    let text = documents(&Line {
        left: Duration::ZERO,
        ..line(Metric::Invalid, &Stages::default())
    });
    let documents: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let metadata = |dimensions, metrics| {
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
                "_aws": metadata(json!([]), json!([invalid])),
                "request_id": "JKJaXmPLvHcESHA=",
                "Invalid": 1,
            }),
            json!({
                "_aws": metadata(json!(["channel"]), json!([invalid, time_left])),
                "channel": CHANNEL,
                "request_id": "JKJaXmPLvHcESHA=",
                "Invalid": 1,
                "TimeLeft": [0.0],
            }),
        ]
    );
}

#[test]
fn refuses_a_second_recorder() {
    LazyLock::force(&METRICS);
    assert!(Metrics::start("CommerceWebhooks/other".to_owned()).is_none());
}

#[test]
fn rounds_a_duration_to_three_decimals() {
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
fn counts_every_failure_by_its_status() {
    let queue_errors = [
        AwsError::Refused,
        AwsError::Unreachable,
        AwsError::Interrupted,
        AwsError::TimedOut,
    ];
    let untrusted = [
        SignatureError::Missing,
        SignatureError::NoKey,
        SignatureError::Token(TokenError::Expired),
        SignatureError::ShopsDiffer,
        SignatureError::Mismatch,
    ];
    let failures = [
        Failure::NotARequest,
        Failure::NotApplicationJson,
        Failure::TooLarge,
        Failure::NoKeys,
        Failure::NoImsKeys,
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
        .chain(queue_errors.map(Failure::Queue));
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
fn does_not_count_a_check() {
    assert_eq!(Failure::Check.metric(), None);
    let text = documents(&Line {
        metric: None,
        cold_start: true,
        ..line(Metric::Invalid, &all_stages())
    });
    assert_eq!(text, "");
}
