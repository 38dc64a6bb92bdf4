//! Tests of a whole function, from the payload to the response.

use serde_json::{Value, json};

use super::*;
use crate::verify::SignatureError;
use crate::{
    channel::Refusal,
    environment::Environment,
    model::{Order, QuoteItem},
    operation::Operation,
    request::body::BODY_BYTES_MAX,
};

/// Refuses, changes, or never decides, depending on the SKU.
struct Cart;

impl Channel for Cart {
    const NAME: &str = "checkout_cart_product_add_after";
    const METHOD: &str = "observer.checkout_cart_product_add_after";
    const IDENTITY: &[&[&str]] = &[&["sku"]];
    const EXPECTED: &[&str] = &["qty"];
    type Entity = QuoteItem;

    async fn decide(&self, item: &QuoteItem, _: DecisionContext<'_>) -> Verdict {
        let decision = match item.sku.as_ref().map(|sku| sku.0.as_str()) {
            Some("sold out") => {
                let message = Some("Product is not in stock".to_owned());
                Decision::Refuse(Refusal {
                    message,
                    class: None,
                })
            }
            Some("slow") => std::future::pending().await,
            _ => Decision::Accept(vec![Operation::Remove {
                path: "data/quote_item/x".into(),
            }]),
        };
        Verdict {
            decision,
            finding: None,
        }
    }
}

/// Settings with a queue whose port is closed.
fn settings() -> Settings {
    let variable = |name: &str| {
        let value = match name {
            "RULES_FILE" => "rules.json",
            "QUEUE_URL" => "http://127.0.0.1:9/000000000000/crm.fifo",
            "AWS_ENDPOINT_URL" => "http://127.0.0.1:9",
            "AWS_REGION" => "eu-west-1",
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => "test",
            "HOOK_TIMEOUT_MS" => "1000",
            "SIGNATURE_SCHEMES" => "accept-unsigned",
            _ => return None,
        };
        Some(value.to_owned())
    };
    Settings::read(&mut Environment::new(&variable))
}

async fn invoke<C: Channel>(channel: C, event: Value) -> (i64, String, Value) {
    let payload = serde_json::from_str(&event.to_string()).unwrap();
    let mut context = Context::default();
    context.deadline = u64::MAX;
    let response = Function::new(
        channel,
        Rules::default(),
        settings(),
        Connections::new().unwrap(),
    )
    .answer(LambdaEvent::new(payload, context))
    .await
    .unwrap();
    let Some(Body::Text(body)) = response.body else {
        panic!("the answer has no body");
    };
    (
        response.status_code,
        response.headers["content-type"]
            .to_str()
            .unwrap()
            .to_owned(),
        serde_json::from_str(&body).unwrap(),
    )
}

fn request(body: &Value) -> Value {
    json!({
        "headers": { "content-type": "application/json" },
        "requestContext": { "requestId": "gateway-1", "timeEpoch": 0 },
        "body": body.to_string(),
    })
}

#[tokio::test]
async fn answers_a_refusal_with_an_exception_and_status_200() {
    let (status, kind, body) = invoke(
        Cart,
        request(&json!({ "quote_item": { "sku": "sold out" } })),
    )
    .await;
    assert_eq!((status, kind.as_str()), (200, "application/json"));
    assert_eq!(
        body,
        json!({ "op": "exception", "message": "Product is not in stock" })
    );
}

#[tokio::test]
async fn answers_503_if_the_queue_is_unreachable() {
    let (status, kind, body) =
        invoke(Cart, request(&json!({ "quote_item": { "sku": "CAP" } }))).await;
    assert_eq!((status, kind.as_str()), (503, "application/problem+json"));
    assert_eq!(
        body,
        json!({
            "type": "urn:commerce-webhooks:queue_unreachable",
            "title": "Queue unavailable",
            "status": 503,
            "detail": "The event could not be queued.",
            "request_id": "gateway-1",
        })
    );
}

#[tokio::test]
async fn answers_504_if_the_channel_is_too_slow() {
    let started = Instant::now();
    let (status, _, body) =
        invoke(Cart, request(&json!({ "quote_item": { "sku": "slow" } }))).await;
    assert_eq!(
        (status, &body["type"]),
        (504, &json!("urn:commerce-webhooks:out_of_time"))
    );
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "later than the hook's own timeout"
    );
}

#[tokio::test]
async fn lists_the_violations_in_the_problem() {
    let (status, _, body) = invoke(
        Cart,
        request(&json!({ "data": { "quote_item": { "qty": "x", "sku": [7] } } })),
    )
    .await;
    assert_eq!(status, 422);
    assert_eq!(
        body["errors"],
        json!([
            { "pointer": "/data/quote_item/sku", "detail": "must be a string" },
        ])
    );
}

#[tokio::test]
async fn answers_401_to_a_check_even_if_unsigned_events_are_accepted() {
    let mut check = request(&json!({ "quote_item": { "sku": "CAP" } }));
    check["headers"]["x-webhook-check"] = json!("1");
    let (status, kind, body) = invoke(Cart, check).await;
    assert_eq!((status, kind.as_str()), (401, "application/problem+json"));
    let unsigned = Failure::Untrusted(SignatureError::Missing).problem("gateway-1");
    assert_eq!(body, serde_json::from_str::<Value>(&unsigned).unwrap());
}

#[tokio::test]
async fn answers_400_to_a_payload_that_is_not_a_request() {
    for event in [json!({}), json!(null), json!([1]), json!({ "Records": [] })] {
        let (status, _, body) = invoke(Cart, event).await;
        assert_eq!(
            (status, &body["type"]),
            (400, &json!("urn:commerce-webhooks:not_a_request"))
        );
    }
}

struct Placed;

impl Channel for Placed {
    const NAME: &str = "sales_order_place_after";
    const METHOD: &str = "observer.sales_order_place_after";
    const IDENTITY: &[&[&str]] = &[&["increment_id"]];
    const EXPECTED: &[&str] = &[];
    type Entity = Order;
}

#[tokio::test]
async fn answers_413_to_a_body_above_the_limit() {
    let large = json!({ "order": { "increment_id": "1", "a": "x".repeat(BODY_BYTES_MAX) } });
    assert_eq!(invoke(Placed, request(&large)).await.0, 413);
}
