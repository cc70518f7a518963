//! Reads secrets from files that options name.

use std::fs;

use anyhow::Context as _;

use crate::app::secret_files::SecretFile;

/// Returns the first line of a file with a secret.
pub(super) fn first_line(file: &SecretFile) -> anyhow::Result<String> {
    let text = fs::read_to_string(&file.path)
        .with_context(|| format!("{file}: the secret file cannot be read"))?;
    let line = text.lines().next().unwrap_or_default();
    anyhow::ensure!(
        !line.is_empty(),
        "{file}: the first line of the file is empty; write the secret there"
    );
    Ok(line.to_owned())
}
