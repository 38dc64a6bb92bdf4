//! A rules file as a merchant writes it. What its fields mean stands here once, for the code and for the JSON Schema that
//! editors complete from.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{
        MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use serde_json::{Value, value::RawValue};

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
    #[expect(dead_code, reason = "for editors only")]
    schema: Option<String>,
    /// Whether the rules act (enforce, also when it is left out) or are only counted (observe).
    #[serde(default)]
    pub(super) mode: Mode,
    /// The rules, in the order in which they are tried.
    #[cfg_attr(feature = "schema", schemars(length(max = super::RULES_MAX)))]
    pub(super) rules: Vec<Rule>,
}

/// What the rules of a channel do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The shop gets what the rules say.
    #[default]
    Enforce,
    /// The shop gets success; what the rules would have said is logged.
    Observe,
}

/// One rule: when all conditions hold, the shop gets these operations.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// Names the rule in the logs: small letters, digits, hyphens and underscores.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[a-z0-9_-]{1,64}$")))]
    pub(super) name: String,
    /// What the rule is for.
    #[serde(default)]
    #[expect(dead_code, reason = "for readers only")]
    description: Option<String>,
    /// Whether the rule is tried at all.
    #[serde(default = "yes")]
    pub(super) enabled: bool,
    /// The conditions, all of which must hold.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = super::CONDITIONS_MAX)))]
    pub(super) when: Vec<Condition>,
    /// What happens when a condition cannot be evaluated, because a text is longer than a regular expression looks at or the time is
    /// up: the rule is passed over (ignore, also when it is left out) or the shopper is stopped (refuse, only with an exception). The
    /// log and the metric `RulesUnevaluated` name it in either case.
    #[serde(default, rename = "whenUnreadable")]
    pub(super) when_unreadable: WhenUnreadable,
    /// One operation, or a list of changes.
    #[serde(deserialize_with = "one_or_many")]
    #[cfg_attr(feature = "schema", schemars(with = "OneOrMany"))]
    pub(super) then: Vec<Then>,
}

fn yes() -> bool {
    true
}

/// What becomes of a rule that cannot be evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(super) enum WhenUnreadable {
    /// It is passed over.
    #[default]
    Ignore,
    /// It counts as matched.
    Refuse,
}

/// One condition, as in the shop's own conditional webhooks.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Condition {
    /// Where to look: names with dots between them, starting at the event's argument. `[]` behind a list means any element.
    #[cfg_attr(
        feature = "schema",
        schemars(
            example = "order.grand_total",
            example = "order.items[].sku",
            example = "quote_item.qty"
        )
    )]
    pub(super) field: String,
    /// How to compare.
    pub(super) operator: Operator,
    /// With what. A number compares as a decimal, quoted or not, and any other string as text. `in` takes a list, or a string with commas; `isEmpty` and
    /// `notEmpty` take nothing.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Comparand>"))]
    pub(super) value: Option<Box<RawValue>>,
}

/// How a condition compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) enum Operator {
    /// The number is greater.
    GreaterThan,
    /// The number is less.
    LessThan,
    /// Both are the same.
    Equal,
    /// They are not the same, or there is nothing to compare.
    NotEqual,
    /// The text matches a regular expression with delimiters, as in `/^97/i`.
    Regex,
    /// It is one of a list.
    In,
    /// There is nothing: absent, null, an empty text, list or object.
    IsEmpty,
    /// There is something.
    NotEmpty,
}

impl fmt::Display for Operator {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::GreaterThan => "greaterThan",
            Self::LessThan => "lessThan",
            Self::Equal => "equal",
            Self::NotEqual => "notEqual",
            Self::Regex => "regex",
            Self::In => "in",
            Self::IsEmpty => "isEmpty",
            Self::NotEmpty => "notEmpty",
        })
    }
}

/// One operation of Commerce.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Then {
    /// Stop the shopper. The event is not queued.
    Exception {
        /// What the shopper reads. `{order.grand_total}` stands for a value of the event, `{{` for a brace. Without a message
        /// the shopper reads the hook's fallback.
        #[serde(default)]
        message: Option<String>,
        /// PHP class of the exception.
        #[serde(default, rename = "type")]
        class: Option<String>,
    },
    /// Add a value to the event's arguments.
    Add {
        /// Where, with slashes, from the event's arguments on: `data/order/ext_order_id`.
        path: String,
        /// Any JSON.
        value: Value,
        /// PHP class that the shop makes of the value.
        #[serde(default)]
        instance: Option<String>,
    },
    /// Replace a value of the event's arguments.
    Replace {
        /// Where, with slashes, from the event's arguments on: `data/order/customer_note`.
        path: String,
        /// Any JSON.
        value: Value,
        /// PHP class that the shop makes of the value.
        #[serde(default)]
        instance: Option<String>,
    },
    /// Remove a value from the event's arguments.
    Remove {
        /// Where, with slashes, from the event's arguments on: `data/order/coupon_code`.
        path: String,
    },
}

/// Reads one operation or a list of them. Not an untagged enum, whose errors say nothing.
fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Then>, D::Error> {
    struct OneOrManyVisitor;

    impl<'de> Visitor<'de> for OneOrManyVisitor {
        type Value = Vec<Then>;

        fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
            to.write_str("an operation or a list of operations")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(list))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            Then::deserialize(MapAccessDeserializer::new(map)).map(|one| vec![one])
        }
    }

    from.deserialize_any(OneOrManyVisitor)
}

/// One operation, or a list of changes.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "for the schema only")]
enum OneOrMany {
    One(Then),
    Many(#[schemars(length(min = 1, max = super::OPERATIONS_MAX))] Vec<Then>),
}

/// A number, a text, true or false, or a list.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "for the schema only")]
enum Comparand {
    Number(f64),
    Text(String),
    Flag(bool),
    List(Vec<Scalar>),
}

#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "for the schema only")]
enum Scalar {
    Number(f64),
    Text(String),
}
