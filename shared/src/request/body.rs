//! The body of a request. Its content can be read only after a key has verified it.

use std::{fmt, str};

use super::{InvalidBase64, Request, headers::declares_json};
use crate::{
    outcome::Failure,
    verify::{Credentials, KeyName, Keys, Shop, SignatureError, ims::TokenError},
};

/// The maximum size of a body in bytes. Lambda accepts requests of up to 6 MB, which include the
/// body.
pub const BODY_BYTES_MAX: usize = 6 * 1024 * 1024;

/// A body as it was received. Its content is accessible only through [`verify`](Self::verify):
///
/// ```
/// # use shared::{request::body::Unverified, verify::{Keys, Signatures}};
/// # fn read(body: Unverified<'_>, keys: &Keys, signatures: Signatures<'_>) {
/// let text = body.verify(keys, signatures).map(|body| body.json().is_ok());
/// # }
/// ```
///
/// ```compile_fail,E0599
/// # use shared::{request::body::Unverified, verify::{Keys, Signatures}};
/// # fn read(body: Unverified<'_>, keys: &Keys, signatures: Signatures<'_>) {
/// let text = body.json();
/// # }
/// ```
pub struct Unverified<'a>(&'a [u8]);

impl fmt::Debug for Unverified<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Unverified({} bytes)", self.0.len())
    }
}

impl<'a> Unverified<'a> {
    /// Wraps the body of a request, as the shop sent and signed it.
    ///
    /// # Errors
    /// [`Failure::NotApplicationJson`], [`Failure::NotARequest`] if the body is declared as base64,
    /// but is not, or [`Failure::TooLarge`].
    pub fn of(request: &'a Request) -> Result<Self, Failure> {
        if !declares_json(request.headers()) {
            return Err(Failure::NotApplicationJson);
        }
        if request.extensions().get::<InvalidBase64>().is_some() {
            return Err(Failure::NotARequest);
        }
        Self::new(request.body())
    }

    /// Wraps the bytes of a body.
    ///
    /// # Errors
    /// [`Failure::TooLarge`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, Failure> {
        if bytes.len() > BODY_BYTES_MAX {
            return Err(Failure::TooLarge);
        }
        Ok(Self(bytes))
    }

    /// Verifies that a key signed exactly these bytes, or that an access token counts instead.
    ///
    /// # Errors
    /// Returns the body, for another attempt with newer keys, and the reason.
    pub fn verify<'c>(
        self,
        keys: &Keys,
        credentials: impl Into<Credentials<'c>>,
    ) -> Result<Verified<'a>, (Self, SignatureError)> {
        match keys.check(self.0, credentials) {
            Ok(key) => Ok(Verified { bytes: self.0, key }),
            Err(reason) => Err((self, reason)),
        }
    }
}

impl From<(Unverified<'_>, SignatureError)> for Failure {
    fn from((_, reason): (Unverified<'_>, SignatureError)) -> Self {
        match reason {
            SignatureError::Token(TokenError::KeysUnavailable) => Self::NoImsKeys,
            reason => Self::Untrusted(reason),
        }
    }
}

/// A body that a key verified, or that the operator accepts unsigned. Only [`Unverified::verify`]
/// creates one.
pub struct Verified<'a> {
    bytes: &'a [u8],
    key: Option<KeyName>,
}

impl fmt::Debug for Verified<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Verified({} bytes)", self.bytes.len())
    }
}

impl<'a> Verified<'a> {
    /// Returns the bytes, as they were signed.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the key that verified the body; `None` if the operator accepts unsigned events.
    pub fn verified_by(&self) -> Option<&KeyName> {
        self.key.as_ref()
    }

    /// Returns the shop that sent the body; `None` for the shop without a name.
    pub fn shop(&self) -> Option<&Shop> {
        self.verified_by()?.shop()
    }

    /// Returns the bytes as text.
    ///
    /// # Errors
    /// [`Failure::NotJson`] if they are not UTF-8, the encoding of JSON.
    pub fn json(&self) -> Result<&'a str, Failure> {
        str::from_utf8(self.bytes).map_err(|_| Failure::NotJson)
    }
}
