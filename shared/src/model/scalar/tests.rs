use proptest::prelude::*;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use super::*;

/// Reads a JSON value as `T`. Returns its canonical form, null if it is absent, or the detail of
/// the issue.
fn canonical<T: Scalar + Serialize>(json: &str) -> Result<Value, &'static str> {
    let mut diagnostics = Diagnostics::new("", "x", &[]);
    let value = T::decode(
        &mut serde_json::Deserializer::from_str(json),
        &mut diagnostics,
    )
    .unwrap();
    match diagnostics.finish(false).unwrap().list.first() {
        Some(issue) => {
            assert_eq!(value.map(|_| ()), None, "an unreadable value is absent");
            assert_eq!(issue.value.as_deref(), Some(json));
            Err(issue.detail)
        }
        None => Ok(value.map_or(Value::Null, |value| serde_json::to_value(value).unwrap())),
    }
}

#[track_caller]
fn reads<T: Scalar + Serialize>(cases: &[(&str, &str)]) {
    for (json, expected) in cases {
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(canonical::<T>(json), Ok(expected), "{json}");
    }
}

#[track_caller]
fn cannot_read<T: Scalar + Serialize>(cases: &[&str]) {
    for json in cases {
        assert_eq!(canonical::<T>(json), Err(T::EXPECTS), "{json}");
    }
}

const STRUCTURES: [&str; 4] = ["{}", "[[]]", r#"["1"]"#, r#"{"a":1}"#];

#[test]
fn reads_an_empty_list_as_absent() {
    for json in ["[]", "[ ]", "[\n\t]"] {
        assert_eq!(canonical::<Id>(json), Ok(Value::Null));
        assert_eq!(canonical::<Text>(json), Ok(Value::Null));
        assert_eq!(canonical::<Flag>(json), Ok(Value::Null));
        assert_eq!(canonical::<Timestamp>(json), Ok(Value::Null));
    }
}

#[test]
fn reads_ids_and_whole_numbers() {
    reads::<WholeNumber>(&[("0", "0"), (r#""0.0""#, "0"), ("7", "7"), ("null", "null")]);
    reads::<Id>(&[
        ("216", "216"),
        (r#""216""#, "216"),
        ("0", "null"),
        (r#""0.0000""#, "null"),
        (r#""000216""#, "216"),
        ("216.0", "216"),
        (r#""1.0000""#, "1"),
        (r#"" 1""#, "1"),
        (r#""1\u00a0\n""#, "1"),
        (r#"" ""#, "null"),
        ("null", "null"),
        (r#""""#, "null"),
        ("9223372036854775807", "9223372036854775807"),
    ]);
    cannot_read::<Id>(&[
        "-1",
        "1e3",
        "1.0e3",
        r#""1.5""#,
        r#""1.""#,
        r#"".0""#,
        r#""1.0.0""#,
        r#""1 0""#,
        r#""x""#,
        r#""+1""#,
        "true",
        "9223372036854775808",
    ]);
    cannot_read::<Id>(&STRUCTURES);
}

#[test]
fn reads_texts_and_codes() {
    reads::<Text>(&[
        (r#""Zo\u00eb""#, r#""Zoë""#),
        (r#""1\/2""#, r#""1/2""#),
        ("97477", r#""97477""#),
        ("1.50", r#""1.50""#),
        (r#""""#, r#""""#),
        ("null", "null"),
    ]);
    cannot_read::<Text>(&["true", r#""\ud800""#]);
    cannot_read::<Text>(&STRUCTURES);
    reads::<Code>(&[
        (r#""new""#, r#""new""#),
        ("5", r#""5""#),
        (r#""""#, "null"),
        ("null", "null"),
    ]);
    // A product has this where it uses the default value of an attribute.
    reads::<Text>(&[("false", "null")]);
    reads::<Code>(&[("false", "null")]);
    cannot_read::<Code>(&["true", "[1]"]);
    // White space may be a valid code.
    reads::<Code>(&[(r#"" ""#, r#"" ""#)]);
}

#[test]
fn reads_email_addresses() {
    reads::<Email>(&[
        (r#""zoe@shop.example""#, r#""zoe@shop.example""#),
        (
            r#""zo\u00eb+tag@sh\u00f6p.example""#,
            r#""zoë+tag@shöp.example""#,
        ),
        (r#""root@localhost""#, r#""root@localhost""#),
        (r#"" zoe@shop.example\n""#, r#""zoe@shop.example""#),
        (
            r#""\"zoe nunez\"@shop.example""#,
            r#""\"zoe nunez\"@shop.example""#,
        ),
        (
            r#""\"a@b\\\"\\\\c\"@shop.example""#,
            r#""\"a@b\\\"\\\\c\"@shop.example""#,
        ),
        (
            r#""o'hara!#$%&*+\/=?^_`{|}~-@shop.example""#,
            r#""o'hara!#$%&*+\/=?^_`{|}~-@shop.example""#,
        ),
        (r#""\"\"@shop.example""#, r#""\"\"@shop.example""#),
        (r#""two..dots@shop.example""#, r#""two..dots@shop.example""#),
        (r#""""#, "null"),
        (r#""  ""#, "null"),
    ]);
    cannot_read::<Email>(&[
        r#""n\/a""#,
        r#""zoe@shop.example,acc@shop.example""#,
        r#""Zoe<zoe@shop.example>""#,
        r#""zoe@shop.example>""#,
        r#""zoe;max@shop.example""#,
        r#""\"@shop.example""#,
        r#""\"a\"b\"@shop.example""#,
        r#""\"a\\\"@shop.example""#,
        r#""\"a\u0000\"@shop.example""#,
    ]);
    cannot_read::<Email>(&[
        r#""zoe""#,
        r#""@shop.example""#,
        r#""zoe@""#,
        r#""a b@c.d""#,
        r#""a@b@c""#,
        r#""a@b..c""#,
        "1",
    ]);
    cannot_read::<Email>(&[
        r#""a@b.""#,
        r#""a\n@b.c""#,
        &format!(r#""{}@b.c""#, "a".repeat(251)),
    ]);
    cannot_read::<Email>(&STRUCTURES);
}

#[test]
fn reads_money() {
    reads::<Money>(&[
        ("104.59", r#""104.59""#),
        ("5", r#""5.00""#),
        ("0", r#""0.00""#),
        ("-10", r#""-10.00""#),
        (r#""58.0400""#, r#""58.04""#),
        (r#""123.000000""#, r#""123.00""#),
        ("1.2345", r#""1.2345""#),
        ("1.0e-5", r#""0.00001""#),
        ("1.0e+25", r#""10000000000000000000000000.00""#),
        // A sum of floats that should be zero, as PHP writes it.
        (
            "2.8421709430404007e-14",
            r#""0.000000000000028421709430404""#,
        ),
        ("-1.2E-29", r#""0.00""#),
        ("1e-400", r#""0.00""#),
        (
            "0.1000000000000000055511151231257827",
            r#""0.1000000000000000055511151231""#,
        ),
        // More digits than a float can represent.
        ("90071992547409.9301", r#""90071992547409.9301""#),
        (r#"" 5 ""#, r#""5.00""#),
        (r#""12.50\u00a0""#, r#""12.50""#),
        (r#""""#, "null"),
        (r#"" ""#, "null"),
        ("null", "null"),
    ]);
    cannot_read::<Money>(&[
        r#""1,299.00""#,
        r#""1.299,00""#,
        r#""13\u00a0300""#,
        r#""13 300""#,
        r#""abc""#,
        r#""1,50""#,
        r#""$5""#,
        r#""1_000""#,
        r#""--5""#,
        r#""NaN""#,
        r#""-""#,
        r#""1e""#,
        "true",
    ]);
    cannot_read::<Money>(&["1e999999999", "79228162514264337593543950336", r#""0x10""#]);
    // A larger number has no room for two decimals.
    reads::<Money>(&[("1e26", r#""100000000000000000000000000.00""#)]);
    cannot_read::<Money>(&["1e27", "1e28", "7922816251426433759354395033.5"]);
    cannot_read::<Money>(&STRUCTURES);
}

#[test]
fn reads_quantities_and_numbers() {
    reads::<Quantity>(&[
        ("2", r#""2""#),
        (r#""2.0000""#, r#""2""#),
        ("0.5", r#""0.5""#),
        ("100", r#""100""#),
    ]);
    reads::<Number>(&[
        ("31.08", "31.08"),
        (r#""31.080000""#, "31.08"),
        (r#""1.0000""#, "1"),
        ("-2", "-2"),
    ]);
    assert_eq!(
        serde_json::to_string(&Number(Decimal::from_str_exact("31.08").unwrap())).unwrap(),
        "31.08"
    );
    cannot_read::<Number>(&[r#""two""#, "[1]"]);
}

#[test]
fn reads_flags_and_product_statuses() {
    reads::<Flag>(&[
        ("1", "1"),
        ("0", "0"),
        (r#""1""#, "1"),
        (r#""0""#, "0"),
        ("true", "1"),
        ("false", "0"),
        (r#"" 1 ""#, "1"),
        ("1.0", "1"),
        (r#""0.0000""#, "0"),
        ("null", "null"),
        (r#"" ""#, "null"),
    ]);
    cannot_read::<Flag>(&["2", r#""yes""#, "1.5", "[1]", "{}"]);
    reads::<ProductStatus>(&[("1", "1"), (r#""2""#, "2"), ("1.0", "1"), (r#""2 ""#, "2")]);
    cannot_read::<ProductStatus>(&["0", "3", "true", r#""enabled""#]);
}

#[test]
fn reads_countries_and_currencies() {
    reads::<Country>(&[
        (r#""US""#, r#""US""#),
        (r#""de""#, r#""DE""#),
        (r#""GB ""#, r#""GB""#),
        (r#""""#, "null"),
        (r#"" ""#, "null"),
    ]);
    cannot_read::<Country>(&[
        r#""USA""#,
        r#""Germany""#,
        r#""U""#,
        r#""U ""#,
        r#""U1""#,
        r#""\u00e9""#,
        "12",
        "840",
        "{}",
    ]);
    reads::<Currency>(&[(r#""USD""#, r#""USD""#), (r#""eur\n""#, r#""EUR""#)]);
    cannot_read::<Currency>(&[r#""US""#, r#""US$""#, r#""EURO""#, "{}"]);
}

#[test]
fn reads_timestamps() {
    let evening = r#""2026-06-18T20:27:11Z""#;
    reads::<Timestamp>(&[
        (r#""2026-06-18 20:27:11""#, evening),
        (r#""2026-06-18T20:27:11Z""#, evening),
        (r#""2026-06-18T22:27:11+02:00""#, evening),
        (r#""2026-06-18T15:57:11-0430""#, evening),
        (r#""2026-06-18T20:27:11.5Z""#, r#""2026-06-18T20:27:11.5Z""#),
        (r#""2026-06-18 20:27:11.000000""#, evening),
        (r#"" 2026-06-18 20:27:11 ""#, evening),
        (r#""0000-00-00 00:00:00""#, "null"),
        (r#""0000-00-00""#, "null"),
        (r#""0000-00-00T00:00:00Z""#, "null"),
        (r#""0000-00-00 00:00:00.000000""#, "null"),
        (r#""-0001-11-30 00:00:00""#, "null"),
        (r#""-0001-11-30T00:00:00+00:00""#, "null"),
        (r#""-0001-11-29 23:06:28""#, "null"),
        (r#""-0001-11-30""#, "null"),
        ("null", "null"),
        (r#""""#, "null"),
    ]);
    cannot_read::<Timestamp>(&[
        r#""2026-06-18""#,
        r#""2026-13-01 00:00:00""#,
        r#""2026-02-30 00:00:00""#,
        r#""2026-06-18 24:00:00""#,
        r#""2026-06-18T20:27:11.Z""#,
        r#""2026-06-18T20:27:11.0000000001Z""#,
        r#""2026-06-18T20:27:11+25:00""#,
        r#""+026-06-18T20:27:11Z""#,
        r#""0000-01-01T00:00:00+01:00""#,
        r#""now""#,
        r#""2026-06-1é 20:27:11""#,
        "1781814431",
    ]);
    cannot_read::<Timestamp>(&STRUCTURES);
}

#[test]
fn reads_php_date_objects() {
    let object = |date: &str, kind: u8, zone: &str| {
        let object = serde_json::json!({ "date": date, "timezone_type": kind, "timezone": zone });
        canonical::<Timestamp>(&object.to_string())
    };
    let evening = Ok(Value::from("2026-06-18T20:27:11Z"));
    for (date, kind, zone) in [
        ("2026-06-18 20:27:11.000000", 3, "UTC"),
        ("2026-06-18 20:27:11.000000", 3, "Etc/UTC"),
        ("2026-06-18 20:27:11", 2, "Z"),
        ("2026-06-18 20:27:11.000000", 1, "+00:00"),
        ("2026-06-18 22:27:11.000000", 1, "+02:00"),
    ] {
        assert_eq!(object(date, kind, zone), evening, "{date} {kind} {zone}");
    }
    assert_eq!(
        object("-0001-11-30 00:00:00.000000", 3, "UTC"),
        Ok(Value::Null)
    );
    for (date, kind, zone) in [
        ("2026-06-18 20:27:11.000000", 3, "Europe/Berlin"),
        ("2026-06-18 20:27:11.000000", 2, "CEST"),
        ("2026-06-18 20:27:11.000000", 1, "UTC"),
        ("2026-06-18 20:27:11.000000", 1, ""),
        ("2026-06-18 20:27:11.000000", 4, "UTC"),
        ("2026-06-18 20:27:11Z", 3, "UTC"),
        ("2026-06-18", 3, "UTC"),
        ("tomorrow", 3, "UTC"),
    ] {
        assert_eq!(
            object(date, kind, zone),
            Err(Timestamp::EXPECTS),
            "{date} {kind} {zone}"
        );
    }
    cannot_read::<Timestamp>(&[
        r#"{"date":"2026-06-18 20:27:11.000000"}"#,
        r#"{"date":7,"timezone_type":3,"timezone":"UTC"}"#,
        r#"{"date":"2026-06-18 20:27:11","timezone_type":3,"timezone":"UTC","timezone":"Z"}"#,
    ]);
}

proptest! {
    #[test]
    fn reads_the_same_amount_from_every_notation(
        mantissa in -10_i64.pow(15)..10_i64.pow(15),
        scale in 0_u32..=4,
    ) {
        let amount = Decimal::new(mantissa, scale);
        let mut padded = amount;
        padded.rescale(6);
        let number = canonical::<Money>(&amount.to_string());
        prop_assert_eq!(&number, &canonical::<Money>(&format!("\"{amount}\"")));
        prop_assert_eq!(&number, &canonical::<Money>(&format!("\"{padded}\"")));
        let text = number.unwrap();
        prop_assert_eq!(Decimal::from_str_exact(text.as_str().unwrap()).unwrap(), amount);
    }

    #[test]
    fn reads_the_same_timestamp_from_every_notation(
        second in -62_167_219_200_i64..253_402_300_799,
        hours in -12_i8..=14,
    ) {
        let moment = OffsetDateTime::from_unix_timestamp(second).unwrap();
        let utc = moment.format(&Rfc3339).unwrap();
        let mysql = utc.replace('T', " ").replace('Z', "");
        prop_assert_eq!(canonical::<Timestamp>(&format!("\"{mysql}\"")), Ok(utc.clone().into()));
        let there = moment.checked_to_offset(UtcOffset::from_hms(hours, 0, 0).unwrap());
        if let Some(there) = there.filter(|there| (0..=9999).contains(&there.year())) {
            let there = there.format(&Rfc3339).unwrap();
            prop_assert_eq!(canonical::<Timestamp>(&format!("\"{there}\"")), Ok(utc.into()));
        }
    }

    #[test]
    fn does_not_panic_on_any_string(text: String) {
        let json = serde_json::to_string(&text).unwrap();
        let _ = (canonical::<Id>(&json), canonical::<Text>(&json));
        let _ = (canonical::<Email>(&json), canonical::<Money>(&json));
        let _ = (canonical::<Timestamp>(&json), canonical::<Country>(&json));
        let _ = canonical::<Flag>(&json);
    }

    #[test]
    fn does_not_panic_on_text_that_resembles_a_date(
        date in "[0-9]{4}-[0-9]{2}-[0-9]{2}",
        time in "[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{0,12})?([Z+-][0-9:]{0,6})?",
    ) {
        let _ = canonical::<Timestamp>(&format!("\"{date}{time}\""));
    }
}
