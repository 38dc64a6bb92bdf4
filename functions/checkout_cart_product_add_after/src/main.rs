//! A product was put into a cart. The cart is not saved yet, so a refusal keeps the product out.

use std::process::ExitCode;

use shared::{Channel, Violations, model::QuoteItem};

struct CheckoutCartProductAddAfter;

impl Channel for CheckoutCartProductAddAfter {
    const NAME: &str = "checkout_cart_product_add_after";
    const REQUIRED: &[&str] = &["sku", "qty"];
    type Entity = QuoteItem;

    fn check(item: &QuoteItem, violations: &mut Violations) {
        if item.qty.is_some_and(|qty| !qty.is_positive()) {
            violations.add_at("/qty", "must be greater than zero");
        }
    }
}

fn main() -> ExitCode {
    shared::run(CheckoutCartProductAddAfter)
}

#[cfg(test)]
mod tests {
    #[test]
    fn schema_is_in_step() {
        shared::schema::assert_in_step::<super::CheckoutCartProductAddAfter>();
    }
}
