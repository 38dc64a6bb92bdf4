//! The settings: environment variables, read once at cold start. If any is wrong, the function
//! logs all problems and does not start. The module that uses a setting describes its effect.

use std::{ops::RangeInclusive, time::Duration};

use aws_sdk_sqs::config::Credentials;
use tracing::level_filters::LevelFilter;

use crate::{
    attempts::RetryPolicy,
    aws::AwsSettings,
    work::{Content, ErpSettings, check_url},
};

/// The default timeout of the ERP system.
const ERP_TIMEOUT: Duration = Duration::from_secs(5);

/// The range of the timeout. Together with the requests to AWS it must fit into the 60 seconds of
/// the function.
const ERP_TIMEOUT_MS: RangeInclusive<u64> = 100..=15_000;

/// The default limits of the retries.
const RETRY: RetryPolicy = RetryPolicy {
    pause_min: Duration::from_secs(15),
    pause_max: Duration::from_mins(30),
    give_up_after: Duration::from_hours(1),
};
const PAUSE_SECONDS: RangeInclusive<u64> = 1..=3600;
const GIVE_UP_SECONDS: RangeInclusive<u64> = 1..=86_400;

/// The log levels of this build. A release build does not contain the lines below `info`.
const LOG_LEVELS: &[(&str, LevelFilter)] = ALL_LOG_LEVELS
    .split_at(if cfg!(debug_assertions) { 5 } else { 3 })
    .0;

const ALL_LOG_LEVELS: &[(&str, LevelFilter)] = &[
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// The settings of the function.
pub(crate) struct Settings {
    pub(crate) log_level: LevelFilter,
    pub(crate) aws: AwsSettings,
    /// The DynamoDB table of the ledger.
    pub(crate) table: String,
    pub(crate) queue_url: String,
    pub(crate) dead_letter_queue_url: String,
    pub(crate) erp: ErpSettings,
    pub(crate) retry: RetryPolicy,
    pub(crate) expected_issues: ExpectedIssues,
}

/// What to do with an event if a field that its channel expects is missing or invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExpectedIssues {
    /// Send it to the dead-letter queue, so that somebody checks it.
    SetAside,
    /// Work on it like on any other event.
    Take,
}

impl Settings {
    /// Reads the settings through `variable`, which returns an environment variable. Returns all
    /// problems at once. No problem quotes a secret.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let mut environment = Environment {
            variable,
            problems: Vec::new(),
        };
        let settings = Self {
            aws: environment.aws(),
            table: environment.required("TABLE", "the name of the DynamoDB table"),
            queue_url: environment.required("QUEUE_URL", "the URL of the queue"),
            dead_letter_queue_url: environment
                .required("DEAD_LETTER_QUEUE_URL", "the URL of the dead-letter queue"),
            erp: environment.erp(),
            retry: environment.retry(),
            expected_issues: environment.choice(
                "EXPECTED_ISSUES",
                ExpectedIssues::SetAside,
                &[
                    ("set-aside", ExpectedIssues::SetAside),
                    ("take", ExpectedIssues::Take),
                ],
            ),
            log_level: environment.choice("LOG_LEVEL", LevelFilter::INFO, LOG_LEVELS),
        };
        if environment.problems.is_empty() {
            Ok(settings)
        } else {
            Err(environment.problems)
        }
    }
}

/// The environment variables, and the problems found so far.
struct Environment<V> {
    variable: V,
    problems: Vec<String>,
}

impl<V: Fn(&str) -> Option<String>> Environment<V> {
    fn problem(&mut self, variable: &str, reason: &str) {
        self.problems.push(format!("{variable}: {reason}"));
    }

    fn optional(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.trim().is_empty())
    }

    fn required(&mut self, name: &str, description: &str) -> String {
        let value = self.optional(name);
        if value.is_none() {
            self.problem(name, &format!("{description} is missing"));
        }
        value.unwrap_or_default()
    }

    fn integer(&mut self, name: &str, unit: &str, range: &RangeInclusive<u64>) -> Option<u64> {
        let text = self.optional(name)?;
        let number = text.trim().parse().ok();
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (min, max) = (range.start(), range.end());
            let reason = format!("must be a number of {unit} from {min} to {max}");
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

    fn aws(&mut self) -> AwsSettings {
        let endpoint = |name| {
            self.optional(name)
                .or_else(|| self.optional("AWS_ENDPOINT_URL"))
        };
        AwsSettings {
            sqs_endpoint: endpoint("AWS_ENDPOINT_URL_SQS"),
            dynamodb_endpoint: endpoint("AWS_ENDPOINT_URL_DYNAMODB"),
            region: self.required("AWS_REGION", "the region, which Lambda sets,"),
            credentials: Credentials::new(
                self.required("AWS_ACCESS_KEY_ID", "the key, which Lambda sets,"),
                self.required("AWS_SECRET_ACCESS_KEY", "the key, which Lambda sets,"),
                self.optional("AWS_SESSION_TOKEN"),
                None,
                "environment",
            ),
        }
    }

    fn erp(&mut self) -> ErpSettings {
        let url = self.required("ERP_URL", "the URL that events are posted to");
        if let (false, Err(reason)) = (url.is_empty(), check_url(&url)) {
            self.problem("ERP_URL", reason);
        }
        let token = self.optional("ERP_TOKEN");
        let is_printable = |token: &String| token.bytes().all(|byte| byte.is_ascii_graphic());
        if !token.as_ref().is_none_or(is_printable) {
            self.problem("ERP_TOKEN", "must be printable ASCII without spaces");
        }
        let timeout = self.integer("ERP_TIMEOUT_MS", "milliseconds", &ERP_TIMEOUT_MS);
        let contents = [("entity", Content::Entity), ("event", Content::Event)];
        ErpSettings {
            url,
            token,
            timeout: timeout.map_or(ERP_TIMEOUT, Duration::from_millis),
            content: self.choice("ERP_CONTENT", Content::Entity, &contents),
        }
    }

    fn retry(&mut self) -> RetryPolicy {
        let mut seconds = |name, range, default| {
            self.integer(name, "seconds", range)
                .map_or(default, Duration::from_secs)
        };
        let policy = RetryPolicy {
            pause_min: seconds("PAUSE_MIN_SECONDS", &PAUSE_SECONDS, RETRY.pause_min),
            pause_max: seconds("PAUSE_MAX_SECONDS", &PAUSE_SECONDS, RETRY.pause_max),
            give_up_after: seconds(
                "GIVE_UP_AFTER_SECONDS",
                &GIVE_UP_SECONDS,
                RETRY.give_up_after,
            ),
        };
        if policy.pause_max < policy.pause_min {
            self.problem(
                "PAUSE_MAX_SECONDS",
                "must not be less than PAUSE_MIN_SECONDS",
            );
        }
        policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIRED: [(&str, &str); 7] = [
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
    fn has_defaults_for_all_optional_settings() {
        let settings = read(&REQUIRED)
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
        assert_eq!(
            (settings.aws.sqs_endpoint, settings.aws.dynamodb_endpoint),
            (None, None)
        );
        assert_eq!(settings.expected_issues, ExpectedIssues::SetAside);
        let optional = [
            ("ERP_TIMEOUT_MS", "300"),
            ("PAUSE_MIN_SECONDS", "1"),
            ("PAUSE_MAX_SECONDS", "1"),
            ("GIVE_UP_AFTER_SECONDS", "9"),
            ("ERP_CONTENT", "event"),
            ("EXPECTED_ISSUES", "take"),
            ("AWS_ENDPOINT_URL", "http://a"),
            ("AWS_ENDPOINT_URL_SQS", "http://b"),
        ];
        let settings = read(&[&REQUIRED[..], &optional].concat())
            .map_err(|problems| problems.join("\n"))
            .unwrap();
        assert_eq!(
            (settings.erp.timeout.as_millis(), settings.erp.content),
            (300, Content::Event)
        );
        assert_eq!(settings.expected_issues, ExpectedIssues::Take);
        let RetryPolicy {
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
                settings.aws.sqs_endpoint.as_deref(),
                settings.aws.dynamodb_endpoint.as_deref()
            ),
            (Some("http://b"), Some("http://a"))
        );
    }

    #[test]
    fn returns_all_problems_at_once_and_quotes_no_secret() {
        let names = |problems: Vec<String>| {
            let names = problems
                .iter()
                .map(|problem| problem.split(':').next().unwrap().to_owned());
            names.collect::<Vec<_>>()
        };
        let missing = REQUIRED.map(|(name, _)| name);
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
        let problems = read(&[&REQUIRED[..], &wrong].concat()).err().unwrap();
        assert!(!problems.concat().contains("hush"), "{problems:?}");
        assert_eq!(names(problems), wrong.map(|(name, _)| name));
    }
}
