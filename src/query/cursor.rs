//! Cursors: where the next page of a listing starts. A cursor is valid only for its own listing.
//!
//! ```text
//! base64url without padding of
//!     version 1 (1) | fingerprint of tenant and filter (8) | place of the last row (16)
//! ```
//!
//! A place consists of the row's time of creation and its number, which never change. So a client that
//! follows cursors sees each row that matches all the time exactly once.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::domain::filter::{Owner, SessionFilter};
use crate::domain::{AgentFilter, TenantId, Timestamp};
use crate::projection::{ListingPlace, PageStart};

const VERSION: u8 = 1;
const BYTES: usize = 25;

/// Where the next page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    fingerprint: [u8; 8],
    place: ListingPlace,
}

/// Why a text is not a cursor of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not a cursor at all.
    #[error("is not one of this API; send next_cursor of a page unchanged")]
    Malformed,
    /// A cursor of another listing.
    #[error("belongs to a listing with other filters; start this listing without a cursor")]
    OtherListing,
}

/// A filter whose listing has cursors.
pub trait Paged {
    /// Bytes that identify the filter among those of all kinds.
    fn identity(&self) -> Vec<u8>;
}

impl Paged for SessionFilter {
    fn identity(&self) -> Vec<u8> {
        let (kind, owner) = match &self.owner {
            Owner::Tenant => (0_u8, ""),
            Owner::Agent(id) => (1, id.as_str()),
            Owner::Project(id) => (2, id.as_str()),
        };
        let time = |time: Option<Timestamp>| time.map_or(i64::MIN, Timestamp::micros).to_be_bytes();
        [
            &[kind][..],
            owner.as_bytes(),
            &[0, self.statuses.bits()],
            &time(self.created.after),
            &time(self.created.before),
        ]
        .concat()
    }
}

impl Paged for AgentFilter {
    fn identity(&self) -> Vec<u8> {
        let (agent_type, trust_level) = (&self.agent_type, &self.trust_level);
        let by = u8::from(agent_type.is_some()) | u8::from(trust_level.is_some()) << 1;
        let agent_type = agent_type.as_deref().unwrap_or_default();
        [
            &[3, self.statuses.bits(), by][..],
            &(agent_type.len() as u64).to_be_bytes(),
            agent_type.as_bytes(),
            trust_level.as_deref().unwrap_or_default().as_bytes(),
        ]
        .concat()
    }
}

impl Cursor {
    pub(crate) fn new(tenant: &TenantId, filter: &impl Paged, place: ListingPlace) -> Self {
        Self {
            fingerprint: fingerprint(tenant, filter),
            place,
        }
    }

    /// The cursor's text.
    pub fn to_text(self) -> String {
        let mut bytes = [VERSION; BYTES];
        bytes[1..9].copy_from_slice(&self.fingerprint);
        bytes[9..].copy_from_slice(&self.place.to_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor of this listing.
    pub fn parse(text: &str, tenant: &TenantId, filter: &impl Paged) -> Result<Self, CursorError> {
        let mut bytes = [0; BYTES];
        let length = URL_SAFE_NO_PAD
            .decode_slice(text, &mut bytes)
            .map_err(|_not_base64| CursorError::Malformed)?;
        let [VERSION, rest @ ..] = bytes else {
            return Err(CursorError::Malformed);
        };
        if length != BYTES {
            return Err(CursorError::Malformed);
        }
        let (found, place) = rest.split_at(8);
        let found: [u8; 8] = found.try_into().expect("the split leaves eight bytes");
        let place: [u8; 16] = place.try_into().expect("25 bytes less nine are sixteen");
        if found != fingerprint(tenant, filter) {
            return Err(CursorError::OtherListing);
        }
        Ok(Self {
            fingerprint: found,
            place: ListingPlace::from_bytes(place),
        })
    }
}

impl From<Cursor> for PageStart {
    fn from(cursor: Cursor) -> Self {
        Self::After(cursor.place)
    }
}

fn fingerprint(tenant: &TenantId, filter: &impl Paged) -> [u8; 8] {
    let mut hasher = Sha256::new();
    hasher.update(tenant.as_str());
    hasher.update([0]);
    hasher.update(filter.identity());
    let hash: [u8; 32] = hasher.finalize().into();
    let mut fingerprint = [0; 8];
    fingerprint.copy_from_slice(&hash[..8]);
    fingerprint
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{AgentId, AgentStatus, StatusSet};

    fn acme() -> TenantId {
        TenantId::parse("acme").unwrap()
    }

    /// Few texts, so that the same ones meet.
    fn agent_filter() -> impl Strategy<Value = AgentFilter> {
        let text = || proptest::option::of("[ab]{0,2}").prop_map(|text| text.map(Into::into));
        let statuses = proptest::sample::subsequence(AgentStatus::ALL.to_vec(), 1..=3);
        (text(), text(), statuses).prop_map(|(agent_type, trust_level, statuses)| AgentFilter {
            agent_type,
            trust_level,
            statuses: StatusSet::of(&statuses).unwrap(),
        })
    }

    proptest! {
        #[test]
        fn a_cursor_leads_back_and_only_for_its_listing(place: [u8; 16]) {
            let all = SessionFilter::default();
            let owner = Owner::Agent(AgentId::parse("a").unwrap());
            let of_agent = SessionFilter { owner, ..all.clone() };
            let cursor = Cursor::new(&acme(), &all, ListingPlace::from_bytes(place));
            let text = cursor.to_text();
            prop_assert_eq!(Cursor::parse(&text, &acme(), &all), Ok(cursor));
            prop_assert_eq!(
                Cursor::parse(&text, &acme(), &of_agent),
                Err(CursorError::OtherListing)
            );
        }

        #[test]
        fn each_listing_of_agents_has_its_own_cursors(
            one in agent_filter(),
            other in agent_filter(),
            place: [u8; 16],
        ) {
            let cursor = Cursor::new(&acme(), &one, ListingPlace::from_bytes(place));
            let expected = if one == other { Ok(cursor) } else { Err(CursorError::OtherListing) };
            prop_assert_eq!(Cursor::parse(&cursor.to_text(), &acme(), &other), expected);
            let sessions = SessionFilter::default();
            prop_assert!(Cursor::parse(&cursor.to_text(), &acme(), &sessions).is_err());
        }

        #[test]
        fn any_other_text_is_refused(text in "\\PC{0,60}") {
            prop_assert!(Cursor::parse(&text, &acme(), &SessionFilter::default()).is_err());
        }
    }
}
