use serde_json::json;

use super::{
    body::{BODY_BYTES_MAX, Unverified},
    *,
};
use crate::{
    outcome::Failure,
    verify::{Keys, Signatures},
};

fn body_of(request: &serde_json::Value) -> Result<Vec<u8>, Failure> {
    let request = read(request.to_string().as_bytes()).ok_or(Failure::NotARequest)?;
    let body = Unverified::of(&request)?
        .verify(&Keys::AcceptUnsigned, Signatures::of(request.headers()))?;
    Ok(body.bytes().to_vec())
}

fn with_headers(headers: &serde_json::Value) -> Result<Vec<u8>, Failure> {
    body_of(&json!({ "requestContext": {}, "headers": headers, "body": "{}" }))
}

#[test]
fn reads_a_body_that_is_text_or_base64() {
    let headers = json!({ "content-type": "application/json" });
    let plain =
        json!({ "requestContext": {}, "headers": headers, "body": "{\"a\":\"\u{eb}\\/\"}" });
    assert_eq!(body_of(&plain).unwrap(), "{\"a\":\"\u{eb}\\/\"}".as_bytes());
    let encoded = json!({
        "requestContext": {}, "headers": headers, "body": "eyJhIjoxfQ==", "isBase64Encoded": true,
    });
    assert_eq!(body_of(&encoded).unwrap(), b"{\"a\":1}");
    let broken = json!({
        "requestContext": {}, "headers": headers, "body": "eyJhIjoxfQ=", "isBase64Encoded": true,
    });
    assert_eq!(body_of(&broken), Err(Failure::NotARequest));
    let none = json!({ "requestContext": {}, "headers": headers });
    assert_eq!(body_of(&none).unwrap(), b"");
}

#[test]
fn refuses_a_body_above_the_limit() {
    for (bytes, expected) in [
        (BODY_BYTES_MAX, Ok(BODY_BYTES_MAX)),
        (BODY_BYTES_MAX + 1, Err(Failure::TooLarge)),
    ] {
        let headers = json!({ "content-type": "application/json" });
        let body = " ".repeat(bytes);
        let request = json!({ "requestContext": {}, "headers": headers, "body": body });
        assert_eq!(body_of(&request).map(|body| body.len()), expected);
    }
}

#[test]
fn refuses_a_payload_that_is_not_a_request() {
    for event in [
        json!({}),
        json!([]),
        json!({ "requestContext": {}, "body": 1 }),
        json!({ "requestContext": 1 }),
    ] {
        assert_eq!(body_of(&event), Err(Failure::NotARequest), "{event}");
    }
}

#[test]
fn never_fails_to_read_a_payload() {
    for payload in [
        r#"{"requestContext":{},"body":"\ud800"}"#,
        r#"{"requestContext":{"timeEpoch":1e999}}"#,
        r#"{"requestContext":{},"body":"","body":""}"#,
        r#"{"requestContext":{"#,
        "no JSON",
        "",
    ] {
        // `lambda_runtime` reads a payload in the same way.
        let read = Payload::deserialize(&mut serde_json::Deserializer::from_str(payload));
        assert!(read.unwrap().request.is_none(), "{payload}");
    }
}

#[test]
fn returns_the_id_and_the_time_of_the_gateway() {
    let read = |context: serde_json::Value| {
        read(json!({ "requestContext": context }).to_string().as_bytes()).unwrap()
    };
    let request =
        read(json!({ "requestId": "JKJaXmPLvHcESHA=", "timeEpoch": 1_781_814_431_123_u64 }));
    assert_eq!(gateway_id(&request), Some("JKJaXmPLvHcESHA="));
    assert_eq!(plain_gateway_id(&request), Some("JKJaXmPLvHcESHA="));
    assert_eq!(received_ms(&request), 1_781_814_431_123);

    let unusual = read(json!({ "requestId": "zoe @ shop", "timeEpoch": u64::MAX }));
    assert_eq!(gateway_id(&unusual), Some("zoe @ shop"));
    assert_eq!(plain_gateway_id(&unusual), None);
    assert_eq!(received_ms(&unusual), i64::MAX.unsigned_abs());

    let none = read(json!({}));
    assert_eq!((gateway_id(&none), received_ms(&none)), (None, 0));
}

#[test]
fn keeps_the_id_and_the_headers_of_a_request_whose_body_is_not_base64() {
    let request = json!({
        "requestContext": { "requestId": "JKJaXmPLvHcESHA=" },
        "headers": { "content-type": "application/json" },
        "body": "no base64",
        "isBase64Encoded": true,
    });
    let request = read(request.to_string().as_bytes()).unwrap();
    assert_eq!(gateway_id(&request), Some("JKJaXmPLvHcESHA="));
    assert_eq!(request.headers()["content-type"], "application/json");
    let failure = Unverified::of(&request).err();
    assert_eq!(failure, Some(Failure::NotARequest));
}

#[test]
fn accepts_only_plain_json_in_utf_8() {
    for good in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
    ] {
        assert!(
            with_headers(&json!({ "Content-Type": good })).is_ok(),
            "{good}"
        );
    }
    for bad in [
        "",
        "text/plain",
        "application/jsonp",
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=utf-16",
        "application/json; charset =utf-16",
        "multipart/form-data",
    ] {
        assert_eq!(
            with_headers(&json!({ "content-type": bad })),
            Err(Failure::NotApplicationJson),
            "{bad}"
        );
    }
    assert_eq!(with_headers(&json!({})), Err(Failure::NotApplicationJson));
    let gzip = json!({ "content-type": "application/json", "content-encoding": "gzip" });
    assert_eq!(with_headers(&gzip), Err(Failure::NotApplicationJson));
}
