//! What a merchant decides without a compiler: rules in a file, read at cold start.

mod clock;
mod condition;
mod evaluate;
#[cfg(debug_assertions)]
pub(crate) mod explain;
mod field;
mod file;
mod pattern;
mod read;
mod template;

use self::{
    condition::Test,
    evaluate::{Evaluation, Trial},
    field::{Place, SentPlaces},
    template::Sentence,
};
#[cfg(feature = "schema")]
pub(crate) use self::{field::hook_fields, file::File};
pub use self::{file::Mode, read::Problem};
use crate::{
    channel::{Decision, Refusal},
    deadline::Deadline,
    event::Event,
    model::Entity,
    operation::Operation,
};

/// A rules file has at most this many bytes.
pub const FILE_BYTES_MAX: usize = 512 * 1024;

/// A channel has at most this many rules.
pub const RULES_MAX: usize = 100;

/// A rule has at most this many conditions.
pub const CONDITIONS_MAX: usize = 10;

/// A file has at most this many regular expressions. Once used, each keeps up to 120 KB of memory; 100 of them keep 12 MB.
pub const REGEXES_MAX: usize = 100;

/// A rule results in at most this many operations.
pub const OPERATIONS_MAX: usize = 20;

/// The rules of one channel, ready for events.
#[derive(Debug, Default)]
pub struct Rules {
    mode: Mode,
    rules: Vec<Rule>,
    sent: SentPlaces,
}

#[derive(Debug)]
struct Rule {
    name: String,
    conditions: Vec<Condition>,
    then: Outcome,
    /// Whether it counts as matched when it cannot be evaluated.
    refuses_unevaluated: bool,
}

#[derive(Debug)]
struct Condition {
    place: Place,
    /// Number among the conditions that look at what is not in the contract.
    slot: Option<usize>,
    test: Test,
}

/// What a rule results in.
#[derive(Debug)]
enum Outcome {
    Refuse {
        message: Option<Sentence>,
        class: Option<String>,
    },
    Change(Vec<Operation>),
}

/// What the rules say to one event.
#[derive(Debug, PartialEq)]
pub struct Ruling<'a> {
    /// What the shop shall do.
    pub decision: Decision,
    /// Names of the rules that matched, in their order.
    pub matched: Vec<&'a str>,
    /// Names of the rules that could not be evaluated, in their order: the time was up, a text was too long for a regular expression,
    /// or the shop sent JSON that cannot be read.
    pub unevaluated: Vec<&'a str>,
}

impl Rules {
    /// Whether the rules act.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Tries the rules in their order. Changes add up; the first refusal ends it and stands alone. After the deadline no further rule is
    /// evaluated.
    pub fn apply<'a, E: Entity>(&'a self, event: &Event<'_, E>, deadline: Deadline) -> Ruling<'a> {
        let trial = Trial::new(self, event, deadline);
        let mut matched = Vec::new();
        let mut unevaluated = Vec::new();
        let mut changes = Vec::new();
        for rule in &self.rules {
            match trial.evaluate(rule) {
                Evaluation::False => continue,
                Evaluation::True => matched.push(rule.name.as_str()),
                Evaluation::Unknown => {
                    unevaluated.push(rule.name.as_str());
                    if !rule.refuses_unevaluated {
                        continue;
                    }
                }
            }
            match &rule.then {
                Outcome::Change(operations) => changes.extend(operations.iter().cloned()),
                Outcome::Refuse { message, class } => {
                    let message = message.as_ref();
                    let refusal = Refusal {
                        // Without a message the shop shows its own, and that is better than none.
                        message: message
                            .map(|message| message.fill(event, &trial.clock))
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

    /// The conditions on what is not in the contract, in the order of their slots.
    fn sent_conditions(&self) -> impl Iterator<Item = &Condition> {
        let conditions = self.rules.iter().flat_map(|rule| &rule.conditions);
        conditions.filter(|condition| condition.slot.is_some())
    }
}

#[cfg(test)]
mod tests;
