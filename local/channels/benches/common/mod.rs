//! The sample order in any size, requests with it, and keys.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "no benchmark uses all of it"
)]

use std::time::Duration;

use channels::SalesOrderPlaceAfter;
use serde_json::{Value, json};
use shared::{
    Deadline,
    deliver::message::{Message, Origin},
    event::Event,
    model::Order,
    request::body::{Unverified, Verified},
    verify::{Keys, Scheme, Signatures},
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

/// Returns the message of an event, with the original.
pub(crate) fn message(event: &Event<'_, Order>) -> Message {
    let origin = Origin {
        received_ms: 1_781_814_431_000,
        with_original: true,
    };
    let deadline = Deadline::new(Duration::from_mins(1), 0, 0);
    Message::new::<SalesOrderPlaceAfter>(event, origin, deadline).expect("it fits")
}
