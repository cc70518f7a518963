//! The files of a data directory. The one place that knows their names.
//!
//! ```text
//! log.redb                        the embedded log
//! admin.redb                      the embedded log of the keys
//! model.redb                      the read model
//! token.secret                    what tokens of sessions are made with
//! model.rebuild.redb              a read model being rebuilt; left by a rebuild that was torn
//! model.replaced-<position>.redb  a read model that a rebuild put aside, and beside it
//! model.replaced-<position>.json  why
//! ```

use std::fs::{DirBuilder, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::Position;

/// A data directory.
#[derive(Debug, Clone)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// The data directory at a path.
    pub fn new(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it, and what is missing above it, for this user alone; one that is there stays as it is.
    pub fn make(&self) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.0)
    }

    /// The embedded log.
    pub fn log(&self) -> PathBuf {
        self.0.join("log.redb")
    }

    /// The embedded log of the keys.
    pub fn admin_log(&self) -> PathBuf {
        self.0.join("admin.redb")
    }

    /// The read model.
    pub fn model(&self) -> PathBuf {
        self.0.join("model.redb")
    }

    /// The secret that tokens are made with.
    pub fn token_secret(&self) -> PathBuf {
        self.0.join("token.secret")
    }

    /// The read model that a rebuild is making.
    pub fn rebuilding(&self) -> PathBuf {
        self.0.join("model.rebuild.redb")
    }

    /// Names, not in use yet, for a read model that a rebuild puts aside and for its reasons.
    pub fn replaced(&self, position: Position) -> (PathBuf, PathBuf) {
        let names = |suffix: &str| {
            let name = format!("model.replaced-{position}{suffix}");
            let file = |kind: &str| self.0.join(format!("{name}.{kind}"));
            (file("redb"), file("json"))
        };
        let (mut found, mut number) = (names(""), 1);
        while found.0.exists() || found.1.exists() {
            number += 1;
            found = names(&format!("-{number}"));
        }
        found
    }

    /// Makes names that were given or taken away survive a power failure.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}
