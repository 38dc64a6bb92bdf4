//! Everything about the operators of a condition: the name in the file, the checks of the value,
//! and the comparison. To add one, add a variant to [`Operator`] and follow the compiler.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    evaluate::Evaluation,
    literal::{Literals, number_from_json, number_of},
    pattern::Pattern,
};
use crate::model::{
    lookup::{FieldKind, FieldValue},
    scalar::JsonScalar,
};

/// How a condition compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) enum Operator {
    /// The number is greater.
    GreaterThan,
    /// The number is less.
    LessThan,
    /// Both are the same.
    Equal,
    /// Both differ, or the field is absent.
    NotEqual,
    /// The text matches a regular expression with delimiters, as in `/^97/i`.
    Regex,
    /// The list contains it.
    In,
    /// The field is absent, null, or an empty text, list or object.
    IsEmpty,
    /// The field has a value that is not empty.
    NotEmpty,
}

/// Writes the name as in the rules file.
impl fmt::Display for Operator {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(to)
    }
}

/// An operator together with its checked value.
#[derive(Debug)]
pub(super) enum Comparison {
    GreaterThan(Decimal),
    LessThan(Decimal),
    OneOf(Literals),
    NoneOf(Literals),
    Matches(Pattern),
    IsEmpty,
    NotEmpty,
}

impl Comparison {
    /// Checks an operator and its JSON value for a field of this kind; `None` is a field outside
    /// the contract. The error is a clause that follows the operator's name.
    pub(super) fn parse(
        operator: Operator,
        value: Option<&RawValue>,
        kind: Option<FieldKind>,
    ) -> Result<Self, String> {
        let tests_emptiness = matches!(operator, Operator::IsEmpty | Operator::NotEmpty);
        if kind == Some(FieldKind::Structure) && !tests_emptiness {
            return Err(
                "the field is a list or an object; only isEmpty and notEmpty apply to it"
                    .to_owned(),
            );
        }
        let value = value.map_or("null", RawValue::get);
        match operator {
            Operator::GreaterThan | Operator::LessThan if kind == Some(FieldKind::Timestamp) => Err(
                "a date cannot be compared as a number; match it with a regex, as in /^2026-06-/"
                    .to_owned(),
            ),
            Operator::GreaterThan => number_from_json(value).map(Self::GreaterThan),
            Operator::LessThan => number_from_json(value).map(Self::LessThan),
            Operator::Equal => Literals::one(value, kind).map(Self::OneOf),
            Operator::NotEqual => Literals::one(value, kind).map(Self::NoneOf),
            Operator::In => Literals::list(value, kind).map(Self::OneOf),
            Operator::Regex if kind == Some(FieldKind::Number) => Err(
                "a number cannot be matched; compare it with greaterThan, lessThan, equal or in"
                    .to_owned(),
            ),
            Operator::Regex => match JsonScalar::parse(value) {
                Some(JsonScalar::String(text)) => Pattern::parse(&text)
                    .map(Self::Matches)
                    .map_err(|why| format!("the expression {why}")),
                _ => Err("the value must be an expression, as in \"/^97/i\"".to_owned()),
            },
            Operator::IsEmpty | Operator::NotEmpty if !matches!(value, "null" | "\"\"") => {
                Err("the operator takes no value".to_owned())
            }
            Operator::IsEmpty => Ok(Self::IsEmpty),
            Operator::NotEmpty => Ok(Self::NotEmpty),
        }
    }

    /// Whether the comparison holds for a value.
    pub(super) fn evaluate(&self, value: &FieldValue<'_>) -> Evaluation {
        let holds = match self {
            Self::GreaterThan(limit) => number_of(value).is_some_and(|number| number > *limit),
            Self::LessThan(limit) => number_of(value).is_some_and(|number| number < *limit),
            Self::OneOf(literals) => literals.contains(value),
            Self::NoneOf(literals) => !literals.contains(value),
            Self::Matches(pattern) => match value {
                FieldValue::Text(text) => match pattern.is_match(text) {
                    Some(matches) => matches,
                    None => return Evaluation::Unknown,
                },
                _ => false,
            },
            Self::IsEmpty => is_empty(value),
            Self::NotEmpty => !is_empty(value),
        };
        holds.into()
    }

    /// Whether the comparison makes sense for a value that is not valid for a field of this kind.
    ///
    /// Text that is not a number cannot be compared with a number, and invalid text cannot be
    /// compared with a date: the shop may have meant any number or date.
    pub(super) fn accepts_unreadable(&self, value: &FieldValue<'_>, kind: FieldKind) -> bool {
        match self {
            Self::GreaterThan(_) | Self::LessThan(_) => number_of(value).is_some(),
            Self::OneOf(_) | Self::NoneOf(_) => match kind {
                FieldKind::Number => number_of(value).is_some(),
                FieldKind::Timestamp => false,
                FieldKind::Text | FieldKind::UppercaseCode | FieldKind::Structure => true,
            },
            Self::Matches(_) | Self::IsEmpty | Self::NotEmpty => true,
        }
    }

    /// Returns the regular expression, which has its own limits.
    pub(super) fn pattern(&self) -> Option<&Pattern> {
        match self {
            Self::Matches(pattern) => Some(pattern),
            _ => None,
        }
    }
}

fn is_empty(value: &FieldValue<'_>) -> bool {
    match value {
        FieldValue::Absent => true,
        FieldValue::Number(_) => false,
        FieldValue::Text(text) => text.is_empty(),
        FieldValue::Structure { empty } => *empty,
    }
}

#[cfg(test)]
mod tests;
