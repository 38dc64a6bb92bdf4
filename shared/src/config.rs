//! What the operator chose, read once at cold start. Everything that is wrong is said at once, and then nothing starts.

use std::{path::PathBuf, time::Duration};

use aws_sdk_sqs::config::Credentials;
use tracing::level_filters::LevelFilter;

use crate::{
    deadline::ANSWER_MARGIN,
    deliver::sqs::QueueSettings,
    environment::Environment,
    event::Contract,
    verify::{
        Version,
        keyring::{Source, StoreSettings},
        secret::{EXAMPLE, Schemes, Secret},
    },
};

/// The word with which an operator lets anybody in.
const ACCEPT_UNSIGNED: &str = "accept-unsigned";

/// A hook may wait this long at most: API Gateway waits no longer either.
const HOOK_TIMEOUT_MAX: Duration = Duration::from_secs(30);

/// Of a shorter timeout, less would be left for the event than for the answer's way back.
const HOOK_TIMEOUT_MIN: Duration = ANSWER_MARGIN.saturating_mul(2);

/// Names the file of the channel's rules.
pub const RULES_FILE: &str = "RULES_FILE";

/// How talkative the logs can be. What is below is left out of a function when it is built (`release_max_level_info` in Cargo.toml):
/// AWS's client alone would have thousands of lines. Development builds have them, to show that none of them gets through.
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

/// The choices of the operator.
#[derive(Debug)]
pub struct Settings {
    /// Where the secret is: who can vouch for a body.
    pub secret: Source,
    /// The hook's own timeout, in the shop.
    pub hook_timeout: Duration,
    /// CloudEvents `source`; without it the envelope's merchant and environment.
    pub source: Option<String>,
    /// Whether what the shop sent travels along untouched.
    pub forward_original: bool,
    /// What becomes of events with issues.
    pub contract: Contract,
    /// URL of the queue to which unusable events go; without it they are refused.
    pub quarantine_url: Option<String>,
    /// How talkative the logs are.
    pub log_level: LevelFilter,
    /// CloudWatch's namespace for the metrics; without it there are none.
    pub metrics_namespace: Option<String>,
    /// Where the channel's rules stand.
    pub rules_file: PathBuf,
    /// Where messages go.
    pub queue: QueueSettings,
    /// The function's own region.
    pub region: String,
    /// The function's own credentials.
    pub credentials: Credentials,
}

impl Settings {
    /// Reads the environment. If something is wrong, `environment` has the problems and the settings are of no use.
    pub fn read(environment: &mut Environment<'_>) -> Self {
        let mut reader = Reader(environment);
        let hook_timeout = reader.hook_timeout();
        let secret = reader.secret();
        let queue_url = reader
            .0
            .required("QUEUE_URL", "the URL of the SQS FIFO queue is missing");
        Self {
            secret,
            hook_timeout,
            source: reader.source(),
            forward_original: reader.0.choice(
                "FORWARD_ORIGINAL",
                true,
                &[("true", true), ("false", false)],
            ),
            contract: reader.0.choice(
                "CONTRACT",
                Contract::Tolerant,
                &[
                    ("tolerant", Contract::Tolerant),
                    ("strict", Contract::Strict),
                ],
            ),
            quarantine_url: reader.quarantine_url(),
            log_level: reader.0.choice("LOG_LEVEL", LevelFilter::INFO, LOG_LEVELS),
            metrics_namespace: reader.metrics_namespace(),
            rules_file: reader
                .0
                .required(RULES_FILE, "the path of the channel's rules is missing")
                .into(),
            queue: QueueSettings {
                endpoint: reader.queue_endpoint(&queue_url),
                url: queue_url,
                budget: hook_timeout.saturating_sub(ANSWER_MARGIN),
            },
            region: reader
                .0
                .required("AWS_REGION", "the region is missing; Lambda sets it"),
            credentials: Credentials::new(
                reader.0.required(
                    "AWS_ACCESS_KEY_ID",
                    "the credentials are missing; Lambda sets them",
                ),
                reader.0.required(
                    "AWS_SECRET_ACCESS_KEY",
                    "the credentials are missing; Lambda sets them",
                ),
                reader.0.optional("AWS_SESSION_TOKEN"),
                None,
                "environment",
            ),
        }
    }
}

/// The parameters that are more than a choice.
struct Reader<'e, 'v>(&'e mut Environment<'v>);

impl Reader<'_, '_> {
    fn hook_timeout(&mut self) -> Duration {
        const NAME: &str = "HOOK_TIMEOUT_MS";
        if self.0.optional(NAME).is_none() {
            self.0.add_problem(
                NAME,
                "the hook's timeout in milliseconds, as the shop has it, is missing",
            );
        }
        self.0
            .milliseconds(NAME, Duration::ZERO, HOOK_TIMEOUT_MIN..=HOOK_TIMEOUT_MAX)
    }

    fn quarantine_url(&mut self) -> Option<String> {
        const NAME: &str = "QUARANTINE_QUEUE_URL";
        let choices = [("refuse", false), ("quarantine", true)];
        if !self.0.choice("INVALID_EVENTS", false, &choices) {
            return None;
        }
        let url = self.0.required(
            NAME,
            "the URL of the SQS FIFO queue for unusable events is missing",
        );
        if !url.is_empty() && origin(&url).is_none() {
            self.0.add_problem(NAME, NOT_A_URL);
        }
        Some(url)
    }

    fn source(&mut self) -> Option<String> {
        let source = self.0.optional("EVENT_SOURCE")?;
        let allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
        if !source.bytes().all(allowed) {
            self.0
                .add_problem("EVENT_SOURCE", "must be a URI or a part of one");
        }
        Some(source)
    }

    /// CloudWatch drops metrics of a namespace that it does not like, and says so nowhere near.
    fn metrics_namespace(&mut self) -> Option<String> {
        const NAME: &str = "METRICS_NAMESPACE";
        let namespace = self.0.optional(NAME)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/#:".contains(&byte);
        if namespace.len() > 255 || !namespace.bytes().all(allowed) {
            self.0
                .add_problem(NAME, "must be at most 255 letters, digits, and . - _ / # :");
        } else if namespace.starts_with(':') || namespace.starts_with("AWS/") {
            self.0
                .add_problem(NAME, "must not begin with a colon, nor with AWS/");
        }
        Some(namespace)
    }

    /// Where the queue is asked: where its URL points, unless AWS's own variables say otherwise. An emulator's queue is then
    /// found without them; `sam local invoke` passes on no variable that the template does not name.
    fn queue_endpoint(&mut self, queue_url: &str) -> String {
        let origin = origin(queue_url);
        if origin.is_none() && !queue_url.is_empty() {
            self.0.add_problem("QUEUE_URL", NOT_A_URL);
        }
        self.0
            .optional("AWS_ENDPOINT_URL_SQS")
            .or_else(|| self.0.optional("AWS_ENDPOINT_URL"))
            .or(origin)
            .unwrap_or_default()
    }

    fn schemes(&mut self) -> Schemes {
        let (mut hmac, mut rsa) = (false, false);
        let schemes = self
            .0
            .optional("SIGNATURE_SCHEMES")
            .unwrap_or_else(|| "hmac,rsa".to_owned());
        for scheme in schemes.split(',').map(str::trim) {
            match scheme {
                "hmac" => hmac = true,
                "rsa" => rsa = true,
                ACCEPT_UNSIGNED if schemes.trim() == ACCEPT_UNSIGNED => {
                    return Schemes::AcceptUnsigned;
                }
                _ => self.0.add_problem(
                    "SIGNATURE_SCHEMES",
                    format!("must be hmac, rsa, or hmac,rsa; or {ACCEPT_UNSIGNED} alone, to take events from anybody"),
                ),
            }
        }
        Schemes::Chosen { hmac, rsa }
    }

    fn secret(&mut self) -> Source {
        let schemes = self.schemes();
        let Some(id) = self.0.optional(KEYS_SECRET) else {
            return Source::Inline(self.inline(schemes));
        };
        if self.0.optional(KEYS).is_some() {
            self.0.add_problem(
                KEYS,
                format!("give either {KEYS} or {KEYS_SECRET}, not both"),
            );
        }
        Source::Store(StoreSettings {
            id: id.trim().to_owned(),
            endpoint: self
                .0
                .optional("AWS_ENDPOINT_URL_SECRETS_MANAGER")
                .or_else(|| self.0.optional("AWS_ENDPOINT_URL")),
            schemes,
            refresh: self.0.seconds(
                "KEYS_REFRESH_SECONDS",
                Duration::from_mins(5),
                Duration::from_secs(1)..=Duration::from_hours(24),
            ),
            previous: self.0.seconds(
                "KEYS_PREVIOUS_SECONDS",
                Duration::from_hours(24),
                Duration::ZERO..=Duration::from_hours(365 * 24),
            ),
        })
    }

    /// The secret in the environment. Here everything that is wrong with it stops the start, because it cannot be mended later.
    fn inline(&mut self, schemes: Schemes) -> Secret {
        let text = self.0.optional(KEYS).unwrap_or_else(|| "{}".to_owned());
        let (secret, problems) = Secret::read(&text, schemes, Version::Inline);
        let fine = problems.is_empty();
        for problem in problems {
            self.0.add_problem(KEYS, problem);
        }
        if fine && secret.keys.is_empty() {
            self.0.add_problem(
                KEYS,
                format!(
                    "there is no key, so no event could ever be verified; give {EXAMPLE}, or name a secret of Secrets Manager in \
                     {KEYS_SECRET}, or choose SIGNATURE_SCHEMES={ACCEPT_UNSIGNED} to take events from anybody"
                ),
            );
        }
        secret
    }
}

const NOT_A_URL: &str = "must be a URL with http or https";

/// Scheme and host of a URL.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next().filter(|host| !host.is_empty())?;
    matches!(scheme, "http" | "https").then(|| format!("{scheme}://{host}"))
}

/// Holds the secret itself, as JSON: for local use.
const KEYS: &str = "WEBHOOK_KEYS";

/// Names the secret in Secrets Manager: its ARN or name.
const KEYS_SECRET: &str = "WEBHOOK_KEYS_SECRET";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Misconfiguration;

    const PEM: &str = include_str!("../tests/signature/public-key.pem");

    fn read(changes: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let usual = [
            (
                "QUEUE_URL",
                "https://sqs.eu-west-1.amazonaws.com/1/erp.fifo",
            ),
            ("HOOK_TIMEOUT_MS", "5000"),
            ("RULES_FILE", "rules.json"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "hidden"),
            ("WEBHOOK_KEYS", r#"{"hmac_secrets":"0123456789abcdef"}"#),
        ];
        let find = |list: &[(&str, &str)], name: &str| {
            list.iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        let variable = |name: &str| find(changes, name).or_else(|| find(&usual, name));
        let mut environment = Environment::new(&variable);
        let settings = Settings::read(&mut environment);
        let problems = environment.into_problems();
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(problems.iter().map(ToString::to_string).collect())
        }
    }

    fn keys(json: &str, schemes: &str) -> Result<String, Vec<String>> {
        read(&[("WEBHOOK_KEYS", json), ("SIGNATURE_SCHEMES", schemes)]).map(|settings| {
            match settings.secret {
                Source::Inline(secret) => format!("{:?}", secret.keys),
                Source::Store(_) => "in a store".to_owned(),
            }
        })
    }

    #[test]
    fn the_usual_settings_are_enough() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.hook_timeout, Duration::from_secs(5));
        assert_eq!(settings.queue.budget, Duration::from_millis(4_700));
        assert_eq!((settings.source, settings.forward_original), (None, true));
        assert_eq!(settings.log_level, LevelFilter::INFO);
        assert_eq!(
            (settings.contract, settings.quarantine_url),
            (Contract::Tolerant, None)
        );
        assert_eq!(settings.metrics_namespace, None);
        assert_eq!(
            settings.queue.endpoint,
            "https://sqs.eu-west-1.amazonaws.com"
        );
    }

    #[test]
    fn the_operator_can_choose() {
        let settings = read(&[
            ("EVENT_SOURCE", "https://shop.example"),
            ("FORWARD_ORIGINAL", "false"),
            ("LOG_LEVEL", "DEBUG"),
            ("CONTRACT", "strict"),
            ("INVALID_EVENTS", "quarantine"),
            (
                "QUARANTINE_QUEUE_URL",
                "https://sqs.example/1/quarantine.fifo",
            ),
            ("METRICS_NAMESPACE", "CommerceWebhooks/my-stack"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
        ])
        .unwrap();
        assert_eq!(
            (settings.source.as_deref(), settings.forward_original),
            (Some("https://shop.example"), false)
        );
        assert_eq!(settings.log_level, LevelFilter::DEBUG);
        assert_eq!(settings.contract, Contract::Strict);
        assert_eq!(
            settings.quarantine_url.as_deref(),
            Some("https://sqs.example/1/quarantine.fifo")
        );
        assert_eq!(
            settings.metrics_namespace.as_deref(),
            Some("CommerceWebhooks/my-stack")
        );
        assert_eq!(settings.queue.endpoint, "http://127.0.0.1:4566");
    }

    #[test]
    fn the_queue_is_asked_where_its_url_points_unless_told_otherwise() {
        let endpoint = |changes: &[(&str, &str)]| read(changes).unwrap().queue.endpoint;
        let local = ("QUEUE_URL", "http://localhost:4566/000000000000/erp.fifo");
        assert_eq!(endpoint(&[local]), "http://localhost:4566");
        let (general, own) = (
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:2"),
        );
        assert_eq!(endpoint(&[local, general]), "http://127.0.0.1:1");
        assert_eq!(endpoint(&[local, general, own]), "http://127.0.0.1:2");
    }

    #[test]
    fn no_configuration_at_all_is_refused_with_every_reason() {
        let mut environment = Environment::new(&|_| None);
        Settings::read(&mut environment);
        let problems = environment.into_problems();
        let variables: Vec<_> = problems.iter().map(Misconfiguration::variable).collect();
        let expected = [
            "HOOK_TIMEOUT_MS",
            "WEBHOOK_KEYS",
            "QUEUE_URL",
            "RULES_FILE",
            "AWS_REGION",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
        ];
        assert_eq!(variables, expected);
    }

    #[test]
    fn keys_come_as_one_or_as_a_list_and_only_chosen_schemes_count() {
        let pem = PEM.replace('\n', "\\r\\n");
        let both = format!(
            r#"{{"hmac_secrets":["0123456789abcdef","fedcba9876543210"],"public_keys":["{pem}{pem}","{pem}"]}}"#
        );
        assert_eq!(keys(&both, "").unwrap(), "2 secrets, 3 public keys");
        assert_eq!(keys(&both, "hmac").unwrap(), "2 secrets, 0 public keys");
        assert_eq!(keys(&both, "rsa").unwrap(), "0 secrets, 3 public keys");
        assert_eq!(
            keys(&format!(r#"{{"public_keys":"{pem}"}}"#), "hmac, rsa").unwrap(),
            "0 secrets, 1 public keys"
        );
        assert_eq!(
            keys(
                r#"{"public_keys":[],"hmac_secrets":"0123456789abcdef"}"#,
                ""
            )
            .unwrap(),
            "1 secrets, 0 public keys"
        );
    }

    #[test]
    fn the_secret_is_inline_or_in_a_store_but_not_both() {
        let store = [
            ("WEBHOOK_KEYS", ""),
            ("WEBHOOK_KEYS_SECRET", "arn:aws:secretsmanager:…"),
        ];
        let Source::Store(settings) = read(&store).unwrap().secret else {
            panic!("inline");
        };
        assert_eq!(settings.id, "arn:aws:secretsmanager:…");
        assert_eq!(settings.endpoint, None);
        assert_eq!(
            (settings.refresh, settings.previous),
            (Duration::from_mins(5), Duration::from_hours(24))
        );
        let both = [("WEBHOOK_KEYS_SECRET", "keys")];
        assert_eq!(
            read(&both).unwrap_err(),
            ["WEBHOOK_KEYS: give either WEBHOOK_KEYS or WEBHOOK_KEYS_SECRET, not both"]
        );
        for (name, value) in [
            ("KEYS_REFRESH_SECONDS", "0"),
            ("KEYS_REFRESH_SECONDS", "5 min"),
            ("KEYS_PREVIOUS_SECONDS", "-1"),
            ("KEYS_PREVIOUS_SECONDS", "31536001"),
            ("KEYS_PREVIOUS_SECONDS", "nan"),
            ("KEYS_PREVIOUS_SECONDS", "-0.1"),
        ] {
            let problems = read(&[store[0], store[1], (name, value)]).unwrap_err();
            assert!(
                problems.len() == 1 && problems[0].starts_with(name),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn a_number_is_read_however_cloudformation_lets_it_be_written() {
        let timeout = |text| read(&[("HOOK_TIMEOUT_MS", text)]).unwrap().hook_timeout;
        for (text, milliseconds) in [
            ("1000.5", 1_000.5),
            ("1e3", 1_000.0),
            ("1E3", 1_000.0),
            ("+5000", 5_000.0),
            (" 5000 ", 5_000.0),
            ("05000", 5_000.0),
            ("5000.", 5_000.0),
            ("600", 600.0),
            ("600.0", 600.0),
            ("30000", 30_000.0),
        ] {
            assert_eq!(
                timeout(text),
                Duration::from_secs_f64(milliseconds / 1_000.0),
                "{text}"
            );
        }
        let store = |name, text| {
            let settings = read(&[
                ("WEBHOOK_KEYS", ""),
                ("WEBHOOK_KEYS_SECRET", "keys"),
                (name, text),
            ]);
            let Source::Store(settings) = settings.unwrap().secret else {
                panic!("inline");
            };
            (settings.refresh, settings.previous)
        };
        let second = Duration::from_secs(1);
        assert_eq!(store("KEYS_REFRESH_SECONDS", "1.5").0, second * 3 / 2);
        assert_eq!(store("KEYS_REFRESH_SECONDS", "8.64e4").0, second * 86_400);
        for zero in ["0", "0.0", "-0", "0e5"] {
            assert!(store("KEYS_PREVIOUS_SECONDS", zero).1.is_zero(), "{zero}");
        }
    }

    #[test]
    fn anybody_is_let_in_only_in_words() {
        assert_eq!(
            keys("{}", "accept-unsigned").unwrap(),
            "unsigned bodies accepted"
        );
        for schemes in [
            "none",
            "unsigned",
            "hmac,accept-unsigned",
            "accept-unsigned,rsa",
            "HMAC",
        ] {
            assert!(
                keys(r#"{"hmac_secrets":"0123456789abcdef"}"#, schemes).is_err(),
                "{schemes}"
            );
        }
    }

    #[test]
    fn no_reason_holds_a_secret() {
        let cases = [
            ("{}", "there is no key"),
            (
                r#"{"hmac_secrets":"hush"}"#,
                "hmac_secrets/0: the secret is shorter than 16 bytes",
            ),
            (
                r#"{"hmac_secrets":["0123456789abcdef",""]}"#,
                "hmac_secrets/1: the secret is empty or white space",
            ),
            (
                r#"{"hmac_secrets":["-----BEGIN PUBLIC KEY----- hush"]}"#,
                "hmac_secrets/0: the secret is a PEM text",
            ),
            (
                r#"{"public_keys":["-----BEGIN PRIVATE KEY----- hush"]}"#,
                "public_keys/0: is a private key",
            ),
            (r#"{"public_keys":"hush"}"#, "public_keys/0: no PEM block"),
            (
                r#"{"hmac_secrets":"0123456789abcdef","hush":"hush"}"#,
                "holds something else",
            ),
            ("hush", "must be JSON"),
            (r#"{"hmac_secrets":{"hush":1}}"#, "must be a string"),
            (
                r#"{"hmac_secrets":"0123456789abcdef","stock_token":12345}"#,
                "stock_token: must be a string",
            ),
            (
                "{\"hmac_secrets\":\"0123456789abcdef\",\"stock_token\":\"hush\\n\"}",
                "stock_token: must be one line of ASCII",
            ),
            (
                r#"{"hmac_secrets":"0123456789abcdef","stock_token":" "}"#,
                "stock_token: is empty",
            ),
        ];
        for (json, reason) in cases {
            let problems = keys(json, "").unwrap_err();
            assert!(
                problems.len() == 1
                    && problems[0].starts_with("WEBHOOK_KEYS: ")
                    && problems[0].contains(reason),
                "{problems:?}"
            );
            assert!(!problems[0].contains("hush"), "{problems:?}");
        }
        let many = format!(
            r#"{{"hmac_secrets":[{}]}}"#,
            vec![r#""0123456789abcdef""#; crate::verify::KEYS_MAX + 1].join(",")
        );
        assert_eq!(
            keys(&many, "").unwrap_err(),
            ["WEBHOOK_KEYS: hmac_secrets: more than 16"]
        );
        assert!(!format!("{:?}", read(&[]).unwrap()).contains("hidden"));
    }

    #[test]
    fn other_values_are_looked_at_too() {
        for (name, value) in [
            ("QUEUE_URL", "erp.fifo"),
            ("QUEUE_URL", "ftp://sqs.example/1/erp.fifo"),
            ("QUEUE_URL", "https:///1/erp.fifo"),
            ("EVENT_SOURCE", "my shop"),
            ("EVENT_SOURCE", "https://caf\u{e9}.example"),
            ("HOOK_TIMEOUT_MS", "0"),
            ("HOOK_TIMEOUT_MS", "5s"),
            ("HOOK_TIMEOUT_MS", "599.9"),
            ("HOOK_TIMEOUT_MS", "30000.1"),
            ("HOOK_TIMEOUT_MS", "30001"),
            ("HOOK_TIMEOUT_MS", "-5000"),
            ("HOOK_TIMEOUT_MS", "1e300"),
            ("HOOK_TIMEOUT_MS", "inf"),
            ("HOOK_TIMEOUT_MS", "NaN"),
            ("HOOK_TIMEOUT_MS", "0x1388"),
            ("HOOK_TIMEOUT_MS", "5_000"),
            ("LOG_LEVEL", "loud"),
            ("FORWARD_ORIGINAL", "1"),
            ("METRICS_NAMESPACE", "Commerce Webhooks"),
            ("METRICS_NAMESPACE", "Caf\u{e9}"),
            ("METRICS_NAMESPACE", "a\"b"),
            ("METRICS_NAMESPACE", ":CommerceWebhooks"),
            ("METRICS_NAMESPACE", "AWS/Lambda"),
            ("METRICS_NAMESPACE", &"n".repeat(256)),
        ] {
            let problems = read(&[(name, value)]).unwrap_err();
            assert!(
                problems.len() == 1 && problems[0].starts_with(name),
                "{problems:?}"
            );
        }
    }
}
