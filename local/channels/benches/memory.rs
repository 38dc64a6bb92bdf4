//! Peak memory of a request, by the size of the order. Run by `make bench-steps`.
//!
//! The memory per byte of the body is `max alloc` divided by the number of bytes at the start of
//! the line. It includes the text of the request that the Lambda runtime passes, which is larger
//! than the body because of JSON escapes.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark may panic"
)]

mod common;

use channels::SalesOrderPlaceAfter;
use common::{RSA_SIGNATURE, SIZES, hmac, hmac_keys, order, rsa_keys};
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
    let divan = divan::Divan::default().sample_count(10).sample_size(1);
    divan.config_with_args().main();
}

/// Runs all steps from the request to the message. Continues after a signature that does not
/// verify, so that the peak includes the verification.
fn whole_path(request: &str, keys: &Keys) -> Message {
    let text = request.to_owned();
    let request = request::read(text.as_bytes()).expect("the request is valid");
    drop(text); // as the Lambda runtime does
    let body = Unverified::of(&request).expect("the content type is JSON");
    let body = body
        .verify(keys, Signatures::of(request.headers()))
        .or_else(|(body, _)| body.verify(&Keys::AcceptUnsigned, Signatures::default()));
    let body = body.expect("no signature is checked");
    let event = Event::read::<SalesOrderPlaceAfter>(&body, ReadOptions::default())
        .expect("the sample is valid");
    common::message(&event)
}

#[divan::bench(args = SIZES)]
fn whole_path_hmac(bencher: Bencher<'_, '_>, bytes: usize) {
    let keys = hmac_keys();
    let body = order(bytes);
    let signature = hmac(&body);
    let signatures = Signatures::one(Scheme::Hmac, &signature);
    let request = common::request(&body, signatures);
    bencher.bench_local(|| whole_path(&request, &keys));
}

#[divan::bench(args = SIZES)]
fn whole_path_rsa(bencher: Bencher<'_, '_>, bytes: usize) {
    let keys = rsa_keys();
    let signatures = Signatures::one(Scheme::Rsa, RSA_SIGNATURE);
    let request = common::request(&order(bytes), signatures);
    bencher.bench_local(|| whole_path(&request, &keys));
}
