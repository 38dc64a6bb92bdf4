//! The work: what is done with an event. Replace it with your own.
//!
//! Here the event is posted to an HTTP endpoint, with its id as `Idempotency-Key`. `work` may be called more than once for an
//! event: when an earlier call did its work but no answer came, or the process ended before it could note that the work was done.
//! So the work must be idempotent, and the key is there for the endpoint to know a repeat by.

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

use crate::{attempts::Cause, event::Event};

/// An answer is read this far, so that its connection can be kept. Nothing in it matters.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A connection that idled longer is not used again: most servers have closed it by then.
const IDLE_MAX: Duration = Duration::from_secs(50);

/// Why an event was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undone {
    /// It can never succeed, and goes to the dead-letter queue.
    Never,
    /// It may succeed later, and comes again.
    Later {
        /// A fixed word, for the log.
        reason: &'static str,
        cause: Cause,
        /// How long the endpoint wants to be left alone.
        retry_after: Option<Duration>,
    },
}

impl Undone {
    /// A failure that may be that of the whole ERP system.
    fn later(reason: &'static str) -> Self {
        Self::Later {
            reason,
            cause: Cause::Unclear,
            retry_after: None,
        }
    }
}

/// Does the work for one event.
pub(crate) async fn work(erp: &Erp, event: &Event<'_>) -> Result<(), Undone> {
    let posted = tokio::time::timeout(erp.timeout, erp.post(event)).await;
    let answered = posted.unwrap_or_else(|_| Err(Undone::later("erp_timed_out")))?;
    judge(answered)
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

    async fn post(&self, event: &Event<'_>) -> Result<Answered, Undone> {
        let may_be_kept = self.answered.replace(false);
        let mut answer = self.client.request(self.request(event)?).await;
        // A connection that was kept may have died meanwhile: that says nothing about the endpoint.
        if may_be_kept && answer.as_ref().is_err_and(|error| !error.is_connect()) {
            answer = self.client.request(self.request(event)?).await;
        }
        let answer = answer.map_err(|_| Undone::later("erp_unreachable"))?;
        let answered = Answered {
            status: answer.status(),
            retry_after: answer.headers().get(RETRY_AFTER).and_then(retry_after),
        };
        let rest = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect();
        self.answered.set(rest.await.is_ok());
        Ok(answered)
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
            .map_err(|_| Undone::later("erp_not_asked"))
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

/// What the endpoint said.
#[derive(Clone, Copy, Debug)]
struct Answered {
    status: StatusCode,
    retry_after: Option<Duration>,
}

/// What a status means. A redirect is not followed: it could carry the token elsewhere.
fn judge(answered: Answered) -> Result<(), Undone> {
    let later = |reason, cause| {
        Err(Undone::Later {
            reason,
            cause,
            retry_after: answered.retry_after,
        })
    };
    match answered.status.as_u16() {
        200..=299 => Ok(()),
        408 | 429 => later("erp_busy", Cause::Busy),
        503 if answered.retry_after.is_some() => later("erp_busy", Cause::Busy),
        // The record is locked, or an earlier request for this event is still at work.
        409 | 423 | 425 => later("erp_conflict", Cause::Event),
        // What is wrong with the event stays wrong.
        400 | 410 | 412..=414 | 416 | 417 | 422 | 451 => Err(Undone::Never),
        // Others of 4xx are about how we ask: an old token, a wrong path, a proxy on the way. They must not set everything aside.
        400..=499 => later("erp_refuses_us", Cause::Unclear),
        _ => later("erp_failed", Cause::Unclear),
    }
}

/// The time that a `Retry-After` names, in seconds or as a date (RFC 9110). What cannot be read is no wish.
fn retry_after(header: &HeaderValue) -> Option<Duration> {
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
    fn a_status_says_whether_it_makes_sense_to_come_again() {
        let wait = Some(Duration::from_secs(7));
        let of = |status| {
            judge(Answered {
                status: StatusCode::from_u16(status).unwrap(),
                retry_after: wait,
            })
        };
        let later = |reason, cause| {
            Err(Undone::Later {
                reason,
                cause,
                retry_after: wait,
            })
        };
        for status in [200, 201, 202, 204] {
            assert_eq!(of(status), Ok(()), "{status}");
        }
        for status in [400, 410, 413, 414, 422, 451] {
            assert_eq!(of(status), Err(Undone::Never), "{status}");
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
        let without_wish = Answered {
            status: StatusCode::SERVICE_UNAVAILABLE,
            retry_after: None,
        };
        assert_eq!(judge(without_wish), Err(Undone::later("erp_failed")));
        for (reason, cause, statuses) in expected {
            for status in statuses {
                assert_eq!(of(*status), later(reason, cause), "{status}");
            }
        }
    }

    #[test]
    fn a_retry_after_is_a_number_a_date_or_no_wish() {
        let of = |text: &str| retry_after(&HeaderValue::from_str(text).unwrap());
        assert_eq!(of("120"), Some(Duration::from_mins(2)));
        assert_eq!(of(" 0 "), Some(Duration::ZERO));
        assert_eq!(of("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        let soon = SystemTime::now() + Duration::from_mins(10);
        let soon = DateTime::from(soon).fmt(DateTimeFormat::HttpDate).unwrap();
        let wait = of(&soon).unwrap().as_secs();
        assert!((590..=600).contains(&wait), "{wait}");
        let unreadable = [
            "soon",
            "-1",
            "1.5",
            "",
            "99999999999999999999999",
            "Fri, 31 Foo",
        ];
        for text in unreadable {
            assert_eq!(of(text), None, "{text}");
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
