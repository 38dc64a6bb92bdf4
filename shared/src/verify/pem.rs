//! Reads public keys from PEM text in any layout.
//!
//! Consoles, environment variables and configuration tools change the layout of a PEM text: line
//! breaks become spaces, the two characters `\n`, or nothing; quotes, indentation or a byte order
//! mark are added. None of these characters is part of base64, so the reader removes them. The rest
//! must be strict standard base64: the reader does not guess any character.

use crate::verify::KeyError;

const BEGIN: &str = "-----BEGINPUBLICKEY-----";
const END: &str = "-----ENDPUBLICKEY-----";

/// The end of the first line of every kind of private key, such as `RSA PRIVATE KEY`.
const PRIVATE: &str = "PRIVATEKEY-----";

/// Returns the DER of every `PUBLIC KEY` block of a text (RFC 7468), in the order of the text.
///
/// White space, quotes, and the escapes `\n`, `\r` and `\t` are allowed anywhere, also in the
/// markers. Text around the blocks, and blocks of other kinds, are ignored.
///
/// # Errors
/// [`KeyError::PrivateKey`] if the text has a private key and no public one. [`KeyError::NotPem`]
/// if it has neither, or a block that has no end or is not base64.
pub fn public_keys(text: &str) -> Result<Vec<Vec<u8>>, KeyError> {
    let text = without_layout(text);
    let mut blocks = text.split(BEGIN);
    blocks.next();
    let keys = blocks
        .map(|block| {
            let (base64, _) = block.split_once(END)?;
            base64_simd::STANDARD.decode_to_vec(base64).ok()
        })
        .collect::<Option<Vec<_>>>()
        .ok_or(KeyError::NotPem)?;
    if !keys.is_empty() {
        Ok(keys)
    } else if text.contains(PRIVATE) {
        Err(KeyError::PrivateKey)
    } else {
        Err(KeyError::NotPem)
    }
}

/// Returns whether a text contains a private key.
pub fn has_private_key(text: &str) -> bool {
    without_layout(text).contains(PRIVATE)
}

/// Removes the characters that are only layout.
fn without_layout(text: &str) -> String {
    let mut rest = text.chars();
    let mut kept = String::with_capacity(text.len());
    while let Some(character) = rest.next() {
        if character == '\\' {
            let after = rest.as_str().trim_start_matches('\\');
            rest = after.chars();
            match rest.clone().next() {
                // An escape of JSON or of a shell, possibly escaped itself, of a line break, a
                // slash, or a quote.
                Some('n' | 'r' | 't') => drop(rest.next()),
                Some('/') | None => {}
                Some(escaped) if is_layout(escaped) => {}
                // Other escapes are not supported. The backslash stays, so the block is rejected.
                Some(_) => kept.push('\\'),
            }
        } else if !is_layout(character) {
            kept.push(character);
        }
    }
    kept
}

/// Returns whether a character is white space or a quote, including invisible characters and
/// typographic quotes.
fn is_layout(character: char) -> bool {
    character.is_whitespace()
        || matches!(
            character,
            '"' | '\'' | '`' | '\u{2018}'..='\u{201f}' // quotes
            | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' // invisible
        )
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;
    use crate::verify::RsaKey;

    const PEM: &str = include_str!("../../tests/signature/public-key.pem");
    const OTHER: &str = include_str!("../../tests/signature/other-public-key.pem");

    /// Layout that can replace a line break, or be between any two characters.
    const LAYOUT: &[&str] = &[
        "",
        "\n",
        "\r\n",
        " ",
        "\t",
        "\\n",
        "\\r\\n",
        "\\\\n",
        "\\\\\\\\n",
        "\\t",
        "\"",
        "'",
        "\\\"",
        "\u{a0}",
        "\u{feff}",
        "\u{200b}",
        "\u{2060}",
        "\u{2028}",
        "\u{3000}",
        "\u{201c}",
        "  \n    ",
        "\\\n",
    ];

    fn base64_of(pem: &str) -> String {
        pem.lines().filter(|line| !line.starts_with('-')).collect()
    }

    fn der_of(pem: &str) -> Vec<u8> {
        base64_simd::STANDARD.decode_to_vec(base64_of(pem)).unwrap()
    }

    #[test]
    fn reads_a_key_in_any_layout() {
        let expected = Ok(vec![der_of(PEM)]);
        let body = base64_of(PEM);
        for text in [
            PEM.to_owned(),
            PEM.trim_end().to_owned(),
            PEM.replace('\n', "\r\n"),
            PEM.replace('\n', " "),
            PEM.replace('\n', "\\n"),
            PEM.replace('\n', "\\\\n"),
            PEM.replace('\n', "\\r\\n"),
            PEM.replace('\n', "\u{a0}"),
            PEM.replace('\n', "\n    "),
            PEM.replace('\n', ""),
            PEM.replace('/', "\\/"),
            format!("\u{feff}{PEM}"),
            format!("\"{PEM}\""),
            format!("'{}'", PEM.replace('\n', "\\n")),
            format!("public_key=\"{PEM}\" # of the shop\n"),
            format!("-----BEGIN PUBLIC KEY----- {body} -----END PUBLIC KEY-----"),
            format!("-----BEGIN\u{a0}PUBLIC KEY-----{body}-----END PUBLIC\nKEY-----"),
        ] {
            assert_eq!(public_keys(&text), expected, "{text}");
        }
    }

    #[test]
    fn reads_every_block_in_order() {
        let two = format!("{PEM}and the new one: {OTHER}");
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for text in [
            two.clone(),
            two.replace('\n', " "),
            two.replace('\n', "\\n"),
            two.replace('\n', ""),
            format!("{certificate}{two}{certificate}"),
        ] {
            assert_eq!(
                public_keys(&text),
                Ok(vec![der_of(PEM), der_of(OTHER)]),
                "{text}"
            );
        }
    }

    #[test]
    fn rejects_an_incomplete_block() {
        let body = base64_of(PEM);
        let (begin, end) = ("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----");
        for text in [
            String::new(),
            body.clone(),
            format!("{begin}{body}"),
            format!("{body}{end}"),
            format!("{begin}{body}-----END PUBLIC KEY----"),
            format!("-----BEGIN RSA PUBLIC KEY-----{body}-----END RSA PUBLIC KEY-----"),
            format!("{begin}{body}-----END RSA PUBLIC KEY-----"),
            // An invalid block is an error, even if another block is valid.
            format!("{begin}{PEM}"),
            format!("{PEM}{begin}{body}"),
            format!("{begin}{body}={end}"),
            format!("{begin}{}{end}", &body[1..]),
            format!("{begin}{}{end}", body.replace('/', "_").replace('+', "-")),
            format!("{begin}{}{end}", body.replacen('A', "\\u0041", 1)),
            format!("{begin}{}{end}", body.replacen('A', "\\A", 1)),
            format!("{begin}{}{end}", body.replacen('A', "\u{410}", 1)),
            format!("{begin}> {body}{end}"),
        ] {
            assert_eq!(public_keys(&text), Err(KeyError::NotPem), "{text}");
        }
    }

    #[test]
    fn reports_a_private_key() {
        for kind in ["", "RSA ", "EC ", "ENCRYPTED ", "OPENSSH "] {
            let private = format!(
                "-----BEGIN {kind}PRIVATE KEY-----\nAAAA\n-----END {kind}PRIVATE KEY-----\n"
            );
            for text in [private.clone(), private.replace('\n', "\\n")] {
                assert_eq!(public_keys(&text), Err(KeyError::PrivateKey), "{text}");
                assert!(has_private_key(&text), "{text}");
            }
            // A private key in the secret is a mistake, but the public key is still usable.
            let both = format!("{PEM}{private}");
            assert_eq!(public_keys(&both), public_keys(PEM));
            assert!(has_private_key(&both) && !has_private_key(PEM));
        }
    }

    proptest! {
        #[test]
        fn reads_the_same_key_in_a_random_layout(
            breaks in proptest::collection::vec((any::<usize>(), select(LAYOUT)), 0..60)
        ) {
            // Layout is added between any two characters, but not within added layout.
            let mut parts: Vec<String> = PEM.chars().map(String::from).collect();
            for (place, layout) in breaks {
                let place = place % parts.len();
                parts[place].push_str(layout);
            }
            prop_assert_eq!(public_keys(&parts.concat()), Ok(vec![der_of(PEM)]));
        }

        /// DER begins with its length, and the markers are fixed, so any missing part is an error.
        #[test]
        fn rejects_a_key_with_a_missing_part(from: usize, length: usize) {
            let compact: String = PEM.split_whitespace().collect();
            let from = from % compact.len();
            let length = 1 + length % (compact.len() - from);
            let cut = [&compact[..from], &compact[from + length..]].concat();
            prop_assert!(RsaKey::from_pem(&cut).is_err());
        }

        /// PEM has no checksum. A key with a changed modulus may be valid, but it is another key.
        #[test]
        fn reads_a_changed_key_as_another_key_or_rejects_it(place: usize, by in 1..64_usize) {
            const ALPHABET: &str =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let mut base64 = base64_of(PEM);
            let place = place % base64.trim_end_matches('=').len();
            let was = ALPHABET.find(&base64[place..=place]).unwrap();
            let is = (was + by) % ALPHABET.len();
            base64.replace_range(place..=place, &ALPHABET[is..=is]);
            let text = format!("-----BEGIN PUBLIC KEY-----{base64}-----END PUBLIC KEY-----");
            prop_assert_ne!(public_keys(&text), Ok(vec![der_of(PEM)]));
        }

        #[test]
        fn does_not_panic_on_any_text(
            text in concat!(
                r#"(-----BEGIN PUBLIC KEY-----)?([A-Za-z0-9+/="'\\\\\pZnrt]{0,80}"#,
                "(-----(BEGIN|END) PUBLIC KEY-----)?){0,3}"
            )
        ) {
            if let Ok(keys) = public_keys(&text) {
                prop_assert!(!keys.is_empty());
            }
        }
    }
}
