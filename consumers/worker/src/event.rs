//! Parses the JSON of a message: the CloudEvent that the webhook functions created from the shop's
//! event. `body.rs` decompresses the body.

use std::{borrow::Cow, collections::BTreeMap};

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use serde::Deserialize;
use serde_json::{error::Category, value::RawValue};

use crate::dead_letters::DeadLetterReason;

/// The prefix of every event type. The channel follows it.
const TYPE_PREFIX: &str = "com.adobe.commerce.observer.";

/// The names of the entities in `data`. An entity is found by its name, because later versions may
/// add other members.
const ENTITIES: [&str; 6] = [
    "order",
    "invoice",
    "shipment",
    "customer",
    "product",
    "quote_item",
];

/// The major version of the contract that this worker supports.
const SCHEMA_MAJOR: &str = "1";

/// A value of the message attribute `issues`: at least one expected field has an issue.
const ISSUES_EXPECTED: &str = "expected";

/// A value of the message attribute `issues`: only other fields have issues.
const ISSUES_OTHER: &str = "other";

/// An event of the shop. All texts are byte for byte as they were sent.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    /// The idempotency key: a UUID, which stays the same if SQS delivers the event again.
    pub(crate) id: Cow<'a, str>,
    pub(crate) source: Cow<'a, str>,
    /// The CloudEvent's `type`: a prefix and the channel.
    pub(crate) event_type: Cow<'a, str>,
    /// The name of the entity. A new item in a cart has none yet.
    pub(crate) subject: Option<Cow<'a, str>>,
    /// The `store_id` of the entity, or an empty text. Order numbers, and so subjects, are unique
    /// only within a store.
    pub(crate) store: String,
    /// The hash of the entity: events with the same content have the same hash. Earlier versions
    /// of the functions did not send it.
    pub(crate) contentid: Option<Cow<'a, str>>,
    /// When the shop last changed the entity, if the entity has this field.
    pub(crate) updated_at: Option<DateTime>,
    /// The name of the event without `observer.`, for example `sales_order_place_after`.
    pub(crate) channel: String,
    /// The entity, for example an order, as the JSON Schema of its channel describes it.
    pub(crate) entity: &'a RawValue,
    /// The whole CloudEvent. Its `data.original` is the entity as the shop wrote it.
    pub(crate) json: &'a str,
    /// The missing and the invalid fields.
    issues: Option<&'a RawValue>,
    /// Whether there are more issues than `issues` lists.
    more_issues: bool,
}

#[derive(Deserialize)]
struct CloudEvent<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    event_type: Cow<'a, str>,
    subject: Option<Cow<'a, str>>,
    dataschema: Option<Cow<'a, str>>,
    contentid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

#[derive(Deserialize)]
struct Issue {
    expected: bool,
}

impl<'a> Event<'a> {
    /// Parses the JSON of a message.
    pub(crate) fn parse(json: &'a str) -> Result<Self, DeadLetterReason> {
        let event: CloudEvent<'a> =
            serde_json::from_str(json).map_err(|error| match error.classify() {
                Category::Data => DeadLetterReason::NotACloudEvent,
                _ => DeadLetterReason::Unreadable,
            })?;
        if event.specversion != "1.0" {
            return Err(DeadLetterReason::WrongVersion);
        }
        let channel = event
            .event_type
            .strip_prefix(TYPE_PREFIX)
            .filter(|channel| is_channel(channel))
            .ok_or(DeadLetterReason::NotOurs)?
            .to_owned();
        if !is_supported(event.dataschema.as_deref(), &channel) {
            return Err(DeadLetterReason::UnknownSchema);
        }
        let mut entities = ENTITIES.iter().filter_map(|name| event.data.get(*name));
        let (Some(entity), None) = (entities.next(), entities.next()) else {
            return Err(DeadLetterReason::NotOurs);
        };
        let valid_contentid = event.contentid.as_deref().is_none_or(is_contentid);
        if !is_uuid(&event.id) || !valid_contentid {
            return Err(DeadLetterReason::NotOurs);
        }
        Ok(Self {
            id: event.id,
            source: event.source,
            event_type: event.event_type,
            store: store(entity),
            subject: event.subject.filter(|subject| !subject.is_empty()),
            contentid: event.contentid,
            updated_at: updated_at(entity),
            channel,
            entity,
            json,
            issues: event.data.get("issues").copied(),
            more_issues: event.data.contains_key("more_issues"),
        })
    }

    /// Returns whether a field that the channel expects is missing or invalid.
    ///
    /// The message attribute `issues` decides. If it was lost, the list of issues in the event
    /// decides. If the list is incomplete or unreadable, returns true, so that somebody checks the
    /// event.
    pub(crate) fn has_expected_issues(&self, attribute: Option<&str>) -> bool {
        match attribute {
            Some(ISSUES_EXPECTED) => true,
            Some(ISSUES_OTHER) => false,
            _ => {
                let any_expected = |issues: &RawValue| {
                    serde_json::from_str::<Vec<Issue>>(issues.get())
                        .map_or(true, |issues| issues.iter().any(|issue| issue.expected))
                };
                self.more_issues || self.issues.is_some_and(any_expected)
            }
        }
    }
}

/// Returns whether this worker supports the contract. Earlier versions of the functions did not
/// send a `dataschema`.
fn is_supported(dataschema: Option<&str>, channel: &str) -> bool {
    dataschema.is_none_or(|dataschema| {
        let version = dataschema
            .strip_prefix("urn:commerce-webhooks:message:")
            .and_then(|rest| rest.strip_prefix(channel));
        version.and_then(|rest| rest.strip_prefix(':')) == Some(SCHEMA_MAJOR)
    })
}

/// Returns the entity's `store_id`, or an empty text if it is missing or not a number.
fn store(entity: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Entity {
        store_id: Option<u64>,
    }
    let entity = serde_json::from_str::<Entity>(entity.get()).ok();
    let store = entity.and_then(|entity| entity.store_id);
    store.map(|id| id.to_string()).unwrap_or_default()
}

/// Returns the entity's `updated_at`, or `None` if it is missing or invalid: then the event is not
/// compared by time, so it is not skipped.
fn updated_at(entity: &RawValue) -> Option<DateTime> {
    #[derive(Deserialize)]
    struct Entity {
        updated_at: Option<String>,
    }
    let entity: Entity = serde_json::from_str(entity.get()).ok()?;
    DateTime::from_str(&entity.updated_at?, DateTimeFormat::DateTimeWithOffset).ok()
}

/// Returns whether `text` is a SHA-256 hash in lowercase hex.
fn is_contentid(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns whether `text` is a UUID. Ids are written into the log and into headers, and any other
/// text could be customers' data.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| {
            if matches!(index, 8 | 13 | 18 | 23) {
                byte == b'-'
            } else {
                byte.is_ascii_hexdigit()
            }
        })
}

fn is_channel(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
mod tests;
