//! Compares an export with a ledger: its events must be the first ones that the ledger has.
//!
//! The chain alone would say whether they are. Comparing each line as well finds the place, and another verdict,
//! which no chain covers.

use std::collections::VecDeque;
use std::path::Path;

use super::difference::{Difference, What};
use super::error::ExportError;
use super::line::Line;
use super::manifest::{MANIFEST, Manifest};
use super::reader::{Found, Reader};
use super::run::blocking;
use super::source::{End, Source};
use crate::domain::Position;
use crate::log::chain::TenantChain;

/// Compares an export, whose files were checked, with what a ledger has. Returns the first difference.
///
/// `present` is what the ledger has up to [`Manifest::verdicts_until`], or up to its own end if that is earlier.
/// Then both are compared up to there. Calls `on_step` with the number of events that were compared, and with that of
/// all.
pub async fn compare(
    (dir, manifest): (&Path, &Manifest),
    source: &dyn Source,
    present: &End,
    mut on_step: impl FnMut(u64, u64),
) -> Result<Option<Difference>, ExportError> {
    if manifest.tenant != present.tenant {
        return Err(ExportError::OtherTenant {
            found: manifest.tenant.clone(),
            asked: present.tenant.clone(),
        });
    }
    let at = manifest.complete_until().min(present.until);
    let mut ledger = Ledger {
        source,
        at,
        end: present.until,
        compared: Position::ZERO,
        lines: VecDeque::new(),
    };
    let mut reader = Reader::new(dir, manifest);
    let mut chain = TenantChain::EMPTY;
    'all: loop {
        let read = blocking(move || Ok((reader.next_events(), reader))).await?;
        let (events, rest) = read;
        reader = rest;
        let events = match events {
            Ok(events) => events,
            Err(difference) => return Ok(Some(difference)),
        };
        if events.is_empty() {
            break;
        }
        for found in events {
            if at < found.line.position() {
                break 'all;
            }
            if let Some(difference) = ledger.differs(&found).await? {
                return Ok(Some(difference));
            }
            chain = found.chain;
        }
        on_step(chain.events, manifest.events);
    }
    ledger.check_end(&chain).await
}

/// The lines of the ledger, which are read along with those of the export.
struct Ledger<'a> {
    source: &'a dyn Source,
    /// Up to here, both are compared.
    at: Position,
    /// The end of the ledger.
    end: Position,
    /// The last event that was compared.
    compared: Position,
    lines: VecDeque<Line<'static>>,
}

impl Ledger<'_> {
    /// Compares the next event of the export with that of the ledger.
    async fn differs(&mut self, found: &Found) -> Result<Option<Difference>, ExportError> {
        let difference = |what| {
            Some(Difference {
                file: found.file.clone(),
                line: Some(found.number),
                position: Some(found.line.position()),
                after: None,
                what,
            })
        };
        let Some(line) = self.next(found.verdict_as_of).await? else {
            return Ok(difference(What::Server));
        };
        if line.position() < found.line.position() {
            return Ok(difference(What::Lacks(line.position())));
        }
        self.compared = line.position();
        if !line.is_same_record(&found.line) {
            return Ok(difference(What::Server));
        }
        // Of a ledger that ends earlier, later verdicts are not known.
        let is_known = found.verdict_as_of <= self.end;
        if is_known && line != found.line {
            return Ok(difference(What::Verdict));
        }
        Ok(None)
    }

    /// The next event of the ledger, with the verdict that it had at a position; `None` if there is none.
    async fn next(
        &mut self,
        verdict_as_of: Position,
    ) -> Result<Option<Line<'static>>, ExportError> {
        if self.lines.is_empty() {
            let after = self.compared;
            let page = self.source.page(after, verdict_as_of.min(self.end)).await;
            let page = page.map_err(ExportError::Source)?;
            for line in page.split_terminator('\n') {
                let line = Line::read(line.as_bytes());
                let line = line.map_err(|fault| ExportError::Answer { after, fault })?;
                self.lines.push_back(line);
            }
        }
        Ok(self.lines.pop_front())
    }

    /// Compares the ends. `chain` is that of the export after the last event that was compared.
    async fn check_end(self, chain: &TenantChain) -> Result<Option<Difference>, ExportError> {
        let end = self
            .source
            .end(self.at)
            .await
            .map_err(ExportError::Source)?;
        if end.chain.events != chain.events {
            let what = What::Count(end.chain.events, self.at, chain.events);
            return Ok(Some(Difference::of_file(MANIFEST, what)));
        }
        if end.chain != *chain {
            return Err(ExportError::Chain(self.at));
        }
        Ok(None)
    }
}
