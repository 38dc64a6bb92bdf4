//! The benchmark's orders: their fields, and the canonical form of each field. Only types that
//! serde reads and writes belong here.

use serde::{Deserialize, Serialize, Serializer, ser::SerializeSeq as _};
use serde_json::value::RawValue;

/// Defines the types of scalar fields. A field keeps its raw JSON, with quotes. Serialization
/// validates and normalizes it.
macro_rules! scalars {
    ($($Scalar:ident($raw:ident, $text:ident) => $normal:expr,)*) => {$(
        #[derive(Deserialize)]
        pub(crate) struct $Scalar<'a>(#[serde(borrow)] pub(crate) &'a RawValue);

        impl Serialize for $Scalar<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $raw = self.0;
                let $text = $raw.get().trim_matches('"');
                let normal = $normal.ok_or_else(|| serde::ser::Error::custom("invalid"))?;
                normal.serialize(serializer)
            }
        }
    )*};
}

scalars! {
    Text(raw, text) => (text.len() + 2 == raw.get().len()).then_some(raw),
    Id(_raw, text) => text.parse::<u64>().ok(),
    Flag(_raw, text) => text.parse::<u8>().ok().filter(|flag| *flag < 2),
    Money(_raw, text) => decimal(text, 2),
    Quantity(_raw, text) => decimal(text, 0),
    Timestamp(_raw, text) => Some(text.replace(' ', "T") + "Z"),
    Street(_raw, text) => Some(StreetLines(text)),
}

/// Defines the types of objects. All fields are optional.
macro_rules! contract {
    ($($Name:ident { $($field:ident: $Type:ty,)* })*) => {$(
        #[derive(Deserialize, Serialize)]
        pub(crate) struct $Name<'a> {$(
            #[serde(borrow, skip_serializing_if = "Option::is_none")]
            pub(crate) $field: Option<$Type>,
        )*}
    )*};
}

contract! {
    Order {
        entity_id: Id<'a>, increment_id: Text<'a>, status: Text<'a>, state: Text<'a>,
        customer_id: Id<'a>, customer_email: Text<'a>, customer_firstname: Text<'a>,
        customer_lastname: Text<'a>, customer_is_guest: Flag<'a>, created_at: Timestamp<'a>,
        updated_at: Timestamp<'a>, grand_total: Money<'a>, subtotal: Money<'a>,
        tax_amount: Money<'a>, shipping_amount: Money<'a>, discount_amount: Money<'a>,
        base_currency_code: Text<'a>, order_currency_code: Text<'a>,
        billing_address: Address<'a>, shipping_address: Address<'a>,
        addresses: Vec<Address<'a>>, items: Vec<Item<'a>>, payment: Payment<'a>,
    }
    Address {
        address_type: Text<'a>, firstname: Text<'a>, lastname: Text<'a>, email: Text<'a>,
        street: Street<'a>, city: Text<'a>, region: Text<'a>, region_code: Text<'a>,
        country_id: Text<'a>, postcode: Text<'a>, telephone: Text<'a>,
    }
    Item {
        item_id: Id<'a>, sku: Text<'a>, name: Text<'a>, product_id: Id<'a>,
        product_type: Text<'a>, qty_ordered: Quantity<'a>, price: Money<'a>,
        row_total: Money<'a>, tax_amount: Money<'a>,
    }
    Payment { method: Text<'a>, amount_paid: Money<'a>, base_amount_paid: Money<'a>, }
}

/// The lines of a street, which the shop writes as one text with line breaks.
struct StreetLines<'a>(&'a str);

impl Serialize for StreetLines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for line in self.0.split(r"\n") {
            list.serialize_element(
                &RawValue::from_string(format!("\"{line}\"")).map_err(serde::ser::Error::custom)?,
            )?;
        }
        list.end()
    }
}

/// Returns a decimal with at least `places` places, and without further trailing zeros.
fn decimal(text: &str, places: usize) -> Option<String> {
    text.parse::<f64>().ok()?;
    let (integer, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = format!("{:0<places$}", fraction.trim_end_matches('0'));
    Some(if fraction.is_empty() {
        integer.to_owned()
    } else {
        format!("{integer}.{fraction}")
    })
}
