//! The trace of an event (W3C Trace Context). The shop's request is traced, and its context is in
//! the message. What the worker does with a message is a span of that trace.
//!
//! The span is a line in the log, and the parent of the spans of the ERP system. It is not
//! exported: that needs an SDK and a collector, which this example leaves to you.

use std::{collections::hash_map::RandomState, hash::BuildHasher as _};

use crate::batch::Message;

/// The flags that are passed on: sampled, and that the trace id is random. The others are
/// reserved, and must be zero (W3C Trace Context, 3.2.2.5).
const KNOWN_FLAGS: u8 = 0b11;

/// The maximum length of a `tracestate`. A longer one may be dropped (W3C Trace Context, 3.3.1.5).
const TRACESTATE_CHARS_MAX: usize = 512;

/// The span in which the worker handles one message. Its parent is the shop's span: a span of one
/// message may be a child of the context that created the message (OpenTelemetry's semantic
/// conventions for messaging). So each message of a batch keeps its own trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span<'a> {
    pub(crate) trace_id: &'a str,
    pub(crate) parent_id: &'a str,
    id: u64,
    flags: u8,
    /// The additions of tracing vendors to the shop's context.
    pub(crate) tracestate: Option<&'a str>,
}

impl<'a> Span<'a> {
    /// Starts the span of a message. Returns `None` if the shop's context is missing or invalid:
    /// then there is no trace to continue.
    pub(crate) fn start(message: &'a Message) -> Option<Self> {
        let (trace_id, parent_id, flags) = parse_traceparent(message.attribute("traceparent")?)?;
        let tracestate = message.attribute("tracestate");
        Some(Self {
            trace_id,
            parent_id,
            id: random_id(),
            flags: flags & KNOWN_FLAGS,
            tracestate: tracestate.filter(|state| is_tracestate(state)),
        })
    }

    pub(crate) fn id(&self) -> String {
        format!("{:016x}", self.id)
    }

    /// Returns the context for a request that this span makes.
    pub(crate) fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace_id, self.id(), self.flags)
    }
}

/// Returns the trace id, the parent's id and the flags of a `traceparent`. Every version begins
/// with the same four parts; a later version may add more.
fn parse_traceparent(text: &str) -> Option<(&str, &str, u8)> {
    let mut parts = text.split('-');
    let version = parts
        .next()
        .filter(|part| is_hex(part, 2) && *part != "ff")?;
    let mut id = |length| parts.next().filter(|part| is_id(part, length));
    let (trace_id, parent_id) = (id(32)?, id(16)?);
    let flags = parts.next().filter(|part| is_hex(part, 2))?;
    if version == "00" && parts.next().is_some() {
        return None;
    }
    Some((trace_id, parent_id, u8::from_str_radix(flags, 16).ok()?))
}

fn is_id(text: &str, length: usize) -> bool {
    is_hex(text, length) && text.bytes().any(|byte| byte != b'0')
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns whether a `tracestate` may be passed on. The functions checked its form.
fn is_tracestate(text: &str) -> bool {
    (1..=TRACESTATE_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
}

/// Returns a random id, which is never zero. Each `RandomState` has keys of its own, which begin
/// with random numbers of the operating system.
fn random_id() -> u64 {
    RandomState::new().hash_one(()).max(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::tests::lambda_record;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    fn message(attributes: &[(&str, &str)]) -> Message {
        let mut record = lambda_record("m", Some("order/1"), "{}");
        for (name, value) in attributes {
            record["messageAttributes"][name] =
                json!({ "stringValue": value, "dataType": "String" });
        }
        serde_json::from_value(record).unwrap()
    }

    fn traceparent(message: &Message) -> Option<String> {
        Span::start(message).map(|span| span.traceparent())
    }

    #[test]
    fn continues_the_trace_with_an_id_of_its_own_for_each_start() {
        let message = message(&[("traceparent", &format!("00-{TRACE}-{PARENT}-01"))]);
        let spans = [(); 2].map(|()| Span::start(&message).unwrap());
        for span in spans {
            assert_eq!((span.trace_id, span.parent_id), (TRACE, PARENT));
            assert!(is_id(&span.id(), 16) && span.id() != PARENT);
            let expected = format!("00-{TRACE}-{}-01", span.id());
            assert_eq!(span.traceparent(), expected);
        }
        assert_ne!(spans[0].id(), spans[1].id());
    }

    #[test]
    fn passes_on_known_flags_in_the_version_that_it_knows() {
        let flags = |context: &str| {
            let message = message(&[("traceparent", context)]);
            let continued = traceparent(&message)?;
            assert!(continued.starts_with(&format!("00-{TRACE}-")) && continued.len() == 55);
            continued.get(53..).map(str::to_owned)
        };
        for (version, given, expected) in [
            ("00", "00", "00"),
            ("00", "01", "01"),
            ("00", "03", "03"),
            ("00", "ff", "03"),
            ("cc", "01", "01"),
            ("cc", "01-more", "01"),
        ] {
            let context = format!("{version}-{TRACE}-{PARENT}-{given}");
            assert_eq!(flags(&context).as_deref(), Some(expected), "{context}");
        }
    }

    #[test]
    fn ignores_an_invalid_traceparent() {
        assert_eq!(traceparent(&message(&[("tracestate", "a=b")])), None);
        for invalid in [
            String::new(),
            "zo\u{eb}@shop.example".to_owned(),
            format!("00-{TRACE}-{PARENT}"),
            format!("00-{TRACE}-{PARENT}-01-more"),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-{TRACE}-{PARENT}-0g"),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{}-{PARENT}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!(" 00-{TRACE}-{PARENT}-01"),
        ] {
            assert_eq!(
                traceparent(&message(&[("traceparent", &invalid)])),
                None,
                "{invalid}"
            );
        }
    }

    #[test]
    fn passes_on_a_tracestate_that_fits_into_a_header() {
        let context = format!("00-{TRACE}-{PARENT}-01");
        let long = "x".repeat(TRACESTATE_CHARS_MAX + 1);
        for (state, passed) in [
            ("rojo=00f067aa0ba902b7, congo=t61rcWkgMzE", true),
            (&long[1..], true),
            (&long[..], false),
            ("a=b\r\nauthorization: none", false),
            ("zo\u{eb}", false),
            ("", false),
        ] {
            let message = message(&[("traceparent", &context), ("tracestate", state)]);
            let span = Span::start(&message).unwrap();
            assert_eq!(span.tracestate, passed.then_some(state), "{state}");
        }
    }
}
