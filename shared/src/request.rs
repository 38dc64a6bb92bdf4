//! What API Gateway hands to the function: an HTTP request in payload format 2.0, of which a webhook needs little.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::{
    body::Unverified,
    error::Failure,
    signature::{HMAC_HEADER, RSA_HEADER, Signatures},
    telemetry::plain_id,
};

/// What an invocation brings: a request, as it should, or other JSON.
#[derive(Debug)]
pub struct Payload(Option<Request>);

impl Payload {
    /// The request, if API Gateway wrote it.
    pub fn request(&self) -> Result<&Request, Failure> {
        self.0.as_ref().ok_or(Failure::NotARequest)
    }
}

/// A request as API Gateway's HTTP API and Lambda's function URLs write it.
#[derive(Debug, Default)]
pub struct Request {
    /// The headers that matter here.
    pub headers: Headers,
    /// Who took the request, and when.
    pub request_context: RequestContext,
    body: Option<String>,
    is_base64_encoded: bool,
    /// What has no context did not come from the gateway.
    has_context: bool,
}

/// What API Gateway says about the request.
#[derive(Debug, Default)]
pub struct RequestContext {
    /// The gateway's id of the request.
    pub request_id: String,
    /// When the gateway took it, in milliseconds since 1970; 0 when unknown.
    pub time_epoch: u64,
}

impl Request {
    /// The gateway's id of the request, if it looks like one.
    pub fn id(&self) -> Option<&str> {
        plain_id(&self.request_context.request_id)
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
#[derive(Debug, Default)]
pub struct Headers {
    /// The shop's id of its own request, which every hook fired in that request carries.
    pub shop_request_id: Option<String>,
    traceparent: Option<String>,
    hmac: Option<String>,
    rsa: Option<String>,
    content_type: Option<String>,
    content_encoding: Option<String>,
}

impl Headers {
    /// The signatures that came with the request.
    pub fn signatures(&self) -> Signatures<'_> {
        Signatures {
            hmac: self.hmac.as_deref(),
            rsa: self.rsa.as_deref(),
        }
    }

    /// The trace that the request belongs to (W3C Trace Context, `traceparent`), if it is one.
    pub fn traceparent(&self) -> Option<&str> {
        let hex = |part: &str, length| {
            part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let traceparent = self.traceparent.as_deref()?;
        let mut parts = traceparent.split('-');
        let fits = [2, 32, 16, 2]
            .into_iter()
            .all(|length| parts.next().is_some_and(|part| hex(part, length)));
        (fits && parts.next().is_none()).then_some(traceparent)
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

impl Headers {
    fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        let places = [
            ("content-type", &mut self.content_type),
            ("content-encoding", &mut self.content_encoding),
            ("traceparent", &mut self.traceparent),
            ("x-adobe-commerce-request-id", &mut self.shop_request_id),
            (HMAC_HEADER, &mut self.hmac),
            (RSA_HEADER, &mut self.rsa),
        ];
        places
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, place)| place)
    }
}

// Reading. The payload is passed over once, and only JSON that is broken, which Lambda hands to nobody, makes that fail: what is of
// another kind than it should be is read to its end, so that the answer can be ours.

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(match Found::<Request>::deserialize(from)? {
            Found::Object(request) if request.has_context => Some(request),
            _ => None,
        }))
    }
}

/// What was found where something was expected.
enum Found<T> {
    /// An object whose members are all of the kind that they should be.
    Object(T),
    Text(String),
    Count(u64),
    Flag(bool),
    Nothing,
    /// Anything else.
    Other,
}

/// An object of which some members matter.
trait Members: Default {
    /// Reads the value of this member. False if it is of another kind than it should be.
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;
}

impl Members for Request {
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "headers" => match map.next_value()? {
                Found::Object(headers) => self.headers = headers,
                Found::Nothing => {}
                _ => return Ok(false),
            },
            "requestContext" => match map.next_value()? {
                Found::Object(context) => {
                    self.request_context = context;
                    self.has_context = true;
                }
                _ => return Ok(false),
            },
            "body" => match map.next_value::<Found<Nobody>>()? {
                Found::Text(text) => self.body = Some(text),
                Found::Nothing => {}
                _ => return Ok(false),
            },
            "isBase64Encoded" => match map.next_value::<Found<Nobody>>()? {
                Found::Flag(flag) => self.is_base64_encoded = flag,
                _ => return Ok(false),
            },
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(true)
    }
}

impl Members for RequestContext {
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "requestId" => match map.next_value::<Found<Nobody>>()? {
                Found::Text(id) => self.request_id = id,
                _ => return Ok(false),
            },
            "timeEpoch" => match map.next_value::<Found<Nobody>>()? {
                Found::Count(milliseconds) => self.time_epoch = milliseconds,
                _ => return Ok(false),
            },
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(true)
    }
}

impl Members for Headers {
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        let Some(place) = self.place(name) else {
            map.next_value::<IgnoredAny>()?;
            return Ok(true);
        };
        let Found::Text(value) = map.next_value::<Found<Nobody>>()? else {
            return Ok(false);
        };
        // Twice the same header in two spellings: neither can be trusted over the other, so neither fits anything.
        *place = Some(if place.is_some() {
            String::new()
        } else {
            value
        });
        Ok(true)
    }
}

/// An object where none is expected.
#[derive(Default)]
struct Nobody;

impl Members for Nobody {
    fn read<'de, A: MapAccess<'de>>(&mut self, _: &str, map: &mut A) -> Result<bool, A::Error> {
        map.next_value::<IgnoredAny>()?;
        Ok(true)
    }
}

impl<'de, T: Members> Deserialize<'de> for Found<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(FoundVisitor(PhantomData))
    }
}

struct FoundVisitor<T>(PhantomData<T>);

impl<'de, T: Members> Visitor<'de> for FoundVisitor<T> {
    type Value = Found<T>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found<T>, A::Error> {
        let mut object = T::default();
        let mut fits = true;
        while let Some(Word(name)) = map.next_key()? {
            fits &= object.read(&name, &mut map)?;
        }
        Ok(if fits {
            Found::Object(object)
        } else {
            Found::Other
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found<T>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Found<T>, E> {
        Ok(Found::Text(text.to_owned()))
    }

    fn visit_u64<E>(self, count: u64) -> Result<Found<T>, E> {
        Ok(Found::Count(count))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Found<T>, E> {
        Ok(Found::Flag(flag))
    }

    fn visit_unit<E>(self) -> Result<Found<T>, E> {
        Ok(Found::Nothing)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found<T>, E> {
        Ok(Found::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found<T>, E> {
        Ok(Found::Other)
    }
}

/// A name, which is copied only where it holds an escape.
#[derive(Deserialize)]
struct Word<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::signature::Keys;

    fn body_of(request: &serde_json::Value) -> Result<Vec<u8>, Failure> {
        let text = request.to_string();
        let payload: Payload = serde_json::from_str(&text).unwrap();
        let request = payload.request()?;
        let body = request
            .body()?
            .verify(&Keys::AcceptUnsigned, request.headers.signatures())?;
        Ok(body.bytes().to_vec())
    }

    fn with_headers(headers: &serde_json::Value) -> Result<Vec<u8>, Failure> {
        body_of(&json!({ "requestContext": {}, "headers": headers, "body": "{}" }))
    }

    fn headers_of(json: &str) -> Headers {
        match serde_json::from_str(json).unwrap() {
            Found::Object(headers) => headers,
            _ => panic!("{json}"),
        }
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
            json!("request"),
            json!(1),
            json!(-1),
            json!(1.5),
            json!(true),
            json!(null),
            json!({ "requestContext": null }),
            json!({ "requestContext": 1 }),
            json!({ "requestContext": { "requestId": 1 } }),
            json!({ "requestContext": { "timeEpoch": "1" } }),
            json!({ "requestContext": { "timeEpoch": -1 } }),
            json!({ "requestContext": {}, "body": 1 }),
            json!({ "requestContext": {}, "body": ["a", { "b": null }] }),
            json!({ "requestContext": {}, "body": "", "isBase64Encoded": "true" }),
            json!({ "requestContext": {}, "headers": [] }),
            json!({ "requestContext": {}, "headers": { "content-type": ["application/json"] } }),
        ] {
            assert_eq!(body_of(&event), Err(Failure::NotARequest), "{event}");
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
            let headers = headers_of(headers);
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

    #[test]
    fn a_traceparent_is_passed_on_only_if_it_is_one() {
        let read = |value: &str| {
            let headers = json!({ "traceparent": value }).to_string();
            headers_of(&headers).traceparent().map(str::to_owned)
        };
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(read(good).as_deref(), Some(good));
        for bad in [
            "",
            "zoe@shop.example",
            &good[1..],
            &format!("{good}-"),
            &good.replace('4', "x"),
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
