//! The log line of a request.

use std::time::Duration;

use super::{Metric, Stages};

/// The values of a request for its log line and its metrics.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) level: LogLevel,
    pub(crate) metric: Option<Metric>,
    pub(crate) channel: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) status: u16,
    pub(crate) forwarded: &'static str,
    pub(crate) request_id: &'a str,
    pub(crate) trace_id: Option<&'a str>,
    pub(crate) shop_request_id: Option<&'a str>,
    pub(crate) event_id: Option<&'a str>,
    pub(crate) subject_digest: Option<&'a str>,
    /// `None` instead of `false`, because the log omits fields that do not apply.
    pub(crate) reconciled: Option<bool>,
    /// The name of the shop, if it has one.
    pub(crate) shop: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
    pub(crate) rules: Option<&'a str>,
    pub(crate) unevaluated: Option<&'a str>,
    pub(crate) observed: Option<&'static str>,
    pub(crate) observed_rules: Option<&'a str>,
    pub(crate) finding: Option<&'static str>,
    pub(crate) violations: usize,
    pub(crate) issues: usize,
    pub(crate) pointers: Option<&'a str>,
    pub(crate) stages: &'a Stages,
    pub(crate) spent: Duration,
    pub(crate) left: Duration,
    pub(crate) cold_start: bool,
}

/// The level of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// No action is needed.
    Info,
    /// The sender or the merchant must act.
    Warn,
    /// The operator of the function must act.
    Error,
}

macro_rules! write_at {
    ($line:ident, $($LogLevel:ident => $write:ident),*) => {
        match $line.level {
            $(LogLevel::$LogLevel => tracing::$write!(
                channel = $line.channel,
                outcome = $line.outcome,
                status = $line.status,
                forwarded = $line.forwarded,
                request_id = $line.request_id,
                trace_id = $line.trace_id,
                shop_request_id = $line.shop_request_id,
                event_id = $line.event_id,
                subject_digest = $line.subject_digest,
                reconciled = $line.reconciled,
                shop = $line.shop,
                key = $line.key,
                rules = $line.rules,
                unevaluated = $line.unevaluated,
                observed = $line.observed,
                observed_rules = $line.observed_rules,
                finding = $line.finding,
                violations = $line.violations,
                issues = $line.issues,
                pointers = $line.pointers,
                spent_ms = millis($line.spent),
                left_ms = millis($line.left),
                cold_start = $line.cold_start,
                "answered"
            ),)*
        }
    };
}

impl Line<'_> {
    pub(crate) fn write(&self) {
        write_at!(self, Error => error, Warn => warn, Info => info);
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

/// Returns an external id if it has the form of an id. Any other text could be a value of the
/// event, which the log must not contain.
pub(crate) fn plain_id(id: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=".contains(&byte);
    (!id.is_empty() && id.len() <= 128 && id.bytes().all(plain)).then_some(id)
}
