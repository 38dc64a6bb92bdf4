//! The eight channels. The functions are binaries, which nothing can use, so what makes them different is said here again; a
//! test of `make test-stack` compares the two.

use shared::{
    Channel, Violations,
    model::{Customer, Invoice, Order, Product, QuoteItem, Shipment, scalar::Id},
};

/// How many channels there are.
pub const COUNT: usize = 8;

/// A function for each channel, in the order of [`NAMES`]: the one that is named, made for the channel.
#[macro_export]
macro_rules! for_each_channel {
    ($($function:ident)::+) => {{
        use $crate::channels::*;
        [
            $($function)::+::<CatalogProductSaveAfter>,
            $($function)::+::<CheckoutCartProductAddAfter>,
            $($function)::+::<CustomerDeleteAfter>,
            $($function)::+::<CustomerSaveAfterDataObject>,
            $($function)::+::<SalesOrderInvoicePay>,
            $($function)::+::<SalesOrderPlaceAfter>,
            $($function)::+::<SalesOrderSaveAfter>,
            $($function)::+::<SalesOrderShipmentSaveAfter>,
        ]
    }};
}

/// The channels' names, in alphabetical order, which is also that of the seeds' first byte.
pub const NAMES: [&str; COUNT] = [
    CatalogProductSaveAfter::NAME,
    CheckoutCartProductAddAfter::NAME,
    CustomerDeleteAfter::NAME,
    CustomerSaveAfterDataObject::NAME,
    SalesOrderInvoicePay::NAME,
    SalesOrderPlaceAfter::NAME,
    SalesOrderSaveAfter::NAME,
    SalesOrderShipmentSaveAfter::NAME,
];

/// A product was saved.
pub struct CatalogProductSaveAfter;

impl Channel for CatalogProductSaveAfter {
    const NAME: &str = "catalog_product_save_after";
    const REQUIRED: &[&str] = &["entity_id", "sku"];
    type Entity = Product;
}

/// A product was put into a cart.
pub struct CheckoutCartProductAddAfter;

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
}

/// A customer's account was deleted.
pub struct CustomerDeleteAfter;

impl Channel for CustomerDeleteAfter {
    const NAME: &str = "customer_delete_after";
    const REQUIRED: &[&str] = &["entity_id", "email"];
    const ONCE: bool = true;
    type Entity = Customer;
}

/// A customer's account was saved.
pub struct CustomerSaveAfterDataObject;

impl Channel for CustomerSaveAfterDataObject {
    const NAME: &str = "customer_save_after_data_object";
    const REQUIRED: &[&str] = &["entity_id", "email"];
    type Entity = Customer;
}

/// The state of a paid invoice.
const PAID: Id = Id(2);

/// An invoice was paid.
pub struct SalesOrderInvoicePay;

impl Channel for SalesOrderInvoicePay {
    const NAME: &str = "sales_order_invoice_pay";
    const REQUIRED: &[&str] = &["grand_total", "state"];
    const ONCE: bool = true;
    type Entity = Invoice;

    fn check(invoice: &Invoice, violations: &mut Violations) {
        if invoice.state.is_some_and(|state| state != PAID) {
            violations.add_at("/state", "must be 2 (paid)");
        }
    }
}

/// A customer placed an order.
pub struct SalesOrderPlaceAfter;

impl Channel for SalesOrderPlaceAfter {
    const NAME: &str = "sales_order_place_after";
    const REQUIRED: &[&str] = &[
        "increment_id",
        "grand_total",
        "order_currency_code",
        "items",
        "items[].sku",
        "items[].qty_ordered",
    ];
    const ONCE: bool = true;
    type Entity = Order;

    fn check(order: &Order, violations: &mut Violations) {
        if order.items.as_ref().is_some_and(Vec::is_empty) {
            violations.add_at("/items", "must not be empty");
        }
    }
}

/// An order was saved.
pub struct SalesOrderSaveAfter;

impl Channel for SalesOrderSaveAfter {
    const NAME: &str = "sales_order_save_after";
    const REQUIRED: &[&str] = &["entity_id", "increment_id", "state"];
    type Entity = Order;
}

/// A shipment was saved.
pub struct SalesOrderShipmentSaveAfter;

impl Channel for SalesOrderShipmentSaveAfter {
    const NAME: &str = "sales_order_shipment_save_after";
    const REQUIRED: &[&str] = &["entity_id", "order_id"];
    type Entity = Shipment;
}
