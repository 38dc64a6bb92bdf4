//! The Lambda function of the channel.

use std::process::ExitCode;

use customer_save_after_data_object::CustomerSaveAfterDataObject;

fn main() -> ExitCode {
    shared::run(CustomerSaveAfterDataObject)
}
