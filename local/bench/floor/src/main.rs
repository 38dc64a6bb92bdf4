//! The minimum of the benchmark: the same work in hand-written code, for the orders of the
//! benchmark only. It blocks, has one connection to each side, signs requests to AWS itself, and
//! has no retries, deadlines, limits, rules and metrics.

use std::{
    env, fs,
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
};

use base64_simd::STANDARD as BASE64;
use ring::{digest, hmac, signature};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeSeq as _};
use serde_json::value::RawValue;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

type Any<T> = Result<T, Box<dyn std::error::Error>>;

/// A field of the contract as in the body, including quotes. It is checked and normalized when it
/// is written.
macro_rules! scalars {
    ($($Scalar:ident($raw:ident, $text:ident) => $normal:expr,)*) => {$(
        #[derive(Deserialize)]
        struct $Scalar<'a>(#[serde(borrow)] &'a RawValue);

        impl Serialize for $Scalar<'_> {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let $raw = self.0;
                let $text = $raw.get().trim_matches('"');
                let normal = $normal;
                normal.ok_or_else(|| serde::ser::Error::custom("invalid"))?.serialize(to)
            }
        }
    )*};
}

scalars! {
    Text(raw, text) => (text.len() + 2 == raw.get().len()).then_some(raw),
    Id(_raw, text) => text.parse::<u64>().ok(),
    Flag(_raw, text) => text.parse::<u8>().ok().filter(|flag| *flag < 2),
    Money(_raw, text) => decimal(text, 2),
    Quantity(_raw, text) => decimal(text, 0),
    Moment(_raw, text) => Some(text.replace(' ', "T") + "Z"),
    Street(_raw, text) => Some(Lines(text)),
}

macro_rules! contract {
    ($($Name:ident { $($field:ident: $Type:ty,)* })*) => {$(
        #[derive(Deserialize, Serialize)]
        struct $Name<'a> { $(#[serde(borrow, skip_serializing_if = "Option::is_none")] $field: Option<$Type>,)* }
    )*};
}

contract! {
    Order {
        entity_id: Id<'a>, increment_id: Text<'a>, status: Text<'a>, state: Text<'a>, customer_id: Id<'a>, customer_email: Text<'a>,
        customer_firstname: Text<'a>, customer_lastname: Text<'a>, customer_is_guest: Flag<'a>, created_at: Moment<'a>,
        updated_at: Moment<'a>, grand_total: Money<'a>, subtotal: Money<'a>, tax_amount: Money<'a>, shipping_amount: Money<'a>,
        discount_amount: Money<'a>, base_currency_code: Text<'a>, order_currency_code: Text<'a>, billing_address: Address<'a>,
        shipping_address: Address<'a>, addresses: Vec<Address<'a>>, items: Vec<Item<'a>>, payment: Payment<'a>,
    }
    Address {
        address_type: Text<'a>, firstname: Text<'a>, lastname: Text<'a>, email: Text<'a>, street: Street<'a>, city: Text<'a>,
        region: Text<'a>, region_code: Text<'a>, country_id: Text<'a>, postcode: Text<'a>, telephone: Text<'a>,
    }
    Item {
        item_id: Id<'a>, sku: Text<'a>, name: Text<'a>, product_id: Id<'a>, product_type: Text<'a>, qty_ordered: Quantity<'a>,
        price: Money<'a>, row_total: Money<'a>, tax_amount: Money<'a>,
    }
    Payment { method: Text<'a>, amount_paid: Money<'a>, base_amount_paid: Money<'a>, }
}

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

/// A street, whose lines the shop writes into one text.
struct Lines<'a>(&'a str);

impl Serialize for Lines<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(None)?;
        for line in self.0.split(r"\n") {
            list.serialize_element(
                &RawValue::from_string(format!("\"{line}\"")).map_err(serde::ser::Error::custom)?,
            )?;
        }
        list.end()
    }
}

/// A decimal with at least so many places, and no needless zeros beyond them.
fn decimal(text: &str, places: usize) -> Option<String> {
    text.parse::<f64>().ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = format!("{:0<places$}", part.trim_end_matches('0'));
    Some(if part.is_empty() {
        whole.to_owned()
    } else {
        format!("{whole}.{part}")
    })
}

struct Keys {
    hmac: hmac::Key,
    rsa: signature::UnparsedPublicKey<Vec<u8>>,
}

impl Keys {
    /// Reads the key from the secret. A key of 2048 bits follows 24 bytes that identify its type.
    fn read(secret: &str) -> Any<Self> {
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

    fn confirm(&self, body: &[u8], headers: &Headers<'_>) -> bool {
        if let Some(hex) = headers.x_adobe_signature {
            let byte = |at: usize| {
                hex.get(at..at + 2)
                    .and_then(|pair| u8::from_str_radix(pair, 16).ok())
            };
            let tag: Vec<u8> = (0..hex.len()).step_by(2).map_while(byte).collect();
            return hmac::verify(&self.hmac, body, &tag).is_ok();
        }
        let tag = headers
            .x_adobe_commerce_webhook_signature
            .and_then(|text| BASE64.decode_to_vec(text).ok());
        tag.is_some_and(|tag| {
            self.rsa
                .verify(BASE64.encode_to_string(body).as_bytes(), &tag)
                .is_ok()
        })
    }
}

/// The queue, and how to sign for it.
struct Queue {
    connection: Connection,
    host: String,
    url: String,
    region: String,
    key: String,
    secret: String,
    token: String,
}

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

impl Queue {
    fn connect() -> Any<Self> {
        let url = env::var("QUEUE_URL")?;
        let (scheme, rest) = url.split_once("://").ok_or("URL")?;
        let host = rest.split('/').next().unwrap_or_default().to_owned();
        let tcp = TcpStream::connect(&host)?;
        tcp.set_nodelay(true)?;
        let mut stream: Box<dyn Stream> = Box::new(tcp.try_clone()?);
        if scheme == "https" {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(&fs::read(env::var("FLOOR_CA")?)?) {
                roots.add(certificate?)?;
            }
            let config = ClientConfig::builder()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let name = ServerName::try_from(host.split(':').next().unwrap_or_default().to_owned())?;
            let mut tls = StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, tcp);
            while tls.conn.is_handshaking() {
                tls.conn.complete_io(&mut tls.sock)?;
            }
            stream = Box::new(tls);
        }
        let [region, key, secret, token] = [
            "AWS_REGION",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
        ]
        .map(|name| env::var(name).unwrap_or_default());
        Ok(Self {
            connection: Connection::new(stream),
            host,
            url,
            region,
            key,
            secret,
            token,
        })
    }

    /// Signature Version 4, as AWS documents it.
    fn send(&mut self, body: &str) -> Any<()> {
        let now = OffsetDateTime::now_utc()
            .replace_nanosecond(0)?
            .format(&Rfc3339)?
            .replace(['-', ':'], "");
        let day = now.get(..8).unwrap_or_default();
        let Self {
            host,
            region,
            key,
            secret,
            token,
            ..
        } = &*self;
        let sign = |key: &[u8], text: &str| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
        };
        let headers = format!(
            "content-type:application/x-amz-json-1.0\nhost:{host}\nx-amz-date:{now}\nx-amz-security-token:{token}\nx-amz-target:AmazonSQS.SendMessage\n"
        );
        let names = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target";
        let hash = |text: &str| hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        let canonical = hash(&format!("POST\n/\n\n{headers}\n{names}\n{}", hash(body)));
        let scope = format!("{day}/{region}/sqs/aws4_request");
        let mut signing = sign(format!("AWS4{secret}").as_bytes(), day);
        for part in [region, "sqs", "aws4_request"] {
            signing = sign(signing.as_ref(), part);
        }
        let signature = hex(sign(
            signing.as_ref(),
            &format!("AWS4-HMAC-SHA256\n{now}\n{scope}\n{canonical}"),
        )
        .as_ref());
        let request = format!(
            "POST / HTTP/1.1\r\n{}authorization: AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}\r\ncontent-length: {}\r\n\r\n{body}",
            headers.replace('\n', "\r\n"),
            body.len()
        );
        let (head, _) = self.connection.exchange(request.as_bytes())?;
        if head.starts_with(b"HTTP/1.1 200") {
            Ok(())
        } else {
            Err("the queue refuses".into())
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |digit: u8| char::from_digit(digit.into(), 16).unwrap_or_default();
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// A connection that is kept, with the last answer that came on it.
struct Connection {
    stream: Box<dyn Stream>,
    part: Vec<u8>,
    answer: Vec<u8>,
}

impl Connection {
    fn new(stream: Box<dyn Stream>) -> Self {
        let part = vec![0; 64 * 1024];
        let answer = Vec::new();
        Self {
            stream,
            part,
            answer,
        }
    }

    /// Sends a request and reads the answer: its head and its body.
    fn exchange(&mut self, request: &[u8]) -> io::Result<(&[u8], &[u8])> {
        self.stream.write_all(request)?;
        self.stream.flush()?;
        self.answer.clear();
        loop {
            let read = self.stream.read(&mut self.part)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.answer.extend(self.part.iter().take(read));
            let end = self.answer.windows(4).position(|end| end == b"\r\n\r\n");
            if let Some(head) = end.map(|end| end + 4) {
                let length = header(
                    self.answer.get(..head).unwrap_or_default(),
                    "content-length: ",
                );
                if self.answer.len() >= head + length.parse::<usize>().unwrap_or_default() {
                    return Ok(self.answer.split_at(head));
                }
            }
        }
    }
}

fn header<'a>(head: &'a [u8], name: &str) -> &'a str {
    let head = std::str::from_utf8(head).unwrap_or_default();
    head.split("\r\n")
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_default()
}

/// The status and the body of the answer.
fn answer(event: &[u8], trace: &str, keys: &Keys, queue: &mut Queue) -> (u16, &'static str) {
    let Ok(request) = serde_json::from_slice::<Request<'_>>(event) else {
        return (400, "{}");
    };
    if !keys.confirm(request.body.as_bytes(), &request.headers) {
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

/// What SQS is asked: the CloudEvent, and what travels beside it.
fn message(body: &Envelope<'_>, time: i128, trace: &str, queue: &Queue) -> Any<String> {
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
    let whole = items
        .iter()
        .all(|item| item.sku.is_some() && item.qty_ordered.is_some());
    if order.grand_total.is_none()
        || order.order_currency_code.is_none()
        || items.is_empty()
        || !whole
    {
        return Err("invalid".into());
    }
    let time = OffsetDateTime::from_unix_timestamp_nanos(time * 1_000_000)?.format(&Rfc3339)?;
    let (id, merchant, environment) = (body.event_id, body.merchant_id, body.environment_id);
    let event = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/adobe-commerce/{merchant}/{environment}","type":"com.adobe.commerce.observer.sales_order_place_after","subject":"{subject}","time":"{time}","datacontenttype":"application/json","data":{{"order":{},"original":{original}}}}}"#,
        serde_json::to_string(&order)?
    );
    let text = |value: &str| format!(r#"{{"DataType":"String","StringValue":"{value}"}}"#);
    Ok(format!(
        r#"{{"QueueUrl":"{}","MessageBody":{},"MessageGroupId":"{group}","MessageDeduplicationId":"{id}","MessageAttributes":{{"channel":{},"content-type":{}}},"MessageSystemAttributes":{{"AWSTraceHeader":{}}}}}"#,
        queue.url,
        serde_json::to_string(&event)?,
        text("sales_order_place_after"),
        text("application/cloudevents+json"),
        text(trace)
    ))
}

fn main() -> Any<()> {
    let keys = Keys::read(&env::var("WEBHOOK_KEYS")?)?;
    let mut queue = Queue::connect()?;
    let api = env::var("AWS_LAMBDA_RUNTIME_API")?;
    let stream = TcpStream::connect(&api)?;
    stream.set_nodelay(true)?;
    let mut runtime = Connection::new(Box::new(stream));
    let next = format!("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: {api}\r\n\r\n");
    loop {
        let (head, event) = runtime.exchange(next.as_bytes())?;
        let (status, text) = answer(
            event,
            header(head, "lambda-runtime-trace-id: "),
            &keys,
            &mut queue,
        );
        let id = header(head, "lambda-runtime-aws-request-id: ");
        println!(r#"{{"level":"INFO","request_id":"{id}","status":{status}}}"#);
        let answer = format!(
            r#"{{"statusCode":{status},"headers":{{"content-type":"application/json"}},"body":{text:?},"isBase64Encoded":false}}"#
        );
        let post = format!(
            "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nhost: {api}\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        );
        runtime.exchange(post.as_bytes())?;
    }
}
