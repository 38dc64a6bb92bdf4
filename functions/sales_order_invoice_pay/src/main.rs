//! An invoice was paid. At checkout neither it nor its order is saved yet.

use std::process::ExitCode;

use shared::{
    Channel, Violations,
    model::{Invoice, scalar::Id},
};

/// The state of a paid invoice.
const PAID: Id = Id(2);

struct SalesOrderInvoicePay;

impl Channel for SalesOrderInvoicePay {
    const NAME: &str = "sales_order_invoice_pay";
    const REQUIRED: &[&str] = &["grand_total", "state"];
    const ONCE: bool = true;
    type Entity = Invoice;

    fn check(invoice: &Invoice, violations: &mut Violations) {
        if invoice.state.is_some_and(|state| state != PAID) {
            violations.add_at("/state", "must be 2 (paid)");
        }
    }
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
