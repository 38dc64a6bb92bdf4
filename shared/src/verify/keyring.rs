//! The keys as they are known now: out of one secret of AWS Secrets Manager, or inline for local use.
//!
//! They are read at cold start and kept in memory. They are read again on a timer, and once when a signature fits none of them, so
//! that a new key needs no deployment. While Secrets Manager is away, the known keys keep working.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant, SystemTime},
};

use aws_sdk_secretsmanager::{
    Client, Config,
    config::{BehaviorVersion, Region, StalledStreamProtectionConfig},
    error::{ProvideErrorMetadata as _, SdkError},
    operation::get_secret_value::GetSecretValueOutput,
};
use tracing::{debug, error};

use crate::{
    aws::{Aws, AwsError, WithoutTraceHeader, no_retries},
    deadline::Deadline,
    verify::{
        Keys, Version,
        secret::{Schemes, Secret},
    },
};

/// A signature that fits no known key, and then no newer one either, has the keys read again at most this often, so that whoever
/// sends forged events cannot make the function spend its time, or the account its quota, on Secrets Manager.
pub const FORGED_PAUSE: Duration = Duration::from_secs(10);

/// When the keys could not be read, and older ones are known, they are tried again this much later.
const RETRY_PAUSE: Duration = Duration::from_secs(15);

/// The same, when nothing can be accepted until then: no key is known at all, or perhaps the one that signed an event.
const URGENT_PAUSE: Duration = Duration::from_secs(1);

/// The longest that one request waits for Secrets Manager. It also never takes more than a quarter of what is left, or half when
/// no key is known and there is nothing else to do.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Share of that time which one version of the secret may take, so that the other has a chance, too.
const VERSION_SHARE: f32 = 0.6;

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// Where the secret is.
#[derive(Debug)]
pub enum Source {
    /// In the environment. It never changes.
    Inline(Secret),
    /// In Secrets Manager.
    Store(StoreSettings),
}

impl Source {
    /// Whether events are taken from anybody.
    pub fn accepts_unsigned(&self) -> bool {
        match self {
            Self::Inline(secret) => matches!(secret.keys, Keys::AcceptUnsigned),
            Self::Store(settings) => settings.schemes == Schemes::AcceptUnsigned,
        }
    }
}

/// The secret in Secrets Manager, and how long it may be trusted.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// ARN or name of the secret.
    pub id: String,
    /// Scheme and host that are asked, where it is not AWS's own.
    pub endpoint: Option<String>,
    /// Which of its keys count.
    pub schemes: Schemes,
    /// Keys that were read longer ago are read again before they are used.
    pub refresh: Duration,
    /// How long the keys of the previous version count after a new version came.
    pub previous: Duration,
}

/// The keys as they are known now.
#[derive(Debug)]
pub struct Keyring {
    known: RefCell<Rc<Secret>>,
    store: Option<Store>,
}

/// Why the secret is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It is time.
    Timer,
    /// A signature fits none of the known keys.
    UnknownSignature,
}

impl Keyring {
    /// A keyring that knows what stands inline. Nothing is asked yet.
    pub fn new(source: Source, aws: &Aws) -> Self {
        match source {
            Source::Inline(secret) => Self {
                known: RefCell::new(Rc::new(secret)),
                store: None,
            },
            Source::Store(settings) => Self {
                known: RefCell::new(Rc::new(Secret::empty(settings.schemes))),
                store: Some(Store::new(settings, aws)),
            },
        }
    }

    /// Reads the keys at cold start, within a limit.
    pub async fn warm_up(&self, limit: Duration) {
        let read = self.read(Why::Timer, limit).await;
        if let (Some(store), false) = (&self.store, read) {
            // It may have been but a hiccup, so the first event has a try of its own.
            store.asked.timer_from.set(None);
        }
    }

    /// The secret for a request that came just now, read again if it is time.
    pub async fn current(&self, deadline: Deadline) -> Rc<Secret> {
        let share = if self.known().keys.is_empty() { 2 } else { 4 };
        let limit = (deadline.remaining() / share).min(WAIT_MAX);
        self.read(Why::Timer, limit).await;
        self.known()
    }

    /// What the store says now, for a signature that fits no known key. `None` if it may not be asked, or says nothing new.
    pub async fn newer(&self, deadline: Deadline) -> Option<Rc<Secret>> {
        let limit = (deadline.remaining() / 4).min(WAIT_MAX);
        let read = self.read(Why::UnknownSignature, limit).await;
        read.then(|| self.known())
    }

    /// A newer key vouched for an event, which nobody can forge: asking for it does not count against [`FORGED_PAUSE`].
    pub fn newer_was_right(&self) {
        if let Some(store) = &self.store {
            store.asked.unknown_from.set(None);
        }
    }

    fn known(&self) -> Rc<Secret> {
        Rc::clone(&self.known.borrow())
    }

    /// Reads the secret, if there is a reason and it is not too soon. True if something of it was read.
    async fn read(&self, why: Why, limit: Duration) -> bool {
        let Some(store) = &self.store else {
            return false;
        };
        let known = self.known();
        let (asked, refresh) = (&store.asked, store.settings.refresh);
        let started = SystemTime::now();
        if limit.is_zero() || !asked.may_ask(why, known.keys.is_empty(), refresh, started) {
            return false;
        }
        let found = store.read(&known, limit, started).await;
        let read = match &found {
            Ok(found) if found.whole => Read::Whole,
            Ok(_) => Read::Partly,
            Err(_) => Read::Not,
        };
        match found {
            Ok(Found { secret, .. }) => {
                debug!(keys = ?secret.keys, "keys read");
                self.known.replace(Rc::new(secret));
            }
            Err(trouble) if known.keys.is_empty() => error!(
                store_error = trouble.name(),
                "no key is at hand: until the secret can be read, every event is answered with 503"
            ),
            Err(trouble) => error!(
                store_error = trouble.name(),
                known = ?known.keys,
                "keys not read; the known ones keep working"
            ),
        }
        asked.note(
            why,
            read,
            self.known().keys.is_empty(),
            refresh,
            SystemTime::now(),
        );
        read != Read::Not
    }
}

/// How reading the secret went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Whole,
    /// One of the two versions could not be read.
    Partly,
    Not,
}

/// When the store was asked, and from when it may be asked again. By the wall clock, which also counts the time for which Lambda
/// freezes a function.
#[derive(Debug, Default)]
struct Asked {
    /// When the keys that are known were read, whole.
    read: Cell<Option<SystemTime>>,
    timer_from: Cell<Option<SystemTime>>,
    unknown_from: Cell<Option<SystemTime>>,
}

impl Asked {
    fn may_ask(&self, why: Why, empty: bool, refresh: Duration, now: SystemTime) -> bool {
        match why {
            Why::UnknownSignature => has_come(self.unknown_from.get(), now),
            Why::Timer => {
                let age = self.read.get().map(|read| now.duration_since(read));
                let fresh = age.is_some_and(|age| age.is_ok_and(|age| age < refresh));
                (empty || !fresh) && has_come(self.timer_from.get(), now)
            }
        }
    }

    fn note(&self, why: Why, read: Read, empty: bool, refresh: Duration, now: SystemTime) {
        if read == Read::Whole {
            self.read.set(Some(now));
        }
        let pause = match read {
            _ if empty => URGENT_PAUSE,
            Read::Whole => Duration::ZERO,
            Read::Partly | Read::Not => RETRY_PAUSE.min(refresh),
        };
        self.timer_from.set(Some(now + pause));
        if why == Why::UnknownSignature {
            let pause = match read {
                Read::Whole => FORGED_PAUSE,
                Read::Partly | Read::Not => URGENT_PAUSE,
            };
            self.unknown_from.set(Some(now + pause));
        }
    }
}

/// Whether a moment has come. One that is further away than any pause is of a clock that was set back, and says nothing.
fn has_come(moment: Option<SystemTime>, now: SystemTime) -> bool {
    let left = moment.and_then(|moment| moment.duration_since(now).ok());
    left.is_none_or(|left| left.is_zero() || left > RETRY_PAUSE)
}

/// What the store had.
struct Found {
    secret: Secret,
    /// Whether both versions could be read.
    whole: bool,
}

/// One secret in Secrets Manager.
#[derive(Debug)]
struct Store {
    client: Client,
    settings: StoreSettings,
    asked: Asked,
}

impl Store {
    fn new(settings: StoreSettings, aws: &Aws) -> Self {
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(aws.region.clone()))
            .credentials_provider(aws.credentials.clone())
            .http_client(aws.connections.client(WAIT_MAX))
            // The next request tries again; this one has no time to lose.
            .retry_config(no_retries())
            .interceptor(WithoutTraceHeader)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        config.set_endpoint_url(settings.endpoint.clone());
        Self {
            client: Client::from_conf(config.build()),
            settings,
            asked: Asked::default(),
        }
    }

    /// Reads both versions, each within its share of the time. A previous one that cannot be read is made up for with what is
    /// known.
    async fn read(
        &self,
        known: &Secret,
        limit: Duration,
        now: SystemTime,
    ) -> Result<Found, AwsError> {
        let started = Instant::now();
        let share = limit.mul_f32(VERSION_SHARE);
        // Without it nothing tells what the operator wants now.
        let current = self
            .version(CURRENT, share)
            .await?
            .ok_or(AwsError::Refused)?;
        let (mut secret, flawed) = self.use_version(&current, Version::Current);
        let previous = if self.settings.previous.is_zero() {
            Ok(None)
        } else {
            let left = limit.saturating_sub(started.elapsed());
            self.version(PREVIOUS, left).await
        };
        let older = match &previous {
            // After a step back, the version that is current again is the older of the two.
            Ok(Some(previous))
                if !is_older(
                    [created(&current), created(previous)],
                    self.settings.previous,
                    now,
                ) =>
            {
                Some(self.use_version(previous, Version::Previous).0)
            }
            Ok(_) => None,
            Err(_) => Some(Secret {
                keys: known.keys.clone().renamed(Version::Previous),
                tokens: known.tokens.clone(),
            }),
        };
        if let Some(older) = older {
            secret.keys.add(&older.keys);
            if flawed {
                secret.tokens.add(older.tokens);
            }
        }
        if flawed && secret.keys.is_empty() {
            return Err(AwsError::Refused);
        }
        Ok(Found {
            secret,
            whole: previous.is_ok(),
        })
    }

    /// One version of the secret; `None` if there is no previous one. A broken connection is worth a second try.
    async fn version(
        &self,
        stage: &str,
        limit: Duration,
    ) -> Result<Option<GetSecretValueOutput>, AwsError> {
        let until = tokio::time::Instant::now() + limit;
        let ask = self.client.get_secret_value();
        let ask = ask.secret_id(&self.settings.id).version_stage(stage);
        let mut again = true;
        loop {
            let (trouble, code) = match tokio::time::timeout_at(until, ask.clone().send()).await {
                Ok(Ok(version)) => return Ok(Some(version)),
                Ok(Err(SdkError::ServiceError(answer)))
                    if stage == PREVIOUS && answer.err().is_resource_not_found_exception() =>
                {
                    return Ok(None);
                }
                Ok(Err(reason)) => (AwsError::of(&reason), reason.code().map(str::to_owned)),
                Err(_) => (AwsError::TimedOut, None),
            };
            // The code is one of AWS's own words.
            error!(store_error = trouble.name(), code, stage, "secret not read");
            if !again || matches!(trouble, AwsError::Refused | AwsError::TimedOut) {
                return Err(trouble);
            }
            again = false;
        }
    }

    /// What can be used of a version, and whether something is wrong with it. One mistake in it costs no other key.
    fn use_version(&self, version: &GetSecretValueOutput, name: Version) -> (Secret, bool) {
        let json = version.secret_string().unwrap_or_default();
        let (secret, mut problems) = Secret::read(json, self.settings.schemes, name);
        let flawed = !problems.is_empty();
        if !flawed && secret.keys.is_empty() {
            problems.push("holds no key for the signatures that count".to_owned());
        }
        for problem in problems {
            error!(version = %name, "secret: {problem}");
        }
        (secret, flawed)
    }
}

fn created(version: &GetSecretValueOutput) -> Option<SystemTime> {
    SystemTime::try_from(*version.created_date()?).ok()
}

/// Whether the later of two moments is so long ago. One that is to come, by a clock that is fast, is not.
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

    const REFRESH: Duration = Duration::from_mins(5);

    const NOT_EMPTY: bool = false;

    #[test]
    fn keys_are_read_again_when_they_are_old_and_sooner_when_that_failed() {
        let asked = Asked::default();
        let timer = |empty, now| asked.may_ask(Why::Timer, empty, REFRESH, at(now));
        let note = |read, empty, now| asked.note(Why::Timer, read, empty, REFRESH, at(now));
        assert!(timer(true, 1000), "at cold start");
        note(Read::Not, true, 1000);
        assert!(!timer(true, 1000) && timer(true, 1001), "it failed");
        note(Read::Whole, true, 1001);
        assert!(
            !timer(true, 1001) && timer(true, 1002),
            "there is no key in it"
        );
        note(Read::Whole, NOT_EMPTY, 1002);
        assert!(!timer(NOT_EMPTY, 1301) && timer(NOT_EMPTY, 1302), "old");
        note(Read::Not, NOT_EMPTY, 1302);
        assert!(
            !timer(NOT_EMPTY, 1316) && timer(NOT_EMPTY, 1317),
            "it failed"
        );
        note(Read::Partly, NOT_EMPTY, 1317);
        assert!(!timer(NOT_EMPTY, 1331) && timer(NOT_EMPTY, 1332), "partly");
        note(Read::Whole, NOT_EMPTY, 1332);
        assert!(timer(NOT_EMPTY, 900), "the clock was set back");
    }

    #[test]
    fn forged_events_cannot_drive_it() {
        let asked = Asked::default();
        let unknown = |now| asked.may_ask(Why::UnknownSignature, NOT_EMPTY, REFRESH, at(now));
        let note = |read, now| asked.note(Why::UnknownSignature, read, NOT_EMPTY, REFRESH, at(now));
        asked.note(Why::Timer, Read::Whole, NOT_EMPTY, REFRESH, at(1000));
        let allowed = |read| {
            let allowed = (1000..1100).filter(|now| {
                let may = unknown(*now);
                if may {
                    note(read, *now);
                }
                may
            });
            allowed.count()
        };
        assert_eq!(
            allowed(Read::Whole),
            10,
            "the keys may have changed just now"
        );
        asked.unknown_from.set(None);
        assert_eq!(
            allowed(Read::Not),
            100,
            "while the store fails, once a second"
        );
    }

    #[test]
    fn the_previous_version_counts_by_the_later_of_both() {
        let day = Duration::from_hours(24);
        let now = at(1_000_000);
        let (old, new, to_come) = (Some(at(1000)), Some(at(999_000)), Some(at(1_000_009)));
        for (current, previous, older) in [
            (old, old, true),
            (new, old, false),
            (old, new, false), // a step back
            (to_come, old, false),
            (None, None, false),
        ] {
            assert_eq!(is_older([current, previous], day, now), older);
        }
    }
}
