//! Reads environment variables at cold start, and collects the errors of all of them.

use std::{fmt, ops::RangeInclusive, time::Duration};

/// The environment variables, and the errors of those that were read so far.
pub struct Environment<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    errors: Vec<ConfigError>,
}

impl<'a> Environment<'a> {
    /// Reads variables through a function that returns the value of a name.
    pub fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            variable,
            errors: Vec::new(),
        }
    }

    /// Returns the errors.
    pub fn into_errors(self) -> Vec<ConfigError> {
        self.errors
    }

    /// Adds an error of a variable. The reason must not quote a secret.
    pub fn add_error(&mut self, variable: &'static str, reason: impl Into<String>) {
        self.errors.push(ConfigError {
            variable,
            reason: reason.into(),
        });
    }

    /// Returns the value of a variable; `None` if it is missing or only white space.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.trim().is_empty())
    }

    /// Returns the value of a variable, or adds the error `missing`.
    pub fn required(&mut self, name: &'static str, missing: &str) -> String {
        let value = self.optional(name);
        if value.is_none() {
            self.add_error(name, missing);
        }
        value.unwrap_or_default()
    }

    /// Returns the choice whose word is the value of a variable. Case does not matter.
    pub fn choice<T: Copy>(&mut self, name: &'static str, default: T, choices: &[(&str, T)]) -> T {
        let Some(value) = self.optional(name) else {
            return default;
        };
        let chosen = choices
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(value.trim()));
        if chosen.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            self.add_error(name, format!("must be one of {}", words.join(", ")));
        }
        chosen.map_or(default, |(_, choice)| *choice)
    }

    /// Returns the duration in a variable, in seconds.
    pub fn seconds(
        &mut self,
        name: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let unit = ("seconds", Duration::from_secs(1));
        self.duration(name, default, range, unit)
    }

    /// Returns the duration in a variable, in milliseconds.
    pub fn milliseconds(
        &mut self,
        name: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let unit = ("milliseconds", Duration::from_millis(1));
        self.duration(name, default, range, unit)
    }

    fn duration(
        &mut self,
        name: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
        (unit, one): (&str, Duration),
    ) -> Duration {
        let Some(text) = self.optional(name) else {
            return default;
        };
        let duration = parse_number(&text)
            .and_then(|number| Duration::try_from_secs_f64(number * one.as_secs_f64()).ok())
            .filter(|duration| range.contains(duration));
        if duration.is_none() {
            let count = |duration: Duration| duration.as_nanos() / one.as_nanos();
            let (min, max) = (count(*range.start()), count(*range.end()));
            self.add_error(
                name,
                format!("must be a number of {unit} from {min} to {max}"),
            );
        }
        duration.unwrap_or(default)
    }
}

/// Parses a number. A template parameter of type `Number` arrives as the operator wrote it:
/// `1000.5`, `1e3`, `+5`, or with spaces around it.
fn parse_number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// Why the value of an environment variable is invalid. It never quotes a secret.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    variable: &'static str,
    reason: String,
}

impl ConfigError {
    /// Returns the name of the variable.
    pub fn variable(&self) -> &'static str {
        self.variable
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.variable, self.reason)
    }
}
