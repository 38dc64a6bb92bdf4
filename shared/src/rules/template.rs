//! What a refused shopper reads: the merchant's words, with values of the event in them.

use super::{
    clock::Clock,
    condition::unreadable,
    field::{Observer, Place, Unreadable},
};
use crate::{
    event::Event,
    model::{
        Entity,
        lookup::{FieldKind, FieldValue},
    },
};

/// A sentence of a rules file has at most this many characters.
const CHARS_MAX: usize = 1000;

/// A sentence has at most this many places for values.
const PLACES_MAX: usize = 10;

/// At most this many values stand for one field, and each with at most this many characters.
const VALUES_MAX: usize = 5;
const VALUE_CHARS_MAX: usize = 100;

/// A text with places for values.
#[derive(Debug)]
pub(super) struct Sentence(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Value {
        #[cfg_attr(
            not(debug_assertions),
            expect(
                dead_code,
                reason = "only `make rules` names it, and no release has that"
            )
        )]
        field: String,
        place: Place,
    },
}

impl Sentence {
    /// Reads a text in which `{field}` stands for a value and `{{` for a brace.
    pub(super) fn new<E: Entity>(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("is empty; leave it out for the hook's own fallback".to_owned());
        }
        if text.chars().count() > CHARS_MAX {
            return Err(format!("has more than {CHARS_MAX} characters"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            parts.push(Part::Text(before.to_owned()));
            if let Some(after) = after.strip_prefix('{') {
                parts.push(Part::Text("{".to_owned()));
                rest = after;
                continue;
            }
            let (field, after) = after
                .split_once('}')
                .ok_or("has { without }; write {{ where a brace is meant")?;
            let place =
                Place::find::<E>(field).map_err(|why| format!("has {{{field}}}, which {why}"))?;
            if place.kind() == Some(FieldKind::Structure) {
                return Err(format!("has {{{field}}}, which is a list or an object"));
            }
            let field = field.to_owned();
            parts.push(Part::Value { field, place });
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let places = parts
            .iter()
            .filter(|part| matches!(part, Part::Value { .. }));
        if places.count() > PLACES_MAX {
            return Err(format!("has more than {PLACES_MAX} fields"));
        }
        Ok(Self(parts))
    }

    /// The fields whose values it holds, and where they lead.
    #[cfg(debug_assertions)]
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Value { field, place } => Some((field.as_str(), place)),
        })
    }

    /// The sentence for one event. What the contract lacks and the shop did not send leaves a gap, and so does what cannot be found in
    /// time.
    pub(super) fn fill<E: Entity>(&self, event: &Event<'_, E>, clock: &Clock) -> String {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Value { place, .. } if clock.has_time_after(0) => {
                    let mut values = Values {
                        clock,
                        words: Vec::new(),
                        more: false,
                    };
                    // An error ends the walk early. What was found until then is the value.
                    let _ = place.look(event, &mut values);
                    if let Place::Contract(path, kind) = place {
                        let sent = Unreadable::at(path, event).values;
                        sent.iter()
                            .filter_map(|value| unreadable(value, *kind))
                            .for_each(|seen| values.see(0, &seen));
                    }
                    filled.push_str(&values.words.join(", "));
                    if values.more {
                        filled.push_str(", …");
                    }
                }
                Part::Value { .. } => {}
            }
        }
        filled
    }
}

/// What stands at a place, in words: the first few values, shortened, without what could make markup or break a line.
struct Values<'a> {
    clock: &'a Clock,
    words: Vec<String>,
    more: bool,
}

impl Observer for Values<'_> {
    fn see(&mut self, _: usize, seen: &FieldValue<'_>) {
        let full = self.words.len() >= VALUES_MAX;
        match seen {
            FieldValue::Absent | FieldValue::Structure { .. } => {}
            FieldValue::Number(_) | FieldValue::Text(_) if full => self.more = true,
            FieldValue::Number(number) => self.words.push(number.to_string()),
            FieldValue::Text(text) => self.words.push(
                text.chars()
                    .take(10 * VALUE_CHARS_MAX) // of which most are kept, unless somebody sends nothing else
                    .filter(|c| !c.is_control() && !matches!(c, '<' | '>'))
                    .take(VALUE_CHARS_MAX)
                    .collect(),
            ),
        }
    }

    fn goes_on(&mut self, bytes: usize) -> bool {
        !self.more && self.clock.has_time_after(bytes)
    }
}
