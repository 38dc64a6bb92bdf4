//! The eight channels. The functions are binaries, which nothing can use, so what makes them different is said here again; a
//! test of `make test-stack` compares the two.

use shared::{
    Channel,
    model::{Customer, Invoice, Order, Product, QuoteItem, Shipment},
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
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["sku"]];
    const EXPECTED: &[&str] = &["entity_id", "sku"];
    type Entity = Product;
}

/// A product was put into a cart.
pub struct CheckoutCartProductAddAfter;

impl Channel for CheckoutCartProductAddAfter {
    const NAME: &str = "checkout_cart_product_add_after";
    const IDENTITY: &[&[&str]] = &[&["sku"], &["product_id"]];
    const EXPECTED: &[&str] = &["sku", "qty"];
    type Entity = QuoteItem;
}

/// A customer's account was deleted.
pub struct CustomerDeleteAfter;

impl Channel for CustomerDeleteAfter {
    const NAME: &str = "customer_delete_after";
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["email", "website_id"]];
    const EXPECTED: &[&str] = &["entity_id"];
    const ONCE: bool = true;
    type Entity = Customer;
}

/// A customer's account was saved.
pub struct CustomerSaveAfterDataObject;

impl Channel for CustomerSaveAfterDataObject {
    const NAME: &str = "customer_save_after_data_object";
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["email"]];
    const EXPECTED: &[&str] = &["entity_id", "email"];
    type Entity = Customer;
}

/// An invoice was paid.
pub struct SalesOrderInvoicePay;

impl Channel for SalesOrderInvoicePay {
    const NAME: &str = "sales_order_invoice_pay";
    const IDENTITY: &[&[&str]] = &[
        &["entity_id"],
        &["increment_id"],
        &["order_id"],
        &["grand_total"],
    ];
    const EXPECTED: &[&str] = &["grand_total", "state"];
    const ONCE: bool = true;
    type Entity = Invoice;
}

/// A customer placed an order.
pub struct SalesOrderPlaceAfter;

impl Channel for SalesOrderPlaceAfter {
    const NAME: &str = "sales_order_place_after";
    const IDENTITY: &[&[&str]] = &[&["increment_id"], &["entity_id"]];
    const EXPECTED: &[&str] = &[
        "grand_total",
        "order_currency_code",
        "items",
        "items[].sku",
        "items[].qty_ordered",
    ];
    const ONCE: bool = true;
    type Entity = Order;
}

/// An order was saved.
pub struct SalesOrderSaveAfter;

impl Channel for SalesOrderSaveAfter {
    const NAME: &str = "sales_order_save_after";
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["increment_id"]];
    const EXPECTED: &[&str] = &["entity_id", "increment_id", "state"];
    type Entity = Order;
}

/// A shipment was saved.
pub struct SalesOrderShipmentSaveAfter;

impl Channel for SalesOrderShipmentSaveAfter {
    const NAME: &str = "sales_order_shipment_save_after";
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["increment_id"], &["order_id"]];
    const EXPECTED: &[&str] = &["entity_id", "order_id", "items[].qty"];
    type Entity = Shipment;
}
