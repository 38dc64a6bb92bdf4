//! The sample keys, of which here also the secret half is known: what they really signed can be told from what is only taken
//! for it.

use std::sync::LazyLock;

use ring::{hmac, rand::SystemRandom, rsa::KeyPair, signature::RSA_PKCS1_SHA256};
use shared::verify::{HmacSecret, KeyList, Keys, RsaKey, Signatures, Version, named};

const SECRET: &str = include_str!("../../../events/sample-keys/hmac-secret.txt");
const PUBLIC_KEY: &str = include_str!("../../../events/sample-keys/public-key.pem");
const PRIVATE_KEY: &str = include_str!("../../../events/sample-keys/private-key.pem");

/// A secret and a public key of which nobody here signs anything, because a shop's keys come and go.
const OTHER_SECRET: &str = "a secret that signs nothing";
const OTHER_PUBLIC_KEY: &str = include_str!("../../tests/signature/other-public-key.pem");

/// Which of the sample keys a function knows.
#[derive(Clone, Copy)]
pub struct Schemes {
    /// The secrets.
    pub hmac: bool,
    /// The public keys.
    pub rsa: bool,
}

/// Both kinds.
pub const BOTH: Schemes = Schemes {
    hmac: true,
    rsa: true,
};

/// The sample keys of these schemes as a function has them.
pub fn known(schemes: Schemes) -> Keys {
    let secrets = [OTHER_SECRET, SECRET.trim()].map(HmacSecret::new);
    let public = [OTHER_PUBLIC_KEY, PUBLIC_KEY].map(RsaKey::from_pem);
    let secrets = secrets.map(|secret| secret.expect("it is long enough"));
    let public = public.map(|keys| keys.expect("it is a key"));
    let secrets = secrets.into_iter().filter(|_| schemes.hmac);
    let public = public.into_iter().flatten().filter(|_| schemes.rsa);
    Keys::Known {
        hmac: named(Version::Inline, KeyList::Hmac, secrets),
        rsa: named(Version::Inline, KeyList::Rsa, public),
    }
}

/// The HMAC of a body under the sample secret, by another library than the one that verifies.
pub fn sign_hmac(body: &[u8]) -> [u8; 32] {
    static KEY: LazyLock<hmac::Key> =
        LazyLock::new(|| hmac::Key::new(hmac::HMAC_SHA256, SECRET.trim().as_bytes()));
    let tag = hmac::sign(&KEY, body);
    tag.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The shop's signature of a body under the sample key. It is always the same (RSASSA-PKCS1-v1_5 draws no random numbers).
pub fn sign_rsa(body: &[u8]) -> String {
    static KEY: LazyLock<KeyPair> = LazyLock::new(|| {
        let der = decode_pem(PRIVATE_KEY);
        KeyPair::from_pkcs8(&der).expect("it is a key")
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
    der.expect("a PEM block holds base64")
}

/// How an HMAC may be written.
pub fn written(tag: &[u8]) -> [String; 4] {
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

/// Whether one of the signatures was made with the sample keys of these schemes, by what they are compared with and not by the
/// code that verifies.
pub fn signed(body: &[u8], signatures: Signatures<'_>, schemes: Schemes) -> bool {
    let by_hmac = schemes.hmac
        && signatures.hmac.is_some_and(|header| {
            let header = header.trim_ascii();
            let [prefixed, _, hex, base64] = written(&sign_hmac(body));
            header.eq_ignore_ascii_case(&prefixed)
                || header.eq_ignore_ascii_case(&hex)
                || header == base64
        });
    // Signing takes long, so it is not done for what has another length than a signature.
    let by_rsa = schemes.rsa
        && signatures.rsa.is_some_and(|header| {
            let header = header.trim_ascii();
            header.len() == 344 && header == sign_rsa(body)
        });
    by_hmac || by_rsa
}
