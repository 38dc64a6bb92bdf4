//! An access token of IMS: a signed JWT (RFC 7519) with claims of Adobe's own.
//!
//! The algorithm is fixed, and the keys are those that the function has read. No URL and no key in
//! a token is ever used.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lambda_http::http::{HeaderMap, header::AUTHORIZATION};
use serde_json::Value;

use crate::verify::ims::{
    ImsClient, ImsKeys,
    json::{self, decode_base64url},
    keys::KID_BYTES_MAX,
};

/// The header with the organization of the caller, in lower case.
const ORGANIZATION_HEADER: &str = "x-gw-ims-org-id";

/// The only accepted algorithm: RSASSA-PKCS1-v1_5 with SHA-256.
const ALGORITHM: &str = "RS256";

/// The only accepted type of token.
const ACCESS_TOKEN: &str = "access_token";

/// How far the clocks of IMS and of the function may differ.
pub const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// The maximum size of a token in bytes.
const TOKEN_BYTES_MAX: usize = 10 * 1024;

/// An access token and the organization of a request, before any check.
#[derive(Clone, Copy)]
pub struct AccessToken<'a> {
    /// Empty if the header is repeated.
    jwt: &'a [u8],
    org_id: Option<&'a str>,
}

/// A token that IMS signed, and that is valid now.
#[derive(PartialEq, Eq)]
pub struct VerifiedToken<'a> {
    /// The client that IMS issued the token to.
    pub client_id: String,
    /// The organization in the header `x-gw-ims-org-id`, which IMS has not signed. Empty if the
    /// header is repeated or is not visible ASCII.
    pub org_id: Option<&'a str>,
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenError {
    /// The request has no token.
    Missing,
    /// The value is no access token: it is too long, the header is repeated, the algorithm is
    /// another, or a claim is missing.
    Malformed,
    /// IMS has no key of this name.
    KeyUnknown,
    /// The signature is not valid.
    Wrong,
    /// It is a token of another type.
    Type,
    /// The token has expired.
    Expired,
    /// The token was created in the future.
    NotYetValid,
    /// The secret does not have the client.
    Client,
    /// The organization does not belong to the client.
    Organization,
    /// The key may exist, but IMS could not be asked for it.
    KeysUnavailable,
}

impl<'a> AccessToken<'a> {
    /// Reads the token and the organization of a request. Returns `None` if the request has no IMS
    /// token. A hook may have a static bearer token of its own, which has not exactly two dots.
    pub fn of(headers: &'a HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next()?.as_bytes();
        let jwt = if values.next().is_some() {
            &[]
        } else {
            let (scheme, rest) = value.split_at_checked(b"Bearer ".len())?;
            let jwt = rest.trim_ascii();
            let parts = jwt.split(|byte| *byte == b'.').count();
            if !scheme.eq_ignore_ascii_case(b"Bearer ") || parts != 3 {
                return None;
            }
            jwt
        };
        let mut values = headers.get_all(ORGANIZATION_HEADER).iter();
        let org_id = values.next().map(|value| {
            let is_repeated = values.next().is_some();
            let value = value.to_str().ok().filter(|_| !is_repeated);
            value.unwrap_or_default()
        });
        Some(Self { jwt, org_id })
    }

    /// Checks the form, the signature, the type and the times.
    ///
    /// # Errors
    /// Each [`TokenError`] but those of the secret and [`TokenError::Missing`].
    pub fn verify(&self, keys: &ImsKeys, now: SystemTime) -> Result<VerifiedToken<'a>, TokenError> {
        let jwt = Jwt::parse(self.jwt).ok_or(TokenError::Malformed)?;
        let key = keys.get(&jwt.kid).ok_or(TokenError::KeyUnknown)?;
        if !key.verifies_message(jwt.signed, &jwt.signature) {
            return Err(TokenError::Wrong);
        }
        if jwt.token_type != ACCESS_TOKEN {
            return Err(TokenError::Type);
        }
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if jwt.created > now + CLOCK_TOLERANCE {
            return Err(TokenError::NotYetValid);
        }
        if now >= jwt.expires + CLOCK_TOLERANCE {
            return Err(TokenError::Expired);
        }
        Ok(VerifiedToken {
            client_id: jwt.client_id,
            org_id: self.org_id,
        })
    }
}

/// Shows no part of the token.
impl fmt::Debug for AccessToken<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("AccessToken(…)")
    }
}

/// Shows no part of the token.
impl fmt::Debug for VerifiedToken<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("VerifiedToken(…)")
    }
}

/// The parts of a token that has the right form. The signature is not checked.
struct Jwt<'a> {
    /// The header and the claims as they were signed.
    signed: &'a [u8],
    signature: Vec<u8>,
    kid: String,
    client_id: String,
    token_type: String,
    /// The times since 1970.
    created: Duration,
    expires: Duration,
}

impl<'a> Jwt<'a> {
    fn parse(token: &'a [u8]) -> Option<Self> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let mut parts = token.split(|byte| *byte == b'.');
        let (header, claims) = (parts.next()?, parts.next()?);
        let signature = decode_base64url(parts.next()?)?;
        if parts.next().is_some() {
            return None;
        }
        let signed = token.get(..=header.len() + claims.len())?;

        let header = decode_base64url(header)?;
        let [alg, kid, crit] = json::members(&header, ["alg", "kid", "crit"])?;
        // A critical extension changes the meaning of the token (RFC 7515, 4.1.11). None is known.
        if text(alg)? != ALGORITHM || crit.is_some() {
            return None;
        }
        let claims = decode_base64url(claims)?;
        let names = ["client_id", "type", "created_at", "expires_in"];
        let [client_id, token_type, created, expires_in] = json::members(&claims, names)?;
        let (created, expires_in) = (milliseconds(created)?, milliseconds(expires_in)?);
        Some(Self {
            signed,
            signature,
            kid: text(kid).filter(|kid| (1..=KID_BYTES_MAX).contains(&kid.len()))?,
            client_id: text(client_id).filter(|id| ImsClient::is_id(id))?,
            token_type: text(token_type)?,
            created: Duration::from_millis(created),
            expires: Duration::from_millis(created.checked_add(expires_in)?),
        })
    }
}

fn text(value: Option<Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// Reads a time that is a number, or a string of digits as IMS writes it.
fn milliseconds(value: Option<Value>) -> Option<u64> {
    match value? {
        Value::Number(number) => number.as_u64(),
        // `parse` would also accept a sign.
        Value::String(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
