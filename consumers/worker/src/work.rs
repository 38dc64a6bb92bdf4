//! The work for an event: posts it to an HTTP endpoint, with its id as `Idempotency-Key`, the name
//! of its shop, and the trace of the shop's request. Replace this file with your own code. Only
//! code for the ERP system belongs here.
//!
//! `work` must be idempotent. It can run more than once for an event: if an earlier call did the
//! work but got no response, or if the process ended before the ledger was updated. The endpoint
//! can detect a duplicate by its `Idempotency-Key`.

use std::{
    cell::Cell,
    time::{Duration, SystemTime},
};

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, StatusCode, Uri,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use crate::{attempts::Cause, event::Event, origin::Origin};

/// The maximum size of a response body, in bytes. The body is read only to reuse the connection.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// The maximum idle time of a connection. Most servers close a connection that is idle for
/// longer.
const IDLE_MAX: Duration = Duration::from_secs(50);

/// Why the work of an event is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkError {
    /// A retry cannot succeed. The message goes to the dead-letter queue.
    Permanent,
    /// A retry may succeed.
    Transient {
        /// A fixed word for the log.
        reason: &'static str,
        cause: Cause,
        /// The pause that the endpoint requested.
        retry_after: Option<Duration>,
    },
}

impl WorkError {
    /// Returns an error whose cause may be the event or the ERP system.
    fn transient(reason: &'static str) -> Self {
        Self::Transient {
            reason,
            cause: Cause::Unclear,
            retry_after: None,
        }
    }
}

/// Does the work for one event.
pub(crate) async fn work(
    erp: &Erp,
    event: &Event<'_>,
    origin: Origin<'_>,
) -> Result<(), WorkError> {
    let posted = tokio::time::timeout(erp.timeout, erp.post(event, origin)).await;
    let response = posted.unwrap_or_else(|_| Err(WorkError::transient("erp_timed_out")))?;
    classify(response)
}

/// The settings of the ERP system.
pub(crate) struct ErpSettings {
    pub(crate) url: String,
    /// The bearer token.
    pub(crate) token: Option<String>,
    pub(crate) timeout: Duration,
    pub(crate) content: Content,
}

/// The request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The entity, as `application/json`.
    Entity,
    /// The whole CloudEvent, as `application/cloudevents+json`.
    Event,
}

/// A client for the ERP system.
#[derive(Debug)]
pub(crate) struct Erp {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    authorization: Option<HeaderValue>,
    timeout: Duration,
    content: Content,
    /// Whether the last response was complete, so that the client may reuse its connection.
    may_reuse_connection: Cell<bool>,
}

impl Erp {
    /// Creates the client. Sends no request yet.
    pub(crate) fn new(settings: &ErpSettings) -> Result<Self, String> {
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|error| format!("ERP_URL: no trusted root certificates: {error}"))?;
        let bearer = |token| HeaderValue::from_str(&format!("Bearer {token}"));
        let mut authorization = settings
            .token
            .as_ref()
            .map(bearer)
            .transpose()
            .map_err(|_| "ERP_TOKEN: must be printable ASCII without spaces")?;
        if let Some(header) = &mut authorization {
            header.set_sensitive(true);
        }
        Ok(Self {
            client: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_MAX)
                .pool_max_idle_per_host(1)
                .build(connector.https_or_http().enable_http1().build()),
            url: check_url(&settings.url).map_err(|reason| format!("ERP_URL: {reason}"))?,
            authorization,
            timeout: settings.timeout,
            content: settings.content,
            may_reuse_connection: Cell::new(false),
        })
    }

    async fn post(&self, event: &Event<'_>, origin: Origin<'_>) -> Result<ErpResponse, WorkError> {
        let may_reuse = self.may_reuse_connection.replace(false);
        let mut response = self.client.request(self.request(event, origin)?).await;
        // The endpoint may have closed an idle connection. That is no failure of the endpoint, so
        // the request is sent once more.
        if may_reuse && response.as_ref().is_err_and(|error| !error.is_connect()) {
            response = self.client.request(self.request(event, origin)?).await;
        }
        let response = response.map_err(|_| WorkError::transient("erp_unreachable"))?;
        let head = ErpResponse {
            status: response.status(),
            retry_after: response
                .headers()
                .get(RETRY_AFTER)
                .and_then(parse_retry_after),
        };
        let body = Limited::new(response.into_body(), RESPONSE_BYTES_MAX).collect();
        self.may_reuse_connection.set(body.await.is_ok());
        Ok(head)
    }

    fn request(
        &self,
        event: &Event<'_>,
        origin: Origin<'_>,
    ) -> Result<Request<Full<Bytes>>, WorkError> {
        let (content_type, body) = match self.content {
            Content::Entity => ("application/json", event.entity.get()),
            Content::Event => ("application/cloudevents+json", event.json),
        };
        let mut request = Request::post(&self.url)
            .header(CONTENT_TYPE, content_type)
            .header("idempotency-key", &*event.id)
            .header("x-channel", &event.channel)
            .header(
                USER_AGENT,
                concat!("commerce-webhooks-worker/", env!("CARGO_PKG_VERSION")),
            );
        if let Some(shop) = origin.shop {
            request = request.header("x-shop", shop);
        }
        if let Some(span) = origin.span {
            request = request.header("traceparent", span.traceparent());
            if let Some(tracestate) = span.tracestate {
                request = request.header("tracestate", tracestate);
            }
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        request
            .body(body)
            .map_err(|_| WorkError::transient("erp_not_asked"))
    }
}

/// Parses the URL of the ERP system. Only a loopback address may use plain HTTP.
pub(crate) fn check_url(url: &str) -> Result<Uri, &'static str> {
    let url: Uri = url.parse().map_err(|_| "must be a URL")?;
    let host = url
        .authority()
        .ok_or("must be a URL that begins with https://")?;
    if host.as_str().contains('@') {
        return Err("must not contain a user name; use ERP_TOKEN for a token");
    }
    let loopback = matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme_str() {
        Some("https") => Ok(url),
        Some("http") if loopback => Ok(url),
        _ => Err("must begin with https://"),
    }
}

/// The relevant part of a response.
#[derive(Clone, Copy, Debug)]
struct ErpResponse {
    status: StatusCode,
    retry_after: Option<Duration>,
}

/// Classifies a response by its status. A redirect is a failure: the client does not follow it,
/// because that could send the token to another host.
fn classify(response: ErpResponse) -> Result<(), WorkError> {
    let transient = |reason, cause| {
        Err(WorkError::Transient {
            reason,
            cause,
            retry_after: response.retry_after,
        })
    };
    match response.status.as_u16() {
        200..=299 => Ok(()),
        408 | 429 => transient("erp_busy", Cause::Busy),
        503 if response.retry_after.is_some() => transient("erp_busy", Cause::Busy),
        // The record is locked, or an earlier request for this event is still in progress.
        409 | 423 | 425 => transient("erp_conflict", Cause::Event),
        // The event is invalid, and stays so.
        400 | 410 | 412..=414 | 416 | 417 | 422 | 451 => Err(WorkError::Permanent),
        // The other 4xx are about the client: an expired token, a wrong path, a proxy. They must
        // not send every event to the dead-letter queue.
        400..=499 => transient("erp_refuses_us", Cause::Unclear),
        _ => transient("erp_failed", Cause::Unclear),
    }
}

/// Parses a `Retry-After` header: seconds or a date (RFC 9110). Returns `None` if it is invalid.
fn parse_retry_after(header: &HeaderValue) -> Option<Duration> {
    let text = header.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::from_str(text, DateTimeFormat::HttpDate).ok()?;
    let date = SystemTime::try_from(date).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classifies_each_status() {
        let wait = Some(Duration::from_secs(7));
        let of = |status| {
            classify(ErpResponse {
                status: StatusCode::from_u16(status).unwrap(),
                retry_after: wait,
            })
        };
        let transient = |reason, cause| {
            Err(WorkError::Transient {
                reason,
                cause,
                retry_after: wait,
            })
        };
        for status in [200, 201, 202, 204] {
            assert_eq!(of(status), Ok(()), "{status}");
        }
        for status in [400, 410, 413, 414, 422, 451] {
            assert_eq!(of(status), Err(WorkError::Permanent), "{status}");
        }
        let expected = [
            ("erp_busy", Cause::Busy, &[408, 429, 503][..]),
            ("erp_conflict", Cause::Event, &[409, 423, 425]),
            (
                "erp_refuses_us",
                Cause::Unclear,
                &[401, 402, 403, 404, 405, 406, 407, 415, 419, 421, 440, 499],
            ),
            (
                "erp_failed",
                Cause::Unclear,
                &[301, 307, 500, 502, 504, 599],
            ),
        ];
        let without_retry_after = ErpResponse {
            status: StatusCode::SERVICE_UNAVAILABLE,
            retry_after: None,
        };
        assert_eq!(
            classify(without_retry_after),
            Err(WorkError::transient("erp_failed"))
        );
        for (reason, cause, statuses) in expected {
            for status in statuses {
                assert_eq!(of(*status), transient(reason, cause), "{status}");
            }
        }
    }

    #[test]
    fn parses_retry_after_as_seconds_or_a_date() {
        let of = |text: &str| parse_retry_after(&HeaderValue::from_str(text).unwrap());
        assert_eq!(of("120"), Some(Duration::from_mins(2)));
        assert_eq!(of(" 0 "), Some(Duration::ZERO));
        assert_eq!(of("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        let soon = SystemTime::now() + Duration::from_mins(10);
        let soon = DateTime::from(soon).fmt(DateTimeFormat::HttpDate).unwrap();
        let wait = of(&soon).unwrap().as_secs();
        assert!((590..=600).contains(&wait), "{wait}");
        let invalid = [
            "soon",
            "-1",
            "1.5",
            "",
            "99999999999999999999999",
            "Fri, 31 Foo",
        ];
        for text in invalid {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn accepts_plain_http_only_for_loopback() {
        for valid in [
            "https://erp.example/events?site=1",
            "http://127.0.0.1:8080/",
            "http://localhost",
            "http://[::1]/x",
        ] {
            assert!(check_url(valid).is_ok(), "{valid}");
        }
        for invalid in [
            "http://erp.example/",
            "http://127.0.0.1.example/",
            "https://user:hush@erp.example/",
            "ftp://erp.example/",
            "/events",
            "erp.example",
            "",
        ] {
            assert!(check_url(invalid).is_err(), "{invalid}");
        }
    }
}
