//! An invoice was paid. At checkout neither it nor its order is saved yet.

use std::process::ExitCode;

use shared::{Channel, model::Invoice};

struct SalesOrderInvoicePay;

impl Channel for SalesOrderInvoicePay {
    const NAME: &str = "sales_order_invoice_pay";
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

fn main() -> ExitCode {
    shared::run(SalesOrderInvoicePay)
}

#[cfg(test)]
mod tests {
    #[test]
    fn schema_is_in_step() {
        shared::schema::assert_in_step::<super::SalesOrderInvoicePay>();
    }
}
