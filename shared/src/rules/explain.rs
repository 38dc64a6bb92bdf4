//! The development command `rules`: checks a rules file and explains what it does to one event.
//! Compiled only with the feature `explain`.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use serde_json::value::RawValue;

use super::{
    CompiledCondition, CompiledRule, Effect, Mode, Rules,
    evaluate::{Evaluation, Evaluator},
    field::{Field, SentRoot},
    file, read,
    template::Template,
    unreadable::UnreadableValues,
    walk::Observer,
};
use crate::{
    channel::{Channel, Decision},
    deadline::Deadline,
    event::{Event, ReadOptions},
    model::{Entity, lookup::FieldValue},
    operation::{self, Operation},
    outcome::Failure,
    request::{
        self, Request,
        body::{Unverified, Verified},
    },
    verify::{Keys, Signatures},
};

const USAGE: &str = "usage: rules FILE [EVENT] [--all]

Checks the rules in FILE. With an EVENT (a body as a shop sends it, or an API Gateway request with
such a body), it explains which rules match and shows the answer to the shop. --all includes rules
that are not enabled.";

/// The maximum number of values shown for a field.
const VALUES_MAX: usize = 4;

/// The maximum length of a shown value in characters.
const VALUE_CHARS_MAX: usize = 60;

/// The time for all rules, which is always more than they need.
const BUDGET: Duration = Duration::from_secs(25);

/// Runs the command with its arguments and returns the output.
///
/// Fails if the arguments are wrong, the file has errors, or the event cannot be read.
pub fn command<C: Channel>(arguments: &[String]) -> Result<String, String> {
    let all = arguments.iter().any(|argument| argument == "--all");
    let mut paths = arguments.iter().filter(|argument| *argument != "--all");
    let (path, event) = match (paths.next(), paths.next(), paths.next()) {
        (Some(path), event, None) if !path.starts_with('-') => (path, event),
        _ => return Err(USAGE.to_owned()),
    };
    let with_path = |error: &dyn std::fmt::Display| format!("{path}: {error}");
    let text = read::content(Path::new(path)).map_err(|error| with_path(&error))?;
    let wanted = |rule: &file::Rule| all || rule.enabled;
    let rules = Rules::read_where::<C>(&text, wanted).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(|error| with_path(error)).collect();
        lines.join("\n")
    })?;
    let file = read::parse(&text).map_err(|error| with_path(&error))?;
    let mut output = summary(path, &file) + &notes::<C>(&file);
    if let Some(event) = event {
        let file_rules: Vec<_> = file.rules.into_iter().filter(wanted).collect();
        let input = fs::read(event).map_err(|error| format!("{event}: cannot be read: {error}"))?;
        let explanation = explain::<C>(&rules, &file_rules, &input)
            .map_err(|error| format!("{event}: {error}"))?;
        let _ = write!(output, "\n{explanation}");
    }
    Ok(output)
}

fn summary(path: &str, file: &file::File) -> String {
    let enabled = file.rules.iter().filter(|rule| rule.enabled).count();
    let disabled = file.rules.len() - enabled;
    let mode = match file.mode {
        Mode::Enforce => "enforced",
        Mode::Observe => "observed",
    };
    let s = if enabled == 1 { "" } else { "s" };
    format!("{path}: {enabled} rule{s} {mode}, {disabled} not enabled\n")
}

/// Lists the fields outside the contract, because a misspelled field looks like one of them.
fn notes<C: Channel>(file: &file::File) -> String {
    let mut output = String::new();
    let mut note = |rule: &file::Rule, name: &str, field: &Field| {
        let place = match field {
            Field::Contract(..) => return,
            Field::Sent(SentRoot::Entity, _) => "from what the shop sends",
            Field::Sent(SentRoot::Argument(_), _) => "from the other arguments of the event",
        };
        let rule = &rule.name;
        let _ = writeln!(
            output,
            "  rule {rule}: {name} is not in the contract; it is read {place}"
        );
    };
    for rule in &file.rules {
        for condition in &rule.when {
            if let Ok(field) = Field::parse::<C>(&condition.field) {
                note(rule, &condition.field, &field);
            }
        }
        for operation in &rule.then {
            if let file::RuleOperation::Exception {
                message: Some(message),
                ..
            } = operation
                && let Ok(template) = Template::parse::<C>(message)
            {
                template
                    .placeholders()
                    .for_each(|(name, field)| note(rule, name, field));
            }
        }
    }
    output
}

/// Explains what the rules do to an event, given as a body or as the request around it.
fn explain<C: Channel>(
    rules: &Rules,
    file_rules: &[file::Rule],
    input: &[u8],
) -> Result<String, String> {
    let request = request::read(input);
    let body = body(request.as_ref(), input)?;
    let event = Event::read::<C>(&body, ReadOptions::default())
        .map_err(|failure| failure_text(&failure))?;
    let deadline = Deadline::new(BUDGET, 0, 0);
    let evaluator = Evaluator::new(rules, &event, deadline);

    let mut output = String::new();
    if rules.rules.is_empty() {
        output.push_str("No rule is enabled.\n");
    }
    let mut refused = false;
    for (rule, file_rule) in rules.rules.iter().zip(file_rules) {
        if refused {
            let _ = writeln!(output, "- {}: skipped after the refusal", rule.name);
            continue;
        }
        let evaluation = evaluator.evaluate_rule(rule);
        let matched = match evaluation {
            Evaluation::True => true,
            Evaluation::False => false,
            Evaluation::Unknown => rule.matches_if_unknown,
        };
        refused = matched && matches!(rule.effect, Effect::Refuse { .. });
        output.push_str(&explain_rule(&evaluator, rule, file_rule, evaluation));
    }
    let ruling = rules.apply(&event, deadline);
    let observed = rules.mode == Mode::Observe && !ruling.matched.is_empty();
    let (answer, introduction) = match ruling.decision {
        Decision::Refuse(refusal) => (
            operation::body(&[Operation::from(refusal)]),
            "The event is not queued. The shop gets:",
        ),
        Decision::Accept(changes) => (
            operation::body(&changes),
            "Unless the channel itself refuses the event, it is queued and the shop gets:",
        ),
    };
    let introduction = if observed {
        "The rules are only observed: the shop gets success and the event is queued.\n\
         If they were enforced, the shop would get:"
    } else {
        introduction
    };
    let _ = writeln!(output, "\n{introduction}\n  {answer}");
    Ok(output)
}

fn explain_rule<E: Entity>(
    evaluator: &Evaluator<'_, '_, E>,
    rule: &CompiledRule,
    file_rule: &file::Rule,
    evaluation: Evaluation,
) -> String {
    let sign = |evaluation| match evaluation {
        Evaluation::True => '✓',
        Evaluation::False => '✗',
        Evaluation::Unknown => '?',
    };
    let disabled = if file_rule.enabled {
        ""
    } else {
        " (not enabled)"
    };
    let mut output = format!("{} {}{disabled}\n", sign(evaluation), rule.name);
    let mut lines = Vec::new();
    for (compiled, condition) in rule.conditions.iter().zip(&file_rule.when) {
        let value = condition.value.as_deref().map_or("", RawValue::get);
        let text = format!("{} {} {value}", condition.field, condition.operator);
        let found = found(evaluator.event, compiled);
        lines.push((sign(evaluator.evaluate_condition(compiled)), text, found));
    }
    let width = lines.iter().map(|(_, text, _)| text.chars().count()).max();
    for (sign, text, found) in lines {
        let width = width.unwrap_or_default();
        let _ = writeln!(output, "    {sign} {text:width$}  found {found}");
    }
    output
}

/// Returns a description of the values of a condition's field.
fn found<E: Entity>(event: &Event<'_, E>, condition: &CompiledCondition) -> String {
    let mut found = FoundValues::default();
    let result = condition.field.visit(event, &mut found);
    if let Field::Contract(path, _) = &condition.field {
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
    fn observe(&mut self, _: usize, value: &FieldValue<'_>) {
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

/// Returns the body of an event, from a request or directly from the input.
fn body<'a>(request: Option<&'a Request>, input: &'a [u8]) -> Result<Verified<'a>, String> {
    let text = |failure: Failure| failure_text(&failure);
    let unverified = request.map_or_else(|| Unverified::new(input), Unverified::of);
    let unverified = unverified.map_err(text)?;
    unverified
        .verify(&Keys::AcceptUnsigned, Signatures::default())
        .map_err(|unverified| text(unverified.into()))
}

fn failure_text(failure: &Failure) -> String {
    let mut output = format!(
        "the function would answer {} ({})",
        failure.status(),
        failure.name()
    );
    if let Failure::Invalid { violations, .. } = failure {
        for violation in violations {
            let _ = write!(output, "\n  {} {}", violation.pointer, violation.detail);
        }
    }
    output
}
