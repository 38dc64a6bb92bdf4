use lambda_http::http::HeaderValue;
use proptest::prelude::*;

use super::{secret::Secret, *};
use crate::request::body::{Unverified, Verified};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const BODY: &[u8] = include_bytes!("../../tests/signature/body.json");
const SIGNATURE: &str =
    include_str!("../../tests/signature/x-adobe-commerce-webhook-signature.txt");
const PEM: &str = include_str!("../../tests/signature/public-key.pem");
const PEM_CRLF: &str = include_str!("../../tests/signature/public-key.crlf.pem");
const OTHER_PEM: &str = include_str!("../../tests/signature/other-public-key.pem");

/// Returns a body that the HMAC secret of a shop verifies; without a name, the unnamed shop.
pub(crate) fn sent_by<'a>(shop: Option<&str>, body: &'a str) -> Verified<'a> {
    let mut json = serde_json::json!({ "hmac_secrets": SECRET });
    if let Some(name) = shop {
        json = serde_json::json!({ "shops": { name: json } });
    }
    let policy = SignaturePolicy::every_signature();
    let (secret, errors) = Secret::read(&json.to_string(), &policy, None, SecretVersion::Current);
    assert_eq!(errors, [""; 0]);
    let signature = hex_signature(SECRET, body.as_bytes());
    let body = Unverified::new(body.as_bytes()).unwrap();
    body.verify(&secret.keys, hmac(&signature)).unwrap()
}

/// Returns the keys of these secrets and of the PEM text.
fn keys(secrets: &[&str], pem: &str) -> Keys {
    let read = |scheme: Scheme, text: &str| scheme.read_keys(text).unwrap();
    let hmac = secrets.iter().flat_map(|text| read(Scheme::Hmac, text));
    let rsa = (!pem.is_empty()).then(|| read(Scheme::Rsa, pem));
    Keys::inline(hmac.chain(rsa.into_iter().flatten()))
}

fn by_secrets(secrets: &[&str]) -> Keys {
    keys(secrets, "")
}

fn by_pem(pem: &str) -> Keys {
    keys(&[], pem)
}

/// Returns the name of an inline key.
fn key(scheme: Scheme, index: usize) -> KeyName {
    KeyName::new(SecretVersion::Inline, None, scheme.secret_field(), index)
}

fn hmac(value: &str) -> Signatures<'_> {
    Signatures::one(Scheme::Hmac, value)
}

fn rsa(value: &str) -> Signatures<'_> {
    Signatures::one(Scheme::Rsa, value)
}

/// Signs with a different library than the functions use.
fn sign(secret: &str, body: &[u8]) -> Vec<u8> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    ring::hmac::sign(&key, body).as_ref().to_vec()
}

fn hex_signature(secret: &str, body: &[u8]) -> String {
    ::hex::encode(sign(secret, body))
}

#[test]
fn lists_every_scheme_in_the_order_of_its_declaration() {
    for (index, scheme) in Scheme::ALL.into_iter().enumerate() {
        assert_eq!(scheme as usize, index);
        assert_eq!(scheme.header(), scheme.header().to_ascii_lowercase());
    }
}

#[test]
fn verifies_a_shops_rsa_signature_in_any_layout_of_its_key() {
    for pem in [
        PEM,
        PEM_CRLF,
        PEM.trim_end(),
        &format!("{PEM}\n\n"),
        &format!("# the shop\n{PEM}"),
    ] {
        let checked = by_pem(pem).check(BODY, rsa(SIGNATURE));
        assert_eq!(checked, Ok(Some(key(Scheme::Rsa, 0))));
    }
}

#[test]
fn rejects_a_flipped_bit_in_any_byte_of_a_shops_body_or_signature() {
    let keys = by_pem(PEM);
    let mut body = BODY.to_vec();
    for index in 0..body.len() {
        body[index] ^= 1 << (index % 8);
        assert_eq!(
            keys.check(&body, rsa(SIGNATURE)),
            Err(SignatureError::Mismatch),
            "byte {index} of the body"
        );
        body[index] = BODY[index];
    }
    let signature = base64_simd::STANDARD.decode_to_vec(SIGNATURE).unwrap();
    for index in 0..signature.len() {
        let mut flipped = signature.clone();
        flipped[index] ^= 1;
        let flipped = base64_simd::STANDARD.encode_to_string(&flipped);
        assert_eq!(
            keys.check(BODY, rsa(&flipped)),
            Err(SignatureError::Mismatch),
            "byte {index} of the signature"
        );
    }
}

#[test]
fn verifies_with_any_of_several_keys() {
    assert_eq!(
        by_pem(OTHER_PEM).check(BODY, rsa(SIGNATURE)),
        Err(SignatureError::Mismatch)
    );
    assert_eq!(
        by_pem(&format!("{OTHER_PEM}{PEM_CRLF}")).check(BODY, rsa(SIGNATURE)),
        Ok(Some(key(Scheme::Rsa, 1)))
    );
    let signature = hex_signature(SECRET, BODY);
    assert_eq!(
        by_secrets(&["another secret, long enough", SECRET]).check(BODY, hmac(&signature)),
        Ok(Some(key(Scheme::Hmac, 1)))
    );
    assert_eq!(
        by_secrets(&["another secret, long enough"]).check(BODY, hmac(&signature)),
        Err(SignatureError::Mismatch)
    );
}

#[test]
fn verifies_a_signature_only_in_the_header_of_its_scheme() {
    let signature = hex_signature(SECRET, BODY);
    assert_eq!(
        by_secrets(&[SECRET]).check(BODY, rsa(&signature)),
        Err(SignatureError::NoKey)
    );
    assert_eq!(
        by_secrets(&[SECRET]).check(BODY, rsa(SIGNATURE)),
        Err(SignatureError::NoKey)
    );
    assert_eq!(
        by_pem(PEM).check(BODY, hmac(SIGNATURE)),
        Err(SignatureError::NoKey)
    );
    assert_eq!(
        by_pem(PEM).check(BODY, Signatures::default()),
        Err(SignatureError::Missing)
    );
}

#[test]
fn accepts_one_valid_signature_of_several() {
    let good = hex_signature(SECRET, BODY);
    let check = |keys: Keys, hmac, rsa| {
        let values = [(Scheme::Hmac, hmac), (Scheme::Rsa, rsa)];
        let signatures = Signatures::from_fn(|scheme| {
            let value = values.iter().find(|(other, _)| *other == scheme);
            value.map(|(_, value)| *value)
        });
        keys.check(BODY, signatures)
    };
    let both = || keys(&[SECRET], PEM);
    assert_eq!(
        check(both(), "nonsense", SIGNATURE),
        Ok(Some(key(Scheme::Rsa, 0)))
    );
    assert_eq!(
        check(both(), &good, "nonsense"),
        Ok(Some(key(Scheme::Hmac, 0)))
    );
    let mismatch = Err(SignatureError::Mismatch);
    assert_eq!(check(both(), "nonsense", "nonsense"), mismatch);
    assert_eq!(
        check(by_secrets(&[SECRET]), "nonsense", SIGNATURE),
        mismatch
    );
    assert_eq!(check(by_pem(PEM), &good, "nonsense"), mismatch);
    assert_eq!(
        check(by_secrets(&[]), &good, SIGNATURE),
        Err(SignatureError::NoKey)
    );
}

#[test]
fn rejects_a_malformed_signature() {
    let keys = by_secrets(&[SECRET]);
    let good = hex_signature(SECRET, BODY);
    let twice = format!("{good},{good}");
    let short = &good[..62];
    let prefixed = format!("sha1={good}");
    for value in [
        "",
        " ",
        "sha256=",
        "=",
        "é",
        "sha256é",
        short,
        &twice,
        &prefixed,
        &good.replace('a', "g"),
    ] {
        if value != good {
            assert_eq!(
                keys.check(BODY, hmac(value)),
                Err(SignatureError::Mismatch),
                "{value:?}"
            );
        }
    }
    for value in [
        "",
        "%%%",
        "AAAA",
        "YQ",
        "YQ=",
        &SIGNATURE[1..],
        &format!("{SIGNATURE},{SIGNATURE}"),
    ] {
        assert_eq!(
            by_pem(PEM).check(BODY, rsa(value)),
            Err(SignatureError::Mismatch),
            "{value:?}"
        );
    }
}

#[test]
fn reads_each_scheme_from_its_header() {
    for scheme in Scheme::ALL {
        let mut headers = HeaderMap::new();
        assert!(Signatures::of(&headers).is_empty());
        let value = HeaderValue::from_static("value");
        headers.insert(scheme.header(), value.clone());
        let signatures = Signatures::of(&headers);
        for other in Scheme::ALL {
            let expected = (other == scheme).then_some("value");
            assert_eq!(signatures.get(other), expected);
        }
        headers.append(scheme.header(), value);
        assert_eq!(Signatures::of(&headers).get(scheme), Some(""));
        headers.insert(scheme.header(), HeaderValue::from_bytes(b"\xe9").unwrap());
        assert_eq!(Signatures::of(&headers).get(scheme), Some(""));
    }
}

#[test]
fn adds_only_new_keys_of_an_older_version() {
    let (first, second) = ("0123456789abcdef-1", "0123456789abcdef-2");
    let count = |keys: &Keys| format!("{keys:?}");
    let mut keys = by_secrets(&[first]);
    keys.add(&by_secrets(&[first, second, first]));
    assert_eq!(count(&keys), "2 hmac_secrets, 0 public_keys");
    keys.add(&by_pem(&format!("{PEM}{OTHER_PEM}{PEM_CRLF}")));
    assert_eq!(count(&keys), "2 hmac_secrets, 2 public_keys");
    let many: Vec<_> = (0..3 * KEYS_OF_ALL_SHOPS_MAX)
        .map(|number| format!("0123456789abcdef/{number}"))
        .collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    keys.add(&by_secrets(&many));
    assert_eq!(count(&keys), "64 hmac_secrets, 2 public_keys");
    assert!(by_secrets(&[]).is_empty() && !keys.is_empty());
    assert!(!Keys::AcceptUnsigned.is_empty());
}

#[test]
fn names_a_key_by_its_position() {
    let keys = keys(&[SECRET, SECRET], &format!("{PEM}{OTHER_PEM}"));
    let names: Vec<_> = keys
        .signature_keys()
        .iter()
        .map(|key| key.name.to_string())
        .collect();
    assert_eq!(
        names,
        [
            "inline/hmac_secrets/0",
            "inline/hmac_secrets/1",
            "inline/public_keys/0",
            "inline/public_keys/1",
        ]
    );
    let name = KeyName::new(SecretVersion::Current, None, "hmac_secrets", 1);
    assert_eq!(name.to_string(), "current/hmac_secrets/1");
    let name = KeyName::new(SecretVersion::Previous, None, "public_keys", 1);
    assert_eq!(name.to_string(), "previous/public_keys/1");
    assert_eq!(name.position(), "public_keys/1");
}

#[test]
fn debug_output_hides_the_keys() {
    let shown = format!("{:?}", keys(&[SECRET], PEM));
    assert_eq!(shown, "1 hmac_secrets, 1 public_keys");
    let [key] = &Scheme::Hmac.read_keys(SECRET).unwrap()[..] else {
        panic!("one key");
    };
    assert_eq!(format!("{key:?}"), "Hmac(…)");
}

#[test]
fn accepts_an_unsigned_body_if_the_policy_allows_it() {
    assert_eq!(
        Keys::AcceptUnsigned.check(BODY, Signatures::default()),
        Ok(None)
    );
}

proptest! {
    #[test]
    fn verifies_every_encoding_of_a_digest(body: Vec<u8>, secret in "[ -~]{16,80}") {
        let digest = sign(&secret, &body);
        let lower = ::hex::encode(&digest);
        let keys = by_secrets(&[&secret]);
        for value in [
            lower.to_uppercase(),
            format!("sha256={lower}"),
            format!("SHA256={}", lower.to_uppercase()),
            base64_simd::STANDARD.encode_to_string(&digest),
            format!(" {lower} "),
            lower,
        ] {
            let checked = keys.check(&body, hmac(&value));
            prop_assert_eq!(checked, Ok(Some(key(Scheme::Hmac, 0))), "{}", value);
        }
    }

    #[test]
    fn rejects_a_flipped_bit_of_the_body(
        mut body in proptest::collection::vec(any::<u8>(), 1..400), at: usize, bit in 0..8_u8
    ) {
        let signature = hex_signature(SECRET, &body);
        let at = at % body.len();
        body[at] ^= 1 << bit;
        let checked = by_secrets(&[SECRET]).check(&body, hmac(&signature));
        prop_assert_eq!(checked, Err(SignatureError::Mismatch));
    }

    #[test]
    fn rejects_any_text_as_a_signature(value: String) {
        let mismatch = Err(SignatureError::Mismatch);
        prop_assert_eq!(&by_secrets(&[SECRET]).check(BODY, hmac(&value)), &mismatch);
        prop_assert_eq!(&by_pem(PEM).check(BODY, rsa(&value)), &mismatch);
    }
}
