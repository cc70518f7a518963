//! The history of a tenant's keys: every change on the log of keys that had an effect.

use crate::auth::event::{Grant, KeyEvent};
use crate::auth::{Author, KeyId, Keys};
use crate::domain::{TenantId, Timestamp};
use crate::log::LogError;

/// A change of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    /// The id of the key.
    pub id: KeyId,
    /// When the log stored the change.
    pub at: Timestamp,
    /// The author; `None` in records of older builds.
    pub by: Option<Author>,
    /// The grant of an issued key; `None` is a revocation.
    pub issued: Option<Grant>,
}

/// A page of changes, oldest first.
#[derive(Debug)]
pub struct KeyHistory {
    /// The changes on this page.
    pub changes: Vec<KeyChange>,
    /// The `after` of the next page; `None` if this is the last page.
    pub next_after: Option<usize>,
}

impl Keys {
    /// Returns up to `limit` changes of a tenant's keys and skips the first `after`. Includes
    /// changes of keys that are no longer listed.
    pub async fn history(
        &self,
        tenant: &TenantId,
        after: usize,
        limit: usize,
    ) -> Result<KeyHistory, LogError> {
        let (positions, all) = self.changes(tenant, after, limit);
        let seen = after.saturating_add(positions.len());
        let records = if positions.is_empty() {
            Vec::new()
        } else {
            self.log().get(positions).await?
        };
        let changes = records.iter().filter_map(|record| {
            let at = record.recorded_at;
            // The keyring has read all of these records, so none is unreadable.
            let change = match KeyEvent::read(record).ok()? {
                KeyEvent::Issued { id, grant, by, .. } => KeyChange {
                    id,
                    at,
                    by,
                    issued: Some(grant),
                },
                KeyEvent::Revoked { id, by, .. } => KeyChange {
                    id,
                    at,
                    by,
                    issued: None,
                },
            };
            Some(change)
        });
        Ok(KeyHistory {
            changes: changes.collect(),
            next_after: (seen < all).then_some(seen),
        })
    }
}
