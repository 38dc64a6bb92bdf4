//! Tests of added and listed keys, and of the files with keys.

use std::{env, fs, path::PathBuf, process};

use serde_json::{Map, Value, json};
use shared::verify::KEYS_MAX;

use super::{
    change::{Change, Target, change},
    given::{Entry, Given, SAMPLE_HMAC, SAMPLE_PEM, hmac_secret, public_keys},
    *,
};

const PEM: &str = include_str!("../../../shared/tests/signature/public-key.pem");
const OTHER: &str = include_str!("../../../shared/tests/signature/other-public-key.pem");

fn add(secret: &Value, scheme: Scheme, text: &str) -> Result<Change> {
    add_to(secret, None, scheme, text)
}

fn add_to(secret: &Value, shop: Option<&str>, scheme: Scheme, text: &str) -> Result<Change> {
    let given = match scheme {
        Scheme::Hmac => hmac_secret(text),
        Scheme::Rsa => public_keys(text),
    };
    let target = Target {
        shop,
        ..Target::default()
    };
    change(&secret.to_string(), &target, Given::Keys(scheme, given?))
}

fn add_client(secret: &Value, shop: Option<&str>, client: &str, org: &str) -> Result<Change> {
    let target = Target {
        shop,
        ..Target::default()
    };
    change(&secret.to_string(), &target, Given::client(client, org)?)
}

fn error_of(result: Result<Change>) -> String {
    result.unwrap_err().to_string()
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
            "has fields other than hmac_secrets, public_keys, ims, shops and names that end in _token",
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
        let given = Given::Keys(Scheme::Rsa, public_keys(PEM).unwrap());
        let reason = change(secret, &Target::default(), given).unwrap_err();
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
        list_keys(&secret.to_string(), None).unwrap().keys,
        [
            place("hmac_secrets/1", false),
            place("public_keys/1", false),
            place("public_keys/2", true)
        ]
    );
    for nothing in ["{}", "hush", r#"{"public_keys": []}"#] {
        assert_eq!(list_keys(nothing, None).unwrap().keys, []);
    }
}

/// Reads a file with these bytes.
fn from_file(name: &str, bytes: &[u8], is_pem: bool) -> Result<(Scheme, Vec<Entry>), String> {
    let path: PathBuf = env::temp_dir().join(format!("keys-{}-{name}", process::id()));
    fs::write(&path, bytes).unwrap();
    let scheme = if is_pem { Scheme::Rsa } else { Scheme::Hmac };
    let given = Given::from_file(scheme, &path, false).map_err(|reason| {
        let reason = format!("{reason:#}");
        assert_eq!(reason.lines().count(), 1, "{reason}");
        reason.replace(&path.display().to_string(), "FILE")
    });
    fs::remove_file(path).unwrap();
    given.map(|given| match given {
        Given::Keys(scheme, entries) => (scheme, entries),
        Given::Client { .. } => panic!("a file has no client"),
    })
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
            "sample-of-a-shop",
            include_str!("../../../events/sample-keys/eu-public-key.pem"),
            true,
            "FILE contains the published sample key, with which anybody can sign",
        ),
        (
            "sample-secret-of-a-shop",
            include_str!("../../../events/sample-keys/eu-hmac-secret.txt"),
            false,
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

#[test]
fn adds_keys_of_a_shop_and_leaves_all_others() {
    let secret = json!({ "hmac_secrets": "0123456789abcdef", "stock_token": "hush" });
    let change = add_to(&secret, Some("eu"), Scheme::Rsa, PEM).unwrap();
    assert_eq!(change.added, ["shops/eu/public_keys/0"]);
    let mut expected = secret;
    expected["shops"] = json!({ "eu": { "public_keys": [PEM] } });
    assert_eq!(secret_of(&change), expected);
    let change = add_to(&expected, Some("us"), Scheme::Hmac, "fedcba9876543210").unwrap();
    assert_eq!(change.added, ["shops/us/hmac_secrets/0"]);
    expected["shops"]["us"] = json!({ "hmac_secrets": ["fedcba9876543210"] });
    assert_eq!(secret_of(&change), expected);
    let change = add_to(&expected, Some("eu"), Scheme::Rsa, PEM).unwrap();
    assert_eq!(
        (change.secret, change.known),
        (None, vec!["shops/eu/public_keys/0".to_owned()])
    );
}

#[test]
fn refuses_a_key_of_another_shop_and_names_its_place() {
    let secret = json!({
        "hmac_secrets": ["0123456789abcdef"],
        "shops": {
            "eu": { "public_keys": ["hush", PEM], "ims": { "client_ids": "c", "org_ids": "1@AdobeOrg" } },
            // Already in two places.
            "us": { "hmac_secrets": ["0123456789abcdef"] },
        },
    });
    for (shop, scheme, text, place) in [
        (Some("us"), Scheme::Rsa, PEM, "shops/eu/public_keys/1"),
        (None, Scheme::Rsa, PEM, "shops/eu/public_keys/1"),
        (
            Some("eu"),
            Scheme::Hmac,
            "0123456789abcdef\n",
            "hmac_secrets/0",
        ),
        (
            None,
            Scheme::Hmac,
            "0123456789abcdef",
            "shops/us/hmac_secrets/0",
        ),
    ] {
        assert_eq!(
            error_of(add_to(&secret, shop, scheme, text)),
            format!(
                "the secret contains this key at {place}; a key of two shops counts for neither"
            )
        );
    }
    assert_eq!(
        error_of(add_client(&secret, None, "c", "1@AdobeOrg")),
        "the secret contains this client at shops/eu/ims/client_ids/0; a client of two shops counts for neither"
    );
}

#[test]
fn adds_a_client_with_its_organization() {
    let secret = json!({ "hmac_secrets": ["0123456789abcdef"] });
    let change = add_client(&secret, None, "a", "1@AdobeOrg").unwrap();
    assert_eq!(change.added, ["ims/client_ids/0", "ims/org_ids/0"]);
    let secret = secret_of(&change);
    assert_eq!(
        secret["ims"],
        json!({ "client_ids": ["a"], "org_ids": ["1@AdobeOrg"] })
    );
    let change = add_client(&secret, None, "b", "1@AdobeOrg").unwrap();
    assert_eq!(
        (&*change.added, &*change.known),
        (
            &["ims/client_ids/1".to_owned()][..],
            &["ims/org_ids/0".to_owned()][..]
        )
    );
    let change = add_client(&secret, None, "a", "1@AdobeOrg").unwrap();
    assert!(change.secret.is_none() && change.known.len() == 2);
    let change = add_client(&secret, Some("eu"), "b", "1@AdobeOrg").unwrap();
    assert_eq!(
        change.added,
        ["shops/eu/ims/client_ids/0", "shops/eu/ims/org_ids/0"]
    );

    for (client, org, expected) in [
        (
            "",
            "1@AdobeOrg",
            "the id of the client must be 1 to 256 printable ASCII characters without spaces",
        ),
        (
            "a b",
            "1@AdobeOrg",
            "the id of the client must be 1 to 256 printable ASCII characters without spaces",
        ),
        ("a", "1", "the id of the organization must end in @AdobeOrg"),
        (
            "1@AdobeOrg",
            "2@AdobeOrg",
            "the id of the client ends in @AdobeOrg, as that of an organization",
        ),
    ] {
        assert_eq!(error_of(add_client(&secret, None, client, org)), expected);
    }
    assert_eq!(
        error_of(add_client(
            &json!({ "ims": "hush" }),
            None,
            "a",
            "1@AdobeOrg"
        )),
        "ims must be an object"
    );
}

#[test]
fn sets_the_source_of_a_shop_that_no_other_has() {
    let secret = json!({ "shops": { "us": { "source": "https://us.example" } } });
    let set = |secret: &Value, shop, source| {
        let target = Target {
            shop: Some(shop),
            source: Some(source),
            unnamed_source: Some("https://main.example"),
        };
        let given = Given::client("a", "1@AdobeOrg").unwrap();
        change(&secret.to_string(), &target, given)
    };
    let changed = set(&secret, "eu", "https://eu.example").unwrap();
    assert_eq!(
        changed.added,
        [
            "shops/eu/source",
            "shops/eu/ims/client_ids/0",
            "shops/eu/ims/org_ids/0"
        ]
    );
    let secret = secret_of(&changed);
    assert_eq!(secret["shops"]["eu"]["source"], "https://eu.example");
    let changed = set(&secret, "eu", "https://eu.example").unwrap();
    assert!(changed.secret.is_none() && changed.known.len() == 3);
    let changed = set(&secret, "eu", "https://other.example").unwrap();
    assert_eq!(
        changed.warnings,
        ["shops/eu/source: changes, so consumers take the shop's events for those of another shop"]
    );
    for (source, expected) in [
        (
            "https://us.example",
            "shops/us/source is the same source; two shops with one source cannot be told apart",
        ),
        (
            "https://main.example",
            "the source is that of the shop without a name (EventSource)",
        ),
        (
            "eu",
            "the source must be a URI with a scheme, as https://eu.example, of at most 100 characters",
        ),
    ] {
        assert_eq!(error_of(set(&secret, "eu", source)), expected);
    }
}

#[test]
fn adds_no_shop_beyond_the_maximum_and_to_no_other_form() {
    let many: Map<_, _> = (0..32).map(|one| (format!("s{one}"), json!({}))).collect();
    let secret = json!({ "shops": many });
    assert_eq!(
        error_of(add_to(&secret, Some("eu"), Scheme::Rsa, PEM)),
        "the secret would contain more than 32 shops"
    );
    assert!(add_to(&secret, Some("s1"), Scheme::Rsa, PEM).is_ok());
    for (shops, expected) in [
        (
            json!("hush"),
            "shops must be an object with a member for each shop",
        ),
        (json!({ "eu": "hush" }), "shops/eu must be an object"),
    ] {
        let result = add_to(&json!({ "shops": shops }), Some("eu"), Scheme::Rsa, PEM);
        assert_eq!(error_of(result), expected);
    }
}

#[test]
fn adds_no_key_beyond_the_maximum_of_all_shops() {
    let secrets = |shop| -> Vec<_> {
        (0..KEYS_MAX)
            .map(|number| format!("0123456789abcdef/{shop}/{number}"))
            .collect()
    };
    let mut shops = Map::new();
    for shop in ["a", "b", "c", "d"] {
        shops.insert(shop.to_owned(), json!({ "hmac_secrets": secrets(shop) }));
    }
    let secret = json!({ "shops": shops });
    let reason = error_of(add_to(
        &secret,
        Some("eu"),
        Scheme::Hmac,
        "fedcba9876543210",
    ));
    assert!(
        reason.starts_with("the secret would contain more than 64 hmac_secrets of all shops"),
        "{reason}"
    );
}

#[test]
fn lists_the_keys_and_clients_of_each_shop() {
    let secret = json!({
        "hmac_secrets": ["0123456789abcdef"],
        "ims": { "client_ids": ["a"], "org_ids": ["1@AdobeOrg"] },
        "shops": {
            "eu": { "public_keys": [PEM], "source": "https://eu.example" },
            "us": { "ims": { "client_ids": ["b", "c"], "org_ids": ["1@AdobeOrg", "2@AdobeOrg"] } },
        },
    });
    let listed = list_keys(&secret.to_string(), None).unwrap();
    let places: Vec<_> = listed.keys.iter().map(|key| &*key.place).collect();
    assert_eq!(places, ["hmac_secrets/0", "shops/eu/public_keys/0"]);
    let ims = |shop: Option<&str>, clients: &[&str], orgs: &[&str]| ImsOfShop {
        shop: shop.map(str::to_owned),
        client_ids: clients.iter().map(ToString::to_string).collect(),
        org_ids: orgs.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(
        listed.ims,
        [
            ims(None, &["a"], &["1@AdobeOrg"]),
            ims(Some("us"), &["b", "c"], &["1@AdobeOrg", "2@AdobeOrg"]),
        ]
    );
    let shop = |name: &str, source: &str| NamedShop {
        name: name.to_owned(),
        source: source.to_owned(),
    };
    assert_eq!(
        listed.shops,
        [
            shop("eu", "https://eu.example"),
            shop("us", "urn:commerce-webhooks:shop:us")
        ]
    );
}

#[test]
fn takes_only_names_of_shops() {
    assert_eq!(shop_name("eu-1").unwrap(), "eu-1");
    for wrong in ["", "EU", "-eu", "eu/us", &"e".repeat(33)] {
        assert!(shop_name(wrong).is_err(), "{wrong}");
    }
}
