//! What API Gateway hands to the function: an HTTP request in payload format 2.0, of which a webhook needs little.

pub mod body;
pub mod trace;

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    outcome::Failure,
    request::{
        body::Unverified,
        trace::{is_traceparent, is_tracestate},
    },
    telemetry::plain_id,
    verify::{HMAC_HEADER, RSA_HEADER, Signatures},
};

/// Sent as `refuse` by what sends quarantined events again: one that is still unusable must not be quarantined a second time.
const INVALID_EVENTS_HEADER: &str = "x-invalid-events";

/// Sent, without a signature, by the operator's own check of a deployment.
const CHECK_HEADER: &str = "x-webhook-check";

/// Sent as `1` by the operator's tool that posts what the shop has and no message named. It changes nothing but how the event is marked.
const RECONCILED_HEADER: &str = "x-webhook-reconciled";

/// What an invocation brings: a request, as it should, or anything else.
#[derive(Debug)]
pub struct Payload(Option<Request>);

impl Payload {
    /// The request, if API Gateway wrote it.
    pub fn request(&self) -> Result<&Request, Failure> {
        self.0.as_ref().ok_or(Failure::NotARequest)
    }
}

impl<'de> Deserialize<'de> for Payload {
    /// Lambda's runtime would answer for us if this failed, so it does not; the runtime does not look at what is left unread.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(Request::deserialize(from).ok()))
    }
}

/// A request as API Gateway's HTTP API and Lambda's function URLs write it. The headers may also be those of a load balancer that
/// writes `multiValueHeaders` only.
#[derive(Debug, Deserialize)]
#[serde(from = "Written")]
pub struct Request {
    /// The headers that matter here.
    pub headers: Headers,
    /// Who took the request, and when.
    pub request_context: RequestContext,
    body: Option<String>,
    is_base64_encoded: bool,
}

/// The members of a request as they are written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(default)]
    headers: Headers,
    /// Read only where `headers` holds none, so that no other request pays for it.
    #[serde(default)]
    multi_value_headers: Option<Box<RawValue>>,
    request_context: RequestContext,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

impl From<Written> for Request {
    fn from(written: Written) -> Self {
        let headers = match written.multi_value_headers {
            Some(lists) if written.headers.is_empty => Headers::from_lists(&lists),
            _ => written.headers,
        };
        Self {
            headers,
            request_context: written.request_context,
            body: written.body,
            is_base64_encoded: written.is_base64_encoded,
        }
    }
}

/// What API Gateway says about the request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestContext {
    /// The gateway's id of the request.
    #[serde(default)]
    pub request_id: String,
    /// When the gateway took it, in milliseconds since 1970; 0 when unknown.
    #[serde(default)]
    pub time_epoch: u64,
}

impl Request {
    /// The gateway's id of the request, if it looks like one.
    pub fn id(&self) -> Option<&str> {
        plain_id(&self.request_context.request_id)
    }

    /// The gateway's id of the request as it is, by which one delivery is told from another.
    pub fn delivered_as(&self) -> Option<&str> {
        Some(&*self.request_context.request_id).filter(|id| !id.is_empty())
    }

    /// The raw bytes that the shop sent, if they claim to be JSON.
    pub fn body(&self) -> Result<Unverified<'_>, Failure> {
        if !self.headers.says_json() {
            return Err(Failure::NotApplicationJson);
        }
        let text = self.body.as_deref().unwrap_or_default();
        if self.is_base64_encoded {
            return Unverified::new(
                base64_simd::STANDARD
                    .decode_to_vec(text)
                    .map_err(|_| Failure::NotARequest)?,
            );
        }
        Unverified::new(text.as_bytes())
    }
}

/// The headers that matter here, whatever the case of their names.
#[derive(Debug)]
pub struct Headers {
    /// Whether there is none at all, not even one that does not matter.
    is_empty: bool,
    /// The shop's id of its own request, which every hook fired in that request carries.
    pub shop_request_id: Option<String>,
    invalid_events: Option<String>,
    check: Option<String>,
    reconciled: Option<String>,
    traceparent: Option<String>,
    tracestate: Option<String>,
    hmac: Option<String>,
    rsa: Option<String>,
    content_type: Option<String>,
    content_encoding: Option<String>,
}

impl Default for Headers {
    fn default() -> Self {
        Self {
            is_empty: true,
            shop_request_id: None,
            invalid_events: None,
            check: None,
            reconciled: None,
            traceparent: None,
            tracestate: None,
            hmac: None,
            rsa: None,
            content_type: None,
            content_encoding: None,
        }
    }
}

impl Headers {
    /// The signatures that came with the request.
    pub fn signatures(&self) -> Signatures<'_> {
        Signatures {
            hmac: self.hmac.as_deref(),
            rsa: self.rsa.as_deref(),
        }
    }

    /// Whether whoever sends the request wants to know of an unusable event, whatever the operator chose.
    pub fn refuses_invalid_events(&self) -> bool {
        let asked = self.invalid_events.as_deref();
        asked.is_some_and(|asked| asked.eq_ignore_ascii_case("refuse"))
    }

    /// Whether the request only checks a deployment. One with a signature never does: it may be an event.
    pub fn is_check(&self) -> bool {
        self.check.is_some() && self.hmac.is_none() && self.rsa.is_none()
    }

    /// Whether the request says that no message named the event when it happened. Anybody can say so: it counts with a right signature.
    pub fn says_reconciled(&self) -> bool {
        self.reconciled.as_deref() == Some("1")
    }

    /// The trace that the request belongs to (W3C Trace Context, `traceparent`), if it is one.
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent
            .as_deref()
            .filter(|text| is_traceparent(text))
    }

    /// What the vendors on the way say of that trace (`tracestate`), if it can be read. Without the trace it means nothing.
    pub fn tracestate(&self) -> Option<&str> {
        self.traceparent()?;
        self.tracestate
            .as_deref()
            .filter(|text| is_tracestate(text))
    }

    /// Whether the body is said to be plain JSON in UTF-8.
    fn says_json(&self) -> bool {
        let mut parts = self
            .content_type
            .as_deref()
            .unwrap_or_default()
            .split(';')
            .map(str::trim);
        let json = parts
            .next()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
        let utf8 = parts
            .filter_map(|part| part.split_once('='))
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
            .all(|(_, charset)| {
                charset
                    .trim()
                    .trim_matches('"')
                    .eq_ignore_ascii_case("utf-8")
            });
        let plain = self
            .content_encoding
            .as_deref()
            .is_none_or(|coding| coding.eq_ignore_ascii_case("identity"));
        json && utf8 && plain
    }
}

/// A name, which is copied only where it holds an escape.
#[derive(Debug, Deserialize)]
struct Word<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(HeadersVisitor)
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = Headers;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("headers")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Headers::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Headers::read(map, Some)
    }
}

/// The headers of `multiValueHeaders`, each with a list of its values.
struct Lists(Headers);

impl<'de> Deserialize<'de> for Lists {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ListsVisitor).map(Self)
    }
}

struct ListsVisitor;

impl<'de> Visitor<'de> for ListsVisitor {
    type Value = Headers;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("headers with lists of values")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Headers::read(map, the_only_value)
    }
}

/// The value of a header that came once; none for an empty list. Anything else is like a header that came twice, which fits
/// nothing.
fn the_only_value(list: &RawValue) -> Option<String> {
    let list = list.get();
    if let Ok([value]) = serde_json::from_str::<[String; 1]>(list) {
        return Some(value);
    }
    let absent = serde_json::from_str::<Option<[(); 0]>>(list).is_ok();
    (!absent).then(String::new)
}

impl Headers {
    /// Reads `multiValueHeaders`. What is not of its form holds no header, and the request is refused for what it lacks then.
    fn from_lists(lists: &RawValue) -> Self {
        serde_json::from_str(lists.get())
            .map(|Lists(headers)| headers)
            .unwrap_or_default()
    }

    fn read<'de, A: MapAccess<'de>, V: Deserialize<'de>>(
        mut map: A,
        value_of: impl Fn(V) -> Option<String>,
    ) -> Result<Self, A::Error> {
        let mut headers = Self::default();
        while let Some(Word(name)) = map.next_key()? {
            headers.is_empty = false;
            let Some(place) = headers.place(&name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let Some(value) = value_of(map.next_value()?) else {
                continue;
            };
            // Twice the same header in two spellings: neither can be trusted over the other, so neither fits anything.
            *place = Some(if place.is_some() {
                String::new()
            } else {
                value
            });
        }
        Ok(headers)
    }

    fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        let places = [
            ("content-type", &mut self.content_type),
            ("content-encoding", &mut self.content_encoding),
            ("traceparent", &mut self.traceparent),
            ("tracestate", &mut self.tracestate),
            ("x-adobe-commerce-request-id", &mut self.shop_request_id),
            (INVALID_EVENTS_HEADER, &mut self.invalid_events),
            (CHECK_HEADER, &mut self.check),
            (RECONCILED_HEADER, &mut self.reconciled),
            (HMAC_HEADER, &mut self.hmac),
            (RSA_HEADER, &mut self.rsa),
        ];
        places
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, place)| place)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::verify::Keys;

    fn body_of(request: &serde_json::Value) -> Result<Vec<u8>, Failure> {
        let text = request.to_string();
        let request: Request = serde_json::from_str(&text).map_err(|_| Failure::NotARequest)?;
        let body = request
            .body()?
            .verify(&Keys::AcceptUnsigned, request.headers.signatures())?;
        Ok(body.bytes().to_vec())
    }

    fn with_headers(headers: &serde_json::Value) -> Result<Vec<u8>, Failure> {
        body_of(&json!({ "requestContext": {}, "headers": headers, "body": "{}" }))
    }

    #[test]
    fn a_body_is_text_or_base64() {
        let headers = json!({ "content-type": "application/json" });
        let plain =
            json!({ "requestContext": {}, "headers": headers, "body": "{\"a\":\"\u{eb}\\/\"}" });
        assert_eq!(body_of(&plain).unwrap(), "{\"a\":\"\u{eb}\\/\"}".as_bytes());
        let encoded = json!({ "requestContext": {}, "headers": headers, "body": "eyJhIjoxfQ==", "isBase64Encoded": true });
        assert_eq!(body_of(&encoded).unwrap(), b"{\"a\":1}");
        let broken = json!({ "requestContext": {}, "headers": headers, "body": "eyJhIjoxfQ=", "isBase64Encoded": true });
        assert_eq!(body_of(&broken), Err(Failure::NotARequest));
        let none = json!({ "requestContext": {}, "headers": headers });
        assert_eq!(body_of(&none).unwrap(), b"");
    }

    #[test]
    fn what_the_gateway_did_not_write_is_no_request() {
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
    fn no_payload_is_beyond_an_answer() {
        for payload in [
            r#"{"requestContext":{},"body":"\ud800"}"#,
            r#"{"requestContext":{"timeEpoch":1e999}}"#,
            r#"{"requestContext":{},"body":"","body":""}"#,
            r#"{"requestContext":{"#,
            "no JSON",
            "",
        ] {
            // As Lambda's runtime reads it.
            let read = Payload::deserialize(&mut serde_json::Deserializer::from_str(payload));
            assert_eq!(
                read.unwrap().request().unwrap_err(),
                Failure::NotARequest,
                "{payload}"
            );
        }
    }

    #[test]
    fn only_plain_json_in_utf_8_is_taken() {
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

    #[test]
    fn header_names_come_in_any_case_and_only_once() {
        let read = |headers: &str| {
            let headers: Headers = serde_json::from_str(headers).unwrap();
            (
                headers.signatures().hmac.map(str::to_owned),
                headers.signatures().rsa.map(str::to_owned),
            )
        };
        assert_eq!(
            read(r#"{"X-ADOBE-SIGNATURE":"a","X-Adobe-Commerce-Webhook-Signature":"b"}"#),
            (Some("a".to_owned()), Some("b".to_owned()))
        );
        assert_eq!(
            read(r#"{"X-Adobe-Signature":"a","x-adobe-signature":"b"}"#),
            (Some(String::new()), None)
        );
        assert_eq!(
            read(r#"{"x-adobe-signature2":"a","accept":"b"}"#),
            (None, None)
        );
    }

    /// The content type and the two signatures of a request with these headers.
    fn read_of(headers: &serde_json::Value) -> [Option<String>; 3] {
        let mut request = json!({ "requestContext": {}, "body": "{}" });
        for (name, value) in headers.as_object().unwrap() {
            request[name] = value.clone();
        }
        let request: Request = serde_json::from_str(&request.to_string()).unwrap();
        let Headers {
            content_type,
            hmac,
            rsa,
            ..
        } = request.headers;
        [content_type, hmac, rsa]
    }

    #[test]
    fn headers_that_come_as_lists_only_are_read() {
        let lists = json!({ "Content-Type": ["application/json"], "X-Adobe-Signature": ["a"], "accept": 7 });
        let expected =
            [Some("application/json"), Some("a"), None].map(|text| text.map(str::to_owned));
        for headers in [
            json!({ "multiValueHeaders": lists }),
            json!({ "headers": null, "multiValueHeaders": lists }),
            json!({ "headers": {}, "multiValueHeaders": lists }),
        ] {
            assert_eq!(read_of(&headers), expected, "{headers}");
        }
        // Both, as REST APIs write them: the plain ones count, whatever they are.
        let both = json!({ "headers": { "accept": "b" }, "multiValueHeaders": lists });
        assert_eq!(read_of(&both), [None, None, None]);
    }

    #[test]
    fn of_several_values_of_a_header_none_fits() {
        let hmac = |lists: serde_json::Value| {
            let [_, hmac, _] = read_of(&json!({ "multiValueHeaders": lists }));
            hmac
        };
        for several in [
            json!({ "x-adobe-signature": ["a", "b"] }),
            json!({ "x-adobe-signature": ["a", "a"] }),
            json!({ "x-adobe-signature": ["a"], "X-Adobe-Signature": ["a"] }),
            json!({ "x-adobe-signature": ["a", 1] }),
            json!({ "x-adobe-signature": [1] }),
            json!({ "x-adobe-signature": "a" }),
            json!({ "x-adobe-signature": { "a": "a" } }),
        ] {
            assert_eq!(hmac(several.clone()), Some(String::new()), "{several}");
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
            assert_eq!(hmac(none.clone()), None, "{none}");
        }
    }

    #[test]
    fn a_check_has_its_header_and_no_signature() {
        let is_check = |headers: serde_json::Value| {
            let headers: Headers = serde_json::from_str(&headers.to_string()).unwrap();
            headers.is_check()
        };
        assert!(is_check(json!({ "x-webhook-check": "1" })));
        assert!(is_check(json!({ "X-Webhook-Check": "" })));
        assert!(!is_check(json!({ "x-webhook-checked": "1" })));
        for signature in [
            json!({ "x-adobe-signature": "a" }),
            json!({ "x-adobe-signature": "" }),
            json!({ "x-adobe-commerce-webhook-signature": "a" }),
            json!({ "x-adobe-signature": "a", "X-Adobe-Signature": "a" }),
        ] {
            let mut headers = signature;
            headers["x-webhook-check"] = json!("1");
            assert!(!is_check(headers.clone()), "{headers}");
        }
    }

    #[test]
    fn a_reconciled_event_says_so_in_one_way() {
        let says = |headers: serde_json::Value| {
            let headers: Headers = serde_json::from_str(&headers.to_string()).unwrap();
            headers.says_reconciled()
        };
        assert!(says(json!({ "X-Webhook-Reconciled": "1" })));
        for other in ["", "0", "true", "1, 1", " 1"] {
            assert!(!says(json!({ "x-webhook-reconciled": other })), "{other}");
        }
        assert!(!says(
            json!({ "x-webhook-reconciled": "1", "X-Webhook-Reconciled": "1" })
        ));
        assert!(!says(json!({})));
    }

    #[test]
    fn a_tracestate_is_passed_on_only_beside_a_traceparent() {
        const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let read = |headers: serde_json::Value| {
            let headers: Headers = serde_json::from_str(&headers.to_string()).unwrap();
            (
                headers.traceparent().is_some(),
                headers.tracestate().map(str::to_owned),
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
}
