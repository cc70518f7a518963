//! Reads secrets from files that options name.

use std::fs::File;
use std::io::Read as _;

use anyhow::Context as _;

use crate::app::secret_files::SecretFile;
use crate::domain::limits::CREDENTIAL_BYTES_MAX;

/// No more is read: the ledger rejects a longer secret.
const BYTES_MAX: u64 = 2 * CREDENTIAL_BYTES_MAX as u64;

/// Returns the first line of a file with a secret.
pub(super) fn first_line(file: &SecretFile) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = File::open(&file.path);
    let read = read.and_then(|open| open.take(BYTES_MAX).read_to_string(&mut text));
    read.with_context(|| format!("{file}: the secret file cannot be read"))?;
    let line = text.lines().next().unwrap_or_default();
    anyhow::ensure!(
        !line.is_empty(),
        "{file}: the first line of the file is empty; write the secret there"
    );
    Ok(line.to_owned())
}
