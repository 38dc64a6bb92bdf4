//! What the merchant keeps secret, as JSON: the keys that vouch for an event, and the stock system's token.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use crate::verify::{HmacSecret, KEYS_MAX, KeyError, KeyList, KeyName, Keys, RsaKey, Version};

/// What a secret holds, ready for use.
#[derive(Clone, Debug)]
pub struct Secret {
    /// Who can vouch for a body.
    pub keys: Keys,
    /// What a channel shows a system that it asks.
    pub tokens: Tokens,
}

/// The bearer tokens, by their names in the secret, which end in `_token`. Which ones it needs, each channel knows itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens(BTreeMap<String, Token>);

impl Tokens {
    /// The token with this name.
    pub fn get(&self, name: &str) -> Option<&Token> {
        self.0.get(name)
    }

    /// Adds the tokens of an older version that this one does not have.
    pub(crate) fn add(&mut self, older: Self) {
        for (name, token) in older.0 {
            self.0.entry(name).or_insert(token);
        }
    }
}

/// A bearer token: one line of ASCII.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    fn new(text: &str) -> Result<Self, &'static str> {
        if text.trim().is_empty() {
            return Err("is empty; leave it out where none is needed");
        }
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err("must be one line of ASCII");
        }
        Ok(Self(text.to_owned()))
    }

    /// The token itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("Token(…)")
    }
}

/// Which signatures count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schemes {
    /// The chosen ones, at least one of them.
    Chosen {
        /// The spec's HMAC.
        hmac: bool,
        /// The shop's RSA.
        rsa: bool,
    },
    /// None is asked for: the operator chose, in words, to take events from anybody.
    AcceptUnsigned,
}

impl Secret {
    /// Nothing: no key and no token.
    pub fn empty(schemes: Schemes) -> Self {
        let keys = match schemes {
            Schemes::AcceptUnsigned => Keys::AcceptUnsigned,
            Schemes::Chosen { .. } => Keys::none(),
        };
        Self {
            keys,
            tokens: Tokens::default(),
        }
    }

    /// Takes what can be used out of the JSON of a secret, and says what is wrong with the rest. No reason holds a secret.
    pub fn read(json: &str, schemes: Schemes, version: Version) -> (Self, Vec<String>) {
        let mut secret = Self::empty(schemes);
        // The reader's own words could quote a secret.
        let Ok(Value::Object(mut given)) = serde_json::from_str(json) else {
            return (secret, vec![format!("must be JSON, as in {EXAMPLE}")]);
        };
        let mut problems = Vec::new();
        let hmac = given.remove(KeyList::Hmac.name());
        let rsa = given.remove(KeyList::Rsa.name());
        if let Schemes::Chosen {
            hmac: by_hmac,
            rsa: by_rsa,
        } = schemes
        {
            let mut list = KeyReader {
                version,
                problems: &mut problems,
            };
            let one = |text: &str| HmacSecret::new(text).map(|secret| vec![secret]);
            secret.keys = Keys::Known {
                hmac: list.read(KeyList::Hmac, hmac.filter(|_| by_hmac), one),
                rsa: list.read(KeyList::Rsa, rsa.filter(|_| by_rsa), RsaKey::from_pem),
            };
        }
        let (tokens, unknown): (Vec<_>, Vec<_>) = given
            .into_iter()
            .partition(|(name, _)| name.ends_with(TOKEN_SUFFIX));
        for (name, token) in tokens.into_iter().filter(|(_, token)| !token.is_null()) {
            let token = token.as_str().ok_or("must be a string");
            match token.and_then(Token::new) {
                Ok(token) => _ = secret.tokens.0.insert(name, token),
                Err(reason) => problems.push(format!("{name}: {reason}")),
            }
        }
        if !unknown.is_empty() {
            problems.push(format!(
                "holds something else than {}, {} and tokens, whose names end in {TOKEN_SUFFIX}",
                KeyList::Hmac,
                KeyList::Rsa
            ));
        }
        (secret, problems)
    }
}

/// Reads the lists of keys. A key is named by its place, which stays what it is when another entry cannot be used.
struct KeyReader<'a> {
    version: Version,
    problems: &'a mut Vec<String>,
}

impl KeyReader<'_> {
    fn read<K>(
        &mut self,
        list: KeyList,
        given: Option<Value>,
        read: impl Fn(&str) -> Result<Vec<K>, KeyError>,
    ) -> Vec<(KeyName, K)> {
        let entries = match given {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(entries)) => entries,
            // One alone, as Secrets Manager generates it.
            Some(one) => vec![one],
        };
        let mut keys = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let name = KeyName::new(self.version, list, index);
            match entry.as_str().map(&read) {
                Some(Ok(found)) => keys.extend(found.into_iter().map(|key| (name, key))),
                Some(Err(error)) => self.problems.push(format!("{list}/{index}: {error}")),
                None => self
                    .problems
                    .push(format!("{list}/{index}: must be a string")),
            }
        }
        if keys.len() > KEYS_MAX {
            self.problems.push(format!("{list}: more than {KEYS_MAX}"));
            keys.truncate(KEYS_MAX);
        }
        keys
    }
}

/// How the name of a token ends.
const TOKEN_SUFFIX: &str = "_token";

/// How the secret looks.
pub const EXAMPLE: &str = r#"{"hmac_secrets":["…"],"public_keys":["-----BEGIN PUBLIC KEY-----…"]}"#;

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Schemes = Schemes::Chosen {
        hmac: true,
        rsa: true,
    };
    const PEM: &str = include_str!("../../tests/signature/public-key.pem");

    fn read(json: &str, schemes: Schemes) -> (String, Vec<String>) {
        let (secret, problems) = Secret::read(json, schemes, Version::Current);
        (format!("{:?}", secret.keys), problems)
    }

    #[test]
    fn one_mistake_costs_no_other_key() {
        let pem = PEM.replace('\n', "\\n");
        let json = format!(
            r#"{{"hmac_secrets":["hush","0123456789abcdef"],"public_keys":["hush","{pem}"],"stock_token":"hush\n"}}"#
        );
        let (keys, problems) = read(&json, BOTH);
        assert_eq!(keys, "1 secrets, 1 public keys");
        assert_eq!(
            problems,
            [
                "hmac_secrets/0: the secret is shorter than 16 bytes",
                "public_keys/0: no PEM block \"PUBLIC KEY\" can be read",
                "stock_token: must be one line of ASCII",
            ]
        );
        assert_eq!(read("hush", BOTH).0, "0 secrets, 0 public keys");
        assert_eq!(
            read("hush", Schemes::AcceptUnsigned).0,
            "unsigned bodies accepted"
        );
    }

    #[test]
    fn of_too_many_keys_the_first_count() {
        let many: Vec<_> = (0..20)
            .map(|number| format!("\"0123456789abcdef/{number}\""))
            .collect();
        let json = format!(r#"{{"hmac_secrets":[{}]}}"#, many.join(","));
        let expected = vec!["hmac_secrets: more than 16".to_owned()];
        assert_eq!(
            read(&json, BOTH),
            ("16 secrets, 0 public keys".to_owned(), expected)
        );
    }

    #[test]
    fn a_token_is_read_whatever_signatures_count_and_never_shown() {
        for schemes in [BOTH, Schemes::AcceptUnsigned] {
            let json = r#"{"stock_token":"hush-hush"}"#;
            let (secret, problems) = Secret::read(json, schemes, Version::Inline);
            assert_eq!(problems, Vec::<String>::new());
            assert_eq!(
                secret.tokens.get("stock_token").unwrap().expose(),
                "hush-hush"
            );
            assert!(!format!("{secret:?}").contains("hush"), "{secret:?}");
        }
    }

    #[test]
    fn a_key_keeps_its_place_and_a_member_its_mistakes() {
        let json = r#"{"comment":1,"public_keys":null,"stock_token":12345,"hmac_secrets":[7,"short","0123456789abcdef"]}"#;
        let (secret, problems) = Secret::read(json, BOTH, Version::Current);
        let Keys::Known { hmac, .. } = secret.keys else {
            panic!("unsigned");
        };
        let names: Vec<_> = hmac.iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["current/hmac_secrets/2"]);
        assert_eq!(
            problems,
            [
                "hmac_secrets/0: must be a string",
                "hmac_secrets/1: the secret is shorter than 16 bytes",
                "stock_token: must be a string",
                "holds something else than hmac_secrets, public_keys and tokens, whose names end in _token",
            ]
        );
        for json in ["[]", "7", "", "{\"hmac_secrets\":"] {
            let (_, problems) = read(json, BOTH);
            assert!(problems[0].starts_with("must be JSON"), "{json}");
        }
    }
}
