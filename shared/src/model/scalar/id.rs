//! Ids and other whole numbers.

use std::fmt;

use serde::Serialize;

use super::{JsonScalar, Scalar};
use crate::model::lookup::{FieldKind, FieldValue};

/// An id in the shop's database: a whole number. A database counts from 1. 0 means absent: PHP
/// writes it for an object that is not saved, and for the customer of a guest's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct Id(pub u64);

impl Scalar for Id {
    const EXPECTS: &'static str = WholeNumber::EXPECTS;
    const KIND: FieldKind = FieldKind::Number;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Number(self.0.into())
    }

    fn is_absent(json: &JsonScalar<'_>) -> bool {
        // Fast path: a text that starts with 1 to 9 is not zero.
        let may_be_zero = |text: &str| !text.starts_with(|c| ('1'..='9').contains(&c));
        WholeNumber::is_absent(json)
            || (json.text().is_some_and(may_be_zero)
                && WholeNumber::from_json(json) == Some(WholeNumber(0)))
    }

    fn from_json(json: &JsonScalar<'_>) -> Option<Self> {
        WholeNumber::from_json(json).map(|WholeNumber(id)| Self(id))
    }
}

/// A whole number that is not negative. 0 is a value: a state, or the id of the Admin's store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct WholeNumber(pub u64);

impl Scalar for WholeNumber {
    const EXPECTS: &'static str = "must be a whole number, not negative";
    const KIND: FieldKind = FieldKind::Number;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Number(self.0.into())
    }

    fn from_json(json: &JsonScalar<'_>) -> Option<Self> {
        let text = integer_part(json)?;
        // Databases and many consumers have signed integers of 64 bits.
        let number: u64 = text
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse().ok())??;
        (number <= i64::MAX.cast_unsigned()).then_some(Self(number))
    }
}

/// Returns the text of a number without a fraction of zeros; `None` if it has another fraction. A
/// decimal column writes 216 as `216.0000`, and a PHP float as `216.0`. The caller checks the
/// digits.
pub(super) fn integer_part<'t>(json: &'t JsonScalar<'_>) -> Option<&'t str> {
    let text = json.text()?.trim();
    match text.split_once('.') {
        None => Some(text),
        Some((whole, zeros)) => {
            let is_whole = !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0');
            is_whole.then_some(whole)
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(to)
    }
}
