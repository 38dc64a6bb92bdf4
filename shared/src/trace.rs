//! The traces that an event belongs to, and what of their headers is passed on: only what every reader takes.
//!
//! SQS refuses a message whose trace header is malformed, and an event must not be lost for its trace.

use std::fmt;

/// What `Lineage` may have. Lambda writes far less; what SQS takes at most is not documented.
const LINEAGE_CHARS_MAX: usize = 128;

/// A vendor must pass on so many characters of a `tracestate`, and may drop a longer one as a whole (W3C Trace Context, 3.3.1.5).
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

/// Whether this is a `traceparent` of W3C Trace Context.
pub(crate) fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str, length| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let mut parts = text.split('-');
    let fits = [2, 32, 16, 2]
        .into_iter()
        .all(|length| parts.next().is_some_and(|part| hex(part, length)));
    fits && parts.next().is_none()
}

/// Whether this is a `tracestate` of W3C Trace Context, which has at least one member. One malformed member spoils all.
pub(crate) fn is_tracestate(text: &str) -> bool {
    let fits = |member: &str| {
        let parts = member.split_once('=');
        parts.is_some_and(|(key, value)| {
            let in_key = |byte: u8| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte)
            };
            let in_value = |byte| matches!(byte, b' '..=b'~') && byte != b'=';
            (1..=256).contains(&key.len())
                && key.bytes().all(in_key)
                && (1..=256).contains(&value.len())
                && value.bytes().all(in_value)
        })
    };
    // There may be white space around a member, and members may be empty.
    let mut members = text
        .split(',')
        .map(|member| member.trim_matches([' ', '\t']))
        .filter(|member| !member.is_empty())
        .peekable();
    text.len() <= TRACESTATE_CHARS_MAX
        && members.peek().is_some()
        && members.clone().count() <= TRACESTATE_MEMBERS_MAX
        && members.all(fits)
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
    fn a_traceparent_has_four_parts_of_hex() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(good));
        for bad in [
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
        let full = ["k=v"; TRACESTATE_MEMBERS_MAX].join(",");
        let long = format!("a={},b={}", "x".repeat(256), "y".repeat(251));
        assert_eq!(long.len(), TRACESTATE_CHARS_MAX);
        for good in [
            "rojo=00f067aa0ba902b7",
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
            "fw529a3039@dt=a b ~!, \t dd=s:2;o:rum;p:00f067aa0ba902b7,",
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
            &format!("{full},k=v"),
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
