//! Writes the results of a rule's conditions for a terminal of 100 columns.

use std::fmt::Write as _;

use serde_json::value::RawValue;

use super::super::{
    CompiledRule,
    condition::{Comparand, CompiledCondition, CompiledEntry, Operand},
    evaluate::{Evaluation, Evaluator},
    field::Field,
    file,
    total::Total,
    unreadable::UnreadableValues,
    walk::{End, Observer},
};
use crate::{
    event::Event,
    model::{Entity, lookup::FieldValue},
};

/// The width of a line.
const COLUMNS: usize = 100;

/// The maximum number of values shown for a field.
const VALUES_MAX: usize = 4;

/// The maximum length of a shown value in characters.
const VALUE_CHARS_MAX: usize = 60;

/// Whether the output has colors.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Style {
    pub(super) color: bool,
}

impl Style {
    const RED: &str = "31";
    const GREEN: &str = "32";
    const YELLOW: &str = "33";
    const GRAY: &str = "90";

    fn paint(self, text: &str, code: &str) -> String {
        if self.color {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// Returns the result of a rule, with its effect if it matches.
    pub(super) fn result(self, evaluation: Evaluation, effect: Option<&str>) -> String {
        let (text, code) = match (evaluation, effect) {
            (Evaluation::Unknown, Some(effect)) => (
                format!("could not be evaluated → {effect}"),
                if effect == "refused" {
                    Self::RED
                } else {
                    Self::YELLOW
                },
            ),
            (Evaluation::Unknown, None) => ("could not be evaluated".to_owned(), Self::YELLOW),
            (_, Some("refused")) => ("matched → refused".to_owned(), Self::RED),
            (_, Some(effect)) => (format!("matched → {effect}"), Self::YELLOW),
            (_, None) => ("did not match".to_owned(), Self::GRAY),
        };
        self.paint(&text, code)
    }

    /// Returns the result of a condition, padded to one width.
    fn condition(self, evaluation: Evaluation) -> String {
        match evaluation {
            Evaluation::True => self.paint("true   ", Self::GREEN),
            Evaluation::False => self.paint("false  ", Self::GRAY),
            Evaluation::Unknown => self.paint("unknown", Self::YELLOW),
        }
    }
}

/// One line about a condition or a group.
struct ConditionLine {
    indent: usize,
    evaluation: Option<Evaluation>,
    text: String,
    found: Option<String>,
}

/// Returns a line for each condition of a rule.
pub(super) fn render_entries<E: Entity>(
    evaluator: &Evaluator<'_, '_, E>,
    rule: &CompiledRule,
    file_rule: &file::Rule,
    style: Style,
) -> String {
    let mut lines = Vec::new();
    for (compiled, entry) in rule.entries.iter().zip(&file_rule.when) {
        add_lines(evaluator, compiled, entry, 4, &mut lines);
    }
    let width = |line: &ConditionLine| line.indent + line.text.chars().count();
    let aligned = lines.iter().filter(|line| line.found.is_some()).map(width);
    let aligned = aligned.filter(|width| *width < COLUMNS / 2 + 10).max();
    let mut output = String::new();
    for line in &lines {
        let indent = " ".repeat(line.indent);
        // Conditions of a group have no result of their own, because it differs between elements.
        let result = line
            .evaluation
            .map_or_else(|| " ".repeat(7), |evaluation| style.condition(evaluation));
        let start = format!(
            "{indent}{result}  {}",
            shortened(&line.text, COLUMNS - line.indent - 9)
        );
        let Some(found) = &line.found else {
            let _ = writeln!(output, "{start}");
            continue;
        };
        let column = aligned.unwrap_or_default().max(width(line));
        let padding = " ".repeat(column - width(line) + 2);
        let found = format!("found {found}");
        if column + 9 + 2 + found.chars().count() <= COLUMNS {
            let _ = writeln!(output, "{start}{padding}{found}");
        } else {
            let indent = line.indent + 11;
            let found = shortened(&found, COLUMNS - indent);
            let _ = writeln!(output, "{start}\n{}{found}", " ".repeat(indent));
        }
    }
    output
}

fn shortened(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    let start: String = text.chars().take(chars.saturating_sub(1)).collect();
    start + "…"
}

fn add_lines<E: Entity>(
    evaluator: &Evaluator<'_, '_, E>,
    compiled: &CompiledEntry,
    entry: &file::Entry,
    indent: usize,
    lines: &mut Vec<ConditionLine>,
) {
    let evaluation = Some(evaluator.evaluate_entry(compiled));
    let heading = |text: String| ConditionLine {
        indent,
        evaluation,
        text,
        found: None,
    };
    match compiled {
        CompiledEntry::Condition(condition) => lines.push(ConditionLine {
            indent,
            evaluation,
            text: condition_text(entry),
            found: Some(found(evaluator.event, condition)),
        }),
        CompiledEntry::Element(group) => {
            let element = entry.element.as_deref().unwrap_or_default();
            lines.push(heading(format!("one element of {element} with")));
            for (condition, entry) in group.conditions.iter().zip(entry.nested()) {
                lines.push(ConditionLine {
                    indent: indent + 2,
                    evaluation: None,
                    text: condition_text(entry),
                    found: Some(found(evaluator.event, condition)),
                });
            }
        }
        CompiledEntry::Any(entries) => {
            lines.push(heading("any of".to_owned()));
            for (compiled, entry) in entries.iter().zip(entry.nested()) {
                add_lines(evaluator, compiled, entry, indent + 2, lines);
            }
        }
    }
}

fn condition_text(entry: &file::Entry) -> String {
    let operand = match (&entry.field, &entry.count, &entry.sum) {
        (Some(field), ..) => field.clone(),
        (_, Some(list), _) => format!("count of {list}"),
        (.., Some(field)) => format!("sum of {field}"),
        _ => String::new(),
    };
    let operator = entry.operator.map(|it| it.to_string()).unwrap_or_default();
    let value = entry.value.as_deref().map(RawValue::get);
    let comparand = value.or(entry.value_field.as_deref()).unwrap_or_default();
    format!("{operand} {operator} {comparand}")
        .trim_end()
        .to_owned()
}

/// Returns a description of the values of a condition's fields.
fn found<E: Entity>(event: &Event<'_, E>, condition: &CompiledCondition) -> String {
    let values = match condition.operand {
        Operand::Values => values_of(event, &condition.field),
        operand => total_of(event, &condition.field, operand),
    };
    match &condition.comparand {
        Comparand::Value(_) => values,
        Comparand::Field { field, .. } => format!("{values} and {}", values_of(event, field)),
    }
}

/// Returns the count or the sum of the values of a field.
fn total_of<E: Entity>(event: &Event<'_, E>, field: &Field, operand: Operand) -> String {
    let mut found = FoundTotal {
        operand,
        total: Total::default(),
    };
    let is_complete = field.visit(event, &mut found).is_ok();
    let number = found.total.number().filter(|_| is_complete);
    number.map_or_else(|| "no exact number".to_owned(), |number| number.to_string())
}

struct FoundTotal {
    operand: Operand,
    total: Total,
}

impl Observer for FoundTotal {
    fn observe(&mut self, _: End, value: &FieldValue<'_>) {
        self.total.add(self.operand, value);
    }

    fn should_continue(&mut self, _: usize) -> bool {
        true
    }
}

fn values_of<E: Entity>(event: &Event<'_, E>, field: &Field) -> String {
    let mut found = FoundValues::default();
    let result = field.visit(event, &mut found);
    if let Field::Contract(path, _) = field {
        for value in UnreadableValues::at(path, event).values {
            let value: String = value.chars().take(VALUE_CHARS_MAX).collect();
            found.values.push(format!("{value} (unreadable)"));
        }
    }
    if found.more > 0 {
        found.values.push(format!("{} more", found.more));
    }
    if result.is_err() {
        found.values.push("unreadable JSON".to_owned());
    }
    if found.values.is_empty() {
        "nothing".to_owned()
    } else {
        found.values.join(", ")
    }
}

/// Descriptions of the first values, and the number of the others.
#[derive(Default)]
struct FoundValues {
    values: Vec<String>,
    more: usize,
}

impl Observer for FoundValues {
    fn observe(&mut self, _: End, value: &FieldValue<'_>) {
        if self.values.len() >= VALUES_MAX {
            self.more += 1;
            return;
        }
        self.values.push(match value {
            FieldValue::Absent => "nothing".to_owned(),
            FieldValue::Number(number) => number.to_string(),
            FieldValue::Text(text) => format!(
                "{:?}",
                text.chars().take(VALUE_CHARS_MAX).collect::<String>()
            ),
            FieldValue::Structure { empty: true } => "an empty list or object".to_owned(),
            FieldValue::Structure { empty: false } => "a list or object".to_owned(),
        });
    }

    fn should_continue(&mut self, _: usize) -> bool {
        true
    }
}
