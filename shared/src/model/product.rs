//! A product of the catalog.

use super::{
    Entity,
    decode::entity,
    scalar::{Code, Id, Number, ProductStatus, Text, Timestamp},
};

entity! {
    /// A product of the catalog.
    pub struct Product {
        /// Id in the shop's database.
        entity_id: Id,
        /// SKU.
        sku: Code,
        /// Name.
        name: Text,
        /// Type, as in `simple`.
        type_id: Code,
        /// 1 enabled, 2 disabled.
        status: ProductStatus,
        /// Base price, in the base currency.
        price: Number,
        /// When the product was created.
        created_at: Timestamp,
        /// When the product was last changed.
        updated_at: Timestamp,
    }
}

impl Entity for Product {
    const NAME: &'static str = "product";
    const KEYS: &'static [&'static str] = &["product"];

    fn subject(&self) -> Option<String> {
        self.sku.as_ref().map(|Code(sku)| format!("product/{sku}"))
    }

    fn store_id(&self) -> Option<u64> {
        None
    }

    fn group(&self) -> Option<String> {
        self.entity_id
            .map(|id| format!("product/{id}"))
            .or_else(|| self.subject())
    }
}
