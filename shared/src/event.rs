//! The four shapes in which a shop or the spec writes one event, read into one.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    body::Verified,
    channel::Channel,
    error::Failure,
    model::{Entity, Violations},
};

/// Neither the envelope nor its `data` may have more members than this. A shop sends fewer than ten.
pub const MEMBERS_MAX: usize = 64;

/// What the shop writes around an event's arguments.
const ENVELOPE: [&str; 8] = [
    "merchant_id",
    "environment_id",
    "event",
    "event_id",
    "eventName",
    "subject",
    "result",
    "data",
];

/// An event that keeps to the contract.
#[derive(Debug)]
pub struct Event<'a, E> {
    /// The envelope's `event_id`, or else derived from what was sent, so that a repeat has the same id.
    pub id: Uuid,
    /// The envelope's merchant, if it names one.
    pub merchant: Option<String>,
    /// The envelope's environment, if it names one.
    pub environment: Option<String>,
    /// What the event is about, in exact types.
    pub entity: E,
    /// The entity as it came.
    pub original: &'a RawValue,
    /// The other arguments of the event, as they came: the customer before the change, the product of a cart's line.
    pub related: Members<'a>,
}

/// Members of a JSON object, in their order.
pub type Members<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

impl<'a, E: Entity> Event<'a, E> {
    /// Reads a body of the channel `C`, in any of its shapes. `shop_request_id` helps to tell two events apart whose entity
    /// has no id yet.
    pub fn read<C: Channel<Entity = E>>(
        body: &'a Verified<'_>,
        shop_request_id: &str,
    ) -> Result<Self, Failure> {
        let mut top = members(body.json()?).ok_or(Failure::NotJson)?;
        if top.len() > MEMBERS_MAX {
            return Err(too_many_members(""));
        }
        if !names_agree(C::NAME, &top) {
            return Err(Failure::WrongEvent);
        }
        let mut data = find(&top, "data")
            .and_then(|raw| members(raw.get()))
            .unwrap_or_default();
        if data.len() > MEMBERS_MAX {
            return Err(too_many_members("/data"));
        }
        let (original, pointer) = take_entity::<C>(&mut data, &mut top)?;

        let mut violations = Violations::at(&pointer);
        let entity = C::Entity::decode(original, &mut violations).map_err(|_| Failure::NotJson)?;
        let Some(entity) = entity else {
            return Err(invalid(violations));
        };
        for field in C::REQUIRED.iter().filter(|field| entity.lacks(field)) {
            violations.add_at(&format!("/{field}"), "is required");
        }
        C::check(&entity, &mut violations);

        let mut envelope = Violations::at("");
        let event_id = event_id(&top, &mut envelope);
        let merchant = text(&top, "merchant_id", &mut envelope);
        let environment = text(&top, "environment_id", &mut envelope);
        violations.extend(envelope);
        if !violations.is_empty() {
            return Err(invalid(violations));
        }

        // An entity without an id of its own (a fresh line of a cart) can come twice with the same bytes from two shoppers.
        let occurrence = if entity.subject().is_some() {
            ""
        } else {
            shop_request_id
        };
        let id = event_id.unwrap_or_else(|| derive_id(C::NAME, occurrence, body.bytes()));
        top.retain(|(name, _)| !ENVELOPE.contains(&&**name));
        data.append(&mut top);
        Ok(Self {
            id,
            merchant,
            environment,
            entity,
            original,
            related: data,
        })
    }
}

/// Takes the entity out of the arguments, and its copy with it: `data.<name>`, else `data.data_object`, else `<name>` at the
/// top.
fn take_entity<'a, C: Channel>(
    data: &mut Members<'a>,
    top: &mut Members<'a>,
) -> Result<(&'a RawValue, String), Failure> {
    let keys = C::Entity::KEYS;
    let in_data = keys.iter().chain(&["data_object"]).map(|key| (true, *key));
    let candidates = in_data.chain(keys.iter().map(|key| (false, *key)));
    for (inside, key) in candidates {
        let place = if inside { &mut *data } else { &mut *top };
        // PHP writes an object without members as an empty list.
        if let Some(raw) = find(place, key).filter(|raw| !matches!(raw.get(), "null" | "[]")) {
            if place.iter().filter(|(name, _)| name == key).count() > 1 {
                return Err(one_violation(
                    &pointer_to(inside, key),
                    "must not be given twice",
                ));
            }
            place.retain(|(name, other)| {
                name != key && !(name == "data_object" && other.get() == raw.get())
            });
            return Ok((raw, pointer_to(inside, key)));
        }
    }
    Err(one_violation(
        &pointer_to(true, keys.first().copied().unwrap_or_default()),
        "is required",
    ))
}

fn pointer_to(inside_data: bool, key: &str) -> String {
    if inside_data {
        format!("/data/{key}")
    } else {
        format!("/{key}")
    }
}

/// Whether the body names this event, with or without `observer.`, or none at all.
fn names_agree(event: &str, top: &Members<'_>) -> bool {
    let names = top
        .iter()
        .filter(|(key, _)| key == "event" || key == "eventName");
    let mut names = names.filter(|(_, raw)| raw.get() != "null");
    names.all(|(_, raw)| {
        let name: Option<String> = serde_json::from_str(raw.get()).ok();
        name.is_some_and(|name| name.strip_prefix("observer.").unwrap_or(&name) == event)
    })
}

fn event_id(top: &Members<'_>, violations: &mut Violations) -> Option<Uuid> {
    let text = text(top, "event_id", violations)?;
    let id = Uuid::try_parse(&text).ok();
    if id.is_none() {
        violations.add_at("/event_id", "must be a UUID");
    }
    id
}

/// A text of the envelope; null and nothing are both absent.
fn text(top: &Members<'_>, key: &str, violations: &mut Violations) -> Option<String> {
    let raw = find(top, key)?;
    let text: Result<Option<String>, _> = serde_json::from_str(raw.get());
    text.unwrap_or_else(|_| {
        violations.add_at(&format!("/{key}"), "must be a string");
        None
    })
    .filter(|text| !text.is_empty())
}

/// A UUID of version 8 (RFC 9562) out of the SHA-256 of all that tells this event from any other.
fn derive_id(channel: &str, occurrence: &str, body: &[u8]) -> Uuid {
    let mut hash = Sha256::new();
    for part in [channel.as_bytes(), occurrence.as_bytes()] {
        hash.update(part);
        hash.update([0]); // no name and no header value holds a zero byte, so no two lists of parts run together
    }
    hash.update(body);
    let mut id = [0; 16];
    id.iter_mut()
        .zip(hash.finalize())
        .for_each(|(to, from)| *to = from);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

fn invalid(violations: Violations) -> Failure {
    let (violations, unlisted) = violations.into_parts();
    Failure::Invalid {
        violations,
        unlisted,
    }
}

fn one_violation(pointer: &str, detail: &'static str) -> Failure {
    let mut violations = Violations::at(pointer);
    violations.add(detail);
    invalid(violations)
}

fn too_many_members(pointer: &str) -> Failure {
    one_violation(pointer, "must not have more than 64 members")
}

fn find<'a>(members: &Members<'a>, key: &str) -> Option<&'a RawValue> {
    members
        .iter()
        .find(|(name, _)| name == key)
        .map(|(_, raw)| *raw)
}

/// The members of a JSON object; `None` when the text is anything else. It stops collecting, but not reading, when there are
/// more than [`MEMBERS_MAX`].
fn members(json: &str) -> Option<Members<'_>> {
    struct Collected<'a>(Members<'a>);

    #[derive(Deserialize)]
    struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

    impl<'de: 'a, 'a> Deserialize<'de> for Collected<'a> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct MembersVisitor;

            impl<'de> Visitor<'de> for MembersVisitor {
                type Value = Collected<'de>;

                fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                    to.write_str("an object")
                }

                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                    let mut members = Vec::new();
                    while let Some((Name(name), raw)) =
                        map.next_entry::<Name<'de>, &'de RawValue>()?
                    {
                        if members.len() <= MEMBERS_MAX {
                            members.push((name, raw));
                        }
                    }
                    Ok(Collected(members))
                }
            }

            from.deserialize_map(MembersVisitor)
        }
    }

    serde_json::from_str::<Collected<'_>>(json)
        .ok()
        .map(|Collected(members)| members)
}
