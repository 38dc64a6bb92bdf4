use lambda_http::http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::verify::ims::{
    IMS_ID_CHARS_MAX,
    tests::{KID, base64url, components, jwk, parse, sign},
};

const NOW_MS: u64 = 1_781_814_431_000;
const HOUR_MS: u64 = 3_600_000;
const TOLERANCE_MS: u64 = 60_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(NOW_MS)
}

fn header() -> Value {
    json!({ "alg": "RS256", "kid": KID, "x5u": "ims_na1-key-at-1.cer", "typ": "JWT" })
}

fn claims() -> Value {
    json!({
        "client_id": "commerce-sample-client",
        "type": "access_token",
        "user_id": "0123@techacct.adobe.com",
        "as": "ims-na1",
        "created_at": NOW_MS.to_string(),
        "expires_in": HOUR_MS.to_string(),
    })
}

/// Returns the object with another value of a member; `null` removes it.
fn with(mut object: Value, name: &str, value: Value) -> Value {
    if value.is_null() {
        object.as_object_mut().unwrap().remove(name);
    } else {
        object[name] = value;
    }
    object
}

fn known() -> ImsKeys {
    parse(&[jwk("other"), jwk(KID)]).unwrap()
}

fn verify_at(jwt: &str, now: SystemTime) -> Result<VerifiedToken<'_>, TokenError> {
    let token = AccessToken {
        jwt: jwt.as_bytes(),
        org_id: None,
    };
    token.verify(&known(), now)
}

fn verify(jwt: &str) -> Result<(), TokenError> {
    verify_at(jwt, now()).map(|_| ())
}

fn verify_claims(claims: &Value) -> Result<(), TokenError> {
    verify(&sign(header().to_string(), claims.to_string()))
}

fn verify_header(header: &Value) -> Result<(), TokenError> {
    verify(&sign(header.to_string(), claims().to_string()))
}

fn headers(values: &[(&'static str, &[u8])]) -> HeaderMap {
    let value = |bytes| HeaderValue::from_bytes(bytes).unwrap();
    values
        .iter()
        .map(|(name, bytes)| (HeaderName::from_static(name), value(bytes)))
        .collect()
}

#[test]
fn verifies_a_token_and_returns_the_client_and_the_organization() {
    let jwt = sign(header().to_string(), claims().to_string());
    for scheme in ["Bearer ", "bearer ", "BEARER   "] {
        let value = format!("{scheme}{jwt} ");
        let headers = headers(&[
            ("authorization", value.as_bytes()),
            ("x-gw-ims-org-id", b"0123@AdobeOrg"),
        ]);
        let token = AccessToken::of(&headers).unwrap();
        let verified = token.verify(&known(), now()).unwrap();
        assert_eq!(verified.client_id, "commerce-sample-client");
        assert_eq!(verified.org_id, Some("0123@AdobeOrg"));
        for shown in [format!("{token:?}"), format!("{verified:?}")] {
            assert!(shown.ends_with("(…)"), "{shown}");
        }
    }
}

#[test]
fn another_credential_is_not_an_access_token() {
    let of = |values: &[&[u8]]| {
        let values: Vec<_> = values
            .iter()
            .map(|value| ("authorization", *value))
            .collect();
        AccessToken::of(&headers(&values)).map(|token| token.jwt.to_vec())
    };
    for absent in [
        &b""[..],
        b"Bearer",
        b"Bearer ",
        b"Bearer static-token",
        b"Bearer a.b",
        b"Bearer a.b.c.d",
        b"Bearer\ta.b.c",
        b"Basic a.b.c",
        b"Beare\xE9 a.b.c",
        b"a.b.c",
    ] {
        assert_eq!(of(&[absent]), None, "{}", absent.escape_ascii());
    }
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[b"Bearer a.b.c"]).unwrap(), b"a.b.c");
    assert_eq!(of(&[b"Bearer .."]).unwrap(), b"..");
    // A repeated header is never valid.
    assert_eq!(of(&[b"Bearer a.b.c", b"Bearer a.b.c"]).unwrap(), b"");
    assert_eq!(verify(""), Err(TokenError::Malformed));
    assert_eq!(verify(".."), Err(TokenError::Malformed));
}

#[test]
fn a_repeated_or_unreadable_organization_is_empty() {
    let of = |values: &[&[u8]]| {
        let mut all = vec![("authorization", &b"Bearer a.b.c"[..])];
        all.extend(values.iter().map(|value| ("x-gw-ims-org-id", *value)));
        let headers = headers(&all);
        let token = AccessToken::of(&headers).unwrap();
        token.org_id.map(str::to_owned)
    };
    assert_eq!(of(&[]), None);
    for values in [&[&b"a"[..], b"a"][..], &[b"a\xE9"], &[b""]] {
        assert_eq!(of(values).unwrap(), "");
    }
}

#[test]
fn rejects_every_algorithm_but_rs256() {
    for alg in [
        json!("none"),
        json!("None"),
        json!(""),
        json!("HS256"),
        json!("RS384"),
        json!("RS512"),
        json!("PS256"),
        json!("ES256"),
        json!("rs256"),
        json!("RS256 "),
        json!(["RS256"]),
        json!(256),
        json!(null),
    ] {
        let header = with(header(), "alg", alg);
        assert_eq!(
            verify_header(&header),
            Err(TokenError::Malformed),
            "{header}"
        );
        let unsigned = format!(
            "{}.{}.",
            base64url(header.to_string()),
            base64url(claims().to_string())
        );
        assert_eq!(verify(&unsigned), Err(TokenError::Malformed));
    }
    let unsigned = format!(
        "{}.{}.",
        base64url(header().to_string()),
        base64url(claims().to_string())
    );
    assert_eq!(verify(&unsigned), Err(TokenError::Wrong));
}

#[test]
fn the_public_key_is_not_a_secret() {
    let pem = include_str!("../../../../../events/sample-keys/public-key.pem");
    let secrets = [
        pem.as_bytes().to_vec(),
        pem.trim_end().as_bytes().to_vec(),
        components().0,
        jwk(KID).to_string().into_bytes(),
    ];
    for (alg, error) in [
        ("HS256", TokenError::Malformed),
        ("RS256", TokenError::Wrong),
    ] {
        let header = with(header(), "alg", json!(alg)).to_string();
        let signed = format!("{}.{}", base64url(header), base64url(claims().to_string()));
        for secret in &secrets {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
            let tag = ring::hmac::sign(&key, signed.as_bytes());
            assert_eq!(verify(&format!("{signed}.{}", base64url(tag))), Err(error));
        }
    }
}

#[test]
fn uses_only_the_key_that_ims_publishes_under_the_name() {
    let unknown = |kid: Value| verify_header(&with(header(), "kid", kid));
    assert_eq!(unknown(json!("sample-2")), Err(TokenError::KeyUnknown));
    assert_eq!(unknown(json!("Sample-1")), Err(TokenError::KeyUnknown));
    let long = "x".repeat(KID_BYTES_MAX);
    assert_eq!(unknown(json!(long)), Err(TokenError::KeyUnknown));
    let too_long = format!("{long}x");
    for kid in [
        json!(""),
        json!(1),
        json!([KID]),
        json!(too_long),
        json!(null),
    ] {
        assert_eq!(unknown(kid), Err(TokenError::Malformed));
    }
    // The token brings the key that signed it; IMS has another one.
    let (mut other, _) = components();
    other[9] ^= 1;
    let mut other_jwk = jwk(KID);
    other_jwk["n"] = json!(base64url(other));
    let keys = parse(&[other_jwk]).unwrap();
    for (name, value) in [
        ("jwk", jwk(KID)),
        ("jku", json!("http://127.0.0.1:1/keys")),
        ("x5u", json!("http://127.0.0.1:1/cert")),
        ("x5c", json!(["MIIB"])),
    ] {
        let jwt = sign(
            with(header(), name, value).to_string(),
            claims().to_string(),
        );
        let token = AccessToken {
            jwt: jwt.as_bytes(),
            org_id: None,
        };
        let verified = token.verify(&keys, now());
        assert_eq!(verified, Err(TokenError::Wrong));
        assert_eq!(verify(&jwt), Ok(()));
    }
}

#[test]
fn no_changed_byte_verifies() {
    let jwt = sign(header().to_string(), claims().to_string());
    assert_eq!(verify(&jwt), Ok(()));
    for index in 0..jwt.len() {
        for change in [1, 2, 0x20, 0x40] {
            let mut changed = jwt.clone().into_bytes();
            changed[index] ^= change;
            let changed = String::from_utf8(changed).unwrap();
            assert!(verify(&changed).is_err(), "byte {index}");
        }
    }
    for length in 0..jwt.len() {
        assert!(verify(&jwt[..length]).is_err());
    }
    let [first, second, third] = jwt.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts");
    };
    for changed in [
        format!("{second}.{first}.{third}"),
        format!("{first}.{second}"),
        format!("{first}.{second}.{third}."),
        format!(".{second}.{third}"),
        format!("{first}..{third}"),
        format!("{first}=.{second}.{third}"),
        format!("{first}.{second}=.{third}"),
        format!("{first}.{second}.{third}=="),
        format!("{first}. {second}.{third}"),
        format!("{first}.{second}.{third}\n"),
        format!("{first}.{second}.{third}\0"),
    ] {
        assert_eq!(verify(&changed), Err(TokenError::Malformed), "{changed}");
    }
    // The signature of other claims.
    let other = sign(
        header().to_string(),
        with(claims(), "client_id", json!("x")).to_string(),
    );
    let other = other.rsplit('.').next().unwrap();
    let mixed = format!("{first}.{second}.{other}");
    assert_eq!(verify(&mixed), Err(TokenError::Wrong));
}

#[test]
fn the_header_and_the_claims_are_objects_without_repetition() {
    let good_header = header().to_string();
    let good_claims = claims().to_string();
    let end = |json: &str| json[1..].to_owned();
    for header in [
        String::new(),
        "null".to_owned(),
        "{}".to_owned(),
        "RS256".to_owned(),
        format!(r#"["RS256","{KID}",null]"#),
        format!("[{good_header}]"),
        format!("{good_header}{{}}"),
        format!(r#"{{"alg":"RS256",{}"#, end(&good_header)),
        format!(r#"{{"alg":"none",{}"#, end(&good_header)),
        format!(r#"{{"al\u0067":"RS256",{}"#, end(&good_header)),
        format!(r#"{{"kid":"{KID}",{}"#, end(&good_header)),
        format!(r#"{{"crit":["exp"],{}"#, end(&good_header)),
        format!(r#"{{"crit":[],{}"#, end(&good_header)),
        format!(r#"{{"crit":null,{}"#, end(&good_header)),
        format!("\u{feff}{good_header}"),
        format!("{},}}", &good_header[..good_header.len() - 1]),
    ] {
        let jwt = sign(&header, &good_claims);
        assert_eq!(verify(&jwt), Err(TokenError::Malformed), "{header}");
    }
    for claims in [
        String::new(),
        "{}".to_owned(),
        format!("[{good_claims}]"),
        format!(r#"{{"client_id":"x",{}"#, end(&good_claims)),
        format!(r#"{{"type":"access_token",{}"#, end(&good_claims)),
        format!(
            r#"{{"created_at":"1","created_at":"1",{}"#,
            end(&good_claims)
        ),
        format!(r#"{{"expires_in":null,{}"#, end(&good_claims)),
        format!(r#"{{"as":1e,{}"#, end(&good_claims)),
    ] {
        let jwt = sign(&good_header, &claims);
        assert_eq!(verify(&jwt), Err(TokenError::Malformed), "{claims}");
    }
    // Other members may be anything, in any order and with any white space.
    let spaced = format!(" \n{{\"b\":1,\"b\":{{}},{} ", end(&good_header));
    assert_eq!(verify(&sign(spaced, &good_claims)), Ok(()));
    for not_utf8 in [&b"\"\xFF\":1,"[..], b"\"scope\":\"\xFF\","] {
        let end = end(&good_claims);
        let claims = [b"{", not_utf8, end.as_bytes()].concat();
        let jwt = sign(&good_header, claims);
        assert_eq!(verify(&jwt), Err(TokenError::Malformed));
    }
}

#[test]
fn limits_the_size_and_the_depth() {
    let with_fill = |length| {
        let claims = with(claims(), "scope", json!("x".repeat(length)));
        sign(header().to_string(), claims.to_string())
    };
    let largest = (7000..7200).rfind(|length| with_fill(*length).len() <= TOKEN_BYTES_MAX);
    let largest = largest.unwrap();
    assert_eq!(verify(&with_fill(largest)), Ok(()));
    let larger = with_fill(largest + 3);
    assert!(larger.len() > TOKEN_BYTES_MAX);
    assert_eq!(verify(&larger), Err(TokenError::Malformed));
    assert_eq!(
        verify(&"a.".repeat(1 << 20)),
        Err(TokenError::Malformed),
        "many parts"
    );

    let deep = format!("{}{}", "[".repeat(3000), "]".repeat(3000));
    let nested = |name| format!(r#"{{"{name}":{deep},{}"#, &claims().to_string()[1..]);
    let jwt = sign(header().to_string(), nested("scope"));
    assert_eq!(verify(&jwt), Ok(()), "ignored without recursion");
    for name in ["type", "created_at", "client_id"] {
        let jwt = sign(header().to_string(), nested(name));
        assert_eq!(verify(&jwt), Err(TokenError::Malformed));
    }
}

#[test]
fn only_an_access_token_counts() {
    for other in ["refresh_token", "Access_Token", "", "access_token "] {
        let claims = with(claims(), "type", json!(other));
        assert_eq!(verify_claims(&claims), Err(TokenError::Type), "{other}");
    }
    for other in [json!(null), json!(1), json!(["access_token"])] {
        let claims = with(claims(), "type", other);
        assert_eq!(verify_claims(&claims), Err(TokenError::Malformed));
    }
}

#[test]
fn a_client_id_is_short_and_visible() {
    let verify = |id: Value| verify_claims(&with(claims(), "client_id", id));
    assert_eq!(verify(json!("x".repeat(IMS_ID_CHARS_MAX))), Ok(()));
    for id in [
        json!("x".repeat(IMS_ID_CHARS_MAX + 1)),
        json!(""),
        json!("a b"),
        json!("a\n"),
        json!("a\0"),
        json!("ä"),
        json!(1),
        json!(["a"]),
        json!(null),
    ] {
        assert_eq!(verify(id.clone()), Err(TokenError::Malformed), "{id}");
    }
}

#[test]
fn a_token_is_valid_between_its_times_with_a_tolerance() {
    let jwt = sign(header().to_string(), claims().to_string());
    let at = |ms| {
        let now = UNIX_EPOCH + Duration::from_millis(ms);
        verify_at(&jwt, now).map(|_| ())
    };
    let end = NOW_MS + HOUR_MS;
    assert_eq!(at(NOW_MS - TOLERANCE_MS - 1), Err(TokenError::NotYetValid));
    assert_eq!(at(NOW_MS - TOLERANCE_MS), Ok(()));
    assert_eq!(at(NOW_MS), Ok(()));
    assert_eq!(at(end), Ok(()));
    assert_eq!(at(end + TOLERANCE_MS - 1), Ok(()));
    assert_eq!(at(end + TOLERANCE_MS), Err(TokenError::Expired));
    let before_1970 = UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(verify_at(&jwt, before_1970), Err(TokenError::NotYetValid));
}

#[test]
fn a_time_is_a_number_or_a_text_of_digits() {
    let verify = |name: &str, value: Value| verify_claims(&with(claims(), name, value));
    assert_eq!(verify("created_at", json!(NOW_MS)), Ok(()));
    assert_eq!(verify("expires_in", json!(HOUR_MS)), Ok(()));
    assert_eq!(verify("expires_in", json!("0")), Ok(()));
    assert_eq!(verify("created_at", json!(0)), Err(TokenError::Expired));
    let longest = u64::MAX - NOW_MS;
    assert_eq!(verify("expires_in", json!(longest)), Ok(()));
    assert_eq!(
        verify("created_at", json!(longest - HOUR_MS)),
        Err(TokenError::NotYetValid)
    );
    for name in ["created_at", "expires_in"] {
        for value in [
            json!(u64::MAX),
            json!(u64::MAX.to_string()),
            json!("18446744073709551616"),
            json!("9".repeat(400)),
            json!("-1"),
            json!("+1781814431000"),
            json!(" 1"),
            json!("1e3"),
            json!("0x1"),
            json!("1.0"),
            json!(1.5),
            json!(1e3),
            json!(-1),
            json!(""),
            json!("١"),
            json!(true),
            json!([1]),
            json!({}),
            json!(null),
        ] {
            let result = verify(name, value.clone());
            assert_eq!(result, Err(TokenError::Malformed), "{name}: {value}");
        }
    }
}

proptest! {
    #[test]
    fn does_not_panic_on_any_headers(
        values in prop::collection::vec((any::<bool>(), prop::collection::vec(32_u8..=255, 0..200)), 0..4)
    ) {
        let values: Vec<_> = values
            .iter()
            .map(|(is_org, value)| (if *is_org { "x-gw-ims-org-id" } else { "authorization" }, value))
            .filter(|(_, value)| HeaderValue::from_bytes(value).is_ok())
            .map(|(name, value)| (name, &value[..]))
            .collect();
        if let Some(token) = AccessToken::of(&headers(&values)) {
            prop_assert!(token.verify(&known(), now()).is_err());
        }
    }

    #[test]
    fn does_not_panic_on_any_token(jwt: Vec<u8>, header: Vec<u8>, claims: Vec<u8>, signature: Vec<u8>) {
        let parts = [header, claims, signature].map(base64url).join(".");
        for jwt in [&jwt[..], parts.as_bytes()] {
            let verified = AccessToken { jwt, org_id: None }.verify(&known(), now());
            prop_assert_eq!(verified, Err(TokenError::Malformed));
        }
    }
}
