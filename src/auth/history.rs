//! The history of a tenant's keys: every change that had an effect, as the log of keys has it.

use crate::auth::event::{Grant, KeyEvent};
use crate::auth::{Author, KeyId, Keys};
use crate::domain::{TenantId, Timestamp};
use crate::log::LogError;

/// Something that happened to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    /// The key.
    pub id: KeyId,
    /// When the log took it.
    pub at: Timestamp,
    /// Who did it; not known of what older builds wrote.
    pub by: Option<Author>,
    /// What it was issued with; `None` is a revocation.
    pub issued: Option<Grant>,
}

/// A page of them, the oldest first.
#[derive(Debug)]
pub struct KeyHistory {
    /// The page.
    pub changes: Vec<KeyChange>,
    /// How many changes there are up to the end of the page, if there are more.
    pub next_after: Option<usize>,
}

impl Keys {
    /// Changes of a tenant's keys, after so many. Also of keys that are listed no more.
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
            // The keyring has read every one of them before.
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
