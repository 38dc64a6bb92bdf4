//! A product was put into a cart. The cart is not saved yet, so a refusal keeps the product out.

mod stock;

use std::process::ExitCode;

use shared::{
    Channel, Deadline, Verdict, environment::Misconfiguration, model::QuoteItem,
    verify::secret::Token,
};

use crate::stock::Stock;

#[derive(Default)]
struct CheckoutCartProductAddAfter {
    /// Who knows the stock, if the operator named somebody.
    stock: Option<Stock>,
}

impl Channel for CheckoutCartProductAddAfter {
    const NAME: &str = "checkout_cart_product_add_after";
    const IDENTITY: &[&[&str]] = &[&["sku"], &["product_id"]];
    const EXPECTED: &[&str] = &["sku", "qty"];
    type Entity = QuoteItem;

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
