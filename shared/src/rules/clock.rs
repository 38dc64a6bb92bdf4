//! The time that the rules have. A large event under many rules could outlast the shop's patience.

use std::cell::Cell;

use super::condition::Test;
use crate::{deadline::Deadline, model::look::Seen};

/// Looks at the time now and then, because looking at it for each comparison would cost more than most of them.
pub(super) struct Clock {
    deadline: Deadline,
    work: Cell<usize>,
    expired: Cell<bool>,
}

impl Clock {
    /// How much may be done between two looks: a comparison counts as one. On a slow processor that is a few milliseconds.
    const WORK_MAX: usize = 1024;

    /// So many bytes that are read or compared count as one more, for a regular expression so many.
    const TEXT_BYTES: usize = 64;
    const REGEX_BYTES: usize = 8;

    pub(super) fn new(deadline: Deadline) -> Self {
        Self {
            deadline,
            work: Cell::new(0),
            expired: Cell::new(deadline.remaining().is_zero()),
        }
    }

    /// Whether there is time to try this test on this value.
    pub(super) fn allows(&self, test: &Test, seen: &Seen<'_>) -> bool {
        let bytes = if let Seen::Text(text) = seen {
            text.len()
        } else {
            0
        };
        self.has_time_for(if let Test::Matches(_) = test {
            1 + bytes / Self::REGEX_BYTES
        } else {
            1 + bytes / Self::TEXT_BYTES
        })
    }

    /// Whether there is time for one more step, after one that has read so many bytes.
    pub(super) fn has_time_after(&self, bytes: usize) -> bool {
        self.has_time_for(1 + bytes / Self::TEXT_BYTES)
    }

    fn has_time_for(&self, work: usize) -> bool {
        let work = self.work.get() + work;
        if work < Self::WORK_MAX {
            self.work.set(work);
        } else {
            self.work.set(0);
            self.expired
                .set(self.expired.get() || self.deadline.remaining().is_zero());
        }
        !self.expired.get()
    }
}
