//! The stopwatch of the benchmark: it runs one function once, as Lambda would, and measures it.
//!
//! `stopwatch RUN.json` starts the command of the [`Run`], serves as its Lambda Runtime API and its
//! SQS, invokes it with the events one after the other, and prints a [`Measured`] as JSON.
//! `bench.py` decides what to compare, and how often.

mod http;
mod process;
mod runtime_api;
mod sqs;

use std::{collections::HashMap, env, fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{process::Subject, runtime_api::RuntimeApi, sqs::Sqs};

/// What is to be run.
#[derive(Deserialize)]
struct Run {
    /// The function and its arguments.
    command: Vec<String>,
    /// Where it is started, if that matters.
    folder: Option<PathBuf>,
    /// Its environment variables, in addition to those that Lambda sets. `{queue}` stands for
    /// scheme, host and port of the queue.
    environment: HashMap<String, String>,
    /// File with the events: one JSON text per line, with `{now}` in the place of the time in
    /// milliseconds. They are used in turn.
    events: PathBuf,
    /// The certificate chain and the key of the queue, both as PEM; without them the queue uses
    /// HTTP.
    tls: Option<(PathBuf, PathBuf)>,
    /// How many events after the first one are not measured.
    warm_up: usize,
    /// How many are measured after them.
    measured: usize,
    /// Pause before each event but the first, in milliseconds.
    pause_ms: u64,
    /// Whether the answers and what the queue got are wanted, too.
    #[serde(default)]
    keep: bool,
}

/// What was measured. All times in microseconds.
#[derive(Serialize)]
struct Measured {
    /// From the start of the process to its first answer, in wall-clock time and processor time.
    cold_wall: f64,
    cold_cpu: f64,
    /// Processor time from asking for the first event until it asked for the second.
    first_cpu: f64,
    /// Processor time of a measured event, on the average.
    event_cpu: f64,
    /// From handing an event out to having its answer, for each measured event.
    latencies: Vec<f64>,
    /// The most memory that the process had, in bytes.
    memory: u64,
    /// How many connections the queue was asked for.
    connections: usize,
    /// How many messages the queue took.
    messages: usize,
    /// If wanted: the answers and what was sent to the queue, in their order.
    answers: Vec<String>,
    sent: Vec<String>,
}

fn main() -> ExitCode {
    match measure() {
        Ok(measured) => {
            println!("{measured}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("stopwatch: {reason:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<String> {
    let path = env::args().nth(1).context("usage: stopwatch RUN.json")?;
    let run: Run = serde_json::from_slice(&fs::read(&path).with_context(|| path.clone())?)?;
    let events = fs::read_to_string(&run.events).context("events")?;
    let events = events.lines().map(str::to_owned).collect();
    let sqs = Sqs::start(run.tls.as_ref(), run.keep)?;
    let (api, plan) = RuntimeApi::bind(events, &run)?;
    let mut subject = Subject::start(&run, &api.address, &sqs.endpoint)?;
    let clock = subject.clock();
    let invoked = api.serve(plan, clock, || subject.is_alive());
    let memory = subject.memory_peak();
    let started = subject.started;
    subject.end();
    let (invoked, memory) = (invoked?, memory?);
    let micros = |duration: std::time::Duration| duration.as_secs_f64() * 1e6;
    let first = run.warm_up + 1;
    let asked = &invoked.asked;
    let cpu = |index: usize| asked.get(index).copied().unwrap_or_default();
    let between = |one: usize, other: usize| cpu(other).saturating_sub(cpu(one));
    let per_event = between(first, first + run.measured) / u32::try_from(run.measured.max(1))?;
    let sqs = sqs.seen();
    let latencies = invoked.answered.iter().skip(first);
    serde_json::to_string(&Measured {
        cold_wall: micros(invoked.first_answer.duration_since(started)),
        cold_cpu: micros(invoked.first_answer_cpu),
        first_cpu: micros(between(0, 1)),
        event_cpu: micros(per_event),
        latencies: latencies.copied().map(micros).collect(),
        memory,
        connections: sqs.connections,
        messages: sqs.messages,
        answers: invoked.answers,
        sent: sqs.sent,
    })
    .context("result")
}
