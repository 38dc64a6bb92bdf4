//! The two signatures of Commerce, checked over the raw bytes of the body.
//!
//! The spec signs with HMAC-SHA256 and a shared secret, the real shop with RSA (RSASSA-PKCS1-v1_5, SHA-256) and a key pair
//! of its own, over the base64 text of the body. Any one of the configured secrets and keys is enough, so that they can be
//! changed without losing an event.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use rustls_pki_types::{SubjectPublicKeyInfoDer, pem::PemObject as _};
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

/// Why a body is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untrusted {
    /// No signature of a scheme that counts here.
    Missing,
    /// A signature that no key confirms.
    Wrong,
}

/// The secrets and public keys that can vouch for a body.
pub enum Keys {
    /// At least one of these must confirm the signature.
    Known {
        /// Shared secrets for HMAC-SHA256.
        hmac: Vec<HmacSecret>,
        /// Public keys for RSA.
        rsa: Vec<RsaKey>,
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
    /// Whether one of the keys vouches for these bytes.
    pub fn check(&self, body: &[u8], signatures: Signatures<'_>) -> Result<(), Untrusted> {
        let Self::Known { hmac, rsa } = self else {
            return Ok(());
        };
        let by_hmac = signatures.hmac.filter(|_| !hmac.is_empty());
        let by_rsa = signatures.rsa.filter(|_| !rsa.is_empty());
        if by_hmac.is_none() && by_rsa.is_none() {
            return Err(Untrusted::Missing);
        }
        let confirmed = by_hmac
            .and_then(decode_hmac)
            .is_some_and(|signature| hmac.iter().any(|secret| secret.confirms(body, &signature)))
            || by_rsa.and_then(decode_base64).is_some_and(|signature| {
                let signed = base64_simd::STANDARD.encode_to_string(body);
                rsa.iter()
                    .any(|key| key.confirms(signed.as_bytes(), &signature))
            });
        if confirmed {
            Ok(())
        } else {
            Err(Untrusted::Wrong)
        }
    }
}

/// A shared secret, ready for use.
#[derive(Clone)]
pub struct HmacSecret(Hmac<Sha256>);

impl HmacSecret {
    /// Takes a secret of at least [`SECRET_BYTES_MIN`] bytes.
    pub fn new(secret: &str) -> Result<Self, KeyError> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(KeyError::SecretTooShort);
        }
        Hmac::new_from_slice(secret.as_bytes())
            .map(Self)
            .map_err(|_| KeyError::SecretTooShort)
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
#[derive(Clone)]
pub struct RsaKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl RsaKey {
    /// Takes every `PUBLIC KEY` block out of a PEM text, with LF or CRLF, with or without a final line break.
    pub fn from_pem(pem: &str) -> Result<Vec<Self>, KeyError> {
        let keys = SubjectPublicKeyInfoDer::pem_slice_iter(pem.as_bytes())
            .map(|block| Self::from_spki(block.map_err(|_| KeyError::NotPem)?.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            Err(KeyError::NotPem)
        } else {
            Ok(keys)
        }
    }

    fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        const RSA_ENCRYPTION: ObjectIdentifier =
            ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
        let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| KeyError::NotRsa)?;
        let key = spki
            .subject_public_key
            .as_bytes()
            .filter(|_| spki.algorithm.oid == RSA_ENCRYPTION);
        let (modulus, exponent) = key.and_then(rsa_public_key).ok_or(KeyError::NotRsa)?;
        // Looked at here, so that a key that can never confirm anything stops the start and not the first order.
        if !(2048 / 8..=8192 / 8).contains(&modulus.len()) {
            return Err(KeyError::WrongSize);
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
    /// The secret is too short to protect anything.
    SecretTooShort,
    /// There is no `PUBLIC KEY` block.
    NotPem,
    /// The block holds no RSA key.
    NotRsa,
    /// The RSA key has not between 2048 and 8192 bits.
    WrongSize,
}

impl fmt::Display for KeyError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SecretTooShort => {
                write!(to, "the secret is shorter than {SECRET_BYTES_MIN} bytes")
            }
            Self::NotPem => to.write_str("no PEM block \"PUBLIC KEY\" can be read"),
            Self::NotRsa => to.write_str("the PEM block holds no RSA public key"),
            Self::WrongSize => to.write_str("the RSA key has not between 2048 and 8192 bits"),
        }
    }
}

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
