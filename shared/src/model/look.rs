//! How a merchant's rule looks at an entity: by the names of its fields, and without copying it.

use std::borrow::Cow;

use rust_decimal::Decimal;

/// One step of a path into an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the field of this name.
    Name(String),
    /// To every element of a list.
    Each,
}

/// What stands at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A decimal number, an id or a flag.
    Number,
    /// Text.
    Text,
    /// A code that the contract writes in capitals.
    Capitals,
    /// A date and time, which the contract writes as RFC 3339 in UTC.
    Moment,
    /// An object or a list.
    Structure,
}

/// Why a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSuchPlace {
    /// The contract has no field of this name. The shop may send one all the same.
    Unknown,
    /// It can lead nowhere; the text says why, as the end of the sentence "this path …".
    Mistaken(&'static str),
}

/// What was found at the end of a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen<'a> {
    /// It is absent, or null.
    Nothing,
    /// A number, with as many decimals as it is written with.
    Number(Decimal),
    /// Text; also what the contract does not know, whatever it is.
    Text(Cow<'a, str>),
    /// An object or a list.
    Structure {
        /// Whether it has neither members nor elements.
        empty: bool,
    },
}

/// Something that a rule can look at.
pub trait Look {
    /// What stands at the end of the path, by the contract alone.
    fn kind(path: &[Step]) -> Result<Kind, NoSuchPlace>;

    /// The fields of which the one with this name is computed; none if it is sent.
    fn computed_from(_name: &str) -> &'static [&'static str] {
        &[]
    }

    /// The fields of the contract that hold what is sent under this name.
    fn stored_as(_sent: &str) -> &'static [&'static str] {
        &[]
    }

    /// Whether something stands at the place of this name, as in `payment.method`. In a list nobody can say.
    fn has(&self, name: &str) -> bool {
        let step = |name: &str| Step::Name(name.to_owned());
        let path: Vec<_> = name.split('.').map(step).collect();
        let mut found = false;
        if !name.contains("[]") {
            self.look(&path, &mut |seen| found |= seen != Seen::Nothing);
        }
        found
    }

    /// Shows `see` everything that stands at the end of the path: one thing, or one for each element of the lists on the way.
    fn look(&self, path: &[Step], see: &mut dyn FnMut(Seen<'_>));
}

impl<T: Look> Look for Vec<T> {
    fn kind(path: &[Step]) -> Result<Kind, NoSuchPlace> {
        match path {
            [] => Ok(Kind::Structure),
            [Step::Each, rest @ ..] => T::kind(rest),
            [Step::Name(_), ..] => Err(NoSuchPlace::Mistaken(
                "goes on below a list; write [] behind its name, as in items[].sku",
            )),
        }
    }

    fn look(&self, path: &[Step], see: &mut dyn FnMut(Seen<'_>)) {
        match path {
            [Step::Each, rest @ ..] => self.iter().for_each(|element| element.look(rest, see)),
            _ => see(Seen::Structure {
                empty: self.is_empty(),
            }),
        }
    }
}

/// Looks at something that may be absent.
pub(crate) fn look_at<T: Look>(value: Option<&T>, path: &[Step], see: &mut dyn FnMut(Seen<'_>)) {
    match value {
        Some(value) => value.look(path, see),
        None => see(Seen::Nothing),
    }
}

/// The kind of something that has nothing below it.
pub(crate) fn kind_of_leaf(kind: Kind, path: &[Step]) -> Result<Kind, NoSuchPlace> {
    match path {
        [] => Ok(kind),
        [Step::Each, ..] => Err(NoSuchPlace::Mistaken("has [] where there is no list")),
        [Step::Name(_), ..] => Err(NoSuchPlace::Mistaken("goes on below a single value")),
    }
}
