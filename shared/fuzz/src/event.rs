//! Checks the path from a body to its message, for bodies that are accepted and for those that are
//! not.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
    time::Duration,
};

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use shared::{
    Channel, Deadline,
    deliver::{
        body::MESSAGE_BYTES_MAX,
        message::{CONTRACT_VERSION, Message, Origin},
    },
    event::{Contract, Event, ReadOptions},
    model::{Entity, Issue, IssueKind, LISTED_MAX, Violation},
    outcome::Failure,
    request::body::{Unverified, Verified},
    verify::{Keys, Signatures},
};

use crate::schema::Schema;

/// The last point in time that RFC 3339 can represent, in milliseconds since 1970.
const LAST_MS: u64 = 253_402_300_799_999;

/// Space for the attributes, which count towards the size limit of SQS.
const ATTRIBUTE_BYTES: usize = 1024;

/// The CloudEvent of a message, with the attributes of the contract and no other.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CloudEvent<'a> {
    specversion: &'a str,
    id: &'a str,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: Option<String>,
    #[serde(rename = "time")]
    _time: String,
    datacontenttype: &'a str,
    dataschema: String,
    contentid: &'a str,
    #[serde(borrow)]
    data: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

/// Returns the body without a check of its signature; `None` if the body is too large.
pub fn unsigned(bytes: &[u8]) -> Option<Verified<'_>> {
    let body = Unverified::new(bytes).ok()?;
    body.verify(&Keys::AcceptUnsigned, Signatures::default())
        .ok()
}

/// Checks the result of a channel for a body that API Gateway accepted at `received_ms`.
pub fn check<C: Channel>(body: &Verified<'_>, request_id: &str, received_ms: u64) {
    let options = ReadOptions {
        request_id,
        ..ReadOptions::default()
    };
    let strict = ReadOptions {
        contract: Contract::Strict,
        ..options
    };
    let event = match Event::read::<C>(body, options) {
        Ok(event) => event,
        Err(failure) => {
            let strictly = Event::read::<C>(body, strict).map(|event| event.id);
            assert_eq!(
                strictly.as_ref(),
                Err(&failure),
                "the strict contract rejects it, too"
            );
            return check_failure::<C>(&failure);
        }
    };
    let again = Event::read::<C>(body, options).expect("the same bytes can be read again");
    assert_eq!(event.id, again.id, "the same bytes have the same id");
    assert_eq!(event.content_id, again.content_id);
    match Event::read::<C>(body, strict) {
        Ok(_) => assert_eq!(
            event.issues.count(),
            0,
            "the strict contract accepts no issue"
        ),
        Err(failure) => {
            assert!(
                event.issues.count() > 0,
                "the strict contract rejects issues only"
            );
            check_failure::<C>(&failure);
        }
    }
    check_issues::<C>(&event);
    let parts = event.related.iter().map(|(_, raw)| *raw);
    for part in parts.chain([event.original]) {
        assert!(
            is_part_of(body.bytes(), part.get()),
            "it is a part of the body"
        );
    }
    let names: BTreeSet<_> = event.related.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), event.related.len(), "no name is repeated");
    if C::Entity::HAS_MODEL {
        check_idempotence::<C>(&event);
    }
    check_message::<C>(&event, received_ms);
}

fn is_part_of(whole: &[u8], part: &str) -> bool {
    let whole = whole.as_ptr_range();
    let part = part.as_bytes().as_ptr_range();
    whole.start <= part.start && part.end <= whole.end
}

/// Checks that issues contain known names only, and a value only if the field is unreadable or
/// skipped.
fn check_issues<C: Channel>(event: &Event<'_, C::Entity>) {
    let schema = Schema::of::<C>();
    let issues = &event.issues;
    assert!(issues.list.len() <= LISTED_MAX);
    assert!(issues.more == 0 || issues.list.len() == LISTED_MAX);
    for Issue {
        pointer,
        field,
        kind,
        value,
        expected,
        ..
    } in &issues.list
    {
        assert!(schema.is_pointer::<C>(pointer), "{pointer}");
        assert!(schema.is_field::<C>(field), "{field}");
        assert!(value.is_none() || *kind == IssueKind::Unreadable || *kind == IssueKind::Skipped);
        assert!(!expected || issues.any_expected);
    }
}

/// Checks that an entity in the contract's form does not change when it is read again.
fn check_idempotence<C: Channel>(event: &Event<'_, C::Entity>) {
    let canonical = serde_json::to_string(&event.entity).expect("an entity can be serialized");
    let key = C::Entity::KEYS[0];
    let body = format!(r#"{{"data":{{"{key}":{canonical}}}}}"#);
    let body = unsigned(body.as_bytes()).expect("it is smaller than the original");
    let again =
        Event::read::<C>(&body, ReadOptions::default()).expect("the contract's form is valid");
    let unread = again.issues.list.iter();
    assert!(
        unread.clone().all(|issue| issue.kind == IssueKind::Missing),
        "the contract's form can be read: {:?}",
        unread.collect::<Vec<_>>()
    );
    let written = serde_json::to_string(&again.entity).expect("an entity can be serialized");
    assert_eq!(canonical, written, "the contract's form does not change");
    assert_eq!(event.entity.subject(), again.entity.subject());
    assert_eq!(event.entity.group(), again.entity.group());
}

fn check_message<C: Channel>(event: &Event<'_, C::Entity>, received_ms: u64) {
    let with_original = Origin {
        received_ms,
        with_original: true,
    };
    match Message::new::<C>(event, with_original, in_a_minute()) {
        Ok(message) => {
            let json = check_envelope::<C>(event, &message);
            check_original::<C>(event, &json);
        }
        Err(failure) => check_no_message(&failure, received_ms),
    }
    let without_original = Origin {
        with_original: false,
        ..with_original
    };
    match Message::new::<C>(event, without_original, in_a_minute()) {
        Ok(message) if !C::Entity::HAS_MODEL => {
            check_envelope::<C>(event, &message);
        }
        Ok(message) => {
            // A message with the original may contain JSON that `Value` cannot represent, such as
            // 1e999.
            let json: Value = serde_json::from_str(&check_envelope::<C>(event, &message))
                .expect("the contract's form is plain JSON");
            Schema::of::<C>().check(&json);
            Schema::check_members(C::Entity::NAME, &json["data"]);
        }
        Err(failure) => check_no_message(&failure, received_ms),
    }
}

fn in_a_minute() -> Deadline {
    Deadline::new(Duration::from_mins(1), 0, 0)
}

fn check_no_message(failure: &Failure, received_ms: u64) {
    match failure {
        Failure::TooLarge => {}
        Failure::NotARequest => assert!(received_ms > LAST_MS),
        other => panic!("a message cannot fail with {other:?}"),
    }
}

/// Checks all parts of a message except its data, and returns the message as JSON.
fn check_envelope<C: Channel>(event: &Event<'_, C::Entity>, message: &Message) -> String {
    assert!(message.body.len() <= MESSAGE_BYTES_MAX - ATTRIBUTE_BYTES);
    assert!(message.body.chars().all(is_accepted_by_sqs));
    for id in [&message.group, &message.deduplication] {
        assert!((1..=128).contains(&id.len()), "SQS accepts the length");
        assert!(id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
    }
    assert_eq!(message.deduplication, event.id.to_string());

    let json = if message.compressed {
        let packed = base64_simd::STANDARD.decode_to_vec(&message.body);
        let mut json = String::new();
        GzDecoder::new(&*packed.expect("it is valid base64"))
            .read_to_string(&mut json)
            .expect("it is valid gzip");
        json
    } else {
        message.body.clone()
    };
    let cloud_event: CloudEvent<'_> =
        serde_json::from_str(&json).expect("a message is a CloudEvent");
    assert_eq!(cloud_event.specversion, "1.0");
    assert_eq!(cloud_event.id, message.deduplication);
    assert!(cloud_event.source.starts_with("/adobe-commerce"));
    assert!(cloud_event.source.bytes().all(|b| b.is_ascii_graphic()));
    let kind = format!("com.adobe.commerce.{}", C::METHOD);
    assert_eq!(cloud_event.kind, kind);
    assert_eq!(cloud_event.subject, event.entity.subject());
    assert_eq!(cloud_event.datacontenttype, "application/json");
    let end = format!(":{}:{CONTRACT_VERSION}", C::NAME);
    assert!(cloud_event.dataschema.ends_with(&end));
    assert_eq!(cloud_event.contentid, event.content_id);
    assert_eq!(cloud_event.contentid.len(), 64);
    let has_entity = cloud_event.data.contains_key(C::Entity::NAME);
    assert_eq!(has_entity, C::Entity::HAS_MODEL);
    json
}

/// Returns whether SQS accepts the character in a message.
fn is_accepted_by_sqs(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// Checks that the message contains the original byte for byte, except for the two code points that
/// SQS does not accept.
fn check_original<C: Channel>(event: &Event<'_, C::Entity>, json: &str) {
    let escaped = |json: &str| {
        json.replace('\u{FFFE}', "\\ufffe")
            .replace('\u{FFFF}', "\\uffff")
    };
    let CloudEvent { data, .. } = serde_json::from_str(json).expect("the message is a CloudEvent");
    assert_eq!(data["original"].get(), escaped(event.original.get()));
    let related: Vec<_> = event
        .related
        .iter()
        .map(|(name, raw)| {
            let name = serde_json::to_string(name).expect("a string can be serialized");
            format!("{name}:{raw}")
        })
        .collect();
    let related = (!related.is_empty()).then(|| escaped(&format!("{{{}}}", related.join(","))));
    assert_eq!(data.get("related").map(|raw| raw.get()), related.as_deref());
    let (issues, more) = (event.issues.count() > 0, event.issues.more > 0);
    let members = [C::Entity::HAS_MODEL, related.is_some(), issues, more];
    assert_eq!(data.len(), 1 + members.into_iter().filter(|is| *is).count());
}

/// Checks that the answer to a body that is not accepted contains nothing of the body.
fn check_failure<C: Channel>(failure: &Failure) {
    let problem: Value = serde_json::from_str(&failure.problem("")).expect("the answer is JSON");
    assert_eq!(problem["status"], failure.status());
    match failure {
        Failure::NotJson | Failure::WrongEvent => {}
        Failure::Invalid {
            violations,
            unlisted,
        } => {
            assert!((1..=LISTED_MAX).contains(&violations.len()));
            assert!(*unlisted == 0 || violations.len() == LISTED_MAX);
            let schema = Schema::of::<C>();
            for Violation { pointer, detail } in violations {
                // A violation of the whole body has an empty pointer.
                let whole_body = ["members", "a name twice", "levels"];
                let whole =
                    pointer.is_empty() && whole_body.iter().any(|text| detail.contains(text));
                assert!(whole || schema.is_pointer::<C>(pointer), "{pointer}");
            }
        }
        other => panic!("an event cannot fail with {other:?}"),
    }
}
