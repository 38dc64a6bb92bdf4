//! A rules file. The first byte selects the channel. A zero byte and an event may follow the file.
//!
//! With the bit [`PARTS`] in the second byte, the file is built from lines: field, value, message
//! and path. Mutations of an expression or a path then do not break the JSON escapes. The other
//! bits select the operator and the kind of the condition.
#![no_main]
#![expect(clippy::indexing_slicing, reason = "a failed check panics")]

use channels::for_each_channel;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use shared_fuzz::rules;

const PARTS: u8 = 0x80;

const OPERATORS: [&str; 14] = [
    "greaterThan",
    "lessThan",
    "equal",
    "notEqual",
    "regex",
    "in",
    "isEmpty",
    "notEmpty",
    "notIn",
    "greaterThanOrEqual",
    "lessThanOrEqual",
    "startsWith",
    "endsWith",
    "contains",
];

fuzz_target!(|input: &[u8]| {
    let [channel, mode, input @ ..] = input else {
        return;
    };
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let (text, body) = (parts.next(), parts.next().unwrap_or_default());
    let Ok(text) = std::str::from_utf8(text.unwrap_or_default()) else {
        return;
    };
    let checks = for_each_channel!(rules::check);
    let check = checks[usize::from(*channel) % checks.len()];
    if mode & PARTS == 0 {
        check(text, body);
    } else {
        let operator = OPERATORS[usize::from(mode & 0x0F) % OPERATORS.len()];
        check(&file(text, operator, mode >> 4 & 0x07), body);
    }
});

fn file(text: &str, operator: &str, kind: u8) -> String {
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (field, value, message, path) = (line(), line(), line(), line());
    let emptiness = operator.ends_with("Empty");
    let value = if emptiness {
        Value::Null
    } else {
        serde_json::from_str(value).unwrap_or_else(|_| value.into())
    };
    let condition = |operand: &str| json!({ operand: field, "operator": operator, "value": value });
    let of_shop = json!({ "field": "@shop", "operator": operator, "value": value });
    let when = match kind {
        1 => json!({ "any": [condition("field"), condition("count")] }),
        2 => condition("count"),
        3 => condition("sum"),
        4 => json!({ "field": field, "operator": operator, "valueField": value }),
        5 => json!({ "element": message, "all": [condition("field")] }),
        6 => json!({ "any": [of_shop, condition("field")] }),
        _ => condition("field"),
    };
    let when = json!([when]);
    let then = if message.is_empty() {
        json!([
            { "op": "replace", "path": path, "value": value },
            { "op": "remove", "path": path },
        ])
    } else {
        json!({ "op": "exception", "message": message })
    };
    json!({ "rules": [{ "name": "made-of-lines", "when": when, "then": then }] }).to_string()
}
