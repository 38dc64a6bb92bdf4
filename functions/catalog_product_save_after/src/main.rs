//! A product was saved.

use std::process::ExitCode;

use shared::{Channel, model::Product};

struct CatalogProductSaveAfter;

impl Channel for CatalogProductSaveAfter {
    const NAME: &str = "catalog_product_save_after";
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["sku"]];
    const EXPECTED: &[&str] = &["entity_id", "sku"];
    type Entity = Product;
}

fn main() -> ExitCode {
    shared::run(CatalogProductSaveAfter)
}

#[cfg(test)]
mod tests {
    #[test]
    fn schema_is_in_step() {
        shared::schema::assert_in_step::<super::CatalogProductSaveAfter>();
    }
}
