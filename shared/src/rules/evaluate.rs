//! Evaluates rules on one event: collects the values of each condition and combines the results.
//! The meaning of each operator is in `operator`.

use std::cell::OnceCell;

use super::{
    CompiledRule, RuleSet,
    condition::{Comparand, CompiledCondition, CompiledEntry, ElementGroup, Operand},
    field::{Field, shop_of},
    operator::{Comparison, Operator},
    sent::SentValues,
    total::Total,
    unreadable::{UnreadableValues, value_of_unreadable},
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

/// Evaluates the rules of one mode on one event.
pub(super) struct Evaluator<'a, 'e, E> {
    rules: &'a RuleSet,
    pub(super) event: &'a Event<'e, E>,
    pub(super) meter: WorkMeter,
    /// The values outside the contract. One walk finds all of them when the first is needed.
    sent: OnceCell<SentValues<'a>>,
}

impl<'a, 'e, E: Entity> Evaluator<'a, 'e, E> {
    pub(super) fn new(rules: &'a RuleSet, event: &'a Event<'e, E>, deadline: Deadline) -> Self {
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
        for entry in &rule.entries {
            match self.evaluate_entry(entry) {
                Evaluation::True => {}
                Evaluation::False => return Evaluation::False,
                Evaluation::Unknown => all = Evaluation::Unknown,
            }
        }
        all
    }

    /// Evaluates an element of `when`. A true alternative wins over an unknown one.
    pub(super) fn evaluate_entry(&self, entry: &CompiledEntry) -> Evaluation {
        match entry {
            CompiledEntry::Condition(condition) => self.evaluate_condition(condition),
            CompiledEntry::Element(group) => self.evaluate_group(group),
            CompiledEntry::Any(entries) => {
                let mut any = Evaluation::False;
                for entry in entries {
                    match self.evaluate_entry(entry) {
                        Evaluation::True => return Evaluation::True,
                        Evaluation::False => {}
                        Evaluation::Unknown => any = Evaluation::Unknown,
                    }
                }
                any
            }
        }
    }

    /// Evaluates one condition. It holds if the comparison holds for any value of its field, or for
    /// their count or sum.
    pub(super) fn evaluate_condition(&self, condition: &CompiledCondition) -> Evaluation {
        if !self.meter.allows_step(0) {
            return Evaluation::Unknown;
        }
        let other;
        let comparison = match &condition.comparand {
            Comparand::Value(comparison) => comparison,
            Comparand::Field {
                operator, field, ..
            } => match self.comparison_with(condition, *operator, field) {
                Some(comparison) => {
                    other = comparison;
                    &other
                }
                None => return Evaluation::Unknown,
            },
        };
        match (&condition.field, condition.operand) {
            (Field::Contract(path, kind), Operand::Values) => {
                let mut any = AnyValue::default();
                if self.event.issues.count() == 0 {
                    self.event.entity.visit(path, &mut |value| {
                        any.add(comparison, &value, &self.meter);
                    });
                } else {
                    self.evaluate_with_issues(path, *kind, comparison, &mut any);
                }
                any.result(comparison)
            }
            (Field::Contract(path, _), operand) => self.total(path, operand).evaluate(comparison),
            (Field::Shop, _) => {
                let mut any = AnyValue::default();
                any.add(comparison, &shop_of(self.event), &self.meter);
                any.result(comparison)
            }
            (Field::Sent(..), _) => {
                let sent = self.sent();
                match condition.slot.and_then(|slot| sent.conditions.get(slot)) {
                    Some(values) => values.evaluate(comparison, sent.is_complete, &self.meter),
                    None => Evaluation::Unknown,
                }
            }
        }
    }

    /// Whether one element fulfils all conditions.
    fn evaluate_group(&self, group: &ElementGroup) -> Evaluation {
        if !self.meter.allows_step(0) {
            return Evaluation::Unknown;
        }
        let sent = self.sent();
        match sent
            .lists
            .get(group.list)
            .and_then(|list| list.groups.get(group.index))
        {
            Some(found) if found.holds => Evaluation::True,
            Some(found) if sent.is_complete && !found.has_unknown => {
                // An element that cannot be read may be the one.
                let hides = matches!(&group.field, Field::Contract(path, _) if self.hides(path));
                if hides {
                    Evaluation::Unknown
                } else {
                    Evaluation::False
                }
            }
            _ => Evaluation::Unknown,
        }
    }

    /// Returns the comparison with the value of another field. `None` if that cannot be read.
    fn comparison_with(
        &self,
        condition: &CompiledCondition,
        operator: Operator,
        other: &Field,
    ) -> Option<Comparison> {
        let kind = condition.kind();
        let with = |value: &FieldValue<'_>| Comparison::with_value(operator, value, kind);
        match other {
            Field::Contract(path, _) if self.hides(path) => None,
            Field::Contract(path, _) => {
                let mut comparison = None;
                self.event
                    .entity
                    .visit(path, &mut |value| comparison = with(&value));
                comparison
            }
            Field::Sent(..) => {
                let sent = self.sent();
                let values = condition.slot.and_then(|slot| sent.conditions.get(slot))?;
                if !sent.is_complete || values.is_unknown {
                    return None;
                }
                with(values.other.as_ref().unwrap_or(&FieldValue::Absent))
            }
            Field::Shop => with(&shop_of(self.event)),
        }
    }

    /// Whether a field of the contract may have other values than the entity has.
    fn hides(&self, path: &FieldPath) -> bool {
        if self.event.issues.count() == 0 {
            return false;
        }
        let unreadable = UnreadableValues::at(path, self.event);
        unreadable.hides_absent || unreadable.hides_more || !unreadable.values.is_empty()
    }

    fn total(&self, path: &FieldPath, operand: Operand) -> Total {
        let mut total = Total::default();
        if self.hides(path) {
            total.add_unknown();
            return total;
        }
        self.event.entity.visit(path, &mut |value| {
            if self.meter.allows_step(0) {
                total.add(operand, &value);
            } else {
                total.add_unknown();
            }
        });
        total
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

    fn sent(&self) -> &SentValues<'a> {
        self.sent
            .get_or_init(|| SentValues::find(self.rules, self.event, &self.meter))
    }
}

fn is_computed<E: Entity>(path: &FieldPath) -> bool {
    matches!(path, [PathStep::Name(name), ..] if !E::computed_from(name).is_empty())
}

/// Whether a comparison holds for any of several values. Without any value, it compares an absent
/// one.
#[derive(Debug, Default)]
pub(super) struct AnyValue {
    has_values: bool,
    pub(super) holds: bool,
    has_unknown: bool,
}

impl AnyValue {
    pub(super) fn add(
        &mut self,
        comparison: &Comparison,
        value: &FieldValue<'_>,
        meter: &WorkMeter,
    ) {
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

    pub(super) fn add_unknown(&mut self) {
        self.has_values = true;
        self.has_unknown = true;
    }

    pub(super) fn result(&self, comparison: &Comparison) -> Evaluation {
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
