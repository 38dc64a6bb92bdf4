use serde_json::{Value, json};

use super::*;

use crate::{
    model::{Customer, IssueKind, Order, QuoteItem, Shipment},
    request::body::Unverified,
    verify::{Keys, Signatures},
};

pub(super) struct Placed;

impl Channel for Placed {
    const NAME: &str = "sales_order_place_after";
    const METHOD: &str = "observer.sales_order_place_after";
    const IDENTITY: &[&[&str]] = &[&["increment_id"], &["entity_id"]];
    const EXPECTED: &[&str] = &["items", "items[].sku", "items[].qty_ordered"];
    const ONCE: bool = true;
    type Entity = Order;
}

pub(super) struct Saved;

impl Channel for Saved {
    const NAME: &str = "sales_order_save_after";
    const METHOD: &str = "observer.sales_order_save_after";
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["increment_id"]];
    const EXPECTED: &[&str] = &[];
    type Entity = Order;
}

pub(super) struct CustomerSaved;

impl Channel for CustomerSaved {
    const NAME: &str = "customer_save_after_data_object";
    const METHOD: &str = "observer.customer_save_after_data_object";
    const IDENTITY: &[&[&str]] = &[&["entity_id"], &["email", "website_id"]];
    const EXPECTED: &[&str] = &["entity_id", "email"];
    type Entity = Customer;
}

pub(super) struct Added;

impl Channel for Added {
    const NAME: &str = "checkout_cart_product_add_after";
    const METHOD: &str = "observer.checkout_cart_product_add_after";
    const IDENTITY: &[&[&str]] = &[&["sku"]];
    const EXPECTED: &[&str] = &[];
    type Entity = QuoteItem;
}

pub(super) struct Shipped;

impl Channel for Shipped {
    const NAME: &str = "sales_order_shipment_save_after";
    const METHOD: &str = "observer.sales_order_shipment_save_after";
    const IDENTITY: &[&[&str]] = &[&["entity_id"]];
    const EXPECTED: &[&str] = &["items[].qty"];
    type Entity = Shipment;
}

pub(super) fn verified(text: &str) -> Verified<'_> {
    let body = Unverified::new(text.as_bytes()).unwrap();
    body.verify(&Keys::AcceptUnsigned, Signatures::default())
        .unwrap()
}

pub(super) fn options(request_id: &str) -> ReadOptions<'_> {
    ReadOptions {
        request_id,
        ..ReadOptions::default()
    }
}

/// Returns the id, the entity, the original and the names of the related members of an event.
pub(super) fn read<C: Channel>(
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

/// Returns the issues of an event: pointer, field, kind, whether it is expected, and the detail.
pub(super) fn issues<C: Channel>(
    body: &Value,
) -> Vec<(String, String, IssueKind, bool, &'static str)> {
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

/// Returns the pointers of unreadable fields and skipped elements.
pub(super) fn unreadable<C: Channel>(body: &Value) -> Vec<String> {
    let issues = issues::<C>(body).into_iter();
    issues
        .filter(|(_, _, kind, ..)| *kind != IssueKind::Missing)
        .map(|(pointer, ..)| pointer)
        .collect()
}

/// Returns the entity of an event as JSON.
pub(super) fn entity<C: Channel>(body: &Value) -> Value {
    read::<C>(&body.to_string(), "").unwrap().1
}

/// Returns the violations of an invalid event.
pub(super) fn violations<C: Channel>(body: &Value) -> Vec<(String, &'static str)> {
    match read::<C>(&body.to_string(), "") {
        Err(Failure::Invalid { violations, .. }) => violations
            .into_iter()
            .map(|Violation { pointer, detail }| (pointer, detail))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one event with everything")]
fn omits_an_unreadable_field_and_reports_an_issue() {
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
fn reports_an_expected_field_that_is_absent_or_an_empty_list() {
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
    // An unreadable field is not reported as missing, too.
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
        "one of the two fields is valid"
    );
    let items = json!({ "_0": { "sku": "A" }, "_1": { "sku": "B" }, "_2": { "qty_ordered": 1 } });
    let body = json!({ "order": { "entity_id": 1, "items": items } });
    assert_eq!(issues::<Placed>(&body).len(), 3, "one issue per element");
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
fn rejects_an_entity_without_an_identity() {
    let detail = "is required where nothing else identifies the entity";
    for order in [
        json!({ "status": "new" }),
        json!({ "increment_id": "", "entity_id": null }),
        json!({ "entity_id": "0.0" }),
    ] {
        assert_eq!(
            violations::<Placed>(&json!({ "order": order })),
            [
                ("/order/increment_id".to_owned(), detail),
                ("/order/entity_id".to_owned(), detail),
            ]
        );
    }
    // An unreadable field does not identify the entity.
    let number = "must be a whole number, not negative";
    assert_eq!(
        violations::<CustomerSaved>(
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
        "a customer of the Admin website"
    );
    assert!(with(json!({ "id": 7, "entity_id": 0 })));
    assert!(!with(json!({ "id": 0 })));
    assert!(!with(json!({ "email": "a@b.c" })));
    assert!(with(json!({ "id": 7, "email": "n/a" })));
    assert_eq!(
        violations::<Added>(&json!({ "quote_item": {} })),
        [("/quote_item/sku".to_owned(), "is required")]
    );
}

#[test]
fn rejects_each_issue_under_a_strict_contract() {
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
fn reads_a_collection_as_its_list() {
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
        // A collection cannot contain another one.
        (
            json!({ "totalRecords": 1, "items": { "totalRecords": 1, "items": [item] } }),
            json!([]),
            vec!["/shipment/items/items"],
        ),
        // One of these members alone is an element, unless it is a list.
        (json!({ "items": item }), json!([item]), vec![]),
        (json!({ "totalRecords": item }), json!([item]), vec![]),
    ] {
        let body = json!({ "shipment": { "entity_id": 1, "items": items } });
        assert_eq!(entity::<Shipped>(&body)["items"], expected, "{body}");
        assert_eq!(unreadable::<Shipped>(&body), pointers, "{body}");
    }
}

#[test]
fn reads_a_list_with_keys_of_any_kind() {
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
fn keeps_the_position_of_each_street_line() {
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
fn uses_the_first_address_of_each_type_that_is_not_empty() {
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
fn skips_an_address_without_a_type() {
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
fn reads_customer_id_zero_as_absent() {
    for guest in [json!(0), json!("0"), json!("0.0000"), json!(null)] {
        let body = json!({ "order": { "entity_id": 1, "customer_id": guest } });
        assert_eq!(entity::<Saved>(&body), json!({ "entity_id": 1 }));
        assert_eq!(unreadable::<Saved>(&body), [""; 0]);
    }
}

#[test]
fn reports_the_pointer_of_unreadable_json() {
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
fn converts_a_shops_order_to_the_contract() {
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
