//! Logs: one JSON line for each request, for CloudWatch Logs Insights. No line ever holds a value out of an event.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Starts the logs at this level.
///
/// Only lines of our own crate pass, at any level: the AWS client and the Lambda runtime write whole requests when they are
/// asked to talk.
pub fn start(level: LevelFilter) {
    let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false);
    // A second start (in a test) finds the first one's logs: good enough.
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(ours)
        .try_init();
}

/// What the log says of one request.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) loudness: Loudness,
    pub(crate) channel: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) status: u16,
    pub(crate) forwarded: &'static str,
    pub(crate) request_id: &'a str,
    pub(crate) shop_request_id: Option<&'a str>,
    pub(crate) event_id: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
    pub(crate) rules: Option<&'a str>,
    pub(crate) observed: Option<&'static str>,
    pub(crate) finding: Option<&'static str>,
    pub(crate) violations: usize,
    pub(crate) spent_ms: u64,
    pub(crate) left_ms: u64,
    pub(crate) cold_start: bool,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loudness {
    /// Nobody's.
    Info,
    /// The sender's.
    Warn,
    /// Ours.
    Error,
}

macro_rules! write_at {
    ($line:ident, $($Loudness:ident => $write:ident),*) => {
        match $line.loudness {
            $(Loudness::$Loudness => tracing::$write!(
                channel = $line.channel,
                outcome = $line.outcome,
                status = $line.status,
                forwarded = $line.forwarded,
                request_id = $line.request_id,
                shop_request_id = $line.shop_request_id,
                event_id = $line.event_id,
                key = $line.key,
                rules = $line.rules,
                observed = $line.observed,
                finding = $line.finding,
                violations = $line.violations,
                spent_ms = $line.spent_ms,
                left_ms = $line.left_ms,
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

/// An id that came from outside, if it looks like one. Anything else could be a value in disguise.
pub(crate) fn plain_id(id: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=".contains(&byte);
    (!id.is_empty() && id.len() <= 128 && id.bytes().all(plain)).then_some(id)
}
