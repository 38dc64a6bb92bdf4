//! Tests of added and listed keys, and of the files with keys.

use std::{env, process};

use serde_json::json;

use super::*;

const PEM: &str = include_str!("../../../shared/tests/signature/public-key.pem");
const OTHER: &str = include_str!("../../../shared/tests/signature/other-public-key.pem");

fn add(secret: &Value, scheme: Scheme, text: &str) -> Result<Change> {
    let given = match scheme {
        Scheme::Hmac => hmac_secret(text),
        Scheme::Rsa => public_keys(text),
    };
    add_keys(&secret.to_string(), scheme, given?)
}

fn secret_of(change: &Change) -> Value {
    serde_json::from_str(change.secret.as_ref().unwrap()).unwrap()
}

#[test]
fn adds_every_key_of_a_text_in_canonical_form() {
    let given = format!("{} {}", OTHER.replace('\n', "\\n"), PEM.replace('\n', " "));
    let change = add(&json!({ "stock_token": "hush" }), Scheme::Rsa, &given).unwrap();
    assert_eq!(change.added, ["public_keys/0", "public_keys/1"]);
    let expected = json!({ "stock_token": "hush", "public_keys": [OTHER, PEM] });
    assert_eq!(secret_of(&change), expected);
    assert!(change.known.is_empty() && change.warnings.is_empty());
}

#[test]
fn adds_no_duplicate_in_another_layout() {
    let secret =
        json!({ "public_keys": PEM.replace('\n', "\r\n"), "hmac_secrets": ["0123456789abcdef\n"] });
    let change = add(&secret, Scheme::Rsa, &PEM.replace('\n', "\\n")).unwrap();
    assert_eq!(
        (change.secret, change.known),
        (None, vec!["public_keys/0".to_owned()])
    );
    let change = add(&secret, Scheme::Hmac, "0123456789abcdef").unwrap();
    assert_eq!(
        (change.secret, change.known),
        (None, vec!["hmac_secrets/0".to_owned()])
    );

    let change = add(&secret, Scheme::Rsa, &[PEM, OTHER, PEM, OTHER].concat()).unwrap();
    assert_eq!(
        (&change.added[..], &change.known[..]),
        (
            &["public_keys/1".to_owned()][..],
            &["public_keys/0".to_owned()][..]
        )
    );
    assert_eq!(
        secret_of(&change)["public_keys"],
        json!([PEM.replace('\n', "\r\n"), OTHER])
    );
}

#[test]
fn adds_a_secret_without_the_line_break_of_its_file() {
    let change = add(
        &json!({ "hmac_secrets": null }),
        Scheme::Hmac,
        "fedcba9876543210\r\n",
    )
    .unwrap();
    assert_eq!(
        secret_of(&change),
        json!({ "hmac_secrets": ["fedcba9876543210"] })
    );
}

#[test]
fn keeps_unusable_entries_and_warns_without_quoting_them() {
    let entries = json!(["hush", 7, SAMPLE_PEM.replace('\n', " ")]);
    let secret = json!({ "hmac_secrets": ["hush"], "public_keys": entries, "hush": "hush" });
    let change = add(&secret, Scheme::Rsa, PEM).unwrap();
    let mut expected = secret.clone();
    expected["public_keys"]
        .as_array_mut()
        .unwrap()
        .push(json!(PEM));
    assert_eq!(secret_of(&change), expected);
    assert_eq!(change.added, ["public_keys/3"]);
    assert_eq!(
        change.warnings,
        [
            "hmac_secrets/0: the secret is shorter than 16 bytes",
            "public_keys/0: has no readable PEM block \"PUBLIC KEY\"",
            "public_keys/1: must be a string",
            "has fields other than hmac_secrets, public_keys and names that end in _token",
            "public_keys/2: is the published sample key, with which anybody can sign; remove it",
        ]
    );
}

#[test]
fn adds_no_key_beyond_the_maximum() {
    let many: Vec<_> = (0..KEYS_MAX)
        .map(|number| format!("0123456789abcdef/{number}"))
        .collect();
    let reason = add(
        &json!({ "hmac_secrets": many }),
        Scheme::Hmac,
        "fedcba9876543210",
    )
    .unwrap_err();
    assert_eq!(
        reason.to_string(),
        "the secret would contain more than 16 hmac_secrets, and a function uses the first 16 only; remove some first"
    );
    // Unusable entries do not count.
    let mut some = vec!["hush"; 3];
    some.extend(many.iter().skip(1).map(String::as_str));
    let change = add(
        &json!({ "hmac_secrets": some }),
        Scheme::Hmac,
        "fedcba9876543210",
    )
    .unwrap();
    assert_eq!(change.added, ["hmac_secrets/18"]);
}

#[test]
fn rejects_a_secret_that_is_not_an_object_without_quoting_it() {
    for secret in ["hush", "[]", "\"hush\"", "", "{\"hush\":"] {
        let reason = add_keys(secret, Scheme::Rsa, public_keys(PEM).unwrap()).unwrap_err();
        let reason = reason.to_string();
        assert!(
            reason.starts_with("the secret is not a JSON object"),
            "{reason}"
        );
        assert!(!reason.contains("hush"), "{reason}");
    }
}

#[test]
fn lists_the_places_of_usable_keys() {
    let secret = json!({ "hmac_secrets": ["hush", "0123456789abcdef"], "public_keys": [7, PEM, SAMPLE_PEM] });
    let place = |place: &str, published| Place {
        place: place.to_owned(),
        published,
    };
    assert_eq!(
        list_keys(&secret.to_string()).unwrap().keys,
        [
            place("hmac_secrets/1", false),
            place("public_keys/1", false),
            place("public_keys/2", true)
        ]
    );
    for nothing in ["{}", "hush", r#"{"public_keys": []}"#] {
        assert_eq!(list_keys(nothing).unwrap().keys, []);
    }
}

/// Reads a file with these bytes.
fn from_file(name: &str, bytes: &[u8], is_pem: bool) -> Result<(Scheme, Vec<Entry>), String> {
    let path = env::temp_dir().join(format!("keys-{}-{name}", process::id()));
    fs::write(&path, bytes).unwrap();
    let arguments = KeysCommand {
        task: Task {
            pem: is_pem.then(|| path.clone()),
            hmac: (!is_pem).then(|| path.clone()),
            list: false,
        },
        allow_published: false,
    };
    let given = arguments.given().map_err(|reason| {
        let reason = format!("{reason:#}");
        assert_eq!(reason.lines().count(), 1, "{reason}");
        reason.replace(&path.display().to_string(), "FILE")
    });
    fs::remove_file(path).unwrap();
    given
}

#[test]
fn reads_utf_8_and_utf_16() {
    let utf_16 = |from: fn(u16) -> [u8; 2]| -> Vec<u8> {
        let text = format!("\u{feff}{PEM}");
        text.encode_utf16().flat_map(from).collect()
    };
    for (name, bytes) in [
        ("utf-8", PEM.as_bytes().to_vec()),
        ("bom", format!("\u{feff}{PEM}").into_bytes()),
        ("utf-16-le", utf_16(u16::to_le_bytes)),
        ("utf-16-be", utf_16(u16::to_be_bytes)),
    ] {
        let (_, entries) = from_file(name, &bytes, true).unwrap();
        assert_eq!(entries[0].1, PEM, "{name}");
    }
    let (_, entries) =
        from_file("secret", "\u{feff}0123456789abcdef\r\n".as_bytes(), false).unwrap();
    assert_eq!(entries[0].1, "0123456789abcdef");
}

#[test]
fn reports_an_unusable_file_in_one_line() {
    let small = include_str!("../../../shared/tests/signature/1024-public-key.pem");
    let private = include_str!("../../../events/sample-keys/private-key.pem");
    for (name, text, is_pem, expected) in [
        (
            "text",
            "hush",
            true,
            "FILE: has no readable PEM block \"PUBLIC KEY\"",
        ),
        (
            "small",
            small,
            true,
            "FILE: the RSA key must have 2048 to 8192 bits",
        ),
        (
            "ec",
            include_str!("../../../shared/tests/signature/ec-public-key.pem"),
            true,
            "FILE: the PEM block is not an RSA public key",
        ),
        (
            "private",
            private,
            true,
            "FILE: is a private key; only the shop may hold it",
        ),
        (
            "sample",
            SAMPLE_PEM,
            true,
            "FILE contains the published sample key, with which anybody can sign",
        ),
        (
            "sample-secret",
            SAMPLE_HMAC,
            false,
            "FILE contains the published sample key, with which anybody can sign",
        ),
        (
            "short",
            "hush\n",
            false,
            "FILE: the secret is shorter than 16 bytes",
        ),
        (
            "blank",
            " \n \n",
            false,
            "FILE: the secret is empty or white space",
        ),
        (
            "pem",
            PEM,
            false,
            "FILE: the secret is a PEM text; public keys belong under public_keys",
        ),
    ] {
        assert_eq!(
            from_file(name, text.as_bytes(), is_pem).err().as_deref(),
            Some(expected)
        );
    }
    let latin_1 = from_file("latin-1", b"caf\xe9, and a good deal longer", false);
    assert_eq!(
        latin_1.err().as_deref(),
        Some("FILE is not a text file in UTF-8")
    );
}
