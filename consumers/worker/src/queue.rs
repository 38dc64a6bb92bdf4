//! The queue that the messages come from: how long one that failed waits, and how long the queue keeps any.

use std::{cell::Cell, time::Duration};

use aws_sdk_sqs::{
    Client,
    error::ProvideErrorMetadata as _,
    types::{ChangeMessageVisibilityBatchRequestEntry, QueueAttributeName},
};
use tracing::error;

/// SQS takes this many changes at a time.
const CHANGES_MAX: usize = 10;

/// The queue.
#[derive(Debug)]
pub(crate) struct Queue {
    client: Client,
    url: String,
    /// How long it keeps a message. Asked for once, when it is needed first.
    retention: Cell<Option<Duration>>,
}

/// A message that failed, and how long it is to wait.
#[derive(Debug)]
pub(crate) struct Pause<'a> {
    pub(crate) receipt_handle: &'a str,
    pub(crate) pause: Duration,
}

impl Queue {
    pub(crate) fn new(client: Client, url: String) -> Self {
        Self {
            client,
            url,
            retention: Cell::new(None),
        }
    }

    /// Lets messages wait before they come again. If that fails, they wait for the queue's own visibility timeout.
    pub(crate) async fn pause(&self, messages: &[Pause<'_>]) {
        for messages in messages.chunks(CHANGES_MAX) {
            let entries = messages.iter().enumerate().filter_map(|(number, message)| {
                let seconds = i32::try_from(message.pause.as_millis().div_ceil(1000)).ok()?;
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(number.to_string())
                    .receipt_handle(message.receipt_handle)
                    .visibility_timeout(seconds)
                    .build()
                    .ok()
            });
            let changed = self
                .client
                .change_message_visibility_batch()
                .queue_url(&self.url)
                .set_entries(Some(entries.collect()))
                .send()
                .await;
            match changed {
                // The code is one of SQS's own words; its message could quote the request.
                Err(reason) => error!(code = reason.code(), "messages not paused"),
                Ok(changed) => {
                    for failed in changed.failed() {
                        error!(code = failed.code(), "message not paused");
                    }
                }
            }
        }
    }

    /// How long the queue keeps a message, if it says so.
    pub(crate) async fn retention(&self) -> Option<Duration> {
        if self.retention.get().is_none() {
            let name = QueueAttributeName::MessageRetentionPeriod;
            let asked = self
                .client
                .get_queue_attributes()
                .queue_url(&self.url)
                .attribute_names(name.clone());
            match asked.send().await {
                Ok(attributes) => {
                    let found = attributes.attributes().and_then(|all| all.get(&name));
                    let seconds = found.and_then(|seconds| seconds.parse().ok());
                    self.retention.set(seconds.map(Duration::from_secs));
                }
                Err(reason) => error!(code = reason.code(), "queue does not say its retention"),
            }
        }
        self.retention.get()
    }
}
