//! Sample requests: each `events/<channel>/<case>.body.json` contains the bytes that a shop sends,
//! and `<case>.request.json` the request of API Gateway for them, signed with the sample keys.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use base64_simd::STANDARD as BASE64;
use channels::for_each_channel;
use clap::Args;
use ring::signature::RsaKeyPair;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use shared::{Channel, HookType};

use crate::sign;

/// Writes events/<channel>/<case>.request.json for each <case>.body.json.
#[derive(Args)]
pub(crate) struct SamplesCommand {
    /// Write nothing; list the requests that do not match their bodies, and fail if there are any.
    #[arg(long)]
    check: bool,
}

impl SamplesCommand {
    /// Returns whether all requests match their bodies.
    pub(crate) fn run(&self, out: &mut impl Write) -> Result<bool> {
        let keys = SampleKeys::read()?;
        let cases = cases(&events())?;
        let mut stale = 0_usize;
        for case in &cases {
            let request = case.request(&keys)?;
            if fs::read_to_string(&case.request_path).is_ok_and(|old| old == request) {
                continue;
            }
            stale += 1;
            let path = format!("events/{}/{}.request.json", case.channel, case.name);
            if self.check {
                writeln!(out, "stale: {path}")?;
            } else {
                fs::write(&case.request_path, request)
                    .with_context(|| format!("cannot write {path}"))?;
                writeln!(out, "written: {path}")?;
            }
        }
        let count = cases.len();
        if self.check && stale > 0 {
            writeln!(
                out,
                "{stale} of {count} requests are stale; `make samples` writes them"
            )?;
        } else {
            writeln!(out, "{count} requests match their bodies")?;
        }
        Ok(!self.check || stale == 0)
    }
}

/// Returns the folder of the samples.
pub(crate) fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
        .join("events")
}

/// Returns the folder of the sample keys.
pub(crate) fn sample_keys() -> PathBuf {
    events().join("sample-keys")
}

/// How a sample is signed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Signature {
    /// HMAC in hex.
    Hmac,
    /// HMAC as `sha256=` and hex.
    HmacPrefixed,
    /// HMAC in base64.
    HmacBase64,
    /// HMAC with an unknown secret.
    HmacWrongSecret,
    /// RSA, as a real shop signs.
    Rsa,
    /// No signature.
    Unsigned,
}

/// The encoding of the body in the request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Encoding {
    /// None.
    Text,
    /// Base64.
    Base64,
}

/// The samples that are exceptions to the rule in [`form`].
const SPECIAL: &[(&str, Signature, Encoding)] = &[
    (
        "catalog_product_save_after/bad-status",
        Signature::Hmac,
        Encoding::Base64,
    ),
    (
        "checkout_cart_product_add_after/unsigned",
        Signature::Unsigned,
        Encoding::Text,
    ),
    (
        "customer_delete_after/wrong-secret",
        Signature::HmacWrongSecret,
        Encoding::Text,
    ),
    (
        "sales_order_place_after/loaded",
        Signature::HmacBase64,
        Encoding::Text,
    ),
    (
        "sales_order_place_after/spec-bare",
        Signature::HmacPrefixed,
        Encoding::Text,
    ),
];

/// Returns the form of a sample's request: a shop's default body is signed with RSA, any other body
/// with HMAC.
fn form(channel: &str, case: &str) -> (Signature, Encoding) {
    let name = format!("{channel}/{case}");
    let special = SPECIAL.iter().find(|(special, ..)| *special == name);
    match special {
        Some((_, signature, encoding)) => (*signature, *encoding),
        None if case == "default" => (Signature::Rsa, Encoding::Text),
        None => (Signature::Hmac, Encoding::Text),
    }
}

struct SampleKeys {
    secret: String,
    private_key: RsaKeyPair,
}

impl SampleKeys {
    fn read() -> Result<Self> {
        Ok(Self {
            secret: sign::read_secret(&sample_keys().join("hmac-secret.txt"))?,
            private_key: sign::read_private_key(&sample_keys().join("private-key.pem"))?,
        })
    }

    /// Returns the name and value of the header with the signature.
    fn sign(&self, signature: Signature, body: &[u8]) -> Result<Option<(&'static str, String)>> {
        let hmac = |secret| sign::hmac(secret, body);
        let value = match signature {
            Signature::Hmac => sign::hex(&hmac(&self.secret)?),
            Signature::HmacPrefixed => format!("sha256={}", sign::hex(&hmac(&self.secret)?)),
            Signature::HmacBase64 => BASE64.encode_to_string(hmac(&self.secret)?),
            Signature::HmacWrongSecret => sign::hex(&hmac("a secret that nobody knows")?),
            Signature::Rsa => {
                let value = sign::rsa(&self.private_key, body)?;
                return Ok(Some((sign::RSA_HEADER, value)));
            }
            Signature::Unsigned => return Ok(None),
        };
        Ok(Some((sign::HMAC_HEADER, value)))
    }
}

/// A sample.
struct Case {
    channel: String,
    name: String,
    body: Vec<u8>,
    request_path: PathBuf,
}

/// Finds all samples in `events`, sorted by name.
fn cases(events: &Path) -> Result<Vec<Case>> {
    const BODY: &str = ".body.json";
    const REQUEST: &str = ".request.json";
    let mut cases = Vec::new();
    for folder in entries(events)? {
        if !folder.is_dir() {
            continue;
        }
        for file in entries(&folder)? {
            let name = file_name(&file);
            if let Some(case) = name.strip_suffix(REQUEST) {
                ensure!(
                    file.with_file_name(format!("{case}{BODY}")).exists(),
                    "{} has no body",
                    file.display()
                );
            }
            let Some(case) = name.strip_suffix(BODY) else {
                continue;
            };
            cases.push(Case {
                channel: file_name(&folder).to_owned(),
                name: case.to_owned(),
                body: fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?,
                request_path: file.with_file_name(format!("{case}{REQUEST}")),
            });
        }
    }
    Ok(cases)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<_>>>()
    };
    let mut entries = read().with_context(|| format!("cannot read {}", folder.display()))?;
    entries.sort();
    Ok(entries)
}

fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

/// Returns the path of the route of a channel, or `None` if there is no such channel. The hook type
/// is part of it if the name of the event suggests the other one.
fn route(channel: &str) -> Option<String> {
    let channels: [fn() -> _; _] = for_each_channel!(names);
    let (_, method, hook_type) = channels
        .into_iter()
        .map(|names| names())
        .find(|(name, ..)| *name == channel)?;
    let is_before = method.starts_with("plugin.") || method.ends_with("_before");
    let suffix = match (hook_type, is_before) {
        (HookType::Before, false) => "/before",
        (HookType::After, true) => "/after",
        _ => "",
    };
    Some(format!("/webhook/{method}{suffix}"))
}

fn names<C: Channel>() -> (&'static str, &'static str, HookType) {
    (C::NAME, C::METHOD, C::HOOK_TYPE)
}

/// The time of all samples, in milliseconds since 1970 and as text.
const TIME_EPOCH: u64 = 1_781_814_431_000;
const TIME: &str = "18/Jun/2026:20:27:11 +0000";

const DOMAIN_PREFIX: &str = "hooks";
const DOMAIN_NAME: &str = "hooks.example.com";
const SHOP_ADDRESS: &str = "203.0.113.10";
const SHOP_AGENT: &str = "GuzzleHttp/7";

/// An event of API Gateway's HTTP API, payload format 2.0.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    version: &'a str,
    route_key: &'a str,
    raw_path: &'a str,
    raw_query_string: &'a str,
    headers: BTreeMap<&'a str, String>,
    #[serde(rename = "requestContext")]
    context: Context<'a>,
    body: &'a str,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    account_id: &'a str,
    api_id: &'a str,
    domain_name: &'a str,
    domain_prefix: &'a str,
    http: Http<'a>,
    request_id: &'a str,
    route_key: &'a str,
    stage: &'a str,
    time: &'a str,
    time_epoch: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    method: &'a str,
    path: &'a str,
    protocol: &'a str,
    source_ip: &'a str,
    user_agent: &'a str,
}

impl Case {
    /// Returns the text of the request. It is deterministic.
    fn request(&self, keys: &SampleKeys) -> Result<String> {
        let (signature, encoding) = form(&self.channel, &self.name);
        let body = match encoding {
            Encoding::Base64 => BASE64.encode_to_string(&self.body),
            Encoding::Text => String::from_utf8(self.body.clone()).with_context(|| {
                format!("{}/{}: the body is not UTF-8", self.channel, self.name)
            })?,
        };
        let path = route(&self.channel)
            .with_context(|| format!("events/{}: there is no such channel", self.channel))?;
        let route_key = format!("POST {path}");
        let ids = Ids::of(&self.channel, &self.name);
        let request = Request {
            version: "2.0",
            route_key: &route_key,
            raw_path: &path,
            raw_query_string: "",
            headers: self.headers(&ids, keys.sign(signature, &self.body)?),
            context: Context {
                account_id: "123456789012",
                api_id: "a1b2c3d4e5",
                domain_name: DOMAIN_NAME,
                domain_prefix: DOMAIN_PREFIX,
                http: Http {
                    method: "POST",
                    path: &path,
                    protocol: "HTTP/1.1",
                    source_ip: SHOP_ADDRESS,
                    user_agent: SHOP_AGENT,
                },
                request_id: &ids.gateway,
                route_key: &route_key,
                stage: "$default",
                time: TIME,
                time_epoch: TIME_EPOCH,
            },
            body: &body,
            is_base64_encoded: encoding == Encoding::Base64,
        };
        Ok(serde_json::to_string_pretty(&request)? + "\n")
    }

    /// Returns the headers as API Gateway sends them: sorted, with names in lower case.
    fn headers(
        &self,
        ids: &Ids,
        signature: Option<(&'static str, String)>,
    ) -> BTreeMap<&'static str, String> {
        let mut headers = BTreeMap::from([
            ("content-length", self.body.len().to_string()),
            ("content-type", "application/json".to_owned()),
            ("host", DOMAIN_NAME.to_owned()),
            ("user-agent", SHOP_AGENT.to_owned()),
            ("x-adobe-commerce-request-id", ids.shop.clone()),
            ("x-amzn-trace-id", ids.trace.clone()),
            ("x-forwarded-for", SHOP_ADDRESS.to_owned()),
            ("x-forwarded-port", "443".to_owned()),
            ("x-forwarded-proto", "https".to_owned()),
        ]);
        headers.extend(signature);
        headers
    }
}

/// Ids that look like real ones. They are unique for each case, and deterministic.
struct Ids {
    gateway: String,
    shop: String,
    trace: String,
}

impl Ids {
    fn of(channel: &str, case: &str) -> Self {
        let digest = |what: &str| Sha256::digest(format!("{what} of {channel}/{case}"));
        let bytes = |what: &str, count: usize| -> Vec<u8> {
            digest(what).into_iter().take(count).collect()
        };
        Self {
            gateway: base64_simd::URL_SAFE.encode_to_string(bytes("gateway", 11)),
            shop: sign::hex(&bytes("shop", 16)),
            trace: format!(
                "Root=1-{:x}-{}",
                TIME_EPOCH / 1000,
                sign::hex(&bytes("trace", 12))
            ),
        }
    }
}

#[cfg(test)]
mod tests;
