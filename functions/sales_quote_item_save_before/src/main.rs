//! The Lambda function of the channel.

use std::process::ExitCode;

use sales_quote_item_save_before::SalesQuoteItemSaveBefore;

fn main() -> ExitCode {
    shared::run(SalesQuoteItemSaveBefore::default())
}
