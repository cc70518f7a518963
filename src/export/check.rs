//! Checks an export without a server: every file, and every line of it.

use std::path::Path;

use super::difference::{Difference, What};
use super::error::ExportError;
use super::manifest::{MANIFEST, Manifest};
use super::reader::Reader;
use super::target;

/// Reads all of the export in a directory. Returns its manifest, or the first difference. Calls `on_step` with
/// the number of events that were read, and with that of all. It blocks.
pub fn check(
    dir: &Path,
    mut on_step: impl FnMut(u64, u64),
) -> Result<Result<Manifest, Difference>, ExportError> {
    let manifest = match target::open(dir) {
        Ok(manifest) => manifest,
        Err(ExportError::File(_, fault)) => {
            return Ok(Err(Difference::of_file(MANIFEST, fault.into())));
        }
        Err(error) => return Err(error),
    };
    let mut reader = Reader::new(dir, &manifest);
    loop {
        match reader.next_events() {
            Ok(events) => match events.last() {
                Some(last) => on_step(last.chain.events, manifest.events),
                None => break,
            },
            Err(difference) => return Ok(Err(difference)),
        }
    }
    // An interrupted run may have left a file that its manifest does not name yet.
    if manifest.unfinished_until.is_none() {
        let is_named = |name: &String| manifest.segments.iter().any(|one| one.file == *name);
        let names = target::event_files(dir)?;
        if let Some(name) = names.iter().find(|name| !is_named(name)) {
            return Ok(Err(Difference::of_file(name, What::Unnamed)));
        }
    }
    Ok(Ok(manifest))
}
