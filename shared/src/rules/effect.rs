//! The effect of a matched rule, and the checks of the operations under `then`.

use super::{OPERATIONS_MAX, file::RuleOperation, template::Template};
use crate::{
    channel::Channel,
    operation::{Operation, is_php_class},
};

/// The maximum length of the path or the class of an operation in bytes.
const PATH_BYTES_MAX: usize = 512;

/// The effect of a rule on an event that it matches.
#[derive(Debug)]
pub(super) enum Effect {
    Refuse {
        message: Option<Template>,
        class: Option<String>,
    },
    Change(Vec<Operation>),
}

impl Effect {
    /// Checks the operations under `then`. The error is a clause that follows "then: ".
    pub(super) fn parse<C: Channel>(then: &[RuleOperation]) -> Result<Self, String> {
        if then.is_empty() {
            return Err("at least one operation is required".to_owned());
        }
        if then.len() > OPERATIONS_MAX {
            return Err(format!("there are more than {OPERATIONS_MAX} operations"));
        }
        if let [RuleOperation::Exception { message, class }] = then {
            let message = message.as_deref().map(Template::parse::<C>);
            check_class("type", class.as_deref())?;
            return Ok(Self::Refuse {
                message: message
                    .transpose()
                    .map_err(|why| format!("the message {why}"))?,
                class: class.clone(),
            });
        }
        let operations: Result<_, _> = then.iter().map(change).collect();
        operations.map(Self::Change)
    }
}

fn change(then: &RuleOperation) -> Result<Operation, String> {
    let check = |path: &str, instance: Option<&str>| {
        check_path(path).and_then(|()| check_class("instance", instance))
    };
    match then.clone() {
        RuleOperation::Exception { .. } => Err(
            "an exception must be the only operation, because a refused event is not changed"
                .to_owned(),
        ),
        RuleOperation::Add {
            path,
            value,
            instance,
        } => {
            check(&path, instance.as_deref())?;
            Ok(Operation::Add {
                path,
                value,
                instance,
            })
        }
        RuleOperation::Replace {
            path,
            value,
            instance,
        } => {
            check(&path, instance.as_deref())?;
            Ok(Operation::Replace {
                path,
                value,
                instance,
            })
        }
        RuleOperation::Remove { path } => {
            check(&path, None)?;
            Ok(Operation::Remove { path })
        }
    }
}

fn check_path(path: &str) -> Result<(), String> {
    let is_name = |name: &str| {
        !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    let has_root = matches!(path.split('/').next(), Some("data" | "result" | "subject"));
    if has_root && path.len() <= PATH_BYTES_MAX && path.split('/').all(is_name) {
        return Ok(());
    }
    Err(format!(
        "the path {path:?} must start with data and have slashes between names, \
         as in data/order/ext_order_id"
    ))
}

/// Checks the name of a PHP class or interface.
fn check_class(key: &str, class: Option<&str>) -> Result<(), String> {
    let Some(class) = class else {
        return Ok(());
    };
    if class.len() <= PATH_BYTES_MAX && is_php_class(class) {
        return Ok(());
    }
    Err(format!("{key} {class:?} is not a PHP class"))
}

#[cfg(test)]
mod tests;
