//! The entity of an event that has no model: the JSON as the shop sent it, and the few values of it
//! that a message needs, found by JSON pointers.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    channel::Channel,
    model::{
        Entity,
        decode::{
            Decode,
            structure::{self, Structure},
        },
        diagnostics::{Diagnostics, Segment},
        lookup::{FieldKind, FieldPath, FieldValue, Lookup, PathError, PathStep},
        scalar::{JsonScalar, is_empty_list},
    },
};

/// The maximum length of a value in the subject or the message group, in bytes. A longer value is
/// not an id.
const ID_BYTES_MAX: usize = 256;

/// A channel whose entity is [`Generic`]. In its `IDENTITY` and `EXPECTED`, and here, a value is
/// named by its JSON pointer, which starts at the entity: `/order_id`.
pub trait GenericChannel: Channel {
    /// The names of the argument that is the entity, most frequent first. If there are none, all
    /// arguments together are the entity.
    const ARGUMENTS: &'static [&'static str];

    /// Where the entity's id is: the first of these that is present. The `subject` of the message
    /// is the name of the argument and this id.
    const SUBJECT: &'static [&'static str];

    /// Which events stay in order: the kind and the id of what they are about. An event without
    /// this id has a message group of its own. Events of other channels are in the same group if
    /// kind and id are the same: all those of an order are in `order/<entity_id>`.
    const GROUP: Option<(&'static str, &'static str)>;

    /// The fields that the hook sends, as the shop names them, without the name of the argument:
    /// `order_id` or `items[].sku`. If there are none, the hook sends everything.
    const FIELDS: &'static [&'static str];
}

/// The store view, within which the increment ids of an entity are unique.
const STORE_ID: &str = "/store_id";

/// The entity of a channel without a model.
#[derive(Debug)]
pub struct Generic<C> {
    /// The values that the channel names and the shop sent.
    values: Vec<(&'static str, NamedValue)>,
    channel: PhantomData<C>,
}

/// A value that is neither null nor empty.
#[derive(Debug)]
enum NamedValue {
    /// The text of a scalar, if it can be an id. PHP writes false for "not set".
    Scalar(Option<String>),
    Structure,
}

impl<C: GenericChannel> Generic<C> {
    /// The JSON pointers of all values that the channel names.
    fn pointers() -> impl Iterator<Item = &'static str> {
        let identity = C::IDENTITY.iter().copied().flatten();
        let group = C::GROUP.iter().map(|(_, pointer)| pointer);
        let named = identity.chain(C::EXPECTED).chain(C::SUBJECT).chain(group);
        named.copied().chain([STORE_ID])
    }

    fn id(&self, pointer: &str) -> Option<&str> {
        match self.values.iter().find(|(known, _)| *known == pointer)? {
            (_, NamedValue::Scalar(text)) => text.as_deref(),
            (_, NamedValue::Structure) => None,
        }
    }

    fn add(&mut self, pointer: &'static str, json: &str) {
        let value = match JsonScalar::parse(json) {
            Some(JsonScalar::Null) => return,
            Some(JsonScalar::Bool(_)) => NamedValue::Scalar(None),
            Some(JsonScalar::Number(text)) => NamedValue::Scalar(Some(text.to_owned())),
            Some(JsonScalar::String(text)) if text.is_empty() => return,
            Some(JsonScalar::String(text)) => NamedValue::Scalar(
                Some(text.into_owned())
                    .filter(|text| text.len() <= ID_BYTES_MAX && !text.contains(char::is_control)),
            ),
            // Neither `[]` nor `{}`.
            None if is_empty_list(json) => return,
            None => NamedValue::Structure,
        };
        self.values.push((pointer, value));
    }
}

impl<C: GenericChannel> Decode for Generic<C> {
    fn decode<'de, D: Deserializer<'de>>(
        from: D,
        diagnostics: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, D::Error> {
        structure::decode::<Self, D>(from, diagnostics)
    }

    fn lacks(&self, pointer: &str) -> bool {
        !self.values.iter().any(|(known, _)| *known == pointer)
    }

    fn identifies(&self, pointer: &str) -> bool {
        self.id(pointer).is_some()
    }

    #[cfg(feature = "schema")]
    fn hook_fields(_: &serde_json::Value, path: &str, fields: &mut Vec<String>) {
        let names = C::FIELDS.iter();
        fields.extend(names.map(|name| match path {
            "" => (*name).to_owned(),
            path => format!("{path}.{name}"),
        }));
    }
}

impl<'de, C: GenericChannel> Structure<'de> for Generic<C> {
    type Value = Self;

    const NAME: &'static str = "an object";
    const EXPECTS: &'static str = "must be an object";

    fn read_array<A: SeqAccess<'de>>(
        array: A,
        diagnostics: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, A::Error> {
        structure::read_empty_array(array, <Self as Structure<'_>>::EXPECTS, diagnostics)
            .map(|()| None)
    }

    fn read_object<A: MapAccess<'de>>(
        mut object: A,
        diagnostics: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, A::Error> {
        let mut entity = Self {
            values: Vec::new(),
            channel: PhantomData,
        };
        let mut seen: Vec<&str> = Vec::new();
        while let Some(name) = object.next_key_seed(NameSeed::<C>(PhantomData))? {
            let Some(name) = name else {
                object.next_value::<IgnoredAny>()?;
                continue;
            };
            if seen.contains(&name) {
                diagnostics.inside(Segment::Name(name), |diagnostics| {
                    diagnostics.add_repeated_field();
                    Ok(())
                })?;
            }
            seen.push(name);
            let json: &RawValue = object.next_value()?;
            for pointer in Self::pointers() {
                let Some(rest) = below(pointer, name) else {
                    continue;
                };
                if let Some(found) = find(json, rest)
                    && entity.lacks(pointer)
                {
                    entity.add(pointer, found.get());
                }
            }
        }
        Ok(Some(entity))
    }
}

/// Reads the key of a member, and returns the first part of the pointers that lead there.
struct NameSeed<C>(PhantomData<C>);

impl<'de, C: GenericChannel> DeserializeSeed<'de> for NameSeed<C> {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<C: GenericChannel> Visitor<'_> for NameSeed<C> {
    type Value = Option<&'static str>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let mut names = Generic::<C>::pointers().filter_map(|pointer| {
            let pointer = pointer.strip_prefix('/')?;
            Some(pointer.split_once('/').map_or(pointer, |(name, _)| name))
        });
        Ok(names.find(|name| is_name(name, key)))
    }
}

/// Whether a part of a JSON pointer stands for this name (RFC 6901, 3).
fn is_name(part: &str, name: &str) -> bool {
    if part.contains('~') {
        part.replace("~1", "/").replace("~0", "~") == name
    } else {
        part == name
    }
}

/// Returns what follows the first part of a pointer, if that is `name`.
fn below(pointer: &'static str, name: &str) -> Option<&'static str> {
    let rest = pointer.strip_prefix('/')?.strip_prefix(name)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Returns the value at a JSON pointer.
pub(crate) fn find<'a>(json: &'a RawValue, pointer: &str) -> Option<&'a RawValue> {
    let Some(pointer) = pointer.strip_prefix('/') else {
        return Some(json);
    };
    let (name, rest) = match pointer.find('/') {
        Some(end) => pointer.split_at(end),
        None => (pointer, ""),
    };
    let mut from = serde_json::Deserializer::from_str(json.get());
    let found = from.deserialize_any(MemberVisitor(name)).ok()??;
    find(found, rest)
}

/// Finds the first member with a name, or the element with an index.
struct MemberVisitor<'n>(&'n str);

impl<'de> Visitor<'de> for MemberVisitor<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_member) = object.next_key_seed(IsNameSeed(self.0))? {
            if is_member && found.is_none() {
                found = Some(object.next_value()?);
            } else {
                object.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let index: Option<usize> = self.0.parse().ok();
        let mut found = None;
        for current in 0.. {
            let Some(element) = list.next_element()? else {
                break;
            };
            if Some(current) == index {
                found = Some(element);
            }
        }
        Ok(found)
    }
}

/// Reads a key, and returns whether it is this name.
struct IsNameSeed<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for IsNameSeed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for IsNameSeed<'_> {
    type Value = bool;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(is_name(self.0, key))
    }
}

impl<C: GenericChannel> Lookup for Generic<C> {
    fn kind(path: &FieldPath) -> Result<FieldKind, PathError> {
        match path {
            [] => Ok(FieldKind::Structure),
            _ => Err(PathError::UnknownField),
        }
    }

    /// The names that the hook sends, because there is no contract.
    fn field_names(path: &FieldPath) -> Vec<&'static str> {
        let above = path.iter().fold(String::new(), |above, step| match step {
            PathStep::Name(name) if above.is_empty() => name.clone(),
            PathStep::Name(name) => above + "." + name,
            PathStep::Each => above + "[]",
        });
        let mut names: Vec<_> = C::FIELDS
            .iter()
            .filter_map(|field| match path {
                [] => Some(*field),
                _ => field.strip_prefix(&*above)?.strip_prefix('.'),
            })
            .filter_map(|below| below.split(['.', '[']).next())
            .collect();
        names.dedup();
        names
    }

    fn visit(&self, path: &FieldPath, visit: &mut dyn FnMut(FieldValue<'_>)) {
        visit(match path {
            [] => FieldValue::Structure { empty: false },
            _ => FieldValue::Absent,
        });
    }
}

impl<C: GenericChannel> Entity for Generic<C> {
    const NAME: &'static str = match C::ARGUMENTS {
        [] => "arguments",
        [name, ..] => name,
    };
    const KEYS: &'static [&'static str] = C::ARGUMENTS;
    const HAS_MODEL: bool = false;

    fn subject(&self) -> Option<String> {
        let id = C::SUBJECT.iter().find_map(|pointer| self.id(pointer))?;
        Some(format!("{}/{id}", <Self as Entity>::NAME))
    }

    fn store_id(&self) -> Option<u64> {
        self.id(STORE_ID)?.parse().ok()
    }

    fn group(&self) -> Option<String> {
        let (kind, pointer) = C::GROUP?;
        Some(format!("{kind}/{}", self.id(pointer)?))
    }
}

/// Writes nothing: the message of an entity without a model holds only the original.
impl<C> Serialize for Generic<C> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_unit()
    }
}

#[cfg(feature = "schema")]
impl<C> schemars::JsonSchema for Generic<C> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Generic".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "object" })
    }
}

#[cfg(test)]
mod tests;
