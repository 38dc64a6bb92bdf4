use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::verify::ims::tests::{KID, base64url, components, jwk, parse};

/// Returns the sample JWK with another value of a member; `null` removes it.
fn with(name: &str, value: Value) -> Value {
    let mut changed = jwk(KID);
    if value.is_null() {
        changed.as_object_mut().unwrap().remove(name);
    } else {
        changed[name] = value;
    }
    changed
}

fn kids(jwks: &[Value]) -> Vec<String> {
    let keys = parse(jwks).unwrap();
    keys.0.into_iter().map(|key| key.kid).collect()
}

#[test]
fn reads_every_usable_key() {
    assert_eq!(kids(&[jwk("a"), jwk("b")]), ["a", "b"]);
    let optional = ["use", "alg"].map(|name| with(name, Value::Null));
    for jwk in optional {
        assert_eq!(kids(&[jwk]), [KID]);
    }
    let unknown = with("x5c", json!(["MIIB"]));
    assert_eq!(kids(&[unknown]), [KID]);
}

#[test]
fn skips_keys_that_cannot_verify_a_token() {
    let (modulus, exponent) = components();
    let mut even = modulus.clone();
    *even.last_mut().unwrap() &= 0xFE;
    let number = |bytes: &[u8]| json!(base64url(bytes));
    let long = "x".repeat(KID_BYTES_MAX + 1);
    for (name, value) in [
        ("kty", json!("EC")),
        ("kty", json!("oct")),
        ("kty", json!("rsa")),
        ("kty", Value::Null),
        ("use", json!("enc")),
        ("use", json!(["sig"])),
        ("alg", json!("RS512")),
        ("alg", json!("PS256")),
        ("alg", json!("HS256")),
        ("alg", json!(1)),
        ("kid", Value::Null),
        ("kid", json!("")),
        ("kid", json!(1)),
        ("kid", json!(long)),
        ("n", Value::Null),
        ("n", json!("")),
        ("n", json!(["AQAB"])),
        ("n", json!("?")),
        ("n", number(&modulus[1..])),
        ("n", number(&even)),
        ("n", number(&[&[1], &modulus[..]].concat()[..255])),
        ("n", number(&vec![0xFF; 1025])),
        ("n", json!(base64_simd::STANDARD.encode_to_string(&modulus))),
        ("e", Value::Null),
        ("e", json!(65537)),
        ("e", json!("")),
        ("e", number(&[0, 0])),
        ("e", number(&[1])),
        ("e", number(&[1, 0, 0])),
        ("e", number(&[3, 0, 0, 0, 1])),
        ("e", json!("AQAB==")),
    ] {
        let changed = with(name, value);
        assert_eq!(kids(&[changed.clone(), jwk("a")]), ["a"], "{changed}");
    }
    for jwk in [json!(null), json!([]), json!("RSA"), json!({})] {
        assert!(parse(&[jwk]).unwrap().is_empty());
    }
    let zeros = with("n", number(&[&[0, 0], &modulus[..]].concat()));
    assert_eq!(kids(&[zeros]), [KID]);
    let zeros = with("e", number(&[&[0], &exponent[..]].concat()));
    assert_eq!(kids(&[zeros]), [KID]);
}

#[test]
fn of_two_keys_with_one_name_neither_counts() {
    assert_eq!(kids(&[jwk("a"), jwk("b"), jwk("a")]), ["b"]);
    assert_eq!(kids(&[jwk("a"), jwk("a"), jwk("a")]).len(), 0);
    // A key of another type is no candidate.
    assert_eq!(kids(&[jwk(KID), with("kty", json!("EC"))]), [KID]);
}

#[test]
fn an_answer_that_is_not_a_key_set_is_an_error() {
    let set = json!({"keys": [jwk(KID)]}).to_string();
    for length in 0..set.len() {
        let error = ImsKeys::parse(&set.as_bytes()[..length]).unwrap_err();
        assert_eq!(error, ImsError::NotKeys);
    }
    let keys = json!([jwk(KID)]);
    for json in [
        format!("{keys}"),
        format!(r#"{{"key":{keys}}}"#),
        format!(r#"{{"keys":{}}}"#, jwk(KID)),
        r#"{"keys":null}"#.to_owned(),
        format!(r#"{{"keys":{keys},"keys":{keys}}}"#),
        format!("{set}{set}"),
        format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)),
        format!(r#"{{"keys":{}{}}}"#, "[".repeat(9000), "]".repeat(9000)),
    ] {
        let error = ImsKeys::parse(json.as_bytes()).unwrap_err();
        assert_eq!(error, ImsError::NotKeys);
    }
    let many: Vec<_> = (0..=JWKS_MAX).map(|kid| jwk(&kid.to_string())).collect();
    assert_eq!(kids(&many[1..]).len(), JWKS_MAX);
    assert_eq!(parse(&many).unwrap_err(), ImsError::TooLarge);
}

proptest! {
    #[test]
    fn does_not_panic_on_any_answer(bytes: Vec<u8>) {
        let _ = ImsKeys::parse(&bytes);
    }

    #[test]
    fn does_not_panic_on_any_number(modulus: Vec<u8>, exponent: Vec<u8>, text: String) {
        let bytes = with("n", json!(base64url(&modulus)));
        let texts = with("n", json!(text));
        for mut jwk in [bytes, texts] {
            jwk["e"] = json!(base64url(&exponent));
            prop_assert!(parse(&[jwk]).is_ok());
        }
    }
}
