//! Limits on the size of an event's structure, and their checks. The limits on bytes are in
//! `request::body`, those on lists of the entity in `model`.

use super::{Members, one_violation};
use crate::outcome::Failure;

/// The maximum number of members in the envelope and in its `data`. A shop sends fewer than ten.
pub const MEMBERS_MAX: usize = 64;

/// The maximum nesting depth of a body; the outermost object is level 1. A shop sends about ten
/// levels. Some JSON parsers of consumers reject or crash on much deeper documents.
pub const LEVELS_MAX: usize = 128;

/// Checks the number of members of the object at `pointer`.
pub(super) fn check_members(members: &Members<'_>, pointer: &str) -> Result<(), Failure> {
    if members.len() > MEMBERS_MAX {
        return Err(one_violation(pointer, "must not have more than 64 members"));
    }
    Ok(())
}

/// Checks the nesting depth of a valid JSON text.
pub(super) fn check_levels(json: &str) -> Result<(), Failure> {
    if is_deeper(json, LEVELS_MAX) {
        return Err(one_violation("", "must not have more than 128 levels"));
    }
    Ok(())
}

fn is_deeper(json: &str, levels_max: usize) -> bool {
    // Fast path: most events have fewer brackets in total.
    let mut opened = memchr::memchr2_iter(b'[', b'{', json.as_bytes());
    if opened.nth(levels_max).is_none() {
        return false;
    }
    let mut level = 0_usize;
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'[' | b'{' if level == levels_max => return true,
            b'[' | b'{' => level += 1,
            b']' | b'}' => level = level.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Advances past the closing quote of a string. Brackets in it do not count.
fn skip_string(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => _ = bytes.next(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
