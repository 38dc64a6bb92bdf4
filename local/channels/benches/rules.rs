//! Time to apply rules, compared with the time to read the event, for an order of 10 KB; rules that
//! check each item, for each size. Run by `make bench-steps`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark may panic"
)]

mod common;

use std::time::Duration;

use channels::SalesOrderPlaceAfter;
use common::{SIZES, order, verified};
use divan::{Bencher, black_box, counter::BytesCount};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use shared::{
    Deadline,
    event::{Event, ReadOptions},
    rules::{Mode, Rules},
};

/// The size of an order with a few items.
const BYTES: usize = 10_000;

fn main() {
    let divan = divan::Divan::default().sample_count(1000);
    divan.config_with_args().main();
}

/// Returns 50 rules that never match, so that each of them is evaluated.
fn rules(conditions: impl Fn(usize) -> Value) -> Rules {
    let rules: Vec<Value> = (0..50)
        .map(|index| {
            json!({
                "name": format!("rule-{index}"),
                "when": conditions(index),
                "then": { "op": "exception", "message": "No" },
            })
        })
        .collect();
    Rules::read::<SalesOrderPlaceAfter>(&json!({ "rules": rules }).to_string())
        .expect("the rules are valid")
}

fn apply(bencher: Bencher<'_, '_>, rules: &Rules, bytes: usize) {
    let body = order(bytes);
    let body = verified(&body);
    let event = Event::read::<SalesOrderPlaceAfter>(&body, ReadOptions::default())
        .expect("the sample is valid");
    bencher.bench_local(|| {
        let deadline = Deadline::new(Duration::from_secs(5), 0, 0);
        let ruling = rules
            .in_mode(Mode::Enforce)
            .apply(black_box(&event), deadline);
        assert!(ruling.matched.is_empty() && ruling.unevaluated.is_empty());
    });
}

#[divan::bench]
fn read_the_event_without_rules(bencher: Bencher<'_, '_>) {
    let body = order(BYTES);
    bencher.bench_local(|| {
        let body = verified(black_box(&body));
        black_box(
            Event::read::<SalesOrderPlaceAfter>(&body, ReadOptions::default())
                .map(|event| event.id),
        )
        .expect("the sample is valid");
    });
}

#[divan::bench]
fn no_rules(bencher: Bencher<'_, '_>) {
    apply(bencher, &Rules::default(), BYTES);
}

/// Three conditions for each rule, as in the example rules. The last one fails.
#[divan::bench]
fn fifty_rules_on_the_contract(bencher: Bencher<'_, '_>) {
    let rules = rules(|index| {
        json!([
            { "field": "order.customer_is_guest", "operator": "equal", "value": 1 },
            { "field": "order.grand_total", "operator": "lessThan", "value": 10_000 + index },
            { "field": "order.shipping_address.country_id", "operator": "in", "value": ["AT", "DE"] },
        ])
    });
    apply(bencher, &rules, BYTES);
}

/// Each rule checks each item of the order.
#[divan::bench(args = SIZES)]
fn fifty_rules_on_items(bencher: Bencher<'_, '_>, bytes: usize) {
    let rules = rules(|index| {
        json!([
            { "field": "order.grand_total", "operator": "greaterThan", "value": 1 },
            { "field": "order.items[].sku", "operator": "equal", "value": format!("SKU-{index}") },
        ])
    });
    apply(bencher.counter(BytesCount::new(bytes)), &rules, bytes);
}

/// Each rule compares two fields of the contract.
#[divan::bench]
fn fifty_rules_with_two_fields(bencher: Bencher<'_, '_>) {
    let rules = rules(|_| {
        json!([
            { "field": "order.grand_total", "operator": "greaterThan", "value": 1 },
            { "field": "order.shipping_address.country_id", "operator": "notEqual", "valueField": "order.billing_address.country_id" },
        ])
    });
    apply(bencher, &rules, BYTES);
}

/// Each rule counts the items, and adds up their quantities.
#[divan::bench]
fn fifty_rules_with_a_count_or_a_sum(bencher: Bencher<'_, '_>) {
    let rules = rules(|index| {
        json!([{ "any": [
            { "count": "order.items[]", "operator": "greaterThan", "value": 1000 + index },
            { "sum": "order.items[].qty_ordered", "operator": "greaterThan", "value": 10_000 + index },
        ] }])
    });
    apply(bencher, &rules, BYTES);
}

/// Each rule has two conditions on the same item.
#[divan::bench]
fn fifty_rules_on_the_same_item(bencher: Bencher<'_, '_>) {
    let rules = rules(|index| {
        json!([{ "element": "order.items[]", "all": [
            { "field": "sku", "operator": "startsWith", "value": format!("X-{index}") },
            { "field": "qty_ordered", "operator": "greaterThanOrEqual", "value": index },
        ] }])
    });
    apply(bencher, &rules, BYTES);
}

/// Each rule has a regular expression.
#[divan::bench]
fn fifty_rules_with_a_regex(bencher: Bencher<'_, '_>) {
    let rules = rules(|index| {
        json!([
            { "field": "order.grand_total", "operator": "greaterThan", "value": 1 },
            { "field": "order.shipping_address.postcode", "operator": "regex", "value": format!("/^{index}[0-9]+x$/") },
        ])
    });
    apply(bencher, &rules, BYTES);
}

/// Fields outside the contract: the order is parsed once for all of them.
#[divan::bench(args = SIZES)]
fn fifty_rules_on_fields_outside_the_contract(bencher: Bencher<'_, '_>, bytes: usize) {
    let fields = [
        "coupon_code",
        "weight",
        "quote_id",
        "remote_ip",
        "items[].weight",
    ];
    let rules = rules(|index| {
        json!([
            { "field": "order.grand_total", "operator": "greaterThan", "value": 1 },
            { "field": format!("order.{}", fields[index % fields.len()]), "operator": "equal", "value": format!("{index}x") },
        ])
    });
    apply(bencher.counter(BytesCount::new(bytes)), &rules, bytes);
}

/// The minimum for fields outside the contract: the JSON parser skips the same bytes.
#[divan::bench]
fn skip_the_json(bencher: Bencher<'_, '_>) {
    let body = order(BYTES);
    let body = verified(&body);
    let event = Event::read::<SalesOrderPlaceAfter>(&body, ReadOptions::default())
        .expect("the sample is valid");
    bencher.bench_local(|| {
        let passed: Result<IgnoredAny, _> = serde_json::from_str(black_box(event.original.get()));
        passed.expect("it was read before");
    });
}
