//! A customer's account was deleted.

use std::process::ExitCode;

use shared::{Channel, model::Customer};

struct CustomerDeleteAfter;

impl Channel for CustomerDeleteAfter {
    const NAME: &str = "customer_delete_after";
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["email", "website_id"]];
    const EXPECTED: &[&str] = &["entity_id"];
    const ONCE: bool = true;
    type Entity = Customer;
}

fn main() -> ExitCode {
    shared::run(CustomerDeleteAfter)
}

#[cfg(test)]
mod tests {
    #[test]
    fn schema_is_in_step() {
        shared::schema::assert_in_step::<super::CustomerDeleteAfter>();
    }
}
