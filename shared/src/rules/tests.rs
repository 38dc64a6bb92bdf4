use std::time::Duration;

use proptest::prelude::*;

use serde_json::{Value, json};

use super::*;

use crate::{
    channel::Channel,
    event::ReadOptions,
    model::{Customer, Order, QuoteItem},
    request::body::Unverified,
    verify::{Keys, Shop, Signatures},
};

pub(super) struct Placed;

impl Channel for Placed {
    const NAME: &str = "sales_order_place_after";
    const METHOD: &str = "observer.sales_order_place_after";
    const IDENTITY: &[&[&str]] = &[];
    const EXPECTED: &[&str] = &[];
    type Entity = Order;
}

pub(super) struct CustomerSaved;

impl Channel for CustomerSaved {
    const NAME: &str = "customer_save_after_data_object";
    const METHOD: &str = "observer.customer_save_after_data_object";
    const IDENTITY: &[&[&str]] = &[];
    const EXPECTED: &[&str] = &[];
    type Entity = Customer;
}

pub(super) struct Added;

impl Channel for Added {
    const NAME: &str = "checkout_cart_product_add_after";
    const METHOD: &str = "observer.checkout_cart_product_add_after";
    const IDENTITY: &[&[&str]] = &[];
    const EXPECTED: &[&str] = &[];
    type Entity = QuoteItem;
}

/// Returns the decision about a body and the names of the rules that matched.
pub(super) fn apply<C: Channel>(rules: &Rules, body: &str) -> (Decision, Vec<String>) {
    let (decision, matched, unevaluated) = apply_within::<C>(rules, body, Duration::from_mins(1));
    assert_eq!(unevaluated, [""; 0]);
    (decision, matched)
}

/// Returns the decision about a body of a shop.
pub(super) fn decide<C: Channel>(rules: &Rules, body: &str, shop: Option<&Shop>) -> Decision {
    let body = Unverified::new(body.as_bytes()).unwrap();
    let body = body
        .verify(&Keys::AcceptUnsigned, Signatures::default())
        .unwrap();
    let mut event = Event::read::<C>(&body, ReadOptions::default()).unwrap();
    event.shop = shop;
    let deadline = Deadline::new(Duration::from_mins(1), 0, 0);
    let ruling = rules.enforced.apply(&event, deadline);
    assert_eq!(ruling.unevaluated, [""; 0]);
    ruling.decision
}

/// Returns the decision about a body, the rules that matched and those that were unevaluated.
pub(super) fn apply_within<C: Channel>(
    rules: &Rules,
    body: &str,
    time: Duration,
) -> (Decision, Vec<String>, Vec<String>) {
    let body = Unverified::new(body.as_bytes()).unwrap();
    let body = body
        .verify(&Keys::AcceptUnsigned, Signatures::default())
        .unwrap();
    let event = Event::read::<C>(&body, ReadOptions::default()).unwrap();
    let deadline = Deadline::new(time + crate::deadline::ANSWER_MARGIN, 0, 0);
    let ruling = rules.enforced.apply(&event, deadline);
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
    (
        ruling.decision,
        owned(ruling.matched),
        owned(ruling.unevaluated),
    )
}

pub(super) fn rules<C: Channel>(rules: &Value) -> Rules {
    Rules::read::<C>(&json!({ "rules": rules }).to_string()).unwrap()
}

/// Whether one condition holds for a body.
#[track_caller]
pub(super) fn holds<C: Channel>(body: &Value, field: &str, operator: &str, value: &Value) -> bool {
    let mut condition = json!({ "field": field, "operator": operator });
    if !value.is_null() {
        condition["value"] = value.clone();
    }
    let rules = rules::<C>(&json!([
        { "name": "it", "when": [condition], "then": { "op": "exception" } }
    ]));
    match apply::<C>(&rules, &body.to_string()).0 {
        Decision::Refuse(_) => true,
        Decision::Accept(_) => false,
    }
}

/// Returns the errors of a file with these rules.
pub(super) fn errors<C: Channel>(rules: &Value) -> Vec<String> {
    let file = json!({ "rules": rules }).to_string();
    let errors = Rules::read::<C>(&file).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

pub(super) fn order() -> Value {
    json!({ "data": { "order": {
        "increment_id": "000000123", "customer_is_guest": true, "customer_email": "", "status": null,
        "grand_total": "12000.0000", "subtotal": 11_000, "tax_amount": "900.00", "discount_amount": -10, "shipping_amount": 5,
        "created_at": "2026-06-18 20:27:11",
        "items": {
            "998": { "item_id": "998", "sku": "CAP-77", "qty_ordered": "2.0000", "product_options": { "label": "a", "list": [1, "2"] } },
            "999": { "item_id": 999, "sku": 1001, "qty_ordered": 10, "product_options": [] },
        },
        "addresses": [{ "address_type": "shipping", "postcode": 97477, "country_id": "us", "street": "1 Road\nUnit 2", "region": "Oregon" }],
        "base_grand_total": "13000.0000", "coupon_code": "TEN", "gift_cards": "[]", "extension_attributes": [], "weight": 1.50, "gone": null,
    }, "quote": { "items_qty": "12.0000", "flag": false } } })
}

/// Asserts whether each condition holds for [`order`].
#[track_caller]
pub(super) fn assert_conditions(cases: &[(&str, &str, Value, bool)]) {
    for (field, operator, value, expected) in cases {
        assert_eq!(
            holds::<Placed>(&order(), field, operator, value),
            *expected,
            "{field} {operator} {value}"
        );
    }
}

/// Generates a JSON value for a field outside the contract.
pub(super) fn any_json() -> impl Strategy<Value = Value> {
    let key = "[abc]";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..4).prop_map(Value::from),
        "[ab1]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 30, 3, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..3).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

#[test]
fn adds_up_changes_until_the_first_refusal() {
    let when =
        |sku: &str| json!([{ "field": "quote_item.sku", "operator": "regex", "value": sku }]);
    let rules = rules::<Added>(&json!([
        { "name": "off", "enabled": false, "when": when("/./"), "then": { "op": "exception", "message": "off" } },
        { "name": "one", "when": when("/A/"), "then": { "op": "add", "path": "data/quote_item/a", "value": { "x": [1.5, null] }, "instance": "\\Some\\Class_1" } },
        { "name": "two", "when": when("/B/"), "then": [
            { "op": "replace", "path": "data/quote_item/b", "value": "B" },
            { "op": "remove", "path": "result/key" },
        ] },
        { "name": "three", "when": when("/C/"), "then": { "op": "exception", "message": "No {{{quote_item.sku}}!", "type": "Some\\Exception" } },
        { "name": "four", "when": when("/./"), "then": { "op": "exception" } },
    ]));
    let answer = |sku: &str| {
        let body = json!({ "quote_item": { "sku": sku } }).to_string();
        let (decision, matched) = apply::<Added>(&rules, &body);
        let answer = match decision {
            Decision::Refuse(refusal) => crate::operation::body(&[refusal.into()]),
            Decision::Accept(operations) => crate::operation::body(&operations),
        };
        (answer, matched.join(","))
    };
    assert_eq!(
        answer("ABC"),
        (
            r#"{"op":"exception","message":"No {ABC}!","type":"Some\\Exception"}"#.into(),
            "one,two,three".into()
        )
    );
    assert_eq!(
        answer("AB"),
        (r#"{"op":"exception"}"#.into(), "one,two,four".into())
    );
    assert_eq!(answer(""), (r#"{"op":"success"}"#.into(), String::new()));
    let changes = super::Rules {
        enforced: RuleSet {
            rules: rules.enforced.rules.into_iter().take(2).collect(),
            ..RuleSet::default()
        },
        ..Rules::default()
    };
    let body = json!({ "quote_item": { "sku": "AB" } }).to_string();
    let Decision::Accept(operations) = apply::<Added>(&changes, &body).0 else {
        panic!("refused")
    };
    assert_eq!(
        crate::operation::body(&operations),
        concat!(
            r#"[{"op":"add","path":"data/quote_item/a","value":{"x":[1.5,null]},"instance":"\\Some\\Class_1"},"#,
            r#"{"op":"replace","path":"data/quote_item/b","value":"B"},"#,
            r#"{"op":"remove","path":"result/key"}]"#
        )
    );
}
