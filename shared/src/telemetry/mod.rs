//! Reports each request: one log line for CloudWatch Logs Insights, and metrics. Neither contains a
//! value of an event.

mod line;
mod metric;
mod metrics;
mod stages;

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

pub use self::{line::LogLevel, metric::Metric};
pub(crate) use self::{
    line::{Line, plain_id},
    metrics::Metrics,
    stages::{Stage, Stages},
};

/// Starts the logs at this level.
///
/// Only lines of this crate are written, because at `trace` the AWS SDK and `lambda_runtime` log
/// whole requests.
pub fn start(level: LevelFilter) {
    let this_crate = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_writer(io::stdout);
    // In tests, the logs may have been started before.
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(this_crate)
        .try_init();
}
