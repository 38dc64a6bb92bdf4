use super::{
    Entity,
    decode::entity,
    scalar::{Code, Id, Number, Text, Timestamp},
};

entity! {
    /// A shipment.
    pub struct Shipment {
        /// Id in the shop's database.
        entity_id: Option<Id>,
        /// Id of the order.
        order_id: Option<Id>,
        /// Shipment number.
        increment_id: Option<Code>,
        /// When the shipment was created.
        created_at: Option<Timestamp>,
        /// How the parcels can be followed; absent when there are none.
        tracks: Option<Vec<Track>>,
        /// What is in the parcels.
        items: Option<Vec<ShipmentItem>>,
    }
}

entity! {
    /// How one parcel can be followed.
    pub struct Track {
        /// Code of the carrier, as in `ups`.
        carrier_code: Option<Code>,
        /// Name of the carrier.
        title: Option<Text>,
        /// The carrier's number of the parcel.
        track_number: Option<Text>,
    }
}

entity! {
    /// A product in a shipment.
    pub struct ShipmentItem {
        /// SKU of the product.
        sku: Code,
        /// Name of the product.
        name: Option<Text>,
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

    fn group(&self) -> Option<String> {
        self.order_id
            .map(|id| format!("order/{id}"))
            .or_else(|| self.subject())
    }
}
