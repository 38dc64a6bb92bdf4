//! The parameters of the queues for messages and for unusable events.

use std::time::Duration;

use crate::{deliver::sqs::QueueSettings, environment::Environment};

const NOT_A_URL: &str = "must be a URL with http or https";

pub(super) fn queue(environment: &mut Environment<'_>, budget: Duration) -> QueueSettings {
    const NAME: &str = "QUEUE_URL";
    let url = environment.required(NAME, "the URL of the SQS FIFO queue is missing");
    let origin = origin(&url);
    if origin.is_none() && !url.is_empty() {
        environment.add_error(NAME, NOT_A_URL);
    }
    QueueSettings {
        // By default the endpoint is the origin of the URL, so that the URL of an emulator is
        // enough. `sam local invoke` passes on only the variables in the template, which does not
        // name those of AWS.
        endpoint: environment
            .optional("AWS_ENDPOINT_URL_SQS")
            .or_else(|| environment.optional("AWS_ENDPOINT_URL"))
            .or(origin)
            .unwrap_or_default(),
        url,
        budget,
    }
}

pub(super) fn quarantine_url(environment: &mut Environment<'_>) -> Option<String> {
    const NAME: &str = "QUARANTINE_QUEUE_URL";
    let choices = [("refuse", false), ("quarantine", true)];
    if !environment.choice("INVALID_EVENTS", false, &choices) {
        return None;
    }
    let url = environment.required(
        NAME,
        "the URL of the SQS FIFO queue for unusable events is missing",
    );
    if !url.is_empty() && origin(&url).is_none() {
        environment.add_error(NAME, NOT_A_URL);
    }
    Some(url)
}

/// Returns the scheme, host and port of a URL.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next().filter(|host| !host.is_empty())?;
    matches!(scheme, "http" | "https").then(|| format!("{scheme}://{host}"))
}
