//! The Lambda function of the channel.

use std::process::ExitCode;

use sales_order_invoice_pay::SalesOrderInvoicePay;

fn main() -> ExitCode {
    shared::run(SalesOrderInvoicePay)
}
