//! Reads and checks a rules file at cold start. All errors of a file are reported together.
//! The format itself is in `file`.

use std::{collections::HashSet, fmt, fs, io::Read as _, path::Path};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    CompiledRule, FILE_BYTES_MAX, REGEXES_MAX, RULES_MAX, RuleSet, Rules,
    condition::{Comparand, CompiledCondition, CompiledEntry, ElementGroup, compile_all},
    effect::Effect,
    elements::ElementList,
    field::Field,
    file::{self, File, Mode, WhenUnreadable},
    operator::Operator,
    pattern::{FOLDED_MAX, TOO_MANY_FOLDED},
    walk::End,
};
use crate::{channel::Channel, model::lookup::FieldKind};

/// One error in a rules file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesError {
    rule: Option<String>,
    reason: String,
}

impl fmt::Display for RulesError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rule) = &self.rule {
            write!(to, "rule {rule}: ")?;
        }
        to.write_str(&self.reason)
    }
}

impl RulesError {
    fn of_file(reason: String) -> Self {
        Self { rule: None, reason }
    }
}

impl Rules {
    /// Reads the rules file at `path` for a channel. Returns the enabled rules,
    /// or all errors of the file.
    pub fn load<C: Channel>(path: &Path) -> Result<Self, Vec<RulesError>> {
        Self::read::<C>(&content(path).map_err(|error| vec![error])?)
    }

    /// Reads the text of a rules file. Returns the enabled rules, or all errors of the file.
    pub fn read<C: Channel>(text: &str) -> Result<Self, Vec<RulesError>> {
        Self::read_where::<C>(text, |rule| rule.enabled)
    }

    /// Checks all rules of a file and returns those for which `wanted` is true.
    pub(super) fn read_where<C: Channel>(
        text: &str,
        wanted: impl Fn(&file::Rule) -> bool,
    ) -> Result<Self, Vec<RulesError>> {
        let file = parse(text).map_err(|error| vec![error])?;
        let mut errors = Vec::new();
        if file.rules.len() > RULES_MAX {
            let reason = format!("there are more than {RULES_MAX} rules");
            errors.push(RulesError::of_file(reason));
        }
        let mut regexes = 0;
        for entry in file.rules.iter().flat_map(|rule| &rule.when) {
            entry.visit_conditions(&mut |condition| {
                regexes += usize::from(condition.operator == Some(Operator::Regex));
            });
        }
        if regexes > REGEXES_MAX {
            let reason = format!("there are more than {REGEXES_MAX} conditions with a regex");
            errors.push(RulesError::of_file(reason));
        }
        let mut names = HashSet::new();
        let mut rules = Self::default();
        let mut folded = 0_u32;
        for rule in &file.rules {
            let mut report = |reason: String| {
                let rule = Some(rule.name.chars().take(64).collect());
                errors.push(RulesError { rule, reason });
            };
            if !is_name(&rule.name) {
                report(
                    "the name must have 1 to 64 lowercase letters, digits, hyphens or underscores"
                        .to_owned(),
                );
            }
            if !names.insert(&rule.name) {
                report("another rule has the same name".to_owned());
            }
            let compiled = compile_rule::<C>(rule, &mut report);
            let entries = compiled.iter().flat_map(|rule| &rule.entries);
            folded = entries.fold(folded, |folded, entry| {
                folded.saturating_add(entry.folded())
            });
            if folded > FOLDED_MAX {
                report(format!(
                    "together with the rules before it, it {TOO_MANY_FOLDED}"
                ));
                break;
            }
            let set = match rule.mode.unwrap_or(file.mode) {
                Mode::Enforce => &mut rules.enforced,
                Mode::Observe => &mut rules.observed,
            };
            compiled
                .filter(|_| wanted(rule))
                .into_iter()
                .for_each(|rule| set.add(rule));
        }
        if errors.is_empty() {
            Ok(rules)
        } else {
            Err(errors)
        }
    }
}

impl RuleSet {
    fn add(&mut self, mut rule: CompiledRule) {
        for entry in &mut rule.entries {
            self.add_entry(entry);
        }
        self.rules.push(rule);
    }

    /// Adds the values that an entry needs from the JSON, and numbers its conditions and groups.
    fn add_entry(&mut self, entry: &mut CompiledEntry) {
        match entry {
            CompiledEntry::Condition(condition) => self.add_condition(condition),
            CompiledEntry::Element(group) => self.add_group(group),
            CompiledEntry::Any(entries) => {
                for entry in entries {
                    self.add_entry(entry);
                }
            }
        }
    }

    fn add_group(&mut self, group: &mut ElementGroup) {
        let is_same = |list: &ElementList| list.root == group.root && list.path == group.path;
        let index = self.lists.iter().position(is_same);
        group.list = index.unwrap_or_else(|| {
            let list = self.lists.len();
            self.lists.push(ElementList::of(group));
            self.sent.add_list(&group.root, &group.path, list);
            list
        });
        for condition in &mut group.conditions {
            condition.slot = self.add_in_element(group.list, &condition.field, condition.sent_as);
            if let Comparand::Field {
                field,
                sent_as,
                slot,
                ..
            } = &mut condition.comparand
            {
                *slot = self.add_in_element(group.list, field, *sent_as);
            }
        }
        if let Some(list) = self.lists.get_mut(group.list) {
            group.index = list.groups;
            list.groups += 1;
        }
    }

    /// Adds a field of the elements of a list. Returns its index among those of the list.
    fn add_in_element(
        &mut self,
        list: usize,
        field: &Field,
        kind: Option<FieldKind>,
    ) -> Option<usize> {
        let (slot, is_new) = self.lists.get_mut(list)?.add(field, kind);
        if is_new && let Field::Sent(root, path) = field {
            self.sent.add(root, path, End::InElement { list, slot });
        }
        Some(slot)
    }

    fn add_condition(&mut self, condition: &mut CompiledCondition) {
        if !condition.is_sent() {
            return;
        }
        let slot = self.slots;
        self.slots += 1;
        condition.slot = Some(slot);
        if let Field::Sent(root, path) = &condition.field {
            self.sent.add(root, path, End::Value(slot));
        }
        if let Comparand::Field {
            field: Field::Sent(root, path),
            ..
        } = &condition.comparand
        {
            self.sent.add(root, path, End::Other(slot));
        }
    }
}

/// Reads the text of a file. If the file is too large, returns only the beginning, which [`parse`]
/// rejects.
pub(super) fn content(path: &Path) -> Result<String, RulesError> {
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| {
            file.take(FILE_BYTES_MAX as u64 + 1)
                .read_to_string(&mut text)
        })
        .map_err(|error| RulesError::of_file(format!("cannot be read: {error}")))?;
    Ok(text)
}

/// Parses the text of a rules file.
pub(super) fn parse(text: &str) -> Result<File, RulesError> {
    if text.len() > FILE_BYTES_MAX {
        let reason = format!("the file has more than {FILE_BYTES_MAX} bytes");
        return Err(RulesError::of_file(reason));
    }
    // Some editors write a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str(text).map_err(|error| RulesError {
        rule: rule_with_error(text, &error),
        reason: error.to_string(),
    })
}

/// Returns the name of the rule that contains a parse error, because a line and a column do not
/// help if the file has one long line. It is the first rule that fails with the same error on its
/// own.
fn rule_with_error(text: &str, error: &serde_json::Error) -> Option<String> {
    #[derive(Deserialize)]
    struct RawRules<'a> {
        #[serde(borrow)]
        rules: Vec<&'a RawValue>,
    }

    #[derive(Deserialize)]
    struct RuleName {
        name: String,
    }

    let without_position = |error: &serde_json::Error| {
        let text = error.to_string();
        text.split(" at line ").next().map(str::to_owned)
    };
    let raw: RawRules<'_> = serde_json::from_str(text).ok()?;
    let rule = raw.rules.into_iter().find(|rule| {
        let alone = serde_json::from_str::<file::Rule>(rule.get()).err();
        alone.is_some_and(|alone| without_position(&alone) == without_position(error))
    })?;
    let rule: RuleName = serde_json::from_str(rule.get()).ok()?;
    Some(rule.name.chars().take(64).collect())
}

fn is_name(name: &str) -> bool {
    let is_allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// Checks and compiles one rule, and reports its errors.
fn compile_rule<C: Channel>(
    rule: &file::Rule,
    report: &mut impl FnMut(String),
) -> Option<CompiledRule> {
    let entries = compile_all::<C>(&rule.when, report);
    let effect = Effect::parse::<C>(&rule.then)
        .map_err(|reason| report(format!("then: {reason}")))
        .ok()?;
    let matches_if_unknown = rule.when_unreadable == WhenUnreadable::Refuse;
    if matches_if_unknown && matches!(effect, Effect::Change { .. }) {
        report("whenUnreadable: refuse requires an exception under then".to_owned());
    }
    Some(CompiledRule {
        name: rule.name.clone(),
        entries,
        effect,
        matches_if_unknown,
    })
}

#[cfg(test)]
mod tests;
