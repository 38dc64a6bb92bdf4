//! The stopwatch of the benchmark: runs one function once, as Lambda does, and measures it.
//!
//! `stopwatch RUN.json` reads a [`Run`] and starts its command. It serves the Lambda Runtime API
//! and SQS, invokes the function with one event after another, and prints a [`Measured`] as JSON.
//! It measures only; `bench.py` decides what to compare, and how often.

mod http;
mod process;
mod runtime_api;
mod sqs;

use std::{collections::HashMap, env, fs, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{process::Subject, runtime_api::RuntimeApi, sqs::Sqs};

/// The input: which function to run, and how.
#[derive(Deserialize)]
struct Run {
    /// The program and its arguments.
    command: Vec<String>,
    /// The working directory, if it matters.
    folder: Option<PathBuf>,
    /// The environment variables, in addition to those of Lambda. `{queue}` is replaced by the
    /// scheme, host and port of the queue.
    environment: HashMap<String, String>,
    /// A file with one event as JSON per line. `{now}` is replaced by the time in milliseconds
    /// since 1970. The events are used in turn.
    events: PathBuf,
    /// The PEM files with the certificate chain and the private key of the queue. Without them the
    /// queue uses plain HTTP.
    tls: Option<(PathBuf, PathBuf)>,
    /// The number of events after the first one that are not measured.
    warm_up: usize,
    /// The number of measured events after them.
    measured: usize,
    /// The pause before each event except the first, in milliseconds.
    pause_ms: u64,
    /// Whether to return the responses and the sent messages.
    #[serde(default)]
    keep: bool,
}

/// The output. All times are in microseconds.
#[derive(Serialize)]
struct Measured {
    /// The wall-clock time from the start of the process to its first response.
    cold_wall: f64,
    /// The CPU time from the start of the process to its first response.
    cold_cpu: f64,
    /// The CPU time from the request for the first event to the request for the second.
    first_cpu: f64,
    /// The mean CPU time of a measured event.
    event_cpu: f64,
    /// The time from sending an event to its response, for each measured event.
    latencies: Vec<f64>,
    /// The peak memory of the process, in bytes.
    memory: u64,
    /// The number of connections to the queue.
    connections: usize,
    /// The number of messages that the queue received.
    messages: usize,
    /// The responses in order, if requested.
    answers: Vec<String>,
    /// The `SendMessage` requests in order, if requested.
    sent: Vec<String>,
}

fn main() -> ExitCode {
    match measure() {
        Ok(measured) => {
            println!("{measured}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("stopwatch: {error:#}");
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
    let (api, schedule) = RuntimeApi::bind(events, &run)?;
    let mut subject = Subject::start(&run, &api.address, &sqs.endpoint)?;
    let clock = subject.cpu_clock();
    let invoked = api.serve(schedule, clock, || subject.is_alive());
    let memory = subject.memory_peak();
    let started = subject.started;
    subject.stop();
    let (invoked, memory) = (invoked?, memory?);
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    let first = run.warm_up + 1;
    let requested = &invoked.requested;
    let cpu = |index: usize| requested.get(index).copied().unwrap_or_default();
    let between = |start: usize, end: usize| cpu(end).saturating_sub(cpu(start));
    let per_event = between(first, first + run.measured) / u32::try_from(run.measured.max(1))?;
    let sqs = sqs.received();
    let latencies = invoked.latencies.iter().skip(first);
    serde_json::to_string(&Measured {
        cold_wall: micros(invoked.first_response.duration_since(started)),
        cold_cpu: micros(invoked.first_response_cpu),
        first_cpu: micros(between(0, 1)),
        event_cpu: micros(per_event),
        latencies: latencies.copied().map(micros).collect(),
        memory,
        connections: sqs.connections,
        messages: sqs.messages,
        answers: invoked.responses,
        sent: sqs.sent,
    })
    .context("result")
}
