use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{field::Observer, pattern::TEXT_BYTES_MAX, *};
use crate::{
    channel::Channel,
    event::ReadOptions,
    model::{Customer, Order, QuoteItem, lookup::FieldValue},
    request::body::Unverified,
    verify::{Keys, Signatures},
};

struct Placed;
impl Channel for Placed {
    const NAME: &str = "sales_order_place_after";
    const IDENTITY: &[&[&str]] = &[];
    const EXPECTED: &[&str] = &[];
    type Entity = Order;
}

struct CustomerSaved;
impl Channel for CustomerSaved {
    const NAME: &str = "customer_save_after_data_object";
    const IDENTITY: &[&[&str]] = &[];
    const EXPECTED: &[&str] = &[];
    type Entity = Customer;
}

struct Added;
impl Channel for Added {
    const NAME: &str = "checkout_cart_product_add_after";
    const IDENTITY: &[&[&str]] = &[];
    const EXPECTED: &[&str] = &[];
    type Entity = QuoteItem;
}

/// The rules' decision about a body, and the names of those that matched.
fn apply<C: Channel>(rules: &Rules, body: &str) -> (Decision, Vec<String>) {
    let (decision, matched, unevaluated) = try_until::<C>(rules, body, Duration::from_mins(1));
    assert_eq!(unevaluated, [""; 0]);
    (decision, matched)
}

fn try_until<C: Channel>(
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
    let ruling = rules.apply(&event, deadline);
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
    (
        ruling.decision,
        owned(ruling.matched),
        owned(ruling.unevaluated),
    )
}

fn rules<C: Channel>(rules: &Value) -> Rules {
    Rules::read::<C::Entity>(&json!({ "rules": rules }).to_string()).unwrap()
}

/// Whether one condition holds for a body.
#[track_caller]
fn holds<C: Channel>(body: &Value, field: &str, operator: &str, value: &Value) -> bool {
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

/// What is wrong with a file of these rules.
fn problems<C: Channel>(rules: &Value) -> Vec<String> {
    let file = json!({ "rules": rules }).to_string();
    let problems = Rules::read::<C::Entity>(&file).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

/// What is wrong with one condition.
fn wrong(field: &str, operator: &str, value: &Value) -> String {
    let when = json!([{ "field": field, "operator": operator, "value": value }]);
    let found =
        problems::<Placed>(&json!([{ "name": "it", "when": when, "then": { "op": "exception" } }]));
    let [found] = &*found else {
        panic!("{found:?}")
    };
    found
        .strip_prefix("rule it: condition 1: ")
        .unwrap_or_else(|| panic!("{found}"))
        .to_owned()
}

fn order() -> Value {
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

/// Whether each condition on [`order`] holds as it should.
#[track_caller]
fn assert_conditions(cases: &[(&str, &str, Value, bool)]) {
    for (field, operator, value, expected) in cases {
        assert_eq!(
            holds::<Placed>(&order(), field, operator, value),
            *expected,
            "{field} {operator} {value}"
        );
    }
}

#[test]
fn operators_compare_numbers_of_the_contract_as_decimals() {
    let cases = [
        ("order.grand_total", "greaterThan", json!(10_000), true),
        ("order.grand_total", "greaterThan", json!("11999.99"), true),
        ("order.grand_total", "greaterThan", json!(12_000), false),
        ("order.grand_total", "lessThan", json!(12_000.01), true),
        ("order.grand_total", "lessThan", json!(12_000), false),
        ("order.grand_total", "equal", json!("12000"), true),
        ("order.grand_total", "equal", json!(12_000.0), true),
        ("order.grand_total", "notEqual", json!(12_000), false),
        ("order.discount_amount", "lessThan", json!(0), true),
        ("order.customer_is_guest", "equal", json!(1), true),
        ("order.customer_is_guest", "equal", json!(true), true),
        ("order.customer_is_guest", "equal", json!("0"), false),
        ("order.items[].qty_ordered", "in", json!("1, 2, 3"), true),
        ("order.items[].qty_ordered", "in", json!([5, "10.0"]), true),
        ("order.items[].qty_ordered", "in", json!([5, 6]), false),
        ("order.unexplained_total", "equal", json!(105), true),
        ("order.grand_total", "isEmpty", Value::Null, false),
        ("order.grand_total", "notEmpty", Value::Null, true),
        // Absent: neither greater nor less nor equal, so not equal.
        ("order.entity_id", "greaterThan", json!(-1), false),
        ("order.entity_id", "lessThan", json!(1), false),
        ("order.entity_id", "equal", json!(0), false),
        ("order.entity_id", "notEqual", json!(0), true),
        ("order.entity_id", "in", json!([0]), false),
        ("order.entity_id", "isEmpty", Value::Null, true),
        ("order.entity_id", "notEmpty", json!(""), false),
    ];
    assert_conditions(&cases);
}

#[test]
fn operators_compare_text() {
    let cases = [
        ("order.increment_id", "equal", json!("000000123"), true),
        ("order.increment_id", "equal", json!("123"), false),
        ("order.increment_id", "equal", json!(123), true),
        ("order.increment_id", "greaterThan", json!(122), true),
        ("order.increment_id", "notEqual", json!("000000123"), false),
        ("order.items[].sku", "equal", json!("1001"), true),
        ("order.items[].sku", "in", json!(["X", "CAP-77"]), true),
        ("order.items[].sku", "in", json!("X, CAP-77"), true),
        ("order.items[].sku", "in", json!("X,cap-77"), false),
        ("order.items[].sku", "regex", json!("/^cap-/i"), true),
        ("order.items[].sku", "regex", json!("/^cap-/"), false),
        ("order.items[].sku", "notEqual", json!("CAP-77"), true), // another item's is not
        (
            "order.shipping_address.postcode",
            "regex",
            json!("#^974\\d\\d$#"),
            true,
        ),
        (
            "order.shipping_address.country_id",
            "in",
            json!("CA,US"),
            true,
        ),
        (
            "order.shipping_address.street[]",
            "equal",
            json!("Unit 2"),
            true,
        ),
        (
            "order.shipping_address.region",
            "equal",
            json!("Oregon"),
            true,
        ),
        ("order.created_at", "regex", json!("/^2026-06-18T/"), true),
        (
            "order.created_at",
            "equal",
            json!("2026-06-18 20:27:11"),
            true,
        ),
        (
            "order.shipping_address.country_id",
            "equal",
            json!("us"),
            true,
        ),
        ("order.billing_address", "isEmpty", Value::Null, true),
        ("order.billing_address.city", "isEmpty", Value::Null, true),
        ("order.billing_address.city", "regex", json!("/^$/"), false),
        ("order.shipping_address", "notEmpty", Value::Null, true),
        ("order.items", "notEmpty", Value::Null, true),
        ("order.status", "isEmpty", Value::Null, true),
        ("order.customer_email", "isEmpty", Value::Null, true),
    ];
    assert_conditions(&cases);
}

#[test]
fn operators_reach_what_only_the_shop_knows() {
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
fn a_new_account_is_told_by_the_customer_before_the_change() {
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
fn changes_add_up_and_the_first_refusal_ends_it() {
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
        rules: rules.rules.into_iter().take(2).collect(),
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

#[test]
fn a_sentence_in_which_nothing_is_filled_in_is_left_out() {
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
fn a_sentence_holds_values_but_no_markup_and_not_too_many() {
    let message = "{order.grand_total} {order.increment_id} {order.items[].sku} {order.base_grand_total}: {order.never}{order.payment.method}.";
    let when = json!([{ "field": "order.grand_total", "operator": "notEmpty" }]);
    let rules = rules::<Placed>(
        &json!([{ "name": "it", "when": when, "then": { "op": "exception", "message": message } }]),
    );
    let sentence = |body: &Value| match apply::<Placed>(&rules, &body.to_string()).0 {
        Decision::Refuse(refusal) => refusal.message.unwrap(),
        accepted @ Decision::Accept(_) => panic!("{accepted:?}"),
    };
    assert_eq!(
        sentence(&order()),
        "12000.00 000000123 CAP-77, 1001 13000.0000: ."
    );

    let mut body = order();
    body["data"]["order"]["payment"] =
        json!({ "method": "<b>\u{7}\n".to_owned() + &"é".repeat(200) });
    body["data"]["order"]["items"] = (0..7)
        .map(|index| json!({ "sku": format!("S{index}") }))
        .collect();
    assert_eq!(
        sentence(&body),
        format!(
            "12000.00 000000123 S0, S1, S2, S3, S4, … 13000.0000: b{}.",
            "é".repeat(99)
        )
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let found = problems::<Placed>(&json!([
        { "name": "Big", "when": [], "then": [] },
        { "name": "twice", "when": [
            { "field": "order.grand_total", "operator": "regex", "value": "/1/" },
            { "field": "grand_total", "operator": "greaterThan", "value": "much" },
        ], "then": [{ "op": "remove", "path": "data//x" }] },
        { "name": "twice", "enabled": false, "when": [{ "field": "order.items", "operator": "equal", "value": 1 }], "then": { "op": "exception", "message": "{order.items}" } },
    ]));
    let expected = [
        "rule Big: its name must be 1 to 64 small letters, digits, hyphens or underscores",
        "rule Big: it has no conditions, so it would hold for every event",
        "rule Big: then: it has no operation",
        "rule twice: condition 1: order.grand_total regex: it matches a number with a regex; compare it with greaterThan, lessThan, equal or in",
        "rule twice: condition 2: the field grand_total: write order.grand_total",
        "rule twice: then: the path \"data//x\": begin with data, and write slashes between the names, as in data/order/ext_order_id",
        "rule twice: another rule has this name",
        "rule twice: condition 1: order.items equal: it looks at a list or an object; only isEmpty and notEmpty can",
        "rule twice: then: the message has {order.items}, which is a list or an object",
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_no_rules_file_is_told_where() {
    let cases = [
        ("", "EOF while parsing a value at line 1 column 0"),
        (
            r#"{"rules":[],"rulez":[]}"#,
            "unknown field `rulez`, expected one of `$schema`, `mode`, `rules` at line 1 column 19",
        ),
        (
            "{\n \"rules\": [{ \"name\": \"a\", \"when\": [], \"then\": { \"op\": \"success\" } }]\n}",
            "rule a: unknown variant `success`, expected one of `exception`, `add`, `replace`, `remove` at line 2 column 63",
        ),
        (
            r#"{"rules":[{"name":"a","when":[],"then":{"op":"add","path":"x"}}]}"#,
            "rule a: missing field `value` at line 1 column 62",
        ),
        (
            r#"{"rules":[{"name":"a","when":[],"then":{"op":"remove","path":"x","value":1}}]}"#,
            "rule a: unknown field `value`, expected `path` at line 1 column 75",
        ),
        (
            r#"{"rules":[{"name":"a","when":[],"then":7}]}"#,
            "rule a: invalid type: integer `7`, expected an operation or a list of operations at line 1 column 40",
        ),
        (
            r#"{"rules":[],"mode":"on"}"#,
            "unknown variant `on`, expected `enforce` or `observe` at line 1 column 23",
        ),
        (
            r#"{"rules":[{"name":"a","when":[{"field":"order.x","operator":"like"}],"then":{"op":"exception"}}]}"#,
            "rule a: unknown variant `like`, expected one of `greaterThan`, `lessThan`, `equal`, `notEqual`, `regex`, `in`, `isEmpty`, `notEmpty` at line 1 column 66",
        ),
        (
            r#"{"rules":[{"name":"a","when":[],"then":[]},{"name":"b","when":[],"then":7},{"name":"c","when":[],"then":7}]}"#,
            "rule b: invalid type: integer `7`, expected an operation or a list of operations at line 1 column 73",
        ),
        (
            r#"{"mode":"on","rules":[{"name":"a","when":[],"then":7}]}"#,
            "unknown variant `on`, expected `enforce` or `observe` at line 1 column 12",
        ),
        (
            r#"{"rules":[{"when":[],"then":[]}]}"#,
            "missing field `name` at line 1 column 31",
        ),
    ];
    for (file, expected) in cases {
        let problems = Rules::read::<Order>(file).unwrap_err();
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, [expected], "{file}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn conditions_that_could_never_mean_anything_are_refused() {
    let cases = [
        (
            "order.grand_total",
            "greaterThan",
            json!("1,5"),
            "it needs a number",
        ),
        (
            "order.grand_total",
            "equal",
            json!("much"),
            "it compares a number with what is no number",
        ),
        (
            "order.grand_total",
            "equal",
            json!(null),
            "it needs a number or a text",
        ),
        (
            "order.grand_total",
            "equal",
            json!([1]),
            "it needs a number or a text",
        ),
        (
            "order.grand_total",
            "in",
            json!("1,x"),
            "it compares a number with what is no number",
        ),
        ("order.status", "in", json!(" , "), "it needs a list"),
        ("order.status", "in", json!(5), "it needs a list"),
        (
            "order.status",
            "in",
            json!([["a"]]),
            "it needs a number or a text",
        ),
        ("order.status", "isEmpty", json!(0), "it needs no value"),
        ("order.status", "regex", json!(5), "it needs a regex"),
        ("order.status", "lessThan", json!(null), "it needs a number"),
        (
            "order.coupon_code",
            "greaterThan",
            json!("x"),
            "it needs a number",
        ),
        (
            "order.items.sku",
            "equal",
            json!("x"),
            "goes on below a list; write [] behind its name",
        ),
        (
            "order.items.998.sku",
            "equal",
            json!("x"),
            "write [] behind its name",
        ),
        (
            "order.status[]",
            "equal",
            json!("x"),
            "has [] where there is no list",
        ),
        (
            "order.payment[].method",
            "equal",
            json!("x"),
            "has [] where there is no list",
        ),
        (
            "order.status.code",
            "equal",
            json!("x"),
            "goes on below a single value",
        ),
        ("order..status", "equal", json!("x"), "is no path"),
        ("", "equal", json!("x"), "is no path"),
        ("order.items[0].sku", "equal", json!("x"), "is no path"),
        ("[].sku", "equal", json!("x"), "is no path"),
        ("order.it ems", "equal", json!("x"), "is no path"),
        (
            "result.key",
            "equal",
            json!("x"),
            "result is no argument of the event",
        ),
        (
            "order.shipping_address.company",
            "equal",
            json!("x"),
            "order.addresses[].company",
        ),
        (
            "order.created_at",
            "greaterThan",
            json!("2026"),
            "it compares a date as a number",
        ),
        (
            "order.created_at",
            "equal",
            json!("June"),
            "it compares a date with what is none",
        ),
        (
            "increment_id",
            "equal",
            json!("x"),
            "write order.increment_id",
        ),
        (
            "data.increment_id",
            "equal",
            json!("x"),
            "write order.increment_id",
        ),
        (
            "order.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p",
            "equal",
            json!("x"),
            "has more than 16 steps",
        ),
    ];
    for (field, operator, value, expected) in cases {
        let found = wrong(field, operator, &value);
        assert!(
            found.contains(expected),
            "{field} {operator} {value}: {found}"
        );
    }
}

#[test]
fn results_that_commerce_would_not_understand_are_refused() {
    let when = json!([{ "field": "order.status", "operator": "notEmpty" }]);
    let wrong = |then: Value| {
        problems::<Placed>(&json!([{ "name": "it", "when": when, "then": then }])).join("; ")
    };
    let exception = json!({ "op": "exception", "message": "No" });
    let remove = json!({ "op": "remove", "path": "data/order/x" });
    let cases = [
        (json!([exception, remove]), "an exception stands alone"),
        (json!([remove, exception]), "an exception stands alone"),
        (
            json!({ "op": "exception", "message": " " }),
            "the message is empty",
        ),
        (
            json!({ "op": "exception", "message": "{order.status" }),
            "has { without }",
        ),
        (
            json!({ "op": "exception", "message": "{status}" }),
            "has {status}, which write order.status",
        ),
        (
            json!({ "op": "exception", "message": "x".repeat(1001) }),
            "has more than 1000 characters",
        ),
        (
            json!({ "op": "exception", "type": "not a class" }),
            "type \"not a class\" is no PHP class",
        ),
        (
            json!({ "op": "add", "path": "data/x", "value": 1, "instance": "9x" }),
            "instance \"9x\" is no PHP class",
        ),
        (
            json!({ "op": "add", "path": "/data/x", "value": 1 }),
            "the path \"/data/x\"",
        ),
        (
            json!({ "op": "add", "path": "", "value": 1 }),
            "the path \"\"",
        ),
        (
            json!({ "op": "replace", "path": "data/a b", "value": 1 }),
            "the path \"data/a b\"",
        ),
        (
            json!({ "op": "remove", "path": "x".repeat(600) }),
            "the path ",
        ),
        (json!(vec![remove; 21]), "more than 20 operations"),
    ];
    for (then, expected) in cases {
        let found = wrong(then.clone());
        assert!(found.contains(expected), "{then}: {found}");
    }
}

#[test]
fn files_have_limits() {
    let condition = json!({ "field": "order.status", "operator": "notEmpty" });
    let rule = |name: usize, conditions: usize| json!({ "name": name.to_string(), "when": vec![&condition; conditions], "then": { "op": "exception" } });
    let many: Vec<_> = (0..=RULES_MAX).map(|name| rule(name, 1)).collect();
    assert_eq!(
        problems::<Placed>(&json!(many)),
        ["there are more than 100 rules"]
    );
    assert_eq!(
        problems::<Placed>(&json!([rule(0, CONDITIONS_MAX + 1)])),
        ["rule 0: it has more than 10 conditions"]
    );
    let large = " ".repeat(FILE_BYTES_MAX + 1);
    assert_eq!(
        Rules::read::<Order>(&large).unwrap_err()[0].to_string(),
        "the file has more than 524288 bytes"
    );
}

#[test]
fn a_file_has_a_limited_number_of_expressions() {
    let condition = json!({ "field": "order.status", "operator": "regex", "value": "/a/" });
    let rules = |expressions: usize| {
        let conditions: Vec<_> = std::iter::repeat_n(&condition, expressions).collect();
        let rules = conditions.chunks(CONDITIONS_MAX).enumerate();
        let rules = rules.map(|(name, when)| json!({ "name": name.to_string(), "when": when, "then": { "op": "exception" } }));
        json!({ "rules": rules.collect::<Vec<_>>() }).to_string()
    };
    assert!(Rules::read::<Order>(&rules(REGEXES_MAX)).is_ok());
    assert_eq!(
        Rules::read::<Order>(&rules(REGEXES_MAX + 1)).unwrap_err()[0].to_string(),
        "there are more than 100 conditions with a regex"
    );
}

#[test]
fn a_file_has_limited_ranges_of_which_both_cases_match() {
    let wide =
        json!({ "field": "order.status", "operator": "regex", "value": "/[b-\\x{10ffff}]/iu" });
    let rules = |count: usize| {
        let rules = (0..count).map(
            |name| json!({ "name": name.to_string(), "enabled": false, "when": [&wide], "then": { "op": "exception" } }),
        );
        Rules::read::<Order>(&json!({ "rules": rules.collect::<Vec<_>>() }).to_string())
    };
    assert!(rules(16).is_ok());
    let problems = rules(17).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0]
            .to_string()
            .starts_with("rule 16: with the rules before it, it has ranges"),
        "{}",
        problems[0]
    );
}

/// A condition that looks at every item.
fn regex_on_names(index: usize) -> Value {
    json!({ "field": "order.items[].name", "operator": "regex", "value": format!("/(a|b)*{index}$/") })
}

#[test]
fn after_the_deadline_no_rule_is_evaluated_and_each_is_named() {
    let status = json!({ "field": "order.status", "operator": "equal", "value": "new" });
    let refuse = json!({ "op": "exception" });
    let rules = rules::<Placed>(&json!([
        { "name": "change", "when": [&status], "then": { "op": "remove", "path": "data/order/x" } },
        { "name": "sent", "when": [{ "field": "order.x", "operator": "isEmpty" }], "then": &refuse },
        { "name": "refuse", "when": [&status], "then": &refuse },
    ]));
    let body = r#"{"order":{"status":"new"}}"#;
    let (decision, matched, unevaluated) = try_until::<Placed>(&rules, body, Duration::ZERO);
    assert_eq!(decision, Decision::default());
    assert_eq!(matched, [""; 0]);
    assert_eq!(unevaluated, ["change", "sent", "refuse"]);
}

#[test]
fn rules_on_a_large_event_end_in_their_time() {
    let all: Vec<_> = (0..100)
        .map(|n| json!({ "name": n.to_string(), "when": [regex_on_names(n)], "then": { "op": "exception" } }))
        .collect();
    let rules = rules::<Placed>(&json!(all));
    let items: Vec<_> = (0..500)
        .map(|_| json!({ "name": "ab".repeat(500) }))
        .collect();
    let body = json!({ "order": { "items": items } }).to_string();
    let (decision, matched, unevaluated) =
        try_until::<Placed>(&rules, &body, Duration::from_millis(20));
    assert_eq!(decision, Decision::default());
    assert_eq!(matched, [""; 0]);
    assert!(
        !unevaluated.is_empty(),
        "an unoptimized build needs seconds"
    );
}

#[test]
fn a_walk_through_what_the_shop_sent_ends_with_the_time() {
    struct Steps(usize);
    impl Observer for Steps {
        fn see(&mut self, _: usize, _: &FieldValue<'_>) {
            self.0 += 1;
        }

        fn goes_on(&mut self, _: usize) -> bool {
            self.0 < 10
        }
    }

    for sent in [
        json!({ "x": vec![json!({}); 1000] }),
        json!({ "x": (0..1000).map(|key| (key.to_string(), json!({}))).collect::<serde_json::Map<_, _>>() }),
        json!({ "x": vec![json!({ "y": 1 }); 1000] }),
    ] {
        let body = json!({ "order": { "increment_id": "1", "z": sent } }).to_string();
        let body = Unverified::new(body.as_bytes()).unwrap();
        let body = body
            .verify(&Keys::AcceptUnsigned, Signatures::default())
            .unwrap();
        let event = Event::read::<Placed>(&body, ReadOptions::default()).unwrap();
        let mut steps = Steps(0);
        let place = Place::find::<Order>("order.z.x[].y").unwrap();
        assert!(place.look(&event, &mut steps).is_err());
        assert_eq!(steps.0, 10, "{sent}");
    }
}

#[test]
fn a_text_that_is_too_long_for_an_expression_cannot_be_evaluated() {
    let regex = |field: &str| json!({ "field": field, "operator": "regex", "value": "/b$/" });
    let refuse = json!({ "op": "exception", "message": "No" });
    let rules = rules::<Placed>(&json!([
        { "name": "contract", "when": [regex("order.customer_firstname")], "then": &refuse },
        { "name": "sent", "when": [regex("order.customer_note")], "then": &refuse },
        { "name": "false-all-the-same", "when": [regex("order.customer_note"), { "field": "order.status", "operator": "notEmpty" }], "then": &refuse },
        { "name": "one-of-several", "when": [regex("order.items[].name")], "then": { "op": "remove", "path": "data/order/x" } },
    ]));
    let body = |length: usize| {
        let text = "a".repeat(length - 1) + "b";
        json!({ "order": { "customer_firstname": &text, "customer_note": &text, "items": [{ "name": &text }, { "name": "b" }] } })
            .to_string()
    };
    let forever = Duration::from_mins(1);
    let (decision, matched, unevaluated) =
        try_until::<Placed>(&rules, &body(TEXT_BYTES_MAX), forever);
    assert!(matches!(decision, Decision::Refuse(_)));
    assert_eq!(matched, ["contract"]);
    assert_eq!(unevaluated, [""; 0]);
    let (decision, matched, unevaluated) =
        try_until::<Placed>(&rules, &body(TEXT_BYTES_MAX + 1), forever);
    assert!(matches!(decision, Decision::Accept(changes) if changes.len() == 1));
    assert_eq!(matched, ["one-of-several"]);
    assert_eq!(unevaluated, ["contract", "sent"]);
}

#[test]
fn a_rule_can_refuse_when_it_cannot_be_evaluated() {
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
        try_until::<Placed>(&rules, &body.to_string(), Duration::from_mins(1))
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
        problems::<Placed>(&rule("refuse", change)),
        ["rule note: whenUnreadable: refuse needs an exception under then"]
    );
}

/// What a single condition on an event makes of its rule: whether it matches, `None` if it cannot be evaluated.
fn evaluates<C: Channel>(event: &Value, field: &str, operator: &str, value: Value) -> Option<bool> {
    let mut condition = json!({ "field": field, "operator": operator });
    if !value.is_null() {
        condition["value"] = value;
    }
    let rules =
        rules::<C>(&json!([{ "name": "one", "when": [condition], "then": { "op": "exception" } }]));
    let (_, matched, unevaluated) =
        try_until::<C>(&rules, &event.to_string(), Duration::from_mins(1));
    unevaluated.is_empty().then_some(!matched.is_empty())
}

#[test]
fn a_rule_sees_what_cannot_be_read_as_the_text_that_was_sent() {
    let order = |field: &str, value: Value| {
        let mut order = json!({ "increment_id": "1" });
        order[field] = value;
        json!({ "order": order })
    };
    let of = evaluates::<Placed>;
    let email = order("customer_email", json!("n/a"));
    let field = "order.customer_email";
    assert_eq!(of(&email, field, "equal", json!("n/a")), Some(true));
    assert_eq!(of(&email, field, "notEqual", json!("n/a")), Some(false));
    assert_eq!(of(&email, field, "regex", json!("/^n/")), Some(true));
    assert_eq!(of(&email, field, "isEmpty", Value::Null), Some(false));
    assert_eq!(of(&email, field, "notEmpty", Value::Null), Some(true));

    let total = order("grand_total", json!("1,299.00"));
    let field = "order.grand_total";
    for operator in ["greaterThan", "lessThan", "equal", "notEqual"] {
        assert_eq!(of(&total, field, operator, json!(5)), None, "{operator}");
    }
    assert_eq!(of(&total, field, "isEmpty", Value::Null), Some(false));
    // A number all the same, if not one of the contract's.
    let id = order("entity_id", json!(1.5));
    assert_eq!(
        of(&id, "order.entity_id", "greaterThan", json!(1)),
        Some(true)
    );
    assert_eq!(of(&id, "order.entity_id", "equal", json!(1.5)), Some(true));

    let date = order("created_at", json!("2026-06-18"));
    let field = "order.created_at";
    assert_eq!(of(&date, field, "regex", json!("/^2026-06/")), Some(true));
    assert_eq!(
        of(&date, field, "equal", json!("2026-06-18 00:00:00")),
        None
    );

    for nothing_to_see in [json!(["a"]), json!({ "a": 1 })] {
        let email = order("customer_email", nothing_to_see);
        assert_eq!(
            of(&email, "order.customer_email", "isEmpty", Value::Null),
            None
        );
    }
    let absent = order("customer_email", json!([]));
    assert_eq!(
        of(&absent, "order.customer_email", "isEmpty", Value::Null),
        Some(true)
    );
}

#[test]
fn a_rule_sees_what_cannot_be_read_in_a_list_or_under_another_name() {
    let of = evaluates::<Placed>;
    let addresses = json!({ "order": { "increment_id": "1", "addresses": [
        { "address_type": "shipping", "country_id": "Germany" },
        { "country_id": "DE", "address_type": "billing" },
    ] } });
    let country = "order.shipping_address.country_id";
    assert_eq!(
        of(&addresses, country, "in", json!(["DE", "Germany"])),
        Some(true)
    );
    assert_eq!(of(&addresses, country, "equal", json!("DE")), Some(false));
    assert_eq!(
        of(
            &addresses,
            "order.billing_address.country_id",
            "equal",
            json!("DE")
        ),
        Some(true)
    );

    let items = json!({ "order": { "increment_id": "1", "items": [
        { "sku": "A", "price": "1,299.00" },
        { "sku": "B", "price": 5 },
        { "sku": "C" },
    ] } });
    let price = "order.items[].price";
    assert_eq!(
        of(&items, price, "equal", json!(5)),
        Some(true),
        "of the second"
    );
    assert_eq!(
        of(&items, price, "greaterThan", json!(5)),
        None,
        "perhaps the first"
    );
    assert_eq!(
        of(&items, price, "isEmpty", Value::Null),
        Some(true),
        "of the third"
    );
    assert_eq!(
        of(&items, "order.items[].sku", "equal", json!("Z")),
        Some(false)
    );
    let items = json!({ "order": { "increment_id": "1", "items": [{ "price": "1,299.00" }] } });
    assert_eq!(of(&items, price, "isEmpty", Value::Null), Some(false));

    let customer = json!({ "customer": { "id": "fifty-seven", "email": "zoe@shop.example" } });
    assert_eq!(
        evaluates::<CustomerSaved>(&customer, "customer.entity_id", "isEmpty", Value::Null),
        Some(false)
    );
}

#[test]
fn what_is_below_or_made_of_something_unreadable_cannot_be_evaluated() {
    let of = evaluates::<Placed>;
    let event = json!({ "order": { "increment_id": "1", "payment": "checkmo", "items": "none", "grand_total": 5, "subtotal": "5,-" } });
    for field in [
        "order.payment.method",
        "order.items[].sku",
        "order.unexplained_total",
    ] {
        assert_eq!(of(&event, field, "isEmpty", Value::Null), None, "{field}");
    }
    assert_eq!(
        of(&event, "order.payment", "notEmpty", Value::Null),
        Some(true)
    );
    assert_eq!(
        of(&event, "order.grand_total", "equal", json!(5)),
        Some(true)
    );
}

#[test]
fn a_total_of_which_a_part_is_unreadable_cannot_be_evaluated() {
    let of = evaluates::<Placed>;
    let event = |tax: &str| json!({ "order": { "increment_id": "1", "grand_total": "12.00", "subtotal": 10, "tax_amount": tax, "customer_email": "n/a" } });
    let field = "order.unexplained_total";
    assert_eq!(of(&event("2.00"), field, "notEqual", json!(0)), Some(false));
    assert_eq!(of(&event("2,00"), field, "notEqual", json!(0)), None);
    assert_eq!(of(&event("2,00"), field, "notEmpty", Value::Null), None);
}

#[test]
fn what_was_skipped_in_a_list_cannot_be_evaluated() {
    let of = evaluates::<Placed>;
    let order =
        |field: &str, value: Value| json!({ "order": { "increment_id": "1", field: value } });
    let items = order("items", json!(["x", { "sku": "A", "qty_ordered": 1 }]));
    assert_eq!(
        of(
            &items,
            "order.items[].qty_ordered",
            "greaterThan",
            json!(49)
        ),
        None
    );
    assert_eq!(
        of(&items, "order.items[].qty_ordered", "greaterThan", json!(0)),
        Some(true)
    );
    assert_eq!(
        of(&items, "order.items", "isEmpty", Value::Null),
        Some(false)
    );
    let none = order("items", json!(["x"]));
    assert_eq!(of(&none, "order.items", "isEmpty", Value::Null), None);

    let country = "order.shipping_address.country_id";
    for addresses in [
        json!("x"),
        json!(["x"]),
        json!([{ "country_id": "KP" }]),
        json!([{ "address_type": [1], "country_id": "KP" }]),
    ] {
        let event = order("addresses", addresses);
        assert_eq!(of(&event, country, "in", json!(["KP"])), None, "{event}");
        assert_eq!(
            of(&event, "order.shipping_address", "isEmpty", Value::Null),
            None,
            "{event}"
        );
    }
    let pickup = order(
        "addresses",
        json!([{ "address_type": "pickup", "country_id": "KP" }]),
    );
    assert_eq!(of(&pickup, country, "in", json!(["KP"])), Some(false));
    let known = order(
        "addresses",
        json!(["x", { "address_type": "shipping", "country_id": "DE" }]),
    );
    assert_eq!(of(&known, country, "in", json!(["KP"])), Some(false));
}

#[test]
fn a_rule_sees_each_value_below_keys_that_are_no_ids() {
    let items = json!({ "_0": { "product_id": -5 }, "_1": { "product_id": -7 } });
    let event = json!({ "order": { "increment_id": "1", "items": items } });
    let field = "order.items[].product_id";
    assert_eq!(
        evaluates::<Placed>(&event, field, "equal", json!(-7)),
        Some(true)
    );
}

#[test]
fn of_issues_that_are_not_listed_a_rule_knows_the_fields() {
    let items: Vec<_> = (0..150)
        .map(|_| json!({ "sku": "A", "price": "x" }))
        .collect();
    let event = json!({ "order": { "increment_id": "1", "items": items, "tax_amount": "x", "grand_total": 5, "subtotal": 5 } });
    let of = evaluates::<Placed>;
    assert_eq!(
        of(&event, "order.items[].price", "isEmpty", Value::Null),
        None
    );
    assert_eq!(of(&event, "order.tax_amount", "isEmpty", Value::Null), None);
    assert_eq!(
        of(&event, "order.unexplained_total", "notEqual", json!(0)),
        None
    );
    // They say nothing of others.
    assert_eq!(
        of(&event, "order.customer_id", "isEmpty", Value::Null),
        Some(true)
    );
    assert_eq!(
        of(&event, "order.customer_id", "equal", json!(3)),
        Some(false)
    );
    assert_eq!(
        of(&event, "order.increment_id", "equal", json!("2")),
        Some(false)
    );
}

#[test]
fn an_address_that_is_not_in_the_message_is_not_in_a_rule() {
    let of = evaluates::<Placed>;
    let country = "order.shipping_address.country_id";
    for order in [
        json!({ "shipping_address": { "country_id": "US" }, "addresses": [{ "address_type": "shipping", "country_id": "USA" }] }),
        json!({ "shipping_address": { "country_id": "USA" }, "addresses": [{ "address_type": "shipping", "country_id": "US" }] }),
    ] {
        let mut order = order;
        order["increment_id"] = "1".into();
        let event = json!({ "order": order });
        assert_eq!(
            of(&event, country, "in", json!(["USA"])),
            Some(false),
            "{event}"
        );
        assert_eq!(
            of(&event, country, "in", json!(["US"])),
            Some(true),
            "{event}"
        );
    }
    let customer = json!({ "customer": { "id": "x", "entity_id": 5 } });
    assert_eq!(
        evaluates::<CustomerSaved>(&customer, "customer.entity_id", "equal", json!(6)),
        Some(false)
    );
}

#[test]
fn a_sentence_says_what_was_sent_where_it_cannot_be_read() {
    let rules = rules::<Placed>(&json!([{
        "name": "no",
        "when": [{ "field": "order.shipping_address.country_id", "operator": "in", "value": ["USA"] }],
        "then": { "op": "exception", "message": "We do not ship to {order.shipping_address.country_id}." },
    }]));
    let event =
        json!({ "order": { "increment_id": "1", "shipping_address": { "country_id": "USA" } } });
    let (decision, ..) = try_until::<Placed>(&rules, &event.to_string(), Duration::from_mins(1));
    let message = Some("We do not ship to USA.".to_owned());
    assert_eq!(
        decision,
        Decision::Refuse(Refusal {
            message,
            class: None
        })
    );
}

#[test]
fn a_rule_that_looks_at_what_cannot_be_read_cannot_be_evaluated() {
    let rules = rules::<Placed>(&json!([
        { "name": "it", "when": [{ "field": "order.x.y", "operator": "notEmpty" }], "then": { "op": "exception" } }
    ]));
    let body = r#"{"order":{"x":{"\ud800":1}}}"#;
    let (decision, _, unevaluated) = try_until::<Placed>(&rules, body, Duration::from_mins(1));
    assert_eq!(decision, Decision::default());
    assert_eq!(unevaluated, ["it"]);
}

// Against independent oracles

/// A number in one of the ways in which PHP and MySQL write one.
fn written_number() -> impl Strategy<Value = (i128, u32, String)> {
    (-99_999_999_i64..99_999_999, 0_u32..6, 0_u32..4).prop_map(|(digits, scale, zeros)| {
        let sign = if digits < 0 { "-" } else { "" };
        let all = format!(
            "{:0>width$}",
            digits.unsigned_abs(),
            width = scale as usize + 1
        );
        let (whole, fraction) = all.split_at(all.len() - scale as usize);
        let fraction = format!("{fraction}{}", "0".repeat(zeros as usize));
        let point = if fraction.is_empty() { "" } else { "." };
        (
            i128::from(digits),
            scale,
            format!("{sign}{whole}{point}{fraction}"),
        )
    })
}

/// Compares two scaled integers, without any decimal type.
fn compare(one: &(i128, u32, String), other: &(i128, u32, String)) -> std::cmp::Ordering {
    (one.0 * 10_i128.pow(other.1)).cmp(&(other.0 * 10_i128.pow(one.1)))
}

/// A JSON value as a hook may send it where the contract has nothing.
fn some_json() -> impl Strategy<Value = Value> {
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

/// Everything at the end of a path, by the plainest walk there is: `None` where nothing stands.
fn ends(value: Option<&Value>, path: &[&str]) -> Vec<Option<Value>> {
    let Some((step, rest)) = path.split_first() else {
        return vec![value.filter(|value| !value.is_null()).cloned()];
    };
    match (*step, value) {
        ("[]", Some(Value::Array(list))) => {
            list.iter().flat_map(|one| ends(Some(one), rest)).collect()
        }
        ("[]", Some(Value::Object(map))) => {
            map.values().flat_map(|one| ends(Some(one), rest)).collect()
        }
        (name, Some(Value::Object(map))) if name != "[]" => ends(map.get(name), rest),
        _ => ends(None, rest),
    }
}

fn oracle(found: Option<&Value>, operator: &str, value: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Bool(flag) => Some(i64::from(*flag)),
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let text = |value: &Value| match value {
        Value::Bool(flag) => Some(i64::from(*flag).to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    };
    let same = |value: &Value| {
        found.is_some_and(|found| match value {
            Value::String(_) => text(found) == text(value),
            _ => number(found).is_some() && number(found) == number(value),
        })
    };
    let ordered = |order: std::cmp::Ordering| {
        let pair = found.and_then(number).zip(number(value));
        pair.is_some_and(|(found, value)| found.cmp(&value) == order)
    };
    let empty = found.is_none_or(|found| match found {
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    });
    match operator {
        "greaterThan" => ordered(std::cmp::Ordering::Greater),
        "lessThan" => ordered(std::cmp::Ordering::Less),
        "equal" => same(value),
        "notEqual" => !same(value),
        "in" => value.as_array().unwrap().iter().any(same),
        "isEmpty" => empty,
        "notEmpty" => !empty,
        other => panic!("{other}"),
    }
}

proptest! {
    #[test]
    fn numbers_compare_like_scaled_integers(one in written_number(), other in written_number(), quoted: [bool; 2]) {
        let json = |text: &str, quoted: bool| -> Value {
            if quoted { json!(text) } else { serde_json::from_str(text).unwrap() }
        };
        // As text, because serde_json's own numbers are floats.
        let value = json(&one.2, quoted[0]);
        for (field, key) in [("order.grand_total", "grand_total"), ("order.other_total", "other_total")] {
            let body = json!({ "order": { key: value } });
            let order = compare(&one, &other);
            let number = json(&other.2, quoted[1]);
            prop_assert_eq!(holds::<Placed>(&body, field, "greaterThan", &json(&other.2, quoted[1])), order.is_gt());
            prop_assert_eq!(holds::<Placed>(&body, field, "lessThan", &json(&other.2, quoted[1])), order.is_lt());
            prop_assert_eq!(holds::<Placed>(&body, field, "equal", &number), order.is_eq());
            prop_assert_eq!(holds::<Placed>(&body, field, "notEqual", &number), order.is_ne());
            prop_assert_eq!(holds::<Placed>(&body, field, "in", &json!([number, 1.5])), order.is_eq() || one.2.parse() == Ok(1.5));
        }
    }

    #[test]
    fn paths_and_operators_agree_with_the_plainest_walk(
        sent in some_json(),
        path in prop::collection::vec(prop::sample::select(vec!["a", "b", "[]"]), 0..4),
        value in prop_oneof![(-3_i64..4).prop_map(Value::from), "[ab1]{1,2}".prop_map(Value::from), any::<bool>().prop_map(Value::from)],
    ) {
        let mut field = "order.sent".to_owned();
        for step in &path {
            if *step != "[]" { field.push('.'); }
            field.push_str(step);
        }
        let body = json!({ "order": { "sent": sent } });
        let mut found = ends(Some(&sent), &path);
        if found.is_empty() { found.push(None); }
        for operator in ["greaterThan", "lessThan", "equal", "notEqual", "in", "isEmpty", "notEmpty"] {
            let value = match operator {
                "greaterThan" | "lessThan" if value.as_i64().is_none() => json!(1),
                "in" => json!([value, 2]),
                "isEmpty" | "notEmpty" => Value::Null,
                _ => value.clone(),
            };
            let expected = found.iter().any(|found| oracle(found.as_ref(), operator, &value));
            prop_assert_eq!(holds::<Placed>(&body, &field, operator, &value), expected, "{} {} {}", field, operator, value);
        }
    }

    /// Many paths in one walk see what each sees alone.
    #[test]
    fn one_walk_sees_what_many_would(sent in some_json(), paths in prop::collection::vec(prop::collection::vec(prop::sample::select(vec!["a", "b", "[]"]), 0..3), 1..5)) {
        let fields: Vec<String> = paths.iter().map(|path| {
            path.iter().fold("order.sent".to_owned(), |field, step| if *step == "[]" { field + step } else { field + "." + step })
        }).collect();
        let all: Vec<Value> = fields.iter().enumerate().map(|(index, field)| json!({
            "name": index.to_string(),
            "when": [{ "field": field, "operator": "notEmpty" }],
            "then": { "op": "remove", "path": "data/x" },
        })).collect();
        let body = json!({ "order": { "sent": sent } });
        let (_, matched) = apply::<Placed>(&rules::<Placed>(&json!(all)), &body.to_string());
        for (index, field) in fields.iter().enumerate() {
            prop_assert_eq!(matched.contains(&index.to_string()), holds::<Placed>(&body, field, "notEmpty", &Value::Null), "{}", field);
        }
    }
}
