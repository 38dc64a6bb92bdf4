//! The way of a message: read it, claim its event, compare it with what is done, do the work, note that it is done.

use std::{
    cell::RefCell,
    time::{Duration, Instant, SystemTime},
};

use aws_sdk_sqs::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use lambda_runtime::Context;
use tracing::{info, warn};

use crate::{
    attempts::{Attempts, Cause, Others, Policy, Recent, time_left},
    batch::{Answer, Batch, Fate, Record},
    dead_letters::DeadLetters,
    event::{Event, Reason, unpack},
    ledger::{Claim, Claimant, Claimed, History, Ledger},
    queue::{Pause, Queue},
    settings::{Aws, ExpectedIssues, OPERATION_MAX, Settings},
    work::{Erp, Undone, work},
};

/// What a message may take beside the work: to claim and compare it, to look into an attempt that never ended and note it, to ask what a
/// failure means, to set the message aside, to note that, and to let it wait.
const OVERHEAD_MAX: Duration = OPERATION_MAX.saturating_mul(7);

/// Everything that a message needs.
#[derive(Debug)]
pub(crate) struct Worker {
    ledger: Ledger,
    queue: Queue,
    dead_letters: DeadLetters,
    erp: Erp,
    expected_issues: ExpectedIssues,
    retry: Policy,
    recent: RefCell<Recent>,
    /// A message is begun only while this much time is left.
    needed: Duration,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The work is done.
    Done,
    /// It was done before, or its content was, and its entity has not changed since.
    Repeated,
    /// Its content was done before, and its entity has changed since.
    Stale,
    /// It can never succeed, or had its chances, and was set aside.
    SetAside(Reason),
    /// It comes again after a pause.
    Failed {
        reason: &'static str,
        pause: Duration,
        /// For how long it has been failing, if it was tried.
        failing: Option<Duration>,
    },
}

impl Outcome {
    /// It comes again, and nothing is known of it.
    fn untried(reason: &'static str, pause: Duration) -> Self {
        Self::Failed {
            reason,
            pause,
            failing: None,
        }
    }
}

/// What the log says of a message. It holds nothing out of it but the id and the channel.
#[derive(Debug, Default)]
struct Line {
    event_id: Option<String>,
    channel: Option<String>,
    /// Of an event that has failed: its attempts that count.
    counted: Option<u64>,
}

impl Worker {
    /// Clients for all that a message needs. Nothing is sent yet.
    pub(crate) fn new(settings: Settings) -> Result<Self, String> {
        // Named, because the default draws entropy for 40 ms of CPU at its first handshake.
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let Aws {
            region,
            credentials,
            ..
        } = settings.aws;
        let mut sqs = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.clone()))
            .credentials_provider(credentials.clone())
            .http_client(http.clone())
            .timeout_config(Aws::timeouts())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        sqs.set_endpoint_url(settings.aws.sqs);
        let mut dynamodb = aws_sdk_dynamodb::Config::builder()
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
            .region(Region::new(region))
            .credentials_provider(credentials)
            .http_client(http)
            .timeout_config(Aws::timeouts())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        dynamodb.set_endpoint_url(settings.aws.dynamodb);
        let sqs = aws_sdk_sqs::Client::from_conf(sqs.build());
        Ok(Self {
            ledger: Ledger::new(
                aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
                settings.table,
            ),
            queue: Queue::new(sqs.clone(), settings.queue_url),
            dead_letters: DeadLetters::new(sqs, settings.dead_letter_queue_url),
            erp: Erp::new(&settings.erp)?,
            expected_issues: settings.expected_issues,
            retry: settings.retry,
            recent: RefCell::default(),
            needed: settings.erp.timeout + OVERHEAD_MAX,
        })
    }

    /// Works through a batch, and says what must come again.
    pub(crate) async fn answer(&self, batch: &Batch, context: &Context) -> Answer {
        let handle = async |record: &Record| {
            let started = Instant::now();
            let mut line = Line::default();
            let outcome = self.handle(record, context, &mut line).await;
            line.write(record, outcome, started.elapsed());
            match outcome {
                Outcome::Failed { pause, .. } => Fate::ComesAgain(pause),
                _ => Fate::Settled,
            }
        };
        let pass_over = |record: &Record, pause| {
            let outcome = Outcome::untried("behind_a_failure", pause);
            Line::default().write(record, outcome, Duration::ZERO);
        };
        let coming_again = batch.go_through(handle, pass_over).await;
        let pauses = coming_again.iter().map(|(record, pause)| Pause {
            receipt_handle: &record.receipt_handle,
            pause: *pause,
        });
        self.queue.pause(&pauses.collect::<Vec<_>>()).await;
        Answer::new(&coming_again)
    }

    async fn handle(&self, record: &Record, context: &Context, line: &mut Line) -> Outcome {
        let deadline = context.deadline();
        let left = deadline
            .duration_since(SystemTime::now())
            .unwrap_or_default();
        if left < self.needed {
            return Outcome::untried("out_of_time", self.retry.pause_min);
        }
        let json = match unpack(&record.body, record.attribute("content-encoding")) {
            Ok(json) => json,
            Err(reason) => return self.set_aside(record, reason).await,
        };
        let event = match Event::read(&json) {
            Ok(event) => event,
            Err(reason) => return self.set_aside(record, reason).await,
        };
        line.event_id = Some(event.id.clone().into_owned());
        line.channel = Some(event.channel.clone());
        if self.expected_issues == ExpectedIssues::SetAside
            && event.has_expected_issues(record.attribute("issues"))
        {
            return self.set_aside(record, Reason::ExpectedIssues).await;
        }
        let owner = &context.request_id;
        // Both at once, for time. Nothing changes in between: SQS hands out no other message of the entity's group meanwhile.
        let claimant = Claimant {
            owner,
            message_id: &record.message_id,
            lease_ends: deadline,
        };
        let claim = self.ledger.claim(&event, claimant);
        let (claim, history) = tokio::join!(claim, self.ledger.compare(&event));
        let (mut attempts, unfinished) = match claim {
            Ok(Claim::Ours {
                attempts,
                unfinished,
            }) => (attempts, unfinished),
            Ok(Claim::Done) => return Outcome::Repeated,
            Ok(Claim::Busy(until)) => return self.in_progress(until),
            Err(_) => return self.unavailable(record, "ledger_unavailable").await,
        };
        if let Some(ended) = unfinished {
            attempts.add(ended, Cause::Unclear, self.others(&event).await);
            // Now, because this attempt may not end either.
            let noted = self
                .ledger
                .note_attempts(&event, owner, attempts, Claimed::Kept);
            noted.await;
        }
        let outcome = match history {
            Ok(History::New) => self.work(record, &event, &mut attempts, line).await,
            Ok(History::Repeated) => Outcome::Repeated,
            Ok(History::Stale) => Outcome::Stale,
            Err(_) => self.unavailable(record, "ledger_unavailable").await,
        };
        self.note(record, &event, owner, attempts, outcome).await
    }

    /// Notes in the ledger what became of an event. A note that fails is logged there; only without that of the work the message comes
    /// again.
    async fn note(
        &self,
        record: &Record,
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
                    return self.waits(record, "ledger_unavailable", None);
                }
            }
            Outcome::Repeated | Outcome::Stale => drop(self.ledger.skip(event).await),
            // It was never tried.
            Outcome::SetAside(_) | Outcome::Failed { .. } if attempts == Attempts::default() => {
                self.ledger.release(event, owner).await;
            }
            // It may have been done by an attempt that got no answer.
            Outcome::SetAside(_) => {
                let forgotten = self.ledger.forget_entity(event);
                tokio::join!(forgotten, self.ledger.release(event, owner));
            }
            Outcome::Failed { .. } => {
                let noted = self
                    .ledger
                    .note_attempts(event, owner, attempts, Claimed::Released);
                noted.await;
            }
        }
        outcome
    }

    /// Does the work, unless the event has had its chances. What a failure means depends on what else succeeded.
    async fn work(
        &self,
        record: &Record,
        event: &Event<'_>,
        attempts: &mut Attempts,
        line: &mut Line,
    ) -> Outcome {
        if attempts.are_enough(SystemTime::now(), self.retry) {
            // The last of them never ended, or it would have been set aside then.
            return self.set_aside(record, Reason::FailedAlone).await;
        }
        let result = work(&self.erp, event).await;
        // A refusal and a conflict are answers, too: the ERP system is there.
        let answered = match &result {
            Ok(()) | Err(Undone::Never) => true,
            Err(Undone::Later { cause, .. }) => *cause == Cause::Event,
        };
        self.recent.borrow_mut().note(&event.id, answered);
        let (reason, cause, retry_after) = match result {
            Ok(()) => return Outcome::Done,
            Err(Undone::Never) => return self.set_aside(record, Reason::Refused).await,
            Err(Undone::Later {
                reason,
                cause,
                retry_after,
            }) => (reason, cause, retry_after),
        };
        let (others, left) = tokio::join!(self.others(event), self.time_left(record));
        let now = SystemTime::now();
        attempts.add(now, cause, others);
        let failing = attempts.failing(now);
        line.counted = Some(attempts.counted);
        if attempts.are_enough(now, self.retry) {
            return self.set_aside(record, Reason::FailedAlone).await;
        }
        if left == Some(Duration::ZERO) {
            return self.set_aside(record, Reason::ExpiresSoon).await;
        }
        Outcome::Failed {
            reason,
            pause: self.retry.pause(failing, retry_after, left),
            failing: Some(failing),
        }
    }

    /// What became of other events.
    async fn others(&self, event: &Event<'_>) -> Others {
        Others {
            last_success: self.ledger.last_success().await,
            most_fail: self.recent.borrow().most_others_fail(&event.id),
        }
    }

    /// Another invocation has the event, and knows best. If it died, its lease ends.
    fn in_progress(&self, until: SystemTime) -> Outcome {
        let left = until.duration_since(SystemTime::now()).unwrap_or_default();
        Outcome::untried("in_progress", left.max(self.retry.pause_min))
    }

    /// Something of AWS is away, which says nothing about the event. Its first receive is the only known beginning.
    async fn unavailable(&self, record: &Record, reason: &'static str) -> Outcome {
        let left = self.time_left(record).await;
        if left == Some(Duration::ZERO) {
            return self.set_aside(record, Reason::ExpiresSoon).await;
        }
        self.waits(record, reason, left)
    }

    fn waits(&self, record: &Record, reason: &'static str, left: Option<Duration>) -> Outcome {
        let failing = age(record.first_received());
        Outcome::Failed {
            reason,
            pause: self.retry.pause(failing, None, left),
            failing: Some(failing),
        }
    }

    async fn set_aside(&self, record: &Record, reason: Reason) -> Outcome {
        if self.dead_letters.send(record, reason).await.is_ok() {
            return Outcome::SetAside(reason);
        }
        let left = self.time_left(record).await;
        self.waits(record, "dead_letter_queue_unavailable", left)
    }

    /// The time in which the message can still be tried, if the queue says how long it keeps any.
    async fn time_left(&self, record: &Record) -> Option<Duration> {
        let retention = self.queue.retention().await?;
        Some(time_left(age(record.sent()), retention))
    }
}

/// The time since a moment; none if it is not known.
fn age(moment: Option<SystemTime>) -> Duration {
    moment.map_or(Duration::ZERO, |moment| {
        moment.elapsed().unwrap_or_default()
    })
}

impl Line {
    fn write(&self, record: &Record, outcome: Outcome, spent: Duration) {
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
        let received = record.attributes.approximate_receive_count.as_deref();
        macro_rules! write_at {
            ($write:ident) => {
                $write!(
                    outcome,
                    reason,
                    event_id = self.event_id,
                    channel = self.channel,
                    message_id = record.message_id,
                    received,
                    counted = self.counted,
                    failing_s,
                    pause_s,
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
