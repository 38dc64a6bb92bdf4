//! The operations of Commerce, which are the body of a response.

use serde::Serialize;
use serde_json::{Value, value::RawValue};

/// An operation that Commerce applies to the event's arguments.
///
/// The elements of `path` are separated by slashes, as in `data/order/ext_order_id`. The first is
/// an argument of the event. Source: Adobe Commerce Webhooks, responses.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Continues without a change.
    Success,
    /// Stops the process that fired the event, with an exception.
    Exception {
        /// The message for the shopper; by default the hook's `fallbackErrorMessage`.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// The PHP class of the exception. The field is `type`: Commerce ignores `class`, although
        /// it was documented.
        #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
        class: Option<String>,
    },
    /// Adds a value.
    Add {
        /// The path of the value.
        path: String,
        /// The new value.
        value: OperationValue,
        /// The PHP class that Commerce creates from the value.
        #[serde(skip_serializing_if = "Option::is_none")]
        instance: Option<String>,
    },
    /// Replaces a value.
    Replace {
        /// The path of the value.
        path: String,
        /// The new value.
        value: OperationValue,
        /// The PHP class that Commerce creates from the value.
        #[serde(skip_serializing_if = "Option::is_none")]
        instance: Option<String>,
    },
    /// Removes a value.
    Remove {
        /// The path of the value.
        path: String,
    },
}

/// The value of an operation. It can be JSON that the shop sent, with every digit.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct OperationValue(Box<RawValue>);

impl PartialEq for OperationValue {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl From<Value> for OperationValue {
    fn from(value: Value) -> Self {
        // The JSON of a value is always valid.
        Self(RawValue::from_string(value.to_string()).unwrap_or_default())
    }
}

impl From<Box<RawValue>> for OperationValue {
    fn from(json: Box<RawValue>) -> Self {
        Self(json)
    }
}

/// Returns the body of a response: one operation as an object, several as a list, none as
/// `success`.
pub fn body(operations: &[Operation]) -> String {
    match operations {
        [] => serde_json::to_string(&Operation::Success),
        [one] => serde_json::to_string(one),
        several => serde_json::to_string(several),
    }
    .unwrap_or_default()
}

/// Whether a text is the name of a PHP class or interface: names with backslashes between them.
pub(crate) fn is_php_class(text: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    text.trim_start_matches('\\').split('\\').all(is_name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn writes_no_operation_as_success() {
        assert_eq!(body(&[]), r#"{"op":"success"}"#);
        assert_eq!(body(&[Operation::Success]), r#"{"op":"success"}"#);
    }

    #[test]
    fn writes_message_and_type_of_an_exception_only_if_given() {
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
            concat!(
                r#"{"op":"exception","message":"Product is not in stock","#,
                r#""type":"Magento\\Framework\\Exception\\LocalizedException"}"#
            )
        );
    }

    #[test]
    fn writes_one_operation_as_an_object_and_several_as_a_list() {
        let add = Operation::Add {
            path: "data/order/ext_order_id".into(),
            value: json!("A1").into(),
            instance: None,
        };
        assert_eq!(
            body(std::slice::from_ref(&add)),
            r#"{"op":"add","path":"data/order/ext_order_id","value":"A1"}"#
        );
        let replace = Operation::Replace {
            path: "result".into(),
            value: json!({"a": 1}).into(),
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
