//! The development command `rules`: checks a rules file and explains what it does to one event.
//! Compiled only with the feature `explain`.

mod event;
mod hooks;
mod notes;
mod render;

use std::{fmt::Write as _, fs, path::Path};

use self::{event::explain, hooks::unsent_fields, notes::notes, render::Style};
use super::{Rules, file, read};
use crate::{
    channel::Channel,
    verify::{DEFAULT_SOURCE_PREFIX, SHOP_NAME_CHARS_MAX, Shop},
};

const USAGE: &str =
    "usage: rules FILE [EVENT] [--all] [--shop NAME] [--color] [--hooks WEBHOOKS_XML]

Checks the rules in FILE. With an EVENT (a body as a shop sends it, or an API Gateway request with
such a body), it explains which rules match and shows the answer to the shop. --all includes rules
that are not enabled. With --shop, the event is from the shop with this name. With --hooks, each
field that the rules need must be sent by the hook.";

/// Runs the command with its arguments and returns the output.
///
/// Fails if the arguments are wrong, the file has errors, or the event cannot be read.
pub fn command<C: Channel>(arguments: &[String]) -> Result<String, String> {
    let (mut paths, mut all, mut hooks, mut shop) = (Vec::new(), false, None, None);
    let mut style = Style::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--all" => all = true,
            "--color" => style.color = true,
            "--shop" => shop = Some(named_shop(arguments.next().ok_or(USAGE)?)?),
            "--hooks" => hooks = Some(arguments.next().ok_or(USAGE)?),
            option if option.starts_with('-') => return Err(USAGE.to_owned()),
            path => paths.push(path),
        }
    }
    let (path, event) = match *paths {
        [path] => (path, None),
        [path, event] => (path, Some(event)),
        _ => return Err(USAGE.to_owned()),
    };
    let with_path = |error: &dyn std::fmt::Display| format!("{path}: {error}");
    let text = read::content(Path::new(path)).map_err(|error| with_path(&error))?;
    let wanted = |rule: &file::Rule| all || rule.enabled;
    let rules = Rules::read_where::<C>(&text, wanted).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(|error| with_path(error)).collect();
        lines.join("\n")
    })?;
    let file = read::parse(&text).map_err(|error| with_path(&error))?;
    if let Some(hooks) = hooks {
        let xml = fs::read_to_string(hooks)
            .map_err(|error| format!("{hooks}: cannot be read: {error}"))?;
        let unsent = unsent_fields::<C>(&file, &xml);
        if !unsent.is_empty() {
            let line = |why: &String| with_path(&format!("{why}; run make hooks"));
            let lines: Vec<_> = unsent.iter().map(line).collect();
            return Err(lines.join("\n"));
        }
    }
    let mut output = summary(path, &file) + &notes::<C>(&file);
    if let Some(event) = event {
        let file_rules: Vec<_> = file.rules.iter().filter(|rule| wanted(rule)).collect();
        let input = fs::read(event).map_err(|error| format!("{event}: cannot be read: {error}"))?;
        let explanation =
            explain::<C>(&rules, file.mode, &file_rules, &input, shop.as_ref(), style)
                .map_err(|error| format!("{event}: {error}"))?;
        let _ = write!(output, "\n{explanation}");
    }
    Ok(output)
}

/// Returns the shop with this name.
fn named_shop(name: &str) -> Result<Shop, String> {
    if !Shop::is_name(name) {
        return Err(format!(
            "{name:?} is not the name of a shop: 1 to {SHOP_NAME_CHARS_MAX} of a-z, 0-9, - and _, \
             beginning with a letter or digit"
        ));
    }
    Ok(Shop {
        name: name.to_owned(),
        source: format!("{DEFAULT_SOURCE_PREFIX}{name}"),
    })
}

fn summary(path: &str, file: &file::File) -> String {
    let count = |mode: file::Mode| {
        let enabled = file.rules.iter().filter(|rule| rule.enabled);
        enabled
            .filter(|rule| rule.mode.unwrap_or(file.mode) == mode)
            .count()
    };
    let (enforced, observed) = (count(file::Mode::Enforce), count(file::Mode::Observe));
    let disabled = file.rules.len() - enforced - observed;
    format!("{path}: {enforced} enforced, {observed} observed, {disabled} not enabled\n")
}

#[cfg(test)]
mod tests;
