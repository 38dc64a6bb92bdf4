//! Remembers which events are done, in a DynamoDB table: its key is the event's id.
//!
//! An item begins as a claim, made by a conditional put, so that only one of two invocations gets it. The claim has a lease,
//! which ends when Lambda would have ended the invocation: whoever finds it later may try again. When the work is done, the item
//! says so, and TTL removes it long after the last repeat.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_dynamodb::{
    Client,
    error::ProvideErrorMetadata as _,
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use tracing::error;

/// How long an item is kept: longer than a message lives in the queue and in its dead-letter queue together, 14 days each.
const KEPT: Duration = Duration::from_hours(35 * 24);

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

/// The table did not answer, or not sensibly.
#[derive(Debug)]
pub(crate) struct Unavailable;

/// The table.
#[derive(Debug)]
pub(crate) struct Ledger {
    client: Client,
    table: String,
}

impl Ledger {
    pub(crate) fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Claims an event for `owner`, until the lease ends.
    pub(crate) async fn claim(
        &self,
        id: &str,
        owner: &str,
        lease_ends: SystemTime,
    ) -> Result<Claim, Unavailable> {
        let claimed = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("id", text(id))
            .item("owner", text(owner))
            .item("lease_ends", number(lease_ends))
            .item("expires", number(SystemTime::now() + KEPT))
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

    /// Notes that the work is done. If that fails, the message is through with all the same: to do the work again would be
    /// worse. Only a repeat, should one come, finds no note.
    pub(crate) async fn finish(&self, id: &str) -> Result<(), Unavailable> {
        let noted = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("id", text(id))
            .item("done", number(SystemTime::now()))
            .item("expires", number(SystemTime::now() + KEPT))
            .send()
            .await;
        noted
            .map(drop)
            .map_err(|reason| unavailable("finish", reason.code()))
    }

    /// Gives a claim back, so that the next attempt need not wait for the lease to end. If that fails, it waits.
    pub(crate) async fn release(&self, id: &str, owner: &str) {
        let released = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("id", text(id))
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", text(owner))
            .send()
            .await;
        if let Err(reason) = released {
            unavailable("release", reason.code());
        }
    }
}

/// What an item says that stood in the way of a claim.
fn standing(item: Option<&HashMap<String, AttributeValue>>, owner: &str) -> Claim {
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

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// Seconds since 1970, as TTL wants them.
fn number(moment: SystemTime) -> AttributeValue {
    let seconds = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    AttributeValue::N(seconds.as_secs().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_in_the_way_says_how_things_stand() {
        let item = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), text(value)));
            pairs.collect::<HashMap<_, _>>()
        };
        let of = |pairs| standing(Some(&item(pairs)), "me");
        assert_eq!(of(&[("done", "1")]), Claim::Done);
        assert_eq!(of(&[("owner", "me"), ("lease_ends", "1")]), Claim::Ours);
        assert_eq!(of(&[("owner", "you"), ("lease_ends", "1")]), Claim::Busy);
        assert_eq!(standing(None, "me"), Claim::Busy);
    }
}
