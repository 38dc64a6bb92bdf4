//! Tests of which lines are asked about, and for what quantity.

use serde_json::{Value, json, value::to_raw_value};

use super::{CheckedLines, Question};
use crate::model::{Decode as _, Diagnostics, QuoteItem};

const NOT_ASKED: &str = "not asked";

/// Returns the quantity that the stock system is asked for, as text.
fn wanted_of(checked: CheckedLines, line: &Value) -> String {
    let original = to_raw_value(line).unwrap();
    let mut json = serde_json::Deserializer::from_str(original.get());
    let mut diagnostics = Diagnostics::new("/data/item", "quote_item", &[]);
    let item = QuoteItem::decode(&mut json, &mut diagnostics)
        .unwrap()
        .unwrap();
    match Question::about(&item, &original, checked) {
        Question::NotNeeded => NOT_ASKED.into(),
        Question::Wanted(None) => "unknown".into(),
        Question::Wanted(Some(qty)) => qty.0.to_string(),
    }
}

fn wanted(line: &Value) -> String {
    wanted_of(CheckedLines::NewOrRaised, line)
}

#[test]
fn asks_about_a_new_line() {
    let new = json!({"sku": "A", "qty": 3, "qty_to_add": 3, "previous_qty": null});
    assert_eq!(wanted(&new), "3");
    assert_eq!(wanted(&json!({"sku": "A", "qty": "2.5000"})), "2.5");
    assert_eq!(wanted(&json!({"item_id": null, "sku": "A", "qty": 1})), "1");
    for id in [json!(0), json!("0"), json!(false), json!("")] {
        let line = json!({"item_id": id, "sku": "A", "qty": 1});
        assert_eq!(wanted(&line), "1", "{line}");
    }
    assert_eq!(wanted(&json!({"sku": "A"})), "unknown");
    assert_eq!(wanted(&json!({"sku": "A", "qty": "many"})), "unknown");
    assert_eq!(wanted(&json!({"sku": "A", "qty": 0})), NOT_ASKED);
    assert_eq!(wanted(&json!({"sku": "A", "qty": -1})), NOT_ASKED);
}

#[test]
fn asks_about_a_saved_line_only_if_its_quantity_is_known_to_rise() {
    let saved = |qty, previous, added| {
        wanted(&json!({
            "item_id": "9", "sku": "A", "qty": qty, "previous_qty": previous, "qty_to_add": added,
        }))
    };
    let null = Value::Null;
    assert_eq!(saved(json!(5), json!("3.0000"), json!(2)), "5");
    assert_eq!(saved(json!(5), json!(3), null.clone()), "5");
    assert_eq!(saved(json!(3), json!(3), json!(2)), NOT_ASKED, "unchanged");
    assert_eq!(saved(json!(2), json!(3), json!(2)), NOT_ASKED, "lowered");
    assert_eq!(
        saved(json!(0), json!(3), null.clone()),
        NOT_ASKED,
        "removed"
    );
    // From older versions of the shop.
    assert_eq!(saved(json!(5), null.clone(), json!(2)), "5");
    assert_eq!(saved(json!(5), null.clone(), json!(0)), NOT_ASKED);
    assert_eq!(saved(json!(5), null.clone(), json!(-2)), NOT_ASKED);
    // The shop had set the quantity to zero, or has just saved the new line.
    assert_eq!(saved(json!(2), json!(0), json!(2)), NOT_ASKED, "edited");
    assert_eq!(
        saved(json!(2), null.clone(), json!(2)),
        NOT_ASKED,
        "saved again"
    );
    for unknown in [null.clone(), json!("x"), json!([]), json!({"a": 1})] {
        assert_eq!(saved(json!(5), unknown.clone(), unknown), NOT_ASKED);
    }
    assert_eq!(saved(json!("many"), json!(1), json!(1)), NOT_ASKED);
    assert_eq!(
        wanted(&json!({"item_id": "x9", "sku": "A", "qty": 1})),
        NOT_ASKED,
        "an id of another form is an id"
    );
}

#[test]
fn asks_about_a_configurable_product_once() {
    let parent = json!({
        "sku": "CAP-BLU", "product_type": "configurable", "qty": 2,
        "product": {"sku": "CAP", "stick_within_parent": null},
    });
    assert_eq!(wanted(&parent), "2");
    let by_product = json!({
        "sku": "CAP-BLU", "product_type": "simple", "qty": 1,
        "product": {"sku": "CAP-BLU", "parent_product_id": "7", "selection_id": null},
    });
    assert_eq!(wanted(&by_product), NOT_ASKED);
    let parent = json!({"product_type": "configurable", "qty": 2});
    let by_parent = json!({
        "sku": "CAP-BLU", "product_type": "simple", "qty": 1, "parent_item": parent,
    });
    assert_eq!(wanted(&by_parent), NOT_ASKED);
    let within = json!({
        "sku": "CAP-BLU", "qty": 1, "product": {"stick_within_parent": parent},
    });
    assert_eq!(wanted(&within), NOT_ASKED);
}

#[test]
fn asks_about_the_products_of_a_bundle_instead_of_the_bundle() {
    let bundle = json!({"sku": "SET-CAP-MUG", "product_type": "bundle", "qty": 4});
    for checked in [CheckedLines::NewOrRaised, CheckedLines::All] {
        assert_eq!(wanted_of(checked, &bundle), NOT_ASKED);
    }
    let child = |more: &Value| {
        let mut child = json!({"sku": "CAP", "product_type": "simple", "qty": 2});
        child
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        wanted(&child)
    };
    let product = json!({"parent_product_id": "7", "selection_id": "31"});
    assert_eq!(child(&json!({ "product": product })), "2");
    assert_eq!(child(&json!({"parent_item_id": "90"})), "2");
    assert_eq!(child(&json!({ "parent_item": bundle })), "8");
    let within = json!({"parent_product_id": "7", "stick_within_parent": bundle});
    assert_eq!(child(&json!({ "product": within })), "8");
    let saved = json!({"item_id": 91, "parent_item_id": 90, "product": product});
    assert_eq!(child(&saved), NOT_ASKED, "its quantity never changes");
    let huge = json!({"product_type": "bundle", "qty": "7e27"});
    assert_eq!(
        child(&json!({ "parent_item": huge })),
        "14000000000000000000000000000"
    );
    let too_large = json!({"product_type": "bundle", "qty": "7e28"});
    assert_eq!(child(&json!({ "parent_item": too_large })), "unknown");
}

#[test]
fn asks_about_every_line_if_the_shop_reports_only_additions() {
    let all = |line: &Value| wanted_of(CheckedLines::All, line);
    assert_eq!(all(&json!({"item_id": 9, "sku": "A", "qty": 5})), "5");
    assert_eq!(all(&json!({"sku": "A", "qty": 0})), "0");
    assert_eq!(all(&json!({"sku": "A"})), "unknown");
}

#[test]
fn what_cannot_be_read_counts_as_absent() {
    let line = r#"{"sku": "A", "qty": 1, "product": [], "parent_item": "x", "qty_to_add": [1],
        "qty_to_add": 2}"#;
    let original = serde_json::from_str::<Box<serde_json::value::RawValue>>(line).unwrap();
    let item = QuoteItem::decode(
        &mut serde_json::Deserializer::from_str(line),
        &mut Diagnostics::new("/data/item", "quote_item", &[]),
    );
    let question = Question::about(
        &item.unwrap().unwrap(),
        &original,
        CheckedLines::NewOrRaised,
    );
    assert!(matches!(question, Question::Wanted(Some(_))));
}
