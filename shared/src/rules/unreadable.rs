//! The unreadable values of a contract field, as rules compare them: the text that the shop sent,
//! and whether other values may be hidden.

use std::borrow::Cow;

use super::field::path_name;
use crate::{
    event::Event,
    model::{
        Entity,
        lookup::{FieldKind, FieldPath, FieldValue, PathStep},
        scalar::JsonScalar,
    },
};

/// The values of a field that are not in the contract's form, because they cannot be read.
#[derive(Debug, Default)]
pub(super) struct UnreadableValues<'e> {
    /// The values that the shop sent, as JSON.
    pub(super) values: Vec<&'e str>,
    /// Whether the shop may have sent a value where the field is absent: a field above it cannot be
    /// read, or its issue is beyond the listed ones.
    pub(super) hides_absent: bool,
    /// Whether the shop may have sent more values than the field has: an element was skipped, or
    /// the field is computed from an unreadable one.
    pub(super) hides_more: bool,
}

impl<'e> UnreadableValues<'e> {
    /// Collects the unreadable values at a path of the contract from the event's issues.
    pub(super) fn at<E: Entity>(path: &FieldPath, event: &'e Event<'_, E>) -> Self {
        let field = path_name(E::NAME, path);
        let root = match path.first() {
            Some(PathStep::Name(root)) => root.as_str(),
            _ => "",
        };
        let computed_from = E::computed_from(root);
        let mut found = Self::default();
        let listed = event.issues.list.iter().filter(|issue| issue.hides);
        let listed = listed.map(|issue| (&issue.field, issue.value.as_deref()));
        let unlisted = event.issues.hidden.iter().map(|field| (field, None));
        for (hidden, value) in listed.chain(unlisted) {
            let own = hidden.strip_prefix(E::NAME);
            let own = own
                .and_then(|own| own.strip_prefix('.'))
                .unwrap_or_default();
            let sent = own.split(['.', '[']).next().unwrap_or_default();
            let list = hidden.strip_suffix("[]");
            match (field.strip_prefix(&**hidden), value) {
                (Some(""), Some(value)) => found.values.push(value),
                // An element was skipped together with the fields below it.
                (Some(rest), _) if list.is_some() && (rest.is_empty() || rest.starts_with('.')) => {
                    found.hides_more = true;
                }
                (Some(rest), _) if rest.is_empty() || rest.starts_with(['.', '[']) => {
                    found.hides_absent = true;
                }
                _ if list == Some(&field) => found.hides_more = true,
                _ => {
                    found.hides_more |= computed_from.contains(&own);
                    found.hides_absent |= E::stored_as(sent).contains(&root);
                }
            }
        }
        found
    }
}

/// Returns the text of a value that is not valid for a field of this kind, or `None` for a list, an
/// object or null.
pub(super) fn value_of_unreadable(json: &str, kind: FieldKind) -> Option<FieldValue<'_>> {
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

#[cfg(test)]
mod tests;
