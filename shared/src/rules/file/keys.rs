//! Reads operations. One struct has the keys of all of them: a tagged enum would add 25 KB of code.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use super::RuleOperation;

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OperationName {
    Exception,
    Add,
    Replace,
    Remove,
    #[serde(rename = "doNotForward")]
    DoNotForward,
}

impl OperationName {
    /// Returns the keys of the operation, without `op`.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Exception => &["message", "type"],
            Self::Add | Self::Replace => &["path", "value", "valueField", "instance"],
            Self::Remove => &["path"],
            Self::DoNotForward => &[],
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct OperationKeys {
    op: OperationName,
    message: Option<String>,
    #[serde(rename = "type")]
    class: Option<String>,
    path: Option<String>,
    #[serde(default, deserialize_with = "some_value")]
    value: Option<Value>,
    value_field: Option<String>,
    instance: Option<String>,
}

/// Deserializes a value that may be null. `Option` alone would take null for an absent value.
fn some_value<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

impl<'de> Deserialize<'de> for RuleOperation {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let OperationKeys {
            op,
            message,
            class,
            path,
            value,
            value_field,
            instance,
        } = OperationKeys::deserialize(from)?;
        let present = [
            ("message", message.is_some()),
            ("type", class.is_some()),
            ("path", path.is_some()),
            ("value", value.is_some()),
            ("valueField", value_field.is_some()),
            ("instance", instance.is_some()),
        ];
        for (key, is_present) in present {
            if is_present && !op.keys().contains(&key) {
                return Err(D::Error::unknown_field(key, op.keys()));
            }
        }
        let path = path.ok_or_else(|| D::Error::missing_field("path"));
        Ok(match op {
            OperationName::Exception => Self::Exception { message, class },
            OperationName::Add => Self::Add {
                path: path?,
                value,
                value_field,
                instance,
            },
            OperationName::Replace => Self::Replace {
                path: path?,
                value,
                value_field,
                instance,
            },
            OperationName::Remove => Self::Remove { path: path? },
            OperationName::DoNotForward => Self::DoNotForward {},
        })
    }
}
