//! A public key, as an operator writes it into the secret: a PEM text in any layout, or, with an
//! odd first byte, DER that the target wraps in PEM.
#![no_main]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a failed check panics"
)]

use libfuzzer_sys::fuzz_target;
use shared::{
    request::body::Unverified,
    verify::{Keys, RsaKey, Scheme, Signatures, VerificationKey},
};

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

fuzz_target!(|input: &[u8]| {
    let Some((mode, input)) = input.split_first() else {
        return;
    };
    let pem = if mode & 1 == 1 {
        let base64 = base64_simd::STANDARD.encode_to_string(input);
        format!("{BEGIN}\n{base64}\n{END}\n")
    } else if let Ok(text) = std::str::from_utf8(input) {
        text.to_owned()
    } else {
        return;
    };
    let read = RsaKey::from_pem(&pem);
    if mode & 1 == 1 {
        assert!(read == RsaKey::from_der(input).map(|key| vec![key]));
    }
    // No layout changes the result. A line break after a backslash would end an escape.
    if !pem.contains('\\') {
        for between in [
            "",
            " ",
            "\r\n",
            "\\n",
            "\\\\n",
            "\"\u{a0}\u{feff}\u{200b}\"",
        ] {
            let laid_out = pem.replace('\n', between);
            assert!(RsaKey::from_pem(&laid_out) == read, "{laid_out:?}");
        }
    }
    let Ok(keys) = read else {
        return;
    };
    // Another layout may change the text of the markers, but not their dashes.
    assert!((1..=pem.matches('-').count() / 20).contains(&keys.len()));
    // The `#` is not layout, so no marker begins in one copy and ends in the other.
    let twice = RsaKey::from_pem(&format!("{pem}\n#\n{pem}"));
    assert!(twice == Ok([&keys[..], &keys[..]].concat()));

    // No key verifies a signature that needs no private key.
    let keys = Keys::inline(keys.into_iter().map(VerificationKey::Rsa));
    for bytes in [256, 384, 512, 1024] {
        for byte in [0, 1, 0xff] {
            let mut signature = vec![0; bytes];
            signature[bytes - 1] = byte;
            let signature = base64_simd::STANDARD.encode_to_string(signature);
            let signatures = Signatures::one(Scheme::Rsa, &signature);
            let body = Unverified::new(b"{}").expect("it is small enough");
            assert!(body.verify(&keys, signatures).is_err());
        }
    }
});
