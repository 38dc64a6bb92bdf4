//! The code that the readers of lists and entities share. PHP may write a scalar instead of either.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::model::diagnostics::{Diagnostics, truncated};

/// A list or an object. PHP may write one instead of the other.
pub(crate) trait Structure<'de> {
    /// The result of reading.
    type Value;

    /// The expected type, for serde's own errors.
    const NAME: &'static str;

    /// The detail of the issue if the value cannot be read.
    const EXPECTS: &'static str;

    /// Reads a JSON array.
    fn read_array<A: SeqAccess<'de>>(
        array: A,
        diagnostics: &mut Diagnostics<'de>,
    ) -> Result<Option<Self::Value>, A::Error>;

    /// Reads a JSON object.
    fn read_object<A: MapAccess<'de>>(
        object: A,
        diagnostics: &mut Diagnostics<'de>,
    ) -> Result<Option<Self::Value>, A::Error>;
}

/// Reads an array where an object is expected. PHP writes an empty object as an empty array; any
/// other array is an issue.
pub(crate) fn read_empty_array<'de, A: SeqAccess<'de>>(
    mut array: A,
    expects: &'static str,
    diagnostics: &mut Diagnostics<'de>,
) -> Result<(), A::Error> {
    let mut is_empty = true;
    while array.next_element::<IgnoredAny>()?.is_some() {
        is_empty = false;
    }
    if !is_empty {
        diagnostics.add_unreadable(expects, None);
    }
    Ok(())
}

/// Reads a structure. Null, `false` and an empty string are absent; another scalar is an issue.
pub(crate) fn decode<'de, S: Structure<'de>, D: Deserializer<'de>>(
    from: D,
    diagnostics: &mut Diagnostics<'de>,
) -> Result<Option<S::Value>, D::Error> {
    from.deserialize_any(StructureVisitor::<S> {
        diagnostics,
        structure: PhantomData,
    })
}

struct StructureVisitor<'a, 'de, S> {
    diagnostics: &'a mut Diagnostics<'de>,
    structure: PhantomData<S>,
}

impl<'de, S: Structure<'de>> StructureVisitor<'_, 'de, S> {
    /// Adds the issue that the value is a scalar.
    fn unreadable(self, json: Option<String>) -> Option<S::Value> {
        self.diagnostics
            .add_unreadable(S::EXPECTS, json.map(Cow::Owned));
        None
    }
}

impl<'de, S: Structure<'de>> Visitor<'de> for StructureVisitor<'_, 'de, S> {
    type Value = Option<S::Value>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(S::NAME)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<Self::Value, A::Error> {
        S::read_array(array, self.diagnostics)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
        S::read_object(object, self.diagnostics)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        if flag {
            return Ok(self.unreadable(Some("true".to_owned())));
        }
        Ok(None)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(self.unreadable(Some(number.to_string())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(self.unreadable(Some(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(self.unreadable(Some(number.to_string())))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        if text.is_empty() {
            return Ok(None);
        }
        // A message contains at most this part of the string.
        Ok(self.unreadable(serde_json::to_string(truncated(text)).ok()))
    }
}
