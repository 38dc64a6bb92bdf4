//! Remembers what is done, in a DynamoDB table. All its items have the key `id`, which is a word and a hash, so that it has the
//! same length whatever the shop sends, and no item takes the place of one of another kind:
//!
//! | `id` | of | says |
//! |---|---|---|
//! | `event/…` | source, type, id | who is at work on the event and until when, which attempts failed, or that it is done |
//! | `entity/…` | source, type, subject, store | the `contentid` that was done last, and the entity's `updated_at` |
//! | `content/…` | source, type, subject, store, contentid | that this content of the entity was done |
//! | `last_success` | | when any event was last done |
//!
//! The item of an event begins as a claim, made by a conditional update, so that only one of two invocations gets it. The claim has
//! a lease, which ends when Lambda would have ended the invocation: whoever finds it later may try again, and knows that the attempt
//! before never ended. When the work is done, the item says so, and the other two are written in the same transaction. TTL removes
//! them all long after the last retry.

use std::{
    cell::Cell,
    collections::HashMap,
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_dynamodb::{
    Client,
    error::{BuildError, ProvideErrorMetadata as _},
    operation::update_item::UpdateItemError,
    primitives::{DateTime, DateTimeFormat},
    types::{
        AttributeValue, Delete, Get, Put, ReturnValue, ReturnValuesOnConditionCheckFailure,
        TransactGetItem, TransactWriteItem,
    },
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tracing::error;

use crate::{attempts::Attempts, event::Event};

/// The item that says when any event was last done.
const LAST_SUCCESS: &str = "last_success";

/// How often it is written at most, by each copy of the function: every write of it is paid for.
const LAST_SUCCESS_EVERY: Duration = Duration::from_secs(10);

/// How long an item is kept: longer than a message lives in the queue and in its dead-letter queue together, 14 days each.
const KEPT: Duration = Duration::from_hours(35 * 24);

type Item = HashMap<String, AttributeValue>;

/// Who wants to work on an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claimant<'a> {
    /// The invocation.
    pub(crate) owner: &'a str,
    /// The message: one that was moved back from the dead-letter queue is another, and its attempts begin anew.
    pub(crate) message_id: &'a str,
    pub(crate) lease_ends: SystemTime,
}

/// What became of the wish to work on an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nobody else will do it while the lease lasts.
    Ours {
        /// Those that failed before.
        attempts: Attempts,
        /// When the lease of an attempt ended that was begun and never ended itself.
        unfinished: Option<SystemTime>,
    },
    /// It is done.
    Done,
    /// Somebody is at it, until then.
    Busy(SystemTime),
}

/// What becomes of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    Kept,
    Released,
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
    /// When this copy of the function last did an event, and when it last wrote that down.
    last_success: Cell<Option<SystemTime>>,
    success_noted: Cell<Option<SystemTime>>,
}

/// The keys of an event's items. Without a subject there is no entity; without a contentid its content has no key.
struct Keys {
    event: String,
    entity: Option<String>,
    content: Option<String>,
}

impl Ledger {
    pub(crate) fn new(client: Client, table: String) -> Self {
        Self {
            client,
            table,
            last_success: Cell::new(None),
            success_noted: Cell::new(None),
        }
    }

    /// Claims an event, until the lease ends.
    pub(crate) async fn claim(
        &self,
        event: &Event<'_>,
        claimant: Claimant<'_>,
    ) -> Result<Claim, Unavailable> {
        let updated = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("id", text(Keys::of(event).event))
            .update_expression(
                "SET event_id = :event, #owner = :owner, message_id = :message, lease_ends = :ends, \
                 expires = :expires",
            )
            .condition_expression(
                "attribute_not_exists(done) AND (attribute_not_exists(#owner) OR lease_ends < :now)",
            )
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":event", text(&*event.id))
            .expression_attribute_values(":owner", text(claimant.owner))
            .expression_attribute_values(":message", text(claimant.message_id))
            .expression_attribute_values(":ends", number(claimant.lease_ends))
            .expression_attribute_values(":expires", expires())
            .expression_attribute_values(":now", number(SystemTime::now()))
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match updated {
            Ok(before) => Ok(claimed(before.attributes(), claimant)),
            Err(reason) => match reason.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(found)) => {
                    Ok(standing(found.item(), claimant))
                }
                _ => Err(unavailable("claim", reason.code())),
            },
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

    /// Notes that the work is done. If that fails, the work must be done again: without the note, an event that brings the entity back
    /// to what the ledger knows would be taken for a repeat, and its newest state would be lost.
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

    /// Notes that some event was done: those that fail meanwhile fail for a reason of their own. If that fails, it is only noted later.
    pub(crate) async fn note_success(&self) {
        let now = SystemTime::now();
        self.last_success.set(Some(now));
        let noted = self.success_noted.get();
        if noted.is_some_and(|noted| now < noted + LAST_SUCCESS_EVERY) {
            return;
        }
        let written = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("id", text(LAST_SUCCESS))
            .item("at_ms", millis(now))
            .item("expires", expires())
            .send()
            .await;
        match written {
            Ok(_) => self.success_noted.set(Some(now)),
            Err(reason) => drop(unavailable("note_success", reason.code())),
        }
    }

    /// When any event was last done, as far as is known.
    pub(crate) async fn last_success(&self) -> Option<SystemTime> {
        let found = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("id", text(LAST_SUCCESS))
            .send()
            .await;
        let noted = match found {
            Ok(found) => found
                .item()
                .and_then(|item| moment(item, "at_ms", Duration::from_millis)),
            Err(reason) => {
                unavailable("last_success", reason.code());
                None
            }
        };
        noted.max(self.last_success.get())
    }

    /// Notes the attempts that failed. With `Claimed::Released` the claim is given back; if that fails, the next attempt waits for
    /// the lease to end, and takes this one for one that never ended.
    pub(crate) async fn note_attempts(
        &self,
        event: &Event<'_>,
        owner: &str,
        attempts: Attempts,
        claimed: Claimed,
    ) {
        let known = [
            ("first_ms", attempts.first),
            ("first_counted_ms", attempts.first_counted),
            ("last_ms", attempts.last),
        ];
        let mut changes = String::from("SET attempts = :attempts");
        let mut request = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("id", text(Keys::of(event).event))
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", text(owner))
            .expression_attribute_values(
                ":attempts",
                AttributeValue::N(attempts.counted.to_string()),
            );
        for (name, at) in known {
            if let Some(at) = at {
                let _ = write!(changes, ", {name} = :{name}"); // writing to a String never fails
                request = request.expression_attribute_values(format!(":{name}"), millis(at));
            }
        }
        if claimed == Claimed::Released {
            // The lease stays, and is over: the earlier release of this worker looks at it alone.
            changes.push_str(", lease_ends = :over REMOVE #owner");
            request = request.expression_attribute_values(":over", number(UNIX_EPOCH));
        }
        if let Err(reason) = request.update_expression(changes).send().await {
            unavailable("note_attempts", reason.code());
        }
    }

    /// Forgets an event that was not done, with its attempts: should it come again, it begins anew. If that fails, its next attempt
    /// waits for the lease to end.
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

    /// Forgets what was done last for the entity of an event: nobody knows whether this event was done. If that fails, an event that
    /// brings the entity back to that state is taken for a repeat.
    pub(crate) async fn forget_entity(&self, event: &Event<'_>) {
        let Some(entity) = Keys::of(event).entity else {
            return;
        };
        let deleted = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("id", text(entity));
        if let Err(reason) = deleted.send().await {
            unavailable("forget_entity", reason.code());
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

/// A claim that was made, by what the item said before. What it says of another message does not count.
fn claimed(before: Option<&Item>, claimant: Claimant<'_>) -> Claim {
    let message_id = text(claimant.message_id);
    let before = before.filter(|item| item.get("message_id") == Some(&message_id));
    Claim::Ours {
        attempts: before.map(attempts).unwrap_or_default(),
        unfinished: before
            .filter(|item| item.contains_key("owner"))
            .and_then(|item| moment(item, "lease_ends", Duration::from_secs)),
    }
}

/// What an item says that stood in the way of a claim.
fn standing(item: Option<&Item>, claimant: Claimant<'_>) -> Claim {
    let get = |name| item.and_then(|item| item.get(name));
    if get("done").is_some() {
        Claim::Done
    } else if get("owner") == Some(&text(claimant.owner)) {
        // The answer to a first request was lost, and the client asked again.
        Claim::Ours {
            attempts: item.map(attempts).unwrap_or_default(),
            unfinished: None,
        }
    } else {
        let ends = item.and_then(|item| moment(item, "lease_ends", Duration::from_secs));
        Claim::Busy(ends.unwrap_or_else(SystemTime::now))
    }
}

/// The attempts that an item tells of.
fn attempts(item: &Item) -> Attempts {
    let at = |name| moment(item, name, Duration::from_millis);
    Attempts {
        counted: whole(item, "attempts").unwrap_or_default(),
        first: at("first_ms"),
        first_counted: at("first_counted_ms"),
        last: at("last_ms"),
    }
}

fn moment(item: &Item, name: &str, unit: impl Fn(u64) -> Duration) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(unit(whole(item, name)?))
}

fn whole(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
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

/// Milliseconds since 1970.
fn millis(moment: SystemTime) -> AttributeValue {
    let passed = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    AttributeValue::N(passed.as_millis().to_string())
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
                ("lease_ends".to_owned(), number(at(7))),
                ("attempts".to_owned(), AttributeValue::N("3".to_owned())),
                ("first_ms".to_owned(), millis(at(1))),
            ])
        };
        let attempts = Attempts {
            counted: 3,
            first: Some(at(1)),
            ..Attempts::default()
        };
        let ours = Claim::Ours {
            attempts,
            unfinished: None,
        };
        assert_eq!(standing(Some(&item("me")), me), ours);
        assert_eq!(standing(Some(&item("you")), me), Claim::Busy(at(7)));
        let done = Item::from([("done".to_owned(), number(at(1)))]);
        assert_eq!(standing(Some(&done), me), Claim::Done);
        assert!(matches!(standing(None, me), Claim::Busy(_)));
        let unfinished = Claim::Ours {
            attempts,
            unfinished: Some(at(7)),
        };
        assert_eq!(claimed(Some(&item("you")), me), unfinished);
        let anew = Claim::Ours {
            attempts: Attempts::default(),
            unfinished: None,
        };
        assert_eq!(claimed(None, me), anew);
        let moved_back = Claimant {
            message_id: "another",
            ..me
        };
        assert_eq!(claimed(Some(&item("you")), moved_back), anew);
    }

    #[test]
    fn an_item_that_nobody_can_read_has_no_attempts() {
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
