//! Checks that an entity has the fields that a channel expects and those that identify it.

use super::{Diagnostics, IN_EACH, Issue, IssueKind, Segment};
use crate::model::decode::Decode;

const MISSING: &str = "is missing";

impl Diagnostics<'_> {
    /// Adds an issue for each expected field that is missing in the entity itself.
    pub(crate) fn check_expected_fields(&mut self, entity: &impl Decode) {
        for field in self.expected {
            if !field.contains(IN_EACH) && entity.lacks(field) {
                self.add_missing(field, 0);
            }
        }
    }

    /// Adds an issue for each expected field that is missing in the current element of a list. The
    /// element's issues are those since the mark.
    pub(in crate::model) fn check_expected_fields_of_element(
        &mut self,
        element: &impl Decode,
        since: super::Mark,
    ) {
        let Some(Segment::Name(list)) = self.location.segments.first().copied() else {
            return;
        };
        for field in self.expected {
            let in_list = field
                .strip_prefix(list)
                .and_then(|rest| rest.strip_prefix(IN_EACH));
            if let Some(field) = in_list.filter(|field| element.lacks(field)) {
                self.add_missing(field, since.listed);
            }
        }
    }

    fn add_missing(&mut self, name: &'static str, since: usize) {
        // A channel without a model names its fields by JSON pointers.
        let name = name.strip_prefix('/').unwrap_or(name);
        self.location.segments.push(Segment::Name(name));
        let field = self.location.field();
        let is_below = |known: &str| {
            known
                .strip_prefix(&*field)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        // An unreadable field is not missing. Neither is a list whose elements were all skipped.
        let listed = self.issues.list.iter().skip(since);
        let known = listed.map(|issue| &issue.field).chain(&self.unlisted);
        if !known.into_iter().any(|known| is_below(known)) {
            self.push_issue(Issue {
                pointer: self.location.pointer(),
                field,
                kind: IssueKind::Missing,
                expected: true,
                detail: MISSING,
                hides: false,
                value: None,
            });
        }
        self.location.segments.pop();
    }

    /// Whether the channel expects the field, or a field below it.
    pub(super) fn is_expected(&self, field: &str) -> bool {
        let field = field
            .strip_prefix(self.location.entity)
            .and_then(|rest| rest.strip_prefix('.'));
        field.is_some_and(|field| {
            self.expected.iter().any(|expected| {
                expected
                    .strip_prefix(field)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(IN_EACH))
            })
        })
    }

    /// Adds a violation unless all fields of one alternative are present (see
    /// [`crate::Channel::IDENTITY`]).
    pub(crate) fn check_identity(
        &mut self,
        entity: &impl Decode,
        alternatives: &[&[&'static str]],
    ) {
        let lacks = |field: &&str| !entity.identifies(field);
        let is_incomplete = |fields: &&[&'static str]| fields.iter().any(lacks);
        if !alternatives.iter().all(is_incomplete) {
            return;
        }
        for name in alternatives.iter().copied().flatten() {
            if !lacks(name) {
                continue;
            }
            let name = name.strip_prefix('/').unwrap_or(name);
            let field = format!("{}.{name}", self.location.entity);
            let unreadable = self
                .issues
                .list
                .iter()
                .find(|issue| issue.field == field && issue.kind == IssueKind::Unreadable);
            let (pointer, detail) = match unreadable {
                Some(issue) => (issue.pointer.clone(), issue.detail),
                None => (
                    format!("{}/{name}", self.location.root),
                    if alternatives.len() == 1 {
                        "is required"
                    } else {
                        "is required where nothing else identifies the entity"
                    },
                ),
            };
            self.add_violation_at(pointer, detail);
        }
    }
}
