use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

const ID: &str = "58568978-617b-80ab-be3f-02f73addff97";

/// Returns the JSON of a valid event after `change`.
fn event_json(change: impl FnOnce(&mut Value)) -> String {
    let mut event = json!({
        "specversion": "1.0",
        "id": ID,
        "source": "/s",
        "type": "com.adobe.commerce.observer.x",
        "data": { "order": {} }
    });
    change(&mut event);
    event.to_string()
}

#[test]
fn keeps_the_json_byte_for_byte() {
    let json = concat!(
        r#"{"specversion":"1.0","id":"58568978-617b-80ab-be3f-02f73addff97","source":"/s","#,
        r#""type":"com.adobe.commerce.observer.sales_order_place_after","#,
        r#""data":{"original":{"total" : 1.50,"name":"Zo\u00eb"},"#,
        r#""order":{"grand_total":"1.5"},"related":{"x":[1]}}}"#
    );
    let event = Event::parse(json).unwrap();
    assert_eq!(
        (&*event.id, &*event.channel),
        (ID, "sales_order_place_after")
    );
    assert_eq!(event.entity.get(), r#"{"grand_total":"1.5"}"#);
    assert_eq!(event.json, json);
}

fn rejection(change: impl FnOnce(&mut Value)) -> DeadLetterReason {
    Event::parse(&event_json(change)).map(|_| ()).unwrap_err()
}

#[test]
fn rejects_json_that_is_not_a_cloud_event() {
    let changes: [fn(&mut Value); 4] = [
        |event| event["specversion"] = 1.into(),
        |event| drop(event.as_object_mut().unwrap().remove("id")),
        |event| event["data"] = "text".into(),
        |event| *event = json!([1]),
    ];
    for change in changes {
        assert_eq!(rejection(change), DeadLetterReason::NotACloudEvent);
    }
    let reason = rejection(|event| event["specversion"] = "0.3".into());
    assert_eq!(reason, DeadLetterReason::WrongVersion);
}

#[test]
fn rejects_a_body_that_is_not_json() {
    for text in ["", "{", "not json", "{}{}"] {
        assert!(
            matches!(
                Event::parse(text),
                Err(DeadLetterReason::Unreadable | DeadLetterReason::NotACloudEvent)
            ),
            "{text}"
        );
    }
    assert_eq!(Event::parse("{").unwrap_err(), DeadLetterReason::Unreadable);
}

#[test]
fn rejects_a_cloud_event_of_another_origin() {
    let long_id = "x".repeat(36);
    let (uppercase, long) = ("A".repeat(64), "a".repeat(65));
    for (member, value) in [
        ("id", "jane@example.com"),
        ("id", &long_id),
        ("type", "com.example.x"),
        ("type", "com.adobe.commerce.observer."),
        ("type", "com.adobe.commerce.observer.Jane Doe"),
        ("type", "com.adobe.commerce.plugin."),
        ("type", "com.adobe.commerce.order"),
        ("contentid", ""),
        ("contentid", "jane@example.com"),
        ("contentid", &uppercase),
        ("contentid", &long),
    ] {
        assert_eq!(
            rejection(|event| event[member] = value.into()),
            DeadLetterReason::NotOurs,
            "{member} {value}"
        );
    }
    for data in [
        json!({ "related": {} }),
        json!({ "order": {}, "customer": {} }),
    ] {
        assert_eq!(
            rejection(|event| event["data"] = data.clone()),
            DeadLetterReason::NotOurs,
            "{data}"
        );
    }
}

#[test]
fn rejects_another_version_of_the_contract() {
    for dataschema in [
        "urn:commerce-webhooks:message:x:2",
        "urn:commerce-webhooks:message:x:1.1",
        "urn:commerce-webhooks:message:x:",
        "urn:commerce-webhooks:message:y:1",
        "https://example.com/x/1",
        "",
    ] {
        assert_eq!(
            rejection(|event| event["dataschema"] = dataschema.into()),
            DeadLetterReason::UnknownSchema,
            "{dataschema}"
        );
    }
}

#[test]
fn finds_the_entity_by_its_name() {
    for name in ENTITIES {
        let json =
            event_json(|event| event["data"] = json!({ "aaa": {}, name: { "a": 1 }, "zzz": [] }));
        assert_eq!(Event::parse(&json).unwrap().entity.get(), r#"{"a":1}"#);
    }
}

#[test]
fn the_entities_match_the_json_schemas() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/schema");
    let names: BTreeSet<_> = std::fs::read_dir(folder)
        .unwrap()
        .flat_map(|file| {
            let schema = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let schema: Value = serde_json::from_str(&schema).unwrap();
            let required = schema["properties"]["data"]["required"].as_array().unwrap();
            required.clone()
        })
        .map(|name| name.as_str().unwrap().to_owned())
        .filter(|name| name != "original")
        .collect();
    assert_eq!(names, ENTITIES.map(str::to_owned).into());
}

#[test]
fn accepts_the_supported_contract_and_no_contract() {
    for dataschema in [json!("urn:commerce-webhooks:message:x:1"), json!(null)] {
        let json = event_json(|event| event["dataschema"] = dataschema);
        assert!(Event::parse(&json).is_ok(), "{json}");
    }
    assert!(Event::parse(&event_json(|_| ())).is_ok());
}

#[test]
fn ignores_an_invalid_updated_at() {
    let of = |entity: Value| {
        let json = event_json(|event| event["data"] = json!({ "order": entity }));
        Event::parse(&json).unwrap().updated_at
    };
    let noon = of(json!({ "updated_at": "2026-06-18T12:00:00Z" })).unwrap();
    let later = of(json!({ "updated_at": "2026-06-18T12:00:00.25Z" })).unwrap();
    assert!(noon < later);
    assert_eq!(
        of(json!({ "updated_at": "2026-06-18T12:00:00.000+00:00" })),
        Some(noon)
    );
    for unreadable in [
        json!({}),
        json!({ "updated_at": null }),
        json!({ "updated_at": 7 }),
        json!({ "updated_at": "yesterday" }),
        json!("text"),
    ] {
        assert_eq!(of(unreadable.clone()), None, "{unreadable}");
    }
}

#[test]
fn the_issues_attribute_takes_precedence_over_the_list() {
    let of = |data: &Value, attribute| {
        let json = event_json(|event| {
            event["data"] = data.clone();
            event["data"]["order"] = json!({});
        });
        Event::parse(&json).unwrap().has_expected_issues(attribute)
    };
    let expected = json!({ "issues": [{ "expected": false }, { "expected": true }] });
    let other = json!({ "issues": [{ "kind": "skipped", "expected": false }] });
    let none = json!({});
    for data in [&expected, &other, &none] {
        assert!(of(data, Some("expected")), "{data}");
        assert!(!of(data, Some("other")), "{data}");
    }
    for attribute in [None, Some(""), Some("new")] {
        assert!(of(&expected, attribute));
        assert!(!of(&other, attribute));
        assert!(!of(&none, attribute));
    }
    let unlisted = json!({ "issues": [{ "expected": false }], "more_issues": 3 });
    assert!(of(&unlisted, None) && !of(&unlisted, Some("other")));
    assert!(of(&json!({ "issues": "many" }), None));
}

#[test]
fn without_a_model_the_entity_is_the_original() {
    let original = r#"{"entity_id":"7","store_id":"01","updated_at":"2026-06-18 20:27:11"}"#;
    let json = event_json(|event| {
        event["data"] = json!({ "creditmemo": {}, "original": serde_json::from_str::<Value>(original).unwrap() });
    });
    let event = Event::parse(&json).unwrap();
    assert_eq!(event.store, "1");
    assert_eq!(event.updated_at.unwrap().secs(), 1_781_814_431);
    for odd in [
        json!([1]),
        json!("text"),
        json!({ "store_id": {}, "updated_at": "yesterday it was" }),
    ] {
        let json = event_json(|event| event["data"] = json!({ "original": odd.clone() }));
        let event = Event::parse(&json).unwrap();
        assert_eq!((&*event.store, event.updated_at), ("", None), "{odd}");
        assert_eq!(event.entity.get(), odd.to_string());
    }
}

#[test]
fn the_schema_names_the_channel() {
    let long = "a".repeat(90);
    for (event_type, channel) in [
        (
            "observer.catalog_product_save_after",
            "catalog_product_save_after",
        ),
        (
            "observer.catalog_product_save_after",
            "catalog_product_save_after_before",
        ),
        (
            "observer.sales_order_place_before",
            "sales_order_place_before_after",
        ),
        (
            "plugin.magento.quote.api.guest_coupon_management.set",
            "plugin_quote_api_guest_coupon_management_set",
        ),
        (&*format!("observer.{long}"), "aaa_0123abcd"),
    ] {
        let json = event_json(|event| {
            event["type"] = format!("com.adobe.commerce.{event_type}").into();
            event["dataschema"] = format!("urn:commerce-webhooks:message:{channel}:1").into();
        });
        assert_eq!(Event::parse(&json).unwrap().channel, channel);
    }
    for (event_type, channel) in [
        ("observer.a", "a_later"),
        ("observer.a", "plugin_a"),
        ("plugin.a.b", "a_b"),
        ("plugin.a.b", "plugin_Jane"),
    ] {
        let reason = rejection(|event| {
            event["type"] = format!("com.adobe.commerce.{event_type}").into();
            event["dataschema"] = format!("urn:commerce-webhooks:message:{channel}:1").into();
        });
        assert_eq!(
            reason,
            DeadLetterReason::UnknownSchema,
            "{event_type} {channel}"
        );
    }
    let reason = rejection(|event| event["type"] = "com.adobe.commerce.plugin.a.b".into());
    assert_eq!(
        reason,
        DeadLetterReason::UnknownSchema,
        "a plugin has always had a schema"
    );
}
