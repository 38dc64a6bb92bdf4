//! What each step of a request costs without a network, by the size of the order. Run by `make bench-steps`.
//!
//! The throughput beside each time shows how cost grows: from the usual order on it stays what it is.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark may panic"
)]

mod common;

use common::{PUBLIC_KEY, Placed, RSA_SIGNATURE, SECRET, SIZES, hmac, order, verified};
use divan::{Bencher, black_box, counter::BytesCount};
use shared::{
    body::Unverified,
    event::Event,
    message::MESSAGE_BYTES_MAX,
    request::Request,
    signature::{HmacSecret, KeyList, Keys, RsaKey, Signatures, Version, named},
};

fn main() {
    divan::main();
}

/// Whether SQS takes a message of this order as it is.
fn fits(bytes: usize) -> bool {
    bytes < MESSAGE_BYTES_MAX / 2
}

/// The request as API Gateway writes it, the body being one JSON string in it.
#[divan::bench(args = SIZES)]
fn request(bencher: Bencher<'_, '_>, bytes: usize) {
    let request = common::request(&order(bytes), Signatures::default());
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let request: Request =
            serde_json::from_str(black_box(&request)).expect("the request is one");
        black_box(request.body()).expect("it is said to be JSON");
    });
}

#[divan::bench(args = SIZES)]
fn verify_hmac(bencher: Bencher<'_, '_>, bytes: usize) {
    let secret = HmacSecret::new(SECRET).expect("long enough");
    let keys = Keys::Known {
        hmac: named(Version::Inline, KeyList::Hmac, [secret]),
        rsa: Vec::new(),
    };
    let body = order(bytes);
    let signature = hmac(&body);
    let signatures = Signatures {
        hmac: Some(&signature),
        rsa: None,
    };
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let body = Unverified::new(black_box(body.as_bytes())).expect("small enough");
        black_box(body.verify(&keys, signatures)).expect("it is signed");
    });
}

#[divan::bench(args = SIZES)]
fn verify_rsa(bencher: Bencher<'_, '_>, bytes: usize) {
    let key = RsaKey::from_pem(PUBLIC_KEY).expect("the key is one");
    let keys = Keys::Known {
        hmac: Vec::new(),
        rsa: named(Version::Inline, KeyList::Rsa, key),
    };
    let body = order(bytes);
    let signatures = Signatures {
        hmac: None,
        rsa: Some(RSA_SIGNATURE),
    };
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let body = Unverified::new(black_box(body.as_bytes())).expect("small enough");
        black_box(body.verify(&keys, signatures)).expect_err("it is another body's signature");
    });
}

#[divan::bench(args = SIZES)]
fn decode(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = order(bytes);
    let body = verified(&body);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let event = Event::read::<Placed>(black_box(&body), "").expect("the sample is valid");
        black_box(event.id)
    });
}

#[divan::bench(args = SIZES.into_iter().filter(|bytes| fits(*bytes)))]
fn message(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = order(bytes);
    let body = verified(&body);
    let event = Event::read::<Placed>(&body, "").expect("the sample is valid");
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let message = common::message(black_box(&event));
        assert!(!message.compressed);
        message
    });
}

/// What is too large for SQS is compressed, which costs many times as much for each byte.
#[divan::bench(args = SIZES.into_iter().filter(|bytes| !fits(*bytes)))]
fn message_compressed(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = order(bytes);
    let body = verified(&body);
    let event = Event::read::<Placed>(&body, "").expect("the sample is valid");
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let message = common::message(black_box(&event));
        assert!(message.compressed);
        message
    });
}
