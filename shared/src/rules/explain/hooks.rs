//! The fields that a hook in `webhooks.xml` sends.

use std::collections::BTreeSet;

use super::super::{field::hook_fields, file};
use crate::{
    channel::{Channel, HookType, is_plugin},
    model::Entity as _,
};

/// Returns an error for each field outside the contract that the rules need and the channel's hook
/// does not send.
pub(super) fn unsent_fields<C: Channel>(file: &file::File, xml: &str) -> Vec<String> {
    let Some(sent) = sent_fields::<C>(xml) else {
        return Vec::new();
    };
    let root = if is_plugin(C::METHOD) { "" } else { "data." };
    let keys = C::Entity::KEYS.iter().map(|key| format!("{root}{key}"));
    let paths: Vec<String> = if C::Entity::KEYS.is_empty() {
        vec![root.trim_end_matches('.').to_owned()]
    } else {
        keys.collect()
    };
    // Each list has the same fields, under another name of the entity.
    let needed: Vec<BTreeSet<String>> = paths
        .iter()
        .map(|path| hook_fields::<C>(file, path))
        .collect();
    let sends = |needed: &BTreeSet<String>| needed.iter().all(|field| sends(&sent, field));
    if needed.iter().any(sends) {
        return Vec::new();
    }
    let first = needed.into_iter().next().unwrap_or_default();
    first
        .iter()
        .filter(|field| !self::sends(&sent, field))
        .map(|field| format!("the hook in commerce/webhooks.xml does not send {field}"))
        .collect()
}

/// Whether a hook with these fields sends this one: it names the field, one above it, or one below.
fn sends(sent: &[String], field: &str) -> bool {
    let is_above = |above: &str, below: &str| {
        let rest = below.strip_prefix(above);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    sent.iter()
        .any(|sent| is_above(sent, field) || is_above(field, sent))
}

/// Returns the fields that the channel's hook sends. `None` if it sends everything, or if there is
/// no such hook.
fn sent_fields<C: Channel>(xml: &str) -> Option<Vec<String>> {
    let hook_type = match C::HOOK_TYPE {
        HookType::Before => "type=\"before\"",
        HookType::After => "type=\"after\"",
    };
    let name = format!("name=\"{}\"", C::METHOD);
    let xml = without_comments(xml);
    let methods = xml.split("<method ").skip(1);
    let mut hooks = methods.filter_map(|method| {
        let (attributes, hook) = method.split_once('>')?;
        (attributes.contains(&name) && attributes.contains(hook_type)).then_some(hook)
    });
    let hook = hooks.next()?.split("</method>").next()?;
    let fields = hook.split("<field ").skip(1).filter_map(|field| {
        let (_, name) = field.split_once("name=\"")?;
        Some(name.split_once('"')?.0.to_owned())
    });
    Some(fields.collect()).filter(|fields: &Vec<_>| !fields.is_empty())
}

fn without_comments(xml: &str) -> String {
    let mut parts = xml.split("<!--");
    let first = parts.next().unwrap_or_default();
    let rest = parts.map(|part| part.split_once("-->").map_or("", |(_, after)| after));
    std::iter::once(first).chain(rest).collect()
}
