//! Asks the merchant's own inventory or order system whether there is enough of a product, inside the time that the shop
//! waits.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, StatusCode, Uri,
    body::{Bytes, Incoming},
    header::{ACCEPT, AUTHORIZATION, HeaderValue, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;
use shared::{
    Deadline, Decision, DecisionContext, Refusal, Verdict,
    environment::Environment,
    model::{
        QuoteItem,
        scalar::{Code, Number},
    },
    verify::secret::BearerToken,
};

/// Stands for the SKU in the URL.
const SKU: &str = "{sku}";

/// The name of the stock system's token in the secret.
const TOKEN: &str = "stock_token";

/// What a SKU may hold in a URL as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// A longer SKU than the shop's database holds many times over is not asked for.
const SKU_BYTES_MAX: usize = 1024;

/// An answer has at most this many bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How long an answer may take, unless the operator says otherwise.
const TIMEOUT: Duration = Duration::from_secs(1);
const TIMEOUT_MIN: Duration = Duration::from_millis(10);
const TIMEOUT_MAX: Duration = Duration::from_secs(20);

/// A connection that idled longer is not used again: most servers have closed it by then.
const IDLE_MAX: Duration = Duration::from_secs(50);

/// After this many failures in a row the endpoint is left alone …
const FAILURES_MAX: u32 = 3;

/// … for this long. Then one question is the trial.
const PAUSE: Duration = Duration::from_secs(10);

/// What the shopper reads when there is not enough.
const MESSAGE: &str = "Product is not in stock";

/// The merchant's system, as the operator configured it.
#[derive(Debug)]
pub(crate) struct Stock {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    url: String,
    pointer: String,
    timeout: Duration,
    when_unknown: WhenUnknown,
    message: String,
    breaker: Breaker,
    /// Whether the last question was answered, so that its connection may have been kept.
    answered: Cell<bool>,
}

/// What happens to a shopper when nobody knows whether there is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhenUnknown {
    Allow,
    Refuse,
}

/// Why nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unknown {
    /// The time was up before the answer.
    TimedOut,
    /// No connection came about, or it broke.
    Unreachable,
    /// The endpoint answered that it failed or is asked too often (5xx, 429).
    Failed,
    /// It answered with another status than 200.
    Refused,
    /// It answered with something that is not understood.
    Nonsense,
    /// It failed so often that it is left alone for a while.
    Paused,
    /// There is no time to ask, or the SKU fits into no URL.
    NotAsked,
    /// The event does not say which product, or how many.
    Unreadable,
}

impl Unknown {
    /// Name for logs.
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

    /// Whether the endpoint itself fails, so that it is better left alone. A status like 404 and an answer that makes no sense say
    /// something about one product only.
    fn is_trouble(self) -> bool {
        match self {
            Self::TimedOut | Self::Unreachable | Self::Failed => true,
            Self::Refused | Self::Nonsense | Self::Paused | Self::NotAsked | Self::Unreadable => {
                false
            }
        }
    }
}

impl Stock {
    /// Reads the configuration: `None` when no endpoint is configured.
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
                    "must be allow or refuse: what happens to a shopper when the stock system does not answer",
                );
                WhenUnknown::Allow
            }
        };
        let timeout =
            environment.milliseconds("STOCK_TIMEOUT_MS", TIMEOUT, TIMEOUT_MIN..=TIMEOUT_MAX);
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|error| {
                environment.add_error(
                    "STOCK_URL",
                    format!("no root certificates to trust: {error}"),
                );
            })
            .ok()?;
        Some(Self {
            client: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_MAX)
                .pool_max_idle_per_host(1)
                .http1_max_buf_size(ANSWER_BYTES_MAX)
                .build(connector.https_or_http().enable_http1().build()),
            url,
            pointer,
            timeout,
            when_unknown,
            message: environment
                .optional("STOCK_MESSAGE")
                .unwrap_or_else(|| MESSAGE.to_owned()),
            breaker: Breaker::default(),
            answered: Cell::new(false),
        })
    }

    /// Whether the shopper may have what is in the line of the cart. It has until the deadline, and leaves time for the queue.
    pub(crate) async fn decide(
        &self,
        item: &QuoteItem,
        DecisionContext {
            tokens, deadline, ..
        }: DecisionContext<'_>,
    ) -> Verdict {
        let token = tokens.get(TOKEN);
        let enough = match (&item.sku, item.qty) {
            (Some(Code(sku)), Some(qty)) => self.is_there(sku, qty, token, deadline).await,
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

    async fn is_there(
        &self,
        sku: &str,
        wanted: Number,
        token: Option<&BearerToken>,
        deadline: Deadline,
    ) -> Result<bool, Unknown> {
        let limit = self.timeout.min(deadline.remaining() / 2);
        let url = fill(&self.url, sku).filter(|_| !limit.is_zero());
        let url = url.ok_or(Unknown::NotAsked)?;
        if self.breaker.is_open() {
            return Err(Unknown::Paused);
        }
        let asked = tokio::time::timeout(limit, self.ask(&url, wanted, token)).await;
        let enough = asked.unwrap_or(Err(Unknown::TimedOut));
        if enough != Err(Unknown::NotAsked) {
            self.breaker.note(enough.is_err_and(Unknown::is_trouble));
        }
        enough
    }

    async fn ask(
        &self,
        url: &Uri,
        wanted: Number,
        token: Option<&BearerToken>,
    ) -> Result<bool, Unknown> {
        let may_be_kept = self.answered.replace(false);
        let mut answer = self.client.request(question(url, token)?).await;
        // A connection that was kept may have died meanwhile: that says nothing about the endpoint.
        if may_be_kept && answer.as_ref().is_err_and(|error| !error.is_connect()) {
            answer = self.client.request(question(url, token)?).await;
        }
        let answer = answer.map_err(|_| Unknown::Unreachable)?;
        let status = answer.status();
        // Read to the end, whatever the status: only then can the connection be kept.
        let body = read(answer.into_body()).await;
        self.answered.set(body.is_ok());
        match status {
            StatusCode::OK => is_enough(&body?, &self.pointer, wanted).ok_or(Unknown::Nonsense),
            StatusCode::TOO_MANY_REQUESTS => Err(Unknown::Failed),
            status if status.is_server_error() => Err(Unknown::Failed),
            _ => Err(Unknown::Refused),
        }
    }
}

/// The body of an answer. Each part is copied: even a part of one byte would keep the whole buffer that it was read into.
async fn read(mut body: Incoming) -> Result<Vec<u8>, Unknown> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Unknown::Unreachable)?;
        let part = frame.data_ref().map_or(&[][..], Bytes::as_ref);
        if whole.len() + part.len() > ANSWER_BYTES_MAX {
            return Err(Unknown::Nonsense);
        }
        whole.extend_from_slice(part);
    }
    Ok(whole)
}

fn question(url: &Uri, token: Option<&BearerToken>) -> Result<Request<Empty<Bytes>>, Unknown> {
    let mut request = Request::get(url).header(ACCEPT, "application/json").header(
        USER_AGENT,
        concat!("commerce-webhooks/", env!("CARGO_PKG_VERSION")),
    );
    if let Some(token) = token {
        let bearer = format!("Bearer {}", token.expose());
        let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| Unknown::NotAsked)?;
        bearer.set_sensitive(true);
        request = request.header(AUTHORIZATION, bearer);
    }
    request.body(Empty::new()).map_err(|_| Unknown::NotAsked)
}

/// The URL of one product, if a URL can carry its SKU.
fn fill(template: &str, sku: &str) -> Option<Uri> {
    if sku.len() > SKU_BYTES_MAX {
        return None;
    }
    let sku = utf8_percent_encode(sku, PLAIN).to_string();
    let url = template.replace(SKU, &sku).parse().ok()?;
    (!has_dot_segment(&url)).then_some(url)
}

/// Whether a segment of the path is `.` or `..`. Servers take it, also when it is encoded, for the segment itself or its parent (WHATWG
/// URL, "double-dot URL path segment"), and would answer for something else.
fn has_dot_segment(url: &Uri) -> bool {
    url.path().split('/').any(|segment| {
        let decoded = percent_decode_str(segment).collect::<Vec<u8>>();
        matches!(&decoded[..], b"." | b"..")
    })
}

fn check_url(template: &str) -> Result<(), &'static str> {
    if !template.contains(SKU) {
        return Err("must hold {sku}, as in https://erp.example/stock/{sku}");
    }
    let url = fill(template, "0").ok_or("must be a URL without . or .. as a part of its path")?;
    let host = url.authority().ok_or("must be a URL with https")?;
    // A SKU in the host would let a product's name choose whom the token is shown to.
    if host.as_str().contains('@') || !template.contains(&format!("://{host}")) {
        return Err("must name its host, without a user and without {sku} in it");
    }
    let loopback = matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if loopback => Ok(()),
        _ => Err("must begin with https://"),
    }
}

/// Whether a JSON answer says that there is enough: `true`, or a number that is not below what is wanted.
fn is_enough(json: &[u8], pointer: &str, wanted: Number) -> Option<bool> {
    let answer: Value = serde_json::from_slice(json).ok()?;
    let value = answer.pointer(pointer)?;
    value
        .as_bool()
        .or_else(|| Number::in_json(value).map(|stock| stock >= wanted))
}

/// Leaves an endpoint alone that keeps failing. A function serves one request at a time, so two counters do; a crate for it
/// would bring locks and windows that nothing here needs.
#[derive(Debug, Default)]
struct Breaker {
    failures: Cell<u32>,
    opened: Cell<Option<Instant>>,
}

impl Breaker {
    fn is_open(&self) -> bool {
        self.opened
            .get()
            .is_some_and(|opened| opened.elapsed() < PAUSE)
    }

    fn note(&self, failed: bool) {
        let failures = if failed { self.failures.get() + 1 } else { 0 };
        // Once open, every further failure is that of a trial and opens it again.
        self.opened
            .set((failures >= FAILURES_MAX).then(Instant::now));
        self.failures.set(failures.min(FAILURES_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: (&str, &str) = ("STOCK_URL", "https://erp.example/stock/{sku}");
    const ALLOW: (&str, &str) = ("STOCK_WHEN_UNKNOWN", "allow");

    fn configure(variables: &[(&str, &str)]) -> Result<Option<Stock>, Vec<String>> {
        let find = |name: &str| {
            let known = variables.iter().find(|(known, _)| *known == name);
            known.map(|(_, value)| (*value).to_owned())
        };
        let mut environment = Environment::new(&find);
        let stock = Stock::configure(&mut environment);
        let problems = environment.into_errors();
        if problems.is_empty() {
            Ok(stock)
        } else {
            Err(problems.iter().map(ToString::to_string).collect())
        }
    }

    fn number(text: &str) -> Number {
        Number::in_json(&text.into()).unwrap()
    }

    #[test]
    fn without_an_endpoint_nothing_is_made() {
        assert!(configure(&[]).unwrap().is_none());
        assert!(
            configure(&[("STOCK_URL", " "), ("STOCK_TIMEOUT_MS", "x")])
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn the_usual_settings_are_enough() {
        let stock = configure(&[URL, ALLOW]).unwrap().unwrap();
        assert_eq!(
            (stock.timeout, &*stock.message, &*stock.pointer),
            (TIMEOUT, MESSAGE, "")
        );
        let chosen = [
            URL,
            ("STOCK_WHEN_UNKNOWN", "refuse"),
            ("STOCK_TIMEOUT_MS", "300"),
            ("STOCK_MESSAGE", "Sold out"),
            ("STOCK_POINTER", "/items/0/qty"),
        ];
        let stock = configure(&chosen).unwrap().unwrap();
        assert_eq!(stock.when_unknown, WhenUnknown::Refuse);
        assert_eq!(
            (stock.timeout.as_millis(), &*stock.message, &*stock.pointer),
            (300, "Sold out", "/items/0/qty")
        );
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let wrong = [
            ("STOCK_URL", "http://erp.example/{sku}"),
            ("STOCK_POINTER", "qty"),
            ("STOCK_WHEN_UNKNOWN", "perhaps"),
            ("STOCK_TIMEOUT_MS", "0"),
        ];
        let expected = [
            "STOCK_URL: must begin with https://",
            "STOCK_POINTER: must be a JSON pointer, as in /stock/qty",
            "STOCK_WHEN_UNKNOWN: must be allow or refuse: what happens to a shopper when the stock system does not answer",
            "STOCK_TIMEOUT_MS: must be a number of milliseconds from 10 to 20000",
        ];
        assert_eq!(configure(&wrong).unwrap_err(), expected);
    }

    #[test]
    fn a_url_names_its_host_and_holds_the_sku() {
        for good in [
            "https://erp.example/stock/{sku}",
            "https://erp.example:8443/stock?sku={sku}&site=1",
            "http://127.0.0.1:8080/{sku}",
            "http://localhost/{sku}",
            "http://[::1]:80/{sku}",
        ] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in [
            "https://erp.example/stock",
            "https://{sku}.example/",
            "https://erp.example{sku}/",
            "https://erp.example:80{sku}/",
            "https://user:hush@erp.example/{sku}",
            "http://erp.example/{sku}",
            "http://127.0.0.1.example/{sku}",
            "ftp://erp.example/{sku}",
            "/stock/{sku}",
            "erp.example/{sku}",
            "https://erp.example/a b/{sku}",
            "https://erp.example/../{sku}",
            "https://erp.example/a/%2e%2E/{sku}",
            "{sku}",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_sku_cannot_change_the_url() {
        let url = |sku: &str| {
            fill("https://erp.example/stock/{sku}?site=1", sku)
                .unwrap()
                .to_string()
        };
        assert_eq!(url("CAP-77_b"), "https://erp.example/stock/CAP-77_b?site=1");
        assert_eq!(
            url("../../x"),
            "https://erp.example/stock/%2E%2E%2F%2E%2E%2Fx?site=1"
        );
        assert_eq!(
            url("a?b#c@d é{sku}"),
            "https://erp.example/stock/a%3Fb%23c%40d%20%C3%A9%7Bsku%7D?site=1"
        );
        assert!(fill("https://erp.example/{sku}", &"x".repeat(SKU_BYTES_MAX + 1)).is_none());
    }

    #[test]
    fn a_sku_that_a_path_cannot_carry_makes_no_url() {
        for sku in [".", ".."] {
            for template in [
                "https://erp.example/{sku}",
                "https://erp.example/stock/{sku}/qty?site=1",
                "https://erp.example/stock/{sku}",
            ] {
                assert!(fill(template, sku).is_none(), "{template} {sku}");
            }
            assert!(fill("https://erp.example/stock?sku={sku}", sku).is_some());
            assert!(fill("https://erp.example/stock/sku-{sku}", sku).is_some());
        }
        assert!(fill("https://erp.example/.{sku}", ".").is_none());
        for sku in ["...", ".a", " ..", "../..", "%2e"] {
            assert!(fill("https://erp.example/{sku}", sku).is_some(), "{sku}");
        }
    }

    #[test]
    fn an_answer_is_a_quantity_or_a_yes() {
        let enough = |json: &str, pointer: &str| is_enough(json.as_bytes(), pointer, number("2"));
        assert_eq!(enough("2", ""), Some(true));
        assert_eq!(enough("1.9999", ""), Some(false));
        assert_eq!(enough("\"2.0000\"", ""), Some(true));
        assert_eq!(enough("-1", ""), Some(false));
        assert_eq!(enough("true", ""), Some(true));
        assert_eq!(
            enough(r#"{"items":[{"in/stock":false}]}"#, "/items/0/in~1stock"),
            Some(false)
        );
        for nonsense in [
            "",
            "null",
            "{}",
            "[]",
            "\"\"",
            "\"many\"",
            "1e999",
            "NaN",
            "<html>",
            "2 2",
            "\u{feff}2",
        ] {
            assert_eq!(enough(nonsense, ""), None, "{nonsense}");
        }
        assert_eq!(enough(r#"{"qty":5}"#, "/quantity"), None);
    }

    #[test]
    fn an_endpoint_that_keeps_failing_is_left_alone_until_a_trial() {
        let breaker = Breaker::default();
        let later = || breaker.opened.set(Instant::now().checked_sub(PAUSE));
        breaker.note(true);
        breaker.note(true);
        assert!(!breaker.is_open());
        breaker.note(false);
        breaker.note(true);
        breaker.note(true);
        assert!(
            !breaker.is_open(),
            "an answer in between starts the count again"
        );
        breaker.note(true);
        assert!(breaker.is_open());
        later();
        assert!(!breaker.is_open(), "after the pause it is tried");
        breaker.note(true);
        assert!(breaker.is_open(), "and one failure is enough then");
        later();
        breaker.note(false);
        breaker.note(true);
        assert!(!breaker.is_open(), "an answer closes it");
    }
}
