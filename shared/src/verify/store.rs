//! Reads the secret from AWS Secrets Manager.

use std::time::{Duration, Instant, SystemTime};

use aws_sdk_secretsmanager::{
    Client, Config,
    config::{BehaviorVersion, Region, StalledStreamProtectionConfig},
    error::{ProvideErrorMetadata as _, SdkError},
    operation::get_secret_value::GetSecretValueOutput,
};
use tracing::error;

use crate::{
    aws::{Aws, AwsError, WithoutTraceHeader, no_retries},
    verify::{SecretVersion, SignaturePolicy, secret::Secret},
};

/// The maximum time that one request waits for Secrets Manager.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(1);

/// The share of that time that the current version of the secret may take, so that time is left
/// for the previous one.
const CURRENT_SHARE: f32 = 0.6;

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// The secret in Secrets Manager, and how long its keys are valid.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// ARN or name of the secret.
    pub id: String,
    /// Scheme and host of Secrets Manager, if not the default of the region.
    pub endpoint: Option<String>,
    /// The signatures that a body needs.
    pub policy: SignaturePolicy,
    /// The source of the shop without a name, if it is configured.
    pub unnamed_source: Option<String>,
    /// The maximum age of the keys before they are read again.
    pub refresh: Duration,
    /// How long the keys of the previous version stay valid after a new version was created.
    pub previous: Duration,
}

/// The client of one secret.
#[derive(Debug)]
pub(super) struct Store {
    client: Client,
    settings: StoreSettings,
}

/// A secret as it was read from the store.
pub(super) struct FetchedSecret {
    pub(super) secret: Secret,
    /// Whether both versions were read.
    pub(super) is_complete: bool,
}

impl Store {
    pub(super) fn new(settings: StoreSettings, aws: &Aws) -> Self {
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(aws.region.clone()))
            .credentials_provider(aws.credentials.clone())
            .http_client(aws.connections.client(WAIT_MAX))
            // A request has no time for retries. The next request tries again.
            .retry_config(no_retries())
            .interceptor(WithoutTraceHeader)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        config.set_endpoint_url(settings.endpoint.clone());
        Self {
            client: Client::from_conf(config.build()),
            settings,
        }
    }

    /// Reads both versions within the limit. If the previous version cannot be read, the known
    /// keys and tokens replace it.
    pub(super) async fn fetch(
        &self,
        known: &Secret,
        limit: Duration,
        now: SystemTime,
    ) -> Result<FetchedSecret, AwsError> {
        let started = Instant::now();
        let share = limit.mul_f32(CURRENT_SHARE);
        // Only the current version shows which keys the operator wants.
        let current = self
            .fetch_version(CURRENT, share)
            .await?
            .ok_or(AwsError::Refused)?;
        let (mut secret, has_errors) = self.parse_version(&current, SecretVersion::Current);
        let previous = if self.settings.previous.is_zero() {
            Ok(None)
        } else {
            let left = limit.saturating_sub(started.elapsed());
            self.fetch_version(PREVIOUS, left).await
        };
        let older = match &previous {
            // After a rollback, the current version is the older of the two.
            Ok(Some(previous))
                if !is_older(
                    [created(&current), created(previous)],
                    self.settings.previous,
                    now,
                ) =>
            {
                Some(self.parse_version(previous, SecretVersion::Previous).0)
            }
            Ok(_) => None,
            Err(_) => Some(Secret {
                keys: known.keys.clone().renamed(SecretVersion::Previous),
                tokens: known.tokens.clone(),
            }),
        };
        if let Some(older) = older {
            secret.keys.add(&older.keys);
            if has_errors {
                secret.tokens.add(older.tokens);
            }
        }
        if has_errors && secret.keys.is_empty() {
            return Err(AwsError::Refused);
        }
        Ok(FetchedSecret {
            secret,
            is_complete: previous.is_ok(),
        })
    }

    /// Reads one version of the secret; `None` if there is no previous one. Retries a broken
    /// connection once.
    async fn fetch_version(
        &self,
        stage: &str,
        limit: Duration,
    ) -> Result<Option<GetSecretValueOutput>, AwsError> {
        let deadline = tokio::time::Instant::now() + limit;
        let request = self.client.get_secret_value();
        let request = request.secret_id(&self.settings.id).version_stage(stage);
        let mut may_retry = true;
        loop {
            let answer = tokio::time::timeout_at(deadline, request.clone().send()).await;
            let (failure, code) = match answer {
                Ok(Ok(version)) => return Ok(Some(version)),
                Ok(Err(SdkError::ServiceError(answer)))
                    if stage == PREVIOUS && answer.err().is_resource_not_found_exception() =>
                {
                    return Ok(None);
                }
                Ok(Err(reason)) => (AwsError::of(&reason), reason.code().map(str::to_owned)),
                Err(_) => (AwsError::TimedOut, None),
            };
            // AWS defines the codes, so they contain no part of the secret.
            error!(store_error = failure.name(), code, stage, "secret not read");
            if !may_retry || matches!(failure, AwsError::Refused | AwsError::TimedOut) {
                return Err(failure);
            }
            may_retry = false;
        }
    }

    /// Returns the usable part of a version, and whether the version has errors. An error in one
    /// entry does not affect the other keys.
    fn parse_version(&self, version: &GetSecretValueOutput, name: SecretVersion) -> (Secret, bool) {
        let json = version.secret_string().unwrap_or_default();
        let StoreSettings {
            policy,
            unnamed_source,
            ..
        } = &self.settings;
        let (secret, mut errors) = Secret::read(json, policy, unnamed_source.as_deref(), name);
        let has_errors = !errors.is_empty();
        if !has_errors && secret.keys.is_empty() {
            errors.push("has no key for the accepted signature schemes".to_owned());
        }
        for error in errors {
            error!(version = %name, "secret: {error}");
        }
        (secret, has_errors)
    }
}

fn created(version: &GetSecretValueOutput) -> Option<SystemTime> {
    SystemTime::try_from(*version.created_date()?).ok()
}

/// Returns whether the later of two moments is at least `age` ago. Returns false if that moment is
/// in the future, because another clock is fast.
fn is_older(moments: [Option<SystemTime>; 2], age: Duration, now: SystemTime) -> bool {
    let latest = moments.into_iter().flatten().max();
    latest
        .and_then(|latest| now.duration_since(latest).ok())
        .is_some_and(|passed| passed >= age)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn expires_the_previous_version_by_the_later_creation_date() {
        let day = Duration::from_hours(24);
        let now = at(1_000_000);
        let (old, new, future) = (Some(at(1000)), Some(at(999_000)), Some(at(1_000_009)));
        for (current, previous, older) in [
            (old, old, true),
            (new, old, false),
            (old, new, false), // after a rollback
            (future, old, false),
            (None, None, false),
        ] {
            assert_eq!(is_older([current, previous], day, now), older);
        }
    }
}
