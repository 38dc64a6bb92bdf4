//! Logs: one JSON line for each request, for CloudWatch Logs Insights. No line ever holds a value out of an event.

use std::{
    cell::RefCell,
    io::{self, Write},
    time::Duration,
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::measure::{Metric, Stages};

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
        .with_target(false)
        .with_writer(|| Output);
    // A second start (in a test) finds the first one's logs: good enough.
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(ours)
        .try_init();
}

thread_local! {
    /// What is to be written, while it is kept back.
    static KEPT: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// The standard output. Without it there is nobody to tell, and an answer must not hang on that.
pub(crate) struct Output;

impl Output {
    /// Writes at once all that is written meanwhile: each time, whoever reads has to be woken.
    pub(crate) fn at_once(work: impl FnOnce()) {
        KEPT.set(Some(Vec::with_capacity(2048)));
        work();
        let kept = KEPT.take().unwrap_or_default();
        let _ = io::stdout().write_all(&kept);
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        KEPT.with_borrow_mut(|kept| match kept {
            Some(kept) => kept.write(bytes),
            None => io::stdout().write(bytes),
        })
    }

    // The provided one would leave the end of a line to the next one, should the output take it only in parts.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        KEPT.with_borrow_mut(|kept| match kept {
            Some(kept) => kept.write_all(bytes),
            None => io::stdout().write_all(bytes),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

/// What the log and the metrics say of one request.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) loudness: Loudness,
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
    /// Only where it is: a line that every request writes says what is so, not what is not.
    pub(crate) reconciled: Option<bool>,
    pub(crate) key: Option<&'a str>,
    pub(crate) rules: Option<&'a str>,
    pub(crate) unevaluated: Option<&'a str>,
    pub(crate) observed: Option<&'static str>,
    pub(crate) finding: Option<&'static str>,
    pub(crate) violations: usize,
    pub(crate) issues: usize,
    pub(crate) pointers: Option<&'a str>,
    pub(crate) stages: &'a Stages,
    pub(crate) spent: Duration,
    pub(crate) left: Duration,
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
                trace_id = $line.trace_id,
                shop_request_id = $line.shop_request_id,
                event_id = $line.event_id,
                subject_digest = $line.subject_digest,
                reconciled = $line.reconciled,
                key = $line.key,
                rules = $line.rules,
                unevaluated = $line.unevaluated,
                observed = $line.observed,
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

/// An id that came from outside, if it looks like one. Anything else could be a value in disguise.
pub(crate) fn plain_id(id: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=".contains(&byte);
    (!id.is_empty() && id.len() <= 128 && id.bytes().all(plain)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_written_at_once_is_kept_back_until_then() {
        let kept = || KEPT.with_borrow(Clone::clone);
        Output::at_once(|| {
            Output.write_all(b"one\n").unwrap();
            Output.write_all(b"two\n").unwrap();
            assert_eq!(kept().as_deref(), Some(&b"one\ntwo\n"[..]));
        });
        assert_eq!(kept(), None);
    }
}
