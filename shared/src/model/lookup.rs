//! How a merchant's rule looks at an entity: by the names of its fields, and without copying it.

use std::borrow::Cow;

use rust_decimal::Decimal;

/// A path into an entity, as in `order.items[].sku` behind the name of the entity.
pub type FieldPath = [PathStep];

/// One step of a path into an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// To the field of this name.
    Name(String),
    /// To every element of a list.
    Each,
}

/// What stands at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A decimal number, an id or a flag.
    Number,
    /// Text.
    Text,
    /// A code that the contract writes in capitals.
    UppercaseCode,
    /// A date and time, which the contract writes as RFC 3339 in UTC.
    Timestamp,
    /// An object or a list.
    Structure,
}

/// Why a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// The contract has no field of this name. The shop may send one all the same.
    UnknownField,
    /// It can lead nowhere; the text says why, as the end of the sentence "this path …".
    Invalid(&'static str),
}

impl PathError {
    /// The path has `[]` behind something that is not a list.
    pub(crate) const NO_LIST: Self = Self::Invalid("has [] where there is no list");
}

/// What was found at the end of a path.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// It is absent, or null.
    Absent,
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
pub trait Lookup {
    /// What stands at the end of the path, by the contract alone.
    fn kind(path: &FieldPath) -> Result<FieldKind, PathError>;

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
        let step = |name: &str| PathStep::Name(name.to_owned());
        let path: Vec<_> = name.split('.').map(step).collect();
        let mut found = false;
        if !name.contains("[]") {
            self.visit(&path, &mut |seen| found |= seen != FieldValue::Absent);
        }
        found
    }

    /// Shows `see` everything that stands at the end of the path: one thing, or one for each element of the lists on the way.
    fn visit(&self, path: &FieldPath, see: &mut dyn FnMut(FieldValue<'_>));
}

impl<T: Lookup> Lookup for Vec<T> {
    fn kind(path: &FieldPath) -> Result<FieldKind, PathError> {
        match path {
            [] => Ok(FieldKind::Structure),
            [PathStep::Each, rest @ ..] => T::kind(rest),
            [PathStep::Name(_), ..] => Err(PathError::Invalid(
                "goes on below a list; write [] behind its name, as in items[].sku",
            )),
        }
    }

    fn visit(&self, path: &FieldPath, see: &mut dyn FnMut(FieldValue<'_>)) {
        match path {
            [PathStep::Each, rest @ ..] => self.iter().for_each(|element| element.visit(rest, see)),
            _ => see(FieldValue::Structure {
                empty: self.is_empty(),
            }),
        }
    }
}

/// Looks at something that may be absent.
pub(crate) fn visit_optional<T: Lookup>(
    value: Option<&T>,
    path: &FieldPath,
    see: &mut dyn FnMut(FieldValue<'_>),
) {
    match value {
        Some(value) => value.visit(path, see),
        None => see(FieldValue::Absent),
    }
}

/// The kind of something that has nothing below it.
pub(crate) fn leaf_kind(kind: FieldKind, path: &FieldPath) -> Result<FieldKind, PathError> {
    match path {
        [] => Ok(kind),
        [PathStep::Each, ..] => Err(PathError::NO_LIST),
        [PathStep::Name(_), ..] => Err(PathError::Invalid("goes on below a single value")),
    }
}
