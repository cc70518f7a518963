//! The source of a key set: a file, or a URL that nobody on the network can impersonate.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::auth::jwt::key_set::KeySetError;
use crate::domain::causes::root_cause;
use crate::domain::limits::JWKS_BYTES_MAX;

/// Where a key set comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySetSource {
    /// A file, which is checked for changes.
    File(PathBuf),
    /// A URL.
    Url(Url),
}

/// Why an address is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The text has a scheme and is not a URL.
    #[error("it is neither a file nor a URL")]
    NotAUrl,
    /// An attacker on the network could replace the keys.
    #[error("a key set must come by https, or by http from this machine")]
    Insecure,
}

/// Why a key set was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    File(#[from] io::Error),
    /// The request failed or timed out.
    #[error("it cannot be fetched: {0}")]
    Fetch(String),
    /// The status of the response is not a success.
    #[error("its address answered with status {0}")]
    Status(u16),
    /// The key set exceeds the size limit.
    #[error("it is longer than {JWKS_BYTES_MAX} bytes")]
    TooLong,
    /// The content is not a usable key set.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
}

impl KeySetSource {
    /// Parses a path, or a URL with its scheme.
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

/// Loads a key set as often as needed.
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
                // No redirects and no proxy from the environment: only this address was checked.
                let mut client = Client::builder()
                    .redirect(Policy::none())
                    .no_proxy()
                    .timeout(wait);
                if url.scheme() == "http" {
                    // Plain HTTP needs no certificates, and a minimal container has none to load.
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

fn fetch_error(error: &reqwest::Error) -> LoadError {
    LoadError::Fetch(root_cause(error).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_set_comes_from_a_file_or_a_trusted_url() {
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
