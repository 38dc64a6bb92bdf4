//! Evaluates rules on one event: collects the values of each condition and combines the results.
//! The meaning of each operator is in `operator`.

use std::cell::OnceCell;

use super::{
    CompiledCondition, CompiledRule, Rules,
    field::Field,
    operator::Comparison,
    unreadable::{UnreadableValues, value_of_unreadable},
    walk::Observer,
    work_meter::WorkMeter,
};
use crate::{
    deadline::Deadline,
    event::Event,
    model::{
        Entity,
        lookup::{FieldKind, FieldPath, FieldValue, PathStep},
    },
};

/// Whether a condition or a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evaluation {
    True,
    False,
    /// It cannot be evaluated: the deadline passed, the text is too long for a regular expression,
    /// or the value cannot be read.
    Unknown,
}

impl From<bool> for Evaluation {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// Evaluates the rules of a file on one event.
pub(super) struct Evaluator<'a, 'e, E> {
    rules: &'a Rules,
    pub(super) event: &'a Event<'e, E>,
    pub(super) meter: WorkMeter,
    /// The results of the conditions on fields outside the contract, by slot. One walk evaluates
    /// all of them when the first result is needed.
    sent: OnceCell<Vec<Evaluation>>,
}

impl<'a, 'e, E: Entity> Evaluator<'a, 'e, E> {
    pub(super) fn new(rules: &'a Rules, event: &'a Event<'e, E>, deadline: Deadline) -> Self {
        Self {
            rules,
            event,
            meter: WorkMeter::new(deadline),
            sent: OnceCell::new(),
        }
    }

    /// Evaluates all conditions of a rule. A false condition wins over an unknown one.
    pub(super) fn evaluate_rule(&self, rule: &CompiledRule) -> Evaluation {
        let mut all = Evaluation::True;
        for condition in &rule.conditions {
            match self.evaluate_condition(condition) {
                Evaluation::True => {}
                Evaluation::False => return Evaluation::False,
                Evaluation::Unknown => all = Evaluation::Unknown,
            }
        }
        all
    }

    /// Evaluates one condition. It holds if the comparison holds for any value of its field.
    pub(super) fn evaluate_condition(&self, condition: &CompiledCondition) -> Evaluation {
        if !self.meter.allows_step(0) {
            return Evaluation::Unknown;
        }
        match (&condition.field, condition.slot) {
            (Field::Contract(path, kind), _) => {
                let mut any = AnyValue::default();
                if self.event.issues.count() == 0 {
                    self.event.entity.visit(path, &mut |value| {
                        any.add(&condition.comparison, &value, &self.meter);
                    });
                } else {
                    self.evaluate_with_issues(path, *kind, &condition.comparison, &mut any);
                }
                any.result(&condition.comparison)
            }
            (Field::Sent(..), slot) => {
                let sent = self.sent.get_or_init(|| self.evaluate_sent_conditions());
                slot.and_then(|slot| sent.get(slot).copied())
                    .unwrap_or(Evaluation::Unknown)
            }
        }
    }

    /// Evaluates a contract field of an event with issues. An unreadable value is compared as the
    /// text that the shop sent.
    fn evaluate_with_issues(
        &self,
        path: &FieldPath,
        kind: FieldKind,
        comparison: &Comparison,
        any: &mut AnyValue,
    ) {
        let unreadable = UnreadableValues::at(path, self.event);
        // A value that is computed from an unreadable one is wrong.
        let is_wrong = unreadable.hides_more && is_computed::<E>(path);
        let mut absent = unreadable.values.len();
        let mut has_elements = false;
        self.event.entity.visit(path, &mut |value| match value {
            FieldValue::Absent if absent > 0 => absent -= 1,
            FieldValue::Absent if unreadable.hides_absent => any.add_unknown(),
            _ if is_wrong => {}
            // An empty list may have had elements.
            FieldValue::Structure { empty: true } if unreadable.hides_more => any.add_unknown(),
            _ => {
                has_elements |= value == FieldValue::Structure { empty: false };
                any.add(comparison, &value, &self.meter);
            }
        });
        if unreadable.hides_more && !has_elements {
            any.add_unknown();
        }
        for json in unreadable.values {
            if !self.meter.allows_step(json.len()) {
                return any.add_unknown();
            }
            any.add_unreadable(comparison, json, kind, &self.meter);
        }
    }

    fn evaluate_sent_conditions(&self) -> Vec<Evaluation> {
        let conditions = self.rules.sent_conditions();
        let mut observer = SentConditions {
            meter: &self.meter,
            conditions: conditions
                .map(|condition| (&condition.comparison, AnyValue::default()))
                .collect(),
        };
        let complete = self.rules.sent.walk(self.event, &mut observer).is_ok();
        observer
            .conditions
            .iter()
            .map(|(comparison, any)| {
                // After an incomplete walk, only a condition that already holds is certain.
                if complete || any.holds {
                    any.result(comparison)
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

/// All conditions on fields outside the contract, with their intermediate results.
struct SentConditions<'a> {
    meter: &'a WorkMeter,
    conditions: Vec<(&'a Comparison, AnyValue)>,
}

impl Observer for SentConditions<'_> {
    fn observe(&mut self, slot: usize, value: &FieldValue<'_>) {
        if let Some((comparison, any)) = self.conditions.get_mut(slot) {
            any.add(comparison, value, self.meter);
        }
    }

    fn should_continue(&mut self, bytes: usize) -> bool {
        self.meter.allows_step(bytes)
    }
}

/// Whether a comparison holds for any of several values. Without any value, it compares an absent
/// one.
#[derive(Default)]
struct AnyValue {
    has_values: bool,
    holds: bool,
    has_unknown: bool,
}

impl AnyValue {
    fn add(&mut self, comparison: &Comparison, value: &FieldValue<'_>, meter: &WorkMeter) {
        self.has_values = true;
        if self.holds {
            return;
        }
        if !meter.allows_comparison(comparison, value) {
            self.has_unknown = true;
            return;
        }
        match comparison.evaluate(value) {
            Evaluation::True => self.holds = true,
            Evaluation::False => {}
            Evaluation::Unknown => self.has_unknown = true,
        }
    }

    fn add_unreadable(
        &mut self,
        comparison: &Comparison,
        json: &str,
        kind: FieldKind,
        meter: &WorkMeter,
    ) {
        match value_of_unreadable(json, kind) {
            Some(value) if comparison.accepts_unreadable(&value, kind) => {
                self.add(comparison, &value, meter);
            }
            _ => self.add_unknown(),
        }
    }

    fn add_unknown(&mut self) {
        self.has_values = true;
        self.has_unknown = true;
    }

    fn result(&self, comparison: &Comparison) -> Evaluation {
        if !self.has_values {
            comparison.evaluate(&FieldValue::Absent)
        } else if self.holds {
            Evaluation::True
        } else if self.has_unknown {
            Evaluation::Unknown
        } else {
            Evaluation::False
        }
    }
}

#[cfg(test)]
mod tests;
