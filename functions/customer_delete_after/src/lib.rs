//! A customer's account was deleted.

use shared::{Channel, model::Customer};

/// The channel `customer_delete_after`.
pub struct CustomerDeleteAfter;

impl Channel for CustomerDeleteAfter {
    const NAME: &str = env!("CARGO_PKG_NAME");
    const METHOD: &str = "observer.customer_delete_after";
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["email", "website_id"]];
    const EXPECTED: &[&str] = &["entity_id"];
    const ONCE: bool = true;
    type Entity = Customer;
}
