//! The content of the secret, as JSON: the keys that verify events, and bearer tokens.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::{Map, Value};

use crate::verify::{
    KeyName, Keys, KnownKeys, NamedKey, SHOPS_MAX, Scheme, SecretVersion, Shop, SignaturePolicy,
    ims::ImsClient, keys::section, shop::Shops,
};

/// An example of the secret, for error messages.
pub const EXAMPLE: &str = r#"{"hmac_secrets":["…"],"public_keys":["-----BEGIN PUBLIC KEY-----…"]}"#;

/// The error of clients that do not have the form that is needed.
const IMS_MUST: &str =
    r#"must have both lists, as in {"client_ids":["…"],"org_ids":["…@AdobeOrg"]}"#;

const SHOPS: &str = "shops";
const SOURCE: &str = "source";
const IMS: &str = "ims";
const CLIENT_IDS: &str = "client_ids";
const ORG_IDS: &str = "org_ids";

/// The list of clients, as part of a position.
const IMS_CLIENTS: &str = "ims/client_ids";

/// The suffix of the name of each token.
const TOKEN_SUFFIX: &str = "_token";

/// The errors of a secret, each with its position. They contain no part of the secret.
#[derive(Default)]
pub(super) struct SecretErrors(Vec<String>);

impl SecretErrors {
    /// Adds the error of a position. The position of the whole secret is empty.
    // Never inlined, because many places call it.
    #[inline(never)]
    pub(super) fn add(&mut self, position: &str, error: &str) {
        let separator = if position.is_empty() { "" } else { ": " };
        self.0.push(format!("{position}{separator}{error}"));
    }
}

/// The usable content of a secret.
#[derive(Clone, Debug)]
pub struct Secret {
    /// The keys that verify bodies.
    pub keys: Keys,
    /// The tokens with which a channel authenticates to other systems.
    pub tokens: BearerTokens,
}

/// The bearer tokens by their names in the secret, which end in `_token`. Each channel knows the
/// name of the token that it needs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BearerTokens(BTreeMap<String, BearerToken>);

/// Shows the number of tokens only.
impl fmt::Debug for BearerTokens {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} tokens", self.0.len())
    }
}

impl BearerTokens {
    /// Returns the token with this name.
    pub fn get(&self, name: &str) -> Option<&BearerToken> {
        self.0.get(name)
    }

    /// Adds the tokens of an older version that this version does not have.
    pub(crate) fn add(&mut self, older: Self) {
        for (name, token) in older.0 {
            self.0.entry(name).or_insert(token);
        }
    }
}

/// A bearer token: one line of ASCII.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(String);

impl BearerToken {
    fn new(text: &str) -> Result<Self, &'static str> {
        if text.trim().is_empty() {
            return Err("is empty; remove it if no token is needed");
        }
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err("must be one line of ASCII");
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the token itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("BearerToken(…)")
    }
}

impl Secret {
    /// Returns a secret without keys and tokens.
    pub fn empty(policy: &SignaturePolicy) -> Self {
        let keys = match policy {
            SignaturePolicy::AcceptUnsigned => Keys::AcceptUnsigned,
            SignaturePolicy::Require(requirements) => Keys::Known(KnownKeys {
                requirements: requirements.clone(),
                ..KnownKeys::default()
            }),
        };
        Self {
            keys,
            tokens: BearerTokens::default(),
        }
    }

    /// Reads the usable content of a secret, and returns it with the errors of the rest. No error
    /// quotes the secret.
    ///
    /// `unnamed_source` is the source of the shop without a name, if it is configured.
    pub fn read(
        json: &str,
        policy: &SignaturePolicy,
        unnamed_source: Option<&str>,
        version: SecretVersion,
    ) -> (Self, Vec<String>) {
        let mut secret = Self::empty(policy);
        // The message of serde_json could quote the secret.
        let Ok(Value::Object(mut fields)) = serde_json::from_str(json) else {
            return (secret, vec![format!("must be JSON, as in {EXAMPLE}")]);
        };
        let mut errors = SecretErrors::default();
        let sections = take_shops(&mut fields, &mut errors);
        secret.tokens = take_tokens(&mut fields, &mut errors);
        if let Keys::Known(known) = &mut secret.keys {
            let sources: Vec<_> = sections
                .iter()
                .map(|(name, section)| (name.clone(), source_of(name, section, &mut errors)))
                .collect();
            known.shops = Shops::new(&sources, unnamed_source, &mut errors);
            let mut reader = KeyReader {
                policy,
                version,
                known,
                errors: &mut errors,
            };
            reader.read(None, fields);
            for (name, section) in sections {
                let shop = reader.known.shops.get(&name);
                reader.read(shop.as_ref(), section);
            }
            known.signature_keys.remove_ambiguous(&mut errors);
            known.ims_clients.remove_ambiguous(&mut errors);
        }
        (secret, errors.0)
    }
}

/// Reads the keys of one shop after another.
struct KeyReader<'a> {
    policy: &'a SignaturePolicy,
    version: SecretVersion,
    known: &'a mut KnownKeys,
    errors: &'a mut SecretErrors,
}

impl KeyReader<'_> {
    /// Reads the section of a shop, which is the whole secret for the shop without a name.
    fn read(&mut self, shop: Option<&Arc<Shop>>, mut fields: Map<String, Value>) {
        let section = section(shop.map(|shop| &*shop.name));
        for scheme in Scheme::ALL {
            let entries = fields.remove(scheme.secret_field());
            if self.policy.reads_signatures(scheme) {
                self.read_list(&section, shop, scheme, entries);
            }
        }
        let ims = fields.remove(IMS).filter(|ims| !ims.is_null());
        if let Some(ims) = ims
            && self.policy.reads_tokens()
        {
            self.read_clients(&section, shop, ims);
        }
        if shop.is_some() {
            fields.remove(SOURCE);
        }
        if !fields.is_empty() {
            let lists = Scheme::ALL.map(Scheme::secret_field).join(", ");
            let (position, others) = if shop.is_some() {
                (section.trim_end_matches('/'), SOURCE.to_owned())
            } else {
                let others = format!("{SHOPS} and names that end in {TOKEN_SUFFIX}");
                ("", others)
            };
            let error = format!("has fields other than {lists}, {IMS}, {others}");
            self.errors.add(position, &error);
        }
    }

    /// Reads a list of keys. The name of a key does not depend on whether other entries are usable.
    fn read_list(
        &mut self,
        section: &str,
        shop: Option<&Arc<Shop>>,
        scheme: Scheme,
        entries: Option<Value>,
    ) {
        let field = scheme.secret_field();
        let mut keys = Vec::new();
        for (index, entry) in list_of(entries).iter().enumerate() {
            let name = KeyName::new(self.version, shop.cloned(), field, index);
            let error = match entry.as_str().map(|entry| scheme.read_keys(entry)) {
                Some(Ok(read)) => {
                    keys.extend(read.into_iter().map(|key| NamedKey {
                        name: name.clone(),
                        key,
                    }));
                    continue;
                }
                Some(Err(error)) => error.to_string(),
                None => "must be a string".to_owned(),
            };
            self.errors.add(&name.position(), &error);
        }
        let count = self.known.keys_of(scheme).count();
        let list = format!("{section}{field}");
        self.known
            .signature_keys
            .append(keys, count, &list, self.errors);
    }

    /// Reads the clients whose access tokens count.
    fn read_clients(&mut self, section: &str, shop: Option<&Arc<Shop>>, ims: Value) {
        let position = format!("{section}{IMS}");
        let Value::Object(mut ims) = ims else {
            return self.errors.add(&position, IMS_MUST);
        };
        let mut clients = Vec::new();
        let org_ids = self.ids(section, ORG_IDS, ims.remove(ORG_IDS));
        let org_ids: Arc<[String]> = org_ids.into_iter().map(|(_, id)| id).collect();
        for (index, id) in self.ids(section, CLIENT_IDS, ims.remove(CLIENT_IDS)) {
            clients.push(NamedKey {
                name: KeyName::new(self.version, shop.cloned(), IMS_CLIENTS, index),
                key: ImsClient::new(id, Arc::clone(&org_ids)),
            });
        }
        if clients.is_empty() || org_ids.is_empty() {
            return self.errors.add(&position, IMS_MUST);
        }
        if !ims.is_empty() {
            self.errors
                .add(&position, "has fields other than client_ids and org_ids");
        }
        let known = &mut self.known.ims_clients;
        let list = format!("{section}{IMS_CLIENTS}");
        known.append(clients, known.usable.len(), &list, self.errors);
    }

    /// Returns the usable ids of a list, each with its index.
    fn ids(&mut self, section: &str, list: &str, entries: Option<Value>) -> Vec<(usize, String)> {
        let mut ids = Vec::new();
        for (index, entry) in list_of(entries).into_iter().enumerate() {
            match entry {
                Value::String(id) if ImsClient::is_id(&id) => ids.push((index, id)),
                _ => self.errors.add(
                    &format!("{section}{IMS}/{list}/{index}"),
                    "must be 1 to 256 printable ASCII characters without spaces",
                ),
            }
        }
        ids
    }
}

/// Returns the entries of a list. A single entry is a list of one, because Secrets Manager
/// generates a secret in this form.
fn list_of(entries: Option<Value>) -> Vec<Value> {
    match entries {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(entries)) => entries,
        Some(entry) => vec![entry],
    }
}

/// Removes the shops from the fields, and returns the section of each.
fn take_shops(
    fields: &mut Map<String, Value>,
    errors: &mut SecretErrors,
) -> Vec<(String, Map<String, Value>)> {
    let shops = match fields.remove(SHOPS) {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Object(shops)) => shops,
        Some(_) => {
            errors.add(SHOPS, "must be an object with a member for each shop");
            return Vec::new();
        }
    };
    let mut sections = Vec::new();
    for (name, section) in shops {
        match section {
            // A name that no shop can have may be a secret in the wrong place, so it is not shown.
            _ if !Shop::is_name(&name) => errors.add(
                SHOPS,
                "a name is not 1 to 32 of a-z, 0-9, - and _, beginning with a letter or digit",
            ),
            Value::Object(section) => sections.push((name, section)),
            _ => errors.add(&format!("{SHOPS}/{name}"), "must be an object"),
        }
    }
    if sections.len() > SHOPS_MAX {
        errors.add(SHOPS, "more than 32");
        sections.truncate(SHOPS_MAX);
    }
    sections
}

/// Returns the source that the secret has for a shop.
fn source_of(
    name: &str,
    section: &Map<String, Value>,
    errors: &mut SecretErrors,
) -> Option<String> {
    let source = section.get(SOURCE).filter(|source| !source.is_null())?;
    let usable = source.as_str().filter(|source| Shop::is_source(source));
    if usable.is_none() {
        errors.add(
            &format!("{SHOPS}/{name}/{SOURCE}"),
            "must be a URI with a scheme, of at most 100 characters",
        );
    }
    usable.map(str::to_owned)
}

/// Returns the name of a token for an error message. A name that no channel would choose may be a
/// secret in the wrong place, so it is not shown.
fn plain_name(name: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    if name.len() <= 64 && name.bytes().all(is_plain) {
        name
    } else {
        "a token"
    }
}

/// Removes the tokens from the fields, and reads them.
fn take_tokens(fields: &mut Map<String, Value>, errors: &mut SecretErrors) -> BearerTokens {
    let mut tokens = BTreeMap::new();
    fields.retain(|name, token| {
        let is_token = name.ends_with(TOKEN_SUFFIX);
        if is_token && !token.is_null() {
            let token = token.as_str().ok_or("must be a string");
            match token.and_then(BearerToken::new) {
                Ok(token) => _ = tokens.insert(name.clone(), token),
                Err(error) => errors.add(plain_name(name), error),
            }
        }
        !is_token
    });
    BearerTokens(tokens)
}

#[cfg(test)]
mod tests;
