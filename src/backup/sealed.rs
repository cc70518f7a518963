//! Manifests whose last field is a SHA-256 over all others.
//!
//! A manifest is valid only if it has the same bytes as this build would write for it, so that no changed byte
//! goes unnoticed.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::FileFault;
use super::fields::Hash;

/// A manifest and its checksum.
#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    #[serde(flatten)]
    manifest: T,
    sha256: Hash,
}

#[derive(Deserialize)]
struct Format {
    format: String,
}

/// The content of the file of a manifest.
pub(crate) fn to_bytes<T: Serialize>(manifest: &T) -> Vec<u8> {
    let json = serde_json::to_vec(manifest).expect("a manifest is JSON");
    let sha256 = Hash(Sha256::digest(&json).into());
    let mut bytes =
        serde_json::to_vec_pretty(&Sealed { manifest, sha256 }).expect("a manifest is JSON");
    bytes.push(b'\n');
    bytes
}

/// Reads the content of the file of a manifest in this format.
pub(crate) fn read<T: Serialize + DeserializeOwned>(
    bytes: &[u8],
    format: &str,
) -> Result<T, FileFault> {
    let found: Format = serde_json::from_slice(bytes).map_err(FileFault::NotAManifest)?;
    if found.format != format {
        return Err(FileFault::Format(found.format));
    }
    let sealed: Sealed<T> = serde_json::from_slice(bytes).map_err(FileFault::NotAManifest)?;
    if to_bytes(&sealed.manifest) != bytes {
        return Err(FileFault::Differs("SHA-256 differs, or it was changed"));
    }
    Ok(sealed.manifest)
}
