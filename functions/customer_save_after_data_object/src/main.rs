//! A customer's account was saved. At registration that happens twice.

use std::process::ExitCode;

use shared::{Channel, model::Customer};

struct CustomerSaveAfterDataObject;

impl Channel for CustomerSaveAfterDataObject {
    const NAME: &str = "customer_save_after_data_object";
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["email"]];
    const EXPECTED: &[&str] = &["entity_id", "email"];
    type Entity = Customer;
}

fn main() -> ExitCode {
    shared::run(CustomerSaveAfterDataObject)
}

#[cfg(test)]
mod tests {
    #[test]
    fn schema_is_in_step() {
        shared::schema::assert_in_step::<super::CustomerSaveAfterDataObject>();
    }
}
