use super::*;
use crate::{
    environment::ConfigError,
    verify::{KEYS_MAX, Requirement, SignaturePolicy},
};

const PEM: &str = include_str!("../../tests/signature/public-key.pem");

fn read(changes: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let defaults = [
        (
            "QUEUE_URL",
            "https://sqs.eu-west-1.amazonaws.com/1/erp.fifo",
        ),
        ("HOOK_TIMEOUT_MS", "5000"),
        ("RULES_FILE", "rules.json"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hidden"),
        ("WEBHOOK_KEYS", r#"{"hmac_secrets":"0123456789abcdef"}"#),
    ];
    let find = |list: &[(&str, &str)], name: &str| {
        list.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    };
    let variable = |name: &str| find(changes, name).or_else(|| find(&defaults, name));
    let mut environment = Environment::new(&variable);
    let settings = Settings::read(&mut environment);
    let errors = environment.into_errors();
    if errors.is_empty() {
        Ok(settings)
    } else {
        Err(errors.iter().map(ToString::to_string).collect())
    }
}

fn keys(json: &str, schemes: &str) -> Result<String, Vec<String>> {
    read(&[("WEBHOOK_KEYS", json), ("SIGNATURE_SCHEMES", schemes)]).map(|settings| {
        match settings.secret {
            SecretSource::Inline(secret) => format!("{:?}", secret.keys),
            SecretSource::Store(_) => "in a store".to_owned(),
        }
    })
}

#[test]
fn needs_only_the_required_settings() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.hook_timeout, Duration::from_secs(5));
    assert_eq!(settings.queue.budget, Duration::from_millis(4_700));
    assert_eq!((settings.source, settings.forward_original), (None, true));
    assert_eq!(settings.log_level, LevelFilter::INFO);
    assert_eq!(
        (settings.contract, settings.quarantine_url),
        (Contract::Tolerant, None)
    );
    assert_eq!(settings.metrics_namespace, None);
    assert_eq!(
        settings.queue.endpoint,
        "https://sqs.eu-west-1.amazonaws.com"
    );
}

#[test]
fn reads_every_optional_setting() {
    let settings = read(&[
        ("EVENT_SOURCE", "https://shop.example"),
        ("FORWARD_ORIGINAL", "false"),
        ("LOG_LEVEL", "DEBUG"),
        ("CONTRACT", "strict"),
        ("INVALID_EVENTS", "quarantine"),
        (
            "QUARANTINE_QUEUE_URL",
            "https://sqs.example/1/quarantine.fifo",
        ),
        ("METRICS_NAMESPACE", "CommerceWebhooks/my-stack"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
    ])
    .unwrap();
    assert_eq!(
        (settings.source.as_deref(), settings.forward_original),
        (Some("https://shop.example"), false)
    );
    assert_eq!(settings.log_level, LevelFilter::DEBUG);
    assert_eq!(settings.contract, Contract::Strict);
    assert_eq!(
        settings.quarantine_url.as_deref(),
        Some("https://sqs.example/1/quarantine.fifo")
    );
    assert_eq!(
        settings.metrics_namespace.as_deref(),
        Some("CommerceWebhooks/my-stack")
    );
    assert_eq!(settings.queue.endpoint, "http://127.0.0.1:4566");
}

#[test]
fn derives_the_queue_endpoint_from_its_url_unless_a_variable_sets_it() {
    let endpoint = |changes: &[(&str, &str)]| read(changes).unwrap().queue.endpoint;
    let local = ("QUEUE_URL", "http://localhost:4566/000000000000/erp.fifo");
    assert_eq!(endpoint(&[local]), "http://localhost:4566");
    let (general, own) = (
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:2"),
    );
    assert_eq!(endpoint(&[local, general]), "http://127.0.0.1:1");
    assert_eq!(endpoint(&[local, general, own]), "http://127.0.0.1:2");
}

#[test]
fn reports_every_missing_setting_at_once() {
    let mut environment = Environment::new(&|_| None);
    Settings::read(&mut environment);
    let errors = environment.into_errors();
    let variables: Vec<_> = errors.iter().map(ConfigError::variable).collect();
    let expected = [
        "HOOK_TIMEOUT_MS",
        "WEBHOOK_KEYS",
        "QUEUE_URL",
        "RULES_FILE",
        "AWS_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ];
    assert_eq!(variables, expected);
}

#[test]
fn reads_one_key_or_a_list_of_the_selected_schemes() {
    let pem = PEM.replace('\n', "\\r\\n");
    let both = format!(
        r#"{{"hmac_secrets":["0123456789abcdef","fedcba9876543210"],
            "public_keys":["{pem}{pem}","{pem}"]}}"#
    );
    assert_eq!(keys(&both, "").unwrap(), "2 hmac_secrets, 3 public_keys");
    assert_eq!(
        keys(&both, "hmac").unwrap(),
        "2 hmac_secrets, 0 public_keys"
    );
    assert_eq!(keys(&both, "rsa").unwrap(), "0 hmac_secrets, 3 public_keys");
    assert_eq!(
        keys(&format!(r#"{{"public_keys":"{pem}"}}"#), "hmac, rsa").unwrap(),
        "0 hmac_secrets, 1 public_keys"
    );
    assert_eq!(
        keys(
            r#"{"public_keys":[],"hmac_secrets":"0123456789abcdef"}"#,
            ""
        )
        .unwrap(),
        "1 hmac_secrets, 0 public_keys"
    );
}

#[test]
fn reads_every_list_of_requirements() {
    let policy = |words: &str| {
        let store = [("WEBHOOK_KEYS", ""), ("WEBHOOK_KEYS_SECRET", "keys")];
        let settings = read(&[store[0], store[1], ("SIGNATURE_SCHEMES", words)])?;
        let SecretSource::Store(store) = settings.secret else {
            panic!("inline");
        };
        assert_eq!(
            settings.ims.is_some(),
            store.policy.reads_tokens(),
            "{words}"
        );
        Ok::<_, Vec<String>>(store.policy)
    };
    let [hmac, rsa, token, hmac_and_token, rsa_and_token] =
        Requirement::WORDS.map(|(_, requirement)| requirement);
    for (words, expected) in [
        ("", vec![hmac, rsa]),
        ("ims", vec![token]),
        ("hmac+ims", vec![hmac_and_token]),
        (" rsa , ims ", vec![rsa, token]),
        ("hmac,rsa+ims", vec![hmac, rsa_and_token]),
        (
            "hmac,rsa,ims,hmac+ims,rsa+ims",
            Requirement::WORDS
                .map(|(_, requirement)| requirement)
                .to_vec(),
        ),
    ] {
        let expected = if words.is_empty() {
            SignaturePolicy::every_signature()
        } else {
            SignaturePolicy::Require(expected)
        };
        assert_eq!(policy(words), Ok(expected), "{words}");
    }
    assert_eq!(
        policy("accept-unsigned"),
        Ok(SignaturePolicy::AcceptUnsigned)
    );
    for words in [
        "IMS",
        "ims+hmac",
        "hmac + ims",
        "hmac+rsa",
        "ims,",
        "ims;rsa",
        "ims,accept-unsigned",
    ] {
        assert_eq!(
            policy(words).unwrap_err(),
            [
                "SIGNATURE_SCHEMES: must be a list of hmac, rsa, ims, hmac+ims, rsa+ims, separated by \
              commas; or accept-unsigned alone, to accept events without a signature"
            ],
            "{words}"
        );
    }
}

#[test]
fn reads_where_the_keys_of_ims_are() {
    let ims = |changes: &[(&str, &str)]| {
        let changes = [
            changes,
            &[
                ("WEBHOOK_KEYS", ""),
                ("WEBHOOK_KEYS_SECRET", "keys"),
                ("SIGNATURE_SCHEMES", "hmac,ims"),
            ],
        ]
        .concat();
        let ims = read(&changes)?.ims.unwrap();
        Ok::<_, Vec<String>>((ims.keys_url.to_string(), ims.refresh.as_secs()))
    };
    let default = "https://ims-na1.adobelogin.com/ims/keys".to_owned();
    assert_eq!(ims(&[]), Ok((default.clone(), 3600)));
    for (text, seconds) in [("1", 1), ("86400", 86400)] {
        assert_eq!(
            ims(&[("IMS_KEYS_REFRESH_SECONDS", text)]),
            Ok((default.clone(), seconds))
        );
    }
    for url in [
        "https://ims-na1-stg1.adobelogin.com/ims/keys",
        "http://localhost:1/keys",
        "http://127.0.0.1:1/keys",
        "http://[::1]:1/keys",
    ] {
        assert_eq!(ims(&[("IMS_KEYS_URL", url)]), Ok((url.to_owned(), 3600)));
    }
    for (name, value) in [
        ("IMS_KEYS_URL", "http://ims.example/keys"),
        ("IMS_KEYS_URL", "http://127.0.0.1.example/keys"),
        ("IMS_KEYS_URL", "http://localhost@ims.example/keys"),
        ("IMS_KEYS_URL", "https://hush@ims.example/keys"),
        ("IMS_KEYS_URL", "ftp://ims.example/keys"),
        ("IMS_KEYS_URL", "ims.example/keys"),
        ("IMS_KEYS_URL", "/ims/keys"),
        ("IMS_KEYS_REFRESH_SECONDS", "0"),
        ("IMS_KEYS_REFRESH_SECONDS", "86401"),
        ("IMS_KEYS_REFRESH_SECONDS", "1 h"),
    ] {
        let errors = ims(&[(name, value)]).unwrap_err();
        assert!(
            errors.len() == 1 && errors[0].starts_with(name),
            "{value}: {errors:?}"
        );
        assert!(!errors[0].contains("hush"));
    }
    assert!(read(&[]).unwrap().ims.is_none(), "IMS is never asked");
}

#[test]
fn the_source_of_the_unnamed_shop_is_never_that_of_a_named_one() {
    let source = |source: &str| read(&[("EVENT_SOURCE", source)]).map(|settings| settings.source);
    assert_eq!(
        source("urn:commerce-webhooks:shop:eu").unwrap_err(),
        ["EVENT_SOURCE: must not begin with urn:commerce-webhooks:shop:"]
    );
    assert!(source("urn:commerce-webhooks:eu").is_ok());
    let shop = r#"{"shops":{"eu":{"hmac_secrets":"0123456789abcdef","source":"a:1"}}}"#;
    assert_eq!(
        read(&[("EVENT_SOURCE", "a:1"), ("WEBHOOK_KEYS", shop)]).unwrap_err(),
        [
            "WEBHOOK_KEYS: shops/eu/source: another shop has the same; the source is \
          urn:commerce-webhooks:shop:eu"
        ]
    );
    assert!(read(&[("EVENT_SOURCE", "a:2"), ("WEBHOOK_KEYS", shop)]).is_ok());
}

#[test]
fn reads_the_secret_inline_or_from_the_store_but_not_both() {
    let store = [
        ("WEBHOOK_KEYS", ""),
        ("WEBHOOK_KEYS_SECRET", "arn:aws:secretsmanager:…"),
    ];
    let SecretSource::Store(settings) = read(&store).unwrap().secret else {
        panic!("inline");
    };
    assert_eq!(settings.id, "arn:aws:secretsmanager:…");
    assert_eq!(settings.endpoint, None);
    assert_eq!(
        (settings.refresh, settings.previous),
        (Duration::from_mins(5), Duration::from_hours(24))
    );
    let both = [("WEBHOOK_KEYS_SECRET", "keys")];
    assert_eq!(
        read(&both).unwrap_err(),
        ["WEBHOOK_KEYS: set either WEBHOOK_KEYS or WEBHOOK_KEYS_SECRET, not both"]
    );
    for (name, value) in [
        ("KEYS_REFRESH_SECONDS", "0"),
        ("KEYS_REFRESH_SECONDS", "5 min"),
        ("KEYS_PREVIOUS_SECONDS", "-1"),
        ("KEYS_PREVIOUS_SECONDS", "31536001"),
        ("KEYS_PREVIOUS_SECONDS", "nan"),
        ("KEYS_PREVIOUS_SECONDS", "-0.1"),
    ] {
        let errors = read(&[store[0], store[1], (name, value)]).unwrap_err();
        assert!(
            errors.len() == 1 && errors[0].starts_with(name),
            "{errors:?}"
        );
    }
}

#[test]
fn reads_a_number_in_every_form_of_cloudformation() {
    let timeout = |text| read(&[("HOOK_TIMEOUT_MS", text)]).unwrap().hook_timeout;
    for (text, milliseconds) in [
        ("1000.5", 1_000.5),
        ("1e3", 1_000.0),
        ("1E3", 1_000.0),
        ("+5000", 5_000.0),
        (" 5000 ", 5_000.0),
        ("05000", 5_000.0),
        ("5000.", 5_000.0),
        ("600", 600.0),
        ("600.0", 600.0),
        ("30000", 30_000.0),
    ] {
        assert_eq!(
            timeout(text),
            Duration::from_secs_f64(milliseconds / 1_000.0),
            "{text}"
        );
    }
    let store = |name, text| {
        let settings = read(&[
            ("WEBHOOK_KEYS", ""),
            ("WEBHOOK_KEYS_SECRET", "keys"),
            (name, text),
        ]);
        let SecretSource::Store(settings) = settings.unwrap().secret else {
            panic!("inline");
        };
        (settings.refresh, settings.previous)
    };
    let second = Duration::from_secs(1);
    assert_eq!(store("KEYS_REFRESH_SECONDS", "1.5").0, second * 3 / 2);
    assert_eq!(store("KEYS_REFRESH_SECONDS", "8.64e4").0, second * 86_400);
    for zero in ["0", "0.0", "-0", "0e5"] {
        assert!(store("KEYS_PREVIOUS_SECONDS", zero).1.is_zero(), "{zero}");
    }
}

#[test]
fn accepts_unsigned_events_only_with_the_explicit_value() {
    assert_eq!(
        keys("{}", "accept-unsigned").unwrap(),
        "unsigned bodies accepted"
    );
    for schemes in [
        "none",
        "unsigned",
        "hmac,accept-unsigned",
        "accept-unsigned,rsa",
        "HMAC",
    ] {
        assert!(
            keys(r#"{"hmac_secrets":"0123456789abcdef"}"#, schemes).is_err(),
            "{schemes}"
        );
    }
}

#[test]
fn does_not_quote_a_secret_in_an_error() {
    let cases = [
        ("{}", "has no key"),
        (
            r#"{"hmac_secrets":"hush"}"#,
            "hmac_secrets/0: the secret is shorter than 16 bytes",
        ),
        (
            r#"{"hmac_secrets":["0123456789abcdef",""]}"#,
            "hmac_secrets/1: the secret is empty or white space",
        ),
        (
            r#"{"hmac_secrets":["-----BEGIN PUBLIC KEY----- hush"]}"#,
            "hmac_secrets/0: the secret is a PEM text",
        ),
        (
            r#"{"public_keys":["-----BEGIN PRIVATE KEY----- hush"]}"#,
            "public_keys/0: is a private key",
        ),
        (
            r#"{"public_keys":"hush"}"#,
            "public_keys/0: has no readable PEM block",
        ),
        (
            r#"{"hmac_secrets":"0123456789abcdef","hush":"hush"}"#,
            "has fields other than",
        ),
        ("hush", "must be JSON"),
        (r#"{"hmac_secrets":{"hush":1}}"#, "must be a string"),
        (
            r#"{"hmac_secrets":"0123456789abcdef","stock_token":12345}"#,
            "stock_token: must be a string",
        ),
        (
            "{\"hmac_secrets\":\"0123456789abcdef\",\"stock_token\":\"hush\\n\"}",
            "stock_token: must be one line of ASCII",
        ),
        (
            r#"{"hmac_secrets":"0123456789abcdef","stock_token":" "}"#,
            "stock_token: is empty",
        ),
    ];
    for (json, reason) in cases {
        let errors = keys(json, "").unwrap_err();
        assert!(
            errors.len() == 1
                && errors[0].starts_with("WEBHOOK_KEYS: ")
                && errors[0].contains(reason),
            "{errors:?}"
        );
        assert!(!errors[0].contains("hush"), "{errors:?}");
    }
    let many = format!(
        r#"{{"hmac_secrets":[{}]}}"#,
        vec![r#""0123456789abcdef""#; KEYS_MAX + 1].join(",")
    );
    assert_eq!(
        keys(&many, "").unwrap_err(),
        ["WEBHOOK_KEYS: hmac_secrets: more than 16"]
    );
    assert!(!format!("{:?}", read(&[]).unwrap()).contains("hidden"));
}

#[test]
fn rejects_an_invalid_value() {
    for (name, value) in [
        ("QUEUE_URL", "erp.fifo"),
        ("QUEUE_URL", "ftp://sqs.example/1/erp.fifo"),
        ("QUEUE_URL", "https:///1/erp.fifo"),
        ("EVENT_SOURCE", "my shop"),
        ("EVENT_SOURCE", "https://caf\u{e9}.example"),
        ("HOOK_TIMEOUT_MS", "0"),
        ("HOOK_TIMEOUT_MS", "5s"),
        ("HOOK_TIMEOUT_MS", "599.9"),
        ("HOOK_TIMEOUT_MS", "30000.1"),
        ("HOOK_TIMEOUT_MS", "30001"),
        ("HOOK_TIMEOUT_MS", "-5000"),
        ("HOOK_TIMEOUT_MS", "1e300"),
        ("HOOK_TIMEOUT_MS", "inf"),
        ("HOOK_TIMEOUT_MS", "NaN"),
        ("HOOK_TIMEOUT_MS", "0x1388"),
        ("HOOK_TIMEOUT_MS", "5_000"),
        ("LOG_LEVEL", "loud"),
        ("FORWARD_ORIGINAL", "1"),
        ("METRICS_NAMESPACE", "Commerce Webhooks"),
        ("METRICS_NAMESPACE", "Caf\u{e9}"),
        ("METRICS_NAMESPACE", "a\"b"),
        ("METRICS_NAMESPACE", ":CommerceWebhooks"),
        ("METRICS_NAMESPACE", "AWS/Lambda"),
        ("METRICS_NAMESPACE", &"n".repeat(256)),
    ] {
        let errors = read(&[(name, value)]).unwrap_err();
        assert!(
            errors.len() == 1 && errors[0].starts_with(name),
            "{errors:?}"
        );
    }
}
