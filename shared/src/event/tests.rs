use serde_json::{Value, json};

use super::*;
use crate::{
    model::{Customer, ELEMENTS_MAX, IssueKind, Order, QuoteItem, Shipment},
    request::body::Unverified,
    verify::{Keys, Signatures},
};

struct Placed;
impl Channel for Placed {
    const NAME: &str = "sales_order_place_after";
    const IDENTITY: &[&[&str]] = &[&["increment_id"], &["entity_id"]];
    const EXPECTED: &[&str] = &["items", "items[].sku", "items[].qty_ordered"];
    const ONCE: bool = true;
    type Entity = Order;
}

struct Saved;
impl Channel for Saved {
    const NAME: &str = "sales_order_save_after";
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["increment_id"]];
    const EXPECTED: &[&str] = &[];
    type Entity = Order;
}

struct CustomerSaved;
impl Channel for CustomerSaved {
    const NAME: &str = "customer_save_after_data_object";
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["email", "website_id"]];
    const EXPECTED: &[&str] = &["entity_id", "email"];
    type Entity = Customer;
}

struct Added;
impl Channel for Added {
    const NAME: &str = "checkout_cart_product_add_after";
    const IDENTITY: &[&[&str]] = &[&["sku"]];
    const EXPECTED: &[&str] = &[];
    type Entity = QuoteItem;
}

struct Shipped;
impl Channel for Shipped {
    const NAME: &str = "sales_order_shipment_save_after";
    const IDENTITY: &[&[&str]] = &[&["entity_id"]];
    const EXPECTED: &[&str] = &["items[].qty"];
    type Entity = Shipment;
}

fn verified(text: &str) -> Verified<'_> {
    let body = Unverified::new(text.as_bytes()).unwrap();
    body.verify(&Keys::AcceptUnsigned, Signatures::default())
        .unwrap()
}

fn options(request_id: &str) -> ReadOptions<'_> {
    ReadOptions {
        request_id,
        ..ReadOptions::default()
    }
}

/// What an event gives: its id, its entity, its original and what came beside it.
fn read<C: Channel>(
    body: &str,
    request_id: &str,
) -> Result<(Uuid, Value, String, Vec<String>), Failure> {
    let body =
        Unverified::new(body.as_bytes())?.verify(&Keys::AcceptUnsigned, Signatures::default())?;
    let event = Event::read::<C>(&body, options(request_id))?;
    let related = event
        .related
        .iter()
        .map(|(name, _)| name.to_string())
        .collect();
    Ok((
        event.id,
        serde_json::to_value(&event.entity).unwrap(),
        event.original.get().to_owned(),
        related,
    ))
}

/// The issues of an event: pointer, field, kind, whether it is expected, and what is.
fn issues<C: Channel>(body: &Value) -> Vec<(String, String, IssueKind, bool, &'static str)> {
    let body = body.to_string();
    let body = verified(&body);
    let event = Event::read::<C>(&body, ReadOptions::default()).unwrap();
    let issues = event.issues.list.into_iter();
    issues
        .map(|issue| {
            (
                issue.pointer,
                issue.field,
                issue.kind,
                issue.expected,
                issue.detail,
            )
        })
        .collect()
}

/// The same, in short: the pointers of what is unreadable or skipped.
fn unreadable<C: Channel>(body: &Value) -> Vec<String> {
    let issues = issues::<C>(body).into_iter();
    issues
        .filter(|(_, _, kind, ..)| *kind != IssueKind::Missing)
        .map(|(pointer, ..)| pointer)
        .collect()
}

fn entity<C: Channel>(body: &Value) -> Value {
    read::<C>(&body.to_string(), "").unwrap().1
}

fn wrong<C: Channel>(body: &Value) -> Vec<(String, &'static str)> {
    match read::<C>(&body.to_string(), "") {
        Err(Failure::Invalid { violations, .. }) => violations
            .into_iter()
            .map(|Violation { pointer, detail }| (pointer, detail))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_four_shapes_hold_the_same_order() {
    let order = json!({ "increment_id": "000000123" });
    let shapes = [
        json!({ "merchant_id": "m", "environment_id": "e", "event": "observer.sales_order_place_after", "event_id": "3f1c1d8e-7b1a-4c55-9d3e-2f0a6b7c8d9e", "data": { "order": order } }),
        json!({ "order": order }),
        json!({ "eventName": "sales_order_place_after", "subject": [], "result": null, "data": { "order": order, "data_object": order } }),
        json!({ "data": { "order": order } }),
        json!({ "data": { "data_object": order } }),
        json!({ "data": { "order": null, "data_object": order } }),
        json!({ "data": { "order": false, "data_object": order } }),
        json!({ "data": "", "order": order }),
        json!({ "data": [], "order": order }),
        json!({ "event": null, "order": order }),
    ];
    for shape in &shapes {
        let (_, entity, original, related) = read::<Placed>(&shape.to_string(), "").unwrap();
        assert_eq!(
            (entity, original),
            (order.clone(), order.to_string()),
            "{shape}"
        );
        assert_eq!(related, Vec::<String>::new(), "{shape}");
    }
}

#[test]
fn the_original_is_untouched_and_what_came_beside_it_is_kept() {
    let body = r#"{"data":{"orig_customer_data_object":null,"customer_data_object":{"id":"57", "email":"zoe@shop.example","x":[1.50,"\u00eb\/"]},"delegate_data":[]},"extra":{"a":1}}"#;
    let (_, entity, original, related) = read::<CustomerSaved>(body, "").unwrap();
    assert_eq!(
        entity,
        json!({ "entity_id": 57, "email": "zoe@shop.example" })
    );
    assert_eq!(
        original,
        r#"{"id":"57", "email":"zoe@shop.example","x":[1.50,"\u00eb\/"]}"#
    );
    assert_eq!(
        related,
        ["orig_customer_data_object", "delegate_data", "extra"]
    );
}

#[test]
fn a_second_copy_that_differs_is_kept() {
    let body = json!({ "data": { "order": { "increment_id": "1" }, "data_object": { "increment_id": "1", "more": 1 } } });
    assert_eq!(
        read::<Placed>(&body.to_string(), "").unwrap().3,
        ["data_object"]
    );
}

#[test]
fn the_name_in_the_body_must_be_the_routes() {
    let named = |key: &str, name: Value| {
        let mut body = json!({ "order": { "increment_id": "1" } });
        body[key] = name;
        read::<Placed>(&body.to_string(), "").err()
    };
    for key in ["event", "eventName"] {
        for nothing in [json!(""), json!(false), json!([]), json!(null)] {
            assert_eq!(named(key, nothing), None);
        }
        assert_eq!(named(key, json!("observer.sales_order_place_after")), None);
        assert_eq!(named(key, json!("sales_order_place_after")), None);
        for other in [
            json!("observer.sales_order_save_after"),
            json!("plugin.sales_order_place_after"),
            json!(true),
            json!(7),
        ] {
            assert_eq!(named(key, other), Some(Failure::WrongEvent));
        }
    }
}

#[test]
fn what_is_no_json_object_is_no_event() {
    for body in [
        "",
        " ",
        "null",
        "[]",
        "7",
        "\"x\"",
        "{",
        "{}}",
        "{'a':1}",
        "{\"a\":1,}",
        "{\"a\":NaN}",
        "\u{feff}{}",
        "{\"a\":\"\n\"}",
    ] {
        assert_eq!(
            read::<Placed>(body, "").unwrap_err(),
            Failure::NotJson,
            "{body:?}"
        );
    }
    let body = Unverified::new(&b"{\"order\":\"\xff\"}"[..]).unwrap();
    let body = body
        .verify(&Keys::AcceptUnsigned, Signatures::default())
        .unwrap();
    assert_eq!(
        Event::read::<Placed>(&body, ReadOptions::default()).unwrap_err(),
        Failure::NotJson
    );
}

#[test]
fn an_event_without_its_entity_is_invalid() {
    for body in [
        json!({}),
        json!({ "data": null }),
        json!({ "data": { "order": [] } }),
        json!({ "data": {} }),
    ] {
        assert_eq!(
            wrong::<Placed>(&body),
            [("/data/order".to_owned(), "is required")],
            "{body}"
        );
    }
    assert_eq!(
        wrong::<Placed>(&json!({ "order": "x" })),
        [("/order".to_owned(), "must be an object")]
    );
    assert_eq!(
        wrong::<Placed>(&json!({ "order": [1] })),
        [("/order".to_owned(), "must be an object")]
    );
}

#[test]
fn data_is_an_object_or_nothing() {
    let read = |data: &str| {
        let body = format!(r#"{{"data":{data},"order":{{"increment_id":"1"}}}}"#);
        read::<Placed>(&body, "").map(|(_, entity, ..)| entity)
    };
    for data in ["null", "{}", "[]", "[ \n]", r#"{"a":[1e999,"\ud800"]}"#] {
        assert_eq!(read(data), Ok(json!({ "increment_id": "1" })), "{data}");
    }
    // What is JSON but cannot be read is not an object, either.
    for data in [
        "7",
        "-7",
        "0.5",
        "true",
        "1e999",
        "[1]",
        "[1e999]",
        "[[]]",
        r#""order""#,
        r#""\ud800""#,
        r#"{"\ud800":1}"#,
    ] {
        let expected = one_violation("/data", "must be an object");
        assert_eq!(read(data), Err(expected), "{data}");
    }
    for data in ["", "nul", "{", "[1", "[1,]", r#"{"a":}"#, r#"{"a":1,}"#] {
        assert_eq!(read(data), Err(Failure::NotJson), "{data}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one event with everything")]
fn what_cannot_be_read_is_absent_and_an_issue() {
    use IssueKind::{Missing, Skipped, Unreadable};
    let body = json!({
        "event_id": ["secret-1"],
        "merchant_id": { "secret-2": 1 },
        "data": { "order": {
            "entity_id": "secret-3",
            "increment_id": "1",
            "customer_email": "secret-4",
            "customer_is_guest": 2,
            "grand_total": "abc",
            "created_at": "secret-5",
            "order_currency_code": "secret-6",
            "items": [{ "sku": "A", "qty_ordered": "x" }, { "name": "B" }, null, "secret-7", [], { "sku": "C", "qty_ordered": 1 }],
            "addresses": {
                "998": { "country_id": "USA", "address_type": "billing" },
                "secret-8": { "address_type": "shipping", "country_id": "USA", "city": "Town", "region": { "region": [1], "region_code": true } },
                "999": { "address_type": "secret-9", "country_id": "USA" },
            },
            "payment": 5,
        } },
    });
    let number = "must be a decimal number, or a string that holds one";
    let country = "must be a country code of two letters (ISO 3166-1)";
    let expected = [
        (
            "/data/order/addresses/998/country_id",
            "order.billing_address.country_id",
            Unreadable,
            false,
            country,
        ),
        (
            "/data/order/addresses/999",
            "order.addresses[]",
            Skipped,
            false,
            "has another type than billing and shipping",
        ),
        (
            "/data/order/addresses",
            "order.shipping_address.country_id",
            Unreadable,
            false,
            country,
        ),
        (
            "/data/order/addresses",
            "order.shipping_address.region",
            Unreadable,
            false,
            "must be a string",
        ),
        (
            "/data/order/addresses",
            "order.shipping_address.region_code",
            Unreadable,
            false,
            "must be a string",
        ),
        (
            "/data/order/created_at",
            "order.created_at",
            Unreadable,
            false,
            "must be a date and time, as 2026-06-18 20:27:11 or in ISO 8601",
        ),
        (
            "/data/order/customer_email",
            "order.customer_email",
            Unreadable,
            false,
            "must be an email address",
        ),
        (
            "/data/order/customer_is_guest",
            "order.customer_is_guest",
            Unreadable,
            false,
            "must be 0 or 1",
        ),
        (
            "/data/order/entity_id",
            "order.entity_id",
            Unreadable,
            false,
            "must be a whole number, not negative",
        ),
        (
            "/data/order/grand_total",
            "order.grand_total",
            Unreadable,
            false,
            number,
        ),
        (
            "/data/order/items/0/qty_ordered",
            "order.items[].qty_ordered",
            Unreadable,
            true,
            number,
        ),
        (
            "/data/order/items/1/sku",
            "order.items[].sku",
            Missing,
            true,
            "is missing",
        ),
        (
            "/data/order/items/1/qty_ordered",
            "order.items[].qty_ordered",
            Missing,
            true,
            "is missing",
        ),
        (
            "/data/order/items/2",
            "order.items[]",
            Skipped,
            true,
            "is empty",
        ),
        (
            "/data/order/items/3",
            "order.items[]",
            Skipped,
            true,
            "must be an object",
        ),
        (
            "/data/order/items/4",
            "order.items[]",
            Skipped,
            true,
            "is empty",
        ),
        (
            "/data/order/order_currency_code",
            "order.order_currency_code",
            Unreadable,
            false,
            "must be a currency code of three letters (ISO 4217)",
        ),
        (
            "/data/order/payment",
            "order.payment",
            Unreadable,
            false,
            "must be an object",
        ),
        ("/event_id", "id", Unreadable, false, "must be a string"),
        (
            "/merchant_id",
            "source",
            Unreadable,
            false,
            "must be a string",
        ),
    ];
    let expected = expected.map(|(pointer, field, kind, expected, detail)| {
        (pointer.to_owned(), field.to_owned(), kind, expected, detail)
    });
    assert_eq!(issues::<Placed>(&body), expected);
    let read = json!({
        "increment_id": "1",
        "items": [{ "sku": "A" }, { "name": "B" }, { "sku": "C", "qty_ordered": "1" }],
        "billing_address": {},
        "shipping_address": { "city": "Town" },
    });
    assert_eq!(entity::<Placed>(&body), read);
}

#[test]
fn what_the_channel_expects_is_missing_where_it_is_absent_or_an_empty_list() {
    let missing = |order: Value| {
        let issues = issues::<Placed>(&json!({ "order": order })).into_iter();
        issues
            .map(|(pointer, field, kind, expected, _)| {
                assert_eq!((kind, expected), (IssueKind::Missing, true), "{field}");
                pointer
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(missing(json!({ "entity_id": 1 })), ["/order/items"]);
    assert_eq!(
        missing(json!({ "entity_id": 1, "items": [] })),
        ["/order/items"]
    );
    let items = json!({ "7": { "qty_ordered": null } });
    assert_eq!(
        missing(json!({ "entity_id": 1, "items": items })),
        ["/order/items/7/sku", "/order/items/7/qty_ordered"]
    );
    // What cannot be read is not missing as well.
    for items in [json!("none"), json!([null]), json!({ "x": 1 })] {
        let body = json!({ "order": { "entity_id": 1, "items": items } });
        let kinds: Vec<_> = issues::<Placed>(&body)
            .into_iter()
            .map(|issue| issue.2)
            .collect();
        assert!(
            kinds.len() == 1 && kinds[0] != IssueKind::Missing,
            "{kinds:?}"
        );
    }
    let both = json!({ "customer": { "id": "x", "entity_id": 5, "email": "a@b.c" } });
    assert_eq!(
        issues::<CustomerSaved>(&both),
        [],
        "one of the two was read"
    );
    let items = json!({ "_0": { "sku": "A" }, "_1": { "sku": "B" }, "_2": { "qty_ordered": 1 } });
    let body = json!({ "order": { "entity_id": 1, "items": items } });
    assert_eq!(issues::<Placed>(&body).len(), 3, "one for each");
    let body = json!({ "customer": { "id": "x", "email": "a@b.c", "website_id": 1 } });
    let fields: Vec<_> = issues::<CustomerSaved>(&body)
        .into_iter()
        .map(|issue| (issue.0, issue.1, issue.3))
        .collect();
    assert_eq!(
        fields,
        [(
            "/customer/id".to_owned(),
            "customer.entity_id".to_owned(),
            true
        )]
    );
}

#[test]
fn an_event_that_nothing_identifies_is_invalid() {
    let detail = "is required where nothing else identifies the entity";
    for order in [
        json!({ "status": "new" }),
        json!({ "increment_id": "", "entity_id": null }),
        json!({ "entity_id": "0.0" }),
    ] {
        assert_eq!(
            wrong::<Placed>(&json!({ "order": order })),
            [
                ("/order/increment_id".to_owned(), detail),
                ("/order/entity_id".to_owned(), detail),
            ]
        );
    }
    // One that cannot be read identifies nothing.
    let number = "must be a whole number, not negative";
    assert_eq!(
        wrong::<CustomerSaved>(
            &json!({ "customer": { "id": "x", "email": "n/a", "website_id": 1 } })
        ),
        [
            ("/customer/id".to_owned(), number),
            ("/customer/email".to_owned(), "must be an email address"),
        ]
    );
    let with = |customer: Value| {
        read::<CustomerSaved>(&json!({ "customer": customer }).to_string(), "").is_ok()
    };
    assert!(
        with(json!({ "email": "a@b.c", "website_id": 0 })),
        "the Admin's"
    );
    assert!(with(json!({ "id": 7, "entity_id": 0 })));
    assert!(!with(json!({ "id": 0 })));
    assert!(!with(json!({ "email": "a@b.c" })));
    assert!(with(json!({ "id": 7, "email": "n/a" })));
    assert_eq!(
        wrong::<Added>(&json!({ "quote_item": {} })),
        [("/quote_item/sku".to_owned(), "is required")]
    );
}

#[test]
fn a_strict_contract_makes_each_issue_a_violation() {
    let order = json!({ "order": { "entity_id": 1, "customer_email": "n/a", "items": [null] } });
    let text = order.to_string();
    let body = verified(&text);
    let strict = ReadOptions {
        contract: Contract::Strict,
        ..ReadOptions::default()
    };
    let Err(Failure::Invalid {
        violations,
        unlisted: 0,
    }) = Event::read::<Placed>(&body, strict)
    else {
        panic!("an issue passed");
    };
    let pointers: Vec<_> = violations
        .into_iter()
        .map(|violation| violation.pointer)
        .collect();
    assert_eq!(pointers, unreadable::<Placed>(&order));
    assert_eq!(pointers.len(), 2);
}

#[test]
fn a_collection_is_the_list_in_it() {
    let item = json!({ "sku": "A", "qty": 1 });
    let wrong = json!({ "sku": "A", "qty": "x" });
    for (items, expected, pointers) in [
        (
            json!({ "totalRecords": 1, "items": [item] }),
            json!([item]),
            vec![],
        ),
        (
            json!({ "totalRecords": "1", "items": { "7": item } }),
            json!([item]),
            vec![],
        ),
        (json!({ "totalRecords": 0, "items": [] }), json!([]), vec![]),
        (json!({ "items": [item] }), json!([item]), vec![]),
        (
            json!({ "totalRecords": 2, "items": [item, wrong] }),
            json!([item, { "sku": "A" }]),
            vec!["/shipment/items/items/1/qty"],
        ),
        // A collection holds no collections.
        (
            json!({ "totalRecords": 1, "items": { "totalRecords": 1, "items": [item] } }),
            json!([]),
            vec!["/shipment/items/items"],
        ),
        // Neither is a collection.
        (json!({ "items": item }), json!([item]), vec![]),
        (json!({ "totalRecords": item }), json!([item]), vec![]),
    ] {
        let body = json!({ "shipment": { "entity_id": 1, "items": items } });
        assert_eq!(entity::<Shipped>(&body)["items"], expected, "{body}");
        assert_eq!(unreadable::<Shipped>(&body), pointers, "{body}");
    }
}

#[test]
fn a_list_may_be_keyed_by_anything() {
    let item = |sku: &str| json!({ "sku": sku, "qty": 1 });
    for key in [
        "_0",
        "zoe@shop.example",
        "",
        "-1",
        "007",
        "18446744073709551616",
    ] {
        let body =
            json!({ "shipment": { "entity_id": 1, "items": { key: item("A"), "5": item("B") } } });
        assert_eq!(unreadable::<Shipped>(&body), [""; 0], "{key}");
        let skus = entity::<Shipped>(&body)["items"].as_array().map(Vec::len);
        assert_eq!(skus, Some(2), "{key}");
    }
    let body = json!({ "shipment": { "entity_id": 1, "items": { "zoe": null, "max": { "sku": [7], "qty": 1 } } } });
    assert_eq!(unreadable::<Shipped>(&body), ["/shipment/items"; 2]);
}

#[test]
fn the_place_of_a_line_of_a_street_is_kept() {
    let street = |street: Value| {
        let body = json!({ "order": { "entity_id": 1, "billing_address": { "street": street } } });
        (
            entity::<Saved>(&body)["billing_address"]["street"].clone(),
            unreadable::<Saved>(&body),
        )
    };
    let none = Vec::<String>::new;
    let lines = json!(["Rua das Flores", "100", "", "Centro"]);
    for written in [
        json!("Rua das Flores\n100\n\nCentro"),
        json!("Rua das Flores\r\n100\r\n\r\nCentro\r\n\r\n"),
        json!(["Rua das Flores", "100", null, "Centro", "", null]),
        json!(["Rua das Flores", 100, [], "Centro"]),
        json!(["Rua das Flores", "100", false, "Centro"]),
        json!({ "0": "Rua das Flores", "1": "100", "2": "", "3": "Centro" }),
    ] {
        assert_eq!(street(written), (lines.clone(), none()));
    }
    assert_eq!(
        street(json!(["Rua das Flores", "100", { "a": 1 }, "Centro"])),
        (lines, vec!["/order/billing_address/street/2".to_owned()])
    );
    for nothing in [
        json!([]),
        json!(["", null]),
        json!(""),
        json!("\n\n"),
        json!(null),
    ] {
        assert_eq!(street(nothing), (Value::Null, none()));
    }
}

#[test]
fn of_two_addresses_of_a_type_the_first_counts_that_says_anything() {
    let (bend, town) = (json!({ "city": "Bend" }), json!({ "city": "Town" }));
    let listed = |address: &Value| {
        let mut address = address.clone();
        address["address_type"] = "billing".into();
        address
    };
    for (order, expected, issues) in [
        (
            json!({ "billing_address": {}, "addresses": [listed(&bend)] }),
            &bend,
            0,
        ),
        (
            json!({ "addresses": [listed(&json!({})), listed(&bend)] }),
            &bend,
            0,
        ),
        (
            json!({ "billing_address": town, "addresses": [listed(&bend)] }),
            &town,
            1,
        ),
        (
            json!({ "billing_address": bend, "addresses": [listed(&bend)] }),
            &bend,
            0,
        ),
        (
            json!({ "addresses": [listed(&bend), listed(&town)] }),
            &bend,
            1,
        ),
    ] {
        let mut order = order;
        order["entity_id"] = 1.into();
        let body = json!({ "order": order });
        assert_eq!(
            &entity::<Saved>(&body)["billing_address"],
            expected,
            "{body}"
        );
        assert_eq!(unreadable::<Saved>(&body), vec!["/order/addresses"; issues]);
    }
}

#[test]
fn an_address_without_a_type_is_left_out_and_nothing_expects_it() {
    for address in [
        json!({ "city": "X" }),
        json!({ "city": "X", "address_type": [1] }),
    ] {
        let body = json!({ "order": { "entity_id": 1, "addresses": [address] } });
        let [(pointer, field, kind, expected, detail)] = &issues::<Saved>(&body)[..] else {
            panic!("{body}");
        };
        assert_eq!(
            (&**pointer, &**field),
            ("/order/addresses/0", "order.addresses[]")
        );
        assert_eq!((*kind, *expected), (IssueKind::Skipped, false));
        assert_eq!(*detail, "must have the type billing or shipping");
    }
}

#[test]
fn a_guest_has_no_id() {
    for guest in [json!(0), json!("0"), json!("0.0000"), json!(null)] {
        let body = json!({ "order": { "entity_id": 1, "customer_id": guest } });
        assert_eq!(entity::<Saved>(&body), json!({ "entity_id": 1 }));
        assert_eq!(unreadable::<Saved>(&body), [""; 0]);
    }
}

#[test]
fn a_field_that_is_given_twice_is_invalid() {
    let twice = |body: &str| match read::<Placed>(body, "") {
        Err(Failure::Invalid { violations, .. }) => violations
            .into_iter()
            .map(|violation| violation.pointer)
            .collect(),
        other => panic!("{other:?}"),
    };
    let order = r#""order":{"increment_id":"1"}"#;
    for (body, pointer) in [
        (
            r#"{"order":{"increment_id":"1","increment_id":"2"}}"#.to_owned(),
            "/order/increment_id",
        ),
        (format!(r#"{{"data":{{{order},{order}}}}}"#), "/data/order"),
        (
            format!(r#"{{"data":{{{order},"\u006frder":null}}}}"#),
            "/data/order",
        ),
        (format!(r#"{{{order},"order":[]}}"#), "/order"),
        (format!(r#"{{{order},"data":null,"data":{{}}}}"#), "/data"),
        (
            format!(r#"{{"event_id":"a","event_id":"b",{order}}}"#),
            "/event_id",
        ),
        // What is not ours does not come back.
        (format!(r#"{{{order},"zoe":1,"zoe":1}}"#), ""),
        (
            format!(r#"{{"data":{{"zoe":1,{order},"zoe":2}}}}"#),
            "/data",
        ),
    ] {
        let pointers: Vec<String> = twice(&body);
        assert_eq!(pointers, [pointer], "{body}");
    }
}

#[test]
fn what_is_json_but_cannot_be_read_is_named_by_its_place() {
    for (body, pointer) in [
        (r#"{"data":{"order":1e999}}"#, "/data/order"),
        (r#"{"order":{"payment":-1e999}}"#, "/order/payment"),
        (
            r#"{"order":{"items":{"5":{"sku":"A","qty_ordered":1},"7":1e999}}}"#,
            "/order/items/7",
        ),
        (
            r#"{"order":{"billing_address":{"region":{"\ud800":1}}}}"#,
            "/order/billing_address/region",
        ),
    ] {
        match read::<Placed>(body, "") {
            Err(Failure::Invalid { violations, .. }) => {
                let [Violation { pointer: found, .. }] = &violations[..] else {
                    panic!("{violations:?}");
                };
                assert_eq!(found, pointer, "{body}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_body_has_128_levels_at_most() {
    let body = |levels: usize, open: &str, close: &str| {
        let (open, close) = (open.repeat(levels - 2), close.repeat(levels - 2));
        format!(r#"{{"order":{{"increment_id":"1","a":{open}1{close}}}}}"#)
    };
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        assert!(read::<Placed>(&body(LEVELS_MAX, open, close), "").is_ok());
        for levels in [LEVELS_MAX + 1, 100_000] {
            match read::<Placed>(&body(levels, open, close), "") {
                Err(Failure::Invalid { violations, .. }) => {
                    assert_eq!(violations[0].pointer, "");
                }
                other => panic!("{other:?}"),
            }
        }
    }
    // Neither what is side by side nor what stands in a text is a level.
    let flat = json!({ "order": { "increment_id": "1", "a": vec![json!([[]]); 1000] } });
    assert!(read::<Placed>(&flat.to_string(), "").is_ok());
    for text in ["[", "\\\"[", "\\\\\\\"{["] {
        let text = text.repeat(1000);
        let body = format!(r#"{{"order":{{"increment_id":"1","a":"{text}"}}}}"#);
        assert!(read::<Placed>(&body, "").is_ok(), "{body}");
    }
}

#[test]
fn issues_beyond_the_first_hundred_are_counted() {
    let item = |index: usize| {
        if index < 120 {
            json!({ "sku": "A", "qty_ordered": 1, "price": "x" })
        } else {
            // Unreadable, and not missing as well.
            json!({ "sku": "A", "qty_ordered": "x" })
        }
    };
    let items: Vec<Value> = (0..150).map(item).collect();
    let text = json!({ "order": { "increment_id": "1", "items": items } }).to_string();
    let body = verified(&text);
    let event = Event::read::<Placed>(&body, ReadOptions::default()).unwrap();
    let issues = event.issues;
    assert_eq!((issues.list.len(), issues.more), (100, 50));
    assert!(!issues.list.iter().any(|issue| issue.expected) && issues.any_expected);
    let strict = ReadOptions {
        contract: Contract::Strict,
        ..ReadOptions::default()
    };
    match Event::read::<Placed>(&body, strict) {
        Err(Failure::Invalid {
            violations,
            unlisted,
        }) => assert_eq!((violations.len(), unlisted), (100, 50)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_elements_of_all_lists_together_are_limited() {
    let list = |element: &str, count: usize| format!("[{}]", vec![element; count].join(","));
    let map = |count: usize| {
        let elements: Vec<_> = (0..count).map(|id| format!(r#""{id}":{{}}"#)).collect();
        format!("{{{}}}", elements.join(","))
    };
    let names = |count: usize| {
        let elements: Vec<_> = (0..count).map(|id| format!(r#""a{id}":{{}}"#)).collect();
        format!("{{{}}}", elements.join(","))
    };
    let street = |text: &str, lines: usize| {
        let street = format!("\"{}\"", text.repeat(lines));
        format!(r#"[{{"street":{street}}}]"#)
    };
    let too_many = |fields: &str| {
        let body = format!(r#"{{"order":{{"entity_id":1,{fields}}}}}"#);
        read::<Saved>(&body, "") == Err(Failure::TooManyElements)
    };
    let half = ELEMENTS_MAX / 2;
    let cases: [(&str, &dyn Fn(usize) -> String); 7] = [
        ("items", &|count| list("{}", count)),
        ("items", &|count| list("null", count)),
        ("items", &|count| list("1", count)),
        ("items", &map),
        ("items", &names),
        ("addresses", &|count| street(r"a\n", count - 1)),
        ("addresses", &|count| {
            format!(r#"[{{"street":{}}}]"#, list("1", count - 1))
        }),
    ];
    for (index, (field, value)) in cases.into_iter().enumerate() {
        let fields = |count| format!(r#""{field}":{}"#, value(count));
        assert!(!too_many(&fields(ELEMENTS_MAX)), "{index}");
        assert!(too_many(&fields(ELEMENTS_MAX + 1)), "{index}");
    }
    let both = |more: usize| {
        let (items, addresses) = (list("{}", half), list("{}", half + more));
        format!(r#""items":{items},"addresses":{addresses}"#)
    };
    assert!(!too_many(&both(0)));
    assert!(too_many(&both(1)));
}

#[test]
fn the_members_around_an_entity_are_limited() {
    let mut body = json!({ "order": { "increment_id": "1" } });
    for index in 0..MEMBERS_MAX {
        body[format!("k{index}")] = json!(1);
    }
    assert_eq!(
        wrong::<Placed>(&body),
        [(String::new(), "must not have more than 64 members")]
    );
}

#[test]
fn the_shops_order_becomes_the_specs() {
    let shop = json!({ "data": { "order": {
        "entity_id": "216", "increment_id": "000000123", "customer_id": null, "customer_is_guest": "1",
        "created_at": "2026-06-18 20:27:11", "grand_total": "95.4900", "discount_amount": -10,
        "items": { "998": { "item_id": "998", "sku": 1001, "qty_ordered": "2.0000", "price": "31.080000" } },
        "addresses": {
            "5": { "address_type": "shipping", "street": "12/3 Example Road\nUnit 4", "postcode": 97477, "region": { "region": "Oregon", "region_code": "OR", "region_id": 49 }, "country_id": "us" },
            "6": { "address_type": "billing", "street": ["12/3 Example Road", "Unit 4", null, ""], "region": "Oregon", "region_id": "49" },
            "7": { "address_type": "other" },
        },
        "payment": { "method": "checkmo", "amount_paid": null, "cc_number": null },
        "extension_attributes": [],
    } } });
    let spec = json!({
        "entity_id": 216, "increment_id": "000000123", "customer_is_guest": 1,
        "created_at": "2026-06-18T20:27:11Z", "grand_total": "95.49", "discount_amount": "-10.00",
        "items": [{ "item_id": 998, "sku": "1001", "qty_ordered": "2", "price": "31.08" }],
        "shipping_address": { "street": ["12/3 Example Road", "Unit 4"], "postcode": "97477", "region": "Oregon", "region_code": "OR", "country_id": "US" },
        "billing_address": { "street": ["12/3 Example Road", "Unit 4"], "region": "Oregon" },
        "payment": { "method": "checkmo" },
    });
    assert_eq!(entity::<Placed>(&shop), spec);
    assert_eq!(entity::<Placed>(&json!({ "order": spec })), spec);
}

#[test]
fn a_delivery_makes_an_event_of_its_own() {
    let id = |body: &str, request: &str| read::<Saved>(body, request).unwrap().0;
    // An order's state goes there and back: the same bytes, two events, whatever their date.
    for order in [
        r#"{"order":{"entity_id":1,"state":"holded"}}"#,
        r#"{"order":{"entity_id":1,"updated_at":"2026-06-18 20:27:11"}}"#,
    ] {
        assert_eq!(id(order, "request-1"), id(order, "request-1"));
        assert_ne!(id(order, "request-1"), id(order, "request-2"));
    }
    // Two shoppers put the same product into fresh carts.
    let fresh = r#"{"quote_item":{"sku":"CAP-77-BLU","qty":1}}"#;
    let added = |request: &str| read::<Added>(fresh, request).unwrap().0;
    assert_ne!(added("request-1"), added("request-2"));
    // Who names the event may send it again.
    let named = |event_id: &str, more: &str| {
        format!(r#"{{"event_id":{event_id},"order":{{"entity_id":1{more}}}}}"#)
    };
    let one = named("\"3F1C1D8E-7B1A-4C55-9D3E-2F0A6B7C8D9E\"", "");
    assert_eq!(id(&one, "request-1"), id(&one, "request-2"));
    // But not another event by its name.
    for other in [
        named("\"other\"", ""),
        named("7", ""),
        named(
            "\"3F1C1D8E-7B1A-4C55-9D3E-2F0A6B7C8D9E\"",
            r#","state":"new""#,
        ),
    ] {
        assert_ne!(id(&one, "request-1"), id(&other, "request-1"), "{other}");
    }
    for unnamed in [
        named("null", ""),
        named("\"\"", ""),
        named("[1]", ""),
        named("true", ""),
    ] {
        assert_ne!(
            id(&unnamed, "request-1"),
            id(&unnamed, "request-2"),
            "{unnamed}"
        );
    }
    assert_eq!(id(&one, "").get_version_num(), 8);
}

#[test]
fn what_happens_once_is_one_event_if_it_names_itself() {
    let id = |body: &str, request: &str| read::<Placed>(body, request).unwrap().0;
    for order in [
        r#"{"order":{"entity_id":1}}"#,
        r#"{"order":{"increment_id":"1","store_id":1}}"#,
        r#"{"order":{"entity_id":0,"increment_id":"1","store_id":1}}"#,
        r#"{"event_id":"@","order":{"increment_id":"1","store_id":1}}"#,
    ] {
        let again = order.replace('@', "another");
        assert_eq!(id(order, "request-1"), id(&again, "request-2"), "{order}");
    }
    // Another store may have the number, too; and zero is no id.
    for unnamed in [
        r#"{"order":{"increment_id":"1"}}"#,
        r#"{"order":{"increment_id":"1","entity_id":"0"}}"#,
    ] {
        assert_ne!(
            id(unnamed, "request-1"),
            id(unnamed, "request-2"),
            "{unnamed}"
        );
    }
    let of_store = |store: u8| format!(r#"{{"order":{{"increment_id":"1","store_id":{store}}}}}"#);
    assert_ne!(id(&of_store(1), "request-1"), id(&of_store(2), "request-1"));
}

#[test]
fn the_same_content_has_one_content_id() {
    let content = |body: &str, source: Option<&str>| {
        let body = verified(body);
        let options = ReadOptions {
            source,
            ..ReadOptions::default()
        };
        let event = Event::read::<Saved>(&body, options).unwrap();
        (event.content_id, event.source.into_owned())
    };
    let bare = content(r#"{"order":{"entity_id":1}}"#, None);
    assert_eq!(bare.1, "/adobe-commerce");
    assert_eq!(
        content(
            r#"{"event_id":"x","data":{"data_object":{"entity_id":1},"more":1}}"#,
            None
        ),
        bare
    );
    for other in [
        content(r#"{"order":{"entity_id":2}}"#, None),
        content(r#"{"order":{"entity_id":1 }}"#, None),
        content(r#"{"merchant_id":"m","order":{"entity_id":1}}"#, None),
        content(r#"{"order":{"entity_id":1}}"#, Some("https://shop.example")),
    ] {
        assert_ne!(other.0, bare.0, "{other:?}");
    }
}
