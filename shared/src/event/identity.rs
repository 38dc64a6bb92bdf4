//! Which events are the same: the names by which consumers know an event, its content, and its shop.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The name of a merchant or an environment may have this many bytes in the `source`, where a byte can take three. One of Adobe's has
/// fewer than 64.
pub const NAME_BYTES_MAX: usize = 256;

/// The `source` of an event whose envelope names these: a URI reference, as CloudEvents asks for.
pub(crate) fn source(merchant: Option<&str>, environment: Option<&str>) -> String {
    let mut source = String::from("/adobe-commerce");
    for part in [merchant, environment].into_iter().flatten() {
        source.push('/');
        if part.len() > NAME_BYTES_MAX {
            source.push_str(&hash_of(part));
            continue;
        }
        for byte in part.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                source.push(char::from(byte));
            } else {
                let _ = write!(source, "%{byte:02X}"); // writing to a String never fails
            }
        }
    }
    source
}

/// The `contentid` of an event: what happened to which entity, whoever tells it and how often.
pub(crate) fn content_id(channel: &str, source: &str, entity: &str) -> String {
    hex(&digest([channel, source, entity]))
}

/// The `id` of an event: its content, and the delivery that brought it. A UUID of version 8 (RFC 9562).
pub(crate) fn event_id(content_id: &str, delivery: &str) -> Uuid {
    uuid([content_id, delivery])
}

/// The id of a body that is no event, by which SQS knows it.
pub(crate) fn body_id(channel: &str, body: &str, delivery: &str) -> Uuid {
    uuid([channel, body, delivery])
}

/// Names what an event is about in a log line, which holds no text out of an event: the first half of a hash. It hides nothing from
/// whoever tries all numbers; it keeps the line's form, and lets a known entity be found.
pub(crate) fn subject_digest(subject: &str, store_id: Option<u64>) -> String {
    let store_id = store_id.map(|id| id.to_string()).unwrap_or_default();
    hex(digest([subject, &store_id]).iter().take(16))
}

fn uuid<const N: usize>(parts: [&str; N]) -> Uuid {
    let mut id = [0; 16];
    id.iter_mut()
        .zip(digest(parts))
        .for_each(|(to, from)| *to = from);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

/// No more than one of the parts can hold a zero byte, so no two lists of parts run together.
fn digest<const N: usize>(parts: [&str; N]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut rest = parts.iter();
    if let Some(first) = rest.next() {
        hash.update(first);
    }
    for part in rest {
        hash.update([0]);
        hash.update(part);
    }
    hash.finalize().into()
}

/// Names what is too long, or does not fit, in letters that fit everywhere.
pub(crate) fn hash_of(text: &str) -> String {
    format!("sha256:{}", hex(&digest([text])))
}

fn hex<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> String {
    bytes
        .into_iter()
        .flat_map(|byte| [byte >> 4, byte & 0xF])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_are_made_as_the_documents_say() {
        // Computed by Python's hashlib and uuid.
        let content = content_id(
            "sales_order_save_after",
            "/adobe-commerce",
            r#"{"entity_id":1}"#,
        );
        assert_eq!(
            content,
            "16542d6367e977bd6dcd2eda6cbbcfac6741523a6e3bb099bb35d30491b16df0"
        );
        assert_eq!(
            event_id(&content, "JKJaXmPLvHcESHA=").to_string(),
            "14fd3e15-cc5c-8fda-8917-9c202c26a7a7"
        );
    }

    #[test]
    fn a_subject_has_another_digest_in_each_store() {
        // Computed by Python's hashlib.
        let digest = |store| subject_digest("order/000000123", store);
        assert_eq!(digest(Some(1)), "7dd0c44c1b0314eafb3b07385f584552");
        assert_eq!(digest(None), "d37a633aaa775bbc63f6841e0b7eb49f");
    }

    #[test]
    fn channel_source_entity_and_delivery_each_make_another_id() {
        let id = |channel, source, entity, delivery| {
            event_id(&content_id(channel, source, entity), delivery)
        };
        let one = id("a", "/s", "{}", "1");
        assert_eq!(one, id("a", "/s", "{}", "1"));
        for other in [
            id("b", "/s", "{}", "1"),
            id("a", "/t", "{}", "1"),
            id("a", "/s", "{ }", "1"),
            id("a", "/s", "{}", "2"),
            id("a/", "s", "{}", "1"),
        ] {
            assert_ne!(one, other);
        }
        assert_eq!(one.get_version_num(), 8);
    }
}
