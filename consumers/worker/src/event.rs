//! Parses the JSON of a message: the CloudEvent that the webhook functions created from the shop's
//! event. `body.rs` decompresses the body.

use std::{borrow::Cow, collections::BTreeMap};

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use serde::Deserialize;
use serde_json::{error::Category, value::RawValue};

use crate::dead_letters::DeadLetterReason;

/// The prefixes of the event types. The rest of the event's name in Commerce follows.
const TYPE_PREFIXES: [&str; 2] = ["com.adobe.commerce.observer.", "com.adobe.commerce.plugin."];

/// The prefix of `dataschema`. The channel and the major version of the contract follow.
const SCHEMA_PREFIX: &str = "urn:commerce-webhooks:message:";

/// The names of the entities in `data`. An entity is found by its name, because later versions may
/// add other members. An event without a model has none of them: then the entity is `original`, as
/// the shop sent it.
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

/// The maximum length of the name of a channel, which is that of a Lambda function's name.
const CHANNEL_BYTES_MAX: usize = 64;

/// The maximum length of the name of an event in Commerce.
const EVENT_NAME_BYTES_MAX: usize = 256;

/// The length of a time as the shop writes it.
const SHOP_TIME_BYTES: usize = "2026-06-18 20:27:11".len();

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
    /// The CloudEvent's `type`: a prefix and the name of the event in Commerce.
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
    /// The channel of the event, for example `sales_order_place_after`.
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
        if !is_event_type(&event.event_type) {
            return Err(DeadLetterReason::NotOurs);
        }
        let channel = channel(&event.event_type, event.dataschema.as_deref())
            .ok_or(DeadLetterReason::UnknownSchema)?
            .to_owned();
        let mut entities = ENTITIES.iter().filter_map(|name| event.data.get(*name));
        let (entity, updated_at) = match (entities.next(), entities.next()) {
            (Some(entity), None) => (*entity, updated_at(entity)),
            (None, None) => {
                let original = event.data.get("original").copied();
                let original = original.ok_or(DeadLetterReason::NotOurs)?;
                (original, updated_at_of_shop(original))
            }
            _ => return Err(DeadLetterReason::NotOurs),
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
            updated_at,
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

/// Returns the channel of an event if this worker supports its contract.
///
/// The `dataschema` names the channel, because one type can have two: that of the hooks before the
/// action, and that of the hooks after it. Earlier versions of the functions did not send it; then
/// the channel is the name of the event.
fn channel<'a>(event_type: &'a str, dataschema: Option<&'a str>) -> Option<&'a str> {
    let [observer, plugin] = TYPE_PREFIXES;
    let Some(dataschema) = dataschema else {
        return event_type.strip_prefix(observer);
    };
    let (channel, major) = dataschema.strip_prefix(SCHEMA_PREFIX)?.split_once(':')?;
    let fits = match event_type.strip_prefix(observer) {
        // A longer name is shortened.
        Some(name) if name.len() + "_before".len() <= CHANNEL_BYTES_MAX => {
            let suffix = channel.strip_prefix(name);
            suffix.is_some_and(|suffix| ["", "_before", "_after"].contains(&suffix))
        }
        Some(_) => true,
        None => event_type.starts_with(plugin) && channel.starts_with("plugin_"),
    };
    (fits && major == SCHEMA_MAJOR && is_channel(channel)).then_some(channel)
}

/// Returns the entity's `store_id`, or an empty text if it is missing or not a number. The shop
/// itself writes it as a number or as a text.
fn store(entity: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Entity<'a> {
        #[serde(borrow)]
        store_id: Option<&'a RawValue>,
    }
    // Serde would also take a list for a struct.
    let entity = Some(entity.get()).filter(|json| json.starts_with('{'));
    let entity = entity.and_then(|json| serde_json::from_str::<Entity<'_>>(json).ok());
    let store = entity.and_then(|entity| entity.store_id);
    let store = store.map(|id| id.get().trim_matches('"').parse::<u64>());
    match store {
        Some(Ok(id)) => id.to_string(),
        _ => String::new(),
    }
}

/// Returns the entity's `updated_at`, or `None` if it is missing or invalid: then the event is not
/// compared by time, so it is not skipped.
fn updated_at(entity: &RawValue) -> Option<DateTime> {
    #[derive(Deserialize)]
    struct Entity {
        updated_at: Option<String>,
    }
    let entity: Entity = serde_json::from_str(entity.get()).ok()?;
    date_time(&entity.updated_at?)
}

/// The same for an entity as the shop sent it. The shop writes UTC without a zone, as in
/// `2026-06-18 20:27:11`.
fn updated_at_of_shop(original: &RawValue) -> Option<DateTime> {
    #[derive(Deserialize)]
    struct Entity {
        updated_at: Option<String>,
    }
    let entity: Entity = serde_json::from_str(original.get()).ok()?;
    let text = entity.updated_at?;
    match text.split_once(' ') {
        Some((day, time)) if text.len() == SHOP_TIME_BYTES => date_time(&format!("{day}T{time}Z")),
        _ => date_time(&text),
    }
}

fn date_time(text: &str) -> Option<DateTime> {
    DateTime::from_str(text, DateTimeFormat::DateTimeWithOffset).ok()
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
    (1..=CHANNEL_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_name_byte)
}

/// Returns whether the text is the type of an event of a shop. Types are written into the log.
fn is_event_type(text: &str) -> bool {
    let name = TYPE_PREFIXES
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix));
    name.is_some_and(|name| {
        (1..=EVENT_NAME_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|byte| is_name_byte(byte) || byte == b'.')
    })
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

#[cfg(test)]
mod tests;
