//! A cart line is about to be saved, on any storefront. A refusal prevents that.

use shared::{
    Channel, DecisionContext, HookType, Verdict,
    environment::Environment,
    model::QuoteItem,
    stock::{CheckedLines, Stock},
};

/// The channel `sales_quote_item_save_before`.
#[derive(Default)]
pub struct SalesQuoteItemSaveBefore {
    /// The stock system, if one is configured.
    stock: Option<Stock>,
}

impl Channel for SalesQuoteItemSaveBefore {
    const NAME: &str = env!("CARGO_PKG_NAME");
    const METHOD: &str = "observer.sales_quote_item_save_before";
    const HOOK_TYPE: HookType = HookType::Before;
    const IDENTITY: &[&[&str]] = &[&["sku"], &["product_id"]];
    const EXPECTED: &[&str] = &["sku", "qty"];
    type Entity = QuoteItem;

    fn configure(&mut self, environment: &mut Environment<'_>) {
        self.stock = Stock::configure(environment, CheckedLines::NewOrRaised);
    }

    async fn decide(&self, item: &QuoteItem, context: DecisionContext<'_>) -> Verdict {
        match &self.stock {
            Some(stock) => stock.decide(item, context).await,
            None => Verdict::default(),
        }
    }
}
