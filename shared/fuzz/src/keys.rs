//! The sample keys with the secret and the private key, to decide independently which signatures
//! are valid.

use std::sync::LazyLock;

use ring::{
    hmac,
    rand::SystemRandom,
    rsa::{KeyPair, PublicKeyComponents},
    signature::RSA_PKCS1_SHA256,
};
use shared::verify::{Keys, Scheme, Signatures};

const SECRET: &str = include_str!("../../../events/sample-keys/hmac-secret.txt");
const PUBLIC_KEY: &str = include_str!("../../../events/sample-keys/public-key.pem");
const PRIVATE_KEY: &str = include_str!("../../../events/sample-keys/private-key.pem");

/// A secret and a public key that sign nothing, such as old keys of a shop.
const OTHER_SECRET: &str = "a secret that signs nothing";
const OTHER_PUBLIC_KEY: &str = include_str!("../../tests/signature/other-public-key.pem");

/// Returns the sample keys of these schemes as a function knows them.
pub fn known(schemes: &[Scheme]) -> Keys {
    let entries = schemes.iter().flat_map(|scheme| {
        let entries = match scheme {
            Scheme::Hmac => [OTHER_SECRET, SECRET.trim()],
            Scheme::Rsa => [OTHER_PUBLIC_KEY, PUBLIC_KEY],
        };
        entries.map(|entry| (*scheme, entry))
    });
    let keys = entries.flat_map(|(scheme, entry)| scheme.read_keys(entry).expect("a valid key"));
    Keys::inline(keys)
}

/// Returns the HMAC of a body with the sample secret, computed by another library than the
/// verifier's.
pub fn sign_hmac(body: &[u8]) -> [u8; 32] {
    static KEY: LazyLock<hmac::Key> =
        LazyLock::new(|| hmac::Key::new(hmac::HMAC_SHA256, SECRET.trim().as_bytes()));
    let tag = hmac::sign(&KEY, body);
    tag.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The sample key pair, which also signs the access tokens.
static KEY_PAIR: LazyLock<KeyPair> = LazyLock::new(|| {
    let der = decode_pem(PRIVATE_KEY);
    KeyPair::from_pkcs8(&der).expect("the key is valid")
});

/// Returns the shop's signature of a body with the sample key.
pub fn sign_rsa(body: &[u8]) -> String {
    let signed = base64_simd::STANDARD.encode_to_string(body);
    base64_simd::STANDARD.encode_to_string(sign_text(&signed))
}

/// Signs a text with the sample key. RSASSA-PKCS1-v1_5 is deterministic.
fn sign_text(text: &str) -> Vec<u8> {
    let mut signature = vec![0; KEY_PAIR.public().modulus_len()];
    let random = SystemRandom::new();
    KEY_PAIR
        .sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
        .expect("a key can sign");
    signature
}

/// Returns the signature of an access token: of the text before its last dot.
pub fn sign_jwt(signed: &str) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(sign_text(signed))
}

/// Returns a JWK Set with the sample key under this name.
pub fn jwks(kid: &str) -> String {
    let PublicKeyComponents { n, e }: PublicKeyComponents<Vec<u8>> = KEY_PAIR.public().into();
    let [modulus, exponent] =
        [n, e].map(|number| base64_simd::URL_SAFE_NO_PAD.encode_to_string(number));
    format!(r#"{{"keys":[{{"kty":"RSA","kid":"{kid}","n":"{modulus}","e":"{exponent}"}}]}}"#)
}

fn decode_pem(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64_simd::STANDARD.decode_to_vec(base64);
    der.expect("a PEM block contains base64")
}

/// Returns the HMAC in each encoding that a header may have.
pub fn encodings(tag: &[u8]) -> [String; 4] {
    use std::fmt::Write as _;
    let hex = tag.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}"); // writing to a String never fails
        hex
    });
    [
        format!("sha256={hex}"),
        hex.to_uppercase(),
        hex,
        base64_simd::STANDARD.encode_to_string(tag),
    ]
}

/// Returns whether one of the signatures was made with the sample keys of these schemes. Signs the
/// body again instead of calling the verifier.
pub fn signed(body: &[u8], signatures: Signatures<'_>, schemes: &[Scheme]) -> bool {
    schemes.iter().any(|scheme| {
        let Some(value) = signatures.get(*scheme) else {
            return false;
        };
        let value = value.trim_ascii();
        match scheme {
            Scheme::Hmac => {
                let [prefixed, _, hex, base64] = encodings(&sign_hmac(body));
                value.eq_ignore_ascii_case(&prefixed)
                    || value.eq_ignore_ascii_case(&hex)
                    || value == base64
            }
            // Signing is slow, so a value with another length than a signature is not compared.
            Scheme::Rsa => value.len() == 344 && value == sign_rsa(body),
        }
    })
}
