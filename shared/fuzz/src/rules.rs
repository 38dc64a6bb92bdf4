//! Rules out of a text, applied to events.

use std::{sync::LazyLock, time::Duration};

use regex::Regex;
use serde_json::Value;
use shared::{
    Channel, Deadline,
    channel::Decision,
    event::{Event, ReadOptions},
    operation::{self, Operation},
    rules::{OPERATIONS_MAX, RULES_MAX, Rules},
};

use crate::{channels::NAMES, event::unsigned};

/// Bodies that every channel accepts: the spec's and the shop's.
static SAMPLES: [[&[u8]; 2]; NAMES.len()] = {
    macro_rules! samples {
        ($($channel:literal)*) => {
            [$([
                include_bytes!(concat!("../../../events/", $channel, "/ideal.body.json")).as_slice(),
                include_bytes!(concat!("../../../events/", $channel, "/default.body.json")).as_slice(),
            ]),*]
        };
    }
    samples!(
        "catalog_product_save_after"
        "checkout_cart_product_add_after"
        "customer_delete_after"
        "customer_save_after_data_object"
        "sales_order_invoice_pay"
        "sales_order_place_after"
        "sales_order_save_after"
        "sales_order_shipment_save_after"
    )
};

/// What the file's JSON Schema promises of a rule's name.
static NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("^[a-z0-9_-]{1,64}$").expect("it is an expression"));

/// Longer than the fuzzer waits, so that rules that take long are found and not cut short.
const BUDGET: Duration = Duration::from_mins(1);

/// Reads a rules file of a channel and, when it is right, applies it to the channel's samples and to `body`.
pub fn check<C: Channel>(text: &str, body: &[u8]) {
    let rules = match Rules::read::<C::Entity>(text) {
        Ok(rules) => rules,
        Err(problems) => {
            assert!(!problems.is_empty(), "a reason is given");
            return;
        }
    };
    let index = NAMES.iter().position(|name| *name == C::NAME);
    for sample in SAMPLES[index.expect("every channel is known")] {
        assert!(
            apply::<C>(&rules, sample),
            "a sample can be read throughout"
        );
    }
    apply::<C>(&rules, body);
}

/// Whether all rules could be evaluated.
fn apply<C: Channel>(rules: &Rules, body: &[u8]) -> bool {
    let body = unsigned(body).expect("it is small enough");
    let Ok(event) = Event::read::<C>(&body, ReadOptions::default()) else {
        return false;
    };
    let deadline = Deadline::new(BUDGET, 0, 0);
    let ruling = rules.apply(&event, deadline);
    assert_eq!(ruling, rules.apply(&event, deadline), "rules do not guess");
    let evaluated = ruling.unevaluated.is_empty();
    assert!(ruling.matched.len() + ruling.unevaluated.len() <= RULES_MAX);
    let mut names = ruling.matched.iter().chain(&ruling.unevaluated);
    assert!(names.all(|name| NAME.is_match(name)));
    let matched = !ruling.matched.is_empty();
    match ruling.decision {
        Decision::Refuse(refusal) => {
            assert!(matched || !evaluated);
            let message = refusal.message.clone();
            let answer = answer(&[Operation::from(refusal)]);
            assert_eq!(answer["op"], "exception");
            assert_eq!(answer["message"].as_str(), message.as_deref());
        }
        Decision::Accept(operations) => {
            assert_eq!(
                matched,
                !operations.is_empty(),
                "every rule has an operation"
            );
            assert!(operations.len() <= RULES_MAX * OPERATIONS_MAX);
            let answer = answer(&operations);
            match operations.len() {
                0 => assert_eq!(answer["op"], "success"),
                1 => check_change(&answer),
                count => {
                    let changes = answer.as_array().expect("several are a list");
                    assert_eq!(changes.len(), count);
                    changes.iter().for_each(check_change);
                }
            }
        }
    }
    evaluated
}

fn answer(operations: &[Operation]) -> Value {
    serde_json::from_str(&operation::body(operations)).expect("the answer is JSON")
}

/// Checks an operation that changes the event by what Commerce asks of it.
fn check_change(operation: &Value) {
    let path = operation["path"].as_str().expect("it has a path");
    assert!(["data", "result", "subject"].contains(&path.split('/').next().unwrap_or_default()));
    let value = operation.get("value");
    match operation["op"].as_str() {
        Some("add" | "replace") => assert!(value.is_some()),
        Some("remove") => assert!(value.is_none()),
        other => panic!("{other:?} changes nothing"),
    }
}
