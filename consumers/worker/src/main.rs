//! An example of a consumer, as a Lambda function behind one of the queues: each event reaches the ERP system, in the order
//! of its message group, and a repeat of it does not.
//!
//! What to do with an event stands in `work.rs`, and is meant to be replaced. Everything else is what any consumer of these
//! queues needs.

mod attempts;
mod batch;
mod dead_letters;
mod event;
mod ledger;
mod queue;
mod settings;
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
    start_logs(
        settings
            .as_ref()
            .map_or(LevelFilter::INFO, |settings| settings.log_level),
    );
    let worker = settings.and_then(|settings| Worker::new(settings).map_err(|reason| vec![reason]));
    let worker = match worker {
        Ok(worker) => worker,
        Err(problems) => return not_started(&problems),
    };
    if env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        let reason = "this is a Lambda function; AWS_LAMBDA_RUNTIME_API is not set";
        return not_started(&[reason.to_owned()]);
    }
    // One thread: a function serves one batch at a time.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(reason) => return not_started(&[reason.to_string()]),
    };
    let handler = service_fn(async |invocation: LambdaEvent<Batch>| {
        let (batch, context) = invocation.into_parts();
        Ok::<_, Error>(worker.answer(&batch, &context).await)
    });
    match runtime.block_on(lambda_runtime::run(handler)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            error!("ended by the Lambda Runtime API: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the logs. Only lines of this crate pass, at any level: the AWS client writes whole requests when it is asked to talk.
fn start_logs(level: LevelFilter) {
    let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false);
    tracing_subscriber::registry().with(lines).with(ours).init();
}

fn not_started(problems: &[String]) -> ExitCode {
    for problem in problems {
        error!("not started: {problem}");
    }
    ExitCode::FAILURE
}
