//! What a merchant decides without a compiler: rules in a file, read at cold start.

mod condition;
#[cfg(debug_assertions)]
pub(crate) mod explain;
mod field;
mod file;
mod pattern;
mod read;
mod sentence;

use std::cell::{Cell, OnceCell};

#[cfg(feature = "schema")]
pub(crate) use self::file::File;
use self::{
    condition::Test,
    field::{Place, SentPlaces},
    sentence::Sentence,
};
pub use self::{file::Mode, read::Problem};
use crate::{
    channel::{Decision, Refusal},
    deadline::Deadline,
    error::Failure,
    event::Event,
    model::{Entity, look::Seen},
    operation::Operation,
};

/// A rules file has at most this many bytes.
pub const FILE_BYTES_MAX: usize = 512 * 1024;

/// A channel has at most this many rules.
pub const RULES_MAX: usize = 100;

/// A rule has at most this many conditions.
pub const CONDITIONS_MAX: usize = 10;

/// A rule results in at most this many operations.
pub const OPERATIONS_MAX: usize = 20;

/// A path of an operation has at most this many bytes.
const PATH_BYTES_MAX: usize = 512;

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
}

impl Rules {
    /// Whether the rules act.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Tries the rules in their order. Changes add up; the first refusal ends it and stands alone.
    ///
    /// It fails when the time is up, or when there is broken JSON where a rule looks.
    pub fn apply<'a, E: Entity>(
        &'a self,
        event: &Event<'_, E>,
        deadline: Deadline,
    ) -> Result<Ruling<'a>, Failure> {
        let trial = Trial::new(self, event, deadline);
        let mut matched = Vec::new();
        let mut changes = Vec::new();
        for rule in &self.rules {
            if !trial.all_hold(rule)? {
                continue;
            }
            matched.push(rule.name.as_str());
            match &rule.then {
                Outcome::Change(operations) => changes.extend(operations.iter().cloned()),
                Outcome::Refuse { message, class } => {
                    let message = message.as_ref().map(|message| message.fill(event));
                    let refusal = Refusal {
                        message: message.transpose().map_err(|_| Failure::NotJson)?,
                        class: class.clone(),
                    };
                    return Ok(Ruling {
                        decision: Decision::Refuse(refusal),
                        matched,
                    });
                }
            }
        }
        Ok(Ruling {
            decision: Decision::Accept(changes),
            matched,
        })
    }
}

/// One event before the rules.
struct Trial<'a, 'e, E> {
    rules: &'a Rules,
    event: &'a Event<'e, E>,
    clock: Clock,
    /// Which conditions on what is not in the contract hold. Found in one walk, once a rule asks.
    sent: OnceCell<Vec<bool>>,
}

impl<'a, 'e, E: Entity> Trial<'a, 'e, E> {
    fn new(rules: &'a Rules, event: &'a Event<'e, E>, deadline: Deadline) -> Self {
        Self {
            rules,
            event,
            clock: Clock::new(deadline),
            sent: OnceCell::new(),
        }
    }

    fn all_hold(&self, rule: &Rule) -> Result<bool, Failure> {
        for condition in &rule.conditions {
            if !self.holds(condition)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the condition holds for anything that stands at its place.
    fn holds(&self, condition: &Condition) -> Result<bool, Failure> {
        let holds = match (&condition.place, condition.slot) {
            (Place::Contract(path, _), _) => {
                let mut outcome = Any::default();
                self.event.entity.look(path, &mut |seen| {
                    outcome.add(&condition.test, &seen, &self.clock);
                });
                outcome.holds(&condition.test)
            }
            (Place::Sent(..), slot) => {
                let sent = if let Some(sent) = self.sent.get() {
                    sent
                } else {
                    let found = self.try_all_sent()?;
                    self.sent.get_or_init(|| found)
                };
                slot.and_then(|slot| sent.get(slot).copied())
                    .unwrap_or_default()
            }
        };
        self.clock.check()?;
        Ok(holds)
    }

    fn try_all_sent(&self) -> Result<Vec<bool>, Failure> {
        let tests: Vec<&Test> = self
            .rules
            .sent_conditions()
            .map(|condition| &condition.test)
            .collect();
        let mut outcomes: Vec<Any> = tests.iter().map(|_| Any::default()).collect();
        let walk = self.rules.sent.walk(self.event, &mut |slot, seen| {
            if let (Some(outcome), Some(test)) = (outcomes.get_mut(slot), tests.get(slot)) {
                outcome.add(test, seen, &self.clock);
            }
        });
        walk.map_err(|_| Failure::NotJson)?;
        Ok(outcomes
            .iter()
            .zip(tests)
            .map(|(outcome, test)| outcome.holds(test))
            .collect())
    }
}

/// Whether a test holds for any of several things. Where there is none at all, nothing is what it is tried on.
#[derive(Default)]
struct Any {
    seen: bool,
    holds: bool,
}

impl Any {
    fn add(&mut self, test: &Test, seen: &Seen<'_>, clock: &Clock) {
        self.seen = true;
        self.holds = self.holds || (clock.allows(seen) && test.holds(seen));
    }

    fn holds(&self, test: &Test) -> bool {
        if self.seen {
            self.holds
        } else {
            test.holds(&Seen::Nothing)
        }
    }
}

/// Looks at the clock now and then, because a large event under many rules could outlast the shop's patience.
struct Clock {
    deadline: Deadline,
    unchecked: Cell<usize>,
    expired: Cell<bool>,
}

impl Clock {
    /// What may be done between two looks: so many comparisons, or so many times [`Clock::TEXT_BYTES`] of text.
    const WORK: usize = 1024;
    const TEXT_BYTES: usize = 64;

    fn new(deadline: Deadline) -> Self {
        Self {
            deadline,
            unchecked: Cell::new(0),
            expired: Cell::new(false),
        }
    }

    /// Whether there is time for one more comparison.
    fn allows(&self, seen: &Seen<'_>) -> bool {
        let text = if let Seen::Text(text) = seen {
            text.len()
        } else {
            0
        };
        let unchecked = self.unchecked.get() + 1 + text / Self::TEXT_BYTES;
        if unchecked < Self::WORK {
            self.unchecked.set(unchecked);
        } else {
            self.unchecked.set(0);
            self.expired.set(self.deadline.remaining().is_zero());
        }
        !self.expired.get()
    }

    fn check(&self) -> Result<(), Failure> {
        if self.expired.get() {
            Err(Failure::OutOfTime)
        } else {
            Ok(())
        }
    }
}

impl Rules {
    /// The conditions on what is not in the contract, in the order of their slots.
    fn sent_conditions(&self) -> impl Iterator<Item = &Condition> {
        let conditions = self.rules.iter().flat_map(|rule| &rule.conditions);
        conditions.filter(|condition| condition.slot.is_some())
    }
}

#[cfg(test)]
mod tests;
