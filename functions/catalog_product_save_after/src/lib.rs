//! A product was saved.

use shared::{Channel, model::Product};

/// The channel `catalog_product_save_after`.
pub struct CatalogProductSaveAfter;

impl Channel for CatalogProductSaveAfter {
    const NAME: &str = env!("CARGO_PKG_NAME");
    const METHOD: &str = "observer.catalog_product_save_after";
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["sku"]];
    const EXPECTED: &[&str] = &["entity_id", "sku"];
    type Entity = Product;
}
