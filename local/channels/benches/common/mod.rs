//! The sample order in any size, requests with it, and keys.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "no benchmark uses all of it"
)]

use std::time::Duration;

use channels::SalesOrderPlaceAfter;
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use ring::{
    rand::SystemRandom,
    rsa::{KeyPair, PublicKeyComponents},
    signature::RSA_PKCS1_SHA256,
};
use serde_json::{Value, json};
use shared::{
    Deadline,
    deliver::message::{Message, Origin},
    event::Event,
    model::Order,
    request::body::{Unverified, Verified},
    verify::{Keys, Scheme, Signatures, ims::ImsKeys},
};

/// The sizes of an order in bytes: about the smallest that a shop sends, a typical one, and two
/// that show whether the cost grows faster than the size.
pub(crate) const SIZES: [usize; 4] = [5_000, 10_000, 200_000, 2_000_000];

/// A shared secret.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A shop's public key, and a signature of another body. Rejecting a signature costs the same as
/// accepting one, and needs no private key.
const PUBLIC_KEY: &str = include_str!("../../../../shared/tests/signature/public-key.pem");
pub(crate) const RSA_SIGNATURE: &str =
    include_str!("../../../../shared/tests/signature/x-adobe-commerce-webhook-signature.txt");

/// Returns the sample order with exactly this number of bytes: as many distinct items as fit, and a
/// note that fills the rest.
pub(crate) fn order(bytes: usize) -> String {
    let text = include_str!("../../../../events/sales_order_place_after/default.body.json");
    let mut body: Value = serde_json::from_str(text).expect("the sample is JSON");
    let sample = body["data"]["order"]["items"][0].take();
    let item = |index: usize| {
        let mut item = sample.clone();
        item["sku"] = json!(format!("SKU-{index:06}"));
        item["product_id"] = json!(index.to_string());
        item["price"] = json!(f64::from(u32::try_from(index).expect("few")) + 0.99);
        item
    };
    body["data"]["order"]["items"] = json!([item(1)]);
    body["data"]["order"]["customer_note"] = json!("");
    // No other item is longer.
    let longest = item(999_999).to_string().len() + 1;
    let room = bytes - body.to_string().len();
    let items: Vec<_> = (1..=1 + room / longest).map(item).collect();
    body["data"]["order"]["items"] = json!(items);
    let left = bytes - body.to_string().len();
    body["data"]["order"]["customer_note"] = json!("x".repeat(left));
    body.to_string()
}

/// Returns the request of API Gateway for a body and its signatures.
pub(crate) fn request(body: &str, signatures: Signatures<'_>) -> String {
    let text = include_str!("../../../../events/sales_order_place_after/default.request.json");
    let mut request: Value = serde_json::from_str(text).expect("the sample is JSON");
    for scheme in Scheme::ALL {
        request["headers"][scheme.header()] = json!(signatures.get(scheme));
    }
    // API Gateway leaves out an absent header.
    let headers = request["headers"].as_object_mut();
    headers
        .expect("headers")
        .retain(|_, value| !value.is_null());
    request["body"] = json!(body);
    request["isBase64Encoded"] = json!(false);
    request.to_string()
}

/// Returns the body without a check of its signature.
pub(crate) fn verified(body: &str) -> Verified<'_> {
    let body = Unverified::new(body.as_bytes()).expect("small enough");
    let verified = body.verify(&Keys::AcceptUnsigned, Signatures::default());
    verified.expect("no signature is checked")
}

/// Returns keys with a shared secret only.
pub(crate) fn hmac_keys() -> Keys {
    Keys::inline(Scheme::Hmac.read_keys(SECRET).expect("long enough"))
}

/// Returns keys with a public key only.
pub(crate) fn rsa_keys() -> Keys {
    Keys::inline(Scheme::Rsa.read_keys(PUBLIC_KEY).expect("a valid key"))
}

/// Returns the HMAC signature of a body in base64.
pub(crate) fn hmac(body: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    base64_simd::STANDARD.encode_to_string(ring::hmac::sign(&key, body.as_bytes()))
}

/// Returns the headers of a request with an access token that is valid in 1970, and the keys of
/// IMS.
pub(crate) fn access_token() -> (HeaderMap, ImsKeys) {
    let pem = include_str!("../../../../events/sample-keys/private-key.pem");
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64_simd::STANDARD.decode_to_vec(base64).expect("base64");
    let key_pair = KeyPair::from_pkcs8(&der).expect("a private key");
    let base64url = |bytes: &[u8]| base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes);

    let PublicKeyComponents { n, e }: PublicKeyComponents<Vec<u8>> = key_pair.public().into();
    let jwk = json!({"kty": "RSA", "kid": "ims", "n": base64url(&n), "e": base64url(&e)});
    let keys = ImsKeys::parse(json!({"keys": [jwk]}).to_string().as_bytes());

    let header = json!({"alg": "RS256", "kid": "ims", "x5u": "ims.cer", "typ": "JWT"});
    let claims = json!({
        "client_id": "commerce-sample-client", "type": "access_token", "as": "ims-na1",
        "user_id": "0123456789ABCDEF01234567@techacct.adobe.com",
        "scope": "AdobeID,openid,adobeio_api", "created_at": "0", "expires_in": "86400000",
    });
    let [header, claims] = [header, claims].map(|part| base64url(part.to_string().as_bytes()));
    let signed = format!("{header}.{claims}");
    let mut signature = vec![0; key_pair.public().modulus_len()];
    let random = SystemRandom::new();
    key_pair
        .sign(
            &RSA_PKCS1_SHA256,
            &random,
            signed.as_bytes(),
            &mut signature,
        )
        .expect("a key can sign");
    let value = format!("Bearer {signed}.{}", base64url(&signature));
    let value = HeaderValue::from_str(&value).expect("visible ASCII");
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    (headers, keys.expect("a JWK Set"))
}

/// Returns the message of an event, with the original.
pub(crate) fn message(event: &Event<'_, Order>) -> Message {
    let origin = Origin {
        received_ms: 1_781_814_431_000,
        with_original: true,
    };
    let deadline = Deadline::new(Duration::from_mins(1), 0, 0);
    Message::new::<SalesOrderPlaceAfter>(event, origin, deadline).expect("it fits")
}
