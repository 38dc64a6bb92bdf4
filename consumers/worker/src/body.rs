//! Decodes the body of a message: JSON, or JSON that was compressed to fit into a message.
//! `event.rs` interprets the JSON.

use std::{borrow::Cow, io::Read as _};

use flate2::read::GzDecoder;

use crate::dead_letters::DeadLetterReason;

/// The attribute `content-encoding` of a compressed body.
const GZIP_BASE64: &str = "gzip, base64";

/// The maximum size of a body after decompression, in bytes. API Gateway accepts events of up to
/// 6 MB, so a genuine body is far smaller.
const DECODED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Returns the JSON of a body. Decompresses it if `encoding` declares a compressed body.
pub(crate) fn decode<'a>(
    body: &'a str,
    encoding: Option<&str>,
) -> Result<Cow<'a, str>, DeadLetterReason> {
    match encoding {
        None => Ok(body.into()),
        Some(GZIP_BASE64) => {
            let compressed = base64_simd::STANDARD
                .decode_to_vec(body)
                .map_err(|_| DeadLetterReason::Unreadable)?;
            let mut json = String::new();
            let read = GzDecoder::new(&*compressed)
                .take(DECODED_BYTES_MAX + 1)
                .read_to_string(&mut json);
            match read {
                Ok(length) if length as u64 > DECODED_BYTES_MAX => Err(DeadLetterReason::TooLarge),
                Ok(_) => Ok(json.into()),
                Err(_) => Err(DeadLetterReason::Unreadable),
            }
        }
        Some(_) => Err(DeadLetterReason::Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;

    use super::*;
    use crate::event::Event;

    fn compress(json: &[u8]) -> String {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(json).unwrap();
        base64_simd::STANDARD.encode_to_string(gzip.finish().unwrap())
    }

    #[test]
    fn a_body_that_does_not_match_its_encoding_is_unreadable() {
        let complete = compress(b"{}");
        let truncated = base64_simd::STANDARD.decode_to_vec(&complete).unwrap();
        let truncated = base64_simd::STANDARD.encode_to_string(&truncated[..truncated.len() - 6]);
        for (body, encoding) in [
            ("{}", GZIP_BASE64),
            ("e30=", GZIP_BASE64),
            (&truncated, GZIP_BASE64),
            (&compress(b"\xff"), GZIP_BASE64),
            (&complete, "br"),
            (&complete, ""),
        ] {
            assert_eq!(
                decode(body, Some(encoding)).unwrap_err(),
                DeadLetterReason::Unreadable,
                "{body} {encoding}"
            );
        }
    }

    #[test]
    fn stops_decompression_at_the_size_limit() {
        let size = usize::try_from(DECODED_BYTES_MAX).unwrap();
        assert_eq!(
            decode(&compress(&vec![b' '; size]), Some(GZIP_BASE64))
                .unwrap()
                .len(),
            size
        );
        assert_eq!(
            decode(&compress(&vec![b' '; size + 1]), Some(GZIP_BASE64)).unwrap_err(),
            DeadLetterReason::TooLarge
        );
    }

    proptest! {
        #[test]
        fn decoding_returns_the_original_text(text in "\\PC*") {
            let compressed = compress(text.as_bytes());
            prop_assert_eq!(&*decode(&compressed, Some(GZIP_BASE64)).unwrap(), &*text);
            prop_assert_eq!(&*decode(&text, None).unwrap(), &*text);
        }

        #[test]
        fn decoding_and_parsing_never_panic(body in "\\PC*", compressed in any::<bool>()) {
            let encoding = compressed.then_some(GZIP_BASE64);
            let _ = decode(&body, encoding).map(|json| Event::parse(&json).is_ok());
        }
    }
}
