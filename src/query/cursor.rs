//! Cursors: where the next page of a listing starts. A cursor is valid only for its own listing.
//!
//! ```text
//! base64url without padding of
//!     version 1 (1) | fingerprint of tenant and filter (8) | place of the last row (16)
//!     of a listing as of a past position, with version 2, also
//!         | position (8) | number of all rows (8) | number of rows that are left (8)
//! ```
//!
//! A place consists of the row's time of creation and its number, which never change. So a client that
//! follows cursors sees each row that matches all the time exactly once.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::domain::filter::{Owner, SessionFilter};
use crate::domain::{AgentFilter, AgentId, Position, TenantId, Timestamp};
use crate::projection::{Counted, ListingPlace, PageStart};

const VERSION: u8 = 1;
const VERSION_PAST: u8 = 2;
const BYTES: usize = 25;
const BYTES_PAST: usize = 49;

/// Where the next page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    fingerprint: [u8; 8],
    place: ListingPlace,
    past: Option<Past>,
}

/// What the cursor of a listing as of a past position also holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Past {
    position: Position,
    counted: Counted,
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
        let (kind, owners) = match &self.owner {
            Owner::Tenant => (0_u8, Vec::new()),
            Owner::Agents(ids) => (1, ids.iter().map(AgentId::as_str).collect()),
            Owner::Project(id) => (2, vec![id.as_str()]),
            Owner::Parent(id) => (4, vec![id.as_str()]),
            Owner::User(id) => (5, vec![&**id]),
        };
        let mut identity = vec![kind];
        for owner in owners {
            identity.extend((owner.len() as u64).to_be_bytes());
            identity.extend(owner.as_bytes());
        }
        let time = |time: Option<Timestamp>| time.map_or(i64::MIN, Timestamp::micros).to_be_bytes();
        // What follows has one length, so that the owners before it are unambiguous.
        let root = self.root.map_or(0, |root| 1 + u8::from(root));
        identity.extend([self.statuses.bits(), self.outcomes.bits(), root]);
        identity.extend(time(self.created.after));
        identity.extend(time(self.created.before));
        identity
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
            past: None,
        }
    }

    /// This cursor for a listing as of a past position, which has so many rows.
    pub(crate) fn at(self, position: Position, counted: Counted) -> Self {
        let past = Some(Past { position, counted });
        Self { past, ..self }
    }

    /// The position that its listing shows, if that is a past one.
    pub fn position(&self) -> Option<Position> {
        self.past.map(|past| past.position)
    }

    /// The cursor's text.
    pub fn to_text(self) -> String {
        let version = if self.past.is_some() {
            VERSION_PAST
        } else {
            VERSION
        };
        let mut bytes = Vec::with_capacity(BYTES_PAST);
        bytes.push(version);
        bytes.extend(self.fingerprint);
        bytes.extend(self.place.to_bytes());
        if let Some(Past { position, counted }) = self.past {
            for number in [position.get(), counted.total, counted.left] {
                bytes.extend(number.to_be_bytes());
            }
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor of this listing.
    pub fn parse(text: &str, tenant: &TenantId, filter: &impl Paged) -> Result<Self, CursorError> {
        let mut bytes = [0; BYTES_PAST];
        let length = URL_SAFE_NO_PAD
            .decode_slice(text, &mut bytes)
            .map_err(|_not_base64| CursorError::Malformed)?;
        let (known, past) = bytes.split_at(BYTES);
        let (fields, place) = known.split_at(9);
        let past = match (fields[0], length) {
            (VERSION, BYTES) => None,
            (VERSION_PAST, BYTES_PAST) => {
                let number = |at: usize| {
                    let bytes = past[8 * at..].first_chunk();
                    u64::from_be_bytes(*bytes.expect("three numbers of eight bytes"))
                };
                Some(Past {
                    position: Position::new(number(0)),
                    counted: Counted {
                        total: number(1),
                        left: number(2),
                    },
                })
            }
            _ => return Err(CursorError::Malformed),
        };
        let fingerprint = fingerprint(tenant, filter);
        if fields[1..] != fingerprint {
            return Err(CursorError::OtherListing);
        }
        let place = place.try_into().expect("25 bytes less nine are sixteen");
        Ok(Self {
            fingerprint,
            place: ListingPlace::from_bytes(place),
            past,
        })
    }
}

impl Cursor {
    /// The place after which the next page starts.
    pub(super) fn place(self) -> ListingPlace {
        self.place
    }
}

impl From<Cursor> for PageStart {
    fn from(cursor: Cursor) -> Self {
        Self::After {
            place: cursor.place,
            counted: cursor.past.map(|past| past.counted),
        }
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
    use crate::domain::{AgentIds, AgentStatus, ProjectId, SessionId, StatusSet};

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

    fn session_filter() -> impl Strategy<Value = SessionFilter> {
        let id = || "[ab]{1,2}";
        let agents = proptest::collection::vec(id(), 1..3).prop_map(|ids| {
            let ids = ids.iter().map(|id| AgentId::parse(id).unwrap());
            Owner::Agents(AgentIds::of(ids.collect()).unwrap())
        });
        let owner = prop_oneof![
            Just(Owner::Tenant),
            agents,
            id().prop_map(|id| Owner::Project(ProjectId::parse(&id).unwrap())),
            id().prop_map(|id| Owner::Parent(SessionId::parse(&id).unwrap())),
            "[ab]{0,2}".prop_map(|id| Owner::User(id.into())),
        ];
        let root = proptest::option::of(any::<bool>());
        (owner, root).prop_map(|(owner, root)| SessionFilter {
            owner,
            root,
            ..SessionFilter::default()
        })
    }

    proptest! {
        #[test]
        fn a_cursor_leads_back_and_only_for_its_listing(
            filter in session_filter(),
            other in session_filter(),
            place: [u8; 16],
            past: Option<(u64, u64, u64)>,
        ) {
            let mut cursor = Cursor::new(&acme(), &filter, ListingPlace::from_bytes(place));
            if let Some((position, total, left)) = past {
                cursor = cursor.at(Position::new(position), Counted { total, left });
            }
            let text = cursor.to_text();
            prop_assert_eq!(Cursor::parse(&text, &acme(), &filter), Ok(cursor));
            let elsewhere = Cursor::parse(&text, &acme(), &other);
            let is_same = filter == other;
            prop_assert_eq!(elsewhere, if is_same { Ok(cursor) } else { Err(CursorError::OtherListing) });
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
        fn any_other_text_is_refused(text in "\\PC{0,80}") {
            prop_assert!(Cursor::parse(&text, &acme(), &SessionFilter::default()).is_err());
        }
    }
}
