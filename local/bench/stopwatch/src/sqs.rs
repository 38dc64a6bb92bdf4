//! A mock of SQS on a loopback address, over plain HTTP or TLS. It accepts every message, and
//! counts connections and messages.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use anyhow::{Context as _, Result};
use md5::{Digest as _, Md5};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde::Deserialize;

use crate::http::Connection;

/// The connections and messages so far.
#[derive(Default)]
pub(crate) struct Received {
    pub(crate) connections: usize,
    pub(crate) messages: usize,
    pub(crate) sent: Vec<String>,
}

/// The running mock.
pub(crate) struct Sqs {
    /// The scheme, host and port.
    pub(crate) endpoint: String,
    received: Arc<Mutex<Received>>,
}

/// The part of a `SendMessage` request that the response depends on.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendMessage<'a> {
    #[serde(borrow)]
    message_body: Cow<'a, str>,
}

impl Sqs {
    /// Listens until the program ends. With `keep` it stores the requests.
    pub(crate) fn start(tls: Option<&(PathBuf, PathBuf)>, keep: bool) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("queue")?;
        let port = listener.local_addr()?.port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let tls = tls.map(server_config).transpose()?;
        let received = Arc::new(Mutex::new(Received::default()));
        let shared = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                lock(&shared).connections += 1;
                let (received, tls) = (Arc::clone(&shared), tls.clone());
                thread::spawn(move || serve(stream, tls, &received, keep));
            }
        });
        Ok(Self {
            endpoint: format!("{scheme}://localhost:{port}"),
            received,
        })
    }

    /// Returns the connections and messages so far.
    pub(crate) fn received(&self) -> Received {
        std::mem::take(&mut lock(&self.received))
    }
}

fn lock(received: &Mutex<Received>) -> MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

fn server_config((chain, key): &(PathBuf, PathBuf)) -> Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(chain).context("certificates")?;
    let chain = chain.collect::<Result<_, _>>().context("certificates")?;
    let key = PrivateKeyDer::from_pem_file(key).context("key")?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("TLS")?;
    Ok(Arc::new(config))
}

fn serve(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    received: &Mutex<Received>,
    keep: bool,
) {
    let _ = stream.set_nodelay(true);
    // An error means that the function was stopped in the middle of a request.
    let _ = match tls.map(ServerConnection::new) {
        None => serve_requests(Connection::new(stream), received, keep),
        Some(Ok(tls)) => serve_requests(
            Connection::new(StreamOwned::new(tls, stream)),
            received,
            keep,
        ),
        Some(Err(_)) => Ok(()),
    };
}

fn serve_requests<S: Read + Write>(
    mut connection: Connection<S>,
    received: &Mutex<Received>,
    keep: bool,
) -> Result<()> {
    while let Some(request) = connection.next_request()? {
        if request.target.as_deref() != Some("AmazonSQS.SendMessage") {
            connection.respond("200 OK", "", "{}")?;
            continue;
        }
        let message: SendMessage<'_> = serde_json::from_slice(&request.body).context("message")?;
        // Some SDKs verify the MD5.
        let mut md5 = String::new();
        for byte in Md5::digest(message.message_body.as_bytes()) {
            write!(md5, "{byte:02x}")?;
        }
        connection.respond(
            "200 OK",
            "",
            &format!(
                concat!(
                    r#"{{"MD5OfMessageBody":"{}","#,
                    r#""MessageId":"219f8380-5770-4cc2-8c3e-5c715e145f5e","#,
                    r#""SequenceNumber":"18849496460467696128"}}"#
                ),
                md5
            ),
        )?;
        let mut received = lock(received);
        received.messages += 1;
        if keep {
            received
                .sent
                .push(String::from_utf8(request.body).context("message")?);
        }
    }
    Ok(())
}
