//! The keys of one kind in a secret, each with its name.

use std::sync::Arc;

use crate::verify::{KeyName, SecretVersion, Shop, secret::SecretErrors};

/// The maximum number of keys that a function uses from one list of the secret. Each key adds time
/// to a request with a wrong signature.
pub const KEYS_MAX: usize = 16;

/// The maximum number of keys of one kind that a function uses, from all lists and both versions.
pub const KEYS_OF_ALL_SHOPS_MAX: usize = 64;

/// A key and its name.
#[derive(Clone, Debug)]
pub struct NamedKey<K> {
    /// The position of the key in the secret.
    pub name: KeyName,
    /// The key itself.
    pub key: K,
}

/// The keys of one kind, of all shops.
#[derive(Clone)]
pub(super) struct KeyList<K> {
    pub(super) usable: Vec<NamedKey<K>>,
    /// Keys that more than one shop has. They count for none, in older versions neither.
    ambiguous: Vec<K>,
    /// Keys beyond the limits. Another shop cannot have them either.
    beyond_limits: Vec<NamedKey<K>>,
}

impl<K> Default for KeyList<K> {
    fn default() -> Self {
        Self {
            usable: Vec::new(),
            ambiguous: Vec::new(),
            beyond_limits: Vec::new(),
        }
    }
}

impl<K: Clone + PartialEq> KeyList<K> {
    pub(super) fn rename(&mut self, version: SecretVersion) {
        for named in &mut self.usable {
            named.name.version = version;
        }
    }

    /// Removes the keys that more than one shop has, because their events could be taken for those
    /// of another shop.
    pub(super) fn remove_ambiguous(&mut self, errors: &mut SecretErrors) {
        let twin_of = |named: &NamedKey<K>| {
            let mut others = self.usable.iter().chain(&self.beyond_limits);
            others.find(|other| other.name.shop != named.name.shop && other.key == named.key)
        };
        let is_ambiguous: Vec<bool> = self
            .usable
            .iter()
            .map(|named| {
                let twin = twin_of(named);
                if let Some(twin) = twin {
                    let twin = twin.name.position();
                    errors.add(
                        &named.name.position(),
                        &format!("is the same as {twin}, so it counts for neither shop"),
                    );
                }
                twin.is_some()
            })
            .collect();
        let mut flags = is_ambiguous.into_iter();
        let ambiguous = self
            .usable
            .extract_if(.., |_| flags.next().unwrap_or_default());
        self.ambiguous.extend(ambiguous.map(|named| named.key));
        self.beyond_limits.clear();
    }

    /// Adds the keys of one list of the secret, up to [`KEYS_MAX`], and up to
    /// [`KEYS_OF_ALL_SHOPS_MAX`] with the `count` keys of the same kind in other lists.
    pub(super) fn append(
        &mut self,
        keys: Vec<NamedKey<K>>,
        count: usize,
        list: &str,
        errors: &mut SecretErrors,
    ) {
        let room = KEYS_OF_ALL_SHOPS_MAX - count.min(KEYS_OF_ALL_SHOPS_MAX);
        if keys.len() > KEYS_MAX {
            errors.add(list, "more than 16");
        } else if keys.len() > room {
            errors.add(list, "more than 64 with those of other shops");
        }
        let mut keys = keys.into_iter();
        self.usable.extend(keys.by_ref().take(KEYS_MAX.min(room)));
        self.beyond_limits.extend(keys);
    }

    /// Adds the keys of an older version that are not known yet, up to [`KEYS_OF_ALL_SHOPS_MAX`] of
    /// one kind in both versions.
    pub(super) fn add<T: PartialEq>(
        &mut self,
        older: &Self,
        kind: impl Fn(&K) -> T,
        shop_of: &mut impl FnMut(&KeyName) -> Option<Arc<Shop>>,
    ) {
        for candidate in &older.usable {
            let of_kind = self
                .usable
                .iter()
                .filter(|known| kind(&known.key) == kind(&candidate.key));
            let has_room = of_kind.count() < KEYS_OF_ALL_SHOPS_MAX;
            let is_known = self.ambiguous.contains(&candidate.key)
                || self.usable.iter().any(|known| known.key == candidate.key);
            if has_room && !is_known {
                let mut added = candidate.clone();
                added.name.shop = shop_of(&added.name);
                self.usable.push(added);
            }
        }
    }
}
