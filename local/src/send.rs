//! Sends a body as a shop does, once to see the answer, or often to see how fast the answers come.

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    io::{self, Read as _, Write},
    num::{NonZeroU32, NonZeroU64},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::Value;
use ureq::{
    Agent,
    http::{HeaderName, HeaderValue, StatusCode, Uri},
};

use crate::{samples::sample_keys, sign};

/// The environment variable that keeps a secret out of the shell's history.
const SECRET_VARIABLE: &str = "WEBHOOK_SECRET";

const REQUEST_ID_HEADER: &str = "x-adobe-commerce-request-id";

/// Longer than any answer can take; what takes longer is counted as this.
const MICROS_MAX: u64 = 60 * 60 * 1_000_000;

/// Signs a body as a shop does and sends it; fails unless every answer is 200.
///
/// Without a secret or key of yours, it signs with the sample ones in events/sample-keys.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The body, sent byte for byte; `-` reads it from standard input.
    file: PathBuf,

    /// Where to send it, as in `http://127.0.0.1:8080/webhook/observer.sales_order_place_after`.
    #[arg(long, value_parser = http_url)]
    url: Uri,

    /// How to sign it; hmac, or rsa when there is a private key.
    #[arg(long, value_enum)]
    scheme: Option<Scheme>,

    /// Secret for hmac. The variable `WEBHOOK_SECRET` does the same and stays out of the shell's history.
    #[arg(long, value_name = "TEXT", conflicts_with = "secret_file")]
    secret: Option<String>,

    /// File that holds the secret for hmac.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// PEM file that holds the private key for rsa (PKCS #8).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["secret", "secret_file"])]
    private_key: Option<PathBuf>,

    /// One more header, or another value for one of those that are sent anyway. Can be repeated.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<Header>,

    /// How often to send it.
    #[arg(long, default_value = "1")]
    count: NonZeroU32,

    /// How many are under way at the same time, at most.
    #[arg(long, default_value = "1")]
    concurrency: NonZeroU32,

    /// How long to wait for an answer.
    #[arg(long, value_name = "MS", default_value = "5000")]
    timeout_ms: NonZeroU64,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Scheme {
    /// The spec's: HMAC-SHA256 with a shared secret.
    Hmac,
    /// The real shop's: RSA with the shop's private key.
    Rsa,
    /// No signature.
    None,
}

type Header = (HeaderName, HeaderValue);

fn http_url(text: &str) -> Result<Uri> {
    let url = text.parse::<Uri>().ok();
    let is_http = |url: &Uri| matches!(url.scheme_str(), Some("http" | "https"));
    url.filter(is_http).context("not an http or https URL")
}

fn header(text: &str) -> Result<Header> {
    let (name, value) = text.split_once(':').context("not 'Name: value'")?;
    Ok((name.trim().parse()?, value.trim().parse()?))
}

impl Arguments {
    /// Whether every answer was 200.
    pub(crate) fn run(&self, out: &mut impl Write) -> Result<bool> {
        let body = read_body(&self.file)?;
        let sender = Sender {
            agent: self.agent(),
            url: self.url.clone(),
            headers: self.all_headers(&body)?,
            body,
        };
        if self.count.get() == 1 {
            let answer = sender.send(random_id()?)?;
            show_answer(&answer, out)?;
            self.hint(answer.status.as_str(), out)?;
            Ok(answer.status == StatusCode::OK)
        } else {
            let tally = self.send_all(&sender)?;
            tally.show(out)?;
            for status in tally.outcomes.keys() {
                self.hint(status, out)?;
            }
            Ok(tally.all_ok())
        }
    }

    /// Says what is missing where the URL is that of the API alone.
    fn hint(&self, status: &str, out: &mut impl Write) -> io::Result<()> {
        if matches!(status, "404" | "405") && !self.url.path().contains("/webhook/observer.") {
            writeln!(
                out,
                "The URL names no route; it ends as in /webhook/observer.sales_order_place_after."
            )?;
        }
        Ok(())
    }

    fn agent(&self) -> Agent {
        Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(Duration::from_millis(self.timeout_ms.get())))
            .max_idle_connections(usize::MAX)
            .max_idle_connections_per_host(usize::MAX)
            .user_agent(concat!("local/", env!("CARGO_PKG_VERSION")))
            .build()
            .into()
    }

    /// What every request carries. A header that was asked for replaces one of the same name.
    fn all_headers(&self, body: &[u8]) -> Result<Vec<Header>> {
        let json = HeaderValue::from_static("application/json");
        let mut headers = vec![(HeaderName::from_static("content-type"), json)];
        headers.extend(self.signature(body)?);
        headers.retain(|(name, _)| !self.headers.iter().any(|(other, _)| other == name));
        headers.extend(self.headers.iter().cloned());
        Ok(headers)
    }

    fn signature(&self, body: &[u8]) -> Result<Option<Header>> {
        let likely = match self.private_key {
            Some(_) => Scheme::Rsa,
            None => Scheme::Hmac,
        };
        let (name, value) = match self.scheme.unwrap_or(likely) {
            Scheme::Hmac => {
                let secret = self.secret(env::var(SECRET_VARIABLE).ok())?;
                (sign::HMAC_HEADER, sign::hex(&sign::hmac(&secret, body)?))
            }
            Scheme::Rsa => {
                let sample = || sample("private-key.pem");
                let key = self.private_key.clone().unwrap_or_else(sample);
                let key = sign::read_private_key(&key)?;
                (sign::RSA_HEADER, sign::rsa(&key, body)?)
            }
            Scheme::None => return Ok(None),
        };
        Ok(Some((HeaderName::from_static(name), value.parse()?)))
    }

    fn secret(&self, from_environment: Option<String>) -> Result<String> {
        if let Some(secret) = &self.secret {
            return Ok(secret.clone());
        }
        if let Some(file) = &self.secret_file {
            return sign::read_secret(file);
        }
        match from_environment.filter(|secret| !secret.is_empty()) {
            Some(secret) => Ok(secret),
            None => sign::read_secret(&sample("hmac-secret.txt")),
        }
    }

    /// Sends as often as asked, from as many threads, and counts.
    fn send_all(&self, sender: &Sender) -> Result<Tally> {
        let bar = ProgressBar::new(self.count.get().into());
        bar.set_style(ProgressStyle::with_template(
            "{bar:40} {pos}/{len}  {per_sec}  {elapsed}",
        )?);
        let taken = AtomicU32::new(0);
        let started = Instant::now();
        let work = || -> Result<Tally> {
            let mut tally = Tally::new()?;
            while taken.fetch_add(1, Ordering::Relaxed) < self.count.get() {
                tally.note(&sender.send(random_id()?));
                bar.inc(1);
            }
            Ok(tally)
        };
        let tallies: Vec<Result<Tally>> = thread::scope(|scope| {
            let threads = self.concurrency.min(self.count).get();
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let ended = threads.into_iter().map(|thread| {
                let panicked = |_| Err(anyhow!("a sending thread panicked"));
                thread.join().unwrap_or_else(panicked)
            });
            ended.collect()
        });
        bar.finish_and_clear();
        let mut all = Tally::new()?;
        for tally in tallies {
            all.add(tally?)?;
        }
        all.elapsed = started.elapsed();
        Ok(all)
    }
}

fn read_body(file: &Path) -> Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut body = Vec::new();
        io::stdin()
            .read_to_end(&mut body)
            .context("cannot read standard input")?;
        return Ok(body);
    }
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Path of a sample key, which is said aloud: nobody shall take such a signature for one of a shop.
fn sample(file: &str) -> PathBuf {
    eprintln!("signed with the sample key events/sample-keys/{file}");
    sample_keys().join(file)
}

/// The shop gives an id to each of its requests.
fn random_id() -> Result<HeaderValue> {
    let mut id = [0; 16];
    SystemRandom::new()
        .fill(&mut id)
        .map_err(|_| anyhow!("no random numbers"))?;
    Ok(sign::hex(&id).parse()?)
}

/// One request, ready to be sent any number of times.
struct Sender {
    agent: Agent,
    url: Uri,
    headers: Vec<Header>,
    body: Vec<u8>,
}

struct Answer {
    status: StatusCode,
    text: String,
    elapsed: Duration,
}

impl Sender {
    fn send(&self, id: HeaderValue) -> Result<Answer> {
        let mut request = self.agent.post(&self.url);
        if let Some(headers) = request.headers_mut() {
            headers.insert(REQUEST_ID_HEADER, id);
            for (name, value) in &self.headers {
                headers.insert(name, value.clone());
            }
        }
        let started = Instant::now();
        let exchange = || {
            let mut response = request.send(&self.body)?;
            let text = response.body_mut().read_to_string()?;
            Ok::<_, ureq::Error>((response.status(), text))
        };
        let (status, text) = exchange().map_err(|reason| match reason {
            ureq::Error::Io(reason) => anyhow!("no answer from {}: {reason}", self.url),
            reason => anyhow!("no answer from {}: {reason}", self.url),
        })?;
        Ok(Answer {
            status,
            text,
            elapsed: started.elapsed(),
        })
    }
}

fn show_answer(answer: &Answer, out: &mut impl Write) -> Result<()> {
    writeln!(out, "{} in {}", answer.status, Millis(answer.elapsed))?;
    match serde_json::from_str::<Value>(&answer.text) {
        Ok(json) => writeln!(out, "{json:#}")?,
        Err(_) => writeln!(out, "{}", answer.text)?,
    }
    Ok(())
}

/// What came back from many requests.
struct Tally {
    outcomes: BTreeMap<String, u64>,
    /// Times to the answer, in microseconds.
    times: Histogram<u64>,
    elapsed: Duration,
}

impl Tally {
    fn new() -> Result<Self> {
        Ok(Self {
            outcomes: BTreeMap::new(),
            times: Histogram::new_with_max(MICROS_MAX, 3)?,
            elapsed: Duration::ZERO,
        })
    }

    fn note(&mut self, answer: &Result<Answer>) {
        let outcome = match answer {
            Ok(answer) => {
                let micros = answer.elapsed.as_micros().try_into().unwrap_or(u64::MAX);
                self.times.saturating_record(micros);
                answer.status.as_str().to_owned()
            }
            Err(reason) => format!("{reason:#}"),
        };
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    fn add(&mut self, other: Self) -> Result<()> {
        for (outcome, count) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        self.times.add(other.times)?;
        Ok(())
    }

    fn all_ok(&self) -> bool {
        self.outcomes.keys().all(|outcome| outcome == "200")
    }

    fn show(&self, out: &mut impl Write) -> io::Result<()> {
        for (outcome, count) in &self.outcomes {
            writeln!(out, "{count:>8} × {outcome}")?;
        }
        if self.times.is_empty() {
            return Ok(());
        }
        let answers = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
        let rate = f64::from(answers) / self.elapsed.as_secs_f64();
        writeln!(out, "{rate:>8.0} answers/s")?;
        let quantile = |quantile| self.times.value_at_quantile(quantile);
        for (name, micros) in [
            ("min", self.times.min()),
            ("p50", quantile(0.5)),
            ("p90", quantile(0.9)),
            ("p99", quantile(0.99)),
            ("max", self.times.max()),
        ] {
            writeln!(out, "{name:>8} {}", Millis(Duration::from_micros(micros)))?;
        }
        Ok(())
    }
}

struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:.1} ms", self.0.as_secs_f64() * 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader},
        net::{TcpListener, TcpStream},
    };

    use clap::Parser as _;

    use super::*;
    use crate::sign::tests::rsa_confirms;

    /// A server that answers every request alike; it hands out what it read.
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

    fn read_request(
        reader: &mut BufReader<TcpStream>,
    ) -> Option<(BTreeMap<String, String>, Vec<u8>)> {
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
        send: Arguments,
    }

    fn parse(url: &str, arguments: &[&str]) -> Arguments {
        let body = sample_keys().join("../customer_delete_after/default.body.json");
        let body = body.to_str().unwrap();
        let arguments = [&["local", body, "--url", url], arguments].concat();
        Cli::try_parse_from(arguments).unwrap().send
    }

    /// Whether all went well, and what was written; an error as the one line that the user sees.
    fn send(url: &str, arguments: &[&str]) -> Result<(bool, String), String> {
        let mut out = Vec::new();
        let ok = parse(url, arguments).run(&mut out);
        let ok = ok.map_err(|reason| format!("{reason:#}"))?;
        Ok((ok, String::from_utf8(out).unwrap()))
    }

    #[test]
    fn a_body_arrives_as_it_is_with_its_signature() {
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
    fn a_private_key_signs_as_the_shop_does() {
        let server = server("200 OK", "[]");
        let key = sample_keys().join("private-key.pem");
        let given = ["--private-key", key.to_str().unwrap()];
        let sample = ["--scheme", "rsa"];
        for arguments in [given, sample] {
            send(&server.url, &arguments).unwrap();
            let (headers, body) = server.requests.recv().unwrap();
            let value = &headers["x-adobe-commerce-webhook-signature"];
            assert!(rsa_confirms(&body, value), "{arguments:?}");
            assert!(!headers.contains_key("x-adobe-signature"));
        }
    }

    #[test]
    fn a_secret_is_an_argument_or_in_a_file_or_in_the_environment_or_the_sample_one() {
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
    fn a_header_that_was_asked_for_replaces_the_usual_one() {
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
    fn an_answer_other_than_200_is_shown_and_fails() {
        let server = server("401 Unauthorized", r#"{"status":401}"#);
        let (ok, shown) = send(&server.url, &["--scheme", "none"]).unwrap();
        assert!(!ok);
        assert!(shown.starts_with("401 Unauthorized in "), "{shown}");
        assert!(shown.ends_with("\n{\n  \"status\": 401\n}\n"), "{shown}");
    }

    #[test]
    fn an_url_without_a_route_is_told_from_a_wrong_one() {
        let hint = "names no route";
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
    fn many_are_counted_and_timed() {
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
    fn a_tally_shows_what_it_noted() {
        let answer = |status, micros| {
            Ok(Answer {
                status,
                text: String::new(),
                elapsed: Duration::from_micros(micros),
            })
        };
        let mut one = Tally::new().unwrap();
        one.note(&answer(StatusCode::OK, 1_500));
        one.note(&answer(StatusCode::OK, 2_500));
        let mut other = Tally::new().unwrap();
        other.note(&answer(StatusCode::SERVICE_UNAVAILABLE, 4_000));
        other.note(&Err(anyhow!("no answer")));
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
    fn nobody_at_the_other_end_is_an_error_in_one_line() {
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
    fn a_slow_answer_is_not_waited_for() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let arguments = ["--scheme", "none", "--timeout-ms", "50"];
        let reason = send(&url, &arguments).unwrap_err();
        assert!(reason.contains("timeout"), "{reason}");
        assert_eq!(reason.lines().count(), 1, "{reason}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let reason = read_body(Path::new("no/such.json")).unwrap_err();
        assert_eq!(
            format!("{reason:#}"),
            "cannot read no/such.json: No such file or directory (os error 2)"
        );
    }
}
