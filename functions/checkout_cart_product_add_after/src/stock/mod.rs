//! The stock check: asks the merchant's inventory or order system for the stock of a product,
//! within the timeout of the shop.

mod breaker;
mod client;

use std::time::Duration;

use shared::{
    Deadline, Decision, DecisionContext, Refusal, Verdict,
    environment::Environment,
    model::{
        QuoteItem,
        scalar::{Code, Number},
    },
    verify::secret::BearerToken,
};

use self::{
    breaker::Breaker,
    client::{StockClient, check_url},
};

/// The name of the stock system's token in the secret.
const TOKEN: &str = "stock_token";

/// The timeout of a request, unless the operator sets another one.
const TIMEOUT: Duration = Duration::from_secs(1);
const TIMEOUT_MIN: Duration = Duration::from_millis(10);
const TIMEOUT_MAX: Duration = Duration::from_secs(20);

/// The message for the shopper if there is not enough.
const MESSAGE: &str = "Product is not in stock";

/// The stock system, as the operator configured it.
#[derive(Debug)]
pub(crate) struct Stock {
    client: StockClient,
    timeout: Duration,
    when_unknown: WhenUnknown,
    message: String,
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
    pub(crate) fn configure(environment: &mut Environment<'_>) -> Option<Self> {
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
        Some(Self {
            client,
            timeout,
            when_unknown,
            message: environment
                .optional("STOCK_MESSAGE")
                .unwrap_or_else(|| MESSAGE.to_owned()),
            breaker: Breaker::default(),
        })
    }

    /// Decides whether the shopper can add the item to the cart. The request to the stock system
    /// uses at most half of the time until the deadline, because the queue needs the rest.
    pub(crate) async fn decide(
        &self,
        item: &QuoteItem,
        DecisionContext {
            tokens, deadline, ..
        }: DecisionContext<'_>,
    ) -> Verdict {
        let token = tokens.get(TOKEN);
        let enough = match (&item.sku, item.qty) {
            (Some(Code(sku)), Some(qty)) => self.is_enough(sku, qty, token, deadline).await,
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
            Decision::Refuse(Refusal {
                message: Some(self.message.clone()),
                class: None,
            })
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

#[cfg(test)]
mod tests;
