//! The values outside the contract that the rules of one mode need, and the elements of all groups.
//! One walk through the JSON finds all of them.

use std::borrow::Cow;

use super::{
    RuleSet,
    condition::{Comparand, CompiledCondition, CompiledEntry, Operand},
    evaluate::{AnyValue, Evaluation},
    operator::Comparison,
    total::Total,
    walk::Observer,
    work_meter::WorkMeter,
};
use crate::{
    event::Event,
    model::{
        Entity,
        lookup::{FieldKind, FieldValue},
        scalar::{JsonScalar, Scalar as _, Timestamp},
    },
};

/// The values of all conditions that need one outside the contract, by slot.
pub(super) struct SentValues<'a> {
    pub(super) conditions: Vec<ConditionValues<'a>>,
    pub(super) groups: Vec<GroupElements>,
    /// Whether all of the JSON was read.
    pub(super) is_complete: bool,
}

/// The values of one condition. In a group, they are those of the current element.
pub(super) struct ConditionValues<'a> {
    condition: &'a CompiledCondition,
    /// The result for the values so far, if they are compared with a value of the rule.
    any: AnyValue,
    /// The values, if they are compared with another field.
    values: Vec<FieldValue<'static>>,
    total: Total,
    /// The value of the other field.
    pub(super) other: Option<FieldValue<'static>>,
    /// Whether a value that is compared with another field could not be read.
    pub(super) is_unknown: bool,
}

/// The elements of a group so far.
#[derive(Default)]
pub(super) struct GroupElements {
    /// The slots of its conditions.
    slots: std::ops::Range<usize>,
    /// Whether all conditions hold for an element.
    pub(super) holds: bool,
    /// Whether they may hold for an element that cannot be evaluated.
    pub(super) has_unknown: bool,
}

impl<'a> SentValues<'a> {
    /// Finds the values in an event.
    pub(super) fn find<E: Entity>(
        rules: &'a RuleSet,
        event: &Event<'_, E>,
        meter: &WorkMeter,
    ) -> Self {
        let mut found = Self {
            conditions: Vec::with_capacity(rules.slots),
            groups: Vec::new(),
            is_complete: false,
        };
        for entry in rules.rules.iter().flat_map(|rule| &rule.entries) {
            found.add_entry(entry);
        }
        let mut observer = Walked {
            meter,
            found: &mut found,
        };
        found.is_complete = rules.sent.walk(event, &mut observer).is_ok();
        found
    }

    /// Adds the conditions of an entry in the order of their slots.
    fn add_entry(&mut self, entry: &'a CompiledEntry) {
        match entry {
            CompiledEntry::Condition(condition) => self.add_condition(condition),
            CompiledEntry::Element(group) => {
                let first = self.conditions.len();
                for condition in &group.conditions {
                    self.add_condition(condition);
                }
                self.groups.push(GroupElements {
                    slots: first..self.conditions.len(),
                    ..GroupElements::default()
                });
            }
            CompiledEntry::Any(entries) => entries.iter().for_each(|entry| self.add_entry(entry)),
        }
    }

    fn add_condition(&mut self, condition: &'a CompiledCondition) {
        if condition.slot.is_some() {
            self.conditions.push(ConditionValues::new(condition));
        }
    }
}

impl<'a> ConditionValues<'a> {
    fn new(condition: &'a CompiledCondition) -> Self {
        Self {
            condition,
            any: AnyValue::default(),
            values: Vec::new(),
            total: Total::default(),
            other: None,
            is_unknown: false,
        }
    }

    fn add(&mut self, value: &FieldValue<'_>, meter: &WorkMeter) {
        let condition = self.condition;
        let read = condition.sent_as.map(|kind| as_contract(value, kind));
        let (value, unread) = match &read {
            None => (value, None),
            Some(Some(value)) => (value, None),
            Some(None) => (value, condition.sent_as),
        };
        match (condition.operand, &condition.comparand) {
            (Operand::Values, Comparand::Value(comparison)) => match unread {
                Some(kind) if !comparison.accepts_unreadable(value, kind) => self.any.add_unknown(),
                _ => self.any.add(comparison, value, meter),
            },
            (Operand::Values, Comparand::Field { .. }) => match owned(value, meter) {
                Some(value) if unread.is_none() => self.values.push(value),
                _ => self.is_unknown = true,
            },
            (operand, _) if meter.allows_step(0) => self.total.add(operand, value),
            _ => self.total.add_unknown(),
        }
    }

    fn add_other(&mut self, value: &FieldValue<'_>, meter: &WorkMeter) {
        let value = match &self.condition.comparand {
            Comparand::Field {
                sent_as: Some(kind),
                ..
            } => as_contract(value, *kind).and_then(|value| owned(&value, meter)),
            _ => owned(value, meter),
        };
        self.is_unknown |= value.is_none();
        self.other = value;
    }

    /// Evaluates the condition on its values.
    pub(super) fn evaluate(
        &self,
        comparison: &Comparison,
        is_complete: bool,
        meter: &WorkMeter,
    ) -> Evaluation {
        let mut any = AnyValue::default();
        let any = match (self.condition.operand, &self.condition.comparand) {
            (Operand::Values, Comparand::Value(_)) => &self.any,
            (Operand::Values, Comparand::Field { .. }) => {
                for value in &self.values {
                    any.add(comparison, value, meter);
                }
                if self.is_unknown {
                    any.add_unknown();
                }
                &any
            }
            _ if is_complete => return self.total.evaluate(comparison),
            _ => return Evaluation::Unknown,
        };
        // After an incomplete walk, only a condition that already holds is certain.
        if is_complete || any.holds {
            any.result(comparison)
        } else {
            Evaluation::Unknown
        }
    }

    /// Evaluates a condition of a group on the current element.
    fn evaluate_in_group(&self, meter: &WorkMeter) -> Evaluation {
        match &self.condition.comparand {
            Comparand::Value(comparison) => self.evaluate(comparison, true, meter),
            Comparand::Field { operator, .. } => {
                let other = self.other.as_ref().unwrap_or(&FieldValue::Absent);
                let kind = self.condition.kind();
                match Comparison::with_value(*operator, other, kind) {
                    Some(comparison) if !self.is_unknown => self.evaluate(&comparison, true, meter),
                    _ => Evaluation::Unknown,
                }
            }
        }
    }
}

/// Receives the values of a walk.
struct Walked<'w, 'a> {
    meter: &'w WorkMeter,
    found: &'w mut SentValues<'a>,
}

impl Walked<'_, '_> {
    /// Whether the conditions in these slots hold for the current element.
    fn evaluate_element(&self, slots: std::ops::Range<usize>) -> Evaluation {
        let mut all = Evaluation::True;
        for condition in self.found.conditions.get(slots).unwrap_or_default() {
            match condition.evaluate_in_group(self.meter) {
                Evaluation::True => {}
                Evaluation::False => return Evaluation::False,
                Evaluation::Unknown => all = Evaluation::Unknown,
            }
        }
        all
    }
}

impl Observer for Walked<'_, '_> {
    /// Receives a value of a condition, or of its other field.
    fn observe(&mut self, end: usize, value: &FieldValue<'_>) {
        if let Some(condition) = self.found.conditions.get_mut(end / 2) {
            if end.is_multiple_of(2) {
                condition.add(value, self.meter);
            } else {
                condition.add_other(value, self.meter);
            }
        }
    }

    fn begin_element(&mut self, group: usize) {
        let Some(group) = self.found.groups.get(group) else {
            return;
        };
        let conditions = self.found.conditions.get_mut(group.slots.clone());
        for condition in conditions.unwrap_or_default() {
            *condition = ConditionValues::new(condition.condition);
        }
    }

    fn end_element(&mut self, group: usize) {
        let Some(elements) = self.found.groups.get(group) else {
            return;
        };
        if elements.holds {
            return;
        }
        let result = self.evaluate_element(elements.slots.clone());
        if let Some(elements) = self.found.groups.get_mut(group) {
            elements.holds |= result == Evaluation::True;
            elements.has_unknown |= result == Evaluation::Unknown;
        }
    }

    fn should_continue(&mut self, bytes: usize) -> bool {
        self.meter.allows_step(bytes)
    }
}

/// Returns a copy of the value. `None` if there is no time for it.
fn owned(value: &FieldValue<'_>, meter: &WorkMeter) -> Option<FieldValue<'static>> {
    Some(match value {
        FieldValue::Text(text) if meter.allows_step(text.len()) => {
            FieldValue::Text(Cow::Owned(text.to_string()))
        }
        FieldValue::Text(_) => return None,
        FieldValue::Number(number) => FieldValue::Number(*number),
        FieldValue::Structure { empty } => FieldValue::Structure { empty: *empty },
        FieldValue::Absent => FieldValue::Absent,
    })
}

/// Returns a value that the shop sent in the form that the contract has for it. `None` if it is not
/// valid for a field of this kind.
fn as_contract<'v>(value: &'v FieldValue<'_>, kind: FieldKind) -> Option<FieldValue<'v>> {
    let text = match value {
        FieldValue::Text(text) => text.trim(),
        FieldValue::Structure { empty } if kind == FieldKind::Structure => {
            return Some(FieldValue::Structure { empty: *empty });
        }
        // PHP writes an empty object as an empty list.
        FieldValue::Structure { empty: true } | FieldValue::Absent => {
            return Some(FieldValue::Absent);
        }
        FieldValue::Structure { empty: false } => return None,
        FieldValue::Number(number) => return Some(FieldValue::Number(*number)),
    };
    if text.is_empty() {
        return Some(FieldValue::Absent);
    }
    match kind {
        FieldKind::Number => super::literal::number_of(&FieldValue::Text(Cow::Borrowed(text)))
            .map(FieldValue::Number),
        FieldKind::Text => Some(FieldValue::Text(Cow::Borrowed(text))),
        FieldKind::UppercaseCode => Some(FieldValue::Text(text.to_uppercase().into())),
        FieldKind::Timestamp => {
            let timestamp = Timestamp::from_json(&JsonScalar::String(text.into()))?;
            match timestamp.field_value() {
                FieldValue::Text(text) => Some(FieldValue::Text(text.into_owned().into())),
                _ => None,
            }
        }
        FieldKind::Structure => None,
    }
}
