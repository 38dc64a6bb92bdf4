//! Reads a message: the CloudEvent that the shop's event became.

use std::{borrow::Cow, collections::BTreeMap, io::Read as _};

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::{error::Category, value::RawValue};

/// What a compressed body says of itself.
const GZIP_BASE64: &str = "gzip, base64";

/// What a body may come to when it is unpacked. API Gateway takes 6 MB of an event, so a real one is far smaller.
const UNPACKED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Begins the type of every event of the shop. Its channel follows.
const TYPE_PREFIX: &str = "com.adobe.commerce.observer.";

/// Every entity has its name in `data`. It is found by that name, because a later version may put other members beside it.
const ENTITIES: [&str; 6] = [
    "order",
    "invoice",
    "shipment",
    "customer",
    "product",
    "quote_item",
];

/// The major version of the contract that this worker was written for.
const SCHEMA_MAJOR: &str = "1";

/// What the message attribute `issues` may say.
const ISSUES_EXPECTED: &str = "expected";
const ISSUES_OTHER: &str = "other";

/// Why a message was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Not what `content-encoding` says, or no JSON.
    Unreadable,
    /// A small message that unpacks to an absurd size.
    TooLarge,
    /// JSON, but no CloudEvent.
    NotACloudEvent,
    /// A CloudEvent of a version that is not known here.
    WrongVersion,
    /// A CloudEvent of somebody else.
    NotOurs,
    /// An event whose contract is not known here.
    UnknownSchema,
    /// An event that lacks what its channel expects.
    ExpectedIssues,
    /// The work has refused it for good.
    Refused,
    /// It failed for long, while others succeeded.
    FailedAlone,
    /// It failed until the queue was about to delete it.
    ExpiresSoon,
}

impl Reason {
    /// The word for logs and for the dead-letter queue.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
            Self::NotACloudEvent => "not_a_cloud_event",
            Self::WrongVersion => "wrong_version",
            Self::NotOurs => "not_ours",
            Self::UnknownSchema => "unknown_schema",
            Self::ExpectedIssues => "expected_issues",
            Self::Refused => "refused",
            Self::FailedAlone => "failed_alone",
            Self::ExpiresSoon => "expires_soon",
        }
    }
}

/// An event of the shop. Everything in it is byte for byte what was sent.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    /// The idempotency key: a UUID, the same whenever SQS delivers this event again.
    pub(crate) id: Cow<'a, str>,
    pub(crate) source: Cow<'a, str>,
    /// The type as it was sent: the channel behind a prefix.
    pub(crate) kind: Cow<'a, str>,
    /// Names the entity. A line that is new in its cart has no name yet.
    pub(crate) subject: Option<Cow<'a, str>>,
    /// The store view of the entity, as it was sent, or nothing. Order numbers, and so subjects, are unique in a store only.
    pub(crate) store: String,
    /// A hash of the entity: two events with the same content have the same. Earlier functions did not send it.
    pub(crate) contentid: Option<Cow<'a, str>>,
    /// When the shop last changed the entity, if that can be told.
    pub(crate) updated_at: Option<DateTime>,
    /// The event's name without `observer.`: `sales_order_place_after`.
    pub(crate) channel: String,
    /// The order, invoice, shipment, product, customer or cart item, as the schemas of the channels say.
    pub(crate) entity: &'a RawValue,
    /// All of it, with `data.original`, the entity as the shop wrote it.
    pub(crate) json: &'a str,
    /// What the function could not read, or missed.
    issues: Option<&'a RawValue>,
    /// Whether there are more issues than are listed.
    more_issues: bool,
}

#[derive(Deserialize)]
struct CloudEvent<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    subject: Option<Cow<'a, str>>,
    dataschema: Option<Cow<'a, str>>,
    contentid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

/// What the ledger needs of an entity.
#[derive(Deserialize)]
struct Dated {
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct Issue {
    expected: bool,
}

/// The JSON in a body, unpacked if need be.
pub(crate) fn unpack<'a>(body: &'a str, encoding: Option<&str>) -> Result<Cow<'a, str>, Reason> {
    match encoding {
        None => Ok(body.into()),
        Some(GZIP_BASE64) => {
            let packed = base64_simd::STANDARD
                .decode_to_vec(body)
                .map_err(|_| Reason::Unreadable)?;
            let mut json = String::new();
            let read = GzDecoder::new(&*packed)
                .take(UNPACKED_BYTES_MAX + 1)
                .read_to_string(&mut json);
            match read {
                Ok(length) if length as u64 > UNPACKED_BYTES_MAX => Err(Reason::TooLarge),
                Ok(_) => Ok(json.into()),
                Err(_) => Err(Reason::Unreadable),
            }
        }
        Some(_) => Err(Reason::Unreadable),
    }
}

impl<'a> Event<'a> {
    /// Reads what `unpack` has given.
    pub(crate) fn read(json: &'a str) -> Result<Self, Reason> {
        let event: CloudEvent<'a> =
            serde_json::from_str(json).map_err(|error| match error.classify() {
                Category::Data => Reason::NotACloudEvent,
                _ => Reason::Unreadable,
            })?;
        if event.specversion != "1.0" {
            return Err(Reason::WrongVersion);
        }
        let channel = event
            .kind
            .strip_prefix(TYPE_PREFIX)
            .filter(|channel| is_name(channel))
            .ok_or(Reason::NotOurs)?
            .to_owned();
        if !is_known(event.dataschema.as_deref(), &channel) {
            return Err(Reason::UnknownSchema);
        }
        let mut entities = ENTITIES.iter().filter_map(|name| event.data.get(*name));
        let (Some(entity), None) = (entities.next(), entities.next()) else {
            return Err(Reason::NotOurs);
        };
        let is_plain = event.contentid.as_deref().is_none_or(is_contentid);
        if !is_uuid(&event.id) || !is_plain {
            return Err(Reason::NotOurs);
        }
        Ok(Self {
            id: event.id,
            source: event.source,
            kind: event.kind,
            store: store(entity),
            subject: event.subject.filter(|subject| !subject.is_empty()),
            contentid: event.contentid,
            updated_at: updated_at(entity),
            channel,
            entity,
            json,
            issues: event.data.get("issues").copied(),
            more_issues: event.data.contains_key("more_issues"),
        })
    }

    /// Whether something is wrong with a field that the channel expects. The message attribute `issues` says so; if it was lost
    /// on the way, the list of issues does. Where neither can tell, the answer is yes: somebody should look.
    pub(crate) fn has_expected_issues(&self, attribute: Option<&str>) -> bool {
        match attribute {
            Some(ISSUES_EXPECTED) => true,
            Some(ISSUES_OTHER) => false,
            _ => {
                let listed = |issues: &RawValue| {
                    serde_json::from_str::<Vec<Issue>>(issues.get())
                        .map_or(true, |issues| issues.iter().any(|issue| issue.expected))
                };
                self.more_issues || self.issues.is_some_and(listed)
            }
        }
    }
}

/// Whether the contract is the one that this worker was written for. Earlier functions did not name it.
fn is_known(dataschema: Option<&str>, channel: &str) -> bool {
    dataschema.is_none_or(|dataschema| {
        let version = dataschema
            .strip_prefix("urn:commerce-webhooks:message:")
            .and_then(|rest| rest.strip_prefix(channel));
        version.and_then(|rest| rest.strip_prefix(':')) == Some(SCHEMA_MAJOR)
    })
}

/// The entity's store view. Of another form than ours it is as good as none.
fn store(entity: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Stored {
        store_id: Option<u64>,
    }
    let stored = serde_json::from_str::<Stored>(entity.get()).ok();
    let store = stored.and_then(|stored| stored.store_id);
    store.map(|id| id.to_string()).unwrap_or_default()
}

/// The entity's own time of its last change. What cannot be read is as good as absent: no event is skipped for it.
fn updated_at(entity: &RawValue) -> Option<DateTime> {
    let dated: Dated = serde_json::from_str(entity.get()).ok()?;
    DateTime::from_str(&dated.updated_at?, DateTimeFormat::DateTimeWithOffset).ok()
}

/// SHA-256 in hex.
fn is_contentid(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Only what has the shape of an id may stand in a log or a header: anything else could be a customer's data.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| {
            if matches!(index, 8 | 13 | 18 | 23) {
                byte == b'-'
            } else {
                byte.is_ascii_hexdigit()
            }
        })
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, io::Write as _};

    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ID: &str = "58568978-617b-80ab-be3f-02f73addff97";

    fn pack(json: &[u8]) -> String {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(json).unwrap();
        base64_simd::STANDARD.encode_to_string(gzip.finish().unwrap())
    }

    #[test]
    fn an_event_is_what_was_sent_byte_for_byte() {
        let json = concat!(
            r#"{"specversion":"1.0","id":"58568978-617b-80ab-be3f-02f73addff97","source":"/s","type":"com.adobe.commerce.observer.sales_order_place_after","#,
            r#""data":{"original":{"total" : 1.50,"name":"Zo\u00eb"},"order":{"grand_total":"1.5"},"related":{"x":[1]}}}"#
        );
        let event = Event::read(json).unwrap();
        assert_eq!(
            (&*event.id, &*event.channel),
            (ID, "sales_order_place_after")
        );
        assert_eq!(event.entity.get(), r#"{"grand_total":"1.5"}"#);
        assert_eq!(event.json, json);
    }

    #[test]
    fn what_is_no_event_of_ours_says_why() {
        let of = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut event = json!({
                "specversion": "1.0", "id": ID, "source": "/s", "type": "com.adobe.commerce.observer.x", "data": { "order": {} }
            });
            change(&mut event);
            Event::read(&event.to_string()).map(|_| ()).unwrap_err()
        };
        assert_eq!(
            of(&|event| event["specversion"] = "0.3".into()),
            Reason::WrongVersion
        );
        assert_eq!(
            of(&|event| event["specversion"] = 1.into()),
            Reason::NotACloudEvent
        );
        assert_eq!(
            of(&|event| drop(event.as_object_mut().unwrap().remove("id"))),
            Reason::NotACloudEvent
        );
        assert_eq!(
            of(&|event| event["data"] = "text".into()),
            Reason::NotACloudEvent
        );
        assert_eq!(of(&|event| *event = json!([1])), Reason::NotACloudEvent);
        assert_eq!(
            of(&|event| event["id"] = "jane@example.com".into()),
            Reason::NotOurs
        );
        assert_eq!(
            of(&|event| event["id"] = "x".repeat(36).into()),
            Reason::NotOurs
        );
        assert_eq!(
            of(&|event| event["type"] = "com.example.x".into()),
            Reason::NotOurs
        );
        assert_eq!(
            of(&|event| event["type"] = "com.adobe.commerce.observer.".into()),
            Reason::NotOurs
        );
        assert_eq!(
            of(&|event| event["type"] = "com.adobe.commerce.observer.Jane Doe".into()),
            Reason::NotOurs
        );
        for data in [
            json!({ "original": {} }),
            json!({ "order": {}, "customer": {} }),
        ] {
            assert_eq!(
                of(&|event| event["data"] = data.clone()),
                Reason::NotOurs,
                "{data}"
            );
        }
        for contentid in ["", "jane@example.com", &"A".repeat(64), &"a".repeat(65)] {
            assert_eq!(
                of(&|event| event["contentid"] = contentid.into()),
                Reason::NotOurs,
                "{contentid}"
            );
        }
        for dataschema in [
            "urn:commerce-webhooks:message:x:2",
            "urn:commerce-webhooks:message:x:1.1",
            "urn:commerce-webhooks:message:x:",
            "urn:commerce-webhooks:message:y:1",
            "https://example.com/x/1",
            "",
        ] {
            assert_eq!(
                of(&|event| event["dataschema"] = dataschema.into()),
                Reason::UnknownSchema,
                "{dataschema}"
            );
        }
        for text in ["", "{", "not json", "{}{}"] {
            assert!(
                matches!(
                    Event::read(text),
                    Err(Reason::Unreadable | Reason::NotACloudEvent)
                ),
                "{text}"
            );
        }
        assert_eq!(Event::read("{").unwrap_err(), Reason::Unreadable);
    }

    fn message(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut event = json!({
            "specversion": "1.0", "id": ID, "source": "/s", "type": "com.adobe.commerce.observer.x", "data": { "order": {} }
        });
        change(&mut event);
        event.to_string()
    }

    #[test]
    fn the_entity_is_found_by_its_name_whatever_stands_before_it() {
        for name in ENTITIES {
            let json =
                message(|event| event["data"] = json!({ "aaa": {}, name: { "a": 1 }, "zzz": [] }));
            assert_eq!(Event::read(&json).unwrap().entity.get(), r#"{"a":1}"#);
        }
    }

    #[test]
    fn the_entities_are_those_of_the_schemas() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/schema");
        let names: BTreeSet<_> = std::fs::read_dir(folder)
            .unwrap()
            .flat_map(|file| {
                let schema = std::fs::read_to_string(file.unwrap().path()).unwrap();
                let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
                let required = schema["properties"]["data"]["required"].as_array().unwrap();
                required.clone()
            })
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ENTITIES.map(str::to_owned).into());
    }

    #[test]
    fn a_contract_of_this_major_version_is_known_and_so_is_none() {
        for dataschema in [json!("urn:commerce-webhooks:message:x:1"), json!(null)] {
            let json = message(|event| event["dataschema"] = dataschema);
            assert!(Event::read(&json).is_ok(), "{json}");
        }
        assert!(Event::read(&message(|_| ())).is_ok());
    }

    #[test]
    fn an_updated_at_that_cannot_be_read_is_as_good_as_absent() {
        let of = |entity: serde_json::Value| {
            let json = message(|event| event["data"] = json!({ "order": entity }));
            Event::read(&json).unwrap().updated_at
        };
        let noon = of(json!({ "updated_at": "2026-06-18T12:00:00Z" })).unwrap();
        let later = of(json!({ "updated_at": "2026-06-18T12:00:00.25Z" })).unwrap();
        assert!(noon < later);
        assert_eq!(
            of(json!({ "updated_at": "2026-06-18T12:00:00.000+00:00" })),
            Some(noon)
        );
        for unreadable in [
            json!({}),
            json!({ "updated_at": null }),
            json!({ "updated_at": 7 }),
            json!({ "updated_at": "yesterday" }),
            json!("text"),
        ] {
            assert_eq!(of(unreadable.clone()), None, "{unreadable}");
        }
    }

    #[test]
    fn the_attribute_says_whether_issues_were_expected_and_without_it_the_list_does() {
        let of = |data: &serde_json::Value, attribute| {
            let json = message(|event| {
                event["data"] = data.clone();
                event["data"]["order"] = json!({});
            });
            Event::read(&json).unwrap().has_expected_issues(attribute)
        };
        let expected = json!({ "issues": [{ "expected": false }, { "expected": true }] });
        let other = json!({ "issues": [{ "kind": "skipped", "expected": false }] });
        let none = json!({});
        for data in [&expected, &other, &none] {
            assert!(of(data, Some("expected")), "{data}");
            assert!(!of(data, Some("other")), "{data}");
        }
        for attribute in [None, Some(""), Some("new")] {
            assert!(of(&expected, attribute));
            assert!(!of(&other, attribute));
            assert!(!of(&none, attribute));
        }
        let unlisted = json!({ "issues": [{ "expected": false }], "more_issues": 3 });
        assert!(of(&unlisted, None) && !of(&unlisted, Some("other")));
        assert!(of(&json!({ "issues": "many" }), None));
    }

    #[test]
    fn an_encoding_that_does_not_hold_is_unreadable() {
        let whole = pack(b"{}");
        let truncated = base64_simd::STANDARD.decode_to_vec(&whole).unwrap();
        let truncated = base64_simd::STANDARD.encode_to_string(&truncated[..truncated.len() - 6]);
        for (body, encoding) in [
            ("{}", GZIP_BASE64),
            ("e30=", GZIP_BASE64),
            (&truncated, GZIP_BASE64),
            (&pack(b"\xff"), GZIP_BASE64),
            (&whole, "br"),
            (&whole, ""),
        ] {
            assert_eq!(
                unpack(body, Some(encoding)).unwrap_err(),
                Reason::Unreadable,
                "{body} {encoding}"
            );
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked_beyond_the_limit() {
        let size = usize::try_from(UNPACKED_BYTES_MAX).unwrap();
        assert_eq!(
            unpack(&pack(&vec![b' '; size]), Some(GZIP_BASE64))
                .unwrap()
                .len(),
            size
        );
        assert_eq!(
            unpack(&pack(&vec![b' '; size + 1]), Some(GZIP_BASE64)).unwrap_err(),
            Reason::TooLarge
        );
    }

    proptest! {
        #[test]
        fn unpacking_gives_back_what_was_packed(text in "\\PC*") {
            let packed = pack(text.as_bytes());
            prop_assert_eq!(&*unpack(&packed, Some(GZIP_BASE64)).unwrap(), &*text);
            prop_assert_eq!(&*unpack(&text, None).unwrap(), &*text);
        }

        #[test]
        fn nothing_panics(body in "\\PC*", encoded in any::<bool>()) {
            let _ = unpack(&body, encoded.then_some(GZIP_BASE64)).map(|json| Event::read(&json).is_ok());
        }
    }
}
