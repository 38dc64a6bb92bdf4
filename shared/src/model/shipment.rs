//! A shipment, its parcels and its products.

use super::{
    Entity,
    decode::entity,
    scalar::{Code, Id, Number, Text, Timestamp, WholeNumber},
};

entity! {
    /// A shipment.
    pub struct Shipment {
        /// Id in the shop's database.
        entity_id: Id,
        /// Id of the order.
        order_id: Id,
        /// Shipment number.
        increment_id: Code,
        /// Id of the store view of the order. Shipment numbers are unique in a store.
        store_id: WholeNumber,
        /// When the shipment was created.
        created_at: Timestamp,
        /// How the parcels can be followed; absent when there are none.
        tracks: Vec<Track>,
        /// What is in the parcels.
        items: Vec<ShipmentItem>,
    }
}

entity! {
    /// How one parcel can be followed.
    pub struct Track {
        /// Code of the carrier, as in `ups`.
        carrier_code: Code,
        /// Name of the carrier.
        title: Text,
        /// The carrier's number of the parcel.
        track_number: Text,
    }
}

entity! {
    /// A product in a shipment.
    pub struct ShipmentItem {
        /// SKU of the product.
        sku: Code,
        /// Name of the product.
        name: Text,
        /// Quantity that is shipped.
        qty: Number,
    }
}

impl Entity for Shipment {
    const NAME: &'static str = "shipment";
    const KEYS: &'static [&'static str] = &["shipment"];

    fn subject(&self) -> Option<String> {
        let number = self
            .increment_id
            .as_ref()
            .map(|Code(number)| number.clone());
        number
            .or_else(|| self.entity_id.map(|id| id.to_string()))
            .map(|id| format!("shipment/{id}"))
    }

    fn store_id(&self) -> Option<u64> {
        self.store_id.map(|id| id.0)
    }

    fn group(&self) -> Option<String> {
        self.order_id
            .map(|id| format!("order/{id}"))
            .or_else(|| self.subject())
    }
}
