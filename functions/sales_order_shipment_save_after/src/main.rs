//! A shipment was saved.

use std::process::ExitCode;

use shared::{Channel, model::Shipment};

struct SalesOrderShipmentSaveAfter;

impl Channel for SalesOrderShipmentSaveAfter {
    const NAME: &str = "sales_order_shipment_save_after";
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["increment_id"], &["order_id"]];
    const EXPECTED: &[&str] = &["entity_id", "order_id", "items[].qty"];
    type Entity = Shipment;
}

fn main() -> ExitCode {
    shared::run(SalesOrderShipmentSaveAfter)
}

#[cfg(test)]
mod tests {
    #[test]
    fn schema_is_in_step() {
        shared::schema::assert_in_step::<super::SalesOrderShipmentSaveAfter>();
    }
}
