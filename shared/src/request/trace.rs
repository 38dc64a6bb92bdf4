//! Validates the trace headers of AWS X-Ray and W3C Trace Context. Only valid ones are forwarded.
//!
//! SQS refuses a message with a malformed trace header. An event must not be lost because of it.

use std::{collections::HashSet, fmt};

/// The maximum length of `Lineage`. Lambda's are far shorter. The limit of SQS is not documented.
const LINEAGE_CHARS_MAX: usize = 128;

/// The maximum length of a `tracestate` that every vendor must forward. A longer one may be dropped
/// (W3C Trace Context, 3.3.1.5).
pub(crate) const TRACESTATE_CHARS_MAX: usize = 512;

/// The maximum number of members in a `tracestate` (W3C Trace Context, 3.3.1.1).
const TRACESTATE_MEMBERS_MAX: usize = 32;

/// The valid fields of X-Ray's trace header, `Root=1-…;Parent=…;Sampled=1;Lineage=…`. Only `Root`
/// is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XRay<'a> {
    /// The id of the trace.
    pub root: &'a str,
    parent: Option<&'a str>,
    sampled: Option<&'a str>,
    /// Lambda uses it to detect functions that invoke each other in a loop.
    lineage: Option<&'a str>,
}

impl<'a> XRay<'a> {
    /// Reads a header; `None` if it has no valid `Root`. An unknown or malformed field is left out.
    pub fn read(header: &'a str) -> Option<Self> {
        let field = |name, is_valid: fn(&str) -> bool| {
            let fields = header.split(';').filter_map(|field| field.split_once('='));
            let mut values = fields.filter(|(key, _)| key.trim() == name);
            values
                .next()
                .map(|(_, value)| value.trim())
                .filter(|value| is_valid(value))
        };
        Some(Self {
            root: field("Root", is_root)?,
            parent: field("Parent", |value| is_hex(value, 16)),
            sampled: field("Sampled", |value| matches!(value, "0" | "1")),
            lineage: field("Lineage", is_lineage),
        })
    }
}

impl fmt::Display for XRay<'_> {
    /// Writes the fields in the order of AWS's documentation.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Root={}", self.root)?;
        let rest = [
            ("Parent", self.parent),
            ("Sampled", self.sampled),
            ("Lineage", self.lineage),
        ];
        for (name, value) in rest {
            if let Some(value) = value {
                write!(to, ";{name}={value}")?;
            }
        }
        Ok(())
    }
}

fn is_root(value: &str) -> bool {
    let parts = value
        .strip_prefix("1-")
        .and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(time, rest)| is_hex(time, 8) && is_hex(rest, 24))
}

/// As in `1:fe460cdd:0` or `a87bd80c:1|68fd508a:5`.
fn is_lineage(value: &str) -> bool {
    (1..=LINEAGE_CHARS_MAX).contains(&value.len())
        && value
            .bytes()
            .all(|byte| is_lower_hex(byte) || b":|".contains(&byte))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(is_lower_hex)
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Returns whether a `traceparent` is valid (W3C Trace Context, 3.2.2). Every version begins with
/// the same four parts.
pub(crate) fn is_traceparent(text: &str) -> bool {
    let is_id = |part: &str, length| is_hex(part, length) && part.bytes().any(|byte| byte != b'0');
    if text.len() != 55 {
        return false;
    }
    let parts: Vec<_> = text.split('-').collect();
    matches!(parts[..], [version, trace, parent, flags]
        if is_hex(version, 2) && version != "ff" && is_id(trace, 32) && is_id(parent, 16) && is_hex(flags, 2))
}

/// Returns whether a `tracestate` is valid and has at least one member (W3C Trace Context, 3.3.1).
pub(crate) fn is_tracestate(text: &str) -> bool {
    if text.len() > TRACESTATE_CHARS_MAX || text.split(',').count() > TRACESTATE_MEMBERS_MAX {
        return false;
    }
    let mut keys = HashSet::new();
    // White space around a member, and empty members, are allowed.
    let members = text
        .split(',')
        .map(|member| member.trim_matches([' ', '\t']));
    members.filter(|member| !member.is_empty()).all(|member| {
        member.split_once('=').is_some_and(|(key, value)| {
            is_tracestate_key(key) && is_tracestate_value(value) && keys.insert(key)
        })
    }) && !keys.is_empty()
}

/// Returns whether a key is the name of a system, or a tenant and a system separated by `@`.
fn is_tracestate_key(key: &str) -> bool {
    let is_name = |name: &str, first: fn(&u8) -> bool, length_max| {
        let in_name = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(&byte)
        };
        name.len() <= length_max
            && name.as_bytes().first().is_some_and(first)
            && name.bytes().all(in_name)
    };
    let in_tenant = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    match key.split_once('@') {
        None => is_name(key, u8::is_ascii_lowercase, 256),
        Some((tenant, system)) => {
            is_name(tenant, in_tenant, 241) && is_name(system, u8::is_ascii_lowercase, 14)
        }
    }
}

fn is_tracestate_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && value
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
}

#[cfg(test)]
mod tests;
