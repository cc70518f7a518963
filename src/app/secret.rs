//! The file with the secret that session tokens are made from: 64 hexadecimal digits on one line.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::domain::limits::SECRET_RECORDS_MAX;
use crate::domain::{Position, Rules};
use crate::ledger::TokenSecret;
use crate::log::{EventLog, LogError, Record};

/// Why the secret is not available.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read or created.
    #[error("cannot read or create the secret file {}", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// The file does not contain a secret.
    #[error(
        "the secret file {} must hold 64 hex digits: make one with `openssl rand -hex 32`, \
         readable by the server only",
        .0.display()
    )]
    Malformed(PathBuf),
    /// The operating system provided no random bytes.
    #[error("the operating system provides no random bytes for a secret")]
    Random(#[source] getrandom::Error),
}

/// Reads the secret from a file that the operator made.
pub fn read(path: &Path) -> Result<TokenSecret, SecretError> {
    let text =
        fs::read_to_string(path).map_err(|error| SecretError::File(path.to_path_buf(), error))?;
    let mut bytes = [0; TokenSecret::BYTES];
    hex::decode_to_slice(text.trim_end(), &mut bytes)
        .map_err(|_withheld| SecretError::Malformed(path.to_path_buf()))?;
    Ok(TokenSecret::new(bytes))
}

/// Reads the secret of a data directory, or creates it.
///
/// Losing the secret does little harm: issued tokens stay valid, because the ledger checks them by
/// their hashes. But a retry of an earlier command no longer gets the tokens again, and a service
/// that checks the session tokens of OTAS itself needs the secret that is derived from the new one.
pub fn read_or_make(path: &Path) -> Result<TokenSecret, SecretError> {
    let mut bytes = [0; TokenSecret::BYTES];
    getrandom::fill(&mut bytes).map_err(SecretError::Random)?;
    match write(path, &hex::encode(bytes)) {
        Ok(()) => Ok(TokenSecret::new(bytes)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(path),
        Err(error) => Err(SecretError::File(path.to_path_buf(), error)),
    }
}

/// The position of the last record whose tokens were made from another secret, of the last
/// `SECRET_RECORDS_MAX` records.
pub async fn last_foreign(
    log: &dyn EventLog,
    secret: &TokenSecret,
) -> Result<Option<Position>, LogError> {
    let head = log.known_head().get();
    let last = (head.saturating_sub(SECRET_RECORDS_MAX) + 1)..=head;
    let records = log.get(last.map(Position::new).collect()).await?;
    // The newest rules read what all earlier ones wrote.
    let is_foreign = |record: &&Record| secret.made_tokens_of(Rules::LATEST, record) == Some(false);
    Ok(records
        .iter()
        .rfind(is_foreign)
        .map(|record| record.position))
}

/// What tokens from another secret mean, and what the operator can do.
pub fn foreign_warning(position: Position) -> String {
    format!(
        "the session tokens of the event at position {position} were made from another secret: another \
         server of this ledger has its own, or this server had another one. A command that is retried \
         at the other server answers 409 tokens_of_another_node. Give all servers one secret, with \
         --token-secret-file"
    )
}

/// Writes the file completely or not at all, and never replaces an existing file.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    // A temporary file is readable by its owner only from the start.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    writeln!(file, "{text}")?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_created_once_and_readable_by_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token.secret");
        let made = read_or_make(&path).unwrap();
        assert!(made == read_or_make(&path).unwrap() && made == read(&path).unwrap());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_file(&path).unwrap();
        assert!(made != read_or_make(&path).unwrap());
    }

    #[test]
    fn an_error_does_not_repeat_the_content_of_a_malformed_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token.secret");
        for wrong in ["", "abcd", &"zz".repeat(32), &"ab".repeat(33)] {
            fs::write(&path, wrong).unwrap();
            let error = read(&path).unwrap_err();
            assert!(matches!(error, SecretError::Malformed(_)));
            assert!(wrong.is_empty() || !error.to_string().contains(wrong));
        }
        assert!(matches!(
            read(&dir.path().join("none")),
            Err(SecretError::File(..))
        ));
    }
}
