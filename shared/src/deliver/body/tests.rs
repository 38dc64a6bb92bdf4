use std::time::Duration;

use super::*;
use crate::deadline::ANSWER_MARGIN;

/// Returns a deadline this many seconds from now.
pub(crate) fn in_seconds(seconds: u64) -> Deadline {
    let hook_timeout = Duration::from_secs(seconds) + ANSWER_MARGIN;
    Deadline::new(hook_timeout, 0, 0)
}

/// Returns a generator of pseudorandom bytes with a fixed seed.
pub(crate) fn noise() -> impl FnMut() -> u8 {
    let mut state = 1_u64;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    }
}

#[test]
fn stops_compressing_at_the_deadline() {
    let large = "x".repeat(2 * MESSAGE_BYTES_MAX);
    assert!(MessageBody::fit(large.clone(), in_seconds(60)).is_ok());
    assert_eq!(
        MessageBody::fit(large, in_seconds(0)),
        Err(Failure::OutOfTime)
    );
    assert!(MessageBody::fit("small".to_owned(), in_seconds(0)).is_ok());
}

#[test]
fn compresses_thoroughly_only_if_fast_is_not_enough() {
    // Random words of a small vocabulary, like the names of products.
    let words = "shirt cotton blue large summer leather running steel classic organic";
    let words: Vec<_> = words.split(' ').collect();
    let mut random = noise();
    let text: Vec<_> = (0..1_200_000)
        .map(|_| words[usize::from(random()) % words.len()])
        .collect();
    let text = text.join(" ");
    let length = |level| {
        let packed = compress(text.as_bytes(), level, usize::MAX, in_seconds(60)).unwrap();
        packed.unwrap().len()
    };
    let (fast, thorough) = (length(Compression::fast()), length(Compression::default()));
    assert!(thorough < fast);
    // A part of the text that becomes small enough only with thorough compression.
    let packed_max = (MESSAGE_BYTES_MAX - ATTRIBUTE_BYTES_MAX) / 4 * 3;
    let between = text.len() * packed_max / usize::midpoint(fast, thorough);
    let text = &text[..between];
    let fast_only = compress(
        text.as_bytes(),
        Compression::fast(),
        packed_max,
        in_seconds(60),
    );
    assert_eq!(fast_only, Ok(None));
    let body = MessageBody::fit(text.to_owned(), in_seconds(60)).unwrap();
    assert!(body.compressed && body.text.len() <= MESSAGE_BYTES_MAX);
}

#[test]
fn stops_compressing_when_the_result_is_too_large() {
    let bytes = Vec::new();
    let mut packed = Limited {
        bytes,
        bytes_max: 5,
    };
    assert!(packed.write_all(b"12345").is_ok());
    assert!(packed.write_all(b"6").is_err());
    assert_eq!(packed.bytes, b"12345");
}
