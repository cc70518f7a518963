//! The fold: each record in log order changes the read model and gets a verdict.
//!
//! Nothing here reads a clock or depends on the batches. `domain` decides what an event does to a session
//! or an agent. These files look up rows, recognize copies and store verdicts.

mod agents;
mod decision;
pub(crate) mod parking;
mod sessions;
mod verdicts;

use crate::domain::limits::PARKED_ENDED_PER_RECORD_MAX;
use crate::domain::{Event, Moment, Payload, Position, Reason, Rules, Timestamp, Verdict};
use crate::log::chain;
use crate::projection::error::{FoldError, StoreError};
use crate::projection::numbers::TenantNumber;
use crate::projection::prepare::Prepared;
use crate::projection::working::Working;
use crate::wire::{self, Decoded};
use decision::{Decision, Step};
use parking::Parked;
pub(crate) use verdicts::PARKED_CODE;

/// Folds one record.
pub(crate) fn record(working: &mut Working<'_>, prepared: &Prepared) -> Result<Verdict, FoldError> {
    let rules = working.progress.rules.current();
    if prepared.rules != rules {
        // The record was prepared before a switch of the rules ahead of it was known.
        return record(working, &Prepared::new(rules, prepared.record.clone()));
    }
    let record = &prepared.record;
    let expected = working.progress.position.next();
    if record.position != expected {
        return Err(FoldError::OutOfOrder {
            expected,
            found: record.position,
        });
    }
    check_rules(prepared)?;
    let here = (record.position, record.recorded_at);
    end_waiting(working, here)?;
    let (tenant, decision) = match &prepared.decoded {
        Ok(Decoded {
            tenant: Some(tenant),
            event,
            ..
        }) => {
            let tenant = working.tenant(tenant)?;
            (tenant, decide(working, tenant, event, prepared)?)
        }
        Ok(Decoded {
            tenant: None,
            event,
            ..
        }) => (
            TenantNumber::NONE,
            switch_rules(working, event, record.position),
        ),
        Err(undecodable) => {
            let tenant = match &undecodable.tenant {
                Some(tenant) => working.tenant(tenant)?,
                None => TenantNumber::NONE,
            };
            (tenant, Decision::rejected(undecodable.reason))
        }
    };
    verdicts::note(working, tenant, prepared, decision)?;
    working.add_to_chain(tenant, prepared)?;
    // A queue, not recursion: hand-offs that waited may open a chain of sessions of any length.
    while let Some((tenant, id)) = working.opened.pop_front() {
        for parked in parking::take_all(working, tenant, &id)? {
            release(working, parked, here)?;
        }
    }
    let progress = &mut working.progress;
    progress.chain_before = progress.chain;
    progress.chain = chain::link(&progress.chain, record, &prepared.hashes);
    progress.position = record.position;
    if wire::is_expiry(&record.subject) {
        progress.last_expiry = record.position;
    }
    progress.recorded_at = record.recorded_at;
    Ok(decision.verdict)
}

/// Rejects events that were parked for a day, a few with each record. So after a flood of events whose
/// sessions never open, no single record pays for all of them.
fn end_waiting(
    working: &mut Working<'_>,
    (by, now): (Position, Timestamp),
) -> Result<(), StoreError> {
    for _ in 0..PARKED_ENDED_PER_RECORD_MAX {
        let Some(parked) = parking::take_overdue(working, now)? else {
            break;
        };
        let decision = Decision::rejected(Reason::ParkingExpired);
        verdicts::settle(working, (parked.tenant, &parked.record), decision, by)?;
    }
    Ok(())
}

/// Folds a parked event whose session has just opened.
fn release(
    working: &mut Working<'_>,
    parked: Parked,
    (by, now): (Position, Timestamp),
) -> Result<(), StoreError> {
    let of = (parked.tenant, parked.record.position);
    // By the rules at its own position, even if newer rules apply now.
    let rules = working.progress.rules.at(of.1);
    let prepared = Prepared::new(rules, parked.record);
    let decision = match &prepared.decoded {
        // An overdue event may still be parked, because each record ends only a few.
        _ if parking::is_overdue(prepared.record.recorded_at, now) => {
            Decision::rejected(Reason::ParkingExpired)
        }
        Ok(Decoded { event, .. }) => decide(working, parked.tenant, event, &prepared)?,
        Err(undecodable) => Decision::rejected(undecodable.reason),
    };
    verdicts::settle(working, (parked.tenant, &prepared.record), decision, by)
}

fn decide(
    working: &mut Working<'_>,
    tenant: TenantNumber,
    event: &Event,
    prepared: &Prepared,
) -> Result<Decision, StoreError> {
    let record = &prepared.record;
    let step = Step {
        tenant,
        at: Moment::new(
            prepared.rules,
            record.position,
            event.time,
            record.recorded_at,
        ),
        key: event.key(),
        private: &event.private,
        prepared,
    };
    match &event.payload {
        Payload::Session(id, happened) => match working.find_session(tenant, id)? {
            Some(ordinal) => sessions::on_open_session(working, &step, ordinal, happened),
            None => sessions::on_unknown_session(working, &step, id, happened),
        },
        Payload::Agent(id, happened) => agents::on_agent(working, &step, id, happened),
        // Rules belong to no tenant, so the decoder rejects them in the name of one.
        Payload::Rules { .. } => Ok(Decision::rejected(Reason::SubjectMismatch)),
    }
}

/// Fails at a record that asks for rules that this build does not know, before it has any effect.
fn check_rules(prepared: &Prepared) -> Result<(), FoldError> {
    match &prepared.decoded {
        Ok(Decoded {
            tenant: None,
            event,
            ..
        }) => match event.payload {
            Payload::Rules { version } if Rules::LATEST.number() < version => {
                Err(FoldError::Rules {
                    at: prepared.record.position,
                    asked: version,
                    known: Rules::LATEST.number(),
                })
            }
            Payload::Rules { .. } | Payload::Session(..) | Payload::Agent(..) => Ok(()),
        },
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Switches to other rules, from the next record on.
fn switch_rules(working: &mut Working<'_>, event: &Event, at: Position) -> Decision {
    let Payload::Rules { version } = event.payload else {
        return Decision::rejected(Reason::TenantMismatch);
    };
    let rules = &mut working.progress.rules;
    match Rules::from_number(version) {
        Some(asked) if rules.current() <= asked => {
            rules.switch(asked, at);
            Decision::new(Verdict::Applied)
        }
        // A late copy must not switch back to old rules.
        Some(_) | None => Decision::rejected(Reason::Superseded),
    }
}
