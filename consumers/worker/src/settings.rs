//! What the operator chose, read once at cold start. Everything that is wrong is said at once, and then nothing starts.

use std::{ops::RangeInclusive, time::Duration};

use aws_sdk_sqs::config::{Credentials, timeout::TimeoutConfig};
use tracing::level_filters::LevelFilter;

use crate::{
    attempts::Policy,
    work::{Content, ErpSettings, check_url},
};

/// How long one attempt of AWS's client may take, and all of them together.
const ATTEMPT_MAX: Duration = Duration::from_millis(1500);
pub(crate) const OPERATION_MAX: Duration = Duration::from_secs(3);

/// How long the ERP system may take, unless the operator says otherwise, and how long it may be allowed: with AWS's time it must fit
/// into the function's own 60 seconds.
const ERP_TIMEOUT: Duration = Duration::from_secs(5);
const ERP_TIMEOUT_MS: RangeInclusive<u64> = 100..=15_000;

/// How failures are treated, unless the operator says otherwise, and the limits of what may be said.
const RETRY: Policy = Policy {
    pause_min: Duration::from_secs(15),
    pause_max: Duration::from_mins(30),
    give_up_after: Duration::from_hours(1),
};
const PAUSE_SECONDS: RangeInclusive<u64> = 1..=3600;
const GIVE_UP_SECONDS: RangeInclusive<u64> = 1..=86_400;

/// What is below is left out when it is built, except for development.
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
pub(crate) struct Settings {
    pub(crate) log_level: LevelFilter,
    pub(crate) aws: Aws,
    /// The DynamoDB table that knows what is done.
    pub(crate) table: String,
    pub(crate) queue_url: String,
    pub(crate) dead_letter_queue_url: String,
    pub(crate) erp: ErpSettings,
    pub(crate) retry: Policy,
    pub(crate) expected_issues: ExpectedIssues,
}

/// What is done with an event that lacks what its channel expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExpectedIssues {
    /// It goes to the dead-letter queue, for somebody to look at.
    SetAside,
    /// It is worked on like any other.
    Take,
}

/// How AWS is reached. All of it from the environment that Lambda sets.
pub(crate) struct Aws {
    pub(crate) region: String,
    pub(crate) credentials: Credentials,
    /// Where the services are, if not at AWS.
    pub(crate) sqs: Option<String>,
    pub(crate) dynamodb: Option<String>,
}

impl Aws {
    /// The time limits of AWS's clients.
    pub(crate) fn timeouts() -> TimeoutConfig {
        TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_MAX)
            .operation_timeout(OPERATION_MAX)
            .build()
    }
}

impl Settings {
    /// Reads the environment, through `variable`. The problems never quote a secret.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let mut reader = Reader {
            variable,
            problems: Vec::new(),
        };
        let everywhere = reader.optional("AWS_ENDPOINT_URL");
        let endpoint = |reader: &Reader<_>, name| reader.optional(name).or(everywhere.clone());
        let settings = Self {
            aws: Aws {
                sqs: endpoint(&reader, "AWS_ENDPOINT_URL_SQS"),
                dynamodb: endpoint(&reader, "AWS_ENDPOINT_URL_DYNAMODB"),
                region: reader.required("AWS_REGION", "the region, which Lambda sets,"),
                credentials: Credentials::new(
                    reader.required("AWS_ACCESS_KEY_ID", "the key, which Lambda sets,"),
                    reader.required("AWS_SECRET_ACCESS_KEY", "the key, which Lambda sets,"),
                    reader.optional("AWS_SESSION_TOKEN"),
                    None,
                    "environment",
                ),
            },
            table: reader.required("TABLE", "the name of the DynamoDB table"),
            queue_url: reader.required("QUEUE_URL", "the URL of the queue"),
            dead_letter_queue_url: reader
                .required("DEAD_LETTER_QUEUE_URL", "the URL of the dead-letter queue"),
            erp: reader.erp(),
            retry: reader.retry(),
            expected_issues: reader.choice(
                "EXPECTED_ISSUES",
                ExpectedIssues::SetAside,
                &[
                    ("set-aside", ExpectedIssues::SetAside),
                    ("take", ExpectedIssues::Take),
                ],
            ),
            log_level: reader.choice("LOG_LEVEL", LevelFilter::INFO, LOG_LEVELS),
        };
        if reader.problems.is_empty() {
            Ok(settings)
        } else {
            Err(reader.problems)
        }
    }
}

struct Reader<V> {
    variable: V,
    problems: Vec<String>,
}

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    fn problem(&mut self, variable: &str, reason: &str) {
        self.problems.push(format!("{variable}: {reason}"));
    }

    fn optional(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.trim().is_empty())
    }

    fn required(&mut self, name: &str, what: &str) -> String {
        let value = self.optional(name);
        if value.is_none() {
            self.problem(name, &format!("{what} is missing"));
        }
        value.unwrap_or_default()
    }

    fn whole(&mut self, name: &str, unit: &str, range: &RangeInclusive<u64>) -> Option<u64> {
        let text = self.optional(name)?;
        let number = text.trim().parse().ok();
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            let reason = format!("must be a number of {unit} from {least} to {most}");
            self.problem(name, &reason);
        }
        number
    }

    fn choice<T: Copy>(&mut self, name: &str, default: T, choices: &[(&str, T)]) -> T {
        let Some(value) = self.optional(name) else {
            return default;
        };
        let chosen = choices.iter().find(|(word, _)| *word == value.trim());
        if chosen.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            self.problem(name, &format!("must be one of {}", words.join(", ")));
        }
        chosen.map_or(default, |(_, choice)| *choice)
    }

    fn erp(&mut self) -> ErpSettings {
        let url = self.required("ERP_URL", "the URL that events are posted to");
        if let (false, Err(reason)) = (url.is_empty(), check_url(&url)) {
            self.problem("ERP_URL", reason);
        }
        let token = self.optional("ERP_TOKEN");
        let is_plain = |token: &String| token.bytes().all(|byte| byte.is_ascii_graphic());
        if !token.as_ref().is_none_or(is_plain) {
            self.problem("ERP_TOKEN", "must be one word of ASCII");
        }
        let timeout = self.whole("ERP_TIMEOUT_MS", "milliseconds", &ERP_TIMEOUT_MS);
        let contents = [("entity", Content::Entity), ("event", Content::Event)];
        ErpSettings {
            url,
            token,
            timeout: timeout.map_or(ERP_TIMEOUT, Duration::from_millis),
            content: self.choice("ERP_CONTENT", Content::Entity, &contents),
        }
    }

    fn retry(&mut self) -> Policy {
        let mut seconds = |name, range, default| {
            self.whole(name, "seconds", range)
                .map_or(default, Duration::from_secs)
        };
        let policy = Policy {
            pause_min: seconds("PAUSE_MIN_SECONDS", &PAUSE_SECONDS, RETRY.pause_min),
            pause_max: seconds("PAUSE_MAX_SECONDS", &PAUSE_SECONDS, RETRY.pause_max),
            give_up_after: seconds(
                "GIVE_UP_AFTER_SECONDS",
                &GIVE_UP_SECONDS,
                RETRY.give_up_after,
            ),
        };
        if policy.pause_max < policy.pause_min {
            self.problem("PAUSE_MAX_SECONDS", "must not be below PAUSE_MIN_SECONDS");
        }
        policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOUGH: [(&str, &str); 7] = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "b"),
        ("TABLE", "t"),
        ("QUEUE_URL", "https://sqs.example/1/erp.fifo"),
        ("DEAD_LETTER_QUEUE_URL", "https://sqs.example/1/dead.fifo"),
        ("ERP_URL", "https://erp.example/events"),
    ];

    fn read(variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        Settings::read(|name| {
            let known = variables.iter().rev().find(|(known, _)| *known == name);
            known.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_usual_settings_are_enough() {
        let settings = read(&ENOUGH)
            .map_err(|problems| problems.join("\n"))
            .unwrap();
        assert_eq!(
            (settings.log_level, settings.erp.timeout),
            (LevelFilter::INFO, ERP_TIMEOUT)
        );
        assert_eq!(
            (settings.erp.content, settings.erp.token),
            (Content::Entity, None)
        );
        assert_eq!((settings.aws.sqs, settings.aws.dynamodb), (None, None));
        assert_eq!(settings.expected_issues, ExpectedIssues::SetAside);
        let more = [
            ("ERP_TIMEOUT_MS", "300"),
            ("PAUSE_MIN_SECONDS", "1"),
            ("PAUSE_MAX_SECONDS", "1"),
            ("GIVE_UP_AFTER_SECONDS", "9"),
            ("ERP_CONTENT", "event"),
            ("EXPECTED_ISSUES", "take"),
            ("AWS_ENDPOINT_URL", "http://a"),
            ("AWS_ENDPOINT_URL_SQS", "http://b"),
        ];
        let settings = read(&[&ENOUGH[..], &more].concat())
            .map_err(|problems| problems.join("\n"))
            .unwrap();
        assert_eq!(
            (settings.erp.timeout.as_millis(), settings.erp.content),
            (300, Content::Event)
        );
        assert_eq!(settings.expected_issues, ExpectedIssues::Take);
        let Policy {
            pause_min,
            pause_max,
            give_up_after,
        } = settings.retry;
        assert_eq!(
            [pause_min, pause_max, give_up_after].map(|time| time.as_secs()),
            [1, 1, 9]
        );
        assert_eq!(
            (
                settings.aws.sqs.as_deref(),
                settings.aws.dynamodb.as_deref()
            ),
            (Some("http://b"), Some("http://a"))
        );
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once_and_no_secret_is() {
        let names = |problems: Vec<String>| {
            let names = problems
                .iter()
                .map(|problem| problem.split(':').next().unwrap().to_owned());
            names.collect::<Vec<_>>()
        };
        let missing = ENOUGH.map(|(name, _)| name);
        assert_eq!(names(read(&[]).err().unwrap()), missing);
        let wrong = [
            ("ERP_URL", "http://erp.example/"),
            ("ERP_TOKEN", "hush\nhush"),
            ("ERP_TIMEOUT_MS", "0"),
            ("ERP_CONTENT", "all"),
            ("PAUSE_MIN_SECONDS", "0"),
            ("PAUSE_MAX_SECONDS", "1.5"),
            ("GIVE_UP_AFTER_SECONDS", "-1"),
            ("EXPECTED_ISSUES", "ignore"),
            ("LOG_LEVEL", "loud"),
        ];
        let problems = read(&[&ENOUGH[..], &wrong].concat()).err().unwrap();
        assert!(!problems.concat().contains("hush"), "{problems:?}");
        assert_eq!(names(problems), wrong.map(|(name, _)| name));
    }
}
