//! Two headers and a body: the body verifies if and only if a known key signed it.
//!
//! The first byte selects the headers: two lines of the input, or a valid signature of the rest
//! with one changed byte, because mutations alone never find a valid signature.
#![no_main]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a failed check panics"
)]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shared::{
    request::body::Unverified,
    verify::{Keys, Scheme, SignatureError, Signatures},
};
use shared_fuzz::keys;

const SCHEMES: [&[Scheme]; 4] = [&Scheme::ALL, &Scheme::ALL, &[Scheme::Hmac], &[Scheme::Rsa]];

fuzz_target!(|input: &[u8]| {
    if let [mode, input @ ..] = input {
        match mode & 3 {
            0 | 1 => check_given_headers(*mode, input),
            2 => check_changed_signature(*mode, input, |body, way| {
                keys::encodings(&keys::sign_hmac(body))[way % 4].clone()
            }),
            _ => check_changed_signature(*mode, input, |body, _| keys::sign_rsa(body)),
        }
    }
});

fn check_given_headers(mode: u8, input: &[u8]) {
    let mut parts = input.splitn(3, |byte| *byte == b'\n');
    let mut header = || {
        let header = parts.next().unwrap_or_default();
        (!header.is_empty()).then(|| String::from_utf8_lossy(header))
    };
    let (hmac, rsa) = (header(), header());
    let signatures = Signatures::from_fn(|scheme| match scheme {
        Scheme::Hmac => hmac.as_deref(),
        Scheme::Rsa => rsa.as_deref(),
    });
    check(mode, parts.next().unwrap_or_default(), signatures);
}

fn check_changed_signature(mode: u8, input: &[u8], sign: impl Fn(&[u8], usize) -> String) {
    let [position, change, body @ ..] = input else {
        return;
    };
    let mut header = sign(body, usize::from(mode >> 4)).into_bytes();
    let position = usize::from(*position) % header.len();
    header[position] ^= change & 0x7f; // it stays ASCII
    let header = String::from_utf8_lossy(&header);
    let scheme = if mode & 1 == 0 {
        Scheme::Hmac
    } else {
        Scheme::Rsa
    };
    check(mode, body, Signatures::one(scheme, &header));
}

fn check(mode: u8, body: &[u8], signatures: Signatures<'_>) {
    static KEYS: LazyLock<[Keys; 4]> = LazyLock::new(|| SCHEMES.map(keys::known));
    let choice = usize::from(mode >> 2) % 4;
    let verified = Unverified::new(body)
        .map(|body| body.verify(&KEYS[choice], signatures))
        .expect("the body is small enough");
    let signed = keys::signed(body, signatures, SCHEMES[choice]);
    assert_eq!(verified.is_ok(), signed);
    if let Err((_, error)) = verified {
        let is_missing = error == SignatureError::Missing;
        assert_eq!(is_missing, signatures.is_empty());
    }
}
