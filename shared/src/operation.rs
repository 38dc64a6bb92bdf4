//! What Commerce understands as an answer: five operations.

use serde::Serialize;
use serde_json::Value;

/// One operation, which Commerce carries out on the event's arguments.
///
/// Source: Adobe Commerce Webhooks, responses. `path` is separated by slashes and starts at the event's arguments, as in
/// `data/order/ext_order_id`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Go on as if nothing had been asked.
    Success,
    /// Stop the shopper.
    Exception {
        /// What the shopper reads; without it the hook's `fallbackErrorMessage`.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// PHP class of the exception. The field is `type`: what was documented as `class` was ignored.
        #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
        class: Option<String>,
    },
    /// Add a value.
    Add {
        /// Where.
        path: String,
        /// What.
        value: Value,
        /// PHP class that is made of the value.
        #[serde(skip_serializing_if = "Option::is_none")]
        instance: Option<String>,
    },
    /// Replace a value.
    Replace {
        /// Where.
        path: String,
        /// What.
        value: Value,
        /// PHP class that is made of the value.
        #[serde(skip_serializing_if = "Option::is_none")]
        instance: Option<String>,
    },
    /// Remove a value.
    Remove {
        /// Where.
        path: String,
    },
}

/// The body of an answer: one operation as an object, several as a list, none as `success`.
pub fn body(operations: &[Operation]) -> String {
    match operations {
        [] => serde_json::to_string(&Operation::Success),
        [one] => serde_json::to_string(one),
        several => serde_json::to_string(several),
    }
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_to_change_is_success() {
        assert_eq!(body(&[]), r#"{"op":"success"}"#);
        assert_eq!(body(&[Operation::Success]), r#"{"op":"success"}"#);
    }

    #[test]
    fn an_exception_has_message_and_type_when_given() {
        let bare = Operation::Exception {
            message: None,
            class: None,
        };
        assert_eq!(body(&[bare]), r#"{"op":"exception"}"#);
        let full = Operation::Exception {
            message: Some("Product is not in stock".into()),
            class: Some(r"Magento\Framework\Exception\LocalizedException".into()),
        };
        assert_eq!(
            body(&[full]),
            r#"{"op":"exception","message":"Product is not in stock","type":"Magento\\Framework\\Exception\\LocalizedException"}"#
        );
    }

    #[test]
    fn changes_come_as_one_object_or_as_a_list() {
        let add = Operation::Add {
            path: "data/order/ext_order_id".into(),
            value: json!("A1"),
            instance: None,
        };
        assert_eq!(
            body(std::slice::from_ref(&add)),
            r#"{"op":"add","path":"data/order/ext_order_id","value":"A1"}"#
        );
        let replace = Operation::Replace {
            path: "result".into(),
            value: json!({"a": 1}),
            instance: Some("X".into()),
        };
        let remove = Operation::Remove {
            path: "result/key".into(),
        };
        assert_eq!(
            body(&[add, replace, remove]),
            concat!(
                r#"[{"op":"add","path":"data/order/ext_order_id","value":"A1"},"#,
                r#"{"op":"replace","path":"result","value":{"a":1},"instance":"X"},"#,
                r#"{"op":"remove","path":"result/key"}]"#
            )
        );
    }
}
