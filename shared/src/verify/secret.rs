//! The content of the secret, as JSON: the keys that verify events, and bearer tokens.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value};

use crate::verify::{KEYS_MAX, KeyName, Keys, NamedKey, Scheme, SecretVersion};

/// An example of the secret, for error messages.
pub const EXAMPLE: &str = r#"{"hmac_secrets":["…"],"public_keys":["-----BEGIN PUBLIC KEY-----…"]}"#;

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

/// The signatures that a body needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignaturePolicy {
    /// A signature of one of these schemes.
    Require(Vec<Scheme>),
    /// None: the operator chose to accept events without a signature.
    AcceptUnsigned,
}

impl SignaturePolicy {
    /// Returns the policy that accepts every scheme.
    pub fn every_scheme() -> Self {
        Self::Require(Scheme::ALL.to_vec())
    }
}

impl Secret {
    /// Returns a secret without keys and tokens.
    pub fn empty(policy: &SignaturePolicy) -> Self {
        let keys = match policy {
            SignaturePolicy::AcceptUnsigned => Keys::AcceptUnsigned,
            SignaturePolicy::Require(_) => Keys::Known(Vec::new()),
        };
        Self {
            keys,
            tokens: BearerTokens::default(),
        }
    }

    /// Reads the usable content of a secret, and returns it with the errors of the rest. No error
    /// quotes the secret.
    pub fn read(
        json: &str,
        policy: &SignaturePolicy,
        version: SecretVersion,
    ) -> (Self, Vec<String>) {
        let mut secret = Self::empty(policy);
        // The message of serde_json could quote the secret.
        let Ok(Value::Object(mut fields)) = serde_json::from_str(json) else {
            return (secret, vec![format!("must be JSON, as in {EXAMPLE}")]);
        };
        let mut errors = Vec::new();
        for scheme in Scheme::ALL {
            let entries = fields.remove(scheme.secret_field());
            if let (Keys::Known(keys), SignaturePolicy::Require(schemes)) =
                (&mut secret.keys, policy)
                && schemes.contains(&scheme)
            {
                keys.extend(read_keys(entries, scheme, version, &mut errors));
            }
        }
        secret.tokens = take_tokens(&mut fields, &mut errors);
        if !fields.is_empty() {
            let known = Scheme::ALL.map(Scheme::secret_field).join(", ");
            errors.push(format!(
                "has fields other than {known} and names that end in {TOKEN_SUFFIX}"
            ));
        }
        (secret, errors)
    }
}

/// Reads a list of keys. The name of a key does not depend on whether other entries are usable.
fn read_keys(
    entries: Option<Value>,
    scheme: Scheme,
    version: SecretVersion,
    errors: &mut Vec<String>,
) -> Vec<NamedKey> {
    let entries = match entries {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(entries)) => entries,
        // A single entry, as Secrets Manager generates it.
        Some(entry) => vec![entry],
    };
    let field = scheme.secret_field();
    let mut keys = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let name = KeyName::new(version, scheme, index);
        match entry.as_str().map(|entry| scheme.read_keys(entry)) {
            Some(Ok(read)) => keys.extend(read.into_iter().map(|key| NamedKey { name, key })),
            Some(Err(error)) => errors.push(format!("{field}/{index}: {error}")),
            None => errors.push(format!("{field}/{index}: must be a string")),
        }
    }
    if keys.len() > KEYS_MAX {
        errors.push(format!("{field}: more than {KEYS_MAX}"));
        keys.truncate(KEYS_MAX);
    }
    keys
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
mod tests {
    use super::*;

    const PEM: &str = include_str!("../../tests/signature/public-key.pem");

    fn read(json: &str, policy: &SignaturePolicy) -> (String, Vec<String>) {
        let (secret, errors) = Secret::read(json, policy, SecretVersion::Current);
        (format!("{:?}", secret.keys), errors)
    }

    #[test]
    fn keeps_the_usable_keys_if_another_one_is_unusable() {
        let pem = PEM.replace('\n', "\\n");
        let json = format!(
            r#"{{"hmac_secrets":["hush","0123456789abcdef"],
                "public_keys":["hush","{pem}"],"stock_token":"hush\n"}}"#
        );
        let (keys, errors) = read(&json, &SignaturePolicy::every_scheme());
        assert_eq!(keys, "1 hmac_secrets, 1 public_keys");
        assert_eq!(
            errors,
            [
                "hmac_secrets/0: the secret is shorter than 16 bytes",
                "public_keys/0: has no readable PEM block \"PUBLIC KEY\"",
                "stock_token: must be one line of ASCII",
            ]
        );
        assert_eq!(
            read("hush", &SignaturePolicy::every_scheme()).0,
            "0 hmac_secrets, 0 public_keys"
        );
        assert_eq!(
            read("hush", &SignaturePolicy::AcceptUnsigned).0,
            "unsigned bodies accepted"
        );
    }

    #[test]
    fn keeps_only_the_first_of_too_many_keys() {
        let many: Vec<_> = (0..20)
            .map(|number| format!("\"0123456789abcdef/{number}\""))
            .collect();
        let json = format!(r#"{{"hmac_secrets":[{}]}}"#, many.join(","));
        let expected = vec!["hmac_secrets: more than 16".to_owned()];
        assert_eq!(
            read(&json, &SignaturePolicy::every_scheme()),
            ("16 hmac_secrets, 0 public_keys".to_owned(), expected)
        );
    }

    #[test]
    fn reads_a_token_under_any_policy_and_never_shows_it() {
        for policy in [
            SignaturePolicy::every_scheme(),
            SignaturePolicy::AcceptUnsigned,
        ] {
            let json = r#"{"stock_token":"hush-hush"}"#;
            let (secret, errors) = Secret::read(json, &policy, SecretVersion::Inline);
            assert_eq!(errors, Vec::<String>::new());
            assert_eq!(
                secret.tokens.get("stock_token").unwrap().expose(),
                "hush-hush"
            );
            assert!(!format!("{secret:?}").contains("hush"), "{secret:?}");
        }
    }

    #[test]
    fn names_a_key_by_its_position_and_reports_every_error() {
        let json = r#"{"comment":1,"public_keys":null,"stock_token":12345,
            "hmac_secrets":[7,"short","0123456789abcdef"]}"#;
        let (secret, errors) = Secret::read(
            json,
            &SignaturePolicy::every_scheme(),
            SecretVersion::Current,
        );
        let Keys::Known(keys) = secret.keys else {
            panic!("unsigned");
        };
        let names: Vec<_> = keys.iter().map(|key| key.name.to_string()).collect();
        assert_eq!(names, ["current/hmac_secrets/2"]);
        assert_eq!(
            errors,
            [
                "hmac_secrets/0: must be a string",
                "hmac_secrets/1: the secret is shorter than 16 bytes",
                "stock_token: must be a string",
                "has fields other than hmac_secrets, public_keys and names that end in _token",
            ]
        );
        for json in ["[]", "7", "", "{\"hmac_secrets\":"] {
            let (_, errors) = read(json, &SignaturePolicy::every_scheme());
            assert!(errors[0].starts_with("must be JSON"), "{json}");
        }
    }

    #[test]
    fn does_not_show_a_name_that_may_be_a_secret() {
        for name in [
            "5f4dcc3b5aa765d6_token",
            "Hush_token",
            "hush hush_token",
            "\u{e9}_token",
        ] {
            let json = serde_json::json!({ name: 7 }).to_string();
            let (_, errors) = read(&json, &SignaturePolicy::every_scheme());
            assert_eq!(errors, ["a token: must be a string"], "{name}");
        }
        let long = format!("{}_token", "a".repeat(64));
        let json = serde_json::json!({ long: 7 }).to_string();
        let (secret, errors) = Secret::read(
            &json,
            &SignaturePolicy::every_scheme(),
            SecretVersion::Current,
        );
        assert_eq!(errors, ["a token: must be a string"]);
        assert_eq!(format!("{:?}", secret.tokens), "0 tokens");
    }
}
