//! The work: what is done with an event. Replace it with your own.
//!
//! Here the event is posted to an HTTP endpoint, with its id as `Idempotency-Key`. `work` may be called more than once for an
//! event: when an earlier call did its work but no answer came, or the process ended before it could note that the work was done.
//! So the work must bear repetition, and the key is there for the endpoint to know a repeat by.

use std::{cell::Cell, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, StatusCode, Uri,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use crate::event::Event;

/// An answer is read this far, so that its connection can be kept. Nothing in it matters.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A connection that idled longer is not used again: most servers have closed it by then.
const IDLE_MAX: Duration = Duration::from_secs(50);

/// Why an event was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undone {
    /// It can never succeed, and goes to the dead-letter queue.
    Never,
    /// It may succeed later, and comes again. A fixed word says why, for the log.
    Later(&'static str),
}

/// Does the work for one event.
pub(crate) async fn work(erp: &Erp, event: &Event<'_>) -> Result<(), Undone> {
    let posted = tokio::time::timeout(erp.timeout, erp.post(event)).await;
    let status = posted.unwrap_or(Err(Undone::Later("erp_timed_out")))?;
    judge(status)
}

/// Where events go.
pub(crate) struct ErpSettings {
    pub(crate) url: String,
    /// A bearer token.
    pub(crate) token: Option<String>,
    pub(crate) timeout: Duration,
    pub(crate) content: Content,
}

/// What is posted of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The canonical entity, as `application/json`.
    Entity,
    /// The whole CloudEvent, with what the shop sent, as `application/cloudevents+json`.
    Event,
}

/// The ERP system, as the operator configured it.
#[derive(Debug)]
pub(crate) struct Erp {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    authorization: Option<HeaderValue>,
    timeout: Duration,
    content: Content,
    /// Whether the last request was answered, so that its connection may have been kept.
    answered: Cell<bool>,
}

impl Erp {
    /// A client for the ERP system. Nothing is sent yet.
    pub(crate) fn new(settings: &ErpSettings) -> Result<Self, String> {
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|error| format!("ERP_URL: no root certificates to trust: {error}"))?;
        let bearer = |token| HeaderValue::from_str(&format!("Bearer {token}"));
        let mut authorization = settings
            .token
            .as_ref()
            .map(bearer)
            .transpose()
            .map_err(|_| "ERP_TOKEN: must be one word of ASCII")?;
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
            answered: Cell::new(false),
        })
    }

    async fn post(&self, event: &Event<'_>) -> Result<StatusCode, Undone> {
        let may_be_kept = self.answered.replace(false);
        let mut answer = self.client.request(self.request(event)?).await;
        // A connection that was kept may have died meanwhile: that says nothing about the endpoint.
        if may_be_kept && answer.as_ref().is_err_and(|error| !error.is_connect()) {
            answer = self.client.request(self.request(event)?).await;
        }
        let answer = answer.map_err(|_| Undone::Later("erp_unreachable"))?;
        let status = answer.status();
        let rest = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect();
        self.answered.set(rest.await.is_ok());
        Ok(status)
    }

    fn request(&self, event: &Event<'_>) -> Result<Request<Full<Bytes>>, Undone> {
        let (kind, body) = match self.content {
            Content::Entity => ("application/json", event.entity.get()),
            Content::Event => ("application/cloudevents+json", event.json),
        };
        let mut request = Request::post(&self.url)
            .header(CONTENT_TYPE, kind)
            .header("idempotency-key", &*event.id)
            .header("x-channel", &event.channel)
            .header(
                USER_AGENT,
                concat!("commerce-webhooks-worker/", env!("CARGO_PKG_VERSION")),
            );
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        request
            .body(body)
            .map_err(|_| Undone::Later("erp_not_asked"))
    }
}

/// The URL, if events may go there.
pub(crate) fn check_url(url: &str) -> Result<Uri, &'static str> {
    let url: Uri = url.parse().map_err(|_| "must be a URL")?;
    let host = url.authority().ok_or("must be a URL with https")?;
    if host.as_str().contains('@') {
        return Err("must not hold a user; a token has its place in ERP_TOKEN");
    }
    let loopback = matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme_str() {
        Some("https") => Ok(url),
        Some("http") if loopback => Ok(url),
        _ => Err("must begin with https://"),
    }
}

/// What a status means. A redirect is not followed: it could carry the token elsewhere.
fn judge(status: StatusCode) -> Result<(), Undone> {
    match status {
        status if status.is_success() => Ok(()),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Err(Undone::Later("erp_busy"))
        }
        // That is about us and not about the event: an old token, a wrong path. It must not set everything aside.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
            Err(Undone::Later("erp_refuses_us"))
        }
        status if status.is_client_error() => Err(Undone::Never),
        _ => Err(Undone::Later("erp_failed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_it_makes_sense_to_come_again() {
        let of = |status| judge(StatusCode::from_u16(status).unwrap());
        for status in [200, 201, 202, 204] {
            assert_eq!(of(status), Ok(()), "{status}");
        }
        for status in [400, 409, 410, 422] {
            assert_eq!(of(status), Err(Undone::Never), "{status}");
        }
        for status in [401, 403, 404] {
            assert_eq!(of(status), Err(Undone::Later("erp_refuses_us")), "{status}");
        }
        for status in [301, 307, 500, 502, 503] {
            assert_eq!(of(status), Err(Undone::Later("erp_failed")), "{status}");
        }
        for status in [408, 429] {
            assert_eq!(of(status), Err(Undone::Later("erp_busy")), "{status}");
        }
    }

    #[test]
    fn events_go_over_tls_or_nowhere() {
        for good in [
            "https://erp.example/events?site=1",
            "http://127.0.0.1:8080/",
            "http://localhost",
            "http://[::1]/x",
        ] {
            assert!(check_url(good).is_ok(), "{good}");
        }
        for bad in [
            "http://erp.example/",
            "http://127.0.0.1.example/",
            "https://user:hush@erp.example/",
            "ftp://erp.example/",
            "/events",
            "erp.example",
            "",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }
}
