//! Tells emitters on NATS what was rejected, what waits, and what became of what waited:
//! `ledger.verdict.v1.<tenant>`.
//!
//! Best effort, for those who care while it is fresh: several nodes tell the same, a fold that catches
//! up tells nothing, and a batch has a bound. What is left out is named by a mark with its positions, so
//! that listeners can read the lasting answer, the verdict by position.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::limits::{NOTICE_GAPS_MAX, NOTICES_BEHIND_MAX, NOTICES_MAX, NOTICES_WAIT_MS};
use crate::domain::{Position, TenantId, Verdict};
use crate::log::{EventLog, Notice, Record};
use crate::projection::prepare::Prepared;
use crate::wire::{GapMessage, Subject, VerdictMessage, verdict_subject};

/// What became of events that waited, up to a bound, and what is beyond it.
#[derive(Debug, Default)]
pub(crate) struct Settlements {
    events: Vec<Settled>,
    missed: Missed,
}

/// An event that waited, its verdict, and the record that brought it about.
#[derive(Debug)]
struct Settled {
    record: Record,
    verdict: Verdict,
    by: Position,
}

/// A record and what became of it.
#[derive(Clone, Copy)]
struct Judged<'a> {
    record: &'a Record,
    body: &'a [u8],
    verdict: Verdict,
    by: Option<Position>,
    ignored: &'a [String],
}

/// What there is to tell after a batch.
#[derive(Debug, Default)]
pub(crate) struct News {
    verdicts: Vec<VerdictNotice>,
    missed: Missed,
}

/// A verdict to publish.
#[derive(Debug)]
struct VerdictNotice {
    tenant: TenantId,
    position: Position,
    payload: Vec<u8>,
}

/// Verdicts that are not told, by tenant.
#[derive(Debug, Default)]
struct Missed(BTreeMap<TenantId, GapMessage>);

/// Tells what the batches bring, and remembers what it has not told.
pub(super) struct Teller {
    log: Arc<dyn EventLog>,
    missed: Missed,
}

/// Whether a record is close enough to the end of the log for its verdict to be told.
pub(super) fn is_fresh(position: Position, head: Position) -> bool {
    head.get() <= position.get().saturating_add(NOTICES_BEHIND_MAX)
}

impl Settlements {
    /// Notes what became of an event that waited, and which record brought that about.
    pub(crate) fn note(&mut self, record: &Record, verdict: Verdict, by: Position) {
        if self.events.len() < NOTICES_MAX {
            let record = record.clone();
            self.events.push(Settled {
                record,
                verdict,
                by,
            });
        } else if let Some(tenant) = tenant(record) {
            self.missed.note(tenant, record.position);
        }
    }
}

impl News {
    /// Adds what there is to tell of some records and of what they settled, given how far the log is
    /// known to go.
    pub(crate) fn add(
        &mut self,
        records: &[Prepared],
        verdicts: &[Verdict],
        settled: Settlements,
        head: Position,
    ) {
        let last = records.last().map(|prepared| prepared.record.position);
        let fresh = last.is_some_and(|last| is_fresh(last, head));
        for (prepared, verdict) in records.iter().zip(verdicts) {
            let ignored = prepared.ignored();
            match verdict {
                Verdict::Duplicate(_) => {}
                Verdict::Applied if ignored.is_empty() => {}
                Verdict::Applied | Verdict::Rejected(_) | Verdict::Parked => {
                    let judged = Judged {
                        record: &prepared.record,
                        body: &prepared.body,
                        verdict: *verdict,
                        by: None,
                        ignored,
                    };
                    self.tell(judged, fresh);
                }
            }
        }
        for event in &settled.events {
            let judged = Judged {
                record: &event.record,
                // What waits is kept as it was read, so its payload is its body.
                body: &event.record.payload,
                verdict: event.verdict,
                by: Some(event.by),
                ignored: &[],
            };
            self.tell(judged, fresh);
        }
        self.missed.merge(settled.missed);
    }

    fn tell(&mut self, judged: Judged<'_>, fresh: bool) {
        let record = judged.record;
        let Some(tenant) = tenant(record) else {
            // Nobody in particular sent it.
            return;
        };
        let position = record.position;
        if !fresh || NOTICES_MAX <= self.verdicts.len() {
            return self.missed.note(tenant, position);
        }
        let mut message = VerdictMessage::new(position, record.recorded_at, judged.verdict);
        message.settled_at = judged.by;
        message.ignored = judged.ignored;
        self.verdicts.push(VerdictNotice {
            tenant,
            position,
            payload: message.identified_by(judged.body).to_json(),
        });
    }
}

impl Missed {
    fn note(&mut self, tenant: TenantId, position: Position) {
        self.merge_one(tenant, GapMessage::at(position));
    }

    fn merge(&mut self, other: Self) {
        for (tenant, gap) in other.0 {
            self.merge_one(tenant, gap);
        }
    }

    fn merge_one(&mut self, tenant: TenantId, gap: GapMessage) {
        let known = self.0.entry(tenant);
        known.and_modify(|known| known.merge(gap)).or_insert(gap);
    }

    fn marks(&self) -> impl Iterator<Item = Notice> {
        self.0.iter().map(|(tenant, gap)| Notice {
            subject: verdict_subject(tenant),
            payload: gap.to_json(),
        })
    }
}

impl Teller {
    pub(super) fn new(log: Arc<dyn EventLog>) -> Self {
        let missed = Missed::default();
        Self { log, missed }
    }

    /// Whether listeners have yet to hear that they missed something.
    pub(super) fn owes_marks(&self) -> bool {
        !self.missed.0.is_empty()
    }

    /// Tells what a batch brought; and, if the fold has caught up, what listeners missed until now.
    pub(super) async fn tell(&mut self, news: News, caught_up: bool) {
        self.missed.merge(news.missed);
        let marks = if caught_up || NOTICE_GAPS_MAX <= self.missed.0.len() {
            mem::take(&mut self.missed)
        } else {
            Missed::default()
        };
        let mut untold = Missed::default();
        let mut notices = Vec::with_capacity(news.verdicts.len());
        for VerdictNotice {
            tenant,
            position,
            payload,
        } in news.verdicts
        {
            let subject = verdict_subject(&tenant);
            notices.push(Notice { subject, payload });
            untold.note(tenant, position);
        }
        // Last, so that whoever reads what a mark names has heard of what is outside of it.
        notices.extend(marks.marks());
        if notices.is_empty() {
            return;
        }
        // Whoever cannot be told in time is told later: nothing may hold up the fold.
        let wait = Duration::from_millis(NOTICES_WAIT_MS);
        let handed_over = tokio::time::timeout(wait, self.log.notify(notices)).await;
        if handed_over != Ok(true) {
            self.missed.merge(untold);
            self.missed.merge(marks);
        }
    }
}

fn tenant(record: &Record) -> Option<TenantId> {
    Subject::parse(&record.subject)?.tenant().cloned()
}

#[cfg(test)]
#[path = "notices_tests.rs"]
mod tests;
