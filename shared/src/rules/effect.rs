//! The effect of a matched rule, and the checks of the operations under `then`.

mod path;
mod value;

use self::{path::check_path, value::ValueTemplate};
use super::{
    OPERATIONS_MAX, evaluate::Evaluator, field::Field, file::RuleOperation, template::Template,
};
use crate::{
    channel::Channel,
    model::Entity,
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
    Change {
        changes: Vec<Change>,
        /// Whether the event is forwarded.
        forward: bool,
    },
}

/// An operation that changes the event.
#[derive(Debug)]
pub(super) enum Change {
    /// The same for each event.
    Fixed(Operation),
    /// With a value of the event.
    Computed {
        replaces: bool,
        path: String,
        value: ComputedValue,
        instance: Option<String>,
    },
}

/// A value that depends on the event.
#[derive(Debug)]
pub(super) enum ComputedValue {
    Template(ValueTemplate),
    Copy(Field),
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
        let mut changes = Vec::new();
        let mut forward = true;
        for operation in then {
            match operation {
                RuleOperation::DoNotForward {} => forward = false,
                operation => changes.push(change::<C>(operation)?),
            }
        }
        Ok(Self::Change { changes, forward })
    }
}

impl Change {
    /// Returns the operation for an event. `None` if the event lacks a value for it.
    pub(super) fn operation<E: Entity>(
        &self,
        evaluator: &Evaluator<'_, '_, E>,
        bytes_left: &mut usize,
    ) -> Option<Operation> {
        match self {
            Self::Fixed(operation) => Some(operation.clone()),
            Self::Computed {
                replaces,
                path,
                value,
                instance,
            } => {
                let value = value.render(evaluator, bytes_left)?;
                Some(operation(*replaces, path.clone(), value, instance.clone()))
            }
        }
    }
}

fn operation(
    replaces: bool,
    path: String,
    value: crate::operation::OperationValue,
    instance: Option<String>,
) -> Operation {
    if replaces {
        return Operation::Replace {
            path,
            value,
            instance,
        };
    }
    Operation::Add {
        path,
        value,
        instance,
    }
}

fn change<C: Channel>(then: &RuleOperation) -> Result<Change, String> {
    let replaces = matches!(then, RuleOperation::Replace { .. });
    match then {
        RuleOperation::Exception { .. } | RuleOperation::DoNotForward {} => Err(
            "an exception must be the only operation, because a refused event is not changed"
                .to_owned(),
        ),
        RuleOperation::Add {
            path,
            value,
            value_field,
            instance,
        }
        | RuleOperation::Replace {
            path,
            value,
            value_field,
            instance,
        } => {
            check_path::<C>(path, replaces)?;
            check_class("instance", instance.as_deref())?;
            let (path, instance) = (path.clone(), instance.clone());
            let value = match (value, value_field) {
                (Some(value), None) => match ValueTemplate::parse::<C>(value)? {
                    ValueTemplate::Fixed(value) => {
                        let fixed = operation(replaces, path, value.into(), instance);
                        return Ok(Change::Fixed(fixed));
                    }
                    template => ComputedValue::Template(template),
                },
                (None, Some(name)) => Field::parse_single::<C>(name)
                    .map(ComputedValue::Copy)
                    .map_err(|why| format!("the field {name:?} {why}"))?,
                _ => {
                    return Err(format!(
                        "the operation on {path:?} needs either a value or a valueField"
                    ));
                }
            };
            Ok(Change::Computed {
                replaces,
                path,
                value,
                instance,
            })
        }
        RuleOperation::Remove { path } => {
            check_path::<C>(path, true)?;
            Ok(Change::Fixed(Operation::Remove { path: path.clone() }))
        }
    }
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
