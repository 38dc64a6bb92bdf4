//! The content of the secret, as JSON: the keys that verify events, and bearer tokens.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::{Map, Value};

use crate::verify::{
    KeyName, Keys, KnownKeys, NamedKey, SHOPS_MAX, Scheme, SecretVersion, Shop, SignaturePolicy,
    ims::{IMS_ID_CHARS_MAX, ImsClient},
    keys::section,
    shop::{SHOP_NAME_CHARS_MAX, SOURCE_CHARS_MAX, Shops},
};

/// An example of the secret, for error messages.
pub const EXAMPLE: &str = r#"{"hmac_secrets":["…"],"public_keys":["-----BEGIN PUBLIC KEY-----…"]}"#;

/// An example of the clients whose access tokens count, for error messages.
const IMS_EXAMPLE: &str = r#"{"client_ids":["…"],"org_ids":["…@AdobeOrg"]}"#;

const SHOPS: &str = "shops";
const SOURCE: &str = "source";
const IMS: &str = "ims";
const CLIENT_IDS: &str = "client_ids";
const ORG_IDS: &str = "org_ids";

/// The list of clients, as part of a position.
const IMS_CLIENTS: &str = "ims/client_ids";

/// The suffix of the name of each token.
const TOKEN_SUFFIX: &str = "_token";

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
        let mut errors = Vec::new();
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
        (secret, errors)
    }
}

/// Reads the keys of one shop after another.
struct KeyReader<'a> {
    policy: &'a SignaturePolicy,
    version: SecretVersion,
    known: &'a mut KnownKeys,
    errors: &'a mut Vec<String>,
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
            let at = section.trim_end_matches('/');
            self.errors.push(if shop.is_some() {
                format!("{at}: has fields other than {lists}, {IMS} and {SOURCE}")
            } else {
                format!(
                    "has fields other than {lists}, {IMS}, {SHOPS} and names that end in \
                     {TOKEN_SUFFIX}"
                )
            });
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
            match entry.as_str().map(|entry| scheme.read_keys(entry)) {
                Some(Ok(read)) => keys.extend(read.into_iter().map(|key| NamedKey {
                    name: name.clone(),
                    key,
                })),
                Some(Err(error)) => self
                    .errors
                    .push(format!("{section}{field}/{index}: {error}")),
                None => self
                    .errors
                    .push(format!("{section}{field}/{index}: must be a string")),
            }
        }
        let count = self.known.keys_of(scheme).count();
        let list = format!("{section}{field}");
        self.known
            .signature_keys
            .append(keys, count, &list, self.errors);
    }

    /// Reads the clients whose access tokens count.
    fn read_clients(&mut self, section: &str, shop: Option<&Arc<Shop>>, ims: Value) {
        let Value::Object(mut ims) = ims else {
            let error = format!("{section}{IMS}: must be an object, as in {IMS_EXAMPLE}");
            return self.errors.push(error);
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
            let error = format!("{section}{IMS}: needs both lists, as in {IMS_EXAMPLE}");
            self.errors.push(error);
            return;
        }
        if !ims.is_empty() {
            let error = format!("{section}{IMS}: has fields other than {CLIENT_IDS} and {ORG_IDS}");
            self.errors.push(error);
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
                _ => self.errors.push(format!(
                    "{section}{IMS}/{list}/{index}: must be 1 to {IMS_ID_CHARS_MAX} printable \
                     ASCII characters without spaces"
                )),
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
    errors: &mut Vec<String>,
) -> Vec<(String, Map<String, Value>)> {
    let shops = match fields.remove(SHOPS) {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Object(shops)) => shops,
        Some(_) => {
            errors.push(format!(
                "{SHOPS}: must be an object with a member for each shop"
            ));
            return Vec::new();
        }
    };
    let mut sections = Vec::new();
    for (name, section) in shops {
        match section {
            // A name that no shop can have may be a secret in the wrong place, so it is not shown.
            _ if !Shop::is_name(&name) => errors.push(format!(
                "{SHOPS}: a name is not 1 to {SHOP_NAME_CHARS_MAX} of a-z, 0-9, - and _, beginning \
                 with a letter or digit"
            )),
            Value::Object(section) => sections.push((name, section)),
            _ => errors.push(format!("{SHOPS}/{name}: must be an object")),
        }
    }
    if sections.len() > SHOPS_MAX {
        errors.push(format!("{SHOPS}: more than {SHOPS_MAX}"));
        sections.truncate(SHOPS_MAX);
    }
    sections
}

/// Returns the source that the secret has for a shop.
fn source_of(name: &str, section: &Map<String, Value>, errors: &mut Vec<String>) -> Option<String> {
    let source = section.get(SOURCE).filter(|source| !source.is_null())?;
    let usable = source.as_str().filter(|source| Shop::is_source(source));
    if usable.is_none() {
        errors.push(format!(
            "{SHOPS}/{name}/{SOURCE}: must be a URI with a scheme, of at most {SOURCE_CHARS_MAX} \
             characters"
        ));
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
fn take_tokens(fields: &mut Map<String, Value>, errors: &mut Vec<String>) -> BearerTokens {
    let mut tokens = BTreeMap::new();
    fields.retain(|name, token| {
        let is_token = name.ends_with(TOKEN_SUFFIX);
        if is_token && !token.is_null() {
            let token = token.as_str().ok_or("must be a string");
            match token.and_then(BearerToken::new) {
                Ok(token) => _ = tokens.insert(name.clone(), token),
                Err(error) => errors.push(format!("{}: {error}", plain_name(name))),
            }
        }
        !is_token
    });
    BearerTokens(tokens)
}

#[cfg(test)]
mod tests;
