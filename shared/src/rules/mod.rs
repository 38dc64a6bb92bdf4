//! The merchant's rules of one channel: read from a file at cold start, applied to each event.
//! A new operator goes into `operator.rs`, a new operation under `then` into `file.rs` and
//! `effect.rs`.

mod effect;
mod evaluate;
#[cfg(feature = "explain")]
pub mod explain;
mod field;
mod file;
mod literal;
mod operator;
mod pattern;
mod read;
mod template;
mod unreadable;
mod walk;
mod work_meter;

use self::{
    effect::Effect,
    evaluate::{Evaluation, Evaluator},
    field::Field,
    operator::Comparison,
    walk::SentFields,
};
#[cfg(feature = "schema")]
pub(crate) use self::{field::hook_fields, file::File};
pub use self::{file::Mode, read::RulesError};
use crate::{
    channel::{Decision, Refusal},
    deadline::Deadline,
    event::Event,
    model::Entity,
};

/// The maximum size of a rules file in bytes.
pub const FILE_BYTES_MAX: usize = 512 * 1024;

/// The maximum number of rules of a channel.
pub const RULES_MAX: usize = 100;

/// The maximum number of conditions of a rule.
pub const CONDITIONS_MAX: usize = 10;

/// The maximum number of regular expressions in a file. Each one keeps up to 120 KB of memory after
/// its first match, so 100 of them keep 12 MB.
pub const REGEXES_MAX: usize = 100;

/// The maximum number of operations of a rule.
pub const OPERATIONS_MAX: usize = 20;

/// The enabled rules of one channel, checked and compiled.
#[derive(Debug, Default)]
pub struct Rules {
    mode: Mode,
    rules: Vec<CompiledRule>,
    sent: SentFields,
}

#[derive(Debug)]
struct CompiledRule {
    name: String,
    conditions: Vec<CompiledCondition>,
    effect: Effect,
    /// Whether the rule counts as matched if it cannot be evaluated.
    matches_if_unknown: bool,
}

#[derive(Debug)]
struct CompiledCondition {
    field: Field,
    /// The index among the conditions on fields outside the contract.
    slot: Option<usize>,
    comparison: Comparison,
}

/// The decision of the rules about one event, and the rules that led to it.
#[derive(Debug, PartialEq)]
pub struct Ruling<'a> {
    /// The answer to the shop.
    pub decision: Decision,
    /// The names of the rules that matched, in the order of the file.
    pub matched: Vec<&'a str>,
    /// The names of the rules that could not be evaluated, in the order of the file: the deadline
    /// passed, a text was too long for a regular expression, or a value could not be read.
    pub unevaluated: Vec<&'a str>,
}

impl Rules {
    /// Returns whether the rules are enforced or only observed.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Applies the rules in the order of the file.
    ///
    /// Changes add up. The first refusal ends the evaluation and replaces all changes. After the
    /// deadline every remaining rule is unevaluated.
    pub fn apply<'a, E: Entity>(&'a self, event: &Event<'_, E>, deadline: Deadline) -> Ruling<'a> {
        let evaluator = Evaluator::new(self, event, deadline);
        let mut matched = Vec::new();
        let mut unevaluated = Vec::new();
        let mut changes = Vec::new();
        for rule in &self.rules {
            match evaluator.evaluate_rule(rule) {
                Evaluation::False => continue,
                Evaluation::True => matched.push(rule.name.as_str()),
                Evaluation::Unknown => {
                    unevaluated.push(rule.name.as_str());
                    if !rule.matches_if_unknown {
                        continue;
                    }
                }
            }
            match &rule.effect {
                Effect::Change(operations) => changes.extend(operations.iter().cloned()),
                Effect::Refuse { message, class } => {
                    let message = message.as_ref();
                    let refusal = Refusal {
                        // A message of empty placeholders is omitted, so that the shopper reads the
                        // hook's fallback.
                        message: message
                            .map(|message| message.render(event, &evaluator.meter))
                            .filter(|message| !message.trim().is_empty()),
                        class: class.clone(),
                    };
                    return Ruling {
                        decision: Decision::Refuse(refusal),
                        matched,
                        unevaluated,
                    };
                }
            }
        }
        Ruling {
            decision: Decision::Accept(changes),
            matched,
            unevaluated,
        }
    }

    /// Returns the conditions on fields outside the contract, in the order of their slots.
    fn sent_conditions(&self) -> impl Iterator<Item = &CompiledCondition> {
        let conditions = self.rules.iter().flat_map(|rule| &rule.conditions);
        conditions.filter(|condition| condition.slot.is_some())
    }
}

#[cfg(test)]
mod tests;
