//! Reads a list in each form in which PHP writes it.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    Decode,
    structure::{self, Structure},
};
use crate::model::{
    diagnostics::{Diagnostics, Segment},
    scalar::JsonScalar,
};

impl<T: Decode> Decode for Vec<T> {
    /// Reads a JSON array, or an object that PHP may write instead: one whose values are the
    /// elements, or a Magento collection, which contains the list as `items`.
    fn decode<'de, D: Deserializer<'de>>(
        from: D,
        diagnostics: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, D::Error> {
        structure::decode::<Self, D>(from, diagnostics)
    }

    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }

    #[cfg(feature = "schema")]
    fn hook_fields(sample: &serde_json::Value, path: &str, fields: &mut Vec<String>) {
        let first = match sample {
            serde_json::Value::Array(list) => list.first(),
            serde_json::Value::Object(map) => map.values().next(),
            _ => None,
        };
        let first = first.unwrap_or(&serde_json::Value::Null);
        T::hook_fields(first, &format!("{path}[]"), fields);
    }
}

impl<'de, T: Decode> Structure<'de> for Vec<T> {
    type Value = Self;

    const NAME: &'static str = "a list";
    const EXPECTS: &'static str = "must be a list";

    fn read_array<A: SeqAccess<'de>>(
        mut array: A,
        diagnostics: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, A::Error> {
        let mut elements = Self::new();
        let mut index = 0;
        while let Some(element) = diagnostics.inside(Segment::Element(index), |diagnostics| {
            array.next_element_seed(Element::new(diagnostics))
        })? {
            elements.extend(element);
            index += 1;
        }
        Ok(Some(elements))
    }

    fn read_object<A: MapAccess<'de>>(
        mut object: A,
        diagnostics: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, A::Error> {
        let mut elements = Self::new();
        let mut is_collection = false;
        let mut items: Option<&RawValue> = None;
        while let Some(key) = object.next_key()? {
            let segment = match key {
                ListKey::Id(id) => Segment::Element(id),
                ListKey::Other => Segment::Keyed,
                ListKey::TotalRecords => {
                    let count: &RawValue = object.next_value()?;
                    if JsonScalar::parse(count.get()).is_some() {
                        is_collection = true;
                    } else {
                        elements.extend(keyed_element(count, diagnostics)?);
                    }
                    continue;
                }
                ListKey::Items => {
                    // The members that follow decide whether this is an element or the list of a
                    // collection.
                    if let Some(other) = items.replace(object.next_value()?) {
                        elements.extend(keyed_element(other, diagnostics)?);
                    }
                    continue;
                }
            };
            let element = diagnostics.inside(segment, |diagnostics| {
                object.next_value_seed(Element::new(diagnostics))
            })?;
            elements.extend(element);
        }
        if let Some(items) = items {
            // A collection in a collection is not read as one: its JSON would be parsed again at
            // each level.
            let is_list = is_collection || items.get().starts_with('[');
            if is_list && !diagnostics.is_in_collection() {
                let list = diagnostics.inside(Segment::Items, |diagnostics| {
                    Self::decode(items, diagnostics)
                });
                elements.extend(list.map_err(A::Error::custom)?.into_iter().flatten());
            } else {
                elements.extend(keyed_element(items, diagnostics)?);
            }
        }
        Ok(Some(elements))
    }
}

/// Reads the element under a key that is not an id.
fn keyed_element<'de, T: Decode, E: Error>(
    raw: &'de RawValue,
    diagnostics: &mut Diagnostics<'de>,
) -> Result<Option<T>, E> {
    diagnostics
        .inside(Segment::Keyed, |diagnostics| {
            Element::new(diagnostics).deserialize(raw)
        })
        .map_err(E::custom)
}

/// Reads an element of a list. An element that cannot be read is skipped.
struct Element<'a, 'de, T>(&'a mut Diagnostics<'de>, PhantomData<T>);

impl<'a, 'de, T> Element<'a, 'de, T> {
    fn new(diagnostics: &'a mut Diagnostics<'de>) -> Self {
        Self(diagnostics, PhantomData)
    }
}

impl<'de, T: Decode> DeserializeSeed<'de> for Element<'_, 'de, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        self.0.count_elements(1)?;
        let mark = self.0.begin_element();
        let element = T::decode(from, self.0)?;
        match &element {
            Some(element) => self.0.check_expected_fields_of_element(element, mark),
            None => self.0.add_skipped(mark),
        }
        Ok(element)
    }
}

/// A key of an object that PHP wrote instead of a list.
enum ListKey {
    /// The id of an element.
    Id(u64),
    /// `totalRecords`: the number of elements of a Magento collection.
    TotalRecords,
    /// `items`: the elements of a Magento collection.
    Items,
    /// Any other key.
    Other,
}

impl<'de> Deserialize<'de> for ListKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ListKeyVisitor;
        impl Visitor<'_> for ListKeyVisitor {
            type Value = ListKey;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<ListKey, E> {
                let canonical = key == "0" || !key.starts_with(['0', '+']);
                Ok(match key {
                    "totalRecords" => ListKey::TotalRecords,
                    "items" => ListKey::Items,
                    _ if canonical => key.parse().map_or(ListKey::Other, ListKey::Id),
                    _ => ListKey::Other,
                })
            }
        }
        from.deserialize_str(ListKeyVisitor)
    }
}
