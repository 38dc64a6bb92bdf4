//! Tests of the command line, the requests and the measurement.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    net::{TcpListener, TcpStream},
};

use clap::Parser as _;

use super::*;
use crate::sign::tests::{claims_of, verifies_by_rsa};

/// A server that gives the same answer to every request, and returns the requests.
struct Server {
    url: String,
    requests: std::sync::mpsc::Receiver<(BTreeMap<String, String>, Vec<u8>)>,
}

fn server(status: &'static str, answer: &'static str) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/webhook", listener.local_addr().unwrap());
    let (sender, requests) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.unwrap());
                while let Some(request) = read_request(&mut reader) {
                    sender.send(request).unwrap_or_default();
                    let length = answer.len();
                    write!(
                        reader.get_mut(),
                        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{answer}"
                    )
                    .unwrap();
                }
            });
        }
    });
    Server { url, requests }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<(BTreeMap<String, String>, Vec<u8>)> {
    let mut headers = BTreeMap::new();
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    Some((headers, body))
}

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    send: SendCommand,
}

fn parse(url: &str, arguments: &[&str]) -> SendCommand {
    let body = sample_keys().join("../customer_delete_after/default.body.json");
    let body = body.to_str().unwrap();
    let arguments = [&["local", body, "--url", url], arguments].concat();
    Cli::try_parse_from(arguments).unwrap().send
}

/// Returns whether the command succeeded and its output, or the error message.
fn send(url: &str, arguments: &[&str]) -> Result<(bool, String), String> {
    let mut out = Vec::new();
    let ok = parse(url, arguments).run(&mut out);
    let ok = ok.map_err(|reason| format!("{reason:#}"))?;
    Ok((ok, String::from_utf8(out).unwrap()))
}

#[test]
fn sends_the_unchanged_body_and_its_signature() {
    let server = server("200 OK", r#"{"op":"success"}"#);
    let (ok, shown) = send(&server.url, &["--secret", "a sample secret"]).unwrap();
    assert!(ok);
    assert!(shown.starts_with("200 OK in "), "{shown}");
    assert!(
        shown.ends_with("\n{\n  \"op\": \"success\"\n}\n"),
        "{shown}"
    );

    let (headers, body) = server.requests.recv().unwrap();
    let file = sample_keys().join("../customer_delete_after/default.body.json");
    assert_eq!(body, fs::read(file).unwrap());
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["x-adobe-commerce-request-id"].len(), 32);
    let digest = &headers["x-adobe-signature"];
    let expected = sign::hex(&sign::hmac("a sample secret", &body).unwrap());
    assert_eq!(*digest, expected);
    assert!(!headers.contains_key("x-adobe-commerce-webhook-signature"));
}

#[test]
fn signs_with_a_private_key_as_a_shop_does() {
    let server = server("200 OK", "[]");
    let key = sample_keys().join("private-key.pem");
    let given = ["--private-key", key.to_str().unwrap()];
    let sample = ["--scheme", "rsa"];
    for arguments in [given, sample] {
        send(&server.url, &arguments).unwrap();
        let (headers, body) = server.requests.recv().unwrap();
        let value = &headers["x-adobe-commerce-webhook-signature"];
        assert!(verifies_by_rsa(&body, value), "{arguments:?}");
        assert!(!headers.contains_key("x-adobe-signature"));
    }
}

#[test]
fn sends_an_access_token_alone_or_beside_a_signature() {
    let server = server("200 OK", "[]");
    let organization = "0123456789ABCDEF01234567@AdobeOrg";
    for (scheme, has_hmac, has_rsa) in [
        ("ims", false, false),
        ("hmac+ims", true, false),
        ("rsa+ims", false, true),
    ] {
        send(&server.url, &["--scheme", scheme]).unwrap();
        let (headers, body) = server.requests.recv().unwrap();
        let token = headers["authorization"].strip_prefix("Bearer ").unwrap();
        let claims = claims_of(token).unwrap();
        assert_eq!(claims["client_id"], "commerce-sample-client");
        assert_eq!(headers["x-gw-ims-org-id"], organization);
        assert_eq!(headers.contains_key("x-adobe-signature"), has_hmac);
        let rsa = headers.get("x-adobe-commerce-webhook-signature");
        assert_eq!(
            rsa.is_some_and(|value| verifies_by_rsa(&body, value)),
            has_rsa
        );
    }
}

#[test]
fn signs_as_a_sample_shop_with_a_name() {
    let server = server("200 OK", "[]");
    send(&server.url, &["--scheme", "hmac+ims", "--shop", "eu"]).unwrap();
    let (headers, body) = server.requests.recv().unwrap();
    let secret = sign::read_secret(&sample_keys().join("eu-hmac-secret.txt")).unwrap();
    let expected = sign::hex(&sign::hmac(&secret, &body).unwrap());
    assert_eq!(headers["x-adobe-signature"], expected);
    let token = headers["authorization"].strip_prefix("Bearer ").unwrap();
    let claims = claims_of(token).unwrap();
    assert_eq!(claims["client_id"], "commerce-sample-client-eu");

    let client = ["--scheme", "ims", "--shop", "eu", "--ims-client", "other"];
    send(&server.url, &client).unwrap();
    let (headers, _) = server.requests.recv().unwrap();
    let token = headers["authorization"].strip_prefix("Bearer ").unwrap();
    assert_eq!(claims_of(token).unwrap()["client_id"], "other");

    send(&server.url, &["--scheme", "rsa", "--shop", "eu"]).unwrap();
    let (headers, body) = server.requests.recv().unwrap();
    let value = &headers["x-adobe-commerce-webhook-signature"];
    assert!(!verifies_by_rsa(&body, value), "of the shop without a name");
}

#[test]
fn reads_the_secret_from_argument_file_environment_or_sample() {
    let secret = |arguments: &[&str], from_environment: Option<&str>| {
        let arguments = parse("http://127.0.0.1/", arguments);
        arguments
            .secret(from_environment.map(str::to_owned))
            .unwrap()
    };
    let sample = "sample-secret-do-not-use-in-production";
    let file = sample_keys().join("hmac-secret.txt");
    let file = file.to_str().unwrap();
    assert_eq!(secret(&["--secret", "mine"], Some("environment's")), "mine");
    assert_eq!(secret(&["--secret-file", file], Some("other")), sample);
    assert_eq!(secret(&[], Some("environment's")), "environment's");
    assert_eq!(secret(&[], Some("")), sample);
    assert_eq!(secret(&[], None), sample);
}

#[test]
fn a_header_of_the_command_line_replaces_a_default_header() {
    let server = server("200 OK", "[]");
    let arguments = [
        "--scheme",
        "none",
        "--header",
        "Content-Type: text/plain",
        "--header",
        "x-tenant:a",
    ];
    send(&server.url, &arguments).unwrap();
    let (headers, _) = server.requests.recv().unwrap();
    assert_eq!(headers["content-type"], "text/plain");
    assert_eq!(headers["x-tenant"], "a");
    assert!(!headers.contains_key("x-adobe-signature"));
}

#[test]
fn shows_an_answer_other_than_200_and_fails() {
    let server = server("401 Unauthorized", r#"{"status":401}"#);
    let (ok, shown) = send(&server.url, &["--scheme", "none"]).unwrap();
    assert!(!ok);
    assert!(shown.starts_with("401 Unauthorized in "), "{shown}");
    assert!(shown.ends_with("\n{\n  \"status\": 401\n}\n"), "{shown}");
}

#[test]
fn explains_404_and_405_of_a_url_without_a_route() {
    let hint = "has no route";
    for status in ["404 Not Found", "405 Method Not Allowed"] {
        let server = server(status, r#"{"message":"Not Found"}"#);
        let (ok, shown) = send(&server.url, &["--scheme", "none"]).unwrap();
        assert!(!ok);
        assert!(shown.lines().last().unwrap().contains(hint), "{shown}");
        let many = ["--scheme", "none", "--count", "3"];
        let (ok, shown) = send(&server.url, &many).unwrap();
        assert!(!ok);
        assert_eq!(shown.matches(hint).count(), 1, "{shown}");
        let route = format!("{}/observer.no_such_channel", server.url);
        let (_, shown) = send(&route, &["--scheme", "none"]).unwrap();
        assert!(!shown.contains(hint), "{shown}");
    }
    let server = server("401 Unauthorized", "{}");
    let (_, shown) = send(&server.url, &["--scheme", "none"]).unwrap();
    assert!(!shown.contains(hint), "{shown}");
}

#[test]
fn counts_and_times_many_requests() {
    let server = server("200 OK", "[]");
    let arguments = ["--scheme", "none", "--count", "50", "--concurrency", "4"];
    let (ok, shown) = send(&server.url, &arguments).unwrap();
    assert!(ok);
    assert_eq!(server.requests.try_iter().count(), 50);
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[0], "      50 × 200");
    assert!(lines[1].ends_with(" answers/s"), "{shown}");
    let names: Vec<_> = lines[2..]
        .iter()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(names, ["min", "p50", "p90", "p99", "max"]);
}

#[test]
fn a_tally_shows_the_recorded_counts_and_latencies() {
    let answer = |status, micros| {
        Ok(Answer {
            status,
            text: String::new(),
            elapsed: Duration::from_micros(micros),
        })
    };
    let mut one = Tally::new().unwrap();
    one.record(&answer(StatusCode::OK, 1_500));
    one.record(&answer(StatusCode::OK, 2_500));
    let mut other = Tally::new().unwrap();
    other.record(&answer(StatusCode::SERVICE_UNAVAILABLE, 4_000));
    other.record(&Err(anyhow!("no answer")));
    one.add(other).unwrap();
    one.elapsed = Duration::from_millis(500);

    let mut out = Vec::new();
    one.show(&mut out).unwrap();
    let shown = "       2 × 200
       1 × 503
       1 × no answer
       6 answers/s
     min 1.5 ms
     p50 2.5 ms
     p90 4.0 ms
     p99 4.0 ms
     max 4.0 ms
";
    assert_eq!(String::from_utf8(out).unwrap(), shown);
    assert!(!one.all_ok());
}

#[test]
fn a_refused_connection_is_an_error_in_one_line() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", free.local_addr().unwrap());
    drop(free);
    let reason = send(&url, &["--scheme", "none"]).unwrap_err();
    assert_eq!(
        reason,
        format!("no answer from {url}: Connection refused (os error 111)")
    );
    let many = ["--scheme", "none", "--count", "3"];
    let (ok, shown) = send(&url, &many).unwrap();
    assert!(!ok);
    assert_eq!(shown, format!("       3 × {reason}\n"));
}

#[test]
fn a_slow_answer_is_a_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let arguments = ["--scheme", "none", "--timeout-ms", "50"];
    let reason = send(&url, &arguments).unwrap_err();
    assert!(reason.contains("timeout"), "{reason}");
    assert_eq!(reason.lines().count(), 1, "{reason}");
}

#[test]
fn an_error_names_the_missing_file() {
    let reason = read_body(Path::new("no/such.json")).unwrap_err();
    assert_eq!(
        format!("{reason:#}"),
        "cannot read no/such.json: No such file or directory (os error 2)"
    );
}
