//! The path of a request: body → verify → read → decide → write → enqueue → answer.

mod report;
mod verifier;

use std::{
    cell::Cell,
    convert::Infallible,
    time::{Duration, Instant},
};

use lambda_http::{
    Body, Context, LambdaEvent,
    aws_lambda_events::apigw::ApiGatewayV2httpResponse,
    http::header::{CONTENT_TYPE, HeaderValue},
};

use self::{report::Notes, verifier::Verifier};
use crate::{
    aws::{Aws, http::Connections},
    channel::{Channel, Decision, DecisionContext, HookType, Verdict},
    config::Settings,
    deadline::Deadline,
    deliver::{
        message::{Message, Origin},
        quarantine::Unusable,
        sqs::{Queue, RequestAttributes},
    },
    event::{Contract, Event, ReadOptions},
    outcome::{Failure, Outcome},
    request::{
        Payload, Request,
        body::{Unverified, Verified},
        gateway_id, headers, plain_gateway_id, received_ms,
        trace::XRay,
    },
    rules::{Mode, Rules, Ruling},
    telemetry::{Metrics, Stage},
};

/// The share of the hook's timeout that reading the keys may take at a cold start: a quarter.
const WARM_UP_SHARE: u32 = 4;

/// A function of one channel, ready for requests.
pub struct Function<C> {
    channel: C,
    rules: Rules,
    verifier: Verifier,
    queue: Queue,
    metrics: Option<Metrics>,
    hook_timeout: Duration,
    source: Option<String>,
    forward_original: bool,
    forward_before: bool,
    contract: Contract,
    quarantine_url: Option<String>,
    cold: Cell<bool>,
}

impl<C: Channel> Function<C> {
    /// Creates the function of a channel. No connection is opened yet.
    pub fn new(channel: C, rules: Rules, settings: Settings, connections: Connections) -> Self {
        let aws = Aws {
            region: settings.region,
            credentials: settings.credentials,
            connections,
        };
        Self {
            channel,
            rules,
            verifier: Verifier::new(settings.secret, settings.ims, &aws),
            queue: Queue::new(settings.queue, &aws),
            metrics: settings.metrics_namespace.and_then(Metrics::start),
            hook_timeout: settings.hook_timeout,
            source: settings.source,
            forward_original: settings.forward_original,
            forward_before: settings.forward_before,
            contract: settings.contract,
            quarantine_url: settings.quarantine_url,
            cold: Cell::new(true),
        }
    }

    /// Reads the keys and opens the connection to the queue, so that the first request does not
    /// wait for them.
    pub async fn warm_up(&self) {
        let keys = self.verifier.warm_up(self.hook_timeout / WARM_UP_SHARE);
        tokio::join!(keys, self.queue.warm_up());
    }

    /// Answers one invocation, whatever its payload is.
    pub async fn answer(
        &self,
        LambdaEvent { payload, context }: LambdaEvent<Payload>,
    ) -> Result<ApiGatewayV2httpResponse, Infallible> {
        let started = Instant::now();
        let request = payload.request.as_ref();
        let received = request.map_or(0, received_ms);
        let deadline = Deadline::new(self.hook_timeout, received, context.deadline);

        let mut notes = Notes::default();
        let outcome = match request {
            Some(request) => self
                .process(request, &context, deadline, &mut notes)
                .await
                .unwrap_or_else(Outcome::Failed),
            None => Outcome::Failed(Failure::NotARequest),
        };
        notes.end(started.elapsed(), deadline.remaining());
        self.report(request, &context, &outcome, &notes);
        let request_id = request.and_then(plain_gateway_id).unwrap_or_default();
        Ok(response(outcome, request_id))
    }

    /// Processes a request. Notes each value for the log as soon as it is known.
    async fn process<'a>(
        &'a self,
        request: &Request,
        context: &Context,
        deadline: Deadline,
        notes: &mut Notes<'a>,
    ) -> Result<Outcome, Failure> {
        let body = Unverified::of(request)?;
        notes.stages.enter(Stage::Verify);
        let (body, secret) = self
            .verifier
            .verify(body, request.headers(), deadline)
            .await?;
        notes.key = body.verified_by().cloned();
        notes.reconciled = notes.key.is_some() && headers::is_reconciled(request.headers());
        let xray = xray_of(context).map(|xray| xray.to_string());
        let attributes = RequestAttributes {
            shop: body.shop().map(|shop| &*shop.name),
            traceparent: headers::traceparent(request.headers()),
            tracestate: headers::tracestate(request.headers()),
            xray: xray.as_deref(),
            reconciled: notes.reconciled,
        };

        notes.stages.enter(Stage::Read);
        let options = ReadOptions {
            source: self.source.as_deref(),
            request_id: gateway_id(request).unwrap_or(&context.request_id),
            contract: self.contract,
        };
        let event = match Event::read::<C>(&body, options) {
            Ok(event) => event,
            Err(failure) => {
                let unusable = Self::unusable(&failure, request, &body, options.request_id);
                let (Some(unusable), Some(url)) = (unusable, &self.quarantine_url) else {
                    return Err(failure);
                };
                notes.stages.enter(Stage::Write);
                let message = unusable.message(deadline)?;
                notes.stages.enter(Stage::Enqueue);
                // Boxed, so that the future of an accepted event does not become larger.
                Box::pin(self.send(url, message, attributes, deadline)).await?;
                return Ok(Outcome::Quarantined(failure));
            }
        };
        notes.event_id = Some(event.id);
        notes.subject_digest = event.subject_digest();
        notes.note_issues(&event.issues);

        notes.stages.enter(Stage::Decide);
        let ruling = self.apply_rules(Mode::Enforce, &event, deadline);
        notes.note_rules(Mode::Enforce, &ruling);
        let mut operations = match ruling.decision {
            Decision::Refuse(refusal) => {
                self.observe_rules(&event, deadline, notes);
                return Ok(Outcome::Refused(refusal));
            }
            Decision::Accept(changes) => changes,
        };
        let decision_context = DecisionContext {
            headers: request.headers(),
            original: event.original,
            tokens: &secret.tokens,
            deadline,
        };
        let verdict = self.channel.decide(&event.entity, decision_context);
        let Verdict { decision, finding } = tokio::time::timeout_at(deadline.instant(), verdict)
            .await
            .map_err(|_| Failure::OutOfTime)?;
        notes.finding = finding;
        match decision {
            Decision::Refuse(refusal) => {
                self.observe_rules(&event, deadline, notes);
                return Ok(Outcome::Refused(refusal));
            }
            Decision::Accept(changes) => operations.extend(changes),
        }

        let is_forwarded = C::HOOK_TYPE == HookType::After || self.forward_before;
        if !(is_forwarded && ruling.forward) {
            self.observe_rules(&event, deadline, notes);
            return Ok(Outcome::NotForwarded(operations));
        }
        notes.stages.enter(Stage::Write);
        let origin = Origin {
            received_ms: received_ms(request),
            with_original: self.forward_original,
        };
        let message = Message::new::<C>(&event, origin, deadline)?;
        notes.stages.enter(Stage::Enqueue);
        self.send(self.queue.url(), message, attributes, deadline)
            .await?;
        // Last, so that observed rules never delay or prevent the delivery of an event.
        self.observe_rules(&event, deadline, notes);
        Ok(Outcome::Accepted(operations))
    }

    /// Returns the unusable event for the quarantine queue; `None` if the failure is of another
    /// kind, or if the sender wants unusable events to be refused.
    fn unusable<'b>(
        failure: &'b Failure,
        request: &Request,
        body: &'b Verified<'_>,
        request_id: &'b str,
    ) -> Option<Unusable<'b>> {
        let Failure::Invalid {
            violations,
            unlisted,
        } = failure
        else {
            return None;
        };
        if headers::refuses_invalid_events(request.headers()) {
            return None;
        }
        Some(Unusable {
            channel: C::NAME,
            method: C::METHOD,
            body: body.json().ok()?,
            request_id,
            received_ms: received_ms(request),
            key: body.verified_by(),
            reasons: violations,
            more_reasons: *unlisted,
        })
    }

    async fn send(
        &self,
        url: &str,
        message: Message,
        attributes: RequestAttributes<'_>,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        if deadline.remaining().is_zero() {
            return Err(Failure::OutOfTime);
        }
        self.queue
            .send(url, C::NAME, message, attributes, deadline)
            .await
            .map_err(Failure::Queue)
    }

    /// Notes what the observed rules would have decided.
    fn observe_rules<'a>(
        &'a self,
        event: &Event<'_, C::Entity>,
        deadline: Deadline,
        notes: &mut Notes<'a>,
    ) {
        if !self.rules.in_mode(Mode::Observe).is_empty() {
            notes.stages.enter(Stage::Decide);
            let ruling = self.apply_rules(Mode::Observe, event, deadline);
            notes.note_rules(Mode::Observe, &ruling);
        }
    }

    /// Applies the rules of this mode. They may use half of the remaining time.
    fn apply_rules<'a>(
        &'a self,
        mode: Mode,
        event: &Event<'_, C::Entity>,
        deadline: Deadline,
    ) -> Ruling<'a> {
        let rules = self.rules.in_mode(mode);
        if rules.is_empty() {
            return Ruling::default();
        }
        rules.apply(event, deadline.halfway())
    }
}

/// Returns the trace of AWS X-Ray that the invocation belongs to.
fn xray_of(context: &Context) -> Option<XRay<'_>> {
    XRay::read(context.xray_trace_id.as_deref()?)
}

/// Creates the response. `request_id` is that of API Gateway.
fn response(outcome: Outcome, request_id: &str) -> ApiGatewayV2httpResponse {
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = outcome.status().into();
    let content_type = HeaderValue::from_static(outcome.content_type());
    response.headers.insert(CONTENT_TYPE, content_type);
    response.body = Some(Body::Text(outcome.into_body(request_id)));
    response
}

#[cfg(test)]
mod tests;
