//! The fields that rules refer to: paths in the contract, or in other JSON that the shop sent. The
//! code that reads values outside the contract is in `walk`. A name that begins with `@` is no part
//! of the event.

use serde_json::value::RawValue;

use super::{
    names::misspelled,
    walk::{End, Observer, PathTree},
};
use crate::{
    channel::{Channel, is_plugin},
    event::{Event, envelope_keys},
    model::{
        Entity, Lookup as _,
        lookup::{FieldKind, FieldPath, FieldValue, PathError, PathStep},
    },
};

/// The maximum number of steps of a path.
const STEPS_MAX: usize = 16;

/// A field that a rule refers to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field {
    /// A field of the contract.
    Contract(Vec<PathStep>, FieldKind),
    /// Any other value that the shop sent.
    Sent(SentRoot, Vec<PathStep>),
    /// The name of the shop whose key verified the event. Absent for the shop without a name.
    Shop,
}

/// Where a path outside the contract starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SentRoot {
    /// At the entity.
    Entity,
    /// At another argument of the event, by its name.
    Argument(String),
}

impl Field {
    /// Parses a field, as in `order.items[].sku` or, as a shop writes it, `data.order.items[].sku`.
    /// The error is a clause that follows the field.
    pub(super) fn parse<C: Channel>(field: &str) -> Result<Self, String> {
        if is_special(field) {
            return special(field);
        }
        let (name, keys) = (C::Entity::NAME, C::Entity::KEYS);
        let envelope_keys = envelope_keys(C::METHOD);
        let mut steps = parse_steps(field)?;
        let is_below_data = steps.first() == Some(&PathStep::Name("data".to_owned()));
        if steps.len() > 1 && is_below_data && envelope_keys.contains(&"data") {
            steps.remove(0);
        }
        if keys.is_empty() {
            if let Some(nearest) = nearest_path::<C::Entity>(&steps) {
                let nearest = path_name("", &nearest);
                return Err(not_known::<C::Entity>(nearest.trim_start_matches('.')));
            }
            return Ok(Self::Sent(SentRoot::Entity, steps));
        }
        let Some(PathStep::Name(root)) = steps.first().cloned() else {
            return Err("is not a path".to_owned());
        };
        let path = steps.split_off(1);
        if root != name && root != COPY && !keys.contains(&&*root) {
            let known = arguments::<C>().chain([name]);
            if let Some(nearest) = nearest(&root, known) {
                let path = path_name("", &path);
                return Err(format!(
                    "is not in the event; did you mean {nearest}{path}?"
                ));
            }
            steps.extend(path.iter().cloned());
            if envelope_keys.contains(&&*root) {
                return Err("is not an argument of the event".to_owned());
            }
            let is_sent = path.is_empty() && C::Entity::field_names(&[]).contains(&&*root);
            if is_sent || C::Entity::kind(&steps).is_ok() {
                let field = field.strip_prefix("data.").unwrap_or(field);
                return Err(format!("must be written as {name}.{field}"));
            }
            return Ok(Self::Sent(SentRoot::Argument(root), path));
        }
        let error = match C::Entity::kind(&path) {
            Ok(kind) => return Ok(Self::Contract(path, kind)),
            Err(error) => error,
        };
        if let Some(nearest) = nearest_path::<C::Entity>(&path) {
            return Err(not_known::<C::Entity>(&path_name(&root, &nearest)));
        }
        match error {
            PathError::UnknownField => Ok(Self::Sent(SentRoot::Entity, path)),
            PathError::Invalid(why) => Err(why.to_owned()),
        }
    }

    /// Parses a field that has one value.
    pub(super) fn parse_single<C: Channel>(field: &str) -> Result<Self, String> {
        let parsed = Self::parse::<C>(field)?;
        if parsed.path().contains(&PathStep::Each) {
            return Err("must be one value, without []".to_owned());
        }
        Ok(parsed)
    }

    pub(super) fn path(&self) -> &FieldPath {
        match self {
            Self::Contract(path, _) | Self::Sent(_, path) => path,
            Self::Shop => &[],
        }
    }

    /// Returns the same field as the shop sent it, outside the contract. `None` if it is no part of
    /// the event.
    pub(super) fn into_sent(self) -> Option<(SentRoot, Vec<PathStep>)> {
        match self {
            Self::Contract(path, _) => Some((SentRoot::Entity, path)),
            Self::Sent(root, path) => Some((root, path)),
            Self::Shop => None,
        }
    }

    /// Returns the kind of a field of the contract and of the shop, or `None` for any other field.
    pub(super) fn kind(&self) -> Option<FieldKind> {
        match self {
            Self::Contract(_, kind) => Some(*kind),
            Self::Sent(..) => None,
            Self::Shop => Some(FieldKind::Text),
        }
    }

    /// Returns the name in a hook of a field outside the contract.
    #[cfg(any(feature = "schema", feature = "explain"))]
    pub(super) fn hook_name<C: Channel>(&self, entity_path: &str) -> Option<String> {
        let name = match self {
            Self::Contract(..) | Self::Shop => return None,
            Self::Sent(SentRoot::Entity, path) => path_name(entity_path, path),
            Self::Sent(SentRoot::Argument(argument), path) => {
                let root = if is_plugin(C::METHOD) { "" } else { "data." };
                path_name(&format!("{root}{argument}"), path)
            }
        };
        // The name of a list includes its elements.
        let name = name.trim_start_matches('.').trim_end_matches("[]");
        Some(name.to_owned())
    }

    /// Passes every value of the field to the observer, in slot 0.
    ///
    /// Fails if the JSON cannot be read or the observer stops the walk.
    pub(super) fn visit<E: Entity>(
        &self,
        event: &Event<'_, E>,
        observer: &mut dyn Observer,
    ) -> Result<(), serde_json::Error> {
        match self {
            Self::Contract(path, _) => {
                event
                    .entity
                    .visit(path, &mut |value| observer.observe(End::Value(0), &value));
                Ok(())
            }
            Self::Sent(root, path) => {
                let mut tree = PathTree::default();
                tree.add(path, End::Value(0));
                tree.walk(root.json(event), observer)
            }
            Self::Shop => {
                observer.observe(End::Value(0), &shop_of(event));
                Ok(())
            }
        }
    }
}

impl SentRoot {
    pub(super) fn json<'a, E>(&self, event: &Event<'a, E>) -> Option<&'a RawValue> {
        match self {
            Self::Entity => Some(event.original),
            Self::Argument(name) => event
                .related
                .iter()
                .find_map(|(known, raw)| (known == name).then_some(*raw)),
        }
    }
}

/// The name of [`Field::Shop`] in a rules file.
const SHOP: &str = "@shop";

/// Whether a field of a rules file is no part of the event.
pub(super) fn is_special(field: &str) -> bool {
    field.starts_with('@')
}

/// Parses a field that is no part of the event.
fn special(field: &str) -> Result<Field, String> {
    if field == SHOP {
        return Ok(Field::Shop);
    }
    let is_misspelled = nearest(field, [SHOP]).is_some() || field.starts_with(SHOP);
    Err(if is_misspelled {
        format!("is unknown; did you mean {SHOP}?")
    } else {
        format!("is unknown; the only name with @ is {SHOP}")
    })
}

/// Returns the value of [`Field::Shop`].
pub(super) fn shop_of<'a, E>(event: &'a Event<'_, E>) -> FieldValue<'a> {
    event.shop.map_or(FieldValue::Absent, |shop| {
        FieldValue::Text(shop.name.as_str().into())
    })
}

/// The argument in which a shop sends the entity again.
const COPY: &str = "data_object";

/// Returns the known arguments of the event.
pub(super) fn arguments<C: Channel>() -> impl Iterator<Item = &'static str> + Clone {
    let keys = C::Entity::KEYS.iter().chain(C::OTHER_ARGUMENTS).copied();
    keys.chain((!is_plugin(C::METHOD)).then_some(COPY))
}

/// Returns the path to the field of the contract that a path probably means. `None` if the path is
/// right, or leads to another field.
pub(super) fn nearest_path<E: Entity>(path: &FieldPath) -> Option<Vec<PathStep>> {
    (0..path.len()).find_map(|index| {
        let (above, rest) = path.split_at(index);
        let [PathStep::Name(name), below @ ..] = rest else {
            return None;
        };
        let nearest = nearest(name, E::field_names(above))?;
        let nearest = [PathStep::Name(nearest.to_owned())];
        Some([above, &nearest, below].concat())
    })
}

/// Returns the error of a name that is probably misspelled, as a clause that follows it.
pub(super) fn not_known<E: Entity>(nearest: &str) -> String {
    let known = if E::HAS_MODEL {
        "the contract"
    } else {
        "the channel's FIELDS"
    };
    format!("is not in {known}; did you mean {nearest}?")
}

fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<&'a str> {
    misspelled(name, known).first().copied()
}

/// Returns the fields outside the contract that the rules of a file need, enabled or not, with
/// their names in a hook. `entity_path` is the path at which the shop sends the entity.
#[cfg(any(feature = "schema", feature = "explain"))]
pub(crate) fn hook_fields<C: Channel>(
    file: &super::File,
    entity_path: &str,
) -> std::collections::BTreeSet<String> {
    let mut names = std::collections::BTreeSet::new();
    super::references::visit::<C>(file, &mut |reference| {
        names.extend(reference.field.hook_name::<C>(entity_path));
    });
    names
}

/// Returns a path as a merchant writes it.
pub(super) fn path_name(root: &str, path: &FieldPath) -> String {
    path.iter().fold(root.to_owned(), |name, step| match step {
        PathStep::Name(next) => format!("{name}.{next}"),
        PathStep::Each => format!("{name}[]"),
    })
}

fn parse_steps(field: &str) -> Result<Vec<PathStep>, String> {
    let mut steps = Vec::new();
    for part in field.split('.') {
        let name = part.trim_end_matches("[]");
        if name.is_empty() || name.contains(['[', ']']) || name.contains(char::is_whitespace) {
            return Err(
                "is not a path; write names separated by dots, as in order.items[].sku".to_owned(),
            );
        }
        steps.push(PathStep::Name(name.to_owned()));
        let lists = (part.len() - name.len()) / "[]".len();
        steps.extend(std::iter::repeat_n(PathStep::Each, lists));
    }
    if steps.len() > STEPS_MAX {
        return Err(format!("has more than {STEPS_MAX} steps"));
    }
    Ok(steps)
}

#[cfg(test)]
mod tests;
