//! The path of a message: parse it, claim its event in the ledger, compare the event with earlier
//! ones, do the work, note the result. Only decisions belong here; requests are in other modules.

use std::{
    cell::RefCell,
    time::{Duration, Instant, SystemTime},
};

use lambda_runtime::Context;

use crate::{
    attempts::{Attempts, Cause, OtherEvents, RecentEvents, RetryPolicy, retention_left},
    aws::{Clients, OPERATION_MAX},
    batch::{Batch, BatchResponse, Disposition, Message},
    body,
    dead_letters::{DeadLetterReason, DeadLetters},
    event::Event,
    ledger::{Claim, Claimant, History, Lease, Ledger},
    origin::Origin,
    outcome::{LogLine, Outcome},
    queue::{Pause, Queue},
    settings::{ExpectedIssues, Settings},
    work::{Erp, WorkError, work},
};

/// The maximum time of the requests to AWS for one message. In the worst case there are seven, one
/// after another: claim and compare; read the last success; note an attempt that never ended; after
/// a failure, read the last success and the retention period; send the dead letter; note the
/// outcome; pause.
const OVERHEAD_MAX: Duration = OPERATION_MAX.saturating_mul(7);

/// Handles the messages of one queue.
#[derive(Debug)]
pub(crate) struct Worker {
    ledger: Ledger,
    queue: Queue,
    dead_letters: DeadLetters,
    erp: Erp,
    expected_issues: ExpectedIssues,
    retry: RetryPolicy,
    recent: RefCell<RecentEvents>,
    /// A message is only started if the invocation has at least this much time left.
    message_time_max: Duration,
}

impl Worker {
    /// Creates a worker with its clients. Sends no request yet.
    pub(crate) fn new(settings: Settings) -> Result<Self, String> {
        let Clients { sqs, dynamodb } = Clients::new(settings.aws);
        Ok(Self {
            ledger: Ledger::new(dynamodb, settings.table),
            queue: Queue::new(sqs.clone(), settings.queue_url),
            dead_letters: DeadLetters::new(sqs, settings.dead_letter_queue_url),
            erp: Erp::new(&settings.erp)?,
            expected_issues: settings.expected_issues,
            retry: settings.retry,
            recent: RefCell::default(),
            message_time_max: settings.erp.timeout + OVERHEAD_MAX,
        })
    }

    /// Handles a batch, and returns the messages that must be retried.
    pub(crate) async fn handle_batch(&self, batch: &Batch, context: &Context) -> BatchResponse {
        let handle = async |message: &Message| {
            let started = Instant::now();
            let mut line = LogLine::default();
            let outcome = self.handle(message, context, &mut line).await;
            line.write(message, outcome, started.elapsed());
            match outcome {
                Outcome::Failed { pause, .. } => Disposition::RetryAfter(pause),
                _ => Disposition::Delete,
            }
        };
        let on_blocked = |message: &Message, pause| {
            let outcome = Outcome::untried("behind_a_failure", pause);
            LogLine::default().write(message, outcome, Duration::ZERO);
        };
        let retries = batch.handle_in_order(handle, on_blocked).await;
        let pauses = retries.iter().map(|(message, duration)| Pause {
            receipt_handle: &message.receipt_handle,
            duration: *duration,
        });
        self.queue.pause(&pauses.collect::<Vec<_>>()).await;
        BatchResponse::new(&retries)
    }

    async fn handle<'a>(
        &self,
        message: &'a Message,
        context: &Context,
        line: &mut LogLine<'a>,
    ) -> Outcome {
        let deadline = context.deadline();
        let invocation_left = deadline
            .duration_since(SystemTime::now())
            .unwrap_or_default();
        if invocation_left < self.message_time_max {
            return Outcome::untried("out_of_time", self.retry.pause_min);
        }
        line.origin = match Origin::of(message) {
            Ok(origin) => origin,
            Err(reason) => return self.set_aside(message, reason).await,
        };
        let json = match body::decode(&message.body, message.attribute("content-encoding")) {
            Ok(json) => json,
            Err(reason) => return self.set_aside(message, reason).await,
        };
        let event = match Event::parse(&json) {
            Ok(event) => event,
            Err(reason) => return self.set_aside(message, reason).await,
        };
        line.event_id = Some(event.id.clone().into_owned());
        line.channel = Some(event.channel.clone());
        if self.expected_issues == ExpectedIssues::SetAside
            && event.has_expected_issues(message.attribute("issues"))
        {
            let reason = DeadLetterReason::ExpectedIssues;
            return self.set_aside(message, reason).await;
        }
        let owner = &context.request_id;
        // Both requests run at once, to save time. Nothing changes in between: meanwhile SQS
        // delivers no other message of the entity's group.
        let claimant = Claimant {
            owner,
            message_id: &message.message_id,
            lease_ends: deadline,
        };
        let claim = self.ledger.claim(&event, claimant);
        let (claim, history) = tokio::join!(claim, self.ledger.compare(&event));
        let (mut attempts, unfinished) = match claim {
            Ok(Claim::Granted {
                attempts,
                unfinished,
            }) => (attempts, unfinished),
            Ok(Claim::Done) => return Outcome::Repeated,
            Ok(Claim::Held(until)) => return self.in_progress(until),
            Err(_) => return self.ledger_unavailable(message).await,
        };
        if let Some(ended) = unfinished {
            attempts.add(ended, Cause::Unclear, self.other_events(&event).await);
            // Noted before the work, because this attempt may not end either.
            let noted = self
                .ledger
                .note_attempts(&event, owner, attempts, Lease::Keep);
            noted.await;
        }
        let outcome = match history {
            Ok(History::New) => self.attempt(message, &event, &mut attempts, line).await,
            Ok(History::Repeated) => Outcome::Repeated,
            Ok(History::Stale) => Outcome::Stale,
            Err(_) => self.ledger_unavailable(message).await,
        };
        self.note(message, &event, owner, attempts, outcome).await
    }

    /// Notes the outcome of an event in the ledger, and returns it. If `Done` cannot be noted, the
    /// message is retried. Any other failed note is only logged.
    async fn note(
        &self,
        message: &Message,
        event: &Event<'_>,
        owner: &str,
        attempts: Attempts,
        outcome: Outcome,
    ) -> Outcome {
        match outcome {
            Outcome::Done => {
                let finished = self.ledger.finish(event);
                let (finished, ()) = tokio::join!(finished, self.ledger.note_success());
                if finished.is_err() {
                    self.ledger.release(event, owner).await;
                    return self.retry_later(message, "ledger_unavailable", None);
                }
            }
            Outcome::Repeated | Outcome::Stale => drop(self.ledger.skip(event).await),
            // The event was never tried.
            Outcome::SetAside(_) | Outcome::Failed { .. } if attempts == Attempts::default() => {
                self.ledger.release(event, owner).await;
            }
            // An attempt without a response may have done the work.
            Outcome::SetAside(_) => {
                let forgotten = self.ledger.forget_entity(event);
                tokio::join!(forgotten, self.ledger.release(event, owner));
            }
            Outcome::Failed { .. } => {
                let noted = self
                    .ledger
                    .note_attempts(event, owner, attempts, Lease::Release);
                noted.await;
            }
        }
        outcome
    }

    /// Does the work, unless the event has used up its attempts. Whether a failure counts depends
    /// on the results of other events.
    async fn attempt(
        &self,
        message: &Message,
        event: &Event<'_>,
        attempts: &mut Attempts,
        line: &mut LogLine<'_>,
    ) -> Outcome {
        if attempts.are_exhausted(SystemTime::now(), self.retry) {
            // The last attempt never ended. Otherwise the event would have been set aside then.
            let reason = DeadLetterReason::FailedAlone;
            return self.set_aside(message, reason).await;
        }
        let result = work(&self.erp, event, line.origin).await;
        // A rejected event and a conflict also show that the ERP system is available.
        let erp_available = match &result {
            Ok(()) | Err(WorkError::Permanent) => true,
            Err(WorkError::Transient { cause, .. }) => *cause == Cause::Event,
        };
        self.recent.borrow_mut().note(&event.id, erp_available);
        let (reason, cause, retry_after) = match result {
            Ok(()) => return Outcome::Done,
            Err(WorkError::Permanent) => {
                return self.set_aside(message, DeadLetterReason::Refused).await;
            }
            Err(WorkError::Transient {
                reason,
                cause,
                retry_after,
            }) => (reason, cause, retry_after),
        };
        let (others, left) = tokio::join!(self.other_events(event), self.retention_left(message));
        let now = SystemTime::now();
        attempts.add(now, cause, others);
        let failing = attempts.failing(now);
        line.counted = Some(attempts.counted);
        if attempts.are_exhausted(now, self.retry) {
            let reason = DeadLetterReason::FailedAlone;
            return self.set_aside(message, reason).await;
        }
        if left == Some(Duration::ZERO) {
            let reason = DeadLetterReason::ExpiresSoon;
            return self.set_aside(message, reason).await;
        }
        Outcome::Failed {
            reason,
            pause: self.retry.pause(failing, retry_after, left),
            failing: Some(failing),
        }
    }

    async fn other_events(&self, event: &Event<'_>) -> OtherEvents {
        OtherEvents {
            last_success: self.ledger.last_success().await,
            most_fail: self.recent.borrow().most_others_fail(&event.id),
        }
    }

    /// Returns the outcome of an event that another invocation holds. If that invocation died, its
    /// lease ends at `until`.
    fn in_progress(&self, until: SystemTime) -> Outcome {
        let left = until.duration_since(SystemTime::now()).unwrap_or_default();
        Outcome::untried("in_progress", left.max(self.retry.pause_min))
    }

    /// Returns the outcome if the ledger is unavailable. The event is not the cause, and its
    /// attempts are unknown.
    async fn ledger_unavailable(&self, message: &Message) -> Outcome {
        let left = self.retention_left(message).await;
        if left == Some(Duration::ZERO) {
            let reason = DeadLetterReason::ExpiresSoon;
            return self.set_aside(message, reason).await;
        }
        self.retry_later(message, "ledger_unavailable", left)
    }

    /// Returns the outcome if a service of AWS is unavailable. The pause grows from the first
    /// receive of the message, because that is the only known start of the failure.
    fn retry_later(
        &self,
        message: &Message,
        reason: &'static str,
        left: Option<Duration>,
    ) -> Outcome {
        let failing = age(message.first_received());
        Outcome::Failed {
            reason,
            pause: self.retry.pause(failing, None, left),
            failing: Some(failing),
        }
    }

    /// Sends a message to the dead-letter queue. If that fails, the message is retried.
    async fn set_aside(&self, message: &Message, reason: DeadLetterReason) -> Outcome {
        if self.dead_letters.send(message, reason).await.is_ok() {
            return Outcome::SetAside(reason);
        }
        let left = self.retention_left(message).await;
        self.retry_later(message, "dead_letter_queue_unavailable", left)
    }

    /// Returns the time in which the message can still be retried, if the retention period of the
    /// queue is known.
    async fn retention_left(&self, message: &Message) -> Option<Duration> {
        let retention = self.queue.retention().await?;
        Some(retention_left(age(message.sent()), retention))
    }
}

/// Returns the time since a moment, or zero if the moment is unknown.
fn age(moment: Option<SystemTime>) -> Duration {
    moment.map_or(Duration::ZERO, |moment| {
        moment.elapsed().unwrap_or_default()
    })
}
