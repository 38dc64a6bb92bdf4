use serde_json::{Value, json};

use super::*;
use crate::rules::{CONDITIONS_MAX, tests::*};

/// Returns the only error of a rule with one condition.
fn condition_error(field: &str, operator: &str, value: &Value) -> String {
    let when = json!([{ "field": field, "operator": operator, "value": value }]);
    let found =
        errors::<Placed>(&json!([{ "name": "it", "when": when, "then": { "op": "exception" } }]));
    let [found] = &*found else {
        panic!("{found:?}")
    };
    found
        .strip_prefix("rule it: condition 1: ")
        .unwrap_or_else(|| panic!("{found}"))
        .to_owned()
}

#[test]
fn reports_all_errors_of_a_file_together() {
    let found = errors::<Placed>(&json!([
        { "name": "Big", "when": [], "then": [] },
        { "name": "twice", "when": [
            { "field": "order.grand_total", "operator": "regex", "value": "/1/" },
            { "field": "grand_total", "operator": "greaterThan", "value": "much" },
        ], "then": [{ "op": "remove", "path": "data//x" }] },
        { "name": "twice", "enabled": false, "when": [{ "field": "order.items", "operator": "equal", "value": 1 }], "then": { "op": "exception", "message": "{order.items}" } },
    ]));
    let expected = [
        "rule Big: the name must have 1 to 64 lowercase letters, digits, hyphens or underscores",
        "rule Big: it has no conditions and would match every event",
        "rule Big: then: at least one operation is required",
        "rule twice: condition 1: order.grand_total regex: a number cannot be matched; compare it with greaterThan, lessThan, equal or in",
        "rule twice: condition 2: the field \"grand_total\" must be written as order.grand_total",
        "rule twice: then: the path \"data//x\" must start with data and have slashes between names, as in data/order/ext_order_id",
        "rule twice: another rule has the same name",
        "rule twice: condition 1: order.items equal: the field is a list or an object; only isEmpty and notEmpty apply to it",
        "rule twice: then: the message has a placeholder {order.items} that is a list or an object",
    ];
    assert_eq!(found, expected);
}

#[test]
fn reports_the_position_and_the_rule_of_a_parse_error() {
    let cases = [
        ("", "EOF while parsing a value at line 1 column 0"),
        (
            r#"{"rules":[],"rulez":[]}"#,
            "unknown field `rulez`, expected one of `$schema`, `mode`, `rules` at line 1 column 19",
        ),
        (
            "{\n \"rules\": [{ \"name\": \"a\", \"when\": [], \"then\": { \"op\": \"success\" } }]\n}",
            "rule a: unknown variant `success`, expected one of `exception`, `add`, `replace`, `remove`, `doNotForward` at line 2 column 63",
        ),
        (
            r#"{"rules":[{"name":"a","when":[],"then":{"op":"add","value":1}}]}"#,
            "rule a: missing field `path` at line 1 column 61",
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
            "rule a: there is no operator \"like\" (write contains) at line 1 column 67",
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
        let problems = Rules::read::<Placed>(file).unwrap_err();
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, [expected], "{file}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn rejects_meaningless_conditions() {
    let cases = [
        (
            "order.grand_total",
            "greaterThan",
            json!("1,5"),
            "the value must be a number",
        ),
        (
            "order.grand_total",
            "equal",
            json!("much"),
            "the field is a number, but the value is not",
        ),
        (
            "order.grand_total",
            "equal",
            json!(null),
            "the value must be a number or a text",
        ),
        (
            "order.grand_total",
            "equal",
            json!([1]),
            "the value must be a number or a text",
        ),
        (
            "order.grand_total",
            "in",
            json!("1,x"),
            "the field is a number, but the value is not",
        ),
        (
            "order.status",
            "in",
            json!(" , "),
            "the value must be a list",
        ),
        ("order.status", "in", json!(5), "the value must be a list"),
        (
            "order.status",
            "in",
            json!([["a"]]),
            "the value must be a number or a text",
        ),
        (
            "order.status",
            "isEmpty",
            json!(0),
            "the operator takes no value",
        ),
        (
            "order.status",
            "regex",
            json!(5),
            "the value must be an expression",
        ),
        (
            "order.status",
            "lessThan",
            json!(null),
            "the value must be a number",
        ),
        (
            "order.coupon_code",
            "greaterThan",
            json!("x"),
            "the value must be a number",
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
        ("order..status", "equal", json!("x"), "is not a path"),
        ("", "equal", json!("x"), "is not a path"),
        ("order.items[0].sku", "equal", json!("x"), "is not a path"),
        ("[].sku", "equal", json!("x"), "is not a path"),
        ("order.it ems", "equal", json!("x"), "is not a path"),
        (
            "result.key",
            "equal",
            json!("x"),
            "the field \"result.key\" is not an argument of the event",
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
            "a date cannot be compared as a number",
        ),
        (
            "order.created_at",
            "equal",
            json!("June"),
            "the field is a date, so the value must be a date",
        ),
        (
            "increment_id",
            "equal",
            json!("x"),
            "must be written as order.increment_id",
        ),
        (
            "data.increment_id",
            "equal",
            json!("x"),
            "must be written as order.increment_id",
        ),
        (
            "order.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p",
            "equal",
            json!("x"),
            "has more than 16 steps",
        ),
    ];
    for (field, operator, value, expected) in cases {
        let found = condition_error(field, operator, &value);
        assert!(
            found.contains(expected),
            "{field} {operator} {value}: {found}"
        );
    }
}

#[test]
fn limits_rules_conditions_and_bytes() {
    let condition = json!({ "field": "order.status", "operator": "notEmpty" });
    let rule = |name: usize, conditions: usize| json!({ "name": name.to_string(), "when": vec![&condition; conditions], "then": { "op": "exception" } });
    let many: Vec<_> = (0..=RULES_MAX).map(|name| rule(name, 1)).collect();
    assert_eq!(
        errors::<Placed>(&json!(many)),
        ["there are more than 100 rules"]
    );
    assert_eq!(
        errors::<Placed>(&json!([rule(0, CONDITIONS_MAX + 1)])),
        ["rule 0: it has more than 10 conditions"]
    );
    let large = " ".repeat(FILE_BYTES_MAX + 1);
    assert_eq!(
        Rules::read::<Placed>(&large).unwrap_err()[0].to_string(),
        "the file has more than 524288 bytes"
    );
}

#[test]
fn limits_the_regular_expressions_of_a_file() {
    let condition = json!({ "field": "order.status", "operator": "regex", "value": "/a/" });
    let rules = |expressions: usize| {
        let conditions: Vec<_> = std::iter::repeat_n(&condition, expressions).collect();
        let rules = conditions.chunks(CONDITIONS_MAX).enumerate();
        let rules = rules.map(|(name, when)| json!({ "name": name.to_string(), "when": when, "then": { "op": "exception" } }));
        json!({ "rules": rules.collect::<Vec<_>>() }).to_string()
    };
    assert!(Rules::read::<Placed>(&rules(REGEXES_MAX)).is_ok());
    assert_eq!(
        Rules::read::<Placed>(&rules(REGEXES_MAX + 1)).unwrap_err()[0].to_string(),
        "there are more than 100 conditions with a regex"
    );
}

#[test]
fn limits_the_case_insensitive_ranges_of_a_file() {
    let wide =
        json!({ "field": "order.status", "operator": "regex", "value": "/[b-\\x{10ffff}]/iu" });
    let rules = |count: usize| {
        let rules = (0..count).map(
            |name| json!({ "name": name.to_string(), "enabled": false, "when": [&wide], "then": { "op": "exception" } }),
        );
        Rules::read::<Placed>(&json!({ "rules": rules.collect::<Vec<_>>() }).to_string())
    };
    assert!(rules(16).is_ok());
    let problems = rules(17).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0]
            .to_string()
            .starts_with("rule 16: together with the rules before it, it has ranges"),
        "{}",
        problems[0]
    );
}
