//! Stores the verdict on each record, and lists the rejected and parked events.

use redb::ReadableTable;

use crate::domain::{EventType, Position, Verdict};
use crate::log::Record;
use crate::projection::error::StoreError;
use crate::projection::fold::decision::Decision;
use crate::projection::keys;
use crate::projection::numbers::TenantNumber;
use crate::projection::prepare::Prepared;
use crate::projection::verdict_row::VerdictRow;
use crate::projection::working::Working;

/// Code under which parked events are listed beside the rejected ones.
pub(crate) const PARKED_CODE: u8 = u8::MAX;

/// Stores the verdict on a record.
pub(crate) fn note(
    working: &mut Working<'_>,
    tenant: TenantNumber,
    prepared: &Prepared,
    decision: Decision,
) -> Result<(), StoreError> {
    let event_type: Option<EventType> = prepared
        .decoded
        .as_ref()
        .ok()
        .map(|decoded| decoded.event.event_type());
    let row = VerdictRow {
        event_type,
        verdict: decision.verdict,
        settled_at: None,
        recorded_at: prepared.record.recorded_at,
        subject: decision.subject,
        agent: decision.agent,
        body_hash: prepared.body_hash(),
    };
    let position = prepared.record.position;
    working.set_verdict(tenant, position, row);
    match decision.verdict {
        Verdict::Applied | Verdict::Duplicate(_) => Ok(()),
        Verdict::Rejected(reason) => list_rejection(working, tenant, reason as u8, position),
        Verdict::Parked => list_rejection(working, tenant, PARKED_CODE, position),
    }
}

/// Replaces the verdict `parked` on an event that is decided now.
pub(crate) fn settle(
    working: &mut Working<'_>,
    (tenant, record): (TenantNumber, &Record),
    decision: Decision,
    by: Position,
) -> Result<(), StoreError> {
    let position = record.position;
    working.settled.note(record, decision.verdict, by);
    let mut row = working.verdict(tenant, position)?;
    row.verdict = decision.verdict;
    row.settled_at = Some(by);
    row.subject = decision.subject.or(row.subject);
    row.agent = decision.agent.or(row.agent);
    working.set_verdict(tenant, position, row);
    unlist_parked(working, tenant, position)?;
    if let Verdict::Rejected(reason) = decision.verdict {
        list_rejection(working, tenant, reason as u8, position)?;
    }
    Ok(())
}

/// Lists an event among the rejected and parked ones.
fn list_rejection(
    working: &mut Working<'_>,
    tenant: TenantNumber,
    code: u8,
    position: Position,
) -> Result<(), StoreError> {
    let tables = &mut working.tables;
    tables
        .rejections
        .insert(&keys::rejection(tenant, code, position.get()), ())?;
    let key = keys::rejection_count(tenant, code);
    let total = tables
        .rejection_totals
        .get(&key)?
        .map_or(0, |total| total.value());
    tables.rejection_totals.insert(&key, total + 1)?;
    Ok(())
}

fn unlist_parked(
    working: &mut Working<'_>,
    tenant: TenantNumber,
    position: Position,
) -> Result<(), StoreError> {
    let tables = &mut working.tables;
    tables
        .rejections
        .remove(&keys::rejection(tenant, PARKED_CODE, position.get()))?;
    let key = keys::rejection_count(tenant, PARKED_CODE);
    let total = tables
        .rejection_totals
        .get(&key)?
        .map_or(0, |total| total.value());
    if 1 < total {
        tables.rejection_totals.insert(&key, total - 1)?;
    } else {
        tables.rejection_totals.remove(&key)?;
    }
    Ok(())
}
