//! What makes one function different from the other seven.

use lambda_http::http::HeaderMap;

use crate::{
    deadline::Deadline, environment::Environment, model::Entity, operation::Operation,
    verify::secret::Tokens,
};

/// One event channel of Commerce. Each function implements it once.
pub trait Channel {
    /// The event's name without `observer.`, which is also the function's folder, binary and route.
    const NAME: &'static str;

    /// The fields of the entity by which it is known: all fields of any one alternative must be there, or else nobody could use the
    /// event.
    const IDENTITY: &'static [&'static [&'static str]];

    /// The fields of the entity that the work downstream needs, `items[].sku` being a field of each element of a list. Without one, the
    /// event is forwarded with an issue that says so.
    const EXPECTED: &'static [&'static str];

    /// Whether the event happens to an entity only once, so that the same content is the same event whichever request brings it.
    const ONCE: bool = false;

    /// What the event is about.
    type Entity: Entity;

    /// Reads the environment variables that this channel alone needs.
    fn configure(&mut self, _environment: &mut Environment<'_>) {}

    /// Decides what the shop does, after the merchant's rules accepted the event.
    fn decide(
        &self,
        _entity: &Self::Entity,
        _context: DecisionContext<'_>,
    ) -> impl Future<Output = Verdict> {
        async { Verdict::default() }
    }
}

/// What a channel can use to decide, beside the entity.
#[derive(Clone, Copy, Debug)]
pub struct DecisionContext<'a> {
    /// The headers of the request.
    pub headers: &'a HeaderMap,
    /// The tokens of the secret.
    pub tokens: &'a Tokens,
    /// When the decision must be made.
    pub deadline: Deadline,
}

/// What a channel decided, and what it found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// What the shop shall do.
    pub decision: Decision,
    /// One word of ours for the log. Never a value of the event.
    pub finding: Option<&'static str>,
}

/// What the shop shall do with a valid event.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Go on, with these changes. The event is queued.
    Accept(Vec<Operation>),
    /// Stop the shopper. The event is not queued.
    Refuse(Refusal),
}

impl Default for Decision {
    fn default() -> Self {
        Self::Accept(Vec::new())
    }
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
