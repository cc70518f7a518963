//! The file with the secret that tokens of sessions are made with: 64 hex digits on one line.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::ledger::TokenSecret;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read or made.
    #[error("cannot read or make the secret file {}", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// The file holds something else.
    #[error(
        "the secret file {} must hold 64 hex digits: make one with `openssl rand -hex 32`, \
         readable for the server alone",
        .0.display()
    )]
    Malformed(PathBuf),
    /// The system has no random numbers.
    #[error("the operating system gives no random bytes for a secret")]
    Random(#[source] getrandom::Error),
}

/// Reads a secret that the operator made.
pub fn read(path: &Path) -> Result<TokenSecret, SecretError> {
    let text =
        fs::read_to_string(path).map_err(|error| SecretError::File(path.to_path_buf(), error))?;
    let mut bytes = [0; TokenSecret::BYTES];
    hex::decode_to_slice(text.trim_end(), &mut bytes)
        .map_err(|_withheld| SecretError::Malformed(path.to_path_buf()))?;
    Ok(TokenSecret::new(bytes))
}

/// Reads the secret of a data directory, or makes one.
///
/// To lose it is harmless: tokens that were given out are checked by their hashes. Only a retry that
/// is under way at that moment cannot be told its tokens again. What somebody else checks, as session
/// tokens of OTAS, needs the secret that is derived from the new one.
pub fn read_or_make(path: &Path) -> Result<TokenSecret, SecretError> {
    let mut bytes = [0; TokenSecret::BYTES];
    getrandom::fill(&mut bytes).map_err(SecretError::Random)?;
    match write(path, &hex::encode(bytes)) {
        Ok(()) => Ok(TokenSecret::new(bytes)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(path),
        Err(error) => Err(SecretError::File(path.to_path_buf(), error)),
    }
}

/// All of the file or nothing, and never over another one.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    // Readable for its owner alone from the start.
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
    fn a_secret_is_made_once_and_for_its_owner_alone() {
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
    fn a_file_with_something_else_is_refused_without_repeating_it() {
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
