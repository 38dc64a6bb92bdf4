use serde_json::{Value, json};

use crate::rules::tests::*;

#[test]
fn rejects_operations_that_commerce_does_not_support() {
    let when = json!([{ "field": "order.status", "operator": "notEmpty" }]);
    let error_of = |then: Value| {
        errors::<Placed>(&json!([{ "name": "it", "when": when, "then": then }])).join("; ")
    };
    let exception = json!({ "op": "exception", "message": "No" });
    let remove = json!({ "op": "remove", "path": "data/order/x" });
    let cases = [
        (
            json!([exception, remove]),
            "an exception must be the only operation",
        ),
        (
            json!([remove, exception]),
            "an exception must be the only operation",
        ),
        (
            json!({ "op": "exception", "message": " " }),
            "the message is empty",
        ),
        (
            json!({ "op": "exception", "message": "{order.status" }),
            "has { without }",
        ),
        (
            json!({ "op": "exception", "message": "{status}" }),
            "has a placeholder {status} that must be written as order.status",
        ),
        (
            json!({ "op": "exception", "message": "x".repeat(1001) }),
            "has more than 1000 characters",
        ),
        (
            json!({ "op": "exception", "type": "not a class" }),
            "type \"not a class\" is not a PHP class",
        ),
        (
            json!({ "op": "add", "path": "data/x", "value": 1, "instance": "9x" }),
            "instance \"9x\" is not a PHP class",
        ),
        (
            json!({ "op": "add", "path": "/data/x", "value": 1 }),
            "the path \"/data/x\"",
        ),
        (
            json!({ "op": "add", "path": "", "value": 1 }),
            "the path \"\"",
        ),
        (
            json!({ "op": "replace", "path": "data/a b", "value": 1 }),
            "the path \"data/a b\"",
        ),
        (
            json!({ "op": "remove", "path": "x".repeat(600) }),
            "the path ",
        ),
        (json!(vec![remove; 21]), "more than 20 operations"),
    ];
    for (then, expected) in cases {
        let found = error_of(then.clone());
        assert!(found.contains(expected), "{then}: {found}");
    }
}
