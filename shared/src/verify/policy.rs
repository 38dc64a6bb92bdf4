//! What a request needs, so that its body counts as sent by a shop.

use crate::verify::Scheme;

/// What is enough to verify a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// A signature of this scheme.
    Signature(Scheme),
    /// An access token of Adobe's identity system (IMS). It does not cover the body.
    Token,
    /// A signature of this scheme, and an access token of the same shop.
    SignatureAndToken(Scheme),
}

impl Requirement {
    /// Every requirement, and the word that selects it in `SIGNATURE_SCHEMES`.
    pub const WORDS: [(&str, Self); 5] = [
        ("hmac", Self::Signature(Scheme::Hmac)),
        ("rsa", Self::Signature(Scheme::Rsa)),
        ("ims", Self::Token),
        ("hmac+ims", Self::SignatureAndToken(Scheme::Hmac)),
        ("rsa+ims", Self::SignatureAndToken(Scheme::Rsa)),
    ];

    /// Returns the scheme of the signature that it needs.
    pub fn scheme(self) -> Option<Scheme> {
        match self {
            Self::Signature(scheme) | Self::SignatureAndToken(scheme) => Some(scheme),
            Self::Token => None,
        }
    }

    /// Returns whether it needs an access token.
    pub fn needs_token(self) -> bool {
        matches!(self, Self::Token | Self::SignatureAndToken(_))
    }
}

/// What the requests of a function need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignaturePolicy {
    /// One of these requirements.
    Require(Vec<Requirement>),
    /// Nothing: the operator chose to accept events without a signature.
    AcceptUnsigned,
}

impl SignaturePolicy {
    /// Returns the policy that accepts a signature of any scheme. It is the default.
    pub fn every_signature() -> Self {
        Self::Require(Scheme::ALL.map(Requirement::Signature).to_vec())
    }

    /// Returns the policy that accepts a signature of any scheme, and an access token.
    pub fn every_scheme() -> Self {
        let signatures = Scheme::ALL.map(Requirement::Signature);
        Self::Require([&signatures[..], &[Requirement::Token]].concat())
    }

    /// Returns the requirements; none if unsigned events are accepted.
    pub fn requirements(&self) -> &[Requirement] {
        match self {
            Self::Require(requirements) => requirements,
            Self::AcceptUnsigned => &[],
        }
    }

    /// Returns whether an access token is ever read.
    pub fn reads_tokens(&self) -> bool {
        self.requirements().iter().any(|one| one.needs_token())
    }

    /// Returns whether signatures of this scheme are ever read.
    pub fn reads_signatures(&self, scheme: Scheme) -> bool {
        let mut schemes = self.requirements().iter().map(|one| one.scheme());
        schemes.any(|one| one == Some(scheme))
    }
}
