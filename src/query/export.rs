//! Exports: the chain over a tenant's events at any position.
//!
//! The read model has the chain at some places. In between, it follows from the records of the log after the
//! place before. Reading on to the place after shows that these are the records that were folded.

use crate::domain::limits::{CHAIN_MARK_EVENTS, LOG_GET_IN_FLIGHT_MAX};
use crate::domain::{Position, RulesHistory, TenantId};
use crate::log::EventLog;
use crate::log::chain::{RecordHashes, TenantChain};
use crate::projection::{EventRange, Order, Snapshot, StoreError};
use crate::query::QueryError;

/// The part of a tenant's chain around a position.
#[derive(Debug, Clone)]
pub struct Stretch {
    at: Position,
    start: TenantChain,
    end: TenantChain,
    /// The events after the start, up to the end.
    positions: Vec<Position>,
}

/// The chain over all events of a tenant.
pub fn chain(snapshot: &Snapshot, tenant: &TenantId) -> Result<TenantChain, StoreError> {
    match snapshot.of_tenant(tenant)? {
        Some(tenant) => tenant.chain(),
        None => Ok(TenantChain::EMPTY),
    }
}

/// Finds the part of a tenant's chain around a position, which the snapshot has reached.
pub fn stretch(
    snapshot: &Snapshot,
    tenant: &TenantId,
    at: Position,
) -> Result<Stretch, StoreError> {
    let Some(tenant) = snapshot.of_tenant(tenant)? else {
        return Ok(Stretch {
            at,
            start: TenantChain::EMPTY,
            end: TenantChain::EMPTY,
            positions: Vec::new(),
        });
    };
    let (start, end) = tenant.chain_around(at)?;
    let mut positions = Vec::new();
    if start.position < at {
        let range = EventRange {
            after: start.position,
            before: end.position.next(),
            order: Order::OldestFirst,
        };
        tenant.verdicts(range, |position, _row| {
            positions.push(position);
            Ok((positions.len() as u64) < CHAIN_MARK_EVENTS)
        })?;
    }
    Ok(Stretch {
        at,
        start,
        end,
        positions,
    })
}

impl Stretch {
    /// Returns the chain at the position. Reads the records around it. Fails if they are not the ones that were
    /// folded.
    pub async fn chain(
        &self,
        log: &dyn EventLog,
        rules: &RulesHistory,
    ) -> Result<TenantChain, QueryError> {
        let (mut found, mut chain) = (self.start, self.start);
        for positions in self.positions.chunks(4 * LOG_GET_IN_FLIGHT_MAX) {
            for record in log.get(positions.to_vec()).await? {
                let body = record.body(rules.at(record.position));
                let hashes = RecordHashes::of(&record.private, &body);
                chain.add(
                    (record.position, record.recorded_at),
                    &record.subject,
                    &hashes,
                );
                if record.position <= self.at {
                    found = chain;
                }
            }
        }
        if self.positions.is_empty() || chain == self.end {
            Ok(found)
        } else {
            Err(QueryError::OtherRecords {
                after: self.start.position,
                until: self.end.position,
            })
        }
    }
}
