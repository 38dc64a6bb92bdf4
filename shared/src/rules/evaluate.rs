//! Whether the conditions of the rules hold for one event.

use std::cell::OnceCell;

use super::{
    Condition, Rule, Rules,
    clock::Clock,
    condition::{Test, unreadable},
    field::{Observer, Place, Unreadable},
};
use crate::{
    deadline::Deadline,
    event::Event,
    model::{
        Entity,
        lookup::{FieldKind, FieldPath, FieldValue, PathStep},
    },
};

/// Whether a condition, or a rule, holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evaluation {
    True,
    False,
    /// It cannot be evaluated: the time is up, the text is too long for a regular expression, or the value cannot be read.
    Unknown,
}

impl From<bool> for Evaluation {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// One event before the rules.
pub(super) struct Trial<'a, 'e, E> {
    rules: &'a Rules,
    pub(super) event: &'a Event<'e, E>,
    pub(super) clock: Clock,
    /// Which conditions on what is not in the contract hold. Found in one walk, once a rule asks.
    sent: OnceCell<Vec<Evaluation>>,
}

impl<'a, 'e, E: Entity> Trial<'a, 'e, E> {
    pub(super) fn new(rules: &'a Rules, event: &'a Event<'e, E>, deadline: Deadline) -> Self {
        Self {
            rules,
            event,
            clock: Clock::new(deadline),
            sent: OnceCell::new(),
        }
    }

    /// Whether all conditions hold. One that is false decides it, whatever cannot be evaluated.
    pub(super) fn evaluate(&self, rule: &Rule) -> Evaluation {
        let mut all = Evaluation::True;
        for condition in &rule.conditions {
            match self.holds(condition) {
                Evaluation::True => {}
                Evaluation::False => return Evaluation::False,
                Evaluation::Unknown => all = Evaluation::Unknown,
            }
        }
        all
    }

    /// Whether the condition holds for anything that stands at its place.
    pub(super) fn holds(&self, condition: &Condition) -> Evaluation {
        if !self.clock.has_time_after(0) {
            return Evaluation::Unknown;
        }
        match (&condition.place, condition.slot) {
            (Place::Contract(path, kind), _) => {
                let mut outcome = Any::default();
                if self.event.issues.count() == 0 {
                    self.event.entity.visit(path, &mut |seen| {
                        outcome.add(&condition.test, &seen, &self.clock);
                    });
                } else {
                    self.look_with_issues(path, *kind, &condition.test, &mut outcome);
                }
                outcome.evaluate(&condition.test)
            }
            (Place::Sent(..), slot) => {
                let sent = self.sent.get_or_init(|| self.try_all_sent());
                slot.and_then(|slot| sent.get(slot).copied())
                    .unwrap_or(Evaluation::Unknown)
            }
        }
    }

    /// Shows the test what stands at a place of the contract, and in place of what is absent because it could not be read, what was sent.
    fn look_with_issues(&self, path: &FieldPath, kind: FieldKind, test: &Test, outcome: &mut Any) {
        let unreadable = Unreadable::at(path, self.event);
        // What is computed of something unreadable is not what it should be.
        let is_computed = unreadable.hides_more && is_computed::<E>(path);
        let mut absent = unreadable.values.len();
        let mut has_elements = false;
        self.event.entity.visit(path, &mut |seen| match seen {
            FieldValue::Absent if absent > 0 => absent -= 1,
            FieldValue::Absent if unreadable.hides_absent => outcome.add_unknown(),
            _ if is_computed => {}
            // An empty list may have had elements.
            FieldValue::Structure { empty: true } if unreadable.hides_more => outcome.add_unknown(),
            _ => {
                has_elements |= seen == FieldValue::Structure { empty: false };
                outcome.add(test, &seen, &self.clock);
            }
        });
        if unreadable.hides_more && !has_elements {
            outcome.add_unknown();
        }
        for value in unreadable.values {
            if !self.clock.has_time_after(value.len()) {
                return outcome.add_unknown();
            }
            outcome.add_unreadable(test, value, kind, &self.clock);
        }
    }

    fn try_all_sent(&self) -> Vec<Evaluation> {
        let conditions = self.rules.sent_conditions();
        let mut tried = Tried {
            clock: &self.clock,
            conditions: conditions
                .map(|condition| (&condition.test, Any::default()))
                .collect(),
        };
        let whole = self.rules.sent.walk(self.event, &mut tried).is_ok();
        tried
            .conditions
            .iter()
            // What was not walked through could have more to say.
            .map(|(test, outcome)| {
                if whole || outcome.holds {
                    outcome.evaluate(test)
                } else {
                    Evaluation::Unknown
                }
            })
            .collect()
    }
}

fn is_computed<E: Entity>(path: &FieldPath) -> bool {
    matches!(path, [PathStep::Name(name), ..] if !E::computed_from(name).is_empty())
}

/// All conditions on what is not in the contract, and what is known of each so far.
struct Tried<'a> {
    clock: &'a Clock,
    conditions: Vec<(&'a Test, Any)>,
}

impl Observer for Tried<'_> {
    fn see(&mut self, slot: usize, seen: &FieldValue<'_>) {
        if let Some((test, outcome)) = self.conditions.get_mut(slot) {
            outcome.add(test, seen, self.clock);
        }
    }

    fn goes_on(&mut self, bytes: usize) -> bool {
        self.clock.has_time_after(bytes)
    }
}

/// Whether a test holds for any of several things. Where there is none at all, nothing is what it is tried on.
#[derive(Default)]
struct Any {
    seen: bool,
    holds: bool,
    unknown: bool,
}

impl Any {
    fn add(&mut self, test: &Test, seen: &FieldValue<'_>, clock: &Clock) {
        self.seen = true;
        if self.holds {
            return;
        }
        if !clock.allows(test, seen) {
            self.unknown = true;
            return;
        }
        match test.holds(seen) {
            Evaluation::True => self.holds = true,
            Evaluation::False => {}
            Evaluation::Unknown => self.unknown = true,
        }
    }

    fn add_unreadable(&mut self, test: &Test, json: &str, kind: FieldKind, clock: &Clock) {
        match unreadable(json, kind) {
            Some(seen) if test.can_compare(&seen, kind) => self.add(test, &seen, clock),
            _ => self.add_unknown(),
        }
    }

    fn add_unknown(&mut self) {
        self.seen = true;
        self.unknown = true;
    }

    fn evaluate(&self, test: &Test) -> Evaluation {
        if !self.seen {
            test.holds(&FieldValue::Absent)
        } else if self.holds {
            Evaluation::True
        } else if self.unknown {
            Evaluation::Unknown
        } else {
            Evaluation::False
        }
    }
}
