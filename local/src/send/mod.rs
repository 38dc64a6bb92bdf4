//! Sends a body as a shop does: once, to show the answer, or many times, to measure the latency.

mod tally;

use std::{
    env, fs,
    io::{self, Read as _, Write},
    num::{NonZeroU32, NonZeroU64},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, anyhow};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::Value;
use ureq::{
    Agent,
    http::{HeaderName, HeaderValue, StatusCode, Uri},
};

use self::tally::{Millis, Tally};
use crate::{samples::sample_keys, sign};

/// The environment variable that keeps a secret out of the shell's history.
const SECRET_VARIABLE: &str = "WEBHOOK_SECRET";

const REQUEST_ID_HEADER: &str = "x-adobe-commerce-request-id";

/// Signs a body as a shop does and sends it. Fails unless every answer is 200.
///
/// Without a secret or key, it signs with the sample keys in events/sample-keys.
#[derive(Args)]
pub(crate) struct SendCommand {
    /// File with the body, sent byte for byte; `-` reads standard input.
    file: PathBuf,

    /// URL of the route, as in
    /// `http://127.0.0.1:8080/webhook/observer.sales_order_place_after`.
    #[arg(long, value_parser = http_url)]
    url: Uri,

    /// Scheme. The default is rsa with --private-key, and otherwise hmac.
    #[arg(long, value_enum)]
    scheme: Option<Scheme>,

    /// Sample shop whose sample keys sign. The default is the shop without a name.
    #[arg(long, value_parser = ["eu"])]
    shop: Option<String>,

    /// Secret for hmac. The variable `WEBHOOK_SECRET` keeps it out of the shell's history.
    #[arg(long, value_name = "TEXT", conflicts_with = "secret_file")]
    secret: Option<String>,

    /// File with the secret for hmac.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// PEM file with the private key for rsa (PKCS #8).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["secret", "secret_file"])]
    private_key: Option<PathBuf>,

    /// Client of the access token. The default is the sample client of the shop.
    #[arg(long, value_name = "ID")]
    ims_client: Option<String>,

    /// Additional header; it replaces a default header of the same name. Can be repeated.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<Header>,

    /// Number of requests.
    #[arg(long, default_value = "1")]
    count: NonZeroU32,

    /// Maximum number of concurrent requests.
    #[arg(long, default_value = "1")]
    concurrency: NonZeroU32,

    /// Timeout of a request in milliseconds.
    #[arg(long, value_name = "MS", default_value = "5000")]
    timeout_ms: NonZeroU64,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Scheme {
    /// HMAC-SHA256 with a shared secret, as in the spec.
    Hmac,
    /// RSA with the shop's private key, as a real shop signs.
    Rsa,
    /// Access token of a sample client, signed with the sample key of IMS.
    Ims,
    /// HMAC-SHA256 and an access token.
    #[value(name = "hmac+ims")]
    HmacIms,
    /// RSA and an access token.
    #[value(name = "rsa+ims")]
    RsaIms,
    /// Neither a signature nor a token.
    None,
}

impl Scheme {
    fn has_hmac(self) -> bool {
        matches!(self, Self::Hmac | Self::HmacIms)
    }

    fn has_rsa(self) -> bool {
        matches!(self, Self::Rsa | Self::RsaIms)
    }

    fn has_token(self) -> bool {
        matches!(self, Self::Ims | Self::HmacIms | Self::RsaIms)
    }
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

impl SendCommand {
    /// Returns whether every answer was 200.
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

    /// Writes a hint if the URL has no route.
    fn hint(&self, status: &str, out: &mut impl Write) -> io::Result<()> {
        if matches!(status, "404" | "405") && !self.url.path().contains("/webhook/observer.") {
            writeln!(
                out,
                "The URL has no route; it must end as in /webhook/observer.sales_order_place_after."
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

    /// Returns the headers of each request. A header of the command line replaces one of the same
    /// name.
    fn all_headers(&self, body: &[u8]) -> Result<Vec<Header>> {
        let json = HeaderValue::from_static("application/json");
        let mut headers = vec![(HeaderName::from_static("content-type"), json)];
        headers.extend(self.credentials(body)?);
        headers.retain(|(name, _)| !self.headers.iter().any(|(other, _)| other == name));
        headers.extend(self.headers.iter().cloned());
        Ok(headers)
    }

    /// Returns the headers with the signature and the token of the scheme.
    fn credentials(&self, body: &[u8]) -> Result<Vec<Header>> {
        let default = match self.private_key {
            Some(_) => Scheme::Rsa,
            None => Scheme::Hmac,
        };
        let scheme = self.scheme.unwrap_or(default);
        let mut headers = Vec::new();
        let mut add = |name, value: String| -> Result<()> {
            headers.push((HeaderName::from_static(name), value.parse()?));
            Ok(())
        };
        if scheme.has_hmac() {
            let secret = self.secret(env::var(SECRET_VARIABLE).ok())?;
            add(sign::HMAC_HEADER, sign::hex(&sign::hmac(&secret, body)?))?;
        }
        if scheme.has_rsa() {
            let sample = || self.sample("private-key.pem");
            let key = self.private_key.clone().unwrap_or_else(sample);
            let key = sign::read_private_key(&key)?;
            add(sign::RSA_HEADER, sign::rsa(&key, body)?)?;
        }
        if scheme.has_token() {
            let (client, file) = (self.client(), "ims-private-key.pem");
            eprintln!("access token of {client}, signed with events/sample-keys/{file}");
            let key = sign::read_private_key(&sample_keys().join(file))?;
            let token = sign::access_token(&key, &client, SystemTime::now())?;
            add(sign::TOKEN_HEADER, format!("Bearer {token}"))?;
            add(sign::ORGANIZATION_HEADER, sign::SAMPLE_ORGANIZATION.into())?;
        }
        Ok(headers)
    }

    /// Returns the path of a sample key of the shop.
    fn sample(&self, file: &str) -> PathBuf {
        match &self.shop {
            Some(shop) => sample(&format!("{shop}-{file}")),
            None => sample(file),
        }
    }

    /// Returns the client of the access token: by default, the sample client of the shop.
    fn client(&self) -> String {
        match (&self.ims_client, &self.shop) {
            (Some(client), _) => client.clone(),
            (None, Some(shop)) => format!("{}-{shop}", sign::SAMPLE_CLIENT),
            (None, None) => sign::SAMPLE_CLIENT.to_owned(),
        }
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
            None => sign::read_secret(&self.sample("hmac-secret.txt")),
        }
    }

    /// Sends all requests, from several threads.
    fn send_all(&self, sender: &Sender) -> Result<Tally> {
        let bar = ProgressBar::new(self.count.get().into());
        bar.set_style(ProgressStyle::with_template(
            "{bar:40} {pos}/{len}  {per_sec}  {elapsed}",
        )?);
        let started_requests = AtomicU32::new(0);
        let started = Instant::now();
        let work = || -> Result<Tally> {
            let mut tally = Tally::new()?;
            while started_requests.fetch_add(1, Ordering::Relaxed) < self.count.get() {
                tally.record(&sender.send(random_id()?));
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

/// Returns the path of a sample key, and reports that it is used: a real shop has other keys.
fn sample(file: &str) -> PathBuf {
    eprintln!("signed with the sample key events/sample-keys/{file}");
    sample_keys().join(file)
}

/// Returns an id for a request, as a shop sends one with each request.
fn random_id() -> Result<HeaderValue> {
    let mut id = [0; 16];
    SystemRandom::new()
        .fill(&mut id)
        .map_err(|_| anyhow!("no random numbers"))?;
    Ok(sign::hex(&id).parse()?)
}

/// A request that can be sent any number of times.
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

#[cfg(test)]
mod tests;
