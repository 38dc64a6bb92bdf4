use serde_json::{Value, json};

use crate::rules::tests::*;

#[test]
fn reads_fields_outside_the_contract() {
    let cases = [
        (
            "order.base_grand_total",
            "greaterThan",
            json!(12_999.99),
            true,
        ),
        ("order.base_grand_total", "equal", json!(13_000), true),
        ("order.base_grand_total", "equal", json!("13000"), true),
        ("order.base_grand_total", "in", json!("1, 13000.0"), true),
        ("order.base_grand_total", "equal", json!("013000"), false), // as text
        ("order.base_grand_total", "notEqual", json!("13000"), false),
        ("order.weight", "equal", json!(1.5), true),
        ("order.weight", "equal", json!("1.5"), true),
        ("data.order.coupon_code", "equal", json!("TEN"), true),
        ("order.coupon_code", "greaterThan", json!(0), false),
        ("order.gift_cards", "isEmpty", Value::Null, false),
        ("order.extension_attributes", "isEmpty", Value::Null, true),
        ("order.gone", "isEmpty", Value::Null, true),
        ("order.never", "isEmpty", Value::Null, true),
        ("order.never.deeper[].still", "notEqual", json!(1), true),
        ("order.coupon_code.deeper", "notEmpty", Value::Null, false),
        (
            "order.items[].product_options.label",
            "equal",
            json!("a"),
            true,
        ),
        (
            "order.items[].product_options.label",
            "isEmpty",
            Value::Null,
            true,
        ), // of the other item
        (
            "order.items[].product_options.list[]",
            "equal",
            json!(2),
            true,
        ),
        (
            "order.addresses[].address_type",
            "in",
            json!("shipping"),
            true,
        ),
        ("quote.items_qty", "greaterThan", json!(11), true),
        ("quote.flag", "equal", json!(false), true),
        ("quote", "notEmpty", Value::Null, true),
        ("other", "isEmpty", Value::Null, true),
        ("other.thing", "equal", json!(""), false),
    ];
    assert_conditions(&cases);
}

#[test]
fn recognizes_a_new_account_by_the_customer_before_the_change() {
    let body = |before: Value| {
        json!({ "data": {
            "customer_data_object": { "id": 5, "email": "zoe@shop.example" },
            "orig_customer_data_object": before,
        } })
    };
    let is_new = |before| {
        holds::<CustomerSaved>(
            &body(before),
            "orig_customer_data_object",
            "isEmpty",
            &Value::Null,
        )
    };
    assert!(is_new(Value::Null));
    assert!(!is_new(json!({ "id": 5 })));
    for field in [
        "customer.email",
        "customer_data_object.email",
        "data.customer.email",
    ] {
        let email = body(Value::Null);
        assert!(
            holds::<CustomerSaved>(&email, field, "regex", &json!("/@shop\\.example$/")),
            "{field}"
        );
    }
}
