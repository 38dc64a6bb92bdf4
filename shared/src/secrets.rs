//! What the merchant keeps secret: the keys that vouch for an event, and the stock system's token. As JSON, in one secret of AWS
//! Secrets Manager, or inline for local use.
//!
//! The keys are read at cold start and kept in memory. They are read again on a timer, and once when a signature fits none of
//! them, so that a new key needs no deployment. While Secrets Manager is away, the known keys keep working.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
    time::{Duration, Instant, SystemTime},
};

use aws_sdk_secretsmanager::{
    Client, Config,
    config::{
        BehaviorVersion, Region, StalledStreamProtectionConfig, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata as _, SdkError},
    operation::get_secret_value::GetSecretValueOutput,
};
use serde_json::Value;
use tracing::{debug, error};

use crate::{
    aws::{Aws, classify},
    deadline::Deadline,
    error::Trouble,
    signature::{HmacSecret, KEYS_MAX, KeyError, KeyList, KeyName, Keys, RsaKey, Version},
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

/// What a secret holds, ready for use.
#[derive(Clone, Debug)]
pub struct Secret {
    /// Who can vouch for a body.
    pub keys: Keys,
    /// What the cart channel shows the stock system.
    pub stock_token: Option<Token>,
}

/// A bearer token: one line of ASCII.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    fn new(text: &str) -> Result<Self, &'static str> {
        if text.trim().is_empty() {
            return Err("is empty; leave it out where none is needed");
        }
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err("must be one line of ASCII");
        }
        Ok(Self(text.to_owned()))
    }

    /// The token itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("Token(…)")
    }
}

/// Which signatures count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schemes {
    /// The chosen ones, at least one of them.
    Chosen {
        /// The spec's HMAC.
        hmac: bool,
        /// The shop's RSA.
        rsa: bool,
    },
    /// None is asked for: the operator chose, in words, to take events from anybody.
    AcceptUnsigned,
}

impl Secret {
    /// Nothing: no key and no token.
    fn empty(schemes: Schemes) -> Self {
        let keys = match schemes {
            Schemes::AcceptUnsigned => Keys::AcceptUnsigned,
            Schemes::Chosen { .. } => Keys::none(),
        };
        Self {
            keys,
            stock_token: None,
        }
    }

    /// Takes what can be used out of the JSON of a secret, and says what is wrong with the rest. No reason holds a secret.
    pub fn read(json: &str, schemes: Schemes, version: Version) -> (Self, Vec<String>) {
        let mut secret = Self::empty(schemes);
        // The reader's own words could quote a secret.
        let Ok(Value::Object(mut given)) = serde_json::from_str(json) else {
            return (secret, vec![format!("must be JSON, as in {EXAMPLE}")]);
        };
        let mut problems = Vec::new();
        let hmac = given.remove(HMAC_SECRETS);
        let rsa = given.remove(PUBLIC_KEYS);
        if let Schemes::Chosen {
            hmac: by_hmac,
            rsa: by_rsa,
        } = schemes
        {
            let mut list = KeyReader {
                version,
                problems: &mut problems,
            };
            let one = |text: &str| HmacSecret::new(text).map(|secret| vec![secret]);
            secret.keys = Keys::Known {
                hmac: list.read(KeyList::Hmac, hmac.filter(|_| by_hmac), one),
                rsa: list.read(KeyList::Rsa, rsa.filter(|_| by_rsa), RsaKey::from_pem),
            };
        }
        match given.remove(STOCK_TOKEN) {
            None | Some(Value::Null) => {}
            Some(token) => match token
                .as_str()
                .ok_or("must be a string")
                .and_then(Token::new)
            {
                Ok(token) => secret.stock_token = Some(token),
                Err(reason) => problems.push(format!("{STOCK_TOKEN}: {reason}")),
            },
        }
        if !given.is_empty() {
            problems.push(format!(
                "holds something else than {HMAC_SECRETS}, {PUBLIC_KEYS} and {STOCK_TOKEN}"
            ));
        }
        (secret, problems)
    }
}

/// Reads the lists of keys. A key is named by its place, which stays what it is when another entry cannot be used.
struct KeyReader<'a> {
    version: Version,
    problems: &'a mut Vec<String>,
}

impl KeyReader<'_> {
    fn read<K>(
        &mut self,
        list: KeyList,
        given: Option<Value>,
        read: impl Fn(&str) -> Result<Vec<K>, KeyError>,
    ) -> Vec<(KeyName, K)> {
        let entries = match given {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(entries)) => entries,
            // One alone, as Secrets Manager generates it.
            Some(one) => vec![one],
        };
        let mut keys = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let name = KeyName::new(self.version, list, index);
            match entry.as_str().map(&read) {
                Some(Ok(found)) => keys.extend(found.into_iter().map(|key| (name, key))),
                Some(Err(error)) => self.problems.push(format!("{list}/{index}: {error}")),
                None => self
                    .problems
                    .push(format!("{list}/{index}: must be a string")),
            }
        }
        if keys.len() > KEYS_MAX {
            self.problems.push(format!("{list}: more than {KEYS_MAX}"));
            keys.truncate(KEYS_MAX);
        }
        keys
    }
}

const HMAC_SECRETS: &str = "hmac_secrets";
const PUBLIC_KEYS: &str = "public_keys";
const STOCK_TOKEN: &str = "stock_token";

/// How the secret looks.
pub const EXAMPLE: &str = r#"{"hmac_secrets":["…"],"public_keys":["-----BEGIN PUBLIC KEY-----…"]}"#;

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
        let timeouts = TimeoutConfig::builder().connect_timeout(WAIT_MAX).build();
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(aws.region.clone()))
            .credentials_provider(aws.credentials.clone())
            .http_client(aws.http.clone())
            // The next request tries again; this one has no time to lose.
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        config.set_endpoint_url(settings.endpoint.clone());
        Self {
            client: Client::from_conf(config.build()),
            settings,
            asked: Asked::default(),
        }
    }

    /// Reads both versions, each within its share of the time. What could not be read is made up for with what is known.
    async fn read(
        &self,
        known: &Secret,
        limit: Duration,
        now: SystemTime,
    ) -> Result<Found, Trouble> {
        let started = Instant::now();
        let current = self.version(CURRENT, limit.mul_f32(VERSION_SHARE)).await;
        let left = limit.saturating_sub(started.elapsed());
        let previous = self.version(PREVIOUS, left).await;
        let (Ok(current), Ok(previous)) = (&current, &previous) else {
            return match current {
                // No secret, or nobody to ask: the previous version alone says nothing of what the operator wants now.
                Err(trouble) => Err(trouble),
                Ok(current) => {
                    let (mut secret, _) = self.use_version(current.as_ref(), Version::Current);
                    secret
                        .keys
                        .add(&known.keys.clone().renamed(Version::Previous));
                    Ok(Found {
                        secret,
                        whole: false,
                    })
                }
            };
        };
        let created = [current, previous].map(|version| version.as_ref().and_then(created));
        let (mut secret, flawed) = self.use_version(current.as_ref(), Version::Current);
        // After a step back, the version that is current again is the older of the two.
        if previous.is_some() && !is_older(created, self.settings.previous, now) {
            let (previous, _) = self.use_version(previous.as_ref(), Version::Previous);
            secret.keys.add(&previous.keys);
            if flawed {
                secret.stock_token = secret.stock_token.or(previous.stock_token);
            }
        }
        if flawed && secret.keys.is_empty() {
            return Err(Trouble::Refused);
        }
        Ok(Found {
            secret,
            whole: true,
        })
    }

    /// One version of the secret; `None` if there is no previous one. A broken connection is worth a second try.
    async fn version(
        &self,
        stage: &str,
        limit: Duration,
    ) -> Result<Option<GetSecretValueOutput>, Trouble> {
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
                Ok(Err(reason)) => (classify(&reason), reason.code().map(str::to_owned)),
                Err(_) => (Trouble::TimedOut, None),
            };
            // The code is one of AWS's own words.
            error!(store_error = trouble.name(), code, stage, "secret not read");
            if !again || matches!(trouble, Trouble::Refused | Trouble::TimedOut) {
                return Err(trouble);
            }
            again = false;
        }
    }

    /// What can be used of a version, and whether something is wrong with it. One mistake in it costs no other key.
    fn use_version(&self, version: Option<&GetSecretValueOutput>, name: Version) -> (Secret, bool) {
        let json = version.and_then(GetSecretValueOutput::secret_string);
        let json = json.unwrap_or_default();
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
    age.is_zero()
        || moments
            .into_iter()
            .flatten()
            .max()
            .and_then(|latest| now.duration_since(latest).ok())
            .is_some_and(|passed| passed >= age)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Schemes = Schemes::Chosen {
        hmac: true,
        rsa: true,
    };
    const PEM: &str = include_str!("../tests/signature/public-key.pem");

    fn read(json: &str, schemes: Schemes) -> (String, Vec<String>) {
        let (secret, problems) = Secret::read(json, schemes, Version::Current);
        (format!("{:?}", secret.keys), problems)
    }

    #[test]
    fn one_mistake_costs_no_other_key() {
        let pem = PEM.replace('\n', "\\n");
        let json = format!(
            r#"{{"hmac_secrets":["hush","0123456789abcdef"],"public_keys":["hush","{pem}"],"stock_token":"hush\n"}}"#
        );
        let (keys, problems) = read(&json, BOTH);
        assert_eq!(keys, "1 secrets, 1 public keys");
        assert_eq!(
            problems,
            [
                "hmac_secrets/0: the secret is shorter than 16 bytes",
                "public_keys/0: no PEM block \"PUBLIC KEY\" can be read",
                "stock_token: must be one line of ASCII",
            ]
        );
        assert_eq!(read("hush", BOTH).0, "0 secrets, 0 public keys");
        assert_eq!(
            read("hush", Schemes::AcceptUnsigned).0,
            "unsigned bodies accepted"
        );
    }

    #[test]
    fn of_too_many_keys_the_first_count() {
        let many: Vec<_> = (0..20)
            .map(|number| format!("\"0123456789abcdef/{number}\""))
            .collect();
        let json = format!(r#"{{"hmac_secrets":[{}]}}"#, many.join(","));
        let expected = vec!["hmac_secrets: more than 16".to_owned()];
        assert_eq!(
            read(&json, BOTH),
            ("16 secrets, 0 public keys".to_owned(), expected)
        );
    }

    #[test]
    fn a_token_is_read_whatever_signatures_count_and_never_shown() {
        for schemes in [BOTH, Schemes::AcceptUnsigned] {
            let json = r#"{"stock_token":"hush-hush"}"#;
            let (secret, problems) = Secret::read(json, schemes, Version::Inline);
            assert_eq!(problems, Vec::<String>::new());
            assert_eq!(secret.stock_token.as_ref().unwrap().expose(), "hush-hush");
            assert!(!format!("{secret:?}").contains("hush"), "{secret:?}");
        }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    const REFRESH: Duration = Duration::from_mins(5);

    #[test]
    fn a_key_keeps_its_place_and_a_member_its_mistakes() {
        let json = r#"{"comment":1,"public_keys":null,"stock_token":12345,"hmac_secrets":[7,"short","0123456789abcdef"]}"#;
        let (secret, problems) = Secret::read(json, BOTH, Version::Current);
        let Keys::Known { hmac, .. } = secret.keys else {
            panic!("unsigned");
        };
        let names: Vec<_> = hmac.iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["current/hmac_secrets/2"]);
        assert_eq!(
            problems,
            [
                "hmac_secrets/0: must be a string",
                "hmac_secrets/1: the secret is shorter than 16 bytes",
                "stock_token: must be a string",
                "holds something else than hmac_secrets, public_keys and stock_token",
            ]
        );
        for json in ["[]", "7", "", "{\"hmac_secrets\":"] {
            let (_, problems) = read(json, BOTH);
            assert!(problems[0].starts_with("must be JSON"), "{json}");
        }
    }

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
        assert!(is_older([new, old], Duration::ZERO, now));
        assert!(is_older([to_come, old], Duration::ZERO, now));
    }
}
