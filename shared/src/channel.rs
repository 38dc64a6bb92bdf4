//! What makes one function different from another: its channel.

use lambda_http::http::HeaderMap;

use crate::{
    deadline::Deadline, environment::Environment, model::Entity, operation::Operation,
    verify::secret::BearerTokens,
};

/// An event channel of Commerce. Each function implements it once.
pub trait Channel {
    /// The name of the event without `observer.`. The function's folder, binary and route have it,
    /// too.
    const NAME: &'static str;

    /// The alternatives of fields that identify the entity. If no alternative is complete, the
    /// event is unusable.
    const IDENTITY: &'static [&'static [&'static str]];

    /// The fields that consumers are expected to need; `items[].sku` is a field of each element of
    /// a list. If one is missing, the event is forwarded with an issue.
    const EXPECTED: &'static [&'static str];

    /// Whether the event happens to an entity only once. The same content is then the same event in
    /// every request.
    const ONCE: bool = false;

    /// The entity that the event is about.
    type Entity: Entity;

    /// Reads the environment variables that only this channel needs.
    fn configure(&mut self, _environment: &mut Environment<'_>) {}

    /// Decides what the shop does with an event that the merchant's rules accept.
    fn decide(
        &self,
        _entity: &Self::Entity,
        _context: DecisionContext<'_>,
    ) -> impl Future<Output = Verdict> {
        async { Verdict::default() }
    }
}

/// What a channel can use for its decision, beside the entity.
#[derive(Clone, Copy, Debug)]
pub struct DecisionContext<'a> {
    /// The headers of the request.
    pub headers: &'a HeaderMap,
    /// The tokens of the secret.
    pub tokens: &'a BearerTokens,
    /// The time at which the decision must be made.
    pub deadline: Deadline,
}

/// A channel's decision, and what it found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// What the shop does.
    pub decision: Decision,
    /// A fixed word for the log field `finding`. It never holds a value of the event.
    pub finding: Option<&'static str>,
}

/// What the shop does with a valid event.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It continues, with these changes. The event is queued.
    Accept(Vec<Operation>),
    /// It stops the shopper. The event is not queued.
    Refuse(Refusal),
}

impl Default for Decision {
    fn default() -> Self {
        Self::Accept(Vec::new())
    }
}

/// What the shopper is told when an event is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The message; if it is absent, the shop shows the hook's `fallbackErrorMessage`.
    pub message: Option<String>,
    /// The PHP class of the exception; if it is absent, the shop uses its default.
    pub class: Option<String>,
}

impl From<Refusal> for Operation {
    fn from(Refusal { message, class }: Refusal) -> Self {
        Self::Exception { message, class }
    }
}
