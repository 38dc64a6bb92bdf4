//! The Lambda function of the channel.

use std::process::ExitCode;

use catalog_product_save_after::CatalogProductSaveAfter;

fn main() -> ExitCode {
    shared::run(CatalogProductSaveAfter)
}
