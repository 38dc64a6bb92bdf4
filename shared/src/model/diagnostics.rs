//! What is wrong with an event: violations, for which it is refused, and issues, with which it is forwarded.

use std::{borrow::Cow, fmt, fmt::Write as _};

use serde::{Serialize, de};

use super::decode::Decode;

/// At most this many violations are listed in an answer, and this many issues in a message; the others are only counted.
pub const LISTED_MAX: usize = 100;

/// The lists of an entity may have this many elements, all of them together. One of a few bytes is read into hundreds, so without a
/// limit a body of 3 MB would need more memory than a function has. The largest body that a shop can send, 6 MB, holds some 6,000
/// lines of an order as Commerce writes them by default.
pub const ELEMENTS_MAX: usize = 20_000;

/// The value of an unreadable field has at most this many bytes in a message that holds no original.
pub const VALUE_BYTES_MAX: usize = 256;

/// Between the name of a list and that of a field of its elements.
pub(crate) const IN_EACH: &str = "[].";

const EACH: &str = "[]";
const MISSING: &str = "is missing";
const EMPTY: &str = "is empty";

/// One thing for which an event is refused: where, and what is expected there. It never holds a value of the event.
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
    /// A value was sent that the contract has no form for.
    Unreadable,
    /// The channel expects the field, and it was not sent.
    Missing,
    /// An element of a list is not in the message.
    Skipped,
}

/// One thing about an event that its reader should know, and for which it is not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue<'de> {
    /// JSON pointer (RFC 6901) into the body as it was sent. Below an element whose key is no id it ends at the list.
    pub pointer: String,
    /// The field of the contract, as rules name it: `order.items[].sku`. For the envelope, the attribute of the CloudEvent.
    pub field: String,
    /// Why the field is not in the message.
    pub kind: IssueKind,
    /// Whether the channel expects the field (see [`crate::Channel::EXPECTED`]).
    pub expected: bool,
    /// What the contract expects there.
    pub detail: &'static str,
    /// Whether something of the contract may have been sent, so that a rule cannot take it for absent.
    pub(crate) hides: bool,
    /// The value as it was sent; absent for a list or an object in the place of another structure.
    pub value: Option<Cow<'de, str>>,
}

/// What is wrong with an event, and the place that is being read: its names are put together only where something is wrong.
#[derive(Debug)]
pub struct Diagnostics<'de> {
    /// Pointer to the entity.
    root: String,
    /// Name of the entity in the contract.
    entity: &'static str,
    steps: Vec<Segment>,
    expected: &'static [&'static str],
    violations: Vec<Violation>,
    more_violations: usize,
    issues: Issues<'de>,
    /// Fields of the entity, and of the element that is being read, with issues that are not listed.
    unlisted: Vec<String>,
    /// How many elements of lists have been read.
    elements: usize,
}

/// The issues of an event.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Issues<'de> {
    /// At most [`LISTED_MAX`].
    pub list: Vec<Issue<'de>>,
    /// How many more there are.
    pub more: usize,
    /// Whether any of them, listed or not, concerns what the channel expects.
    pub any_expected: bool,
    /// The fields of those that are not listed and hide something from rules, each once.
    pub(crate) hidden: Vec<String>,
}

impl Issues<'_> {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.list.len() + self.more
    }
}

/// One step from a place to one that is deeper. Neither a name of ours nor a number needs escaping in a pointer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Segment {
    /// To the field of this name.
    Name(&'static str),
    /// To a field that the shop calls otherwise than the contract.
    Alias {
        sent: &'static str,
        field: &'static str,
    },
    /// To the element of a list at this index, or under this id.
    Element(u64),
    /// To the element under a key that is no id. The key could be anything, a person's name even, so it is in no pointer.
    Keyed,
    /// To the list in a collection.
    Items,
}

/// The place that is being read, as a pointer below the entity.
struct Pointer<'a>(&'a [Segment]);

impl fmt::Display for Pointer<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in self.0 {
            match step {
                Segment::Name(name) | Segment::Alias { sent: name, .. } => write!(to, "/{name}")?,
                Segment::Element(number) => write!(to, "/{number}")?,
                Segment::Items => to.write_str("/items")?,
                // What is below cannot be pointed at.
                Segment::Keyed => break,
            }
        }
        Ok(())
    }
}

/// Up to where issues were known.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    listed: usize,
    more: usize,
    any_expected: bool,
}

impl<'de> Diagnostics<'de> {
    /// Starts at `root`, a JSON pointer into the body, where an entity of this name stands of which a channel expects these fields.
    pub fn new(root: &str, entity: &'static str, expected: &'static [&'static str]) -> Self {
        Self {
            root: root.to_owned(),
            entity,
            steps: Vec::new(),
            expected,
            violations: Vec::new(),
            more_violations: 0,
            issues: Issues::default(),
            unlisted: Vec::new(),
            elements: 0,
        }
    }

    /// Notes that the value at the place that is being read has no form in the contract.
    pub(crate) fn add_unreadable(&mut self, detail: &'static str, value: Option<Cow<'de, str>>) {
        self.note(IssueKind::Unreadable, detail, value);
    }

    /// Notes that the element of a list is not in the message. What is known of the element itself since the mark says why.
    pub(super) fn add_skipped(&mut self, since: Mark) {
        self.issues.any_expected = true;
        if self.issues.list.len() == since.listed && self.issues.more == since.more {
            self.note(IssueKind::Skipped, EMPTY, None);
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

    /// Notes that an element of a list has no place in the contract. This replaces all issues of the element since the mark.
    pub(super) fn replace_with_skipped(&mut self, since: Mark, detail: &'static str, hides: bool) {
        self.issues.list.truncate(since.listed);
        self.issues.more = since.more;
        self.issues.any_expected = since.any_expected;
        self.push(Issue {
            pointer: self.pointer(),
            field: self.field(),
            kind: IssueKind::Skipped,
            expected: false,
            detail,
            hides,
            value: None,
        });
    }

    /// Notes that an element of the list of this name has no place in the contract.
    pub(super) fn add_left_out(&mut self, list: &'static str, detail: &'static str) {
        self.steps.push(Segment::Name(list));
        self.push(Issue {
            pointer: self.pointer(),
            field: self.field() + EACH,
            kind: IssueKind::Skipped,
            expected: false,
            detail,
            hides: false,
            value: None,
        });
        self.steps.pop();
    }

    /// Notes that something of the envelope cannot be read. `attribute` is that of the CloudEvent for which it is missed.
    pub(crate) fn add_unreadable_envelope(
        &mut self,
        name: &str,
        attribute: &'static str,
        detail: &'static str,
        value: &'de str,
    ) {
        self.push(Issue {
            pointer: format!("/{name}"),
            field: attribute.to_owned(),
            kind: IssueKind::Unreadable,
            expected: false,
            detail,
            hides: true,
            value: Some(Cow::Borrowed(value)),
        });
    }

    /// Notes which of the fields that the channel expects of the entity itself are missing.
    pub(crate) fn expect_of_entity(&mut self, entity: &impl Decode) {
        for field in self.expected {
            if !field.contains(IN_EACH) && entity.lacks(field) {
                self.missing(field, 0);
            }
        }
    }

    /// Notes which of the fields that the channel expects are missing in the element of a list that is being read, of which issues are
    /// known since the mark.
    pub(super) fn expect_of_element(&mut self, element: &impl Decode, since: Mark) {
        let Some(Segment::Name(list)) = self.steps.first().copied() else {
            return;
        };
        for field in self.expected {
            let in_list = field
                .strip_prefix(list)
                .and_then(|rest| rest.strip_prefix(IN_EACH));
            if let Some(field) = in_list.filter(|field| element.lacks(field)) {
                self.missing(field, since.listed);
            }
        }
    }

    /// Removes issues of fields that are in the entity after all: the field was sent under two names, or in two addresses.
    pub(crate) fn drop_issues_of_present_fields(&mut self, is_there: impl Fn(&str) -> bool) {
        let own = format!("{}.", self.entity);
        self.issues.list.retain(|issue| {
            let field = issue.field.strip_prefix(&own);
            issue.kind != IssueKind::Unreadable || !field.is_some_and(&is_there)
        });
        if self.issues.more == 0 {
            self.issues.any_expected = self.issues.list.iter().any(|issue| issue.expected);
        }
    }

    /// Whether there is an issue so far.
    pub(crate) fn has_issues(&self) -> bool {
        self.issues.count() > 0
    }

    fn missing(&mut self, name: &'static str, since: usize) {
        self.steps.push(Segment::Name(name));
        let field = self.field();
        let below = |known: &str| {
            known
                .strip_prefix(&*field)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        // A field that cannot be read is not missing as well, nor is a list whose elements were all skipped.
        let listed = self.issues.list.iter().skip(since);
        let known = listed.map(|issue| &issue.field).chain(&self.unlisted);
        if !known.into_iter().any(|known| below(known)) {
            self.push(Issue {
                pointer: self.pointer(),
                field,
                kind: IssueKind::Missing,
                expected: true,
                detail: MISSING,
                hides: false,
                value: None,
            });
        }
        self.steps.pop();
    }

    fn note(&mut self, kind: IssueKind, detail: &'static str, value: Option<Cow<'de, str>>) {
        let field = self.field();
        let expected = kind == IssueKind::Skipped || self.is_expected(&field);
        self.push(Issue {
            pointer: self.pointer(),
            field,
            kind,
            expected,
            detail,
            hides: true,
            value,
        });
    }

    /// Whether the channel expects the field, or something below it.
    fn is_expected(&self, field: &str) -> bool {
        let field = field
            .strip_prefix(self.entity)
            .and_then(|rest| rest.strip_prefix('.'));
        field.is_some_and(|field| {
            self.expected.iter().any(|expected| {
                expected
                    .strip_prefix(field)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(IN_EACH))
            })
        })
    }

    fn push(&mut self, issue: Issue<'de>) {
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

    /// Notes that the place that is being read was there before: of two values, one reader takes the first and another the last.
    pub(crate) fn add_given_twice(&mut self) {
        let pointer = self.pointer();
        self.add_violation_at(pointer, "must not be given twice");
    }

    /// Notes that the event cannot be used for what is at the place that is being read.
    pub(crate) fn add_violation(&mut self, detail: &'static str) {
        let pointer = self.pointer();
        self.add_violation_at(pointer, detail);
    }

    fn add_violation_at(&mut self, pointer: String, detail: &'static str) {
        if self.violations.len() >= LISTED_MAX {
            self.more_violations += 1;
        } else if !self.violations.iter().any(|known| known.pointer == pointer) {
            self.violations.push(Violation { pointer, detail });
        }
    }

    /// Notes that the event is unusable, unless all fields of one alternative are there (see [`crate::Channel::IDENTITY`]).
    pub(crate) fn identify(&mut self, entity: &impl Decode, alternatives: &[&[&'static str]]) {
        let lacks = |field: &&str| entity.lacks(field);
        let lacking = |fields: &&[&'static str]| fields.iter().any(lacks);
        if !alternatives.iter().all(lacking) {
            return;
        }
        for name in alternatives.iter().copied().flatten() {
            if !lacks(name) {
                continue;
            }
            let field = format!("{}.{name}", self.entity);
            let unreadable = self
                .issues
                .list
                .iter()
                .find(|issue| issue.field == field && issue.kind == IssueKind::Unreadable);
            let (pointer, detail) = match unreadable {
                Some(issue) => (issue.pointer.clone(), issue.detail),
                None if alternatives.len() == 1 => (format!("{}/{name}", self.root), "is required"),
                None => (
                    format!("{}/{name}", self.root),
                    "is required where nothing else identifies the entity",
                ),
            };
            self.add_violation_at(pointer, detail);
        }
    }

    /// Begins with an element of a list.
    pub(super) fn begin_element(&mut self) -> Mark {
        self.unlisted.retain(|field| !field.contains(EACH));
        self.mark()
    }

    /// Whether what is being read is the list in a collection.
    pub(super) fn is_in_collection(&self) -> bool {
        matches!(self.steps.last(), Some(Segment::Items))
    }

    /// Counts elements of lists before they are read. The error ends the reading: there are more than [`ELEMENTS_MAX`].
    pub(crate) fn count_elements<E: de::Error>(&mut self, more: usize) -> Result<(), E> {
        self.elements = self.elements.saturating_add(more);
        if self.has_too_many_elements() {
            Err(E::custom("too many elements"))
        } else {
            Ok(())
        }
    }

    /// Whether the reading was ended because the lists have more than [`ELEMENTS_MAX`] elements.
    pub(crate) fn has_too_many_elements(&self) -> bool {
        self.elements > ELEMENTS_MAX
    }

    /// The issues, or else what makes the event unusable: the violations that are listed, and the number of the others. If it is
    /// `strict`, the issues of an event that is usable otherwise are its violations.
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

    /// Notes why there is no entity.
    pub(crate) fn add_missing_entity(&mut self) {
        let wrong = self.issues.list.first().map(|issue| issue.detail);
        self.add_violation(wrong.unwrap_or("is required"));
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            listed: self.issues.list.len(),
            more: self.issues.more,
            any_expected: self.issues.any_expected,
        }
    }

    /// Changes the names of the fields of all issues since the mark that are below the place that is being read.
    pub(super) fn rename_fields(&mut self, since: Mark, rename: impl Fn(&str) -> Option<String>) {
        let place = self.field();
        for issue in self.issues.list.iter_mut().skip(since.listed) {
            if let Some(name) = issue.field.strip_prefix(&*place).and_then(&rename) {
                issue.field = name;
            }
        }
    }

    /// The name of a field beside the one that is being read.
    pub(super) fn field_beside(&self, name: &str) -> String {
        let mut steps = self.steps.as_slice();
        while let [above @ .., step] = steps {
            steps = above;
            if matches!(step, Segment::Name(_) | Segment::Alias { .. }) {
                break;
            }
        }
        format!("{}.{name}", self.field_of(steps))
    }

    fn pointer(&self) -> String {
        format!("{}{}", self.root, Pointer(&self.steps))
    }

    fn field(&self) -> String {
        self.field_of(&self.steps)
    }

    fn field_of(&self, steps: &[Segment]) -> String {
        let mut field = self.entity.to_owned();
        for step in steps {
            // Writing to a String never fails.
            let _ = match step {
                Segment::Name(name) | Segment::Alias { field: name, .. } => {
                    write!(field, ".{name}")
                }
                Segment::Element(_) | Segment::Keyed => write!(field, "{EACH}"),
                Segment::Items => Ok(()),
            };
        }
        field
    }

    /// Does `work` one step deeper. An error ends the reading, and the place stays where it came up.
    pub(crate) fn inside<R, E>(
        &mut self,
        step: Segment,
        work: impl FnOnce(&mut Self) -> Result<R, E>,
    ) -> Result<R, E> {
        self.steps.push(step);
        let result = work(self)?;
        self.steps.pop();
        Ok(result)
    }
}

/// As much of a value as a message may hold.
pub(crate) fn cut(value: &str) -> &str {
    let mut end = value.len().min(VALUE_BYTES_MAX);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    value.get(..end).unwrap_or_default()
}

/// The step to what a shop sends under this name, of which fields of these names are made.
pub(crate) const fn segment_of(sent: &'static str, fields: &[&'static str]) -> Segment {
    match fields {
        [field] => Segment::Alias { sent, field },
        _ => Segment::Name(sent),
    }
}
