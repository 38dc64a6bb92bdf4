use serde_json::json;

use super::*;
use crate::verify::{KEYS_MAX, Requirement};

const PEM: &str = include_str!("../../../tests/signature/public-key.pem");

fn read(json: &str, policy: &SignaturePolicy) -> (String, Vec<String>) {
    let (secret, errors) = Secret::read(json, policy, None, SecretVersion::Current);
    (format!("{:?}", secret.keys), errors)
}

#[test]
fn keeps_the_usable_keys_if_another_one_is_unusable() {
    let pem = PEM.replace('\n', "\\n");
    let json = format!(
        r#"{{"hmac_secrets":["hush","0123456789abcdef"],
            "public_keys":["hush","{pem}"],"stock_token":"hush\n"}}"#
    );
    let (keys, errors) = read(&json, &SignaturePolicy::every_signature());
    assert_eq!(keys, "1 hmac_secrets, 1 public_keys");
    assert_eq!(
        errors,
        [
            "stock_token: must be one line of ASCII",
            "hmac_secrets/0: the secret is shorter than 16 bytes",
            "public_keys/0: has no readable PEM block \"PUBLIC KEY\"",
        ]
    );
    assert_eq!(
        read("hush", &SignaturePolicy::every_signature()).0,
        "0 hmac_secrets, 0 public_keys"
    );
    assert_eq!(
        read("hush", &SignaturePolicy::AcceptUnsigned).0,
        "unsigned bodies accepted"
    );
}

#[test]
fn keeps_only_the_first_of_too_many_keys() {
    let many: Vec<_> = (0..20)
        .map(|number| format!("\"0123456789abcdef/{number}\""))
        .collect();
    let json = format!(r#"{{"hmac_secrets":[{}]}}"#, many.join(","));
    let expected = vec!["hmac_secrets: more than 16".to_owned()];
    assert_eq!(
        read(&json, &SignaturePolicy::every_signature()),
        ("16 hmac_secrets, 0 public_keys".to_owned(), expected)
    );
}

#[test]
fn reads_a_token_under_any_policy_and_never_shows_it() {
    for policy in [
        SignaturePolicy::every_signature(),
        SignaturePolicy::AcceptUnsigned,
    ] {
        let json = r#"{"stock_token":"hush-hush"}"#;
        let (secret, errors) = Secret::read(json, &policy, None, SecretVersion::Inline);
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(
            secret.tokens.get("stock_token").unwrap().expose(),
            "hush-hush"
        );
        assert!(!format!("{secret:?}").contains("hush"), "{secret:?}");
    }
}

#[test]
fn names_a_key_by_its_position_and_reports_every_error() {
    let json = r#"{"comment":1,"public_keys":null,"stock_token":12345,
        "hmac_secrets":[7,"short","0123456789abcdef"]}"#;
    let (secret, errors) = Secret::read(
        json,
        &SignaturePolicy::every_signature(),
        None,
        SecretVersion::Current,
    );
    let keys = secret.keys.signature_keys();
    let names: Vec<_> = keys.iter().map(|key| key.name.to_string()).collect();
    assert_eq!(names, ["current/hmac_secrets/2"]);
    assert_eq!(
        errors,
        [
            "stock_token: must be a string",
            "hmac_secrets/0: must be a string",
            "hmac_secrets/1: the secret is shorter than 16 bytes",
            "has fields other than hmac_secrets, public_keys, ims, shops and names that end in \
             _token",
        ]
    );
    for json in ["[]", "7", "", "{\"hmac_secrets\":"] {
        let (_, errors) = read(json, &SignaturePolicy::every_signature());
        assert!(errors[0].starts_with("must be JSON"), "{json}");
    }
}

#[test]
fn does_not_show_a_name_that_may_be_a_secret() {
    for name in [
        "5f4dcc3b5aa765d6_token",
        "Hush_token",
        "hush hush_token",
        "\u{e9}_token",
    ] {
        let json = serde_json::json!({ name: 7 }).to_string();
        let (_, errors) = read(&json, &SignaturePolicy::every_signature());
        assert_eq!(errors, ["a token: must be a string"], "{name}");
    }
    let long = format!("{}_token", "a".repeat(64));
    let json = serde_json::json!({ long: 7 }).to_string();
    let (secret, errors) = Secret::read(
        &json,
        &SignaturePolicy::every_signature(),
        None,
        SecretVersion::Current,
    );
    assert_eq!(errors, ["a token: must be a string"]);
    assert_eq!(format!("{:?}", secret.tokens), "0 tokens");
}

const FIRST: &str = "0123456789abcdef-1";
const SECOND: &str = "0123456789abcdef-2";

/// A secret of the unnamed shop and two named ones, with keys of every kind.
fn of_shops() -> Value {
    json!({
        "hmac_secrets": ["0123456789abcdef-0"],
        "ims": { "client_ids": ["client-0"], "org_ids": ["0@AdobeOrg"] },
        "stock_token": "hush-hush",
        "shops": {
            "eu": {
                "hmac_secrets": ["short", FIRST],
                "public_keys": PEM,
                "source": "https://eu.example",
            },
            "us": {
                "hmac_secrets": SECOND,
                "ims": { "client_ids": ["client-1", "client-2"], "org_ids": "1@AdobeOrg" },
                "source": null,
            },
        },
    })
}

fn read_json(json: &Value) -> (Keys, Vec<String>) {
    let policy = SignaturePolicy::every_scheme();
    let (secret, errors) = Secret::read(&json.to_string(), &policy, None, SecretVersion::Current);
    (secret.keys, errors)
}

/// Returns each key with its shop and the source of the shop.
fn named(keys: &Keys) -> Vec<String> {
    let signatures = keys.signature_keys().iter().map(|key| &key.name);
    let clients = keys.ims_clients().iter().map(|client| &client.name);
    let line = |name: &KeyName| match name.shop() {
        Some(shop) => format!("{name} {} {}", shop.name, shop.source),
        None => name.to_string(),
    };
    signatures.chain(clients).map(line).collect()
}

/// Returns the sources of the shops that have a key, by name.
fn sources(keys: &Keys) -> Vec<String> {
    let shops = keys
        .signature_keys()
        .iter()
        .filter_map(|key| key.name.shop());
    shops
        .map(|shop| format!("{} {}", shop.name, shop.source))
        .collect()
}

#[test]
fn names_the_keys_of_each_shop() {
    let (keys, errors) = read_json(&of_shops());
    let us = "us urn:commerce-webhooks:shop:us";
    assert_eq!(
        named(&keys),
        [
            "current/hmac_secrets/0".to_owned(),
            "current/shops/eu/hmac_secrets/1 eu https://eu.example".to_owned(),
            "current/shops/eu/public_keys/0 eu https://eu.example".to_owned(),
            format!("current/shops/us/hmac_secrets/0 {us}"),
            "current/ims/client_ids/0".to_owned(),
            format!("current/shops/us/ims/client_ids/0 {us}"),
            format!("current/shops/us/ims/client_ids/1 {us}"),
        ]
    );
    assert_eq!(
        errors,
        ["shops/eu/hmac_secrets/0: the secret is shorter than 16 bytes"]
    );
}

#[test]
fn reads_only_what_the_policy_needs() {
    let with = |words: &[Requirement]| {
        let policy = SignaturePolicy::Require(words.to_vec());
        let json = of_shops().to_string();
        let (secret, errors) = Secret::read(&json, &policy, None, SecretVersion::Current);
        (format!("{:?}", secret.keys), errors.len())
    };
    let [hmac, rsa, token, hmac_and_token, _] =
        Requirement::WORDS.map(|(_, requirement)| requirement);
    let shown = |text: &str, errors| (text.to_owned(), errors);
    assert_eq!(with(&[hmac]), shown("3 hmac_secrets, 0 public_keys", 1));
    assert_eq!(with(&[rsa]), shown("0 hmac_secrets, 1 public_keys", 0));
    let clients = "0 hmac_secrets, 0 public_keys, 3 IMS clients";
    assert_eq!(with(&[token]), shown(clients, 0));
    let both = "3 hmac_secrets, 0 public_keys, 3 IMS clients";
    assert_eq!(with(&[hmac_and_token]), shown(both, 1));
}

#[test]
fn reports_every_error_of_shops_and_clients_without_a_value() {
    let shape = "must be a URI with a scheme, of at most 100 characters";
    let id = "must be 1 to 256 printable ASCII characters without spaces";
    let both = r#"ims: must have both lists, as in {"client_ids":["…"],"org_ids":["…@AdobeOrg"]}"#;
    let object =
        r#"ims: must have both lists, as in {"client_ids":["…"],"org_ids":["…@AdobeOrg"]}"#;
    let fields = "has fields other than hmac_secrets, public_keys, ims, source";
    let long = "a".repeat(257);
    let shop = |section: Value| json!({ "shops": { "eu": section } });
    for (json, expected) in [
        (json!({ "shops": null }), vec![]),
        (json!({ "shops": {} }), vec![]),
        (shop(json!({})), vec![]),
        (
            json!({ "shops": ["hush"] }),
            vec!["shops: must be an object with a member for each shop".to_owned()],
        ),
        (
            shop(json!("hush")),
            vec!["shops/eu: must be an object".to_owned()],
        ),
        (
            shop(json!(null)),
            vec!["shops/eu: must be an object".to_owned()],
        ),
        (
            shop(json!({ "stock_token": "hush" })),
            vec![format!("shops/eu: {fields}")],
        ),
        (
            shop(json!({ "shops": {} })),
            vec![format!("shops/eu: {fields}")],
        ),
        (
            json!({ "source": "https://hush.example" }),
            vec![
            "has fields other than hmac_secrets, public_keys, ims, shops and names that end in \
             _token".to_owned()
        ],
        ),
        (
            shop(json!({ "public_keys": [7, "hush"] })),
            vec![
                "shops/eu/public_keys/0: must be a string".to_owned(),
                "shops/eu/public_keys/1: has no readable PEM block \"PUBLIC KEY\"".to_owned(),
            ],
        ),
        (json!({ "ims": "hush" }), vec![object.to_owned()]),
        (json!({ "ims": {} }), vec![both.to_owned()]),
        (
            shop(json!({ "ims": [] })),
            vec![format!("shops/eu/{object}")],
        ),
        (
            shop(json!({ "ims": { "client_ids": "hush" } })),
            vec![format!("shops/eu/{both}")],
        ),
        (
            shop(json!({ "ims": { "client_ids": [], "org_ids": ["o"] } })),
            vec![format!("shops/eu/{both}")],
        ),
        (
            json!({ "ims": { "client_ids": ["hush hush", "", 7, long, "c"], "org_ids": ["hush\n", "o"] } }),
            vec![
                format!("ims/org_ids/0: {id}"),
                format!("ims/client_ids/0: {id}"),
                format!("ims/client_ids/1: {id}"),
                format!("ims/client_ids/2: {id}"),
                format!("ims/client_ids/3: {id}"),
            ],
        ),
        (
            json!({ "ims": { "client_ids": "c", "org_ids": "o", "hush": 1 } }),
            vec!["ims: has fields other than client_ids and org_ids".to_owned()],
        ),
        (
            shop(json!({ "source": 7 })),
            vec![format!("shops/eu/source: {shape}")],
        ),
    ] {
        assert_eq!(read_json(&json).1, expected, "{json}");
    }
}

#[test]
fn checks_the_name_of_each_shop() {
    let name =
        "shops: a name is not 1 to 32 of a-z, 0-9, - and _, beginning with a letter or digit";
    for text in [
        "",
        "EU",
        "-eu",
        "_eu",
        "e u",
        "eu/1",
        "e\u{fc}",
        &"e".repeat(33),
        "hush\n",
    ] {
        assert_eq!(
            read_json(&json!({ "shops": { text: {} } })).1,
            [name],
            "{text}"
        );
    }
    for text in ["e", "0", "e-_9", &"e".repeat(32)] {
        assert_eq!(
            read_json(&json!({ "shops": { text: {} } })).1,
            [""; 0],
            "{text}"
        );
    }
}

#[test]
fn a_source_of_a_shop_is_a_uri_with_a_scheme() {
    let accepts = |source: &str| {
        let json = json!({ "shops": { "eu": { "hmac_secrets": FIRST, "source": source } } });
        let (keys, errors) = read_json(&json);
        let expected = if errors.is_empty() {
            source
        } else {
            "urn:commerce-webhooks:shop:eu"
        };
        assert_eq!(sources(&keys), [format!("eu {expected}")]);
        errors.is_empty()
    };
    let longest = format!("https://{}", "e".repeat(92));
    for source in ["https://eu.example/a?b#c", "urn:x", "a+b-c.1:x", &longest] {
        assert!(accepts(source), "{source}");
    }
    let too_long = format!("{longest}e");
    for source in [
        "",
        "eu",
        "/adobe-commerce/eu",
        "//eu.example",
        ":x",
        "x:",
        "1a:x",
        "a b:x",
        "a:b c",
        "a:\u{fc}",
        "a:\n",
        "a:<x>",
        &too_long,
        "urn:commerce-webhooks:shop:us",
        "urn:commerce-webhooks:shop:eu",
    ] {
        assert!(!accepts(source), "{source}");
    }
}

#[test]
fn a_source_that_two_shops_have_counts_for_none() {
    let read = |eu: &str, us: &str, unnamed: Option<&str>| {
        let json = json!({ "shops": {
            "eu": { "hmac_secrets": FIRST, "source": eu },
            "us": { "hmac_secrets": SECOND, "source": us },
        } });
        let policy = SignaturePolicy::every_scheme();
        let (secret, errors) =
            Secret::read(&json.to_string(), &policy, unnamed, SecretVersion::Current);
        (sources(&secret.keys), errors)
    };
    let error = |shop: &str| {
        format!(
            "shops/{shop}/source: another shop has the same; the source is \
             urn:commerce-webhooks:shop:{shop}"
        )
    };
    let of = |eu: &str, us: &str| vec![format!("eu {eu}"), format!("us {us}")];
    let (eu, us) = (
        "urn:commerce-webhooks:shop:eu",
        "urn:commerce-webhooks:shop:us",
    );
    assert_eq!(read("a:1", "a:2", None), (of("a:1", "a:2"), vec![]));
    assert_eq!(read("a:1", "a:2", Some("a:3")), (of("a:1", "a:2"), vec![]));
    assert_eq!(
        read("a:1", "a:1", None),
        (of(eu, us), vec![error("eu"), error("us")])
    );
    assert_eq!(
        read("a:1", "a:2", Some("a:2")),
        (of("a:1", us), vec![error("us")])
    );
}

#[test]
fn a_key_of_two_shops_counts_for_none() {
    let ims =
        |id: &str, org: &str| json!({ "client_ids": [id, format!("{id}-{org}")], "org_ids": org });
    let (keys, errors) = read_json(&json!({
        "hmac_secrets": [FIRST, "0123456789abcdef-0", "0123456789abcdef-0"],
        "public_keys": PEM,
        "ims": ims("client", "0"),
        "shops": {
            // The line break is not a part of the secret.
            "eu": { "hmac_secrets": [format!("{FIRST}\n")], "ims": ims("client", "1") },
            "us": { "hmac_secrets": [SECOND], "public_keys": PEM.trim_end() },
        },
    }));
    let us = "us urn:commerce-webhooks:shop:us";
    assert_eq!(
        named(&keys),
        [
            "current/hmac_secrets/1".to_owned(),
            "current/hmac_secrets/2".to_owned(),
            format!("current/shops/us/hmac_secrets/0 {us}"),
            "current/ims/client_ids/1".to_owned(),
            "current/shops/eu/ims/client_ids/1 eu urn:commerce-webhooks:shop:eu".to_owned(),
        ]
    );
    let same = |one: &str, other: &str| {
        format!("{one}: is the same as {other}, so it counts for neither shop")
    };
    assert_eq!(
        errors,
        [
            same("hmac_secrets/0", "shops/eu/hmac_secrets/0"),
            same("public_keys/0", "shops/us/public_keys/0"),
            same("shops/eu/hmac_secrets/0", "hmac_secrets/0"),
            same("shops/us/public_keys/0", "public_keys/0"),
            same("ims/client_ids/0", "shops/eu/ims/client_ids/0"),
            same("shops/eu/ims/client_ids/0", "ims/client_ids/0"),
        ]
    );
}

#[test]
fn has_limits_for_shops_and_for_the_keys_of_one_and_of_all() {
    let secrets = |shop: usize, count: usize| -> Vec<String> {
        (0..count)
            .map(|key| format!("0123456789abcdef-{shop}-{key}"))
            .collect()
    };
    let shops = |count: usize, keys: usize| -> Value {
        let section = |shop| {
            let ids: Vec<_> = secrets(shop, keys);
            json!({ "hmac_secrets": ids, "ims": { "client_ids": ids, "org_ids": "o" } })
        };
        let shops = (0..count).map(|shop| (format!("{shop:02}"), section(shop)));
        json!({ "shops": shops.collect::<Map<_, _>>() })
    };
    let read = |json: &Value| {
        let (keys, errors) = read_json(json);
        let counts = (keys.signature_keys().len(), keys.ims_clients().len());
        (counts, errors)
    };
    let texts = |texts: &[&str]| {
        texts
            .iter()
            .map(|&text| text.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(read(&shops(SHOPS_MAX, 2)), ((64, 64), vec![]));
    assert_eq!(read(&shops(4, KEYS_MAX)), ((64, 64), vec![]));
    assert_eq!(
        read(&shops(SHOPS_MAX + 1, 1)),
        ((32, 32), texts(&["shops: more than 32"]))
    );
    assert_eq!(
        read(&shops(1, KEYS_MAX + 1)),
        (
            (16, 16),
            texts(&[
                "shops/00/hmac_secrets: more than 16",
                "shops/00/ims/client_ids: more than 16",
            ])
        )
    );
    let mut json = shops(4, KEYS_MAX);
    json["hmac_secrets"] = json!(SECOND);
    json["public_keys"] = json!(PEM);
    let (keys, errors) = read_json(&json);
    assert_eq!(
        format!("{keys:?}"),
        "64 hmac_secrets, 1 public_keys, 64 IMS clients"
    );
    assert_eq!(
        errors,
        ["shops/03/hmac_secrets: more than 64 with those of other shops"]
    );
    let last = keys.signature_keys().last().unwrap().name.to_string();
    assert_eq!(last, "current/shops/03/hmac_secrets/14");
}

/// Returns the keys of a version together with those of the version before it.
fn merged(current: &Value, previous: &Value, unnamed: Option<&str>) -> Vec<String> {
    let policy = SignaturePolicy::every_scheme();
    let read = |json: &Value, version| {
        Secret::read(&json.to_string(), &policy, unnamed, version)
            .0
            .keys
    };
    let mut keys = read(current, SecretVersion::Current);
    keys.add(&read(previous, SecretVersion::Previous));
    named(&keys)
}

#[test]
fn keys_of_the_previous_version_belong_to_the_shops_of_the_current_one() {
    let shops = |shops: Value| json!({ "shops": shops });
    let eu = |key: &str| json!({ "hmac_secrets": key, "source": "a:eu" });
    let before = shops(json!({ "eu": eu(FIRST) }));
    // A replaced key.
    let expected = [
        "current/shops/eu/hmac_secrets/0 eu a:eu",
        "previous/shops/eu/hmac_secrets/0 eu a:eu",
    ];
    assert_eq!(
        merged(&shops(json!({ "eu": eu(SECOND) })), &before, None),
        expected
    );
    // A new source counts for the old key, too.
    let renewed = shops(json!({ "eu": { "hmac_secrets": SECOND, "source": "a:new" } }));
    let expected = [
        "current/shops/eu/hmac_secrets/0 eu a:new",
        "previous/shops/eu/hmac_secrets/0 eu a:new",
    ];
    assert_eq!(merged(&renewed, &before, None), expected);
    // A renamed shop, and a key that moved to another shop, or from or to the top.
    let expected = ["current/shops/europe/hmac_secrets/0 europe a:eu"];
    assert_eq!(
        merged(&shops(json!({ "europe": eu(FIRST) })), &before, None),
        expected
    );
    let top = json!({ "hmac_secrets": FIRST });
    assert_eq!(merged(&top, &before, None), ["current/hmac_secrets/0"]);
    assert_eq!(
        merged(&before, &top, None),
        ["current/shops/eu/hmac_secrets/0 eu a:eu"]
    );
    // A removed shop keeps its source, unless another shop has it now.
    let removed = json!({ "hmac_secrets": SECOND });
    let expected = [
        "current/hmac_secrets/0",
        "previous/shops/eu/hmac_secrets/0 eu a:eu",
    ];
    assert_eq!(merged(&removed, &before, None), expected);
    let default = "previous/shops/eu/hmac_secrets/0 eu urn:commerce-webhooks:shop:eu";
    let taken = shops(json!({ "us": eu(SECOND) }));
    assert_eq!(
        merged(&taken, &before, None),
        ["current/shops/us/hmac_secrets/0 us a:eu", default]
    );
    // Both versions are read with the configured source of today.
    assert_eq!(
        merged(&removed, &before, Some("a:eu")),
        ["current/hmac_secrets/0", default]
    );
}

#[test]
fn the_previous_version_does_not_bring_back_an_ambiguous_key() {
    let ims = json!({ "client_ids": "client", "org_ids": "o" });
    let shop = json!({ "hmac_secrets": FIRST, "public_keys": PEM, "ims": ims });
    let both = json!({ "shops": { "eu": shop, "us": shop } });
    let only_eu = json!({ "shops": { "eu": shop } });
    assert_eq!(merged(&both, &only_eu, None), [""; 0]);
    assert_eq!(merged(&both, &shop, None), [""; 0]);
    assert_eq!(merged(&json!({}), &both, None), [""; 0]);
    // A key that is not ambiguous any more counts.
    let eu = "eu urn:commerce-webhooks:shop:eu";
    assert_eq!(
        merged(&only_eu, &both, None),
        ["hmac_secrets", "public_keys", "ims/client_ids"]
            .map(|list| format!("current/shops/eu/{list}/0 {eu}"))
    );
}

#[test]
fn a_client_has_the_organizations_of_the_current_version() {
    let ims = |org: &str| json!({ "ims": { "client_ids": "client", "org_ids": org } });
    let policy = SignaturePolicy::every_scheme();
    let read = |org: &str| {
        Secret::read(&ims(org).to_string(), &policy, None, SecretVersion::Current)
            .0
            .keys
    };
    let mut keys = read("new");
    keys.add(&read("old"));
    let orgs: Vec<_> = keys
        .ims_clients()
        .iter()
        .map(|client| client.key.org_ids())
        .collect();
    assert_eq!(orgs, [["new"]]);
}

#[test]
fn a_key_beyond_the_limit_of_one_shop_is_no_key_of_another_shop() {
    let secrets: Vec<_> = (0..=KEYS_MAX)
        .map(|key| format!("0123456789abcdef-{key}"))
        .collect();
    let secret = json!({ "shops": {
        "eu": { "hmac_secrets": secrets },
        "us": { "hmac_secrets": secrets.last() },
    } });
    let names = merged(&secret, &json!({}), None);
    assert_eq!(names.len(), KEYS_MAX, "{names:?}");
    assert!(names.iter().all(|name| name.contains("shops/eu/")));
}
