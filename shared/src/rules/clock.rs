//! The time that the rules have. A large event under many rules could outlast the shop's patience.

use std::cell::Cell;

use super::condition::Test;
use crate::{deadline::Deadline, model::lookup::FieldValue};

/// Looks at the time now and then, because looking at it for each comparison would cost more than most of them.
pub(super) struct Clock {
    deadline: Deadline,
    work: Cell<usize>,
    expired: Cell<bool>,
}

impl Clock {
    /// How much may be done between two looks: a comparison counts as one. That is less than ten milliseconds.
    const UNCHECKED_WORK_MAX: usize = 1024;

    /// So many bytes that are read or compared count as one more.
    const TEXT_BYTES: usize = 64;

    /// The longest match of a regular expression counts as so much: before each that takes more than a quarter of it, the time is looked at.
    const MATCH_WORK: usize = 4 * Self::UNCHECKED_WORK_MAX;

    pub(super) fn new(deadline: Deadline) -> Self {
        Self {
            deadline,
            work: Cell::new(0),
            expired: Cell::new(deadline.remaining().is_zero()),
        }
    }

    /// Whether there is time to try this test on this value.
    pub(super) fn allows(&self, test: &Test, seen: &FieldValue<'_>) -> bool {
        let bytes = if let FieldValue::Text(text) = seen {
            text.len()
        } else {
            0
        };
        let work = if let Test::Matches(pattern) = test {
            pattern.work(bytes, Self::MATCH_WORK)
        } else {
            bytes / Self::TEXT_BYTES
        };
        self.has_time_for(1 + work)
    }

    /// Whether there is time for one more step, after one that has read so many bytes.
    pub(super) fn has_time_after(&self, bytes: usize) -> bool {
        self.has_time_for(1 + bytes / Self::TEXT_BYTES)
    }

    fn has_time_for(&self, work: usize) -> bool {
        let work = self.work.get().saturating_add(work);
        if work < Self::UNCHECKED_WORK_MAX {
            self.work.set(work);
        } else {
            self.work.set(0);
            self.expired
                .set(self.expired.get() || self.deadline.remaining().is_zero());
        }
        !self.expired.get()
    }
}
