//! What the merchant keeps secret: the keys that vouch for an event, and the stock system's token. As JSON, in one secret of AWS
//! Secrets Manager, or inline for local use.
//!
//! The keys are read at cold start and kept in memory. They are read again on a timer, and once when a signature fits none of
//! them, so that a new key needs no deployment. While Secrets Manager is away, the known keys keep working.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
    time::{Duration, SystemTime},
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
use serde::Deserialize;
use tracing::{debug, error};

use crate::{
    aws::{Aws, classify},
    deadline::Deadline,
    error::Trouble,
    signature::{HmacSecret, KEYS_MAX, KeyError, KeyList, KeyName, Keys, RsaKey, Version, named},
};

/// A signature that fits no known key, and then no newer one either, has the keys read again at most this often, so that whoever
/// sends forged events cannot make the function spend its time, or the account its quota, on Secrets Manager.
pub const FORGED_PAUSE: Duration = Duration::from_secs(10);

/// When the keys could not be read, and older ones are known, they are tried again this much later.
const RETRY_PAUSE: Duration = Duration::from_secs(15);

/// When no key is known at all, nothing can be accepted, so they are tried again sooner.
const EMPTY_PAUSE: Duration = Duration::from_secs(1);

/// The longest that one request waits for Secrets Manager. It also never takes more than a quarter of what is left, or half when
/// no key is known and there is nothing else to do.
const WAIT_MAX: Duration = Duration::from_secs(1);

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
        let Ok(given) = serde_json::from_str::<Given>(json) else {
            return (secret, vec![format!("must be JSON, as in {EXAMPLE}")]);
        };
        let mut problems = Vec::new();
        if let (Schemes::Chosen { hmac, rsa }, Keys::Known { .. }) = (schemes, &secret.keys) {
            let hmac = read_list(
                KeyList::Hmac,
                &given.hmac_secrets.0,
                hmac,
                version,
                &mut problems,
                |text| HmacSecret::new(text).map(|secret| vec![secret]),
            );
            let rsa = read_list(
                KeyList::Rsa,
                &given.public_keys.0,
                rsa,
                version,
                &mut problems,
                RsaKey::from_pem,
            );
            secret.keys = Keys::Known { hmac, rsa };
        }
        match given.stock_token.as_deref().map(Token::new) {
            Some(Err(reason)) => problems.push(format!("stock_token: {reason}")),
            token => secret.stock_token = token.and_then(Result::ok),
        }
        (secret, problems)
    }
}

/// The keys of one list of the secret, under the names of their places.
fn read_list<K>(
    list: KeyList,
    given: &[String],
    wanted: bool,
    version: Version,
    problems: &mut Vec<String>,
    read: impl Fn(&str) -> Result<Vec<K>, KeyError>,
) -> Vec<(KeyName, K)> {
    let mut keys = Vec::new();
    for (index, text) in given.iter().enumerate().filter(|_| wanted) {
        match read(text) {
            Ok(found) => keys.extend(found),
            Err(error) => problems.push(format!("{list}, number {}: {error}", index + 1)),
        }
    }
    if keys.len() > KEYS_MAX {
        problems.push(format!("{list}: more than {KEYS_MAX}"));
        keys.truncate(KEYS_MAX);
    }
    named(version, list, keys)
}

/// How the secret looks.
pub const EXAMPLE: &str = r#"{"hmac_secrets":["…"],"public_keys":["-----BEGIN PUBLIC KEY-----…"]}"#;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Given {
    hmac_secrets: OneOrMany,
    public_keys: OneOrMany,
    stock_token: Option<String>,
}

/// A list of strings, or one string alone, as Secrets Manager generates it.
#[derive(Default, Deserialize)]
#[serde(from = "Strings")]
struct OneOrMany(Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Strings {
    One(String),
    Many(Vec<String>),
}

impl From<Strings> for OneOrMany {
    fn from(strings: Strings) -> Self {
        Self(match strings {
            Strings::One(string) => vec![string],
            Strings::Many(strings) => strings,
        })
    }
}

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
        self.read(Why::Timer, limit).await;
        if self.known().keys.is_empty() {
            error!(
                "no key is at hand: until the secret can be read, every event is answered with 503"
            );
            // It may have been but a hiccup, so the first event has a try of its own.
            if let Some(store) = &self.store {
                store.asked.tried.set(None);
            }
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
            store.asked.unknown.set(None);
        }
    }

    fn known(&self) -> Rc<Secret> {
        Rc::clone(&self.known.borrow())
    }

    /// Reads the secret, if there is a reason and it is not too soon. True if it was read.
    async fn read(&self, why: Why, limit: Duration) -> bool {
        let Some(store) = &self.store else {
            return false;
        };
        let known = self.known();
        let now = SystemTime::now();
        if !store
            .asked
            .may_ask(why, known.keys.is_empty(), store.settings.refresh, now)
        {
            return false;
        }
        store.asked.note(why, now);
        let read = tokio::time::timeout(limit, store.read(&known, now)).await;
        match read.unwrap_or(Err(Trouble::TimedOut)) {
            Ok((secret, whole)) => {
                debug!(keys = ?secret.keys, "keys read");
                store.asked.read.set(whole.then_some(now));
                self.known.replace(Rc::new(secret));
                true
            }
            Err(trouble) => {
                error!(
                    store_error = trouble.name(),
                    known = ?known.keys,
                    "keys not read; the known ones keep working"
                );
                false
            }
        }
    }
}

/// When the store was asked. By the wall clock, which also counts the time for which Lambda freezes a function.
#[derive(Debug, Default)]
struct Asked {
    /// When the keys that are known were read, if that went well.
    read: Cell<Option<SystemTime>>,
    /// When they were last asked for.
    tried: Cell<Option<SystemTime>>,
    /// When that was because of a signature that fits none.
    unknown: Cell<Option<SystemTime>>,
}

impl Asked {
    fn may_ask(&self, why: Why, empty: bool, refresh: Duration, now: SystemTime) -> bool {
        if why == Why::UnknownSignature {
            return passed(self.unknown.get(), FORGED_PAUSE, now);
        }
        let fresh = self
            .read
            .get()
            .is_some_and(|read| !passed(Some(read), refresh, now));
        match (empty, fresh) {
            (true, _) => passed(self.tried.get(), EMPTY_PAUSE, now),
            (false, true) => false,
            (false, false) => passed(self.tried.get(), RETRY_PAUSE.min(refresh), now),
        }
    }

    fn note(&self, why: Why, now: SystemTime) {
        self.tried.set(Some(now));
        if why == Why::UnknownSignature {
            self.unknown.set(Some(now));
        }
    }
}

/// Whether this long has passed since then. A clock that was set back says nothing, so then it has.
fn passed(since: Option<SystemTime>, pause: Duration, now: SystemTime) -> bool {
    since
        .and_then(|since| now.duration_since(since).ok())
        .is_none_or(|age| age >= pause)
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

    /// Reads the current version and, while it still counts, the previous one. Also says whether both could be read.
    async fn read(&self, known: &Secret, now: SystemTime) -> Result<(Secret, bool), Trouble> {
        let current = self.version(CURRENT).await?.ok_or(Trouble::Refused)?;
        let mut secret = self.use_version(&current, Version::Current);
        let came = current
            .created_date()
            .and_then(|date| SystemTime::try_from(*date).ok());
        if came.is_some() && passed(came, self.settings.previous, now) {
            return Ok((secret, true));
        }
        match self.version(PREVIOUS).await {
            Ok(Some(previous)) => secret
                .keys
                .add(&self.use_version(&previous, Version::Previous).keys),
            Ok(None) => {}
            // The keys that are known may be of that version: they keep working until it can be read.
            Err(trouble) => {
                error!(
                    store_error = trouble.name(),
                    "previous keys not read; the known ones keep working"
                );
                secret.keys.add(&known.keys);
                return Ok((secret, false));
            }
        }
        Ok((secret, true))
    }

    /// One version of the secret; `None` if there is none with this label.
    async fn version(&self, stage: &str) -> Result<Option<GetSecretValueOutput>, Trouble> {
        let ask = self.client.get_secret_value();
        match ask
            .secret_id(&self.settings.id)
            .version_stage(stage)
            .send()
            .await
        {
            Ok(version) => Ok(Some(version)),
            Err(SdkError::ServiceError(answer))
                if stage == PREVIOUS && answer.err().is_resource_not_found_exception() =>
            {
                Ok(None)
            }
            Err(reason) => {
                let trouble = classify(&reason);
                // The code is one of AWS's own words.
                error!(
                    store_error = trouble.name(),
                    code = reason.code(),
                    stage,
                    "secret not read"
                );
                Err(trouble)
            }
        }
    }

    /// What can be used of a version. One mistake in it costs no other key.
    fn use_version(&self, version: &GetSecretValueOutput, name: Version) -> Secret {
        let json = version.secret_string().unwrap_or_default();
        let (secret, mut problems) = Secret::read(json, self.settings.schemes, name);
        if problems.is_empty() && secret.keys.is_empty() {
            problems.push("holds no key for the signatures that count".to_owned());
        }
        for problem in problems {
            error!(version = %name, "secret: {problem}");
        }
        secret
    }
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
                "hmac_secrets, number 1: the secret is shorter than 16 bytes",
                "public_keys, number 1: no PEM block \"PUBLIC KEY\" can be read",
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
    fn keys_are_read_again_when_they_are_old_and_sooner_when_that_failed() {
        let asked = Asked::default();
        let timer = |empty, now| asked.may_ask(Why::Timer, empty, REFRESH, at(now));
        assert!(timer(true, 1000), "at cold start");
        asked.note(Why::Timer, at(1000));
        assert!(!timer(true, 1000) && timer(true, 1001), "it failed");
        asked.note(Why::Timer, at(1001));
        asked.read.set(Some(at(1001)));
        assert!(timer(true, 1002), "there is no key in it");
        assert!(!timer(false, 1300) && timer(false, 1301), "they are old");
        asked.note(Why::Timer, at(1301));
        assert!(!timer(false, 1315) && timer(false, 1316), "it failed");
        assert!(timer(false, 900), "the clock was set back");
        asked.read.set(None);
        assert!(
            !timer(false, 1315) && timer(false, 1316),
            "only a part could be read"
        );
    }

    #[test]
    fn forged_events_cannot_drive_it() {
        let asked = Asked::default();
        let unknown = |now| asked.may_ask(Why::UnknownSignature, false, REFRESH, at(now));
        asked.note(Why::Timer, at(1000));
        asked.read.set(Some(at(1000)));
        assert!(unknown(1000), "the keys may have changed just now");
        asked.note(Why::UnknownSignature, at(1000));
        let allowed = (1001..1100).filter(|now| {
            let may = unknown(*now);
            if may {
                asked.note(Why::UnknownSignature, at(*now));
            }
            may
        });
        assert_eq!(allowed.count(), 9);
    }
}
