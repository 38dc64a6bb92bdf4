use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    channel::{Decision, Refusal},
    rules::{pattern::TEXT_BYTES_MAX, tests::*},
};

/// Returns a condition on the name of every item.
fn regex_on_names(index: usize) -> Value {
    json!({ "field": "order.items[].name", "operator": "regex", "value": format!("/(a|b)*{index}$/") })
}

#[test]
fn reports_every_rule_as_unevaluated_after_the_deadline() {
    let status = json!({ "field": "order.status", "operator": "equal", "value": "new" });
    let refuse = json!({ "op": "exception" });
    let rules = rules::<Placed>(&json!([
        { "name": "change", "when": [&status], "then": { "op": "remove", "path": "data/order/x" } },
        { "name": "sent", "when": [{ "field": "order.x", "operator": "isEmpty" }], "then": &refuse },
        { "name": "refuse", "when": [&status], "then": &refuse },
    ]));
    let body = r#"{"order":{"status":"new"}}"#;
    let (decision, matched, unevaluated) = apply_within::<Placed>(&rules, body, Duration::ZERO);
    assert_eq!(decision, Decision::default());
    assert_eq!(matched, [""; 0]);
    assert_eq!(unevaluated, ["change", "sent", "refuse"]);
}

#[test]
fn stops_at_the_deadline_on_a_large_event() {
    let all: Vec<_> = (0..100)
        .map(|n| json!({ "name": n.to_string(), "when": [regex_on_names(n)], "then": { "op": "exception" } }))
        .collect();
    let rules = rules::<Placed>(&json!(all));
    let items: Vec<_> = (0..500)
        .map(|_| json!({ "name": "ab".repeat(500) }))
        .collect();
    let body = json!({ "order": { "items": items } }).to_string();
    let (decision, matched, unevaluated) =
        apply_within::<Placed>(&rules, &body, Duration::from_millis(20));
    assert_eq!(decision, Decision::default());
    assert_eq!(matched, [""; 0]);
    assert!(
        !unevaluated.is_empty(),
        "an unoptimized build needs seconds"
    );
}

#[test]
fn does_not_evaluate_a_regex_on_a_text_that_is_too_long() {
    let regex = |field: &str| json!({ "field": field, "operator": "regex", "value": "/b$/" });
    let refuse = json!({ "op": "exception", "message": "No" });
    let rules = rules::<Placed>(&json!([
        { "name": "contract", "when": [regex("order.customer_firstname")], "then": &refuse },
        { "name": "sent", "when": [regex("order.customer_note")], "then": &refuse },
        { "name": "false-in-any-case", "when": [regex("order.customer_note"), { "field": "order.status", "operator": "notEmpty" }], "then": &refuse },
        { "name": "one-of-several", "when": [regex("order.items[].name")], "then": { "op": "remove", "path": "data/order/x" } },
    ]));
    let body = |length: usize| {
        let text = "a".repeat(length - 1) + "b";
        json!({ "order": { "customer_firstname": &text, "customer_note": &text, "items": [{ "name": &text }, { "name": "b" }] } })
            .to_string()
    };
    let forever = Duration::from_mins(1);
    let (decision, matched, unevaluated) =
        apply_within::<Placed>(&rules, &body(TEXT_BYTES_MAX), forever);
    assert!(matches!(decision, Decision::Refuse(_)));
    assert_eq!(matched, ["contract"]);
    assert_eq!(unevaluated, [""; 0]);
    let (decision, matched, unevaluated) =
        apply_within::<Placed>(&rules, &body(TEXT_BYTES_MAX + 1), forever);
    assert!(matches!(decision, Decision::Accept(changes) if changes.len() == 1));
    assert_eq!(matched, ["one-of-several"]);
    assert_eq!(unevaluated, ["contract", "sent"]);
}

#[test]
fn matches_an_unevaluated_rule_only_with_when_unreadable_refuse() {
    let rule = |when_unreadable: &str, then: Value| {
        json!([{
            "name": "note",
            "whenUnreadable": when_unreadable,
            "when": [{ "field": "order.customer_note", "operator": "regex", "value": "/x/" }],
            "then": then,
        }])
    };
    let refuse = json!({ "op": "exception", "message": "{order.increment_id}" });
    let body = json!({ "order": { "increment_id": "7", "customer_note": "a".repeat(TEXT_BYTES_MAX + 1) } });
    let outcome = |when_unreadable: &str| {
        let rules = rules::<Placed>(&rule(when_unreadable, refuse.clone()));
        apply_within::<Placed>(&rules, &body.to_string(), Duration::from_mins(1))
    };
    let note = vec!["note".to_owned()];
    let refusal = Refusal {
        message: Some("7".to_owned()),
        class: None,
    };
    assert_eq!(
        outcome("refuse"),
        (Decision::Refuse(refusal), Vec::new(), note.clone())
    );
    assert_eq!(outcome("ignore"), (Decision::default(), Vec::new(), note));
    let change = json!({ "op": "remove", "path": "data/order/x" });
    assert_eq!(
        errors::<Placed>(&rule("refuse", change)),
        ["rule note: whenUnreadable: refuse requires an exception under then"]
    );
}

#[test]
fn does_not_evaluate_a_condition_on_unreadable_json() {
    let rules = rules::<Placed>(&json!([
        { "name": "it", "when": [{ "field": "order.x.y", "operator": "notEmpty" }], "then": { "op": "exception" } }
    ]));
    let body = r#"{"order":{"x":{"\ud800":1}}}"#;
    let (decision, _, unevaluated) = apply_within::<Placed>(&rules, body, Duration::from_mins(1));
    assert_eq!(decision, Decision::default());
    assert_eq!(unevaluated, ["it"]);
}
