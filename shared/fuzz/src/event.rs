//! From a body to the message: what holds for every body that is accepted, and for every one that is not.

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
    deliver::message::{CONTRACT_VERSION, MESSAGE_BYTES_MAX, Message, Origin},
    event::{Contract, Event, ReadOptions},
    model::{Entity, Issue, IssueKind, LISTED_MAX, Violation},
    outcome::Failure,
    request::body::{Unverified, Verified},
    verify::{Keys, Signatures},
};

use crate::schema::Schema;

/// The last moment that RFC 3339 can write, in milliseconds since 1970.
const LAST_MS: u64 = 253_402_300_799_999;

/// Room in SQS's limit for the attributes, which count, too.
const ATTRIBUTE_BYTES: usize = 1024;

/// The CloudEvent of a message, with nothing beside what the contract names.
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

/// A body that is taken from anybody; `None` when it is too large to be looked at.
pub fn unsigned(bytes: &[u8]) -> Option<Verified<'_>> {
    let body = Unverified::new(bytes).ok()?;
    body.verify(&Keys::AcceptUnsigned, Signatures::default())
        .ok()
}

/// Checks what a channel makes of a body, which API Gateway took at `accepted_ms`.
pub fn check<C: Channel>(body: &Verified<'_>, request_id: &str, accepted_ms: u64) {
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
                "unusable in both contracts"
            );
            return check_failure::<C>(&failure);
        }
    };
    let again = Event::read::<C>(body, options).expect("the same bytes are read alike");
    assert_eq!(event.id, again.id, "the same bytes have the same id");
    assert_eq!(event.content_id, again.content_id);
    match Event::read::<C>(body, strict) {
        Ok(_) => assert_eq!(event.issues.count(), 0, "a strict contract takes no issue"),
        Err(failure) => {
            assert!(event.issues.count() > 0, "only an issue is in its way");
            check_failure::<C>(&failure);
        }
    }
    check_issues::<C>(&event);
    let parts = event.related.iter().map(|(_, raw)| *raw);
    for part in parts.chain([event.original]) {
        assert!(is_part_of(body.bytes(), part.get()), "it is what was sent");
    }
    let names: BTreeSet<_> = event.related.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), event.related.len(), "no name stands twice");
    check_idempotence::<C>(&event);
    check_message::<C>(&event, accepted_ms);
}

fn is_part_of(whole: &[u8], part: &str) -> bool {
    let whole = whole.as_ptr_range();
    let part = part.as_bytes().as_ptr_range();
    whole.start <= part.start && part.end <= whole.end
}

/// An issue names fields of the contract, and places by names of the contract; and what it says is unreadable stands in the body.
fn check_issues<C: Channel>(event: &Event<'_, C::Entity>) {
    let schema = Schema::of_message(C::NAME);
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
        assert!(schema.is_pointer(pointer), "{pointer}");
        assert!(schema.is_field(field), "{field}");
        assert!(value.is_none() || *kind == IssueKind::Unreadable || *kind == IssueKind::Skipped);
        assert!(!expected || issues.any_expected);
    }
}

/// What was read into the contract's form and is read again stays as it is.
fn check_idempotence<C: Channel>(event: &Event<'_, C::Entity>) {
    let canonical = serde_json::to_string(&event.entity).expect("an entity can be written");
    let key = C::Entity::KEYS[0];
    let body = format!(r#"{{"data":{{"{key}":{canonical}}}}}"#);
    let body = unsigned(body.as_bytes()).expect("it is smaller than what was sent");
    let again = Event::read::<C>(&body, ReadOptions::default())
        .expect("the contract's form keeps to the contract");
    let unread = again.issues.list.iter();
    assert!(
        unread.clone().all(|issue| issue.kind == IssueKind::Missing),
        "the contract's form can be read: {:?}",
        unread.collect::<Vec<_>>()
    );
    let written = serde_json::to_string(&again.entity).expect("an entity can be written");
    assert_eq!(canonical, written, "the contract's form is one");
    assert_eq!(event.entity.subject(), again.entity.subject());
    assert_eq!(event.entity.group(), again.entity.group());
}

fn check_message<C: Channel>(event: &Event<'_, C::Entity>, accepted_ms: u64) {
    let with_original = Origin {
        accepted_ms,
        with_original: true,
    };
    match Message::new::<C>(event, with_original, in_a_minute()) {
        Ok(message) => {
            let json = check_envelope::<C>(event, &message);
            check_what_was_sent::<C>(event, &json);
        }
        Err(failure) => check_no_message(&failure, accepted_ms),
    }
    let without_original = Origin {
        with_original: false,
        ..with_original
    };
    match Message::new::<C>(event, without_original, in_a_minute()) {
        Ok(message) => {
            // Only here: what the shop sent may be more than a reader of JSON into values takes, such as 1e999.
            let json: Value = serde_json::from_str(&check_envelope::<C>(event, &message))
                .expect("the contract's form is plain JSON");
            let schema = Schema::of_message(C::NAME);
            schema.check(&json);
            schema.check_has_no_more(C::Entity::NAME, &json["data"]);
        }
        Err(failure) => check_no_message(&failure, accepted_ms),
    }
}

fn in_a_minute() -> Deadline {
    Deadline::new(Duration::from_mins(1), 0, 0)
}

fn check_no_message(failure: &Failure, accepted_ms: u64) {
    match failure {
        Failure::TooLarge => {}
        Failure::NotARequest => assert!(accepted_ms > LAST_MS),
        other => panic!("making a message cannot fail with {other:?}"),
    }
}

/// Checks all but the event's data, which SQS and every consumer look at, and gives the message as JSON.
fn check_envelope<C: Channel>(event: &Event<'_, C::Entity>, message: &Message) -> String {
    assert!(message.body.len() <= MESSAGE_BYTES_MAX - ATTRIBUTE_BYTES);
    assert!(message.body.chars().all(is_carried_by_sqs));
    for id in [&message.group, &message.deduplication] {
        assert!((1..=128).contains(&id.len()), "SQS takes its length");
        assert!(id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
    }
    assert_eq!(message.deduplication, event.id.to_string());

    let json = if message.compressed {
        let packed = base64_simd::STANDARD.decode_to_vec(&message.body);
        let mut json = String::new();
        GzDecoder::new(&*packed.expect("it is base64"))
            .read_to_string(&mut json)
            .expect("it is gzip");
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
    let kind = format!("com.adobe.commerce.observer.{}", C::NAME);
    assert_eq!(cloud_event.kind, kind);
    assert_eq!(cloud_event.subject, event.entity.subject());
    assert_eq!(cloud_event.datacontenttype, "application/json");
    let end = format!(":{}:{CONTRACT_VERSION}", C::NAME);
    assert!(cloud_event.dataschema.ends_with(&end));
    assert_eq!(cloud_event.contentid, event.content_id);
    assert_eq!(cloud_event.contentid.len(), 64);
    assert!(cloud_event.data.contains_key(C::Entity::NAME));
    json
}

/// The characters that SQS takes in a message; it refuses a message with any other.
fn is_carried_by_sqs(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// What the shop sent is in the message byte for byte, but for the two code points that SQS does not carry.
fn check_what_was_sent<C: Channel>(event: &Event<'_, C::Entity>, json: &str) {
    let escaped = |json: &str| {
        json.replace('\u{FFFE}', "\\ufffe")
            .replace('\u{FFFF}', "\\uffff")
    };
    let CloudEvent { data, .. } = serde_json::from_str(json).expect("it was read before");
    assert_eq!(data["original"].get(), escaped(event.original.get()));
    let related: Vec<_> = event
        .related
        .iter()
        .map(|(name, raw)| {
            let name = serde_json::to_string(name).expect("a text can be written");
            format!("{name}:{raw}")
        })
        .collect();
    let related = (!related.is_empty()).then(|| escaped(&format!("{{{}}}", related.join(","))));
    assert_eq!(data.get("related").map(|raw| raw.get()), related.as_deref());
    let (issues, more) = (event.issues.count() > 0, event.issues.more > 0);
    let members = [related.is_some(), issues, more];
    assert_eq!(data.len(), 2 + members.into_iter().filter(|is| *is).count());
}

/// Checks that an answer about a body that is not accepted holds nothing of it.
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
            let schema = Schema::of_message(C::NAME);
            for Violation { pointer, detail } in violations {
                // What is wrong with the whole body has no place of its own.
                let of_the_whole = ["members", "a name twice", "levels"];
                let whole = pointer.is_empty() && of_the_whole.iter().any(|it| detail.contains(it));
                assert!(whole || schema.is_pointer(pointer), "{pointer}");
            }
        }
        other => panic!("reading an event cannot fail with {other:?}"),
    }
}
