//! Everything about the operators of a condition: the name in the file, the checks of the value,
//! and the comparison. To add one, add a variant to [`Operator`] and follow the compiler.

mod name;

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    evaluate::Evaluation,
    literal::{Literals, number_from_json, number_of, text_from_json},
    pattern::Pattern,
};
use crate::model::{
    lookup::{FieldKind, FieldValue},
    scalar::JsonScalar,
};

/// How a condition compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) enum Operator {
    /// The number is greater.
    GreaterThan,
    /// The number is greater, or both are the same.
    GreaterThanOrEqual,
    /// The number is less.
    LessThan,
    /// The number is less, or both are the same.
    LessThanOrEqual,
    /// Both are the same.
    Equal,
    /// Both differ, or the field is absent.
    NotEqual,
    /// The text starts with it.
    StartsWith,
    /// The text ends with it.
    EndsWith,
    /// The text contains it.
    Contains,
    /// The text matches a regular expression with delimiters, as in `/^97/i`.
    Regex,
    /// The list contains it.
    In,
    /// The list does not contain it, or the field is absent.
    NotIn,
    /// The field is absent, null, or an empty text, list or object.
    IsEmpty,
    /// The field has a value that is not empty.
    NotEmpty,
}

impl Operator {
    /// Whether the operator compares with one number or value, which another field can provide.
    pub(super) fn takes_field(self) -> bool {
        self.orders() || matches!(self, Self::Equal | Self::NotEqual)
    }

    /// Whether the operator applies to a count or a sum.
    pub(super) fn takes_total(self) -> bool {
        self.takes_field() || matches!(self, Self::In | Self::NotIn)
    }

    /// Whether the operator compares numbers by their order.
    pub(super) fn orders(self) -> bool {
        matches!(
            self,
            Self::GreaterThan | Self::GreaterThanOrEqual | Self::LessThan | Self::LessThanOrEqual
        )
    }
}

/// An operator together with its checked value.
#[derive(Debug)]
pub(super) enum Comparison {
    GreaterThan(Decimal),
    AtLeast(Decimal),
    LessThan(Decimal),
    AtMost(Decimal),
    OneOf(Literals),
    NoneOf(Literals),
    StartsWith(String),
    EndsWith(String),
    Contains(String),
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
        check_kind(operator, kind)?;
        let value = value.map_or("null", RawValue::get);
        match operator {
            Operator::GreaterThan => number_from_json(value).map(Self::GreaterThan),
            Operator::GreaterThanOrEqual => number_from_json(value).map(Self::AtLeast),
            Operator::LessThan => number_from_json(value).map(Self::LessThan),
            Operator::LessThanOrEqual => number_from_json(value).map(Self::AtMost),
            Operator::Equal => Literals::one(value, kind).map(Self::OneOf),
            Operator::NotEqual => Literals::one(value, kind).map(Self::NoneOf),
            Operator::In => Literals::list(value, kind).map(Self::OneOf),
            Operator::NotIn => Literals::list(value, kind).map(Self::NoneOf),
            Operator::StartsWith => text_from_json(value, kind).map(Self::StartsWith),
            Operator::EndsWith => text_from_json(value, kind).map(Self::EndsWith),
            Operator::Contains => text_from_json(value, kind).map(Self::Contains),
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

    /// Returns the comparison of an operator with the value of another field, for a field of this
    /// kind. `None` if the other value is not a single one.
    pub(super) fn with_value(
        operator: Operator,
        value: &FieldValue<'_>,
        kind: Option<FieldKind>,
    ) -> Option<Self> {
        if matches!(value, FieldValue::Structure { .. }) {
            return None;
        }
        let ordered = |compare: fn(Decimal) -> Self| {
            let never = || Self::OneOf(Literals::default());
            Some(number_of(value).map_or_else(never, compare))
        };
        match operator {
            Operator::GreaterThan => ordered(Self::GreaterThan),
            Operator::GreaterThanOrEqual => ordered(Self::AtLeast),
            Operator::LessThan => ordered(Self::LessThan),
            Operator::LessThanOrEqual => ordered(Self::AtMost),
            Operator::Equal => Some(Self::OneOf(Literals::of_value(value, kind))),
            Operator::NotEqual => Some(Self::NoneOf(Literals::of_value(value, kind))),
            _ => None,
        }
    }

    /// Whether the comparison holds for a value.
    pub(super) fn evaluate(&self, value: &FieldValue<'_>) -> Evaluation {
        let text = |holds: &dyn Fn(&str) -> bool| match value {
            FieldValue::Text(text) => holds(text),
            _ => false,
        };
        let holds = match self {
            Self::GreaterThan(limit) => number_of(value).is_some_and(|number| number > *limit),
            Self::AtLeast(limit) => number_of(value).is_some_and(|number| number >= *limit),
            Self::LessThan(limit) => number_of(value).is_some_and(|number| number < *limit),
            Self::AtMost(limit) => number_of(value).is_some_and(|number| number <= *limit),
            Self::OneOf(literals) => literals.contains(value),
            Self::NoneOf(literals) => !literals.contains(value),
            Self::StartsWith(start) => text(&|text| text.starts_with(start)),
            Self::EndsWith(end) => text(&|text| text.ends_with(end)),
            Self::Contains(part) => text(&|text| text.contains(part)),
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
            Self::GreaterThan(_) | Self::AtLeast(_) | Self::LessThan(_) | Self::AtMost(_) => {
                number_of(value).is_some()
            }
            Self::OneOf(_) | Self::NoneOf(_) => match kind {
                FieldKind::Number => number_of(value).is_some(),
                FieldKind::Timestamp => false,
                FieldKind::Text | FieldKind::UppercaseCode | FieldKind::Structure => true,
            },
            Self::StartsWith(_)
            | Self::EndsWith(_)
            | Self::Contains(_)
            | Self::Matches(_)
            | Self::IsEmpty
            | Self::NotEmpty => true,
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

/// Checks whether an operator applies to fields of this kind.
pub(super) fn check_kind(operator: Operator, kind: Option<FieldKind>) -> Result<(), String> {
    let reason = match (operator, kind) {
        (Operator::IsEmpty | Operator::NotEmpty, _) => return Ok(()),
        (_, Some(FieldKind::Structure)) => {
            "the field is a list or an object; only isEmpty and notEmpty apply to it"
        }
        (operator, Some(FieldKind::Timestamp)) if operator.orders() => {
            "a date cannot be compared as a number; match it with a regex, as in /^2026-06-/"
        }
        (Operator::Regex, Some(FieldKind::Number)) => {
            "a number cannot be matched; compare it with greaterThan, lessThan, equal or in"
        }
        (
            Operator::StartsWith | Operator::EndsWith | Operator::Contains,
            Some(FieldKind::Number),
        ) => "a number has no text; compare it with greaterThan, lessThan, equal or in",
        _ => return Ok(()),
    };
    Err(reason.to_owned())
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
