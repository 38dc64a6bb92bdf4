//! JSON scalars before they are converted to a type of the contract.

use std::borrow::Cow;

/// A JSON scalar. Numbers stay text, so that no digit is lost in a float.
#[derive(Debug, PartialEq)]
pub enum JsonScalar<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it is written.
    Number(&'a str),
    /// A string, with its escapes resolved.
    String(Cow<'a, str>),
}

impl<'a> JsonScalar<'a> {
    /// Parses a valid JSON value. Returns `None` for an array, an object, or a string with half of
    /// a surrogate pair.
    pub(crate) fn parse(raw: &'a str) -> Option<Self> {
        match raw.as_bytes().first()? {
            b'n' => Some(Self::Null),
            b't' => Some(Self::Bool(true)),
            b'f' => Some(Self::Bool(false)),
            b'"' if raw.contains('\\') => serde_json::from_str(raw)
                .ok()
                .map(|text| Self::String(Cow::Owned(text))),
            b'"' => raw
                .get(1..raw.len() - 1)
                .map(|text| Self::String(Cow::Borrowed(text))),
            b'-' | b'0'..=b'9' => Some(Self::Number(raw)),
            _ => None,
        }
    }

    /// Whether it is a string that is empty or only white space.
    pub(super) fn is_blank(&self) -> bool {
        matches!(self, Self::String(text) if text.trim().is_empty())
    }

    /// Returns the text of a string or a number.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Number(text) => Some(text),
            Self::String(text) => Some(text),
            Self::Null | Self::Bool(_) => None,
        }
    }
}

/// Whether a JSON array has no elements, or an object no members. PHP writes an empty object as an
/// empty array.
pub(crate) fn is_empty_list(json: &str) -> bool {
    let inside = json.get(1..json.len() - 1);
    inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}
