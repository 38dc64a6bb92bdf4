use std::io::Read as _;

use flate2::read::GzDecoder;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    deliver::body::{
        MESSAGE_BYTES_MAX, UNPACKED_BYTES_MAX,
        tests::{in_seconds, noise},
    },
    event::{ReadOptions, identity::NAME_BYTES_MAX},
    model::{Order, VALUE_BYTES_MAX},
    request::body::{Unverified, Verified},
    verify::{Keys, Signatures, tests::sent_by},
};

struct Saved;
impl Channel for Saved {
    const NAME: &str = "sales_order_save_after";
    const METHOD: &str = "observer.sales_order_save_after";
    const IDENTITY: &[&[&str]] = &[];
    const EXPECTED: &[&str] = &["state"];
    type Entity = Order;
}

const ORIGIN: Origin = Origin {
    received_ms: 1_781_814_431_000,
    with_original: true,
};

fn message(body: &str, origin: Origin) -> Result<Message, Failure> {
    let body =
        Unverified::new(body.as_bytes())?.verify(&Keys::AcceptUnsigned, Signatures::default())?;
    message_of(&body, origin)
}

fn message_of(body: &Verified<'_>, origin: Origin) -> Result<Message, Failure> {
    let event = Event::read::<Saved>(body, ReadOptions::default())?;
    Message::new::<Saved>(&event, origin, in_seconds(60))
}

fn cloud_event(message: &Message) -> Value {
    serde_json::from_str(&message.body).unwrap()
}

#[test]
fn writes_a_cloud_event() {
    let body = r#"{"merchant_id":"m 1","environment_id":"pr\u00f6d","event_id":"3f1c1d8e-7b1a-4c55-9d3e-2f0a6b7c8d9e","data":{"order":{"entity_id":"216","increment_id":"000000123","state":"new", "new_key":1.50}, "other":[1]}}"#;
    let message = message(body, ORIGIN).unwrap();
    assert_eq!(
        message.body,
        concat!(
            r#"{"specversion":"1.0","id":"b755369a-797c-824b-8e80-bea2544dc317","source":"/adobe-commerce/m%201/pr%C3%B6d","#,
            r#""type":"com.adobe.commerce.observer.sales_order_save_after","subject":"order/000000123","#,
            r#""time":"2026-06-18T20:27:11Z","datacontenttype":"application/json","#,
            r#""dataschema":"urn:commerce-webhooks:message:sales_order_save_after:1","#,
            r#""contentid":"0e81fc5778bcc0e02ff195e5ee0054569f4ad578675dca5725a639e413f81d4d","#,
            r#""data":{"order":{"entity_id":216,"increment_id":"000000123","state":"new"},"#,
            r#""original":{"entity_id":"216","increment_id":"000000123","state":"new", "new_key":1.50},"related":{"other":[1]}}}"#
        )
    );
    assert_eq!(
        (message.group.as_str(), message.compressed, message.issues),
        ("order/216", false, None)
    );
    assert_eq!(
        message.deduplication,
        "b755369a-797c-824b-8e80-bea2544dc317"
    );
}

#[test]
fn lists_the_issues_and_marks_expected_ones_in_an_attribute() {
    let body = |state: &str| {
        format!(
            r#"{{"order":{{"entity_id":1,"customer_email":"n/a","payment":{{"method":[7]}},"billing_address":5{state}}}}}"#
        )
    };
    let of = |body: &str, with_original| {
        let message = message(
            body,
            Origin {
                with_original,
                ..ORIGIN
            },
        )
        .unwrap();
        (
            cloud_event(&message)["data"]["issues"].clone(),
            message.issues,
        )
    };
    let email = json!({ "pointer": "/order/customer_email", "field": "order.customer_email", "kind": "unreadable", "expected": false, "detail": "must be an email address" });
    let method = json!({ "pointer": "/order/payment/method", "field": "order.payment.method", "kind": "unreadable", "expected": false, "detail": "must be a string" });
    let address = json!({ "pointer": "/order/billing_address", "field": "order.billing_address", "kind": "unreadable", "expected": false, "detail": "must be an object" });
    let state = json!({ "pointer": "/order/state", "field": "order.state", "kind": "missing", "expected": true, "detail": "is missing" });
    let known = r#","state":"new""#;
    let (issues, attribute) = of(&body(known), true);
    assert_eq!(issues, json!([email, method, address]));
    assert_eq!(attribute, Some("other"));
    let (issues, attribute) = of(&body(""), true);
    assert_eq!(issues, json!([email, method, address, state]));
    assert_eq!(attribute, Some("expected"));

    // Without the original, only the issue has the value that was sent.
    let with = |issue: &Value, value: &str| {
        let mut issue = issue.clone();
        issue["value"] = value.into();
        issue
    };
    let (issues, _) = of(&body(known), false);
    let expected = [
        with(&email, r#""n/a""#),
        with(&method, "[7]"),
        with(&address, "5"),
    ];
    assert_eq!(issues, json!(expected));
    let long = body(known).replace("n/a", &"\u{e9}".repeat(VALUE_BYTES_MAX));
    let (issues, _) = of(&long, false);
    let value = issues[0]["value"].as_str().unwrap();
    assert_eq!(
        value,
        format!("\"{}", "\u{e9}".repeat((VALUE_BYTES_MAX - 1) / 2))
    );
}

#[test]
fn counts_the_issues_that_are_not_listed() {
    let items: Vec<_> = (0..130).map(|_| json!({ "price": "x" })).collect();
    let body = json!({ "order": { "entity_id": 1, "state": "new", "items": items } });
    let message = message(&body.to_string(), ORIGIN).unwrap();
    let data = &cloud_event(&message)["data"];
    assert_eq!(data["issues"].as_array().map(Vec::len), Some(100));
    assert_eq!(data["more_issues"], 30);
    assert_eq!(message.issues, Some("other"));
}

#[test]
fn replaces_a_long_merchant_id_by_its_hash_in_the_source() {
    let source = |name: &str| {
        let body =
            json!({ "merchant_id": name, "environment_id": "e", "order": { "increment_id": "1" } });
        cloud_event(&message(&body.to_string(), ORIGIN).unwrap())["source"].clone()
    };
    let longest = "\u{fc}".repeat(NAME_BYTES_MAX / 2);
    let written = "%C3%BC".repeat(NAME_BYTES_MAX / 2);
    assert_eq!(source(&longest), format!("/adobe-commerce/{written}/e"));
    let hash = source(&format!("{longest}a"));
    let hash = hash.as_str().unwrap();
    assert!(
        hash.starts_with("/adobe-commerce/sha256:") && hash.len() == 89,
        "{hash}"
    );
    assert_ne!(hash, source(&format!("{longest}b")));
}

#[test]
fn limits_a_message_before_it_is_compressed() {
    // The message contains the order number three times: in the subject, the entity, and the
    // original.
    let body = |number: &str, length: usize| {
        format!(
            r#"{{"order":{{"increment_id":"{}"}}}}"#,
            number.repeat(length)
        )
    };
    let third = (UNPACKED_BYTES_MAX - 1024) / 3;
    assert!(message(&body("a", third), ORIGIN).is_ok());
    let failure = message(&body("a", third + 1024), ORIGIN).unwrap_err();
    assert_eq!(failure, Failure::TooLarge);
    // An escaped code point counts with the bytes of its escape, which are twice as many.
    assert!(message(&body("\u{fffe}", third / 6), ORIGIN).is_ok());
    let failure = message(&body("\u{fffe}", third / 6 + 512), ORIGIN).unwrap_err();
    assert_eq!(failure, Failure::TooLarge);
}

#[test]
fn omits_the_original_if_the_operator_disables_it() {
    let origin = Origin {
        with_original: false,
        ..ORIGIN
    };
    let body = r#"{"merchant_id":"m","data":{"order":{"increment_id":"1","state":"new","new_key":1},"other":[1]}}"#;
    let event = cloud_event(&message(body, origin).unwrap());
    assert_eq!(
        event["data"],
        json!({ "order": { "increment_id": "1", "state": "new" } })
    );
}

#[test]
fn escapes_the_code_points_that_sqs_refuses() {
    let body = "{\"order\":{\"increment_id\":\"1\",\"a\":\"\u{fffe}x\u{ffff}\u{fffd}\"}}";
    let message = message(body, ORIGIN).unwrap();
    assert!(
        message.body.contains("\"a\":\"\\ufffex\\uffff\u{fffd}\""),
        "{}",
        message.body
    );
    assert_eq!(
        cloud_event(&message)["data"]["original"]["a"],
        "\u{fffe}x\u{ffff}\u{fffd}"
    );
}

#[test]
fn compresses_a_large_event_without_loss() {
    let text = "0123456789".repeat(110_000);
    let body = format!(r#"{{"order":{{"increment_id":"1","a":"{text}"}}}}"#);
    let message = message(&body, ORIGIN).unwrap();
    assert!(message.compressed && message.body.len() < MESSAGE_BYTES_MAX / 10);
    let packed = base64_simd::STANDARD.decode_to_vec(message.body).unwrap();
    let mut json = String::new();
    GzDecoder::new(&packed[..])
        .read_to_string(&mut json)
        .unwrap();
    let event: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(event["data"]["original"]["a"], text);
}

#[test]
fn refuses_an_event_that_cannot_be_compressed_enough() {
    // Base64 of random bytes: compression only restores the 24 bits in four characters.
    let mut noise = noise();
    let bytes: Vec<u8> = (0..1_500_000).map(|_| noise()).collect();
    let text = base64_simd::STANDARD.encode_to_string(&bytes);
    let body = format!(r#"{{"order":{{"increment_id":"1","a":"{text}"}}}}"#);
    assert_eq!(message(&body, ORIGIN).unwrap_err(), Failure::TooLarge);
}

#[test]
fn groups_by_the_entity_or_else_by_the_event() {
    let group = |order: Value| {
        message(&json!({ "order": order }).to_string(), ORIGIN)
            .unwrap()
            .group
    };
    assert_eq!(
        group(json!({ "entity_id": 216, "increment_id": "000000123" })),
        "order/216"
    );
    assert_eq!(
        group(json!({ "increment_id": "000000123" })),
        "order/000000123"
    );
    let alone = message(r#"{"order":{"state":"new"}}"#, ORIGIN).unwrap();
    assert_eq!(alone.group, alone.deduplication);
}

#[test]
fn a_message_of_a_shop_has_a_group_and_a_source_of_its_own() {
    let body = r#"{"event_id":"1","order":{"entity_id":216,"increment_id":"000000123"}}"#;
    let of = |shop| message_of(&sent_by(shop, body), ORIGIN).unwrap();
    let [unnamed, eu, us] = [None, Some("eu"), Some("us")].map(of);
    let groups = [&unnamed, &eu, &us].map(|message| message.group.as_str());
    assert_eq!(groups, ["order/216", "eu/order/216", "us/order/216"]);
    assert_ne!(eu.deduplication, us.deduplication);
    assert_eq!(cloud_event(&eu)["source"], "urn:commerce-webhooks:shop:eu");
    assert_eq!(cloud_event(&us)["source"], "urn:commerce-webhooks:shop:us");
    // Without an entity that has a number, each event has a group of its own.
    let alone = sent_by(Some("eu"), r#"{"order":{"state":"new"}}"#);
    let alone = message_of(&alone, ORIGIN).unwrap();
    assert_eq!(alone.group, format!("eu/{}", alone.deduplication));
}

proptest! {
    #[test]
    fn every_group_is_valid_for_sqs(
        number in "\\PC{1,300}", shop in prop::option::of("[a-z0-9][a-z0-9_-]{0,31}")
    ) {
        let body = json!({ "order": { "increment_id": number } }).to_string();
        let shop = shop.as_deref();
        let group = message_of(&sent_by(shop, &body), ORIGIN).unwrap().group;
        prop_assert!(group.len() <= GROUP_CHARS_MAX);
        prop_assert!(group.bytes().all(|byte| byte.is_ascii_graphic()));
        if let Some(shop) = shop {
            let prefix = format!("{shop}/");
            prop_assert!(group.starts_with(&prefix));
        }
    }

    #[test]
    fn shops_never_share_a_group(
        shops in prop::array::uniform2("[a-z0-9][a-z0-9_-]{0,31}"),
        groups in prop::array::uniform2("[!-~]{1,128}"),
    ) {
        let group = |name: &String, group: &str| {
            let shop = Shop { name: name.clone(), source: String::new() };
            group_of(&shop, group)
        };
        let [one, other] = [0, 1].map(|index| group(&shops[index], &groups[index]));
        prop_assert_eq!(one == other, shops[0] == shops[1] && groups[0] == groups[1]);
        prop_assert!(one.len() <= GROUP_CHARS_MAX);
    }
}
