//! Writes the body of a message in a form that SQS accepts: JSON of limited size, without two code
//! points that SQS refuses, and compressed if it is large.

use std::io::{self, Write as _};

use flate2::{Compression, write::GzEncoder};
use serde::Serialize;

use crate::{deadline::Deadline, outcome::Failure};

/// The maximum size of a message in bytes, body and attributes together (SQS, `SendMessage`).
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// The maximum size of the JSON before compression, in bytes. A request body of 6 MB becomes 8 MB:
/// the original entity, and the fields of the contract. Consumers can use the same limit when they
/// decompress a message.
pub const UNPACKED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The bytes that are reserved for attributes: those of the message, whose lengths are limited, and
/// those that a consumer adds when it moves a message to its dead-letter queue.
pub(crate) const ATTRIBUTE_BYTES_MAX: usize = 2 * 1024;

/// The approximate size of a message without the original, in bytes: the attributes of CloudEvents,
/// and the fields of the contract.
const HEAD_BYTES: usize = 2 * 1024;

/// How a large body is encoded, in the order of the steps.
pub const CONTENT_ENCODING: &str = "gzip, base64";

/// The body of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MessageBody {
    pub(super) text: String,
    /// Whether the text is the [`CONTENT_ENCODING`] of the JSON.
    pub(super) compressed: bool,
}

impl MessageBody {
    /// Writes `content`. `sent_bytes` is the size of the part that the shop sent.
    pub(super) fn write(
        content: &impl Serialize,
        sent_bytes: usize,
        deadline: Deadline,
    ) -> Result<Self, Failure> {
        let mut json = JsonBuffer(Vec::with_capacity(sent_bytes + HEAD_BYTES));
        // Writing fails only at the limit.
        serde_json::to_writer(&mut json, content).map_err(|_| Failure::TooLarge)?;
        let json = String::from_utf8(json.0).map_err(|_| Failure::Internal)?;
        Self::fit(without_noncharacters(json)?, deadline)
    }

    /// Compresses the JSON if it is too large for SQS. Tries fast compression first. If the result
    /// is still too large, tries thorough compression, which takes five times as long.
    fn fit(json: String, deadline: Deadline) -> Result<Self, Failure> {
        const BODY_MAX: usize = MESSAGE_BYTES_MAX - ATTRIBUTE_BYTES_MAX;
        if json.len() <= BODY_MAX {
            return Ok(Self {
                text: json,
                compressed: false,
            });
        }
        for level in [Compression::fast(), Compression::default()] {
            if let Some(gzip) = compress(json.as_bytes(), level, BODY_MAX / 4 * 3, deadline)? {
                return Ok(Self {
                    text: base64_simd::STANDARD.encode_to_string(gzip),
                    compressed: true,
                });
            }
        }
        Err(Failure::TooLarge)
    }
}

/// Collects the JSON of a message, up to [`UNPACKED_BYTES_MAX`].
///
/// It grows by an eighth, and so needs little more memory than the JSON. A `Vec` would double its
/// capacity, even if only a few more bytes follow.
struct JsonBuffer(Vec<u8>);

impl JsonBuffer {
    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.0.len() + bytes.len() > UNPACKED_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let free = self.0.capacity() - self.0.len();
        if free < bytes.len() {
            // At least an eighth, so that many small writes do not each copy the whole buffer.
            self.0.reserve_exact(bytes.len() + self.0.len() / 8);
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

impl io::Write for JsonBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes).map(|()| bytes.len())
    }

    // serde_json calls this method for every few bytes. The default implementation has a loop.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.push(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Escapes the two code points that SQS refuses and JSON allows. In JSON they can only be in
/// strings, where an escape has the same meaning.
fn without_noncharacters(json: String) -> Result<String, Failure> {
    const REFUSED: [char; 2] = ['\u{FFFE}', '\u{FFFF}'];
    if memchr::memmem::find(json.as_bytes(), &[0xEF, 0xBF]).is_none() {
        return Ok(json);
    }
    let count = json.matches(REFUSED).count();
    let length = json.len() + count * (r"\ufffe".len() - REFUSED[0].len_utf8());
    if length > UNPACKED_BYTES_MAX {
        return Err(Failure::TooLarge);
    }
    let mut escaped = String::with_capacity(length);
    for part in json.split_inclusive(REFUSED) {
        let (text, escape) = match part.strip_suffix('\u{FFFE}') {
            Some(text) => (text, r"\ufffe"),
            None => match part.strip_suffix('\u{FFFF}') {
                Some(text) => (text, r"\uffff"),
                None => (part, ""),
            },
        };
        escaped.push_str(text);
        escaped.push_str(escape);
    }
    Ok(escaped)
}

/// Compresses a text; `None` if the result has more than `bytes_max` bytes. No other task runs
/// meanwhile, so this checks the deadline itself.
fn compress(
    text: &[u8],
    level: Compression,
    bytes_max: usize,
    deadline: Deadline,
) -> Result<Option<Vec<u8>>, Failure> {
    const PART: usize = 64 * 1024;
    let bytes = Vec::new();
    let mut gzip = GzEncoder::new(Limited { bytes, bytes_max }, level);
    for part in text.chunks(PART) {
        if deadline.remaining().is_zero() {
            return Err(Failure::OutOfTime);
        }
        // Writing fails only at the limit.
        if gzip.write_all(part).is_err() {
            return Ok(None);
        }
    }
    Ok(gzip.finish().ok().map(|gzip| gzip.bytes))
}

/// A buffer with a maximum size. A write beyond it fails, so compression stops early.
struct Limited {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests;
