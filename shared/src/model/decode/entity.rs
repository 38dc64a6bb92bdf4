//! The code that all entities share: it reads, looks up, writes and describes their fields.
//!
//! `entity!` (see `macros.rs`) declares an entity and implements [`Fields`] for it, which accesses
//! one field at a time. The functions here process whole entities through that trait.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserializer, Serializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
    ser::SerializeMap,
};

use super::structure::{self, Structure};
use crate::model::{
    diagnostics::{Diagnostics, Segment, segment_of},
    lookup::{FieldKind, FieldPath, FieldValue, PathError, PathStep},
};

/// The fields of an entity, and the access to each of them.
pub(in crate::model) trait Fields: Default + 'static {
    /// Identifies a field of the contract or a read-only field.
    type Key: Copy + 'static;

    /// The fields of the contract, in the order of their declaration.
    const KEYS: &'static [Self::Key];

    /// The read-only fields: a shop sends them, but they are not in the contract and never written.
    #[cfg(feature = "schema")]
    const READ_ONLY_KEYS: &'static [Self::Key];

    /// Values for rules that are computed from fields.
    const COMPUTED: &'static [Computed<Self>];

    /// Why rules cannot use fields outside the contract; `None` if they can.
    const UNKNOWN_FIELD_REASON: Option<&'static str>;

    /// The description of the entity in the JSON Schema.
    #[cfg(feature = "schema")]
    const DESCRIPTION: &'static str;

    /// Returns the field that a shop sends under this name.
    fn key(name: &str) -> Option<Self::Key>;

    /// The facts about a field.
    fn field(key: Self::Key) -> &'static Field;

    /// Reads the next value of the object into the field.
    fn read_value<'de, A: MapAccess<'de>>(
        &mut self,
        key: Self::Key,
        object: &mut A,
        diagnostics: &mut Diagnostics<'de>,
    ) -> Result<(), A::Error>;

    /// Moves values of read-only fields to fields of the contract, after the whole entity was read.
    fn normalize(&mut self, _diagnostics: &mut Diagnostics<'_>) {}

    /// Whether the field is absent or an empty list. Always true for a read-only field.
    fn lacks_value(&self, key: Self::Key) -> bool;

    /// Returns the kind of value at the end of a path that begins at the field.
    fn value_kind(key: Self::Key, path: &FieldPath) -> Result<FieldKind, PathError>;

    /// Returns the names of the fields of the object at the end of a path that begins at the field.
    fn value_field_names(key: Self::Key, path: &FieldPath) -> Vec<&'static str>;

    /// Calls `visit` with every value at the end of a path that begins at the field.
    fn visit_value(&self, key: Self::Key, path: &FieldPath, visit: &mut dyn FnMut(FieldValue<'_>));

    /// Writes the field as a member of an object, unless it is absent or read-only.
    fn write_value<M: SerializeMap>(&self, key: Self::Key, object: &mut M) -> Result<(), M::Error>;

    /// Returns the JSON Schema of the field's type; `None` for a read-only field.
    #[cfg(feature = "schema")]
    fn value_schema(
        key: Self::Key,
        generator: &mut schemars::SchemaGenerator,
    ) -> Option<schemars::Schema>;

    /// Adds the fields of a hook below this field (see [`super::Decode::hook_fields`]).
    #[cfg(feature = "schema")]
    fn value_hook_fields(
        key: Self::Key,
        sample: &serde_json::Value,
        path: &str,
        fields: &mut Vec<String>,
    );
}

/// The facts about a field that do not depend on its type.
pub(in crate::model) struct Field {
    /// The name under which a shop sends it.
    name: &'static str,
    /// The description of the field in the JSON Schema.
    #[cfg_attr(
        not(feature = "schema"),
        expect(dead_code, reason = "for the JSON Schema")
    )]
    description: &'static str,
    /// For a read-only field, the fields of the contract that store its value.
    stored_as: &'static [&'static str],
    /// The segment of a location that leads to the field.
    segment: Segment,
    /// Its bit in a set of fields.
    bit: u64,
}

impl Field {
    /// Makes a field of the contract. `index` is unique within the entity.
    pub(in crate::model) const fn new(
        index: u32,
        name: &'static str,
        description: &'static str,
    ) -> Self {
        Self {
            name,
            description,
            stored_as: &[],
            segment: Segment::Name(name),
            bit: 1 << index,
        }
    }

    /// Makes a read-only field. `index` is unique within the entity.
    pub(in crate::model) const fn read_only(
        index: u32,
        name: &'static str,
        stored_as: &'static [&'static str],
    ) -> Self {
        Self {
            stored_as,
            segment: segment_of(name, stored_as),
            ..Self::new(index, name, "")
        }
    }
}

/// A value for rules that is computed from fields. A shop does not send it, and it is never
/// written.
pub(in crate::model) struct Computed<E> {
    /// The name that rules use.
    pub(in crate::model) name: &'static str,
    /// The fields from which it is computed.
    pub(in crate::model) from: &'static [&'static str],
    /// Returns the kind of value at the end of a path that begins at the computed value.
    pub(in crate::model) kind: fn(&FieldPath) -> Result<FieldKind, PathError>,
    /// Computes the value and calls the visitor with every value at the end of the path.
    pub(in crate::model) visit: VisitComputed<E>,
}

/// See [`Computed::visit`].
type VisitComputed<E> = fn(&E, &FieldPath, &mut dyn FnMut(FieldValue<'_>));

/// Reads an entity. The fields may be in any order; other members are ignored.
pub(in crate::model) fn decode<'de, E: Fields, D: Deserializer<'de>>(
    from: D,
    diagnostics: &mut Diagnostics<'de>,
) -> Result<Option<E>, D::Error> {
    structure::decode::<Object<E>, D>(from, diagnostics)
}

/// An entity as the object that a shop sends.
struct Object<E>(PhantomData<E>);

impl<'de, E: Fields> Structure<'de> for Object<E> {
    type Value = E;

    const NAME: &'static str = "an object";
    const EXPECTS: &'static str = "must be an object";

    fn read_array<A: SeqAccess<'de>>(
        array: A,
        diagnostics: &mut Diagnostics<'de>,
    ) -> Result<Option<E>, A::Error> {
        structure::read_empty_array(array, Self::EXPECTS, diagnostics).map(|()| None)
    }

    fn read_object<A: MapAccess<'de>>(
        mut object: A,
        diagnostics: &mut Diagnostics<'de>,
    ) -> Result<Option<E>, A::Error> {
        let mut entity = E::default();
        let mut seen = 0_u64;
        while let Some(key) = object.next_key_seed(KeySeed::<E>(PhantomData))? {
            let Some(key) = key else {
                object.next_value::<IgnoredAny>()?;
                continue;
            };
            let field = E::field(key);
            diagnostics.inside(field.segment, |diagnostics| {
                if seen & field.bit != 0 {
                    diagnostics.add_repeated_field();
                }
                seen |= field.bit;
                entity.read_value(key, &mut object, diagnostics)
            })?;
        }
        entity.normalize(diagnostics);
        Ok(Some(entity))
    }
}

/// Reads the key of an object's member: `None` if the entity has no such field.
struct KeySeed<E>(PhantomData<E>);

impl<'de, E: Fields> DeserializeSeed<'de> for KeySeed<E> {
    type Value = Option<E::Key>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<E: Fields> Visitor<'_> for KeySeed<E> {
    type Value = Option<E::Key>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a key")
    }

    fn visit_str<Err>(self, name: &str) -> Result<Self::Value, Err> {
        Ok(E::key(name))
    }
}

/// Whether the field with this name is absent or an empty list.
pub(in crate::model) fn lacks<E: Fields>(entity: &E, name: &str) -> bool {
    E::key(name).is_none_or(|key| entity.lacks_value(key))
}

/// Returns the kind of value at the end of a path into the entity.
pub(in crate::model) fn kind<E: Fields>(path: &FieldPath) -> Result<FieldKind, PathError> {
    let (name, rest) = match path {
        [] => return Ok(FieldKind::Structure),
        [PathStep::Each, ..] => return Err(PathError::NO_LIST),
        [PathStep::Name(name), rest @ ..] => (name, rest),
    };
    if let Some(computed) = computed::<E>(name) {
        return (computed.kind)(rest);
    }
    E::key(name).map_or_else(|| Err(unknown_field::<E>()), |key| E::value_kind(key, rest))
}

/// Returns the names of the fields of the object at the end of a path into the entity.
pub(in crate::model) fn field_names<E: Fields>(path: &FieldPath) -> Vec<&'static str> {
    match path {
        [] => {
            let names = E::KEYS.iter().map(|key| E::field(*key).name);
            let computed = E::COMPUTED.iter().map(|computed| computed.name);
            names.chain(computed).collect()
        }
        [PathStep::Name(name), rest @ ..] => {
            E::key(name).map_or_else(Vec::new, |key| E::value_field_names(key, rest))
        }
        [PathStep::Each, ..] => Vec::new(),
    }
}

/// Returns the error of a path to a field outside the contract.
pub(in crate::model) fn unknown_field<E: Fields>() -> PathError {
    E::UNKNOWN_FIELD_REASON.map_or(PathError::UnknownField, PathError::Invalid)
}

/// Calls `visit` with every value at the end of a path into the entity.
pub(in crate::model) fn visit<E: Fields>(
    entity: &E,
    path: &FieldPath,
    visit: &mut dyn FnMut(FieldValue<'_>),
) {
    let [PathStep::Name(name), rest @ ..] = path else {
        return visit(FieldValue::Structure { empty: false });
    };
    if let Some(key) = E::key(name) {
        entity.visit_value(key, rest, visit);
    } else if let Some(computed) = computed::<E>(name) {
        (computed.visit)(entity, rest, visit);
    } else {
        visit(FieldValue::Absent);
    }
}

fn computed<E: Fields>(name: &str) -> Option<&'static Computed<E>> {
    E::COMPUTED.iter().find(|computed| computed.name == name)
}

/// Returns the fields from which the value with this name is computed; empty if it is not computed.
pub(in crate::model) fn computed_from<E: Fields>(name: &str) -> &'static [&'static str] {
    computed::<E>(name).map_or(&[], |computed| computed.from)
}

/// Returns the fields of the contract that store the value of the read-only field with this name;
/// empty for any other name.
pub(in crate::model) fn stored_as<E: Fields>(sent: &str) -> &'static [&'static str] {
    E::key(sent).map_or(&[], |key| E::field(key).stored_as)
}

/// Writes the entity as an object with the fields that are present.
pub(in crate::model) fn serialize<E: Fields, S: Serializer>(
    entity: &E,
    to: S,
) -> Result<S::Ok, S::Error> {
    let mut object = to.serialize_map(None)?;
    for key in E::KEYS {
        entity.write_value(*key, &mut object)?;
    }
    object.end()
}

/// Returns the JSON Schema of the entity.
#[cfg(feature = "schema")]
pub(in crate::model) fn json_schema<E: Fields>(
    generator: &mut schemars::SchemaGenerator,
) -> schemars::Schema {
    let mut properties = serde_json::Map::new();
    for key in E::KEYS {
        let field = E::field(*key);
        if let Some(mut schema) = E::value_schema(*key, generator) {
            schema.insert("description".into(), field.description.trim().into());
            properties.insert(field.name.into(), schema.to_value());
        }
    }
    schemars::json_schema!({
        "type": "object",
        "description": (E::DESCRIPTION.trim()),
        "properties": properties,
    })
}

/// Adds the fields of a hook that the entity reads (see [`super::Decode::hook_fields`]).
#[cfg(feature = "schema")]
pub(in crate::model) fn hook_fields<E: Fields>(
    sample: &serde_json::Value,
    path: &str,
    fields: &mut Vec<String>,
) {
    let mut add = |key: E::Key, sent: &serde_json::Value| {
        let path = format!("{path}.{}", E::field(key).name);
        E::value_hook_fields(key, sent, &path, fields);
    };
    // A shop that sends a read-only field does not also send the fields that store its value.
    let mut stored: Vec<&str> = Vec::new();
    for key in E::READ_ONLY_KEYS {
        let field = E::field(*key);
        if let Some(sent) = sample.get(field.name) {
            stored.extend(field.stored_as);
            add(*key, sent);
        }
    }
    for key in E::KEYS {
        let name = E::field(*key).name;
        if !stored.contains(&name) {
            add(*key, sample.get(name).unwrap_or(&serde_json::Value::Null));
        }
    }
}
