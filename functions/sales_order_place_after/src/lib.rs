//! A customer placed an order. The order is not saved yet: it has a number, but no id and no dates.

use shared::{Channel, model::Order};

/// The channel `sales_order_place_after`.
pub struct SalesOrderPlaceAfter;

impl Channel for SalesOrderPlaceAfter {
    const NAME: &str = env!("CARGO_PKG_NAME");
    const METHOD: &str = "observer.sales_order_place_after";
    const IDENTITY: &[&[&str]] = &[&["increment_id"], &["entity_id"]];
    const EXPECTED: &[&str] = &[
        "grand_total",
        "order_currency_code",
        "items",
        "items[].sku",
        "items[].qty_ordered",
    ];
    const ONCE: bool = true;
    type Entity = Order;
}
