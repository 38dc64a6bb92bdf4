//! The message of an exception: the merchant's text with placeholders for values of the event.

use super::{
    field::Field,
    unreadable::{UnreadableValues, value_of_unreadable},
    walk::{End, Observer},
    work_meter::WorkMeter,
};
use crate::{
    channel::Channel,
    event::Event,
    model::{
        Entity,
        lookup::{FieldKind, FieldValue},
    },
};

/// The maximum length of a template in characters.
const CHARS_MAX: usize = 1000;

/// The maximum number of placeholders in a template.
const PLACEHOLDERS_MAX: usize = 10;

/// The maximum number of values that replace one placeholder.
const VALUES_MAX: usize = 5;

/// The maximum length of a value that replaces a placeholder, in characters.
const VALUE_CHARS_MAX: usize = 100;

/// A text with placeholders.
#[derive(Debug)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug)]
enum Part {
    Literal(String),
    Placeholder {
        #[cfg_attr(
            not(any(feature = "explain", feature = "schema")),
            expect(dead_code, reason = "only development commands use it")
        )]
        name: String,
        field: Field,
    },
}

impl Template {
    /// Parses a text in which `{field}` is a placeholder and `{{` a literal brace. The error is a
    /// clause that follows "the message".
    pub(super) fn parse<C: Channel>(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("is empty; omit it to use the hook's fallback message".to_owned());
        }
        if text.chars().count() > CHARS_MAX {
            return Err(format!("has more than {CHARS_MAX} characters"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            parts.push(Part::Literal(before.to_owned()));
            if let Some(after) = after.strip_prefix('{') {
                parts.push(Part::Literal("{".to_owned()));
                rest = after;
                continue;
            }
            let (name, after) = after
                .split_once('}')
                .ok_or("has { without }; write {{ for a literal brace")?;
            let field = Field::parse::<C>(name)
                .map_err(|why| format!("has a placeholder {{{name}}} that {why}"))?;
            if field.kind() == Some(FieldKind::Structure) {
                return Err(format!(
                    "has a placeholder {{{name}}} that is a list or an object"
                ));
            }
            let name = name.to_owned();
            parts.push(Part::Placeholder { name, field });
            rest = after;
        }
        parts.push(Part::Literal(rest.to_owned()));
        let placeholders = parts
            .iter()
            .filter(|part| matches!(part, Part::Placeholder { .. }));
        if placeholders.count() > PLACEHOLDERS_MAX {
            return Err(format!("has more than {PLACEHOLDERS_MAX} placeholders"));
        }
        Ok(Self(parts))
    }

    /// Returns the names of the placeholders.
    #[cfg(any(feature = "explain", feature = "schema"))]
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Placeholder { name, .. } => Some(name.as_str()),
        })
    }

    /// Returns the text if it has no placeholders.
    pub(super) fn as_literal(&self) -> Option<String> {
        let literals = self.0.iter().map(|part| match part {
            Part::Literal(literal) => Some(literal.as_str()),
            Part::Placeholder { .. } => None,
        });
        literals.collect()
    }

    /// Returns the text for one event. A placeholder becomes empty if its field is absent or the
    /// deadline passed.
    pub(super) fn render<E: Entity>(&self, event: &Event<'_, E>, meter: &WorkMeter) -> String {
        self.render_parts(event, meter).0
    }

    /// Returns the text for one event. `None` if a placeholder is empty.
    pub(super) fn render_all<E: Entity>(
        &self,
        event: &Event<'_, E>,
        meter: &WorkMeter,
    ) -> Option<String> {
        let (text, is_complete) = self.render_parts(event, meter);
        is_complete.then_some(text)
    }

    /// Returns the text, and whether no placeholder is empty.
    fn render_parts<E: Entity>(&self, event: &Event<'_, E>, meter: &WorkMeter) -> (String, bool) {
        let mut text = String::new();
        let mut is_complete = true;
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Placeholder { field, .. } if meter.allows_step(0) => {
                    let mut values = RenderedValues {
                        meter,
                        values: Vec::new(),
                        has_more: false,
                    };
                    // If the walk ends early, the values found so far are rendered.
                    let _ = field.visit(event, &mut values);
                    if let Field::Contract(path, kind) = field {
                        let sent = UnreadableValues::at(path, event).values;
                        sent.iter()
                            .filter_map(|json| value_of_unreadable(json, *kind))
                            .for_each(|value| values.observe(End::Value(0), &value));
                    }
                    let rendered = values.values.join(", ");
                    is_complete &= !rendered.is_empty();
                    text.push_str(&rendered);
                    if values.has_more {
                        text.push_str(", …");
                    }
                }
                Part::Placeholder { .. } => is_complete = false,
            }
        }
        (text, is_complete)
    }
}

/// The first values of a field, shortened, and without markup and control characters.
struct RenderedValues<'a> {
    meter: &'a WorkMeter,
    values: Vec<String>,
    has_more: bool,
}

impl Observer for RenderedValues<'_> {
    fn observe(&mut self, _: End, value: &FieldValue<'_>) {
        let full = self.values.len() >= VALUES_MAX;
        match value {
            FieldValue::Absent | FieldValue::Structure { .. } => {}
            FieldValue::Number(_) | FieldValue::Text(_) if full => self.has_more = true,
            FieldValue::Number(number) => self.values.push(number.to_string()),
            FieldValue::Text(text) => self.values.push(
                text.chars()
                    // Bounds the work on a text if most of its characters are filtered out.
                    .take(10 * VALUE_CHARS_MAX)
                    .filter(|c| !c.is_control() && !matches!(c, '<' | '>'))
                    .take(VALUE_CHARS_MAX)
                    .collect(),
            ),
        }
    }

    fn should_continue(&mut self, bytes: usize) -> bool {
        !self.has_more && self.meter.allows_step(bytes)
    }
}

#[cfg(test)]
mod tests;
