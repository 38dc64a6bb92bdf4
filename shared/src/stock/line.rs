//! Which cart lines need a question, and for what quantity.
//!
//! The values that decide this are outside the contract, so they are read from the JSON that the
//! shop sent. What cannot be read counts as absent: it must not make an event unusable.
//!
//! How Magento keeps cart lines:
//!
//! - **Simple products**: one line, with the quantity of all of them. `addQty` notes how many it
//!   adds (`qty_to_add`) and how many there were (`previous_qty`, in newer versions). If a line is
//!   edited with its options, its quantity is set to zero first, so `previous_qty` is 0 and
//!   `qty_to_add` is the whole quantity, even if the shopper lowered it. A quantity that is set
//!   directly (cart page, `updateCartItems`) comes without both.
//! - **Configurable products**: a parent line and a child line. The parent line already has the SKU
//!   of the simple product that is shipped, and the quantity. The quantity of the child line is 1
//!   for each parent, so asking for it as well would say less.
//! - **Bundles**: a parent line, and a child line for each product that is shipped. The SKU of the
//!   parent line is that of the bundle, which has no stock of its own. The quantity of a child line
//!   is that in one bundle.
//! - **Grouped products**: a line for each simple product, without a parent.
//!
//! A new child line has no `parent_item_id` yet: the shop sets it after the event. But its product
//! has the id of the parent product (`parent_product_id`), the id of the choice in the bundle
//! (`selection_id`) and the parent line (`stick_within_parent`). The quantity of a saved child line
//! never changes. A child line of unknown kind is asked about: a needless question does no harm.

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::{
    QuoteItem,
    scalar::{Id, JsonScalar, Number, Scalar as _},
};

/// Which cart lines of a channel are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckedLines {
    /// All lines. For an event that the shop fires only if a product is added.
    All,
    /// Lines that are new, or whose quantity is known to rise. For an event that the shop fires
    /// each time a line is saved: a shopper can always lower the quantity of a sold-out product.
    NewOrRaised,
}

/// What to ask the stock system about a cart line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Nothing.
    NotNeeded,
    /// Whether there is enough for this quantity; `None` if the quantity is unknown.
    Wanted(Option<Number>),
}

/// The values of a cart line outside the contract.
#[derive(Default, Deserialize)]
struct CartLine<'a> {
    #[serde(borrow, default)]
    item_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    qty_to_add: Option<&'a RawValue>,
    #[serde(borrow, default)]
    previous_qty: Option<&'a RawValue>,
    #[serde(borrow, default)]
    parent_item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    product: Option<&'a RawValue>,
}

/// The product of a cart line.
#[derive(Default, Deserialize)]
struct CartProduct<'a> {
    #[serde(borrow, default)]
    parent_product_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    selection_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stick_within_parent: Option<&'a RawValue>,
}

/// The parent line of a cart line.
#[derive(Default, Deserialize)]
struct ParentLine<'a> {
    #[serde(borrow, default)]
    product_type: Option<&'a RawValue>,
    #[serde(borrow, default)]
    qty: Option<&'a RawValue>,
}

impl Question {
    /// Returns the question for a line. `original` is the line as the shop sent it.
    pub(super) fn about(item: &QuoteItem, original: &RawValue, checked: CheckedLines) -> Self {
        let line: CartLine<'_> = object(Some(original));
        if has_type(item, "bundle") {
            return Self::NotNeeded;
        }
        if checked == CheckedLines::NewOrRaised && !is_new_or_raised(item, &line) {
            return Self::NotNeeded;
        }
        match parents(&line) {
            Some(parents) => Self::Wanted(item.qty.and_then(|qty| times(qty, parents))),
            None => Self::NotNeeded,
        }
    }
}

fn has_type(item: &QuoteItem, name: &str) -> bool {
    let product_type = item.product_type.as_ref();
    product_type.is_some_and(|product_type| product_type.0 == name)
}

/// Whether the line is new and not empty, or its quantity is known to rise.
fn is_new_or_raised(item: &QuoteItem, line: &CartLine<'_>) -> bool {
    let is_saved = item.item_id.is_some() || is_set(line.item_id);
    let Some(qty) = item.qty else {
        return !is_saved;
    };
    if !is_saved {
        return is_positive(qty);
    }
    let previous = number(line.previous_qty).filter(|previous| is_positive(*previous));
    match (previous, number(line.qty_to_add)) {
        (Some(previous), _) => qty > previous,
        // If all of the quantity is added to a saved line, the shop had set it to zero before.
        (None, Some(added)) => is_positive(added) && added < qty,
        (None, None) => false,
    }
}

/// Returns the number of parents that share the line: 1 if it has no parent. `None` if the parent
/// is not a bundle, because then the parent is asked about.
fn parents(line: &CartLine<'_>) -> Option<Number> {
    const ONE: Number = Number(Decimal::ONE);
    let product: CartProduct<'_> = object(line.product);
    let parent = line.parent_item.or(product.stick_within_parent);
    let parent: ParentLine<'_> = object(parent);
    let is_of_bundle = match text(parent.product_type) {
        Some(product_type) => product_type == "bundle",
        // Of a bundle, the shop loads both.
        None => is_set(product.selection_id) || !is_set(product.parent_product_id),
    };
    let qty = number(parent.qty).filter(|qty| is_positive(*qty));
    is_of_bundle.then(|| qty.unwrap_or(ONE))
}

fn times(Number(one): Number, Number(other): Number) -> Option<Number> {
    one.checked_mul(other).map(|qty| Number(qty.normalize()))
}

fn is_positive(Number(number): Number) -> bool {
    number > Decimal::ZERO
}

/// Reads an object leniently: anything else counts as one without members.
fn object<'a, T: Default + Deserialize<'a>>(json: Option<&'a RawValue>) -> T {
    json.map(RawValue::get)
        .filter(|json| json.starts_with('{'))
        .and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default()
}

fn scalar(json: Option<&RawValue>) -> Option<JsonScalar<'_>> {
    JsonScalar::parse(json?.get())
}

fn number(json: Option<&RawValue>) -> Option<Number> {
    Number::from_json(&scalar(json)?)
}

fn text(json: Option<&RawValue>) -> Option<String> {
    match scalar(json)? {
        JsonScalar::String(text) => Some(text.into_owned()),
        JsonScalar::Null | JsonScalar::Bool(_) | JsonScalar::Number(_) => None,
    }
}

/// Whether a value is an id: neither null, false, empty nor zero.
fn is_set(json: Option<&RawValue>) -> bool {
    scalar(json).is_some_and(|json| !Id::is_absent(&json))
}

#[cfg(test)]
mod tests;
