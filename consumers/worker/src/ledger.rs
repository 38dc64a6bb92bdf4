//! Remembers what is done, in a DynamoDB table. All its items have the key `id`, which is a word and a hash, so that it has the
//! same length whatever the shop sends, and no item takes the place of one of another kind:
//!
//! | `id` | of | says |
//! |---|---|---|
//! | `event/…` | source, type, id | who is at work on the event and until when, or that it is done |
//! | `entity/…` | source, type, subject, store | the `contentid` that was done last, and the entity's `updated_at` |
//! | `content/…` | source, type, subject, store, contentid | that this content of the entity was done |
//!
//! The item of an event begins as a claim, made by a conditional put, so that only one of two invocations gets it. The claim has
//! a lease, which ends when Lambda would have ended the invocation: whoever finds it later may try again. When the work is done,
//! the item says so, and the other two are written in the same transaction. TTL removes them all long after the last retry.

use std::{
    collections::HashMap,
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_dynamodb::{
    Client,
    error::{BuildError, ProvideErrorMetadata as _},
    operation::put_item::PutItemError,
    primitives::{DateTime, DateTimeFormat},
    types::{
        AttributeValue, Delete, Get, Put, ReturnValuesOnConditionCheckFailure, TransactGetItem,
        TransactWriteItem,
    },
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tracing::error;

use crate::event::Event;

/// How long an item is kept: longer than a message lives in the queue and in its dead-letter queue together, 14 days each.
const KEPT: Duration = Duration::from_hours(35 * 24);

type Item = HashMap<String, AttributeValue>;

/// What became of the wish to work on an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nobody else will do it while the lease lasts.
    Ours,
    /// It is done.
    Done,
    /// Somebody is at it.
    Busy,
}

/// What was done with the content of an event before, under whatever id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum History {
    /// Nothing, or nothing that can be told for sure: it is worked on.
    New,
    /// It is what was done last for its entity.
    Repeated,
    /// It was done before something newer.
    Stale,
}

/// The table did not answer, or not sensibly.
#[derive(Debug)]
pub(crate) struct Unavailable;

/// The table.
#[derive(Debug)]
pub(crate) struct Ledger {
    client: Client,
    table: String,
}

/// The keys of an event's items. Without a subject there is no entity; without a contentid its content has no key.
struct Keys {
    event: String,
    entity: Option<String>,
    content: Option<String>,
}

impl Ledger {
    pub(crate) fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Claims an event for `owner`, until the lease ends.
    pub(crate) async fn claim(
        &self,
        event: &Event<'_>,
        owner: &str,
        lease_ends: SystemTime,
    ) -> Result<Claim, Unavailable> {
        let claimed = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("id", text(Keys::of(event).event))
            .item("event_id", text(&*event.id))
            .item("owner", text(owner))
            .item("lease_ends", number(lease_ends))
            .item("expires", expires())
            .condition_expression("attribute_not_exists(id) OR lease_ends < :now")
            .expression_attribute_values(":now", number(SystemTime::now()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(reason) = claimed else {
            return Ok(Claim::Ours);
        };
        match reason.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(found)) => {
                Ok(standing(found.item(), owner))
            }
            _ => Err(unavailable("claim", reason.code())),
        }
    }

    /// Compares an event with what was done before for its entity. Both items are read at one moment.
    pub(crate) async fn compare(&self, event: &Event<'_>) -> Result<History, Unavailable> {
        let keys = Keys::of(event);
        let (Some(entity), Some(content)) = (keys.entity, keys.content) else {
            return Ok(History::New);
        };
        let get = |key: String| {
            let get = Get::builder().table_name(&self.table).key("id", text(key));
            Ok(TransactGetItem::builder().get(get.build()?).build())
        };
        let wanted: Result<_, _> = [entity, content].into_iter().map(get).collect();
        let found = self
            .client
            .transact_get_items()
            .set_transact_items(Some(wanted.map_err(not_built)?))
            .send()
            .await
            .map_err(|reason| unavailable("compare", reason.code()))?;
        let [last, before] = found.responses() else {
            return Err(unavailable("compare", None));
        };
        Ok(history(event, last.item(), before.item()))
    }

    /// Notes that the work is done. If that fails, the message is through with all the same: to do the work again would be
    /// worse. Only a duplicate, should one come, finds no note.
    pub(crate) async fn finish(&self, event: &Event<'_>) -> Result<(), Unavailable> {
        let keys = Keys::of(event);
        let Some(entity) = keys.entity else {
            return self.skip(event).await;
        };
        let notes = match keys.content {
            Some(content) => vec![
                self.put(done(event)),
                self.put(last_done(entity, event)),
                self.put(Item::from([
                    ("id".to_owned(), text(content)),
                    ("expires".to_owned(), expires()),
                ])),
            ],
            // What was done last is not known any more: nothing may be taken for a repetition of it.
            None => vec![self.put(done(event)), self.delete(entity)],
        };
        let notes: Result<_, _> = notes.into_iter().collect();
        let written = self
            .client
            .transact_write_items()
            .set_transact_items(Some(notes.map_err(not_built)?))
            .send()
            .await;
        written
            .map(drop)
            .map_err(|reason| unavailable("finish", reason.code()))
    }

    /// Notes that the event is through with, without any work. If that fails, a duplicate is compared once more.
    pub(crate) async fn skip(&self, event: &Event<'_>) -> Result<(), Unavailable> {
        let written = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(done(event)))
            .send()
            .await;
        written
            .map(drop)
            .map_err(|reason| unavailable("finish", reason.code()))
    }

    /// Gives a claim back, so that the next attempt need not wait for the lease to end. If that fails, it waits.
    pub(crate) async fn release(&self, event: &Event<'_>, owner: &str) {
        let released = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("id", text(Keys::of(event).event))
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", text(owner))
            .send()
            .await;
        if let Err(reason) = released {
            unavailable("release", reason.code());
        }
    }

    fn put(&self, item: Item) -> Result<TransactWriteItem, BuildError> {
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        Ok(TransactWriteItem::builder().put(put.build()?).build())
    }

    fn delete(&self, key: String) -> Result<TransactWriteItem, BuildError> {
        let delete = Delete::builder().table_name(&self.table);
        let delete = delete.key("id", text(key)).build()?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }
}

impl Keys {
    fn of(event: &Event<'_>) -> Self {
        let (source, kind) = (&*event.source, &*event.kind);
        let (subject, store) = (event.subject.as_deref(), &*event.store);
        Self {
            event: key("event", &[source, kind, &event.id]),
            entity: subject.map(|subject| key("entity", &[source, kind, subject, store])),
            content: subject
                .zip(event.contentid.as_deref())
                .map(|(subject, content)| key("content", &[source, kind, subject, store, content])),
        }
    }
}

/// A word and a hash. It is one of JSON, in which no two lists of texts look alike.
fn key(kind: &str, parts: &[&str]) -> String {
    let mut key = format!("{kind}/");
    for byte in Sha256::digest(json!(parts).to_string()) {
        let _ = write!(key, "{byte:02x}"); // writing to a String never fails
    }
    key
}

/// The item of an event that is done. Its id stands there for people who look for it.
fn done(event: &Event<'_>) -> Item {
    Item::from([
        ("id".to_owned(), text(Keys::of(event).event)),
        ("event_id".to_owned(), text(&*event.id)),
        ("done".to_owned(), number(SystemTime::now())),
        ("expires".to_owned(), expires()),
    ])
}

/// The item of an entity for which this event is the last that was done.
fn last_done(key: String, event: &Event<'_>) -> Item {
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

/// Whether an event brings anything new, by what was done last for its entity and whether its content was done before. That an
/// event is older is no reason to skip it: one that comes for the first time may come late.
fn history(event: &Event<'_>, last: Option<&Item>, before: Option<&Item>) -> History {
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

/// What an item says that stood in the way of a claim.
fn standing(item: Option<&Item>, owner: &str) -> Claim {
    let get = |name| item.and_then(|item| item.get(name));
    if get("done").is_some() {
        Claim::Done
    } else if get("owner") == Some(&text(owner)) {
        Claim::Ours // the answer to a first attempt was lost, and the client asked again
    } else {
        Claim::Busy
    }
}

/// The code is one of DynamoDB's own words; its message could quote the request.
fn unavailable(step: &'static str, code: Option<&str>) -> Unavailable {
    error!(step, code, "ledger not available");
    Unavailable
}

/// A request lacks a member, which none of ours does.
#[allow(clippy::needless_pass_by_value)] // as `map_err` wants it
fn not_built(_: BuildError) -> Unavailable {
    unavailable("build", None)
}

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// Seconds since 1970, as TTL wants them.
fn number(moment: SystemTime) -> AttributeValue {
    let seconds = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    AttributeValue::N(seconds.as_secs().to_string())
}

fn expires() -> AttributeValue {
    number(SystemTime::now() + KEPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(subject: Option<&str>, contentid: Option<char>, updated_at: Option<&str>) -> String {
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
    fn an_item_in_the_way_says_how_things_stand() {
        let item = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), text(*value)));
            pairs.collect::<Item>()
        };
        let of = |pairs| standing(Some(&item(pairs)), "me");
        assert_eq!(of(&[("done", "1")]), Claim::Done);
        assert_eq!(of(&[("owner", "me"), ("lease_ends", "1")]), Claim::Ours);
        assert_eq!(of(&[("owner", "you"), ("lease_ends", "1")]), Claim::Busy);
        assert_eq!(standing(None, "me"), Claim::Busy);
    }

    #[test]
    fn only_what_was_done_before_is_skipped() {
        let of = |(digit, at), last: Option<(char, Option<&str>)>, before: bool| {
            let json = message(Some("order/1"), Some(digit), at);
            let event = Event::read(&json).unwrap();
            let last = last.map(|(digit, at)| message(Some("order/1"), Some(digit), at));
            let last = last.as_deref().map(|json| Event::read(json).unwrap());
            let last = last.map(|last| last_done("k".to_owned(), &last));
            history(&event, last.as_ref(), before.then(Item::new).as_ref())
        };
        let (early, late) = (Some("2026-06-18T12:00:00Z"), Some("2026-06-18T12:00:00.5Z"));
        assert_eq!(of(('a', early), None, false), History::New);
        assert_eq!(of(('a', early), None, true), History::New, "TTL took one");
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
    fn keys_are_short_and_none_is_that_of_another_kind_or_event() {
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
    fn without_subject_or_contentid_there_is_less_to_compare() {
        let of = |subject, contentid| {
            let json = message(subject, contentid, None);
            let keys = Keys::of(&Event::read(&json).unwrap());
            (keys.entity.is_some(), keys.content.is_some())
        };
        assert_eq!(of(Some("order/1"), Some('a')), (true, true));
        assert_eq!(of(Some("order/1"), None), (true, false));
        assert_eq!(of(None, Some('a')), (false, false));
        assert_eq!(of(Some(""), Some('a')), (false, false));
    }
}
