//! The four shapes in which a shop or the spec writes one event, read into one.

pub mod identity;

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor},
};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{
    channel::Channel,
    event::identity::{content_id, event_id, source, subject_digest},
    model::{
        Decode, Diagnostics, Entity, Issues, Violation,
        scalar::{JsonScalar, Parsed, is_empty_list},
    },
    outcome::Failure,
    request::body::Verified,
};

/// Neither the envelope nor its `data` may have more members than this. A shop sends fewer than ten.
pub const MEMBERS_MAX: usize = 64;

/// A body may be nested this deep, its outermost object being the first level. A shop's has ten levels or so; of those who read
/// the queues, some give up and some fall over when there are many more.
pub const LEVELS_MAX: usize = 128;

/// The copy of the entity that some events carry in their `data`.
const COPY: &str = "data_object";

/// What JSON can write and nobody can read.
const UNREADABLE: &str =
    "cannot be read: a number is out of range, or a text or a name holds half a surrogate pair";

/// What the shop writes around an event's arguments.
pub(crate) const ENVELOPE: [&str; 8] = [
    "merchant_id",
    "environment_id",
    "event",
    "event_id",
    "eventName",
    "subject",
    "result",
    "data",
];

/// An event, in the contract's form.
#[derive(Debug)]
pub struct Event<'a, E> {
    /// The CloudEvent's `id`: every delivery of this event has it, and no other event.
    pub id: Uuid,
    /// The CloudEvent's `contentid`: every event has it that says the same of the same entity in the same bytes.
    pub content_id: String,
    /// The CloudEvent's `source`: the shop.
    pub source: Cow<'a, str>,
    /// The CloudEvent's `subject`: what the event is about, if the entity has an id of its own.
    pub subject: Option<String>,
    /// What the event is about, in exact types.
    pub entity: E,
    /// The entity as it came.
    pub original: &'a RawValue,
    /// Which fields of the contract are absent though something was sent, or though the channel expects them.
    pub issues: Issues<'a>,
    /// The other arguments of the event, as they came: the customer before the change, the product of a cart's line.
    pub related: Members<'a>,
}

/// What an event is read by, beside its body.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions<'a> {
    /// CloudEvents `source` from the configuration; without it the envelope's merchant and environment.
    pub source: Option<&'a str>,
    /// The id of the request that brought the event: API Gateway's, or else Lambda's.
    pub request_id: &'a str,
    /// What becomes of an event with issues.
    pub contract: Contract,
}

/// What becomes of an event of which not every field can be read, or not every expected one is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contract {
    /// It is forwarded, and says so.
    #[default]
    Tolerant,
    /// It is unusable.
    Strict,
}

/// Members of a JSON object, in their order.
pub type Members<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

impl<'a, E: Entity> Event<'a, E> {
    /// Reads a body of the channel `C`, in any of its shapes.
    pub fn read<C: Channel<Entity = E>>(
        body: &'a Verified<'_>,
        options: ReadOptions<'a>,
    ) -> Result<Self, Failure> {
        let json = body.json()?;
        let (mut top, data) = envelope(json).ok_or(Failure::NotJson)?;
        if is_deeper(json, LEVELS_MAX) {
            return Err(one_violation("", "must not have more than 128 levels"));
        }
        if top.len() > MEMBERS_MAX {
            return Err(too_many_members(""));
        }
        if !names_agree(C::NAME, &top) {
            return Err(Failure::WrongEvent);
        }
        each_once(&top, "", |name| {
            ENVELOPE.contains(&name) || E::KEYS.contains(&name)
        })?;
        let mut data = data.ok_or_else(|| one_violation("/data", "must be an object"))?;
        if data.len() > MEMBERS_MAX {
            return Err(too_many_members("/data"));
        }
        each_once(&data, "/data", |name| {
            name == COPY || E::KEYS.contains(&name)
        })?;
        let (original, pointer) = take_entity::<C>(&mut data, &mut top)?;
        if top
            .iter()
            .any(|(name, _)| !ENVELOPE.contains(&&**name) && find(&data, name).is_some())
        {
            return Err(one_violation(
                "/data",
                "must not hold what also stands beside it",
            ));
        }

        let mut at = Diagnostics::new(&pointer, E::NAME, C::EXPECTED);
        let entity = match E::decode(original, &mut at) {
            Ok(Some(entity)) => entity,
            Ok(None) => {
                at.add_missing_entity();
                return Err(invalid(at));
            }
            Err(_) if at.has_too_many_elements() => return Err(Failure::TooManyElements),
            Err(_) => {
                // It is JSON, but not all that JSON can write can be read.
                at.add_violation(UNREADABLE);
                return Err(invalid(at));
            }
        };
        if at.has_issues() {
            at.drop_issues_of_present_fields(|field| entity.has(field));
        }
        at.identify(&entity, C::IDENTITY);
        at.expect_of_entity(&entity);
        let envelope = Envelope::read(&top, &mut at);
        let issues = at
            .finish(options.contract == Contract::Strict)
            .map_err(Failure::from_violations)?;

        let source = options.source.map_or_else(
            || {
                let merchant = envelope.merchant.as_deref();
                Cow::Owned(source(merchant, envelope.environment.as_deref()))
            },
            Cow::Borrowed,
        );
        let content_id = content_id(C::NAME, &source, original.get());
        // What happens to an entity once is known by what it says of the entity. Anything else can be said again: a state goes there
        // and back, and two shoppers put the same product into their carts.
        let delivery = if C::ONCE && names_itself(&entity) {
            ""
        } else {
            envelope.event_id.as_deref().unwrap_or(options.request_id)
        };
        let id = event_id(&content_id, delivery);
        top.retain(|(name, _)| !ENVELOPE.contains(&&**name));
        data.append(&mut top);
        Ok(Self {
            id,
            content_id,
            source,
            subject: entity.subject(),
            entity,
            original,
            issues,
            related: data,
        })
    }
}

impl<E: Entity> Event<'_, E> {
    /// The digest by which a log line names what the event is about.
    pub fn subject_digest(&self) -> Option<String> {
        let subject = self.subject.as_deref()?;
        Some(subject_digest(subject, self.entity.store_id()))
    }
}

/// Whether no other entity of the shop has what this one says of itself. A number is unique in its store only.
fn names_itself(entity: &impl Decode) -> bool {
    let has = |field| !entity.lacks(field);
    has("entity_id") || (has("increment_id") && has("store_id"))
}

/// What the envelope says of the event.
struct Envelope {
    event_id: Option<String>,
    merchant: Option<String>,
    environment: Option<String>,
}

impl Envelope {
    fn read<'a>(top: &Members<'a>, at: &mut Diagnostics<'a>) -> Self {
        let mut text = |name, attribute| {
            let raw = find(top, name)?.get();
            match envelope_text(raw) {
                Parsed::Value(text) => return Some(text),
                Parsed::Absent => {}
                Parsed::Unreadable => {
                    at.add_unreadable_envelope(name, attribute, "must be a string", raw);
                }
            }
            None
        };
        Self {
            event_id: text("event_id", "id"),
            merchant: text("merchant_id", "source"),
            environment: text("environment_id", "source"),
        }
    }
}

/// A text of the envelope, which may also be a number; null and nothing are both absent.
fn envelope_text(raw: &str) -> Parsed<String> {
    if is_nothing(raw) {
        return Parsed::Absent;
    }
    match JsonScalar::parse(raw) {
        Some(JsonScalar::Number(text)) => Parsed::Value(text.to_owned()),
        Some(JsonScalar::String(text)) => Parsed::Value(text.into_owned()),
        Some(JsonScalar::Null | JsonScalar::Bool(_)) | None => Parsed::Unreadable,
    }
}

/// What tells this event from one with the same content: the envelope's `event_id`, or else the request that brought it.
pub(crate) fn delivery<'a>(json: &'a str, request_id: &'a str) -> Cow<'a, str> {
    let event_id =
        members(json, None).and_then(|top| match envelope_text(find(&top, "event_id")?.get()) {
            Parsed::Value(text) => Some(text),
            Parsed::Absent | Parsed::Unreadable => None,
        });
    event_id.map_or(Cow::Borrowed(request_id), Cow::Owned)
}

/// Takes the entity out of the arguments, and its copy with it: `data.<name>`, else `data.data_object`, else `<name>` at the
/// top.
fn take_entity<'a, C: Channel>(
    data: &mut Members<'a>,
    top: &mut Members<'a>,
) -> Result<(&'a RawValue, String), Failure> {
    let keys = C::Entity::KEYS;
    let in_data = keys.iter().chain(&[COPY]).map(|key| (true, *key));
    let candidates = in_data.chain(keys.iter().map(|key| (false, *key)));
    for (inside, key) in candidates {
        let place = if inside { &mut *data } else { &mut *top };
        if let Some(raw) = find(place, key).filter(|raw| !is_nothing(raw.get())) {
            place.retain(|(name, other)| {
                let copy = name == COPY && other.get() == raw.get();
                let empty_place = keys.contains(&&**name) && is_nothing(other.get());
                name != key && !copy && !empty_place
            });
            return Ok((raw, pointer_to(inside, key)));
        }
    }
    Err(one_violation(
        &pointer_to(true, keys.first().copied().unwrap_or_default()),
        "is required",
    ))
}

/// Whether nothing stands there: null, what PHP writes where nothing is set, or the empty list as which it writes an object without
/// members.
fn is_nothing(json: &str) -> bool {
    matches!(json, "null" | "false" | r#""""#) || (json.starts_with('[') && is_empty_list(json))
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
    let mut names = names.filter(|(_, raw)| !is_nothing(raw.get()));
    names.all(|(_, raw)| {
        let name: Option<String> = serde_json::from_str(raw.get()).ok();
        name.is_some_and(|name| name.strip_prefix("observer.").unwrap_or(&name) == event)
    })
}

/// What makes the event unusable, of which something is known.
fn invalid(at: Diagnostics<'_>) -> Failure {
    at.finish(false)
        .map_or_else(Failure::from_violations, |_| Failure::Internal)
}

fn one_violation(pointer: &str, detail: &'static str) -> Failure {
    let violations = vec![Violation {
        pointer: pointer.to_owned(),
        detail,
    }];
    Failure::from_violations((violations, 0))
}

/// Refuses a name that is given twice: of two values, one reader takes the first and another the last.
fn each_once(
    members: &Members<'_>,
    place: &str,
    is_ours: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    let mut rest = members.as_slice();
    while let [(name, _), others @ ..] = rest {
        if others.iter().any(|(other, _)| other == name) {
            // A name that is not ours could be anything, so it does not come back.
            return Err(if is_ours(name) {
                one_violation(&format!("{place}/{name}"), "must not be given twice")
            } else {
                one_violation(place, "must not hold a name twice")
            });
        }
        rest = others;
    }
    Ok(())
}

/// Whether lists and objects are nested deeper than this in a text that is JSON.
fn is_deeper(json: &str, levels_max: usize) -> bool {
    // Most events have not even that many of them, which is seen much sooner.
    let mut opened = memchr::memchr2_iter(b'[', b'{', json.as_bytes());
    if opened.nth(levels_max).is_none() {
        return false;
    }
    let mut level = 0_usize;
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => pass_text(&mut bytes),
            b'[' | b'{' if level == levels_max => return true,
            b'[' | b'{' => level += 1,
            b']' | b'}' => level = level.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Goes to the end of a text, in which a bracket is no level.
fn pass_text(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => _ = bytes.next(),
            _ => {}
        }
    }
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

/// The members of the body, and those of its `data`: `None` when the body is no JSON object, or `data` neither one nor nothing.
fn envelope(json: &str) -> Option<(Members<'_>, Option<Members<'_>>)> {
    let mut data = Members::new();
    if let Some(top) = members(json, Some(&mut data)) {
        return Some((top, Some(data)));
    }
    // What is JSON and was not read has a `data` that is something else, or that cannot be read.
    members(json, None).map(|top| (top, None))
}

/// The members of a JSON object; `None` when the text is anything else. Those of its `data` are taken apart in the same pass, if
/// there is a place for them.
fn members<'a>(json: &'a str, data: Option<&mut Members<'a>>) -> Option<Members<'a>> {
    let mut from = serde_json::Deserializer::from_str(json);
    let members = from.deserialize_map(MembersVisitor { data }).ok()?;
    from.end().ok().map(|()| members)
}

/// Collects members. It stops collecting, but not reading, when there are more than [`MEMBERS_MAX`].
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
        while let Some(Name(name)) = map.next_key()? {
            let raw = match &mut data {
                Some(data) if name == "data" => {
                    **data = map.next_value::<Data<'_>>()?.0;
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

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        match text {
            "" => Ok(Members::new()),
            _ => Err(E::invalid_type(Unexpected::Str(text), &self)),
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
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of `data`, none of them where nothing stands.
struct Data<'a>(Members<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(MembersVisitor { data: None })
            .map(Data)
    }
}

#[cfg(test)]
mod tests;
