//! An access token or the keys of IMS. The first byte selects how the input is read:
//!
//! 0. A header and claims, which the target signs, because mutations alone never find a valid
//!    signature.
//! 1. The same with one changed byte in the token.
//! 2. Two lines: the values of the HTTP headers.
//! 3. A JWK Set.
#![no_main]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a failed check panics"
)]

use std::{
    sync::LazyLock,
    time::{Duration, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value;
use shared::verify::ims::{AccessToken, CLOCK_TOLERANCE, ImsKeys, TokenError};
use shared_fuzz::keys;

const KID: &str = "sample-1";

/// An arbitrary point in time.
const NOW_MS: u64 = 1_781_814_431_000;

static KEYS: LazyLock<ImsKeys> =
    LazyLock::new(|| ImsKeys::parse(keys::jwks(KID).as_bytes()).expect("a JWK Set"));

fuzz_target!(|input: &[u8]| {
    if let [mode, input @ ..] = input {
        match mode & 3 {
            0 => check_signed(input),
            1 => check_changed(input),
            2 => check_headers(input),
            _ => check_keys(input),
        }
    }
});

/// Splits the input at the first line break.
fn lines(input: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    (next(), next())
}

fn jwt(header: &[u8], claims: &[u8]) -> String {
    let [header, claims] =
        [header, claims].map(|part| base64_simd::URL_SAFE_NO_PAD.encode_to_string(part));
    let signed = format!("{header}.{claims}");
    let signature = keys::sign_jwt(&signed);
    format!("{signed}.{signature}")
}

fn verify(headers: &HeaderMap) -> Option<Result<(), TokenError>> {
    let token = AccessToken::of(headers)?;
    let now = UNIX_EPOCH + Duration::from_millis(NOW_MS);
    let verified = token.verify(&KEYS, now);
    // Without keys, every token of the right form has an unknown key.
    let is_form_valid = verified != Err(TokenError::Malformed);
    let unknown = token.verify(&ImsKeys::default(), now);
    assert_eq!(unknown == Err(TokenError::KeyUnknown), is_form_valid);
    if let Ok(token) = &verified {
        assert!(!token.client_id.is_empty());
    }
    Some(verified.map(|_| ()))
}

fn bearer(jwt: &[u8]) -> Option<HeaderMap> {
    let value = HeaderValue::from_bytes(&[b"Bearer ", jwt].concat()).ok()?;
    Some(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

/// Checks that a signed token verifies exactly if its members say so.
fn check_signed(input: &[u8]) {
    let (header, claims) = lines(input);
    let headers = bearer(jwt(header, claims).as_bytes()).expect("base64 is visible");
    let verified = verify(&headers).expect("a JWT");
    if verified.is_ok() {
        for part in [header, claims] {
            let text = str::from_utf8(part).expect("JSON is UTF-8");
            let _: IgnoredAny = serde_json::from_str(text).expect("JSON");
        }
        // Members that the verifier ignores can be too deep or too large for a value.
        let [Ok(header), Ok(claims)] = [header, claims].map(serde_json::from_slice::<Value>) else {
            return;
        };
        assert_eq!(header["alg"], "RS256");
        assert_eq!(header["kid"], KID);
        assert_eq!(claims["type"], "access_token");
        let time = |name: &str| match &claims[name] {
            Value::String(digits) => digits.parse::<u64>().ok(),
            number => number.as_u64(),
        };
        let created = time("created_at").expect("a time");
        let age = i128::from(NOW_MS) - i128::from(created);
        let tolerance = i128::try_from(CLOCK_TOLERANCE.as_millis()).expect("small");
        let expires_in = i128::from(time("expires_in").expect("a time"));
        assert!((-tolerance..expires_in + tolerance).contains(&age));
    } else {
        assert_ne!(verified, Err(TokenError::Wrong));
    }
}

/// Checks that no changed token verifies.
fn check_changed(input: &[u8]) {
    let [position, change, input @ ..] = input else {
        return;
    };
    let (header, claims) = lines(input);
    let mut jwt = jwt(header, claims).into_bytes();
    let position = (usize::from(*position) * 8 + usize::from(change >> 5)) % jwt.len();
    let changed = change & 0x1f;
    jwt[position] ^= changed;
    if let Some(headers) = bearer(&jwt)
        && let Some(verified) = verify(&headers)
    {
        assert!(verified.is_err() || changed == 0);
    }
}

/// Checks that no token verifies that the target has not signed.
fn check_headers(input: &[u8]) {
    let (authorization, organization) = lines(input);
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("authorization", authorization),
        ("x-gw-ims-org-id", organization),
    ] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    if verify(&headers) == Some(Ok(())) {
        let text = str::from_utf8(authorization).expect("a valid token is ASCII");
        let (signed, signature) = text.trim().rsplit_once('.').expect("a JWT");
        let signed = signed.rsplit(' ').next().expect("a JWT");
        assert_eq!(signature, keys::sign_jwt(signed));
    }
}

fn check_keys(input: &[u8]) {
    let json = serde_json::from_slice::<Value>(input).unwrap_or_default();
    let listed = json["keys"].as_array().map_or(0, Vec::len);
    if let Ok(keys) = ImsKeys::parse(input) {
        assert!(keys.len() <= listed.min(64));
    }
}
