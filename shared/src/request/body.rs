//! The body of a request, which is nothing but bytes until a key vouches for it.

use std::{borrow::Cow, str};

use crate::{
    outcome::Failure,
    verify::{KeyName, Keys, Signatures, Untrusted},
};

/// The largest body in bytes. Lambda itself takes no larger request (6 MB, with the request around the body).
pub const BODY_BYTES_MAX: usize = 6 * 1024 * 1024;

/// A body as it came. It can be verified, and only then read:
///
/// ```
/// # use shared::{body::Unverified, signature::{Keys, Signatures}};
/// # fn read(body: Unverified<'_>, keys: &Keys, signatures: Signatures<'_>) {
/// let text = body.verify(keys, signatures).map(|body| body.json().is_ok());
/// # }
/// ```
///
/// ```compile_fail,E0599
/// # use shared::{body::Unverified, signature::{Keys, Signatures}};
/// # fn read(body: Unverified<'_>, keys: &Keys, signatures: Signatures<'_>) {
/// let text = body.json();
/// # }
/// ```
#[derive(Debug)]
pub struct Unverified<'a>(Cow<'a, [u8]>);

impl<'a> Unverified<'a> {
    /// Takes the raw bytes that the shop sent and signed.
    pub fn new(bytes: impl Into<Cow<'a, [u8]>>) -> Result<Self, Failure> {
        let bytes = bytes.into();
        if bytes.len() > BODY_BYTES_MAX {
            Err(Failure::TooLarge)
        } else {
            Ok(Self(bytes))
        }
    }

    /// Lets the body pass if one of the keys vouches for exactly these bytes. Otherwise it comes back, for newer keys to try.
    pub fn verify(
        self,
        keys: &Keys,
        signatures: Signatures<'_>,
    ) -> Result<Verified<'a>, Rejected<'a>> {
        match keys.check(&self.0, signatures) {
            Ok(key) => Ok(Verified { bytes: self.0, key }),
            Err(reason) => Err(Rejected { body: self, reason }),
        }
    }
}

/// A body that no key vouched for.
#[derive(Debug)]
pub struct Rejected<'a> {
    /// The body, as unverified as before.
    pub body: Unverified<'a>,
    /// Why it is not trusted.
    pub reason: Untrusted,
}

impl From<Rejected<'_>> for Failure {
    fn from(rejected: Rejected<'_>) -> Self {
        Self::Untrusted(rejected.reason)
    }
}

/// A body that one of the keys vouched for. Only [`Unverified::verify`] makes one.
#[derive(Debug)]
pub struct Verified<'a> {
    bytes: Cow<'a, [u8]>,
    key: Option<KeyName>,
}

impl Verified<'_> {
    /// The bytes, as they were signed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The key that vouched for it; `None` where the operator takes events from anybody.
    pub fn vouched_by(&self) -> Option<KeyName> {
        self.key
    }

    /// The bytes as the text that JSON is made of.
    pub fn json(&self) -> Result<&str, Failure> {
        str::from_utf8(&self.bytes).map_err(|_| Failure::NotJson)
    }
}
