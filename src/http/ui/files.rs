//! The files of `ui/` in the binary. A debug build reads them from the checkout for each request.

use std::borrow::Cow;

use axum::http::HeaderValue;
use bytes::Bytes;
use rust_embed::RustEmbed;

/// Extensions of the files, and their media types.
const MEDIA_TYPES: [(&str, &str); 4] = [
    ("html", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("svg", "image/svg+xml"),
];

/// How many bytes of a file's hash its tag has. Equal tags of different files are then out of the
/// question.
const TAG_BYTES: usize = 16;

#[derive(RustEmbed)]
#[folder = "ui/"]
struct Folder;

/// A file of the dashboard.
pub(super) struct File {
    pub(super) path: String,
    pub(super) media_type: &'static str,
    pub(super) bytes: Bytes,
    pub(super) hash: [u8; 32],
}

impl File {
    /// The file at a path below `ui/`; `None` if there is none of a known type.
    pub(super) fn find(path: &str) -> Option<Self> {
        let (_, extension) = path.rsplit_once('.')?;
        let (_, media_type) = MEDIA_TYPES.iter().find(|(known, _)| *known == extension)?;
        let file = Folder::get(path)?;
        Some(Self {
            path: path.to_owned(),
            media_type,
            hash: file.metadata.sha256_hash(),
            bytes: match file.data {
                Cow::Borrowed(embedded) => Bytes::from_static(embedded),
                Cow::Owned(read) => Bytes::from(read),
            },
        })
    }

    /// The `ETag` of the file, from its content. It is weak, because the file may be sent in several
    /// codings.
    pub(super) fn tag(&self) -> HeaderValue {
        let text = format!("W/\"{}\"", hex::encode(&self.hash[..TAG_BYTES]));
        HeaderValue::try_from(text).expect("digits are visible ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_served_and_no_path_leaves_the_folder() {
        let mut count = 0;
        for path in Folder::iter() {
            assert!(File::find(&path).is_some(), "{path} has no media type");
            count += 1;
        }
        assert!(1 < count);
        for path in [
            "",
            ".",
            "..",
            "../Cargo.toml",
            "../src/lib.rs",
            "/etc/hosts",
            "none.js",
            "lib",
        ] {
            assert!(File::find(path).is_none(), "{path}");
        }
    }
}
