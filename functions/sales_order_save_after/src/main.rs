//! The Lambda function of the channel.

use std::process::ExitCode;

use sales_order_save_after::SalesOrderSaveAfter;

fn main() -> ExitCode {
    shared::run(SalesOrderSaveAfter)
}
