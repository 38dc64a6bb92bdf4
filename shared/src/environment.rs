//! What is wrong with the environment variables of the function.

use std::fmt;

/// What is wrong with the configuration. It never holds a secret.
#[derive(Debug, PartialEq, Eq)]
pub struct Misconfiguration {
    /// The variable of the environment.
    pub(crate) variable: &'static str,
    reason: String,
}

impl Misconfiguration {
    /// A problem with a variable of the environment. The reason must not quote a secret.
    pub fn new(variable: &'static str, reason: impl Into<String>) -> Self {
        Self {
            variable,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Misconfiguration {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.variable, self.reason)
    }
}
