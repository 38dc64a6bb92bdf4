//! The parameters of the secret: its source, and the accepted signature schemes.

use std::time::Duration;

use crate::{
    environment::Environment,
    verify::{
        Requirement, SecretVersion, SignaturePolicy, StoreSettings,
        ims::{self, ImsSettings},
        keyring::SecretSource,
        secret::{EXAMPLE, Secret},
    },
};

/// The variable with the secret itself, as JSON, for local use.
const KEYS: &str = "WEBHOOK_KEYS";

/// The variable with the ARN or name of the secret in Secrets Manager.
const KEYS_SECRET: &str = "WEBHOOK_KEYS_SECRET";

const SIGNATURE_SCHEMES: &str = "SIGNATURE_SCHEMES";

/// The value of `SIGNATURE_SCHEMES` that accepts events without a signature.
const ACCEPT_UNSIGNED: &str = "accept-unsigned";

/// Where IMS publishes the keys that verify its access tokens.
const IMS_KEYS_URL: &str = "https://ims-na1.adobelogin.com/ims/keys";

/// Reads the settings of the keys of IMS; `None` if access tokens are never read.
pub(super) fn ims(
    environment: &mut Environment<'_>,
    policy: &SignaturePolicy,
) -> Option<ImsSettings> {
    const NAME: &str = "IMS_KEYS_URL";
    let url = environment.optional(NAME);
    let keys_url = ims::check_url(url.as_deref().unwrap_or(IMS_KEYS_URL).trim())
        .map_err(|error| environment.add_error(NAME, error))
        .ok();
    let refresh = environment.seconds(
        "IMS_KEYS_REFRESH_SECONDS",
        Duration::from_hours(1),
        Duration::from_secs(1)..=Duration::from_hours(24),
    );
    let keys_url = keys_url.filter(|_| policy.reads_tokens())?;
    Some(ImsSettings { keys_url, refresh })
}

/// Reads the source of the secret. `unnamed_source` is the source of the shop without a name, if it
/// is configured.
pub(super) fn secret(
    environment: &mut Environment<'_>,
    policy: SignaturePolicy,
    unnamed_source: Option<String>,
) -> SecretSource {
    let Some(id) = environment.optional(KEYS_SECRET) else {
        let secret = inline(environment, &policy, unnamed_source.as_deref());
        return SecretSource::Inline(secret);
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
        unnamed_source,
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

pub(super) fn signature_policy(environment: &mut Environment<'_>) -> SignaturePolicy {
    let Some(words) = environment.optional(SIGNATURE_SCHEMES) else {
        return SignaturePolicy::every_signature();
    };
    if words.trim() == ACCEPT_UNSIGNED {
        return SignaturePolicy::AcceptUnsigned;
    }
    let mut requirements = Vec::new();
    for word in words.split(',').map(str::trim) {
        let mut known = Requirement::WORDS.iter();
        if let Some((_, requirement)) = known.find(|(known, _)| *known == word) {
            requirements.push(*requirement);
        } else {
            let known = Requirement::WORDS.map(|(word, _)| word).join(", ");
            environment.add_error(
                SIGNATURE_SCHEMES,
                format!(
                    "must be a list of {known}, separated by commas; or {ACCEPT_UNSIGNED} alone, \
                     to accept events without a signature"
                ),
            );
        }
    }
    SignaturePolicy::Require(requirements)
}

/// Reads an inline secret. Any error prevents the start, because the value cannot change later.
fn inline(
    environment: &mut Environment<'_>,
    policy: &SignaturePolicy,
    unnamed_source: Option<&str>,
) -> Secret {
    let json = environment
        .optional(KEYS)
        .unwrap_or_else(|| "{}".to_owned());
    let (secret, errors) = Secret::read(&json, policy, unnamed_source, SecretVersion::Inline);
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
