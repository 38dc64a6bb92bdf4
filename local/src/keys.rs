//! Adds keys to the text of the secret. Keys are read with the functions' own reader, so a function can use every key that is added.

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
    HmacSecret, KEYS_MAX, KeyError, Keys, NamedKey, RsaKey, Scheme, SecretVersion, VerificationKey,
    pem,
    secret::{EXAMPLE, Secret, SignaturePolicy},
};

/// The sample key. Its private key is published with it.
const SAMPLE_PEM: &str = include_str!("../../events/sample-keys/public-key.pem");

/// The sample secret.
const SAMPLE_HMAC: &str = include_str!("../../events/sample-keys/hmac-secret.txt");

/// Adds the keys of a file to a secret, for `make keys`, or lists its keys. The secret is read from standard input; the new one is
/// written to standard output, as JSON with what was found.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    task: Task,
    /// Take the published sample keys, too: for an emulator on this machine.
    #[arg(long)]
    allow_published: bool,
}

#[derive(Args)]
#[group(id = "task", required = true, multiple = false)]
struct Task {
    /// File with public keys of the shop, as PEM.
    #[arg(long, value_name = "FILE")]
    pem: Option<PathBuf>,
    /// File with a secret that is shared with the shop.
    #[arg(long, value_name = "FILE")]
    hmac: Option<PathBuf>,
    /// List the places of the keys that a function can use, without the keys.
    #[arg(long)]
    list: bool,
}

/// The keys of a secret that a function can use, for `make apply` and `make doctor`.
#[derive(Serialize)]
struct Usable {
    keys: Vec<Place>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
struct Place {
    place: String,
    /// Whether it is one of the published samples, with which anybody can sign.
    published: bool,
}

/// The changed secret, and what was found. `Debug` shows the secret, so only tests have it.
#[derive(Serialize)]
#[cfg_attr(test, derive(Debug))]
struct Change {
    /// The new text of the secret; `None` if it holds every key of the file already.
    secret: Option<String>,
    /// Places of the keys that are new.
    added: Vec<String>,
    /// Places of the keys of the file that were there before.
    known: Vec<String>,
    /// Entries of the secret that cannot or should not be used. They stay as they are.
    warnings: Vec<String>,
}

impl Arguments {
    pub(crate) fn run(&self, out: &mut impl Write) -> Result<bool> {
        let mut secret = String::new();
        io::stdin()
            .read_to_string(&mut secret)
            .context("the secret cannot be read")?;
        if self.task.list {
            serde_json::to_writer(out, &listed(&secret)?)?;
            return Ok(true);
        }
        let (scheme, given) = self.given()?;
        serde_json::to_writer(out, &with_keys(&secret, scheme, given)?)?;
        Ok(true)
    }

    /// The keys of the file.
    fn given(&self) -> Result<(Scheme, Vec<Entry>)> {
        let (scheme, file, read): (_, _, fn(&str) -> _) = match (&self.task.pem, &self.task.hmac) {
            (Some(file), _) => (Scheme::Rsa, file, public_keys),
            (None, Some(file)) => (Scheme::Hmac, file, hmac_secret),
            (None, None) => bail!("which file?"),
        };
        let entries = read(&text_of(file)?).with_context(|| file.display().to_string())?;
        for (key, _) in &entries {
            ensure!(
                self.allow_published || !is_published(key)?,
                "{} holds the published sample, with which anybody can sign",
                file.display()
            );
        }
        Ok((scheme, entries))
    }
}

/// The text of a file: in UTF-8, or in UTF-16 with its byte order mark, as PowerShell writes files.
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
    // UTF-16 without a byte order mark reads as UTF-8 with zeros.
    text.filter(|text| !text.contains('\0'))
        .with_context(|| format!("{name} is not a text file in UTF-8"))
}

/// Returns whether anybody can sign with the key, because it is a published sample.
fn is_published(key: &VerificationKey) -> Result<bool> {
    let samples = [public_keys(SAMPLE_PEM)?, hmac_secret(SAMPLE_HMAC)?];
    Ok(samples.iter().flatten().any(|(sample, _)| key == sample))
}

/// A key, and the text that is written into the secret.
type Entry = (VerificationKey, String);

/// Every public key of a text.
fn public_keys(text: &str) -> Result<Vec<Entry>, KeyError> {
    if pem::has_private_key(text) {
        return Err(KeyError::PrivateKey);
    }
    let keys = pem::public_keys(text)?;
    let entry = |der: &Vec<u8>| Ok((VerificationKey::Rsa(RsaKey::from_der(der)?), canonical(der)));
    keys.iter().map(entry).collect()
}

/// A public key in the form of RFC 7468, as openssl writes it.
fn canonical(der: &[u8]) -> String {
    let mut rest = &*base64_simd::STANDARD.encode_to_string(der);
    let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
    while !rest.is_empty() {
        // Base64 is ASCII, so any place is between two characters.
        let (line, behind) = rest.split_at_checked(64).unwrap_or((rest, ""));
        pem += line;
        pem.push('\n');
        rest = behind;
    }
    pem + "-----END PUBLIC KEY-----\n"
}

/// The one shared secret of a text.
fn hmac_secret(text: &str) -> Result<Vec<Entry>, KeyError> {
    let key = VerificationKey::Hmac(HmacSecret::new(text)?);
    Ok(vec![(
        key,
        HmacSecret::without_line_breaks(text).to_owned(),
    )])
}

/// The places of the keys that can be used.
fn listed(secret: &str) -> Result<Usable> {
    let (kept, _) = Secret::read(
        secret,
        &SignaturePolicy::every_scheme(),
        SecretVersion::Current,
    );
    let place = |(place, key): (String, VerificationKey)| {
        let published = is_published(&key)?;
        Ok(Place { place, published })
    };
    let keys = usable(kept.keys)
        .into_iter()
        .map(place)
        .collect::<Result<_>>()?;
    Ok(Usable { keys })
}

/// Adds keys of one kind to the text of the secret. Errors and warnings hold no part of it.
fn with_keys(secret: &str, scheme: Scheme, given: Vec<Entry>) -> Result<Change> {
    let Ok(mut content) = serde_json::from_str::<Map<String, Value>>(secret) else {
        bail!("the secret is not a JSON object, as in {EXAMPLE}");
    };
    let (kept, mut warnings) = Secret::read(
        secret,
        &SignaturePolicy::every_scheme(),
        SecretVersion::Current,
    );
    let keys = usable(kept.keys);
    for (place, key) in &keys {
        if is_published(key)? {
            warnings.push(format!(
                "{place}: is the published sample, with which anybody can sign; take it out"
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
            "the secret would hold more than {KEYS_MAX} {list}, and only the first {KEYS_MAX} count; take some out first"
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

/// The keys of a secret that can be used, each with its place.
fn usable(keys: Keys) -> Vec<(String, VerificationKey)> {
    let Keys::Known(keys) = keys else {
        return Vec::new();
    };
    let place = |named: NamedKey| (named.name.position(), named.key);
    keys.into_iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use std::{env, process};

    use serde_json::json;

    use super::*;

    const PEM: &str = include_str!("../../shared/tests/signature/public-key.pem");
    const OTHER: &str = include_str!("../../shared/tests/signature/other-public-key.pem");

    fn add(secret: &Value, scheme: Scheme, text: &str) -> Result<Change> {
        let given = match scheme {
            Scheme::Hmac => hmac_secret(text),
            Scheme::Rsa => public_keys(text),
        };
        with_keys(&secret.to_string(), scheme, given?)
    }

    fn secret_of(change: &Change) -> Value {
        serde_json::from_str(change.secret.as_ref().unwrap()).unwrap()
    }

    #[test]
    fn every_key_of_a_text_is_added_in_canonical_form() {
        let given = format!("{} {}", OTHER.replace('\n', "\\n"), PEM.replace('\n', " "));
        let change = add(&json!({ "stock_token": "hush" }), Scheme::Rsa, &given).unwrap();
        assert_eq!(change.added, ["public_keys/0", "public_keys/1"]);
        let expected = json!({ "stock_token": "hush", "public_keys": [OTHER, PEM] });
        assert_eq!(secret_of(&change), expected);
        assert!(change.known.is_empty() && change.warnings.is_empty());
    }

    #[test]
    fn a_key_that_is_there_is_not_added_again_however_it_is_written() {
        let there = json!({ "public_keys": PEM.replace('\n', "\r\n"), "hmac_secrets": ["0123456789abcdef\n"] });
        let change = add(&there, Scheme::Rsa, &PEM.replace('\n', "\\n")).unwrap();
        assert_eq!(
            (change.secret, change.known),
            (None, vec!["public_keys/0".to_owned()])
        );
        let change = add(&there, Scheme::Hmac, "0123456789abcdef").unwrap();
        assert_eq!(
            (change.secret, change.known),
            (None, vec!["hmac_secrets/0".to_owned()])
        );

        let change = add(&there, Scheme::Rsa, &[PEM, OTHER, PEM, OTHER].concat()).unwrap();
        assert_eq!(
            (&change.added[..], &change.known[..]),
            (
                &["public_keys/1".to_owned()][..],
                &["public_keys/0".to_owned()][..]
            )
        );
        assert_eq!(
            secret_of(&change)["public_keys"],
            json!([PEM.replace('\n', "\r\n"), OTHER])
        );
    }

    #[test]
    fn a_secret_is_added_without_the_line_break_of_its_file() {
        let change = add(
            &json!({ "hmac_secrets": null }),
            Scheme::Hmac,
            "fedcba9876543210\r\n",
        )
        .unwrap();
        assert_eq!(
            secret_of(&change),
            json!({ "hmac_secrets": ["fedcba9876543210"] })
        );
    }

    #[test]
    fn what_of_the_secret_cannot_be_used_stays_and_is_named_without_its_text() {
        let entries = json!(["hush", 7, SAMPLE_PEM.replace('\n', " ")]);
        let there = json!({ "hmac_secrets": ["hush"], "public_keys": entries, "hush": "hush" });
        let change = add(&there, Scheme::Rsa, PEM).unwrap();
        let mut expected = there.clone();
        expected["public_keys"]
            .as_array_mut()
            .unwrap()
            .push(json!(PEM));
        assert_eq!(secret_of(&change), expected);
        assert_eq!(change.added, ["public_keys/3"]);
        assert_eq!(
            change.warnings,
            [
                "hmac_secrets/0: the secret is shorter than 16 bytes",
                "public_keys/0: has no readable PEM block \"PUBLIC KEY\"",
                "public_keys/1: must be a string",
                "has fields other than hmac_secrets, public_keys and names that end in _token",
                "public_keys/2: is the published sample, with which anybody can sign; take it out",
            ]
        );
    }

    #[test]
    fn more_keys_than_count_are_not_added() {
        let many: Vec<_> = (0..KEYS_MAX)
            .map(|number| format!("0123456789abcdef/{number}"))
            .collect();
        let reason = add(
            &json!({ "hmac_secrets": many }),
            Scheme::Hmac,
            "fedcba9876543210",
        )
        .unwrap_err();
        assert_eq!(
            reason.to_string(),
            "the secret would hold more than 16 hmac_secrets, and only the first 16 count; take some out first"
        );
        // What cannot be used takes nobody's place.
        let mut some = vec!["hush"; 3];
        some.extend(many.iter().skip(1).map(String::as_str));
        let change = add(
            &json!({ "hmac_secrets": some }),
            Scheme::Hmac,
            "fedcba9876543210",
        )
        .unwrap();
        assert_eq!(change.added, ["hmac_secrets/18"]);
    }

    #[test]
    fn what_is_no_secret_is_not_changed_and_not_shown() {
        for secret in ["hush", "[]", "\"hush\"", "", "{\"hush\":"] {
            let reason = with_keys(secret, Scheme::Rsa, public_keys(PEM).unwrap()).unwrap_err();
            let reason = reason.to_string();
            assert!(
                reason.starts_with("the secret is not a JSON object"),
                "{reason}"
            );
            assert!(!reason.contains("hush"), "{reason}");
        }
    }

    #[test]
    fn the_keys_that_can_be_used_are_listed_by_their_places() {
        let secret = json!({ "hmac_secrets": ["hush", "0123456789abcdef"], "public_keys": [7, PEM, SAMPLE_PEM] });
        let place = |place: &str, published| Place {
            place: place.to_owned(),
            published,
        };
        assert_eq!(
            listed(&secret.to_string()).unwrap().keys,
            [
                place("hmac_secrets/1", false),
                place("public_keys/1", false),
                place("public_keys/2", true)
            ]
        );
        for nothing in ["{}", "hush", r#"{"public_keys": []}"#] {
            assert_eq!(listed(nothing).unwrap().keys, []);
        }
    }

    /// What comes of a file with these bytes.
    fn from_file(name: &str, bytes: &[u8], is_pem: bool) -> Result<(Scheme, Vec<Entry>), String> {
        let path = env::temp_dir().join(format!("keys-{}-{name}", process::id()));
        fs::write(&path, bytes).unwrap();
        let arguments = Arguments {
            task: Task {
                pem: is_pem.then(|| path.clone()),
                hmac: (!is_pem).then(|| path.clone()),
                list: false,
            },
            allow_published: false,
        };
        let given = arguments.given().map_err(|reason| {
            let reason = format!("{reason:#}");
            assert_eq!(reason.lines().count(), 1, "{reason}");
            reason.replace(&path.display().to_string(), "FILE")
        });
        fs::remove_file(path).unwrap();
        given
    }

    #[test]
    fn a_file_is_utf_8_or_utf_16() {
        let utf_16 = |from: fn(u16) -> [u8; 2]| -> Vec<u8> {
            let text = format!("\u{feff}{PEM}");
            text.encode_utf16().flat_map(from).collect()
        };
        for (name, bytes) in [
            ("utf-8", PEM.as_bytes().to_vec()),
            ("bom", format!("\u{feff}{PEM}").into_bytes()),
            ("utf-16-le", utf_16(u16::to_le_bytes)),
            ("utf-16-be", utf_16(u16::to_be_bytes)),
        ] {
            let (_, entries) = from_file(name, &bytes, true).unwrap();
            assert_eq!(entries[0].1, PEM, "{name}");
        }
        let (_, entries) =
            from_file("secret", "\u{feff}0123456789abcdef\r\n".as_bytes(), false).unwrap();
        assert_eq!(entries[0].1, "0123456789abcdef");
    }

    #[test]
    fn what_is_no_key_of_a_shop_is_refused_in_one_line() {
        let small = include_str!("../../shared/tests/signature/1024-public-key.pem");
        let private = include_str!("../../events/sample-keys/private-key.pem");
        for (name, text, is_pem, said) in [
            (
                "text",
                "hush",
                true,
                "FILE: has no readable PEM block \"PUBLIC KEY\"",
            ),
            (
                "small",
                small,
                true,
                "FILE: the RSA key must have 2048 to 8192 bits",
            ),
            (
                "ec",
                include_str!("../../shared/tests/signature/ec-public-key.pem"),
                true,
                "FILE: the PEM block is not an RSA public key",
            ),
            (
                "private",
                private,
                true,
                "FILE: is a private key; only the shop may hold it",
            ),
            (
                "sample",
                SAMPLE_PEM,
                true,
                "FILE holds the published sample, with which anybody can sign",
            ),
            (
                "sample-secret",
                SAMPLE_HMAC,
                false,
                "FILE holds the published sample, with which anybody can sign",
            ),
            (
                "short",
                "hush\n",
                false,
                "FILE: the secret is shorter than 16 bytes",
            ),
            (
                "blank",
                " \n \n",
                false,
                "FILE: the secret is empty or white space",
            ),
            (
                "pem",
                PEM,
                false,
                "FILE: the secret is a PEM text; public keys belong under public_keys",
            ),
        ] {
            assert_eq!(
                from_file(name, text.as_bytes(), is_pem).err().as_deref(),
                Some(said)
            );
        }
        let latin = from_file("latin-1", b"caf\xe9, and a good deal longer", false);
        assert_eq!(
            latin.err().as_deref(),
            Some("FILE is not a text file in UTF-8")
        );
    }
}
