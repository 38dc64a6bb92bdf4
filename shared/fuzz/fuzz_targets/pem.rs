//! A public key, as an operator writes it into the secret: a PEM text, or, with an odd first byte, the DER that is put into one.
#![no_main]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "to panic is the purpose"
)]

use libfuzzer_sys::fuzz_target;
use shared::{
    body::Unverified,
    signature::{KeyList, Keys, RsaKey, Signatures, Version, named},
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
    let Ok(keys) = RsaKey::from_pem(&pem) else {
        return;
    };
    // The reader takes a first line with other blanks and dashes, too.
    assert!((1..=pem.matches("BEGIN").count()).contains(&keys.len()));
    let twice = RsaKey::from_pem(&format!("{pem}\n{pem}"));
    assert_eq!(twice.map(|keys| keys.len()), Ok(keys.len() * 2));

    // Whatever the key is, it takes no signature that anybody can write down.
    let keys = Keys::Known {
        hmac: Vec::new(),
        rsa: named(Version::Inline, KeyList::Rsa, keys),
    };
    for bytes in [256, 384, 512, 1024] {
        for byte in [0, 1, 0xff] {
            let mut signature = vec![0; bytes];
            signature[bytes - 1] = byte;
            let signature = base64_simd::STANDARD.encode_to_string(signature);
            let signatures = Signatures {
                hmac: None,
                rsa: Some(&signature),
            };
            let body = Unverified::new(b"{}".as_slice()).expect("it is small enough");
            assert!(body.verify(&keys, signatures).is_err());
        }
    }
});
