//! The eight payloads of the spec, in exact types.
//!
//! Every field of the spec's schemas is here and no other. The model ignores other fields that a
//! shop sends; they are in `original` of the message. Every field can be absent: the channel
//! defines which ones an event needs.

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

/// The subject of an event: one of the spec's payloads.
pub trait Entity: Decode + Lookup + Serialize {
    /// The entity's name in the spec's payload and in the message.
    const NAME: &'static str;

    /// The keys under which a shop sends it, the most frequent first.
    const KEYS: &'static [&'static str];

    /// Returns the `subject` of the message, as in `order/000000123`. `None` if the entity has no
    /// id of its own yet.
    fn subject(&self) -> Option<String>;

    /// Returns the id of the store view of the entity. Its numbers are unique there.
    fn store_id(&self) -> Option<u64>;

    /// Returns the message group, within which events stay in order: one order, customer, product
    /// or cart. `None` if the entity does not tell.
    fn group(&self) -> Option<String>;
}
