//! Reads the headers of a request, and interprets those that the functions use.
//!
//! A repeated header has the value "", which is not valid for any of them.

use std::{borrow::Cow, fmt, str};

use lambda_http::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_ENCODING, CONTENT_TYPE, Entry},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::trace::{is_traceparent, is_tracestate};
use crate::{telemetry::plain_id, verify::Signatures};

/// The id that Commerce gives to its own request. Every hook of that request sends it.
const SHOP_REQUEST_ID: &str = "x-adobe-commerce-request-id";

/// The tool that resends quarantined events sets this to `refuse`, so that an event that is still
/// unusable is not quarantined again.
const INVALID_EVENTS: &str = "x-invalid-events";

/// The tool that checks a deployment sets this, without a signature.
const CHECK: &str = "x-webhook-check";

/// The reconcile tool posts events that have no message yet, and sets this to `1`. The header only
/// marks the message.
const RECONCILED: &str = "x-webhook-reconciled";

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// Returns the id that Commerce gives to its own request, if the log may contain it.
pub fn shop_request_id(headers: &HeaderMap) -> Option<&str> {
    text(headers, SHOP_REQUEST_ID).and_then(plain_id)
}

/// Returns whether the sender wants an unusable event to be refused, even if the operator
/// configured the quarantine.
pub fn refuses_invalid_events(headers: &HeaderMap) -> bool {
    text(headers, INVALID_EVENTS).is_some_and(|asked| asked.eq_ignore_ascii_case("refuse"))
}

/// Returns whether the request only checks a deployment. A request with a signature is never a
/// check, because it may be an event.
pub fn is_check(headers: &HeaderMap) -> bool {
    headers.contains_key(CHECK) && Signatures::of(headers).is_empty()
}

/// Returns whether the request has the header of the reconcile tool. Anybody can set the header, so
/// it counts only with a valid signature.
pub fn is_reconciled(headers: &HeaderMap) -> bool {
    text(headers, RECONCILED) == Some("1")
}

/// Returns the trace that the request belongs to (W3C Trace Context, `traceparent`), if it is
/// valid.
pub fn traceparent(headers: &HeaderMap) -> Option<&str> {
    text(headers, TRACEPARENT).filter(|text| is_traceparent(text))
}

/// Returns the additions of tracing vendors to that trace (W3C Trace Context, `tracestate`), if
/// they are valid. Without a `traceparent` it has no meaning.
pub fn tracestate(headers: &HeaderMap) -> Option<&str> {
    traceparent(headers)?;
    text(headers, TRACESTATE).filter(|text| is_tracestate(text))
}

/// Returns whether the body is declared as JSON in UTF-8, without an encoding.
pub(super) fn declares_json(headers: &HeaderMap) -> bool {
    let content_type = text(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim);
    let json = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let utf8 = parts
        .filter_map(|part| part.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .all(|(_, charset)| {
            let charset = charset.trim().trim_matches('"');
            charset.eq_ignore_ascii_case("utf-8")
        });
    let plain = text(headers, CONTENT_ENCODING.as_str())
        .is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"));
    json && utf8 && plain
}

/// Returns the value of a header; "" if it is not UTF-8.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let value = headers.get(name)?;
    Some(str::from_utf8(value.as_bytes()).unwrap_or_default())
}

/// The member `headers` of a request: an object of texts.
#[derive(Debug, Default)]
pub(super) struct PlainHeaders(pub(super) HeaderMap);

impl<'de> Deserialize<'de> for PlainHeaders {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value_of = text_value;
        from.deserialize_any(HeadersVisitor { value_of }).map(Self)
    }
}

/// Reads the member `multiValueHeaders` of a request: an object of lists. If it is anything else,
/// returns no header.
pub(super) fn from_lists(lists: &RawValue) -> HeaderMap {
    let mut from = serde_json::Deserializer::from_str(lists.get());
    let value_of = list_value;
    from.deserialize_map(HeadersVisitor { value_of })
        .unwrap_or_default()
}

struct HeadersVisitor {
    /// Reads the JSON of a value; `None` if it is absent.
    value_of: fn(&str) -> Option<HeaderValue>,
}

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = HeaderMap;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("headers")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(HeaderMap::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // API Gateway adds about ten headers to those of a shop.
        let mut headers = HeaderMap::with_capacity(24);
        while let Some(HeaderText(name)) = map.next_key()? {
            // As JSON, because a value that cannot be read must not make the request unreadable.
            let json: &RawValue = map.next_value()?;
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                continue;
            };
            let Some(value) = (self.value_of)(json.get()) else {
                continue;
            };
            match headers.try_entry(name) {
                Ok(Entry::Vacant(place)) => _ = place.try_insert(value),
                // The header is repeated, so neither value can be trusted.
                Ok(Entry::Occupied(mut place)) => _ = place.insert(invalid()),
                Err(_) => {}
            }
        }
        Ok(headers)
    }
}

/// Reads the value of a header that is written as a text.
fn text_value(json: &str) -> Option<HeaderValue> {
    if json == "null" {
        return None;
    }
    let text = serde_json::from_str(json).ok();
    let value = text.and_then(|HeaderText(text)| HeaderValue::from_bytes(text.as_bytes()).ok());
    Some(value.unwrap_or_else(invalid))
}

/// Reads the value of a header that is written as a list of texts, which must have one element.
fn list_value(json: &str) -> Option<HeaderValue> {
    if let Ok([only]) = serde_json::from_str::<[&RawValue; 1]>(json) {
        return text_value(only.get()).or_else(|| Some(invalid()));
    }
    let absent = serde_json::from_str::<Option<[(); 0]>>(json).is_ok();
    (!absent).then(invalid)
}

/// The value that is valid for no header.
fn invalid() -> HeaderValue {
    HeaderValue::from_static("")
}

/// A text, which is copied only if it has an escape.
#[derive(Deserialize)]
struct HeaderText<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests;
