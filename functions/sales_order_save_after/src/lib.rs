//! An order was saved: its status, its invoices, its shipments or a comment changed.

use shared::{Channel, model::Order};

/// The channel `sales_order_save_after`.
pub struct SalesOrderSaveAfter;

impl Channel for SalesOrderSaveAfter {
    const NAME: &str = env!("CARGO_PKG_NAME");
    const METHOD: &str = "observer.sales_order_save_after";
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["increment_id"]];
    const EXPECTED: &[&str] = &["entity_id", "increment_id", "state"];
    type Entity = Order;
}
