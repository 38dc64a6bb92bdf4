//! JSON Schemas, made of the types: of the messages, under `shared/schema/` for the consumers of the queues, and of the rules
//! files, as `shared/rules.schema.json` for the editors of merchants.

use std::{env, fs, path::Path};

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    channel::Channel,
    model::{Entity, decode::IN_EACH},
    rules::File,
};

/// The schema of the channel's message, once it is decompressed.
#[expect(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "for tests only"
)]
pub fn message<C: Channel<Entity: JsonSchema>>() -> Value {
    let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    let mut entity = generator.subschema_for::<C::Entity>().to_value();
    let mut definitions = generator.take_definitions(true);
    // What one channel requires is no property of the entity, which other channels share.
    let name = C::Entity::schema_name();
    if let Some(definition) = definitions.remove(&*name) {
        entity = definition;
    }
    let (nested, own): (Vec<&str>, Vec<&str>) = C::REQUIRED
        .iter()
        .partition(|field| field.contains(IN_EACH));
    entity["required"] = json!(own);
    for (list, field) in nested.iter().filter_map(|field| field.split_once(IN_EACH)) {
        let element = entity["properties"][list]["items"]["$ref"]
            .as_str()
            .and_then(|path| definitions.get_mut(path.strip_prefix("#/$defs/")?))
            .and_then(Value::as_object_mut)
            .unwrap_or_else(|| panic!("{list} is no list of entities"));
        let required = element.entry("required").or_insert_with(|| json!([]));
        required
            .as_array_mut()
            .into_iter()
            .for_each(|all| all.push(json!(field)));
    }
    let mut data = Map::new();
    data.insert(C::Entity::NAME.into(), entity);
    data.insert(
        "original".into(),
        json!({ "type": "object", "description": "The entity exactly as the shop sent it; absent when the operator chose so." }),
    );
    data.insert(
        "related".into(),
        json!({ "type": "object", "description": "The other arguments of the event, exactly as the shop sent them." }),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("com.adobe.commerce.observer.{}", C::NAME),
        "description": "CloudEvents 1.0 in JSON, as the body of an SQS message.",
        "type": "object",
        "required": ["specversion", "id", "source", "type", "time", "datacontenttype", "data"],
        "properties": {
            "specversion": { "const": "1.0" },
            "id": { "type": "string", "format": "uuid", "description": "The same for every repeat of the event: the idempotency key." },
            "source": { "type": "string", "format": "uri-reference", "description": "The shop." },
            "type": { "const": format!("com.adobe.commerce.observer.{}", C::NAME) },
            "subject": { "type": "string", "description": "What the event is about; absent while it has no id." },
            "time": { "type": "string", "format": "date-time", "description": "When the event was taken." },
            "datacontenttype": { "const": "application/json" },
            "data": { "type": "object", "required": [C::Entity::NAME], "properties": data },
        },
        "$defs": definitions,
    })
}

/// The schema of a channel's rules file.
pub fn rules() -> Value {
    let generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    generator.into_root_schema_for::<File>().to_value()
}

/// Fails when a schema file is not what the types say; with `UPDATE_SCHEMAS=1` in the environment it writes the file.
pub fn assert_in_step<C: Channel<Entity: JsonSchema>>() {
    let channel = format!("schema/{}.json", C::NAME);
    for (name, schema) in [(&*channel, message::<C>()), ("rules.schema.json", rules())] {
        assert_file_is(&Path::new(env!("CARGO_MANIFEST_DIR")).join(name), &schema);
    }
}

#[expect(clippy::panic, reason = "for tests only")]
fn assert_file_is(path: &Path, schema: &Value) {
    let text = serde_json::to_string_pretty(schema).unwrap_or_default() + "\n";
    if env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::write(path, text).unwrap_or_else(|reason| panic!("{}: {reason}", path.display()));
    } else if fs::read_to_string(path).unwrap_or_default() != text {
        panic!(
            "{} is not what the types say; renew it with `make samples`",
            path.display()
        );
    }
}
