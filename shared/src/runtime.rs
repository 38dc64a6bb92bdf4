//! Starts a function, which then serves one request after another.

use std::{env, path::Path, process::ExitCode};

use lambda_http::{lambda_runtime::Runtime, service_fn};
use tracing::{error, warn};

use crate::{
    Channel, aws::http::Connections, config::Settings, environment::Environment,
    pipeline::Function, rules::Rules, telemetry,
};

/// Runs the function of a channel until Lambda stops it.
///
/// If the configuration or the rules are invalid, or Lambda did not start the process, it logs each
/// reason and fails.
pub fn run<C: Channel + 'static>(mut channel: C) -> ExitCode {
    let variable = |name: &str| env::var(name).ok();
    let mut environment = Environment::new(&variable);
    let settings = Settings::read(&mut environment);
    channel.configure(&mut environment);
    let problems = environment.into_errors();
    telemetry::start(settings.log_level);
    let mut problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    // Without a path, the problem is reported already.
    let has_path = !settings.rules_file.as_os_str().is_empty();
    let rules = has_path
        .then(|| load_rules::<C>(&settings.rules_file, &mut problems))
        .flatten();
    let connections = Connections::new()
        .map_err(|problem| problems.push(problem))
        .ok();
    let (Some(rules), Some(connections), true) = (rules, connections, problems.is_empty()) else {
        return not_started::<C>(&problems);
    };
    if settings.secret.accepts_unsigned() {
        warn!(
            channel = C::NAME,
            "signatures are not verified: unsigned events are accepted"
        );
    }
    if env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        let reason = "this is a Lambda function; AWS_LAMBDA_RUNTIME_API is not set";
        return not_started::<C>(&[reason.to_owned()]);
    }
    // A function serves one request at a time, so more threads would only cost CPU time.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
    {
        Ok(runtime) => runtime,
        Err(reason) => return not_started::<C>(&[reason.to_string()]),
    };
    let function = Function::new(channel, rules, settings, connections);
    // `serve` runs as a task. Before tokio polls the future of `block_on` itself again, it asks the
    // operating system for events: three times for each request.
    runtime
        .block_on(runtime.spawn_local(serve(function)))
        .unwrap_or(ExitCode::FAILURE)
}

/// Warms up, and then serves requests.
async fn serve<C: Channel>(function: Function<C>) -> ExitCode {
    function.warm_up().await;
    let answer = service_fn(|invocation| function.answer(invocation));
    match Runtime::new(answer).run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            error!(
                channel = C::NAME,
                "ended by the Lambda Runtime API: {reason}"
            );
            ExitCode::FAILURE
        }
    }
}

/// Reads the channel's rules, or adds the errors in their file to `problems`.
fn load_rules<C: Channel>(file: &Path, problems: &mut Vec<String>) -> Option<Rules> {
    Rules::load::<C>(file)
        .map_err(|found| {
            let file = file.display();
            problems.extend(found.iter().map(|problem| format!("{file}: {problem}")));
        })
        .ok()
}

fn not_started<C: Channel>(problems: &[String]) -> ExitCode {
    for problem in problems {
        error!(channel = C::NAME, "not started: {problem}");
    }
    ExitCode::FAILURE
}
