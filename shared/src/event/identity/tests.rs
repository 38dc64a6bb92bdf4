use super::*;
use crate::{
    event::{Event, ReadOptions, tests::*},
    verify::tests::sent_by,
};

#[test]
fn derives_ids_as_documented() {
    // Computed with Python's hashlib and uuid.
    let content = content_id(
        "sales_order_save_after",
        "/adobe-commerce",
        r#"{"entity_id":1}"#,
    );
    assert_eq!(
        content,
        "16542d6367e977bd6dcd2eda6cbbcfac6741523a6e3bb099bb35d30491b16df0"
    );
    assert_eq!(
        event_id(&content, "JKJaXmPLvHcESHA=").to_string(),
        "14fd3e15-cc5c-8fda-8917-9c202c26a7a7"
    );
}

#[test]
fn digests_a_subject_per_store() {
    // Computed with Python's hashlib.
    let digest = |store| subject_digest("order/000000123", store);
    assert_eq!(digest(Some(1)), "7dd0c44c1b0314eafb3b07385f584552");
    assert_eq!(digest(None), "d37a633aaa775bbc63f6841e0b7eb49f");
}

#[test]
fn derives_another_id_from_another_channel_source_entity_or_delivery() {
    let id = |channel, source, entity, delivery| {
        event_id(&content_id(channel, source, entity), delivery)
    };
    let one = id("a", "/s", "{}", "1");
    assert_eq!(one, id("a", "/s", "{}", "1"));
    for other in [
        id("b", "/s", "{}", "1"),
        id("a", "/t", "{}", "1"),
        id("a", "/s", "{ }", "1"),
        id("a", "/s", "{}", "2"),
        id("a/", "s", "{}", "1"),
    ] {
        assert_ne!(one, other);
    }
    assert_eq!(one.get_version_num(), 8);
}

#[test]
fn derives_other_ids_for_each_shop() {
    let body = r#"{"merchant_id":"m","event_id":"1","order":{"entity_id":1,"increment_id":"1"}}"#;
    let read = |shop| {
        let body = sent_by(shop, body);
        let event = Event::read::<Saved>(&body, options("request-1")).unwrap();
        let shop = event.shop.map(|shop| shop.name.clone());
        (shop, event.source.into_owned(), event.content_id, event.id)
    };
    let (unnamed, eu, us) = (read(None), read(Some("eu")), read(Some("us")));
    assert_eq!(
        [&unnamed, &eu, &us].map(|(shop, source, ..)| (shop.as_deref(), source.as_str())),
        [
            (None, "/adobe-commerce/m"),
            (Some("eu"), "urn:commerce-webhooks:shop:eu"),
            (Some("us"), "urn:commerce-webhooks:shop:us"),
        ]
    );
    // Neither the envelope nor the configured source decides about a shop with a name.
    let body = sent_by(Some("eu"), body);
    let configured = ReadOptions {
        source: Some("https://shop.example"),
        ..options("request-1")
    };
    let event = Event::read::<Saved>(&body, configured).unwrap();
    assert_eq!((event.content_id, event.id), (eu.2.clone(), eu.3));
    for (one, other) in [(&unnamed, &eu), (&unnamed, &us), (&eu, &us)] {
        assert_ne!(one.2, other.2);
        assert_ne!(one.3, other.3);
    }
    let ids = [None, Some("eu"), Some("us")].map(|shop| body_id("a", shop, "{}", "1"));
    assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
}

#[test]
fn derives_another_id_for_another_delivery() {
    let id = |body: &str, request: &str| read::<Saved>(body, request).unwrap().0;
    // An order's state can change back: two events with the same bytes and the same date.
    for order in [
        r#"{"order":{"entity_id":1,"state":"holded"}}"#,
        r#"{"order":{"entity_id":1,"updated_at":"2026-06-18 20:27:11"}}"#,
    ] {
        assert_eq!(id(order, "request-1"), id(order, "request-1"));
        assert_ne!(id(order, "request-1"), id(order, "request-2"));
    }
    // Two shoppers add the same product to new carts.
    let fresh = r#"{"quote_item":{"sku":"CAP-77-BLU","qty":1}}"#;
    let added = |request: &str| read::<Added>(fresh, request).unwrap().0;
    assert_ne!(added("request-1"), added("request-2"));
    // An event with an id is the same event in every request.
    let named = |event_id: &str, more: &str| {
        format!(r#"{{"event_id":{event_id},"order":{{"entity_id":1{more}}}}}"#)
    };
    let one = named("\"3F1C1D8E-7B1A-4C55-9D3E-2F0A6B7C8D9E\"", "");
    assert_eq!(id(&one, "request-1"), id(&one, "request-2"));
    // The id alone does not make two events the same.
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
fn derives_one_id_for_an_event_that_happens_once_and_has_a_unique_id() {
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
    // Another store can use the same number, and zero is not an id.
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
fn derives_one_content_id_for_the_same_content() {
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
