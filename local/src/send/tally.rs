//! Counts and latencies of many requests.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write},
    time::Duration,
};

use anyhow::Result;
use hdrhistogram::Histogram;

use super::Answer;

/// The maximum latency in microseconds. A longer one counts as this.
const MICROS_MAX: u64 = 60 * 60 * 1_000_000;

/// The results of many requests: status codes or errors, and latencies.
pub(super) struct Tally {
    pub(super) outcomes: BTreeMap<String, u64>,
    /// Latencies in microseconds.
    latencies: Histogram<u64>,
    pub(super) elapsed: Duration,
}

impl Tally {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            outcomes: BTreeMap::new(),
            latencies: Histogram::new_with_max(MICROS_MAX, 3)?,
            elapsed: Duration::ZERO,
        })
    }

    pub(super) fn record(&mut self, answer: &Result<Answer>) {
        let outcome = match answer {
            Ok(answer) => {
                let micros = answer.elapsed.as_micros().try_into().unwrap_or(u64::MAX);
                self.latencies.saturating_record(micros);
                answer.status.as_str().to_owned()
            }
            Err(reason) => format!("{reason:#}"),
        };
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: Self) -> Result<()> {
        for (outcome, count) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        self.latencies.add(other.latencies)?;
        Ok(())
    }

    pub(super) fn all_ok(&self) -> bool {
        self.outcomes.keys().all(|outcome| outcome == "200")
    }

    pub(super) fn show(&self, out: &mut impl Write) -> io::Result<()> {
        for (outcome, count) in &self.outcomes {
            writeln!(out, "{count:>8} × {outcome}")?;
        }
        if self.latencies.is_empty() {
            return Ok(());
        }
        let answers = u32::try_from(self.latencies.len()).unwrap_or(u32::MAX);
        let rate = f64::from(answers) / self.elapsed.as_secs_f64();
        writeln!(out, "{rate:>8.0} answers/s")?;
        let quantile = |quantile| self.latencies.value_at_quantile(quantile);
        for (name, micros) in [
            ("min", self.latencies.min()),
            ("p50", quantile(0.5)),
            ("p90", quantile(0.9)),
            ("p99", quantile(0.99)),
            ("max", self.latencies.max()),
        ] {
            writeln!(out, "{name:>8} {}", Millis(Duration::from_micros(micros)))?;
        }
        Ok(())
    }
}

/// A duration in milliseconds.
pub(super) struct Millis(pub(super) Duration);

impl fmt::Display for Millis {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:.1} ms", self.0.as_secs_f64() * 1_000.0)
    }
}
