//! A customer placed an order. It is not saved yet: it has a number, but no id and no dates.

use std::process::ExitCode;

use shared::{Channel, model::Order};

struct SalesOrderPlaceAfter;

impl Channel for SalesOrderPlaceAfter {
    const NAME: &str = "sales_order_place_after";
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

fn main() -> ExitCode {
    shared::run(SalesOrderPlaceAfter)
}

#[cfg(test)]
mod tests {
    #[test]
    fn schema_is_in_step() {
        shared::schema::assert_in_step::<super::SalesOrderPlaceAfter>();
    }
}
