//! A request of API Gateway, as Lambda passes it to a function. Its path selects the channel.
#![no_main]
#![expect(clippy::indexing_slicing, reason = "a failed check panics")]

use std::sync::LazyLock;

use channels::for_each_channel;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use shared::{
    outcome::Failure,
    request::{
        self,
        body::{BODY_BYTES_MAX, Unverified},
        gateway_id,
        headers::{traceparent, tracestate},
        received_ms,
    },
    verify::{Keys, Scheme, Signatures},
};
use shared_fuzz::{event, keys};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Route {
    raw_path: String,
}

fuzz_target!(|input: &[u8]| {
    static KNOWN: LazyLock<Keys> = LazyLock::new(|| keys::known(&Scheme::ALL));
    let Some(request) = request::read(input) else {
        return;
    };
    if let Some(traceparent) = traceparent(request.headers()) {
        let plain = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
        assert!(traceparent.len() == 55 && traceparent.bytes().all(plain));
    }
    if let Some(tracestate) = tracestate(request.headers()) {
        let printable = |byte: u8| matches!(byte, b' '..=b'~' | b'\t');
        assert!(!tracestate.is_empty() && tracestate.len() <= 512);
        assert!(tracestate.bytes().all(printable));
    }
    let signatures = Signatures::of(request.headers());
    let verify = |keys| {
        let verified = Unverified::of(&request)?.verify(keys, signatures);
        verified.map_err(Failure::from)
    };
    let body = match verify(&Keys::AcceptUnsigned) {
        Ok(body) => body,
        Err(failure) => {
            assert!(matches!(
                failure,
                Failure::NotARequest | Failure::NotApplicationJson | Failure::TooLarge
            ));
            return;
        }
    };
    assert!(body.bytes().len() <= BODY_BYTES_MAX);
    let signed = keys::signed(body.bytes(), signatures, &Scheme::ALL);
    match verify(&KNOWN) {
        Ok(verified) => assert!(signed && verified.bytes() == body.bytes()),
        Err(failure) => assert!(!signed && failure.status() == 401),
    }

    let route: Result<Route, _> = serde_json::from_slice(input);
    let path = route.map(|route| route.raw_path).unwrap_or_default();
    let routed = channels::NAMES.iter().position(|name| path.ends_with(name));
    let check = for_each_channel!(event::check);
    check[routed.unwrap_or_default()](
        &body,
        gateway_id(&request).unwrap_or_default(),
        received_ms(&request),
    );
});
