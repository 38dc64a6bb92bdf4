//! The keys of a function, their names, and the check of a body against them.

use std::fmt;

use crate::verify::{Scheme, SignatureError, Signatures, SignedBody, VerificationKey};

/// The maximum number of keys that a function uses from one list of the secret. Each key adds time
/// to a request with a wrong signature.
pub const KEYS_MAX: usize = 16;

/// The position of a key in the secret, as in `current/public_keys/0`. Logs and metrics use it as
/// the name of the key. It does not reveal the key itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyName {
    version: SecretVersion,
    scheme: Scheme,
    index: usize,
}

impl KeyName {
    /// Returns the name of a key at an index of its list, counted from 0.
    pub fn new(version: SecretVersion, scheme: Scheme, index: usize) -> Self {
        Self {
            version,
            scheme,
            index,
        }
    }

    /// Returns the position within a version of the secret, as in `public_keys/0`.
    pub fn position(&self) -> String {
        format!("{}/{}", self.scheme.secret_field(), self.index)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.scheme.secret_field();
        write!(to, "{}/{list}/{}", self.version, self.index)
    }
}

/// A version of the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretVersion {
    /// The only version, from an environment variable.
    Inline,
    /// The version with the staging label `AWSCURRENT`.
    Current,
    /// The version with the staging label `AWSPREVIOUS`.
    Previous,
}

impl fmt::Display for SecretVersion {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Inline => "inline",
            Self::Current => "current",
            Self::Previous => "previous",
        })
    }
}

/// A key and its name.
#[derive(Clone, Debug)]
pub struct NamedKey {
    /// The position of the key in the secret.
    pub name: KeyName,
    /// The key itself.
    pub key: VerificationKey,
}

/// The keys against which bodies are checked.
#[derive(Clone)]
pub enum Keys {
    /// One of these keys must verify the body.
    Known(Vec<NamedKey>),
    /// The operator chose to accept bodies without a signature.
    AcceptUnsigned,
}

/// Shows the number of keys of each scheme only.
impl fmt::Debug for Keys {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Known(keys) = self else {
            return to.write_str("unsigned bodies accepted");
        };
        let counts = Scheme::ALL.map(|scheme| {
            let count = keys_of(keys, scheme).count();
            format!("{count} {}", scheme.secret_field())
        });
        to.write_str(&counts.join(", "))
    }
}

impl Keys {
    /// Returns these keys as those of an inline secret.
    pub fn inline(keys: impl IntoIterator<Item = VerificationKey>) -> Self {
        let mut named = Vec::new();
        for key in keys {
            let index = keys_of(&named, key.scheme()).count();
            let name = KeyName::new(SecretVersion::Inline, key.scheme(), index);
            named.push(NamedKey { name, key });
        }
        Self::Known(named)
    }

    /// Returns whether no body can be verified.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Known(keys) if keys.is_empty())
    }

    /// Returns the same keys under the name of another version.
    pub(crate) fn renamed(mut self, version: SecretVersion) -> Self {
        if let Self::Known(keys) = &mut self {
            for named in keys {
                named.name.version = version;
            }
        }
        self
    }

    /// Adds the keys of an older version that are not known yet, up to twice [`KEYS_MAX`] per
    /// scheme.
    pub(crate) fn add(&mut self, older: &Self) {
        let (Self::Known(keys), Self::Known(older)) = (self, older) else {
            return;
        };
        for candidate in older {
            let has_room = keys_of(keys, candidate.key.scheme()).count() < 2 * KEYS_MAX;
            if has_room && !keys.iter().any(|known| known.key == candidate.key) {
                keys.push(candidate.clone());
            }
        }
    }

    /// Returns the name of the key that verifies the body; `None` if unsigned bodies are accepted.
    pub fn check(
        &self,
        body: &[u8],
        signatures: Signatures<'_>,
    ) -> Result<Option<KeyName>, SignatureError> {
        let Self::Known(keys) = self else {
            return Ok(None);
        };
        let body = SignedBody::new(body);
        let mut error = SignatureError::Missing;
        for (scheme, value) in signatures.iter() {
            let mut candidates = keys_of(keys, scheme).peekable();
            if candidates.peek().is_none() {
                if error == SignatureError::Missing {
                    error = SignatureError::NoKey;
                }
                continue;
            }
            error = SignatureError::Mismatch;
            let Some(signature) = scheme.decode(value) else {
                continue;
            };
            if let Some(found) = candidates.find(|known| known.key.verifies(&body, &signature)) {
                return Ok(Some(found.name));
            }
        }
        Err(error)
    }
}

fn keys_of(keys: &[NamedKey], scheme: Scheme) -> impl Iterator<Item = &NamedKey> {
    keys.iter()
        .filter(move |known| known.key.scheme() == scheme)
}
