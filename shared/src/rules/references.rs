//! All fields that a rules file refers to: in conditions, placeholders and copies.

use super::{field::Field, file, template::Template};
use crate::channel::Channel;

/// A field that a rule refers to.
pub(super) struct Reference<'a> {
    #[cfg_attr(
        not(feature = "explain"),
        expect(dead_code, reason = "only `explain` shows it")
    )]
    pub(super) rule: &'a str,
    /// The field as the merchant writes it outside a group.
    #[cfg_attr(
        not(feature = "explain"),
        expect(dead_code, reason = "only `explain` shows it")
    )]
    pub(super) name: &'a str,
    pub(super) field: &'a Field,
}

/// Calls `visit` with each valid field that the rules of a file refer to, enabled or not.
pub(super) fn visit<C: Channel>(file: &file::File, visit: &mut dyn FnMut(Reference<'_>)) {
    for rule in &file.rules {
        let mut visit_name = |name: &str| {
            if let Ok(field) = Field::parse::<C>(name) {
                let rule = &rule.name;
                let field = &field;
                visit(Reference { rule, name, field });
            }
        };
        for entry in &rule.when {
            visit_entry(entry, None, &mut visit_name);
        }
        for operation in &rule.then {
            visit_operation::<C>(operation, &mut visit_name);
        }
    }
}

fn visit_entry(entry: &file::Entry, element: Option<&str>, visit: &mut dyn FnMut(&str)) {
    let names = [&entry.field, &entry.count, &entry.sum, &entry.value_field];
    for name in names.into_iter().flatten() {
        match element {
            Some(element) => visit(&format!("{element}.{name}")),
            None => visit(name),
        }
    }
    let element = entry.element.as_deref().or(element);
    entry
        .nested()
        .for_each(|entry| visit_entry(entry, element, visit));
}

fn visit_operation<C: Channel>(operation: &file::RuleOperation, visit: &mut dyn FnMut(&str)) {
    let mut visit_text = |text: &str| {
        let template = Template::parse::<C>(text);
        for name in template.iter().flat_map(Template::names) {
            visit(name);
        }
    };
    match operation {
        file::RuleOperation::Exception {
            message: Some(message),
            ..
        } => visit_text(message),
        file::RuleOperation::Add {
            value, value_field, ..
        }
        | file::RuleOperation::Replace {
            value, value_field, ..
        } => {
            if let Some(value) = value {
                visit_texts(value, &mut visit_text);
            }
            if let Some(name) = value_field {
                visit(name);
            }
        }
        _ => {}
    }
}

fn visit_texts(value: &serde_json::Value, visit: &mut dyn FnMut(&str)) {
    match value {
        serde_json::Value::String(text) => visit(text),
        serde_json::Value::Array(list) => list.iter().for_each(|value| visit_texts(value, visit)),
        serde_json::Value::Object(map) => map.values().for_each(|value| visit_texts(value, visit)),
        _ => {}
    }
}
