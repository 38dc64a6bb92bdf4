//! The outcome of a message, and its line in the log. `worker.rs` decides the outcome.

use std::time::Duration;

use tracing::{info, warn};

use crate::{batch::Message, dead_letters::DeadLetterReason, origin::Origin};

/// The outcome of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The work is done.
    Done,
    /// The event, or the same content of its entity, was done before, and nothing newer was done
    /// since.
    Repeated,
    /// The content was done before, and newer content of its entity was done since.
    Stale,
    /// The message is in the dead-letter queue.
    SetAside(DeadLetterReason),
    /// The message is retried after a pause.
    Failed {
        /// A fixed word for the log.
        reason: &'static str,
        pause: Duration,
        /// The time since the first failure. `None` if the event was not tried.
        failing: Option<Duration>,
    },
}

impl Outcome {
    /// Returns the outcome of a message that is retried later because it was not tried now.
    pub(crate) fn untried(reason: &'static str, pause: Duration) -> Self {
        Self::Failed {
            reason,
            pause,
            failing: None,
        }
    }
}

/// The values of an event for the log line of its message. No field may contain customers' data.
#[derive(Debug, Default)]
pub(crate) struct LogLine<'a> {
    pub(crate) origin: Origin<'a>,
    pub(crate) event_id: Option<String>,
    pub(crate) channel: Option<String>,
    /// The failed attempts that count, for an event that has failed.
    pub(crate) counted: Option<u64>,
}

impl LogLine<'_> {
    /// Writes the line.
    pub(crate) fn write(&self, message: &Message, outcome: Outcome, spent: Duration) {
        let seconds = |time: Duration| time.as_secs();
        let (mut pause_s, mut failing_s) = (None, None);
        let (outcome, reason) = match outcome {
            Outcome::Done => ("done", None),
            Outcome::Repeated => ("repeated", None),
            Outcome::Stale => ("stale", None),
            Outcome::SetAside(reason) => ("set_aside", Some(reason.name())),
            Outcome::Failed {
                reason,
                pause,
                failing,
            } => {
                (pause_s, failing_s) = (Some(seconds(pause)), failing.map(seconds));
                ("failed", Some(reason))
            }
        };
        let span = self.origin.span;
        let received = message.attributes.approximate_receive_count.as_deref();
        // The level of a log line must be known at compile time.
        macro_rules! write_at {
            ($level:ident) => {
                $level!(
                    outcome,
                    reason,
                    event_id = self.event_id,
                    channel = self.channel,
                    shop = self.origin.shop,
                    message_id = message.message_id,
                    received,
                    counted = self.counted,
                    failing_s,
                    pause_s,
                    trace_id = span.map(|span| span.trace_id),
                    span_id = span.map(|span| span.id()),
                    parent_span_id = span.map(|span| span.parent_id),
                    spent_ms = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX),
                    "handled"
                )
            };
        }
        if reason.is_some() {
            write_at!(warn);
        } else {
            write_at!(info);
        }
    }
}
