//! Whether the conditions of the rules hold for one event, and that the search for it ends in time.

use std::cell::{Cell, OnceCell};

use super::{Condition, Rule, Rules, condition::Test, field::Place};
use crate::{
    deadline::Deadline,
    error::Failure,
    event::{self, Event},
    model::{Entity, look::Seen},
};

/// One event before the rules.
pub(super) struct Trial<'a, 'e, E> {
    rules: &'a Rules,
    pub(super) event: &'a Event<'e, E>,
    clock: Clock,
    /// Which conditions on what is not in the contract hold. Found in one walk, once a rule asks.
    sent: OnceCell<Vec<bool>>,
}

impl<'a, 'e, E: Entity> Trial<'a, 'e, E> {
    pub(super) fn new(rules: &'a Rules, event: &'a Event<'e, E>, deadline: Deadline) -> Self {
        Self {
            rules,
            event,
            clock: Clock::new(deadline),
            sent: OnceCell::new(),
        }
    }

    pub(super) fn all_hold(&self, rule: &Rule) -> Result<bool, Failure> {
        for condition in &rule.conditions {
            if !self.holds(condition)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the condition holds for anything that stands at its place.
    pub(super) fn holds(&self, condition: &Condition) -> Result<bool, Failure> {
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
        walk.map_err(|_| event::unreadable())?;
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
