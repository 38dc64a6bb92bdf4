//! The conditions of a rule, checked and compiled.

use super::{
    CONDITIONS_MAX,
    field::{Field, SentRoot, is_special},
    file,
    operator::{Comparison, Operator, check_kind},
    pattern::Pattern,
};
use crate::{
    channel::Channel,
    model::lookup::{FieldKind, PathStep},
};

/// An element of `when`.
#[derive(Debug)]
pub(super) enum CompiledEntry {
    Condition(CompiledCondition),
    Element(ElementGroup),
    Any(Vec<CompiledEntry>),
}

/// A condition.
#[derive(Debug)]
pub(super) struct CompiledCondition {
    pub(super) operand: Operand,
    pub(super) field: Field,
    /// The kind of a contract field that is read as the shop sent it, because it belongs to a
    /// group.
    pub(super) sent_as: Option<FieldKind>,
    pub(super) comparand: Comparand,
    /// The index among the conditions that need values outside the contract. In a group, the index
    /// of the field among those of the list.
    pub(super) slot: Option<usize>,
}

/// What a condition compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// Each value of the field. One for which the comparison holds is enough.
    Values,
    /// The number of values.
    Count,
    /// The sum of the values.
    Sum,
}

/// What a condition compares with.
#[derive(Debug)]
pub(super) enum Comparand {
    Value(Comparison),
    Field {
        operator: Operator,
        field: Field,
        /// As in [`CompiledCondition`].
        sent_as: Option<FieldKind>,
        /// As in [`CompiledCondition`], in a group.
        slot: Option<usize>,
    },
}

/// Conditions that must hold for the same element of a list. The elements are read as the shop sent
/// them, so that fields inside and outside the contract belong to the same element.
#[derive(Debug)]
pub(super) struct ElementGroup {
    /// The elements, as a field.
    pub(super) field: Field,
    pub(super) root: SentRoot,
    pub(super) path: Vec<PathStep>,
    pub(super) conditions: Vec<CompiledCondition>,
    /// The index of the list.
    pub(super) list: usize,
    /// The index among the groups of the list.
    pub(super) index: usize,
}

impl CompiledCondition {
    /// Returns the kind of value that is compared, or `None` outside the contract.
    pub(super) fn kind(&self) -> Option<FieldKind> {
        match self.operand {
            Operand::Values => self.sent_as.or_else(|| self.field.kind()),
            Operand::Count | Operand::Sum => Some(FieldKind::Number),
        }
    }

    /// Whether the condition needs values outside the contract.
    pub(super) fn is_sent(&self) -> bool {
        let other = match &self.comparand {
            Comparand::Value(_) => None,
            Comparand::Field { field, .. } => Some(field),
        };
        let mut fields = [Some(&self.field), other].into_iter().flatten();
        fields.any(|field| matches!(field, Field::Sent(..)))
    }

    fn pattern(&self) -> Option<&Pattern> {
        match &self.comparand {
            Comparand::Value(comparison) => comparison.pattern(),
            Comparand::Field { .. } => None,
        }
    }
}

impl CompiledEntry {
    /// Calls `visit` with each condition in the entry.
    pub(super) fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a CompiledCondition)) {
        match self {
            Self::Condition(condition) => visit(condition),
            Self::Element(group) => group.conditions.iter().for_each(visit),
            Self::Any(entries) => entries.iter().for_each(|entry| entry.visit(visit)),
        }
    }

    /// Returns the number of characters in the ranges of its expressions.
    pub(super) fn folded(&self) -> u32 {
        let mut folded = 0_u32;
        self.visit(&mut |condition| {
            let pattern = condition.pattern().map_or(0, |pattern| pattern.folded);
            folded = folded.saturating_add(pattern);
        });
        folded
    }
}

/// Checks and compiles the entries of `when`, and reports their errors.
pub(super) fn compile_all<C: Channel>(
    when: &[file::Entry],
    report: &mut dyn FnMut(String),
) -> Vec<CompiledEntry> {
    if when.is_empty() {
        report("it has no conditions and would match every event".to_owned());
    }
    let mut count = 0;
    for entry in when {
        entry.visit_conditions(&mut |_| count += 1);
    }
    if count > CONDITIONS_MAX || when.len() > CONDITIONS_MAX {
        report(format!("it has more than {CONDITIONS_MAX} conditions"));
    }
    let mut entries = Vec::new();
    for (index, entry) in when.iter().enumerate() {
        let mut report = |place: &str, reason: String| {
            report(format!("condition {}{place}: {reason}", index + 1));
        };
        entries.extend(compile_entry::<C>(entry, true, "", &mut report));
    }
    entries
}

/// Compiles an entry. Reports each error with its place below the entry of `when`.
fn compile_entry<C: Channel>(
    entry: &file::Entry,
    allows_any: bool,
    place: &str,
    report: &mut dyn FnMut(&str, String),
) -> Option<CompiledEntry> {
    let is_condition = [&entry.field, &entry.count, &entry.sum, &entry.value_field]
        .iter()
        .any(|name| name.is_some())
        || entry.operator.is_some()
        || entry.value.is_some();
    let nested = |index: usize| format!("{place}.{}", index + 1);
    match (&entry.element, &entry.all, &entry.any) {
        (None, None, None) => match compile_condition::<C>(entry, None) {
            Ok(condition) => return Some(CompiledEntry::Condition(condition)),
            Err(reason) => report(place, reason),
        },
        (Some(element), Some(all), None) if !is_condition => {
            let (field, root, path) = match elements::<C>(element) {
                Ok(elements) => elements,
                Err(why) => {
                    report(place, format!("the element {element:?} {why}"));
                    return None;
                }
            };
            if all.is_empty() {
                report(place, "all has no conditions".to_owned());
            }
            let mut conditions = Vec::new();
            for (index, entry) in all.iter().enumerate() {
                match compile_condition::<C>(entry, Some(element)) {
                    Ok(condition) => conditions.push(condition),
                    Err(reason) => report(&nested(index), reason),
                }
            }
            return Some(CompiledEntry::Element(ElementGroup {
                field,
                root,
                path,
                conditions,
                list: 0,
                index: 0,
            }));
        }
        (None, None, Some(any)) if !is_condition && allows_any => {
            if any.is_empty() {
                report(place, "any has no conditions".to_owned());
            }
            let mut entries = Vec::new();
            for (index, entry) in any.iter().enumerate() {
                entries.extend(compile_entry::<C>(entry, false, &nested(index), report));
            }
            return Some(CompiledEntry::Any(entries));
        }
        (None, None, Some(_)) if !allows_any => {
            report(place, "any cannot be inside any".to_owned());
        }
        _ => report(place, SHAPES.to_owned()),
    }
    None
}

const SHAPES: &str = "write a condition with field, count or sum; or element and all; or any alone";

/// Returns the elements of a list.
fn elements<C: Channel>(element: &str) -> Result<(Field, SentRoot, Vec<PathStep>), String> {
    let field = Field::parse::<C>(element)?;
    let sent = field.clone().into_sent();
    let (root, path) = sent
        .filter(|(_, path)| path.last() == Some(&PathStep::Each))
        .ok_or("is not the elements of a list; write [] at its end, as in order.items[]")?;
    Ok((field, root, path))
}

/// Compiles a condition. In a group, its fields start at the element.
fn compile_condition<C: Channel>(
    condition: &file::Entry,
    element: Option<&str>,
) -> Result<CompiledCondition, String> {
    if condition.element.is_some() || condition.all.is_some() || condition.any.is_some() {
        return Err("all holds only conditions".to_owned());
    }
    let operands = [
        (Operand::Values, &condition.field),
        (Operand::Count, &condition.count),
        (Operand::Sum, &condition.sum),
    ];
    let mut operands = operands
        .into_iter()
        .filter_map(|(operand, name)| Some((operand, name.as_deref()?)));
    let (Some((operand, name)), None) = (operands.next(), operands.next()) else {
        return Err("exactly one of field, count and sum is required".to_owned());
    };
    let operator = condition.operator.ok_or("the operator is missing")?;
    let parse = |name: &str, is_single: bool| {
        if element.is_some() && is_special(name) {
            return Err(format!(
                "the field {name:?} does not belong to an element; write its condition beside the \
                 group"
            ));
        }
        let full = match element {
            Some(element) => format!("{element}.{name}"),
            None => name.to_owned(),
        };
        let field = Field::parse::<C>(&full).map_err(|why| format!("the field {name:?} {why}"))?;
        let above = element.map_or(0, |element| element.matches("[]").count());
        if is_single && full.matches("[]").count() > above {
            return Err(format!("the field {name:?} must be one value, without []"));
        }
        let kind = field.kind();
        let sent = element.and_then(|_| field.clone().into_sent());
        Ok(sent.map_or((field, None), |(root, path)| {
            (Field::Sent(root, path), kind)
        }))
    };
    let (field, sent_as) = parse(name, false)?;
    check_operand(operand, name, operator, &field, sent_as)?;
    let mut compiled = CompiledCondition {
        operand,
        field,
        sent_as,
        comparand: Comparand::Value(Comparison::IsEmpty),
        slot: None,
    };
    let kind = compiled.kind();
    let clause = |why: String| format!("{name} {operator}: {why}");
    compiled.comparand = match (&condition.value, &condition.value_field) {
        (Some(_), Some(_)) => {
            return Err(clause("value and valueField exclude each other".to_owned()));
        }
        (value, None) => {
            let value = value.as_deref();
            Comparand::Value(Comparison::parse(operator, value, kind).map_err(clause)?)
        }
        (None, Some(_)) if !operator.takes_field() => {
            return Err(clause(
                "the operator takes a value, not a valueField".to_owned(),
            ));
        }
        (None, Some(other)) => {
            let (field, sent_as) = parse(other, true).map_err(clause)?;
            check_kinds(operator, kind, sent_as.or_else(|| field.kind())).map_err(clause)?;
            Comparand::Field {
                operator,
                field,
                sent_as,
                slot: None,
            }
        }
    };
    Ok(compiled)
}

/// Checks a list that is counted or added up.
fn check_operand(
    operand: Operand,
    name: &str,
    operator: Operator,
    field: &Field,
    sent_as: Option<FieldKind>,
) -> Result<(), String> {
    let why = match operand {
        Operand::Count if !name.ends_with("[]") => {
            "needs the elements of a list; write [] at its end, as in order.items[]"
        }
        Operand::Sum if !name.contains("[]") => {
            "needs a value of each element of a list, as in order.items[].qty_ordered"
        }
        Operand::Sum
            if sent_as
                .or_else(|| field.kind())
                .is_some_and(|kind| kind != FieldKind::Number) =>
        {
            "needs numbers"
        }
        Operand::Count | Operand::Sum if !operator.takes_total() => {
            return Err(format!(
                "{name} {operator}: a count or a sum is a number; compare it with greaterThan, \
                 lessThan, equal or in"
            ));
        }
        Operand::Values | Operand::Count | Operand::Sum => return Ok(()),
    };
    let operand = if operand == Operand::Count {
        "count"
    } else {
        "sum"
    };
    Err(format!("{operand} of {name:?} {why}"))
}

/// Checks whether fields of these kinds can be compared.
fn check_kinds(
    operator: Operator,
    kind: Option<FieldKind>,
    other: Option<FieldKind>,
) -> Result<(), String> {
    check_kind(operator, kind)?;
    check_kind(operator, other).map_err(|why| format!("in valueField, {why}"))?;
    let noun = |kind| match kind {
        FieldKind::Number => "a number",
        FieldKind::Timestamp => "a date",
        FieldKind::Text | FieldKind::UppercaseCode | FieldKind::Structure => "a text",
    };
    match (kind.map(noun), other.map(noun)) {
        (Some(one), Some(other)) if one != other && !operator.orders() => Err(format!(
            "the field is {one}, but the field in valueField is {other}"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
