//! Publishes verdicts to emitters on NATS: of events that were rejected or parked, and of parked events
//! that were decided. The subject is `ledger.verdict.v1.<tenant>`.
//!
//! This is best effort. Several nodes publish the same verdict, a fold that is catching up publishes
//! none, and a batch publishes at most [`NOTICES_MAX`]. A gap message names the positions of the verdicts
//! that were left out, so that listeners can read those by position.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::limits::{NOTICE_GAPS_MAX, NOTICES_BEHIND_MAX, NOTICES_MAX, NOTICES_WAIT_MS};
use crate::domain::{Position, TenantId, Verdict};
use crate::log::{EventLog, Notice, Record};
use crate::projection::prepare::Prepared;
use crate::wire::{GapMessage, Subject, VerdictMessage, verdict_subject};

/// The verdicts on events that had been parked: up to [`NOTICES_MAX`], and the positions of the others.
#[derive(Debug, Default)]
pub(crate) struct Settlements {
    events: Vec<Settled>,
    missed: Missed,
}

/// An event that had been parked, its verdict, and the record that caused the verdict.
#[derive(Debug)]
struct Settled {
    record: Record,
    verdict: Verdict,
    by: Position,
}

/// A record and its verdict.
#[derive(Clone, Copy)]
struct Judged<'a> {
    record: &'a Record,
    body: &'a [u8],
    verdict: Verdict,
    by: Option<Position>,
    ignored: &'a [String],
}

/// The verdicts to publish after a batch.
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

/// Verdicts that were not published, by tenant.
#[derive(Debug, Default)]
struct Missed(BTreeMap<TenantId, GapMessage>);

/// Publishes the verdicts of batches, and remembers those that it could not publish.
pub(super) struct Teller {
    log: Arc<dyn EventLog>,
    missed: Missed,
}

/// Whether a record is close enough to the end of the log for its verdict to be published.
pub(super) fn is_fresh(position: Position, head: Position) -> bool {
    head.get() <= position.get().saturating_add(NOTICES_BEHIND_MAX)
}

impl Settlements {
    /// Adds the verdict on an event that had been parked, and the record that caused it.
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
    /// Adds the verdicts of some records, and those of parked events that these records settled. `head`
    /// is the last known position of the log.
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
                // A parked record is stored with its body as the payload.
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
            // The record names no tenant, so there is no subject to publish on.
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

    /// Whether there are gap messages to publish.
    pub(super) fn owes_marks(&self) -> bool {
        !self.missed.0.is_empty()
    }

    /// Publishes the verdicts of a batch and, if the fold has caught up, the gap messages.
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
        // The gap messages come last: a listener then has every verdict that they do not name.
        notices.extend(marks.marks());
        if notices.is_empty() {
            return;
        }
        // After a timeout, gap messages name these verdicts later: nothing may delay the fold.
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
