//! The keys of a function, their names, and the check of a request against them.

use std::{fmt, sync::Arc};

use crate::verify::{
    Credentials, Requirement, Scheme, Shop, SignatureError, Signatures, SignedBody,
    VerificationKey,
    ims::{ImsClient, TokenError, VerifiedToken},
    key_list::{KeyList, NamedKey},
    shop::Shops,
};

/// The position of a key in the secret, as in `current/public_keys/0` or
/// `current/shops/eu/public_keys/0`. Logs and metrics use it as the name of the key. It does not
/// reveal the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName {
    pub(super) version: SecretVersion,
    pub(super) shop: Option<Arc<Shop>>,
    list: &'static str,
    index: usize,
}

impl KeyName {
    /// Returns the name of a key at an index of a list, counted from 0.
    pub(super) fn new(
        version: SecretVersion,
        shop: Option<Arc<Shop>>,
        list: &'static str,
        index: usize,
    ) -> Self {
        Self {
            version,
            shop,
            list,
            index,
        }
    }

    /// Returns the shop that the key belongs to; `None` for the shop without a name.
    pub fn shop(&self) -> Option<&Shop> {
        self.shop.as_deref()
    }

    /// Returns the position within a version of the secret, as in `public_keys/0`.
    pub fn position(&self) -> String {
        let prefix = section(self.shop().map(|shop| &*shop.name));
        format!("{prefix}{}/{}", self.list, self.index)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}/{}", self.version, self.position())
    }
}

/// Returns the beginning of the positions in the part of the secret that belongs to a shop.
pub(super) fn section(shop: Option<&str>) -> String {
    shop.map(|name| format!("shops/{name}/"))
        .unwrap_or_default()
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

/// The keys against which requests are checked.
#[derive(Clone)]
pub enum Keys {
    /// One of the requirements must be met with these keys.
    Known(KnownKeys),
    /// The operator chose to accept bodies without a signature.
    AcceptUnsigned,
}

/// The keys and clients of all shops in a secret.
#[derive(Clone, Default)]
pub struct KnownKeys {
    /// Any of them is enough.
    pub(super) requirements: Vec<Requirement>,
    pub(super) signature_keys: KeyList<VerificationKey>,
    pub(super) ims_clients: KeyList<ImsClient>,
    pub(super) shops: Shops,
}

/// Shows the number of keys of each kind only.
impl fmt::Debug for Keys {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Known(known) = self else {
            return to.write_str("unsigned bodies accepted");
        };
        for (index, scheme) in Scheme::ALL.into_iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            let count = known.keys_of(scheme).count();
            write!(to, "{separator}{count} {}", scheme.secret_field())?;
        }
        if known.requirements.iter().any(|one| one.needs_token()) {
            write!(to, ", {} IMS clients", known.ims_clients.usable.len())?;
        }
        Ok(())
    }
}

impl Keys {
    /// Returns these keys as those of an inline secret without named shops.
    pub fn inline(keys: impl IntoIterator<Item = VerificationKey>) -> Self {
        let mut known = KnownKeys {
            requirements: Scheme::ALL.map(Requirement::Signature).to_vec(),
            ..KnownKeys::default()
        };
        for key in keys {
            let list = key.scheme().secret_field();
            let index = known.keys_of(key.scheme()).count();
            let name = KeyName::new(SecretVersion::Inline, None, list, index);
            known.signature_keys.usable.push(NamedKey { name, key });
        }
        Self::Known(known)
    }

    /// Returns the keys that verify signatures.
    pub fn signature_keys(&self) -> &[NamedKey<VerificationKey>] {
        match self {
            Self::Known(known) => &known.signature_keys.usable,
            Self::AcceptUnsigned => &[],
        }
    }

    /// Returns the clients whose access tokens count.
    pub fn ims_clients(&self) -> &[NamedKey<ImsClient>] {
        match self {
            Self::Known(known) => &known.ims_clients.usable,
            Self::AcceptUnsigned => &[],
        }
    }

    /// Returns whether no request can be verified.
    pub fn is_empty(&self) -> bool {
        let Self::Known(known) = self else {
            return false;
        };
        let has_key = |scheme| known.keys_of(scheme).next().is_some();
        let has_client = !known.ims_clients.usable.is_empty();
        !known.requirements.iter().any(|requirement| {
            requirement.scheme().is_none_or(has_key) && (has_client || !requirement.needs_token())
        })
    }

    /// Returns the signatures of a request that are enough without an access token, and the others.
    pub fn split<'s>(&self, signatures: Signatures<'s>) -> [Signatures<'s>; 2] {
        let is_enough = |scheme| match self {
            Self::Known(known) => known.accepts(Requirement::Signature(scheme)),
            Self::AcceptUnsigned => true,
        };
        [true, false].map(|wanted| {
            Signatures::from_fn(|scheme| {
                let value = signatures.get(scheme);
                value.filter(|_| is_enough(scheme) == wanted)
            })
        })
    }

    /// Returns the same keys under the name of another version.
    pub(super) fn renamed(mut self, version: SecretVersion) -> Self {
        if let Self::Known(known) = &mut self {
            known.signature_keys.rename(version);
            known.ims_clients.rename(version);
        }
        self
    }

    /// Adds the keys of an older version that are not known yet.
    pub(super) fn add(&mut self, older: &Self) {
        let (Self::Known(known), Self::Known(older)) = (self, older) else {
            return;
        };
        let shops = &mut known.shops;
        let mut shop_of = |name: &KeyName| {
            let shop = name.shop.as_ref();
            shop.map(|shop| shops.adopt(shop))
        };
        known
            .signature_keys
            .add(&older.signature_keys, VerificationKey::scheme, &mut shop_of);
        known
            .ims_clients
            .add(&older.ims_clients, |_| (), &mut shop_of);
    }

    /// Returns the name of the key that verifies the request; `None` if unsigned bodies are
    /// accepted.
    ///
    /// # Errors
    /// Returns the reason that helps the sender most.
    pub fn check<'c>(
        &self,
        body: &[u8],
        credentials: impl Into<Credentials<'c>>,
    ) -> Result<Option<KeyName>, SignatureError> {
        let Self::Known(known) = self else {
            return Ok(None);
        };
        known
            .check(&SignedBody::new(body), credentials.into())
            .map(|name| Some(name.clone()))
    }
}

impl KnownKeys {
    fn accepts(&self, requirement: Requirement) -> bool {
        self.requirements.contains(&requirement)
    }

    pub(super) fn keys_of(
        &self,
        scheme: Scheme,
    ) -> impl Iterator<Item = &NamedKey<VerificationKey>> {
        let keys = self.signature_keys.usable.iter();
        keys.filter(move |known| known.key.scheme() == scheme)
    }

    /// Checks the signatures that are enough alone, then those that need a token, then the token
    /// alone.
    fn check(
        &self,
        body: &SignedBody<'_>,
        Credentials { signatures, token }: Credentials<'_>,
    ) -> Result<&KeyName, SignatureError> {
        let mut error = SignatureError::Missing;
        let schemes = || signatures.iter();
        let alone = |scheme| self.accepts(Requirement::Signature(scheme));
        for (scheme, value) in schemes().filter(|(scheme, _)| alone(*scheme)) {
            match self.find_key(body, scheme, value) {
                Ok(key) => return Ok(key),
                Err(reason) => error = error.max(reason),
            }
        }
        for (scheme, value) in schemes().filter(|(scheme, _)| !alone(*scheme)) {
            let key = if self.accepts(Requirement::SignatureAndToken(scheme)) {
                self.find_key(body, scheme, value)
            } else {
                Err(SignatureError::NoKey)
            };
            match key.and_then(|key| self.find_client(token).map(|client| (key, client))) {
                Ok((key, client)) if key.shop == client.shop => return Ok(key),
                Ok(_) => error = error.max(SignatureError::ShopsDiffer),
                Err(reason) => error = error.max(reason),
            }
        }
        if self.accepts(Requirement::Token) && token.is_some() {
            match self.find_client(token) {
                Ok(client) => return Ok(client),
                // The token may be valid, whatever is wrong with a signature.
                Err(reason @ SignatureError::Token(TokenError::KeysUnavailable)) => {
                    return Err(reason);
                }
                Err(reason) => error = error.max(reason),
            }
        }
        Err(error)
    }

    fn find_key(
        &self,
        body: &SignedBody<'_>,
        scheme: Scheme,
        value: &str,
    ) -> Result<&KeyName, SignatureError> {
        let mut keys = self.keys_of(scheme).peekable();
        if keys.peek().is_none() {
            return Err(SignatureError::NoKey);
        }
        scheme
            .decode(value)
            .and_then(|signature| keys.find(|known| known.key.verifies(body, &signature)))
            .map(|found| &found.name)
            .ok_or(SignatureError::Mismatch)
    }

    /// Returns the client of a token that IMS signed.
    fn find_client(
        &self,
        token: Option<Result<&VerifiedToken<'_>, TokenError>>,
    ) -> Result<&KeyName, SignatureError> {
        let token = token
            .unwrap_or(Err(TokenError::Missing))
            .map_err(SignatureError::Token)?;
        let mut clients = self.ims_clients.usable.iter();
        let client = clients
            .find(|known| known.key.client_id == token.client_id)
            .ok_or(SignatureError::Token(TokenError::Client))?;
        if !client.key.has_organization(token.org_id) {
            return Err(SignatureError::Token(TokenError::Organization));
        }
        Ok(&client.name)
    }
}

#[cfg(test)]
mod tests;
