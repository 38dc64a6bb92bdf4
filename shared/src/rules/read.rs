//! Reads and checks a rules file at cold start. All errors of a file are reported together.
//! The format itself is in `file`.

use std::{collections::HashSet, fmt, fs, io::Read as _, path::Path};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    CONDITIONS_MAX, CompiledCondition, CompiledRule, FILE_BYTES_MAX, REGEXES_MAX, RULES_MAX, Rules,
    effect::Effect,
    field::Field,
    file::{self, File, WhenUnreadable},
    operator::{Comparison, Operator},
    pattern::{FOLDED_MAX, TOO_MANY_FOLDED},
    walk::SentFields,
};
use crate::channel::Channel;

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
        let conditions = file.rules.iter().flat_map(|rule| &rule.when);
        let regexes = conditions.filter(|condition| condition.operator == Operator::Regex);
        if regexes.count() > REGEXES_MAX {
            let reason = format!("there are more than {REGEXES_MAX} conditions with a regex");
            errors.push(RulesError::of_file(reason));
        }
        let mut names = HashSet::new();
        let mut rules = Vec::new();
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
            let conditions = compiled.iter().flat_map(|rule| &rule.conditions);
            let patterns = conditions.filter_map(|condition| condition.comparison.pattern());
            folded = patterns.fold(folded, |folded, pattern| {
                folded.saturating_add(pattern.folded)
            });
            if folded > FOLDED_MAX {
                report(format!(
                    "together with the rules before it, it {TOO_MANY_FOLDED}"
                ));
                break;
            }
            rules.extend(compiled.filter(|_| wanted(rule)));
        }
        if errors.is_empty() {
            Ok(Self::new(file.mode, rules))
        } else {
            Err(errors)
        }
    }

    fn new(mode: file::Mode, mut rules: Vec<CompiledRule>) -> Self {
        let mut sent = SentFields::default();
        let mut slots = 0..;
        for condition in rules.iter_mut().flat_map(|rule| &mut rule.conditions) {
            if let Field::Sent(root, path) = &condition.field {
                condition.slot = slots.next();
                sent.add(root, path, condition.slot.unwrap_or_default());
            }
        }
        Self { mode, rules, sent }
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
    if rule.when.is_empty() {
        report("it has no conditions and would match every event".to_owned());
    }
    if rule.when.len() > CONDITIONS_MAX {
        report(format!("it has more than {CONDITIONS_MAX} conditions"));
    }
    let mut conditions = Vec::new();
    for (index, condition) in rule.when.iter().enumerate() {
        match compile_condition::<C>(condition) {
            Ok(condition) => conditions.push(condition),
            Err(reason) => report(format!("condition {}: {reason}", index + 1)),
        }
    }
    let effect = Effect::parse::<C>(&rule.then)
        .map_err(|reason| report(format!("then: {reason}")))
        .ok()?;
    let matches_if_unknown = rule.when_unreadable == WhenUnreadable::Refuse;
    if matches_if_unknown && matches!(effect, Effect::Change(_)) {
        report("whenUnreadable: refuse requires an exception under then".to_owned());
    }
    Some(CompiledRule {
        name: rule.name.clone(),
        conditions,
        effect,
        matches_if_unknown,
    })
}

fn compile_condition<C: Channel>(condition: &file::Condition) -> Result<CompiledCondition, String> {
    let file::Condition {
        field: name,
        operator,
        value,
    } = condition;
    let field = Field::parse::<C>(name).map_err(|why| format!("the field {name:?} {why}"))?;
    let comparison = Comparison::parse(*operator, value.as_deref(), field.kind())
        .map_err(|why| format!("{name} {operator}: {why}"))?;
    Ok(CompiledCondition {
        field,
        slot: None,
        comparison,
    })
}

#[cfg(test)]
mod tests;
