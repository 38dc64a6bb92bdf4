//! The time limit of the rules: many rules on a large event could exceed the shop's timeout. This
//! module defines how much work each step counts as; the caller sets the deadline.

use std::cell::Cell;

use super::operator::Comparison;
use crate::{deadline::Deadline, model::lookup::FieldValue};

/// Counts work and reads the system clock only after a fixed amount of it, because reading the
/// clock costs more than most comparisons.
pub(super) struct WorkMeter {
    deadline: Deadline,
    work: Cell<usize>,
    expired: Cell<bool>,
}

impl WorkMeter {
    /// The work between two clock reads. A comparison counts as 1. This much work takes less than
    /// 10 ms.
    const UNCHECKED_WORK_MAX: usize = 1024;

    /// The number of bytes read or compared that count as 1.
    const BYTES_PER_WORK: usize = 64;

    /// The work of the longest match of a regular expression. The clock is therefore read before
    /// each match that takes more than a quarter of the longest.
    const MATCH_WORK: usize = 4 * Self::UNCHECKED_WORK_MAX;

    pub(super) fn new(deadline: Deadline) -> Self {
        Self {
            deadline,
            work: Cell::new(0),
            expired: Cell::new(deadline.remaining().is_zero()),
        }
    }

    /// Whether there is time for this comparison with this value.
    pub(super) fn allows_comparison(
        &self,
        comparison: &Comparison,
        value: &FieldValue<'_>,
    ) -> bool {
        let bytes = if let FieldValue::Text(text) = value {
            text.len()
        } else {
            0
        };
        let work = match comparison.pattern() {
            Some(pattern) => pattern.work(bytes, Self::MATCH_WORK),
            None => bytes / Self::BYTES_PER_WORK,
        };
        self.has_time_for(1 + work)
    }

    /// Whether there is time for another step after one that read this many bytes.
    pub(super) fn allows_step(&self, bytes: usize) -> bool {
        self.has_time_for(1 + bytes / Self::BYTES_PER_WORK)
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
