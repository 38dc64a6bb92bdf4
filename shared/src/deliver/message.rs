//! What the ERP and CRM side reads: one CloudEvent for each accepted event.

use std::io::{self, Write as _};

use flate2::{Compression, write::GzEncoder};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    channel::Channel,
    deadline::Deadline,
    event::{Event, Members, identity::hash_of},
    model::{Entity, Issue, IssueKind, Issues, cut},
    outcome::Failure,
};

/// SQS takes at most this many bytes in body and attributes together.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// The CloudEvent may have this many bytes before it is compressed. Of a body of 6 MB as a shop writes it are made 8 MB: the entity as
/// it came, and the contract's fields. What a consumer unpacks must not be without a limit either.
pub const UNPACKED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Kept free for the attributes, whose names and values are all of bounded length, and for those that a consumer adds when it moves a
/// message to its dead-letter queue.
pub(crate) const ATTRIBUTE_BYTES_MAX: usize = 2 * 1024;

/// A message group's id may have this many characters.
const GROUP_CHARS_MAX: usize = 128;

/// About what a message has beside the original: what CloudEvents asks for, and the contract's fields.
const HEAD_BYTES: usize = 2 * 1024;

/// Content type of an uncompressed message.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// The major version of the contract, which every message names. A reader of one version need not understand another.
pub const CONTRACT_VERSION: u32 = 1;

/// Says how a body that would be too large was made smaller, in the order in which it was done.
pub const CONTENT_ENCODING: &str = "gzip, base64";

/// One message for the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What the body is: [`CONTENT_TYPE`], or what else is queued.
    pub content_type: &'static str,
    /// The CloudEvent as JSON, or its [`CONTENT_ENCODING`] when it is too large for SQS.
    pub body: String,
    /// Whether the body is compressed.
    pub compressed: bool,
    /// Message group: what has this in common is delivered in order.
    pub group: String,
    /// Deduplication id: the event's id.
    pub deduplication: String,
    /// What its reader should know before it reads the body, if there are issues.
    pub issues: Option<&'static str>,
}

/// What a message says of its origin beside the event itself.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// When API Gateway took the event, in milliseconds since 1970; 0 when unknown.
    pub accepted_ms: u64,
    /// Whether what the shop sent travels along untouched.
    pub with_original: bool,
}

impl Message {
    /// Makes the message of an accepted event, before the deadline.
    pub fn new<C: Channel>(
        event: &Event<'_, C::Entity>,
        origin: Origin,
        deadline: Deadline,
    ) -> Result<Self, Failure> {
        let deduplication = event.id.to_string();
        let cloud_event = CloudEvent {
            specversion: "1.0",
            id: &deduplication,
            source: &event.source,
            kind: format!("com.adobe.commerce.observer.{}", C::NAME),
            subject: event.subject.as_deref(),
            time: time(origin.accepted_ms)?,
            datacontenttype: "application/json",
            dataschema: schema_id(C::NAME),
            contentid: &event.content_id,
            data: Data {
                entity: &event.entity,
                issues: &event.issues,
                original: origin
                    .with_original
                    .then_some((event.original, &event.related)),
            },
        };
        let (body, compressed) = write(&cloud_event, event.original.get().len(), deadline)?;
        let group = event
            .entity
            .group()
            .map_or_else(|| deduplication.clone(), group_id);
        Ok(Self {
            content_type: CONTENT_TYPE,
            body,
            compressed,
            group,
            deduplication,
            issues: match &event.issues {
                issues if issues.any_expected => Some("expected"),
                issues if issues.count() > 0 => Some("other"),
                _ => None,
            },
        })
    }
}

/// The `dataschema` of a channel's messages, which is the `$id` of their JSON Schema.
pub(crate) fn schema_id(channel: &str) -> String {
    format!("urn:commerce-webhooks:message:{channel}:{CONTRACT_VERSION}")
}

/// The body of a message that holds so many bytes of what the shop sent, and whether it is compressed.
pub(crate) fn write(
    content: &impl Serialize,
    sent_bytes: usize,
    deadline: Deadline,
) -> Result<(String, bool), Failure> {
    let mut json = Text(Vec::with_capacity(sent_bytes + HEAD_BYTES));
    // Writing fails where the limit is reached, and for no other reason.
    serde_json::to_writer(&mut json, content).map_err(|_| Failure::TooLarge)?;
    let json = String::from_utf8(json.0).map_err(|_| Failure::Internal)?;
    fit(without_noncharacters(json)?, deadline)
}

/// The JSON of a message, of at most [`UNPACKED_BYTES_MAX`]. It needs little more memory than it has bytes: a `Vec` doubles where it is
/// full, though next to nothing is to come.
struct Text(Vec<u8>);

impl Text {
    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.0.len() + bytes.len() > UNPACKED_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let room = self.0.capacity() - self.0.len();
        if room < bytes.len() {
            // An eighth at least, or else a text of many small parts would be copied for each of them.
            self.0.reserve_exact(bytes.len() + self.0.len() / 8);
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes).map(|()| bytes.len())
    }

    // Serde writes by this, a few bytes at a time, and the provided one is a loop.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.push(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Serialize)]
struct CloudEvent<'a, E: Entity> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    time: String,
    datacontenttype: &'static str,
    dataschema: String,
    contentid: &'a str,
    data: Data<'a, E>,
}

/// The spec's payload, and beside it what the shop sent.
struct Data<'a, E> {
    entity: &'a E,
    issues: &'a Issues<'a>,
    original: Option<(&'a RawValue, &'a Members<'a>)>,
}

impl<E: Entity> Serialize for Data<'_, E> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry(E::NAME, self.entity)?;
        if !self.issues.list.is_empty() {
            let with_values = self.original.is_none();
            let written = |issue| WrittenIssue::new(issue, with_values);
            let list: Vec<_> = self.issues.list.iter().map(written).collect();
            map.serialize_entry("issues", &list)?;
        }
        if self.issues.more > 0 {
            map.serialize_entry("more_issues", &self.issues.more)?;
        }
        if let Some((original, related)) = self.original {
            map.serialize_entry("original", original)?;
            if !related.is_empty() {
                map.serialize_entry("related", &Related(related))?;
            }
        }
        map.end()
    }
}

struct Related<'a>(&'a Members<'a>);

impl Serialize for Related<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, raw)| (name, raw)))
    }
}

/// An issue, with its value where the original does not hold it.
#[derive(Serialize)]
struct WrittenIssue<'a> {
    pointer: &'a str,
    field: &'a str,
    kind: IssueKind,
    expected: bool,
    detail: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
}

impl<'a> WrittenIssue<'a> {
    fn new(issue: &'a Issue<'_>, with_value: bool) -> Self {
        let value = issue
            .value
            .as_deref()
            .filter(|_| with_value && issue.kind == IssueKind::Unreadable);
        Self {
            pointer: &issue.pointer,
            field: &issue.field,
            kind: issue.kind,
            expected: issue.expected,
            detail: issue.detail,
            value: value.map(cut),
        }
    }
}

/// The moment at which API Gateway took the event, or now, as RFC 3339.
pub(crate) fn time(accepted_ms: u64) -> Result<String, Failure> {
    let accepted = OffsetDateTime::from_unix_timestamp_nanos(i128::from(accepted_ms) * 1_000_000);
    let moment = if accepted_ms == 0 {
        Ok(OffsetDateTime::now_utc())
    } else {
        accepted
    };
    moment
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .ok_or(Failure::NotARequest)
}

/// SQS refuses two code points that JSON allows. In JSON they can only stand in strings, where an escape means the same.
fn without_noncharacters(json: String) -> Result<String, Failure> {
    const FOUND: [char; 2] = ['\u{FFFE}', '\u{FFFF}'];
    if memchr::memmem::find(json.as_bytes(), &[0xEF, 0xBF]).is_none() {
        return Ok(json);
    }
    let count = json.matches(FOUND).count();
    let length = json.len() + count * (r"\ufffe".len() - FOUND[0].len_utf8());
    if length > UNPACKED_BYTES_MAX {
        return Err(Failure::TooLarge);
    }
    let mut escaped = String::with_capacity(length);
    for part in json.split_inclusive(FOUND) {
        let (text, escape) = match part.strip_suffix('\u{FFFE}') {
            Some(text) => (text, r"\ufffe"),
            None => match part.strip_suffix('\u{FFFF}') {
                Some(text) => (text, r"\uffff"),
                None => (part, ""),
            },
        };
        escaped.push_str(text);
        escaped.push_str(escape);
    }
    Ok(escaped)
}

/// The body as SQS can take it, and whether that meant compressing it: fast, and only if that is not enough thoroughly, which
/// takes five times as long.
fn fit(json: String, deadline: Deadline) -> Result<(String, bool), Failure> {
    const BODY_MAX: usize = MESSAGE_BYTES_MAX - ATTRIBUTE_BYTES_MAX;
    if json.len() <= BODY_MAX {
        return Ok((json, false));
    }
    for level in [Compression::fast(), Compression::default()] {
        if let Some(packed) = compress(json.as_bytes(), level, BODY_MAX / 4 * 3, deadline)? {
            return Ok((base64_simd::STANDARD.encode_to_string(packed), true));
        }
    }
    Err(Failure::TooLarge)
}

/// The compressed text, if it has no more than this many bytes. Nothing else runs meanwhile, so this looks at the time itself.
fn compress(
    text: &[u8],
    level: Compression,
    bytes_max: usize,
    deadline: Deadline,
) -> Result<Option<Vec<u8>>, Failure> {
    const PART: usize = 64 * 1024;
    let bytes = Vec::new();
    let mut gzip = GzEncoder::new(Limited { bytes, bytes_max }, level);
    for part in text.chunks(PART) {
        if deadline.remaining().is_zero() {
            return Err(Failure::OutOfTime);
        }
        // Writing fails where the limit is reached, and for no other reason.
        if gzip.write_all(part).is_err() {
            return Ok(None);
        }
    }
    Ok(gzip.finish().ok().map(|packed| packed.bytes))
}

/// Bytes up to a limit, so that what does not fit costs no more than what does.
struct Limited {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A group's id may hold ASCII letters, digits and punctuation; what does not fit is named by its hash.
fn group_id(group: String) -> String {
    if group.len() <= GROUP_CHARS_MAX && group.bytes().all(|byte| byte.is_ascii_graphic()) {
        return group;
    }
    let kind = group.split('/').next().unwrap_or_default();
    format!("{kind}/{}", hash_of(&group))
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, time::Duration};

    use flate2::read::GzDecoder;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        deadline::ANSWER_MARGIN,
        event::{ReadOptions, identity::NAME_BYTES_MAX},
        model::{Order, VALUE_BYTES_MAX},
        request::body::Unverified,
        verify::{Keys, Signatures},
    };

    struct Saved;
    impl Channel for Saved {
        const NAME: &str = "sales_order_save_after";
        const IDENTITY: &[&[&str]] = &[];
        const EXPECTED: &[&str] = &["state"];
        type Entity = Order;
    }

    const ORIGIN: Origin = Origin {
        accepted_ms: 1_781_814_431_000,
        with_original: true,
    };

    fn message(body: &str, origin: Origin) -> Result<Message, Failure> {
        let body = Unverified::new(body.as_bytes())?
            .verify(&Keys::AcceptUnsigned, Signatures::default())?;
        let event = Event::read::<Saved>(&body, ReadOptions::default())?;
        Message::new::<Saved>(&event, origin, in_seconds(60))
    }

    fn in_seconds(seconds: u64) -> Deadline {
        let hook_timeout = Duration::from_secs(seconds) + ANSWER_MARGIN;
        Deadline::new(hook_timeout, 0, 0)
    }

    /// Noise of a fixed seed.
    fn noise() -> impl FnMut() -> u8 {
        let mut state = 1_u64;
        move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        }
    }

    fn cloud_event(message: &Message) -> Value {
        serde_json::from_str(&message.body).unwrap()
    }

    #[test]
    fn a_message_is_a_cloud_event() {
        let body = r#"{"merchant_id":"m 1","environment_id":"pr\u00f6d","event_id":"3f1c1d8e-7b1a-4c55-9d3e-2f0a6b7c8d9e","data":{"order":{"entity_id":"216","increment_id":"000000123","state":"new", "new_key":1.50}, "other":[1]}}"#;
        let message = message(body, ORIGIN).unwrap();
        assert_eq!(
            message.body,
            concat!(
                r#"{"specversion":"1.0","id":"b755369a-797c-824b-8e80-bea2544dc317","source":"/adobe-commerce/m%201/pr%C3%B6d","#,
                r#""type":"com.adobe.commerce.observer.sales_order_save_after","subject":"order/000000123","#,
                r#""time":"2026-06-18T20:27:11Z","datacontenttype":"application/json","#,
                r#""dataschema":"urn:commerce-webhooks:message:sales_order_save_after:1","#,
                r#""contentid":"0e81fc5778bcc0e02ff195e5ee0054569f4ad578675dca5725a639e413f81d4d","#,
                r#""data":{"order":{"entity_id":216,"increment_id":"000000123","state":"new"},"#,
                r#""original":{"entity_id":"216","increment_id":"000000123","state":"new", "new_key":1.50},"related":{"other":[1]}}}"#
            )
        );
        assert_eq!(
            (message.group.as_str(), message.compressed, message.issues),
            ("order/216", false, None)
        );
        assert_eq!(
            message.deduplication,
            "b755369a-797c-824b-8e80-bea2544dc317"
        );
    }

    #[test]
    fn issues_stand_in_the_message_and_say_in_the_attribute_whether_one_was_expected() {
        let body = |state: &str| {
            format!(
                r#"{{"order":{{"entity_id":1,"customer_email":"n/a","payment":{{"method":[7]}},"billing_address":5{state}}}}}"#
            )
        };
        let of = |body: &str, with_original| {
            let message = message(
                body,
                Origin {
                    with_original,
                    ..ORIGIN
                },
            )
            .unwrap();
            (
                cloud_event(&message)["data"]["issues"].clone(),
                message.issues,
            )
        };
        let email = json!({ "pointer": "/order/customer_email", "field": "order.customer_email", "kind": "unreadable", "expected": false, "detail": "must be an email address" });
        let method = json!({ "pointer": "/order/payment/method", "field": "order.payment.method", "kind": "unreadable", "expected": false, "detail": "must be a string" });
        let address = json!({ "pointer": "/order/billing_address", "field": "order.billing_address", "kind": "unreadable", "expected": false, "detail": "must be an object" });
        let state = json!({ "pointer": "/order/state", "field": "order.state", "kind": "missing", "expected": true, "detail": "is missing" });
        let known = r#","state":"new""#;
        let (issues, attribute) = of(&body(known), true);
        assert_eq!(issues, json!([email, method, address]));
        assert_eq!(attribute, Some("other"));
        let (issues, attribute) = of(&body(""), true);
        assert_eq!(issues, json!([email, method, address, state]));
        assert_eq!(attribute, Some("expected"));

        // Without the original, nobody else says what was sent.
        let with = |issue: &Value, value: &str| {
            let mut issue = issue.clone();
            issue["value"] = value.into();
            issue
        };
        let (issues, _) = of(&body(known), false);
        let expected = [
            with(&email, r#""n/a""#),
            with(&method, "[7]"),
            with(&address, "5"),
        ];
        assert_eq!(issues, json!(expected));
        let long = body(known).replace("n/a", &"\u{e9}".repeat(VALUE_BYTES_MAX));
        let (issues, _) = of(&long, false);
        let value = issues[0]["value"].as_str().unwrap();
        assert_eq!(
            value,
            format!("\"{}", "\u{e9}".repeat((VALUE_BYTES_MAX - 1) / 2))
        );
    }

    #[test]
    fn issues_that_are_not_listed_are_counted() {
        let items: Vec<_> = (0..130).map(|_| json!({ "price": "x" })).collect();
        let body = json!({ "order": { "entity_id": 1, "state": "new", "items": items } });
        let message = message(&body.to_string(), ORIGIN).unwrap();
        let data = &cloud_event(&message)["data"];
        assert_eq!(data["issues"].as_array().map(Vec::len), Some(100));
        assert_eq!(data["more_issues"], 30);
        assert_eq!(message.issues, Some("other"));
    }

    #[test]
    fn a_long_name_stands_in_the_source_as_its_hash() {
        let source = |name: &str| {
            let body = json!({ "merchant_id": name, "environment_id": "e", "order": { "increment_id": "1" } });
            cloud_event(&message(&body.to_string(), ORIGIN).unwrap())["source"].clone()
        };
        let longest = "\u{fc}".repeat(NAME_BYTES_MAX / 2);
        let written = "%C3%BC".repeat(NAME_BYTES_MAX / 2);
        assert_eq!(source(&longest), format!("/adobe-commerce/{written}/e"));
        let hash = source(&format!("{longest}a"));
        let hash = hash.as_str().unwrap();
        assert!(
            hash.starts_with("/adobe-commerce/sha256:") && hash.len() == 89,
            "{hash}"
        );
        assert_ne!(hash, source(&format!("{longest}b")));
    }

    #[test]
    fn a_message_is_limited_before_it_is_compressed() {
        // The order number stands in it three times, of which two are the contract's.
        let body = |number: &str, length: usize| {
            format!(
                r#"{{"order":{{"increment_id":"{}"}}}}"#,
                number.repeat(length)
            )
        };
        let third = (UNPACKED_BYTES_MAX - 1024) / 3;
        assert!(message(&body("a", third), ORIGIN).is_ok());
        let failure = message(&body("a", third + 1024), ORIGIN).unwrap_err();
        assert_eq!(failure, Failure::TooLarge);
        // What is escaped for SQS counts as it is written then, twice as long.
        assert!(message(&body("\u{fffe}", third / 6), ORIGIN).is_ok());
        let failure = message(&body("\u{fffe}", third / 6 + 512), ORIGIN).unwrap_err();
        assert_eq!(failure, Failure::TooLarge);
    }

    #[test]
    fn the_operator_can_keep_the_original_back() {
        let origin = Origin {
            with_original: false,
            ..ORIGIN
        };
        let body = r#"{"merchant_id":"m","data":{"order":{"increment_id":"1","state":"new","new_key":1},"other":[1]}}"#;
        let event = cloud_event(&message(body, origin).unwrap());
        assert_eq!(
            event["data"],
            json!({ "order": { "increment_id": "1", "state": "new" } })
        );
    }

    #[test]
    fn what_sqs_does_not_carry_is_escaped() {
        let body = "{\"order\":{\"increment_id\":\"1\",\"a\":\"\u{fffe}x\u{ffff}\u{fffd}\"}}";
        let message = message(body, ORIGIN).unwrap();
        assert!(
            message.body.contains("\"a\":\"\\ufffex\\uffff\u{fffd}\""),
            "{}",
            message.body
        );
        assert_eq!(
            cloud_event(&message)["data"]["original"]["a"],
            "\u{fffe}x\u{ffff}\u{fffd}"
        );
    }

    #[test]
    fn a_large_event_travels_compressed_and_whole() {
        let text = "0123456789".repeat(110_000);
        let body = format!(r#"{{"order":{{"increment_id":"1","a":"{text}"}}}}"#);
        let message = message(&body, ORIGIN).unwrap();
        assert!(message.compressed && message.body.len() < MESSAGE_BYTES_MAX / 10);
        let packed = base64_simd::STANDARD.decode_to_vec(message.body).unwrap();
        let mut json = String::new();
        GzDecoder::new(&packed[..])
            .read_to_string(&mut json)
            .unwrap();
        let event: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(event["data"]["original"]["a"], text);
    }

    #[test]
    fn compressing_ends_when_the_time_is_up() {
        let large = "x".repeat(2 * MESSAGE_BYTES_MAX);
        assert!(fit(large.clone(), in_seconds(60)).is_ok());
        assert_eq!(fit(large, in_seconds(0)), Err(Failure::OutOfTime));
        assert!(fit("small".to_owned(), in_seconds(0)).is_ok());
    }

    #[test]
    fn what_is_not_compressed_enough_at_once_is_compressed_better() {
        // Words of a small vocabulary in no order, as in the names of products.
        let words = "shirt cotton blue large summer leather running steel classic organic";
        let words: Vec<_> = words.split(' ').collect();
        let mut chance = noise();
        let text: Vec<_> = (0..1_200_000)
            .map(|_| words[usize::from(chance()) % words.len()])
            .collect();
        let text = text.join(" ");
        let length = |level| {
            let packed = compress(text.as_bytes(), level, usize::MAX, in_seconds(60)).unwrap();
            packed.unwrap().len()
        };
        let (fast, thorough) = (length(Compression::fast()), length(Compression::default()));
        assert!(thorough < fast);
        // As much of it as only the thorough way makes small enough.
        let packed_max = (MESSAGE_BYTES_MAX - ATTRIBUTE_BYTES_MAX) / 4 * 3;
        let between = text.len() * packed_max / usize::midpoint(fast, thorough);
        let text = &text[..between];
        let by_the_fast_way = compress(
            text.as_bytes(),
            Compression::fast(),
            packed_max,
            in_seconds(60),
        );
        assert_eq!(by_the_fast_way, Ok(None));
        let (packed, compressed) = fit(text.to_owned(), in_seconds(60)).unwrap();
        assert!(compressed && packed.len() <= MESSAGE_BYTES_MAX);
    }

    #[test]
    fn what_cannot_be_compressed_enough_is_too_large() {
        // 24 bits of noise for four bytes of base64.
        let mut noise = noise();
        let bytes: Vec<u8> = (0..1_500_000).map(|_| noise()).collect();
        let text = base64_simd::STANDARD.encode_to_string(&bytes);
        let body = format!(r#"{{"order":{{"increment_id":"1","a":"{text}"}}}}"#);
        assert_eq!(message(&body, ORIGIN).unwrap_err(), Failure::TooLarge);
    }

    #[test]
    fn compression_ends_where_it_can_no_longer_fit() {
        let bytes = Vec::new();
        let mut packed = Limited {
            bytes,
            bytes_max: 5,
        };
        assert!(packed.write_all(b"12345").is_ok());
        assert!(packed.write_all(b"6").is_err());
        assert_eq!(packed.bytes, b"12345");
    }

    #[test]
    fn a_group_is_the_entity_or_else_the_event() {
        let group = |order: Value| {
            message(&json!({ "order": order }).to_string(), ORIGIN)
                .unwrap()
                .group
        };
        assert_eq!(
            group(json!({ "entity_id": 216, "increment_id": "000000123" })),
            "order/216"
        );
        assert_eq!(
            group(json!({ "increment_id": "000000123" })),
            "order/000000123"
        );
        let alone = message(r#"{"order":{"state":"new"}}"#, ORIGIN).unwrap();
        assert_eq!(alone.group, alone.deduplication);
    }

    proptest! {
        #[test]
        fn sqs_takes_every_group(number in "\\PC{1,300}") {
            let body = json!({ "order": { "increment_id": number } }).to_string();
            let group = message(&body, ORIGIN).unwrap().group;
            prop_assert!(group.len() <= GROUP_CHARS_MAX && group.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
}
