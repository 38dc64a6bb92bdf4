//! The Lambda function of the channel.

use std::process::ExitCode;

use customer_delete_after::CustomerDeleteAfter;

fn main() -> ExitCode {
    shared::run(CustomerDeleteAfter)
}
