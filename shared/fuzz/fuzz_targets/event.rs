//! A body for a channel. The first byte selects the channel.
#![no_main]
#![expect(clippy::indexing_slicing, reason = "a failed check panics")]

use channels::for_each_channel;
use libfuzzer_sys::fuzz_target;
use shared_fuzz::{
    event,
    generic::{CouponSet, CreditmemoSaved},
};

/// An arbitrary point in time.
const ACCEPTED_MS: u64 = 1_781_814_431_000;

fuzz_target!(|input: &[u8]| {
    if let Some((channel, body)) = input.split_first()
        && let Some(body) = event::unsigned(body)
    {
        let mut check = for_each_channel!(event::check).to_vec();
        check.push(event::check::<CreditmemoSaved>);
        check.push(event::check::<CouponSet>);
        check[usize::from(*channel) % check.len()](&body, "", ACCEPTED_MS);
    }
});
