use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    channel::{Channel, Decision, HookType},
    event::{
        Event, ReadOptions,
        generic::{Generic, GenericChannel},
    },
    model::Order,
    operation,
    request::body::Unverified,
    rules::{COMPUTED_BYTES_MAX, Deadline, Mode, Rules, tests::*},
    verify::{Keys, Signatures},
};

struct Placing;

impl Channel for Placing {
    const NAME: &str = "plugin_sales_api_order_management_place";
    const METHOD: &str = "plugin.magento.sales.api.order_management.place";
    const IDENTITY: &[&[&str]] = &[];
    const EXPECTED: &[&str] = &[];
    type Entity = Order;
}

/// The same event, before the shop does it.
struct BeforePlacing;

impl Channel for BeforePlacing {
    const NAME: &str = "plugin_sales_api_order_management_place";
    const METHOD: &str = "plugin.magento.sales.api.order_management.place";
    const HOOK_TYPE: HookType = HookType::Before;
    const IDENTITY: &[&[&str]] = &[];
    const EXPECTED: &[&str] = &[];
    type Entity = Order;
}

struct Coupon;

impl Channel for Coupon {
    const NAME: &str = "plugin_quote_api_guest_coupon_management_set";
    const METHOD: &str = "plugin.magento.quote.api.guest_coupon_management.set";
    const IDENTITY: &[&[&str]] = &[];
    const EXPECTED: &[&str] = &[];
    type Entity = Generic<Self>;
}

impl GenericChannel for Coupon {
    const ARGUMENTS: &[&str] = &[];
    const SUBJECT: &[&str] = &["/cartId"];
    const GROUP: Option<(&str, &str)> = None;
    const FIELDS: &[&str] = &[];
}

/// A coupon of which the hook sends some fields.
struct CouponFields;

impl Channel for CouponFields {
    const NAME: &str = "plugin_quote_api_guest_coupon_management_set";
    const METHOD: &str = "plugin.magento.quote.api.guest_coupon_management.set";
    const HOOK_TYPE: HookType = HookType::Before;
    const IDENTITY: &[&[&str]] = &[];
    const EXPECTED: &[&str] = &[];
    type Entity = Generic<Self>;
}

impl GenericChannel for CouponFields {
    const ARGUMENTS: &[&str] = &[];
    const SUBJECT: &[&str] = &["/cartId"];
    const GROUP: Option<(&str, &str)> = None;
    const FIELDS: &[&str] = &["cartId", "couponCode", "address.postcode"];
}

/// Returns a rule that matches [`order`] and has these operations.
fn rule(then: &Value) -> Value {
    let when = json!([{ "field": "order.increment_id", "operator": "notEmpty" }]);
    json!([{ "name": "it", "when": when, "then": then }])
}

/// Returns the answer to [`order`] with this field, and whether the event is forwarded.
fn answer_with(then: &Value, field: &str, value: Value) -> (String, bool) {
    let rules = rules::<Placed>(&rule(then));
    let mut body = order();
    body["data"]["order"][field] = value;
    let body = body.to_string();
    let body = Unverified::new(body.as_bytes()).unwrap();
    let body = body
        .verify(&Keys::AcceptUnsigned, Signatures::default())
        .unwrap();
    let event = Event::read::<Placed>(&body, ReadOptions::default()).unwrap();
    let deadline = Deadline::new(Duration::from_mins(1), 0, 0);
    let ruling = rules.in_mode(Mode::Enforce).apply(&event, deadline);
    assert_eq!(ruling.matched, ["it"]);
    let Decision::Accept(changes) = ruling.decision else {
        panic!("refused")
    };
    (operation::body(&changes), ruling.forward)
}

fn answer(then: &Value) -> String {
    answer_with(then, "unused", json!(null)).0
}

#[test]
fn computes_values_of_operations_from_the_event() {
    let add = |value: Value| json!({ "op": "add", "path": "data/order/x", "value": value });
    let copy =
        |field: &str| json!({ "op": "replace", "path": "data/order/x", "valueField": field });
    let added = |value: &str| format!(r#"{{"op":"add","path":"data/order/x","value":{value}}}"#);
    let replaced =
        |value: &str| format!(r#"{{"op":"replace","path":"data/order/x","value":{value}}}"#);
    let success = r#"{"op":"success"}"#.to_owned();
    let cases = [
        (
            add(json!("For {order.increment_id}")),
            added(r#""For 000000123""#),
        ),
        (
            add(json!("{{{order.grand_total}}")),
            added(r#""{12000.00}""#),
        ),
        (add(json!("{{x}")), added(r#""{x}""#)),
        (
            add(json!({ "a": ["{order.coupon_code}", 1.5, null], "b": "{{" })),
            added(r#"{"a":["TEN",1.5,null],"b":"{"}"#),
        ),
        (add(json!(["{{", ""])), added(r#"["{",""]"#)),
        (add(json!(null)), added("null")),
        // Without a value of the event, the operation is omitted.
        (
            add(json!("For {order.customer_firstname}")),
            success.clone(),
        ),
        (add(json!({ "a": ["{order.never}", 1.5] })), success.clone()),
        (copy("order.never"), success.clone()),
        (copy("order.status"), success),
        // A copy is exactly what the shop sent.
        (copy("order.grand_total"), replaced(r#""12000.0000""#)),
        (copy("order.subtotal"), replaced("11000")),
        (copy("order.weight"), replaced("1.5")),
        (
            copy("order.items"),
            replaced(&order()["data"]["order"]["items"].to_string()),
        ),
        (copy("quote.items_qty"), replaced(r#""12.0000""#)),
        (
            copy("quote"),
            replaced(&order()["data"]["quote"].to_string()),
        ),
        // The shop sends the addresses as a list.
        (
            copy("order.shipping_address.country_id"),
            replaced(r#""US""#),
        ),
        (copy("order.unexplained_total"), replaced("105.00")),
    ];
    for (then, expected) in cases {
        assert_eq!(answer(&then), expected, "{then}");
    }
}

#[test]
fn copies_every_digit_and_limits_the_size() {
    let copy = json!({ "op": "replace", "path": "data/order/x", "valueField": "order.y" });
    let exact = "0.1000000000000000000000000000000000000001";
    assert!(answer_with(&copy, "y", json!(exact)).0.contains(exact));

    let large = |length: usize| answer_with(&copy, "y", json!("x".repeat(length - 2))).0;
    assert!(large(COMPUTED_BYTES_MAX).len() > COMPUTED_BYTES_MAX);
    assert_eq!(large(COMPUTED_BYTES_MAX + 1), r#"{"op":"success"}"#);
    let twice = json!([copy, copy]);
    let half = json!("x".repeat(COMPUTED_BYTES_MAX / 2));
    let (answer, _) = answer_with(&twice, "y", half);
    assert!(answer.starts_with('{'), "the second copy is omitted");
}

#[test]
fn accepts_an_event_without_forwarding_it() {
    let stop = json!({ "op": "doNotForward" });
    let remove = json!({ "op": "remove", "path": "data/order/x" });
    let removed = r#"{"op":"remove","path":"data/order/x"}"#.to_owned();
    let cases = [
        (stop.clone(), r#"{"op":"success"}"#.to_owned(), false),
        (json!([stop, remove]), removed.clone(), false),
        (remove, removed, true),
    ];
    for (then, answer, forward) in cases {
        assert_eq!(
            answer_with(&then, "x", json!(1)),
            (answer, forward),
            "{then}"
        );
    }
}

#[test]
fn rejects_paths_that_the_event_does_not_have() {
    fn error_of<C: Channel>(op: &str, path: &str) -> String {
        let mut then = json!({ "op": op, "path": path });
        if op != "remove" {
            then["value"] = json!(1);
        }
        let when = json!([{ "field": "x.y", "operator": "isEmpty" }]);
        let file = json!({ "rules": [{ "name": "it", "when": when, "then": then }] });
        match Rules::read::<C>(&file.to_string()) {
            Ok(_) => String::new(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        }
    }
    let placed = [
        ("add", "data/order/ext_order_id", ""),
        ("replace", "data/data_object/x", ""),
        ("remove", "result/key", ""),
        ("remove", "result", ""),
        ("replace", "data/order/items/998/qty_ordered", ""),
        ("replace", "data/order/items/0/extension_attributes/x", ""),
        ("add", "data/order/grandtotal", ""),
        (
            "replace",
            "data/order/grandtotal",
            "did you mean data/order/grand_total?",
        ),
        (
            "remove",
            "data/order/items/0/qty_orderd",
            "did you mean data/order/items/0/qty_ordered?",
        ),
        (
            "replace",
            "data/order/billing_address/post_code",
            "did you mean data/order/billing_address/postcode?",
        ),
        ("add", "data/ordr/x", "did you mean data/order/x?"),
        ("add", "data/invoice/x", "the event has order, data_object"),
        ("add", "data", "must start with data and have slashes"),
        ("add", "order/x", "must start with data and have slashes"),
        ("add", "subject/x", "must start with data and have slashes"),
    ];
    for (op, path, expected) in placed {
        let found = error_of::<Placed>(op, path);
        assert!(found.contains(expected), "{path}: {found}");
        assert_eq!(found.is_empty(), expected.is_empty(), "{path}: {found}");
    }
    let placing = [
        ("add", "order/ext_order_id", ""),
        ("replace", "result", ""),
        ("add", "other/x", ""),
        (
            "add",
            "data/order/x",
            "must start with an argument of the event, as in order/ext_order_id",
        ),
        (
            "replace",
            "order/grand_totl",
            "did you mean order/grand_total?",
        ),
        ("add", "ordr/x", "did you mean order/x?"),
    ];
    for (op, path, expected) in placing {
        let found = error_of::<Placing>(op, path);
        assert!(found.contains(expected), "{path}: {found}");
        assert_eq!(found.is_empty(), expected.is_empty(), "{path}: {found}");
    }
    assert_eq!(error_of::<BeforePlacing>("add", "order/x"), "");
    let found = error_of::<BeforePlacing>("replace", "result");
    assert!(found.ends_with("an event of type before has no result yet"));
    let coupon = [
        ("couponCode", ""),
        ("address/postcode", ""),
        ("other/x", ""),
        ("coupon_code", "did you mean couponCode?"),
        ("adress/postcode", "did you mean address/postcode?"),
        (
            "data/couponCode",
            "must start with an argument of the event, as in cartId",
        ),
        ("result", "an event of type before has no result yet"),
    ];
    for (path, expected) in coupon {
        let found = error_of::<CouponFields>("replace", path);
        assert!(found.ends_with(expected), "{path}: {found}");
        assert_eq!(found.is_empty(), expected.is_empty(), "{path}: {found}");
    }
    for path in ["couponCode", "data/x", "result"] {
        assert_eq!(error_of::<Coupon>("replace", path), "", "{path}");
    }
}

#[test]
fn rejects_operations_that_commerce_does_not_support() {
    let when = json!([{ "field": "order.status", "operator": "notEmpty" }]);
    let error_of = |then: Value| {
        errors::<Placed>(&json!([{ "name": "it", "when": when, "then": then }])).join("; ")
    };
    let exception = json!({ "op": "exception", "message": "No" });
    let remove = json!({ "op": "remove", "path": "data/order/x" });
    let cases = [
        (
            json!([exception, remove]),
            "an exception must be the only operation",
        ),
        (
            json!([remove, exception]),
            "an exception must be the only operation",
        ),
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
            "has a placeholder {status} that must be written as order.status",
        ),
        (
            json!({ "op": "exception", "message": "x".repeat(1001) }),
            "has more than 1000 characters",
        ),
        (
            json!({ "op": "exception", "type": "not a class" }),
            "type \"not a class\" is not a PHP class",
        ),
        (
            json!({ "op": "add", "path": "data/order/x", "value": 1, "instance": "9x" }),
            "instance \"9x\" is not a PHP class",
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
        (
            json!([{ "op": "doNotForward" }, exception]),
            "an exception must be the only operation",
        ),
        (
            json!({ "op": "add", "path": "data/order/x" }),
            "needs either a value or a valueField",
        ),
        (
            json!({ "op": "add", "path": "data/order/x", "value": 1, "valueField": "order.status" }),
            "needs either a value or a valueField",
        ),
        (
            json!({ "op": "add", "path": "data/order/x", "valueField": "order.items[].sku" }),
            "the field \"order.items[].sku\" must be one value, without []",
        ),
        (
            json!({ "op": "add", "path": "data/order/x", "value": ["{order.stauts}"] }),
            "did you mean order.status?",
        ),
        (json!(vec![remove; 21]), "more than 20 operations"),
    ];
    for (then, expected) in cases {
        let found = error_of(then.clone());
        assert!(found.contains(expected), "{then}: {found}");
    }
}
