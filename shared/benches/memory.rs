//! The most memory that a request holds at once, by the size of the order. Run by `make bench-steps`.
//!
//! `max alloc` over the number of bytes at the line's beginning is the memory in bodies. The request's own text counts, as Lambda's
//! runtime hands it over: with its escapes it is larger than the body in it.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark may panic"
)]

mod common;

use common::{Placed, RSA_SIGNATURE, SIZES, by_hmac, by_rsa, hmac, order};
use divan::{AllocProfiler, Bencher};
use shared::{
    deliver::message::Message,
    event::{Event, ReadOptions},
    request::{self, body::Unverified},
    verify::{Keys, Scheme, Signatures},
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    let measured = divan::Divan::default().sample_count(10).sample_size(1);
    measured.config_with_args().main();
}

/// From the request to the message. A body that no key vouches for passes all the same: what its verification took is known then.
fn whole_path(request: &str, keys: &Keys) -> Message {
    let text = request.to_owned();
    let request = request::read(text.as_bytes()).expect("the request is one");
    drop(text); // as Lambda's runtime does
    let body = Unverified::of(&request).expect("it is said to be JSON");
    let body = body
        .verify(keys, Signatures::of(request.headers()))
        .or_else(|(body, _)| body.verify(&Keys::AcceptUnsigned, Signatures::default()));
    let body = body.expect("nothing is checked");
    let event = Event::read::<Placed>(&body, ReadOptions::default()).expect("the sample is valid");
    common::message(&event)
}

#[divan::bench(args = SIZES)]
fn whole_path_hmac(bencher: Bencher<'_, '_>, bytes: usize) {
    let keys = by_hmac();
    let body = order(bytes);
    let signature = hmac(&body);
    let signatures = Signatures::one(Scheme::Hmac, &signature);
    let request = common::request(&body, signatures);
    bencher.bench_local(|| whole_path(&request, &keys));
}

#[divan::bench(args = SIZES)]
fn whole_path_rsa(bencher: Bencher<'_, '_>, bytes: usize) {
    let keys = by_rsa();
    let signatures = Signatures::one(Scheme::Rsa, RSA_SIGNATURE);
    let request = common::request(&order(bytes), signatures);
    bencher.bench_local(|| whole_path(&request, &keys));
}
