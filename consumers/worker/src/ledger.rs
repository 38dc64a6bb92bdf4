//! The ledger: a DynamoDB table that records which events are done. Only the requests belong here;
//! keys and attributes of the items are in `ledger/item.rs`.
//!
//! The item of an event starts as a claim. A conditional update writes it, so only one of two
//! invocations gets the event. The claim has a lease, which ends when Lambda would have ended the
//! invocation. An invocation that finds an expired lease may try the event again, and knows that
//! the previous attempt never ended. When the work is done, one transaction writes that into the
//! item, together with the two items of the entity. DynamoDB's TTL deletes all items long after
//! the last retry.

mod item;

use std::{
    cell::Cell,
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_dynamodb::{
    Client,
    error::{BuildError, ProvideErrorMetadata as _},
    operation::update_item::UpdateItemError,
    types::{
        AttributeValue, Delete, Get, Put, ReturnValue, ReturnValuesOnConditionCheckFailure,
        TransactGetItem, TransactWriteItem,
    },
};
use tracing::error;

use self::item::{Item, Keys, millis, seconds, text, timestamp};
use crate::{attempts::Attempts, event::Event};

/// The key of the item with the time at which any event was last done.
const LAST_SUCCESS: &str = "last_success";

/// The minimum time between two writes of [`LAST_SUCCESS`] by one instance of the function. Each
/// write costs money.
const LAST_SUCCESS_INTERVAL: Duration = Duration::from_secs(10);

/// The invocation that wants to work on an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claimant<'a> {
    /// The request id of the invocation.
    pub(crate) owner: &'a str,
    /// The id of the message. A message that was moved back from the dead-letter queue has a new
    /// id, and its attempts start again at zero.
    pub(crate) message_id: &'a str,
    pub(crate) lease_ends: SystemTime,
}

/// The result of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The invocation has the event. Until the lease ends, no other invocation gets it.
    Granted {
        /// The earlier failed attempts.
        attempts: Attempts,
        /// The end of the lease of the previous attempt, if that attempt never ended.
        unfinished: Option<SystemTime>,
    },
    /// The event is done.
    Done,
    /// Another invocation has the event until this moment.
    Held(SystemTime),
}

/// What happens to the lease when failed attempts are noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    Keep,
    Release,
}

/// Whether the content of an event was done before, under any id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum History {
    /// It was not done, or this is unknown. The event needs work.
    New,
    /// It is the content that was done last for the entity.
    Repeated,
    /// It was done, and newer content was done after it.
    Stale,
}

/// A request to the table failed. The cause is in the log.
#[derive(Debug)]
pub(crate) struct LedgerError;

/// The table.
#[derive(Debug)]
pub(crate) struct Ledger {
    client: Client,
    table: String,
    /// When this instance of the function last finished the work of an event.
    last_success: Cell<Option<SystemTime>>,
    /// When this instance last wrote that into the table.
    success_noted: Cell<Option<SystemTime>>,
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

    /// Claims an event until the lease ends.
    pub(crate) async fn claim(
        &self,
        event: &Event<'_>,
        claimant: Claimant<'_>,
    ) -> Result<Claim, LedgerError> {
        let updated = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("id", text(Keys::of(event).event))
            .update_expression(
                "SET event_id = :event, #owner = :owner, message_id = :message, \
                 lease_ends = :ends, expires = :expires",
            )
            .condition_expression(
                "attribute_not_exists(done) \
                 AND (attribute_not_exists(#owner) OR lease_ends < :now)",
            )
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":event", text(&*event.id))
            .expression_attribute_values(":owner", text(claimant.owner))
            .expression_attribute_values(":message", text(claimant.message_id))
            .expression_attribute_values(":ends", seconds(claimant.lease_ends))
            .expression_attribute_values(":expires", item::expires())
            .expression_attribute_values(":now", seconds(SystemTime::now()))
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match updated {
            Ok(before) => Ok(item::granted_claim(before.attributes(), claimant)),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    Ok(item::refused_claim(failed.item(), claimant))
                }
                _ => Err(unavailable("claim", error.code())),
            },
        }
    }

    /// Compares an event with the content that was done before for its entity. One transaction
    /// reads both items.
    pub(crate) async fn compare(&self, event: &Event<'_>) -> Result<History, LedgerError> {
        let keys = Keys::of(event);
        let (Some(entity), Some(content)) = (keys.entity, keys.content) else {
            return Ok(History::New);
        };
        let get = |key: String| {
            let get = Get::builder().table_name(&self.table).key("id", text(key));
            Ok(TransactGetItem::builder().get(get.build()?).build())
        };
        let gets: Result<_, _> = [entity, content].into_iter().map(get).collect();
        let found = self
            .client
            .transact_get_items()
            .set_transact_items(Some(gets.map_err(build_error)?))
            .send()
            .await
            .map_err(|error| unavailable("compare", error.code()))?;
        let [last, before] = found.responses() else {
            return Err(unavailable("compare", None));
        };
        Ok(item::history(event, last.item(), before.item()))
    }

    /// Notes that the work of an event is done.
    ///
    /// If that fails, the work must be done again. Otherwise the ledger would keep an earlier
    /// state of the entity. A later event that restores this state would be skipped as a
    /// duplicate, and the newest state would be lost.
    pub(crate) async fn finish(&self, event: &Event<'_>) -> Result<(), LedgerError> {
        let keys = Keys::of(event);
        let Some(entity) = keys.entity else {
            return self.skip(event).await;
        };
        let writes = match keys.content {
            Some(content) => vec![
                self.put(item::done(event)),
                self.put(item::last_done(entity, event)),
                self.put(item::content(content)),
            ],
            // The state that was done last is now unknown, so no event may be skipped for it.
            None => vec![self.put(item::done(event)), self.delete(entity)],
        };
        let writes: Result<_, _> = writes.into_iter().collect();
        let written = self
            .client
            .transact_write_items()
            .set_transact_items(Some(writes.map_err(build_error)?))
            .send()
            .await;
        written
            .map(drop)
            .map_err(|error| unavailable("finish", error.code()))
    }

    /// Notes that an event needs no work. If that fails, a duplicate is compared once more.
    pub(crate) async fn skip(&self, event: &Event<'_>) -> Result<(), LedgerError> {
        let written = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item::done(event)))
            .send()
            .await;
        written
            .map(drop)
            .map_err(|error| unavailable("finish", error.code()))
    }

    /// Notes that an event was done, so that failed attempts of other events count from now on. If
    /// the write fails, the next success repeats it.
    pub(crate) async fn note_success(&self) {
        let now = SystemTime::now();
        self.last_success.set(Some(now));
        let noted = self.success_noted.get();
        if noted.is_some_and(|noted| now < noted + LAST_SUCCESS_INTERVAL) {
            return;
        }
        let written = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("id", text(LAST_SUCCESS))
            .item("at_ms", millis(now))
            .item("expires", item::expires())
            .send()
            .await;
        match written {
            Ok(_) => self.success_noted.set(Some(now)),
            Err(error) => drop(unavailable("note_success", error.code())),
        }
    }

    /// Returns when an event was last done, as far as the table or this instance knows.
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
                .and_then(|item| timestamp(item, "at_ms", Duration::from_millis)),
            Err(error) => {
                unavailable("last_success", error.code());
                None
            }
        };
        noted.max(self.last_success.get())
    }

    /// Notes the failed attempts of an event.
    ///
    /// If this fails with `Lease::Release`, the next attempt waits until the lease ends, and
    /// counts this one as an attempt that never ended.
    pub(crate) async fn note_attempts(
        &self,
        event: &Event<'_>,
        owner: &str,
        attempts: Attempts,
        lease: Lease,
    ) {
        let timestamps = [
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
        for (name, at) in timestamps {
            if let Some(at) = at {
                let _ = write!(changes, ", {name} = :{name}"); // Writing to a String never fails.
                request = request.expression_attribute_values(format!(":{name}"), millis(at));
            }
        }
        if lease == Lease::Release {
            // An expired lease replaces the old one, because an earlier release of this worker
            // checks only the lease.
            changes.push_str(", lease_ends = :over REMOVE #owner");
            request = request.expression_attribute_values(":over", seconds(UNIX_EPOCH));
        }
        if let Err(error) = request.update_expression(changes).send().await {
            unavailable("note_attempts", error.code());
        }
    }

    /// Deletes the claim of an event that is not done, with its attempts. If that fails, the next
    /// attempt waits until the lease ends.
    pub(crate) async fn release(&self, event: &Event<'_>, owner: &str) {
        let deleted = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("id", text(Keys::of(event).event))
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", text(owner))
            .send()
            .await;
        if let Err(error) = deleted {
            unavailable("release", error.code());
        }
    }

    /// Deletes the record of the content that was done last for the entity of an event, because it
    /// is unknown whether this event was done. If that fails, a later event that restores this
    /// state is skipped as a duplicate.
    pub(crate) async fn forget_entity(&self, event: &Event<'_>) {
        let Some(entity) = Keys::of(event).entity else {
            return;
        };
        let deleted = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("id", text(entity));
        if let Err(error) = deleted.send().await {
            unavailable("forget_entity", error.code());
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

/// Logs a failed request. Only its error code: the message of an error could quote the request.
fn unavailable(step: &'static str, code: Option<&str>) -> LedgerError {
    error!(step, code, "ledger unavailable");
    LedgerError
}

/// Logs that a request lacks a required member. No request of this file does.
#[allow(clippy::needless_pass_by_value)] // For `map_err`.
fn build_error(_: BuildError) -> LedgerError {
    unavailable("build", None)
}
