use std::time::Duration;

use serde_json::{Value, json};

use crate::{channel::Channel, rules::tests::*};

/// Whether one condition holds for an event; `None` if it cannot be evaluated.
fn evaluates<C: Channel>(event: &Value, field: &str, operator: &str, value: Value) -> Option<bool> {
    let mut condition = json!({ "field": field, "operator": operator });
    if !value.is_null() {
        condition["value"] = value;
    }
    let rules =
        rules::<C>(&json!([{ "name": "one", "when": [condition], "then": { "op": "exception" } }]));
    let (_, matched, unevaluated) =
        apply_within::<C>(&rules, &event.to_string(), Duration::from_mins(1));
    unevaluated.is_empty().then_some(!matched.is_empty())
}

#[test]
fn compares_an_unreadable_value_as_the_text_that_was_sent() {
    let order = |field: &str, value: Value| {
        let mut order = json!({ "increment_id": "1" });
        order[field] = value;
        json!({ "order": order })
    };
    let of = evaluates::<Placed>;
    let email = order("customer_email", json!("n/a"));
    let field = "order.customer_email";
    assert_eq!(of(&email, field, "equal", json!("n/a")), Some(true));
    assert_eq!(of(&email, field, "notEqual", json!("n/a")), Some(false));
    assert_eq!(of(&email, field, "regex", json!("/^n/")), Some(true));
    assert_eq!(of(&email, field, "isEmpty", Value::Null), Some(false));
    assert_eq!(of(&email, field, "notEmpty", Value::Null), Some(true));

    let total = order("grand_total", json!("1,299.00"));
    let field = "order.grand_total";
    for operator in ["greaterThan", "lessThan", "equal", "notEqual"] {
        assert_eq!(of(&total, field, operator, json!(5)), None, "{operator}");
    }
    assert_eq!(of(&total, field, "isEmpty", Value::Null), Some(false));
    // The text is a number, although an id of the contract must be a whole number.
    let id = order("entity_id", json!(1.5));
    assert_eq!(
        of(&id, "order.entity_id", "greaterThan", json!(1)),
        Some(true)
    );
    assert_eq!(of(&id, "order.entity_id", "equal", json!(1.5)), Some(true));

    let date = order("created_at", json!("2026-06-18"));
    let field = "order.created_at";
    assert_eq!(of(&date, field, "regex", json!("/^2026-06/")), Some(true));
    assert_eq!(
        of(&date, field, "equal", json!("2026-06-18 00:00:00")),
        None
    );

    for structure in [json!(["a"]), json!({ "a": 1 })] {
        let email = order("customer_email", structure);
        assert_eq!(
            of(&email, "order.customer_email", "isEmpty", Value::Null),
            None
        );
    }
    let absent = order("customer_email", json!([]));
    assert_eq!(
        of(&absent, "order.customer_email", "isEmpty", Value::Null),
        Some(true)
    );
}

#[test]
fn compares_unreadable_values_in_lists_and_under_other_names() {
    let of = evaluates::<Placed>;
    let addresses = json!({ "order": { "increment_id": "1", "addresses": [
        { "address_type": "shipping", "country_id": "Germany" },
        { "country_id": "DE", "address_type": "billing" },
    ] } });
    let country = "order.shipping_address.country_id";
    assert_eq!(
        of(&addresses, country, "in", json!(["DE", "Germany"])),
        Some(true)
    );
    assert_eq!(of(&addresses, country, "equal", json!("DE")), Some(false));
    assert_eq!(
        of(
            &addresses,
            "order.billing_address.country_id",
            "equal",
            json!("DE")
        ),
        Some(true)
    );

    let items = json!({ "order": { "increment_id": "1", "items": [
        { "sku": "A", "price": "1,299.00" },
        { "sku": "B", "price": 5 },
        { "sku": "C" },
    ] } });
    let price = "order.items[].price";
    assert_eq!(
        of(&items, price, "equal", json!(5)),
        Some(true),
        "of the second"
    );
    assert_eq!(
        of(&items, price, "greaterThan", json!(5)),
        None,
        "perhaps the first"
    );
    assert_eq!(
        of(&items, price, "isEmpty", Value::Null),
        Some(true),
        "of the third"
    );
    assert_eq!(
        of(&items, "order.items[].sku", "equal", json!("Z")),
        Some(false)
    );
    let items = json!({ "order": { "increment_id": "1", "items": [{ "price": "1,299.00" }] } });
    assert_eq!(of(&items, price, "isEmpty", Value::Null), Some(false));

    let customer = json!({ "customer": { "id": "fifty-seven", "email": "zoe@shop.example" } });
    assert_eq!(
        evaluates::<CustomerSaved>(&customer, "customer.entity_id", "isEmpty", Value::Null),
        Some(false)
    );
}

#[test]
fn does_not_evaluate_a_field_below_or_computed_from_an_unreadable_one() {
    let of = evaluates::<Placed>;
    let event = json!({ "order": { "increment_id": "1", "payment": "checkmo", "items": "none", "grand_total": 5, "subtotal": "5,-" } });
    for field in [
        "order.payment.method",
        "order.items[].sku",
        "order.unexplained_total",
    ] {
        assert_eq!(of(&event, field, "isEmpty", Value::Null), None, "{field}");
    }
    assert_eq!(
        of(&event, "order.payment", "notEmpty", Value::Null),
        Some(true)
    );
    assert_eq!(
        of(&event, "order.grand_total", "equal", json!(5)),
        Some(true)
    );
}

#[test]
fn does_not_evaluate_a_total_with_an_unreadable_part() {
    let of = evaluates::<Placed>;
    let event = |tax: &str| json!({ "order": { "increment_id": "1", "grand_total": "12.00", "subtotal": 10, "tax_amount": tax, "customer_email": "n/a" } });
    let field = "order.unexplained_total";
    assert_eq!(of(&event("2.00"), field, "notEqual", json!(0)), Some(false));
    assert_eq!(of(&event("2,00"), field, "notEqual", json!(0)), None);
    assert_eq!(of(&event("2,00"), field, "notEmpty", Value::Null), None);
}

#[test]
fn does_not_evaluate_skipped_elements() {
    let of = evaluates::<Placed>;
    let order =
        |field: &str, value: Value| json!({ "order": { "increment_id": "1", field: value } });
    let items = order("items", json!(["x", { "sku": "A", "qty_ordered": 1 }]));
    assert_eq!(
        of(
            &items,
            "order.items[].qty_ordered",
            "greaterThan",
            json!(49)
        ),
        None
    );
    assert_eq!(
        of(&items, "order.items[].qty_ordered", "greaterThan", json!(0)),
        Some(true)
    );
    assert_eq!(
        of(&items, "order.items", "isEmpty", Value::Null),
        Some(false)
    );
    let none = order("items", json!(["x"]));
    assert_eq!(of(&none, "order.items", "isEmpty", Value::Null), None);

    let country = "order.shipping_address.country_id";
    for addresses in [
        json!("x"),
        json!(["x"]),
        json!([{ "country_id": "KP" }]),
        json!([{ "address_type": [1], "country_id": "KP" }]),
    ] {
        let event = order("addresses", addresses);
        assert_eq!(of(&event, country, "in", json!(["KP"])), None, "{event}");
        assert_eq!(
            of(&event, "order.shipping_address", "isEmpty", Value::Null),
            None,
            "{event}"
        );
    }
    let pickup = order(
        "addresses",
        json!([{ "address_type": "pickup", "country_id": "KP" }]),
    );
    assert_eq!(of(&pickup, country, "in", json!(["KP"])), Some(false));
    let known = order(
        "addresses",
        json!(["x", { "address_type": "shipping", "country_id": "DE" }]),
    );
    assert_eq!(of(&known, country, "in", json!(["KP"])), Some(false));
}

#[test]
fn compares_each_value_below_keys_that_are_not_ids() {
    let items = json!({ "_0": { "product_id": -5 }, "_1": { "product_id": -7 } });
    let event = json!({ "order": { "increment_id": "1", "items": items } });
    let field = "order.items[].product_id";
    assert_eq!(
        evaluates::<Placed>(&event, field, "equal", json!(-7)),
        Some(true)
    );
}

#[test]
fn does_not_evaluate_fields_with_unlisted_issues() {
    let items: Vec<_> = (0..150)
        .map(|_| json!({ "sku": "A", "price": "x" }))
        .collect();
    let event = json!({ "order": { "increment_id": "1", "items": items, "tax_amount": "x", "grand_total": 5, "subtotal": 5 } });
    let of = evaluates::<Placed>;
    assert_eq!(
        of(&event, "order.items[].price", "isEmpty", Value::Null),
        None
    );
    assert_eq!(of(&event, "order.tax_amount", "isEmpty", Value::Null), None);
    assert_eq!(
        of(&event, "order.unexplained_total", "notEqual", json!(0)),
        None
    );
    // Other fields are not affected.
    assert_eq!(
        of(&event, "order.customer_id", "isEmpty", Value::Null),
        Some(true)
    );
    assert_eq!(
        of(&event, "order.customer_id", "equal", json!(3)),
        Some(false)
    );
    assert_eq!(
        of(&event, "order.increment_id", "equal", json!("2")),
        Some(false)
    );
}

#[test]
fn ignores_an_address_that_is_not_in_the_message() {
    let of = evaluates::<Placed>;
    let country = "order.shipping_address.country_id";
    for order in [
        json!({ "shipping_address": { "country_id": "US" }, "addresses": [{ "address_type": "shipping", "country_id": "USA" }] }),
        json!({ "shipping_address": { "country_id": "USA" }, "addresses": [{ "address_type": "shipping", "country_id": "US" }] }),
    ] {
        let mut order = order;
        order["increment_id"] = "1".into();
        let event = json!({ "order": order });
        assert_eq!(
            of(&event, country, "in", json!(["USA"])),
            Some(false),
            "{event}"
        );
        assert_eq!(
            of(&event, country, "in", json!(["US"])),
            Some(true),
            "{event}"
        );
    }
    let customer = json!({ "customer": { "id": "x", "entity_id": 5 } });
    assert_eq!(
        evaluates::<CustomerSaved>(&customer, "customer.entity_id", "equal", json!(6)),
        Some(false)
    );
}
