//! The two signatures of Commerce, checked over the raw bytes of the body.
//!
//! The spec signs with HMAC-SHA256 and a shared secret, the real shop with RSA (RSASSA-PKCS1-v1_5, SHA-256) and a key pair
//! of its own, over the base64 text of the body. Any one of the configured secrets and keys is enough, so that they can be
//! changed without losing an event.

pub mod keyring;
pub mod pem;
pub mod secret;

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use lambda_http::http::HeaderMap;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use sha2::Sha256;
use spki::{
    ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{Decode as _, Reader as _, SliceReader, asn1::UintRef},
};

/// Header of the spec's signature.
pub const HMAC_HEADER: &str = "x-adobe-signature";

/// Header of the real shop's signature.
pub const RSA_HEADER: &str = "x-adobe-commerce-webhook-signature";

/// At most this many secrets and this many public keys: each one costs time on a request with a wrong signature.
pub const KEYS_MAX: usize = 16;

/// A secret must have at least this many bytes.
pub const SECRET_BYTES_MIN: usize = 16;

/// The signatures that came with a request. A header that came twice is no signature.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signatures<'a> {
    /// Value of `X-Adobe-Signature`.
    pub hmac: Option<&'a str>,
    /// Value of `x-adobe-commerce-webhook-signature`.
    pub rsa: Option<&'a str>,
}

impl<'a> Signatures<'a> {
    /// Returns the signatures among the headers of a request. A value that is not text is "".
    pub fn of(headers: &'a HeaderMap) -> Self {
        let text = |name| {
            let value = headers.get(name)?;
            Some(value.to_str().unwrap_or_default())
        };
        Self {
            hmac: text(HMAC_HEADER),
            rsa: text(RSA_HEADER),
        }
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.hmac.is_none() && self.rsa.is_none()
    }
}

/// Why a body is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untrusted {
    /// No signature.
    Missing,
    /// A signature of a scheme for which there is no key here.
    NoKey,
    /// A signature that no key confirms.
    Wrong,
}

/// The place of a key in the secret, by which logs and metrics name it. It tells nothing of the key itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyName {
    version: Version,
    list: KeyList,
    index: usize,
}

impl fmt::Display for KeyName {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}/{}/{}", self.version, self.list, self.index)
    }
}

impl KeyName {
    /// The place in its version of the secret, as in `public_keys/0`.
    pub fn place(&self) -> String {
        format!("{}/{}", self.list, self.index)
    }

    /// The key, or one of the keys, at this place of the list, from 0.
    pub fn new(version: Version, list: KeyList, index: usize) -> Self {
        Self {
            version,
            list,
            index,
        }
    }
}

/// The keys of one list, each with its name.
pub fn named<K>(
    version: Version,
    list: KeyList,
    keys: impl IntoIterator<Item = K>,
) -> Vec<(KeyName, K)> {
    let name = |(index, key)| (KeyName::new(version, list, index), key);
    keys.into_iter().enumerate().map(name).collect()
}

/// Which version of the secret a key stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The only one: it was given inline.
    Inline,
    /// The one that Secrets Manager labels `AWSCURRENT`.
    Current,
    /// The one that Secrets Manager labels `AWSPREVIOUS`.
    Previous,
}

impl fmt::Display for Version {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Inline => "inline",
            Self::Current => "current",
            Self::Previous => "previous",
        })
    }
}

/// Which list of the secret a key stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyList {
    /// Secrets for HMAC.
    Hmac,
    /// Public keys for RSA.
    Rsa,
}

impl KeyList {
    /// The member of the secret's JSON that holds the list.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hmac => "hmac_secrets",
            Self::Rsa => "public_keys",
        }
    }
}

impl fmt::Display for KeyList {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

/// The secrets and public keys that can vouch for a body.
#[derive(Clone)]
pub enum Keys {
    /// At least one of these must confirm the signature.
    Known {
        /// Shared secrets for HMAC-SHA256.
        hmac: Vec<(KeyName, HmacSecret)>,
        /// Public keys for RSA.
        rsa: Vec<(KeyName, RsaKey)>,
    },
    /// The operator chose, in words, to take bodies from anybody.
    AcceptUnsigned,
}

impl fmt::Debug for Keys {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known { hmac, rsa } => {
                write!(to, "{} secrets, {} public keys", hmac.len(), rsa.len())
            }
            Self::AcceptUnsigned => to.write_str("unsigned bodies accepted"),
        }
    }
}

impl Keys {
    /// No key, so that nothing can be vouched for.
    pub fn none() -> Self {
        Self::Known {
            hmac: Vec::new(),
            rsa: Vec::new(),
        }
    }

    /// Whether no event could ever be verified.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Known { hmac, rsa } if hmac.is_empty() && rsa.is_empty())
    }

    /// The same keys as those of another version.
    pub(crate) fn renamed(mut self, version: Version) -> Self {
        if let Self::Known { hmac, rsa } = &mut self {
            let names = hmac.iter_mut().map(|(name, _)| name);
            let names = names.chain(rsa.iter_mut().map(|(name, _)| name));
            names.for_each(|name| name.version = version);
        }
        self
    }

    /// Adds the keys of an older version that this one does not have, as far as there is room for two versions.
    pub(crate) fn add(&mut self, older: &Self) {
        let (
            Self::Known { hmac, rsa },
            Self::Known {
                hmac: old_hmac,
                rsa: old_rsa,
            },
        ) = (self, older)
        else {
            return;
        };
        add_unknown(hmac, old_hmac, HmacSecret::is_same);
        add_unknown(rsa, old_rsa, RsaKey::eq);
    }

    /// The key that vouches for these bytes; `None` where none is asked for.
    pub fn check(
        &self,
        body: &[u8],
        signatures: Signatures<'_>,
    ) -> Result<Option<KeyName>, Untrusted> {
        let Self::Known { hmac, rsa } = self else {
            return Ok(None);
        };
        let by_hmac = signatures.hmac.filter(|_| !hmac.is_empty());
        let by_rsa = signatures.rsa.filter(|_| !rsa.is_empty());
        if by_hmac.is_none() && by_rsa.is_none() {
            let signed = signatures.hmac.is_some() || signatures.rsa.is_some();
            return Err(if signed {
                Untrusted::NoKey
            } else {
                Untrusted::Missing
            });
        }
        let confirmed_by = by_hmac
            .and_then(decode_hmac)
            .and_then(|signature| name_of(hmac, |secret| secret.confirms(body, &signature)));
        let confirmed_by = confirmed_by.or_else(|| {
            let signature = by_rsa.and_then(decode_base64)?;
            // A signature is as long as its key; for any other the body need not be looked at.
            let fits = |key: &RsaKey| key.modulus.len() == signature.len();
            name_of(rsa, fits)?;
            let signed = base64_simd::STANDARD.encode_to_string(body);
            name_of(rsa, |key| {
                fits(key) && key.confirms(signed.as_bytes(), &signature)
            })
        });
        confirmed_by.map(Some).ok_or(Untrusted::Wrong)
    }
}

/// The name of the first key of which something is true.
fn name_of<K>(keys: &[(KeyName, K)], is: impl Fn(&K) -> bool) -> Option<KeyName> {
    keys.iter().find(|(_, key)| is(key)).map(|(name, _)| *name)
}

fn add_unknown<K: Clone>(
    keys: &mut Vec<(KeyName, K)>,
    older: &[(KeyName, K)],
    is_same: impl Fn(&K, &K) -> bool,
) {
    for (name, key) in older {
        if keys.len() < 2 * KEYS_MAX && !keys.iter().any(|(_, known)| is_same(known, key)) {
            keys.push((*name, key.clone()));
        }
    }
}

/// A shared secret, ready for use.
#[derive(Clone)]
pub struct HmacSecret(Hmac<Sha256>);

impl HmacSecret {
    /// Takes a secret of at least [`SECRET_BYTES_MIN`] bytes. Line breaks at its end and a byte order mark are removed: they come from a
    /// file or a console, and no shop signs with them.
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

    /// The text without line breaks at its end and without a byte order mark: the secret that [`HmacSecret::new`] reads.
    pub fn without_line_breaks(text: &str) -> &str {
        text.trim_start_matches('\u{feff}')
            .trim_end_matches(['\r', '\n'])
    }

    /// Whether both sign alike.
    pub fn is_same(&self, other: &Self) -> bool {
        self.confirms(b"", &other.0.clone().finalize().into_bytes())
    }

    /// Compares in constant time.
    fn confirms(&self, body: &[u8], signature: &[u8]) -> bool {
        self.0
            .clone()
            .chain_update(body)
            .verify_slice(signature)
            .is_ok()
    }
}

/// A public key of a shop, of 2048 to 8192 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct RsaKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl RsaKey {
    /// Takes every `PUBLIC KEY` block out of a PEM text, in any layout that [`pem::public_keys`] reads.
    ///
    /// # Errors
    /// Says why a key cannot be used. One such key makes the whole text invalid.
    pub fn from_pem(text: &str) -> Result<Vec<Self>, KeyError> {
        pem::public_keys(text)?
            .iter()
            .map(|der| Self::from_der(der))
            .collect()
    }

    /// Takes a `SubjectPublicKeyInfo` (RFC 5280) in DER.
    ///
    /// # Errors
    /// [`KeyError::NotRsa`] or [`KeyError::WrongSize`] if no shop can sign with the key.
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        const RSA_ENCRYPTION: ObjectIdentifier =
            ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
        let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| KeyError::NotRsa)?;
        let key = spki
            .subject_public_key
            .as_bytes()
            .filter(|_| spki.algorithm.oid == RSA_ENCRYPTION);
        let (modulus, exponent) = key.and_then(rsa_public_key).ok_or(KeyError::NotRsa)?;
        // Looked at here, so that a key that can never confirm anything is known before the first order.
        if !(2048 / 8..=8192 / 8).contains(&modulus.len()) {
            return Err(KeyError::WrongSize);
        }
        if !is_odd(&modulus)
            || !is_odd(&exponent)
            || !(3..EXPONENT_END).contains(&number(&exponent))
        {
            return Err(KeyError::NotRsa);
        }
        Ok(Self { modulus, exponent })
    }

    fn confirms(&self, signed: &[u8], signature: &[u8]) -> bool {
        RsaPublicKeyComponents {
            n: &self.modulus,
            e: &self.exponent,
        }
        .verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
        .is_ok()
    }
}

/// `ring` takes exponents of up to 33 bits.
const EXPONENT_END: u64 = 1 << 33;

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|byte| byte % 2 == 1)
}

/// A number of a few bytes; of more, the largest there is.
fn number(bytes: &[u8]) -> u64 {
    let digits = bytes.iter().try_fold(0_u64, |number, byte| {
        number
            .checked_mul(256)
            .map(|number| number + u64::from(*byte))
    });
    digits.unwrap_or(u64::MAX)
}

/// Modulus and exponent out of the `RSAPublicKey` of PKCS #1.
fn rsa_public_key(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let integers = |reader: &mut SliceReader<'_>| -> spki::der::Result<_> {
        Ok((
            UintRef::decode(reader)?.as_bytes().to_vec(),
            UintRef::decode(reader)?.as_bytes().to_vec(),
        ))
    };
    SliceReader::new(der).ok()?.sequence(integers).ok()
}

/// Why a secret or a key cannot be used. It never holds the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// There is no secret, or nothing but white space.
    SecretEmpty,
    /// The secret is the text of a key or a certificate.
    SecretIsPem,
    /// The secret is too short to protect anything.
    SecretTooShort,
    /// There is no `PUBLIC KEY` block, or one that is not whole.
    NotPem,
    /// The text holds a private key.
    PrivateKey,
    /// The block holds no RSA key.
    NotRsa,
    /// The RSA key has not between 2048 and 8192 bits.
    WrongSize,
}

impl fmt::Display for KeyError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SecretEmpty => to.write_str("the secret is empty or white space"),
            Self::SecretIsPem => {
                to.write_str("the secret is a PEM text; public keys belong under public_keys")
            }
            Self::SecretTooShort => {
                write!(to, "the secret is shorter than {SECRET_BYTES_MIN} bytes")
            }
            Self::NotPem => to.write_str("no PEM block \"PUBLIC KEY\" can be read"),
            Self::PrivateKey => to.write_str("is a private key, which is the shop's alone"),
            Self::NotRsa => to.write_str("the PEM block holds no RSA public key"),
            Self::WrongSize => to.write_str("the RSA key has not between 2048 and 8192 bits"),
        }
    }
}

impl std::error::Error for KeyError {}

/// The spec does not say how the digest is written: hex in either case, with or without `sha256=`, or base64.
fn decode_hmac(value: &str) -> Option<Vec<u8>> {
    let value = value.trim_ascii();
    let prefixed = value
        .get(..7)
        .filter(|prefix| prefix.eq_ignore_ascii_case("sha256="))
        .and_then(|_| value.get(7..));
    let hex = prefixed.unwrap_or(value);
    if hex.len() == 64 {
        return hex
            .as_bytes()
            .chunks_exact(2)
            .map(|pair| match pair {
                [high, low] => Some(hex_digit(*high)? << 4 | hex_digit(*low)?),
                _ => None,
            })
            .collect();
    }
    decode_base64(prefixed.is_none().then_some(value)?)
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

fn decode_base64(value: &str) -> Option<Vec<u8>> {
    base64_simd::STANDARD.decode_to_vec(value.trim_ascii()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const BODY: &[u8] = include_bytes!("../../tests/signature/body.json");
    const SIGNATURE: &str =
        include_str!("../../tests/signature/x-adobe-commerce-webhook-signature.txt");
    const PEM: &str = include_str!("../../tests/signature/public-key.pem");
    const PEM_CRLF: &str = include_str!("../../tests/signature/public-key.crlf.pem");

    fn by_secrets(secrets: &[&str]) -> Keys {
        let hmac = secrets
            .iter()
            .map(|secret| HmacSecret::new(secret).unwrap());
        Keys::Known {
            hmac: named(Version::Inline, KeyList::Hmac, hmac),
            rsa: Vec::new(),
        }
    }

    fn by_pem(pem: &str) -> Keys {
        Keys::Known {
            hmac: Vec::new(),
            rsa: named(
                Version::Inline,
                KeyList::Rsa,
                RsaKey::from_pem(pem).unwrap(),
            ),
        }
    }

    /// The name of a key.
    fn key(list: KeyList, index: usize) -> KeyName {
        KeyName::new(Version::Inline, list, index)
    }

    fn hmac(value: &str) -> Signatures<'_> {
        Signatures {
            hmac: Some(value),
            rsa: None,
        }
    }

    fn rsa(value: &str) -> Signatures<'_> {
        Signatures {
            hmac: None,
            rsa: Some(value),
        }
    }

    /// Signs with another library than the one that verifies.
    fn sign(secret: &str, body: &[u8]) -> Vec<u8> {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        ring::hmac::sign(&key, body).as_ref().to_vec()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|digit| char::from_digit(digit.into(), 16))
            .collect()
    }

    #[test]
    fn rfc_4231_case_2_is_confirmed() {
        // The RFC's key, "Jefe", is shorter than we accept, so this vector goes around `HmacSecret::new`.
        let secret = HmacSecret(Hmac::new_from_slice(b"Jefe").unwrap());
        let keys = Keys::Known {
            hmac: named(Version::Inline, KeyList::Hmac, vec![secret]),
            rsa: Vec::new(),
        };
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(
            keys.check(b"what do ya want for nothing?", hmac(expected)),
            Ok(Some(key(KeyList::Hmac, 0)))
        );
    }

    #[test]
    fn a_shops_rsa_signature_is_confirmed_by_either_spelling_of_its_key() {
        for pem in [
            PEM,
            PEM_CRLF,
            PEM.trim_end(),
            &format!("{PEM}\n\n"),
            &format!("# the shop\n{PEM}"),
        ] {
            assert_eq!(
                by_pem(pem).check(BODY, rsa(SIGNATURE)),
                Ok(Some(key(KeyList::Rsa, 0)))
            );
        }
    }

    #[test]
    fn one_flipped_bit_anywhere_in_a_shops_body_or_signature_is_refused() {
        let keys = by_pem(PEM);
        let mut body = BODY.to_vec();
        for index in 0..body.len() {
            body[index] ^= 1 << (index % 8);
            assert_eq!(
                keys.check(&body, rsa(SIGNATURE)),
                Err(Untrusted::Wrong),
                "byte {index} of the body"
            );
            body[index] = BODY[index];
        }
        let signature = base64_simd::STANDARD.decode_to_vec(SIGNATURE).unwrap();
        for index in 0..signature.len() {
            let mut flipped = signature.clone();
            flipped[index] ^= 1;
            let flipped = base64_simd::STANDARD.encode_to_string(&flipped);
            assert_eq!(
                keys.check(BODY, rsa(&flipped)),
                Err(Untrusted::Wrong),
                "byte {index} of the signature"
            );
        }
    }

    #[test]
    fn any_of_several_keys_is_enough() {
        let other = include_str!("../../tests/signature/other-public-key.pem");
        assert_eq!(
            by_pem(other).check(BODY, rsa(SIGNATURE)),
            Err(Untrusted::Wrong)
        );
        assert_eq!(
            by_pem(&format!("{other}{PEM_CRLF}")).check(BODY, rsa(SIGNATURE)),
            Ok(Some(key(KeyList::Rsa, 1)))
        );
        let signature = hex(&sign(SECRET, BODY));
        assert_eq!(
            by_secrets(&["another secret, long enough", SECRET]).check(BODY, hmac(&signature)),
            Ok(Some(key(KeyList::Hmac, 1)))
        );
        assert_eq!(
            by_secrets(&["another secret, long enough"]).check(BODY, hmac(&signature)),
            Err(Untrusted::Wrong)
        );
    }

    #[test]
    fn a_signature_counts_only_in_its_own_header_and_scheme() {
        let signature = hex(&sign(SECRET, BODY));
        assert_eq!(
            by_secrets(&[SECRET]).check(BODY, rsa(&signature)),
            Err(Untrusted::NoKey)
        );
        assert_eq!(
            by_secrets(&[SECRET]).check(BODY, rsa(SIGNATURE)),
            Err(Untrusted::NoKey)
        );
        assert_eq!(
            by_pem(PEM).check(BODY, hmac(SIGNATURE)),
            Err(Untrusted::NoKey)
        );
        assert_eq!(
            by_pem(PEM).check(BODY, Signatures::default()),
            Err(Untrusted::Missing)
        );
        // One good signature beside a bad one of the other scheme is enough.
        let both = Keys::Known {
            hmac: named(
                Version::Inline,
                KeyList::Hmac,
                vec![HmacSecret::new(SECRET).unwrap()],
            ),
            rsa: named(
                Version::Inline,
                KeyList::Rsa,
                RsaKey::from_pem(PEM).unwrap(),
            ),
        };
        assert_eq!(
            both.check(
                BODY,
                Signatures {
                    hmac: Some("nonsense"),
                    rsa: Some(SIGNATURE)
                }
            ),
            Ok(Some(key(KeyList::Rsa, 0)))
        );
    }

    #[test]
    fn what_is_no_signature_is_wrong() {
        let keys = by_secrets(&[SECRET]);
        let good = hex(&sign(SECRET, BODY));
        let twice = format!("{good},{good}");
        let short = &good[..62];
        let prefixed = format!("sha1={good}");
        for value in [
            "",
            " ",
            "sha256=",
            "=",
            "é",
            "sha256é",
            short,
            &twice,
            &prefixed,
            &good.replace('a', "g"),
        ] {
            if value != good {
                assert_eq!(
                    keys.check(BODY, hmac(value)),
                    Err(Untrusted::Wrong),
                    "{value:?}"
                );
            }
        }
        for value in [
            "",
            "%%%",
            "AAAA",
            "YQ",
            "YQ=",
            &SIGNATURE[1..],
            &format!("{SIGNATURE},{SIGNATURE}"),
        ] {
            assert_eq!(
                by_pem(PEM).check(BODY, rsa(value)),
                Err(Untrusted::Wrong),
                "{value:?}"
            );
        }
    }

    #[test]
    fn keys_that_could_never_confirm_anything_are_refused() {
        let error = |pem: &str| RsaKey::from_pem(pem).err();
        assert_eq!(
            HmacSecret::new("too short").err(),
            Some(KeyError::SecretTooShort)
        );
        assert_eq!(error(""), Some(KeyError::NotPem));
        assert_eq!(error("MIIBIjANBgkq"), Some(KeyError::NotPem));
        assert_eq!(
            error("-----BEGIN PUBLIC KEY-----\n????\n-----END PUBLIC KEY-----"),
            Some(KeyError::NotPem)
        );
        assert_eq!(
            error("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"),
            Some(KeyError::NotRsa)
        );
        assert_eq!(
            error(include_str!("../../tests/signature/ec-public-key.pem")),
            Some(KeyError::NotRsa)
        );
        assert_eq!(
            error(include_str!("../../tests/signature/1024-public-key.pem")),
            Some(KeyError::WrongSize)
        );
    }

    #[test]
    fn line_breaks_at_the_end_do_not_belong_to_a_secret() {
        let signature = hex(&sign(SECRET, BODY));
        let plain = HmacSecret::new(SECRET).unwrap();
        for end in ["\n", "\r\n", "\n\n", "\r\n\r\n"] {
            let text = format!("{SECRET}{end}");
            let confirmed = by_secrets(&[&text]).check(BODY, hmac(&signature));
            assert_eq!(confirmed, Ok(Some(key(KeyList::Hmac, 0))), "{end:?}");
            assert!(plain.is_same(&HmacSecret::new(&text).unwrap()), "{end:?}");
        }
        // Any other character may be meant.
        for text in [
            format!("{SECRET} "),
            format!(" {SECRET}"),
            format!("\n{SECRET}"),
            format!("{SECRET}\\n"),
        ] {
            let signature = hex(&sign(&text, BODY));
            let confirmed = by_secrets(&[&text]).check(BODY, hmac(&signature));
            assert_eq!(confirmed, Ok(Some(key(KeyList::Hmac, 0))), "{text:?}");
            assert!(!plain.is_same(&HmacSecret::new(&text).unwrap()), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_for_what_it_is() {
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
        for text in ["short", "0123456789abcde\n", "0123456789abcde\r\n\n"] {
            assert_eq!(error(text), Some(KeyError::SecretTooShort), "{text:?}");
        }
        assert_eq!(error("0123456789abcdef\n"), None);
        assert_eq!(
            error("\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"),
            None,
            "16 bytes"
        );
    }

    #[test]
    fn an_older_version_adds_only_what_is_new() {
        let older = include_str!("../../tests/signature/other-public-key.pem");
        let (first, second) = ("0123456789abcdef-1", "0123456789abcdef-2");
        let count = |keys: &Keys| format!("{keys:?}");
        let mut keys = by_secrets(&[first]);
        keys.add(&by_secrets(&[first, second, first]));
        assert_eq!(count(&keys), "2 secrets, 0 public keys");
        keys.add(&by_pem(&format!("{PEM}{older}{PEM_CRLF}")));
        assert_eq!(count(&keys), "2 secrets, 2 public keys");
        let many: Vec<_> = (0..3 * KEYS_MAX)
            .map(|number| format!("0123456789abcdef/{number}"))
            .collect();
        keys.add(&by_secrets(
            &many.iter().map(String::as_str).collect::<Vec<_>>(),
        ));
        assert_eq!(count(&keys), "32 secrets, 2 public keys");
        assert!(Keys::none().is_empty() && !keys.is_empty());
        assert!(!Keys::AcceptUnsigned.is_empty());
    }

    #[test]
    fn a_key_is_named_by_its_place() {
        let name = |version, list| named(version, list, ["a", "b"])[1].0.to_string();
        assert_eq!(
            name(Version::Current, KeyList::Hmac),
            "current/hmac_secrets/1"
        );
        assert_eq!(
            name(Version::Previous, KeyList::Rsa),
            "previous/public_keys/1"
        );
        assert_eq!(name(Version::Inline, KeyList::Rsa), "inline/public_keys/1");
    }

    #[test]
    fn a_key_that_could_never_confirm_anything_is_refused() {
        let [der] = &pem::public_keys(PEM).unwrap()[..] else {
            panic!("one key");
        };
        let (end, exponent) = der.split_at(der.len() - 3);
        assert_eq!(exponent, [1, 0, 1]);
        let with = |modulus_end: u8, exponent: [u8; 3]| {
            // The exponent is the last of the key, after its tag and length, and before them ends the modulus.
            let mut changed = [end, &exponent].concat();
            let last = end.len() - 3;
            changed[last] = modulus_end;
            RsaKey::from_der(&changed).map(|key| key.exponent)
        };
        let odd = der[der.len() - 6];
        assert_eq!(with(odd, [1, 0, 1]).unwrap(), [1, 0, 1]);
        assert_eq!(with(odd & 0xFE, [1, 0, 1]).unwrap_err(), KeyError::NotRsa);
        assert_eq!(with(odd, [1, 0, 0]).unwrap_err(), KeyError::NotRsa);
        assert_eq!(number(&[2, 0, 0, 0, 1]), EXPONENT_END + 1);
        assert_eq!(number(&[1; 9]), u64::MAX);
        // What is let in is what `ring` takes: it may not fit the signature, but it is a key.
        for exponent in [[1_u8, 0, 1], [0x7F, 0xFF, 0xFF]] {
            assert!(with(odd, exponent).is_ok());
        }
    }

    #[test]
    fn nobody_signs_when_the_operator_chose_so() {
        assert_eq!(
            Keys::AcceptUnsigned.check(BODY, Signatures::default()),
            Ok(None)
        );
    }

    proptest! {
        #[test]
        fn every_spelling_of_a_good_digest_is_confirmed(body: Vec<u8>, secret in "[ -~]{16,80}") {
            let digest = sign(&secret, &body);
            let lower = hex(&digest);
            let keys = by_secrets(&[&secret]);
            for value in [
                lower.to_uppercase(),
                format!("sha256={lower}"),
                format!("SHA256={}", lower.to_uppercase()),
                base64_simd::STANDARD.encode_to_string(&digest),
                format!(" {lower} "),
                lower,
            ] {
                prop_assert_eq!(keys.check(&body, hmac(&value)), Ok(Some(key(KeyList::Hmac, 0))), "{}", value);
            }
        }

        #[test]
        fn one_flipped_bit_is_refused(mut body in proptest::collection::vec(any::<u8>(), 1..400), at: usize, bit in 0..8_u8) {
            let signature = hex(&sign(SECRET, &body));
            let at = at % body.len();
            body[at] ^= 1 << bit;
            prop_assert_eq!(by_secrets(&[SECRET]).check(&body, hmac(&signature)), Err(Untrusted::Wrong));
        }

        #[test]
        fn no_header_value_panics_or_passes(value: String) {
            prop_assert_eq!(by_secrets(&[SECRET]).check(BODY, hmac(&value)), Err(Untrusted::Wrong));
            prop_assert_eq!(by_pem(PEM).check(BODY, rsa(&value)), Err(Untrusted::Wrong));
        }

        #[test]
        fn no_pem_panics(pem in "(-----BEGIN PUBLIC KEY-----\r?\n)?[A-Za-z0-9+/=\r\n]{0,200}(-----END PUBLIC KEY-----)?") {
            prop_assert!(RsaKey::from_pem(&pem).is_err());
        }
    }
}
