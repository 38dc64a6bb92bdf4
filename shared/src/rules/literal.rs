//! The values in conditions. Each equals the value of a field as a decimal or as text.

use rust_decimal::Decimal;
use serde_json::value::RawValue;

use crate::model::{
    lookup::{FieldKind, FieldValue},
    scalar::{JsonScalar, Scalar as _, Timestamp, parse_decimal},
};

/// The maximum number of values in the list of `in`.
const LIST_MAX: usize = 1000;

/// The maximum length of a text that is read as a number.
const NUMBER_BYTES_MAX: usize = 64;

/// The value or values of one condition. Each list is sorted. A field equals one of them if any
/// list contains its value.
#[derive(Debug, Default)]
pub(super) struct Literals {
    /// Compared as decimals with every value that contains a number.
    numbers: Vec<Decimal>,
    /// Compared as decimals only with values written as a plain number. For example, `007` is text.
    plain_numbers: Vec<Decimal>,
    /// Compared as text.
    texts: Vec<String>,
    /// Whether an absent value equals them, because the other field is absent, too.
    absent: bool,
}

impl Literals {
    /// Reads the value of `equal` or `notEqual`.
    pub(super) fn one(json: &str, kind: Option<FieldKind>) -> Result<Self, String> {
        let mut literals = Self::default();
        literals.add(json, kind)?;
        Ok(literals)
    }

    /// Reads the value of `in`: a JSON list, or a string with commas as in the shop.
    pub(super) fn list(json: &str, kind: Option<FieldKind>) -> Result<Self, String> {
        const HINT: &str = "the value must be a list, as in [\"AT\", \"DE\"] or \"AT, DE\"";
        let mut literals = Self::default();
        let mut count = 0_usize;
        if json.starts_with('[') {
            let values: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| HINT)?;
            count = values.len();
            values
                .iter()
                .try_for_each(|value| literals.add(value.get(), kind))?;
        } else if let Some(JsonScalar::String(text)) = JsonScalar::parse(json) {
            for part in text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
            {
                literals.add_text(part, kind)?;
                count += 1;
            }
        }
        if count == 0 {
            return Err(HINT.to_owned());
        }
        if count > LIST_MAX {
            return Err(format!("the list has more than {LIST_MAX} values"));
        }
        literals.numbers.sort_unstable();
        literals.plain_numbers.sort_unstable();
        literals.texts.sort_unstable();
        Ok(literals)
    }

    /// Returns the value of another field, for a comparison with a field of this kind.
    pub(super) fn of_value(value: &FieldValue<'_>, kind: Option<FieldKind>) -> Self {
        let mut literals = Self::default();
        match value {
            FieldValue::Absent => literals.absent = true,
            FieldValue::Number(number) => literals.numbers.push(*number),
            // A text that cannot be a value of this kind equals none.
            FieldValue::Text(text) => _ = literals.add_text(text, kind),
            FieldValue::Structure { .. } => {}
        }
        literals
    }

    fn add(&mut self, json: &str, kind: Option<FieldKind>) -> Result<(), String> {
        match JsonScalar::parse(json) {
            Some(JsonScalar::Bool(flag)) => self.numbers.push(u8::from(flag).into()),
            Some(JsonScalar::Number(_)) => self.numbers.push(number_from_json(json)?),
            Some(JsonScalar::String(text)) => self.add_text(&text, kind)?,
            Some(JsonScalar::Null) | None => {
                return Err("the value must be a number or a text".to_owned());
            }
        }
        Ok(())
    }

    /// Adds a string. The kind of a contract field decides how it compares. For any other field, a
    /// string that is written like a number also compares as a number, as in the shop's own rules.
    fn add_text(&mut self, text: &str, kind: Option<FieldKind>) -> Result<(), String> {
        match kind {
            Some(FieldKind::Number) => {
                let number =
                    parse_decimal(text).ok_or("the field is a number, but the value is not")?;
                self.numbers.push(number);
            }
            Some(FieldKind::UppercaseCode) => self.texts.push(text.to_ascii_uppercase()),
            Some(FieldKind::Timestamp) => {
                let timestamp = Timestamp::from_json(&JsonScalar::String(text.into()));
                let Some(FieldValue::Text(text)) = timestamp.as_ref().map(Timestamp::field_value)
                else {
                    return Err(format!(
                        "the field is a date, so the value {}",
                        Timestamp::EXPECTS
                    ));
                };
                self.texts.push(text.into_owned());
            }
            Some(FieldKind::Text | FieldKind::Structure) => self.texts.push(text.to_owned()),
            None => {
                self.plain_numbers.extend(plain_number(text));
                self.texts.push(text.to_owned());
            }
        }
        Ok(())
    }

    /// Whether one of the literals equals the value.
    pub(super) fn contains(&self, value: &FieldValue<'_>) -> bool {
        let has = |numbers: &[Decimal], number: Option<Decimal>| {
            number.is_some_and(|number| numbers.binary_search(&number).is_ok())
        };
        match value {
            FieldValue::Number(number) => has(&self.numbers, Some(*number)),
            FieldValue::Text(text) => {
                self.texts
                    .binary_search_by(|known| known.as_str().cmp(text))
                    .is_ok()
                    || (!self.numbers.is_empty() && has(&self.numbers, number_of(value)))
                    || (!self.plain_numbers.is_empty()
                        && has(&self.plain_numbers, plain_number(text)))
            }
            FieldValue::Absent => self.absent,
            FieldValue::Structure { .. } => false,
        }
    }
}

/// Returns the number that a value contains, as a number or as text.
pub(super) fn number_of(value: &FieldValue<'_>) -> Option<Decimal> {
    match value {
        FieldValue::Number(number) => Some(*number),
        FieldValue::Text(text) if text.len() <= NUMBER_BYTES_MAX => parse_decimal(text),
        FieldValue::Text(_) | FieldValue::Absent | FieldValue::Structure { .. } => None,
    }
}

/// Reads a number of a rules file, which may also be written as a string.
pub(super) fn number_from_json(json: &str) -> Result<Decimal, String> {
    const HINT: &str = "the value must be a number";
    let text = match JsonScalar::parse(json) {
        Some(JsonScalar::Number(text)) => text.into(),
        Some(JsonScalar::String(text)) => text,
        _ => return Err(HINT.to_owned()),
    };
    parse_decimal(&text).ok_or_else(|| HINT.to_owned())
}

/// Reads a text of a rules file for a field of this kind.
pub(super) fn text_from_json(json: &str, kind: Option<FieldKind>) -> Result<String, String> {
    match JsonScalar::parse(json) {
        Some(JsonScalar::String(text)) if !text.is_empty() => Ok(match kind {
            Some(FieldKind::UppercaseCode) => text.to_ascii_uppercase(),
            _ => text.into_owned(),
        }),
        _ => Err("the value must be a text that is not empty".to_owned()),
    }
}

/// Reads a number that cannot be meant as text: one without leading zeros, plus sign or exponent.
fn plain_number(text: &str) -> Option<Decimal> {
    if text.len() > NUMBER_BYTES_MAX {
        return None;
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let has_leading_zeros =
        digits.starts_with('0') && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    let plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    (plain && !has_leading_zeros).then(|| parse_decimal(text))?
}
