//! The sample keys with the secret and the private key, to decide independently which signatures
//! are valid.

use std::sync::LazyLock;

use ring::{hmac, rand::SystemRandom, rsa::KeyPair, signature::RSA_PKCS1_SHA256};
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

/// Returns the shop's signature of a body with the sample key. RSASSA-PKCS1-v1_5 is deterministic.
pub fn sign_rsa(body: &[u8]) -> String {
    static KEY: LazyLock<KeyPair> = LazyLock::new(|| {
        let der = decode_pem(PRIVATE_KEY);
        KeyPair::from_pkcs8(&der).expect("the key is valid")
    });
    let signed = base64_simd::STANDARD.encode_to_string(body);
    let mut signature = vec![0; KEY.public().modulus_len()];
    KEY.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .expect("a key can sign");
    base64_simd::STANDARD.encode_to_string(signature)
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
