//! How an entity is read: once, from left to right, with every violation found on the way.
//!
//! A shop writes the same field in many ways (see [`super::scalar`]), so serde's derived readers, which stop at the first
//! surprise, do not fit. Here a wrong field is noted and reading goes on; only broken JSON ends it.

use std::{fmt, fmt::Write as _, marker::PhantomData, mem};

use serde::{
    Deserializer, Serialize,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// At most this many violations are listed in an answer; what is found beyond them is only counted.
pub const VIOLATIONS_MAX: usize = 100;

/// The lists of an entity may have this many elements, all of them together. One of a few bytes is read into hundreds, so without a
/// limit a body of 3 MB would need more memory than a function has. The largest body that a shop can send, 6 MB, holds some 6,000
/// lines of an order as Commerce writes them by default.
pub const ELEMENTS_MAX: usize = 20_000;

/// Between the name of a list and that of a field that each of its elements must have.
pub(crate) const IN_EACH: &str = "[].";

/// One thing that is wrong with an event: where, and what is expected there. It never holds a value out of the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// JSON pointer (RFC 6901) into the body as it was sent.
    pub pointer: String,
    /// What the contract expects there.
    pub detail: &'static str,
}

/// Everything that is wrong with an event, and the place that is being read: its text is made only where something is wrong.
#[derive(Debug)]
pub struct Violations {
    root: String,
    steps: Vec<Step>,
    required: &'static [&'static str],
    expected: &'static [&'static str],
    list: Vec<Violation>,
    unlisted: usize,
    /// How many elements of lists have been read.
    elements: usize,
    /// Expected fields whose value cannot be read.
    unreadable: Vec<&'static str>,
}

/// One step from a place to one that is deeper. Neither a name of ours nor a number needs escaping in a pointer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// To the field of this name.
    Name(&'static str),
    /// To the element of a list at this index, or under this id.
    Element(u64),
}

impl fmt::Display for Step {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(to, "/{name}"),
            Self::Element(number) => write!(to, "/{number}"),
        }
    }
}

impl Violations {
    /// Starts at `place`, a JSON pointer into the body.
    pub fn at(place: &str) -> Self {
        Self {
            root: place.to_owned(),
            steps: Vec::new(),
            required: &[],
            expected: &[],
            list: Vec::new(),
            unlisted: 0,
            elements: 0,
            unreadable: Vec::new(),
        }
    }

    /// Starts at `place`, where an entity stands of which a channel requires some fields (see [`crate::Channel::REQUIRED`]) and of
    /// which others may be unreadable ([`crate::Channel::EXPECTED`]).
    pub(crate) fn requiring(
        place: &str,
        required: &'static [&'static str],
        expected: &'static [&'static str],
    ) -> Self {
        Self {
            required,
            expected,
            ..Self::at(place)
        }
    }

    /// Notes which of the entity's own required fields are absent.
    pub(crate) fn require_of_entity(&mut self, entity: &impl Decode) {
        for field in self.required {
            if !field.contains(IN_EACH) && entity.lacks(field) {
                self.add_at(&format!("/{field}"), "is required");
            }
        }
    }

    /// Notes which of its required fields are absent in the element of a list that is being read.
    fn require_of_element(&mut self, element: &impl Decode) {
        let [.., Step::Name(list), Step::Element(_)] = self.steps[..] else {
            return;
        };
        for field in self.required {
            let in_list = field
                .strip_prefix(list)
                .and_then(|rest| rest.strip_prefix(IN_EACH));
            if let Some(field) = in_list.filter(|field| element.lacks(field)) {
                self.add_at(&format!("/{field}"), "is required");
            }
        }
    }

    /// Notes that the place that is being read is wrong, or unreadable if the channel only expects something there. A second remark on
    /// one place is dropped.
    pub fn add(&mut self, detail: &'static str) {
        match self.steps[..] {
            [Step::Name(field)] if self.expected.contains(&field) => self.unreadable.push(field),
            _ => self.note("", detail, false),
        }
    }

    /// The expected fields whose value cannot be read.
    pub(crate) fn take_unreadable(&mut self) -> Vec<&'static str> {
        mem::take(&mut self.unreadable)
    }

    /// Notes that the place that is being read was there before: of two values, one reader takes the first and another the last.
    pub(crate) fn add_given_twice(&mut self) {
        self.note("", "must not be given twice", false);
    }

    /// Notes that `below`, a pointer from the place that is being read, is wrong. It is dropped when something at that place
    /// or below it is known: a field of the wrong type is not also missing, a list of wrong elements is not also empty.
    pub fn add_at(&mut self, below: &str, detail: &'static str) {
        self.note(below, detail, true);
    }

    fn note(&mut self, below: &str, detail: &'static str, unless_below: bool) {
        if self.list.len() >= VIOLATIONS_MAX {
            self.unlisted += 1;
            return;
        }
        let mut pointer = self.root.clone();
        for step in &self.steps {
            let _ = write!(pointer, "{step}"); // writing to a String never fails
        }
        pointer.push_str(below);
        let known = self
            .list
            .iter()
            .filter_map(|known| known.pointer.strip_prefix(&pointer));
        if !known
            .into_iter()
            .any(|rest| rest.is_empty() || (unless_below && rest.starts_with('/')))
        {
            self.list.push(Violation { pointer, detail });
        }
    }

    /// Counts elements of lists before they are read. The error ends the reading: there are more than [`ELEMENTS_MAX`].
    pub(crate) fn count_elements<E: de::Error>(&mut self, more: usize) -> Result<(), E> {
        self.elements = self.elements.saturating_add(more);
        if self.has_too_many_elements() {
            Err(E::custom("too many elements"))
        } else {
            Ok(())
        }
    }

    /// Whether the reading was ended because the lists have more than [`ELEMENTS_MAX`] elements.
    pub(crate) fn has_too_many_elements(&self) -> bool {
        self.elements > ELEMENTS_MAX
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Takes over what another search found.
    pub fn extend(&mut self, other: Self) {
        self.unlisted += other.unlisted;
        for violation in other.list {
            if self.list.len() < VIOLATIONS_MAX {
                self.list.push(violation);
            } else {
                self.unlisted += 1;
            }
        }
    }

    fn count(&self) -> usize {
        self.list.len() + self.unlisted
    }

    /// The violations that are listed, and the number of those that are not.
    pub fn into_parts(self) -> (Vec<Violation>, usize) {
        (self.list, self.unlisted)
    }

    /// Does `work` one step deeper. An error ends the reading, and the place stays where it came up.
    pub(crate) fn inside<R, E>(
        &mut self,
        step: Step,
        work: impl FnOnce(&mut Self) -> Result<R, E>,
    ) -> Result<R, E> {
        self.steps.push(step);
        let result = work(self)?;
        self.steps.pop();
        Ok(result)
    }
}

/// Something that can be read out of an event.
pub trait Decode: Sized {
    /// Reads one value. `None` is an absent value (null, or empty where emptiness means absence) or a wrong one, which is
    /// then noted in `violations`. The error is the reader's own: broken JSON.
    fn decode<'de, D: Deserializer<'de>>(
        from: D,
        violations: &mut Violations,
    ) -> Result<Option<Self>, D::Error>;

    /// Whether the field with this name is absent. A name that the entity does not have is always absent.
    fn lacks(&self, _field: &str) -> bool {
        true
    }

    /// Notes which fields of a shop's event are read here, as a hook in the shop names them. `path` leads here, and `sample` is
    /// what a shop sends here by default, where the spec and the shop have two names for one thing.
    #[cfg(feature = "schema")]
    fn hook_fields(_sample: &serde_json::Value, path: &str, fields: &mut Vec<String>) {
        fields.push(path.trim_end_matches("[]").to_owned());
    }
}

/// Lets a [`Decode`] be read where serde asks for a seed.
pub(crate) struct Seed<'a, T>(&'a mut Violations, PhantomData<T>);

impl<'a, T> Seed<'a, T> {
    pub(crate) fn new(violations: &'a mut Violations) -> Self {
        Self(violations, PhantomData)
    }
}

impl<'de, T: Decode> DeserializeSeed<'de> for Seed<'_, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        T::decode(from, self.0)
    }
}

/// The visits of a [`Visitor`] that end in one violation: a scalar stands where a structure should.
macro_rules! scalars_are_wrong {
    ($detail:literal) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            self.0.add($detail);
            Ok(None)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            self.0.add($detail);
            Ok(None)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            self.0.add($detail);
            Ok(None)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            self.0.add($detail);
            Ok(None)
        }

        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            self.0.add($detail);
            Ok(None)
        }
    };
}
pub(crate) use scalars_are_wrong;

impl<T: Decode> Decode for Vec<T> {
    /// Reads a list, or what PHP makes of a list that is keyed by id: an object, whose values are the list.
    fn decode<'de, D: Deserializer<'de>>(
        from: D,
        violations: &mut Violations,
    ) -> Result<Option<Self>, D::Error> {
        from.deserialize_any(ListVisitor(violations, PhantomData))
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

struct ListVisitor<'a, T>(&'a mut Violations, PhantomData<T>);

impl<'de, T: Decode> Visitor<'de> for ListVisitor<'_, T> {
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
        while let Some(element) = self.0.inside(Step::Element(index), |at| {
            list.next_element_seed(Element::<T>::new(at))
        })? {
            read.extend(element);
            index += 1;
        }
        Ok(Some(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut read = Vec::new();
        while let Some(MapKey(id)) = map.next_key()? {
            // A key that is no id could be anything, a person's name even: it must not come back in a pointer.
            let Some(id) = id else {
                self.0.count_elements(1)?;
                self.0
                    .add("must be a list, or an object whose keys are ids");
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let element = self.0.inside(Step::Element(id), |at| {
                map.next_value_seed(Element::<T>::new(at))
            })?;
            read.extend(element);
        }
        Ok(Some(read))
    }

    scalars_are_wrong!("must be a list");
}

/// An element of a list, which must be there.
struct Element<'a, T>(&'a mut Violations, PhantomData<T>);

impl<'a, T> Element<'a, T> {
    fn new(violations: &'a mut Violations) -> Self {
        Self(violations, PhantomData)
    }
}

impl<'de, T: Decode> DeserializeSeed<'de> for Element<'_, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        self.0.count_elements(1)?;
        let known = self.0.count();
        let element = T::decode(from, self.0)?;
        match &element {
            Some(element) => self.0.require_of_element(element),
            None if self.0.count() == known => self.0.add("must not be empty"),
            None => {}
        }
        Ok(element)
    }
}

/// The key of a keyed list: the id, if it is one.
struct MapKey(Option<u64>);

impl<'de> serde::Deserialize<'de> for MapKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = MapKey;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<MapKey, E> {
                let canonical = key == "0" || !key.starts_with(['0', '+']);
                Ok(MapKey(if canonical { key.parse().ok() } else { None }))
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
        $(computes { $($computed:ident: $Computed:ty = $compute:path,)* })?
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        $vis struct $Entity {
            $($(#[doc = $doc])* pub $field: Option<$Type>,)*
            $($(pub(super) $extra: Option<$Extra>,)*)?
        }

        impl $crate::model::decode::Decode for $Entity {
            fn decode<'de, D: serde::Deserializer<'de>>(
                from: D,
                violations: &mut $crate::model::decode::Violations,
            ) -> Result<Option<Self>, D::Error> {
                use $crate::model::decode::{Seed, Step, Violations, scalars_are_wrong};

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

                struct EntityVisitor<'a>(&'a mut Violations);

                impl<'de> serde::de::Visitor<'de> for EntityVisitor<'_> {
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
                            self.0.add("must be an object");
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
                                    $field = Some(at.inside(Step::Name(stringify!($field)), |at| {
                                        if $field.is_some() {
                                            at.add_given_twice();
                                        }
                                        map.next_value_seed(Seed::new(at))
                                    })?);
                                })*
                                $($(Key::$extra => {
                                    $extra = Some(at.inside(Step::Name(stringify!($extra)), |at| {
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
                        $($settle(&mut entity);)?
                        Ok(Some(entity))
                    }

                    scalars_are_wrong!("must be an object");
                }

                from.deserialize_any(EntityVisitor(violations))
            }

            fn lacks(&self, field: &str) -> bool {
                match field {
                    $(stringify!($field) => self.$field.is_none(),)*
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

        impl $crate::model::look::Look for $Entity {
            fn kind(
                path: &[$crate::model::look::Step],
            ) -> Result<$crate::model::look::Kind, $crate::model::look::NoSuchPlace> {
                use $crate::model::look::{Kind, NoSuchPlace, Step};
                let (name, rest) = match path {
                    [] => return Ok(Kind::Structure),
                    [Step::Each, ..] => {
                        return Err(NoSuchPlace::Mistaken("has [] where there is no list"));
                    }
                    [Step::Name(name), rest @ ..] => (name.as_str(), rest),
                };
                match name {
                    $(stringify!($field) => <$Type>::kind(rest),)*
                    $($(stringify!($computed) => <$Computed>::kind(rest),)*)?
                    _ => {
                        $(return Err(NoSuchPlace::Mistaken($elsewhere));)?
                        #[allow(unreachable_code, clippy::allow_attributes, reason = "not for every entity")]
                        Err(NoSuchPlace::Unknown)
                    }
                }
            }

            fn look(
                &self,
                path: &[$crate::model::look::Step],
                see: &mut dyn FnMut($crate::model::look::Seen<'_>),
            ) {
                use $crate::model::look::{Seen, Step, look_at};
                let [Step::Name(name), rest @ ..] = path else {
                    return see(Seen::Structure { empty: false });
                };
                match name.as_str() {
                    $(stringify!($field) => look_at(self.$field.as_ref(), rest, see),)*
                    $($(stringify!($computed) => look_at($compute(self).as_ref(), rest, see),)*)?
                    _ => see(Seen::Nothing),
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
