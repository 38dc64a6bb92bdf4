//! The signature scheme of the specification: HMAC-SHA256 of the body, with a shared secret.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::verify::{KeyError, SchemeDefinition, VerificationKey, decode_base64};

pub(super) const DEFINITION: SchemeDefinition = SchemeDefinition {
    header: "x-adobe-signature",
    secret_field: "hmac_secrets",
    read_keys: |entry| Ok(vec![VerificationKey::Hmac(HmacSecret::new(entry)?)]),
    decode,
};

/// The minimum length of a secret in bytes.
pub(super) const SECRET_BYTES_MIN: usize = 16;

/// A shared secret.
#[derive(Clone)]
pub struct HmacSecret(Hmac<Sha256>);

impl HmacSecret {
    /// Creates a secret from a text of at least 16 bytes. Removes a byte order mark, and line
    /// breaks at the end. A file or a console adds them, and no shop signs with them.
    ///
    /// # Errors
    /// [`KeyError::SecretEmpty`], [`KeyError::SecretIsPem`] or [`KeyError::SecretTooShort`].
    pub fn new(text: &str) -> Result<Self, KeyError> {
        let secret = Self::without_line_breaks(text);
        if secret.trim().is_empty() {
            return Err(KeyError::SecretEmpty);
        }
        if secret.contains("-----BEGIN") {
            return Err(KeyError::SecretIsPem);
        }
        if secret.len() < SECRET_BYTES_MIN {
            return Err(KeyError::SecretTooShort);
        }
        Hmac::new_from_slice(secret.as_bytes())
            .map(Self)
            .map_err(|_| KeyError::SecretTooShort)
    }

    /// Returns the part of the text that [`HmacSecret::new`] uses as the secret.
    pub fn without_line_breaks(text: &str) -> &str {
        text.trim_start_matches('\u{feff}')
            .trim_end_matches(['\r', '\n'])
    }

    /// Compares in constant time.
    pub(super) fn verifies(&self, body: &[u8], signature: &[u8]) -> bool {
        self.0
            .clone()
            .chain_update(body)
            .verify_slice(signature)
            .is_ok()
    }
}

/// Two secrets are equal if they make the same signatures.
impl PartialEq for HmacSecret {
    fn eq(&self, other: &Self) -> bool {
        self.verifies(b"", &other.0.clone().finalize().into_bytes())
    }
}

/// Decodes a digest. The specification does not define how it is encoded, so these forms are
/// accepted: hexadecimal in either case, with or without the prefix `sha256=`, and base64.
fn decode(value: &str) -> Option<Vec<u8>> {
    let value = value.trim_ascii();
    let prefixed = value
        .split_at_checked(7)
        .filter(|(prefix, _)| prefix.eq_ignore_ascii_case("sha256="))
        .map(|(_, digits)| digits);
    let digits = prefixed.unwrap_or(value);
    if digits.len() == 64 {
        return hex::decode(digits).ok();
    }
    decode_base64(prefixed.is_none().then_some(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const PEM: &str = include_str!("../../tests/signature/public-key.pem");

    #[test]
    fn verifies_rfc_4231_case_2() {
        // The key of the RFC is shorter than `HmacSecret::new` accepts.
        let secret = HmacSecret(Hmac::new_from_slice(b"Jefe").unwrap());
        let signature =
            decode("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843").unwrap();
        assert!(secret.verifies(b"what do ya want for nothing?", &signature));
    }

    #[test]
    fn ignores_a_byte_order_mark_and_line_breaks_at_the_end() {
        let plain = HmacSecret::new(SECRET).unwrap();
        for text in [
            format!("\u{feff}{SECRET}"),
            format!("{SECRET}\n"),
            format!("{SECRET}\r\n"),
            format!("{SECRET}\n\n"),
            format!("{SECRET}\r\n\r\n"),
        ] {
            assert!(plain == HmacSecret::new(&text).unwrap(), "{text:?}");
        }
        // Any other character may be part of the secret.
        for text in [
            format!("{SECRET} "),
            format!(" {SECRET}"),
            format!("\n{SECRET}"),
            format!("{SECRET}\\n"),
        ] {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, text.as_bytes());
            let signature = ring::hmac::sign(&key, b"body");
            let secret = HmacSecret::new(&text).unwrap();
            assert!(secret.verifies(b"body", signature.as_ref()), "{text:?}");
            assert!(plain != secret, "{text:?}");
        }
    }

    #[test]
    fn rejects_an_unusable_secret_with_its_reason() {
        let error = |text: &str| HmacSecret::new(text).err();
        let long = " \t\n".repeat(9);
        for text in ["", "\n", "\u{a0}", &long] {
            assert_eq!(error(text), Some(KeyError::SecretEmpty), "{text:?}");
        }
        for text in [
            PEM,
            &PEM.replace('\n', " "),
            &format!("\u{feff}\"{PEM}\""),
            "-----BEGIN PRIVATE KEY-----",
            "-----BEGIN CERTIFICATE-----",
        ] {
            assert_eq!(error(text), Some(KeyError::SecretIsPem), "{text}");
        }
        for text in [
            "short",
            "too short",
            "0123456789abcde\n",
            "0123456789abcde\r\n\n",
        ] {
            assert_eq!(error(text), Some(KeyError::SecretTooShort), "{text:?}");
        }
        assert_eq!(error("0123456789abcdef\n"), None);
        let sixteen_bytes = "\u{e9}".repeat(8);
        assert_eq!(error(&sixteen_bytes), None);
    }
}
