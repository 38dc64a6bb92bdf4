//! The JSON Schemas of the messages, and a validator with the keywords that they use.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::LazyLock,
};

use channels::NAMES;
use regex::bytes::{Regex, RegexBuilder};
use serde_json::{Map, Value, json};
use shared::{Channel, model::Entity};

/// Names in the pointers of violations that are not fields of the contract: the parts of an event,
/// and read-only fields.
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

static SCHEMAS: LazyLock<BTreeMap<&str, Schema>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema");
    let read = |channel: &&'static str| {
        let text = fs::read_to_string(folder.join(format!("{channel}.json")));
        (
            *channel,
            Schema::new(&text.expect("each channel has a schema")),
        )
    };
    NAMES.iter().map(read).collect()
});

/// The names that an answer of any channel can contain.
static WITHOUT_MODEL: LazyLock<Schema> = LazyLock::new(|| Schema::new("{}"));

static PATTERNS: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    [
        r"^-?\d+\.\d{2,}$",
        r"^-?\d+(\.\d+)?$",
        "^[A-Z]{2}$",
        "^[A-Z]{3}$",
        "^[0-9a-f]{64}$",
        // The patterns of the formats.
        DATE_TIME,
        EMAIL,
    ]
    .map(|pattern| {
        let regex = RegexBuilder::new(pattern).unicode(false).build();
        (pattern, regex.expect("the pattern is valid"))
    })
    .into()
});

const DATE_TIME: &str = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$";
const EMAIL: &str = r#"^("([^"\\]|\\.)*"|[^@\s]+)@[^@\s]+$"#;

fn matches(pattern: &str, text: &str) -> bool {
    let mut patterns = PATTERNS.iter();
    let known = patterns.find(|(known, _)| *known == pattern);
    known
        .expect("the pattern is known")
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

    /// Returns the schema of a channel's message.
    pub(crate) fn of<C: Channel>() -> &'static Self {
        if C::Entity::HAS_MODEL {
            &SCHEMAS[C::NAME]
        } else {
            &WITHOUT_MODEL
        }
    }

    /// Returns whether each part of the pointer is a known name or a number.
    pub(crate) fn is_pointer<C: Channel>(&self, pointer: &str) -> bool {
        let is_number = |part: &str| {
            let number = part.parse::<u64>();
            number.is_ok_and(|number| number.to_string() == part)
        };
        pointer.strip_prefix('/').is_some_and(|parts| {
            parts
                .split('/')
                .all(|part| is_number(part) || self.has_name::<C>(part))
        })
    }

    /// Returns whether this is a field as rules name it, or an attribute of the CloudEvent that the
    /// envelope provides.
    pub(crate) fn is_field<C: Channel>(&self, field: &str) -> bool {
        let mut names = field
            .split(['.', '/'])
            .map(|name| name.trim_end_matches("[]"));
        let is_number = |name: &str| name.parse::<u64>().is_ok();
        ["id", "source"].contains(&field)
            || names.all(|name| is_number(name) || self.has_name::<C>(name))
    }

    /// Returns whether a name is in the schema, or in the constants of the channel.
    fn has_name<C: Channel>(&self, name: &str) -> bool {
        let pointers = C::IDENTITY.iter().copied().flatten().chain(C::EXPECTED);
        self.names.contains(name)
            || name == C::Entity::NAME
            || C::Entity::KEYS.contains(&name)
            || pointers
                .flat_map(|pointer| pointer.split('/'))
                .any(|part| part == name)
    }

    /// Checks a message against the schema.
    pub(crate) fn check(&self, message: &Value) {
        self.check_value(self.resolve(&self.root), message, "");
    }

    /// Checks that the data of a message contains the entity and its issues only.
    pub(crate) fn check_members(entity: &str, data: &Value) {
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
                    _ => panic!("{at}: type {expected} is unknown"),
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
                    .is_some_and(|(text, pattern)| matches(pattern, text)),
                "format" => match (expected.as_str(), value.as_str()) {
                    (Some("date-time"), Some(text)) => matches(DATE_TIME, text),
                    (Some("email"), Some(text)) => matches(EMAIL, text),
                    (Some("uuid" | "uri-reference"), Some(text)) => text.is_ascii(),
                    (Some("uint64"), None) => value.is_u64(),
                    _ => panic!("{at}: format {expected} is unknown"),
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
                        let schema =
                            schema.unwrap_or_else(|| panic!("{at}: {name} is not in the schema"));
                        self.check_value(self.resolve(schema), value, &format!("{at}/{name}"));
                    }
                    true
                }
                _ => panic!("{at}: keyword {keyword} is unknown"),
            };
            assert!(holds, "{at}: {value} does not match {keyword} {expected}");
        }
    }
}

/// Returns whether a value meets a condition of a schema about the presence of members.
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
            _ => panic!("keyword {keyword} is unknown in a condition"),
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
