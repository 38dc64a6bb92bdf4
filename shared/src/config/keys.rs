//! The parameters of the secret: its source, and the accepted signature schemes.

use std::time::Duration;

use crate::{
    environment::Environment,
    verify::{
        Scheme, SecretVersion, StoreSettings,
        keyring::SecretSource,
        secret::{EXAMPLE, Secret, SignaturePolicy},
    },
};

/// The variable with the secret itself, as JSON, for local use.
const KEYS: &str = "WEBHOOK_KEYS";

/// The variable with the ARN or name of the secret in Secrets Manager.
const KEYS_SECRET: &str = "WEBHOOK_KEYS_SECRET";

const SIGNATURE_SCHEMES: &str = "SIGNATURE_SCHEMES";

/// The value of `SIGNATURE_SCHEMES` that accepts events without a signature.
const ACCEPT_UNSIGNED: &str = "accept-unsigned";

pub(super) fn secret(environment: &mut Environment<'_>) -> SecretSource {
    let policy = signature_policy(environment);
    let Some(id) = environment.optional(KEYS_SECRET) else {
        return SecretSource::Inline(inline(environment, &policy));
    };
    if environment.optional(KEYS).is_some() {
        environment.add_error(
            KEYS,
            format!("set either {KEYS} or {KEYS_SECRET}, not both"),
        );
    }
    SecretSource::Store(StoreSettings {
        id: id.trim().to_owned(),
        endpoint: environment
            .optional("AWS_ENDPOINT_URL_SECRETS_MANAGER")
            .or_else(|| environment.optional("AWS_ENDPOINT_URL")),
        policy,
        refresh: environment.seconds(
            "KEYS_REFRESH_SECONDS",
            Duration::from_mins(5),
            Duration::from_secs(1)..=Duration::from_hours(24),
        ),
        previous: environment.seconds(
            "KEYS_PREVIOUS_SECONDS",
            Duration::from_hours(24),
            Duration::ZERO..=Duration::from_hours(365 * 24),
        ),
    })
}

fn signature_policy(environment: &mut Environment<'_>) -> SignaturePolicy {
    let Some(words) = environment.optional(SIGNATURE_SCHEMES) else {
        return SignaturePolicy::every_scheme();
    };
    if words.trim() == ACCEPT_UNSIGNED {
        return SignaturePolicy::AcceptUnsigned;
    }
    let mut schemes = Vec::new();
    for word in words.split(',').map(str::trim) {
        if let Some(scheme) = Scheme::ALL.into_iter().find(|scheme| scheme.word() == word) {
            schemes.push(scheme);
        } else {
            let known = Scheme::ALL.map(Scheme::word).join(", ");
            environment.add_error(
                SIGNATURE_SCHEMES,
                format!(
                    "must be a list of {known}, separated by commas; or {ACCEPT_UNSIGNED} alone, \
                     to accept events without a signature"
                ),
            );
        }
    }
    SignaturePolicy::Require(schemes)
}

/// Reads an inline secret. Any error prevents the start, because the value cannot change later.
fn inline(environment: &mut Environment<'_>, policy: &SignaturePolicy) -> Secret {
    let json = environment
        .optional(KEYS)
        .unwrap_or_else(|| "{}".to_owned());
    let (secret, errors) = Secret::read(&json, policy, SecretVersion::Inline);
    if errors.is_empty() && secret.keys.is_empty() {
        environment.add_error(
            KEYS,
            format!(
                "has no key, so no event could be verified; set {EXAMPLE}, or name a secret of \
                 Secrets Manager in {KEYS_SECRET}, or set {SIGNATURE_SCHEMES}={ACCEPT_UNSIGNED} \
                 to accept events without a signature"
            ),
        );
    }
    for error in errors {
        environment.add_error(KEYS, error);
    }
    secret
}
