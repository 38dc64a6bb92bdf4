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

/// Receives the values that a walk finds.
pub(super) trait Observer {
    /// Receives a value at the end of the path with this slot.
    fn observe(&mut self, slot: usize, value: &FieldValue<'_>);

    /// Whether the walk continues after reading this many bytes. Called for each element and
    /// member, and for each value that is skipped or read twice.
    fn should_continue(&mut self, bytes: usize) -> bool;
}

/// All fields outside the contract that the rules of a file refer to.
#[derive(Debug, Default)]
pub(super) struct SentFields(Vec<(SentRoot, PathTree)>);

impl SentFields {
    /// Adds a path. Its values are reported in `slot`.
    pub(super) fn add(&mut self, root: &SentRoot, path: &FieldPath, slot: usize) {
        let index = self.0.iter().position(|(known, _)| known == root);
        let index = index.unwrap_or_else(|| {
            self.0.push((root.clone(), PathTree::default()));
            self.0.len() - 1
        });
        if let Some((_, tree)) = self.0.get_mut(index) {
            tree.add(path, slot);
        }
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
    /// The slots of the paths that end here.
    ends: Vec<usize>,
    /// Sorted by name for binary search, because each member of a large object is looked up.
    named: Vec<(String, PathTree)>,
    each: Option<Box<PathTree>>,
}

impl PathTree {
    pub(super) fn add(&mut self, path: &FieldPath, slot: usize) {
        match path {
            [] => self.ends.push(slot),
            [PathStep::Each, rest @ ..] => self.each.get_or_insert_default().add(rest, slot),
            [PathStep::Name(name), rest @ ..] => {
                let index = self.search(name).unwrap_or_else(|index| {
                    self.named.insert(index, (name.clone(), Self::default()));
                    index
                });
                if let Some((_, below)) = self.named.get_mut(index) {
                    below.add(rest, slot);
                }
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
            .deserialize(json);
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
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, from: D) -> Result<(), D::Error> {
        if self.tree.ends.is_empty() {
            return from.deserialize_any(self);
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
        raw.deserialize_any(self).map_err(D::Error::custom)
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

// `deserialize` has already reported the value itself, and a scalar has no values below it.
impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.tree.report_absent_below(self.observer);
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
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
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut missing = vec![true; self.tree.named.len()];
        while let Some(index) = map.next_key_seed(MemberIndex(self.tree))? {
            self.check_continue(0)?;
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
                        walk.deserialize(raw).map_err(A::Error::custom)?;
                    }
                }
            }
        }
        let named = self.tree.named.iter().zip(missing);
        named
            .filter(|(_, missing)| *missing)
            .for_each(|((_, below), _)| below.report_absent(self.observer));
        Ok(())
    }
}

/// Reads a key and returns the index of the path that continues there, if any.
struct MemberIndex<'a>(&'a PathTree);

impl<'de> DeserializeSeed<'de> for MemberIndex<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberIndex<'_> {
    type Value = Option<usize>;

    fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.search(key).ok())
    }
}

#[cfg(test)]
mod tests;
