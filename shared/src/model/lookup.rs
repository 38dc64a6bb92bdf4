//! Access to the fields of an entity by their names, for rules. The entity is not copied.

use std::borrow::Cow;

use rust_decimal::Decimal;

/// A path into an entity: `items[].sku` in `order.items[].sku`.
pub type FieldPath = [PathStep];

/// A step of a path into an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// To the field with this name.
    Name(String),
    /// To every element of a list.
    Each,
}

/// The kind of value at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A decimal number, an id or a flag.
    Number,
    /// Text.
    Text,
    /// A code that the contract writes in uppercase.
    UppercaseCode,
    /// A date and time, which the contract writes as RFC 3339 in UTC.
    Timestamp,
    /// An object or a list.
    Structure,
}

/// Why a path does not lead to a field of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// The contract has no field with this name. The shop may still send one.
    UnknownField,
    /// The path is invalid. The text is the end of the sentence "this path …".
    Invalid(&'static str),
}

impl PathError {
    /// The path has `[]` after something that is not a list.
    pub(crate) const NO_LIST: Self = Self::Invalid("has [] where there is no list");
}

/// A value at the end of a path.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// It is absent, or null.
    Absent,
    /// A number, with the same decimals as in the message.
    Number(Decimal),
    /// Text, or any scalar outside the contract except null.
    Text(Cow<'a, str>),
    /// An object or a list.
    Structure {
        /// Whether it has neither members nor elements.
        empty: bool,
    },
}

/// A value whose fields can be read by path.
pub trait Lookup {
    /// Returns the kind of value that the contract has at the end of the path.
    fn kind(path: &FieldPath) -> Result<FieldKind, PathError>;

    /// Returns the names of the contract's fields of the object at the end of the path; empty if
    /// there is none.
    fn field_names(_path: &FieldPath) -> Vec<&'static str> {
        Vec::new()
    }

    /// Returns the fields from which the value with this name is computed; empty if it is not
    /// computed.
    fn computed_from(_name: &str) -> &'static [&'static str] {
        &[]
    }

    /// Returns the fields of the contract that store the value of the read-only field with this
    /// name; empty for any other name.
    fn stored_as(_sent: &str) -> &'static [&'static str] {
        &[]
    }

    /// Whether the field with this name, as in `payment.method`, is present. Always false for a
    /// field of list elements.
    fn has(&self, name: &str) -> bool {
        let step = |name: &str| PathStep::Name(name.to_owned());
        let path: Vec<_> = name.split('.').map(step).collect();
        let mut found = false;
        if !name.contains("[]") {
            self.visit(&path, &mut |value| found |= value != FieldValue::Absent);
        }
        found
    }

    /// Calls `visit` with every value at the end of the path: with one value, or with one for each
    /// element of the lists on the way.
    fn visit(&self, path: &FieldPath, visit: &mut dyn FnMut(FieldValue<'_>));
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

    fn field_names(path: &FieldPath) -> Vec<&'static str> {
        match path {
            [PathStep::Each, rest @ ..] => T::field_names(rest),
            _ => Vec::new(),
        }
    }

    fn visit(&self, path: &FieldPath, visit: &mut dyn FnMut(FieldValue<'_>)) {
        match path {
            [PathStep::Each, rest @ ..] => {
                for element in self {
                    element.visit(rest, visit);
                }
            }
            _ => visit(FieldValue::Structure {
                empty: self.is_empty(),
            }),
        }
    }
}

/// Visits a value that may be absent.
pub(crate) fn visit_optional<T: Lookup>(
    value: Option<&T>,
    path: &FieldPath,
    visit: &mut dyn FnMut(FieldValue<'_>),
) {
    match value {
        Some(value) => value.visit(path, visit),
        None => visit(FieldValue::Absent),
    }
}

/// Returns the kind of value at the end of a path that begins at a scalar.
pub(crate) fn leaf_kind(kind: FieldKind, path: &FieldPath) -> Result<FieldKind, PathError> {
    match path {
        [] => Ok(kind),
        [PathStep::Each, ..] => Err(PathError::NO_LIST),
        [PathStep::Name(_), ..] => Err(PathError::Invalid("goes on below a single value")),
    }
}
