//! A customer's account.

use super::{
    Entity,
    decode::entity,
    diagnostics::Diagnostics,
    scalar::{Email, Id, Text, Timestamp, WholeNumber},
};

entity! {
    /// A customer's account.
    pub struct Customer {
        /// Id in the shop's database.
        entity_id: Id,
        /// Email address.
        email: Email,
        /// First name.
        firstname: Text,
        /// Last name.
        lastname: Text,
        /// Id of the customer group.
        group_id: WholeNumber,
        /// Id of the store view to which the account belongs.
        store_id: WholeNumber,
        /// Id of the website to which the account belongs.
        website_id: WholeNumber,
        /// When the account was created.
        created_at: Timestamp,
        /// When the account was last changed.
        updated_at: Timestamp,
    }
    reads {
        id: Id as entity_id,
    }
    normalize normalize_id
}

/// Moves the id of the shop's customer data object, which is named `id`.
fn normalize_id(customer: &mut Customer, _: &mut Diagnostics<'_>) {
    let id = customer.id.take();
    customer.entity_id = customer.entity_id.or(id);
}

impl Entity for Customer {
    const NAME: &'static str = "customer";
    const KEYS: &'static [&'static str] = &["customer_data_object", "customer"];

    fn subject(&self) -> Option<String> {
        self.entity_id.map(|id| format!("customer/{id}"))
    }

    fn store_id(&self) -> Option<u64> {
        self.store_id.map(|id| id.0)
    }

    fn group(&self) -> Option<String> {
        self.subject()
    }
}
