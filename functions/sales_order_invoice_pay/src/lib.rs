//! An invoice was paid. At checkout, neither the invoice nor its order is saved yet.

use shared::{Channel, model::Invoice};

/// The channel `sales_order_invoice_pay`.
pub struct SalesOrderInvoicePay;

impl Channel for SalesOrderInvoicePay {
    const NAME: &str = env!("CARGO_PKG_NAME");
    const METHOD: &str = "observer.sales_order_invoice_pay";
    const IDENTITY: &[&[&str]] = &[
        &["entity_id"],
        &["increment_id"],
        &["order_id"],
        &["grand_total"],
    ];
    const EXPECTED: &[&str] = &["grand_total", "state"];
    const ONCE: bool = true;
    type Entity = Invoice;
}
