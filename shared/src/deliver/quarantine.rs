//! The message for the quarantine queue: the unchanged body of a verified, but unusable event.

use serde::Serialize;

use super::{
    body::MessageBody,
    message::{Message, group_of, time},
};
use crate::{
    deadline::Deadline,
    event::{delivery_id, identity::body_id},
    model::Violation,
    outcome::Failure,
    verify::KeyName,
};

/// The content type of the messages.
const CONTENT_TYPE: &str = "application/json";

/// An unusable body, with everything that is needed to send it again.
#[derive(Clone, Copy, Debug)]
pub struct Unusable<'a> {
    /// The channel that received it.
    pub channel: &'static str,
    /// The name of the event in Commerce.
    pub method: &'static str,
    /// The body as it was signed.
    pub body: &'a str,
    /// The id of the request.
    pub request_id: &'a str,
    /// When API Gateway received it, in milliseconds since 1970; 0 if unknown.
    pub received_ms: u64,
    /// The key that verified it.
    pub key: Option<&'a KeyName>,
    /// Why it is unusable.
    pub reasons: &'a [Violation],
    /// How many more reasons there are.
    pub more_reasons: usize,
}

#[derive(Serialize)]
struct UnusableFields<'a> {
    channel: &'static str,
    time: String,
    delivery: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    shop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    request_id: &'a str,
    reasons: &'a [Violation],
    more_reasons: usize,
    body: &'a str,
}

impl Unusable<'_> {
    /// Creates the message. Compression stops at the deadline.
    pub fn message(&self, deadline: Deadline) -> Result<Message, Failure> {
        let delivery = delivery_id(self.method, self.body, self.request_id);
        let shop = self.key.and_then(KeyName::shop);
        let shop_name = shop.map(|shop| &*shop.name);
        let id = body_id(self.channel, shop_name, self.body, &delivery).to_string();
        let fields = UnusableFields {
            channel: self.channel,
            time: time(self.received_ms)?,
            delivery: &delivery,
            shop: shop_name.map(str::to_owned),
            key: self.key.map(ToString::to_string),
            request_id: self.request_id,
            reasons: self.reasons,
            more_reasons: self.more_reasons,
            body: self.body,
        };
        let body = MessageBody::write(&fields, self.body.len(), deadline)?;
        Ok(Message {
            content_type: CONTENT_TYPE,
            body: body.text,
            compressed: body.compressed,
            // Each message has a group of its own, so that a consumer can receive all of them.
            group: shop.map_or_else(|| id.clone(), |shop| group_of(shop, &id)),
            deduplication: id,
            issues: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::verify::{SHOP_NAME_CHARS_MAX, tests::sent_by};

    fn message(body: &str) -> Message {
        message_of(body, None)
    }

    fn message_of(body: &str, key: Option<&KeyName>) -> Message {
        let reasons = [Violation {
            pointer: "/order/increment_id".to_owned(),
            detail: "is required",
        }];
        let unusable = Unusable {
            channel: "sales_order_place_after",
            method: "observer.sales_order_place_after",
            body,
            request_id: "gateway-1",
            received_ms: 1_781_814_431_000,
            key,
            reasons: &reasons,
            more_reasons: 2,
        };
        let deadline = Deadline::new(Duration::from_mins(1), 0, 0);
        unusable.message(deadline).unwrap()
    }

    #[test]
    fn a_message_contains_the_unchanged_body_and_everything_to_send_it_again() {
        let body = r#"{ "order":{"name":"Zo\u00eb\/"}}"#;
        let message = message(body);
        let written: Value = serde_json::from_str(&message.body).unwrap();
        let expected = json!({
            "channel": "sales_order_place_after",
            "time": "2026-06-18T20:27:11Z",
            "delivery": "gateway-1",
            "request_id": "gateway-1",
            "reasons": [{ "pointer": "/order/increment_id", "detail": "is required" }],
            "more_reasons": 2,
            "body": body,
        });
        assert_eq!(written, expected);
        assert_eq!(message.group, message.deduplication);
        assert_eq!(
            (message.compressed, message.content_type),
            (false, "application/json")
        );
    }

    #[test]
    fn a_message_of_a_shop_names_it_and_has_ids_of_its_own() {
        let body = r#"{"order":{}}"#;
        let longest = "s".repeat(SHOP_NAME_CHARS_MAX);
        let of = |shop| message_of(body, sent_by(shop, body).verified_by());
        let [unnamed, eu, long] = [None, Some("eu"), Some(longest.as_str())].map(of);
        let written: Value = serde_json::from_str(&eu.body).unwrap();
        assert_eq!(written["shop"], "eu");
        assert_eq!(written["key"], "current/shops/eu/hmac_secrets/0");
        assert_eq!(eu.group, format!("eu/{}", eu.deduplication));
        let written: Value = serde_json::from_str(&unnamed.body).unwrap();
        assert_eq!(written["key"], "current/hmac_secrets/0");
        assert_eq!(written.get("shop"), None);
        assert_eq!(unnamed.group, unnamed.deduplication);
        assert_ne!(eu.deduplication, unnamed.deduplication);
        assert!(long.group.len() <= 128, "SQS allows 128 characters");
    }

    #[test]
    fn the_delivery_is_the_event_id_of_the_envelope_or_else_the_request_id() {
        let delivery = |body: &str| {
            let written: Value = serde_json::from_str(&message(body).body).unwrap();
            written["delivery"].clone()
        };
        assert_eq!(delivery(r#"{"event_id":"e-1","order":{}}"#), "e-1");
        assert_eq!(delivery(r#"{"event_id":7}"#), "7");
        for none in [
            r#"{"event_id":null}"#,
            r#"{"event_id":""}"#,
            r#"{"event_id":[1]}"#,
            "{}",
        ] {
            assert_eq!(delivery(none), "gateway-1", "{none}");
        }
    }

    #[test]
    fn compresses_a_large_body() {
        let body = format!(r#"{{"a":"{}"}}"#, "0123456789".repeat(200_000));
        assert!(message(&body).compressed);
    }
}
