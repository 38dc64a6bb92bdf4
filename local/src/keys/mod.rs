//! Adds keys to the text of a secret. It reads keys with the code of the functions, so a function
//! can use every key that it adds.

use std::{
    fs,
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};
use shared::verify::{
    HmacSecret, KEYS_MAX, KeyError, Keys, NamedKey, RsaKey, Scheme, SecretVersion, SignaturePolicy,
    VerificationKey, pem,
    secret::{EXAMPLE, Secret},
};

/// The sample key. Its private key is published with it.
const SAMPLE_PEM: &str = include_str!("../../../events/sample-keys/public-key.pem");

/// The sample secret.
const SAMPLE_HMAC: &str = include_str!("../../../events/sample-keys/hmac-secret.txt");

/// Adds the keys of a file to a secret, or lists the keys of the secret. It reads the secret from
/// standard input and writes JSON to standard output.
#[derive(Args)]
pub(crate) struct KeysCommand {
    #[command(flatten)]
    task: Task,
    /// Accept the published sample keys, too, for an emulator on this machine.
    #[arg(long)]
    allow_published: bool,
}

#[derive(Args)]
#[group(id = "task", required = true, multiple = false)]
struct Task {
    /// PEM file with public keys of the shop.
    #[arg(long, value_name = "FILE")]
    pem: Option<PathBuf>,
    /// File with a secret that the shop shares.
    #[arg(long, value_name = "FILE")]
    hmac: Option<PathBuf>,
    /// List the places of the usable keys, without the keys.
    #[arg(long)]
    list: bool,
}

/// The output of `--list`, for `make apply` and `make doctor`.
#[derive(Serialize)]
struct Usable {
    keys: Vec<Place>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
struct Place {
    place: String,
    /// Whether it is a published sample key, whose private key is public.
    published: bool,
}

/// The changed secret. `Debug` shows the secret, so only tests derive it.
#[derive(Serialize)]
#[cfg_attr(test, derive(Debug))]
struct Change {
    /// The new text of the secret; `None` if it already contains every key of the file.
    secret: Option<String>,
    /// Places of the new keys.
    added: Vec<String>,
    /// Places of the keys that the secret already contained.
    known: Vec<String>,
    /// Entries of the secret that are invalid or should not be used. They stay unchanged.
    warnings: Vec<String>,
}

impl KeysCommand {
    /// Writes the new secret or the list.
    pub(crate) fn run(&self, out: &mut impl Write) -> Result<bool> {
        let mut secret = String::new();
        io::stdin()
            .read_to_string(&mut secret)
            .context("the secret cannot be read")?;
        if self.task.list {
            serde_json::to_writer(out, &list_keys(&secret)?)?;
            return Ok(true);
        }
        let (scheme, given) = self.given()?;
        serde_json::to_writer(out, &add_keys(&secret, scheme, given)?)?;
        Ok(true)
    }

    /// Reads the keys of the file.
    fn given(&self) -> Result<(Scheme, Vec<Entry>)> {
        let (scheme, file, read): (_, _, fn(&str) -> _) = match (&self.task.pem, &self.task.hmac) {
            (Some(file), _) => (Scheme::Rsa, file, public_keys),
            (None, Some(file)) => (Scheme::Hmac, file, hmac_secret),
            (None, None) => bail!("no file is given"),
        };
        let entries = read(&text_of(file)?).with_context(|| file.display().to_string())?;
        for (key, _) in &entries {
            ensure!(
                self.allow_published || !is_published(key)?,
                "{} contains the published sample key, with which anybody can sign",
                file.display()
            );
        }
        Ok((scheme, entries))
    }
}

/// Reads a text file in UTF-8, or in UTF-16 with a byte order mark, as PowerShell writes files.
fn text_of(file: &Path) -> Result<String> {
    let name = file.display();
    let bytes = fs::read(file).map_err(|reason| anyhow!("{name} cannot be read: {reason}"))?;
    let units = |of: fn([u8; 2]) -> u16| -> Vec<u16> {
        let pairs = bytes.get(2..).unwrap_or_default().chunks_exact(2);
        pairs
            .filter_map(|pair| pair.try_into().ok().map(of))
            .collect()
    };
    let text = match bytes.get(..2) {
        Some([0xFF, 0xFE]) => String::from_utf16(&units(u16::from_le_bytes)).ok(),
        Some([0xFE, 0xFF]) => String::from_utf16(&units(u16::from_be_bytes)).ok(),
        _ => str::from_utf8(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes))
            .map(str::to_owned)
            .ok(),
    };
    // UTF-16 without a byte order mark is valid UTF-8 with NUL characters.
    text.filter(|text| !text.contains('\0'))
        .with_context(|| format!("{name} is not a text file in UTF-8"))
}

/// Returns whether a key is a published sample key, with which anybody can sign.
fn is_published(key: &VerificationKey) -> Result<bool> {
    let samples = [public_keys(SAMPLE_PEM)?, hmac_secret(SAMPLE_HMAC)?];
    Ok(samples.iter().flatten().any(|(sample, _)| key == sample))
}

/// A key, and its text in the secret.
type Entry = (VerificationKey, String);

/// Reads all public keys of a PEM text.
fn public_keys(text: &str) -> Result<Vec<Entry>, KeyError> {
    if pem::has_private_key(text) {
        return Err(KeyError::PrivateKey);
    }
    let keys = pem::public_keys(text)?;
    let entry = |der: &Vec<u8>| Ok((VerificationKey::Rsa(RsaKey::from_der(der)?), canonical(der)));
    keys.iter().map(entry).collect()
}

/// Returns a public key in PEM (RFC 7468), as OpenSSL writes it.
fn canonical(der: &[u8]) -> String {
    let mut rest = &*base64_simd::STANDARD.encode_to_string(der);
    let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
    while !rest.is_empty() {
        // Base64 is ASCII, so every index is a character boundary.
        let (line, tail) = rest.split_at_checked(64).unwrap_or((rest, ""));
        pem += line;
        pem.push('\n');
        rest = tail;
    }
    pem + "-----END PUBLIC KEY-----\n"
}

/// Reads a shared secret.
fn hmac_secret(text: &str) -> Result<Vec<Entry>, KeyError> {
    let key = VerificationKey::Hmac(HmacSecret::new(text)?);
    Ok(vec![(
        key,
        HmacSecret::without_line_breaks(text).to_owned(),
    )])
}

/// Lists the places of the usable keys.
fn list_keys(secret: &str) -> Result<Usable> {
    let (usable_part, _) = Secret::read(
        secret,
        &SignaturePolicy::every_scheme(),
        None,
        SecretVersion::Current,
    );
    let place = |(place, key): (String, VerificationKey)| {
        let published = is_published(&key)?;
        Ok(Place { place, published })
    };
    let keys = usable(&usable_part.keys)
        .into_iter()
        .map(place)
        .collect::<Result<_>>()?;
    Ok(Usable { keys })
}

/// Adds keys of one kind to the text of the secret. Errors and warnings contain no part of it.
fn add_keys(secret: &str, scheme: Scheme, given: Vec<Entry>) -> Result<Change> {
    let Ok(mut content) = serde_json::from_str::<Map<String, Value>>(secret) else {
        bail!("the secret is not a JSON object, as in {EXAMPLE}");
    };
    let (usable_part, mut warnings) = Secret::read(
        secret,
        &SignaturePolicy::every_scheme(),
        None,
        SecretVersion::Current,
    );
    let keys = usable(&usable_part.keys);
    for (place, key) in &keys {
        if is_published(key)? {
            warnings.push(format!(
                "{place}: is the published sample key, with which anybody can sign; remove it"
            ));
        }
    }
    let mut keys: Vec<_> = keys
        .into_iter()
        .filter(|(_, key)| key.scheme() == scheme)
        .collect();
    let list = scheme.secret_field();
    let mut entries = match content.remove(list) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(entries)) => entries,
        Some(one) => vec![one],
    };
    let (mut added, mut known) = (Vec::new(), Vec::new());
    for (key, text) in given {
        if let Some((place, _)) = keys.iter().find(|(_, known)| *known == key) {
            if !added.contains(place) && !known.contains(place) {
                known.push(place.clone());
            }
            continue;
        }
        ensure!(
            keys.len() < KEYS_MAX,
            "the secret would contain more than {KEYS_MAX} {list}, and a function uses the first {KEYS_MAX} only; remove some first"
        );
        let place = format!("{list}/{}", entries.len());
        entries.push(Value::String(text));
        added.push(place.clone());
        keys.push((place, key));
    }
    content.insert(list.to_owned(), Value::Array(entries));
    Ok(Change {
        secret: (!added.is_empty()).then(|| Value::Object(content).to_string()),
        added,
        known,
        warnings,
    })
}

/// Returns the usable keys, each with its place.
fn usable(keys: &Keys) -> Vec<(String, VerificationKey)> {
    let place = |named: &NamedKey<VerificationKey>| (named.name.position(), named.key.clone());
    keys.signature_keys().iter().map(place).collect()
}

#[cfg(test)]
mod tests;
