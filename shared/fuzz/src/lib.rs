//! Checks that must pass for every input. The fuzz targets are in `fuzz_targets/` and only split
//! their input into parts; `make fuzz` runs them.
//!
//! A failed check panics, which the fuzzer reports.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a failed check panics"
)]

pub mod event;
pub mod generic;
pub mod keys;
pub mod rules;
mod schema;
