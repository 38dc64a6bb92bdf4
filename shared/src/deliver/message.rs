//! The message that consumers read: one CloudEvent for each accepted event.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::body::MessageBody;
use crate::{
    channel::Channel,
    deadline::Deadline,
    event::{Event, Members, identity::hash_of},
    model::{Entity, Issue, IssueKind, Issues, truncated},
    outcome::Failure,
    verify::Shop,
};

/// The maximum length of a message group id, in characters (SQS, `SendMessage`).
const GROUP_CHARS_MAX: usize = 128;

/// The content type of a message with a CloudEvent.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// The major version of the contract. Every message names it in `dataschema`. A consumer has to
/// support only one version.
pub const CONTRACT_VERSION: u32 = 1;

/// A message for a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The media type of the body before it is compressed.
    pub content_type: &'static str,
    /// JSON, or JSON that is encoded as
    /// [`CONTENT_ENCODING`](super::body::CONTENT_ENCODING).
    pub body: String,
    /// Whether the body is encoded.
    pub compressed: bool,
    /// The message group id. SQS delivers messages of one group in order.
    pub group: String,
    /// The message deduplication id: the event's id.
    pub deduplication: String,
    /// The attribute `issues`, if there are any: `expected` if the channel expects a field with an
    /// issue, else `other`.
    pub issues: Option<&'static str>,
}

/// The input for a message in addition to the event.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The time at which API Gateway received the event, in milliseconds since 1970; 0 if unknown.
    pub received_ms: u64,
    /// Whether the message includes the entity as the shop sent it.
    pub with_original: bool,
}

impl Message {
    /// Creates the message of an accepted event. Compression stops at the deadline.
    ///
    /// # Errors
    /// [`Failure::TooLarge`], [`Failure::OutOfTime`] or [`Failure::NotARequest`].
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
            kind: event_type(C::METHOD),
            subject: event.subject.as_deref(),
            time: time(origin.received_ms)?,
            datacontenttype: "application/json",
            dataschema: schema_id(C::NAME),
            contentid: &event.content_id,
            data: EventData {
                entity: &event.entity,
                issues: &event.issues,
                // Without a model, the original is all that there is.
                original: (origin.with_original || !C::Entity::HAS_MODEL).then_some(event.original),
                related: origin.with_original.then_some(&event.related),
            },
        };
        let body = MessageBody::write(&cloud_event, event.original.get().len(), deadline)?;
        let group = event
            .entity
            .group()
            .map_or_else(|| deduplication.clone(), group_id);
        let group = match event.shop {
            Some(shop) => group_of(shop, &group),
            None => group,
        };
        Ok(Self {
            content_type: CONTENT_TYPE,
            body: body.text,
            compressed: body.compressed,
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

/// Returns the CloudEvents `type` of the events of a webhook method.
pub(crate) fn event_type(method: &str) -> String {
    format!("com.adobe.commerce.{method}")
}

/// Returns the `dataschema` of a channel's messages, which is the `$id` of their JSON Schema.
pub(crate) fn schema_id(channel: &str) -> String {
    format!("urn:commerce-webhooks:message:{channel}:{CONTRACT_VERSION}")
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
    data: EventData<'a, E>,
}

/// The entity in the form of the contract, its issues, and the original that the shop sent.
struct EventData<'a, E> {
    entity: &'a E,
    issues: &'a Issues<'a>,
    original: Option<&'a RawValue>,
    related: Option<&'a Members<'a>>,
}

impl<E: Entity> Serialize for EventData<'_, E> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        if E::HAS_MODEL {
            map.serialize_entry(E::NAME, self.entity)?;
        }
        if !self.issues.list.is_empty() {
            let with_values = self.original.is_none();
            let fields = |issue| IssueFields::new(issue, with_values);
            let list: Vec<_> = self.issues.list.iter().map(fields).collect();
            map.serialize_entry("issues", &list)?;
        }
        if self.issues.more > 0 {
            map.serialize_entry("more_issues", &self.issues.more)?;
        }
        if let Some(original) = self.original {
            map.serialize_entry("original", original)?;
        }
        if let Some(related) = self.related.filter(|related| !related.is_empty()) {
            map.serialize_entry("related", &Related(related))?;
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

/// An issue, with its value if the message does not include the original.
#[derive(Serialize)]
struct IssueFields<'a> {
    pointer: &'a str,
    field: &'a str,
    kind: IssueKind,
    expected: bool,
    detail: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
}

impl<'a> IssueFields<'a> {
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
            value: value.map(truncated),
        }
    }
}

/// Returns the time at which API Gateway received the event, in RFC 3339. If it is unknown, returns
/// the current time.
pub(crate) fn time(received_ms: u64) -> Result<String, Failure> {
    let accepted = OffsetDateTime::from_unix_timestamp_nanos(i128::from(received_ms) * 1_000_000);
    let moment = if received_ms == 0 {
        Ok(OffsetDateTime::now_utc())
    } else {
        accepted
    };
    moment
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .ok_or(Failure::NotARequest)
}

/// Returns the message group of a shop, so that events of two shops never wait for each other.
pub(super) fn group_of(shop: &Shop, group: &str) -> String {
    let whole = format!("{}/{group}", shop.name);
    if whole.len() <= GROUP_CHARS_MAX {
        return whole;
    }
    format!("{}/{}", shop.name, hash_of(group))
}

/// Returns a valid message group id: up to 128 ASCII letters, digits and punctuation marks. Any
/// other group is replaced by its kind and its hash.
fn group_id(group: String) -> String {
    if group.len() <= GROUP_CHARS_MAX && group.bytes().all(|byte| byte.is_ascii_graphic()) {
        return group;
    }
    let kind = group.split('/').next().unwrap_or_default();
    format!("{kind}/{}", hash_of(&group))
}

#[cfg(test)]
mod tests;
