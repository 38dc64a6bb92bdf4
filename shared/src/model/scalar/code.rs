//! Codes of ISO standards.

use std::borrow::Cow;

use serde::Serialize;

use super::{JsonScalar, Scalar, string_schema};
use crate::model::lookup::{FieldKind, FieldValue};

/// ISO 3166-1 alpha-2 country code, in uppercase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Country(pub String);

impl Scalar for Country {
    const EXPECTS: &'static str = "must be a country code of two letters (ISO 3166-1)";
    const KIND: FieldKind = FieldKind::UppercaseCode;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Text(Cow::Borrowed(&self.0))
    }

    fn from_json(json: &JsonScalar<'_>) -> Option<Self> {
        letters(json, 2).map(Self)
    }
}

string_schema!(Country, "pattern": "^[A-Z]{2}$");

/// ISO 4217 currency code, in uppercase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Currency(pub String);

impl Scalar for Currency {
    const EXPECTS: &'static str = "must be a currency code of three letters (ISO 4217)";
    const KIND: FieldKind = FieldKind::UppercaseCode;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Text(Cow::Borrowed(&self.0))
    }

    fn from_json(json: &JsonScalar<'_>) -> Option<Self> {
        letters(json, 3).map(Self)
    }
}

string_schema!(Currency, "pattern": "^[A-Z]{3}$");

/// Returns a string of `count` ASCII letters in uppercase; `None` for any other JSON.
fn letters(json: &JsonScalar<'_>, count: usize) -> Option<String> {
    let JsonScalar::String(text) = json else {
        return None;
    };
    let text = text.trim();
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_alphabetic()))
        .then(|| text.to_ascii_uppercase())
}
