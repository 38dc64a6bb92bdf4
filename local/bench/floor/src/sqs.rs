//! The client for SQS: connects to the queue, signs requests with Signature Version 4, sends them.

use std::{env, fs, net::TcpStream, sync::Arc};

use ring::{digest, hmac};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    AnyResult,
    http::{Connection, Stream},
};

/// The queue, with its connection and its credentials.
pub(crate) struct Queue {
    connection: Connection,
    host: String,
    pub(crate) url: String,
    region: String,
    access_key: String,
    secret_key: String,
    session_token: String,
}

impl Queue {
    pub(crate) fn connect() -> AnyResult<Self> {
        let url = env::var("QUEUE_URL")?;
        let (scheme, rest) = url.split_once("://").ok_or("URL")?;
        let host = rest.split('/').next().unwrap_or_default().to_owned();
        let tcp = TcpStream::connect(&host)?;
        tcp.set_nodelay(true)?;
        let mut stream: Box<dyn Stream> = Box::new(tcp.try_clone()?);
        if scheme == "https" {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(&fs::read(env::var("FLOOR_CA")?)?) {
                roots.add(certificate?)?;
            }
            let config = ClientConfig::builder()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let name = ServerName::try_from(host.split(':').next().unwrap_or_default().to_owned())?;
            let mut tls = StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, tcp);
            while tls.conn.is_handshaking() {
                tls.conn.complete_io(&mut tls.sock)?;
            }
            stream = Box::new(tls);
        }
        let [region, access_key, secret_key, session_token] = [
            "AWS_REGION",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
        ]
        .map(|name| env::var(name).unwrap_or_default());
        Ok(Self {
            connection: Connection::new(stream),
            host,
            url,
            region,
            access_key,
            secret_key,
            session_token,
        })
    }

    /// Sends a `SendMessage` request, signed with Signature Version 4.
    pub(crate) fn send(&mut self, body: &str) -> AnyResult<()> {
        let now = OffsetDateTime::now_utc()
            .replace_nanosecond(0)?
            .format(&Rfc3339)?
            .replace(['-', ':'], "");
        let day = now.get(..8).unwrap_or_default();
        let Self {
            host,
            region,
            access_key,
            secret_key,
            session_token,
            ..
        } = &*self;
        let sign = |key: &[u8], text: &str| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
        };
        let headers = format!(
            "content-type:application/x-amz-json-1.0\n\
             host:{host}\n\
             x-amz-date:{now}\n\
             x-amz-security-token:{session_token}\n\
             x-amz-target:AmazonSQS.SendMessage\n"
        );
        let names = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target";
        let hash = |text: &str| hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        let canonical = hash(&format!("POST\n/\n\n{headers}\n{names}\n{}", hash(body)));
        let scope = format!("{day}/{region}/sqs/aws4_request");
        let mut signing = sign(format!("AWS4{secret_key}").as_bytes(), day);
        for part in [region, "sqs", "aws4_request"] {
            signing = sign(signing.as_ref(), part);
        }
        let signature = hex(sign(
            signing.as_ref(),
            &format!("AWS4-HMAC-SHA256\n{now}\n{scope}\n{canonical}"),
        )
        .as_ref());
        let request = format!(
            "POST / HTTP/1.1\r\n\
             {}\
             authorization: AWS4-HMAC-SHA256 Credential={access_key}/{scope}, \
             SignedHeaders={names}, Signature={signature}\r\n\
             content-length: {}\r\n\r\n{body}",
            headers.replace('\n', "\r\n"),
            body.len()
        );
        let (head, _) = self.connection.exchange(request.as_bytes())?;
        if head.starts_with(b"HTTP/1.1 200") {
            Ok(())
        } else {
            Err("SQS did not respond with status 200".into())
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |digit: u8| char::from_digit(digit.into(), 16).unwrap_or_default();
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
