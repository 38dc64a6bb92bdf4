//! The fields of the hooks in `commerce/webhooks.xml`.

use std::{collections::BTreeSet, fs, ops::Range, path::Path};

use serde_json::{Value, json};

use crate::{
    channel::{Channel, HookType, is_plugin},
    model::{Decode as _, Entity},
    rules::File,
};

/// The path of the file in the repository.
pub const HOOKS_FILE: &str = "commerce/webhooks.xml";

/// The start of a line with a field.
const INDENTATION: &str = "                        ";

/// The hook of a channel in the text of webhooks.xml, as it is and as it should be.
#[derive(Debug)]
pub struct HookUpdate {
    /// The text of the whole file with the current fields.
    pub xml: String,
    /// The fields that are new.
    pub added: Vec<HookField>,
    /// The names of the fields that are gone.
    pub removed: Vec<String>,
    /// What a person should know: what could not be read, and which fields are never sent.
    pub notes: Vec<String>,
    /// Whether the file has the fields of the contract, whatever the rules are.
    pub(super) has_contract: bool,
}

/// A field of a hook.
#[derive(Debug, PartialEq, Eq)]
pub struct HookField {
    /// The name, as the shop has it.
    pub name: String,
    /// The rule that uses the field, or `None` if it belongs to the contract.
    pub rule: Option<String>,
}

/// Updates the fields of the channel's hook: those of the contract, and those that its rules use.
///
/// Keeps the fields below a comment, which are the merchant's own, and a hook without fields, which
/// sends everything. Returns `None` if the text has no hook for the channel. `root` is the
/// directory of the repository.
pub fn update_hook<C: Channel>(root: &Path, xml: &str) -> Result<Option<HookUpdate>, String> {
    let visible = without_comments(xml);
    let Some(method) = find_method::<C>(&visible) else {
        return Ok(None);
    };
    let mut update = HookUpdate {
        xml: xml.to_owned(),
        added: Vec::new(),
        removed: Vec::new(),
        notes: Vec::new(),
        has_contract: true,
    };
    let text = visible.get(method.clone()).unwrap_or_default();
    let Some((start, rest)) = text.split_once("<fields>\n") else {
        return Ok(Some(update));
    };
    let begin = method.start + start.len() + "<fields>\n".len();
    let end = rest
        .find("</fields>")
        .ok_or_else(|| format!("{HOOKS_FILE}: {} has no </fields>", C::NAME))?;
    let old = xml.get(begin..begin + end).unwrap_or_default();
    let (written, own) = match old.find("<!--") {
        Some(comment) => old.split_at(old.get(..comment).unwrap_or_default().trim_end().len()),
        None => (old.trim_end(), ""),
    };
    let own = own.trim_start_matches('\n').trim_end();
    let written: Vec<String> = field_names(written).collect();

    let (entity_path, mut names) = contract_fields::<C>(root);
    update.has_contract = written.starts_with(&names);
    let mut fields: Vec<HookField> = names.iter().map(contract_field).collect();
    match rule_fields::<C>(root, &entity_path) {
        Ok(of_rules) => {
            names.extend(field_names(own));
            for field in of_rules {
                if is_secret(&field.name) || !is_attribute(&field.name) {
                    let rule = field.rule.unwrap_or_default();
                    let what = format!("no hook sends {}, which the rule {rule} uses", field.name);
                    update.notes.push(what);
                } else if !is_sent(&names, &field.name) {
                    names.push(field.name.clone());
                    fields.push(field);
                }
            }
        }
        // Until the file can be read, nothing is lost.
        Err(why) => {
            let kept = written.iter().filter(|name| !names.contains(name));
            fields.extend(kept.map(contract_field));
            update.notes.push(why);
        }
    }
    let is_written = |field: &HookField| written.contains(&field.name);
    update.removed = (written.iter())
        .filter(|name| !fields.iter().any(|field| field.name == **name))
        .cloned()
        .collect();

    let mut lines: Vec<String> = fields
        .iter()
        .map(|field| format!("{INDENTATION}<field name=\"{}\" />\n", field.name))
        .collect();
    if !own.is_empty() {
        lines.push(format!("{INDENTATION}{}\n", own.trim_start()));
    }
    let lines = lines.concat();
    let indentation = INDENTATION.strip_suffix("    ").unwrap_or_default();
    let new = format!("{lines}{indentation}");
    update.xml.replace_range(begin..begin + old.len(), &new);
    update.added = fields
        .into_iter()
        .filter(|field| !is_written(field))
        .collect();
    Ok(Some(update))
}

fn contract_field(name: impl AsRef<str>) -> HookField {
    HookField {
        name: name.as_ref().to_owned(),
        rule: None,
    }
}

/// Finds the channel's `<method>` by its name and type, up to its end.
fn find_method<C: Channel>(xml: &str) -> Option<Range<usize>> {
    let hook_type = match C::HOOK_TYPE {
        HookType::Before => "type=\"before\"",
        HookType::After => "type=\"after\"",
    };
    let names = [
        C::METHOD.to_owned(),
        C::METHOD.replacen(".magento.", ".", 1),
    ];
    let names = names.map(|name| format!("name=\"{name}\""));
    let mut starts = xml.match_indices("<method ").map(|(start, _)| start);
    starts.find_map(|start| {
        let rest = xml.get(start..)?;
        let (tag, _) = rest.split_once('>')?;
        if !tag.contains(hook_type) || !names.iter().any(|name| tag.contains(name)) {
            return None;
        }
        Some(start..start + rest.find("</method>")?)
    })
}

fn field_names(xml: &str) -> impl Iterator<Item = String> {
    let tags = xml.split("<field ").skip(1);
    tags.filter_map(|tag| {
        let (_, rest) = tag.split_once("name=\"")?;
        Some(rest.split_once('"')?.0.to_owned())
    })
}

/// Returns the fields that a hook must send for the channel whatever the rules are: the event's
/// name, so that a signed body is valid on one route only, and the fields of the contract, with the
/// names of the shop. The first value is the path at which the shop sends the entity.
fn contract_fields<C: Channel>(root: &Path) -> (String, Vec<String>) {
    let sample = read(root, &format!("events/{}/default.body.json", C::NAME));
    let sample: Value = serde_json::from_str(&sample).unwrap_or_default();
    let is_plugin = is_plugin(C::METHOD);
    let (prefix, arguments) = if is_plugin {
        ("", Some(&sample))
    } else {
        ("data.", sample.get("data"))
    };
    let mut keys = C::Entity::KEYS.iter();
    let (key, entity) = keys
        .find_map(|key| Some((*key, arguments?.get(key)?)))
        .unwrap_or((
            C::Entity::KEYS.first().copied().unwrap_or_default(),
            &Value::Null,
        ));
    let entity_path = format!("{prefix}{key}");
    let entity_path = entity_path.trim_end_matches('.').to_owned();
    let mut fields = Vec::new();
    if !is_plugin {
        fields.push("eventName".to_owned());
    }
    C::Entity::hook_fields(entity, &entity_path, &mut fields);
    fields.retain(|field| !is_secret(field));
    (entity_path, fields)
}

/// Returns the fields outside the contract that the channel's rules use, enabled or not, with the
/// first rule that uses each.
fn rule_fields<C: Channel>(root: &Path, entity_path: &str) -> Result<Vec<HookField>, String> {
    let path = format!("functions/{}/rules.json", C::NAME);
    let text = read(root, &path);
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let invalid = || format!("{path} is invalid, so the hook keeps its fields; run `make rules`");
    let file: Value = serde_json::from_str(&text).map_err(|_| invalid())?;
    let rules = file.get("rules").and_then(Value::as_array);
    let (mut seen, mut fields) = (BTreeSet::new(), Vec::new());
    for rule in rules.ok_or_else(invalid)? {
        // A file with only this rule, read from text because a rule keeps raw values.
        let alone = json!({ "rules": [rule] }).to_string();
        let alone: File = serde_json::from_str(&alone).map_err(|_| invalid())?;
        let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
        for field in crate::rules::hook_fields::<C>(&alone, entity_path) {
            if seen.insert(field.clone()) {
                fields.push(HookField {
                    name: field,
                    rule: Some(name.to_owned()),
                });
            }
        }
    }
    fields.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(fields)
}

/// Whether one of the fields is this field, or an object or a list that contains it.
fn is_sent(names: &[String], field: &str) -> bool {
    names.iter().any(|name| {
        let rest = field.strip_prefix(name.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || rest.starts_with("[]"))
    })
}

/// Whether an attribute of an XML element can have this value as it is.
fn is_attribute(field: &str) -> bool {
    !field.contains(|c: char| c.is_control() || matches!(c, '<' | '>' | '&' | '"' | '\''))
}

/// Returns the XML with spaces for each byte of a comment, so that positions stay the same.
fn without_comments(xml: &str) -> String {
    let (mut visible, mut rest) = (String::new(), xml);
    while let Some((before, comment)) = rest.split_once("<!--") {
        let after = comment.split_once("-->").map_or("", |(_, after)| after);
        visible.push_str(before);
        visible.push_str(&" ".repeat(rest.len() - before.len() - after.len()));
        rest = after;
    }
    visible + rest
}

/// Whether a part of the field's name is that of a password, a token or a payment card.
fn is_secret(field: &str) -> bool {
    field.split('.').any(|name| {
        name.starts_with("password") || name.starts_with("rp_token") || name.starts_with("cc_")
    })
}

fn read(root: &Path, name: &str) -> String {
    fs::read_to_string(root.join(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
