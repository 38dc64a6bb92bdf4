//! Reads the request that API Gateway passes to a function into a [`lambda_http::Request`].
//!
//! The payload is read in one pass. Reading never fails, because a payload that is not a request
//! also needs a response.

pub mod body;
pub mod headers;
pub mod trace;

use lambda_http::{
    Body, RequestExt as _, aws_lambda_events::apigw::ApiGatewayV2httpRequestContext, http::Method,
    request::RequestContext,
};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub use lambda_http::Request;

use self::headers::PlainHeaders;
use crate::telemetry::plain_id;

/// The payload of an invocation: a request, or anything else.
///
/// `lambda_http` has a reader of its own, which panics on a body that is not valid base64, and
/// takes 15 µs longer for an order of 10 KB.
///
/// It has no `Debug`, because the request contains personal data and the signature.
pub struct Payload {
    /// The request, if API Gateway sent one. It has only the parts that the functions use: the
    /// method, the headers, the body, and in the [`RequestContext`] the id and the time.
    pub request: Option<Request>,
}

impl<'de> Deserialize<'de> for Payload {
    /// Never fails, because `lambda_runtime` would then respond instead of the function. After an
    /// error, the rest of the payload is not read.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let fields = Fields::deserialize(from).ok();
        Ok(Self {
            request: fields.map(Request::from),
        })
    }
}

/// Reads a request as API Gateway writes it.
pub fn read(json: &[u8]) -> Option<Request> {
    serde_json::from_slice::<Payload>(json).ok()?.request
}

/// The members of a request that are read: payload format 2.0, which HTTP APIs and function URLs
/// send. Load balancers may send `multiValueHeaders` instead of `headers`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    #[serde(default)]
    headers: PlainHeaders,
    /// Kept as text, because it is read only if there are no `headers`.
    #[serde(default)]
    multi_value_headers: Option<Box<RawValue>>,
    request_context: ContextFields,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContextFields {
    #[serde(default)]
    request_id: String,
    /// In milliseconds since 1970.
    #[serde(default)]
    time_epoch: u64,
}

/// Marks a request whose body is declared as base64, but is not. The request has no body then.
#[derive(Clone, Copy, Debug)]
struct InvalidBase64;

impl From<Fields> for Request {
    fn from(fields: Fields) -> Self {
        let decoded = match fields.body {
            None => Ok(Body::Empty),
            Some(text) if fields.is_base64_encoded => base64_simd::STANDARD
                .decode_to_vec(text)
                .map(Body::Binary)
                .map_err(|_| InvalidBase64),
            Some(text) => Ok(Body::Text(text)),
        };
        let PlainHeaders(mut headers) = fields.headers;
        if let Some(lists) = fields.multi_value_headers
            && headers.is_empty()
        {
            headers = headers::from_lists(&lists);
        }
        let mut gateway = ApiGatewayV2httpRequestContext::default();
        gateway.request_id = Some(fields.request_context.request_id);
        let time = fields.request_context.time_epoch;
        gateway.time_epoch = i64::try_from(time).unwrap_or(i64::MAX);

        let mut request = Self::default();
        // The routes accept no other method, and a request has one.
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers;
        match decoded {
            Ok(body) => *request.body_mut() = body,
            Err(invalid) => _ = request.extensions_mut().insert(invalid),
        }
        request.with_request_context(RequestContext::ApiGatewayV2(gateway))
    }
}

/// Returns the id that API Gateway gave the request. Each delivery of an event has its own.
pub fn gateway_id(request: &Request) -> Option<&str> {
    let id = gateway(request)?.request_id.as_deref()?;
    Some(id).filter(|id| !id.is_empty())
}

/// Returns the id that API Gateway gave the request, if the log may contain it.
pub fn plain_gateway_id(request: &Request) -> Option<&str> {
    gateway_id(request).and_then(plain_id)
}

/// Returns when API Gateway received the request, in milliseconds since 1970; 0 if unknown.
pub fn received_ms(request: &Request) -> u64 {
    let time = gateway(request).map_or(0, |gateway| gateway.time_epoch);
    time.try_into().unwrap_or_default()
}

fn gateway(request: &Request) -> Option<&ApiGatewayV2httpRequestContext> {
    match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(gateway)) => Some(gateway),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
