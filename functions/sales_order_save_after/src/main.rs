//! An order was saved: its status, its invoices, its shipments or a comment changed.

use std::process::ExitCode;

use shared::{Channel, model::Order};

struct SalesOrderSaveAfter;

impl Channel for SalesOrderSaveAfter {
    const NAME: &str = "sales_order_save_after";
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["increment_id"]];
    const EXPECTED: &[&str] = &["entity_id", "increment_id", "state"];
    type Entity = Order;
}

fn main() -> ExitCode {
    shared::run(SalesOrderSaveAfter)
}

#[cfg(test)]
mod tests {
    #[test]
    fn schema_is_in_step() {
        shared::schema::assert_in_step::<super::SalesOrderSaveAfter>();
    }
}
