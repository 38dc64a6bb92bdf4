//! How AWS is reached: HTTP/1.1 over TLS, on connections that are kept.
//!
//! AWS's clients have an HTTP client of their own. This one is made of the same parts, and leaves out what makes a cold start long and
//! a function large: HTTP/2, and a file of some hundred certificates to read. Those to trust are compiled in.

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

/// Names a file with the certificates to trust instead of those that are compiled in, as for AWS's CLI. Nothing means nothing.
const AWS_CA_BUNDLE: &str = "AWS_CA_BUNDLE";

/// Connections to AWS that anything can share. Nothing is opened yet.
#[derive(Clone, Debug)]
pub struct Connections(HttpsConnector<TcpConnector>);

impl Connections {
    /// Fails, with the reason, when `AWS_CA_BUNDLE` names a file that is not certificates, all of it.
    pub fn new() -> Result<Self, String> {
        let tls = tls().map_err(|reason| format!("no certificates to trust AWS by: {reason}"))?;
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http();
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Ok(Self(https.enable_http1().wrap_connector(tcp)))
    }

    /// An HTTP client for one of AWS's services, whose connections take at most this long to come about.
    pub fn client(&self, connect_max: Duration) -> SharedHttpClient {
        let connect = Connect {
            inner: self.0.clone(),
            limit: connect_max,
        };
        let client = Client::builder(TokioExecutor::new()).build(connect);
        let connector = SharedHttpConnector::new(Http(client));
        http_client_fn(move |_, _| connector.clone())
    }
}

fn tls() -> Result<ClientConfig, BoxError> {
    let mut roots = RootCertStore::empty();
    match env::var_os(AWS_CA_BUNDLE).filter(|file| !file.is_empty()) {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(file) => {
            for certificate in CertificateDer::pem_file_iter(file)? {
                // One that were passed over could be the one that counts.
                roots.add(certificate?)?;
            }
            if roots.is_empty() {
                return Err(format!("{AWS_CA_BUNDLE} holds none").into());
            }
        }
    }
    // Named, because another one draws entropy for 40 ms of CPU at its first handshake.
    Ok(
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

/// Makes connections, each within a limit, TLS included.
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

/// Hyper's client, as AWS's clients ask.
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
            // Who fails now may go on failing, so what comes next goes to another of AWS's servers.
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
