//! A rules file. The first byte selects the channel. A zero byte and an event may follow the file.
//!
//! With the bit [`PARTS`] in the first byte, the file is built from lines: field, value, message
//! and path. Mutations of an expression or a path then do not break the JSON escapes.
#![no_main]
#![expect(clippy::indexing_slicing, reason = "a failed check panics")]

use channels::for_each_channel;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use shared_fuzz::rules;

const PARTS: u8 = 0x08;

const OPERATORS: [&str; 8] = [
    "greaterThan",
    "lessThan",
    "equal",
    "notEqual",
    "regex",
    "in",
    "isEmpty",
    "notEmpty",
];

fuzz_target!(|input: &[u8]| {
    let Some((mode, input)) = input.split_first() else {
        return;
    };
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let (text, body) = (parts.next(), parts.next().unwrap_or_default());
    let Ok(text) = std::str::from_utf8(text.unwrap_or_default()) else {
        return;
    };
    let checks = for_each_channel!(rules::check);
    let check = checks[usize::from(*mode) % checks.len()];
    if mode & PARTS == 0 {
        check(text, body);
    } else {
        check(&file(text, usize::from(mode >> 4) % OPERATORS.len()), body);
    }
});

fn file(text: &str, operator: usize) -> String {
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (field, value, message, path) = (line(), line(), line(), line());
    let emptiness = operator >= 6;
    let value = if emptiness {
        Value::Null
    } else {
        serde_json::from_str(value).unwrap_or_else(|_| value.into())
    };
    let when = json!([{ "field": field, "operator": OPERATORS[operator], "value": value }]);
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
