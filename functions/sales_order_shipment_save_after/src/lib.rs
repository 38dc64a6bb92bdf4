//! A shipment was saved.

use shared::{Channel, model::Shipment};

/// The channel `sales_order_shipment_save_after`.
pub struct SalesOrderShipmentSaveAfter;

impl Channel for SalesOrderShipmentSaveAfter {
    const NAME: &str = env!("CARGO_PKG_NAME");
    const METHOD: &str = "observer.sales_order_shipment_save_after";
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["increment_id"], &["order_id"]];
    const EXPECTED: &[&str] = &["entity_id", "order_id", "items[].qty"];
    type Entity = Shipment;
}
