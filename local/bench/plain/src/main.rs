//! A program to compare with in the benchmark: the function in plain Rust, with the defaults of
//! every crate. The fields of an order are in `order.rs`.

mod order;

use std::{collections::HashMap, env};

use aws_config::BehaviorVersion;
use aws_sdk_sqs::{
    Client,
    types::{
        MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use lambda_http::{
    Error, Request, RequestExt as _, Response, http::HeaderMap, request::RequestContext, run,
    service_fn,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rsa::{
    RsaPublicKey,
    pkcs1v15::{Signature, VerifyingKey},
    pkcs8::DecodePublicKey as _,
    signature::Verifier as _,
};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::info;
use uuid::Uuid;

const CHANNEL: &str = "sales_order_place_after";

const ENVELOPE: [&str; 8] = [
    "merchant_id",
    "environment_id",
    "event",
    "event_id",
    "eventName",
    "subject",
    "result",
    "data",
];

/// The characters that are escaped in a URI: all except the unreserved ones.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The state that all requests share.
struct App {
    sqs: Client,
    queue_url: String,
    secrets: Vec<Hmac<Sha256>>,
    public_keys: Vec<VerifyingKey<Sha256>>,
}

/// The reason why an event was not accepted.
struct Failure {
    status: u16,
    outcome: &'static str,
    detail: String,
}

impl Failure {
    fn new(status: u16, outcome: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            outcome,
            detail: detail.into(),
        }
    }

    fn invalid(detail: impl Into<String>) -> Self {
        Self::new(422, "invalid", detail)
    }
}

/// A message for the queue.
struct Message {
    id: String,
    group: String,
    body: String,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .init();

    let keys: Value = serde_json::from_str(&env::var("WEBHOOK_KEYS")?)?;
    let list = |name: &str| keys[name].as_array().cloned().unwrap_or_default();
    let secret = |key: &Value| Hmac::new_from_slice(key.as_str().unwrap_or_default().as_bytes());
    let public_key = |key: &Value| {
        RsaPublicKey::from_public_key_pem(key.as_str().unwrap_or_default()).map(VerifyingKey::new)
    };
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let app = App {
        sqs: Client::new(&config),
        queue_url: env::var("QUEUE_URL")?,
        secrets: list("hmac_secrets")
            .iter()
            .map(secret)
            .collect::<Result<_, _>>()?,
        public_keys: list("public_keys")
            .iter()
            .map(public_key)
            .collect::<Result<_, _>>()?,
    };
    run(service_fn(|request| handle(&app, request))).await
}

async fn handle(app: &App, request: Request) -> Result<Response<String>, Error> {
    let context = request.lambda_context();
    let (gateway_id, accepted_ms) = match request.request_context() {
        RequestContext::ApiGatewayV2(context) => (context.request_id, context.time_epoch),
        _ => (None, 0),
    };
    let request_id = gateway_id.unwrap_or(context.request_id);

    let mut event_id = None;
    let result = match read_request(app, &request, accepted_ms) {
        Ok(message) => {
            event_id = Some(message.id.clone());
            let traceparent = header(request.headers(), "traceparent");
            send(app, message, traceparent, context.xray_trace_id).await
        }
        Err(failure) => Err(failure),
    };
    let outcome = result
        .as_ref()
        .map_or_else(|failure| failure.outcome, |()| "accepted");
    info!(channel = CHANNEL, outcome, request_id, event_id);

    let (status, content_type, body) = match result {
        Ok(()) => (200, "application/json", json!({ "op": "success" })),
        Err(failure) => (
            failure.status,
            "application/problem+json",
            json!({ "title": failure.outcome, "status": failure.status, "detail": failure.detail }),
        ),
    };
    Ok(Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(body.to_string())?)
}

fn read_request(app: &App, request: &Request, accepted_ms: i64) -> Result<Message, Failure> {
    let headers = request.headers();
    if !is_json(headers) {
        let detail = "The body must be application/json.";
        return Err(Failure::new(415, "unsupported_media_type", detail));
    }
    let body: &[u8] = request.body();
    if !is_signed(app, body, headers) {
        let detail = "No key confirms a signature of the body.";
        return Err(Failure::new(401, "untrusted", detail));
    }
    make_message(body, accepted_ms)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().trim()
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = header(headers, "content-type").to_ascii_lowercase();
    let mut parts = content_type.split(';').map(str::trim);
    let json = parts.next() == Some("application/json");
    let utf8 = parts
        .filter_map(|part| part.strip_prefix("charset="))
        .all(|charset| charset.trim_matches('"') == "utf-8");
    let encoding = header(headers, "content-encoding");
    json && utf8 && (encoding.is_empty() || encoding.eq_ignore_ascii_case("identity"))
}

/// Returns whether the body has a valid signature: an HMAC of the body, or the shop's RSA signature
/// of the body in base64.
fn is_signed(app: &App, body: &[u8], headers: &HeaderMap) -> bool {
    let by_hmac = decode_hmac(header(headers, "x-adobe-signature")).is_some_and(|signature| {
        app.secrets.iter().any(|secret| {
            let mac = secret.clone().chain_update(body);
            mac.verify_slice(&signature).is_ok()
        })
    });
    if by_hmac {
        return true;
    }
    let signature = STANDARD.decode(header(headers, "x-adobe-commerce-webhook-signature"));
    let signature = signature.ok().filter(|signature| !signature.is_empty());
    let Some(Ok(signature)) = signature.map(|bytes| Signature::try_from(&*bytes)) else {
        return false;
    };
    let signed = STANDARD.encode(body);
    let mut keys = app.public_keys.iter();
    keys.any(|key| key.verify(signed.as_bytes(), &signature).is_ok())
}

/// Decodes an HMAC in hex, with or without `sha256=`, or in base64.
fn decode_hmac(value: &str) -> Option<Vec<u8>> {
    let prefixed = value
        .split_at_checked(7)
        .filter(|(prefix, _)| prefix.eq_ignore_ascii_case("sha256="));
    match prefixed {
        Some((_, digits)) => hex::decode(digits).ok(),
        None if value.len() == 64 => hex::decode(value).ok(),
        None => STANDARD.decode(value).ok(),
    }
}

fn make_message(body: &[u8], accepted_ms: i64) -> Result<Message, Failure> {
    let Ok(Value::Object(top)) = serde_json::from_slice(body) else {
        let detail = "The body must be a JSON object.";
        return Err(Failure::new(400, "not_json", detail));
    };
    for name in ["event", "eventName"]
        .into_iter()
        .filter_map(|key| top.get(key))
    {
        let event = name.as_str();
        let event = event.map(|event| event.strip_prefix("observer.").unwrap_or(event));
        if !name.is_null() && event != Some(CHANNEL) {
            let detail = "The body names another event.";
            return Err(Failure::new(400, "wrong_event", detail));
        }
    }
    let event_id = match envelope_text(&top, "event_id")? {
        Some(id) => {
            Uuid::parse_str(&id).map_err(|_| Failure::invalid("event_id must be a UUID"))?
        }
        None => derive_id(body),
    };
    let mut source = String::from("/adobe-commerce");
    for key in ["merchant_id", "environment_id"] {
        if let Some(part) = envelope_text(&top, key)? {
            source.push('/');
            source.extend(utf8_percent_encode(&part, ESCAPED));
        }
    }
    let (original, related) = split(top)?;
    let order = order::read(&original)?;

    let accepted = if accepted_ms == 0 {
        OffsetDateTime::now_utc()
    } else {
        OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(accepted_ms)
    };
    let time = accepted.format(&Rfc3339);
    let time = time.map_err(|error| Failure::new(500, "internal", error.to_string()))?;
    let id = event_id.to_string();
    let number = order["increment_id"].as_str().unwrap_or_default();
    let subject = format!("order/{number}");
    let group = match order.get("entity_id") {
        Some(entity_id) => format!("order/{entity_id}"),
        None => group_id(&subject),
    };
    let mut data = Map::new();
    data.insert("order".into(), Value::Object(order));
    data.insert("original".into(), original);
    if !related.is_empty() {
        data.insert("related".into(), Value::Object(related));
    }
    let mut cloud_event = json!({
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": format!("com.adobe.commerce.observer.{CHANNEL}"),
        "subject": subject,
        "time": time,
        "datacontenttype": "application/json",
    });
    // json! would copy the data.
    cloud_event["data"] = Value::Object(data);
    let body = cloud_event.to_string();
    Ok(Message { id, group, body })
}

/// Returns the order and the other arguments of the event.
fn split(mut top: Map<String, Value>) -> Result<(Value, Map<String, Value>), Failure> {
    let mut data = match top.remove("data") {
        Some(Value::Object(data)) => data,
        Some(other) if is_present(&other) => {
            return Err(Failure::invalid("data must be an object"));
        }
        _ => Map::new(),
    };
    top.retain(|name, _| !ENVELOPE.contains(&name.as_str()));
    let original = take_order(&mut data, &["order", "data_object"])
        .or_else(|| take_order(&mut top, &["order"]))
        .ok_or_else(|| Failure::invalid("data.order is required"))?;
    if top.keys().any(|name| data.contains_key(name)) {
        let detail = "data must not hold what also stands beside it";
        return Err(Failure::invalid(detail));
    }
    data.extend(top);
    Ok((original, data))
}

fn take_order(place: &mut Map<String, Value>, keys: &[&str]) -> Option<Value> {
    let key = keys
        .iter()
        .find(|key| place.get(**key).is_some_and(is_present))?;
    let order = place.remove(*key)?;
    // Some events have the order twice, or an empty second member for it.
    place.retain(|name, value| {
        !(name == "data_object" && *value == order || name == "order" && value.is_null())
    });
    Some(order)
}

fn is_present(value: &Value) -> bool {
    !value.is_null() && !value.as_array().is_some_and(Vec::is_empty)
}

fn envelope_text(top: &Map<String, Value>, key: &str) -> Result<Option<String>, Failure> {
    match top.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(_) => Err(Failure::invalid(format!("{key} must be a string"))),
    }
}

/// Returns the id of an event without one: a UUID of version 8, the same for the same body.
fn derive_id(body: &[u8]) -> Uuid {
    let hash = Sha256::new()
        .chain_update(CHANNEL)
        .chain_update([0, 0])
        .chain_update(body)
        .finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    Uuid::new_v8(id)
}

/// Returns a valid message group id: up to 128 ASCII letters, digits and punctuation marks.
fn group_id(group: &str) -> String {
    if group.len() <= 128 && group.bytes().all(|byte| byte.is_ascii_graphic()) {
        group.to_owned()
    } else {
        format!("order/sha256:{}", hex::encode(Sha256::digest(group)))
    }
}

async fn send(
    app: &App,
    message: Message,
    traceparent: &str,
    xray: Option<String>,
) -> Result<(), Failure> {
    let mut attributes = HashMap::from([
        ("channel", CHANNEL),
        ("content-type", "application/cloudevents+json"),
    ]);
    if is_traceparent(traceparent) {
        attributes.insert("traceparent", traceparent);
    }
    let mut request = app
        .sqs
        .send_message()
        .queue_url(&app.queue_url)
        .message_body(message.body)
        .message_group_id(message.group)
        .message_deduplication_id(message.id);
    for (name, value) in attributes {
        let value = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(value)
            .build();
        request = request.message_attributes(name, value.map_err(not_queued)?);
    }
    if let Some(xray) = xray {
        let value = MessageSystemAttributeValue::builder()
            .data_type("String")
            .string_value(xray)
            .build();
        request = request.message_system_attributes(
            MessageSystemAttributeNameForSends::AwsTraceHeader,
            value.map_err(not_queued)?,
        );
    }
    request.send().await.map(drop).map_err(not_queued)
}

fn not_queued(error: impl std::error::Error) -> Failure {
    tracing::error!(error = error.source().map(ToString::to_string), "{error}");
    Failure::new(503, "queue", "The event could not be queued.")
}

fn is_traceparent(value: &str) -> bool {
    let parts: Vec<_> = value.split('-').collect();
    parts.iter().map(|part| part.len()).eq([2, 32, 16, 2])
        && parts.concat().bytes().all(|byte| byte.is_ascii_hexdigit())
}
