//! The scalars of the contract, each read from every type in which a shop writes it.
//!
//! PHP changes the type of a field with the state of its object: an amount is a number in memory and a string when it was
//! loaded from the database, an id is one or the other, a flag is `1`, `"1"` or `true`. The canonical form is one.

use std::{borrow::Cow, fmt};

use rust_decimal::{Decimal, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use time::{
    Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset,
    format_description::well_known::Rfc3339,
};

use super::{
    decode::Decode,
    diagnostics::Diagnostics,
    lookup::{FieldKind, FieldValue, Lookup, PathError, PathStep, leaf_kind},
};

/// An email address is at most this long (RFC 5321, path without the brackets).
const EMAIL_BYTES_MAX: usize = 254;

/// One JSON scalar, before it is given a meaning. Numbers stay text, so that no digit is lost in a float.
#[derive(Debug, PartialEq)]
pub enum JsonScalar<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it is written.
    Number(&'a str),
    /// A string, its escapes resolved.
    String(Cow<'a, str>),
}

impl<'a> JsonScalar<'a> {
    /// Reads a JSON value; `None` when it is a list, an object, or a string with half of a surrogate pair.
    pub(crate) fn parse(raw: &'a str) -> Option<Self> {
        match raw.as_bytes().first()? {
            b'n' => Some(Self::Null),
            b't' => Some(Self::Bool(true)),
            b'f' => Some(Self::Bool(false)),
            b'"' if raw.contains('\\') => serde_json::from_str(raw)
                .ok()
                .map(|text| Self::String(Cow::Owned(text))),
            b'"' => raw
                .get(1..raw.len() - 1)
                .map(|text| Self::String(Cow::Borrowed(text))),
            b'-' | b'0'..=b'9' => Some(Self::Number(raw)),
            _ => None,
        }
    }

    /// Whether it is a string that is empty or only white space.
    fn is_blank(&self) -> bool {
        matches!(self, Self::String(text) if text.trim().is_empty())
    }

    /// The text of a string or a number.
    fn text(&self) -> Option<&str> {
        match self {
            Self::Number(text) => Some(text),
            Self::String(text) => Some(text),
            Self::Null | Self::Bool(_) => None,
        }
    }
}

/// A value that is written as one JSON scalar.
pub trait Scalar: Sized {
    /// What the contract expects, as the end of the sentence "this field …".
    const EXPECTS: &'static str;

    /// What a rule can do with it.
    const KIND: FieldKind;

    /// What a rule sees of it.
    fn field_value(&self) -> FieldValue<'_>;

    /// Whether the token says that there is no value: null, the empty string that PHP writes where nothing is set, or the
    /// `false` that stands for "use the default value" when a product is saved for one store view.
    fn is_absent(token: &JsonScalar<'_>) -> bool {
        matches!(token, JsonScalar::Null | JsonScalar::Bool(false)) || token.is_blank()
    }

    /// Gives the scalar its meaning, or `None` when it has none here.
    fn from_json(token: &JsonScalar<'_>) -> Option<Self>;

    /// Gives an object its meaning, where PHP writes one for such a scalar.
    fn from_object(_json: &str) -> Parsed<Self> {
        Parsed::Unreadable
    }
}

/// What comes of a value.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<T> {
    /// It was read.
    Value(T),
    /// It says that there is none.
    Absent,
    /// The contract has no form for it.
    Unreadable,
}

impl<T: Scalar> Decode for T {
    fn decode<'de, D: Deserializer<'de>>(
        from: D,
        at: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, D::Error> {
        let raw = <&RawValue>::deserialize(from)?;
        Ok(scalar_from_raw(raw.get(), at))
    }
}

impl<T: Scalar> Lookup for T {
    fn kind(path: &[PathStep]) -> Result<FieldKind, PathError> {
        leaf_kind(T::KIND, path)
    }

    fn visit(&self, _: &[PathStep], see: &mut dyn FnMut(FieldValue<'_>)) {
        see(self.field_value());
    }
}

pub(super) fn scalar_from_raw<'de, T: Scalar>(
    raw: &'de str,
    at: &mut Diagnostics<'de>,
) -> Option<T> {
    let reading = match JsonScalar::parse(raw) {
        Some(token) if T::is_absent(&token) => Parsed::Absent,
        Some(token) => T::from_json(&token).map_or(Parsed::Unreadable, Parsed::Value),
        None if raw.starts_with('[') && is_empty_list(raw) => Parsed::Absent,
        None if raw.starts_with('{') => T::from_object(raw),
        None => Parsed::Unreadable,
    };
    match reading {
        Parsed::Value(value) => Some(value),
        Parsed::Absent => None,
        Parsed::Unreadable => {
            at.add_unreadable(T::EXPECTS, Some(Cow::Borrowed(raw)));
            None
        }
    }
}

/// Whether a JSON list has no elements, which is how PHP writes an empty object.
pub(crate) fn is_empty_list(json: &str) -> bool {
    let inside = json.get(1..json.len() - 1);
    inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}

macro_rules! string_schema {
    ($Type:ident $(, $key:literal: $value:literal)*) => {
        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $Type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($Type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string" $(, $key: $value)* })
            }
        }
    };
}

/// The id of something in the shop's database: a whole number. A database counts from 1; 0 stands for what is not saved, or for nobody,
/// as the customer of a guest's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct Id(pub u64);

impl Scalar for Id {
    const EXPECTS: &'static str = WholeNumber::EXPECTS;
    const KIND: FieldKind = FieldKind::Number;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Number(self.0.into())
    }

    fn is_absent(token: &JsonScalar<'_>) -> bool {
        // Hardly any is zero, which its first digit tells at once.
        let starts_like_zero = |text: &str| !text.starts_with(|c| ('1'..='9').contains(&c));
        WholeNumber::is_absent(token)
            || (token.text().is_some_and(starts_like_zero)
                && WholeNumber::from_json(token) == Some(WholeNumber(0)))
    }

    fn from_json(token: &JsonScalar<'_>) -> Option<Self> {
        WholeNumber::from_json(token).map(|WholeNumber(id)| Self(id))
    }
}

/// A whole number, never negative, of which 0 is one like any other: a state, or the id of the Admin's store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct WholeNumber(pub u64);

impl Scalar for WholeNumber {
    const EXPECTS: &'static str = "must be a whole number, not negative";
    const KIND: FieldKind = FieldKind::Number;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Number(self.0.into())
    }

    fn from_json(token: &JsonScalar<'_>) -> Option<Self> {
        let text = whole(token)?;
        // A database column holds no more than this, and neither does a consumer's signed integer.
        let number: u64 = text
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse().ok())??;
        (number <= i64::MAX.cast_unsigned()).then_some(Self(number))
    }
}

/// The digits of a whole number. A column of decimals makes `216.0000` of it, and PHP's float `216.0`.
fn whole<'t>(token: &'t JsonScalar<'_>) -> Option<&'t str> {
    let text = token.text()?.trim();
    match text.split_once('.') {
        None => Some(text),
        Some((whole, zeros)) => {
            let nothing = !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0');
            nothing.then_some(whole)
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(to)
    }
}

/// Free text. A number is taken as its digits: PHP writes a numeric postcode or SKU as a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Text(pub String);

impl Scalar for Text {
    const EXPECTS: &'static str = "must be a string";
    const KIND: FieldKind = FieldKind::Text;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Text(Cow::Borrowed(&self.0))
    }

    fn is_absent(token: &JsonScalar<'_>) -> bool {
        matches!(token, JsonScalar::Null | JsonScalar::Bool(false)) // an empty text is still a text
    }

    fn from_json(token: &JsonScalar<'_>) -> Option<Self> {
        token.text().map(|text| Self(text.to_owned()))
    }
}

string_schema!(Text);

/// Text that names something (a SKU, an order number, a status), so that it is never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Code(pub String);

impl Scalar for Code {
    const EXPECTS: &'static str = "must be a string";
    const KIND: FieldKind = FieldKind::Text;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Text(Cow::Borrowed(&self.0))
    }

    fn is_absent(token: &JsonScalar<'_>) -> bool {
        matches!(token, JsonScalar::Null | JsonScalar::Bool(false)) || token.text() == Some("")
    }

    fn from_json(token: &JsonScalar<'_>) -> Option<Self> {
        token.text().map(|text| Self(text.to_owned()))
    }
}

string_schema!(Code, "minLength": 1);

/// An email address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Email(pub String);

impl Scalar for Email {
    const EXPECTS: &'static str = "must be an email address";
    const KIND: FieldKind = FieldKind::Text;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Text(Cow::Borrowed(&self.0))
    }

    fn from_json(token: &JsonScalar<'_>) -> Option<Self> {
        let JsonScalar::String(text) = token else {
            return None;
        };
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@')?;
        let quoted = local
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        let fits = text.len() <= EMAIL_BYTES_MAX
            && quoted.map_or_else(|| is_plain(local), is_quotable)
            && is_plain(domain)
            && !domain.split('.').any(str::is_empty);
        fits.then(|| Self(text.to_owned()))
    }
}

/// Whether a part of an email address can stand without quotes (RFC 5322, `dot-atom` and what RFC 6531 adds). Shops have addresses with
/// two dots in a row, which some providers give out.
fn is_plain(part: &str) -> bool {
    let special = |c: char| c.is_whitespace() || c.is_control() || "()<>[]:;@\\,\"".contains(c);
    !part.is_empty() && !part.contains(special)
}

/// Whether a text can stand in quotes (RFC 5322, `quoted-string` without folding): each quote and backslash has a backslash before it.
fn is_quotable(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let next = if c == '\\' { chars.next() } else { Some(c) };
        let escaped = c == '\\';
        match next {
            Some('"') if !escaped => return false,
            Some(c) if !c.is_control() => {}
            _ => return false,
        }
    }
    true
}

string_schema!(Email, "format": "email");

fn decimal(token: &JsonScalar<'_>) -> Option<Decimal> {
    decimal_from(token.text()?.trim())
}

/// The exact decimal that a text holds, with or without an exponent.
pub(crate) fn decimal_from(text: &str) -> Option<Decimal> {
    let numeric = text
        .trim_start_matches('-')
        .starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if !numeric {
        return None;
    }
    // PHP writes small and large floats with an exponent: 1.0e-5, and 2.8421709430404007e-14 where a sum of floats should be
    // zero. A decimal holds 28 places; what lies beyond them is rounded away.
    let value = match text.split_once(['e', 'E']) {
        None => text.parse().ok()?,
        Some((_, exponent)) => match Decimal::from_scientific_lossy(text) {
            Err(Error::ScaleExceedsMaximumPrecision(_)) if exponent.starts_with('-') => {
                Decimal::ZERO
            }
            value => value.ok()?,
        },
    };
    Some(value.normalize())
}

/// An amount of money: an exact decimal, written as a string with at least two decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(pub Decimal);

impl Money {
    fn with_two_decimals(self) -> Decimal {
        let mut amount = self.0;
        if amount.scale() < 2 {
            amount.rescale(2);
        }
        amount
    }
}

impl Scalar for Money {
    const EXPECTS: &'static str = "must be a decimal number, or a string that holds one";
    const KIND: FieldKind = FieldKind::Number;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Number(self.with_two_decimals())
    }

    fn from_json(token: &JsonScalar<'_>) -> Option<Self> {
        // A decimal that fills all places has none left for the two.
        decimal(token)
            .map(Self)
            .filter(|money| money.with_two_decimals().scale() >= 2)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.with_two_decimals())
    }
}

string_schema!(Money, "pattern": r"^-?\d+\.\d{2,}$");

/// A quantity of an order: an exact decimal, written as a string without needless zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(pub Decimal);

impl Scalar for Quantity {
    const EXPECTS: &'static str = Money::EXPECTS;
    const KIND: FieldKind = FieldKind::Number;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Number(self.0)
    }

    fn from_json(token: &JsonScalar<'_>) -> Option<Self> {
        decimal(token).map(Self)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

string_schema!(Quantity, "pattern": r"^-?\d+(\.\d+)?$");

/// A number that the spec declares as a JSON number: an exact decimal, written digit by digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub Decimal);

impl Number {
    /// The number that a JSON value holds, as a number or as a string.
    pub fn in_json(value: &serde_json::Value) -> Option<Self> {
        match value {
            serde_json::Value::Number(number) => decimal_from(&number.to_string()),
            serde_json::Value::String(text) => decimal_from(text),
            _ => None,
        }
        .map(Self)
    }
}

impl Scalar for Number {
    const EXPECTS: &'static str = Money::EXPECTS;
    const KIND: FieldKind = FieldKind::Number;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Number(self.0)
    }

    fn from_json(token: &JsonScalar<'_>) -> Option<Self> {
        decimal(token).map(Self)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // The detour keeps the digits: serde has no decimals, only floats.
        RawValue::from_string(self.0.to_string())
            .map_err(serde::ser::Error::custom)?
            .serialize(to)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Number {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number" })
    }
}

/// Yes or no, written as 1 or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag(pub bool);

impl Scalar for Flag {
    const EXPECTS: &'static str = "must be 0 or 1";
    const KIND: FieldKind = FieldKind::Number;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Number(u8::from(self.0).into())
    }

    fn is_absent(token: &JsonScalar<'_>) -> bool {
        *token == JsonScalar::Null || token.is_blank()
    }

    fn from_json(token: &JsonScalar<'_>) -> Option<Self> {
        match (token, whole(token)) {
            (JsonScalar::Bool(flag), _) => Some(Self(*flag)),
            (_, Some("0")) => Some(Self(false)),
            (_, Some("1")) => Some(Self(true)),
            _ => None,
        }
    }
}

impl Serialize for Flag {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u8(self.0.into())
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Flag {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Flag".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "enum": [0, 1] })
    }
}

/// Whether a product is on sale: 1 enabled, 2 disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ProductStatus(u8);

impl Scalar for ProductStatus {
    const EXPECTS: &'static str = "must be 1 (enabled) or 2 (disabled)";
    const KIND: FieldKind = FieldKind::Number;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Number(self.0.into())
    }

    fn from_json(token: &JsonScalar<'_>) -> Option<Self> {
        match whole(token) {
            Some("1") => Some(Self(1)),
            Some("2") => Some(Self(2)),
            _ => None,
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ProductStatus {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ProductStatus".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "enum": [1, 2] })
    }
}

/// ISO 3166-1 alpha-2 country code, in capitals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Country(pub String);

impl Scalar for Country {
    const EXPECTS: &'static str = "must be a country code of two letters (ISO 3166-1)";
    const KIND: FieldKind = FieldKind::UppercaseCode;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Text(Cow::Borrowed(&self.0))
    }

    fn from_json(token: &JsonScalar<'_>) -> Option<Self> {
        letters(token, 2).map(Self)
    }
}

string_schema!(Country, "pattern": "^[A-Z]{2}$");

/// ISO 4217 currency code, in capitals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Currency(pub String);

impl Scalar for Currency {
    const EXPECTS: &'static str = "must be a currency code of three letters (ISO 4217)";
    const KIND: FieldKind = FieldKind::UppercaseCode;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Text(Cow::Borrowed(&self.0))
    }

    fn from_json(token: &JsonScalar<'_>) -> Option<Self> {
        letters(token, 3).map(Self)
    }
}

string_schema!(Currency, "pattern": "^[A-Z]{3}$");

fn letters(token: &JsonScalar<'_>, count: usize) -> Option<String> {
    let JsonScalar::String(text) = token else {
        return None;
    };
    let text = text.trim();
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_alphabetic()))
        .then(|| text.to_ascii_uppercase())
}

/// A moment, read from ISO 8601 or from the database's `2026-06-18 20:27:11` (which is UTC); written as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub OffsetDateTime);

/// What MySQL writes for a date that was never set.
const ZERO_DATE: &str = "0000-00-00";

/// What PHP makes of it: the day before the month before the year 0, a year in which no shop did business.
const ZERO_DATE_OF_PHP: &str = "-0001-";

fn is_zero_date(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(ZERO_DATE_OF_PHP)
        || text
            .strip_prefix(ZERO_DATE)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['T', 't', ' ']))
}

/// PHP's `DateTime`, as `json_encode` writes it.
#[derive(Deserialize)]
struct PhpDateTime<'a> {
    #[serde(borrow)]
    date: Cow<'a, str>,
    timezone_type: u8,
    #[serde(borrow)]
    timezone: Cow<'a, str>,
}

impl Scalar for Timestamp {
    const EXPECTS: &'static str = "must be a date and time, as 2026-06-18 20:27:11 or in ISO 8601";
    const KIND: FieldKind = FieldKind::Timestamp;

    fn field_value(&self) -> FieldValue<'_> {
        FieldValue::Text(Cow::Owned(self.0.format(&Rfc3339).unwrap_or_default()))
    }

    fn is_absent(token: &JsonScalar<'_>) -> bool {
        match token {
            JsonScalar::Null | JsonScalar::Bool(false) => true,
            JsonScalar::String(text) => text.trim().is_empty() || is_zero_date(text),
            JsonScalar::Bool(true) | JsonScalar::Number(_) => false,
        }
    }

    fn from_json(token: &JsonScalar<'_>) -> Option<Self> {
        match token {
            JsonScalar::String(text) => moment(text.trim(), "").map(Self),
            _ => None,
        }
    }

    fn from_object(json: &str) -> Parsed<Self> {
        let Ok(written) = serde_json::from_str::<PhpDateTime<'_>>(json) else {
            return Parsed::Unreadable;
        };
        if is_zero_date(&written.date) {
            return Parsed::Absent;
        }
        let zone = match (written.timezone_type, &*written.timezone) {
            (1, offset) if !offset.is_empty() => offset,
            // When it was there, nobody knows without a list of all time zones.
            (2 | 3, "UTC" | "Z" | "GMT" | "Etc/UTC" | "Etc/GMT" | "Etc/UCT" | "UCT" | "Zulu") => {
                "Z"
            }
            _ => return Parsed::Unreadable,
        };
        moment(&written.date, zone).map_or(Parsed::Unreadable, |moment| Parsed::Value(Self(moment)))
    }
}

/// Reads a date and time. `zone_beside` is the offset that stands beside it, if it holds none itself.
fn moment(text: &str, zone_beside: &str) -> Option<OffsetDateTime> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let fraction = rest.strip_prefix('.').map(|digits| {
        digits.split_at(
            digits
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(digits.len()),
        )
    });
    let (fraction, zone) = fraction.map_or((None, rest), |(digits, zone)| (Some(digits), zone));
    let ((zone, "") | ("", zone)) = (zone, zone_beside) else {
        return None;
    };
    let moment = PrimitiveDateTime::new(calendar_date(date)?, clock_time(clock, fraction)?);
    let moment = moment
        .assume_offset(offset(zone)?)
        .checked_to_offset(UtcOffset::UTC)?;
    // RFC 3339 knows no other years, so nothing that was read can fail to be written.
    (0..=9999).contains(&moment.year()).then_some(moment)
}

/// Exactly two or four ASCII digits, so that neither signs nor blanks slip in.
fn digits<N: std::str::FromStr>(text: &str, count: usize) -> Option<N> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

fn calendar_date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let month = Month::try_from(digits::<u8>(month, 2)?).ok()?;
    Date::from_calendar_date(digits(year, 4)?, month, digits(day, 2)?).ok()
}

fn clock_time(text: &str, fraction: Option<&str>) -> Option<Time> {
    let mut parts = text.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let nanosecond = match fraction {
        Some(part) if (1..=9).contains(&part.len()) => format!("{part:0<9}").parse().ok()?,
        Some(_) => return None,
        None => 0,
    };
    Time::from_hms_nano(
        digits(hour, 2)?,
        digits(minute, 2)?,
        digits(second, 2)?,
        nanosecond,
    )
    .ok()
}

/// No zone is UTC, as in the shop's database; otherwise `Z`, `+02:00` or `+0200`.
fn offset(zone: &str) -> Option<UtcOffset> {
    if matches!(zone, "" | "Z" | "z") {
        return Some(UtcOffset::UTC);
    }
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':').or_else(|| rest.split_at_checked(2))?;
    let (hours, minutes): (i8, i8) = (digits(hours, 2)?, digits(minutes, 2)?);
    let on_the_clock = hours <= 23 && minutes <= 59;
    UtcOffset::from_hms(sign * hours, sign * minutes, 0)
        .ok()
        .filter(|_| on_the_clock)
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0.format(&Rfc3339).map_err(serde::ser::Error::custom)?)
    }
}

string_schema!(Timestamp, "format": "date-time");

#[cfg(test)]
mod tests;
