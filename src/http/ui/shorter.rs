//! Compressed files. Each is made at the first request for it and kept, so it is worth the best effort.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use bytes::Bytes;

use super::files::File;
use crate::http::layers::compress::{Effort, encoded};
use crate::http::request::coding::Coding;

/// A file in a coding.
#[derive(Clone)]
struct Made {
    /// The hash of the file. A debug build reads files that may have changed.
    hash: [u8; 32],
    /// `None` if the coding does not make the file shorter.
    bytes: Option<Bytes>,
}

/// At most one for each file and coding.
static MADE: LazyLock<Mutex<HashMap<(String, Coding), Made>>> = LazyLock::new(Mutex::default);

/// Returns the file in a coding; `None` if that is not shorter than the file.
pub(super) async fn of(file: &File, coding: Coding) -> Option<Bytes> {
    let key = (file.path.clone(), coding);
    let known = made().get(&key).cloned();
    if let Some(known) = known.filter(|known| known.hash == file.hash) {
        return known.bytes;
    }
    let encoded = encoded(Body::from(file.bytes.clone()), coding, Effort::Best).await;
    let shorter = encoded.ok().filter(|it| it.len() < file.bytes.len());
    let bytes = shorter.map(Bytes::from);
    let made_now = Made {
        hash: file.hash,
        bytes: bytes.clone(),
    };
    made().insert(key, made_now);
    bytes
}

fn made() -> MutexGuard<'static, HashMap<(String, Coding), Made>> {
    MADE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str, hash: u8) -> File {
        File {
            path: path.to_owned(),
            media_type: "text/css",
            bytes: Bytes::from(text.to_owned()),
            hash: [hash; 32],
        }
    }

    #[tokio::test]
    async fn a_file_is_compressed_once_and_again_when_it_has_changed() {
        let long = "a { color: red } ".repeat(100);
        let first = of(&file("once", &long, 1), Coding::Brotli).await.unwrap();
        let again = of(&file("once", &long, 1), Coding::Brotli).await.unwrap();
        assert_eq!(first.as_ptr(), again.as_ptr());
        let changed = of(&file("once", &long, 2), Coding::Brotli).await.unwrap();
        assert_ne!(first.as_ptr(), changed.as_ptr());
    }

    #[tokio::test]
    async fn a_file_that_does_not_get_shorter_is_not_compressed() {
        for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
            assert_eq!(of(&file("short", "a", 1), coding).await, None);
        }
    }
}
