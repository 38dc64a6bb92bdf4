use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    channel::{Decision, Refusal},
    rules::tests::*,
};

#[test]
fn omits_a_message_in_which_every_placeholder_is_empty() {
    let when = json!([{ "field": "order.grand_total", "operator": "notEmpty" }]);
    for message in ["{order.never}", "{order.never} {order.nor_this}"] {
        let then = json!({ "op": "exception", "message": message });
        let rules = rules::<Placed>(&json!([{ "name": "it", "when": when, "then": then }]));
        let (decision, ..) = apply::<Placed>(&rules, &order().to_string());
        let expected = Refusal {
            message: None,
            class: None,
        };
        assert_eq!(decision, Decision::Refuse(expected), "{message}");
    }
}

#[test]
fn renders_a_limited_number_of_values_without_markup() {
    let message = "{order.grand_total} {order.increment_id} {order.items[].sku} {order.base_grand_total}: {order.never}{order.payment.method}.";
    let when = json!([{ "field": "order.grand_total", "operator": "notEmpty" }]);
    let rules = rules::<Placed>(
        &json!([{ "name": "it", "when": when, "then": { "op": "exception", "message": message } }]),
    );
    let message_for = |body: &Value| match apply::<Placed>(&rules, &body.to_string()).0 {
        Decision::Refuse(refusal) => refusal.message.unwrap(),
        accepted @ Decision::Accept(_) => panic!("{accepted:?}"),
    };
    assert_eq!(
        message_for(&order()),
        "12000.00 000000123 CAP-77, 1001 13000.0000: ."
    );

    let mut body = order();
    body["data"]["order"]["payment"] =
        json!({ "method": "<b>\u{7}\n".to_owned() + &"é".repeat(200) });
    body["data"]["order"]["items"] = (0..7)
        .map(|index| json!({ "sku": format!("S{index}") }))
        .collect();
    assert_eq!(
        message_for(&body),
        format!(
            "12000.00 000000123 S0, S1, S2, S3, S4, … 13000.0000: b{}.",
            "é".repeat(99)
        )
    );
}

#[test]
fn renders_an_unreadable_value_as_it_was_sent() {
    let rules = rules::<Placed>(&json!([{
        "name": "no",
        "when": [{ "field": "order.shipping_address.country_id", "operator": "in", "value": ["USA"] }],
        "then": { "op": "exception", "message": "We do not ship to {order.shipping_address.country_id}." },
    }]));
    let event =
        json!({ "order": { "increment_id": "1", "shipping_address": { "country_id": "USA" } } });
    let (decision, ..) = apply_within::<Placed>(&rules, &event.to_string(), Duration::from_mins(1));
    let message = Some("We do not ship to USA.".to_owned());
    assert_eq!(
        decision,
        Decision::Refuse(Refusal {
            message,
            class: None
        })
    );
}
