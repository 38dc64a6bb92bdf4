//! Flags, and states with a few values.

use serde::{Serialize, Serializer};

use super::{JsonScalar, Scalar, id::integer_part};
use crate::model::lookup::{FieldKind, FieldValue};

/// Yes or no, written as 1 or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag(pub bool);

impl Scalar for Flag {
    const EXPECTS: &'static str = "must be 0 or 1";
    const KIND: FieldKind = FieldKind::Number;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Number(u8::from(self.0).into())
    }

    fn is_absent(json: &JsonScalar<'_>) -> bool {
        *json == JsonScalar::Null || json.is_blank()
    }

    fn from_json(json: &JsonScalar<'_>) -> Option<Self> {
        match (json, integer_part(json)) {
            (JsonScalar::Bool(flag), _) => Some(Self(*flag)),
            (_, Some("0")) => Some(Self(false)),
            (_, Some("1")) => Some(Self(true)),
            _ => None,
        }
    }
}

impl Serialize for Flag {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u8(self.0.into())
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Flag {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Flag".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "enum": [0, 1] })
    }
}

/// Whether a product is on sale: 1 enabled, 2 disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ProductStatus(u8);

impl Scalar for ProductStatus {
    const EXPECTS: &'static str = "must be 1 (enabled) or 2 (disabled)";
    const KIND: FieldKind = FieldKind::Number;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Number(self.0.into())
    }

    fn from_json(json: &JsonScalar<'_>) -> Option<Self> {
        match integer_part(json) {
            Some("1") => Some(Self(1)),
            Some("2") => Some(Self(2)),
            _ => None,
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ProductStatus {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ProductStatus".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "enum": [1, 2] })
    }
}
