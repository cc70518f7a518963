//! Files with secrets that options name: warns if every user of the machine can read one.
//!
//! One rule holds for all of them. It is a warning and no error, because a mounted secret of a container
//! often has this mode, and no other user in its container.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::app::tls::NamedFile;

/// The permission of users who neither own a file nor belong to its group to read it.
const OTHERS_READ: u32 = 0o004;

/// A file with a secret: a private key, a password, a token or a seed.
pub type SecretFile = NamedFile;

/// Returns a warning if every user of the machine can read the file.
pub fn exposed(file: &SecretFile) -> Option<String> {
    // A missing file is an error where it is read.
    let mode = fs::metadata(&file.path).ok()?.permissions().mode() & 0o777;
    (mode & OTHERS_READ != 0).then(|| {
        format!(
            "{file}: every user of this machine can read this secret (mode {mode:04o}): \
             `chmod o= {}`, and make the server\'s user its owner or a member of its group",
            file.path.display()
        )
    })
}

/// Logs a warning for each file that every user of the machine can read.
pub fn warn_of_exposed(files: &[SecretFile]) {
    for warning in files.iter().filter_map(exposed) {
        tracing::warn!("{warning}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_every_user_can_read_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "secret").unwrap();
        let file = NamedFile::new("--tls-key", path.clone());
        for (mode, is_exposed) in [(0o600, false), (0o640, false), (0o604, true), (0o644, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(exposed(&file).is_some(), is_exposed, "{mode:o}");
        }
        let warning = exposed(&file).unwrap();
        assert!(
            warning.contains("--tls-key") && warning.contains("0644"),
            "{warning}"
        );
        assert_eq!(
            exposed(&NamedFile::new("--tls-key", dir.path().join("none"))),
            None
        );
    }
}
