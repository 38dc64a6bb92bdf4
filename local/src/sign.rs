//! Signs a body as the spec and as the shop do, for samples and for sending by hand.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, anyhow, ensure};
use base64_simd::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use sha2::Sha256;

/// Header of the spec's signature.
pub(crate) const HMAC_HEADER: &str = "x-adobe-signature";

/// Header of the real shop's signature.
pub(crate) const RSA_HEADER: &str = "x-adobe-commerce-webhook-signature";

/// The spec's signature: HMAC-SHA256 of the raw body.
pub(crate) fn hmac(secret: &str, body: &[u8]) -> Result<Vec<u8>> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .context("the secret cannot be used for HMAC")?;
    Ok(mac
        .chain_update(body)
        .finalize()
        .into_bytes()
        .as_slice()
        .to_vec())
}

/// The shop's signature: RSA (RSASSA-PKCS1-v1_5, SHA-256) over the base64 text of the raw body, itself in base64.
pub(crate) fn rsa(key: &RsaKeyPair, body: &[u8]) -> Result<String> {
    let signed = BASE64.encode_to_string(body);
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .map_err(|_| anyhow!("the private key cannot sign"))?;
    Ok(BASE64.encode_to_string(signature))
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// Reads a secret out of a file. The space around it, such as the line break at its end, does not belong to it.
pub(crate) fn read_secret(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the secret {}", path.display()))?;
    let secret = text.trim();
    ensure!(!secret.is_empty(), "no secret in {}", path.display());
    Ok(secret.to_owned())
}

/// Reads an RSA private key out of a PEM file (PKCS #8).
pub(crate) fn read_private_key(path: &Path) -> Result<RsaKeyPair> {
    let pem = fs::read(path)
        .with_context(|| format!("cannot read the private key {}", path.display()))?;
    let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| {
        anyhow!(
            "no PEM block \"PRIVATE KEY\" (PKCS #8) in {}",
            path.display()
        )
    })?;
    RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|reason| {
        anyhow!(
            "no RSA key of 2048 to 4096 bits in {} ({reason})",
            path.display()
        )
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use rustls_pki_types::SubjectPublicKeyInfoDer;
    use spki::{SubjectPublicKeyInfoRef, der::Decode as _};

    use super::*;
    use crate::samples::sample_keys;

    const BODY: &[u8] = br#"{"name":"Trail Bottle 1\/2 L","city":"\u00c5lesund"}"#;

    /// Whether the sample public key confirms the value of the shop's header.
    pub(crate) fn rsa_confirms(body: &[u8], value: &str) -> bool {
        let pem = fs::read(sample_keys().join("public-key.pem")).unwrap();
        let der = SubjectPublicKeyInfoDer::from_pem_slice(&pem).unwrap();
        let spki = SubjectPublicKeyInfoRef::from_der(&der).unwrap();
        let key = spki.subject_public_key.as_bytes().unwrap();
        let signature = BASE64.decode_to_vec(value).unwrap();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
            .verify(BASE64.encode_to_string(body).as_bytes(), &signature)
            .is_ok()
    }

    /// Whether the secret confirms the digest, by another library than the one that signs.
    pub(crate) fn hmac_confirms(secret: &str, body: &[u8], digest: &[u8]) -> bool {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        ring::hmac::verify(&key, body, digest).is_ok()
    }

    #[test]
    fn hmac_gives_the_digest_of_rfc_4231_case_2() {
        let digest = hmac("Jefe", b"what do ya want for nothing?").unwrap();
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(&digest), expected);
    }

    #[test]
    fn hmac_is_confirmed_by_the_same_secret_and_body_only() {
        let digest = hmac("a sample secret", BODY).unwrap();
        assert!(hmac_confirms("a sample secret", BODY, &digest));
        assert!(!hmac_confirms("another secret", BODY, &digest));
        assert!(!hmac_confirms("a sample secret", b"{}", &digest));
    }

    #[test]
    fn rsa_is_confirmed_by_the_public_key_for_the_same_body_only() {
        let key = read_private_key(&sample_keys().join("private-key.pem")).unwrap();
        let value = rsa(&key, BODY).unwrap();
        assert!(rsa_confirms(BODY, &value));
        assert!(!rsa_confirms(b"{}", &value));
    }

    #[test]
    fn a_secret_is_read_without_its_line_break() {
        let secret = read_secret(&sample_keys().join("hmac-secret.txt")).unwrap();
        assert_eq!(secret, "sample-secret-do-not-use-in-production");
    }

    #[test]
    fn what_cannot_be_read_is_named_in_one_line() {
        let keys = sample_keys();
        let missing = format!("{:#}", read_secret(&keys.join("none.txt")).unwrap_err());
        assert!(missing.starts_with("cannot read the secret "), "{missing}");
        assert!(missing.contains("No such file"), "{missing}");
        for file in ["public-key.pem", "hmac-secret.txt"] {
            let reason = format!("{:#}", read_private_key(&keys.join(file)).unwrap_err());
            assert!(
                reason.starts_with("no PEM block \"PRIVATE KEY\""),
                "{reason}"
            );
            assert_eq!(reason.lines().count(), 1, "{reason}");
        }
    }
}
