//! Whether one condition of a rule holds.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde_json::value::RawValue;

use super::{evaluate::Evaluation, file::Operator, pattern::Pattern};
use crate::model::{
    lookup::{FieldKind, FieldValue},
    scalar::{JsonScalar, Scalar as _, Timestamp, decimal_from},
};

/// A list for `in` has at most this many members.
const LIST_MAX: usize = 1000;

/// A text that is longer holds no number.
const NUMBER_BYTES_MAX: usize = 64;

/// What a value is compared with, and how.
#[derive(Debug)]
pub(super) enum Test {
    /// It is greater.
    Greater(Decimal),
    /// It is less.
    Less(Decimal),
    /// It is one of these, or none of them.
    OneOf(Literals, Expected),
    /// It matches.
    Matches(Pattern),
    /// It is empty, or is not.
    Empty(Expected),
}

/// What a test is about: that something is so, or that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Yes,
    No,
}

impl Expected {
    fn is(self, so: bool) -> bool {
        (self == Self::Yes) == so
    }
}

impl Test {
    /// How many characters the ranges of its regular expression hold whose other case had to be found.
    pub(super) fn folded(&self) -> u32 {
        match self {
            Self::Matches(pattern) => pattern.folded,
            _ => 0,
        }
    }

    /// Makes the test of a condition on a field of this kind, or `None` for a field that is not in the contract. The error is
    /// the end of the sentence "this condition …".
    pub(super) fn new(
        operator: Operator,
        value: Option<&RawValue>,
        kind: Option<FieldKind>,
    ) -> Result<Self, String> {
        let emptiness = matches!(operator, Operator::IsEmpty | Operator::NotEmpty);
        if kind == Some(FieldKind::Structure) && !emptiness {
            return Err("looks at a list or an object; only isEmpty and notEmpty can".to_owned());
        }
        let value = value.map_or("null", RawValue::get);
        match operator {
            Operator::GreaterThan | Operator::LessThan if kind == Some(FieldKind::Timestamp) => {
                Err(
                    "compares a date as a number; match it with a regex, as in /^2026-06-/"
                        .to_owned(),
                )
            }
            Operator::GreaterThan => number(value).map(Self::Greater),
            Operator::LessThan => number(value).map(Self::Less),
            Operator::Equal => {
                Literals::one(value, kind).map(|one| Self::OneOf(one, Expected::Yes))
            }
            Operator::NotEqual => {
                Literals::one(value, kind).map(|one| Self::OneOf(one, Expected::No))
            }
            Operator::In => {
                Literals::list(value, kind).map(|list| Self::OneOf(list, Expected::Yes))
            }
            Operator::Regex if kind == Some(FieldKind::Number) => Err(
                "matches a number with a regex; compare it with greaterThan, lessThan, equal or in"
                    .to_owned(),
            ),
            Operator::Regex => match JsonScalar::parse(value) {
                Some(JsonScalar::String(text)) => Pattern::new(&text)
                    .map(Self::Matches)
                    .map_err(|why| format!("has a regex that {why}")),
                _ => Err("needs a regex as its value, as in \"/^97/i\"".to_owned()),
            },
            Operator::IsEmpty | Operator::NotEmpty if !matches!(value, "null" | "\"\"") => {
                Err("needs no value".to_owned())
            }
            Operator::IsEmpty => Ok(Self::Empty(Expected::Yes)),
            Operator::NotEmpty => Ok(Self::Empty(Expected::No)),
        }
    }

    /// Whether it can be tried on a value for which a field of this kind has no form. What is no number can neither be greater nor the
    /// same as one, and what is no date cannot be the same as one; but nobody knows what the shop meant by it.
    pub(super) fn can_compare(&self, seen: &FieldValue<'_>, kind: FieldKind) -> bool {
        match self {
            Self::Greater(_) | Self::Less(_) => number_of(seen).is_some(),
            Self::OneOf(..) => match kind {
                FieldKind::Number => number_of(seen).is_some(),
                FieldKind::Timestamp => false,
                FieldKind::Text | FieldKind::UppercaseCode | FieldKind::Structure => true,
            },
            Self::Matches(_) | Self::Empty(_) => true,
        }
    }

    /// Whether it holds for what stands there.
    pub(super) fn holds(&self, seen: &FieldValue<'_>) -> Evaluation {
        let holds = match self {
            Self::Greater(limit) => number_of(seen).is_some_and(|number| number > *limit),
            Self::Less(limit) => number_of(seen).is_some_and(|number| number < *limit),
            Self::OneOf(literals, expected) => expected.is(literals.hold(seen)),
            Self::Matches(pattern) => match seen {
                FieldValue::Text(text) => match pattern.is_match(text) {
                    Some(matches) => matches,
                    None => return Evaluation::Unknown,
                },
                _ => false,
            },
            Self::Empty(expected) => expected.is(match seen {
                FieldValue::Absent => true,
                FieldValue::Number(_) => false,
                FieldValue::Text(text) => text.is_empty(),
                FieldValue::Structure { empty } => *empty,
            }),
        };
        holds.into()
    }
}

/// Values of a rule, each list sorted: a value is one of them when any of the lists has it.
#[derive(Debug, Default)]
pub(super) struct Literals {
    /// They compare as decimals with whatever holds a number.
    numbers: Vec<Decimal>,
    /// They compare as decimals with what is written as one: not with 007, which is a text to whoever wrote it.
    plain_numbers: Vec<Decimal>,
    /// They compare as text.
    texts: Vec<String>,
}

impl Literals {
    fn one(json: &str, kind: Option<FieldKind>) -> Result<Self, String> {
        let mut literals = Self::default();
        literals.add(json, kind)?;
        Ok(literals)
    }

    /// The list of an `in`: a JSON list, or a string with commas as in the shop.
    fn list(json: &str, kind: Option<FieldKind>) -> Result<Self, String> {
        const HINT: &str = "needs a list as its value, as in [\"AT\", \"DE\"] or \"AT, DE\"";
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
            return Err(format!("has more than {LIST_MAX} values"));
        }
        literals.numbers.sort_unstable();
        literals.plain_numbers.sort_unstable();
        literals.texts.sort_unstable();
        Ok(literals)
    }

    fn add(&mut self, json: &str, kind: Option<FieldKind>) -> Result<(), String> {
        match JsonScalar::parse(json) {
            Some(JsonScalar::Bool(flag)) => self.numbers.push(u8::from(flag).into()),
            Some(JsonScalar::Number(_)) => self.numbers.push(number(json)?),
            Some(JsonScalar::String(text)) => self.add_text(&text, kind)?,
            Some(JsonScalar::Null) | None => {
                return Err("needs a number or a text as its value".to_owned());
            }
        }
        Ok(())
    }

    /// Adds a string. A field of the contract knows what it is compared with. Elsewhere a string that is written like a number
    /// is meant as one, too: that is how the shop's own rules write numbers.
    fn add_text(&mut self, text: &str, kind: Option<FieldKind>) -> Result<(), String> {
        match kind {
            Some(FieldKind::Number) => {
                let number =
                    decimal_from(text).ok_or("compares a number with what is no number")?;
                self.numbers.push(number);
            }
            Some(FieldKind::UppercaseCode) => self.texts.push(text.to_ascii_uppercase()),
            Some(FieldKind::Timestamp) => {
                let moment = Timestamp::from_json(&JsonScalar::String(text.into()));
                let Some(FieldValue::Text(text)) = moment.as_ref().map(Timestamp::field_value)
                else {
                    return Err(format!(
                        "compares a date with what is none: this field {}",
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

    fn hold(&self, seen: &FieldValue<'_>) -> bool {
        let has = |numbers: &[Decimal], number: Option<Decimal>| {
            number.is_some_and(|number| numbers.binary_search(&number).is_ok())
        };
        match seen {
            FieldValue::Number(number) => has(&self.numbers, Some(*number)),
            FieldValue::Text(text) => {
                self.texts
                    .binary_search_by(|known| known.as_str().cmp(text))
                    .is_ok()
                    || (!self.numbers.is_empty() && has(&self.numbers, number_of(seen)))
                    || (!self.plain_numbers.is_empty()
                        && has(&self.plain_numbers, plain_number(text)))
            }
            FieldValue::Absent | FieldValue::Structure { .. } => false,
        }
    }
}

/// What a rule sees of a value for which a field of this kind has no form: its text. Of a list or an object there is none.
pub(super) fn unreadable(json: &str, kind: FieldKind) -> Option<FieldValue<'_>> {
    let text: Cow<'_, str> = match JsonScalar::parse(json)? {
        JsonScalar::String(text) => text,
        JsonScalar::Number(text) => text.into(),
        JsonScalar::Bool(flag) => if flag { "true" } else { "false" }.into(),
        JsonScalar::Null => return None,
    };
    Some(FieldValue::Text(match kind {
        FieldKind::UppercaseCode => text.trim().to_uppercase().into(),
        _ => text,
    }))
}

/// A number in whatever type it came.
fn number_of(seen: &FieldValue<'_>) -> Option<Decimal> {
    match seen {
        FieldValue::Number(number) => Some(*number),
        FieldValue::Text(text) if text.len() <= NUMBER_BYTES_MAX => decimal_from(text),
        FieldValue::Text(_) | FieldValue::Absent | FieldValue::Structure { .. } => None,
    }
}

/// A number of a rules file, which may also be written as a string.
fn number(json: &str) -> Result<Decimal, String> {
    let text = match JsonScalar::parse(json) {
        Some(JsonScalar::Number(text)) => text.into(),
        Some(JsonScalar::String(text)) => text,
        _ => return Err("needs a number as its value".to_owned()),
    };
    decimal_from(&text).ok_or_else(|| "needs a number as its value".to_owned())
}

/// A number that is written as nothing else would be: no zeros in front, no sign but a minus, no exponent.
fn plain_number(text: &str) -> Option<Decimal> {
    if text.len() > NUMBER_BYTES_MAX {
        return None;
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let zeros_in_front =
        digits.starts_with('0') && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    let plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    (plain && !zeros_in_front).then(|| decimal_from(text))?
}
