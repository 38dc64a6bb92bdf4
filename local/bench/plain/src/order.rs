//! The contract: the fields of an order, how each is validated, and its canonical form. A shop
//! writes the same value in several forms.

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use crate::Failure;

/// Returns the canonical form of a value, or `None` if there is no value.
type Reader = fn(&Value, &str) -> Result<Option<Value>, Failure>;
type Fields = [(&'static str, Reader)];

const ORDER: &Fields = &[
    ("entity_id", id),
    ("increment_id", code),
    ("status", code),
    ("state", code),
    ("customer_id", id),
    ("customer_email", email),
    ("customer_firstname", text),
    ("customer_lastname", text),
    ("customer_is_guest", flag),
    ("created_at", timestamp),
    ("updated_at", timestamp),
    ("grand_total", money),
    ("subtotal", money),
    ("tax_amount", money),
    ("shipping_amount", money),
    ("discount_amount", money),
    ("base_currency_code", currency),
    ("order_currency_code", currency),
    ("billing_address", address),
    ("shipping_address", address),
    ("addresses", |value, name| list(value, name, address)),
    ("items", |value, name| {
        list(value, name, |value, name| object(value, name, ITEM))
    }),
    ("payment", |value, name| object(value, name, PAYMENT)),
];

const ITEM: &Fields = &[
    ("item_id", id),
    ("sku", code),
    ("name", text),
    ("product_id", id),
    ("product_type", code),
    ("qty_ordered", quantity),
    ("price", money),
    ("row_total", money),
    ("tax_amount", money),
];

const PAYMENT: &Fields = &[
    ("method", code),
    ("amount_paid", money),
    ("base_amount_paid", money),
];

const ADDRESS: &Fields = &[
    ("firstname", text),
    ("lastname", text),
    ("email", email),
    ("street", street),
    ("city", text),
    ("region", region),
    ("region_code", text),
    ("country_id", country),
    ("postcode", text),
    ("telephone", text),
    ("address_type", code),
];

const REGION: &Fields = &[("region", text), ("region_code", text)];

/// Returns the order in its canonical form. Fails if a required field is missing.
pub fn read(original: &Value) -> Result<Map<String, Value>, Failure> {
    let Some(Value::Object(mut order)) = object(original, "order", ORDER)? else {
        return Err(Failure::invalid("order is required"));
    };
    // A shop lists the addresses by type. A field of its own takes precedence.
    if let Some(Value::Array(addresses)) = order.remove("addresses") {
        for address in addresses {
            let kind = address["address_type"].as_str().unwrap_or_default();
            if matches!(kind, "billing" | "shipping") {
                let place = format!("{kind}_address");
                order.entry(place).or_insert(address);
            }
        }
    }
    for place in ["billing_address", "shipping_address"] {
        if let Some(Value::Object(address)) = order.get_mut(place) {
            address.remove("address_type");
        }
    }
    for field in ["increment_id", "grand_total", "order_currency_code"] {
        if !order.contains_key(field) {
            return Err(Failure::invalid(format!("{field} is required")));
        }
    }
    let items = order.get("items").and_then(Value::as_array);
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        return Err(Failure::invalid("items must not be empty"));
    };
    if items
        .iter()
        .any(|item| item.get("sku").is_none() || item.get("qty_ordered").is_none())
    {
        return Err(Failure::invalid("items must have sku and qty_ordered"));
    }
    Ok(order)
}

fn object(value: &Value, name: &str, fields: &Fields) -> Result<Option<Value>, Failure> {
    let members = match value {
        Value::Null => return Ok(None),
        // PHP writes an empty object as an empty list.
        Value::Array(list) if list.is_empty() => return Ok(None),
        Value::Object(members) => members,
        _ => return Err(wrong(name, "an object")),
    };
    let mut canonical = Map::new();
    for (field, read) in fields {
        if let Some(raw) = members.get(*field)
            && let Some(value) = read(raw, field)?
        {
            canonical.insert((*field).to_owned(), value);
        }
    }
    Ok(Some(Value::Object(canonical)))
}

/// Returns the elements of a list, or of an object with ids as keys, which PHP writes for some
/// lists.
fn elements<'a>(value: &'a Value, name: &str) -> Result<Vec<&'a Value>, Failure> {
    let is_id = |key: &String| {
        key == "0" || !key.starts_with('0') && key.bytes().all(|byte| byte.is_ascii_digit())
    };
    match value {
        Value::Array(list) => Ok(list.iter().collect()),
        Value::Object(members) if members.keys().all(is_id) => Ok(members.values().collect()),
        _ => Err(wrong(name, "a list")),
    }
}

fn list(value: &Value, name: &str, read: Reader) -> Result<Option<Value>, Failure> {
    if value.is_null() {
        return Ok(None);
    }
    let read =
        |element| read(element, name)?.ok_or_else(|| wrong(name, "a list without empty elements"));
    let list: Result<_, _> = elements(value, name)?.into_iter().map(read).collect();
    Ok(Some(Value::Array(list?)))
}

fn wrong(name: &str, expects: &str) -> Failure {
    Failure::invalid(format!("{name} must be {expects}"))
}

/// Returns whether the value is absent: null, false or an empty text. PHP writes all three for a
/// missing value.
fn is_absent(value: &Value) -> bool {
    is_absent_text(value) || value == ""
}

/// Returns whether a text is absent. A text may be empty.
fn is_absent_text(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false))
}

/// Returns a text or a number as text. PHP writes a numeric SKU or postcode as a number.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn scalar(
    name: &str,
    expects: &str,
    canonical: Option<impl Into<Value>>,
) -> Result<Option<Value>, Failure> {
    let canonical = canonical.ok_or_else(|| wrong(name, expects))?;
    Ok(Some(canonical.into()))
}

fn text(value: &Value, name: &str) -> Result<Option<Value>, Failure> {
    if is_absent_text(value) {
        return Ok(None);
    }
    scalar(name, "a string", text_of(value))
}

fn code(value: &Value, name: &str) -> Result<Option<Value>, Failure> {
    if is_absent(value) {
        return Ok(None);
    }
    scalar(name, "a string", text_of(value))
}

fn id(value: &Value, name: &str) -> Result<Option<Value>, Failure> {
    if is_absent(value) {
        return Ok(None);
    }
    let digits = text_of(value).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let id = digits.and_then(|digits| digits.parse::<i64>().ok());
    scalar(name, "a whole number, not negative", id)
}

fn money(value: &Value, name: &str) -> Result<Option<Value>, Failure> {
    decimal(value, name, 2)
}

fn quantity(value: &Value, name: &str) -> Result<Option<Value>, Failure> {
    decimal(value, name, 0)
}

fn decimal(value: &Value, name: &str, places_min: u32) -> Result<Option<Value>, Failure> {
    if is_absent(value) {
        return Ok(None);
    }
    let number = text_of(value).and_then(|text| parse_decimal(&text));
    let number = number.map(|mut number| {
        if number.scale() < places_min {
            number.rescale(places_min);
        }
        number.to_string()
    });
    scalar(name, "a decimal number", number)
}

fn parse_decimal(text: &str) -> Option<Decimal> {
    let plain = !text.starts_with('+') && !text.contains('_');
    let number = match text.split_once(['e', 'E']) {
        _ if !plain => return None,
        None => text.parse().ok()?,
        // A number that needs more than 28 decimal places is rounded to zero.
        Some((_, exponent)) => match Decimal::from_scientific_lossy(text) {
            Err(rust_decimal::Error::ScaleExceedsMaximumPrecision(_))
                if exponent.starts_with('-') =>
            {
                Decimal::ZERO
            }
            number => number.ok()?,
        },
    };
    Some(number.normalize())
}

fn flag(value: &Value, name: &str) -> Result<Option<Value>, Failure> {
    if value.is_null() || value == "" {
        return Ok(None);
    }
    let flag = match value {
        Value::Bool(flag) => Some(u8::from(*flag)),
        _ => match text_of(value).as_deref() {
            Some("0") => Some(0),
            Some("1") => Some(1),
            _ => None,
        },
    };
    scalar(name, "0 or 1", flag)
}

fn country(value: &Value, name: &str) -> Result<Option<Value>, Failure> {
    letters(value, name, 2)
}

fn currency(value: &Value, name: &str) -> Result<Option<Value>, Failure> {
    letters(value, name, 3)
}

fn letters(value: &Value, name: &str, count: usize) -> Result<Option<Value>, Failure> {
    if is_absent(value) {
        return Ok(None);
    }
    let fits = |text: &&str| text.len() == count && text.bytes().all(|b| b.is_ascii_alphabetic());
    let code = value.as_str().filter(fits).map(str::to_ascii_uppercase);
    scalar(name, &format!("a code of {count} letters"), code)
}

fn email(value: &Value, name: &str) -> Result<Option<Value>, Failure> {
    if is_absent(value) {
        return Ok(None);
    }
    let plain = |part: &str| {
        let is_odd = |c: char| c == '@' || c.is_whitespace() || c.is_control();
        !part.is_empty() && !part.contains(is_odd)
    };
    let email = value.as_str().filter(|email| {
        email.len() <= 254
            && email.split_once('@').is_some_and(|(local, domain)| {
                plain(local) && plain(domain) && !domain.split('.').any(str::is_empty)
            })
    });
    scalar(name, "an email address", email)
}

/// Reads ISO 8601, or the form of the database, `2026-06-18 20:27:11`, which is UTC.
fn timestamp(value: &Value, name: &str) -> Result<Option<Value>, Failure> {
    if is_absent(value) || value == "0000-00-00 00:00:00" {
        return Ok(None);
    }
    let moment = value.as_str().and_then(parse_timestamp);
    scalar(name, "a date and time", moment)
}

fn parse_timestamp(text: &str) -> Option<String> {
    let (date, clock) = text.split_at_checked(10)?;
    let clock = clock.strip_prefix(['T', 't', ' '])?;
    let mut text = format!("{date}T{clock}");
    let zone = clock.find(['Z', 'z', '+', '-']);
    match zone.map(|at| clock.split_at(at).1) {
        None => text.push('Z'),
        // PHP also writes `+0200`.
        Some(zone) if zone.len() == 5 => text.insert(text.len() - 2, ':'),
        Some(_) => {}
    }
    let moment = OffsetDateTime::parse(&text, &Rfc3339).ok()?;
    moment.to_offset(UtcOffset::UTC).format(&Rfc3339).ok()
}

/// Reads a list of lines, or one text with line breaks.
fn street(value: &Value, name: &str) -> Result<Option<Value>, Failure> {
    let lines: Vec<String> = if value.is_array() || value.is_object() {
        let line = |line: &Value| match line {
            Value::Null => Ok(String::new()),
            _ => text_of(line).ok_or_else(|| wrong(name, "a list of strings")),
        };
        let lines: Result<_, _> = elements(value, name)?.into_iter().map(line).collect();
        lines?
    } else {
        let whole = text(value, name)?;
        let whole = whole.as_ref().and_then(Value::as_str).unwrap_or_default();
        whole.lines().map(str::to_owned).collect()
    };
    let lines: Vec<_> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    Ok((!lines.is_empty()).then(|| json!(lines)))
}

/// Reads a region: an object with name and code, or the name alone.
fn region(value: &Value, name: &str) -> Result<Option<Value>, Failure> {
    if value.is_array() || value.is_object() {
        return object(value, name, REGION);
    }
    Ok(text(value, name)?.map(|region| json!({ "region": region })))
}

fn address(value: &Value, name: &str) -> Result<Option<Value>, Failure> {
    let mut address = object(value, name, ADDRESS)?;
    // Moves name and code of the region into the address.
    if let Some(Value::Object(address)) = &mut address
        && let Some(Value::Object(mut region)) = address.remove("region")
    {
        if let Some(code) = region.remove("region_code") {
            address.entry("region_code").or_insert(code);
        }
        if let Some(name) = region.remove("region") {
            address.insert("region".to_owned(), name);
        }
    }
    Ok(address)
}
