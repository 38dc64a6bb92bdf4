//! Reads an entity in one pass and collects the problems of its fields.
//!
//! A shop writes the same field in many ways (see [`super::scalar`]). Serde's derived
//! implementations stop at the first unexpected value. Here, reading continues after a field that
//! cannot be read. Only invalid JSON or too many list elements stop it.

pub(in crate::model) mod entity;
mod list;
mod macros;
pub(crate) mod structure;

use std::marker::PhantomData;

use serde::{Deserializer, de::DeserializeSeed};

use super::diagnostics::Diagnostics;

pub(super) use self::{
    entity::{Computed, Field, Fields},
    macros::entity,
};

/// A value that can be read from an event.
pub trait Decode: Sized {
    /// Reads one value. Returns `None` if the value is absent (null, or empty where empty means
    /// absent) or unreadable. An unreadable value adds an issue to `diagnostics`. Fails if the JSON
    /// cannot be parsed or has too many list elements.
    fn decode<'de, D: Deserializer<'de>>(
        from: D,
        diagnostics: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, D::Error>;

    /// Whether the field with this name is absent or an empty list. Always true for a field that
    /// the entity does not have.
    fn lacks(&self, _field: &str) -> bool {
        true
    }

    /// Whether the field with this name can identify the entity.
    fn identifies(&self, field: &str) -> bool {
        !self.lacks(field)
    }

    /// Whether the value is a list without elements, which counts as absent.
    fn is_empty(&self) -> bool {
        false
    }

    /// Adds the fields of a shop's event that this type reads, with their names in a hook. `path`
    /// is the path of the value, and `sample` is the value that a shop sends by default. If the
    /// spec and the shop name a field differently, the sample decides which name is added.
    #[cfg(feature = "schema")]
    fn hook_fields(_sample: &serde_json::Value, path: &str, fields: &mut Vec<String>) {
        fields.push(path.trim_end_matches("[]").to_owned());
    }
}

/// The serde seed that reads a [`Decode`] type.
pub(super) struct Seed<'a, 'de, T>(&'a mut Diagnostics<'de>, PhantomData<T>);

impl<'a, 'de, T> Seed<'a, 'de, T> {
    pub(super) fn new(diagnostics: &'a mut Diagnostics<'de>) -> Self {
        Self(diagnostics, PhantomData)
    }
}

impl<'de, T: Decode> DeserializeSeed<'de> for Seed<'_, 'de, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        T::decode(from, self.0)
    }
}
