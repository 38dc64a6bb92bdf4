//! Time of each step of a request without a network, by the size of the order. Run by
//! `make bench-steps`.
//!
//! If the throughput stays constant above 10 KB, the cost is proportional to the size.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark may panic"
)]

mod common;

use std::time::SystemTime;

use channels::SalesOrderPlaceAfter;
use common::{RSA_SIGNATURE, SIZES, access_token, hmac, hmac_keys, order, rsa_keys, verified};
use divan::{Bencher, black_box, counter::BytesCount};
use shared::{
    deliver::body::MESSAGE_BYTES_MAX,
    event::{Event, ReadOptions},
    request::{self, body::Unverified},
    verify::{Scheme, Signatures, ims::AccessToken},
};

fn main() {
    divan::main();
}

/// Returns whether the message of an order of this size needs no compression.
fn fits(bytes: usize) -> bool {
    bytes < MESSAGE_BYTES_MAX / 2
}

/// Parses the request of API Gateway, which contains the body as a JSON string.
#[divan::bench(args = SIZES)]
fn request(bencher: Bencher<'_, '_>, bytes: usize) {
    let request = common::request(&order(bytes), Signatures::default());
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let request = request::read(black_box(request.as_bytes())).expect("the request is valid");
        black_box(Unverified::of(&request)).expect("the content type is JSON");
    });
}

#[divan::bench(args = SIZES)]
fn verify_hmac(bencher: Bencher<'_, '_>, bytes: usize) {
    let keys = hmac_keys();
    let body = order(bytes);
    let signature = hmac(&body);
    let signatures = Signatures::one(Scheme::Hmac, &signature);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let body = Unverified::new(black_box(body.as_bytes())).expect("small enough");
        black_box(body.verify(&keys, signatures)).expect("it is signed");
    });
}

#[divan::bench(args = SIZES)]
fn verify_rsa(bencher: Bencher<'_, '_>, bytes: usize) {
    let keys = rsa_keys();
    let body = order(bytes);
    let signatures = Signatures::one(Scheme::Rsa, RSA_SIGNATURE);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let body = Unverified::new(black_box(body.as_bytes())).expect("small enough");
        black_box(body.verify(&keys, signatures)).expect_err("the signature is of another body");
    });
}

/// Verifies an access token of IMS, which does not depend on the size of the order.
#[divan::bench]
fn verify_ims(bencher: Bencher<'_, '_>) {
    let (headers, keys) = access_token();
    bencher.bench_local(|| {
        let token = AccessToken::of(black_box(&headers)).expect("a token");
        token
            .verify(&keys, SystemTime::UNIX_EPOCH)
            .expect("it is signed")
    });
}

#[divan::bench(args = SIZES)]
fn decode(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = order(bytes);
    let body = verified(&body);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let event = Event::read::<SalesOrderPlaceAfter>(black_box(&body), ReadOptions::default())
            .expect("the sample is valid");
        black_box(event.id)
    });
}

#[divan::bench(args = SIZES.into_iter().filter(|bytes| fits(*bytes)))]
fn message(bencher: Bencher<'_, '_>, bytes: usize) {
    make_message(bencher, bytes, false);
}

/// Compresses a message that is too large for SQS, which costs many times as much per byte.
#[divan::bench(args = SIZES.into_iter().filter(|bytes| !fits(*bytes)))]
fn message_compressed(bencher: Bencher<'_, '_>, bytes: usize) {
    make_message(bencher, bytes, true);
}

fn make_message(bencher: Bencher<'_, '_>, bytes: usize, compressed: bool) {
    let body = order(bytes);
    let body = verified(&body);
    let event = Event::read::<SalesOrderPlaceAfter>(&body, ReadOptions::default())
        .expect("the sample is valid");
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let message = common::message(black_box(&event));
        assert_eq!(message.compressed, compressed);
        message
    });
}
