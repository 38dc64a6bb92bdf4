//! What makes one function different from the other seven.

use crate::{
    deadline::Deadline,
    model::{Entity, Violations},
    operation::Operation,
};

/// One event channel of Commerce. Each function implements it once.
pub trait Channel {
    /// The event's name without `observer.`, which is also the function's folder, binary and route.
    const NAME: &'static str;

    /// The fields of the entity that must be there, because the work downstream cannot do without them. Everything else may
    /// be absent. `items[].sku` is a field of each element of a list.
    const REQUIRED: &'static [&'static str];

    /// Whether the event happens to an entity only once, so that a second one is a repeat of the first whatever else tells
    /// them apart. Other events need `updated_at` for that, or else the shop's request id.
    const ONCE: bool = false;

    /// What the event is about.
    type Entity: Entity;

    /// Rules of the spec over more than one field, or that hold on this channel only.
    fn check(_entity: &Self::Entity, _violations: &mut Violations) {}

    /// Decides what the shop shall do. It has until the deadline.
    fn decide(
        &self,
        _entity: &Self::Entity,
        _deadline: Deadline,
    ) -> impl Future<Output = Decision> {
        async { Decision::Accept(Vec::new()) }
    }
}

/// What the shop shall do with a valid event.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Go on, with these changes. The event is queued.
    Accept(Vec<Operation>),
    /// Stop the shopper. The event is not queued.
    Refuse(Refusal),
}

/// Why the shopper is stopped, in words for the shopper.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// What the shopper reads; without it the hook's `fallbackErrorMessage`.
    pub message: Option<String>,
    /// PHP class of the exception; without it the shop's default.
    pub class: Option<String>,
}

impl From<Refusal> for Operation {
    fn from(Refusal { message, class }: Refusal) -> Self {
        Self::Exception { message, class }
    }
}
