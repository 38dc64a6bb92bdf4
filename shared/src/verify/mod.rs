//! Verifies the signatures of Commerce over the raw bytes of a body.
//!
//! This file contains the parts that the signature schemes share. Each scheme has its own file. To
//! add one, write its file, add the variant to [`Scheme`] and `Scheme::ALL`, and add a line to each
//! `match` in this file.

mod hmac;
pub mod ims;
mod key_list;
pub mod keyring;
mod keys;
pub mod pem;
mod policy;
mod refresh;
mod rsa;
pub mod secret;
mod shop;
mod store;

use std::{cell::OnceCell, fmt};

use lambda_http::http::HeaderMap;

use self::ims::{TokenError, VerifiedToken};
pub use self::{
    hmac::HmacSecret,
    key_list::{KEYS_MAX, KEYS_OF_ALL_SHOPS_MAX, NamedKey},
    keys::{KeyName, Keys, KnownKeys, SecretVersion},
    policy::{Requirement, SignaturePolicy},
    rsa::RsaKey,
    shop::{DEFAULT_SOURCE_PREFIX, SHOP_NAME_CHARS_MAX, SHOPS_MAX, Shop, is_uri_text},
    store::StoreSettings,
};

/// A signature scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HMAC-SHA256 with a shared secret, as the specification describes it.
    Hmac,
    /// RSASSA-PKCS1-v1_5 with SHA-256 and a key pair of the shop, as Adobe Commerce signs.
    Rsa,
}

impl Scheme {
    /// Every scheme, in the order of its declaration.
    pub const ALL: [Self; 2] = [Self::Hmac, Self::Rsa];

    fn definition(self) -> &'static SchemeDefinition {
        match self {
            Self::Hmac => &hmac::DEFINITION,
            Self::Rsa => &rsa::DEFINITION,
        }
    }

    /// Returns the header that carries the signature, in lower case.
    pub fn header(self) -> &'static str {
        self.definition().header
    }

    /// Returns the field of the secret that lists the keys.
    pub fn secret_field(self) -> &'static str {
        self.definition().secret_field
    }

    /// Reads the keys of one entry of the secret.
    ///
    /// # Errors
    /// Returns why a key cannot be used. One such key makes the whole entry invalid.
    pub fn read_keys(self, entry: &str) -> Result<Vec<VerificationKey>, KeyError> {
        (self.definition().read_keys)(entry)
    }

    /// Decodes the value of the header; `None` if it is not a signature.
    fn decode(self, value: &str) -> Option<Vec<u8>> {
        (self.definition().decode)(value)
    }
}

/// The definition of a scheme, without the check of a signature.
struct SchemeDefinition {
    header: &'static str,
    secret_field: &'static str,
    read_keys: fn(entry: &str) -> Result<Vec<VerificationKey>, KeyError>,
    decode: fn(value: &str) -> Option<Vec<u8>>,
}

/// A key that can verify a body.
#[derive(Clone, PartialEq)]
pub enum VerificationKey {
    /// A key of [`Scheme::Hmac`].
    Hmac(HmacSecret),
    /// A key of [`Scheme::Rsa`].
    Rsa(RsaKey),
}

impl VerificationKey {
    /// Returns the scheme of the key.
    pub fn scheme(&self) -> Scheme {
        match self {
            Self::Hmac(_) => Scheme::Hmac,
            Self::Rsa(_) => Scheme::Rsa,
        }
    }

    /// Returns whether this key verifies the decoded signature of the body.
    fn verifies(&self, body: &SignedBody<'_>, signature: &[u8]) -> bool {
        match self {
            Self::Hmac(secret) => secret.verifies(body.bytes, signature),
            Self::Rsa(key) => key.verifies(body, signature),
        }
    }
}

/// Shows the scheme only.
impl fmt::Debug for VerificationKey {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:?}(…)", self.scheme())
    }
}

/// A body, and its base64 text, which the RSA scheme signs.
struct SignedBody<'a> {
    bytes: &'a [u8],
    base64: OnceCell<String>,
}

impl<'a> SignedBody<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            base64: OnceCell::new(),
        }
    }

    /// Returns the body as base64 text. It is encoded once, when it is first needed.
    fn base64(&self) -> &str {
        self.base64
            .get_or_init(|| base64_simd::STANDARD.encode_to_string(self.bytes))
    }
}

/// The values of the signature headers of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signatures<'a>([Option<&'a str>; Scheme::ALL.len()]);

impl<'a> Signatures<'a> {
    /// Reads the signature headers.
    ///
    /// A repeated header, and a value that is not visible ASCII, read as the empty value: the
    /// signature is present, but no key verifies it.
    pub fn of(headers: &'a HeaderMap) -> Self {
        Self::from_fn(|scheme| {
            let mut values = headers.get_all(scheme.header()).iter();
            let value = values.next()?;
            let is_repeated = values.next().is_some();
            Some(
                value
                    .to_str()
                    .ok()
                    .filter(|_| !is_repeated)
                    .unwrap_or_default(),
            )
        })
    }

    /// Returns a single signature.
    pub fn one(scheme: Scheme, value: &'a str) -> Self {
        Self::from_fn(|other| (other == scheme).then_some(value))
    }

    /// Creates the signatures from a function that returns the value of each scheme's header.
    pub fn from_fn(value: impl FnMut(Scheme) -> Option<&'a str>) -> Self {
        Self(Scheme::ALL.map(value))
    }

    /// Returns the value of a scheme's header.
    pub fn get(&self, scheme: Scheme) -> Option<&'a str> {
        self.iter()
            .find_map(|(other, value)| (other == scheme).then_some(value))
    }

    /// Returns whether the request has no signature header.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    fn iter(&self) -> impl Iterator<Item = (Scheme, &'a str)> {
        let values = Scheme::ALL.into_iter().zip(self.0);
        values.filter_map(|(scheme, value)| Some((scheme, value?)))
    }
}

/// What a request has to prove who sent it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    /// The values of the signature headers.
    pub signatures: Signatures<'a>,
    /// The access token, if there is one and it was read.
    pub token: Option<Result<&'a VerifiedToken<'a>, TokenError>>,
}

impl<'a> From<Signatures<'a>> for Credentials<'a> {
    fn from(signatures: Signatures<'a>) -> Self {
        Self {
            signatures,
            token: None,
        }
    }
}

/// Why a request is not verified. If there are several reasons, the last one in this order helps
/// the sender most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignatureError {
    /// The request has no signature.
    Missing,
    /// The function has no key for the scheme of the signature.
    NoKey,
    /// The access token does not count.
    Token(TokenError),
    /// The signature is of one shop, and the access token of another.
    ShopsDiffer,
    /// No key verifies the signature.
    Mismatch,
}

/// Why a secret or a key cannot be used. It never contains the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The secret is empty or white space.
    SecretEmpty,
    /// The secret is a PEM text, such as a key or a certificate.
    SecretIsPem,
    /// The secret is shorter than [`hmac::SECRET_BYTES_MIN`].
    SecretTooShort,
    /// The text has no `PUBLIC KEY` block, or an incomplete one.
    NotPem,
    /// The text contains a private key.
    PrivateKey,
    /// The block is not a valid public key of this algorithm.
    WrongAlgorithm(&'static str),
    /// The RSA key has fewer than 2048 or more than 8192 bits.
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
                let min = hmac::SECRET_BYTES_MIN;
                write!(to, "the secret is shorter than {min} bytes")
            }
            Self::NotPem => to.write_str("has no readable PEM block \"PUBLIC KEY\""),
            Self::PrivateKey => to.write_str("is a private key; only the shop may hold it"),
            Self::WrongAlgorithm(expected) => {
                write!(to, "the PEM block is not an {expected} public key")
            }
            Self::WrongSize => to.write_str("the RSA key must have 2048 to 8192 bits"),
        }
    }
}

impl std::error::Error for KeyError {}

fn decode_base64(value: &str) -> Option<Vec<u8>> {
    base64_simd::STANDARD.decode_to_vec(value.trim_ascii()).ok()
}

#[cfg(test)]
pub(crate) mod tests;
