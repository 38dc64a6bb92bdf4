//! The signature scheme of Adobe Commerce: RSASSA-PKCS1-v1_5 with SHA-256 over the base64 text of
//! the body, with a key pair of the shop.

use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use spki::{
    ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{Decode as _, Reader as _, SliceReader, asn1::UintRef},
};

use crate::verify::{KeyError, SchemeDefinition, SignedBody, VerificationKey, decode_base64, pem};

pub(super) const DEFINITION: SchemeDefinition = SchemeDefinition {
    header: "x-adobe-commerce-webhook-signature",
    secret_field: "public_keys",
    read_keys: |entry| {
        Ok(RsaKey::from_pem(entry)?
            .into_iter()
            .map(VerificationKey::Rsa)
            .collect())
    },
    decode: decode_base64,
};

const NOT_RSA: KeyError = KeyError::WrongAlgorithm("RSA");

/// `ring` accepts exponents of up to 33 bits.
const EXPONENT_END: u64 = 1 << 33;

/// A public key of a shop, of 2048 to 8192 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct RsaKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl RsaKey {
    /// Reads every `PUBLIC KEY` block of a PEM text, in any layout that [`pem::public_keys`] reads.
    ///
    /// # Errors
    /// Returns why a key cannot be used. One such key makes the whole text invalid.
    pub fn from_pem(text: &str) -> Result<Vec<Self>, KeyError> {
        pem::public_keys(text)?
            .iter()
            .map(|der| Self::from_der(der))
            .collect()
    }

    /// Reads a `SubjectPublicKeyInfo` (RFC 5280) in DER.
    ///
    /// # Errors
    /// [`KeyError::WrongAlgorithm`] or [`KeyError::WrongSize`] if no shop can sign with the key.
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        const RSA_ENCRYPTION: ObjectIdentifier =
            ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
        let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| NOT_RSA)?;
        let key = spki
            .subject_public_key
            .as_bytes()
            .filter(|_| spki.algorithm.oid == RSA_ENCRYPTION);
        let (modulus, exponent) = key.and_then(rsa_public_key).ok_or(NOT_RSA)?;
        Self::from_components(modulus, exponent)
    }

    /// Creates a key from a modulus and an exponent, as big-endian numbers without leading zeros.
    ///
    /// # Errors
    /// [`KeyError::WrongAlgorithm`] or [`KeyError::WrongSize`] if `ring` would reject the key.
    pub(super) fn from_components(modulus: Vec<u8>, exponent: Vec<u8>) -> Result<Self, KeyError> {
        // `ring` checks these properties only with the first signature. These checks report an
        // unusable key before the first order.
        if !(2048 / 8..=8192 / 8).contains(&modulus.len()) {
            return Err(KeyError::WrongSize);
        }
        if !is_odd(&modulus)
            || !is_odd(&exponent)
            || !(3..EXPONENT_END).contains(&number(&exponent))
        {
            return Err(NOT_RSA);
        }
        Ok(Self { modulus, exponent })
    }

    pub(super) fn verifies(&self, body: &SignedBody<'_>, signature: &[u8]) -> bool {
        // A valid signature is as long as its key. For any other, the body need not be encoded.
        signature.len() == self.modulus.len()
            && self.verifies_message(body.base64().as_bytes(), signature)
    }

    /// Returns whether this key verifies a signature of these bytes.
    pub(super) fn verifies_message(&self, message: &[u8], signature: &[u8]) -> bool {
        RsaPublicKeyComponents {
            n: &self.modulus,
            e: &self.exponent,
        }
        .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
        .is_ok()
    }
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|byte| byte % 2 == 1)
}

/// Returns a big-endian number; [`u64::MAX`] if it is larger.
fn number(bytes: &[u8]) -> u64 {
    let digits = bytes.iter().try_fold(0_u64, |number, byte| {
        number
            .checked_mul(256)
            .map(|number| number + u64::from(*byte))
    });
    digits.unwrap_or(u64::MAX)
}

/// Reads modulus and exponent of an `RSAPublicKey` (PKCS #1).
fn rsa_public_key(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let integers = |reader: &mut SliceReader<'_>| -> spki::der::Result<_> {
        Ok((
            UintRef::decode(reader)?.as_bytes().to_vec(),
            UintRef::decode(reader)?.as_bytes().to_vec(),
        ))
    };
    SliceReader::new(der).ok()?.sequence(integers).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PEM: &str = include_str!("../../tests/signature/public-key.pem");

    #[test]
    fn rejects_a_text_without_a_usable_key() {
        let error = |pem: &str| RsaKey::from_pem(pem).err();
        assert_eq!(error(""), Some(KeyError::NotPem));
        assert_eq!(error("MIIBIjANBgkq"), Some(KeyError::NotPem));
        assert_eq!(
            error("-----BEGIN PUBLIC KEY-----\n????\n-----END PUBLIC KEY-----"),
            Some(KeyError::NotPem)
        );
        assert_eq!(
            error("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"),
            Some(NOT_RSA)
        );
        assert_eq!(
            error(include_str!("../../tests/signature/ec-public-key.pem")),
            Some(NOT_RSA)
        );
        assert_eq!(
            error(include_str!("../../tests/signature/1024-public-key.pem")),
            Some(KeyError::WrongSize)
        );
    }

    #[test]
    fn rejects_a_key_that_ring_would_reject_with_every_signature() {
        let [der] = &pem::public_keys(PEM).unwrap()[..] else {
            panic!("one key");
        };
        let (end, exponent) = der.split_at(der.len() - 3);
        assert_eq!(exponent, [1, 0, 1]);
        let with = |modulus_end: u8, exponent: [u8; 3]| {
            // The key ends with the modulus, then tag, length and value of the exponent.
            let mut changed = [end, &exponent].concat();
            let last = end.len() - 3;
            changed[last] = modulus_end;
            RsaKey::from_der(&changed).map(|key| key.exponent)
        };
        let odd_end = der[der.len() - 6];
        assert_eq!(with(odd_end, [1, 0, 1]).unwrap(), [1, 0, 1]);
        assert_eq!(with(odd_end & 0xFE, [1, 0, 1]).unwrap_err(), NOT_RSA);
        assert_eq!(with(odd_end, [1, 0, 0]).unwrap_err(), NOT_RSA);
        assert_eq!(number(&[2, 0, 0, 0, 1]), EXPONENT_END + 1);
        assert_eq!(number(&[1; 9]), u64::MAX);
        // Every key that `ring` accepts is accepted.
        for exponent in [[1_u8, 0, 1], [0x7F, 0xFF, 0xFF]] {
            assert!(with(odd_end, exponent).is_ok());
        }
    }

    proptest! {
        #[test]
        fn does_not_panic_on_any_pem(
            pem in "(-----BEGIN PUBLIC KEY-----\r?\n)?[A-Za-z0-9+/=\r\n]{0,200}\
                    (-----END PUBLIC KEY-----)?"
        ) {
            prop_assert!(RsaKey::from_pem(&pem).is_err());
        }
    }
}
