//! The elements of `when` as editors see them in the JSON Schema. `Entry` in `file` reads them.

#![expect(dead_code, reason = "only the schema uses the types")]

use schemars::JsonSchema;

use super::super::{CONDITIONS_MAX, operator::Operator};

/// A condition, a group of conditions on one element of a list, or alternatives.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum WhenEntry {
    Condition(WhenCondition),
    Element(ElementConditions),
    Any(Alternatives),
}

/// One condition, as in the shop's own conditional webhooks. It has one of `field`, `count` and
/// `sum`, and one of `value` and `valueField`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct WhenCondition {
    /// The field: names separated by dots, from the event's argument on. `[]` after a list means
    /// any element. `@shop` is the name of the shop whose key verified the event.
    #[schemars(
        example = "order.grand_total",
        example = "order.items[].sku",
        example = "quote_item.qty",
        example = "@shop"
    )]
    field: Option<String>,
    /// The list whose elements are counted.
    #[schemars(example = "order.items[]")]
    count: Option<String>,
    /// The numbers that are added up. An absent one counts as 0.
    #[schemars(example = "order.items[].qty_ordered")]
    sum: Option<String>,
    /// The operator.
    operator: Operator,
    /// The value to compare with. A number compares as a decimal, quoted or not; any other string
    /// compares as text. `in` and `notIn` take a list or a string with commas. `isEmpty` and
    /// `notEmpty` take no value.
    value: Option<ComparedValue>,
    /// The field to compare with, instead of a value. Only for `equal`, `notEqual` and the
    /// operators that compare numbers.
    #[schemars(example = "order.billing_address.country_id")]
    value_field: Option<String>,
}

/// Several conditions that must hold for the same element of a list.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ElementConditions {
    /// The elements of a list.
    #[schemars(example = "order.items[]")]
    element: String,
    /// The conditions. Their fields start at the element.
    #[schemars(length(min = 1, max = CONDITIONS_MAX))]
    all: Vec<WhenCondition>,
}

/// Alternatives: one of them must hold.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Alternatives {
    /// The conditions and groups.
    #[schemars(length(min = 1, max = CONDITIONS_MAX))]
    any: Vec<Alternative>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Alternative {
    Condition(WhenCondition),
    Element(ElementConditions),
}

/// A number, a text, true, false, or a list.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum ComparedValue {
    Number(f64),
    Text(String),
    Flag(bool),
    List(Vec<ListElement>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum ListElement {
    Number(f64),
    Text(String),
}
