//! An example of a consumer: a Lambda function behind one of the queues. It sends each event to
//! the ERP system, in the order of its message group, and skips duplicates.
//!
//! `work.rs` does the work for an event. Replace it with your own code. Every consumer of these
//! queues needs the other modules. This file only starts the function.

mod attempts;
mod aws;
mod batch;
mod body;
mod dead_letters;
mod event;
mod ledger;
mod origin;
mod outcome;
mod queue;
mod settings;
mod trace;
mod work;
mod worker;

use std::{env, process::ExitCode};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use tracing::{error, level_filters::LevelFilter};
use tracing_subscriber::{
    filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{batch::Batch, settings::Settings, worker::Worker};

fn main() -> ExitCode {
    let settings = Settings::read(|name| env::var(name).ok());
    init_logging(
        settings
            .as_ref()
            .map_or(LevelFilter::INFO, |settings| settings.log_level),
    );
    let worker = settings.and_then(|settings| Worker::new(settings).map_err(|error| vec![error]));
    let worker = match worker {
        Ok(worker) => worker,
        Err(problems) => return not_started(&problems),
    };
    if env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        let problem = "this is a Lambda function; AWS_LAMBDA_RUNTIME_API is not set";
        return not_started(&[problem.to_owned()]);
    }
    // One thread is enough: a function handles one batch at a time.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return not_started(&[error.to_string()]),
    };
    let handler = service_fn(async |invocation: LambdaEvent<Batch>| {
        let (batch, context) = invocation.into_parts();
        Ok::<_, Error>(worker.handle_batch(&batch, &context).await)
    });
    match runtime.block_on(lambda_runtime::run(handler)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("ended by the Lambda Runtime API: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the log. Only lines of this crate are written, whatever the level: at a low level the
/// AWS SDK logs whole requests, and with them the customers' data.
fn init_logging(level: LevelFilter) {
    let this_crate = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false);
    tracing_subscriber::registry()
        .with(lines)
        .with(this_crate)
        .init();
}

fn not_started(problems: &[String]) -> ExitCode {
    for problem in problems {
        error!("not started: {problem}");
    }
    ExitCode::FAILURE
}
