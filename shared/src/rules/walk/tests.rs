use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    event::ReadOptions,
    request::body::Unverified,
    rules::{field::Field, tests::*},
    verify::{Keys, Signatures},
};

#[test]
fn stops_when_the_observer_does_not_continue() {
    struct Steps(usize);
    impl Observer for Steps {
        fn observe(&mut self, _: End, _: &FieldValue<'_>) {
            self.0 += 1;
        }

        fn should_continue(&mut self, _: usize) -> bool {
            self.0 < 10
        }
    }

    for sent in [
        json!({ "x": vec![json!({}); 1000] }),
        json!({ "x": (0..1000).map(|key| (key.to_string(), json!({}))).collect::<serde_json::Map<_, _>>() }),
        json!({ "x": vec![json!({ "y": 1 }); 1000] }),
    ] {
        let body = json!({ "order": { "increment_id": "1", "z": sent } }).to_string();
        let body = Unverified::new(body.as_bytes()).unwrap();
        let body = body
            .verify(&Keys::AcceptUnsigned, Signatures::default())
            .unwrap();
        let event = Event::read::<Placed>(&body, ReadOptions::default()).unwrap();
        let mut steps = Steps(0);
        let field = Field::parse::<Placed>("order.z.x[].y").unwrap();
        assert!(field.visit(&event, &mut steps).is_err());
        assert_eq!(steps.0, 10, "{sent}");
    }
}

proptest! {
    #[test]
    fn finds_the_same_values_for_many_paths_as_for_one_path_alone(sent in any_json(), paths in prop::collection::vec(prop::collection::vec(prop::sample::select(vec!["a", "b", "[]"]), 0..3), 1..5)) {
        let fields: Vec<String> = paths.iter().map(|path| {
            path.iter().fold("order.sent".to_owned(), |field, step| if *step == "[]" { field + step } else { field + "." + step })
        }).collect();
        let all: Vec<Value> = fields.iter().enumerate().map(|(index, field)| json!({
            "name": index.to_string(),
            "when": [{ "field": field, "operator": "notEmpty" }],
            "then": { "op": "remove", "path": "data/order/x" },
        })).collect();
        let body = json!({ "order": { "sent": sent } });
        let (_, matched) = apply::<Placed>(&rules::<Placed>(&json!(all)), &body.to_string());
        for (index, field) in fields.iter().enumerate() {
            prop_assert_eq!(matched.contains(&index.to_string()), holds::<Placed>(&body, field, "notEmpty", &Value::Null), "{}", field);
        }
    }
}
