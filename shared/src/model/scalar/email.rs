//! Email addresses.

use std::borrow::Cow;

use serde::Serialize;

use super::{JsonScalar, Scalar, string_schema};
use crate::model::lookup::{FieldKind, FieldValue};

/// An email address has at most this many bytes (RFC 5321, a path without its brackets).
const EMAIL_BYTES_MAX: usize = 254;

/// An email address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Email(pub String);

impl Scalar for Email {
    const EXPECTS: &'static str = "must be an email address";
    const KIND: FieldKind = FieldKind::Text;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Text(Cow::Borrowed(&self.0))
    }

    fn from_json(json: &JsonScalar<'_>) -> Option<Self> {
        let JsonScalar::String(text) = json else {
            return None;
        };
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@')?;
        let quoted = local
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        let fits = text.len() <= EMAIL_BYTES_MAX
            && quoted.map_or_else(|| is_plain(local), is_quotable)
            && is_plain(domain)
            && !domain.split('.').any(str::is_empty);
        fits.then(|| Self(text.to_owned()))
    }
}

/// Whether a part of an email address needs no quotes (RFC 5322, `dot-atom`, and the characters
/// that RFC 6531 adds). Two dots in a row are allowed: some providers have such addresses.
fn is_plain(part: &str) -> bool {
    let special = |c: char| c.is_whitespace() || c.is_control() || "()<>[]:;@\\,\"".contains(c);
    !part.is_empty() && !part.contains(special)
}

/// Whether a text can be between quotes (RFC 5322, `quoted-string` without folding): each quote and
/// backslash has a backslash before it.
fn is_quotable(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let next = if c == '\\' { chars.next() } else { Some(c) };
        let escaped = c == '\\';
        match next {
            Some('"') if !escaped => return false,
            Some(c) if !c.is_control() => {}
            _ => return false,
        }
    }
    true
}

string_schema!(Email, "format": "email");
