//! Tests of the samples in the repository.

use channels::NAMES;
use serde_json::Value;

use super::*;
use crate::sign::tests::{verifies_by_hmac, verifies_by_rsa};

fn all() -> Vec<Case> {
    cases(&events()).unwrap()
}

#[test]
fn requests_match_their_bodies() {
    let mut out = Vec::new();
    let all_match = SamplesCommand { check: true }.run(&mut out).unwrap();
    assert!(all_match, "{}", String::from_utf8_lossy(&out));
}

#[test]
fn signatures_match_the_case() {
    let keys = SampleKeys::read().unwrap();
    for case in all() {
        let name = format!("{}/{}", case.channel, case.name);
        let text = fs::read_to_string(&case.request_path).unwrap();
        let request: Value = serde_json::from_str(&text).unwrap();

        let body = request["body"].as_str().unwrap();
        let body = if request["isBase64Encoded"] == true {
            BASE64.decode_to_vec(body).unwrap()
        } else {
            body.as_bytes().to_vec()
        };
        assert_eq!(body, case.body, "{name}: bytes of the body");

        let headers = &request["headers"];
        let by_hmac = headers["x-adobe-signature"].as_str().map(|value| {
            let hex = value.strip_prefix("sha256=").unwrap_or(value);
            let digest = if hex.len() == 64 {
                (0..64)
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                    .collect()
            } else {
                BASE64.decode_to_vec(value).unwrap()
            };
            verifies_by_hmac(&keys.secret, &body, &digest)
        });
        let by_rsa = headers["x-adobe-commerce-webhook-signature"]
            .as_str()
            .map(|value| verifies_by_rsa(&body, value));
        let expected = match case.name.as_str() {
            "default" => (None, Some(true)),
            "unsigned" => (None, None),
            "wrong-secret" => (Some(false), None),
            _ => (Some(true), None),
        };
        assert_eq!((by_hmac, by_rsa), expected, "{name}: signatures");
    }
}

/// Whether the body of a channel's event has no envelope.
fn is_plugin(channel: &str) -> bool {
    channel.starts_with("plugin_")
}

#[test]
fn each_channel_has_the_samples_of_spec_and_shop_and_one_more() {
    let mut channels = BTreeMap::<String, Vec<String>>::new();
    for case in all() {
        channels.entry(case.channel).or_default().push(case.name);
    }
    assert!(channels.keys().eq(NAMES), "{channels:?}");
    for (channel, names) in channels {
        assert!(names.contains(&"default".to_owned()), "{channel}");
        // The spec describes events of observers only.
        if !is_plugin(&channel) {
            assert!(names.contains(&"ideal".to_owned()), "{channel}");
        }
        assert!(
            names.len() >= if is_plugin(&channel) { 2 } else { 3 },
            "{channel}"
        );
    }
}

#[test]
fn each_special_case_exists() {
    let names: Vec<_> = all()
        .iter()
        .map(|case| format!("{}/{}", case.channel, case.name))
        .collect();
    for (special, ..) in SPECIAL {
        assert!(names.contains(&(*special).to_owned()), "{special}");
    }
}

#[test]
fn bodies_of_a_shop_have_the_form_of_php() {
    for case in all().iter().filter(|case| case.name == "default") {
        let text = str::from_utf8(&case.body).unwrap();
        let channel = &case.channel;
        if is_plugin(channel) {
            assert!(text.starts_with('{'), "{channel}");
        } else {
            let path = route(channel).unwrap();
            let event = path.strip_prefix("/webhook/observer.").unwrap();
            let event = event.split('/').next().unwrap();
            let start = format!(r#"{{"subject":[],"result":null,"eventName":"{event}","data":{{"#);
            assert!(text.starts_with(&start), "{channel}");
        }
        assert!(text.ends_with('}'), "{channel}: nothing follows the object");
        assert!(text.is_ascii(), "{channel}: \\uXXXX for other characters");
        assert!(
            !text.replace("\\/", "").contains('/'),
            "{channel}: \\/ for /"
        );
    }
}

#[test]
fn both_forms_of_the_spec_contain_the_same_order() {
    let body = |name: &str| -> Value {
        let cases = all();
        let case = cases
            .iter()
            .find(|case| case.channel == "sales_order_place_after" && case.name == name)
            .unwrap();
        serde_json::from_slice(&case.body).unwrap()
    };
    assert_eq!(body("ideal")["data"], body("spec-bare"));
}
