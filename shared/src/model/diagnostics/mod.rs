//! Collects the problems of an event. An event with a violation is rejected; an event with issues
//! is accepted.

mod issue;
mod location;
mod required;

use std::borrow::Cow;

use serde::de;

pub use self::issue::{Issue, IssueKind, Issues, LISTED_MAX, VALUE_BYTES_MAX, Violation};
use self::location::{EACH, Location};
pub(crate) use self::{
    issue::truncated,
    location::{Segment, segment_of},
};

/// The maximum number of elements in all lists of an entity together. In memory, even the smallest
/// element takes hundreds of bytes: without a limit, a body of 3 MB would need more memory than a
/// function has. The largest body that a shop can send, 6 MB, has about 6,000 lines of an order as
/// Commerce writes them by default.
pub const ELEMENTS_MAX: usize = 20_000;

/// The separator between the name of a list and a field of its elements.
pub(crate) const IN_EACH: &str = "[].";

const EMPTY: &str = "is empty";

/// The problems of an event so far, and the current location. Names are formatted only for a
/// problem.
#[derive(Debug)]
pub struct Diagnostics<'de> {
    location: Location,
    expected: &'static [&'static str],
    violations: Vec<Violation>,
    more_violations: usize,
    issues: Issues<'de>,
    /// The fields of the entity and of the current element that have issues beyond the listed ones.
    unlisted: Vec<String>,
    /// The number of list elements so far.
    elements: usize,
}

/// A snapshot of the issues, to find those that are added later.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    listed: usize,
    more: usize,
    any_expected: bool,
}

impl<'de> Diagnostics<'de> {
    /// Starts at the entity with this name. `root` is its JSON pointer in the body, and `expected`
    /// are the fields that the channel expects.
    pub fn new(root: &str, entity: &'static str, expected: &'static [&'static str]) -> Self {
        Self {
            location: Location {
                root: root.to_owned(),
                entity,
                segments: Vec::new(),
            },
            expected,
            violations: Vec::new(),
            more_violations: 0,
            issues: Issues::default(),
            unlisted: Vec::new(),
            elements: 0,
        }
    }

    /// Adds an issue: the current value cannot be converted to the contract's type.
    pub(crate) fn add_unreadable(&mut self, detail: &'static str, value: Option<Cow<'de, str>>) {
        self.add_issue(IssueKind::Unreadable, detail, value);
    }

    /// Adds an issue: the current element of a list is not in the message. If the element has
    /// issues since the mark, changes the last listed one instead.
    pub(super) fn add_skipped(&mut self, since: Mark) {
        self.issues.any_expected = true;
        if self.issues.list.len() == since.listed && self.issues.more == since.more {
            self.add_issue(IssueKind::Skipped, EMPTY, None);
        } else if let Some(issue) = self
            .issues
            .list
            .get_mut(since.listed..)
            .and_then(<[_]>::last_mut)
        {
            issue.kind = IssueKind::Skipped;
            issue.expected = true;
        }
    }

    /// Replaces all issues since the mark, which are those of the current element, with one: the
    /// element is not in the message.
    pub(super) fn replace_with_skipped(&mut self, since: Mark, detail: &'static str, hides: bool) {
        self.issues.list.truncate(since.listed);
        self.issues.more = since.more;
        self.issues.any_expected = since.any_expected;
        self.push_issue(Issue {
            pointer: self.location.pointer(),
            field: self.location.field(),
            kind: IssueKind::Skipped,
            expected: false,
            detail,
            hides,
            value: None,
        });
    }

    /// Adds an issue: an element of the list with this name is not in the message.
    pub(super) fn add_skipped_in(&mut self, list: &'static str, detail: &'static str) {
        self.location.segments.push(Segment::Name(list));
        self.push_issue(Issue {
            pointer: self.location.pointer(),
            field: self.location.field() + EACH,
            kind: IssueKind::Skipped,
            expected: false,
            detail,
            hides: false,
            value: None,
        });
        self.location.segments.pop();
    }

    /// Adds an issue: a member of the envelope is unreadable. `attribute` is the attribute of the
    /// CloudEvent that is set from it.
    pub(crate) fn add_unreadable_envelope(
        &mut self,
        name: &str,
        attribute: &'static str,
        detail: &'static str,
        value: &'de str,
    ) {
        self.push_issue(Issue {
            pointer: format!("/{name}"),
            field: attribute.to_owned(),
            kind: IssueKind::Unreadable,
            expected: false,
            detail,
            hides: true,
            value: Some(Cow::Borrowed(value)),
        });
    }

    /// Removes the issues of unreadable fields that are present in the entity, because the shop
    /// sent them under two names or in two addresses.
    pub(crate) fn drop_issues_of_present_fields(&mut self, is_present: impl Fn(&str) -> bool) {
        let own = format!("{}.", self.location.entity);
        self.issues.list.retain(|issue| {
            let field = issue.field.strip_prefix(&own);
            issue.kind != IssueKind::Unreadable || !field.is_some_and(&is_present)
        });
        if self.issues.more == 0 {
            self.issues.any_expected = self.issues.list.iter().any(|issue| issue.expected);
        }
    }

    /// Whether there are issues.
    pub(crate) fn has_issues(&self) -> bool {
        self.issues.count() > 0
    }

    fn add_issue(&mut self, kind: IssueKind, detail: &'static str, value: Option<Cow<'de, str>>) {
        let field = self.location.field();
        let expected = kind == IssueKind::Skipped || self.is_expected(&field);
        self.push_issue(Issue {
            pointer: self.location.pointer(),
            field,
            kind,
            expected,
            detail,
            hides: true,
            value,
        });
    }

    fn push_issue(&mut self, issue: Issue<'de>) {
        self.issues.any_expected |= issue.expected;
        if self.issues.list.len() < LISTED_MAX {
            return self.issues.list.push(issue);
        }
        self.issues.more += 1;
        if issue.hides && !self.issues.hidden.contains(&issue.field) {
            self.issues.hidden.push(issue.field.clone());
        }
        self.unlisted.push(issue.field);
    }

    /// Adds a violation: the current field is repeated. Some JSON parsers use the first of two
    /// values, others the last.
    pub(crate) fn add_repeated_field(&mut self) {
        let pointer = self.location.pointer();
        self.add_violation_at(pointer, "must not be given twice");
    }

    /// Adds a violation at the current location.
    pub(crate) fn add_violation(&mut self, detail: &'static str) {
        let pointer = self.location.pointer();
        self.add_violation_at(pointer, detail);
    }

    fn add_violation_at(&mut self, pointer: String, detail: &'static str) {
        if self.violations.len() >= LISTED_MAX {
            self.more_violations += 1;
        } else if !self.violations.iter().any(|known| known.pointer == pointer) {
            self.violations.push(Violation { pointer, detail });
        }
    }

    /// Starts an element of a list.
    pub(super) fn begin_element(&mut self) -> Mark {
        self.unlisted.retain(|field| !field.contains(EACH));
        self.mark()
    }

    /// Whether the current value is the list in a collection.
    pub(super) fn is_in_collection(&self) -> bool {
        matches!(self.location.segments.last(), Some(Segment::Items))
    }

    /// Counts elements of lists before they are read. Returns an error if there are more than
    /// [`ELEMENTS_MAX`].
    pub(crate) fn count_elements<E: de::Error>(&mut self, more: usize) -> Result<(), E> {
        self.elements = self.elements.saturating_add(more);
        if self.has_too_many_elements() {
            Err(E::custom("too many elements"))
        } else {
            Ok(())
        }
    }

    /// Whether the lists have more than [`ELEMENTS_MAX`] elements.
    pub(crate) fn has_too_many_elements(&self) -> bool {
        self.elements > ELEMENTS_MAX
    }

    /// Returns the issues. Fails with the listed violations and the number of the others, if there
    /// are any. If `strict`, issues count as violations.
    pub(crate) fn finish(mut self, strict: bool) -> Result<Issues<'de>, (Vec<Violation>, usize)> {
        if strict && self.violations.is_empty() {
            self.more_violations += self.issues.more;
            for issue in std::mem::take(&mut self.issues.list) {
                self.add_violation_at(issue.pointer, issue.detail);
            }
        }
        if self.violations.is_empty() {
            Ok(self.issues)
        } else {
            Err((self.violations, self.more_violations))
        }
    }

    /// Adds a violation: there is no entity. If it is unreadable, the detail is that of its first
    /// issue.
    pub(crate) fn add_missing_entity(&mut self) {
        let reason = self.issues.list.first().map(|issue| issue.detail);
        self.add_violation(reason.unwrap_or("is required"));
    }

    /// Returns a mark for the issues that follow.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            listed: self.issues.list.len(),
            more: self.issues.more,
            any_expected: self.issues.any_expected,
        }
    }

    /// Returns the name of a field in the same object as the current value.
    pub(super) fn sibling_field(&self, name: &str) -> String {
        self.location.sibling_field(name)
    }

    /// Renames the fields below the current location in all listed issues since the mark.
    pub(super) fn rename_fields(&mut self, since: Mark, rename: impl Fn(&str) -> Option<String>) {
        let location = self.location.field();
        for issue in self.issues.list.iter_mut().skip(since.listed) {
            if let Some(name) = issue.field.strip_prefix(&*location).and_then(&rename) {
                issue.field = name;
            }
        }
    }

    /// Runs `work` with the location extended by a segment. After an error, the location stays
    /// where the error occurred.
    pub(crate) fn inside<R, E>(
        &mut self,
        segment: Segment,
        work: impl FnOnce(&mut Self) -> Result<R, E>,
    ) -> Result<R, E> {
        self.location.segments.push(segment);
        let result = work(self)?;
        self.location.segments.pop();
        Ok(result)
    }
}
