//! The shops of a bundle. The key that verifies an event decides from which shop it is.

use std::sync::Arc;

use crate::verify::secret::SecretErrors;

/// The maximum number of shops in a secret. Each is a value of a metric dimension.
pub const SHOPS_MAX: usize = 32;

/// The maximum length of a shop's name in characters. It begins each message group of the shop.
pub const SHOP_NAME_CHARS_MAX: usize = 32;

/// The maximum length of a shop's source in characters, as for `EventSource` in the template.
pub(super) const SOURCE_CHARS_MAX: usize = 100;

/// The beginning of the source of each shop for which the secret has none. Nothing else may be the
/// source of a shop and begin with it.
pub const DEFAULT_SOURCE_PREFIX: &str = "urn:commerce-webhooks:shop:";

/// A shop with a name of its own in the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shop {
    /// The name: 1 to 32 of `a-z`, `0-9`, `-` and `_`. It begins with a letter or a digit.
    pub name: String,
    /// The CloudEvents `source` of its events. No other shop has the same.
    pub source: String,
}

impl Shop {
    /// Returns the source of a shop whose own source is missing, or cannot be used.
    fn default_source(name: &str) -> String {
        format!("{DEFAULT_SOURCE_PREFIX}{name}")
    }

    /// Returns whether a text can be the name of a shop.
    pub fn is_name(text: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        text.len() <= SHOP_NAME_CHARS_MAX
            && text.bytes().next().is_some_and(is_plain)
            && text
                .bytes()
                .all(|byte| is_plain(byte) || b"-_".contains(&byte))
    }

    /// Returns whether a text can be the source of a shop in the secret: a URI with a scheme, so
    /// that it differs from every source that is derived from an envelope.
    pub fn is_source(text: &str) -> bool {
        let has_scheme = text.split_once(':').is_some_and(|(scheme, rest)| {
            let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
            scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme.bytes().all(in_scheme)
                && !rest.is_empty()
        });
        has_scheme
            && text.len() <= SOURCE_CHARS_MAX
            && is_uri_text(text)
            && !text.starts_with(DEFAULT_SOURCE_PREFIX)
    }
}

/// Returns whether a text has only characters that a URI can have.
pub fn is_uri_text(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    text.bytes().all(is_allowed)
}

/// The shops of a version of the secret.
#[derive(Clone, Debug, Default)]
pub(super) struct Shops(Vec<Arc<Shop>>);

impl Shops {
    /// Creates the shops from their names and the sources that the secret has for them. A source
    /// that two shops have, or that the unnamed shop has, counts for none of them: consumers could
    /// take an event of one shop for an event of the other.
    pub(super) fn new(
        sources: &[(String, Option<String>)],
        unnamed: Option<&str>,
        errors: &mut SecretErrors,
    ) -> Self {
        let mut shops = Vec::with_capacity(sources.len());
        for (name, given) in sources {
            let is_taken = |source: &str| {
                let mut others = sources.iter().filter(|(other, _)| other != name);
                unnamed == Some(source) || others.any(|(_, other)| other.as_deref() == Some(source))
            };
            let usable = given.clone().filter(|source| !is_taken(source));
            if usable.is_none() && given.is_some() {
                errors.add(
                    &format!("shops/{name}/source"),
                    &format!(
                        "another shop has the same; the source is {DEFAULT_SOURCE_PREFIX}{name}"
                    ),
                );
            }
            let source = usable.unwrap_or_else(|| Shop::default_source(name));
            let shop = Shop {
                name: name.clone(),
                source,
            };
            shops.push(Arc::new(shop));
        }
        Self(shops)
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Shop>> {
        self.0.iter().find(|shop| shop.name == name).cloned()
    }

    /// Returns this version's shop for a shop of an older version: the shop with the same name, or
    /// else a new one, whose source is not that of any other shop.
    pub(super) fn adopt(&mut self, older: &Arc<Shop>) -> Arc<Shop> {
        if let Some(known) = self.get(&older.name) {
            return known;
        }
        let is_taken = self.0.iter().any(|shop| shop.source == older.source);
        let shop = if is_taken {
            Arc::new(Shop {
                name: older.name.clone(),
                source: Shop::default_source(&older.name),
            })
        } else {
            Arc::clone(older)
        };
        self.0.push(Arc::clone(&shop));
        shop
    }
}
