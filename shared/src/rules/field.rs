//! Where a rule looks: paths into an event, and the walk to their ends.

use std::borrow::Cow;

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    event::{ENVELOPE_KEYS, Event},
    model::{
        Entity,
        lookup::{FieldKind, FieldPath, FieldValue, PathError, PathStep},
        scalar::JsonScalar,
    },
};

/// A path has at most this many steps.
const STEPS_MAX: usize = 16;

/// Where a field of a rule leads.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// To a field of the contract.
    Contract(Vec<PathStep>, FieldKind),
    /// To something else that the shop sent: below the entity, or below another argument of the event.
    Sent(Root, Vec<PathStep>),
}

/// Where a path through what the shop sent begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// The entity.
    Entity,
    /// Another argument of the event, by its name.
    Argument(String),
}

impl Place {
    /// Finds the place of a field, as in `order.items[].sku` or, as the shop writes it, `data.order.items[].sku`.
    pub(super) fn find<E: Entity>(field: &str) -> Result<Self, String> {
        let mut steps = steps(field)?;
        if steps.len() > 1 && steps.first() == Some(&PathStep::Name("data".to_owned())) {
            steps.remove(0);
        }
        let Some(PathStep::Name(root)) = steps.first().cloned() else {
            return Err("is no path".to_owned());
        };
        let path = steps.split_off(1);
        if root != E::NAME && root != "data_object" && !E::KEYS.contains(&&*root) {
            steps.extend(path.iter().cloned());
            if ENVELOPE_KEYS.contains(&&*root) {
                return Err(format!("{root} is no argument of the event"));
            }
            if E::kind(&steps).is_ok() {
                let field = field.strip_prefix("data.").unwrap_or(field);
                return Err(format!("write {}.{field}", E::NAME));
            }
            return Ok(Self::Sent(Root::Argument(root), path));
        }
        match E::kind(&path) {
            Ok(kind) => Ok(Self::Contract(path, kind)),
            Err(PathError::UnknownField) => Ok(Self::Sent(Root::Entity, path)),
            Err(PathError::Invalid(why)) => Err(why.to_owned()),
        }
    }

    /// What stands there by the contract, if it is in the contract.
    pub(super) fn kind(&self) -> Option<FieldKind> {
        match self {
            Self::Contract(_, kind) => Some(*kind),
            Self::Sent(..) => None,
        }
    }

    /// Shows the observer everything that stands there, in slot 0. The error is that of JSON that cannot be read, or the observer's
    /// wish to end.
    pub(super) fn look<E: Entity>(
        &self,
        event: &Event<'_, E>,
        observer: &mut dyn Observer,
    ) -> Result<(), serde_json::Error> {
        match self {
            Self::Contract(path, _) => {
                event.entity.visit(path, &mut |seen| observer.see(0, &seen));
                Ok(())
            }
            Self::Sent(root, path) => {
                let mut paths = Paths::default();
                paths.add(path, 0);
                paths.walk(root.raw(event), observer)
            }
        }
    }
}

/// What the contract does not show of a place, because it cannot be read.
#[derive(Debug, Default)]
pub(super) struct Unreadable<'e> {
    /// The values that were sent, as JSON.
    pub(super) values: Vec<&'e str>,
    /// Whether what is absent there may have been sent: something above the place cannot be read, or it is one of more issues than are
    /// listed.
    pub(super) hides_absent: bool,
    /// Whether more may have been sent than stands there: an element was skipped, or the field is computed of something unreadable.
    pub(super) hides_more: bool,
}

impl<'e> Unreadable<'e> {
    /// What cannot be read at this place of the contract.
    pub(super) fn at<E: Entity>(path: &FieldPath, event: &'e Event<'_, E>) -> Self {
        let field = name(E::NAME, path);
        let root = match path.first() {
            Some(PathStep::Name(root)) => root.as_str(),
            _ => "",
        };
        let parts = E::computed_from(root);
        let mut found = Self::default();
        let listed = event.issues.list.iter().filter(|issue| issue.hides);
        let listed = listed.map(|issue| (&issue.field, issue.value.as_deref()));
        let unlisted = event.issues.hidden.iter().map(|field| (field, None));
        for (hidden, value) in listed.chain(unlisted) {
            let own = hidden.strip_prefix(E::NAME);
            let own = own
                .and_then(|own| own.strip_prefix('.'))
                .unwrap_or_default();
            let sent = own.split(['.', '[']).next().unwrap_or_default();
            let list = hidden.strip_suffix("[]");
            match (field.strip_prefix(&**hidden), value) {
                (Some(""), Some(value)) => found.values.push(value),
                // An element was skipped, and with it what is below.
                (Some(rest), _) if list.is_some() && (rest.is_empty() || rest.starts_with('.')) => {
                    found.hides_more = true;
                }
                (Some(rest), _) if rest.is_empty() || rest.starts_with(['.', '[']) => {
                    found.hides_absent = true;
                }
                _ if list == Some(&field) => found.hides_more = true,
                _ => {
                    found.hides_more |= parts.contains(&own);
                    found.hides_absent |= E::stored_as(sent).contains(&root);
                }
            }
        }
        found
    }
}

/// Who looks on while what the shop sent is walked through.
pub(super) trait Observer {
    /// This stands at the end of the path with this slot.
    fn see(&mut self, slot: usize, seen: &FieldValue<'_>);

    /// Asked at each element and each member, and wherever a value is read that is read again or passed over: whether the walk goes on
    /// after so many bytes.
    fn goes_on(&mut self, bytes: usize) -> bool;
}

/// What the rules of a file look at that is not in the contract, whether they are enabled or not: as a hook names it in a shop
/// that sends the entity at `place`.
#[cfg(feature = "schema")]
pub(crate) fn hook_fields<E: Entity>(
    file: &super::File,
    place: &str,
) -> std::collections::BTreeSet<String> {
    let conditions = file.rules.iter().flat_map(|rule| &rule.when);
    let places = conditions.filter_map(|condition| Place::find::<E>(&condition.field).ok());
    let fields = places.filter_map(|found| match found {
        Place::Contract(..) => None,
        Place::Sent(Root::Entity, path) => Some(name(place, &path)),
        Place::Sent(Root::Argument(argument), path) => {
            Some(name(&format!("data.{argument}"), &path))
        }
    });
    fields.collect()
}

fn name(root: &str, path: &FieldPath) -> String {
    path.iter().fold(root.to_owned(), |name, step| match step {
        PathStep::Name(next) => format!("{name}.{next}"),
        PathStep::Each => format!("{name}[]"),
    })
}

impl Root {
    fn raw<'a, E>(&self, event: &Event<'a, E>) -> Option<&'a RawValue> {
        match self {
            Self::Entity => Some(event.original),
            Self::Argument(name) => event
                .related
                .iter()
                .find_map(|(known, raw)| (known == name).then_some(*raw)),
        }
    }
}

fn steps(field: &str) -> Result<Vec<PathStep>, String> {
    let mut steps = Vec::new();
    for part in field.split('.') {
        let name = part.trim_end_matches("[]");
        if name.is_empty() || name.contains(['[', ']']) || name.contains(char::is_whitespace) {
            return Err(
                "is no path; write names with dots between them, as in order.items[].sku"
                    .to_owned(),
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

/// All places of a rules file outside the contract, so that one walk through what the shop sent passes every one of them.
#[derive(Debug, Default)]
pub(super) struct SentPlaces(Vec<(Root, Paths)>);

impl SentPlaces {
    /// Adds a path, whose end is known as `slot` from then on.
    pub(super) fn add(&mut self, root: &Root, path: &FieldPath, slot: usize) {
        let index = self.0.iter().position(|(known, _)| known == root);
        let index = index.unwrap_or_else(|| {
            self.0.push((root.clone(), Paths::default()));
            self.0.len() - 1
        });
        if let Some((_, paths)) = self.0.get_mut(index) {
            paths.add(path, slot);
        }
    }

    /// Shows the observer everything that stands at the end of any of the paths. The error is that of JSON that cannot be read, or the
    /// observer's wish to end.
    pub(super) fn walk<E>(
        &self,
        event: &Event<'_, E>,
        observer: &mut dyn Observer,
    ) -> Result<(), serde_json::Error> {
        self.0
            .iter()
            .try_for_each(|(root, paths)| paths.walk(root.raw(event), observer))
    }
}

/// Paths that begin at one place, as a tree.
#[derive(Debug, Default)]
struct Paths {
    /// The paths that end here.
    ends: Vec<usize>,
    /// Sorted by name: an object may have a million members, each of which is looked for here.
    named: Vec<(String, Paths)>,
    each: Option<Box<Paths>>,
}

impl Paths {
    fn add(&mut self, path: &FieldPath, slot: usize) {
        match path {
            [] => self.ends.push(slot),
            [PathStep::Each, rest @ ..] => self.each.get_or_insert_default().add(rest, slot),
            [PathStep::Name(name), rest @ ..] => {
                let place = self.place(name).unwrap_or_else(|place| {
                    self.named.insert(place, (name.clone(), Self::default()));
                    place
                });
                if let Some((_, below)) = self.named.get_mut(place) {
                    below.add(rest, slot);
                }
            }
        }
    }

    /// Where a name stands, or else where it would.
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.named
            .binary_search_by(|(known, _)| known.as_str().cmp(name))
    }

    fn walk(
        &self,
        raw: Option<&RawValue>,
        observer: &mut dyn Observer,
    ) -> Result<(), serde_json::Error> {
        if let Some(raw) = raw {
            return Walk { at: self, observer }.deserialize(raw);
        }
        self.see_nothing(observer);
        Ok(())
    }

    /// Nothing stands here, so nothing stands below either.
    fn see_nothing(&self, observer: &mut dyn Observer) {
        self.ends
            .iter()
            .for_each(|end| observer.see(*end, &FieldValue::Absent));
        self.see_nothing_below(observer);
    }

    /// What stands here has nothing below it.
    fn see_nothing_below(&self, observer: &mut dyn Observer) {
        let below = self.named.iter().map(|(_, below)| below);
        below
            .chain(self.each.as_deref())
            .for_each(|below| below.see_nothing(observer));
    }
}

/// Reads one JSON value and looks at what the paths lead to; everything else is passed over.
struct Walk<'a> {
    at: &'a Paths,
    observer: &'a mut dyn Observer,
}

impl Walk<'_> {
    /// Goes on after so many bytes, or ends the walk with an error.
    fn go_on<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        if self.observer.goes_on(bytes) {
            Ok(())
        } else {
            Err(E::custom("the observer ended the walk"))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, from: D) -> Result<(), D::Error> {
        if self.at.ends.is_empty() {
            return from.deserialize_any(self);
        }
        let raw: &RawValue = serde::Deserialize::deserialize(from)?;
        self.go_on(raw.get().len())?;
        let seen = seen(raw);
        self.at
            .ends
            .iter()
            .for_each(|end| self.observer.see(*end, &seen));
        if self.at.named.is_empty() && self.at.each.is_none() {
            return Ok(());
        }
        raw.deserialize_any(self).map_err(D::Error::custom)
    }
}

/// What a rule sees of a value that the contract does not know.
fn seen(raw: &RawValue) -> FieldValue<'_> {
    match JsonScalar::parse(raw.get()) {
        Some(JsonScalar::Null) => FieldValue::Absent,
        Some(JsonScalar::Bool(flag)) => {
            FieldValue::Text(Cow::Borrowed(if flag { "1" } else { "0" }))
        }
        Some(JsonScalar::Number(text)) => FieldValue::Text(Cow::Borrowed(text)),
        Some(JsonScalar::String(text)) => FieldValue::Text(text),
        None => {
            let inside = raw.get().get(1..raw.get().len() - 1);
            FieldValue::Structure {
                empty: inside.is_some_and(|inside| inside.trim().is_empty()),
            }
        }
    }
}

// A scalar has nothing below it; the ends that are here have been seen already.
impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.at.see_nothing_below(self.observer);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.at.see_nothing_below(self.observer);
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.at.see_nothing_below(self.observer);
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.at.see_nothing_below(self.observer);
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.at.see_nothing_below(self.observer);
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.at.see_nothing_below(self.observer);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        match &self.at.each {
            Some(at) => {
                while list
                    .next_element_seed(Walk {
                        at,
                        observer: self.observer,
                    })?
                    .is_some()
                {
                    self.go_on(0)?;
                }
            }
            None => {
                while let Some(raw) = list.next_element::<&RawValue>()? {
                    self.go_on(raw.get().len())?;
                }
            }
        }
        self.at
            .named
            .iter()
            .for_each(|(_, below)| below.see_nothing(self.observer));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut missing = vec![true; self.at.named.len()];
        while let Some(index) = map.next_key_seed(KeyOf(self.at))? {
            self.go_on(0)?;
            let named = index.and_then(|index| {
                *missing.get_mut(index)? = false;
                self.at.named.get(index).map(|(_, below)| below)
            });
            // A list may be written as an object whose keys are ids.
            match (named, self.at.each.as_deref()) {
                (None, None) => {
                    let raw: &RawValue = map.next_value()?;
                    self.go_on(raw.get().len())?;
                }
                (Some(at), None) | (None, Some(at)) => {
                    map.next_value_seed(Walk {
                        at,
                        observer: self.observer,
                    })?;
                }
                (Some(one), Some(other)) => {
                    let raw: &RawValue = map.next_value()?;
                    for at in [one, other] {
                        self.go_on(raw.get().len())?;
                        let walk = Walk {
                            at,
                            observer: self.observer,
                        };
                        walk.deserialize(raw).map_err(A::Error::custom)?;
                    }
                }
            }
        }
        let named = self.at.named.iter().zip(missing);
        named
            .filter(|(_, missing)| *missing)
            .for_each(|((_, below), _)| below.see_nothing(self.observer));
        Ok(())
    }
}

/// Reads a key: the index of the path that goes on there, if one does.
struct KeyOf<'a>(&'a Paths);

impl<'de> DeserializeSeed<'de> for KeyOf<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyOf<'_> {
    type Value = Option<usize>;

    fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.place(key).ok())
    }
}
