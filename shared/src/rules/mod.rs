//! The merchant's rules of one channel: read from a file at cold start, applied to each event.
//! A new operator goes into `operator.rs`, a new operation under `then` into `file.rs` and
//! `effect.rs`.

mod condition;
mod effect;
mod elements;
mod evaluate;
#[cfg(feature = "explain")]
pub mod explain;
mod field;
mod file;
mod literal;
mod names;
mod operator;
mod pattern;
mod read;
#[cfg(any(feature = "explain", feature = "schema"))]
mod references;
mod sent;
mod template;
mod total;
mod unreadable;
mod walk;
mod work_meter;

use self::{
    condition::CompiledEntry,
    effect::Effect,
    elements::ElementList,
    evaluate::{Evaluation, Evaluator},
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

/// The maximum number of conditions of a rule, including those inside groups.
pub const CONDITIONS_MAX: usize = 10;

/// The maximum number of regular expressions in a file. Each one keeps up to 120 KB of memory after
/// its first match, so 100 of them keep 12 MB.
pub const REGEXES_MAX: usize = 100;

/// The maximum number of operations of a rule.
pub const OPERATIONS_MAX: usize = 20;

/// The maximum size of all values together that the rules copy or compute from one event, in bytes.
/// Lambda allows answers of 6 MB.
pub const COMPUTED_BYTES_MAX: usize = 256 * 1024;

/// The enabled rules of one channel, checked and compiled.
#[derive(Debug, Default)]
pub struct Rules {
    enforced: RuleSet,
    observed: RuleSet,
}

/// The rules of one mode.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<CompiledRule>,
    sent: SentFields,
    /// The number of conditions that need values outside the contract.
    slots: usize,
    /// The lists whose elements groups look at.
    lists: Vec<ElementList>,
}

#[derive(Debug)]
struct CompiledRule {
    name: String,
    entries: Vec<CompiledEntry>,
    effect: Effect,
    /// Whether the rule counts as matched if it cannot be evaluated.
    matches_if_unknown: bool,
}

/// The decision of the rules about one event, and the rules that led to it.
#[derive(Debug, PartialEq)]
pub struct Ruling<'a> {
    /// The answer to the shop.
    pub decision: Decision,
    /// Whether the event is forwarded, if it is accepted.
    pub forward: bool,
    /// The names of the rules that matched, in the order of the file.
    pub matched: Vec<&'a str>,
    /// The names of the rules that could not be evaluated, in the order of the file: the deadline
    /// passed, a text was too long for a regular expression, or a value could not be read.
    pub unevaluated: Vec<&'a str>,
}

impl Default for Ruling<'_> {
    /// No rule matches.
    fn default() -> Self {
        Self {
            decision: Decision::default(),
            forward: true,
            matched: Vec::new(),
            unevaluated: Vec::new(),
        }
    }
}

impl Rules {
    /// Returns the rules of this mode.
    pub fn in_mode(&self, mode: Mode) -> &RuleSet {
        match mode {
            Mode::Enforce => &self.enforced,
            Mode::Observe => &self.observed,
        }
    }
}

impl RuleSet {
    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Applies the rules in the order of the file.
    ///
    /// Changes add up. The first refusal ends the evaluation and replaces all changes. After the
    /// deadline every remaining rule is unevaluated.
    pub fn apply<'a, E: Entity>(&'a self, event: &Event<'_, E>, deadline: Deadline) -> Ruling<'a> {
        let mut ruling = Ruling::default();
        if self.is_empty() {
            return ruling;
        }
        let evaluator = Evaluator::new(self, event, deadline);
        let mut operations = Vec::new();
        let mut bytes_left = COMPUTED_BYTES_MAX;
        for rule in &self.rules {
            match evaluator.evaluate_rule(rule) {
                Evaluation::False => continue,
                Evaluation::True => ruling.matched.push(rule.name.as_str()),
                Evaluation::Unknown => {
                    ruling.unevaluated.push(rule.name.as_str());
                    if !rule.matches_if_unknown {
                        continue;
                    }
                }
            }
            match &rule.effect {
                Effect::Change { changes, forward } => {
                    ruling.forward &= forward;
                    operations.extend(
                        changes
                            .iter()
                            .filter_map(|change| change.operation(&evaluator, &mut bytes_left)),
                    );
                }
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
                    ruling.decision = Decision::Refuse(refusal);
                    return ruling;
                }
            }
        }
        ruling.decision = Decision::Accept(operations);
        ruling
    }
}

#[cfg(test)]
mod tests;
