//! A customer's account was saved. A registration saves it twice.

use shared::{Channel, model::Customer};

/// The channel `customer_save_after_data_object`.
pub struct CustomerSaveAfterDataObject;

impl Channel for CustomerSaveAfterDataObject {
    const NAME: &str = env!("CARGO_PKG_NAME");
    const METHOD: &str = "observer.customer_save_after_data_object";
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["email"]];
    const EXPECTED: &[&str] = &["entity_id", "email"];
    const OTHER_ARGUMENTS: &[&str] = &["orig_customer_data_object", "delegate_data"];
    type Entity = Customer;
}
