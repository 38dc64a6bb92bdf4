//! Tests of the settings, the URL, the answers and the circuit breaker.

use std::time::Instant;

use super::{
    CheckedLines, GRAPHQL_EXCEPTION, MESSAGE, Stock, TIMEOUT, WhenUnknown,
    breaker::{Breaker, PAUSE},
    client::{SKU_BYTES_MAX, check_url, is_enough, product_url},
};
use crate::{environment::Environment, model::scalar::Number};

const URL: (&str, &str) = ("STOCK_URL", "https://erp.example/stock/{sku}");
const ALLOW: (&str, &str) = ("STOCK_WHEN_UNKNOWN", "allow");

fn configure(variables: &[(&str, &str)]) -> Result<Option<Stock>, Vec<String>> {
    configure_for(CheckedLines::NewOrRaised, variables)
}

fn configure_for(
    checked: CheckedLines,
    variables: &[(&str, &str)],
) -> Result<Option<Stock>, Vec<String>> {
    let find = |name: &str| {
        let known = variables.iter().find(|(known, _)| *known == name);
        known.map(|(_, value)| (*value).to_owned())
    };
    let mut environment = Environment::new(&find);
    let stock = Stock::configure(&mut environment, checked);
    let errors = environment.into_errors();
    if errors.is_empty() {
        Ok(stock)
    } else {
        Err(errors.iter().map(ToString::to_string).collect())
    }
}

fn number(text: &str) -> Number {
    Number::from_value(&text.into()).unwrap()
}

#[test]
fn does_not_check_the_stock_without_a_url() {
    assert!(configure(&[]).unwrap().is_none());
    assert!(
        configure(&[("STOCK_URL", " "), ("STOCK_TIMEOUT_MS", "x")])
            .unwrap()
            .is_none()
    );
}

#[test]
fn reads_settings_and_their_defaults() {
    let stock = configure(&[URL, ALLOW]).unwrap().unwrap();
    assert_eq!(
        (
            stock.timeout,
            stock.refusal.message.as_deref(),
            &*stock.client.pointer
        ),
        (TIMEOUT, Some(MESSAGE), "")
    );
    let settings = [
        URL,
        ("STOCK_WHEN_UNKNOWN", "refuse"),
        ("STOCK_TIMEOUT_MS", "300"),
        ("STOCK_MESSAGE", "Sold out"),
        ("STOCK_POINTER", "/items/0/qty"),
    ];
    let stock = configure(&settings).unwrap().unwrap();
    assert_eq!(stock.when_unknown, WhenUnknown::Refuse);
    assert_eq!(
        (
            stock.timeout.as_millis(),
            stock.refusal.message.as_deref(),
            &*stock.client.pointer
        ),
        (300, Some("Sold out"), "/items/0/qty")
    );
}

#[test]
fn a_line_that_is_saved_on_any_storefront_is_refused_with_an_exception_of_graphql() {
    let class = |checked, variables: &[_]| {
        let stock = configure_for(checked, &[&[URL, ALLOW], variables].concat());
        stock.map(|stock| stock.unwrap().refusal.class)
    };
    let own = [("STOCK_EXCEPTION_TYPE", r"Acme\Stock_2\SoldOut")];
    let saved = CheckedLines::NewOrRaised;
    assert_eq!(class(saved, &[]).unwrap().unwrap(), GRAPHQL_EXCEPTION);
    assert_eq!(class(saved, &own).unwrap().unwrap(), own[0].1);
    assert_eq!(class(CheckedLines::All, &own), Ok(None));
    for wrong in [
        "Sold out",
        "2",
        r"A\\B",
        r"A\",
        "A-B",
        "Ä",
        &"x".repeat(201),
    ] {
        let expected = format!(
            "STOCK_EXCEPTION_TYPE: must be the name of a PHP class, as in {GRAPHQL_EXCEPTION}"
        );
        let errors = class(saved, &[("STOCK_EXCEPTION_TYPE", wrong)]);
        assert_eq!(errors, Err(vec![expected]), "{wrong}");
    }
}

#[test]
fn reports_all_errors_at_once() {
    let wrong = [
        ("STOCK_URL", "http://erp.example/{sku}"),
        ("STOCK_POINTER", "qty"),
        ("STOCK_WHEN_UNKNOWN", "perhaps"),
        ("STOCK_TIMEOUT_MS", "0"),
    ];
    let expected = [
        "STOCK_URL: must begin with https://",
        "STOCK_POINTER: must be a JSON pointer, as in /stock/qty",
        "STOCK_WHEN_UNKNOWN: must be allow or refuse: the decision if the stock system does not answer",
        "STOCK_TIMEOUT_MS: must be a number of milliseconds from 10 to 20000",
    ];
    assert_eq!(configure(&wrong).unwrap_err(), expected);
}

#[test]
fn requires_a_url_with_a_fixed_host_and_the_sku() {
    for good in [
        "https://erp.example/stock/{sku}",
        "https://erp.example:8443/stock?sku={sku}&site=1",
        "http://127.0.0.1:8080/{sku}",
        "http://localhost/{sku}",
        "http://[::1]:80/{sku}",
    ] {
        assert_eq!(check_url(good), Ok(()), "{good}");
    }
    for bad in [
        "https://erp.example/stock",
        "https://{sku}.example/",
        "https://erp.example{sku}/",
        "https://erp.example:80{sku}/",
        "https://user:hush@erp.example/{sku}",
        "http://erp.example/{sku}",
        "http://127.0.0.1.example/{sku}",
        "ftp://erp.example/{sku}",
        "/stock/{sku}",
        "erp.example/{sku}",
        "https://erp.example/a b/{sku}",
        "https://erp.example/../{sku}",
        "https://erp.example/a/%2e%2E/{sku}",
        "{sku}",
    ] {
        assert!(check_url(bad).is_err(), "{bad}");
    }
}

#[test]
fn percent_encodes_a_sku_in_the_url() {
    let url = |sku: &str| {
        product_url("https://erp.example/stock/{sku}?site=1", sku)
            .unwrap()
            .to_string()
    };
    assert_eq!(url("CAP-77_b"), "https://erp.example/stock/CAP-77_b?site=1");
    assert_eq!(
        url("../../x"),
        "https://erp.example/stock/%2E%2E%2F%2E%2E%2Fx?site=1"
    );
    assert_eq!(
        url("a?b#c@d é{sku}"),
        "https://erp.example/stock/a%3Fb%23c%40d%20%C3%A9%7Bsku%7D?site=1"
    );
    assert!(product_url("https://erp.example/{sku}", &"x".repeat(SKU_BYTES_MAX + 1)).is_none());
}

#[test]
fn rejects_a_sku_that_is_a_dot_segment() {
    for sku in [".", ".."] {
        for template in [
            "https://erp.example/{sku}",
            "https://erp.example/stock/{sku}/qty?site=1",
            "https://erp.example/stock/{sku}",
        ] {
            assert!(product_url(template, sku).is_none(), "{template} {sku}");
        }
        assert!(product_url("https://erp.example/stock?sku={sku}", sku).is_some());
        assert!(product_url("https://erp.example/stock/sku-{sku}", sku).is_some());
    }
    assert!(product_url("https://erp.example/.{sku}", ".").is_none());
    for sku in ["...", ".a", " ..", "../..", "%2e"] {
        assert!(
            product_url("https://erp.example/{sku}", sku).is_some(),
            "{sku}"
        );
    }
}

#[test]
fn reads_a_quantity_or_a_boolean_from_an_answer() {
    let enough = |json: &str, pointer: &str| is_enough(json.as_bytes(), pointer, number("2"));
    assert_eq!(enough("2", ""), Some(true));
    assert_eq!(enough("1.9999", ""), Some(false));
    assert_eq!(enough("\"2.0000\"", ""), Some(true));
    assert_eq!(enough("-1", ""), Some(false));
    assert_eq!(enough("true", ""), Some(true));
    assert_eq!(
        enough(r#"{"items":[{"in/stock":false}]}"#, "/items/0/in~1stock"),
        Some(false)
    );
    for invalid in [
        "",
        "null",
        "{}",
        "[]",
        "\"\"",
        "\"many\"",
        "1e999",
        "NaN",
        "<html>",
        "2 2",
        "\u{feff}2",
    ] {
        assert_eq!(enough(invalid, ""), None, "{invalid}");
    }
    assert_eq!(enough(r#"{"qty":5}"#, "/quantity"), None);
}

#[test]
fn opens_the_circuit_breaker_after_consecutive_failures() {
    let breaker = Breaker::default();
    let later = || breaker.opened.set(Instant::now().checked_sub(PAUSE));
    breaker.record(true);
    breaker.record(true);
    assert!(!breaker.is_open());
    breaker.record(false);
    breaker.record(true);
    breaker.record(true);
    assert!(!breaker.is_open(), "an answer resets the count");
    breaker.record(true);
    assert!(breaker.is_open());
    later();
    assert!(
        !breaker.is_open(),
        "after the pause, one request is a trial"
    );
    breaker.record(true);
    assert!(breaker.is_open(), "a failed trial opens it again");
    later();
    breaker.record(false);
    breaker.record(true);
    assert!(!breaker.is_open(), "an answer closes it");
}
