//! The eight payloads of the spec, in exact types.
//!
//! Every field of the spec's schemas is here and no other; what else the shop sends is ignored by the model and travels in
//! the message's `original`. Every field can be absent: which ones an event cannot do without is a matter of its channel.

pub(crate) mod decode;
pub(crate) mod diagnostics;
pub mod lookup;
pub mod scalar;

mod address;
mod cart;
mod customer;
mod invoice;
mod order;
mod product;
mod shipment;

use serde::Serialize;

pub(crate) use self::diagnostics::cut;

pub use self::{
    address::{Address, Region, Street},
    cart::QuoteItem,
    customer::Customer,
    decode::Decode,
    diagnostics::{
        Diagnostics, ELEMENTS_MAX, Issue, IssueKind, Issues, LISTED_MAX, VALUE_BYTES_MAX, Violation,
    },
    invoice::Invoice,
    lookup::Lookup,
    order::{Order, OrderItem, Payment},
    product::Product,
    shipment::{Shipment, ShipmentItem, Track},
};

/// What an event is about: one of the spec's payloads.
pub trait Entity: Decode + Lookup + Serialize {
    /// The entity's name in the spec's payload, and so in the message.
    const NAME: &'static str;

    /// The keys under which a shop sends it, the likeliest first.
    const KEYS: &'static [&'static str];

    /// What the event is about, as the message's `subject`: `order/000000123`. `None` when the entity has no id of its own
    /// yet.
    fn subject(&self) -> Option<String>;

    /// The id of the store view that the entity belongs to, in which its numbers are unique.
    fn store_id(&self) -> Option<u64>;

    /// The message group, in which the order of events is kept: everything about one order, one customer, one product or one
    /// cart. `None` when the entity cannot say.
    fn group(&self) -> Option<String>;
}
