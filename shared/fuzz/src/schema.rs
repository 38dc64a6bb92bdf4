//! The JSON Schemas of the messages, as the consumers have them: as much of a validator as they need.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::bytes::{Regex, RegexBuilder};
use serde_json::{Map, Value};

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
const EMAIL: &str = r"^[^@\s]+@[^@\s]+$";

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

    /// Checks that a message keeps to the schema.
    pub(crate) fn check(&self, message: &Value) {
        self.check_value(self.resolve(&self.root), message, "");
    }

    /// Checks that the data of a message holds the entity alone.
    #[expect(clippy::unused_self, reason = "it belongs to the schema")]
    pub(crate) fn check_has_no_more(&self, entity: &str, data: &Value) {
        let keys: Vec<_> = data
            .as_object()
            .expect("data is an object")
            .keys()
            .collect();
        assert_eq!(keys, [entity]);
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
                "$schema" | "$defs" | "$ref" | "title" | "description" => true,
                "type" => match expected.as_str() {
                    Some("object") => value.is_object(),
                    Some("array") => value.is_array(),
                    Some("string") => value.is_string(),
                    Some("number") => value.is_number(),
                    Some("integer") => value.is_u64(),
                    _ => panic!("{at}: type {expected} is not known"),
                },
                "const" => value == expected,
                "enum" => expected.as_array().is_some_and(|list| list.contains(value)),
                "minimum" => *expected == 0 && value.is_u64(),
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
