//! The location of the value that is being read, as a JSON pointer and as the name of a field.

use std::{fmt, fmt::Write as _};

/// Any element of a list, in the name of a field.
pub(super) const EACH: &str = "[]";

/// A segment of a location. Neither a name of the contract nor a number needs escaping in a JSON
/// pointer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Segment {
    /// The field with this name.
    Name(&'static str),
    /// A field that the shop and the contract name differently.
    Alias {
        sent: &'static str,
        field: &'static str,
    },
    /// The element of a list with this index or id.
    Element(u64),
    /// An element whose key is not an id. The key could be personal data, so pointers omit it.
    Keyed,
    /// The list `items` of a Magento collection.
    Items,
}

/// Returns the segment of a read-only field that a shop sends under this name. `fields` are the
/// fields of the contract that store its value.
pub(crate) const fn segment_of(sent: &'static str, fields: &[&'static str]) -> Segment {
    match fields {
        [field] => Segment::Alias { sent, field },
        _ => Segment::Name(sent),
    }
}

/// The location in the event of the value that is being read.
#[derive(Debug)]
pub(super) struct Location {
    /// JSON pointer to the entity.
    pub(super) root: String,
    /// Name of the entity in the contract.
    pub(super) entity: &'static str,
    /// The segments below the entity.
    pub(super) segments: Vec<Segment>,
}

impl Location {
    /// Returns the JSON pointer into the body as it was sent.
    pub(super) fn pointer(&self) -> String {
        format!("{}{}", self.root, Pointer(&self.segments))
    }

    /// Returns the name in the contract, as in `order.items[].sku`.
    pub(super) fn field(&self) -> String {
        self.field_at(&self.segments)
    }

    /// Returns the name of a field in the same object.
    pub(super) fn sibling_field(&self, name: &str) -> String {
        let mut segments = self.segments.as_slice();
        while let [above @ .., last] = segments {
            segments = above;
            if matches!(last, Segment::Name(_) | Segment::Alias { .. }) {
                break;
            }
        }
        format!("{}.{name}", self.field_at(segments))
    }

    fn field_at(&self, segments: &[Segment]) -> String {
        let mut field = self.entity.to_owned();
        for segment in segments {
            // Writing to a String never fails.
            let _ = match segment {
                Segment::Name(name) | Segment::Alias { field: name, .. } => {
                    write!(field, ".{name}")
                }
                Segment::Element(_) | Segment::Keyed => write!(field, "{EACH}"),
                Segment::Items => Ok(()),
            };
        }
        field
    }
}

/// Segments as a JSON pointer.
struct Pointer<'a>(&'a [Segment]);

impl fmt::Display for Pointer<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in self.0 {
            match segment {
                Segment::Name(name) | Segment::Alias { sent: name, .. } => write!(to, "/{name}")?,
                Segment::Element(number) => write!(to, "/{number}")?,
                Segment::Items => to.write_str("/items")?,
                // A pointer below this element would contain its key.
                Segment::Keyed => break,
            }
        }
        Ok(())
    }
}
