use serde_json::{Value, json};

use super::*;
use crate::{
    event::{Event, ReadOptions, tests::*},
    request::body::Unverified,
    verify::{Keys, Signatures},
};

#[test]
fn reads_the_same_order_from_all_four_shapes() {
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
fn keeps_the_original_bytes_and_the_related_members() {
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
fn keeps_a_data_object_that_differs_from_the_entity() {
    let body = json!({ "data": { "order": { "increment_id": "1" }, "data_object": { "increment_id": "1", "more": 1 } } });
    assert_eq!(
        read::<Placed>(&body.to_string(), "").unwrap().3,
        ["data_object"]
    );
}

#[test]
fn rejects_a_body_that_names_another_event() {
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
fn rejects_a_body_that_is_not_a_json_object() {
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
fn rejects_an_event_without_an_entity() {
    for body in [
        json!({}),
        json!({ "data": null }),
        json!({ "data": { "order": [] } }),
        json!({ "data": {} }),
    ] {
        assert_eq!(
            violations::<Placed>(&body),
            [("/data/order".to_owned(), "is required")],
            "{body}"
        );
    }
    assert_eq!(
        violations::<Placed>(&json!({ "order": "x" })),
        [("/order".to_owned(), "must be an object")]
    );
    assert_eq!(
        violations::<Placed>(&json!({ "order": [1] })),
        [("/order".to_owned(), "must be an object")]
    );
}

#[test]
fn accepts_only_an_object_or_nothing_as_data() {
    let read = |data: &str| {
        let body = format!(r#"{{"data":{data},"order":{{"increment_id":"1"}}}}"#);
        read::<Placed>(&body, "").map(|(_, entity, ..)| entity)
    };
    for data in ["null", "{}", "[]", "[ \n]", r#"{"a":[1e999,"\ud800"]}"#] {
        assert_eq!(read(data), Ok(json!({ "increment_id": "1" })), "{data}");
    }
    // Valid JSON that cannot be represented in Rust is not an object, either.
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
fn rejects_a_repeated_name() {
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
        // An unknown name is not repeated in the answer.
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
