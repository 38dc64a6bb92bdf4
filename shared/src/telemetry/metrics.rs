//! Writes the metrics of a request as JSON lines in the embedded metric format. CloudWatch Logs
//! turns them into metrics.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use metrics::{Label, Unit, counter, histogram};
use metrics_cloudwatch_embedded::{Builder, Collector};
use tracing::error;

use crate::telemetry::{Line, Metric};

/// Collects metrics and writes them to the standard output. A process can have only one, because
/// the `metrics` crate has one global recorder.
pub(crate) struct Metrics(&'static Collector);

impl Metrics {
    /// Starts the metrics in a namespace of CloudWatch. Without metrics, events are still accepted.
    pub(crate) fn start(namespace: String) -> Option<Self> {
        Self::of(Builder::new().cloudwatch_namespace(namespace))
    }

    fn of(builder: Builder) -> Option<Self> {
        builder
            .init()
            .inspect_err(|reason| error!("no metrics: {reason}"))
            .ok()
            .map(Self)
    }

    /// Writes the metrics of a request.
    pub(crate) fn write(&self, line: &Line<'_>) {
        // An error is ignored: there is no other place to report it.
        let _ = io::stdout().write_all(&self.documents(line));
    }

    /// Returns one line for each set of dimensions: none (the total), the channel, and the channel
    /// with the shop or with the key. An outcome without a metric has no line.
    fn documents(&self, line: &Line<'_>) -> Vec<u8> {
        let Some(outcome) = line.metric else {
            return Vec::new();
        };
        let channel = || vec![Label::from_static_parts("channel", line.channel)];
        let channel_and = |name: &'static str, value: &str| {
            let mut labels = channel();
            labels.push(Label::new(name, value.to_owned()));
            labels
        };
        self.0.set_property("request_id", line.request_id);
        let is_irregular = outcome == Metric::Accepted && line.issues > 0;
        // A secret has at most `SHOPS_MAX` shops, so this dimension has few values.
        let shop = line.shop.map(|shop| channel_and("shop", shop));
        for labels in [Vec::new(), channel()].into_iter().chain(shop) {
            if is_irregular {
                count(Metric::Irregular, labels.clone());
            }
            count(outcome, labels);
        }
        if line.cold_start {
            count(Metric::ColdStart, channel());
        }
        if line.unevaluated.is_some() {
            count(Metric::RulesUnevaluated, channel());
        }
        for (stage, took) in line.stages.ended() {
            if let Some(metric) = stage.metric() {
                time(metric, *took, channel());
            }
        }
        time(Metric::TimeLeft, line.left, channel());
        if let Some(key) = line.key {
            count(Metric::Verified, channel_and("key", key));
        }
        let mut documents = Vec::new();
        // Writing to a vector never fails.
        let _ = self.0.flush(&mut documents);
        documents
    }
}

fn count(metric: Metric, labels: Vec<Label>) {
    counter!(unit: Unit::Count, description: "", metric.name(), labels).increment(1);
}

/// Records a duration as a histogram, which is written once. A gauge would be written again with
/// every later request.
fn time(metric: Metric, took: Duration, labels: Vec<Label>) {
    histogram!(unit: Unit::Milliseconds, description: "", metric.name(), labels)
        .record(millis(took));
}

/// Returns milliseconds with three decimals, at most 71 minutes, which is longer than any function
/// runs.
fn millis(duration: Duration) -> f64 {
    f64::from(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)) / 1000.0
}

#[cfg(test)]
mod tests;
