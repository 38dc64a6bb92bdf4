//! Finds values outside the contract: one pass through the JSON that the shop sent reads the values
//! of all paths together.

use std::borrow::Cow;

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::field::SentRoot;
use crate::{
    event::Event,
    model::{
        lookup::{FieldPath, FieldValue, PathStep},
        scalar::JsonScalar,
    },
};

/// The use of the values at the end of a path.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// They are the values of the condition with this slot.
    Value(usize),
    /// They are compared with the values of the condition with this slot.
    Other(usize),
    /// They are the values of the field with this slot, of an element of the list with this index.
    InElement { list: usize, slot: usize },
}

/// Receives the values that a walk finds.
pub(super) trait Observer {
    /// Receives a value at the end of a path.
    fn observe(&mut self, end: End, value: &FieldValue<'_>);

    /// Called before the values of an element of this list.
    fn begin_element(&mut self, _list: usize) {}

    /// Called after the values of an element of this list.
    fn end_element(&mut self, _list: usize) {}

    /// Whether the walk continues after reading this many bytes. Called for each element and
    /// member, and for each value that is skipped or read twice.
    fn should_continue(&mut self, bytes: usize) -> bool;
}

/// All fields outside the contract that the rules of a file refer to.
#[derive(Debug, Default)]
pub(super) struct SentFields(Vec<(SentRoot, PathTree)>);

impl SentFields {
    /// Adds a path. Its values are reported with `end`.
    pub(super) fn add(&mut self, root: &SentRoot, path: &FieldPath, end: End) {
        self.tree(root).add(path, end);
    }

    /// Adds the path of the elements of a list. Reports the beginning and the end of each.
    pub(super) fn add_list(&mut self, root: &SentRoot, path: &FieldPath, list: usize) {
        self.tree(root).below(path).list = Some(list);
    }

    #[expect(clippy::indexing_slicing, reason = "the index is that of an element")]
    fn tree(&mut self, root: &SentRoot) -> &mut PathTree {
        let index = self.0.iter().position(|(known, _)| known == root);
        let index = index.unwrap_or_else(|| {
            self.0.push((root.clone(), PathTree::default()));
            self.0.len() - 1
        });
        &mut self.0[index].1
    }

    /// Passes every value at the end of any path to the observer.
    ///
    /// Fails if the JSON cannot be read or the observer stops the walk.
    pub(super) fn walk<E>(
        &self,
        event: &Event<'_, E>,
        observer: &mut dyn Observer,
    ) -> Result<(), serde_json::Error> {
        self.0
            .iter()
            .try_for_each(|(root, tree)| tree.walk(root.json(event), observer))
    }
}

/// Paths with the same root, as a tree.
#[derive(Debug, Default)]
pub(super) struct PathTree {
    /// The paths that end here.
    ends: Vec<End>,
    /// The list whose elements are here, if groups look at them.
    list: Option<usize>,
    /// Sorted by name for binary search, because each member of a large object is looked up.
    named: Vec<(String, PathTree)>,
    each: Option<Box<PathTree>>,
}

impl PathTree {
    pub(super) fn add(&mut self, path: &FieldPath, end: End) {
        self.below(path).ends.push(end);
    }

    /// Returns the tree at the end of the path.
    #[expect(clippy::indexing_slicing, reason = "the index is that of an element")]
    fn below(&mut self, path: &FieldPath) -> &mut Self {
        match path {
            [] => self,
            [PathStep::Each, rest @ ..] => self.each.get_or_insert_default().below(rest),
            [PathStep::Name(name), rest @ ..] => {
                let index = self.search(name).unwrap_or_else(|index| {
                    self.named.insert(index, (name.clone(), Self::default()));
                    index
                });
                self.named[index].1.below(rest)
            }
        }
    }

    /// Returns the index of a name, or else the index at which to insert it.
    fn search(&self, name: &str) -> Result<usize, usize> {
        self.named
            .binary_search_by(|(known, _)| known.as_str().cmp(name))
    }

    pub(super) fn walk(
        &self,
        json: Option<&RawValue>,
        observer: &mut dyn Observer,
    ) -> Result<(), serde_json::Error> {
        if let Some(json) = json {
            return Walk {
                tree: self,
                observer,
            }
            .read_all(json);
        }
        self.report_absent(observer);
        Ok(())
    }

    /// Reports that this value and all values below it are absent.
    fn report_absent(&self, observer: &mut dyn Observer) {
        self.ends
            .iter()
            .for_each(|end| observer.observe(*end, &FieldValue::Absent));
        self.report_absent_below(observer);
    }

    fn report_absent_below(&self, observer: &mut dyn Observer) {
        let below = self.named.iter().map(|(_, below)| below);
        below
            .chain(self.each.as_deref())
            .for_each(|below| below.report_absent(observer));
    }
}

/// Reads one JSON value along a tree of paths and skips everything else.
struct Walk<'a> {
    tree: &'a PathTree,
    observer: &'a mut dyn Observer,
}

impl Walk<'_> {
    fn check_continue<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        if self.observer.should_continue(bytes) {
            Ok(())
        } else {
            Err(E::custom("the observer stopped the walk"))
        }
    }

    /// Reads a value, and those below it.
    fn read_all(self, raw: &RawValue) -> Result<(), serde_json::Error> {
        self.deserialize(&mut serde_json::Deserializer::from_str(raw.get()))
    }

    /// Reads the values below a value. Returns whether it is not null.
    fn read(self, raw: &RawValue) -> Result<bool, serde_json::Error> {
        serde_json::Deserializer::from_str(raw.get()).deserialize_any(self)
    }

    /// Reads a member that a Magento collection has: `items` holds the elements of the list,
    /// `totalRecords` their number. With another value, the member is itself an element.
    fn read_collection(&mut self, raw: &RawValue) -> Result<(), serde_json::Error> {
        let observer = &mut *self.observer;
        match (raw.get().as_bytes().first(), &self.tree.each) {
            (Some(b'['), _) => {
                let tree = self.tree;
                Walk { tree, observer }.read(raw).map(|_| ())
            }
            (Some(b'{'), Some(tree)) => Walk { tree, observer }.read_all(raw),
            _ => Ok(()),
        }
    }

    /// Reads an element of a list that groups look at. Null is no element.
    fn read_element<'de, D: Deserializer<'de>>(
        mut self,
        list: usize,
        from: D,
    ) -> Result<(), D::Error> {
        let Self { tree, observer } = &mut self;
        let tree = *tree;
        observer.begin_element(list);
        let is_element = if tree.ends.is_empty() {
            from.deserialize_any(Walk {
                tree,
                observer: *observer,
            })?
        } else {
            let raw: &RawValue = serde::Deserialize::deserialize(from)?;
            self.check_continue(raw.get().len())?;
            let value = value_of(raw);
            let observer = &mut *self.observer;
            tree.ends
                .iter()
                .for_each(|end| observer.observe(*end, &value));
            Walk { tree, observer }
                .read(raw)
                .map_err(D::Error::custom)?
        };
        if is_element {
            self.observer.end_element(list);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, from: D) -> Result<(), D::Error> {
        if let Some(list) = self.tree.list {
            return self.read_element(list, from);
        }
        if self.tree.ends.is_empty() {
            return from.deserialize_any(self).map(|_| ());
        }
        let raw: &RawValue = serde::Deserialize::deserialize(from)?;
        self.check_continue(raw.get().len())?;
        let value = value_of(raw);
        self.tree
            .ends
            .iter()
            .for_each(|end| self.observer.observe(*end, &value));
        if self.tree.named.is_empty() && self.tree.each.is_none() {
            return Ok(());
        }
        self.read(raw).map(|_| ()).map_err(D::Error::custom)
    }
}

/// Returns the value that rules compare for JSON outside the contract.
fn value_of(raw: &RawValue) -> FieldValue<'_> {
    match JsonScalar::parse(raw.get()) {
        Some(JsonScalar::Null) => FieldValue::Absent,
        Some(JsonScalar::Bool(flag)) => {
            FieldValue::Text(Cow::Borrowed(if flag { "1" } else { "0" }))
        }
        Some(JsonScalar::Number(text)) => FieldValue::Text(Cow::Borrowed(text)),
        Some(JsonScalar::String(text)) => FieldValue::Text(text),
        None => {
            let inside = raw.get().get(1..raw.get().len() - 1);
            FieldValue::Structure {
                empty: inside.is_some_and(|inside| inside.trim().is_empty()),
            }
        }
    }
}

// `deserialize` has already reported the value itself, and a scalar has no values below it. Returns
// whether the value is not null.
impl<'de> Visitor<'de> for Walk<'_> {
    type Value = bool;

    fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        self.tree.report_absent_below(self.observer);
        Ok(false)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<bool, E> {
        self.tree.report_absent_below(self.observer);
        Ok(true)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<bool, E> {
        self.visit_bool(true)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<bool, E> {
        self.visit_bool(true)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<bool, E> {
        self.visit_bool(true)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<bool, E> {
        self.visit_bool(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<bool, A::Error> {
        match &self.tree.each {
            Some(tree) => {
                while list
                    .next_element_seed(Walk {
                        tree,
                        observer: self.observer,
                    })?
                    .is_some()
                {
                    self.check_continue(0)?;
                }
            }
            None => {
                while let Some(raw) = list.next_element::<&RawValue>()? {
                    self.check_continue(raw.get().len())?;
                }
            }
        }
        self.tree
            .named
            .iter()
            .for_each(|(_, below)| below.report_absent(self.observer));
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<bool, A::Error> {
        let mut missing = vec![true; self.tree.named.len()];
        while let Some(key) = map.next_key_seed(MemberSeed(self.tree))? {
            self.check_continue(0)?;
            let MemberKey {
                index,
                is_collection,
            } = key;
            if is_collection && self.tree.named.is_empty() && self.tree.each.is_some() {
                let raw: &RawValue = map.next_value()?;
                self.check_continue(raw.get().len())?;
                self.read_collection(raw).map_err(A::Error::custom)?;
                continue;
            }
            let named = index.and_then(|index| {
                *missing.get_mut(index)? = false;
                self.tree.named.get(index).map(|(_, below)| below)
            });
            // A shop may write a list as an object whose keys are ids.
            match (named, self.tree.each.as_deref()) {
                (None, None) => {
                    let raw: &RawValue = map.next_value()?;
                    self.check_continue(raw.get().len())?;
                }
                (Some(tree), None) | (None, Some(tree)) => {
                    map.next_value_seed(Walk {
                        tree,
                        observer: self.observer,
                    })?;
                }
                (Some(named), Some(each)) => {
                    let raw: &RawValue = map.next_value()?;
                    for tree in [named, each] {
                        self.check_continue(raw.get().len())?;
                        let walk = Walk {
                            tree,
                            observer: self.observer,
                        };
                        walk.read_all(raw).map_err(A::Error::custom)?;
                    }
                }
            }
        }
        let named = self.tree.named.iter().zip(missing);
        named
            .filter(|(_, missing)| *missing)
            .for_each(|((_, below), _)| below.report_absent(self.observer));
        Ok(true)
    }
}

/// A key of an object.
struct MemberKey {
    /// The index of the path that continues there, if any.
    index: Option<usize>,
    /// Whether a Magento collection has this key.
    is_collection: bool,
}

/// Reads a key.
struct MemberSeed<'a>(&'a PathTree);

impl<'de> DeserializeSeed<'de> for MemberSeed<'_> {
    type Value = MemberKey;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberSeed<'_> {
    type Value = MemberKey;

    fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(MemberKey {
            index: self.0.search(key).ok(),
            is_collection: matches!(key, "items" | "totalRecords"),
        })
    }
}

#[cfg(test)]
mod tests;
