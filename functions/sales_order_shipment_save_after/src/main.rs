//! The Lambda function of the channel.

use std::process::ExitCode;

use sales_order_shipment_save_after::SalesOrderShipmentSaveAfter;

fn main() -> ExitCode {
    shared::run(SalesOrderShipmentSaveAfter)
}
