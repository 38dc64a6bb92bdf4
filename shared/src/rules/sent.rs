//! The values outside the contract that the rules of one mode need. One walk through the JSON finds
//! all of them. The elements of lists are in `elements`.

use std::borrow::Cow;

use super::{
    RuleSet,
    condition::{Comparand, CompiledCondition, CompiledEntry, Operand},
    elements::ListValues,
    evaluate::{AnyValue, Evaluation},
    operator::Comparison,
    total::Total,
    walk::{End, Observer},
    work_meter::WorkMeter,
};
use crate::{
    event::Event,
    model::{Entity, lookup::FieldValue},
};

/// The maximum memory of all values that are compared with another field, in bytes. If they need
/// more, these conditions cannot be evaluated.
const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The values of all conditions that need one outside the contract, by slot.
pub(super) struct SentValues<'a> {
    pub(super) conditions: Vec<ConditionValues<'a>>,
    pub(super) lists: Vec<ListValues<'a>>,
    /// Whether all of the JSON was read.
    pub(super) is_complete: bool,
    /// The memory that is left of [`KEPT_BYTES_MAX`].
    bytes_left: usize,
}

/// The values of one condition.
pub(super) struct ConditionValues<'a> {
    condition: &'a CompiledCondition,
    /// The result for the values so far, if they are compared with a value of the rule.
    any: AnyValue,
    /// The values, if they are compared with another field.
    values: Vec<FieldValue<'static>>,
    total: Total,
    /// The value of the other field.
    pub(super) other: Option<FieldValue<'static>>,
    /// Whether there was no time or memory to copy a value that is compared with another field.
    pub(super) is_unknown: bool,
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
            lists: rules.lists.iter().map(ListValues::new).collect(),
            is_complete: false,
            bytes_left: KEPT_BYTES_MAX,
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

    /// Adds the conditions and groups of an entry in the order of their slots.
    fn add_entry(&mut self, entry: &'a CompiledEntry) {
        match entry {
            CompiledEntry::Condition(condition) if condition.slot.is_some() => {
                self.conditions.push(ConditionValues::new(condition));
            }
            CompiledEntry::Condition(_) => {}
            CompiledEntry::Element(group) => {
                if let Some(list) = self.lists.get_mut(group.list) {
                    list.add_group(group);
                }
            }
            CompiledEntry::Any(entries) => entries.iter().for_each(|entry| self.add_entry(entry)),
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

    fn add(&mut self, value: &FieldValue<'_>, meter: &WorkMeter, bytes_left: &mut usize) {
        match (self.condition.operand, &self.condition.comparand) {
            (Operand::Values, Comparand::Value(comparison)) => {
                self.any.add(comparison, value, meter);
            }
            (Operand::Values, Comparand::Field { .. }) => match kept(value, meter, bytes_left) {
                Some(value) => self.values.push(value),
                None => self.is_unknown = true,
            },
            (operand, _) if meter.allows_step(0) => self.total.add(operand, value),
            _ => self.total.add_unknown(),
        }
    }

    fn add_other(&mut self, value: &FieldValue<'_>, meter: &WorkMeter, bytes_left: &mut usize) {
        self.other = kept(value, meter, bytes_left);
        self.is_unknown |= self.other.is_none();
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
}

/// Receives the values of a walk.
struct Walked<'w, 'a> {
    meter: &'w WorkMeter,
    found: &'w mut SentValues<'a>,
}

impl Observer for Walked<'_, '_> {
    fn observe(&mut self, end: End, value: &FieldValue<'_>) {
        let bytes_left = &mut self.found.bytes_left;
        match end {
            End::Value(slot) => {
                if let Some(condition) = self.found.conditions.get_mut(slot) {
                    condition.add(value, self.meter, bytes_left);
                }
            }
            End::Other(slot) => {
                if let Some(condition) = self.found.conditions.get_mut(slot) {
                    condition.add_other(value, self.meter, bytes_left);
                }
            }
            End::InElement { list, slot } => {
                if let Some(list) = self.found.lists.get_mut(list) {
                    list.add(slot, value, self.meter);
                }
            }
        }
    }

    fn begin_element(&mut self, list: usize) {
        if let Some(list) = self.found.lists.get_mut(list) {
            list.begin_element();
        }
    }

    fn end_element(&mut self, list: usize) {
        if let Some(list) = self.found.lists.get_mut(list) {
            list.end_element(self.meter);
        }
    }

    fn should_continue(&mut self, bytes: usize) -> bool {
        self.meter.allows_step(bytes)
    }
}

/// Returns a copy of the value. `None` if there is no time or memory for it.
fn kept(
    value: &FieldValue<'_>,
    meter: &WorkMeter,
    bytes_left: &mut usize,
) -> Option<FieldValue<'static>> {
    let text_bytes = if let FieldValue::Text(text) = value {
        text.len()
    } else {
        0
    };
    *bytes_left = bytes_left.checked_sub(size_of::<FieldValue<'static>>() + text_bytes)?;
    owned(value, meter)
}

/// Returns a copy of the value. `None` if there is no time for it.
pub(super) fn owned(value: &FieldValue<'_>, meter: &WorkMeter) -> Option<FieldValue<'static>> {
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
