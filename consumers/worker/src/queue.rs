//! The source queue: sets the pause before a retry, and reads the queue's
//! retention period. Requests to other queues do not belong here.

use std::{cell::Cell, time::Duration};

use aws_sdk_sqs::{
    Client,
    error::ProvideErrorMetadata as _,
    types::{ChangeMessageVisibilityBatchRequestEntry, QueueAttributeName},
};
use tracing::error;

/// The maximum number of entries in one `ChangeMessageVisibilityBatch` request.
const ENTRIES_MAX: usize = 10;

/// The source queue of the function.
#[derive(Debug)]
pub(crate) struct Queue {
    client: Client,
    url: String,
    /// The retention period. Read when it is first needed, and then kept.
    retention: Cell<Option<Duration>>,
}

/// How long a message stays invisible before SQS delivers it again.
#[derive(Debug)]
pub(crate) struct Pause<'a> {
    pub(crate) receipt_handle: &'a str,
    pub(crate) duration: Duration,
}

impl Queue {
    pub(crate) fn new(client: Client, url: String) -> Self {
        Self {
            client,
            url,
            retention: Cell::new(None),
        }
    }

    /// Sets the visibility timeout of messages. If that fails, the queue's own visibility timeout
    /// applies, and the failure is logged.
    pub(crate) async fn pause(&self, pauses: &[Pause<'_>]) {
        for pauses in pauses.chunks(ENTRIES_MAX) {
            let entries = pauses.iter().enumerate().filter_map(|(number, pause)| {
                let seconds = i32::try_from(pause.duration.as_millis().div_ceil(1000)).ok()?;
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(number.to_string())
                    .receipt_handle(pause.receipt_handle)
                    .visibility_timeout(seconds)
                    .build()
                    .ok()
            });
            let response = self
                .client
                .change_message_visibility_batch()
                .queue_url(&self.url)
                .set_entries(Some(entries.collect()))
                .send()
                .await;
            match response {
                // Only the error code: the message of an error could quote the request.
                Err(error) => error!(code = error.code(), "messages not paused"),
                Ok(response) => {
                    for failed in response.failed() {
                        error!(code = failed.code(), "message not paused");
                    }
                }
            }
        }
    }

    /// Returns the retention period of the queue, or `None` if it cannot be read.
    pub(crate) async fn retention(&self) -> Option<Duration> {
        if self.retention.get().is_none() {
            let name = QueueAttributeName::MessageRetentionPeriod;
            let response = self
                .client
                .get_queue_attributes()
                .queue_url(&self.url)
                .attribute_names(name.clone())
                .send()
                .await;
            match response {
                Ok(response) => {
                    let value = response.attributes().and_then(|all| all.get(&name));
                    let seconds = value.and_then(|seconds| seconds.parse().ok());
                    self.retention.set(seconds.map(Duration::from_secs));
                }
                Err(error) => error!(code = error.code(), "queue retention period unavailable"),
            }
        }
        self.retention.get()
    }
}
