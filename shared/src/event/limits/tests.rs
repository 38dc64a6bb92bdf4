use serde_json::{Value, json};

use super::*;
use crate::{
    event::{Contract, Event, ReadOptions, tests::*},
    model::ELEMENTS_MAX,
};

#[test]
fn rejects_a_body_of_more_than_128_levels() {
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
    // Neither siblings nor brackets in a string add a level.
    let flat = json!({ "order": { "increment_id": "1", "a": vec![json!([[]]); 1000] } });
    assert!(read::<Placed>(&flat.to_string(), "").is_ok());
    for text in ["[", "\\\"[", "\\\\\\\"{["] {
        let text = text.repeat(1000);
        let body = format!(r#"{{"order":{{"increment_id":"1","a":"{text}"}}}}"#);
        assert!(read::<Placed>(&body, "").is_ok(), "{body}");
    }
}

#[test]
fn counts_issues_beyond_the_first_hundred() {
    let item = |index: usize| {
        if index < 120 {
            json!({ "sku": "A", "qty_ordered": 1, "price": "x" })
        } else {
            // Unreadable, and therefore not missing.
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
fn limits_the_elements_of_all_lists_together() {
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
fn rejects_an_envelope_with_too_many_members() {
    let mut body = json!({ "order": { "increment_id": "1" } });
    for index in 0..MEMBERS_MAX {
        body[format!("k{index}")] = json!(1);
    }
    assert_eq!(
        violations::<Placed>(&body),
        [(String::new(), "must not have more than 64 members")]
    );
}
