use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    channel::{Channel, Decision},
    event::generic::{Generic, GenericChannel},
    operation,
    rules::{Rules, tests::*},
    verify::Shop,
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

fn shop(name: &str) -> Shop {
    Shop {
        name: name.to_owned(),
        source: format!("https://{name}.example"),
    }
}

/// Whether a rule with this entry of `when` matches an event of a shop.
#[track_caller]
fn matches_in_shop(entry: &Value, name: Option<&str>) -> bool {
    let rules = rules::<Placed>(&json!([
        { "name": "it", "when": [entry], "then": { "op": "exception" } }
    ]));
    let shop = name.map(shop);
    let decision = decide::<Placed>(&rules, &order().to_string(), shop.as_ref());
    matches!(decision, Decision::Refuse(_))
}

/// Whether a condition on the name of a shop holds, without the code under test.
fn expected_in_shop(operator: &str, value: &str, name: Option<&str>) -> bool {
    let has = |holds: &dyn Fn(&str) -> bool| name.is_some_and(holds);
    let listed = || value.split(',').any(|listed| name == Some(listed.trim()));
    match operator {
        "equal" => name == Some(value),
        "notEqual" => name != Some(value),
        "in" => listed(),
        "notIn" => !listed(),
        "startsWith" => has(&|name| name.starts_with(value)),
        "endsWith" => has(&|name| name.ends_with(value)),
        "contains" => has(&|name| name.contains(value)),
        "regex" => has(&|name| name.contains(value.trim_matches('/'))),
        "isEmpty" => name.is_none(),
        _ => name.is_some(),
    }
}

const TEXT_OPERATORS: [&str; 10] = [
    "equal",
    "notEqual",
    "in",
    "notIn",
    "startsWith",
    "endsWith",
    "contains",
    "regex",
    "isEmpty",
    "notEmpty",
];

proptest! {
    #[test]
    fn compares_the_shop_with_every_operator_for_texts(
        operator in prop::sample::select(&TEXT_OPERATORS[..]),
        value in "[eu1-]{1,3}",
        name in prop::option::of("[eu1][eu1-]{0,2}"),
        form in 0..3,
    ) {
        let value = match operator {
            "regex" => format!("/{value}/"),
            "in" | "notIn" => format!("us, {value}"),
            _ => value,
        };
        let mut condition = json!({ "field": "@shop", "operator": operator });
        if !operator.ends_with("Empty") {
            condition["value"] = json!(value);
        }
        let never = json!({ "field": "order.never", "operator": "notEmpty" });
        let entry = match form {
            0 => condition,
            1 => json!({ "any": [never, condition] }),
            _ => json!({ "any": [condition, never] }),
        };
        let name = name.as_deref();
        prop_assert_eq!(matches_in_shop(&entry, name), expected_in_shop(operator, &value, name));
    }
}

#[test]
fn a_number_is_compared_with_the_text_of_the_shop() {
    let equal = |value: Value| json!({ "field": "@shop", "operator": "equal", "value": value });
    assert!(matches_in_shop(&equal(json!("1")), Some("1")));
    assert!(!matches_in_shop(&equal(json!("1")), Some("01")));
}

#[test]
fn compares_the_shop_with_another_field() {
    let entry =
        |one: &str, other: &str| json!({ "field": one, "operator": "equal", "valueField": other });
    for (one, other) in [
        ("@shop", "order.coupon_code"),
        ("order.coupon_code", "@shop"),
    ] {
        let entry = entry(one, other);
        assert!(!matches_in_shop(&entry, Some("ten")));
        assert!(!matches_in_shop(&entry, None));
    }
    // The email is empty, so the contract has none. Two absent fields are equal.
    let entry = entry("order.customer_email", "@shop");
    assert!(matches_in_shop(&entry, None));
    assert!(!matches_in_shop(&entry, Some("eu")));
    let mut body = order();
    body["data"]["order"]["coupon_code"] = json!("eu");
    body["data"]["order"]["customer_email"] = json!("eu");
    for field in ["order.coupon_code", "order.customer_email"] {
        let rules = rules::<Placed>(&json!([{
            "name": "it",
            "when": [{ "field": field, "operator": "equal", "valueField": "@shop" }],
            "then": { "op": "exception" },
        }]));
        let decide = |name| decide::<Placed>(&rules, &body.to_string(), Some(&shop(name)));
        assert!(matches!(decide("eu"), Decision::Refuse(_)), "{field}");
        assert!(matches!(decide("us"), Decision::Accept(_)), "{field}");
    }
}

#[test]
fn writes_the_shop_into_values() {
    let when = json!([{ "field": "@shop", "operator": "notEqual", "value": "us" }]);
    let rules = rules::<Placed>(&json!([{ "name": "it", "when": when, "then": [
        { "op": "add", "path": "data/order/a", "value": "from {@shop}" },
        { "op": "add", "path": "data/order/b", "valueField": "@shop" },
    ] }]));
    let answer = |shop: Option<&Shop>| match decide::<Placed>(&rules, &order().to_string(), shop) {
        Decision::Accept(changes) => operation::body(&changes),
        Decision::Refuse(_) => panic!("refused"),
    };
    assert_eq!(
        answer(Some(&shop("eu"))),
        concat!(
            r#"[{"op":"add","path":"data/order/a","value":"from eu"},"#,
            r#"{"op":"add","path":"data/order/b","value":"eu"}]"#
        )
    );
    let success = r#"{"op":"success"}"#;
    assert_eq!(answer(Some(&shop("us"))), success);
    assert_eq!(answer(None), success, "the event has no such value");
}

#[test]
fn a_field_of_the_event_can_be_called_shop() {
    let body = json!({ "data": { "order": { "@shop": "eu", "increment_id": "1" } } });
    let equal = json!("eu");
    assert!(holds::<Placed>(&body, "order.@shop", "equal", &equal));
    assert!(!holds::<Placed>(&body, "@shop", "equal", &equal));
}

#[test]
fn rejects_other_names_with_an_at_sign() {
    let error = |entry: Value| {
        let rules = json!([{ "name": "it", "when": [entry], "then": { "op": "exception" } }]);
        errors::<Placed>(&rules).join("\n")
    };
    let condition = |field: &str| json!({ "field": field, "operator": "equal", "value": "eu" });
    for name in ["@Shop", "@shops", "@shp", "@shop.name", "@shop[]"] {
        assert_eq!(
            error(condition(name)),
            format!("rule it: condition 1: the field {name:?} is unknown; did you mean @shop?")
        );
    }
    for name in ["@", "@store", "@order.status"] {
        assert_eq!(
            error(condition(name)),
            format!(
                "rule it: condition 1: the field {name:?} is unknown; the only name with @ is @shop"
            )
        );
    }
    let group = |field: &str| json!({ "element": "order.items[]", "all": [condition(field)] });
    for name in ["@shop", "@store"] {
        assert_eq!(
            error(group(name)),
            format!(
                "rule it: condition 1.1: the field {name:?} does not belong to an element; write \
                 its condition beside the group"
            )
        );
    }
    for (entry, why) in [
        (
            json!({ "element": "@shop", "all": [condition("sku")] }),
            "the element \"@shop\" is not the elements of a list; write [] at its end, as in \
             order.items[]",
        ),
        (
            json!({ "count": "@shop", "operator": "equal", "value": 1 }),
            "count of \"@shop\" needs the elements of a list; write [] at its end, as in \
             order.items[]",
        ),
        (
            json!({ "field": "@shop", "operator": "equal", "valueField": "order.grand_total" }),
            "@shop equal: the field is a text, but the field in valueField is a number",
        ),
        (
            json!({ "field": "order.status", "operator": "equal", "valueField": "@shp" }),
            "order.status equal: the field \"@shp\" is unknown; did you mean @shop?",
        ),
    ] {
        assert_eq!(error(entry), format!("rule it: condition 1: {why}"));
    }
    assert_eq!(
        errors::<CouponFields>(&json!([{
            "name": "it",
            "when": [{ "field": "@shp", "operator": "notEmpty" }],
            "then": { "op": "exception" },
        }])),
        ["rule it: condition 1: the field \"@shp\" is unknown; did you mean @shop?"]
    );
}
