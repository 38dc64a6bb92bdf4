//! Tests of the requests to IMS and of the refreshes; and keys and tokens for all tests.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::LazyLock,
    thread::{self, JoinHandle},
};

use ring::{
    rand::SystemRandom,
    rsa::{KeyPair, PublicKeyComponents},
    signature::RSA_PKCS1_SHA256,
};
use serde_json::{Value, json};

use super::{fetch::ANSWER_BYTES_MAX, *};

/// The name of the key that signs the tokens.
pub(super) const KID: &str = "sample-1";

static KEY: LazyLock<KeyPair> = LazyLock::new(|| {
    let pem = include_str!("../../../../events/sample-keys/private-key.pem");
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    KeyPair::from_pkcs8(&base64_simd::STANDARD.decode_to_vec(base64).unwrap()).unwrap()
});

pub(super) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// Signs a header and claims, which need not be JSON.
pub(super) fn sign(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    let signed = format!("{}.{}", base64url(header), base64url(claims));
    let mut signature = vec![0; KEY.public().modulus_len()];
    let random = SystemRandom::new();
    KEY.sign(
        &RSA_PKCS1_SHA256,
        &random,
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{signed}.{}", base64url(signature))
}

/// Returns the modulus and the exponent of the key that signs the tokens.
pub(super) fn components() -> (Vec<u8>, Vec<u8>) {
    let PublicKeyComponents { n, e } = KEY.public().into();
    (n, e)
}

/// Returns that key as a JWK.
pub(super) fn jwk(kid: &str) -> Value {
    let (modulus, exponent) = components();
    json!({
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid,
        "n": base64url(modulus), "e": base64url(exponent),
    })
}

pub(super) fn parse(jwks: &[Value]) -> Result<ImsKeys, ImsError> {
    ImsKeys::parse(json!({ "keys": jwks }).to_string().as_bytes())
}

/// How the fake IMS handles a request.
enum Behavior {
    /// Answers, and keeps the connection open.
    Answer(String),
    /// Sends this text and closes the connection.
    Break(String),
    /// Keeps the connection open without an answer.
    Nothing,
}
use Behavior::{Answer, Break, Nothing};

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn keys(jwks: &[Value]) -> String {
    answer("200 OK", &json!({ "keys": jwks }).to_string())
}

fn good() -> Behavior {
    Answer(keys(&[jwk(KID)]))
}

/// Starts a fake IMS, which handles one request for each element of the script. Returns the
/// client with a refresh interval of zero, and the thread, which returns the requests.
fn start(script: Vec<Behavior>) -> (Ims, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut requests = Vec::new();
        let mut open = Vec::new();
        let mut current: Option<TcpStream> = None;
        for behavior in script {
            let (mut connection, request) = loop {
                let mut connection = current
                    .take()
                    .unwrap_or_else(|| listener.accept().unwrap().0);
                let request = read_head(&mut connection);
                if !request.is_empty() {
                    break (connection, request);
                }
            };
            requests.push(request);
            match behavior {
                Answer(text) => {
                    // The client may have read enough and closed the connection.
                    let _ = connection.write_all(text.as_bytes());
                    current = Some(connection);
                }
                Break(text) => connection.write_all(text.as_bytes()).unwrap(),
                Nothing => open.push(connection),
            }
        }
        requests
    });
    let settings = ImsSettings {
        keys_url: check_url(&format!("http://{address}/ims/keys")).unwrap(),
        refresh: Duration::ZERO,
    };
    (Ims::new(settings, &Connections::new().unwrap()), server)
}

/// Reads a request without a body. Returns an empty text if the connection is closed.
fn read_head(connection: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && connection.read(&mut byte).is_ok_and(|count| count == 1) {
        head.extend_from_slice(&byte);
    }
    String::from_utf8(head).unwrap()
}

fn deadline() -> Deadline {
    Deadline::new(Duration::from_secs(5), 0, 0)
}

/// Returns the number of keys after one request, and the number of requests.
async fn ask(script: Vec<Behavior>) -> (usize, usize) {
    let (ims, server) = start(script);
    let known = ims.current(deadline()).await.len();
    (known, server.join().unwrap().len())
}

#[tokio::test]
async fn reads_the_keys_with_a_request_without_the_token() {
    let (ims, server) = start(vec![good()]);
    ims.warm_up(WAIT_MAX).await;
    assert_eq!(ims.known().len(), 1);
    let requests = server.join().unwrap();
    let [request] = &requests[..] else {
        panic!("one request");
    };
    assert!(
        request.starts_with("GET /ims/keys HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(!request.to_lowercase().contains("authorization"));
}

#[tokio::test]
async fn only_a_complete_answer_with_status_200_and_a_key_counts() {
    let whole = keys(&[jwk(KID)]);
    let large = |bytes| {
        let mut body = json!({ "keys": [jwk(KID)] }).to_string();
        body.push_str(&" ".repeat(bytes - body.len()));
        Answer(answer("200 OK", &body))
    };
    assert_eq!(ask(vec![large(ANSWER_BYTES_MAX)]).await, (1, 1));
    assert_eq!(ask(vec![large(ANSWER_BYTES_MAX + 1)]).await, (0, 1));
    let body = json!({ "keys": [jwk(KID)] }).to_string();
    for status in [
        "203 Non-Authoritative Information",
        "404 Not Found",
        "500 Oops",
    ] {
        assert_eq!(ask(vec![Answer(answer(status, &body))]).await, (0, 1));
    }
    // The target of the redirect would answer with a key.
    let redirect = "HTTP/1.1 302 Found\r\nlocation: /ims/other\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(ask(vec![Answer(redirect.to_owned())]).await, (0, 1));
    for body in ["", "{", "<html>", "[]", "{}", "null", r#"{"keys":[]}"#] {
        assert_eq!(ask(vec![Answer(answer("200 OK", body))]).await, (0, 1));
    }
    // A broken connection is retried once, with any part of the answer.
    for end in [0, 9, whole.len() - 1] {
        let part = || Break(whole[..end].to_owned());
        assert_eq!(ask(vec![part(), good()]).await, (1, 2));
        assert_eq!(ask(vec![part(), part()]).await, (0, 2));
    }
}

#[tokio::test]
async fn retries_on_a_new_connection_if_the_open_one_was_closed() {
    let (ims, server) = start(vec![good(), Break(String::new()), good()]);
    for _ in 0..2 {
        assert_eq!(ims.current(deadline()).await.len(), 1);
    }
    assert!(!ims.failed.get());
    assert_eq!(server.join().unwrap().len(), 3);
}

#[tokio::test]
async fn keeps_the_known_keys_while_ims_fails() {
    let script = vec![
        Answer(keys(&[jwk("a"), jwk("b")])),
        Answer(answer("503 Busy", "")),
        Answer(keys(&[])),
        good(),
    ];
    let (ims, server) = start(script);
    for (known, failed) in [(2, false), (2, true), (2, true), (1, false)] {
        assert_eq!(ims.current(deadline()).await.len(), known);
        assert_eq!(ims.failed.get(), failed);
    }
    server.join().unwrap();
    // The port is closed now.
    assert_eq!(ims.current(deadline()).await.len(), 1);
    assert!(matches!(
        ims.refreshed(deadline()).await,
        KidRefresh::Failed
    ));
}

#[tokio::test]
async fn waits_no_longer_than_the_limit() {
    let (ims, server) = start(vec![Nothing, good()]);
    let started = SystemTime::now();
    ims.warm_up(Duration::from_millis(50)).await;
    assert!(ims.known().is_empty());
    assert!(started.elapsed().unwrap() < WAIT_MAX);
    // The first request after a failed cold start tries again at once.
    assert_eq!(ims.current(deadline()).await.len(), 1);
    assert_eq!(server.join().unwrap().len(), 2);

    let (ims, _) = start(vec![]);
    let passed = Deadline::new(Duration::ZERO, 0, 0);
    assert!(ims.current(passed).await.is_empty());
    assert!(matches!(ims.refreshed(passed).await, KidRefresh::Failed));
}

#[tokio::test]
async fn limits_the_refreshes_for_unknown_keys() {
    let busy = || Answer(answer("503 Busy", ""));
    let (ims, server) = start(vec![good(), good(), busy()]);
    let refreshed = async || match ims.refreshed(deadline()).await {
        KidRefresh::Read(keys) => Some(keys.len()),
        KidRefresh::TooSoon => Some(0),
        KidRefresh::Failed => None,
    };
    assert_eq!(refreshed().await, Some(1));
    assert_eq!(refreshed().await, Some(0));
    ims.unknown_kid_was_valid();
    assert_eq!(refreshed().await, Some(1));
    ims.unknown_kid_was_valid();
    assert_eq!(refreshed().await, None);
    assert_eq!(refreshed().await, None, "not asked again at once");
    assert_eq!(server.join().unwrap().len(), 3);
    assert_eq!(ims.known().len(), 1);
}

#[test]
fn the_url_of_the_keys_uses_tls_or_stays_on_the_machine() {
    for good in [
        "https://ims-na1.adobelogin.com/ims/keys",
        "https://ims-na1-stg1.adobelogin.com/ims/keys",
        "https://ims.example:8443/",
        "http://127.0.0.1:8080/ims/keys",
        "http://localhost/",
        "http://[::1]:80/",
    ] {
        assert_eq!(check_url(good).unwrap().to_string(), good);
    }
    for bad in [
        "",
        "/ims/keys",
        "ims.example",
        "ims.example/keys",
        "http://ims.example/keys",
        "http://127.0.0.1.example/",
        "http://localhost@ims.example/",
        "https://user:hush@ims.example/",
        "ftp://ims.example/",
        "file:///etc/passwd",
        "https://ims.example/a b",
        "https://",
    ] {
        assert!(check_url(bad).is_err(), "{bad}");
    }
}
