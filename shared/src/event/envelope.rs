//! The JSON around an event's entity: the members of the body and of its `data`, the event's name,
//! the envelope's fields, and where the entity is.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor},
};
use serde_json::value::RawValue;

use super::{MEMBERS_MAX, one_violation};
use crate::{
    channel::{Channel, is_plugin},
    model::{
        Diagnostics, Entity,
        scalar::{JsonScalar, Parsed, is_empty_list},
    },
    outcome::Failure,
};

/// The members of a JSON object in their order.
pub type Members<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// The key of a copy of the entity that some events have in their `data`.
pub(super) const COPY: &str = "data_object";

/// The keys that a shop writes around the arguments of an observer's event.
const ENVELOPE_KEYS: &[&str] = &[
    "merchant_id",
    "environment_id",
    "event",
    "event_id",
    "eventName",
    "subject",
    "result",
    "data",
];

/// Returns the keys that a shop writes around the arguments of an event.
pub(crate) fn envelope_keys(method: &str) -> &'static [&'static str] {
    if is_plugin(method) {
        &[]
    } else {
        ENVELOPE_KEYS
    }
}

/// The fields of the envelope that identify the event and the shop.
#[derive(Default)]
pub(super) struct Envelope {
    pub(super) event_id: Option<String>,
    pub(super) merchant: Option<String>,
    pub(super) environment: Option<String>,
}

impl Envelope {
    /// Reads the fields. An unreadable field is absent and becomes an issue.
    pub(super) fn read<'a>(
        method: &str,
        top: &Members<'a>,
        diagnostics: &mut Diagnostics<'a>,
    ) -> Self {
        if is_plugin(method) {
            return Self::default();
        }
        let mut string = |name, attribute| {
            let raw = find(top, name)?.get();
            match envelope_string(raw) {
                Parsed::Value(string) => return Some(string),
                Parsed::Absent => {}
                Parsed::Unreadable => {
                    diagnostics.add_unreadable_envelope(name, attribute, "must be a string", raw);
                }
            }
            None
        };
        Self {
            event_id: string("event_id", "id"),
            merchant: string("merchant_id", "source"),
            environment: string("environment_id", "source"),
        }
    }
}

/// Reads a string of the envelope. A shop may also write it as a number.
fn envelope_string(raw: &str) -> Parsed<String> {
    if is_unset(raw) {
        return Parsed::Absent;
    }
    match JsonScalar::parse(raw) {
        Some(JsonScalar::Number(number)) => Parsed::Value(number.to_owned()),
        Some(JsonScalar::String(string)) => Parsed::Value(string.into_owned()),
        Some(JsonScalar::Null | JsonScalar::Bool(_)) | None => Parsed::Unreadable,
    }
}

/// Returns the id of the delivery, which distinguishes events with the same content: the
/// envelope's `event_id`, or else the id of the request.
pub(crate) fn delivery_id<'a>(method: &str, json: &'a str, request_id: &'a str) -> Cow<'a, str> {
    if is_plugin(method) {
        return Cow::Borrowed(request_id);
    }
    let event_id =
        members(json, None).and_then(|top| match envelope_string(find(&top, "event_id")?.get()) {
            Parsed::Value(event_id) => Some(event_id),
            Parsed::Absent | Parsed::Unreadable => None,
        });
    event_id.map_or(Cow::Borrowed(request_id), Cow::Owned)
}

/// Whether every event name in the body is that of the method, with or without `observer.`. A body
/// without a name matches.
pub(super) fn names_match(method: &str, top: &Members<'_>) -> bool {
    if is_plugin(method) {
        return true;
    }
    let event = without_prefix(method);
    let names = top
        .iter()
        .filter(|(key, _)| key == "event" || key == "eventName");
    let mut names = names.filter(|(_, raw)| !is_unset(raw.get()));
    names.all(|(_, raw)| {
        let name: Option<String> = serde_json::from_str(raw.get()).ok();
        name.is_some_and(|name| without_prefix(&name) == event)
    })
}

fn without_prefix(name: &str) -> &str {
    name.strip_prefix("observer.").unwrap_or(name)
}

/// Removes the entity and its copy from the arguments and returns the entity with its JSON
/// pointer: `data.<key>`, else `data.data_object`, else `<key>` at the top.
pub(super) fn take_entity<'a, C: Channel>(
    data: &mut Members<'a>,
    top: &mut Members<'a>,
) -> Result<(&'a RawValue, String), Failure> {
    let keys = C::Entity::KEYS;
    let in_data = keys.iter().chain(&[COPY]).map(|key| (true, *key));
    let candidates = in_data.chain(keys.iter().map(|key| (false, *key)));
    for (inside, key) in candidates {
        let members = if inside { &mut *data } else { &mut *top };
        if let Some(raw) = find(members, key).filter(|raw| !is_unset(raw.get())) {
            members.retain(|(name, other)| {
                let copy = name == COPY && other.get() == raw.get();
                let unused_key = keys.contains(&&**name) && is_unset(other.get());
                name != key && !copy && !unused_key
            });
            return Ok((raw, pointer_to(inside, key)));
        }
    }
    Err(one_violation(
        &pointer_to(
            !is_plugin(C::METHOD),
            keys.first().copied().unwrap_or_default(),
        ),
        "is required",
    ))
}

/// Returns all arguments of the event as one object, with its JSON pointer: `data`, or the whole
/// body if there is no envelope.
pub(super) fn all_arguments<'a>(
    method: &str,
    json: &'a str,
    data: &Members<'_>,
) -> Option<(&'a RawValue, String)> {
    if is_plugin(method) || data.is_empty() {
        return Some((serde_json::from_str(json).ok()?, String::new()));
    }
    let data = find(&members(json, None)?, "data")?;
    Some((data, "/data".to_owned()))
}

fn pointer_to(inside_data: bool, key: &str) -> String {
    if inside_data {
        format!("/data/{key}")
    } else {
        format!("/{key}")
    }
}

/// Whether a value means "not set": null, the `false` or `""` that PHP writes, or the empty list
/// that PHP writes for an object without members.
fn is_unset(json: &str) -> bool {
    matches!(json, "null" | "false" | r#""""#) || (json.starts_with('[') && is_empty_list(json))
}

/// Rejects a repeated name: parsers disagree on which of the two values counts.
pub(super) fn check_unique(
    members: &Members<'_>,
    place: &str,
    is_known: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    let mut rest = members.as_slice();
    while let [(name, _), others @ ..] = rest {
        if others.iter().any(|(other, _)| other == name) {
            // An answer contains only known names, never text from the body.
            return Err(if is_known(name) {
                one_violation(&format!("{place}/{name}"), "must not be given twice")
            } else {
                one_violation(place, "must not hold a name twice")
            });
        }
        rest = others;
    }
    Ok(())
}

/// Returns the value of a member.
pub(super) fn find<'a>(members: &Members<'a>, key: &str) -> Option<&'a RawValue> {
    members
        .iter()
        .find(|(name, _)| name == key)
        .map(|(_, raw)| *raw)
}

/// Reads the members of a body and of its `data`. An event of a plugin has no `data`; if a member
/// has this name, it is an argument.
///
/// Returns `None` if the body is not a JSON object. The inner option is `None` if `data` is neither
/// an object nor a value for "not set".
pub(super) fn split_body<'a>(
    method: &str,
    json: &'a str,
) -> Option<(Members<'a>, Option<Members<'a>>)> {
    let mut data = Members::new();
    if is_plugin(method) {
        return Some((members(json, None)?, Some(data)));
    }
    if let Some(top) = members(json, Some(&mut data)) {
        return Some((top, Some(data)));
    }
    members(json, None).map(|top| (top, None))
}

/// Reads the members of a JSON object, or returns `None` for any other text. The members of its
/// `data` go into `data`, if it is given, in the same pass.
fn members<'a>(json: &'a str, data: Option<&mut Members<'a>>) -> Option<Members<'a>> {
    let mut from = serde_json::Deserializer::from_str(json);
    let members = from.deserialize_map(MembersVisitor { data }).ok()?;
    from.end().ok().map(|()| members)
}

/// Collects members, up to one more than [`MEMBERS_MAX`] so that the excess is noticed, and skips
/// the others.
struct MembersVisitor<'v, 'a> {
    data: Option<&'v mut Members<'a>>,
}

impl<'de> Visitor<'de> for MembersVisitor<'_, 'de> {
    type Value = Members<'de>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut data = self.data;
        let mut members = Members::new();
        while let Some(MemberName(name)) = map.next_key()? {
            let raw = match &mut data {
                Some(data) if name == "data" => {
                    **data = map.next_value::<DataMembers<'_>>()?.0;
                    RawValue::NULL
                }
                _ => map.next_value()?,
            };
            if members.len() <= MEMBERS_MAX {
                members.push((name, raw));
            }
        }
        Ok(members)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Members::new())
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Self::Value, E> {
        if flag {
            return Err(E::invalid_type(Unexpected::Bool(flag), &self));
        }
        Ok(Members::new())
    }

    fn visit_str<E: serde::de::Error>(self, string: &str) -> Result<Self::Value, E> {
        match string {
            "" => Ok(Members::new()),
            _ => Err(E::invalid_type(Unexpected::Str(string), &self)),
        }
    }

    // PHP writes an object without members as an empty list.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        match list.next_element::<IgnoredAny>()? {
            None => Ok(Members::new()),
            Some(_) => Err(A::Error::invalid_type(Unexpected::Seq, &self)),
        }
    }
}

#[derive(Deserialize)]
struct MemberName<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of `data`; empty if `data` is not set.
struct DataMembers<'a>(Members<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for DataMembers<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(MembersVisitor { data: None })
            .map(DataMembers)
    }
}

#[cfg(test)]
mod tests;
