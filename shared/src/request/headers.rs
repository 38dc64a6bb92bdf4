//! Reads the headers of a request, and interprets those that the functions use.
//!
//! A repeated header has the value "", which is not valid for any of them.

use std::{borrow::Cow, fmt};

use lambda_http::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_ENCODING, CONTENT_TYPE, Entry},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
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

/// Returns a header's value; "" if it is not text.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let value = headers.get(name)?;
    Some(value.to_str().unwrap_or_default())
}

/// The member `headers` of a request: an object of strings.
#[derive(Debug, Default)]
pub(super) struct PlainHeaders(pub(super) HeaderMap);

impl<'de> Deserialize<'de> for PlainHeaders {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let values = Values::Texts;
        from.deserialize_any(HeadersVisitor { values }).map(Self)
    }
}

/// Reads the member `multiValueHeaders` of a request: an object of lists of strings. If it is
/// anything else, there are no headers.
pub(super) fn from_lists(lists: &RawValue) -> HeaderMap {
    let mut from = serde_json::Deserializer::from_str(lists.get());
    let values = Values::Lists;
    from.deserialize_map(HeadersVisitor { values })
        .unwrap_or_default()
}

/// The JSON type of the values.
#[derive(Clone, Copy)]
enum Values {
    Texts,
    Lists,
}

struct HeadersVisitor {
    values: Values,
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
        while let Some(Name(name)) = map.next_key()? {
            let (Some(name), Some(value)) = (name, map.next_value_seed(self.values)?) else {
                continue;
            };
            match headers.try_entry(name) {
                Ok(Entry::Vacant(place)) => _ = place.try_insert(value),
                // The header is repeated, so neither value can be trusted.
                Ok(Entry::Occupied(mut place)) => _ = place.insert(HeaderValue::from_static("")),
                Err(_) => {}
            }
        }
        Ok(headers)
    }
}

/// The name of a header, if HTTP allows it.
struct Name(Option<HeaderName>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct NameText<'a>(#[serde(borrow)] Cow<'a, str>);
        let NameText(name) = NameText::deserialize(from)?;
        Ok(Self(HeaderName::from_bytes(name.as_bytes()).ok()))
    }
}

impl<'de> DeserializeSeed<'de> for Values {
    type Value = Option<HeaderValue>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(ValueVisitor(self))
    }
}

/// Reads the value of a header: `None` if it is absent, "" if it is not exactly one string.
struct ValueVisitor(Values);

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Option<HeaderValue>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("the value of a header")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(match self.0 {
            Values::Texts => HeaderValue::from_str(text).ok().or_else(invalid),
            Values::Lists => invalid(),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut only = None;
        while let Some(value) = list.next_element_seed(Values::Texts)? {
            only = if only.is_none() {
                value.or_else(invalid)
            } else {
                invalid()
            };
        }
        Ok(match self.0 {
            Values::Lists => only,
            Values::Texts => invalid(),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(invalid())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(invalid())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(invalid())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(invalid())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(invalid())
    }
}

/// Returns the value of an invalid header.
#[expect(clippy::unnecessary_wraps, reason = "most callers need an Option")]
fn invalid() -> Option<HeaderValue> {
    Some(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests;
