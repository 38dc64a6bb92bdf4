//! A product was put into a cart. The cart is not saved yet, so a refusal keeps the product out.

mod stock;

use std::process::ExitCode;

use shared::{
    Channel, Deadline, Verdict, Violations, error::Misconfiguration, model::QuoteItem,
    secrets::Token,
};

use crate::stock::Stock;

#[derive(Default)]
struct CheckoutCartProductAddAfter {
    /// Who knows the stock, if the operator named somebody.
    stock: Option<Stock>,
}

impl Channel for CheckoutCartProductAddAfter {
    const NAME: &str = "checkout_cart_product_add_after";
    const REQUIRED: &[&str] = &[];
    const EXPECTED: &[&str] = &["sku", "qty"];
    type Entity = QuoteItem;

    fn check(item: &QuoteItem, violations: &mut Violations) {
        if item.sku.is_none() && item.product_id.is_none() {
            violations.add_at("/sku", "is required, or else product_id");
        }
        if item.qty.is_some_and(|qty| !qty.is_positive()) {
            violations.add_at("/qty", "must be greater than zero");
        }
    }

    fn configure(&mut self, variable: &dyn Fn(&str) -> Option<String>) -> Vec<Misconfiguration> {
        match Stock::configure(variable) {
            Ok(stock) => {
                self.stock = stock;
                Vec::new()
            }
            Err(problems) => problems,
        }
    }

    async fn decide(&self, item: &QuoteItem, token: Option<&Token>, deadline: Deadline) -> Verdict {
        match &self.stock {
            Some(stock) => stock.decide(item, token, deadline).await,
            None if item.sku.is_none() || item.qty.is_none() => Verdict {
                finding: Some("item_unreadable"),
                ..Verdict::default()
            },
            None => Verdict::default(),
        }
    }
}

fn main() -> ExitCode {
    shared::run(CheckoutCartProductAddAfter::default())
}

#[cfg(test)]
mod tests {
    #[test]
    fn schema_is_in_step() {
        shared::schema::assert_in_step::<super::CheckoutCartProductAddAfter>();
    }
}
