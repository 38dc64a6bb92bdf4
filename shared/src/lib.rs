//! What the eight functions of the bundle share.
//!
//! A function is one [`Channel`] and a `main` that calls [`run`]. Everything else is here, and the whole way of a request
//! stands in [`pipeline`].

pub mod body;
pub mod channel;
pub mod config;
pub mod deadline;
pub mod error;
pub mod event;
pub mod message;
pub mod model;
pub mod operation;
pub mod pipeline;
pub mod queue;
pub mod request;
#[cfg(feature = "schema")]
pub mod schema;
pub mod signature;
pub mod telemetry;

use std::{env, process::ExitCode};

use lambda_runtime::service_fn;
use tracing::{error, level_filters::LevelFilter, warn};

pub use crate::{
    channel::{Channel, Decision, Refusal},
    deadline::Deadline,
    model::Violations,
    operation::Operation,
};
use crate::{config::Settings, pipeline::Function, signature::Keys};

/// Runs one function until Lambda ends it: cold start, then one request after the other.
///
/// It fails, with a log line for each reason, when the configuration is wrong or the process was not started by Lambda.
pub fn run<C: Channel>(channel: C) -> ExitCode {
    let settings = match Settings::read(|name| env::var(name).ok()) {
        Ok(settings) => settings,
        Err(problems) => {
            telemetry::start(LevelFilter::INFO);
            for problem in problems {
                error!(channel = C::NAME, "not started: {problem}");
            }
            return ExitCode::FAILURE;
        }
    };
    telemetry::start(settings.log_level);
    if let Keys::AcceptUnsigned = settings.keys {
        warn!(
            channel = C::NAME,
            "signatures are not checked: events are taken from anybody"
        );
    }
    if env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        error!(
            channel = C::NAME,
            "not started: this is a Lambda function; AWS_LAMBDA_RUNTIME_API is not set"
        );
        return ExitCode::FAILURE;
    }
    // One thread: a function serves one request at a time, and threads cost more than they bring.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(reason) => {
            error!(channel = C::NAME, "not started: {reason}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        let function = Function::new(channel, settings);
        function.warm_up().await;
        match lambda_runtime::run(service_fn(|invocation| function.answer(invocation))).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => {
                error!(
                    channel = C::NAME,
                    "ended by the Lambda Runtime API: {reason}"
                );
                ExitCode::FAILURE
            }
        }
    })
}
