use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    channel::{Channel, Decision},
    event::generic::{Generic, GenericChannel},
    rules::{Mode, Rules, tests::*},
};

struct Memo;

impl Channel for Memo {
    const NAME: &str = "sales_order_creditmemo_save_after";
    const METHOD: &str = "observer.sales_order_creditmemo_save_after";
    const IDENTITY: &[&[&str]] = &[];
    const EXPECTED: &[&str] = &[];
    type Entity = Generic<Self>;
}

impl GenericChannel for Memo {
    const ARGUMENTS: &[&str] = &["creditmemo"];
    const SUBJECT: &[&str] = &["/entity_id"];
    const GROUP: Option<(&str, &str)> = None;
    const FIELDS: &[&str] = &[];
}

/// Returns whether a rule with this `when` matches; `None` if it cannot be evaluated.
#[track_caller]
fn matches<C: Channel>(when: &Value, body: &Value) -> Option<bool> {
    let rules = rules::<C>(&json!([
        { "name": "it", "when": when, "then": { "op": "exception" } }
    ]));
    let (_, matched, unevaluated) =
        apply_within::<C>(&rules, &body.to_string(), Duration::from_mins(1));
    unevaluated.is_empty().then_some(!matched.is_empty())
}

#[track_caller]
fn assert_matches<C: Channel>(body: &Value, cases: &[(Value, Option<bool>)]) {
    for (when, expected) in cases {
        let when = if when.is_array() {
            when.clone()
        } else {
            json!([when])
        };
        assert_eq!(matches::<C>(&when, body), *expected, "{when}");
    }
}

fn field_against(field: &str, operator: &str, other: &str) -> Value {
    json!({ "field": field, "operator": operator, "valueField": other })
}

#[test]
fn compares_texts_and_numbers_with_every_operator() {
    assert_conditions(&[
        (
            "order.grand_total",
            "greaterThanOrEqual",
            json!(12000),
            true,
        ),
        (
            "order.grand_total",
            "greaterThanOrEqual",
            json!("12000.01"),
            false,
        ),
        ("order.grand_total", "lessThanOrEqual", json!(12000), true),
        (
            "order.grand_total",
            "lessThanOrEqual",
            json!(11_999.99),
            false,
        ),
        ("order.never", "lessThanOrEqual", json!(5), false),
        (
            "order.shipping_address.country_id",
            "notIn",
            json!(["AT", "us"]),
            false,
        ),
        (
            "order.shipping_address.country_id",
            "notIn",
            json!("AT, DE"),
            true,
        ),
        (
            "order.billing_address.country_id",
            "notIn",
            json!("AT, DE"),
            true,
        ), // absent
        ("order.increment_id", "startsWith", json!("0000"), true),
        ("order.increment_id", "startsWith", json!("123"), false),
        ("order.increment_id", "endsWith", json!("123"), true),
        (
            "order.shipping_address.country_id",
            "startsWith",
            json!("u"),
            true,
        ),
        (
            "order.shipping_address.region",
            "contains",
            json!("reg"),
            true,
        ),
        (
            "order.shipping_address.region",
            "contains",
            json!("REG"),
            false,
        ),
        ("order.coupon_code", "contains", json!("E"), true),
        ("order.never", "contains", json!("E"), false),
        ("order.items[].sku", "startsWith", json!("10"), true),
    ]);
}

#[test]
fn compares_a_field_with_another_field() {
    let body = json!({ "order": {
        "increment_id": "1", "status": "7", "grand_total": "100.10", "subtotal": 100.1, "tax_amount": 0,
        "limit": "100.1000", "code": "007", "same": "007", "number": 7, "list": [1, 2],
        "shipping_address": { "country_id": "de", "city": "Bonn" },
        "billing_address": { "country_id": "DE" },
        "deeper": { "country": "DE" },
    } });
    let cases = [
        ("order.grand_total", "equal", "order.subtotal", true),
        (
            "order.grand_total",
            "greaterThanOrEqual",
            "order.limit",
            true,
        ),
        ("order.grand_total", "greaterThan", "order.limit", false),
        ("order.limit", "lessThanOrEqual", "order.subtotal", true),
        ("order.limit", "equal", "order.grand_total", true),
        ("order.limit", "greaterThan", "order.tax_amount", true),
        ("order.limit", "greaterThan", "order.status", true),
        ("order.limit", "lessThan", "order.code", false),
        ("order.code", "equal", "order.same", true),
        ("order.code", "equal", "order.number", false), // 007 is text
        ("order.list[]", "equal", "order.number", false),
        ("order.list[]", "lessThan", "order.number", true),
        (
            "order.shipping_address.country_id",
            "notEqual",
            "order.billing_address.country_id",
            false,
        ),
        (
            "order.shipping_address.country_id",
            "equal",
            "order.deeper.country",
            true,
        ),
        (
            "order.shipping_address.city",
            "notEqual",
            "order.billing_address.city",
            true,
        ),
        (
            "order.shipping_address.postcode",
            "equal",
            "order.billing_address.postcode",
            true,
        ),
        (
            "order.shipping_address.postcode",
            "notEqual",
            "order.billing_address.postcode",
            false,
        ),
        (
            "order.shipping_address.postcode",
            "greaterThan",
            "order.grand_total",
            false,
        ),
        (
            "order.grand_total",
            "greaterThan",
            "order.shipping_address.postcode",
            false,
        ),
        ("order.never", "notEqual", "order.nor_this", false),
        ("order.never", "notEqual", "order.code", true),
    ];
    for (field, operator, other, expected) in cases {
        let when = json!([field_against(field, operator, other)]);
        assert_eq!(matches::<Placed>(&when, &body), Some(expected), "{when}");
    }
    // An object is not one value.
    let when = json!([field_against("order.code", "equal", "order.deeper")]);
    assert_eq!(matches::<Placed>(&when, &body), None);
}

#[test]
fn cannot_evaluate_a_comparison_with_an_unreadable_field() {
    let body = json!({ "order": {
        "increment_id": "1", "grand_total": "much", "subtotal": 5, "customer_email": "n/a", "x": "n/a",
        "items": [{ "qty_ordered": 2 }, { "qty_ordered": "many" }, "no item"],
    } });
    let sum = |operator: &str| json!({ "sum": "order.items[].qty_ordered", "operator": operator, "value": 1 });
    let line = |operator: &str, value: Value| json!({ "element": "order.items[]", "all": [{ "field": "qty_ordered", "operator": operator, "value": value }] });
    let known = |holds: bool| json!({ "field": "order.subtotal", "operator": if holds { "equal" } else { "notEqual" }, "value": 5 });
    assert_matches::<Placed>(
        &body,
        &[
            (
                field_against("order.subtotal", "lessThan", "order.grand_total"),
                None,
            ),
            (
                field_against("order.grand_total", "lessThan", "order.subtotal"),
                None,
            ),
            (
                field_against("order.x", "equal", "order.customer_email"),
                None,
            ),
            (
                field_against("order.customer_email", "equal", "order.x"),
                Some(true),
            ),
            (sum("greaterThan"), None),
            (
                json!({ "count": "order.items[]", "operator": "greaterThan", "value": 1 }),
                None,
            ),
            (line("equal", json!(2)), Some(true)),
            (line("equal", json!(3)), None),
            // Unknown and false is false; unknown or true is true.
            (json!([sum("equal"), known(false)]), Some(false)),
            (json!([sum("equal"), known(true)]), None),
            (json!({ "any": [sum("equal"), known(true)] }), Some(true)),
            (json!({ "any": [sum("equal"), known(false)] }), None),
            (
                json!({ "any": [known(false), line("equal", json!(2))] }),
                Some(true),
            ),
        ],
    );
}

#[test]
fn does_not_evaluate_an_element_with_too_many_values() {
    let event = |count: usize| json!({ "order": { "items": [{ "list": vec![1; count] }] } });
    let inside = |operand: &str, operator: &str, value: usize| json!({ "element": "order.items[]", "all": [{ operand: "list[]", "operator": operator, "value": value }] });
    let most = [
        (inside("count", "equal", 10_000), Some(true)),
        (inside("field", "equal", 2), Some(false)),
    ];
    assert_matches::<Placed>(&event(10_000), &most);
    let more = [
        (inside("count", "equal", 10_001), None),
        (inside("field", "equal", 2), None),
        (inside("field", "equal", 1), Some(true)),
    ];
    assert_matches::<Placed>(&event(10_001), &more);
}

#[test]
fn evaluates_several_conditions_on_the_same_element() {
    let line = |sku: &str, qty: Value| {
        json!({ "element": "order.items[]", "all": [
            { "field": "sku", "operator": "equal", "value": sku },
            { "field": "qty_ordered", "operator": "greaterThan", "value": qty },
        ] })
    };
    let inside = |field: &str, operator: &str, value: Value| json!({ "element": "order.items[]", "all": [{ "field": field, "operator": operator, "value": value }] });
    let cases = [
        (line("CAP-77", json!(1)), Some(true)),
        (line("CAP-77", json!(2)), Some(false)), // only the other line has more
        (line("1001", json!(9)), Some(true)),
        (line("1002", json!(0)), Some(false)),
        (
            inside("product_options.label", "equal", json!("a")),
            Some(true),
        ),
        (
            inside("product_options.label", "isEmpty", json!(null)),
            Some(true),
        ),
        (
            inside("product_options.list[]", "equal", json!(2)),
            Some(true),
        ),
        (
            json!({ "element": "order.items[]", "all": [
            { "field": "product_options.label", "operator": "equal", "value": "a" },
            { "field": "qty_ordered", "operator": "equal", "value": 10 },
        ] }),
            Some(false),
        ),
        (
            json!({ "element": "order.items[]", "all": [
            { "field": "item_id", "operator": "equal", "value": 998 },
            { "count": "product_options.list[]", "operator": "equal", "value": 2 },
            { "sum": "product_options.list[]", "operator": "equal", "value": 3 },
            { "field": "product_options.list[]", "operator": "equal", "valueField": "qty_ordered" },
        ] }),
            Some(true),
        ),
        (
            json!({ "element": "order.addresses[]", "all": [
            { "field": "address_type", "operator": "equal", "value": "shipping" },
            { "field": "country_id", "operator": "equal", "value": "us" },
        ] }),
            Some(true),
        ),
        (
            json!({ "element": "order.never[]", "all": [{ "field": "x", "operator": "isEmpty" }] }),
            Some(false),
        ),
        (
            json!({ "element": "order.items[].product_options.list[]", "all": [{ "field": "x", "operator": "isEmpty" }] }),
            Some(true),
        ),
    ];
    assert_matches::<Placed>(&order(), &cases);

    let memo = json!({ "data": { "creditmemo": { "entity_id": 1, "items": { "totalRecords": 2, "items": [
        { "sku": "A", "qty": "1.0000", "price": 5 }, null, { "sku": "B", "qty": 3, "price": "3.0" },
    ] } } } });
    let line = |sku: &str, operator: &str| {
        json!({ "element": "creditmemo.items[]", "all": [
            { "field": "sku", "operator": "equal", "value": sku },
            { "field": "qty", "operator": operator, "valueField": "price" },
        ] })
    };
    assert_matches::<Memo>(
        &memo,
        &[
            (line("A", "lessThan"), Some(true)),
            (line("A", "equal"), Some(false)),
            (line("B", "equal"), Some(true)),
            (
                json!({ "count": "creditmemo.items[]", "operator": "equal", "value": 2 }),
                Some(true),
            ),
            (
                json!({ "sum": "creditmemo.items[].qty", "operator": "in", "value": "3, 4" }),
                Some(true),
            ),
        ],
    );
}

#[test]
fn limits_the_memory_of_comparisons_of_fields() {
    let then = json!({ "op": "exception" });
    let unevaluated = |body: &Value, when: &Value| {
        let all: Vec<Value> = (0..5)
            .map(|index| json!({ "name": index.to_string(), "when": when, "then": then }))
            .collect();
        let rules = rules::<Placed>(&json!(all));
        apply_within::<Placed>(&rules, &body.to_string(), Duration::from_mins(1)).2
    };
    let text = json!({ "order": { "note": "x".repeat(1_000_000) } });
    let list = json!({ "order": { "list": vec![json!({}); 20_000] } });
    let element = json!({ "order": { "list": vec![json!({ "note": "x".repeat(100_000) }); 20] } });
    for (body, name, other) in [
        (&text, "order.note", "order.other"),
        (&text, "order.other", "order.note"),
        (&list, "order.list[].a", "order.other"),
    ] {
        let condition = field_against(name, "equal", other);
        let one = unevaluated(body, &json!([condition]));
        assert_eq!(one, [""; 0], "{name}");
        let all = unevaluated(body, &json!(vec![condition; 10]));
        assert!(!all.is_empty(), "{name}");
    }
    // The values of an element are dropped before those of the next.
    let all = vec![field_against("note", "equal", "other"); 10];
    let group = json!([{ "element": "order.list[]", "all": all }]);
    assert_eq!(unevaluated(&element, &group), [""; 0]);
}

#[test]
fn counts_and_adds_up() {
    let sum = |field: &str, operator: &str, value: Value| json!({ "sum": field, "operator": operator, "value": value });
    let count = |list: &str, operator: &str, value: Value| json!({ "count": list, "operator": operator, "value": value });
    let mut body = order();
    body["data"]["order"]["numbers"] = json!(["0.1", 0.2, "", null, []]);
    body["data"]["order"]["texts"] = json!([1, "x"]);
    body["data"]["order"]["large"] = json!(["79228162514264337593543950335", "0.1"]);
    assert_matches::<Placed>(
        &body,
        &[
            (count("order.items[]", "equal", json!(2)), Some(true)),
            (count("order.items[]", "greaterThan", json!(2)), Some(false)),
            (count("order.items[]", "notIn", json!([1, 3])), Some(true)),
            (count("order.never[]", "equal", json!(0)), Some(true)),
            (count("order.numbers[]", "equal", json!(4)), Some(true)),
            (
                sum("order.items[].qty_ordered", "equal", json!("12.00")),
                Some(true),
            ),
            (sum("order.items[].price", "equal", json!(0)), Some(true)),
            (sum("order.numbers[]", "equal", json!(0.3)), Some(true)),
            (sum("order.texts[]", "greaterThan", json!(0)), None),
            (sum("order.large[]", "greaterThan", json!(0)), None),
            (
                json!({ "sum": "order.items[].qty_ordered", "operator": "equal", "valueField": "quote.items_qty" }),
                Some(true),
            ),
            (
                json!({ "count": "order.items[]", "operator": "lessThan", "valueField": "order.subtotal" }),
                Some(true),
            ),
        ],
    );
}

#[test]
fn applies_the_rules_of_each_mode_on_their_own() {
    let when = json!([{ "field": "order.increment_id", "operator": "notEmpty" }]);
    let file = json!({ "mode": "observe", "rules": [
        { "name": "a", "when": when, "then": { "op": "exception" } },
        { "name": "b", "mode": "enforce", "when": when, "then": { "op": "remove", "path": "data/order/x" } },
        { "name": "c", "mode": "observe", "when": when, "then": { "op": "exception" } },
    ] });
    let rules = Rules::read::<Placed>(&file.to_string()).unwrap();
    let names = |mode| {
        let rules = &rules.in_mode(mode).rules;
        rules
            .iter()
            .map(|rule| rule.name.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(Mode::Enforce), ["b"]);
    assert_eq!(names(Mode::Observe), ["a", "c"]);
    let (decision, matched) = apply::<Placed>(&rules, &order().to_string());
    assert!(matches!(decision, Decision::Accept(changes) if changes.len() == 1));
    assert_eq!(matched, ["b"]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn rejects_meaningless_entries_of_when() {
    let equal = json!({ "field": "order.status", "operator": "equal", "value": 1 });
    let cases = [
        (
            json!({ "operator": "equal", "value": 1 }),
            "condition 1: exactly one of field, count and sum is required",
        ),
        (
            json!({ "field": "order.status", "sum": "order.items[].qty_ordered", "operator": "equal", "value": 1 }),
            "exactly one of field, count and sum is required",
        ),
        (
            json!({ "field": "order.status" }),
            "the operator is missing",
        ),
        (
            json!({ "field": "order.status", "operator": "equal", "value": 1, "valueField": "order.state" }),
            "value and valueField exclude each other",
        ),
        (
            json!({ "field": "order.status", "operator": "in", "valueField": "order.state" }),
            "the operator takes a value, not a valueField",
        ),
        (
            json!({ "field": "order.status", "operator": "equal", "valueField": "order.grand_total" }),
            "the field is a text, but the field in valueField is a number",
        ),
        (
            json!({ "field": "order.status", "operator": "equal", "valueField": "order.items" }),
            "in valueField, the field is a list or an object",
        ),
        (
            json!({ "field": "order.status", "operator": "equal", "valueField": "order.items[].sku" }),
            "must be one value, without []",
        ),
        (
            json!({ "field": "order.status", "operator": "equal", "valueField": "order.stauts" }),
            "did you mean order.status?",
        ),
        (
            json!({ "field": "order.grand_total", "operator": "startsWith", "value": "1" }),
            "a number has no text",
        ),
        (
            json!({ "field": "order.status", "operator": "contains", "value": "" }),
            "the value must be a text that is not empty",
        ),
        (
            json!({ "field": "order.status", "operator": "contains", "value": 5 }),
            "the value must be a text that is not empty",
        ),
        (
            json!({ "count": "order.items", "operator": "equal", "value": 1 }),
            "count of \"order.items\" needs the elements of a list",
        ),
        (
            json!({ "sum": "order.grand_total", "operator": "equal", "value": 1 }),
            "needs a value of each element",
        ),
        (
            json!({ "sum": "order.items[].sku", "operator": "equal", "value": 1 }),
            "needs numbers",
        ),
        (
            json!({ "count": "order.items[]", "operator": "isEmpty" }),
            "a count or a sum is a number",
        ),
        (
            json!({ "element": "order.items", "all": [equal] }),
            "the element \"order.items\" is not the elements of a list",
        ),
        (
            json!({ "element": "order.items[]", "all": [] }),
            "all has no conditions",
        ),
        (
            json!({ "element": "order.items[]" }),
            "write a condition with field",
        ),
        (json!({ "all": [equal] }), "write a condition with field"),
        (
            json!({ "element": "order.items[]", "all": [{ "field": "quantity", "operator": "lessThan", "value": "x" }] }),
            "condition 1.1: quantity lessThan: the value must be a number",
        ),
        (
            json!({ "element": "order.items[]", "all": [{ "field": "qty_orderd", "operator": "lessThan", "value": 1 }] }),
            "did you mean order.items[].qty_ordered?",
        ),
        (
            json!({ "element": "order.items[]", "all": [{ "any": [equal] }] }),
            "all holds only conditions",
        ),
        (json!({ "any": [] }), "any has no conditions"),
        (
            json!({ "any": [equal], "field": "order.status" }),
            "write a condition with field",
        ),
        (
            json!({ "any": [equal, { "any": [equal] }] }),
            "condition 1.2: any cannot be inside any",
        ),
        (
            json!({ "any": vec![&equal; 11] }),
            "it has more than 10 conditions",
        ),
        (
            json!({ "field": "order.grandtotal", "operator": "lessThan", "value": 1 }),
            "the field \"order.grandtotal\" is not in the contract; did you mean order.grand_total?",
        ),
        (
            json!({ "field": "order.shipping_address.postCode", "operator": "equal", "value": 1 }),
            "did you mean order.shipping_address.postcode?",
        ),
        (
            json!({ "field": "ordr.status", "operator": "equal", "value": 1 }),
            "the field \"ordr.status\" is not in the event; did you mean order.status?",
        ),
    ];
    for (entry, expected) in cases {
        let found = errors::<Placed>(
            &json!([{ "name": "it", "when": [entry], "then": { "op": "exception" } }]),
        );
        assert!(found.join("; ").contains(expected), "{entry}: {found:?}");
    }
}

/// An element of a list, with few values, so that they are often the same.
fn element() -> impl Strategy<Value = Value> {
    let scalar = || {
        prop_oneof![
            Just(json!(null)),
            (0..4).prop_map(Value::from),
            (0..4).prop_map(|number| json!(format!("{number}.50"))),
            "[ab]".prop_map(Value::from),
        ]
    };
    (scalar(), scalar()).prop_map(|(a, b)| json!({ "a": a, "b": b }))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_f64(),
    }
}

/// Evaluates a condition on one element, independently of the rules engine. The numbers of
/// [`element`] are exact as floats.
fn expected_on(element: &Value, operator: &str, other: &Value) -> bool {
    let (one, other) = (&element["a"], other);
    let order = || Some(number(one)?.total_cmp(&number(other)?));
    let equal = || match (number(one), number(other)) {
        (Some(one), Some(other)) => (one - other).abs() < 1e-9,
        _ => one == other,
    };
    match operator {
        "greaterThan" => order().is_some_and(std::cmp::Ordering::is_gt),
        "greaterThanOrEqual" => order().is_some_and(std::cmp::Ordering::is_ge),
        "lessThan" => order().is_some_and(std::cmp::Ordering::is_lt),
        "lessThanOrEqual" => order().is_some_and(std::cmp::Ordering::is_le),
        "equal" => equal(),
        _ => !equal(),
    }
}

fn operator() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "greaterThan",
        "greaterThanOrEqual",
        "lessThan",
        "lessThanOrEqual",
        "equal",
        "notEqual",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn groups_alternatives_counts_and_sums_agree_with_a_simple_evaluation(
        elements in prop::collection::vec(element(), 0..5),
        first in operator(),
        second in operator(),
        limit in 0..4,
        keyed in any::<bool>(),
    ) {
        let list: Value = if keyed {
            elements.iter().enumerate().map(|(key, element)| (key.to_string(), element.clone())).collect()
        } else {
            json!(elements)
        };
        let body = json!({ "order": { "increment_id": "1", "x": { "list": list, "limit": limit } } });
        let limit = json!(limit);
        let against_value = json!({ "field": "a", "operator": first, "value": limit });
        let against_field = json!({ "field": "a", "operator": second, "valueField": "b" });
        let group = |all: &[&Value]| json!({ "element": "order.x.list[]", "all": all });
        let one = |element: &&Value| expected_on(element, first, &limit);
        let other = |element: &&Value| expected_on(element, second, &element["b"]);

        let both = elements.iter().any(|element| one(&element) && other(&element));
        let has_one = elements.iter().any(|element| one(&element));
        let has_other = elements.iter().any(|element| other(&element));
        let numbers: Option<Vec<f64>> = elements
            .iter()
            .map(|it| if it["a"].is_null() { Some(0.0) } else { number(&it["a"]) })
            .collect();
        let on_total = |total: f64| expected_on(&json!({ "a": total }), first, &limit);
        let count = json!({ "count": "order.x.list[]", "operator": first, "valueField": "order.x.limit" });
        let sum = json!({ "sum": "order.x.list[].a", "operator": first, "value": limit });
        let (one, other) = (group(&[&against_value]), group(&[&against_field]));
        let cases = [
            ("both", json!([group(&[&against_value, &against_field])]), Some(both)),
            ("any", json!([{ "any": [one, other] }]), Some(has_one || has_other)),
            ("all", json!([one, other]), Some(has_one && has_other)),
            ("count", json!([count]), Some(on_total(elements.iter().map(|_| 1.0).sum::<f64>() + 0.0))),
            ("sum", json!([sum]), numbers.map(|numbers| on_total(0.0 + numbers.iter().sum::<f64>()))),
        ];
        let remove = json!({ "op": "remove", "path": "data/order/x" });
        let all: Vec<Value> = cases
            .iter()
            .map(|(name, when, _)| json!({ "name": name, "when": when, "then": remove }))
            .collect();
        let rules = rules::<Placed>(&json!(all));
        let (_, matched, unevaluated) = apply_within::<Placed>(&rules, &body.to_string(), Duration::from_mins(1));
        for (name, _, expected) in cases {
            let is_in = |names: &[String]| names.iter().any(|known| known == name);
            let found = (!is_in(&unevaluated)).then(|| is_in(&matched));
            prop_assert_eq!(found, expected, "{}", name);
        }
    }
}
