//! The stock check of the channels that report cart lines: asks the merchant's inventory or order
//! system for the stock of a product, within the timeout of the shop.

mod breaker;
mod client;
mod line;

use std::time::Duration;

pub use self::line::CheckedLines;
use self::{
    breaker::Breaker,
    client::{StockClient, check_url},
    line::Question,
};
use crate::{
    channel::{Decision, DecisionContext, Refusal, Verdict},
    deadline::Deadline,
    environment::Environment,
    model::{
        QuoteItem,
        scalar::{Code, Number},
    },
    operation::is_php_class,
    verify::secret::BearerToken,
};

/// The name of the stock system's token in the secret.
const TOKEN: &str = "stock_token";

/// The timeout of a request, unless the operator sets another one.
const TIMEOUT: Duration = Duration::from_secs(1);
const TIMEOUT_MIN: Duration = Duration::from_millis(10);
const TIMEOUT_MAX: Duration = Duration::from_secs(20);

/// The message for the shopper if there is not enough.
const MESSAGE: &str = "Product is not in stock";

/// The exception of GraphQL, which shows its message to the shopper. It hides the messages of
/// others.
const GRAPHQL_EXCEPTION: &str = r"Magento\Framework\GraphQl\Exception\GraphQlInputException";

/// The maximum length of the name of an exception, in bytes.
const EXCEPTION_BYTES_MAX: usize = 200;

/// The stock system, as the operator configured it.
#[derive(Debug)]
pub struct Stock {
    checked: CheckedLines,
    client: StockClient,
    timeout: Duration,
    when_unknown: WhenUnknown,
    refusal: Refusal,
    breaker: Breaker,
}

/// The decision if the stock is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhenUnknown {
    Allow,
    Refuse,
}

/// Why the stock is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unknown {
    /// The request timed out.
    TimedOut,
    /// The connection failed.
    Unreachable,
    /// The stock system answered that it failed or is overloaded (5xx, 429).
    Failed,
    /// It answered with another status than 200.
    Refused,
    /// It answered 200 with neither a quantity nor a boolean.
    Nonsense,
    /// The circuit breaker is open.
    Paused,
    /// There is no time left for a request, or a URL cannot contain the SKU.
    NotAsked,
    /// The event has no valid SKU or quantity.
    Unreadable,
}

impl Unknown {
    /// The value of `finding` in the log.
    fn name(self) -> &'static str {
        match self {
            Self::TimedOut => "stock_timed_out",
            Self::Unreachable => "stock_unreachable",
            Self::Failed => "stock_failed",
            Self::Refused => "stock_refused",
            Self::Nonsense => "stock_nonsense",
            Self::Paused => "stock_paused",
            Self::NotAsked => "stock_not_asked",
            Self::Unreadable => "stock_item_unreadable",
        }
    }

    /// Returns whether the stock system itself failed, which the circuit breaker counts. A status
    /// like 404 and an invalid answer may concern one product only.
    fn is_failure_of_system(self) -> bool {
        match self {
            Self::TimedOut | Self::Unreachable | Self::Failed => true,
            Self::Refused | Self::Nonsense | Self::Paused | Self::NotAsked | Self::Unreadable => {
                false
            }
        }
    }
}

impl Stock {
    /// Reads the settings. Returns `None` if no stock system is configured.
    pub fn configure(environment: &mut Environment<'_>, checked: CheckedLines) -> Option<Self> {
        let url = environment.optional("STOCK_URL")?;
        if let Err(reason) = check_url(&url) {
            environment.add_error("STOCK_URL", reason);
        }
        let pointer = environment.optional("STOCK_POINTER").unwrap_or_default();
        if !pointer.is_empty() && !pointer.starts_with('/') {
            environment.add_error("STOCK_POINTER", "must be a JSON pointer, as in /stock/qty");
        }
        let when_unknown = match environment.optional("STOCK_WHEN_UNKNOWN").as_deref() {
            Some("allow") => WhenUnknown::Allow,
            Some("refuse") => WhenUnknown::Refuse,
            _ => {
                environment.add_error(
                    "STOCK_WHEN_UNKNOWN",
                    "must be allow or refuse: the decision if the stock system does not answer",
                );
                WhenUnknown::Allow
            }
        };
        let timeout =
            environment.milliseconds("STOCK_TIMEOUT_MS", TIMEOUT, TIMEOUT_MIN..=TIMEOUT_MAX);
        let client = StockClient::new(url, pointer)
            .map_err(|error| {
                environment.add_error(
                    "STOCK_URL",
                    format!("no trusted root certificates: {error}"),
                );
            })
            .ok()?;
        let message = environment.optional("STOCK_MESSAGE");
        let refusal = Refusal {
            message: Some(message.unwrap_or_else(|| MESSAGE.to_owned())),
            class: exception(environment, checked),
        };
        Some(Self {
            checked,
            client,
            timeout,
            when_unknown,
            refusal,
            breaker: Breaker::default(),
        })
    }

    /// Decides whether the shop can save the cart line. The request to the stock system uses at
    /// most half of the time until the deadline, because the queue needs the rest.
    pub async fn decide(
        &self,
        item: &QuoteItem,
        DecisionContext {
            tokens,
            deadline,
            original,
            ..
        }: DecisionContext<'_>,
    ) -> Verdict {
        let token = tokens.get(TOKEN);
        let wanted = match Question::about(item, original, self.checked) {
            Question::NotNeeded => {
                return Verdict {
                    decision: Decision::default(),
                    finding: Some("stock_not_needed"),
                };
            }
            Question::Wanted(wanted) => wanted,
        };
        let enough = match (&item.sku, wanted) {
            (Some(Code(sku)), Some(wanted)) => self.is_enough(sku, wanted, token, deadline).await,
            _ => Err(Unknown::Unreadable),
        };
        let (allowed, finding) = match enough {
            Ok(true) => (true, "in_stock"),
            Ok(false) => (false, "out_of_stock"),
            Err(unknown) => (self.when_unknown == WhenUnknown::Allow, unknown.name()),
        };
        let decision = if allowed {
            Decision::default()
        } else {
            Decision::Refuse(self.refusal.clone())
        };
        Verdict {
            decision,
            finding: Some(finding),
        }
    }

    async fn is_enough(
        &self,
        sku: &str,
        wanted: Number,
        token: Option<&BearerToken>,
        deadline: Deadline,
    ) -> Result<bool, Unknown> {
        let timeout = self.timeout.min(deadline.remaining() / 2);
        let url = self.client.url(sku).filter(|_| !timeout.is_zero());
        let url = url.ok_or(Unknown::NotAsked)?;
        if self.breaker.is_open() {
            return Err(Unknown::Paused);
        }
        let answer = tokio::time::timeout(timeout, self.client.ask(&url, wanted, token)).await;
        let enough = answer.unwrap_or(Err(Unknown::TimedOut));
        if enough != Err(Unknown::NotAsked) {
            self.breaker
                .record(enough.is_err_and(Unknown::is_failure_of_system));
        }
        enough
    }
}

/// Returns the PHP class of the exception; `None` if the shop's own is right: it shows the message
/// of any exception to a shopper who adds a product on its pages.
fn exception(environment: &mut Environment<'_>, checked: CheckedLines) -> Option<String> {
    const NAME: &str = "STOCK_EXCEPTION_TYPE";
    if checked == CheckedLines::All {
        return None;
    }
    let class = environment.optional(NAME);
    let class = class.unwrap_or_else(|| GRAPHQL_EXCEPTION.to_owned());
    if class.len() > EXCEPTION_BYTES_MAX || !is_php_class(&class) {
        environment.add_error(
            NAME,
            format!("must be the name of a PHP class, as in {GRAPHQL_EXCEPTION}"),
        );
    }
    Some(class)
}

#[cfg(test)]
mod tests;
