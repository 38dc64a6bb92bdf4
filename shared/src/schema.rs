//! Files that are generated from the types: the JSON Schemas of the messages in `shared/schema/`,
//! for consumers of the queues; the JSON Schema of rules files, `shared/rules.schema.json`, for
//! editors; and the fields of the hooks in `commerce/webhooks.xml`.

use std::{collections::BTreeMap, env, fs, path::Path};

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

pub use self::hooks::{HOOKS_FILE, HookField, HookUpdate, update_hook};
use crate::{
    channel::Channel,
    deliver::message::{event_type, schema_id},
    model::{Entity, LISTED_MAX, diagnostics::IN_EACH},
    rules::File,
};

mod hooks;

/// Returns the schema of the channel's message, before compression.
#[expect(clippy::indexing_slicing, reason = "for tests only")]
pub fn message<C: Channel<Entity: JsonSchema>>() -> Value {
    let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    let mut entity = generator.subschema_for::<C::Entity>().to_value();
    let mut definitions = generator.take_definitions(true);
    // Channels can share an entity, but different fields identify it, so its schema is inlined.
    let name = C::Entity::schema_name();
    if let Some(definition) = definitions.remove(&*name) {
        entity = definition;
    }
    let alternatives = C::IDENTITY
        .iter()
        .map(|fields| json!({ "required": fields }));
    entity["anyOf"] = alternatives.collect();
    let mut data_properties = Map::new();
    if C::Entity::HAS_MODEL {
        data_properties.insert(C::Entity::NAME.into(), entity);
    }
    data_properties.insert("issues".into(), issues());
    data_properties.insert(
        "more_issues".into(),
        json!({
            "type": "integer", "minimum": 1,
            "description": "How many issues there are beside those that are listed.",
        }),
    );
    data_properties.insert(
        "original".into(),
        json!({
            "type": "object",
            "description":
                "The entity exactly as the shop sent it; absent when the operator chose so.",
        }),
    );
    data_properties.insert(
        "related".into(),
        json!({
            "type": "object",
            "description": "The other arguments of the event, exactly as the shop sent them.",
        }),
    );
    let id = schema_id(C::NAME);
    let data_schema = data::<C>(&data_properties);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": id,
        "title": event_type(C::METHOD),
        "description": "CloudEvents 1.0 in JSON, as the body of an SQS message.",
        "type": "object",
        "required": [
            "specversion", "id", "source", "type", "time", "datacontenttype", "dataschema",
            "contentid", "data"
        ],
        "properties": {
            "specversion": { "const": "1.0" },
            "id": {
                "type": "string", "format": "uuid",
                "description":
                    "The same for every delivery of the event, and no other event has it: the \
                    idempotency key.",
            },
            "source": { "type": "string", "format": "uri-reference", "description": "The shop." },
            "type": { "const": event_type(C::METHOD) },
            "subject": {
                "type": "string",
                "description": "What the event is about; absent while it has no id.",
            },
            "time": {
                "type": "string", "format": "date-time",
                "description": "When the event was taken.",
            },
            "datacontenttype": { "const": "application/json" },
            "dataschema": {
                "const": id,
                "description":
                    "This schema. The number at its end is the major version of the contract.",
            },
            "contentid": {
                "type": "string", "pattern": "^[0-9a-f]{64}$",
                "description":
                    "The same for all events that say the same of the same entity in the same \
                    bytes.",
            },
            "data": data_schema,
        },
        "$defs": definitions,
    })
}

/// Returns the schema of `data`, which has these properties.
fn data<C: Channel>(properties: &Map<String, Value>) -> Value {
    if !C::Entity::HAS_MODEL {
        return json!({ "type": "object", "required": ["original"], "properties": properties });
    }
    json!({
        "type": "object",
        "required": [C::Entity::NAME],
        "properties": properties,
        "if": { "not": { "required": ["issues"] } },
        "then": { "properties": { C::Entity::NAME: expected::<C>() } },
    })
}

/// Returns the part of a schema that requires the fields that the channel expects.
#[expect(clippy::indexing_slicing, reason = "for tests only")]
fn expected<C: Channel>() -> Value {
    let (nested, own): (Vec<&str>, Vec<&str>) = C::EXPECTED
        .iter()
        .partition(|field| field.contains(IN_EACH));
    let mut lists: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (list, field) in nested.iter().filter_map(|field| field.split_once(IN_EACH)) {
        lists.entry(list).or_default().push(field);
    }
    let mut properties = Map::new();
    for (list, fields) in lists {
        let mut elements = json!({ "items": { "required": fields } });
        if own.contains(&list) {
            elements["minItems"] = 1.into();
        }
        properties.insert(list.into(), elements);
    }
    let mut expected = json!({ "required": own });
    if !properties.is_empty() {
        expected["properties"] = properties.into();
    }
    expected
}

fn issues() -> Value {
    json!({
        "type": "array",
        "minItems": 1,
        "maxItems": LISTED_MAX,
        "description":
            "What a reader should know of fields that are absent; absent where there is nothing \
            to know.",
        "items": {
            "type": "object",
            "required": ["pointer", "field", "kind", "expected", "detail"],
            "properties": {
                "pointer": {
                    "type": "string",
                    "description": "JSON pointer into the body that the shop sent.",
                },
                "field": {
                    "type": "string",
                    "description": "The field of the contract, as in order.items[].sku.",
                },
                "kind": {
                    "enum": ["unreadable", "missing", "skipped"],
                    "description":
                        "unreadable: what was sent has no form in the contract. missing: nothing \
                        was sent. skipped: an element of a list is not in the message.",
                },
                "expected": {
                    "type": "boolean",
                    "description": "Whether the work downstream is thought to need it.",
                },
                "detail": { "type": "string", "description": "What the contract expects there." },
                "value": {
                    "type": "string",
                    "description":
                        "What was sent, as JSON, of at most 256 bytes; only of an unreadable \
                        field, and only where there is no original.",
                },
            },
        },
    })
}

/// Returns the schema of a rules file.
pub fn rules() -> Value {
    let generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    generator.into_root_schema_for::<File>().to_value()
}

/// Panics if a generated file is out of date. If `UPDATE_SCHEMAS` is set, writes the file instead.
pub fn assert_up_to_date<C: Channel<Entity: JsonSchema>>() {
    let pretty = |schema| serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n";
    assert_file_is(&format!("schema/{}.json", C::NAME), &pretty(message::<C>()));
    assert_file_is("rules.schema.json", &pretty(rules()));
    assert_hook_has_contract::<C>();
}

/// Panics if the hook lacks fields of the contract. The fields that rules use are the merchant's.
#[expect(clippy::panic, reason = "for tests only")]
fn assert_hook_has_contract<C: Channel>() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = root.join(HOOKS_FILE);
    let xml = fs::read_to_string(&path).unwrap_or_default();
    match update_hook::<C>(&root, &xml) {
        Ok(Some(update)) if update.has_contract => {}
        Ok(Some(update)) if env::var_os("UPDATE_SCHEMAS").is_some() => {
            fs::write(&path, update.xml)
                .unwrap_or_else(|reason| panic!("{}: {reason}", path.display()));
        }
        Ok(Some(_)) => panic!(
            "{}: the hook of {} is out of date; update it with `make hooks`",
            path.display(),
            C::NAME
        ),
        Ok(None) => panic!("{}: there is no hook for {}", path.display(), C::NAME),
        Err(why) => panic!("{why}"),
    }
}

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap_or_default()
}

#[expect(clippy::panic, reason = "for tests only")]
fn assert_file_is(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::write(&path, text).unwrap_or_else(|reason| panic!("{}: {reason}", path.display()));
    } else if read(name) != text {
        panic!(
            "{} is out of date; update it with `make samples`",
            path.display()
        );
    }
}
