//! The operator's settings, read from the environment once at cold start.
//!
//! This file contains the settings and the parameters of the function itself. The parameters of the
//! secret and of the queues have files of their own.

mod keys;
mod queue;

use std::{path::PathBuf, time::Duration};

use aws_sdk_sqs::config::Credentials;
use tracing::level_filters::LevelFilter;

use crate::{
    deadline::ANSWER_MARGIN,
    deliver::sqs::QueueSettings,
    environment::Environment,
    event::Contract,
    verify::{DEFAULT_SOURCE_PREFIX, ims::ImsSettings, is_uri_text, keyring::SecretSource},
};

/// The maximum timeout of a hook, which is also the maximum of API Gateway.
const HOOK_TIMEOUT_MAX: Duration = Duration::from_secs(30);

/// The minimum timeout of a hook. With a shorter one, less time would be left for the event than
/// is reserved for the response.
const HOOK_TIMEOUT_MIN: Duration = ANSWER_MARGIN.saturating_mul(2);

/// The variable with the path of the channel's rules.
pub const RULES_FILE: &str = "RULES_FILE";

/// The log levels of this build. Release builds leave out the lower two
/// (`release_max_level_info` in Cargo.toml), because the AWS SDK alone would log thousands of
/// lines. Development builds include them, so that tests can check these lines too.
const LOG_LEVELS: &[(&str, LevelFilter)] = LEVELS
    .split_at(if cfg!(debug_assertions) { 5 } else { 3 })
    .0;

const LEVELS: &[(&str, LevelFilter)] = &[
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// The operator's settings.
#[derive(Debug)]
pub struct Settings {
    /// The source of the secret with the keys.
    pub secret: SecretSource,
    /// Where the keys of IMS are read; `None` if access tokens are never read.
    pub ims: Option<ImsSettings>,
    /// The timeout of the hook in the shop.
    pub hook_timeout: Duration,
    /// CloudEvents `source` of the shop without a name; by default it names the merchant and
    /// environment of the envelope.
    pub source: Option<String>,
    /// Whether the message includes the original event.
    pub forward_original: bool,
    /// Whether events of hooks with the type `before` are queued.
    pub forward_before: bool,
    /// How events with issues are handled.
    pub contract: Contract,
    /// URL of the queue for unusable events; `None` rejects these events.
    pub quarantine_url: Option<String>,
    /// The log level.
    pub log_level: LevelFilter,
    /// CloudWatch namespace of the metrics; `None` disables them.
    pub metrics_namespace: Option<String>,
    /// Path of the channel's rules.
    pub rules_file: PathBuf,
    /// The queue for messages.
    pub queue: QueueSettings,
    /// The region of the function.
    pub region: String,
    /// The credentials of the function.
    pub credentials: Credentials,
}

impl Settings {
    /// Reads the settings. They are valid only if `environment` has no errors afterwards.
    pub fn read(environment: &mut Environment<'_>) -> Self {
        let hook_timeout = hook_timeout(environment);
        let source = source(environment);
        let policy = keys::signature_policy(environment);
        Self {
            ims: keys::ims(environment, &policy),
            secret: keys::secret(environment, policy, source.clone()),
            hook_timeout,
            queue: queue::queue(environment, hook_timeout.saturating_sub(ANSWER_MARGIN)),
            quarantine_url: queue::quarantine_url(environment),
            source,
            forward_original: environment.choice(
                "FORWARD_ORIGINAL",
                true,
                &[("true", true), ("false", false)],
            ),
            forward_before: environment.choice(
                "FORWARD_BEFORE",
                false,
                &[("true", true), ("false", false)],
            ),
            contract: environment.choice(
                "CONTRACT",
                Contract::Tolerant,
                &[
                    ("tolerant", Contract::Tolerant),
                    ("strict", Contract::Strict),
                ],
            ),
            log_level: environment.choice("LOG_LEVEL", LevelFilter::INFO, LOG_LEVELS),
            metrics_namespace: metrics_namespace(environment),
            rules_file: environment
                .required(RULES_FILE, "the path of the channel's rules is missing")
                .into(),
            region: environment.required("AWS_REGION", "the region is missing; Lambda sets it"),
            credentials: credentials(environment),
        }
    }
}

fn hook_timeout(environment: &mut Environment<'_>) -> Duration {
    const NAME: &str = "HOOK_TIMEOUT_MS";
    if environment.optional(NAME).is_none() {
        environment.add_error(
            NAME,
            "the hook's timeout in milliseconds, as set in the shop, is missing",
        );
    }
    environment.milliseconds(NAME, Duration::ZERO, HOOK_TIMEOUT_MIN..=HOOK_TIMEOUT_MAX)
}

fn source(environment: &mut Environment<'_>) -> Option<String> {
    const NAME: &str = "EVENT_SOURCE";
    let source = environment.optional(NAME)?;
    if !is_uri_text(&source) {
        environment.add_error(NAME, "must be a URI or a URI reference");
    } else if source.starts_with(DEFAULT_SOURCE_PREFIX) {
        let error = format!("must not begin with {DEFAULT_SOURCE_PREFIX}");
        environment.add_error(NAME, error);
    }
    Some(source)
}

/// Validates the namespace, because CloudWatch drops metrics with an invalid one without an error.
fn metrics_namespace(environment: &mut Environment<'_>) -> Option<String> {
    const NAME: &str = "METRICS_NAMESPACE";
    let namespace = environment.optional(NAME)?;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/#:".contains(&byte);
    if namespace.len() > 255 || !namespace.bytes().all(is_allowed) {
        environment.add_error(NAME, "must be at most 255 letters, digits, and . - _ / # :");
    } else if namespace.starts_with(':') || namespace.starts_with("AWS/") {
        environment.add_error(NAME, "must not begin with a colon or with AWS/");
    }
    Some(namespace)
}

fn credentials(environment: &mut Environment<'_>) -> Credentials {
    let missing = "the credentials are missing; Lambda sets them";
    Credentials::new(
        environment.required("AWS_ACCESS_KEY_ID", missing),
        environment.required("AWS_SECRET_ACCESS_KEY", missing),
        environment.optional("AWS_SESSION_TOKEN"),
        None,
        "environment",
    )
}

#[cfg(test)]
mod tests;
