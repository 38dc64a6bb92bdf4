//! The scalar types of the contract, each read from every JSON type in which a shop writes it.
//!
//! In PHP, the type of a field depends on the state of its object. An amount is a number in memory
//! and a string after it was loaded from the database; an id is a number or a string; a flag is
//! `1`, `"1"` or `true`. The message has one canonical form of each.

mod code;
mod email;
mod flag;
mod id;
mod json;
mod number;
mod text;
mod timestamp;

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{
    decode::Decode,
    diagnostics::Diagnostics,
    lookup::{FieldKind, FieldPath, FieldValue, Lookup, PathError, leaf_kind},
};

pub use self::{
    code::{Country, Currency},
    email::Email,
    flag::{Flag, ProductStatus},
    id::{Id, WholeNumber},
    json::JsonScalar,
    number::{Money, Number, Quantity},
    text::{Code, Text},
    timestamp::Timestamp,
};
pub(crate) use self::{json::is_empty_list, number::parse_decimal};

/// A value of the contract that is written as one JSON scalar.
pub trait Scalar: Sized {
    /// What the contract expects, as the end of the sentence "this field …".
    const EXPECTS: &'static str;

    /// The kind of the value in rules.
    const KIND: FieldKind;

    /// Returns the value that a rule compares.
    fn field_value(&self) -> FieldValue<'_>;

    /// Whether the JSON means that there is no value: null, the empty string that PHP writes for an
    /// unset value, or the `false` that means "use the default value" when a product is saved for
    /// one store view.
    fn is_absent(json: &JsonScalar<'_>) -> bool {
        matches!(json, JsonScalar::Null | JsonScalar::Bool(false)) || json.is_blank()
    }

    /// Converts a JSON scalar. Returns `None` if it is not a value of this type.
    fn from_json(json: &JsonScalar<'_>) -> Option<Self>;

    /// Converts a JSON object, for types that PHP writes as an object.
    fn from_object(_json: &str) -> Parsed<Self> {
        Parsed::Unreadable
    }
}

/// The result of reading a value.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<T> {
    /// The value.
    Value(T),
    /// The JSON means that there is no value.
    Absent,
    /// The JSON is not a value of this type.
    Unreadable,
}

impl<T: Scalar> Decode for T {
    fn decode<'de, D: Deserializer<'de>>(
        from: D,
        diagnostics: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, D::Error> {
        let raw = <&RawValue>::deserialize(from)?;
        Ok(scalar_from_raw(raw.get(), diagnostics))
    }
}

impl<T: Scalar> Lookup for T {
    fn kind(path: &FieldPath) -> Result<FieldKind, PathError> {
        leaf_kind(T::KIND, path)
    }

    fn visit(&self, _: &FieldPath, visit: &mut dyn FnMut(FieldValue<'_>)) {
        visit(self.field_value());
    }
}

/// Reads a scalar from a JSON value, and adds an issue if it is unreadable.
pub(super) fn scalar_from_raw<'de, T: Scalar>(
    raw: &'de str,
    diagnostics: &mut Diagnostics<'de>,
) -> Option<T> {
    let parsed = match JsonScalar::parse(raw) {
        Some(json) if T::is_absent(&json) => Parsed::Absent,
        Some(json) => T::from_json(&json).map_or(Parsed::Unreadable, Parsed::Value),
        None if raw.starts_with('[') && is_empty_list(raw) => Parsed::Absent,
        None if raw.starts_with('{') => T::from_object(raw),
        None => Parsed::Unreadable,
    };
    match parsed {
        Parsed::Value(value) => Some(value),
        Parsed::Absent => None,
        Parsed::Unreadable => {
            diagnostics.add_unreadable(T::EXPECTS, Some(Cow::Borrowed(raw)));
            None
        }
    }
}

/// Implements `JsonSchema` for a scalar that is written as a string.
macro_rules! string_schema {
    ($Type:ident $(, $key:literal: $value:literal)*) => {
        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $Type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($Type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string" $(, $key: $value)* })
            }
        }
    };
}
use string_schema;

#[cfg(test)]
mod tests;
