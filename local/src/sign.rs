//! Signs a body with HMAC, as in the specification, or with RSA, as a real shop does.

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

/// The header with the HMAC signature.
pub(crate) const HMAC_HEADER: &str = "x-adobe-signature";

/// The header with the RSA signature.
pub(crate) const RSA_HEADER: &str = "x-adobe-commerce-webhook-signature";

/// Returns the HMAC-SHA256 of the raw body.
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

/// Returns the RSA signature (RSASSA-PKCS1-v1_5, SHA-256) of the base64 text of the raw body, in
/// base64.
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

/// Encodes bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// Reads a secret from a file, without leading and trailing white space.
pub(crate) fn read_secret(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the secret {}", path.display()))?;
    let secret = text.trim();
    ensure!(!secret.is_empty(), "{} contains no secret", path.display());
    Ok(secret.to_owned())
}

/// Reads an RSA private key from a PEM file (PKCS #8).
pub(crate) fn read_private_key(path: &Path) -> Result<RsaKeyPair> {
    let pem = fs::read(path)
        .with_context(|| format!("cannot read the private key {}", path.display()))?;
    let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| {
        anyhow!(
            "{} contains no PEM block \"PRIVATE KEY\" (PKCS #8)",
            path.display()
        )
    })?;
    RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|reason| {
        anyhow!(
            "{} contains no RSA key of 2048 to 4096 bits ({reason})",
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

    /// Returns whether the value of the RSA header verifies with the sample public key.
    pub(crate) fn verifies_by_rsa(body: &[u8], value: &str) -> bool {
        let pem = fs::read(sample_keys().join("public-key.pem")).unwrap();
        let der = SubjectPublicKeyInfoDer::from_pem_slice(&pem).unwrap();
        let spki = SubjectPublicKeyInfoRef::from_der(&der).unwrap();
        let key = spki.subject_public_key.as_bytes().unwrap();
        let signature = BASE64.decode_to_vec(value).unwrap();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
            .verify(BASE64.encode_to_string(body).as_bytes(), &signature)
            .is_ok()
    }

    /// Returns whether the digest verifies with the secret, in another library than the signer's.
    pub(crate) fn verifies_by_hmac(secret: &str, body: &[u8], digest: &[u8]) -> bool {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        ring::hmac::verify(&key, body, digest).is_ok()
    }

    #[test]
    fn hmac_matches_case_2_of_rfc_4231() {
        let digest = hmac("Jefe", b"what do ya want for nothing?").unwrap();
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(&digest), expected);
    }

    #[test]
    fn hmac_verifies_with_the_same_secret_and_body_only() {
        let digest = hmac("a sample secret", BODY).unwrap();
        assert!(verifies_by_hmac("a sample secret", BODY, &digest));
        assert!(!verifies_by_hmac("another secret", BODY, &digest));
        assert!(!verifies_by_hmac("a sample secret", b"{}", &digest));
    }

    #[test]
    fn rsa_verifies_with_the_public_key_and_the_same_body_only() {
        let key = read_private_key(&sample_keys().join("private-key.pem")).unwrap();
        let value = rsa(&key, BODY).unwrap();
        assert!(verifies_by_rsa(BODY, &value));
        assert!(!verifies_by_rsa(b"{}", &value));
    }

    #[test]
    fn reads_a_secret_without_its_line_break() {
        let secret = read_secret(&sample_keys().join("hmac-secret.txt")).unwrap();
        assert_eq!(secret, "sample-secret-do-not-use-in-production");
    }

    #[test]
    fn an_error_names_the_file_in_one_line() {
        let keys = sample_keys();
        let missing = format!("{:#}", read_secret(&keys.join("none.txt")).unwrap_err());
        assert!(missing.starts_with("cannot read the secret "), "{missing}");
        assert!(missing.contains("No such file"), "{missing}");
        for file in ["public-key.pem", "hmac-secret.txt"] {
            let reason = format!("{:#}", read_private_key(&keys.join(file)).unwrap_err());
            assert!(
                reason.contains("contains no PEM block \"PRIVATE KEY\""),
                "{reason}"
            );
            assert_eq!(reason.lines().count(), 1, "{reason}");
        }
    }
}
