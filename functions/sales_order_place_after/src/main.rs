//! The Lambda function of the channel.

use std::process::ExitCode;

use sales_order_place_after::SalesOrderPlaceAfter;

fn main() -> ExitCode {
    shared::run(SalesOrderPlaceAfter)
}
