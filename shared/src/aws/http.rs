//! The HTTP client for AWS: HTTP/1.1 over TLS, on connections that are kept open.
//!
//! The SDK's own client also has HTTP/2, and reads the trusted root certificates from a file. Both
//! make a function larger and its cold start slower. This client has the same parts without HTTP/2,
//! and with compiled-in certificates.

use std::{env, future::Future, io, pin::Pin, sync::Arc, task, time::Duration};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        http::{
            HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
            http_client_fn,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
};
use aws_smithy_types::body::SdkBody;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector as TcpConnector, capture_connection},
    },
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tower_service::Service;

/// Names a file of trusted root certificates that replaces the compiled-in ones, as for AWS's CLI.
/// An empty value counts as not set.
const AWS_CA_BUNDLE: &str = "AWS_CA_BUNDLE";

/// The name and version of the functions, for requests to others than AWS.
pub(crate) const PRODUCT: &str = concat!("commerce-webhooks/", env!("CARGO_PKG_VERSION"));

/// Checks that a URL uses TLS, or leads to this machine.
pub(crate) fn check_scheme(url: &http::Uri) -> Result<(), &'static str> {
    let is_loopback = matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if is_loopback => Ok(()),
        _ => Err("must begin with https://"),
    }
}

/// Opens connections to AWS. Clients share it.
#[derive(Clone, Debug)]
pub struct Connections(HttpsConnector<TcpConnector>);

impl Connections {
    /// Reads the trusted root certificates. No connection is opened yet.
    ///
    /// # Errors
    /// The reason, if the file in `AWS_CA_BUNDLE` cannot be read, has no certificate, or has an
    /// invalid one.
    pub fn new() -> Result<Self, String> {
        let tls =
            tls().map_err(|reason| format!("no trusted root certificates for AWS: {reason}"))?;
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http();
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Ok(Self(https.enable_http1().wrap_connector(tcp)))
    }

    /// Returns an HTTP client for a service of AWS. Opening a connection takes at most
    /// `connect_max`.
    pub fn client(&self, connect_max: Duration) -> SharedHttpClient {
        let connector = self.connector(connect_max);
        http_client_fn(move |_, _| connector.clone())
    }

    /// Returns a connector for requests without the SDK. Opening a connection takes at most
    /// `connect_max`.
    pub fn connector(&self, connect_max: Duration) -> SharedHttpConnector {
        let connect = Connect {
            inner: self.0.clone(),
            limit: connect_max,
        };
        let client = Client::builder(TokioExecutor::new()).build(connect);
        SharedHttpConnector::new(Http(client))
    }
}

fn tls() -> Result<ClientConfig, BoxError> {
    let mut roots = RootCertStore::empty();
    match env::var_os(AWS_CA_BUNDLE).filter(|file| !file.is_empty()) {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(file) => {
            for certificate in CertificateDer::pem_file_iter(file)? {
                // Fails on an invalid certificate: AWS's own certificate could depend on it.
                roots.add(certificate?)?;
            }
            if roots.is_empty() {
                return Err(format!("the file in {AWS_CA_BUNDLE} has no certificate").into());
            }
        }
    }
    // The default provider, aws-lc-rs, gathers entropy for 40 ms of CPU time at its first
    // handshake.
    Ok(
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

/// Opens each connection within a time limit, which includes the TLS handshake.
#[derive(Clone, Debug)]
struct Connect {
    inner: HttpsConnector<TcpConnector>,
    limit: Duration,
}

impl Service<http::Uri> for Connect {
    type Response = <HttpsConnector<TcpConnector> as Service<http::Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> task::Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: http::Uri) -> Self::Future {
        let connected = self.inner.call(uri);
        let limit = self.limit;
        Box::pin(async move {
            tokio::time::timeout(limit, connected)
                .await
                .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        })
    }
}

/// Hyper's client behind the SDK's interface.
#[derive(Debug)]
struct Http(Client<Connect, SdkBody>);

impl HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(reason) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(reason.into())));
            }
        };
        let connection = capture_connection(&mut request);
        let answer = self.0.request(request);
        HttpConnectorFuture::new(async move {
            let answer = answer
                .await
                .map_err(|reason| ConnectorError::io(reason.into()))?;
            // A server that failed may fail again. The next request opens a new connection, perhaps
            // to another server.
            if answer.status().is_server_error()
                && let Some(connection) = connection.connection_metadata().as_ref()
            {
                connection.poison();
            }
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|reason| ConnectorError::other(reason.into(), None))
        })
    }
}
