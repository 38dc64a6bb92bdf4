//! The ids of an event: its `source`, `contentid` and `id`, and the digest of its subject.
//! Consumers recognize duplicates by them, so a change here breaks the contract.

use hex::encode as hex;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The maximum length of a merchant's or environment's name in the `source`, in bytes before
/// percent-encoding. A longer one is replaced by its hash. Adobe's names have fewer than 64.
pub const NAME_BYTES_MAX: usize = 256;

/// Half of a SHA-256 in hexadecimal.
const SUBJECT_DIGEST_CHARS: usize = 32;

/// The characters that a URI can have in a path segment only percent-encoded (RFC 3986, 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Returns the `source` for the merchant and the environment of an envelope: a URI reference, as
/// CloudEvents requires.
pub(crate) fn source(merchant: Option<&str>, environment: Option<&str>) -> String {
    let mut source = String::from("/adobe-commerce");
    for part in [merchant, environment].into_iter().flatten() {
        source.push('/');
        if part.len() > NAME_BYTES_MAX {
            source.push_str(&hash_of(part));
            continue;
        }
        source.extend(utf8_percent_encode(part, RESERVED));
    }
    source
}

/// Returns the `contentid`: the same for the same entity bytes, in every delivery.
pub(crate) fn content_id(channel: &str, source: &str, entity: &str) -> String {
    hex(digest(&[channel, source, entity]))
}

/// Returns the `id` of an event, derived from its content and its delivery: a UUID of version 8
/// (RFC 9562).
pub(crate) fn event_id(content_id: &str, delivery: &str) -> Uuid {
    uuid(&[content_id, delivery])
}

/// Returns the deduplication id of a body that is not a valid event.
pub(crate) fn body_id(channel: &str, shop: Option<&str>, body: &str, delivery: &str) -> Uuid {
    match shop {
        Some(shop) => uuid(&[channel, shop, body, delivery]),
        None => uuid(&[channel, body, delivery]),
    }
}

/// Returns the digest that replaces a subject in log lines, which contain no text of an event: the
/// first half of a SHA-256. The log can be searched for a known entity. The digest is no secret:
/// trying all numbers reveals the subject.
pub(crate) fn subject_digest(subject: &str, store_id: Option<u64>) -> String {
    let store_id = store_id.map(|id| id.to_string()).unwrap_or_default();
    let mut digest = hex(digest(&[subject, &store_id]));
    digest.truncate(SUBJECT_DIGEST_CHARS);
    digest
}

fn uuid(parts: &[&str]) -> Uuid {
    let mut id = [0; 16];
    id.iter_mut()
        .zip(digest(parts))
        .for_each(|(to, from)| *to = from);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

/// Hashes the parts with zero bytes between them. At most one part can contain a zero byte, so
/// different lists of parts never hash the same bytes.
fn digest(parts: &[&str]) -> [u8; 32] {
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

/// Returns a hash that replaces a text that is too long or has characters that are not allowed.
pub(crate) fn hash_of(text: &str) -> String {
    format!("sha256:{}", hex(digest(&[text])))
}

#[cfg(test)]
mod tests;
