//! What the ERP and CRM side reads: one CloudEvent for each accepted event.

use std::{borrow::Cow, fmt::Write as _, io::Write as _};

use flate2::{Compression, write::GzEncoder};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    channel::Channel,
    error::Failure,
    event::{Event, Members},
    model::Entity,
};

/// SQS takes at most this many bytes in body and attributes together.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Kept free for the attributes, whose names and values are all of bounded length.
const ATTRIBUTE_BYTES_MAX: usize = 2 * 1024;

/// A message group's id may have this many characters.
const GROUP_CHARS_MAX: usize = 128;

/// Content type of an uncompressed message.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// Says how a body that would be too large was made smaller, in the order in which it was done.
pub const CONTENT_ENCODING: &str = "gzip, base64";

/// One message for the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The CloudEvent as JSON, or its [`CONTENT_ENCODING`] when it is too large for SQS.
    pub body: String,
    /// Whether the body is compressed.
    pub compressed: bool,
    /// Message group: what has this in common is delivered in order.
    pub group: String,
    /// Deduplication id: the event's id.
    pub deduplication: String,
}

/// What a message says of its origin beside the event itself.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// CloudEvents `source` from the configuration; without it the envelope's merchant and environment.
    pub source: Option<&'a str>,
    /// When API Gateway took the event, in milliseconds since 1970; 0 when unknown.
    pub accepted_ms: u64,
    /// Whether what the shop sent travels along untouched.
    pub with_original: bool,
}

impl Message {
    /// Makes the message of an accepted event.
    pub fn new<C: Channel>(
        event: &Event<'_, C::Entity>,
        origin: Origin<'_>,
    ) -> Result<Self, Failure> {
        let deduplication = event.id.to_string();
        let cloud_event = CloudEvent {
            specversion: "1.0",
            id: &deduplication,
            source: source(origin.source, event),
            kind: format!("com.adobe.commerce.observer.{}", C::NAME),
            subject: event.entity.subject(),
            time: time(origin.accepted_ms)?,
            datacontenttype: "application/json",
            data: Data {
                entity: &event.entity,
                original: origin
                    .with_original
                    .then_some((event.original, &event.related)),
            },
        };
        let json = serde_json::to_string(&cloud_event).map_err(|_| Failure::Internal)?;
        let (body, compressed) = fit(without_noncharacters(json))?;
        let group = event
            .entity
            .group()
            .map_or_else(|| deduplication.clone(), group_id);
        Ok(Self {
            body,
            compressed,
            group,
            deduplication,
        })
    }
}

#[derive(Serialize)]
struct CloudEvent<'a, E: Entity> {
    specversion: &'static str,
    id: &'a str,
    source: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    time: String,
    datacontenttype: &'static str,
    data: Data<'a, E>,
}

/// The spec's payload, and beside it what the shop sent.
struct Data<'a, E> {
    entity: &'a E,
    original: Option<(&'a RawValue, &'a Members<'a>)>,
}

impl<E: Entity> Serialize for Data<'_, E> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry(E::NAME, self.entity)?;
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

/// A URI reference, as CloudEvents asks for.
fn source<'a, E>(configured: Option<&'a str>, event: &Event<'_, E>) -> Cow<'a, str> {
    if let Some(configured) = configured {
        return configured.into();
    }
    let mut source = String::from("/adobe-commerce");
    for part in [&event.merchant, &event.environment].into_iter().flatten() {
        source.push('/');
        for byte in part.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                source.push(char::from(byte));
            } else {
                let _ = write!(source, "%{byte:02X}"); // writing to a String never fails
            }
        }
    }
    source.into()
}

fn time(accepted_ms: u64) -> Result<String, Failure> {
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
fn without_noncharacters(json: String) -> String {
    if !json.as_bytes().windows(2).any(|pair| pair == [0xEF, 0xBF]) {
        return json;
    }
    json.replace('\u{FFFE}', r"\ufffe")
        .replace('\u{FFFF}', r"\uffff")
}

/// The body as SQS can take it, and whether that meant compressing it.
fn fit(json: String) -> Result<(String, bool), Failure> {
    const BODY_MAX: usize = MESSAGE_BYTES_MAX - ATTRIBUTE_BYTES_MAX;
    if json.len() <= BODY_MAX {
        return Ok((json, false));
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(json.as_bytes())
        .map_err(|_| Failure::Internal)?;
    let packed =
        base64_simd::STANDARD.encode_to_string(gzip.finish().map_err(|_| Failure::Internal)?);
    if packed.len() <= BODY_MAX {
        Ok((packed, true))
    } else {
        Err(Failure::TooLarge)
    }
}

/// A group's id may hold ASCII letters, digits and punctuation; what does not fit is named by its hash.
fn group_id(group: String) -> String {
    if group.len() <= GROUP_CHARS_MAX && group.bytes().all(|byte| byte.is_ascii_graphic()) {
        return group;
    }
    let kind = group.split('/').next().unwrap_or_default();
    let mut id = format!("{kind}/sha256:");
    for byte in Sha256::digest(group.as_bytes()) {
        let _ = write!(id, "{byte:02x}"); // writing to a String never fails
    }
    id
}
