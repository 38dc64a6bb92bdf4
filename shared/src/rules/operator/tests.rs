use proptest::prelude::*;
use serde_json::{Value, json};

use crate::rules::tests::*;

#[test]
fn compares_numbers_of_the_contract_as_decimals() {
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
        // An absent field is neither greater nor less nor equal, and therefore not equal.
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
fn compares_text() {
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

/// Generates a number as PHP and MySQL write it, with its digits and scale.
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

/// Compares two scaled integers without a decimal type.
fn compare(one: &(i128, u32, String), other: &(i128, u32, String)) -> std::cmp::Ordering {
    (one.0 * 10_i128.pow(other.1)).cmp(&(other.0 * 10_i128.pow(one.1)))
}

/// Returns every value at the end of a path by a naive search; `None` is an absent value.
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
    fn compares_numbers_like_scaled_integers(
        one in written_number(),
        other in written_number(),
        quoted: [bool; 2],
    ) {
        let json = |text: &str, quoted: bool| -> Value {
            if quoted { json!(text) } else { serde_json::from_str(text).unwrap() }
        };
        // Parsed from text, because `json!` would convert the number to a float.
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
    fn agrees_with_a_naive_implementation(
        sent in any_json(),
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
}
