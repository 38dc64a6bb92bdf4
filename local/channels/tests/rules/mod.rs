//! No key that a shop sends is taken for a misspelled field of the contract.

use std::{fs, path::Path};

use channels::for_each_channel;
use serde_json::{Value, json};
use shared::{
    Channel,
    rules::{RULES_MAX, Rules},
};

#[test]
fn accepts_every_key_that_a_shop_sends() {
    for check in for_each_channel!(check) {
        check();
    }
}

fn check<C: Channel>() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../events")
        .join(C::NAME);
    let body = fs::read(folder.join("default.body.json")).unwrap_or_default();
    let mut body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut fields = Vec::new();
    let arguments = body.get_mut("data").map_or(Value::Null, Value::take);
    let arguments = if arguments.is_null() { body } else { arguments };
    add_fields("", &arguments, &mut fields);
    assert!(!fields.is_empty(), "{} has a sample", C::NAME);
    for fields in fields.chunks(RULES_MAX) {
        let rules = fields.iter().enumerate().map(|(index, field)| {
            let when = json!([{ "field": field, "operator": "notEmpty" }]);
            json!({ "name": index.to_string(), "when": when, "then": { "op": "exception" } })
        });
        let file = json!({ "rules": rules.collect::<Vec<_>>() }).to_string();
        for error in Rules::read::<C>(&file).err().into_iter().flatten() {
            let error = error.to_string();
            assert!(!error.contains("did you mean"), "{}: {error}", C::NAME);
        }
    }
}

/// Adds the paths of all values, with `[]` for the elements of a list or of a map.
fn add_fields(path: &str, value: &Value, fields: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let is_id = name.parse::<u64>().is_ok();
                let below = match (path, is_id) {
                    (_, true) => format!("{path}[]"),
                    ("", false) => name.clone(),
                    (_, false) => format!("{path}.{name}"),
                };
                add_fields(&below, value, fields);
            }
        }
        Value::Array(list) => {
            for value in list {
                add_fields(&format!("{path}[]"), value, fields);
            }
        }
        _ => {}
    }
    if !path.is_empty() && !fields.iter().any(|known| known == path) {
        fields.push(path.to_owned());
    }
}
