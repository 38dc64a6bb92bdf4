//! Explains what the rules do to one event.

use std::{fmt::Write as _, time::Duration};

use super::{
    super::{
        CompiledRule, Mode, RuleSet, Rules, Ruling,
        effect::Effect,
        evaluate::{Evaluation, Evaluator},
        file,
    },
    render::{Style, render_entries},
};
use crate::{
    channel::{Channel, Decision, HookType},
    deadline::Deadline,
    event::{Event, ReadOptions},
    operation::{self, Operation},
    outcome::Failure,
    request::{
        self, Request,
        body::{Unverified, Verified},
    },
    verify::{Keys, Shop, Signatures},
};

/// The time for all rules, which is always more than they need.
const BUDGET: Duration = Duration::from_secs(25);

/// Explains what the rules do to an event of a shop, given as a body or as the request around it.
pub(super) fn explain<C: Channel>(
    rules: &Rules,
    file_mode: Mode,
    file_rules: &[&file::Rule],
    input: &[u8],
    shop: Option<&Shop>,
    style: Style,
) -> Result<String, String> {
    let request = request::read(input);
    let body = body(request.as_ref(), input)?;
    let mut event = Event::read::<C>(&body, ReadOptions::default())
        .map_err(|failure| failure_text(&failure))?;
    event.shop = shop;
    let deadline = Deadline::new(BUDGET, 0, 0);

    let mut output = String::new();
    if file_rules.is_empty() {
        output.push_str("No rule is enabled.\n");
    }
    for mode in [Mode::Enforce, Mode::Observe] {
        let file_rules = file_rules
            .iter()
            .filter(|rule| rule.mode.unwrap_or(file_mode) == mode);
        let set = rules.in_mode(mode);
        let evaluator = Evaluator::new(set, &event, deadline);
        let mut refused = false;
        for (rule, file_rule) in set.rules.iter().zip(file_rules) {
            if refused {
                let _ = writeln!(output, "{}: skipped after the refusal", rule.name);
                continue;
            }
            let evaluation = evaluator.evaluate_rule(rule);
            let matched = evaluation == Evaluation::True
                || (evaluation == Evaluation::Unknown && rule.matches_if_unknown);
            refused = matched && matches!(rule.effect, Effect::Refuse { .. });
            let result = style.result(evaluation, matched.then(|| effect(rule)));
            let state = match (file_rule.enabled, mode) {
                (false, _) => " (not enabled)",
                (true, Mode::Observe) => " (only observed)",
                (true, Mode::Enforce) => "",
            };
            let _ = writeln!(output, "{}: {result}{state}", rule.name);
            output.push_str(&render_entries(&evaluator, rule, file_rule, style));
        }
    }
    output.push_str(&answers::<C>(rules, &event, deadline));
    Ok(output)
}

/// Returns what a rule does to an event that it matches.
fn effect(rule: &CompiledRule) -> &'static str {
    match &rule.effect {
        Effect::Refuse { .. } => "refused",
        Effect::Change {
            forward: true,
            changes: _,
        } => "changed",
        Effect::Change { changes, .. } if changes.is_empty() => "not forwarded",
        Effect::Change { .. } => "changed, not forwarded",
    }
}

/// Returns the answer to the shop, and the one if the observed rules were enforced.
fn answers<C: Channel>(rules: &Rules, event: &Event<'_, C::Entity>, deadline: Deadline) -> String {
    let apply = |set: &RuleSet| text::<C>(set.apply(event, deadline));
    let (queued, answer) = apply(rules.in_mode(Mode::Enforce));
    let mut output = format!("\n{queued} The shop gets:\n  {answer}\n");
    let observed = rules.in_mode(Mode::Observe).apply(event, deadline);
    if !observed.matched.is_empty() {
        let (queued, answer) = apply(rules.in_mode(Mode::Observe));
        let _ = writeln!(
            output,
            "If the observed rules were enforced: {queued} The shop would get:\n  {answer}"
        );
    }
    output
}

/// Returns whether the event is queued, and the answer to the shop.
fn text<C: Channel>(ruling: Ruling<'_>) -> (&'static str, String) {
    match ruling.decision {
        Decision::Refuse(refusal) => (
            "The event is not queued.",
            operation::body(&[Operation::from(refusal)]),
        ),
        Decision::Accept(changes) => {
            let queued = match (ruling.forward, C::HOOK_TYPE) {
                (false, _) => {
                    "Unless the channel refuses the event, it is accepted, but not queued."
                }
                (true, HookType::After) => "Unless the channel refuses the event, it is queued.",
                (true, HookType::Before) => {
                    "Unless the channel refuses the event, it is accepted, and queued only with \
                     ForwardBefore."
                }
            };
            (queued, operation::body(&changes))
        }
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
