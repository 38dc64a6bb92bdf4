//! The way of a message: read it, claim its event, compare it with what is done, do the work, note that it is done.

use std::time::{Duration, Instant, SystemTime};

use aws_sdk_sqs::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use lambda_runtime::Context;
use tracing::{info, warn};

use crate::{
    batch::{Answer, Batch, Fate, Record},
    dead_letters::DeadLetters,
    event::{Event, Reason, unpack},
    ledger::{Claim, History, Ledger},
    settings::{Aws, ExpectedIssues, OPERATION_MAX, Settings},
    work::{Erp, Undone, work},
};

/// What a message may take beside the work: to claim and compare it, to set it aside, and to release it.
const OVERHEAD_MAX: Duration = OPERATION_MAX.saturating_mul(3);

/// Everything that a message needs.
#[derive(Debug)]
pub(crate) struct Worker {
    ledger: Ledger,
    dead_letters: DeadLetters,
    erp: Erp,
    expected_issues: ExpectedIssues,
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
    /// It can never succeed, and was set aside.
    SetAside(Reason),
    /// It comes again.
    Failed(&'static str),
}

/// What the log says of a message. It holds nothing out of it but the id and the channel.
#[derive(Debug, Default)]
struct Line {
    event_id: Option<String>,
    channel: Option<String>,
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
        let dead_letters = aws_sdk_sqs::Client::from_conf(sqs.build());
        Ok(Self {
            ledger: Ledger::new(
                aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
                settings.table,
            ),
            dead_letters: DeadLetters::new(dead_letters, settings.dead_letter_queue_url),
            erp: Erp::new(&settings.erp)?,
            expected_issues: settings.expected_issues,
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
                Outcome::Failed(_) => Fate::ComesAgain,
                _ => Fate::Settled,
            }
        };
        let pass_over = |record: &Record| {
            let outcome = Outcome::Failed("behind_a_failure");
            Line::default().write(record, outcome, Duration::ZERO);
        };
        batch.go_through(handle, pass_over).await
    }

    async fn handle(&self, record: &Record, context: &Context, line: &mut Line) -> Outcome {
        let deadline = context.deadline();
        let left = deadline
            .duration_since(SystemTime::now())
            .unwrap_or_default();
        if left < self.needed {
            return Outcome::Failed("out_of_time");
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
        let claim = self.ledger.claim(&event, owner, deadline);
        let (claim, history) = tokio::join!(claim, self.ledger.compare(&event));
        match claim {
            Ok(Claim::Ours) => {}
            Ok(Claim::Done) => return Outcome::Repeated,
            Ok(Claim::Busy) => return Outcome::Failed("in_progress"),
            Err(_) => return Outcome::Failed("ledger_unavailable"),
        }
        let outcome = match history {
            Ok(History::New) => self.work(record, &event).await,
            Ok(History::Repeated) => Outcome::Repeated,
            Ok(History::Stale) => Outcome::Stale,
            Err(_) => Outcome::Failed("ledger_unavailable"),
        };
        // That a note failed is already logged, and no reason to do the work again.
        match outcome {
            Outcome::Done => drop(self.ledger.finish(&event).await),
            Outcome::Repeated | Outcome::Stale => drop(self.ledger.skip(&event).await),
            Outcome::SetAside(_) | Outcome::Failed(_) => self.ledger.release(&event, owner).await,
        }
        outcome
    }

    async fn work(&self, record: &Record, event: &Event<'_>) -> Outcome {
        match work(&self.erp, event).await {
            Ok(()) => Outcome::Done,
            Err(Undone::Never) => self.set_aside(record, Reason::Refused).await,
            Err(Undone::Later(why)) => Outcome::Failed(why),
        }
    }

    async fn set_aside(&self, record: &Record, reason: Reason) -> Outcome {
        match self.dead_letters.send(record, reason).await {
            Ok(()) => Outcome::SetAside(reason),
            Err(_) => Outcome::Failed("dead_letter_queue_unavailable"),
        }
    }
}

impl Line {
    fn write(&self, record: &Record, outcome: Outcome, spent: Duration) {
        let (outcome, reason) = match outcome {
            Outcome::Done => ("done", None),
            Outcome::Repeated => ("repeated", None),
            Outcome::Stale => ("stale", None),
            Outcome::SetAside(reason) => ("set_aside", Some(reason.name())),
            Outcome::Failed(reason) => ("failed", Some(reason)),
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
