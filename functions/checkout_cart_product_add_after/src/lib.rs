//! A product was added to a cart. The cart is not saved yet, so a refusal prevents the addition.

use shared::{
    Channel, DecisionContext, Verdict,
    environment::Environment,
    model::QuoteItem,
    stock::{CheckedLines, Stock},
};

/// The channel `checkout_cart_product_add_after`.
#[derive(Default)]
pub struct CheckoutCartProductAddAfter {
    /// The stock system, if one is configured.
    stock: Option<Stock>,
}

impl Channel for CheckoutCartProductAddAfter {
    const NAME: &str = env!("CARGO_PKG_NAME");
    const METHOD: &str = "observer.checkout_cart_product_add_after";
    const IDENTITY: &[&[&str]] = &[&["sku"], &["product_id"]];
    const EXPECTED: &[&str] = &["sku", "qty"];
    const OTHER_ARGUMENTS: &[&str] = &["product"];
    type Entity = QuoteItem;

    fn configure(&mut self, environment: &mut Environment<'_>) {
        self.stock = Stock::configure(environment, CheckedLines::All);
    }

    async fn decide(&self, item: &QuoteItem, context: DecisionContext<'_>) -> Verdict {
        match &self.stock {
            Some(stock) => stock.decide(item, context).await,
            None => Verdict::default(),
        }
    }
}
