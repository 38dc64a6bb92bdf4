//! The traces that an event belongs to, and what of their headers is passed on: only what every reader takes.
//!
//! SQS refuses a message whose trace header is malformed, and an event must not be lost for its trace.

use std::{collections::HashSet, fmt};

/// What `Lineage` may have. Lambda writes far less; what SQS takes at most is not documented.
const LINEAGE_CHARS_MAX: usize = 128;

/// The length of a `tracestate` that everybody must pass on. A longer one may be dropped as a whole (W3C Trace Context, 3.3.1.5).
pub(crate) const TRACESTATE_CHARS_MAX: usize = 512;

/// The members that a `tracestate` may have.
const TRACESTATE_MEMBERS_MAX: usize = 32;

/// X-Ray's trace header, `Root=1-…;Parent=…;Sampled=1;Lineage=…`: the fields that can be read, of which only the first is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XRay<'a> {
    /// The trace's id.
    pub root: &'a str,
    parent: Option<&'a str>,
    sampled: Option<&'a str>,
    /// By this Lambda finds functions that invoke each other in a circle.
    lineage: Option<&'a str>,
}

impl<'a> XRay<'a> {
    /// Reads a header, unless it names no trace. A field that is unknown or malformed is left out.
    pub fn read(header: &'a str) -> Option<Self> {
        let field = |name, fits: fn(&str) -> bool| {
            let fields = header.split(';').filter_map(|field| field.split_once('='));
            let mut values = fields.filter(|(key, _)| key.trim() == name);
            values
                .next()
                .map(|(_, value)| value.trim())
                .filter(|value| fits(value))
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
    /// In the order in which AWS's documentation has the fields.
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
    parts.is_some_and(|(began, rest)| is_hex(began, 8) && is_hex(rest, 24))
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

/// Whether this is a `traceparent` that W3C Trace Context calls valid (3.2.2), with the four parts that every version begins with.
pub(crate) fn is_traceparent(text: &str) -> bool {
    let is_id = |part: &str, length| is_hex(part, length) && part.bytes().any(|byte| byte != b'0');
    if text.len() != 55 {
        return false;
    }
    let parts: Vec<_> = text.split('-').collect();
    matches!(parts[..], [version, trace, parent, flags]
        if is_hex(version, 2) && version != "ff" && is_id(trace, 32) && is_id(parent, 16) && is_hex(flags, 2))
}

/// Whether this is a `tracestate` of W3C Trace Context (3.3.1), which has at least one member. One malformed member spoils all.
pub(crate) fn is_tracestate(text: &str) -> bool {
    if text.len() > TRACESTATE_CHARS_MAX || text.split(',').count() > TRACESTATE_MEMBERS_MAX {
        return false;
    }
    let mut keys = HashSet::new();
    // There may be white space around a member, and members may be empty.
    let members = text
        .split(',')
        .map(|member| member.trim_matches([' ', '\t']));
    members.filter(|member| !member.is_empty()).all(|member| {
        member.split_once('=').is_some_and(|(key, value)| {
            is_tracestate_key(key) && is_tracestate_value(value) && keys.insert(key)
        })
    }) && !keys.is_empty()
}

/// A system's name, or a tenant's, an `@` and a system's.
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOT: &str = "Root=1-5759e988-bd862e3fe1be46a994272793";

    fn passed_on(header: &str) -> Option<String> {
        XRay::read(header).map(|xray| xray.to_string())
    }

    #[test]
    fn a_header_as_aws_writes_it_is_passed_on_as_it_is() {
        for rest in [
            "",
            ";Sampled=0",
            ";Parent=53995c3f42cd8ad8;Sampled=1",
            ";Parent=53995c3f42cd8ad8;Sampled=0;Lineage=037bed70:0",
            ";Parent=53995c3f42cd8ad8;Sampled=0;Lineage=1:fe460cdd:0",
            ";Sampled=1;Lineage=a87bd80c:1|68fd508a:5|c512fbe3:2",
        ] {
            let header = format!("{ROOT}{rest}");
            assert_eq!(passed_on(&header).as_ref(), Some(&header));
        }
        assert_eq!(
            XRay::read(ROOT).map(|xray| xray.root),
            ROOT.strip_prefix("Root=")
        );
    }

    #[test]
    fn what_is_unknown_or_malformed_in_a_header_is_left_out_and_the_rest_is_put_in_order() {
        let kept = format!("{ROOT};Parent=53995c3f42cd8ad8;Sampled=1");
        for header in [
            format!("Self=1-67891234-12456789abcdef012345678;{kept}"),
            format!("Sampled=1; Parent=53995c3f42cd8ad8 ;{ROOT}"),
            format!("{kept};Lineage=zoe@shop.example;CalledFrom=app"),
            format!("{kept};;=;Lineage=;x"),
            format!("{kept};Lineage={}", "a".repeat(LINEAGE_CHARS_MAX + 1)),
            format!("{kept};Sampled=0;{ROOT}0"),
        ] {
            assert_eq!(passed_on(&header).as_ref(), Some(&kept), "{header}");
        }
        for rest in [
            ";Parent=53995c3f42cd8ad;Sampled=?",
            ";Parent=53995C3F42CD8AD8;Sampled=01",
            ";Parent={real_parent_id};Sampled=",
        ] {
            let header = format!("{ROOT}{rest}");
            assert_eq!(passed_on(&header).as_deref(), Some(ROOT), "{header}");
        }
    }

    #[test]
    fn a_header_that_names_no_trace_is_not_passed_on() {
        for header in [
            "",
            ROOT.trim_start_matches("Root="),
            "Parent=53995c3f42cd8ad8",
            "Root=",
            "Root=dummy;Parent=53995c3f42cd8ad8;Sampled=0",
            "Root=1-5759e988",
            "Root=2-5759e988-bd862e3fe1be46a994272793",
            "Root=1-5759e988-bd862e3fe1be46a99427279",
            "Root=1-5759e988-bd862e3fe1be46a994272793a",
            "Root=1-5759E988-bd862e3fe1be46a994272793",
            "Root=1-5759e988-zoe@shop.example.with.it",
            "Root=1-5759e98\u{e9}-bd862e3fe1be46a994272793",
            "Root%3D1-5759e988-bd862e3fe1be46a994272793",
        ] {
            assert_eq!(passed_on(header), None, "{header}");
        }
    }

    #[test]
    fn a_traceparent_is_what_w3c_calls_valid() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for good in [
            good,
            &good.replacen("00", "01", 1),
            &good.replace("-01", "-ff"),
        ] {
            assert!(is_traceparent(good), "{good}");
        }
        for bad in [
            &good.replacen("00", "ff", 1),
            &good.to_uppercase(),
            &good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &good.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &format!("{good}-00"),
            &good.replace('-', "_"),
            "",
            "zoe@shop.example",
            &good[1..],
            &format!("{good}-"),
            &good.replace('4', "x"),
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }

    #[test]
    fn a_tracestate_is_a_list_of_keys_and_values_of_limited_length() {
        let full = (0..TRACESTATE_MEMBERS_MAX)
            .map(|number| format!("k{number}=v"))
            .collect::<Vec<_>>()
            .join(",");
        let long = format!("a={},b={}", "x".repeat(256), "y".repeat(251));
        assert_eq!(long.len(), TRACESTATE_CHARS_MAX);
        for good in [
            "rojo=00f067aa0ba902b7",
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
            "fw529a3039@dt=a b ~!, \t dd=s:2;o:rum;p:00f067aa0ba902b7,",
            "k_-*/9=1",
            &format!("{}=1", "k".repeat(256)),
            &format!("{}@{}=1", "1".repeat(241), "k".repeat(14)),
            &full,
            &long,
        ] {
            assert!(is_tracestate(good), "{good}");
        }
        for bad in [
            "",
            " , ,",
            "rojo",
            "rojo=",
            "=1",
            "rojo=1=2",
            "Rojo=1",
            "rojo=\u{e9}",
            "rojo=a\tb",
            "rojo=a\nb",
            "rojo=1,zoe@shop.example",
            "9rojo=1",
            "*rojo=1",
            "a@=1",
            "@a=1",
            "a@9=1",
            "a@b@c=1",
            "rojo =1",
            "rojo=1,congo=2,rojo=1",
            &format!("{full},k=v"),
            &format!("{full},"),
            &format!("{}=1", "k".repeat(257)),
            &format!("{}@k=1", "1".repeat(242)),
            &format!("k@{}=1", "k".repeat(15)),
            &format!("{long}z"),
            &format!("a={}", "x".repeat(257)),
        ] {
            assert!(!is_tracestate(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_what_is_passed_on_is_in_aws_own_form_and_stays_the_same(
            header in "((Root|Parent|Sampled|Lineage|Self)?=?(1-)?[0-9a-f]{0,24}-?[0-9a-f:|?]{0,24};?){0,8}|\\PC{0,200}",
        ) {
            if let Some(once) = passed_on(&header) {
                let form = "^Root=1-[0-9a-f]{8}-[0-9a-f]{24}(;Parent=[0-9a-f]{16})?(;Sampled=[01])?(;Lineage=[0-9a-f:|]{1,128})?$";
                prop_assert!(regex::Regex::new(form).unwrap().is_match(&once), "{}", once);
                prop_assert!(once.len() <= 256);
                prop_assert_eq!(passed_on(&once), Some(once));
            }
        }

        #[test]
        fn a_header_of_aws_survives_among_anything_else(
            before in "(Self=[0-9a-f-]{0,40};)?", parent in "[0-9a-f]{16}", sampled in "[01]", after in "(;[A-Z][a-z]{1,9}=\\PC{0,20}){0,3}",
        ) {
            prop_assume!(!after.contains("Lineage"));
            let kept = format!("{ROOT};Parent={parent};Sampled={sampled}");
            prop_assert_eq!(passed_on(&format!("{before}{kept}{after}")), Some(kept));
        }

        #[test]
        fn sqs_takes_every_tracestate_that_passes(text in "([a-z0-9]{1,4}=[ -~]{0,40},?){0,20}|\\PC{0,600}") {
            let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
            prop_assert!(!is_tracestate(&text) || (printable && !text.is_empty() && text.len() <= TRACESTATE_CHARS_MAX));
        }
    }
}
