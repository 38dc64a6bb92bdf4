//! Points in time.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};
use time::{
    Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset,
    format_description::well_known::Rfc3339,
};

use super::{JsonScalar, Parsed, Scalar, string_schema};
use crate::model::lookup::{FieldKind, FieldValue};

/// A point in time, read from ISO 8601 or from the database's `2026-06-18 20:27:11` (which is UTC),
/// and written as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub OffsetDateTime);

/// How MySQL writes a date that was never set.
const ZERO_DATE: &str = "0000-00-00";

/// How PHP writes such a date: as a day of the year -1.
const ZERO_DATE_OF_PHP: &str = "-0001-";

/// Whether the text is a date that was never set.
fn is_zero_date(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(ZERO_DATE_OF_PHP)
        || text
            .strip_prefix(ZERO_DATE)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['T', 't', ' ']))
}

/// PHP's `DateTime` as `json_encode` writes it.
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

    fn is_absent(json: &JsonScalar<'_>) -> bool {
        match json {
            JsonScalar::Null | JsonScalar::Bool(false) => true,
            JsonScalar::String(text) => text.trim().is_empty() || is_zero_date(text),
            JsonScalar::Bool(true) | JsonScalar::Number(_) => false,
        }
    }

    fn from_json(json: &JsonScalar<'_>) -> Option<Self> {
        match json {
            JsonScalar::String(text) => parse_time(text.trim(), "").map(Self),
            _ => None,
        }
    }

    fn from_object(json: &str) -> Parsed<Self> {
        let Ok(object) = serde_json::from_str::<PhpDateTime<'_>>(json) else {
            return Parsed::Unreadable;
        };
        if is_zero_date(&object.date) {
            return Parsed::Absent;
        }
        let zone = match (object.timezone_type, &*object.timezone) {
            (1, offset) if !offset.is_empty() => offset,
            // Other zones would need a database of time zones.
            (2 | 3, "UTC" | "Z" | "GMT" | "Etc/UTC" | "Etc/GMT" | "Etc/UCT" | "UCT" | "Zulu") => {
                "Z"
            }
            _ => return Parsed::Unreadable,
        };
        parse_time(&object.date, zone).map_or(Parsed::Unreadable, |time| Parsed::Value(Self(time)))
    }
}

/// Parses a date and time. `other_offset` applies if the text has no offset; only one may be set.
fn parse_time(text: &str, other_offset: &str) -> Option<OffsetDateTime> {
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
    let ((zone, "") | ("", zone)) = (zone, other_offset) else {
        return None;
    };
    let local = PrimitiveDateTime::new(calendar_date(date)?, clock_time(clock, fraction)?);
    let time = local
        .assume_offset(offset(zone)?)
        .checked_to_offset(UtcOffset::UTC)?;
    // RFC 3339 has no other years, so a timestamp that was read can always be written.
    (0..=9999).contains(&time.year()).then_some(time)
}

/// Parses a number of exactly `count` ASCII digits: no sign, no space.
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

/// Parses `Z`, `+02:00` or `+0200`. An empty zone is UTC, as in the shop's database.
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
    let in_range = hours <= 23 && minutes <= 59;
    UtcOffset::from_hms(sign * hours, sign * minutes, 0)
        .ok()
        .filter(|_| in_range)
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0.format(&Rfc3339).map_err(serde::ser::Error::custom)?)
    }
}

string_schema!(Timestamp, "format": "date-time");
