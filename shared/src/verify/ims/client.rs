//! A client of IMS in the secret, with the organizations for which it may send events.

use std::{fmt, sync::Arc};

/// The maximum length of a client id or an organization id, in characters.
pub const IMS_ID_CHARS_MAX: usize = 256;

/// A client whose access tokens count. Two clients are equal if they have the same id.
#[derive(Clone)]
pub struct ImsClient {
    /// The id, as in Adobe's Developer Console.
    pub client_id: String,
    org_ids: Arc<[String]>,
}

impl ImsClient {
    pub(in crate::verify) fn new(client_id: String, org_ids: Arc<[String]>) -> Self {
        Self { client_id, org_ids }
    }

    /// Returns whether a text can be the id of a client or of an organization.
    pub fn is_id(text: &str) -> bool {
        (1..=IMS_ID_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// Returns the ids of the client's organizations.
    pub fn org_ids(&self) -> &[String] {
        &self.org_ids
    }

    /// Returns whether the organization of a request belongs to the client.
    pub(in crate::verify) fn has_organization(&self, org_id: Option<&str>) -> bool {
        org_id.is_some_and(|org_id| self.org_ids.iter().any(|known| known == org_id))
    }
}

impl PartialEq for ImsClient {
    fn eq(&self, other: &Self) -> bool {
        self.client_id == other.client_id
    }
}

/// Shows the type only.
impl fmt::Debug for ImsClient {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("ImsClient(…)")
    }
}
