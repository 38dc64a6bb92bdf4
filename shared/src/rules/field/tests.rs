use serde_json::{Value, json};

use crate::{
    channel::Channel,
    event::generic::{Generic, GenericChannel},
    rules::{Rules, tests::*},
};

struct MemoFields;

impl Channel for MemoFields {
    const NAME: &str = "sales_order_creditmemo_save_after";
    const METHOD: &str = "observer.sales_order_creditmemo_save_after";
    const IDENTITY: &[&[&str]] = &[];
    const EXPECTED: &[&str] = &[];
    type Entity = Generic<Self>;
}

impl GenericChannel for MemoFields {
    const ARGUMENTS: &[&str] = &["creditmemo"];
    const SUBJECT: &[&str] = &["/entity_id"];
    const GROUP: Option<(&str, &str)> = None;
    const FIELDS: &[&str] = &["grand_total", "items[].sku", "items[].row_total", "state"];
}

struct CouponFields;

impl Channel for CouponFields {
    const NAME: &str = "plugin_quote_api_guest_coupon_management_set";
    const METHOD: &str = "plugin.magento.quote.api.guest_coupon_management.set";
    const IDENTITY: &[&[&str]] = &[];
    const EXPECTED: &[&str] = &[];
    type Entity = Generic<Self>;
}

impl GenericChannel for CouponFields {
    const ARGUMENTS: &[&str] = &[];
    const SUBJECT: &[&str] = &["/cartId"];
    const GROUP: Option<(&str, &str)> = None;
    const FIELDS: &[&str] = &["cartId", "couponCode"];
}

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

#[test]
fn names_the_field_of_the_hook_that_a_generic_channel_probably_means() {
    fn assert_error<C: Channel>(field: &str, expected: &str) {
        let when = json!([{ "field": field, "operator": "notEmpty" }]);
        let file =
            json!({ "rules": [{ "name": "it", "when": when, "then": { "op": "exception" } }] });
        let found = match Rules::read::<C>(&file.to_string()) {
            Ok(_) => String::new(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        };
        assert!(found.ends_with(expected), "{field}: {found}");
        assert_eq!(found.is_empty(), expected.is_empty(), "{field}: {found}");
    }
    let memo = [
        ("creditmemo.grand_total", ""),
        ("creditmemo.adjustment", ""),
        ("creditmemo.items[].qty", ""),
        ("creditmemo.items[].grand_totl", ""),
        ("other.grand_total", ""),
        (
            "data.creditmemo.grand_totl",
            "is not in the channel's FIELDS; did you mean creditmemo.grand_total?",
        ),
        (
            "creditmemo.items[].rowTotal",
            "did you mean creditmemo.items[].row_total?",
        ),
        ("creditmemos.state", "did you mean creditmemo.state?"),
        ("grand_total", "must be written as creditmemo.grand_total"),
    ];
    for (field, expected) in memo {
        assert_error::<MemoFields>(field, expected);
    }
    let coupon = [
        ("couponCode", ""),
        ("other", ""),
        (
            "couponcode",
            "is not in the channel's FIELDS; did you mean couponCode?",
        ),
    ];
    for (field, expected) in coupon {
        assert_error::<CouponFields>(field, expected);
    }
}
