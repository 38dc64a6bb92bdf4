//! Whether one condition of a rule holds.

use rust_decimal::Decimal;
use serde_json::value::RawValue;

use super::{file::Operator, pattern::Pattern};
use crate::model::{
    look::{Kind, Seen},
    scalar::{Token, decimal_from},
};

/// A list for `in` has at most this many members.
const LIST_MAX: usize = 1000;

/// What a value is compared with, and how.
#[derive(Debug)]
pub(super) enum Test {
    /// It is greater.
    Greater(Decimal),
    /// It is less.
    Less(Decimal),
    /// It is one of these, or none of them.
    OneOf(Vec<Literal>, Expected),
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

/// A value of a rule.
#[derive(Debug, PartialEq)]
pub(super) enum Literal {
    /// Compares as a decimal.
    Number(Decimal),
    /// Compares as text.
    Text(String),
}

impl Test {
    /// Makes the test of a condition on a field of this kind, or `None` for a field that is not in the contract. The error is
    /// the end of the sentence "this condition …".
    pub(super) fn new(
        operator: Operator,
        value: Option<&RawValue>,
        kind: Option<Kind>,
    ) -> Result<Self, String> {
        let emptiness = matches!(operator, Operator::IsEmpty | Operator::NotEmpty);
        if kind == Some(Kind::Structure) && !emptiness {
            return Err("looks at a list or an object; only isEmpty and notEmpty can".to_owned());
        }
        let value = value.map_or("null", RawValue::get);
        match operator {
            Operator::GreaterThan => number(value).map(Self::Greater),
            Operator::LessThan => number(value).map(Self::Less),
            Operator::Equal => Ok(Self::OneOf(vec![literal(value, kind)?], Expected::Yes)),
            Operator::NotEqual => Ok(Self::OneOf(vec![literal(value, kind)?], Expected::No)),
            Operator::In => Ok(Self::OneOf(list(value, kind)?, Expected::Yes)),
            Operator::Regex if kind == Some(Kind::Number) => Err(
                "matches a number with a regex; compare it with greaterThan, lessThan, equal or in"
                    .to_owned(),
            ),
            Operator::Regex => match Token::read(value) {
                Some(Token::Text(text)) => Pattern::new(&text)
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

    /// Whether it holds for what stands there.
    pub(super) fn holds(&self, seen: &Seen<'_>) -> bool {
        match self {
            Self::Greater(limit) => number_of(seen).is_some_and(|number| number > *limit),
            Self::Less(limit) => number_of(seen).is_some_and(|number| number < *limit),
            Self::OneOf(literals, expected) => {
                expected.is(literals.iter().any(|literal| literal.is(seen)))
            }
            Self::Matches(pattern) => match seen {
                Seen::Text(text) => pattern.is_match(text),
                _ => false,
            },
            Self::Empty(expected) => expected.is(match seen {
                Seen::Nothing => true,
                Seen::Number(_) => false,
                Seen::Text(text) => text.is_empty(),
                Seen::Structure { empty } => *empty,
            }),
        }
    }
}

impl Literal {
    fn is(&self, seen: &Seen<'_>) -> bool {
        match (self, seen) {
            (Self::Number(number), _) => number_of(seen) == Some(*number),
            (Self::Text(text), Seen::Text(seen)) => text == seen,
            (Self::Text(_), _) => false,
        }
    }
}

/// A number in whatever type it came.
fn number_of(seen: &Seen<'_>) -> Option<Decimal> {
    match seen {
        Seen::Number(number) => Some(*number),
        Seen::Text(text) => decimal_from(text),
        Seen::Nothing | Seen::Structure { .. } => None,
    }
}

/// A number of a rules file, which may also be written as a string.
fn number(json: &str) -> Result<Decimal, String> {
    let text = match Token::read(json) {
        Some(Token::Number(text)) => text.into(),
        Some(Token::Text(text)) => text,
        _ => return Err("needs a number as its value".to_owned()),
    };
    decimal_from(&text).ok_or_else(|| "needs a number as its value".to_owned())
}

/// A value of a rules file. A field of the contract knows whether it is a number; elsewhere the type of the value says how to
/// compare.
fn literal(json: &str, kind: Option<Kind>) -> Result<Literal, String> {
    match Token::read(json) {
        Some(Token::Bool(flag)) => Ok(Literal::Number(u8::from(flag).into())),
        Some(Token::Number(_)) => number(json).map(Literal::Number),
        Some(Token::Text(text)) => text_literal(&text, kind),
        Some(Token::Null) | None => Err("needs a number or a text as its value".to_owned()),
    }
}

fn text_literal(text: &str, kind: Option<Kind>) -> Result<Literal, String> {
    match (kind, decimal_from(text)) {
        (Some(Kind::Number), Some(number)) => Ok(Literal::Number(number)),
        (Some(Kind::Number), None) => Err("compares a number with what is no number".to_owned()),
        _ => Ok(Literal::Text(text.to_owned())),
    }
}

/// The list of an `in`: a JSON list, or a string with commas as in the shop.
fn list(json: &str, kind: Option<Kind>) -> Result<Vec<Literal>, String> {
    const HINT: &str = "needs a list as its value, as in [\"AT\", \"DE\"] or \"AT, DE\"";
    let literals: Result<Vec<_>, _> = if json.starts_with('[') {
        let values: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| HINT.to_owned())?;
        values
            .iter()
            .map(|value| literal(value.get(), kind))
            .collect()
    } else if let Some(Token::Text(text)) = Token::read(json) {
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        parts.map(|part| text_literal(part, kind)).collect()
    } else {
        return Err(HINT.to_owned());
    };
    match literals? {
        empty if empty.is_empty() => Err(HINT.to_owned()),
        long if long.len() > LIST_MAX => Err(format!("has more than {LIST_MAX} values")),
        literals => Ok(literals),
    }
}
