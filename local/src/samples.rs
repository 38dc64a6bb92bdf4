//! Sample requests: each `events/<channel>/<case>.body.json` holds the bytes that a shop sends, and `<case>.request.json`
//! beside it is what API Gateway hands to the function for them, signed with the sample keys.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use base64_simd::STANDARD as BASE64;
use clap::Args;
use ring::signature::RsaKeyPair;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::sign;

/// Writes events/<channel>/<case>.request.json for every <case>.body.json there.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Change nothing; name the requests that do not fit their bodies, and fail if there are any.
    #[arg(long)]
    check: bool,
}

impl Arguments {
    /// Whether all requests fit their bodies.
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
                "{stale} of {count} requests are stale; `local samples` writes them anew"
            )?;
        } else {
            writeln!(out, "{count} requests fit their bodies")?;
        }
        Ok(!self.check || stale == 0)
    }
}

/// The folder of the samples.
pub(crate) fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
        .join("events")
}

/// The folder of the sample keys.
pub(crate) fn sample_keys() -> PathBuf {
    events().join("sample-keys")
}

/// How a sample is signed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Signature {
    /// The spec's, in hex.
    Hmac,
    /// The spec's, as `sha256=` and hex.
    HmacPrefixed,
    /// The spec's, in base64.
    HmacBase64,
    /// The spec's, with a secret that nobody knows.
    HmacWrongSecret,
    /// The shop's.
    Rsa,
    /// Not at all.
    Unsigned,
}

/// How API Gateway writes the body into the request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Body {
    /// As it is.
    Text,
    /// In base64.
    Base64,
}

/// The cases that do not keep to the rule of [`how`].
const SPECIAL: &[(&str, Signature, Body)] = &[
    (
        "catalog_product_save_after/bad-status",
        Signature::Hmac,
        Body::Base64,
    ),
    (
        "checkout_cart_product_add_after/unsigned",
        Signature::Unsigned,
        Body::Text,
    ),
    (
        "customer_delete_after/wrong-secret",
        Signature::HmacWrongSecret,
        Body::Text,
    ),
    (
        "sales_order_place_after/loaded",
        Signature::HmacBase64,
        Body::Text,
    ),
    (
        "sales_order_place_after/spec-bare",
        Signature::HmacPrefixed,
        Body::Text,
    ),
];

/// A shop's default body is signed with the shop's key pair, everything else with the spec's secret.
fn how(channel: &str, case: &str) -> (Signature, Body) {
    let name = format!("{channel}/{case}");
    let special = SPECIAL.iter().find(|(special, ..)| *special == name);
    match special {
        Some((_, signature, body)) => (*signature, *body),
        None if case == "default" => (Signature::Rsa, Body::Text),
        None => (Signature::Hmac, Body::Text),
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

    /// Name and value of the header that holds the signature.
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

/// One sample.
struct Case {
    channel: String,
    name: String,
    body: Vec<u8>,
    request_path: PathBuf,
}

/// All samples below `events`, in the order of their names.
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
                    "{} has no body beside it",
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

/// The moment of all samples, in milliseconds since 1970 and as text.
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
    /// The text of the request, always the same for the same body.
    fn request(&self, keys: &SampleKeys) -> Result<String> {
        let (signature, written) = how(&self.channel, &self.name);
        let body = match written {
            Body::Base64 => BASE64.encode_to_string(&self.body),
            Body::Text => String::from_utf8(self.body.clone()).with_context(|| {
                format!("{}/{}: the body is not UTF-8", self.channel, self.name)
            })?,
        };
        let path = format!("/webhook/observer.{}", self.channel);
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
            is_base64_encoded: written == Body::Base64,
        };
        Ok(serde_json::to_string_pretty(&request)? + "\n")
    }

    /// The headers as API Gateway writes them: names in lower case, in order.
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

/// Ids that look like the real ones, differ from case to case, and stay the same from run to run.
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
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::sign::tests::{hmac_confirms, rsa_confirms};

    fn all() -> Vec<Case> {
        cases(&events()).unwrap()
    }

    #[test]
    fn requests_fit_their_bodies() {
        let mut out = Vec::new();
        let fits = Arguments { check: true }.run(&mut out).unwrap();
        assert!(fits, "{}", String::from_utf8_lossy(&out));
    }

    #[test]
    fn signatures_are_what_the_case_says() {
        let keys = SampleKeys::read().unwrap();
        for case in all() {
            let name = format!("{}/{}", case.channel, case.name);
            let text = fs::read_to_string(&case.request_path).unwrap();
            let request: Value = serde_json::from_str(&text).unwrap();

            let body = request["body"].as_str().unwrap();
            let body = if request["isBase64Encoded"] == true {
                BASE64.decode_to_vec(body).unwrap()
            } else {
                body.as_bytes().to_vec()
            };
            assert_eq!(body, case.body, "{name}: bytes of the body");

            let headers = &request["headers"];
            let by_hmac = headers["x-adobe-signature"].as_str().map(|value| {
                let hex = value.strip_prefix("sha256=").unwrap_or(value);
                let digest = if hex.len() == 64 {
                    (0..64)
                        .step_by(2)
                        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                        .collect()
                } else {
                    BASE64.decode_to_vec(value).unwrap()
                };
                hmac_confirms(&keys.secret, &body, &digest)
            });
            let by_rsa = headers["x-adobe-commerce-webhook-signature"]
                .as_str()
                .map(|value| rsa_confirms(&body, value));
            let expected = match case.name.as_str() {
                "default" => (None, Some(true)),
                "unsigned" => (None, None),
                "wrong-secret" => (Some(false), None),
                _ => (Some(true), None),
            };
            assert_eq!((by_hmac, by_rsa), expected, "{name}: signatures");
        }
    }

    #[test]
    fn every_channel_has_the_specs_body_the_shops_and_one_that_is_refused() {
        let mut channels = BTreeMap::<String, Vec<String>>::new();
        for case in all() {
            channels.entry(case.channel).or_default().push(case.name);
        }
        let functions = entries(&events().join("../functions")).unwrap();
        let functions: Vec<_> = functions.iter().map(|path| file_name(path)).collect();
        assert!(channels.keys().eq(&functions), "{functions:?}");
        for (channel, names) in channels {
            assert!(names.contains(&"ideal".to_owned()), "{channel}");
            assert!(names.contains(&"default".to_owned()), "{channel}");
            assert!(names.len() >= 3, "{channel}");
        }
    }

    #[test]
    fn every_special_case_is_there() {
        let names: Vec<_> = all()
            .iter()
            .map(|case| format!("{}/{}", case.channel, case.name))
            .collect();
        for (special, ..) in SPECIAL {
            assert!(names.contains(&(*special).to_owned()), "{special}");
        }
    }

    #[test]
    fn shop_bodies_are_written_as_php_writes_them() {
        for case in all().iter().filter(|case| case.name == "default") {
            let text = str::from_utf8(&case.body).unwrap();
            let channel = &case.channel;
            let start =
                format!(r#"{{"subject":[],"result":null,"eventName":"{channel}","data":{{"#);
            assert!(text.starts_with(&start), "{channel}");
            assert!(text.ends_with('}'), "{channel}: nothing after the object");
            assert!(text.is_ascii(), "{channel}: \\uXXXX for all else");
            assert!(
                !text.replace("\\/", "").contains('/'),
                "{channel}: \\/ for /"
            );
        }
    }

    #[test]
    fn both_shapes_of_the_spec_hold_the_same_order() {
        let body = |name: &str| -> Value {
            let cases = all();
            let case = cases
                .iter()
                .find(|case| case.channel == "sales_order_place_after" && case.name == name)
                .unwrap();
            serde_json::from_slice(&case.body).unwrap()
        };
        assert_eq!(body("ideal")["data"], body("spec-bare"));
    }
}
