//! The floor of the benchmark: a handwritten program with the minimum of work for its orders. It
//! uses blocking I/O, keeps one connection to Lambda and one to SQS, and signs the requests itself.
//! It has none of the retries, deadlines, limits, rules and metrics of the real functions.
//!
//! This file reads a request, verifies its signature and creates the message.

mod contract;
mod http;
mod sqs;

use std::{env, net::TcpStream};

use base64_simd::STANDARD as BASE64;
use ring::{hmac, signature};
use serde::Deserialize;
use serde_json::value::RawValue;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    contract::{Id, Order, Text},
    http::{Connection, header},
    sqs::Queue,
};

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Deserialize)]
struct Envelope<'a> {
    merchant_id: &'a str,
    environment_id: &'a str,
    event: &'a str,
    event_id: &'a str,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    order: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow)]
    headers: Headers<'a>,
    request_context: Context,
    body: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Headers<'a> {
    x_adobe_signature: Option<&'a str>,
    x_adobe_commerce_webhook_signature: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    time_epoch: i128,
}

struct Keys {
    hmac: hmac::Key,
    rsa: signature::UnparsedPublicKey<Vec<u8>>,
}

impl Keys {
    /// Reads the content of the secret. In the DER of a 2048-bit public key, the key follows a
    /// prefix of 24 bytes.
    fn read(secret: &str) -> AnyResult<Self> {
        #[derive(Deserialize)]
        struct Secret {
            hmac_secrets: Vec<String>,
            public_keys: Vec<String>,
        }
        let secret: Secret = serde_json::from_str(secret)?;
        let pem: String = secret
            .public_keys
            .first()
            .ok_or("key")?
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        let key = BASE64.decode_to_vec(pem)?.split_off(24);
        Ok(Self {
            hmac: hmac::Key::new(
                hmac::HMAC_SHA256,
                secret.hmac_secrets.first().ok_or("secret")?.as_bytes(),
            ),
            rsa: signature::UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, key),
        })
    }

    fn verify(&self, body: &[u8], headers: &Headers<'_>) -> bool {
        if let Some(hex) = headers.x_adobe_signature {
            let byte = |at: usize| {
                hex.get(at..at + 2)
                    .and_then(|pair| u8::from_str_radix(pair, 16).ok())
            };
            let signature: Vec<u8> = (0..hex.len()).step_by(2).map_while(byte).collect();
            return hmac::verify(&self.hmac, body, &signature).is_ok();
        }
        let signature = headers
            .x_adobe_commerce_webhook_signature
            .and_then(|text| BASE64.decode_to_vec(text).ok());
        signature.is_some_and(|signature| {
            self.rsa
                .verify(BASE64.encode_to_string(body).as_bytes(), &signature)
                .is_ok()
        })
    }
}

/// Handles an invocation. Returns the status and the body of the response.
fn handle(event: &[u8], trace: &str, keys: &Keys, queue: &mut Queue) -> (u16, &'static str) {
    let Ok(request) = serde_json::from_slice::<Request<'_>>(event) else {
        return (400, "{}");
    };
    if !keys.verify(request.body.as_bytes(), &request.headers) {
        return (401, "{}");
    }
    let Ok(body) = serde_json::from_str::<Envelope<'_>>(&request.body) else {
        return (400, "{}");
    };
    if !body.event.ends_with(".sales_order_place_after") {
        return (400, "{}");
    }
    match message(&body, request.request_context.time_epoch, trace, queue) {
        Err(_) => (422, "{}"),
        Ok(message) if queue.send(&message).is_ok() => (200, r#"{"op":"success"}"#),
        Ok(_) => (503, "{}"),
    }
}

/// Returns the body of the `SendMessage` request: the CloudEvent and its attributes.
fn message(body: &Envelope<'_>, time: i128, trace: &str, queue: &Queue) -> AnyResult<String> {
    let original = body.data.order;
    let mut order: Order<'_> = serde_json::from_str(original.get())?;
    for mut address in order.addresses.take().unwrap_or_default() {
        let kind = address.address_type.take().map(|Text(kind)| kind.get());
        if kind == Some("\"billing\"") {
            order.billing_address = Some(address);
        } else {
            order.shipping_address = Some(address);
        }
    }
    let number = order
        .increment_id
        .as_ref()
        .map(|Text(raw)| raw.get().trim_matches('"'))
        .ok_or("increment_id")?;
    let subject = format!("order/{number}");
    let group = order.entity_id.as_ref().map_or_else(
        || subject.clone(),
        |Id(raw)| format!("order/{}", raw.get().trim_matches('"')),
    );
    let items = order.items.as_ref().ok_or("items")?;
    let complete = items
        .iter()
        .all(|item| item.sku.is_some() && item.qty_ordered.is_some());
    if order.grand_total.is_none()
        || order.order_currency_code.is_none()
        || items.is_empty()
        || !complete
    {
        return Err("invalid".into());
    }
    let time = OffsetDateTime::from_unix_timestamp_nanos(time * 1_000_000)?.format(&Rfc3339)?;
    let (id, merchant, environment) = (body.event_id, body.merchant_id, body.environment_id);
    let event = format!(
        concat!(
            r#"{{"specversion":"1.0","id":"{}","source":"/adobe-commerce/{}/{}","#,
            r#""type":"com.adobe.commerce.observer.sales_order_place_after","#,
            r#""subject":"{}","time":"{}","datacontenttype":"application/json","#,
            r#""data":{{"order":{},"original":{}}}}}"#
        ),
        id,
        merchant,
        environment,
        subject,
        time,
        serde_json::to_string(&order)?,
        original
    );
    let text = |value: &str| format!(r#"{{"DataType":"String","StringValue":"{value}"}}"#);
    Ok(format!(
        concat!(
            r#"{{"QueueUrl":"{}","MessageBody":{},"#,
            r#""MessageGroupId":"{}","MessageDeduplicationId":"{}","#,
            r#""MessageAttributes":{{"channel":{},"content-type":{}}},"#,
            r#""MessageSystemAttributes":{{"AWSTraceHeader":{}}}}}"#
        ),
        queue.url,
        serde_json::to_string(&event)?,
        group,
        id,
        text("sales_order_place_after"),
        text("application/cloudevents+json"),
        text(trace)
    ))
}

fn main() -> AnyResult<()> {
    let keys = Keys::read(&env::var("WEBHOOK_KEYS")?)?;
    let mut queue = Queue::connect()?;
    let api = env::var("AWS_LAMBDA_RUNTIME_API")?;
    let stream = TcpStream::connect(&api)?;
    stream.set_nodelay(true)?;
    let mut runtime = Connection::new(Box::new(stream));
    let next = format!("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: {api}\r\n\r\n");
    loop {
        let (head, event) = runtime.exchange(next.as_bytes())?;
        let (status, body) = handle(
            event,
            header(head, "lambda-runtime-trace-id: "),
            &keys,
            &mut queue,
        );
        let id = header(head, "lambda-runtime-aws-request-id: ");
        println!(r#"{{"level":"INFO","request_id":"{id}","status":{status}}}"#);
        let response = format!(
            concat!(
                r#"{{"statusCode":{},"headers":{{"content-type":"application/json"}},"#,
                r#""body":{:?},"isBase64Encoded":false}}"#
            ),
            status, body
        );
        let post = format!(
            "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\n\
             host: {api}\r\n\
             content-length: {}\r\n\r\n{response}",
            response.len()
        );
        runtime.exchange(post.as_bytes())?;
    }
}
