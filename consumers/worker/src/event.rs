//! Reads a message: the CloudEvent that the shop's event became.

use std::{borrow::Cow, collections::BTreeMap, io::Read as _};

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::{error::Category, value::RawValue};

/// What a compressed body says of itself.
const GZIP_BASE64: &str = "gzip, base64";

/// What a body may come to when it is unpacked. API Gateway takes 6 MB of an event, so a real one is far smaller.
const UNPACKED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Begins the type of every event of the shop. Its channel follows.
const TYPE_PREFIX: &str = "com.adobe.commerce.observer.";

/// Members of `data` beside the entity.
const BESIDE_THE_ENTITY: [&str; 2] = ["original", "related"];

/// Why a message can never succeed, however often it comes.
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
    /// The work has refused it for good.
    Refused,
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
            Self::Refused => "refused",
        }
    }
}

/// An event of the shop. Everything in it is byte for byte what was sent.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    /// The idempotency key: a UUID, the same for every repeat.
    pub(crate) id: Cow<'a, str>,
    /// The event's name without `observer.`: `sales_order_place_after`.
    pub(crate) channel: String,
    /// The order, invoice, shipment, product, customer or cart item, as the schemas of the channels say.
    pub(crate) entity: &'a RawValue,
    /// All of it, with `data.original`, the entity as the shop wrote it.
    pub(crate) json: &'a str,
}

#[derive(Deserialize)]
struct CloudEvent<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: BTreeMap<Cow<'a, str>, &'a RawValue>,
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
            .filter(|channel| is_name(channel));
        let entity = event
            .data
            .iter()
            .find(|(name, _)| !BESIDE_THE_ENTITY.contains(&name.as_ref()));
        match (channel, entity) {
            (Some(channel), Some((_, entity))) if is_uuid(&event.id) => Ok(Self {
                channel: channel.to_owned(),
                entity,
                id: event.id,
                json,
            }),
            _ => Err(Reason::NotOurs),
        }
    }
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
    use std::io::Write as _;

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
        assert_eq!(
            of(&|event| event["data"] = json!({ "original": {} })),
            Reason::NotOurs
        );
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
