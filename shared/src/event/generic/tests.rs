use serde_json::{Value, json};

use super::*;
use crate::{
    channel::HookType,
    deadline::Deadline,
    deliver::message::{Message, Origin},
    event::{Event, ReadOptions},
    model::IssueKind,
    outcome::Failure,
    request::body::Unverified,
    verify::{Keys, Signatures},
};

struct CreditmemoSaved;

impl Channel for CreditmemoSaved {
    const NAME: &str = "sales_order_creditmemo_save_after";
    const METHOD: &str = "observer.sales_order_creditmemo_save_after";
    const IDENTITY: &[&[&str]] = &[&["/entity_id"], &["/increment_id", "/store_id"]];
    const EXPECTED: &[&str] = &["/order_id", "/billing/e~1mail", "/items/0/sku"];
    type Entity = Generic<Self>;
}

impl GenericChannel for CreditmemoSaved {
    const ARGUMENTS: &[&str] = &["creditmemo"];
    const SUBJECT: &[&str] = &["/entity_id", "/increment_id"];
    const GROUP: Option<(&str, &str)> = Some(("order", "/order_id"));
    const FIELDS: &[&str] = &["entity_id", "items[].sku"];
}

struct CouponSet;

impl Channel for CouponSet {
    const NAME: &str = "plugin_quote_api_guest_coupon_management_set_before";
    const METHOD: &str = "plugin.magento.quote.api.guest_coupon_management.set";
    const HOOK_TYPE: HookType = HookType::Before;
    const IDENTITY: &[&[&str]] = &[];
    const EXPECTED: &[&str] = &["/couponCode"];
    type Entity = Generic<Self>;
}

impl GenericChannel for CouponSet {
    const ARGUMENTS: &[&str] = &[];
    const SUBJECT: &[&str] = &[];
    const GROUP: Option<(&str, &str)> = Some(("quote", "/cartId"));
    const FIELDS: &[&str] = &[];
}

/// Calls `check` with the event of a body.
fn with_event<C: Channel, R>(
    body: &str,
    check: impl FnOnce(Result<Event<'_, C::Entity>, Failure>) -> R,
) -> R {
    let body = Unverified::new(body.as_bytes()).unwrap();
    let body = body
        .verify(&Keys::AcceptUnsigned, Signatures::default())
        .unwrap();
    let options = ReadOptions {
        request_id: "gateway-1",
        ..ReadOptions::default()
    };
    check(Event::read::<C>(&body, options))
}

/// Returns the violations of a body that is unusable.
fn violations<C: Channel>(body: &Value) -> Vec<String> {
    with_event::<C, _>(&body.to_string(), |event| match event {
        Err(Failure::Invalid { violations, .. }) => violations
            .into_iter()
            .map(|violation| format!("{} {}", violation.pointer, violation.detail))
            .collect(),
        other => panic!("{:?}", other.map(|event| event.id)),
    })
}

/// Returns `data` of the message of a body, its subject and its group.
fn message<C: Channel>(body: &str, with_original: bool) -> (Value, Value, String) {
    with_event::<C, _>(body, |event| {
        let origin = Origin {
            received_ms: 1,
            with_original,
        };
        let deadline = Deadline::new(std::time::Duration::from_mins(1), 0, 0);
        let message = Message::new::<C>(&event.unwrap(), origin, deadline).unwrap();
        let mut json: Value = serde_json::from_str(&message.body).unwrap();
        (json["data"].take(), json["subject"].take(), message.group)
    })
}

fn creditmemo() -> Value {
    json!({
        "entity_id": "7", "increment_id": "000000007", "store_id": 1, "order_id": 12,
        "billing": { "e/mail": "a@b.example" }, "items": [{ "sku": "CAP" }], "grand_total": "1.50",
    })
}

#[test]
fn a_message_holds_the_original_whatever_the_operator_chose() {
    let body = r#"{"eventName":"sales_order_creditmemo_save_after","data":{"creditmemo":{"entity_id": 7,"billing":{"e\/mail":"x"},"items":[{"sku":"a"}],"order_id":"12"},"extra":1}}"#;
    let original = json!({ "entity_id": 7, "billing": { "e/mail": "x" }, "items": [{ "sku": "a" }], "order_id": "12" });
    let (data, subject, group) = message::<CreditmemoSaved>(body, true);
    assert_eq!(
        data,
        json!({ "original": original, "related": { "extra": 1 } })
    );
    assert_eq!((subject, &*group), (json!("creditmemo/7"), "order/12"));
    let (data, _, _) = message::<CreditmemoSaved>(body, false);
    assert_eq!(data, json!({ "original": original }));
}

#[test]
fn an_event_that_nothing_identifies_is_unusable() {
    let mut memo = creditmemo();
    memo["entity_id"] = json!(null);
    memo["increment_id"] = json!("");
    assert_eq!(
        violations::<CreditmemoSaved>(&json!({ "data": { "creditmemo": memo } })),
        [
            "/data/creditmemo/entity_id is required where nothing else identifies the entity",
            "/data/creditmemo/increment_id is required where nothing else identifies the entity",
        ]
    );
    memo["increment_id"] = json!("1");
    with_event::<CreditmemoSaved, _>(&json!({ "creditmemo": memo }).to_string(), |event| {
        assert_eq!(event.unwrap().subject.unwrap(), "creditmemo/1");
    });
}

#[test]
fn a_value_that_is_no_id_identifies_nothing() {
    for id in [
        json!(["7"]),
        json!({ "id": 7 }),
        json!("7\u{0}"),
        json!("7".repeat(257)),
        json!(false),
        json!(true),
    ] {
        let entity = json!({ "entity_id": id, "order_id": 1 });
        let body = json!({ "data": { "creditmemo": entity } });
        let pointers = violations::<CreditmemoSaved>(&body);
        assert!(
            pointers[0].starts_with("/data/creditmemo/entity_id is required"),
            "{id}: {pointers:?}"
        );
    }
}

#[test]
fn an_expected_value_that_is_missing_is_an_issue() {
    let mut memo = creditmemo();
    memo["order_id"] = json!(null);
    memo["items"] = json!([]);
    memo["billing"] = json!([]);
    let body = json!({ "data": { "creditmemo": memo } }).to_string();
    with_event::<CreditmemoSaved, _>(&body, |event| {
        let event = event.unwrap();
        let issues: Vec<_> = event
            .issues
            .list
            .iter()
            .map(|issue| (&*issue.pointer, issue.kind, issue.expected))
            .collect();
        assert_eq!(
            issues,
            [
                ("/data/creditmemo/order_id", IssueKind::Missing, true),
                ("/data/creditmemo/billing/e~1mail", IssueKind::Missing, true),
                ("/data/creditmemo/items/0/sku", IssueKind::Missing, true),
            ]
        );
    });
    let body = json!({ "data": { "creditmemo": creditmemo() } }).to_string();
    with_event::<CreditmemoSaved, _>(&body, |event| {
        assert_eq!(event.unwrap().issues.count(), 0);
    });
}

#[test]
fn a_repeated_name_that_the_channel_uses_is_unusable() {
    let body = r#"{"creditmemo":{"entity_id":1,"grand_total":1,"grand_total":2,"entity_id":2}}"#;
    with_event::<CreditmemoSaved, _>(body, |event| match event {
        Err(Failure::Invalid { violations, .. }) => {
            assert_eq!(violations.len(), 1);
            assert_eq!(violations[0].pointer, "/creditmemo/entity_id");
        }
        other => panic!("{:?}", other.map(|event| event.id)),
    });
}

#[test]
fn an_entity_that_is_no_object_is_unusable() {
    for entity in [json!("text"), json!(7), json!(true), json!([1])] {
        let body = json!({ "data": { "creditmemo": entity } });
        assert_eq!(
            violations::<CreditmemoSaved>(&body),
            ["/data/creditmemo must be an object"],
            "{entity}"
        );
    }
    assert_eq!(
        violations::<CreditmemoSaved>(&json!({ "data": { "creditmemo": [] } })),
        ["/data/creditmemo is required"]
    );
    assert_eq!(
        violations::<CreditmemoSaved>(&json!({ "data": {} })),
        ["/data/creditmemo is required"]
    );
}

#[test]
fn a_value_that_is_no_id_is_neither_subject_nor_group() {
    for id in [
        json!("x".repeat(257)),
        json!("a\nb"),
        json!({ "a": 1 }),
        json!([1]),
    ] {
        let body = json!({ "creditmemo": { "entity_id": id, "order_id": id, "increment_id": "5", "store_id": 1 } });
        let (_, subject, group) = message::<CreditmemoSaved>(&body.to_string(), true);
        assert_eq!(subject, json!("creditmemo/5"), "{id}");
        // Its own id, a UUID.
        assert_eq!(group.len(), 36, "{id}");
    }
}

#[test]
fn the_arguments_of_a_plugin_are_the_entity_whatever_their_names() {
    let body = r#"{"cartId":"8s3kd0","couponCode":"SPRING","data":{"couponCode":"x"},"result":true,"event":"observer.other","event_id":"e"}"#;
    let (data, subject, group) = message::<CouponSet>(body, false);
    let original: Value = serde_json::from_str(body).unwrap();
    assert_eq!(data, json!({ "original": original }));
    assert_eq!((subject, &*group), (Value::Null, "quote/8s3kd0"));
    let id = |body: &str| with_event::<CouponSet, _>(body, |event| event.unwrap().id);
    assert_ne!(
        id(r#"{"couponCode":"x","event_id":"1"}"#),
        id(r#"{"couponCode":"x","event_id":"2"}"#),
        "an argument is content, not the id of a delivery"
    );
}

#[test]
fn a_plugin_without_arguments_is_an_event() {
    let (data, _, _) = message::<CouponSet>("{}", true);
    assert_eq!(data["original"], json!({}));
    assert_eq!(data["issues"][0]["pointer"], "/couponCode");
    assert!(with_event::<CouponSet, _>("[1]", |event| matches!(
        event,
        Err(Failure::NotJson)
    )));
}
