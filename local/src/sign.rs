//! Signs a body with HMAC, as in the specification, or with RSA, as a real shop does; and signs
//! access tokens, as Adobe's Identity Management Service (IMS) does.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use base64_simd::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_URL};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use sha2::Sha256;

/// The header with the HMAC signature.
pub(crate) const HMAC_HEADER: &str = "x-adobe-signature";

/// The header with the RSA signature.
pub(crate) const RSA_HEADER: &str = "x-adobe-commerce-webhook-signature";

/// The header with the access token.
pub(crate) const TOKEN_HEADER: &str = "authorization";

/// The header with the organization to which the client of the token belongs.
pub(crate) const ORGANIZATION_HEADER: &str = "x-gw-ims-org-id";

/// The organization of the sample clients.
pub(crate) const SAMPLE_ORGANIZATION: &str = "0123456789ABCDEF01234567@AdobeOrg";

/// The client of the sample shop without a name. A sample shop with a name appends it.
pub(crate) const SAMPLE_CLIENT: &str = "commerce-sample-client";

/// The name of the sample key in events/sample-keys/ims-keys.json.
const SAMPLE_KEY_ID: &str = "sample-1";

/// The lifetime of an access token, in milliseconds.
const TOKEN_LIFETIME_MS: u32 = 24 * 60 * 60 * 1000;

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
    let signature = rsa_signature(key, &BASE64.encode_to_string(body))?;
    Ok(BASE64.encode_to_string(signature))
}

/// Returns an access token of a client, signed with the sample key of IMS.
pub(crate) fn access_token(
    key: &RsaKeyPair,
    client_id: &str,
    created_at: SystemTime,
) -> Result<String> {
    let created_at = created_at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_millis();
    let header = json!({ "alg": "RS256", "kid": SAMPLE_KEY_ID, "typ": "JWT" });
    // IMS writes both times as strings.
    let claims = json!({
        "type": "access_token",
        "client_id": client_id,
        "as": "ims-na1",
        "created_at": created_at.to_string(),
        "expires_in": TOKEN_LIFETIME_MS.to_string(),
    });
    let part = |value: Value| BASE64_URL.encode_to_string(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = BASE64_URL.encode_to_string(rsa_signature(key, &signed)?);
    Ok(format!("{signed}.{signature}"))
}

/// Returns the RSA signature (RSASSA-PKCS1-v1_5, SHA-256) of a text.
fn rsa_signature(key: &RsaKeyPair, text: &str) -> Result<Vec<u8>> {
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        text.as_bytes(),
        &mut signature,
    )
    .map_err(|_| anyhow!("the private key cannot sign"))?;
    Ok(signature)
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
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
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

    /// Returns the claims of an access token, if the served keys have the one that signed it.
    pub(crate) fn claims_of(token: &str) -> Option<Value> {
        let json = fs::read(sample_keys().join("ims-keys.json")).unwrap();
        let served: Value = serde_json::from_slice(&json).unwrap();
        let decode = |part: &str| BASE64_URL.decode_to_vec(part).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let header: Value = serde_json::from_slice(&decode(header)).unwrap();
        assert_eq!(header["alg"], "RS256");
        let keys = served["keys"].as_array().unwrap();
        let key = keys.iter().find(|key| key["kid"] == header["kid"])?;
        let number = |name: &str| decode(key[name].as_str().unwrap());
        let public_key = RsaPublicKeyComponents {
            n: number("n"),
            e: number("e"),
        };
        public_key
            .verify(
                &RSA_PKCS1_2048_8192_SHA256,
                signed.as_bytes(),
                &decode(signature),
            )
            .ok()?;
        serde_json::from_slice(&decode(claims)).ok()
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
    fn an_access_token_verifies_with_the_served_keys_only() {
        let created_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_781_814_431_123);
        let token = |key: &str| {
            let key = read_private_key(&sample_keys().join(key)).unwrap();
            access_token(&key, "a-client", created_at).unwrap()
        };
        let claims = claims_of(&token("ims-private-key.pem")).unwrap();
        assert_eq!(claims["client_id"], "a-client");
        assert_eq!(claims["type"], "access_token");
        assert_eq!(claims["created_at"], "1781814431123");
        assert_eq!(claims["expires_in"], "86400000");
        assert_eq!(claims_of(&token("private-key.pem")), None);
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
