//! Exports: the events of one tenant, to carry away. Other tools can read and check them.
//!
//! An export is a directory:
//!
//! ```text
//! manifest.json                        what the export has, with a checksum of each file
//! events-00000000000000000002.ndjson   events from position 2 on, one a line
//! lock                                 held while an export is written
//! ```
//!
//! The manifest is written again after each file: an interrupted export is a shorter one, and the next run
//! continues it. The tenant's chain ([`TenantChain`](crate::log::chain::TenantChain)) is in each line, so a
//! check names the first line that is not as it was written. `docs/export.md` describes the format for
//! auditors.
#![warn(missing_docs)]

mod check;
mod compare;
mod difference;
mod error;
mod line;
mod manifest;
mod reader;
mod run;
mod segment;
mod source;
mod target;

pub use check::check;
pub use compare::compare;
pub use difference::{Difference, What};
pub use error::ExportError;
pub use line::{Line, LineFault};
pub use manifest::{Manifest, Place, Segment};
pub use reader::{Found, Reader};
pub use run::export;
pub use segment::SegmentSize;
pub use source::{End, Source};
pub use target::{Target, open};
