//! How an entity is read: once, from left to right, with everything noted that is wrong on the way.
//!
//! A shop writes the same field in many ways (see [`super::scalar`]), so serde's derived readers, which stop at the first
//! surprise, do not fit. Here a field that cannot be read is noted and reading goes on; only broken JSON ends it.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    diagnostics::{Diagnostics, Segment},
    scalar::JsonScalar,
};

/// Something that can be read out of an event.
pub trait Decode: Sized {
    /// Reads one value. `None` is an absent value (null, or empty where emptiness means absence) or an unreadable one, which is
    /// then noted in `at`. The error is the reader's own: broken JSON.
    fn decode<'de, D: Deserializer<'de>>(
        from: D,
        at: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, D::Error>;

    /// Whether the field with this name is absent. A name that the entity does not have is always absent.
    fn lacks(&self, _field: &str) -> bool {
        true
    }

    /// Whether it is a list without elements, which is as good as none.
    fn is_empty(&self) -> bool {
        false
    }

    /// Notes which fields of a shop's event are read here, as a hook in the shop names them. `path` leads here, and `sample` is
    /// what a shop sends here by default, where the spec and the shop have two names for one thing.
    #[cfg(feature = "schema")]
    fn hook_fields(_sample: &serde_json::Value, path: &str, fields: &mut Vec<String>) {
        fields.push(path.trim_end_matches("[]").to_owned());
    }
}

/// Lets a [`Decode`] be read where serde asks for a seed.
pub(crate) struct Seed<'a, 'de, T>(&'a mut Diagnostics<'de>, PhantomData<T>);

impl<'a, 'de, T> Seed<'a, 'de, T> {
    pub(crate) fn new(at: &'a mut Diagnostics<'de>) -> Self {
        Self(at, PhantomData)
    }
}

impl<'de, T: Decode> DeserializeSeed<'de> for Seed<'_, 'de, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        T::decode(from, self.0)
    }
}

/// The visits of a [`Visitor`] to a scalar in the place of a structure. What PHP writes where nothing is set is absent.
macro_rules! scalars_are_unreadable {
    ($detail:literal) => {
        fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
            if flag {
                self.0.add_unreadable($detail, Some("true".into()));
            }
            Ok(None)
        }

        fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
            self.0
                .add_unreadable($detail, Some(number.to_string().into()));
            Ok(None)
        }

        fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
            self.0
                .add_unreadable($detail, Some(number.to_string().into()));
            Ok(None)
        }

        fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
            self.0
                .add_unreadable($detail, Some(number.to_string().into()));
            Ok(None)
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            if !text.is_empty() {
                self.0
                    .add_unreadable($detail, $crate::model::decode::quoted(text));
            }
            Ok(None)
        }
    };
}
pub(crate) use scalars_are_unreadable;

/// A text as JSON, or as much of it as a message may hold.
pub(crate) fn quoted<'de>(text: &str) -> Option<Cow<'de, str>> {
    serde_json::to_string(super::diagnostics::cut(text))
        .ok()
        .map(Cow::Owned)
}

impl<T: Decode> Decode for Vec<T> {
    /// Reads a list, or what PHP makes of one: an object whose values are the list, or a collection, which has the list in it.
    fn decode<'de, D: Deserializer<'de>>(
        from: D,
        at: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, D::Error> {
        from.deserialize_any(ListVisitor(at, PhantomData))
    }

    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }

    #[cfg(feature = "schema")]
    fn hook_fields(sample: &serde_json::Value, path: &str, fields: &mut Vec<String>) {
        let first = match sample {
            serde_json::Value::Array(list) => list.first(),
            serde_json::Value::Object(map) => map.values().next(),
            _ => None,
        };
        let first = first.unwrap_or(&serde_json::Value::Null);
        T::hook_fields(first, &format!("{path}[]"), fields);
    }
}

struct ListVisitor<'a, 'de, T>(&'a mut Diagnostics<'de>, PhantomData<T>);

impl<'de, T: Decode> ListVisitor<'_, 'de, T> {
    /// The element under a key that is no id.
    fn element_of<E: serde::de::Error>(&mut self, raw: &'de RawValue) -> Result<Option<T>, E> {
        self.0
            .inside(Segment::Keyed, |at| Element::new(at).deserialize(raw))
            .map_err(E::custom)
    }
}

impl<'de, T: Decode> Visitor<'de> for ListVisitor<'_, 'de, T> {
    type Value = Option<Vec<T>>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut read = Vec::new();
        let mut index = 0;
        while let Some(element) = self.0.inside(Segment::Element(index), |at| {
            list.next_element_seed(Element::<T>::new(at))
        })? {
            read.extend(element);
            index += 1;
        }
        Ok(Some(read))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut read = Vec::new();
        let mut is_collection = false;
        let mut items: Option<&RawValue> = None;
        while let Some(key) = map.next_key()? {
            let segment = match key {
                Key::Id(id) => Segment::Element(id),
                Key::Other => Segment::Keyed,
                Key::TotalRecords => {
                    let count: &RawValue = map.next_value()?;
                    if JsonScalar::parse(count.get()).is_some() {
                        is_collection = true;
                    } else {
                        read.extend(self.element_of(count)?);
                    }
                    continue;
                }
                Key::Items => {
                    // An element, or the list of a collection: what follows may say it.
                    if let Some(other) = items.replace(map.next_value()?) {
                        read.extend(self.element_of(other)?);
                    }
                    continue;
                }
            };
            let element = self
                .0
                .inside(segment, |at| map.next_value_seed(Element::<T>::new(at)))?;
            read.extend(element);
        }
        if let Some(items) = items {
            // One within another would be read again at each level.
            let is_list = is_collection || items.get().starts_with('[');
            if is_list && !self.0.is_in_collection() {
                let list = self
                    .0
                    .inside(Segment::Items, |at| Vec::<T>::decode(items, at));
                read.extend(list.map_err(A::Error::custom)?.into_iter().flatten());
            } else {
                read.extend(self.element_of(items)?);
            }
        }
        Ok(Some(read))
    }

    scalars_are_unreadable!("must be a list");
}

/// An element of a list, which is skipped if it cannot be read.
struct Element<'a, 'de, T>(&'a mut Diagnostics<'de>, PhantomData<T>);

impl<'a, 'de, T> Element<'a, 'de, T> {
    fn new(at: &'a mut Diagnostics<'de>) -> Self {
        Self(at, PhantomData)
    }
}

impl<'de, T: Decode> DeserializeSeed<'de> for Element<'_, 'de, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        self.0.count_elements(1)?;
        let mark = self.0.begin_element();
        let element = T::decode(from, self.0)?;
        match &element {
            Some(element) => self.0.expect_of_element(element, mark),
            None => self.0.add_skipped(mark),
        }
        Ok(element)
    }
}

/// A key of an object in the place of a list.
enum Key {
    /// The id of an element.
    Id(u64),
    /// Of a collection of Magento: how many elements it has.
    TotalRecords,
    /// Of a collection of Magento: its elements.
    Items,
    /// Anything else.
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                let canonical = key == "0" || !key.starts_with(['0', '+']);
                Ok(match key {
                    "totalRecords" => Key::TotalRecords,
                    "items" => Key::Items,
                    _ if canonical => key.parse().map_or(Key::Other, Key::Id),
                    _ => Key::Other,
                })
            }
        }
        from.deserialize_str(KeyVisitor)
    }
}

/// Declares an entity of the spec: a struct, how it is read, how it is written, its JSON Schema. Every field can be absent:
/// what must be there is a matter of the channel.
///
/// `reads { … }` names what a shop sends and the spec does not have; it is read and never written. `settle` moves it to where
/// the spec wants it, which stands behind `as`.
macro_rules! entity {
    (
        $(#[doc = $about:literal])*
        $vis:vis struct $Entity:ident {
            $($(#[doc = $doc:literal])* $field:ident: $Type:ty,)*
        }
        $(reads { $($extra:ident: $Extra:ty $(as $($spec:ident)|+)?,)* })?
        $(settle $settle:ident)?
        $(elsewhere $elsewhere:literal)?
        $(computes { $($computed:ident: $Computed:ty = $compute:path, of $($part:ident)+;)* })?
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        $vis struct $Entity {
            $($(#[doc = $doc])* pub $field: Option<$Type>,)*
            $($(pub(super) $extra: Option<$Extra>,)*)?
        }

        impl $crate::model::decode::Decode for $Entity {
            fn decode<'de, D: serde::Deserializer<'de>>(
                from: D,
                at: &mut $crate::model::diagnostics::Diagnostics<'de>,
            ) -> Result<Option<Self>, D::Error> {
                use $crate::model::{decode::{Seed, scalars_are_unreadable}, diagnostics::{Diagnostics, Segment}};

                #[allow(non_camel_case_types, clippy::allow_attributes, reason = "one variant for each field, named as it is")]
                enum Key { $($field,)* $($($extra,)*)? Unknown }

                impl<'de> serde::Deserialize<'de> for Key {
                    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                        struct KeyVisitor;
                        impl serde::de::Visitor<'_> for KeyVisitor {
                            type Value = Key;

                            fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                                to.write_str("a key")
                            }

                            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                                Ok(match key {
                                    $(stringify!($field) => Key::$field,)*
                                    $($(stringify!($extra) => Key::$extra,)*)?
                                    _ => Key::Unknown,
                                })
                            }
                        }
                        from.deserialize_str(KeyVisitor)
                    }
                }

                struct EntityVisitor<'a, 'de>(&'a mut Diagnostics<'de>);

                impl<'de> serde::de::Visitor<'de> for EntityVisitor<'_, 'de> {
                    type Value = Option<$Entity>;

                    fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        to.write_str("an object")
                    }

                    fn visit_unit<E>(self) -> Result<Self::Value, E> {
                        Ok(None)
                    }

                    // PHP writes an empty object as an empty list.
                    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                        let mut empty = true;
                        while list.next_element::<serde::de::IgnoredAny>()?.is_some() {
                            empty = false;
                        }
                        if !empty {
                            self.0.add_unreadable("must be an object", None);
                        }
                        Ok(None)
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let at = self.0;
                        $(let mut $field: Option<Option<$Type>> = None;)*
                        $($(let mut $extra: Option<Option<$Extra>> = None;)*)?
                        while let Some(key) = map.next_key::<Key>()? {
                            match key {
                                $(Key::$field => {
                                    $field = Some(at.inside(Segment::Name(stringify!($field)), |at| {
                                        if $field.is_some() {
                                            at.add_given_twice();
                                        }
                                        map.next_value_seed(Seed::new(at))
                                    })?);
                                })*
                                $($(Key::$extra => {
                                    const SEGMENT: Segment = $crate::model::diagnostics::segment_of(stringify!($extra), &[$($(stringify!($spec)),+)?]);
                                    $extra = Some(at.inside(SEGMENT, |at| {
                                        if $extra.is_some() {
                                            at.add_given_twice();
                                        }
                                        map.next_value_seed(Seed::new(at))
                                    })?);
                                })*)?
                                Key::Unknown => {
                                    map.next_value::<serde::de::IgnoredAny>()?;
                                }
                            }
                        }
                        #[allow(unused_mut, clippy::allow_attributes, reason = "only an entity that settles changes it")]
                        let mut entity = $Entity {
                            $($field: $field.flatten(),)*
                            $($($extra: $extra.flatten(),)*)?
                        };
                        $($settle(&mut entity, at);)?
                        Ok(Some(entity))
                    }

                    scalars_are_unreadable!("must be an object");
                }

                from.deserialize_any(EntityVisitor(at))
            }

            fn lacks(&self, field: &str) -> bool {
                match field {
                    $(stringify!($field) => self.$field.as_ref().is_none_or($crate::model::decode::Decode::is_empty),)*
                    _ => true,
                }
            }

            #[cfg(feature = "schema")]
            fn hook_fields(sample: &serde_json::Value, path: &str, fields: &mut Vec<String>) {
                let sent = |name| sample.get(name).unwrap_or(&serde_json::Value::Null);
                #[allow(unused_mut, clippy::allow_attributes, reason = "only an entity that reads more changes it")]
                let mut otherwise_sent: Vec<&str> = Vec::new();
                $($(if sample.get(stringify!($extra)).is_some() {
                    otherwise_sent.extend::<&[&str]>(&[$($(stringify!($spec)),+)?]);
                    let path = format!("{path}.{}", stringify!($extra));
                    <$Extra>::hook_fields(sent(stringify!($extra)), &path, fields);
                })*)?
                $(if !otherwise_sent.contains(&stringify!($field)) {
                    let path = format!("{path}.{}", stringify!($field));
                    <$Type>::hook_fields(sent(stringify!($field)), &path, fields);
                })*
            }
        }

        impl $crate::model::lookup::Lookup for $Entity {
            fn kind(
                path: &[$crate::model::lookup::PathStep],
            ) -> Result<$crate::model::lookup::FieldKind, $crate::model::lookup::PathError> {
                use $crate::model::lookup::{FieldKind, PathError, PathStep};
                let (name, rest) = match path {
                    [] => return Ok(FieldKind::Structure),
                    [PathStep::Each, ..] => {
                        return Err(PathError::Invalid("has [] where there is no list"));
                    }
                    [PathStep::Name(name), rest @ ..] => (name.as_str(), rest),
                };
                match name {
                    $(stringify!($field) => <$Type>::kind(rest),)*
                    $($(stringify!($computed) => <$Computed>::kind(rest),)*)?
                    _ => {
                        $(return Err(PathError::Invalid($elsewhere));)?
                        #[allow(unreachable_code, clippy::allow_attributes, reason = "not for every entity")]
                        Err(PathError::UnknownField)
                    }
                }
            }

            fn computed_from(name: &str) -> &'static [&'static str] {
                match name {
                    $($(stringify!($computed) => &[$(stringify!($part)),+],)*)?
                    _ => &[],
                }
            }

            fn stored_as(sent: &str) -> &'static [&'static str] {
                match sent {
                    $($(stringify!($extra) => &[$($(stringify!($spec)),+)?],)*)?
                    _ => &[],
                }
            }

            fn visit(
                &self,
                path: &[$crate::model::lookup::PathStep],
                see: &mut dyn FnMut($crate::model::lookup::FieldValue<'_>),
            ) {
                use $crate::model::lookup::{FieldValue, PathStep, visit_optional};
                let [PathStep::Name(name), rest @ ..] = path else {
                    return see(FieldValue::Structure { empty: false });
                };
                match name.as_str() {
                    $(stringify!($field) => visit_optional(self.$field.as_ref(), rest, see),)*
                    $($(stringify!($computed) => visit_optional($compute(self).as_ref(), rest, see),)*)?
                    _ => see(FieldValue::Absent),
                }
            }
        }

        impl serde::Serialize for $Entity {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap as _;
                let mut map = to.serialize_map(None)?;
                $(if let Some(value) = &self.$field {
                    map.serialize_entry(stringify!($field), value)?;
                })*
                map.end()
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $Entity {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($Entity).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut properties = serde_json::Map::new();
                $({
                    let mut schema = generator.subschema_for::<$Type>();
                    schema.insert("description".into(), [$($doc),*].join("").trim().into());
                    properties.insert(stringify!($field).into(), schema.to_value());
                })*
                schemars::json_schema!({
                    "type": "object",
                    "description": ([$($about),*].join("").trim()),
                    "properties": properties,
                })
            }
        }
    };
}
pub(crate) use entity;
