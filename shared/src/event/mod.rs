//! Reads an event from a verified body of any shape ([`Event::read`]). `envelope` splits a body
//! into its parts, `limits` checks its size, `identity` derives the ids, and `generic` is the
//! entity of a channel without a model.

mod envelope;
pub mod generic;
pub mod identity;
mod limits;

use std::borrow::Cow;

use serde_json::value::RawValue;
use uuid::Uuid;

pub(crate) use self::envelope::{delivery_id, envelope_keys};
pub use self::{
    envelope::Members,
    limits::{LEVELS_MAX, MEMBERS_MAX},
};
use self::{
    envelope::{Envelope, all_arguments, names_match, split_body, take_entity},
    identity::{content_id, event_id, source, subject_digest},
    limits::{check_levels, check_members},
};
use crate::{
    channel::Channel,
    model::{Decode, Diagnostics, Entity, Issues, Violation},
    outcome::Failure,
    request::body::Verified,
    verify::Shop,
};

/// The detail of the violation if valid JSON cannot be represented in Rust.
const UNREADABLE: &str =
    "cannot be read: a number is out of range, or a text or a name holds half a surrogate pair";

/// An event in the form of the contract.
#[derive(Debug)]
pub struct Event<'a, E> {
    /// The CloudEvents `id`: the same for every delivery of this event, and different for every
    /// other event.
    pub id: Uuid,
    /// The CloudEvents extension `contentid`: the same for all events that report the same bytes
    /// about the same entity.
    pub content_id: String,
    /// The shop whose key verified the event; `None` for the shop without a name.
    pub shop: Option<&'a Shop>,
    /// The CloudEvents `source`: the shop.
    pub source: Cow<'a, str>,
    /// The CloudEvents `subject`: the entity, if it already has an id of its own.
    pub subject: Option<String>,
    /// The entity in exact types.
    pub entity: E,
    /// The entity as the shop sent it.
    pub original: &'a RawValue,
    /// The fields of the contract that are absent although the shop sent a value or the channel
    /// expects one.
    pub issues: Issues<'a>,
    /// The other arguments of the event as the shop sent them, such as the customer before a
    /// change.
    pub related: Members<'a>,
}

/// The inputs of [`Event::read`] besides the body.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions<'a> {
    /// The CloudEvents `source` of the shop without a name, from the configuration. Without it, the
    /// source is derived from the merchant and the environment in the envelope.
    pub source: Option<&'a str>,
    /// The id of the request that delivered the event: API Gateway's, or else Lambda's.
    pub request_id: &'a str,
    /// How an event with issues is treated.
    pub contract: Contract,
}

/// How an event is treated if a field cannot be read or an expected field is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contract {
    /// The event is forwarded together with its issues.
    #[default]
    Tolerant,
    /// The event is invalid.
    Strict,
}

impl<'a, E: Entity> Event<'a, E> {
    /// Reads a body of the channel `C` in any of its shapes.
    ///
    /// Fails if the body is not JSON, exceeds a limit, names another event, has a violation, or,
    /// under [`Contract::Strict`], has an issue.
    pub fn read<C: Channel<Entity = E>>(
        body: &'a Verified<'_>,
        options: ReadOptions<'a>,
    ) -> Result<Self, Failure> {
        let json = body.json()?;
        let envelope_keys = envelope_keys(C::METHOD);
        let (mut top, data) = split_body(C::METHOD, json).ok_or(Failure::NotJson)?;
        check_levels(json)?;
        check_members(&top, "")?;
        if !names_match(C::METHOD, &top) {
            return Err(Failure::WrongEvent);
        }
        envelope::check_unique(&top, "", |name| {
            envelope_keys.contains(&name) || E::KEYS.contains(&name)
        })?;
        let mut data = data.ok_or_else(|| one_violation("/data", "must be an object"))?;
        check_members(&data, "/data")?;
        envelope::check_unique(&data, "/data", |name| {
            name == envelope::COPY || E::KEYS.contains(&name)
        })?;
        let (original, pointer) = if E::KEYS.is_empty() {
            all_arguments(C::METHOD, json, &data).ok_or(Failure::NotJson)?
        } else {
            take_entity::<C>(&mut data, &mut top)?
        };
        if top.iter().any(|(name, _)| {
            !envelope_keys.contains(&&**name) && envelope::find(&data, name).is_some()
        }) {
            return Err(one_violation(
                "/data",
                "must not hold what also stands beside it",
            ));
        }

        let mut diagnostics = Diagnostics::new(&pointer, E::NAME, C::EXPECTED);
        let entity = match E::decode(original, &mut diagnostics) {
            Ok(Some(entity)) => entity,
            Ok(None) => {
                diagnostics.add_missing_entity();
                return Err(invalid(diagnostics));
            }
            Err(_) if diagnostics.has_too_many_elements() => return Err(Failure::TooManyElements),
            Err(_) => {
                diagnostics.add_violation(UNREADABLE);
                return Err(invalid(diagnostics));
            }
        };
        if diagnostics.has_issues() {
            diagnostics.drop_issues_of_present_fields(|field| entity.has(field));
        }
        diagnostics.check_identity(&entity, C::IDENTITY);
        diagnostics.check_expected_fields(&entity);
        let envelope = Envelope::read(C::METHOD, &top, &mut diagnostics);
        let issues = diagnostics
            .finish(options.contract == Contract::Strict)
            .map_err(Failure::from_violations)?;

        let shop = body.shop();
        let configured = shop.map(|shop| &*shop.source).or(options.source);
        let source = configured.map_or_else(
            || {
                let merchant = envelope.merchant.as_deref();
                Cow::Owned(source(merchant, envelope.environment.as_deref()))
            },
            Cow::Borrowed,
        );
        let content_id = content_id(C::NAME, &source, original.get());
        // An event that happens once per entity is identified by its content. All others can repeat
        // with the same content: a state changes back, or two shoppers add the same product.
        let delivery = if C::ONCE && has_unique_id(&entity) {
            ""
        } else {
            envelope.event_id.as_deref().unwrap_or(options.request_id)
        };
        let id = event_id(&content_id, delivery);
        top.retain(|(name, _)| !envelope_keys.contains(&&**name));
        data.append(&mut top);
        if E::KEYS.is_empty() {
            data.clear();
        }
        Ok(Self {
            id,
            content_id,
            shop,
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
    /// Returns the digest that replaces the subject in log lines.
    pub fn subject_digest(&self) -> Option<String> {
        let subject = self.subject.as_deref()?;
        Some(subject_digest(subject, self.entity.store_id()))
    }
}

/// Whether the entity has an id that is unique in the shop. An increment id is unique only within
/// its store.
fn has_unique_id(entity: &impl Decode) -> bool {
    let has = |field| !entity.lacks(field);
    has("entity_id") || (has("increment_id") && has("store_id"))
}

/// Returns the failure of an event that has at least one violation.
fn invalid(diagnostics: Diagnostics<'_>) -> Failure {
    diagnostics
        .finish(false)
        .map_or_else(Failure::from_violations, |_| Failure::Internal)
}

fn one_violation(pointer: &str, detail: &'static str) -> Failure {
    let violations = vec![Violation {
        pointer: pointer.to_owned(),
        detail,
    }];
    Failure::from_violations((violations, 0))
}

#[cfg(test)]
mod tests;
