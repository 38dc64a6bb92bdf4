//! An order, its lines and its payment.

use rust_decimal::Decimal;

use super::{
    Entity,
    address::{Address, BILLING, ListedAddress, SHIPPING},
    decode::entity,
    diagnostics::Diagnostics,
    scalar::{Code, Currency, Email, Flag, Id, Money, Quantity, Text, Timestamp, WholeNumber},
};

entity! {
    /// An order.
    pub struct Order {
        /// Id in the shop's database; absent before the order's first save.
        entity_id: Id,
        /// Order number, as the customer sees it.
        increment_id: Code,
        /// Id of the store view in which the order was placed. Order numbers are unique in a store.
        store_id: WholeNumber,
        /// Status code, as in `pending`.
        status: Code,
        /// State of the order's life, as in `new`.
        state: Code,
        /// Id of the customer; absent for a guest.
        customer_id: Id,
        /// Email address of the customer or guest.
        customer_email: Email,
        /// First name of the customer.
        customer_firstname: Text,
        /// Last name of the customer.
        customer_lastname: Text,
        /// 1 for a guest, 0 for a registered customer.
        customer_is_guest: Flag,
        /// When the order was created; absent before its first save.
        created_at: Timestamp,
        /// When the order was last changed; absent before its first save.
        updated_at: Timestamp,
        /// What the customer pays, in the order's currency.
        grand_total: Money,
        /// Sum of the rows, before tax and shipping, in the order's currency.
        subtotal: Money,
        /// Tax, in the order's currency.
        tax_amount: Money,
        /// Shipping, in the order's currency.
        shipping_amount: Money,
        /// Discount, in the order's currency; negative.
        discount_amount: Money,
        /// ISO 4217 code of the shop's base currency.
        base_currency_code: Currency,
        /// ISO 4217 code of the order's currency.
        order_currency_code: Currency,
        /// Whom the order is billed to.
        billing_address: Address,
        /// Where the order goes; absent for a virtual order.
        shipping_address: Address,
        /// The lines of the order.
        items: Vec<OrderItem>,
        /// How the order is paid.
        payment: Payment,
    }
    reads {
        addresses: Vec<ListedAddress> as billing_address | shipping_address,
    }
    normalize normalize_order
    computes {
        unexplained_total: Money = unexplained_total,
            from grand_total subtotal tax_amount shipping_amount discount_amount;
    }
}

entity! {
    /// A line of an order.
    pub struct OrderItem {
        /// Id of the line; absent before the order's first save.
        item_id: Id,
        /// SKU of the product.
        sku: Code,
        /// Name of the product when it was bought.
        name: Text,
        /// Id of the product.
        product_id: Id,
        /// Type of the product, as in `simple`.
        product_type: Code,
        /// Quantity that was ordered.
        qty_ordered: Quantity,
        /// Price of one, in the order's currency.
        price: Money,
        /// Price of the row, in the order's currency.
        row_total: Money,
        /// Tax of the row, in the order's currency.
        tax_amount: Money,
    }
}

entity! {
    /// How an order is paid.
    pub struct Payment {
        /// Code of the payment method, as in `checkmo`.
        method: Code,
        /// What was paid, in the order's currency; absent until something is.
        amount_paid: Money,
        /// What was paid, in the base currency; absent until something is.
        base_amount_paid: Money,
    }
}

/// Returns the part of the grand total that is neither subtotal, tax, shipping nor discount: gift
/// cards, store credit, fees, or an error. An absent part counts as zero. `None` if the total or
/// the subtotal is absent.
fn unexplained_total(order: &Order) -> Option<Money> {
    let zero = Money(Decimal::ZERO);
    let parts = [
        order.subtotal?,
        order.tax_amount.unwrap_or(zero),
        order.shipping_amount.unwrap_or(zero),
        order.discount_amount.unwrap_or(zero),
    ];
    let rest = parts
        .iter()
        .try_fold(order.grand_total?.0, |rest, part| rest.checked_sub(part.0));
    // PHP adds floats, so a total may be 30.250000000000004.
    rest.map(|rest| Money(rest.round_dp(4).normalize()))
}

/// Moves the addresses of the shop's list to the two fields of the spec. If the shop also sends
/// such a field, and it is not empty, keeps that one.
fn normalize_order(order: &mut Order, diagnostics: &mut Diagnostics<'_>) {
    for ListedAddress(mut address) in order.addresses.take().unwrap_or_default() {
        let place = match address.address_type.take() {
            Some(Code(kind)) if kind == BILLING => &mut order.billing_address,
            Some(Code(kind)) if kind == SHIPPING => &mut order.shipping_address,
            _ => continue,
        };
        match place {
            Some(known) if *known == address => {}
            Some(known) if !known.is_blank() => {
                diagnostics.add_skipped_in("addresses", "is the second one of its type");
            }
            _ => *place = Some(address),
        }
    }
    for address in [&mut order.billing_address, &mut order.shipping_address]
        .into_iter()
        .flatten()
    {
        address.address_type = None;
    }
}

impl Entity for Order {
    const NAME: &'static str = "order";
    const KEYS: &'static [&'static str] = &["order"];

    fn subject(&self) -> Option<String> {
        self.increment_id
            .as_ref()
            .map(|Code(number)| format!("order/{number}"))
    }

    fn store_id(&self) -> Option<u64> {
        self.store_id.map(|id| id.0)
    }

    /// Uses the id of the database, which invoices and shipments refer to. Before its first save,
    /// an order has only a number.
    fn group(&self) -> Option<String> {
        self.entity_id
            .map(|id| format!("order/{id}"))
            .or_else(|| self.subject())
    }
}
