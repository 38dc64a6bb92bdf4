//! Tries a rules file on an event and says which rule matched and why. In development builds only: what runs in Lambda has no
//! command line.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use serde_json::value::RawValue;

use super::{
    Condition, Mode, Rule, Rules,
    evaluate::{Evaluation, Trial},
    field::{Observer, Place, Root, Unreadable},
    file, read,
    template::Sentence,
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

/// How a development build of a function is called.
const USAGE: &str = "usage: rules FILE [EVENT] [--all]

Checks the rules in FILE. With an EVENT (a body as a shop sends it, or the request that API Gateway makes of it) it says which
rules match and why, and what the shop would get. --all also tries rules that are not enabled.";

/// At most this many values are shown of what stands at a field, each with at most this many characters.
const VALUES_MAX: usize = 4;
const VALUE_CHARS_MAX: usize = 60;

/// Time enough.
const BUDGET: Duration = Duration::from_secs(25);

/// What the command `rules` says: it is an error when something is wrong with the rules or the event.
pub(crate) fn command<C: Channel>(arguments: &[String]) -> Result<String, String> {
    let all = arguments.iter().any(|argument| argument == "--all");
    let mut paths = arguments.iter().filter(|argument| *argument != "--all");
    let (path, event) = match (paths.next(), paths.next(), paths.next()) {
        (Some(path), event, None) if !path.starts_with('-') => (path, event),
        _ => return Err(USAGE.to_owned()),
    };
    let named = |problem: &dyn std::fmt::Display| format!("{path}: {problem}");
    let text = read::content(Path::new(path)).map_err(|problem| named(&problem))?;
    let wanted = |rule: &file::Rule| all || rule.enabled;
    let rules = Rules::read_where::<C::Entity>(&text, wanted).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(|problem| named(problem)).collect();
        lines.join("\n")
    })?;
    let written = read::parse(&text).map_err(|problem| named(&problem))?;
    let mut said = summary(path, &written) + &notes::<C::Entity>(&written);
    if let Some(event) = event {
        let written: Vec<_> = written.rules.into_iter().filter(wanted).collect();
        let sent = fs::read(event).map_err(|error| format!("{event}: cannot be read: {error}"))?;
        let told =
            explain::<C>(&rules, &written, &sent).map_err(|why| format!("{event}: {why}"))?;
        let _ = write!(said, "\n{told}"); // writing to a String never fails
    }
    Ok(said)
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

/// The fields that are in no contract: right if the shop sends them, and otherwise never found.
fn notes<E: Entity>(file: &file::File) -> String {
    let mut said = String::new();
    let mut note = |rule: &file::Rule, field: &str, place: &Place| {
        let asked = match place {
            Place::Contract(..) => return,
            Place::Sent(Root::Entity, _) => "in what the shop sends",
            Place::Sent(Root::Argument(_), _) => "among the event's other arguments",
        };
        let name = &rule.name;
        // Writing to a String never fails.
        let _ = writeln!(
            said,
            "  rule {name}: {field} is not in the contract; it is looked for {asked}"
        );
    };
    for rule in &file.rules {
        for condition in &rule.when {
            if let Ok(place) = Place::find::<E>(&condition.field) {
                note(rule, &condition.field, &place);
            }
        }
        for then in &rule.then {
            if let file::Then::Exception {
                message: Some(message),
                ..
            } = then
                && let Ok(sentence) = Sentence::new::<E>(message)
            {
                sentence
                    .fields()
                    .for_each(|(field, place)| note(rule, field, place));
            }
        }
    }
    said
}

fn explain<C: Channel>(
    rules: &Rules,
    written: &[file::Rule],
    sent: &[u8],
) -> Result<String, String> {
    let request = request::read(sent);
    let body = body(request.as_ref(), sent)?;
    let event = Event::read::<C>(&body, ReadOptions::default())
        .map_err(|failure| not_an_event(&failure))?;
    let deadline = Deadline::new(BUDGET, 0, 0);
    let trial = Trial::new(rules, &event, deadline);

    let mut said = String::new();
    if rules.rules.is_empty() {
        said.push_str("No rule is tried: none is enabled.\n");
    }
    let mut refused = false;
    for (rule, written) in rules.rules.iter().zip(written) {
        if refused {
            let _ = writeln!(said, "- {}: not tried, the refusal stands", rule.name);
            continue;
        }
        let evaluation = trial.evaluate(rule);
        let matched = match evaluation {
            Evaluation::True => true,
            Evaluation::False => false,
            Evaluation::Unknown => rule.refuses_unevaluated,
        };
        refused = matched && matches!(rule.then, super::Outcome::Refuse { .. });
        said.push_str(&explain_rule(&trial, rule, written, evaluation));
    }
    let ruling = rules.apply(&event, deadline);
    let matched = ruling.matched.join(",");
    let (answer, queued) = match ruling.decision {
        Decision::Refuse(refusal) => (operation::body(&[Operation::from(refusal)]), false),
        Decision::Accept(changes) => (operation::body(&changes), true),
    };
    let _ = match rules.mode {
        Mode::Observe if !matched.is_empty() => writeln!(
            said,
            "\nThe shop gets success and the event is queued, because the rules are only observed. Enforced, it would get:\n  {answer}"
        ),
        _ => writeln!(
            said,
            "\nThe shop gets, if nothing else decides otherwise (the event is {}queued):\n  {answer}",
            if queued { "" } else { "not " }
        ),
    };
    Ok(said)
}

fn explain_rule<E: Entity>(
    trial: &Trial<'_, '_, E>,
    rule: &Rule,
    written: &file::Rule,
    evaluation: Evaluation,
) -> String {
    let sign = |evaluation| match evaluation {
        Evaluation::True => '✓',
        Evaluation::False => '✗',
        Evaluation::Unknown => '?',
    };
    let disabled = if written.enabled {
        ""
    } else {
        " (not enabled)"
    };
    let mut said = format!("{} {}{disabled}\n", sign(evaluation), rule.name);
    let mut lines = Vec::new();
    for (condition, written) in rule.conditions.iter().zip(&written.when) {
        let value = written.value.as_deref().map_or("", RawValue::get);
        let wanted = format!("{} {} {value}", written.field, written.operator);
        let found = found(trial.event, condition);
        lines.push((sign(trial.holds(condition)), wanted, found));
    }
    let width = lines
        .iter()
        .map(|(_, wanted, _)| wanted.chars().count())
        .max();
    for (sign, wanted, found) in lines {
        let width = width.unwrap_or_default();
        let _ = writeln!(said, "    {sign} {wanted:width$}  found {found}");
    }
    said
}

/// What stands where a condition looks, in words.
fn found<E: Entity>(event: &Event<'_, E>, condition: &Condition) -> String {
    let mut found = Found::default();
    let looked = condition.place.look(event, &mut found);
    if let Place::Contract(path, _) = &condition.place {
        for value in Unreadable::at(path, event).values {
            let value: String = value.chars().take(VALUE_CHARS_MAX).collect();
            found.words.push(format!("{value}, which is unreadable"));
        }
    }
    if found.more > 0 {
        found.words.push(format!("{} more", found.more));
    }
    if looked.is_err() {
        found.words.push("what cannot be read".to_owned());
    }
    if found.words.is_empty() {
        "nothing".to_owned()
    } else {
        found.words.join(", ")
    }
}

/// The first few values, in words, and the number of the others.
#[derive(Default)]
struct Found {
    words: Vec<String>,
    more: usize,
}

impl Observer for Found {
    fn see(&mut self, _: usize, seen: &FieldValue<'_>) {
        if self.words.len() >= VALUES_MAX {
            self.more += 1;
            return;
        }
        self.words.push(match seen {
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

    fn goes_on(&mut self, _: usize) -> bool {
        true
    }
}

/// The body of an event, out of what was sent or the request around it.
fn body<'a>(request: Option<&'a Request>, sent: &'a [u8]) -> Result<Verified<'a>, String> {
    let failed = |failure: Failure| not_an_event(&failure);
    let unverified = request.map_or_else(|| Unverified::new(sent), Unverified::of);
    let unverified = unverified.map_err(failed)?;
    unverified
        .verify(&Keys::AcceptUnsigned, Signatures::default())
        .map_err(|unverified| failed(unverified.into()))
}

fn not_an_event(failure: &Failure) -> String {
    let mut said = format!(
        "the function would answer {} ({})",
        failure.status(),
        failure.name()
    );
    if let Failure::Invalid { violations, .. } = failure {
        for violation in violations {
            let _ = write!(said, "\n  {} {}", violation.pointer, violation.detail);
        }
    }
    said
}
