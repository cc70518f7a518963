//! Parked events: those that arrived before their session opened.
//!
//! A parked event is stored as a whole record. When its session opens, the parked events are folded
//! again, in the order of the log. An event is rejected when the log's time is a day past its own.
//!
//! ```text
//! parked    position (8)  ->  tenant (4) | recorded_at (8) | subject | session id (texts)
//!                             | length of private part (4) | private part | body
//! waiting   tenant (4) | session id | 0x00 | position (8)  ->  idempotency key (16)
//! ```

use bytes::Bytes;
use redb::ReadableTable;

use crate::domain::limits::{PARKED_PER_SESSION_MAX, PARKED_US_MAX};
use crate::domain::{EventKey, Position, Reason, SessionId, Timestamp, Verdict};
use crate::log::Record;
use crate::projection::bytes::{Reader, Writer};
use crate::projection::error::StoreError;
use crate::projection::fold::decision::{Step, copy_or_reuse};
use crate::projection::keys;
use crate::projection::numbers::TenantNumber;
use crate::projection::tables::Tables;
use crate::projection::working::Working;
use crate::wire::Headers;

/// A parked event.
pub(crate) struct Parked {
    pub(crate) tenant: TenantNumber,
    session: SessionId,
    pub(crate) record: Record,
}

/// Parks an event, unless its session has too many parked events already.
pub(crate) fn park(
    working: &mut Working<'_>,
    step: &Step<'_>,
    id: &SessionId,
) -> Result<Verdict, StoreError> {
    if PARKED_PER_SESSION_MAX <= waiting(working, step.tenant, id)?.len() {
        return Ok(Verdict::Rejected(Reason::ParkingFull));
    }
    let record = &step.prepared.record;
    let parked = Parked {
        tenant: step.tenant,
        session: id.clone(),
        // The body is decoded by the rules of its position, so the headers are not needed again.
        record: Record {
            headers: Headers::default(),
            payload: step.prepared.body.clone(),
            ..record.clone()
        },
    };
    working
        .tables
        .parked
        .insert(record.position.get(), &*parked.encode())?;
    let this = (record.position, record.recorded_at);
    working.oldest_parked.get_or_insert(this);
    let key = keys::waiting(step.tenant, id, record.position);
    working.tables.waiting.insert(&*key, step.key.bytes())?;
    Ok(Verdict::Parked)
}

/// The verdict on a copy of an event that is parked for the same session; `None` if it is no copy.
pub(crate) fn find_copy(
    working: &Working<'_>,
    step: &Step<'_>,
    id: &SessionId,
) -> Result<Option<Verdict>, StoreError> {
    let waiting = waiting(working, step.tenant, id)?;
    let Some((first, _)) = waiting.into_iter().find(|(_, key)| *key == step.key) else {
        return Ok(None);
    };
    copy_or_reuse(working, step, first).map(Some)
}

/// Removes all parked events of a session and returns them, oldest first.
pub(crate) fn take_all(
    working: &mut Working<'_>,
    tenant: TenantNumber,
    id: &SessionId,
) -> Result<Vec<Parked>, StoreError> {
    let waiting = waiting(working, tenant, id)?;
    waiting
        .into_iter()
        .map(|(position, _)| take(working, position))
        .collect()
}

/// Removes the oldest parked event and returns it, if it is overdue by the log's time.
pub(crate) fn take_overdue(
    working: &mut Working<'_>,
    now: Timestamp,
) -> Result<Option<Parked>, StoreError> {
    match working.oldest_parked {
        Some((position, since)) if is_overdue(since, now) => take(working, position).map(Some),
        _ => Ok(None),
    }
}

/// Whether an event that was recorded at one time is overdue at another.
pub(crate) fn is_overdue(recorded_at: Timestamp, now: Timestamp) -> bool {
    PARKED_US_MAX < now.micros_since(recorded_at)
}

/// The positions and keys of the parked events of a session, oldest first.
fn waiting(
    working: &Working<'_>,
    tenant: TenantNumber,
    id: &SessionId,
) -> Result<Vec<(Position, EventKey)>, StoreError> {
    if working.oldest_parked.is_none() {
        return Ok(Vec::new());
    }
    let low = keys::waiting_prefix(tenant, id);
    let high = keys::waiting(tenant, id, Position::new(u64::MAX));
    let mut found = Vec::new();
    for entry in working
        .tables
        .waiting
        .range::<&[u8]>(&low[..]..=&high[..])?
    {
        let (key, event) = entry?;
        let position = keys::waiting_position(key.value());
        let position = position.ok_or(StoreError::Damaged("waiting events"))?;
        found.push((position, EventKey::from_bytes(*event.value())));
    }
    Ok(found)
}

/// The oldest parked event.
pub(crate) fn oldest(tables: &Tables<'_>) -> Result<Option<(Position, Timestamp)>, StoreError> {
    let Some((position, parked)) = tables.parked.first()? else {
        return Ok(None);
    };
    let mut from = Reader::new(parked.value(), "parked event");
    let (_tenant, recorded_at) = (from.u32()?, from.i64()?);
    let recorded_at = Timestamp::from_micros_clamped(recorded_at);
    Ok(Some((Position::new(position.value()), recorded_at)))
}

/// Removes a parked event and returns it.
fn take(working: &mut Working<'_>, position: Position) -> Result<Parked, StoreError> {
    let parked = match working.tables.parked.remove(position.get())? {
        Some(parked) => Parked::decode(position, parked.value())?,
        None => return Err(StoreError::Damaged("parked events")),
    };
    let key = keys::waiting(parked.tenant, &parked.session, position);
    working.tables.waiting.remove(&*key)?;
    if working
        .oldest_parked
        .is_some_and(|(oldest, _)| oldest == position)
    {
        working.oldest_parked = oldest(&working.tables)?;
    }
    Ok(parked)
}

impl Parked {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u32(self.tenant.get());
        out.i64(self.record.recorded_at.micros());
        out.text(Some(&self.record.subject));
        out.text(Some(self.session.as_str()));
        let private = u32::try_from(self.record.private.len());
        out.u32(private.expect("a private part is short"));
        out.raw(&self.record.private);
        out.raw(&self.record.payload);
        out.finish()
    }

    pub(crate) fn decode(position: Position, bytes: &[u8]) -> Result<Self, StoreError> {
        let mut from = Reader::new(bytes, "parked event");
        let (tenant, recorded_at) = (TenantNumber::new(from.u32()?), from.i64()?);
        let (subject, session) = (from.required()?, from.required()?);
        let length = usize::try_from(from.u32()?).map_err(|_too_long| from.damaged())?;
        let private = Bytes::copy_from_slice(from.raw(length)?);
        let record = Record {
            position,
            recorded_at: Timestamp::from_micros_clamped(recorded_at),
            subject: subject.into(),
            private,
            headers: Headers::default(),
            payload: Bytes::copy_from_slice(from.rest()),
        };
        let session = SessionId::parse(session).map_err(|_not_an_id| from.damaged())?;
        Ok(Self {
            tenant,
            session,
            record,
        })
    }
}
