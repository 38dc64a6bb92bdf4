//! Notes on a valid rules file: what is probably not meant.

use std::fmt::Write as _;

use super::super::{
    field::{Field, SentRoot},
    file,
    operator::Operator,
    references,
};
use crate::{channel::Channel, model::Entity as _};

/// Lists the fields outside the contract, because a misspelled field looks like one of them, and
/// values that look like placeholders.
pub(super) fn notes<C: Channel>(file: &file::File) -> String {
    let mut output = String::new();
    references::visit::<C>(file, &mut |reference| {
        let place = match reference.field {
            Field::Contract(..) | Field::Shop => return,
            Field::Sent(..) if !C::Entity::HAS_MODEL => return,
            Field::Sent(SentRoot::Entity, _) => "from what the shop sends",
            Field::Sent(SentRoot::Argument(_), _) => "from the other arguments of the event",
        };
        let (rule, name) = (reference.rule, reference.name);
        let _ = writeln!(
            output,
            "  rule {rule}: {name} is not in the contract; it is read {place}"
        );
    });
    for rule in &file.rules {
        for entry in &rule.when {
            entry.visit_conditions(&mut |condition| {
                let value = condition.value.as_deref().map_or("", |value| value.get());
                if condition.operator != Some(Operator::Regex) && has_placeholder(value) {
                    let _ = writeln!(
                        output,
                        "  warning: rule {}: the value {value} is a plain text; to compare with \
                         another field, write valueField instead of value",
                        rule.name
                    );
                }
            });
        }
    }
    output
}

/// Whether a value has a name in braces, as in `{order.grand_total}`.
fn has_placeholder(value: &str) -> bool {
    let mut names = value
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'));
    names.any(|(name, _)| name.contains('.') && !name.contains(char::is_whitespace))
}
