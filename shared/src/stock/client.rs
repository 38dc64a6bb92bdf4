//! The HTTP client of the stock system: the URL of a product, the request, and the answer.

use std::{cell::Cell, io, time::Duration};

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

use super::Unknown;
use crate::{
    aws::http::{PRODUCT, check_scheme},
    model::scalar::Number,
    verify::secret::BearerToken,
};

/// The placeholder of the SKU in the URL.
const SKU: &str = "{sku}";

/// The characters of a SKU that are percent-encoded: all but ASCII letters, digits, `-` and `_`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// The maximum length of a SKU in a URL, in bytes. Commerce limits SKUs to 64 characters.
pub(super) const SKU_BYTES_MAX: usize = 1024;

/// The maximum size of an answer in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How long an idle connection is kept. Most servers close it after a minute.
const IDLE_MAX: Duration = Duration::from_secs(50);

/// Asks the stock system for one product at a time.
#[derive(Debug)]
pub(super) struct StockClient {
    http: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    url_template: String,
    pub(super) pointer: String,
    /// Whether the last answer was read completely, so that its connection may still be open.
    answered: Cell<bool>,
}

impl StockClient {
    /// Makes a client for a URL with `{sku}`, and the JSON pointer of the stock in the answer.
    ///
    /// Fails if the system has no trusted root certificates.
    pub(super) fn new(url_template: String, pointer: String) -> io::Result<Self> {
        let connector = HttpsConnectorBuilder::new().with_native_roots()?;
        Ok(Self {
            http: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_MAX)
                .pool_max_idle_per_host(1)
                .http1_max_buf_size(ANSWER_BYTES_MAX)
                .build(connector.https_or_http().enable_http1().build()),
            url_template,
            pointer,
            answered: Cell::new(false),
        })
    }

    /// Returns the URL of a product, if a URL can contain its SKU.
    pub(super) fn url(&self, sku: &str) -> Option<Uri> {
        product_url(&self.url_template, sku)
    }

    /// Asks whether the stock of a product is at least the wanted quantity.
    pub(super) async fn ask(
        &self,
        url: &Uri,
        wanted: Number,
        token: Option<&BearerToken>,
    ) -> Result<bool, Unknown> {
        let reuses_connection = self.answered.replace(false);
        let mut answer = self.http.request(build_request(url, token)?).await;
        // The server may have closed an idle connection, which is not a failure.
        if reuses_connection && answer.as_ref().is_err_and(|error| !error.is_connect()) {
            answer = self.http.request(build_request(url, token)?).await;
        }
        let answer = answer.map_err(|_| Unknown::Unreachable)?;
        let status = answer.status();
        // The connection can be reused only after the whole body is read, for any status.
        let body = read_body(answer.into_body()).await;
        self.answered.set(body.is_ok());
        match status {
            StatusCode::OK => is_enough(&body?, &self.pointer, wanted).ok_or(Unknown::Nonsense),
            StatusCode::TOO_MANY_REQUESTS => Err(Unknown::Failed),
            status if status.is_server_error() => Err(Unknown::Failed),
            _ => Err(Unknown::Refused),
        }
    }
}

/// Reads the body of an answer. Copies each frame, because even a frame of one byte keeps its whole
/// read buffer in memory.
async fn read_body(mut body: Incoming) -> Result<Vec<u8>, Unknown> {
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

fn build_request(url: &Uri, token: Option<&BearerToken>) -> Result<Request<Empty<Bytes>>, Unknown> {
    let mut request = Request::get(url)
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, PRODUCT);
    if let Some(token) = token {
        let bearer = format!("Bearer {}", token.expose());
        let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| Unknown::NotAsked)?;
        bearer.set_sensitive(true);
        request = request.header(AUTHORIZATION, bearer);
    }
    request.body(Empty::new()).map_err(|_| Unknown::NotAsked)
}

/// Returns the URL of one product, if a URL can contain its SKU.
pub(super) fn product_url(template: &str, sku: &str) -> Option<Uri> {
    if sku.len() > SKU_BYTES_MAX {
        return None;
    }
    let sku = utf8_percent_encode(sku, ENCODED).to_string();
    let url = template.replace(SKU, &sku).parse().ok()?;
    (!has_dot_segment(&url)).then_some(url)
}

/// Returns whether a segment of the path is `.` or `..`. Servers resolve such a segment even if it
/// is encoded (WHATWG URL, "double-dot URL path segment"), and would answer for another resource.
fn has_dot_segment(url: &Uri) -> bool {
    url.path().split('/').any(|segment| {
        let decoded = percent_decode_str(segment).collect::<Vec<u8>>();
        matches!(&decoded[..], b"." | b"..")
    })
}

/// Checks the URL that the operator configured.
pub(super) fn check_url(template: &str) -> Result<(), &'static str> {
    if !template.contains(SKU) {
        return Err("must contain {sku}, as in https://erp.example/stock/{sku}");
    }
    let url =
        product_url(template, "0").ok_or("must be a URL without . or .. as a path segment")?;
    let host = url.authority().ok_or("must be a URL with https")?;
    // If the host contained the SKU, a product could choose the server that receives the token.
    if host.as_str().contains('@') || !template.contains(&format!("://{host}")) {
        return Err("must have a host, and neither a user nor {sku} in it");
    }
    check_scheme(&url)
}

/// Returns whether the stock in an answer is enough: `true`, or at least the wanted quantity.
/// `None` if it is neither a boolean nor a number.
pub(super) fn is_enough(json: &[u8], pointer: &str, wanted: Number) -> Option<bool> {
    let answer: Value = serde_json::from_slice(json).ok()?;
    let value = answer.pointer(pointer)?;
    value
        .as_bool()
        .or_else(|| Number::from_value(value).map(|stock| stock >= wanted))
}
