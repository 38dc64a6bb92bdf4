//! The format of a rules file. The doc comments are also the descriptions in its JSON Schema, which
//! editors show to the merchant. Operators are in `operator`.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{
        MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use serde_json::{Value, value::RawValue};

use super::operator::Operator;

/// The rules of one channel.
#[derive(Debug, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(title = "Rules of a webhook channel")
)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// The JSON Schema of this file, for editors.
    #[serde(rename = "$schema", default)]
    #[expect(dead_code, reason = "only editors read it")]
    schema: Option<String>,
    /// Whether the rules are enforced (enforce, the default) or only logged and counted (observe).
    /// A rule can have its own mode.
    #[serde(default)]
    pub(super) mode: Mode,
    /// The rules, in the order in which they are evaluated.
    #[cfg_attr(feature = "schema", schemars(length(max = super::RULES_MAX)))]
    pub(super) rules: Vec<Rule>,
}

/// Whether the rules of a channel are enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The shop gets what the rules decide.
    #[default]
    Enforce,
    /// The shop gets success. What the rules would have decided is logged.
    Observe,
}

/// One rule: if all conditions hold, the shop gets the operations.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// The name in the logs: lowercase letters, digits, hyphens and underscores.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[a-z0-9_-]{1,64}$")))]
    pub(super) name: String,
    /// The purpose of the rule.
    #[serde(default)]
    #[expect(dead_code, reason = "only people read it")]
    description: Option<String>,
    /// Whether the rule is evaluated.
    #[serde(default = "enabled")]
    pub(super) enabled: bool,
    /// Whether this rule is enforced or only observed; by default, the mode of the file.
    #[serde(default)]
    pub(super) mode: Option<Mode>,
    /// The conditions. All of them must hold.
    #[cfg_attr(
        feature = "schema",
        schemars(length(min = 1, max = super::CONDITIONS_MAX), with = "Vec<schema::WhenEntry>")
    )]
    pub(super) when: Vec<Entry>,
    /// What happens if a condition cannot be evaluated, because a text is too long for its regular
    /// expression, the time is up, or a value cannot be read. ignore (the default): the rule does
    /// not match. refuse: the rule matches; only with an exception. In both cases the log and the
    /// metric `RulesUnevaluated` report the rule.
    #[serde(default, rename = "whenUnreadable")]
    pub(super) when_unreadable: WhenUnreadable,
    /// One operation or a list of changes.
    #[serde(deserialize_with = "one_or_many")]
    #[cfg_attr(feature = "schema", schemars(with = "OneOrMany"))]
    pub(super) then: Vec<RuleOperation>,
}

fn enabled() -> bool {
    true
}

/// What happens to a rule that cannot be evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(super) enum WhenUnreadable {
    /// The rule does not match.
    #[default]
    Ignore,
    /// The rule matches.
    Refuse,
}

/// An element of `when`: a condition, a group of conditions on one element of a list, or
/// alternatives. One struct has the keys of all three, so that an error names the wrong key; `read`
/// checks which keys belong together. For editors, `schema` has one type for each of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) field: Option<String>,
    pub(super) count: Option<String>,
    pub(super) sum: Option<String>,
    pub(super) operator: Option<Operator>,
    #[serde(default)]
    pub(super) value: Option<Box<RawValue>>,
    pub(super) value_field: Option<String>,
    pub(super) element: Option<String>,
    pub(super) all: Option<Vec<Entry>>,
    pub(super) any: Option<Vec<Entry>>,
}

impl Entry {
    /// Returns the entries inside this one.
    pub(super) fn nested(&self) -> impl Iterator<Item = &Self> {
        self.all.iter().chain(&self.any).flatten()
    }

    /// Calls `visit` with each condition in this entry.
    pub(super) fn visit_conditions<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        if self.all.is_none() && self.any.is_none() {
            return visit(self);
        }
        self.nested()
            .for_each(|entry| entry.visit_conditions(visit));
    }
}

/// One operation of Commerce webhooks.
#[derive(Clone, Debug)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(tag = "op", rename_all = "lowercase", deny_unknown_fields)
)]
pub(super) enum RuleOperation {
    /// Stop the shopper. The event is not queued.
    Exception {
        /// The text for the shopper. `{order.grand_total}` is replaced by a value of the event;
        /// `{{` is a literal brace. Without a message, the shopper reads the hook's fallback.
        message: Option<String>,
        /// The PHP class of the exception.
        #[cfg_attr(feature = "schema", schemars(rename = "type"))]
        class: Option<String>,
    },
    /// Add a value to the event's arguments.
    Add {
        /// The path with slashes, from the event's arguments on: `data/order/ext_order_id`.
        path: String,
        /// Any JSON value. In its texts, `{order.grand_total}` is replaced by a value of the event;
        /// `{{` is a literal brace. If the event has no such value, the operation is omitted.
        value: Option<Value>,
        /// The field whose value is copied exactly as the shop sent it, instead of `value`. If the
        /// event has no such value, the operation is omitted.
        #[cfg_attr(feature = "schema", schemars(rename = "valueField"))]
        value_field: Option<String>,
        /// The PHP class that the shop converts the value to.
        instance: Option<String>,
    },
    /// Replace a value of the event's arguments.
    Replace {
        /// The path with slashes, from the event's arguments on: `data/order/customer_note`.
        path: String,
        /// Any JSON value. In its texts, `{order.grand_total}` is replaced by a value of the event;
        /// `{{` is a literal brace. If the event has no such value, the operation is omitted.
        value: Option<Value>,
        /// The field whose value is copied exactly as the shop sent it, instead of `value`. If the
        /// event has no such value, the operation is omitted.
        #[cfg_attr(feature = "schema", schemars(rename = "valueField"))]
        value_field: Option<String>,
        /// The PHP class that the shop converts the value to.
        instance: Option<String>,
    },
    /// Remove a value from the event's arguments.
    Remove {
        /// The path with slashes, from the event's arguments on: `data/order/coupon_code`.
        path: String,
    },
    /// Do not queue the event. The shop gets success, or the changes.
    #[cfg_attr(feature = "schema", schemars(rename = "doNotForward"))]
    DoNotForward {},
}

/// Deserializes one operation or a list. An untagged enum would hide the error of the operation.
fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<RuleOperation>, D::Error> {
    struct OneOrManyVisitor;

    impl<'de> Visitor<'de> for OneOrManyVisitor {
        type Value = Vec<RuleOperation>;

        fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
            to.write_str("an operation or a list of operations")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(list))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            RuleOperation::deserialize(MapAccessDeserializer::new(map)).map(|one| vec![one])
        }
    }

    from.deserialize_any(OneOrManyVisitor)
}

/// One operation, or a list of changes, which may include `doNotForward`.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only the schema uses it")]
enum OneOrMany {
    One(RuleOperation),
    Many(#[schemars(length(min = 1, max = super::OPERATIONS_MAX))] Vec<RuleOperation>),
}

mod keys;
#[cfg(feature = "schema")]
mod schema;
