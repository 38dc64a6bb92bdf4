//! Reads an entity in one pass and collects what is wrong with it.
//!
//! A shop writes the same field in many ways (see [`super::scalar`]). Serde's derived readers stop
//! at the first surprise, so they do not fit: here, reading goes on after a field that cannot be
//! read. Only broken JSON, or a list that is too long, ends it.

pub(in crate::model) mod entity;
mod list;
mod macros;
mod structure;

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
    /// absent) or unreadable; `diagnostics` then has an issue. An error is one of the reader: the
    /// JSON is broken.
    fn decode<'de, D: Deserializer<'de>>(
        from: D,
        diagnostics: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, D::Error>;

    /// Whether the field with this name is absent. A field that the entity does not have is always
    /// absent.
    fn lacks(&self, _field: &str) -> bool {
        true
    }

    /// Whether it is a list without elements, which counts as absent.
    fn is_empty(&self) -> bool {
        false
    }

    /// Adds the fields of a shop's event that are read here, named as in a hook of the shop.
    /// `path` leads here. `sample` is what a shop sends here by default; it decides where the spec
    /// and the shop have two names for one field.
    #[cfg(feature = "schema")]
    fn hook_fields(_sample: &serde_json::Value, path: &str, fields: &mut Vec<String>) {
        fields.push(path.trim_end_matches("[]").to_owned());
    }
}

/// Reads a [`Decode`] where serde expects a seed.
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
