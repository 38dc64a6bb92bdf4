//! A stand-in for SQS on loopback: it takes every message, over plain HTTP or TLS.

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

/// What it has seen.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    pub(crate) messages: usize,
    pub(crate) sent: Vec<String>,
}

pub(crate) struct Sqs {
    /// Scheme, host and port.
    pub(crate) endpoint: String,
    seen: Arc<Mutex<Seen>>,
}

/// Of a message, all that the answer depends on.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendMessage<'a> {
    #[serde(borrow)]
    message_body: Cow<'a, str>,
}

impl Sqs {
    /// Listens until the program ends. With `keep` it remembers what it was sent.
    pub(crate) fn start(tls: Option<&(PathBuf, PathBuf)>, keep: bool) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("queue")?;
        let port = listener.local_addr()?.port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let tls = tls.map(server_config).transpose()?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                lock(&shared).connections += 1;
                let (seen, tls) = (Arc::clone(&shared), tls.clone());
                thread::spawn(move || serve(stream, tls, &seen, keep));
            }
        });
        Ok(Self {
            endpoint: format!("{scheme}://localhost:{port}"),
            seen,
        })
    }

    /// What it has seen until now.
    pub(crate) fn seen(&self) -> Seen {
        std::mem::take(&mut lock(&self.seen))
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
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

fn serve(stream: TcpStream, tls: Option<Arc<ServerConfig>>, seen: &Mutex<Seen>, keep: bool) {
    let _ = stream.set_nodelay(true);
    // Whoever hangs up in the middle has ended.
    let _ = match tls.map(ServerConnection::new) {
        None => answer_all(Connection::new(stream), seen, keep),
        Some(Ok(tls)) => answer_all(Connection::new(StreamOwned::new(tls, stream)), seen, keep),
        Some(Err(_)) => Ok(()),
    };
}

fn answer_all<S: Read + Write>(
    mut connection: Connection<S>,
    seen: &Mutex<Seen>,
    keep: bool,
) -> Result<()> {
    while let Some(request) = connection.request()? {
        if request.target.as_deref() != Some("AmazonSQS.SendMessage") {
            connection.answer("200 OK", "", "{}")?;
            continue;
        }
        let message: SendMessage<'_> = serde_json::from_slice(&request.body).context("message")?;
        // Some clients check it.
        let mut md5 = String::new();
        for byte in Md5::digest(message.message_body.as_bytes()) {
            write!(md5, "{byte:02x}")?;
        }
        connection.answer(
            "200 OK",
            "",
            &format!(
                r#"{{"MD5OfMessageBody":"{md5}","MessageId":"219f8380-5770-4cc2-8c3e-5c715e145f5e","SequenceNumber":"18849496460467696128"}}"#
            ),
        )?;
        let mut seen = lock(seen);
        seen.messages += 1;
        if keep {
            seen.sent
                .push(String::from_utf8(request.body).context("message")?);
        }
    }
    Ok(())
}
