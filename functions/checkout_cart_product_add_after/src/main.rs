//! The Lambda function of the channel.

use std::process::ExitCode;

use checkout_cart_product_add_after::CheckoutCartProductAddAfter;

fn main() -> ExitCode {
    shared::run(CheckoutCartProductAddAfter::default())
}
