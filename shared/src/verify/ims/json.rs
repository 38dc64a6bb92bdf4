//! Reads the JSON objects of tokens and keys strictly.

use std::fmt;

use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// Returns the values of these members of a JSON object. Ignores all other members. Returns `None`
/// for anything but an object, and if the object has one of these members twice.
pub(super) fn members<const N: usize>(
    json: &[u8],
    names: [&'static str; N],
) -> Option<[Option<Value>; N]> {
    let mut values = [const { None }; N];
    // From a text, because the functions have this reader for other JSON, too.
    let mut reader = serde_json::Deserializer::from_str(str::from_utf8(json).ok()?);
    reader
        .deserialize_map(NamedMembers {
            names: &names,
            values: &mut values,
        })
        .ok()?;
    reader.end().ok()?;
    Some(values)
}

/// Stores the value of each name at the same index.
struct NamedMembers<'a> {
    names: &'a [&'static str],
    values: &'a mut [Option<Value>],
}

impl<'de> Visitor<'de> for NamedMembers<'_> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let place = self
                .names
                .iter()
                .zip(self.values.iter_mut())
                .find(|(known, _)| **known == name);
            match place {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some((_, Some(_))) => return Err(M::Error::custom("repeated")),
                Some((_, value)) => *value = Some(map.next_value()?),
            }
        }
        Ok(())
    }
}

/// Decodes base64url without padding.
pub(super) fn decode_base64url(text: &[u8]) -> Option<Vec<u8>> {
    base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).ok()
}
