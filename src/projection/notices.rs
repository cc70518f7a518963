//! Tells emitters on NATS what was rejected or parked: `ledger.verdict.v1.<tenant>`.
//!
//! Best effort, for those who care while it is fresh: a fold that catches up tells nothing, several
//! nodes tell the same, and the lasting answer is the verdict by position.

use crate::domain::limits::{NOTICES_BEHIND_MAX, NOTICES_MAX};
use crate::domain::{Payload, Position, Verdict};
use crate::log::Notice;
use crate::projection::prepare::Prepared;
use crate::wire::{Decoded, VerdictMessage, verdict_subject};

/// Adds what there is to tell of some records, given how far the log is known to go.
pub(crate) fn add(
    notices: &mut Vec<Notice>,
    records: &[Prepared],
    verdicts: &[Verdict],
    head: Position,
) {
    let last = records
        .last()
        .map_or(0, |prepared| prepared.record.position.get());
    if last + NOTICES_BEHIND_MAX < head.get() {
        return;
    }
    let left = NOTICES_MAX.saturating_sub(notices.len());
    let judged = records.iter().zip(verdicts);
    let found = judged.filter_map(|(prepared, verdict)| notice(prepared, *verdict));
    notices.extend(found.take(left));
}

fn notice(prepared: &Prepared, verdict: Verdict) -> Option<Notice> {
    match verdict {
        Verdict::Applied | Verdict::Duplicate(_) => return None,
        Verdict::Rejected(_) | Verdict::Parked => {}
    }
    let record = &prepared.record;
    let mut message = VerdictMessage::new(record.position, record.recorded_at, verdict);
    let tenant = match &prepared.decoded {
        Ok(Decoded { tenant, event }) => {
            message.r#type = Some(event.event_type().as_str());
            message.id = Some(event.id.as_str());
            message.source = Some(event.source.as_str());
            message.subject = match &event.payload {
                Payload::Session(id, _) => Some(id.as_str()),
                Payload::Agent(id, _) => Some(id.as_str()),
                Payload::Rules { .. } => None,
            };
            tenant.as_ref()
        }
        Err(undecodable) => undecodable.tenant.as_ref(),
    };
    let subject = verdict_subject(tenant?);
    Some(Notice {
        subject,
        payload: message.to_json(),
    })
}
