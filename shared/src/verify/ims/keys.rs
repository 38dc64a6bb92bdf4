//! The public keys of IMS, and their format: a JWK Set (RFC 7517).

use serde_json::Value;

use crate::verify::{
    RsaKey,
    ims::{
        ImsError,
        json::{self, decode_base64url},
    },
};

/// The maximum number of keys in an answer.
const JWKS_MAX: usize = 64;

/// The maximum length of the name of a key, in bytes.
pub(super) const KID_BYTES_MAX: usize = 256;

/// The public keys of IMS by their names.
#[derive(Default)]
pub struct ImsKeys(Vec<ImsKey>);

struct ImsKey {
    kid: String,
    key: RsaKey,
}

impl ImsKeys {
    /// Reads a JWK Set. It skips each key that cannot verify an access token. If two keys have the
    /// same name, neither counts.
    ///
    /// # Errors
    /// [`ImsError::NotKeys`] or [`ImsError::TooLarge`].
    pub fn parse(json: &[u8]) -> Result<Self, ImsError> {
        let Some([Some(Value::Array(jwks))]) = json::members(json, ["keys"]) else {
            return Err(ImsError::NotKeys);
        };
        if jwks.len() > JWKS_MAX {
            return Err(ImsError::TooLarge);
        }
        let all: Vec<_> = jwks.iter().filter_map(ImsKey::of).collect();
        let is_unique = |key: &ImsKey| all.iter().filter(|other| other.kid == key.kid).count() == 1;
        let is_unique: Vec<_> = all.iter().map(is_unique).collect();
        let keys = all.into_iter().zip(is_unique);
        Ok(Self(
            keys.filter_map(|(key, is_unique)| is_unique.then_some(key))
                .collect(),
        ))
    }

    /// Returns whether no key is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the key with this name.
    pub(super) fn get(&self, kid: &str) -> Option<&RsaKey> {
        let known = self.0.iter().find(|known| known.kid == kid)?;
        Some(&known.key)
    }
}

/// Shows the number of keys only.
impl std::fmt::Debug for ImsKeys {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "ImsKeys({})", self.len())
    }
}

impl ImsKey {
    /// Returns the key of a JWK, if it can verify an access token.
    fn of(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let is_absent_or = |name: &str, value: &str| match jwk.get(name) {
            None => true,
            Some(other) => other == value,
        };
        let kid = text("kid").filter(|kid| (1..=KID_BYTES_MAX).contains(&kid.len()))?;
        if text("kty") != Some("RSA")
            || !is_absent_or("use", "sig")
            || !is_absent_or("alg", "RS256")
        {
            return None;
        }
        let number = |name: &str| {
            let bytes = decode_base64url(text(name)?.as_bytes())?;
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            bytes.get(zeros..).map(<[u8]>::to_vec)
        };
        Some(Self {
            kid: kid.to_owned(),
            key: RsaKey::from_components(number("n")?, number("e")?).ok()?,
        })
    }
}

#[cfg(test)]
mod tests;
