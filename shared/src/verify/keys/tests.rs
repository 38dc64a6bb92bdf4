//! Checks every combination of requirements, keys, signatures and tokens against a second, simple
//! implementation.

use crate::verify::{
    Credentials, KeyName, Keys, Requirement, Scheme, SecretVersion, SignatureError,
    SignaturePolicy, Signatures,
    ims::{TokenError, VerifiedToken},
    secret::Secret,
};
use serde_json::json;

const BODY: &[u8] = include_bytes!("../../../tests/signature/body.json");
const RSA_SIGNATURE: &str =
    include_str!("../../../tests/signature/x-adobe-commerce-webhook-signature.txt");
const PEM: &str = include_str!("../../../tests/signature/public-key.pem");

/// The shops, the first of which has no name.
const SHOPS: [&str; 3] = ["", "eu", "us"];

/// A signature or a token: the shop whose key verifies it, or why none does.
type Claim<E> = Result<&'static str, E>;

/// A token, and what it claims.
type TokenCase = (
    Option<Result<VerifiedToken<'static>, TokenError>>,
    Option<Claim<TokenError>>,
);

/// Returns the HMAC secret of a shop.
fn secret_of(shop: &str) -> String {
    format!("0123456789abcdef-{shop}")
}

/// Returns the keys of all shops. Only `rsa_shop` has an RSA key, that of [`RSA_SIGNATURE`].
fn keys(requirements: &[Requirement], has_hmac: bool, rsa_shop: Option<&str>) -> Keys {
    let section = |shop: &str| {
        let pem = (rsa_shop == Some(shop)).then_some(PEM);
        json!({
            "hmac_secrets": has_hmac.then(|| secret_of(shop)),
            "public_keys": pem,
            "ims": { "client_ids": [format!("client-{shop}")], "org_ids": [format!("org-{shop}")] },
        })
    };
    let mut json = section("");
    json["shops"] = json!({ "eu": section("eu"), "us": section("us") });
    let policy = SignaturePolicy::Require(requirements.to_vec());
    let (secret, errors) = Secret::read(&json.to_string(), &policy, None, SecretVersion::Current);
    assert_eq!(errors, [""; 0]);
    secret.keys
}

fn shop_name(name: &KeyName) -> &str {
    name.shop().map_or("", |shop| &shop.name)
}

/// Returns what the check of a request must return: the shop and the list of the key, or the error.
fn expected(
    requirements: &[Requirement],
    signatures: &[(Scheme, Claim<SignatureError>)],
    token: Option<Claim<TokenError>>,
) -> Result<(&'static str, &'static str), SignatureError> {
    let signature = |scheme| {
        let mut found = signatures.iter().filter(|(other, _)| *other == scheme);
        found.next().and_then(|(_, claim)| claim.ok())
    };
    let client = token.and_then(Result::ok);
    // In the order in which they are preferred.
    let [hmac, rsa, alone, hmac_and_token, rsa_and_token] =
        Requirement::WORDS.map(|(_, requirement)| requirement);
    for requirement in [hmac, rsa, hmac_and_token, rsa_and_token, alone] {
        let met = match requirement {
            Requirement::Signature(scheme) => signature(scheme),
            Requirement::Token => client,
            Requirement::SignatureAndToken(scheme) => {
                signature(scheme).filter(|shop| client == Some(shop))
            }
        };
        if let (Some(shop), true) = (met, requirements.contains(&requirement)) {
            let list = requirement
                .scheme()
                .map_or("ims/client_ids", Scheme::secret_field);
            return Ok((shop, list));
        }
    }
    let mut reasons = vec![SignatureError::Missing];
    for (scheme, claim) in signatures {
        let alone = requirements.contains(&Requirement::Signature(*scheme));
        let with_token = requirements.contains(&Requirement::SignatureAndToken(*scheme));
        reasons.push(match (claim, token) {
            _ if !alone && !with_token => SignatureError::NoKey,
            (Err(reason), _) => *reason,
            (Ok(_), None) => SignatureError::Token(TokenError::Missing),
            (Ok(_), Some(Err(reason))) => SignatureError::Token(reason),
            (Ok(_), Some(Ok(_))) => SignatureError::ShopsDiffer,
        });
    }
    if requirements.contains(&Requirement::Token)
        && let Some(Err(reason)) = token
    {
        // Nobody knows yet whether the token is valid.
        if reason == TokenError::KeysUnavailable {
            return Err(SignatureError::Token(reason));
        }
        reasons.push(SignatureError::Token(reason));
    }
    let rank = |reason: &SignatureError| match reason {
        SignatureError::Missing => 0,
        SignatureError::NoKey => 1,
        SignatureError::Token(_) => 2,
        SignatureError::ShopsDiffer => 3,
        SignatureError::Mismatch => 4,
    };
    Err(reasons.into_iter().max_by_key(rank).unwrap())
}

/// Returns the tokens to try, with the error of the check before the client, or the token itself.
fn tokens() -> Vec<TokenCase> {
    let token = |client: &str, org_id| {
        Some(Ok(VerifiedToken {
            client_id: format!("client-{client}"),
            org_id,
        }))
    };
    let mut tokens = vec![
        (None, None),
        (token("", Some("org-")), Some(Ok(""))),
        (token("eu", Some("org-eu")), Some(Ok("eu"))),
        (token("us", Some("org-us")), Some(Ok("us"))),
        (
            token("eu", Some("org-us")),
            Some(Err(TokenError::Organization)),
        ),
        (token("eu", Some("")), Some(Err(TokenError::Organization))),
        (token("eu", None), Some(Err(TokenError::Organization))),
        (
            token("other", Some("org-eu")),
            Some(Err(TokenError::Client)),
        ),
    ];
    for error in [
        TokenError::Malformed,
        TokenError::Expired,
        TokenError::KeysUnavailable,
    ] {
        tokens.push((Some(Err(error)), Some(Err(error))));
    }
    tokens
}

/// Returns the values of the HMAC header to try, with the shop whose key verifies each.
fn hmac_signatures() -> Vec<(Option<String>, Option<Claim<SignatureError>>)> {
    let sign = |secret: &str| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        Some(hex::encode(ring::hmac::sign(&key, BODY)))
    };
    let mut signatures = vec![
        (None, None),
        (sign("of nobody"), Some(Err(SignatureError::Mismatch))),
    ];
    signatures.extend(SHOPS.map(|shop| (sign(&secret_of(shop)), Some(Ok(shop)))));
    signatures
}

/// Checks every signature and token with these keys.
fn check_all(requirements: &[Requirement], has_hmac: bool, rsa_shop: Option<&'static str>) {
    let keys = keys(requirements, has_hmac, rsa_shop);
    let no_key = Err(SignatureError::NoKey);
    let rsa_signatures = [
        (None, None),
        (
            Some("d3Jvbmc="),
            Some(rsa_shop.map_or(no_key, |_| Err(SignatureError::Mismatch))),
        ),
        (
            Some(RSA_SIGNATURE),
            Some(rsa_shop.ok_or(SignatureError::NoKey)),
        ),
    ];
    let tokens = tokens();
    for (hmac, hmac_claim) in hmac_signatures() {
        let hmac_claim = hmac_claim.map(|claim| if has_hmac { claim } else { no_key });
        for (rsa, rsa_claim) in &rsa_signatures {
            let claims: Vec<_> = [(Scheme::Hmac, hmac_claim), (Scheme::Rsa, *rsa_claim)]
                .into_iter()
                .filter_map(|(scheme, claim)| Some((scheme, claim?)))
                .collect();
            for (token, token_claim) in &tokens {
                let credentials = Credentials {
                    signatures: Signatures::from_fn(|scheme| match scheme {
                        Scheme::Hmac => hmac.as_deref(),
                        Scheme::Rsa => *rsa,
                    }),
                    token: token
                        .as_ref()
                        .map(|token| token.as_ref().map_err(|error| *error)),
                };
                let checked = keys.check(BODY, credentials).map(Option::unwrap);
                let expected = expected(requirements, &claims, *token_claim);
                let context = || format!("{requirements:?} {claims:?} {token_claim:?}");
                match (checked, expected) {
                    (Ok(name), Ok((shop, list))) => {
                        assert_eq!(shop_name(&name), shop, "{}", context());
                        let at = if shop.is_empty() {
                            String::new()
                        } else {
                            format!("shops/{shop}/")
                        };
                        assert_eq!(
                            name.to_string(),
                            format!("current/{at}{list}/0"),
                            "{}",
                            context()
                        );
                    }
                    (checked, expected) => {
                        assert_eq!(
                            checked.map(|name| name.to_string()).err(),
                            expected.err(),
                            "{}",
                            context()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn accepts_what_meets_a_requirement_and_tells_why_nothing_else_counts() {
    for chosen in 1_usize..1 << Requirement::WORDS.len() {
        let requirements: Vec<_> = Requirement::WORDS
            .map(|(_, requirement)| requirement)
            .into_iter()
            .enumerate()
            .filter_map(|(index, requirement)| (chosen >> index & 1 == 1).then_some(requirement))
            .collect();
        check_all(&requirements, true, Some(SHOPS[chosen % 3]));
        // Without the keys of one scheme.
        let has_hmac = chosen % 2 == 0;
        check_all(&requirements, has_hmac, (!has_hmac).then_some("us"));
    }
}

#[test]
fn is_empty_if_no_requirement_can_be_met() {
    let is_empty = |requirement, hmac: bool, ims: bool| {
        let json = json!({ "shops": { "eu": {
            "hmac_secrets": hmac.then(|| secret_of("eu")),
            "ims": ims.then(|| json!({ "client_ids": "c", "org_ids": "o" })),
        } } });
        let policy = SignaturePolicy::Require(vec![requirement]);
        let read = Secret::read(&json.to_string(), &policy, None, SecretVersion::Current);
        read.0.keys.is_empty()
    };
    let [hmac, rsa, token, hmac_and_token, rsa_and_token] =
        Requirement::WORDS.map(|(_, requirement)| requirement);
    for (requirement, expected) in [
        // Without any key, with each kind alone, and with both.
        (hmac, [true, true, false, false]),
        (rsa, [true; 4]),
        (token, [true, false, true, false]),
        (hmac_and_token, [true, true, true, false]),
        (rsa_and_token, [true; 4]),
    ] {
        let found = [(false, false), (false, true), (true, false), (true, true)]
            .map(|(hmac, ims)| is_empty(requirement, hmac, ims));
        assert_eq!(found, expected, "{requirement:?}");
    }
}
