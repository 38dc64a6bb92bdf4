//! Decimal numbers: amounts, quantities and others. They are never floats.

use rust_decimal::{Decimal, Error};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::{JsonScalar, Scalar, string_schema};
use crate::model::lookup::{FieldKind, FieldValue};

/// Reads a number, or a string that contains one.
fn decimal(json: &JsonScalar<'_>) -> Option<Decimal> {
    parse_decimal(json.text()?.trim())
}

/// Parses a decimal number, with or without an exponent.
pub(crate) fn parse_decimal(text: &str) -> Option<Decimal> {
    let numeric = text
        .trim_start_matches('-')
        .starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if !numeric {
        return None;
    }
    // PHP writes small and large floats with an exponent: 1.0e-5, and 2.8421709430404007e-14 for a
    // sum of floats that should be zero. A decimal has 28 places; further ones are rounded.
    let value = match text.split_once(['e', 'E']) {
        None => text.parse().ok()?,
        Some((_, exponent)) => match Decimal::from_scientific_lossy(text) {
            Err(Error::ScaleExceedsMaximumPrecision(_)) if exponent.starts_with('-') => {
                Decimal::ZERO
            }
            value => value.ok()?,
        },
    };
    Some(value.normalize())
}

/// An amount of money: an exact decimal, written as a string with at least two decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(pub Decimal);

impl Money {
    /// Returns the amount with at least two decimals, unless a [`Decimal`] has no room for them.
    fn with_two_decimals(self) -> Decimal {
        let mut amount = self.0;
        if amount.scale() < 2 {
            amount.rescale(2);
        }
        amount
    }
}

impl Scalar for Money {
    const EXPECTS: &'static str = "must be a decimal number, or a string that holds one";
    const KIND: FieldKind = FieldKind::Number;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Number(self.with_two_decimals())
    }

    fn from_json(json: &JsonScalar<'_>) -> Option<Self> {
        // A decimal with many digits has no room for two decimals.
        decimal(json)
            .map(Self)
            .filter(|money| money.with_two_decimals().scale() >= 2)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.with_two_decimals())
    }
}

string_schema!(Money, "pattern": r"^-?\d+\.\d{2,}$");

/// A quantity in an order: an exact decimal, written as a string without trailing zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(pub Decimal);

impl Scalar for Quantity {
    const EXPECTS: &'static str = Money::EXPECTS;
    const KIND: FieldKind = FieldKind::Number;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Number(self.0)
    }

    fn from_json(json: &JsonScalar<'_>) -> Option<Self> {
        decimal(json).map(Self)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

string_schema!(Quantity, "pattern": r"^-?\d+(\.\d+)?$");

/// A number that the spec declares as a JSON number: an exact decimal, written with all its digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub Decimal);

impl Number {
    /// Reads a JSON number, or a string that contains one.
    pub fn from_value(value: &serde_json::Value) -> Option<Self> {
        match value {
            serde_json::Value::Number(number) => parse_decimal(&number.to_string()),
            serde_json::Value::String(text) => parse_decimal(text),
            _ => None,
        }
        .map(Self)
    }
}

impl Scalar for Number {
    const EXPECTS: &'static str = Money::EXPECTS;
    const KIND: FieldKind = FieldKind::Number;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Number(self.0)
    }

    fn from_json(json: &JsonScalar<'_>) -> Option<Self> {
        decimal(json).map(Self)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // Raw JSON keeps the digits: serde has no decimals, only floats.
        RawValue::from_string(self.0.to_string())
            .map_err(serde::ser::Error::custom)?
            .serialize(to)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Number {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number" })
    }
}
