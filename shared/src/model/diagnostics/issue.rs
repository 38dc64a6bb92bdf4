//! The result of the diagnosis: violations and issues, as answers and messages contain them.

use std::borrow::Cow;

use serde::Serialize;

/// An answer lists at most this many violations, and a message at most this many issues. The
/// others are only counted.
pub const LISTED_MAX: usize = 100;

/// The value of an unreadable field has at most this many bytes, in a message without `original`.
pub const VALUE_BYTES_MAX: usize = 256;

/// A reason to reject an event: the location, and what the contract expects there. It never
/// contains a value of the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// JSON pointer (RFC 6901) into the body as it was sent.
    pub pointer: String,
    /// What the contract expects there.
    pub detail: &'static str,
}

/// Why a field of the contract is not in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IssueKind {
    /// The value that was sent cannot be converted to the contract's type.
    Unreadable,
    /// The channel expects the field, and it was not sent.
    Missing,
    /// An element of a list is not in the message.
    Skipped,
}

/// A problem with an event that consumers should know. The event is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue<'de> {
    /// JSON pointer (RFC 6901) into the body as it was sent. Below an element whose key is not an
    /// id, it ends at the list.
    pub pointer: String,
    /// The field of the contract, as rules name it: `order.items[].sku`. For the envelope, the
    /// attribute of the CloudEvent.
    pub field: String,
    /// Why the field is not in the message.
    pub kind: IssueKind,
    /// Whether the channel expects the field (see [`crate::Channel::EXPECTED`]).
    pub expected: bool,
    /// What the contract expects there.
    pub detail: &'static str,
    /// Whether the shop may have sent a value for the field. If so, a rule must not treat it as
    /// absent.
    pub(crate) hides: bool,
    /// The value as it was sent. `None` for a list or an object in place of another structure.
    pub value: Option<Cow<'de, str>>,
}

/// The issues of an event.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Issues<'de> {
    /// At most [`LISTED_MAX`].
    pub list: Vec<Issue<'de>>,
    /// The number of issues that are not in the list.
    pub more: usize,
    /// Whether any issue, listed or not, is about something that the channel expects.
    pub any_expected: bool,
    /// The fields of the issues that are not in the list and hide a value from rules, each once.
    pub(crate) hidden: Vec<String>,
}

impl Issues<'_> {
    /// Returns the number of issues, listed or not.
    pub fn count(&self) -> usize {
        self.list.len() + self.more
    }
}

/// Returns the beginning of a value, of at most [`VALUE_BYTES_MAX`] bytes.
pub(crate) fn truncated(value: &str) -> &str {
    let mut end = value.len().min(VALUE_BYTES_MAX);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    value.get(..end).unwrap_or_default()
}
