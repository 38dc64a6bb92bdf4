//! The keys that are added: those of a file, or a client of Adobe's identity system (IMS).

use std::{fs, path::Path};

use anyhow::{Context as _, Result, anyhow, ensure};
use shared::verify::{
    HmacSecret, KeyError, RsaKey, Scheme, VerificationKey,
    ims::{IMS_ID_CHARS_MAX, ImsClient},
    pem,
};

/// The sample key. Its private key is published with it.
pub(super) const SAMPLE_PEM: &str = include_str!("../../../events/sample-keys/public-key.pem");

/// The sample secret.
pub(super) const SAMPLE_HMAC: &str = include_str!("../../../events/sample-keys/hmac-secret.txt");

/// The sample key of the shop `eu`.
const SHOP_SAMPLE_PEM: &str = include_str!("../../../events/sample-keys/eu-public-key.pem");

/// The sample secret of the shop `eu`.
const SHOP_SAMPLE_HMAC: &str = include_str!("../../../events/sample-keys/eu-hmac-secret.txt");

/// The end of the id of each organization in IMS.
const ORG_ID_SUFFIX: &str = "@AdobeOrg";

/// What is added to a secret.
pub(super) enum Given {
    /// Keys of one scheme.
    Keys(Scheme, Vec<Entry>),
    /// A client whose tokens count, with an organization.
    Client { client_id: String, org_id: String },
}

impl Given {
    /// Reads the keys of a file.
    pub(super) fn from_file(scheme: Scheme, file: &Path, allow_published: bool) -> Result<Self> {
        let read: fn(&str) -> _ = match scheme {
            Scheme::Rsa => public_keys,
            Scheme::Hmac => hmac_secret,
        };
        let entries = read(&text_of(file)?).with_context(|| file.display().to_string())?;
        for (key, _) in &entries {
            ensure!(
                allow_published || !is_published(key)?,
                "{} contains the published sample key, with which anybody can sign",
                file.display()
            );
        }
        Ok(Self::Keys(scheme, entries))
    }

    /// Checks the ids of a client and its organization.
    pub(super) fn client(client_id: &str, org_id: &str) -> Result<Self> {
        for (id, name) in [(client_id, "client"), (org_id, "organization")] {
            ensure!(
                ImsClient::is_id(id),
                "the id of the {name} must be 1 to {IMS_ID_CHARS_MAX} printable ASCII characters without spaces"
            );
        }
        ensure!(
            org_id.ends_with(ORG_ID_SUFFIX) && org_id != ORG_ID_SUFFIX,
            "the id of the organization must end in {ORG_ID_SUFFIX}"
        );
        ensure!(
            !client_id.ends_with(ORG_ID_SUFFIX),
            "the id of the client ends in {ORG_ID_SUFFIX}, as that of an organization"
        );
        Ok(Self::Client {
            client_id: client_id.to_owned(),
            org_id: org_id.to_owned(),
        })
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
pub(super) fn is_published(key: &VerificationKey) -> Result<bool> {
    let samples = [
        public_keys(SAMPLE_PEM)?,
        public_keys(SHOP_SAMPLE_PEM)?,
        hmac_secret(SAMPLE_HMAC)?,
        hmac_secret(SHOP_SAMPLE_HMAC)?,
    ];
    Ok(samples.iter().flatten().any(|(sample, _)| key == sample))
}

/// A key, and its text in the secret.
pub(super) type Entry = (VerificationKey, String);

/// Reads all public keys of a PEM text.
pub(super) fn public_keys(text: &str) -> Result<Vec<Entry>, KeyError> {
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
pub(super) fn hmac_secret(text: &str) -> Result<Vec<Entry>, KeyError> {
    let key = VerificationKey::Hmac(HmacSecret::new(text)?);
    Ok(vec![(
        key,
        HmacSecret::without_line_breaks(text).to_owned(),
    )])
}
