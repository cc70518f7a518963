//! Reads the lines of an export, and checks all of them: files, lines, positions, counts and the chain.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::vec;

use super::difference::{Difference, What};
use super::line::{Line, LineFault};
use super::manifest::{MANIFEST, Manifest, Segment};
use crate::backup::hashing::Hashing;
use crate::domain::limits::{
    EXPORT_LINE_BYTES_MAX, EXPORT_PAGE_BYTES_MAX, EXPORT_PAGE_EVENTS_DEFAULT,
};
use crate::domain::{Position, TenantId};
use crate::log::chain::TenantChain;

/// Reads an export from its start. It blocks.
pub struct Reader {
    dir: PathBuf,
    tenant: Option<TenantId>,
    segments: vec::IntoIter<Segment>,
    open: Option<OpenSegment>,
    chain: TenantChain,
}

/// An event of an export, and where it is.
#[derive(Debug)]
pub struct Found {
    /// The name of its file.
    pub file: String,
    /// The number of its line, from 1.
    pub number: u64,
    /// The line.
    pub line: Line<'static>,
    /// The length of the line.
    pub len_bytes: usize,
    /// The chain after the event.
    pub chain: TenantChain,
    /// The event has the verdict that it had at this position.
    pub verdict_as_of: Position,
}

/// A segment that is being read.
struct OpenSegment {
    segment: Segment,
    lines: BufReader<Hashing<File>>,
    number: u64,
    events_before: u64,
}

impl Reader {
    /// Reads the export in a directory, whose manifest was read.
    pub fn new(dir: &Path, manifest: &Manifest) -> Self {
        Self {
            dir: dir.to_path_buf(),
            tenant: TenantId::parse(&manifest.tenant).ok(),
            segments: manifest.segments.clone().into_iter(),
            open: None,
            chain: TenantChain::EMPTY,
        }
    }

    /// Returns the next events, as many as a page has; none at the end.
    pub(super) fn next_events(&mut self) -> Result<Vec<Found>, Difference> {
        let (mut events, mut bytes) = (Vec::new(), 0);
        while events.len() < usize::from(EXPORT_PAGE_EVENTS_DEFAULT)
            && bytes < EXPORT_PAGE_BYTES_MAX
        {
            let Some(found) = self.next_event()? else {
                break;
            };
            bytes += found.len_bytes;
            events.push(found);
        }
        Ok(events)
    }

    /// Returns the next event; `None` at the end.
    pub fn next_event(&mut self) -> Result<Option<Found>, Difference> {
        loop {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => match self.segments.next() {
                    Some(segment) => self.open_segment(segment)?,
                    None => return Ok(None),
                },
            };
            let line = open.next_line();
            let line = line.map_err(|what| open.difference(what, Err(self.chain.position)))?;
            let Some(bytes) = line else {
                open.check_end(&self.chain)?;
                continue;
            };
            let line = self.take(&open, &bytes)?;
            let found = Found {
                file: open.segment.file.clone(),
                number: open.number,
                line,
                len_bytes: bytes.len(),
                chain: self.chain,
                verdict_as_of: open.segment.verdicts_as_of,
            };
            self.open = Some(open);
            return Ok(Some(found));
        }
    }

    fn open_segment(&self, segment: Segment) -> Result<OpenSegment, Difference> {
        // The manifest's own check keeps names inside of the directory.
        let opened = File::open(self.dir.join(&segment.file));
        let file = opened.map_err(|error| Difference::of_file(&segment.file, error.into()))?;
        Ok(OpenSegment {
            segment,
            lines: BufReader::new(Hashing::new(file)),
            number: 0,
            events_before: self.chain.events,
        })
    }

    /// Checks a line, and moves the chain.
    fn take(&mut self, open: &OpenSegment, bytes: &[u8]) -> Result<Line<'static>, Difference> {
        let differs = |fault: LineFault, position| open.difference(fault.into(), position);
        let after = self.chain.position;
        let (line, head) = Line::load(bytes).map_err(|fault| differs(fault, Err(after)))?;
        let at = Ok(line.position());
        let Some(tenant) = &self.tenant else {
            return Err(Difference::of_file(MANIFEST, What::Tenant));
        };
        let next = line.follow(tenant, &self.chain);
        self.chain = next.map_err(|fault| differs(fault, at))?;
        if self.chain.head != head {
            return Err(differs(LineFault::Chain, at));
        }
        let segment = &open.segment;
        if open.number == 1 && segment.first != self.chain.into() {
            return Err(open.difference(What::First(segment.first.position), at));
        }
        if segment.events < open.number {
            return Err(open.difference(What::More(segment.events), at));
        }
        Ok(line)
    }
}

impl OpenSegment {
    /// Returns the bytes of the next line; `None` at the end of the file.
    fn next_line(&mut self) -> Result<Option<Vec<u8>>, What> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.lines).take(EXPORT_LINE_BYTES_MAX);
        bounded.read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        Ok(Some(line))
    }

    /// Checks what the manifest says about the whole file.
    fn check_end(&self, chain: &TenantChain) -> Result<(), Difference> {
        let segment = &self.segment;
        if chain.events - self.events_before < segment.events {
            let what = What::Fewer(segment.events, segment.last.position);
            return Err(self.difference(what, Ok(chain.position)));
        }
        let (sha256, len_bytes) = self.lines.get_ref().so_far();
        if segment.last != (*chain).into() {
            let what = What::Last(segment.last.position);
            return Err(self.difference(what, Ok(chain.position)));
        }
        if (sha256, len_bytes) != (segment.sha256, segment.len_bytes) {
            return Err(Difference::of_file(&segment.file, What::Sha256));
        }
        Ok(())
    }

    /// A difference at the last line that was read: its position, or that of the line before.
    fn difference(&self, what: What, position: Result<Position, Position>) -> Difference {
        Difference {
            file: self.segment.file.clone(),
            line: (0 < self.number).then_some(self.number),
            position: position.ok(),
            after: position.err(),
            what,
        }
    }
}
