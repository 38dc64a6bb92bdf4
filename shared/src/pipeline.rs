//! The way of a request: bytes → verify → read → decide → enqueue → answer.

use std::{
    cell::Cell,
    convert::Infallible,
    rc::Rc,
    time::{Duration, Instant},
};

use lambda_runtime::{Context, LambdaEvent};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    aws::{Aws, http::Connections},
    channel::{Channel, Decision, DecisionContext, Verdict},
    config::Settings,
    deadline::Deadline,
    deliver::{
        message::{Message, Origin},
        quarantine::Unusable,
        sqs::{Queue, RequestAttributes},
    },
    event::{Contract, Event, ReadOptions},
    model::Issues,
    operation::{self, Operation},
    outcome::{Failure, Forwarded},
    request::{
        Headers, Payload, Request,
        body::{Rejected, Unverified, Verified},
        trace::XRay,
    },
    rules::{Mode, Rules},
    telemetry::{Line, LogLevel, Metric, Metrics, Output, Stage, Stages, plain_id},
    verify::{KeyName, Untrusted, keyring::Keyring, secret::Secret},
};

/// A log line names at most this many places of an event.
const POINTERS_MAX: usize = 20;

/// One of the eight functions, ready for requests.
pub struct Function<C> {
    channel: C,
    rules: Rules,
    keyring: Keyring,
    queue: Queue,
    metrics: Option<Metrics>,
    hook_timeout: Duration,
    source: Option<String>,
    forward_original: bool,
    contract: Contract,
    quarantine_url: Option<String>,
    cold: Cell<bool>,
}

impl<C: Channel> Function<C> {
    /// Makes the function of the channel with the merchant's rules and the operator's settings, and with these connections to AWS.
    pub fn new(channel: C, rules: Rules, settings: Settings, connections: Connections) -> Self {
        let aws = Aws {
            region: settings.region,
            credentials: settings.credentials,
            connections,
        };
        Self {
            channel,
            rules,
            keyring: Keyring::new(settings.secret, &aws),
            queue: Queue::new(settings.queue, &aws),
            metrics: settings.metrics_namespace.and_then(Metrics::start),
            hook_timeout: settings.hook_timeout,
            source: settings.source,
            forward_original: settings.forward_original,
            contract: settings.contract,
            quarantine_url: settings.quarantine_url,
            cold: Cell::new(true),
        }
    }

    /// Does at cold start what the first request should not wait for.
    pub async fn warm_up(&self) {
        let keys = self.keyring.warm_up(self.hook_timeout / 4);
        tokio::join!(keys, self.queue.warm_up());
    }

    /// The whole request path. What is worth a log is noted as soon as it is known.
    async fn process<'a>(
        &'a self,
        request: &Request,
        context: &Context,
        deadline: Deadline,
        notes: &mut Notes<'a>,
    ) -> Result<Outcome, Failure> {
        let body = request.body()?;
        notes.stages.enter(Stage::Verify);
        let (body, secret) = self.verify(body, &request.headers, deadline).await?;
        notes.key = body.vouched_by();
        notes.reconciled = notes.key.is_some() && request.headers.says_reconciled();
        let xray = xray_of(context).map(|xray| xray.to_string());
        let attributes = RequestAttributes {
            traceparent: request.headers.traceparent(),
            tracestate: request.headers.tracestate(),
            xray: xray.as_deref(),
            reconciled: notes.reconciled,
        };

        notes.stages.enter(Stage::Read);
        let options = ReadOptions {
            source: self.source.as_deref(),
            request_id: request.delivered_as().unwrap_or(&context.request_id),
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
                // Boxed, because an accepted event need not have room for it.
                Box::pin(self.send(url, message, attributes, deadline)).await?;
                return Ok(Outcome::Quarantined(failure));
            }
        };
        notes.event_id = Some(event.id);
        notes.subject_digest = event.subject_digest();
        notes.note_issues(&event.issues);

        notes.stages.enter(Stage::Decide);
        let mut operations = Vec::new();
        if self.rules.mode() == Mode::Enforce {
            match self.apply_rules(&event, deadline, notes) {
                Decision::Refuse(refusal) => return Ok(Outcome::Refused(refusal.into())),
                Decision::Accept(changes) => operations = changes,
            }
        }
        let context = DecisionContext {
            tokens: &secret.tokens,
            deadline,
        };
        let verdict = self.channel.decide(&event.entity, context);
        let Verdict { decision, finding } = tokio::time::timeout_at(deadline.instant(), verdict)
            .await
            .map_err(|_| Failure::OutOfTime)?;
        notes.finding = finding;
        match decision {
            Decision::Refuse(refusal) => {
                self.observe_rules(&event, deadline, notes);
                return Ok(Outcome::Refused(refusal.into()));
            }
            Decision::Accept(more) => operations.extend(more),
        }

        notes.stages.enter(Stage::Write);
        let message = Message::new::<C>(
            &event,
            Origin {
                accepted_ms: request.request_context.time_epoch,
                with_original: self.forward_original,
            },
            deadline,
        )?;
        notes.stages.enter(Stage::Enqueue);
        self.send(self.queue.url(), message, attributes, deadline)
            .await?;
        // Only now, so that rules that are only observed cost no event, whatever they do.
        self.observe_rules(&event, deadline, notes);
        Ok(Outcome::Accepted(operations))
    }

    /// The body for the quarantine queue, if that is what it is unusable for, and nobody asked for the answer.
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
        let asked = request.headers.refuses_invalid_events();
        let body_text = body.json().ok().filter(|_| !asked)?;
        Some(Unusable {
            channel: C::NAME,
            body: body_text,
            request_id,
            accepted_ms: request.request_context.time_epoch,
            key: body.vouched_by(),
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

    /// Lets the body pass if a key vouches for it: one of the known keys, or one that has come since they were read.
    async fn verify<'b>(
        &self,
        body: Unverified<'b>,
        headers: &Headers,
        deadline: Deadline,
    ) -> Result<(Verified<'b>, Rc<Secret>), Failure> {
        let secret = self.keyring.current(deadline).await;
        if secret.keys.is_empty() {
            return Err(Failure::NoKeys);
        }
        // Only now, because a check also asks whether the secret can be read.
        if headers.is_check() {
            return Err(Failure::Check);
        }
        let signatures = headers.signatures();
        let rejected = match body.verify(&secret.keys, signatures) {
            Ok(body) => return Ok((body, secret)),
            Err(rejected) => rejected,
        };
        let newer = match rejected.reason {
            Untrusted::Missing => None,
            Untrusted::NoKey | Untrusted::Wrong => self.keyring.newer(deadline).await,
        };
        let Some(secret) = newer else {
            return Err(rejected.into());
        };
        let Rejected { body, .. } = rejected;
        let body = body.verify(&secret.keys, signatures)?;
        self.keyring.newer_was_right();
        Ok((body, secret))
    }

    /// Notes what the rules would have decided, if they are only observed.
    fn observe_rules<'a>(
        &'a self,
        event: &Event<'_, C::Entity>,
        deadline: Deadline,
        notes: &mut Notes<'a>,
    ) {
        if self.rules.mode() == Mode::Observe {
            notes.stages.enter(Stage::Decide);
            notes.observed = match self.apply_rules(event, deadline, notes) {
                Decision::Refuse(_) => Some("refused"),
                Decision::Accept(changes) if !changes.is_empty() => Some("changed"),
                Decision::Accept(_) => None,
            };
        }
    }

    /// What the merchant's rules decide, within half of the time that is left.
    fn apply_rules<'a>(
        &'a self,
        event: &Event<'_, C::Entity>,
        deadline: Deadline,
        notes: &mut Notes<'a>,
    ) -> Decision {
        let ruling = self.rules.apply(event, deadline.halfway());
        notes.rules = ruling.matched;
        notes.unevaluated = ruling.unevaluated;
        ruling.decision
    }

    /// Answers one invocation, whatever it brings.
    pub async fn answer(&self, invocation: LambdaEvent<Payload>) -> Result<Response, Infallible> {
        let started = Instant::now();
        let context = invocation.context;
        let request = invocation.payload.request();
        let accepted_ms = request
            .as_ref()
            .map_or(0, |request| request.request_context.time_epoch);
        let deadline = Deadline::new(self.hook_timeout, accepted_ms, context.deadline);

        let mut notes = Notes::default();
        let result = match &request {
            Ok(request) => self.process(request, &context, deadline, &mut notes).await,
            Err(failure) => Err(failure.clone()),
        };
        notes.stages.end();
        notes.spent = started.elapsed();
        notes.left = deadline.remaining();

        let request = request.ok();
        self.report(request, &context, &result, &notes);
        Ok(match result {
            Ok(outcome) => Response::new(200, "application/json", outcome.body()),
            Err(failure) => Response::new(
                failure.status(),
                "application/problem+json",
                failure.problem(request.and_then(Request::id).unwrap_or_default()),
            ),
        })
    }

    /// Logs and counts what became of a request.
    fn report(
        &self,
        request: Option<&Request>,
        context: &Context,
        result: &Result<Outcome, Failure>,
        notes: &Notes<'_>,
    ) {
        let result = result.as_ref();
        let event_id = notes.event_id.map(|id| id.to_string());
        let key = notes.key.map(|key| key.to_string());
        let names = |rules: &[&str]| (!rules.is_empty()).then(|| rules.join(","));
        let rules = names(&notes.rules);
        let unevaluated = names(&notes.unevaluated);
        let failure = match result {
            Err(failure) | Ok(Outcome::Quarantined(failure)) => Some(failure),
            Ok(Outcome::Accepted(_) | Outcome::Refused(_)) => None,
        };
        let pointers = match failure {
            Some(failure @ Failure::Invalid { .. }) => joined(failure.pointers()),
            _ => notes.pointers.clone(),
        };
        let irregular = matches!(result, Ok(Outcome::Accepted(_))) && notes.issues > 0;
        let warns = failure.is_some() || irregular || unevaluated.is_some();
        let log_level = if warns {
            LogLevel::Warn
        } else {
            LogLevel::Info
        };
        let line = Line {
            log_level: result.map_or_else(Failure::log_level, |_| log_level),
            metric: result.map_or_else(Failure::metric, |outcome| Some(outcome.metric())),
            channel: C::NAME,
            outcome: result.map_or_else(Failure::name, Outcome::name),
            status: result.map_or_else(Failure::status, |_| 200),
            forwarded: result
                .map_or_else(Failure::forwarded, Outcome::forwarded)
                .name(),
            request_id: request.and_then(Request::id).unwrap_or(&context.request_id),
            trace_id: xray_of(context).map(|xray| xray.root),
            shop_request_id: request
                .and_then(|request| request.headers.shop_request_id.as_deref())
                .and_then(plain_id),
            event_id: event_id.as_deref(),
            subject_digest: notes.subject_digest.as_deref(),
            reconciled: notes.reconciled.then_some(true),
            key: key.as_deref(),
            rules: rules.as_deref(),
            unevaluated: unevaluated.as_deref(),
            observed: notes.observed,
            finding: notes.finding,
            violations: failure.map_or(0, Failure::violations),
            issues: notes.issues,
            pointers: Some(pointers.as_str()).filter(|pointers| !pointers.is_empty()),
            stages: &notes.stages,
            spent: notes.spent,
            left: notes.left,
            cold_start: self.cold.replace(false),
        };
        Output::at_once(|| {
            if let Some(metrics) = &self.metrics {
                metrics.write(&line);
            }
            line.write();
        });
    }
}

/// What the log and the metrics shall know of a request, however it ends.
#[derive(Default)]
struct Notes<'a> {
    event_id: Option<Uuid>,
    /// What it is about.
    subject_digest: Option<String>,
    /// Whether the operator's own tool sent it.
    reconciled: bool,
    /// How many issues the event has, and where the first ones are.
    issues: usize,
    pointers: String,
    /// Which key vouched for it.
    key: Option<KeyName>,
    /// Names of the rules that matched.
    rules: Vec<&'a str>,
    /// Names of the rules that could not be evaluated.
    unevaluated: Vec<&'a str>,
    /// What they would have done, had they not only been observed.
    observed: Option<&'static str>,
    finding: Option<&'static str>,
    stages: Stages,
    /// How long it took, and what was left of the budget.
    spent: Duration,
    left: Duration,
}

impl Notes<'_> {
    fn note_issues(&mut self, issues: &Issues<'_>) {
        self.issues = issues.count();
        self.pointers = joined(issues.list.iter().map(|issue| &*issue.pointer));
    }
}

/// The trace that X-Ray says this invocation belongs to.
fn xray_of(context: &Context) -> Option<XRay<'_>> {
    XRay::read(context.xray_trace_id.as_deref()?)
}

/// The first few pointers, for a log line.
fn joined<'p>(pointers: impl Iterator<Item = &'p str>) -> String {
    let pointers: Vec<_> = pointers.take(POINTERS_MAX).collect();
    pointers.join(" ")
}

/// What became of an event that the shop may go on with, or that is refused on purpose.
#[derive(Debug)]
enum Outcome {
    Accepted(Vec<Operation>),
    Refused(Operation),
    /// It is unusable, for this reason.
    Quarantined(Failure),
}

impl Outcome {
    fn name(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Refused(_) => "refused",
            Self::Quarantined(_) => "quarantined",
        }
    }

    fn metric(&self) -> Metric {
        match self {
            Self::Accepted(_) => Metric::Accepted,
            Self::Refused(_) => Metric::Refused,
            Self::Quarantined(_) => Metric::Quarantined,
        }
    }

    fn forwarded(&self) -> Forwarded {
        match self {
            Self::Accepted(_) => Forwarded::Yes,
            Self::Refused(_) | Self::Quarantined(_) => Forwarded::No,
        }
    }

    fn body(&self) -> String {
        match self {
            Self::Accepted(operations) => operation::body(operations),
            Self::Refused(exception) => operation::body(std::slice::from_ref(exception)),
            Self::Quarantined(_) => operation::body(&[]),
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        channel::Refusal,
        environment::Environment,
        model::{Order, QuoteItem},
    };

    /// Refuses, changes or dawdles, as the SKU tells it.
    struct Cart;

    impl Channel for Cart {
        const NAME: &str = "checkout_cart_product_add_after";
        const IDENTITY: &[&[&str]] = &[&["sku"]];
        const EXPECTED: &[&str] = &["qty"];
        type Entity = QuoteItem;

        async fn decide(&self, item: &QuoteItem, _: DecisionContext<'_>) -> Verdict {
            let decision = match item.sku.as_ref().map(|sku| sku.0.as_str()) {
                Some("sold out") => {
                    let message = Some("Product is not in stock".to_owned());
                    Decision::Refuse(Refusal {
                        message,
                        class: None,
                    })
                }
                Some("slow") => std::future::pending().await,
                _ => Decision::Accept(vec![Operation::Remove {
                    path: "data/quote_item/x".into(),
                }]),
            };
            Verdict {
                decision,
                finding: None,
            }
        }
    }

    /// Settings whose queue is a port on which nobody listens.
    fn settings() -> Settings {
        let variable = |name: &str| {
            let value = match name {
                "RULES_FILE" => "rules.json",
                "QUEUE_URL" => "http://127.0.0.1:9/000000000000/crm.fifo",
                "AWS_ENDPOINT_URL" => "http://127.0.0.1:9",
                "AWS_REGION" => "eu-west-1",
                "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => "test",
                "HOOK_TIMEOUT_MS" => "1000",
                "SIGNATURE_SCHEMES" => "accept-unsigned",
                _ => return None,
            };
            Some(value.to_owned())
        };
        Settings::read(&mut Environment::new(&variable))
    }

    async fn invoke<C: Channel>(channel: C, event: Value) -> (u16, String, Value) {
        let payload = serde_json::from_value(event).unwrap();
        let mut context = Context::default();
        context.deadline = u64::MAX;
        let response = Function::new(
            channel,
            Rules::default(),
            settings(),
            Connections::new().unwrap(),
        )
        .answer(LambdaEvent::new(payload, context))
        .await
        .unwrap();
        let body = serde_json::from_str(&response.body).unwrap();
        (
            response.status_code,
            response.headers.content_type.to_owned(),
            body,
        )
    }

    fn request(body: &Value) -> Value {
        json!({
            "headers": { "content-type": "application/json" },
            "requestContext": { "requestId": "gateway-1", "timeEpoch": 0 },
            "body": body.to_string(),
        })
    }

    #[tokio::test]
    async fn a_refusal_is_an_exception_with_status_200() {
        let (status, kind, body) = invoke(
            Cart,
            request(&json!({ "quote_item": { "sku": "sold out" } })),
        )
        .await;
        assert_eq!((status, kind.as_str()), (200, "application/json"));
        assert_eq!(
            body,
            json!({ "op": "exception", "message": "Product is not in stock" })
        );
    }

    #[tokio::test]
    async fn nothing_is_accepted_that_is_not_queued() {
        let (status, kind, body) =
            invoke(Cart, request(&json!({ "quote_item": { "sku": "CAP" } }))).await;
        assert_eq!((status, kind.as_str()), (503, "application/problem+json"));
        assert_eq!(
            body,
            json!({
                "type": "urn:commerce-webhooks:queue_unreachable",
                "title": "Queue unavailable",
                "status": 503,
                "detail": "The event could not be queued.",
                "request_id": "gateway-1",
            })
        );
    }

    #[tokio::test]
    async fn a_slow_decision_is_cut_off_at_the_deadline() {
        let started = Instant::now();
        let (status, _, body) =
            invoke(Cart, request(&json!({ "quote_item": { "sku": "slow" } }))).await;
        assert_eq!(
            (status, &body["type"]),
            (504, &json!("urn:commerce-webhooks:out_of_time"))
        );
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "later than the hook's own timeout"
        );
    }

    #[tokio::test]
    async fn violations_are_listed_in_the_problem() {
        let (status, _, body) = invoke(
            Cart,
            request(&json!({ "data": { "quote_item": { "qty": "x", "sku": [7] } } })),
        )
        .await;
        assert_eq!(status, 422);
        assert_eq!(
            body["errors"],
            json!([
                { "pointer": "/data/quote_item/sku", "detail": "must be a string" },
            ])
        );
    }

    #[tokio::test]
    async fn a_check_is_no_event_even_where_anybody_may_send_one() {
        let mut check = request(&json!({ "quote_item": { "sku": "CAP" } }));
        check["headers"]["x-webhook-check"] = json!("1");
        let (status, kind, body) = invoke(Cart, check).await;
        assert_eq!((status, kind.as_str()), (401, "application/problem+json"));
        let unsigned = Failure::Untrusted(Untrusted::Missing).problem("gateway-1");
        assert_eq!(body, serde_json::from_str::<Value>(&unsigned).unwrap());
    }

    #[tokio::test]
    async fn an_invocation_by_somebody_else_is_answered_too() {
        for event in [json!({}), json!(null), json!([1]), json!({ "Records": [] })] {
            let (status, _, body) = invoke(Cart, event).await;
            assert_eq!(
                (status, &body["type"]),
                (400, &json!("urn:commerce-webhooks:not_a_request"))
            );
        }
    }

    struct Placed;

    impl Channel for Placed {
        const NAME: &str = "sales_order_place_after";
        const IDENTITY: &[&[&str]] = &[&["increment_id"]];
        const EXPECTED: &[&str] = &[];
        type Entity = Order;
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_answered_before_it_is_looked_at() {
        let large = json!({ "order": { "increment_id": "1", "a": "x".repeat(crate::request::body::BODY_BYTES_MAX) } });
        assert_eq!(invoke(Placed, request(&large)).await.0, 413);
    }
}
