//! Makes an export: from its end to a position of the log.

use super::End;
use super::error::ExportError;
use super::line::Line;
use super::segment::{SegmentSize, SegmentWriter};
use super::source::{Source, last_position};
use super::target::Target;
use crate::domain::{Position, TenantId, Timestamp};
use crate::log::chain::TenantChain;

/// Adds the events that an export lacks, up to an end that the ledger has said.
///
/// First, a run that was interrupted goes on to its own end, so that its files become those that it would have written. Calls
/// `on_step` with the number of events that the export has, and with the number that it will have.
pub async fn export(
    mut target: Target,
    source: &dyn Source,
    goal: &End,
    (size, now): (SegmentSize, Timestamp),
    mut on_step: impl FnMut(u64, u64),
) -> Result<Target, ExportError> {
    check(&target, source, goal).await?;
    if let Some(unfinished) = target.manifest().unfinished_until {
        let until = Position::new(unfinished);
        if goal.until < until {
            let asked = goal.until;
            return Err(ExportError::Before { until, asked });
        }
        let end = source.end(until).await.map_err(ExportError::Source)?;
        target = go_to(target, source, &end, (size, now), &mut on_step).await?;
    }
    // A new export gets its tenant and its manifest even if it has no event.
    let is_begun = !target.manifest().tenant.is_empty();
    if is_begun && goal.until <= target.manifest().until {
        return Ok(target);
    }
    go_to(target, source, goal, (size, now), &mut on_step).await
}

/// Checks that what the export has is what the ledger has.
async fn check(target: &Target, source: &dyn Source, goal: &End) -> Result<(), ExportError> {
    let manifest = target.manifest();
    if !manifest.tenant.is_empty() && manifest.tenant != goal.tenant {
        return Err(ExportError::OtherTenant {
            found: manifest.tenant.clone(),
            asked: goal.tenant.clone(),
        });
    }
    let at = manifest.complete_until();
    if at == Position::ZERO {
        return Ok(());
    }
    let end = source.end(at).await.map_err(ExportError::Source)?;
    if end.chain == manifest.chain() {
        Ok(())
    } else {
        Err(ExportError::OtherLedger(at))
    }
}

async fn go_to(
    mut target: Target,
    source: &dyn Source,
    end: &End,
    (size, now): (SegmentSize, Timestamp),
    on_step: &mut impl FnMut(u64, u64),
) -> Result<Target, ExportError> {
    let until = end.until;
    let tenant = TenantId::parse(&end.tenant).map_err(|error| ExportError::Source(error.into()))?;
    target.begin(&end.tenant, until, now)?;
    let mut work = Work {
        chain: target.manifest().chain(),
        target,
        tenant,
        segment: None,
        to: (until, now),
        size,
    };
    let events = end.chain.events;
    on_step(work.chain.events, events);
    let mut page = next(source, work.chain.position, end).await?;
    while let Some(text) = page {
        let Some(last) = last_position(&text) else {
            let after = work.chain.position;
            return Err(ExportError::Short {
                after,
                events,
                until,
            });
        };
        // The next page is on its way while this one is written.
        let added = blocking(move || work.add(&text).map(|()| work));
        let (added, following) = tokio::join!(added, next(source, last, end));
        work = added?;
        on_step(work.chain.events, events);
        page = following?;
    }
    if work.chain != end.chain {
        return Err(ExportError::Chain(until));
    }
    blocking(move || work.finish()).await
}

/// The page after a position; `None` if the tenant has no events there.
async fn next(
    source: &dyn Source,
    after: Position,
    end: &End,
) -> Result<Option<String>, ExportError> {
    if end.chain.position <= after {
        return Ok(None);
    }
    let page = source.page(after, end.until).await;
    page.map(Some).map_err(ExportError::Source)
}

/// What writes the events of a run. Its functions block.
struct Work {
    target: Target,
    tenant: TenantId,
    /// The chain after the last event.
    chain: TenantChain,
    /// The open segment.
    segment: Option<SegmentWriter>,
    /// Where the run ends, and the time for the manifest.
    to: (Position, Timestamp),
    size: SegmentSize,
}

impl Work {
    /// Adds the events of a page.
    fn add(&mut self, page: &str) -> Result<(), ExportError> {
        for line in page.split_terminator('\n') {
            let after = self.chain.position;
            let fault = |fault| ExportError::Answer { after, fault };
            let line = Line::read(line.as_bytes()).map_err(fault)?;
            self.chain = line.follow(&self.tenant, &self.chain).map_err(fault)?;
            self.write(&line)?;
        }
        Ok(())
    }

    /// Writes a line into the open segment, and completes the segment if it is full.
    fn write(&mut self, line: &Line<'_>) -> Result<(), ExportError> {
        let segment = match self.segment.take() {
            Some(mut open) => {
                open.add(line, &self.chain)?;
                open
            }
            None => SegmentWriter::begin(self.target.dir(), line, &self.chain)?,
        };
        if segment.is_full(self.size) {
            self.target.put(segment, self.to)
        } else {
            self.segment = Some(segment);
            Ok(())
        }
    }

    fn finish(mut self) -> Result<Target, ExportError> {
        if let Some(segment) = self.segment {
            self.target.put(segment, self.to)?;
        }
        let (until, now) = self.to;
        self.target.complete(until, now)?;
        Ok(self.target)
    }
}

/// Runs work on files on a thread for such work.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ExportError> + Send + 'static,
) -> Result<T, ExportError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(ExportError::Panicked(error)))
}
