//! Where a key set comes from: a file, or a URL that is reached in a way that can be trusted.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::auth::jwt::key_set::KeySetError;
use crate::domain::limits::JWKS_BYTES_MAX;

/// Where a key set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySetSource {
    /// In a file, which is looked at for changes.
    File(PathBuf),
    /// Behind a URL.
    Url(Url),
}

/// Why an address is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Not one at all.
    #[error("it is neither a file nor a URL")]
    NotAUrl,
    /// Whoever stands between could put keys of their own into the answer.
    #[error("a key set must come by https, or by http from this machine")]
    Insecure,
}

/// Why a key set was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    File(#[from] io::Error),
    /// Nobody answered, or not in time.
    #[error("it cannot be fetched: {0}")]
    Fetch(String),
    /// Something else answered.
    #[error("its address answered with status {0}")]
    Status(u16),
    /// Longer than any key set.
    #[error("it is longer than {JWKS_BYTES_MAX} bytes")]
    TooLong,
    /// It is no key set.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
}

impl KeySetSource {
    /// A path, or a URL with its scheme.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        if !text.contains("://") {
            return Ok(Self::File(text.into()));
        }
        let url = Url::parse(text).map_err(|_error| SourceError::NotAUrl)?;
        let trusted = match url.scheme() {
            "https" => url.has_host(),
            "http" => url.host_str().is_some_and(is_loopback),
            _ => false,
        };
        trusted
            .then_some(Self::Url(url))
            .ok_or(SourceError::Insecure)
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = bare.parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

/// Loads a key set, again and again.
#[derive(Debug)]
pub(super) enum Loader {
    File(PathBuf),
    Url(Url, Client),
}

impl Loader {
    pub(super) fn new(source: KeySetSource, wait: Duration) -> Result<Self, LoadError> {
        match source {
            KeySetSource::File(path) => Ok(Self::File(path)),
            KeySetSource::Url(url) => {
                // Not where the answer says, and by no proxy that the environment names: the
                // address was checked, others were not.
                let mut client = Client::builder()
                    .redirect(Policy::none())
                    .no_proxy()
                    .timeout(wait);
                if url.scheme() == "http" {
                    // The system's certificates are not needed, and a small container has none.
                    client = client.tls_certs_only([]);
                }
                let client = client.build().map_err(|error| fetch_error(&error))?;
                Ok(Self::Url(url, client))
            }
        }
    }

    pub(super) async fn load(&self) -> Result<Vec<u8>, LoadError> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read(&path));
                read.await
                    .unwrap_or_else(|error| Err(LoadError::Fetch(error.to_string())))
            }
            Self::Url(url, client) => fetch(client, url).await,
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    let mut bounded = File::open(path)?.take(JWKS_BYTES_MAX as u64 + 1);
    bounded.read_to_end(&mut bytes)?;
    fits(bytes)
}

async fn fetch(client: &Client, url: &Url) -> Result<Vec<u8>, LoadError> {
    let answer = client.get(url.clone()).send().await;
    let mut answer = answer.map_err(|error| fetch_error(&error))?;
    if !answer.status().is_success() {
        return Err(LoadError::Status(answer.status().as_u16()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| fetch_error(&error))? {
        bytes.extend_from_slice(&chunk);
        bytes = fits(bytes)?;
    }
    Ok(bytes)
}

fn fits(bytes: Vec<u8>) -> Result<Vec<u8>, LoadError> {
    if JWKS_BYTES_MAX < bytes.len() {
        return Err(LoadError::TooLong);
    }
    Ok(bytes)
}

/// The innermost cause: what the operating system said.
fn fetch_error(error: &reqwest::Error) -> LoadError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    LoadError::Fetch(cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_set_comes_from_a_file_or_by_a_way_that_nobody_can_change() {
        for text in ["keys.json", "/etc/ledger/keys.json", "./a:b"] {
            let file = KeySetSource::File(text.into());
            assert_eq!(KeySetSource::parse(text), Ok(file));
        }
        for text in [
            "https://issuer.example/keys",
            "http://localhost:8080/keys",
            "http://127.0.0.1/keys",
            "http://[::1]:1/keys",
        ] {
            assert!(
                matches!(KeySetSource::parse(text), Ok(KeySetSource::Url(_))),
                "{text}"
            );
        }
        for text in [
            "http://issuer.example/keys",
            "http://127.0.0.1.issuer.example/",
            "http://localhost@issuer.example/",
            "ftp://issuer.example/keys",
            "file:///etc/keys.json",
        ] {
            assert_eq!(
                KeySetSource::parse(text),
                Err(SourceError::Insecure),
                "{text}"
            );
        }
        assert_eq!(KeySetSource::parse("https://"), Err(SourceError::NotAUrl));
    }
}
