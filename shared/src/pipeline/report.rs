//! Collects the values of a request, and writes its log line and its metrics.

use std::time::Duration;

use lambda_http::Context;
use uuid::Uuid;

use super::{Function, xray_of};
use crate::{
    channel::{Channel, Decision},
    model::Issues,
    outcome::{Failure, Outcome},
    request::{Request, headers, plain_gateway_id},
    rules::{Mode, Ruling},
    telemetry::{Line, LogLevel, Stages},
    verify::KeyName,
};

/// The maximum number of JSON pointers in a log line.
const POINTERS_MAX: usize = 20;

/// The values of a request that are known so far.
#[derive(Default)]
pub(super) struct Notes<'a> {
    pub(super) event_id: Option<Uuid>,
    /// The digest of the event's subject.
    pub(super) subject_digest: Option<String>,
    /// Whether the reconcile tool sent the event.
    pub(super) reconciled: bool,
    /// The key that verified the body.
    pub(super) key: Option<KeyName>,
    /// The names of the rules that matched.
    pub(super) rules: Vec<&'a str>,
    /// The names of the rules that could not be evaluated.
    pub(super) unevaluated: Vec<&'a str>,
    /// What the observed rules would have done.
    pub(super) observed: Option<&'static str>,
    /// The names of the observed rules that matched.
    pub(super) observed_rules: Vec<&'a str>,
    /// The finding of the channel.
    pub(super) finding: Option<&'static str>,
    pub(super) stages: Stages,
    /// The number of issues, and the pointers of the first ones.
    issues: usize,
    pointers: String,
    spent: Duration,
    left: Duration,
}

impl<'a> Notes<'a> {
    /// Notes the rules of one mode that matched or could not be evaluated.
    pub(super) fn note_rules(&mut self, mode: Mode, ruling: &Ruling<'a>) {
        self.rules.extend(&ruling.matched);
        self.unevaluated.extend(&ruling.unevaluated);
        if mode == Mode::Observe {
            self.observed = match &ruling.decision {
                Decision::Refuse(_) => Some("refused"),
                Decision::Accept(_) if !ruling.forward => Some("not_forwarded"),
                Decision::Accept(changes) if !changes.is_empty() => Some("changed"),
                Decision::Accept(_) => None,
            };
            self.observed_rules.extend(&ruling.matched);
        }
    }

    pub(super) fn note_issues(&mut self, issues: &Issues<'_>) {
        self.issues = issues.count();
        self.pointers = joined(issues.list.iter().map(|issue| &*issue.pointer));
    }

    /// Ends the last stage. The request took `spent`, and `left` remains until the deadline.
    pub(super) fn end(&mut self, spent: Duration, left: Duration) {
        self.stages.end();
        self.spent = spent;
        self.left = left;
    }
}

impl<C: Channel> Function<C> {
    /// Writes the log line and the metrics of a request.
    pub(super) fn report(
        &self,
        request: Option<&Request>,
        context: &Context,
        outcome: &Outcome,
        notes: &Notes<'_>,
    ) {
        let event_id = notes.event_id.map(|id| id.to_string());
        let key = notes.key.as_ref().map(ToString::to_string);
        let shop = notes.key.as_ref().and_then(KeyName::shop);
        let names = |rules: &[&str]| (!rules.is_empty()).then(|| rules.join(","));
        let rules = names(&notes.rules);
        let unevaluated = names(&notes.unevaluated);
        let observed_rules = names(&notes.observed_rules);
        let (violations, unlisted) = outcome.failure().map_or((&[][..], 0), Failure::violations);
        let pointers = if violations.is_empty() {
            notes.pointers.clone()
        } else {
            joined(violations.iter().map(|violation| &*violation.pointer))
        };
        let irregular = matches!(outcome, Outcome::Accepted(_)) && notes.issues > 0;
        let least = if irregular || unevaluated.is_some() {
            LogLevel::Warn
        } else {
            LogLevel::Info
        };
        let line = Line {
            level: outcome.log_level().max(least),
            metric: outcome.metric(),
            channel: C::NAME,
            outcome: outcome.name(),
            status: outcome.status(),
            forwarded: outcome.forwarded().name(),
            request_id: request
                .and_then(plain_gateway_id)
                .unwrap_or(&context.request_id),
            trace_id: xray_of(context).map(|xray| xray.root),
            shop_request_id: request
                .and_then(|request| headers::shop_request_id(request.headers())),
            event_id: event_id.as_deref(),
            subject_digest: notes.subject_digest.as_deref(),
            reconciled: notes.reconciled.then_some(true),
            shop: shop.map(|shop| &*shop.name),
            key: key.as_deref(),
            rules: rules.as_deref(),
            unevaluated: unevaluated.as_deref(),
            observed: notes.observed,
            observed_rules: observed_rules.as_deref(),
            finding: notes.finding,
            violations: violations.len() + unlisted,
            issues: notes.issues,
            pointers: Some(pointers.as_str()).filter(|pointers| !pointers.is_empty()),
            stages: &notes.stages,
            spent: notes.spent,
            left: notes.left,
            cold_start: self.cold.replace(false),
        };
        if let Some(metrics) = &self.metrics {
            metrics.write(&line);
        }
        line.write();
    }
}

/// Returns the first pointers, for a log line.
fn joined<'p>(pointers: impl Iterator<Item = &'p str>) -> String {
    let pointers: Vec<_> = pointers.take(POINTERS_MAX).collect();
    pointers.join(" ")
}
