//! The way of a request: bytes → verify → read → decide → enqueue → answer.

use std::{
    cell::Cell,
    convert::Infallible,
    time::{Duration, Instant},
};

use lambda_runtime::LambdaEvent;
use serde::Serialize;
use serde_json::value::RawValue;
use tracing::Level;
use uuid::Uuid;

use crate::{
    channel::{Channel, Decision},
    config::Settings,
    deadline::Deadline,
    error::{Failure, Forwarded},
    event::Event,
    message::{Message, Origin},
    operation::{self, Operation},
    queue::{Queue, Trace},
    request::Request,
    signature::Keys,
    telemetry::{Line, plain_id},
};

/// One of the eight functions, ready for requests.
pub struct Function<C> {
    channel: C,
    keys: Keys,
    queue: Queue,
    hook_timeout: Duration,
    source: Option<String>,
    forward_original: bool,
    cold: Cell<bool>,
}

impl<C: Channel> Function<C> {
    /// Makes the function of the channel with the operator's settings.
    pub fn new(channel: C, settings: Settings) -> Self {
        Self {
            channel,
            keys: settings.keys,
            queue: Queue::new(settings.queue),
            hook_timeout: settings.hook_timeout,
            source: settings.source,
            forward_original: settings.forward_original,
            cold: Cell::new(true),
        }
    }

    /// Does at cold start what the first request should not wait for.
    pub async fn warm_up(&self) {
        self.queue.warm_up().await;
    }

    /// The whole request path. `event_id` is set as soon as it is known.
    async fn process(
        &self,
        request: &Request<'_>,
        deadline: Deadline,
        xray: Option<&str>,
        event_id: &mut Option<Uuid>,
    ) -> Result<Outcome, Failure> {
        let body = request
            .body()?
            .verify(&self.keys, request.headers.signatures())?;
        let event = Event::read::<C>(
            &body,
            request
                .headers
                .shop_request_id
                .as_deref()
                .unwrap_or_default(),
        )?;
        *event_id = Some(event.id);

        let decision = self.channel.decide(&event.entity, deadline);
        let decision = tokio::time::timeout_at(deadline.instant(), decision)
            .await
            .map_err(|_| Failure::OutOfTime)?;
        let operations = match decision {
            Decision::Refuse(refusal) => return Ok(Outcome::Refused(refusal.into())),
            Decision::Accept(operations) => operations,
        };

        let message = Message::new::<C>(
            &event,
            Origin {
                source: self.source.as_deref(),
                accepted_ms: request.request_context.time_epoch,
                with_original: self.forward_original,
            },
        )?;
        if deadline.remaining().is_zero() {
            return Err(Failure::OutOfTime);
        }
        let trace = Trace {
            traceparent: request.headers.traceparent(),
            xray,
        };
        self.queue.send(C::NAME, message, trace, deadline).await?;
        Ok(Outcome::Accepted(operations))
    }

    /// Answers one invocation, whatever it brings, and logs it.
    pub async fn answer(
        &self,
        invocation: LambdaEvent<Box<RawValue>>,
    ) -> Result<Response, Infallible> {
        let started = Instant::now();
        let context = invocation.context;
        let request = serde_json::from_str::<Request<'_>>(invocation.payload.get());
        let accepted_ms = request
            .as_ref()
            .map_or(0, |request| request.request_context.time_epoch);
        let deadline = Deadline::new(self.hook_timeout, accepted_ms, context.deadline);

        let mut event_id = None;
        let result = match &request {
            Ok(request) => {
                self.process(
                    request,
                    deadline,
                    context.xray_trace_id.as_deref(),
                    &mut event_id,
                )
                .await
            }
            Err(_) => Err(Failure::NotARequest),
        };

        let request = request.as_ref().ok();
        let request_id = request
            .map(|request| &*request.request_context.request_id)
            .and_then(plain_id);
        let event_id = event_id.map(|id| id.to_string());
        Line {
            level: result.as_ref().map_or_else(Failure::level, |_| Level::INFO),
            channel: C::NAME,
            outcome: result.as_ref().map_or_else(Failure::name, Outcome::name),
            status: result.as_ref().map_or_else(Failure::status, |_| 200),
            forwarded: result
                .as_ref()
                .map_or_else(Failure::forwarded, Outcome::forwarded)
                .name(),
            request_id: request_id.unwrap_or(&context.request_id),
            shop_request_id: request
                .and_then(|request| request.headers.shop_request_id.as_deref())
                .and_then(plain_id),
            event_id: event_id.as_deref(),
            violations: result.as_ref().err().map_or(0, Failure::violations),
            spent_ms: started.elapsed().as_millis(),
            left_ms: deadline.remaining().as_millis(),
            cold_start: self.cold.replace(false),
        }
        .write();
        Ok(match result {
            Ok(outcome) => Response::new(200, "application/json", outcome.body()),
            Err(failure) => Response::new(
                failure.status(),
                "application/problem+json",
                failure.problem(request_id.unwrap_or_default()),
            ),
        })
    }
}

/// What became of an event that nothing was wrong with.
#[derive(Debug)]
enum Outcome {
    Accepted(Vec<Operation>),
    Refused(Operation),
}

impl Outcome {
    fn name(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Refused(_) => "refused",
        }
    }

    fn forwarded(&self) -> Forwarded {
        match self {
            Self::Accepted(_) => Forwarded::Yes,
            Self::Refused(_) => Forwarded::No,
        }
    }

    fn body(&self) -> String {
        match self {
            Self::Accepted(operations) => operation::body(operations),
            Self::Refused(exception) => operation::body(std::slice::from_ref(exception)),
        }
    }
}

/// The answer, as API Gateway takes it from a function (payload format 2.0).
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    status_code: u16,
    headers: ResponseHeaders,
    body: String,
    is_base64_encoded: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct ResponseHeaders {
    #[serde(rename = "content-type")]
    content_type: &'static str,
}

impl Response {
    fn new(status_code: u16, content_type: &'static str, body: String) -> Self {
        Self {
            status_code,
            headers: ResponseHeaders { content_type },
            body,
            is_base64_encoded: false,
        }
    }
}
