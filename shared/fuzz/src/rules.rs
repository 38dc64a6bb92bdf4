//! Reads rules from a text and applies them to events.

use std::{collections::BTreeMap, fs, path::Path, sync::LazyLock, time::Duration};

use channels::NAMES;
use regex::Regex;
use serde_json::Value;
use shared::{
    Channel, Deadline,
    channel::Decision,
    event::{Event, ReadOptions},
    operation::{self, Operation},
    rules::{Mode, OPERATIONS_MAX, RULES_MAX, RuleSet, Rules},
    verify::Shop,
};

use crate::event::unsigned;

/// Two valid bodies for each channel: the one of the spec and the one of a shop.
static SAMPLES: LazyLock<BTreeMap<&str, [Vec<u8>; 2]>> = LazyLock::new(|| {
    let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events");
    let read = |channel: &&'static str| {
        let samples = ["ideal", "default"].map(|case| {
            let body = fs::read(events.join(channel).join(format!("{case}.body.json")));
            body.expect("each channel has the sample")
        });
        (*channel, samples)
    };
    NAMES.iter().map(read).collect()
});

/// The pattern of a rule's name in the JSON Schema of rules files.
static NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("^[a-z0-9_-]{1,64}$").expect("the pattern is valid"));

/// A shop with a name of its own.
static SHOP: LazyLock<Shop> = LazyLock::new(|| Shop {
    name: "eu".to_owned(),
    source: "https://eu.example".to_owned(),
});

/// Longer than the timeout of the fuzzer, so that the fuzzer reports slow rules.
const BUDGET: Duration = Duration::from_mins(1);

/// Reads a rules file of a channel. If it is valid, applies it to the channel's samples and to
/// `body`.
pub fn check<C: Channel>(text: &str, body: &[u8]) {
    let rules = match Rules::read::<C>(text) {
        Ok(rules) => rules,
        Err(errors) => {
            assert!(!errors.is_empty(), "an error has a reason");
            return;
        }
    };
    // A sum of texts has no value, and an object cannot be compared with.
    let can_be_unknown = ["\"sum\"", "\"valueField\"", "\\u"]
        .iter()
        .any(|part| text.contains(part));
    for rules in [Mode::Enforce, Mode::Observe].map(|mode| rules.in_mode(mode)) {
        for (sample, shop) in SAMPLES[C::NAME].iter().zip([None, Some(&*SHOP)]) {
            assert!(
                apply::<C>(rules, sample, shop) || can_be_unknown,
                "each rule can be evaluated on a sample"
            );
        }
        apply::<C>(rules, body, Some(&SHOP));
    }
}

/// Applies the rules to a body of a shop, and returns whether all of them could be evaluated.
fn apply<C: Channel>(rules: &RuleSet, body: &[u8], shop: Option<&Shop>) -> bool {
    let body = unsigned(body).expect("the body is small enough");
    let Ok(mut event) = Event::read::<C>(&body, ReadOptions::default()) else {
        return false;
    };
    event.shop = shop;
    let deadline = Deadline::new(BUDGET, 0, 0);
    let ruling = rules.apply(&event, deadline);
    assert_eq!(
        ruling,
        rules.apply(&event, deadline),
        "the same event gives the same result"
    );
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
            let has_effect = !operations.is_empty() || !ruling.forward;
            assert!(matched || !has_effect, "only a rule changes an event");
            assert!(operations.len() <= RULES_MAX * OPERATIONS_MAX);
            let answer = answer(&operations);
            match operations.len() {
                0 => assert_eq!(answer["op"], "success"),
                1 => check_change::<C>(&answer),
                count => {
                    let changes = answer.as_array().expect("several operations are a list");
                    assert_eq!(changes.len(), count);
                    changes.iter().for_each(check_change::<C>);
                }
            }
        }
    }
    evaluated
}

fn answer(operations: &[Operation]) -> Value {
    serde_json::from_str(&operation::body(operations)).expect("the answer is JSON")
}

/// Checks an operation that changes the event against the documentation of Commerce.
fn check_change<C: Channel>(operation: &Value) {
    let path = operation["path"]
        .as_str()
        .expect("the operation has a path");
    let root = path.split('/').next().unwrap_or_default();
    assert!(C::METHOD.starts_with("plugin.") || ["data", "result"].contains(&root));
    let value = operation.get("value");
    match operation["op"].as_str() {
        Some("add" | "replace") => assert!(value.is_some()),
        Some("remove") => assert!(value.is_none()),
        other => panic!("{other:?} is no change"),
    }
}
