//! An invoice.

use super::{
    Entity,
    decode::entity,
    scalar::{Code, Id, Money, Timestamp, WholeNumber},
};

entity! {
    /// An invoice.
    pub struct Invoice {
        /// Id in the shop's database; absent before the invoice's first save.
        entity_id: Id,
        /// Id of the order; absent when the payment is captured at checkout, before the order's
        /// first save.
        order_id: Id,
        /// Invoice number; absent before the invoice's first save.
        increment_id: Code,
        /// Id of the store view of the order. Invoice numbers are unique in a store.
        store_id: WholeNumber,
        /// What is paid, in the order's currency.
        grand_total: Money,
        /// State: 1 open, 2 paid, 3 cancelled.
        state: WholeNumber,
        /// When the invoice was created; absent before its first save.
        created_at: Timestamp,
    }
}

impl Entity for Invoice {
    const NAME: &'static str = "invoice";
    const KEYS: &'static [&'static str] = &["invoice"];

    fn subject(&self) -> Option<String> {
        let number = self
            .increment_id
            .as_ref()
            .map(|Code(number)| number.clone());
        number
            .or_else(|| self.entity_id.map(|id| id.to_string()))
            .map(|id| format!("invoice/{id}"))
    }

    fn store_id(&self) -> Option<u64> {
        self.store_id.map(|id| id.0)
    }

    fn group(&self) -> Option<String> {
        self.order_id
            .map(|id| format!("order/{id}"))
            .or_else(|| self.subject())
    }
}
