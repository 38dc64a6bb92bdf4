//! What must hold for every input, whatever it is. The targets of the fuzzer are under `fuzz_targets/`, and only cut their
//! input into parts; `make fuzz` runs them.
//!
//! A check that does not hold panics: that is how the fuzzer learns of it.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "to panic is the purpose"
)]

pub mod channels;
pub mod event;
pub mod keys;
pub mod rules;
mod schema;
