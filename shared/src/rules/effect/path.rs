//! The paths of operations: they must lead to something that the event has.

use super::{
    super::{
        field::{arguments, nearest_path, not_known},
        names::misspelled,
    },
    PATH_BYTES_MAX,
};
use crate::{
    channel::{Channel, HookType, is_plugin},
    model::{Entity, Lookup as _, lookup::PathStep},
};

/// What the original action returned.
const RESULT: &str = "result";

/// Checks the path of an operation. `needs_value` is whether the operation is on a value that the
/// event has. The error is a clause that follows "then: ".
pub(super) fn check_path<C: Channel>(path: &str, needs_value: bool) -> Result<(), String> {
    let is_name = |name: &str| {
        !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    let mut names: Vec<&str> = path.split('/').collect();
    let is_plugin = is_plugin(C::METHOD);
    let has_data = !is_plugin && names.first() == Some(&"data");
    let example = example::<C>();
    if path.len() > PATH_BYTES_MAX
        || !names.iter().all(|name| is_name(name))
        || !(is_plugin || has_data || names.first() == Some(&RESULT))
        || (has_data && names.len() < 2)
    {
        let start = if is_plugin {
            "an argument of the event"
        } else {
            "data"
        };
        return Err(format!(
            "the path {path:?} must start with {start} and have slashes between names, as in \
             {example}"
        ));
    }
    if has_data {
        names.remove(0);
    }
    let keys = C::Entity::KEYS;
    let known: Vec<_> = if keys.is_empty() {
        C::Entity::field_names(&[])
    } else {
        arguments::<C>().collect()
    };
    let Some((root, below)) = names.split_first() else {
        return Ok(());
    };
    let is_known = known.contains(root);
    if !has_data && *root == RESULT && !is_known {
        return match C::HOOK_TYPE {
            HookType::Before => Err(format!(
                "the path {path:?}: an event of type before has no result yet"
            )),
            HookType::After => Ok(()),
        };
    }
    if known.is_empty() {
        return Ok(());
    }
    let prefix = if has_data { "data/" } else { "" };
    if let Some(nearest) = misspelled(root, known.iter().copied()).first() {
        return Err(format!(
            "the path {path:?} starts with no argument of the event; did you mean {prefix}{nearest}?",
            nearest = [&[*nearest], below].concat().join("/"),
        ));
    }
    // The other arguments of a method are not known, nor those of an event without a sample.
    if !is_known && !is_plugin && !keys.is_empty() {
        return Err(format!(
            "the path {path:?} must start with an argument of the event, as in {example}; the \
             event has {}",
            known.join(", ")
        ));
    }
    if is_plugin && *root == "data" && !is_known {
        return Err(format!(
            "the path {path:?} must start with an argument of the event, as in {example}"
        ));
    }
    if needs_value && (keys.contains(root) || *root == "data_object") {
        check_below::<C>(prefix, root, below)?;
    }
    Ok(())
}

/// Checks the path below the entity for a misspelled field of the contract.
fn check_below<C: Channel>(prefix: &str, root: &str, below: &[&str]) -> Result<(), String> {
    let mut steps = Vec::new();
    for name in below {
        let element = [&*steps, &[PathStep::Each]].concat();
        steps.push(match C::Entity::kind(&element) {
            Ok(_) => PathStep::Each,
            Err(_) => PathStep::Name((*name).to_owned()),
        });
    }
    let Some(nearest) = nearest_path::<C::Entity>(&steps) else {
        return Ok(());
    };
    let names = nearest.iter().zip(below).map(|(step, name)| match step {
        PathStep::Name(name) => name,
        PathStep::Each => *name,
    });
    let nearest: Vec<_> = names.collect();
    Err(format!(
        "the path {:?} {}",
        format!("{prefix}{root}/{}", below.join("/")),
        not_known::<C::Entity>(&format!("{prefix}{root}/{}", nearest.join("/")))
    ))
}

/// Returns a path to show in an error.
fn example<C: Channel>() -> String {
    let names = C::Entity::field_names(&[]);
    let field = match names.first() {
        Some(name) if !C::Entity::HAS_MODEL => name,
        _ => "ext_order_id",
    };
    let path = match C::Entity::KEYS.first() {
        Some(argument) => format!("{argument}/{field}"),
        None => field.to_owned(),
    };
    if is_plugin(C::METHOD) {
        path
    } else {
        format!("data/{path}")
    }
}
