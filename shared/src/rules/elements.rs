//! The elements of lists that groups of conditions look at. The values of an element are read once
//! for all groups of its list.

use std::borrow::Cow;

use super::{
    condition::{Comparand, CompiledCondition, ElementGroup, Operand},
    evaluate::{AnyValue, Evaluation},
    field::{Field, SentRoot},
    literal::number_of,
    operator::Comparison,
    sent::owned,
    total::Total,
    work_meter::WorkMeter,
};
use crate::model::{
    lookup::{FieldKind, FieldValue, PathStep},
    scalar::{JsonScalar, Scalar as _, Timestamp},
};

/// The maximum number of values that a field has in one element. With more of them, a condition on
/// the field is unknown.
const VALUES_MAX: usize = 10_000;

/// A list, and the fields of its elements that groups need.
#[derive(Debug)]
pub(super) struct ElementList {
    pub(super) root: SentRoot,
    pub(super) path: Vec<PathStep>,
    fields: Vec<(Field, Option<FieldKind>)>,
    /// The number of groups.
    pub(super) groups: usize,
}

impl ElementList {
    pub(super) fn of(group: &ElementGroup) -> Self {
        Self {
            root: group.root.clone(),
            path: group.path.clone(),
            fields: Vec::new(),
            groups: 0,
        }
    }

    /// Adds a field. Returns its slot, and whether it is new.
    pub(super) fn add(&mut self, field: &Field, kind: Option<FieldKind>) -> (usize, bool) {
        let is_same = |known: &(Field, Option<FieldKind>)| known.0 == *field && known.1 == kind;
        if let Some(slot) = self.fields.iter().position(is_same) {
            return (slot, false);
        }
        self.fields.push((field.clone(), kind));
        (self.fields.len() - 1, true)
    }
}

/// The values of the current element of a list, and the results for the elements so far.
pub(super) struct ListValues<'a> {
    fields: Vec<ElementValues>,
    pub(super) groups: Vec<GroupElements<'a>>,
}

/// The values of a field of one element.
struct ElementValues {
    /// The kind of a contract field.
    kind: Option<FieldKind>,
    values: Vec<ElementValue>,
    /// Whether there are too many values, or no time to copy them.
    is_incomplete: bool,
}

struct ElementValue {
    value: FieldValue<'static>,
    /// Whether it is not valid for a field of this kind, and is what the shop sent.
    is_unreadable: bool,
}

/// The elements of a group so far.
pub(super) struct GroupElements<'a> {
    group: &'a ElementGroup,
    /// Whether all conditions hold for an element.
    pub(super) holds: bool,
    /// Whether they may hold for an element that cannot be evaluated.
    pub(super) has_unknown: bool,
}

impl<'a> ListValues<'a> {
    pub(super) fn new(list: &ElementList) -> Self {
        let fields = list.fields.iter().map(|(_, kind)| ElementValues {
            kind: *kind,
            values: Vec::new(),
            is_incomplete: false,
        });
        Self {
            fields: fields.collect(),
            groups: Vec::new(),
        }
    }

    pub(super) fn add_group(&mut self, group: &'a ElementGroup) {
        self.groups.push(GroupElements {
            group,
            holds: false,
            has_unknown: false,
        });
    }

    pub(super) fn begin_element(&mut self) {
        for field in &mut self.fields {
            field.values.clear();
            field.is_incomplete = false;
        }
    }

    /// Adds a value of the current element.
    pub(super) fn add(&mut self, slot: usize, value: &FieldValue<'_>, meter: &WorkMeter) {
        let Some(field) = self.fields.get_mut(slot) else {
            return;
        };
        let read = field.kind.map(|kind| as_contract(value, kind));
        let is_unreadable = matches!(read, Some(None));
        let value = read
            .flatten()
            .map_or_else(|| owned(value, meter), |value| owned(&value, meter));
        match value {
            Some(value) if field.values.len() < VALUES_MAX => field.values.push(ElementValue {
                value,
                is_unreadable,
            }),
            _ => field.is_incomplete = true,
        }
    }

    /// Evaluates the groups on the current element.
    pub(super) fn end_element(&mut self, meter: &WorkMeter) {
        for elements in self.groups.iter_mut().filter(|elements| !elements.holds) {
            match evaluate_all(&elements.group.conditions, &self.fields, meter) {
                Evaluation::True => elements.holds = true,
                Evaluation::False => {}
                Evaluation::Unknown => elements.has_unknown = true,
            }
        }
    }
}

/// Whether all conditions hold for an element.
fn evaluate_all(
    conditions: &[CompiledCondition],
    fields: &[ElementValues],
    meter: &WorkMeter,
) -> Evaluation {
    let mut all = Evaluation::True;
    for condition in conditions {
        match evaluate(condition, fields, meter) {
            Evaluation::True => {}
            Evaluation::False => return Evaluation::False,
            Evaluation::Unknown => all = Evaluation::Unknown,
        }
    }
    all
}

fn evaluate(
    condition: &CompiledCondition,
    fields: &[ElementValues],
    meter: &WorkMeter,
) -> Evaluation {
    let values_of = |slot: Option<usize>| slot.and_then(|slot| fields.get(slot));
    let Some(field) = values_of(condition.slot) else {
        return Evaluation::Unknown;
    };
    let computed;
    let (comparison, is_fixed) = match &condition.comparand {
        Comparand::Value(comparison) => (comparison, true),
        Comparand::Field { operator, slot, .. } => {
            let other = values_of(*slot).and_then(ElementValues::single);
            match other.and_then(|other| Comparison::with_value(*operator, other, condition.kind()))
            {
                Some(comparison) => {
                    computed = comparison;
                    (&computed, false)
                }
                None => return Evaluation::Unknown,
            }
        }
    };
    if condition.operand != Operand::Values {
        return field.total(condition.operand, meter).evaluate(comparison);
    }
    let mut any = AnyValue::default();
    for ElementValue {
        value,
        is_unreadable,
    } in &field.values
    {
        let accepts = |kind| is_fixed && comparison.accepts_unreadable(value, kind);
        if *is_unreadable && !field.kind.is_some_and(accepts) {
            any.add_unknown();
        } else {
            any.add(comparison, value, meter);
        }
    }
    if field.is_incomplete {
        any.add_unknown();
    }
    any.result(comparison)
}

impl ElementValues {
    /// Returns the value of a field without lists. `None` if it cannot be read.
    fn single(&self) -> Option<&FieldValue<'static>> {
        match self.values.last() {
            _ if self.is_incomplete => None,
            None => Some(&FieldValue::Absent),
            Some(value) => (!value.is_unreadable).then_some(&value.value),
        }
    }

    fn total(&self, operand: Operand, meter: &WorkMeter) -> Total {
        let mut total = Total::default();
        for element in &self.values {
            if meter.allows_step(0) {
                total.add(operand, &element.value);
            } else {
                total.add_unknown();
            }
        }
        if self.is_incomplete {
            total.add_unknown();
        }
        total
    }
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
        FieldKind::Number => {
            number_of(&FieldValue::Text(Cow::Borrowed(text))).map(FieldValue::Number)
        }
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
