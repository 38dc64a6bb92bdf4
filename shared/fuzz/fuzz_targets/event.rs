//! A body to one of the eight channels, which the first byte chooses.
#![no_main]
#![expect(clippy::indexing_slicing, reason = "to panic is the purpose")]

use libfuzzer_sys::fuzz_target;
use shared_fuzz::{channels, event, for_each_channel};

/// Any moment will do.
const ACCEPTED_MS: u64 = 1_781_814_431_000;

fuzz_target!(|input: &[u8]| {
    if let Some((channel, body)) = input.split_first()
        && let Some(body) = event::unsigned(body)
    {
        let check = for_each_channel!(event::check);
        check[usize::from(*channel) % channels::COUNT](&body, "", ACCEPTED_MS);
    }
});
