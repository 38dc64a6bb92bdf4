//! A line of a cart.

use super::{
    Entity,
    decode::entity,
    scalar::{Code, Id, Number, Text, WholeNumber},
};

entity! {
    /// A line of a cart.
    pub struct QuoteItem {
        /// Id of the line; absent while the cart is not saved.
        item_id: Id,
        /// SKU of the product.
        sku: Code,
        /// Name of the product.
        name: Text,
        /// Quantity in the cart.
        qty: Number,
        /// Price of one.
        price: Number,
        /// Id of the product.
        product_id: Id,
        /// Type of the product, as in `simple`.
        product_type: Code,
        /// Id of the cart; absent while the cart is not saved.
        quote_id: Code,
        /// Id of the store view of the cart.
        store_id: WholeNumber,
    }
}

impl Entity for QuoteItem {
    const NAME: &'static str = "quote_item";
    // `item` is the key in the events of a saved line.
    const KEYS: &'static [&'static str] = &["quote_item", "item"];

    fn subject(&self) -> Option<String> {
        self.item_id.map(|id| format!("quote_item/{id}"))
    }

    fn store_id(&self) -> Option<u64> {
        self.store_id.map(|id| id.0)
    }

    fn group(&self) -> Option<String> {
        self.quote_id.as_ref().map(|Code(id)| format!("quote/{id}"))
    }
}
