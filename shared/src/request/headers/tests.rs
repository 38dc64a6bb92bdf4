use serde_json::{Value, json};

use super::*;
use crate::request::read;

const HMAC: &str = "x-adobe-signature";
const RSA: &str = "x-adobe-commerce-webhook-signature";

/// Returns the headers of a request with these members.
fn headers_of(members: &Value) -> HeaderMap {
    let mut request = json!({ "requestContext": {}, "body": "{}" });
    for (name, value) in members.as_object().unwrap() {
        request[name] = value.clone();
    }
    read(request.to_string().as_bytes())
        .unwrap()
        .headers()
        .clone()
}

/// Returns the headers of a request with this member `headers`.
fn headers(json: &str) -> HeaderMap {
    let PlainHeaders(headers) = serde_json::from_str(json).unwrap();
    headers
}

fn get<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn reads_a_name_in_any_case_and_empties_a_repeated_header() {
    let read = headers(&format!(r#"{{"X-ADOBE-SIGNATURE":"a","{RSA}":"b"}}"#));
    assert_eq!((get(&read, HMAC), get(&read, RSA)), (Some("a"), Some("b")));
    let twice = headers(r#"{"X-Adobe-Signature":"a","x-adobe-signature":"b"}"#);
    assert_eq!(get(&twice, HMAC), Some(""));
    let same_name_twice = headers(r#"{"x-adobe-signature":"a","x-adobe-signature":"a"}"#);
    assert_eq!(get(&same_name_twice, HMAC), Some(""));
    let others = headers(r#"{"x-adobe-signature2":"a","accept":"b"}"#);
    assert_eq!((get(&others, HMAC), get(&others, RSA)), (None, None));
    assert_eq!(get(&others, "accept"), Some("b"));
}

#[test]
fn empties_an_invalid_value_and_drops_an_invalid_name() {
    for value in [
        "1",
        "true",
        "1.5",
        "-1",
        "[\"a\"]",
        "{\"a\":1}",
        r#""a\u0000""#,
        r#""a\n""#,
        "1e999",
        r#""\ud800""#,
        &format!("{}{}", "[".repeat(1000), "]".repeat(1000)),
    ] {
        let read = headers(&format!(r#"{{"{HMAC}":{value},"accept":"b"}}"#));
        assert_eq!(get(&read, HMAC), Some(""), "{value}");
        assert_eq!(get(&read, "accept"), Some("b"), "{value}");
    }
    let absent = headers(&format!(
        r#"{{"{HMAC}":null,"a b":"c","":"d","\u00e9":"e"}}"#
    ));
    assert!(absent.is_empty());
    let other_text = headers(&format!(r#"{{"{HMAC}":"caf\u00e9"}}"#));
    assert_eq!(text(&other_text, HMAC), Some("caf\u{e9}"));
}

#[test]
fn does_not_panic_on_more_headers_than_the_map_can_hold() {
    let many: serde_json::Map<_, _> = (0..40_000)
        .map(|number| (format!("h{number}"), json!("")))
        .collect();
    let read = headers(&Value::Object(many).to_string());
    assert!(read.len() > 20_000);
}

#[test]
fn reads_multi_value_headers_if_there_are_no_others() {
    let lists =
        json!({ "Content-Type": ["application/json"], "X-Adobe-Signature": ["a"], "accept": 7 });
    for members in [
        json!({ "multiValueHeaders": lists }),
        json!({ "headers": null, "multiValueHeaders": lists }),
        json!({ "headers": {}, "multiValueHeaders": lists }),
    ] {
        let headers = headers_of(&members);
        let read = ["content-type", HMAC, RSA].map(|name| get(&headers, name));
        assert_eq!(
            read,
            [Some("application/json"), Some("a"), None],
            "{members}"
        );
    }
    // REST APIs send both. Then only `headers` counts.
    let both = headers_of(&json!({ "headers": { "accept": "b" }, "multiValueHeaders": lists }));
    let read = ["content-type", HMAC, RSA].map(|name| get(&both, name));
    assert_eq!(read, [None, None, None]);
}

#[test]
fn empties_a_header_with_several_values() {
    let hmac = |lists: &Value| {
        let headers = headers_of(&json!({ "multiValueHeaders": lists }));
        get(&headers, HMAC).map(str::to_owned)
    };
    for several in [
        json!({ "x-adobe-signature": ["a", "b"] }),
        json!({ "x-adobe-signature": ["a", "a"] }),
        json!({ "x-adobe-signature": ["a"], "X-Adobe-Signature": ["a"] }),
        json!({ "x-adobe-signature": ["a", 1] }),
        json!({ "x-adobe-signature": [1] }),
        json!({ "x-adobe-signature": [["a"]] }),
        json!({ "x-adobe-signature": "a" }),
        json!({ "x-adobe-signature": { "a": "a" } }),
    ] {
        assert_eq!(hmac(&several).as_deref(), Some(""), "{several}");
    }
    for none in [
        json!({ "x-adobe-signature": [] }),
        json!({ "x-adobe-signature": null }),
        json!({}),
        json!([["x-adobe-signature", ["a"]]]),
        json!("x-adobe-signature"),
        json!(7),
        json!(null),
    ] {
        assert_eq!(hmac(&none), None, "{none}");
    }
}

#[test]
fn is_a_check_only_with_its_header_and_without_a_signature() {
    let is_check = |written: &Value| is_check(&headers(&written.to_string()));
    assert!(is_check(&json!({ "x-webhook-check": "1" })));
    assert!(is_check(&json!({ "X-Webhook-Check": "" })));
    assert!(!is_check(&json!({ "x-webhook-checked": "1" })));
    for signature in [
        json!({ "x-adobe-signature": "a" }),
        json!({ "x-adobe-signature": "" }),
        json!({ "x-adobe-commerce-webhook-signature": "a" }),
        json!({ "x-adobe-signature": "a", "X-Adobe-Signature": "a" }),
    ] {
        let mut headers = signature;
        headers["x-webhook-check"] = json!("1");
        assert!(!is_check(&headers), "{headers}");
    }
}

#[test]
fn is_reconciled_only_with_the_value_1_once() {
    let is_reconciled = |written: Value| is_reconciled(&headers(&written.to_string()));
    assert!(is_reconciled(json!({ "X-Webhook-Reconciled": "1" })));
    for other in ["", "0", "true", "1, 1", " 1"] {
        assert!(
            !is_reconciled(json!({ "x-webhook-reconciled": other })),
            "{other}"
        );
    }
    let twice = json!({ "x-webhook-reconciled": "1", "X-Webhook-Reconciled": "1" });
    assert!(!is_reconciled(twice));
    assert!(!is_reconciled(json!({})));
}

#[test]
fn returns_the_shops_request_id_if_the_log_may_contain_it() {
    let id = |written: Value| {
        let headers = headers(&written.to_string());
        shop_request_id(&headers).map(str::to_owned)
    };
    let name = "X-Adobe-Commerce-Request-Id";
    assert_eq!(id(json!({ name: "shop-1" })).as_deref(), Some("shop-1"));
    assert_eq!(id(json!({ name: "zoe@shop.example" })), None);
    assert_eq!(id(json!({})), None);
}

#[test]
fn forwards_a_tracestate_only_with_a_traceparent() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let read = |written: Value| {
        let headers = headers(&written.to_string());
        (
            traceparent(&headers).is_some(),
            tracestate(&headers).map(str::to_owned),
        )
    };
    let state = "rojo=00f067aa0ba902b7";
    assert_eq!(
        read(json!({ "traceparent": PARENT, "Tracestate": state })),
        (true, Some(state.to_owned()))
    );
    assert_eq!(
        read(json!({ "traceparent": PARENT, "tracestate": "zoe" })),
        (true, None)
    );
    let twice = json!({ "traceparent": PARENT, "tracestate": state, "Tracestate": state });
    assert_eq!(read(twice), (true, None));
    for no_trace in [
        json!({ "tracestate": state }),
        json!({ "traceparent": "00-zoe", "tracestate": state }),
    ] {
        assert_eq!(read(no_trace), (false, None));
    }
}
