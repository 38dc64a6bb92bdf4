//! The items of the ledger: their keys, how they are written, and what they mean. Requests to
//! DynamoDB do not belong here.
//!
//! | `id` | hash of | other attributes |
//! |---|---|---|
//! | `event/…` | source, type, id | the claim, the failed attempts, or that it is done |
//! | `entity/…` | source, type, subject, store | `contentid`, `updated_at`: the last event done |
//! | `content/…` | source, type, subject, store, contentid | none: this content was done |
//! | `last_success` | | when any event was last done |
//!
//! A key has the same length whatever the shop sends, and keys of two kinds are never equal.

use std::{
    collections::HashMap,
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_dynamodb::{
    primitives::{DateTime, DateTimeFormat},
    types::AttributeValue,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Claim, Claimant, History};
use crate::{attempts::Attempts, event::Event};

/// How long an item is kept: longer than a message can stay in the queue and then in the
/// dead-letter queue, 14 days each.
const ITEM_RETENTION: Duration = Duration::from_hours(35 * 24);

pub(super) type Item = HashMap<String, AttributeValue>;

/// The keys of the items of an event. Without a subject there is no entity, and without a
/// contentid its content has no key.
pub(super) struct Keys {
    pub(super) event: String,
    pub(super) entity: Option<String>,
    pub(super) content: Option<String>,
}

impl Keys {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let (source, event_type) = (&*event.source, &*event.event_type);
        let (subject, store) = (event.subject.as_deref(), &*event.store);
        Self {
            event: key("event", &[source, event_type, &event.id]),
            entity: subject.map(|subject| key("entity", &[source, event_type, subject, store])),
            content: subject
                .zip(event.contentid.as_deref())
                .map(|(subject, content)| {
                    key("content", &[source, event_type, subject, store, content])
                }),
        }
    }
}

/// Returns a key. The hash is one of a JSON list, because two lists of texts never have the same
/// JSON.
fn key(prefix: &str, parts: &[&str]) -> String {
    let mut key = format!("{prefix}/");
    for byte in Sha256::digest(json!(parts).to_string()) {
        let _ = write!(key, "{byte:02x}"); // Writing to a String never fails.
    }
    key
}

/// Returns the item of an event that is done. It has the event's id in plain text, for people who
/// search for it.
pub(super) fn done(event: &Event<'_>) -> Item {
    Item::from([
        ("id".to_owned(), text(Keys::of(event).event)),
        ("event_id".to_owned(), text(&*event.id)),
        ("done".to_owned(), seconds(SystemTime::now())),
        ("expires".to_owned(), expires()),
    ])
}

/// Returns the item of an entity whose last done event is this one.
pub(super) fn last_done(key: String, event: &Event<'_>) -> Item {
    let mut item = Item::from([
        ("id".to_owned(), text(key)),
        ("expires".to_owned(), expires()),
    ]);
    if let Some(contentid) = event.contentid.as_deref() {
        item.insert("contentid".to_owned(), text(contentid));
    }
    let updated_at = event.updated_at;
    if let Some(Ok(updated_at)) = updated_at.map(|at| at.fmt(DateTimeFormat::DateTime)) {
        item.insert("updated_at".to_owned(), text(updated_at));
    }
    item
}

/// Returns the item of a content that was done.
pub(super) fn content(key: String) -> Item {
    Item::from([
        ("id".to_owned(), text(key)),
        ("expires".to_owned(), expires()),
    ])
}

/// Compares an event with the item of its entity, `last`, and with that of its content, `before`.
/// An older event is not skipped for its age alone, because it may be late.
pub(super) fn history(event: &Event<'_>, last: Option<&Item>, before: Option<&Item>) -> History {
    let of_last = |name| last?.get(name)?.as_s().ok().map(String::as_str);
    if event.contentid.is_some() && event.contentid.as_deref() == of_last("contentid") {
        return History::Repeated;
    }
    let last =
        of_last("updated_at").and_then(|at| DateTime::from_str(at, DateTimeFormat::DateTime).ok());
    let is_older = event
        .updated_at
        .zip(last)
        .is_some_and(|(ours, last)| ours < last);
    if before.is_some() && is_older {
        History::Stale
    } else {
        History::New
    }
}

/// Returns a granted claim. `before` is the item before the claim; attempts of another message do
/// not count.
pub(super) fn granted_claim(before: Option<&Item>, claimant: Claimant<'_>) -> Claim {
    let message_id = text(claimant.message_id);
    let before = before.filter(|item| item.get("message_id") == Some(&message_id));
    Claim::Granted {
        attempts: before.map(attempts).unwrap_or_default(),
        unfinished: before
            .filter(|item| item.contains_key("owner"))
            .and_then(|item| timestamp(item, "lease_ends", Duration::from_secs)),
    }
}

/// Returns the result of a claim that DynamoDB refused because of this item.
pub(super) fn refused_claim(item: Option<&Item>, claimant: Claimant<'_>) -> Claim {
    let get = |name| item.and_then(|item| item.get(name));
    if get("done").is_some() {
        Claim::Done
    } else if get("owner") == Some(&text(claimant.owner)) {
        // The SDK sent the request twice, because the first response was lost.
        Claim::Granted {
            attempts: item.map(attempts).unwrap_or_default(),
            unfinished: None,
        }
    } else {
        let ends = item.and_then(|item| timestamp(item, "lease_ends", Duration::from_secs));
        Claim::Held(ends.unwrap_or_else(SystemTime::now))
    }
}

/// Returns the failed attempts in an item.
fn attempts(item: &Item) -> Attempts {
    let at = |name| timestamp(item, name, Duration::from_millis);
    Attempts {
        counted: number(item, "attempts").unwrap_or_default(),
        first: at("first_ms"),
        first_counted: at("first_counted_ms"),
        last: at("last_ms"),
    }
}

/// Reads a time since 1970 in this unit. Returns `None` if it is missing or invalid.
pub(super) fn timestamp(
    item: &Item,
    name: &str,
    unit: impl Fn(u64) -> Duration,
) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(unit(number(item, name)?))
}

fn number(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

pub(super) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// Returns a time in seconds since 1970, the unit of DynamoDB's TTL.
pub(super) fn seconds(time: SystemTime) -> AttributeValue {
    let passed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    AttributeValue::N(passed.as_secs().to_string())
}

/// Returns a time in milliseconds since 1970.
pub(super) fn millis(time: SystemTime) -> AttributeValue {
    let passed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    AttributeValue::N(passed.as_millis().to_string())
}

pub(super) fn expires() -> AttributeValue {
    seconds(SystemTime::now() + ITEM_RETENTION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event_json(
        subject: Option<&str>,
        contentid: Option<char>,
        updated_at: Option<&str>,
    ) -> String {
        json!({
            "specversion": "1.0",
            "id": "58568978-617b-80ab-be3f-02f73addff97",
            "source": "/s",
            "type": "com.adobe.commerce.observer.x",
            "subject": subject,
            "contentid": contentid.map(|digit| String::from(digit).repeat(64)),
            "data": { "order": { "updated_at": updated_at } }
        })
        .to_string()
    }

    #[test]
    fn the_item_of_an_event_decides_a_claim() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let me = Claimant {
            owner: "me",
            message_id: "m",
            lease_ends: at(100),
        };
        let item = |owner: &str| {
            Item::from([
                ("owner".to_owned(), text(owner)),
                ("message_id".to_owned(), text("m")),
                ("lease_ends".to_owned(), seconds(at(7))),
                ("attempts".to_owned(), AttributeValue::N("3".to_owned())),
                ("first_ms".to_owned(), millis(at(1))),
            ])
        };
        let attempts = Attempts {
            counted: 3,
            first: Some(at(1)),
            ..Attempts::default()
        };
        let ours = Claim::Granted {
            attempts,
            unfinished: None,
        };
        assert_eq!(refused_claim(Some(&item("me")), me), ours);
        assert_eq!(refused_claim(Some(&item("you")), me), Claim::Held(at(7)));
        let done = Item::from([("done".to_owned(), seconds(at(1)))]);
        assert_eq!(refused_claim(Some(&done), me), Claim::Done);
        assert!(matches!(refused_claim(None, me), Claim::Held(_)));
        let unfinished = Claim::Granted {
            attempts,
            unfinished: Some(at(7)),
        };
        assert_eq!(granted_claim(Some(&item("you")), me), unfinished);
        let anew = Claim::Granted {
            attempts: Attempts::default(),
            unfinished: None,
        };
        assert_eq!(granted_claim(None, me), anew);
        let moved_back = Claimant {
            message_id: "another",
            ..me
        };
        assert_eq!(granted_claim(Some(&item("you")), moved_back), anew);
    }

    #[test]
    fn an_invalid_item_has_no_attempts() {
        let item = Item::from([
            ("attempts".to_owned(), text("three")),
            ("first_ms".to_owned(), AttributeValue::N("-1".to_owned())),
            (
                "last_ms".to_owned(),
                AttributeValue::N(u64::MAX.to_string()),
            ),
        ]);
        let found = attempts(&item);
        assert_eq!((found.counted, found.first), (0, None));
    }

    #[test]
    fn skips_only_content_that_was_done_before() {
        let of = |(digit, at), last: Option<(char, Option<&str>)>, before: bool| {
            let json = event_json(Some("order/1"), Some(digit), at);
            let event = Event::parse(&json).unwrap();
            let last = last.map(|(digit, at)| event_json(Some("order/1"), Some(digit), at));
            let last = last.as_deref().map(|json| Event::parse(json).unwrap());
            let last = last.map(|last| last_done("k".to_owned(), &last));
            history(&event, last.as_ref(), before.then(Item::new).as_ref())
        };
        let (early, late) = (Some("2026-06-18T12:00:00Z"), Some("2026-06-18T12:00:00.5Z"));
        assert_eq!(of(('a', early), None, false), History::New);
        assert_eq!(
            of(('a', early), None, true),
            History::New,
            "TTL deleted one item"
        );
        assert_eq!(of(('a', late), Some(('a', late)), true), History::Repeated);
        assert_eq!(of(('a', None), Some(('a', None)), true), History::Repeated);
        assert_eq!(of(('a', early), Some(('b', late)), true), History::Stale);
        assert_eq!(of(('a', early), Some(('b', late)), false), History::New);
        assert_eq!(of(('a', late), Some(('b', late)), true), History::New);
        assert_eq!(of(('a', late), Some(('b', early)), true), History::New);
        assert_eq!(of(('a', None), Some(('b', late)), true), History::New);
        assert_eq!(of(('a', early), Some(('b', None)), true), History::New);
    }

    #[test]
    fn keys_are_short_and_unique() {
        let long = "x".repeat(10_000);
        let all = [
            key("event", &["a", "b", "c"]),
            key("entity", &["a", "b", "c"]),
            key("content", &["a", "b", "c"]),
            key("event", &["a", "b,c"]),
            key("event", &["a\",\"b", "c"]),
            key("event", &["ab", "", "c"]),
            key("event", &["a", "b", &long]),
        ];
        assert!(all.iter().all(|key| key.len() <= 8 + 64), "{all:?}");
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn has_no_key_without_a_subject_or_a_contentid() {
        let of = |subject, contentid| {
            let json = event_json(subject, contentid, None);
            let keys = Keys::of(&Event::parse(&json).unwrap());
            (keys.entity.is_some(), keys.content.is_some())
        };
        assert_eq!(of(Some("order/1"), Some('a')), (true, true));
        assert_eq!(of(Some("order/1"), None), (true, false));
        assert_eq!(of(None, Some('a')), (false, false));
        assert_eq!(of(Some(""), Some('a')), (false, false));
    }
}
