//! The JSON Schemas of the messages, as the consumers have them: as much of a validator as they need.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::bytes::{Regex, RegexBuilder};
use serde_json::{Map, Value, json};

use crate::channels::NAMES;

/// What a pointer of a violation may name beside the fields of the contract: the shapes of an event, and what is read and
/// never written.
const MORE_NAMES: [&str; 19] = [
    "address_type",
    "addresses",
    "customer",
    "customer_data_object",
    "data",
    "data_object",
    "environment_id",
    "event",
    "eventName",
    "event_id",
    "id",
    "invoice",
    "merchant_id",
    "order",
    "product",
    "quote_item",
    "result",
    "shipment",
    "subject",
];

/// The schema of a channel's message.
pub(crate) struct Schema {
    root: Value,
    names: BTreeSet<String>,
}

static SCHEMAS: LazyLock<[Schema; NAMES.len()]> = LazyLock::new(|| {
    [
        include_str!("../../schema/catalog_product_save_after.json"),
        include_str!("../../schema/checkout_cart_product_add_after.json"),
        include_str!("../../schema/customer_delete_after.json"),
        include_str!("../../schema/customer_save_after_data_object.json"),
        include_str!("../../schema/sales_order_invoice_pay.json"),
        include_str!("../../schema/sales_order_place_after.json"),
        include_str!("../../schema/sales_order_save_after.json"),
        include_str!("../../schema/sales_order_shipment_save_after.json"),
    ]
    .map(Schema::new)
});

static PATTERNS: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    [
        r"^-?\d+\.\d{2,}$",
        r"^-?\d+(\.\d+)?$",
        "^[A-Z]{2}$",
        "^[A-Z]{3}$",
        "^[0-9a-f]{64}$",
        // The formats, which a schema has no pattern for.
        DATE_TIME,
        EMAIL,
    ]
    .map(|pattern| {
        let regex = RegexBuilder::new(pattern).unicode(false).build();
        (pattern, regex.expect("it is an expression"))
    })
    .into()
});

const DATE_TIME: &str = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$";
const EMAIL: &str = r#"^("([^"\\]|\\.)*"|[^@\s]+)@[^@\s]+$"#;

fn fits(pattern: &str, text: &str) -> bool {
    let mut patterns = PATTERNS.iter();
    let known = patterns.find(|(known, _)| *known == pattern);
    known
        .expect("every pattern is known")
        .1
        .is_match(text.as_bytes())
}

impl Schema {
    fn new(text: &str) -> Self {
        let root: Value = serde_json::from_str(text).expect("a schema is JSON");
        let mut names = MORE_NAMES.map(str::to_owned).into();
        collect_names(&root, &mut names);
        Self { root, names }
    }

    pub(crate) fn of_message(channel: &str) -> &'static Self {
        let index = NAMES.iter().position(|name| *name == channel);
        &SCHEMAS[index.expect("every channel is known")]
    }

    /// Whether this pointer holds nothing but names of ours, and numbers.
    pub(crate) fn is_pointer(&self, pointer: &str) -> bool {
        let id = |step: &str| step.parse::<u64>().is_ok_and(|id| id.to_string() == step);
        pointer.strip_prefix('/').is_some_and(|steps| {
            steps
                .split('/')
                .all(|step| id(step) || self.names.contains(step))
        })
    }

    /// Whether this is a field as rules name it, or an attribute of the CloudEvent that the envelope gives.
    pub(crate) fn is_field(&self, field: &str) -> bool {
        let mut names = field.split('.').map(|name| name.trim_end_matches("[]"));
        ["id", "source"].contains(&field) || names.all(|name| self.names.contains(name))
    }

    /// Checks that a message keeps to the schema.
    pub(crate) fn check(&self, message: &Value) {
        self.check_value(self.resolve(&self.root), message, "");
    }

    /// Checks that the data of a message holds the entity alone, and what is said of it.
    #[expect(clippy::unused_self, reason = "it belongs to the schema")]
    pub(crate) fn check_has_no_more(&self, entity: &str, data: &Value) {
        let data = data.as_object().expect("data is an object");
        let known = [entity, "issues", "more_issues"];
        assert!(data.keys().all(|key| known.contains(&key.as_str())));
        assert!(data.contains_key(entity));
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Map<String, Value> {
        let reference = schema.get("$ref").and_then(Value::as_str);
        let schema = reference.map_or(Some(schema), |path| {
            self.root.pointer(path.trim_start_matches('#'))
        });
        schema
            .and_then(Value::as_object)
            .expect("a schema is an object")
    }

    fn check_value(&self, schema: &Map<String, Value>, value: &Value, at: &str) {
        for (keyword, expected) in schema {
            let holds = match keyword.as_str() {
                "$schema" | "$id" | "$defs" | "$ref" | "title" | "description" | "then" => true,
                "type" => match expected.as_str() {
                    Some("object") => value.is_object(),
                    Some("array") => value.is_array(),
                    Some("string") => value.is_string(),
                    Some("number") => value.is_number(),
                    Some("integer") => value.is_u64(),
                    Some("boolean") => value.is_boolean(),
                    _ => panic!("{at}: type {expected} is not known"),
                },
                "const" => value == expected,
                "enum" => expected.as_array().is_some_and(|list| list.contains(value)),
                "minimum" => expected.as_u64() <= value.as_u64(),
                "anyOf" => expected
                    .as_array()
                    .is_some_and(|any| any.iter().any(|one| is_met(one, value))),
                "if" => !is_met(expected, value) || is_met(&schema["then"], value),
                "minItems" | "maxItems" => is_met(&json!({ keyword: expected }), value),
                "minLength" => {
                    *expected == 1 && value.as_str().is_some_and(|text| !text.is_empty())
                }
                "pattern" => value
                    .as_str()
                    .zip(expected.as_str())
                    .is_some_and(|(text, pattern)| fits(pattern, text)),
                "format" => match (expected.as_str(), value.as_str()) {
                    (Some("date-time"), Some(text)) => fits(DATE_TIME, text),
                    (Some("email"), Some(text)) => fits(EMAIL, text),
                    (Some("uuid" | "uri-reference"), Some(text)) => text.is_ascii(),
                    (Some("uint64"), None) => value.is_u64(),
                    _ => panic!("{at}: format {expected} is not known"),
                },
                "required" => expected.as_array().is_some_and(|names| {
                    let mut names = names.iter().filter_map(Value::as_str);
                    names.all(|name| value.get(name).is_some())
                }),
                "items" => {
                    for element in value.as_array().into_iter().flatten() {
                        self.check_value(self.resolve(expected), element, at);
                    }
                    true
                }
                "properties" => {
                    for (name, value) in value.as_object().into_iter().flatten() {
                        let schema = expected.get(name);
                        let schema = schema.unwrap_or_else(|| panic!("{at}: {name} is too much"));
                        self.check_value(self.resolve(schema), value, &format!("{at}/{name}"));
                    }
                    true
                }
                _ => panic!("{at}: the keyword {keyword} is not known"),
            };
            assert!(
                holds,
                "{at}: {keyword} {expected} does not hold for {value}"
            );
        }
    }
}

/// Whether a value keeps to a condition of a schema, which is about what is there.
fn is_met(condition: &Value, value: &Value) -> bool {
    let conditions = condition.as_object().expect("a condition is an object");
    conditions.iter().all(|(keyword, expected)| {
        let length = value.as_array().map(|list| list.len() as u64);
        match keyword.as_str() {
            "required" => expected.as_array().is_some_and(|names| {
                let mut names = names.iter().filter_map(Value::as_str);
                names.all(|name| value.get(name).is_some())
            }),
            "not" => !is_met(expected, value),
            "minItems" => length.is_none() || expected.as_u64() <= length,
            "maxItems" => length.is_none() || expected.as_u64() >= length,
            "items" => {
                let mut elements = value.as_array().into_iter().flatten();
                elements.all(|element| is_met(expected, element))
            }
            "properties" => {
                let mut properties = expected.as_object().into_iter().flatten();
                properties
                    .all(|(name, schema)| value.get(name).is_none_or(|below| is_met(schema, below)))
            }
            _ => panic!("the keyword {keyword} is not known in a condition"),
        }
    })
}

fn collect_names(schema: &Value, names: &mut BTreeSet<String>) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        names.extend(properties.keys().cloned());
    }
    match schema {
        Value::Object(members) => members
            .values()
            .for_each(|below| collect_names(below, names)),
        Value::Array(elements) => elements
            .iter()
            .for_each(|below| collect_names(below, names)),
        _ => {}
    }
}
