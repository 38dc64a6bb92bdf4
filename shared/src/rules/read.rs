//! From a file to rules: everything that is wrong with it is said at once, before any event comes.

use std::{collections::HashSet, fmt, fs, io::Read as _, path::Path};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    CONDITIONS_MAX, Condition, FILE_BYTES_MAX, OPERATIONS_MAX, Outcome, REGEXES_MAX, RULES_MAX,
    Rule, Rules,
    condition::Test,
    field::{Place, SentPlaces},
    file::{self, File, Operator, Then, WhenUnreadable},
    pattern::{FOLDED_MAX, TOO_MANY_FOLDED},
    template::Sentence,
};
use crate::{model::Entity, operation::Operation};

/// A path or a class of an operation has at most this many bytes.
const PATH_BYTES_MAX: usize = 512;

/// What is wrong with a rules file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    rule: Option<String>,
    reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rule) = &self.rule {
            write!(to, "rule {rule}: ")?;
        }
        to.write_str(&self.reason)
    }
}

impl Rules {
    /// Reads the rules file of a channel with this entity.
    pub fn load<E: Entity>(path: &Path) -> Result<Self, Vec<Problem>> {
        Self::read::<E>(&content(path).map_err(|problem| vec![problem])?)
    }

    /// Reads the rules of a channel with this entity: those that are enabled, or everything that is wrong with any.
    pub fn read<E: Entity>(text: &str) -> Result<Self, Vec<Problem>> {
        Self::read_where::<E>(text, |rule| rule.enabled)
    }

    pub(super) fn read_where<E: Entity>(
        text: &str,
        wanted: impl Fn(&file::Rule) -> bool,
    ) -> Result<Self, Vec<Problem>> {
        let file = parse(text).map_err(|problem| vec![problem])?;
        let mut problems = Vec::new();
        if file.rules.len() > RULES_MAX {
            let reason = format!("there are more than {RULES_MAX} rules");
            problems.push(Problem { rule: None, reason });
        }
        let conditions = file.rules.iter().flat_map(|rule| &rule.when);
        let regexes = conditions.filter(|condition| condition.operator == Operator::Regex);
        if regexes.count() > REGEXES_MAX {
            let reason = format!("there are more than {REGEXES_MAX} conditions with a regex");
            problems.push(Problem { rule: None, reason });
        }
        let mut names = HashSet::new();
        let mut rules = Vec::new();
        let mut folded = 0_u32;
        for written in &file.rules {
            let mut problem = |reason: String| {
                let rule = Some(written.name.chars().take(64).collect());
                problems.push(Problem { rule, reason });
            };
            if !is_name(&written.name) {
                problem(
                    "its name must be 1 to 64 small letters, digits, hyphens or underscores"
                        .to_owned(),
                );
            }
            if !names.insert(&written.name) {
                problem("another rule has this name".to_owned());
            }
            let rule = rule::<E>(written, &mut problem);
            let conditions = rule.iter().flat_map(|rule| &rule.conditions);
            folded = conditions.fold(folded, |folded, condition| {
                folded.saturating_add(condition.test.folded())
            });
            if folded > FOLDED_MAX {
                problem(format!("with the rules before it, it {TOO_MANY_FOLDED}"));
                break;
            }
            rules.extend(rule.filter(|_| wanted(written)));
        }
        if problems.is_empty() {
            Ok(Self::new(file.mode, rules))
        } else {
            Err(problems)
        }
    }

    fn new(mode: file::Mode, mut rules: Vec<Rule>) -> Self {
        let mut sent = SentPlaces::default();
        let mut slots = 0..;
        for condition in rules.iter_mut().flat_map(|rule| &mut rule.conditions) {
            if let Place::Sent(root, path) = &condition.place {
                condition.slot = slots.next();
                sent.add(root, path, condition.slot.unwrap_or_default());
            }
        }
        Self { mode, rules, sent }
    }
}

/// The text of a file, or the beginning of one that is too large.
pub(super) fn content(path: &Path) -> Result<String, Problem> {
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| {
            file.take(FILE_BYTES_MAX as u64 + 1)
                .read_to_string(&mut text)
        })
        .map_err(|error| Problem {
            rule: None,
            reason: format!("cannot be read: {error}"),
        })?;
    Ok(text)
}

pub(super) fn parse(text: &str) -> Result<File, Problem> {
    let problem = |reason| Problem { rule: None, reason };
    if text.len() > FILE_BYTES_MAX {
        return Err(problem(format!(
            "the file has more than {FILE_BYTES_MAX} bytes"
        )));
    }
    let text = text.trim_start_matches('\u{feff}'); // which some editors put first
    serde_json::from_str(text).map_err(|error| Problem {
        rule: rule_that_fails_alike(text, &error),
        reason: error.to_string(),
    })
}

/// The name of the rule that an error stands in. serde says the line and the column, which help little in a long line.
fn rule_that_fails_alike(text: &str, error: &serde_json::Error) -> Option<String> {
    #[derive(Deserialize)]
    struct Sketch<'a> {
        #[serde(borrow)]
        rules: Vec<&'a RawValue>,
    }

    #[derive(Deserialize)]
    struct Named {
        name: String,
    }

    let without_place = |error: &serde_json::Error| {
        let text = error.to_string();
        text.split(" at line ").next().map(str::to_owned)
    };
    let sketch: Sketch<'_> = serde_json::from_str(text).ok()?;
    let rule = sketch.rules.into_iter().find(|rule| {
        let alone = serde_json::from_str::<file::Rule>(rule.get()).err();
        alone.is_some_and(|alone| without_place(&alone) == without_place(error))
    })?;
    let named: Named = serde_json::from_str(rule.get()).ok()?;
    Some(named.name.chars().take(64).collect())
}

fn is_name(name: &str) -> bool {
    let fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

/// One rule, unless something is wrong with it.
fn rule<E: Entity>(written: &file::Rule, problem: &mut impl FnMut(String)) -> Option<Rule> {
    if written.when.is_empty() {
        problem("it has no conditions, so it would hold for every event".to_owned());
    }
    if written.when.len() > CONDITIONS_MAX {
        problem(format!("it has more than {CONDITIONS_MAX} conditions"));
    }
    let mut conditions = Vec::new();
    for (index, condition) in written.when.iter().enumerate() {
        match self::condition::<E>(condition) {
            Ok(condition) => conditions.push(condition),
            Err(reason) => problem(format!("condition {}: {reason}", index + 1)),
        }
    }
    let then = outcome::<E>(&written.then)
        .map_err(|reason| problem(format!("then: {reason}")))
        .ok()?;
    let refuses_unevaluated = written.when_unreadable == WhenUnreadable::Refuse;
    if refuses_unevaluated && matches!(then, Outcome::Change(_)) {
        problem("whenUnreadable: refuse needs an exception under then".to_owned());
    }
    Some(Rule {
        name: written.name.clone(),
        conditions,
        then,
        refuses_unevaluated,
    })
}

fn condition<E: Entity>(written: &file::Condition) -> Result<Condition, String> {
    let place = Place::find::<E>(&written.field)
        .map_err(|why| format!("the field {}: {why}", written.field))?;
    let test = Test::new(written.operator, written.value.as_deref(), place.kind())
        .map_err(|why| format!("{} {}: it {why}", written.field, written.operator))?;
    Ok(Condition {
        place,
        slot: None,
        test,
    })
}

fn outcome<E: Entity>(then: &[Then]) -> Result<Outcome, String> {
    if then.is_empty() {
        return Err("it has no operation".to_owned());
    }
    if then.len() > OPERATIONS_MAX {
        return Err(format!("it has more than {OPERATIONS_MAX} operations"));
    }
    if let [Then::Exception { message, class }] = then {
        let message = message.as_deref().map(Sentence::new::<E>);
        check_class("type", class.as_deref())?;
        return Ok(Outcome::Refuse {
            message: message
                .transpose()
                .map_err(|why| format!("the message {why}"))?,
            class: class.clone(),
        });
    }
    let operations: Result<_, _> = then.iter().map(change).collect();
    operations.map(Outcome::Change)
}

fn change(then: &Then) -> Result<Operation, String> {
    let checked = |path: &str, instance: Option<&str>| {
        check_path(path).and_then(|()| check_class("instance", instance))
    };
    match then.clone() {
        Then::Exception { .. } => Err(
            "an exception stands alone: nothing is changed when the shopper is stopped".to_owned(),
        ),
        Then::Add {
            path,
            value,
            instance,
        } => {
            checked(&path, instance.as_deref())?;
            Ok(Operation::Add {
                path,
                value,
                instance,
            })
        }
        Then::Replace {
            path,
            value,
            instance,
        } => {
            checked(&path, instance.as_deref())?;
            Ok(Operation::Replace {
                path,
                value,
                instance,
            })
        }
        Then::Remove { path } => {
            checked(&path, None)?;
            Ok(Operation::Remove { path })
        }
    }
}

fn check_path(path: &str) -> Result<(), String> {
    let step = |step: &str| {
        !step.is_empty() && !step.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    let root = matches!(path.split('/').next(), Some("data" | "result" | "subject"));
    if root && path.len() <= PATH_BYTES_MAX && path.split('/').all(step) {
        return Ok(());
    }
    Err(format!(
        "the path {path:?}: begin with data, and write slashes between the names, as in data/order/ext_order_id"
    ))
}

/// A PHP class, or an interface: names with backslashes between them.
fn check_class(what: &str, class: Option<&str>) -> Result<(), String> {
    let Some(class) = class else {
        return Ok(());
    };
    let name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if class.len() <= PATH_BYTES_MAX && class.trim_start_matches('\\').split('\\').all(name) {
        return Ok(());
    }
    Err(format!("{what} {class:?} is no PHP class"))
}
