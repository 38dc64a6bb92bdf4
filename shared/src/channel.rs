//! A channel: the part of a function that differs from one event of Commerce to another.

use lambda_http::http::HeaderMap;
use serde_json::value::RawValue;

use crate::{
    deadline::Deadline, environment::Environment, model::Entity, operation::Operation,
    verify::secret::BearerTokens,
};

/// An event channel of Commerce. Each function implements it once.
pub trait Channel {
    /// The name of the channel, which is also that of its folder, package and binary: `METHOD` and
    /// `HOOK_TYPE` in the characters that AWS and Cargo allow.
    const NAME: &'static str;

    /// The name of the event in Commerce, which is also that of the route:
    /// `observer.sales_order_place_after` or `plugin.magento.sales.api.order_management.place`.
    const METHOD: &'static str;

    /// When the shop fires the event. Unless the operator chose otherwise, events of
    /// [`HookType::Before`] are not queued, because nothing has happened yet.
    const HOOK_TYPE: HookType = HookType::After;

    /// The sets of fields that identify the entity. An event is unusable unless it has all fields
    /// of at least one set.
    const IDENTITY: &'static [&'static [&'static str]];

    /// The fields that consumers probably need. `items[].sku` is the field `sku` of each element of
    /// `items`. If a field is missing, the event is forwarded with an issue, or is unusable under
    /// [`Contract::Strict`](crate::event::Contract::Strict).
    const EXPECTED: &'static [&'static str];

    /// Whether the event happens to an entity only once. If so, all requests with the same content
    /// are deliveries of the same event.
    const ONCE: bool = false;

    /// The known arguments of the event other than the entity. A shop may send further ones.
    const OTHER_ARGUMENTS: &'static [&'static str] = &[];

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

/// When the shop fires an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookType {
    /// Before the original action.
    Before,
    /// After the original action.
    After,
}

/// Whether a webhook method is a method of a PHP class. The body of such an event has no envelope:
/// its members are the arguments of the method and, after it, its `result`.
pub(crate) fn is_plugin(method: &str) -> bool {
    method.starts_with("plugin.")
}

/// The input of a channel's decision, in addition to the entity.
///
/// It has no `Debug`, because the headers contain the signature.
#[derive(Clone, Copy)]
pub struct DecisionContext<'a> {
    /// The headers of the request.
    pub headers: &'a HeaderMap,
    /// The entity as the shop sent it.
    pub original: &'a RawValue,
    /// The bearer tokens in the secret.
    pub tokens: &'a BearerTokens,
    /// The time at which the decision must be made.
    pub deadline: Deadline,
}

/// A channel's decision and finding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// What the shop does.
    pub decision: Decision,
    /// A fixed word for the log field `finding`. It never contains a value of the event.
    pub finding: Option<&'static str>,
}

/// What the shop does with a valid event.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// The shop continues, with these changes. The event is queued.
    Accept(Vec<Operation>),
    /// The shop stops the process that fired the event. The event is not queued.
    Refuse(Refusal),
}

impl Default for Decision {
    fn default() -> Self {
        Self::Accept(Vec::new())
    }
}

/// The exception that the shop throws when an event is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The message for the shopper; if it is absent, the shop shows the hook's
    /// `fallbackErrorMessage`.
    pub message: Option<String>,
    /// The PHP class of the exception; if it is absent, the shop uses its default.
    pub class: Option<String>,
}

impl From<Refusal> for Operation {
    fn from(Refusal { message, class }: Refusal) -> Self {
        Self::Exception { message, class }
    }
}
