//! The entities of the spec's payloads, in exact types.
//!
//! The public fields are exactly the fields of the spec's schemas. The model ignores all other
//! fields that a shop sends; the message contains them in `original`. Any field can be absent: each
//! channel defines the fields that it needs.

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

pub(crate) use self::diagnostics::truncated;

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

    /// The keys under which a shop sends the entity, most frequent first. If there are none, all
    /// arguments of the event together are the entity.
    const KEYS: &'static [&'static str];

    /// Whether the contract describes the entity. If not, the message holds only the original.
    const HAS_MODEL: bool = true;

    /// Returns the `subject` of the message, as in `order/000000123`. `None` if the entity has no
    /// id of its own yet.
    fn subject(&self) -> Option<String>;

    /// Returns the id of the entity's store view, within which increment ids are unique.
    fn store_id(&self) -> Option<u64>;

    /// Returns the message group: the order, customer, product or cart whose events stay in order.
    /// `None` if the entity does not contain its id.
    fn group(&self) -> Option<String>;
}
