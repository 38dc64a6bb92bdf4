//! Text.

use std::borrow::Cow;

use serde::Serialize;

use super::{JsonScalar, Scalar, string_schema};
use crate::model::lookup::{FieldKind, FieldValue};

/// Free text. A number is read as its digits: PHP writes a numeric postcode or SKU as a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Text(pub String);

impl Scalar for Text {
    const EXPECTS: &'static str = "must be a string";
    const KIND: FieldKind = FieldKind::Text;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Text(Cow::Borrowed(&self.0))
    }

    fn is_absent(json: &JsonScalar<'_>) -> bool {
        matches!(json, JsonScalar::Null | JsonScalar::Bool(false)) // an empty text is a value
    }

    fn from_json(json: &JsonScalar<'_>) -> Option<Self> {
        json.text().map(|text| Self(text.to_owned()))
    }
}

string_schema!(Text);

/// Text that identifies something, like a SKU, an order number or a status. It is never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Code(pub String);

impl Scalar for Code {
    const EXPECTS: &'static str = "must be a string";
    const KIND: FieldKind = FieldKind::Text;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Text(Cow::Borrowed(&self.0))
    }

    fn is_absent(json: &JsonScalar<'_>) -> bool {
        matches!(json, JsonScalar::Null | JsonScalar::Bool(false)) || json.text() == Some("")
    }

    fn from_json(json: &JsonScalar<'_>) -> Option<Self> {
        json.text().map(|text| Self(text.to_owned()))
    }
}

string_schema!(Code, "minLength": 1);
