//! Verifies who sent a request, with keys that are read again if they may be too old.

use std::{rc::Rc, time::Duration, time::SystemTime};

use lambda_http::http::HeaderMap;

use crate::{
    aws::Aws,
    deadline::Deadline,
    outcome::Failure,
    request::{
        body::{Unverified, Verified},
        headers,
    },
    verify::{
        Credentials, Keys, SignatureError, Signatures,
        ims::{AccessToken, Ims, ImsSettings, KidRefresh, TokenError, VerifiedToken},
        keyring::{Keyring, SecretSource},
        secret::Secret,
    },
};

/// The secret, and the keys of IMS if access tokens are read.
pub(super) struct Verifier {
    keyring: Keyring,
    ims: Option<Ims>,
}

impl Verifier {
    /// Creates a verifier. Sends no request.
    pub(super) fn new(secret: SecretSource, ims: Option<ImsSettings>, aws: &Aws) -> Self {
        Self {
            keyring: Keyring::new(secret, aws),
            ims: ims.map(|settings| Ims::new(settings, &aws.connections)),
        }
    }

    /// Reads all keys at cold start, within a limit.
    pub(super) async fn warm_up(&self, limit: Duration) {
        match &self.ims {
            Some(ims) => _ = tokio::join!(self.keyring.warm_up(limit), ims.warm_up(limit)),
            None => self.keyring.warm_up(limit).await,
        }
    }

    /// Verifies a body with the known keys. If none of them verifies it, reads the secret again.
    pub(super) async fn verify<'b>(
        &self,
        body: Unverified<'b>,
        headers: &HeaderMap,
        deadline: Deadline,
    ) -> Result<(Verified<'b>, Rc<Secret>), Failure> {
        let secret = self.keyring.current(deadline).await;
        if secret.keys.is_empty() {
            return Err(Failure::NoKeys);
        }
        let token = self.ims.as_ref().and_then(|_| AccessToken::of(headers));
        // After the keys, because a check must also show whether the secret can be read.
        if headers::is_check(headers) && token.is_none() {
            return Err(Failure::Check);
        }
        let signatures = Signatures::of(headers);
        let mut body = body;
        let mut reason = SignatureError::Missing;
        // A token is read only if the signature is not enough. Each signature is checked once,
        // because a large body makes each check expensive.
        let [alone, others] = secret.keys.split(signatures);
        let accepts_unsigned = matches!(secret.keys, Keys::AcceptUnsigned);
        if token.is_none() || !alone.is_empty() || accepts_unsigned {
            let first = if token.is_none() { signatures } else { alone };
            match body.verify(&secret.keys, first) {
                Ok(body) => return Ok((body, secret)),
                Err(unverified) => (body, reason) = unverified,
            }
        }
        let token = match token {
            Some(token) => Some(self.verify_token(token, deadline).await),
            None => None,
        };
        let credentials = Credentials {
            signatures,
            token: token
                .as_ref()
                .map(|token| token.as_ref().map_err(|error| *error)),
        };
        if token.is_some() {
            let unchecked = Credentials {
                signatures: others,
                ..credentials
            };
            let unverified = match body.verify(&secret.keys, unchecked) {
                Ok(body) => return Ok((body, secret)),
                Err(unverified) => unverified,
            };
            body = unverified.0;
            reason = match unverified.1 {
                // The token may be valid, whatever is wrong with a signature.
                unavailable @ SignatureError::Token(TokenError::KeysUnavailable) => unavailable,
                other => reason.max(other),
            };
        }
        // Without a signature or a valid token, no other key could verify the request.
        let is_claimed = !signatures.is_empty() || matches!(token, Some(Ok(_)));
        let newer = if is_claimed {
            self.keyring.refreshed(deadline).await
        } else {
            None
        };
        let Some(secret) = newer else {
            return Err((body, reason).into());
        };
        let body = body.verify(&secret.keys, credentials)?;
        self.keyring.unknown_signature_was_valid();
        Ok((body, secret))
    }

    /// Verifies a token with the known keys of IMS. If its key is unknown, reads them again.
    async fn verify_token<'t>(
        &self,
        token: AccessToken<'t>,
        deadline: Deadline,
    ) -> Result<VerifiedToken<'t>, TokenError> {
        let Some(ims) = &self.ims else {
            return Err(TokenError::Missing);
        };
        let keys = ims.current(deadline).await;
        let verified = token.verify(&keys, SystemTime::now());
        if !matches!(verified, Err(TokenError::KeyUnknown)) {
            return verified;
        }
        if keys.is_empty() {
            return Err(TokenError::KeysUnavailable);
        }
        match ims.refreshed(deadline).await {
            KidRefresh::Read(keys) => {
                let verified = token.verify(&keys, SystemTime::now());
                if verified.is_ok() {
                    ims.unknown_kid_was_valid();
                }
                verified
            }
            KidRefresh::TooSoon => verified,
            KidRefresh::Failed => Err(TokenError::KeysUnavailable),
        }
    }
}
