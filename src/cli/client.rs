//! Calls to a ledger's HTTP API.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::header::{ACCEPT, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::tls::TlsInfo;
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::terminal;
use crate::app::tls::{ClientTls, ClientTlsFiles, Validity};
use crate::cli::Usage;
use crate::cli::patience::{Again, Patience};
use crate::domain::causes::root_cause;
use crate::domain::limits::{ANSWER_WAIT_MS, CLI_LINE_BYTES_MAX};
use crate::domain::tls_failure;
use crate::http::dto::Problem;
use crate::http::request::stream_headers::NDJSON;

/// How much of an unexpected answer an error shows, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// For a whole stream, which the server ends earlier.
const STREAM_TIMEOUT: Duration = Duration::from_millis(ANSWER_WAIT_MS);

/// Media type of one event.
pub(super) const ONE_EVENT: &str = "application/cloudevents+json";
/// Media type of a batch of events.
pub(super) const EVENT_BATCH: &str = "application/cloudevents-batch+json";

/// A client of the API of one ledger, with the credential of one caller.
#[derive(Clone)]
pub(super) struct Api {
    base: Url,
    who: Identity,
    client: Client,
    /// The files for TLS, for messages.
    tls: ClientTlsFiles,
    patience: Patience,
    /// When the certificate of the server is valid, once the server has answered.
    certificate: Arc<OnceLock<Validity>>,
    /// Whether the server has ever answered.
    answered: Arc<AtomicBool>,
}

/// The identity of the caller. Not printable.
#[derive(Clone)]
pub(super) struct Identity {
    /// A key or a token.
    pub(super) key: Option<String>,
    /// The tenant. Required without a key, and with a key for several tenants.
    pub(super) tenant: Option<String>,
}

impl Identity {
    /// A caller without a key, for a server that requires no credentials.
    pub(super) fn tenant(tenant: &str) -> Self {
        Self {
            key: None,
            tenant: Some(tenant.to_owned()),
        }
    }

    /// A caller with a key.
    pub(super) fn key(key: String) -> Self {
        Self {
            key: Some(key),
            tenant: None,
        }
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// There was no answer.
    #[error(
        "no answer from {url} ({cause}). Is a ledger running there? `session-ledger serve --help` \
         shows how to start one; --url names another server"
    )]
    Unreachable {
        url: Url,
        cause: String,
        /// Whether every connection was refused, so that nothing was sent.
        nobody: bool,
    },
    /// There is no TLS connection. A retry does not help.
    #[error("no TLS connection to {url}: {why}")]
    Tls { url: Url, why: String },
    /// The ledger answered with a problem.
    #[error("{}", describe(.0))]
    Problem(Box<Problem>),
    /// The answer is a redirect. The client does not follow it, because requests contain secrets.
    #[error(
        "{url} answered {status} and redirects to {location}. Redirects are not followed; if that is \
         your ledger, give its address as --url"
    )]
    Moved {
        url: Url,
        status: u16,
        location: String,
    },
    /// The answer is not one of a ledger.
    #[error("{url} answered {status}, and the answer is not one of a ledger: {body}")]
    Foreign { url: Url, status: u16, body: String },
}

/// A failed call, with what a retry needs to know.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: ApiError,
    /// Whether the connection failed, so that nothing was sent.
    pub(super) refused: bool,
    /// How long to wait before a retry, if the server says so (`Retry-After`).
    pub(super) retry_after: Option<Duration>,
}

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Self {
        Self {
            error,
            refused: false,
            retry_after: None,
        }
    }
}

impl Failed {
    /// The error of a call that is not repeated. `first` says that the server has never answered.
    pub(super) fn seen(self, first: bool) -> ApiError {
        match self.error {
            ApiError::Unreachable { url, cause, .. } => ApiError::Unreachable {
                url,
                cause,
                nobody: self.refused && first,
            },
            other => other,
        }
    }
}

impl ApiError {
    /// Whether a retry may succeed: the server was silent or overloaded.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { nobody, .. } => !nobody,
            Self::Problem(problem) => matches!(problem.status, 429 | 503),
            // The answer of a proxy before the server.
            Self::Foreign { status, .. } => matches!(status, 429 | 502..=504),
            Self::Moved { .. } | Self::Tls { .. } => false,
        }
    }

    /// Whether a rate limit rejected the call, so that it had no effect.
    pub(super) fn is_rate_limit(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.status == 429,
            Self::Foreign { status, .. } => *status == 429,
            Self::Unreachable { .. } | Self::Moved { .. } | Self::Tls { .. } => false,
        }
    }

    /// Converts the error, and adds the advice if a retry may succeed.
    pub(super) fn with_advice(self, advice: impl FnOnce() -> String) -> anyhow::Error {
        if self.is_passing() {
            anyhow::anyhow!("{self}\n{}", advice())
        } else {
            self.into()
        }
    }
}

/// The parameters of a query.
pub(super) type Query<'a> = Vec<(&'static str, &'a str)>;

/// How the API handles events.
#[derive(Debug, Clone, Copy)]
pub(super) struct Emitting {
    /// Whether the answer waits for the verdicts.
    pub(super) wait: bool,
    /// Whether the ledger rejects events with unknown members in their data.
    pub(super) strict: bool,
}

/// The lines of a stream.
pub(super) struct Lines {
    response: Response,
    /// What was read after the last line.
    read: Vec<u8>,
}

impl Lines {
    /// Waits for the next line; `None` when the stream ends or its connection fails. An error if a line is too
    /// long for one of a ledger.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<String>> {
        let mut searched = 0;
        loop {
            let end = self.read[searched..].iter().position(|byte| *byte == b'\n');
            if let Some(end) = end {
                let line: Vec<u8> = self.read.drain(..=searched + end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            searched = self.read.len();
            ensure!(
                searched <= CLI_LINE_BYTES_MAX,
                "the answer is not one of a ledger: a line is longer than {CLI_LINE_BYTES_MAX} bytes"
            );
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.read.extend_from_slice(&chunk),
                Ok(None) | Err(_) => return Ok(None),
            }
        }
    }
}

impl Api {
    /// Makes a client for the ledger at a URL.
    pub(super) fn new(url: &str, who: Identity) -> anyhow::Result<Self> {
        Self::with_tls(url, who, &ClientTls::default())
    }

    /// Makes a client that uses files for TLS. With such files, an address without a scheme is one
    /// with `https://`.
    pub(super) fn with_tls(url: &str, who: Identity, tls: &ClientTls) -> anyhow::Result<Self> {
        let scheme = if tls.is_given() { "https" } else { "http" };
        let base = base(url, scheme)?;
        Self::with_patience(base, who, tls, Patience::default())
    }

    /// Makes a client that makes each call once, and waits at most for this time.
    pub(super) fn hurried(
        url: &str,
        who: Identity,
        tls: &ClientTls,
        at_most: Duration,
    ) -> anyhow::Result<Self> {
        let scheme = if tls.is_given() { "https" } else { "http" };
        let patience = Patience {
            connect: at_most,
            silence: at_most,
            answer: at_most,
            retries: Duration::ZERO,
        };
        Self::with_patience(base(url, scheme)?, who, tls, patience)
    }

    /// Makes a client with the given timeouts.
    fn with_patience(
        base: Url,
        who: Identity,
        tls: &ClientTls,
        patience: Patience,
    ) -> anyhow::Result<Self> {
        // Do not take a proxy from the environment.
        let mut client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .tls_info(true)
            .connect_timeout(patience.connect)
            .read_timeout(patience.silence)
            .timeout(patience.answer);
        if base.scheme() == "http" {
            // Plain HTTP needs no certificates, and a minimal container has none to load.
            client = client.tls_certs_only([]);
        } else {
            if let Some((file, pem)) = &tls.ca {
                let roots = Certificate::from_pem_bundle(pem);
                client = client.tls_certs_only(roots.with_context(|| file.to_string())?);
            }
            if let Some((file, pem)) = &tls.own {
                let own = reqwest::Identity::from_pem(pem);
                client = client.identity(own.with_context(|| file.to_string())?);
            }
        }
        let client = client.build().context(
            "cannot make an HTTP client; if this machine has no certificates of CAs, name a file with \
             --ca-cert",
        )?;
        Ok(Self {
            base,
            who,
            client,
            tls: tls.files(),
            patience,
            certificate: Arc::default(),
            answered: Arc::default(),
        })
    }

    /// When the certificate of the server is valid; `None` before the first answer and without TLS.
    pub(super) fn certificate(&self) -> Option<Validity> {
        self.certificate.get().copied()
    }

    /// Sends a GET request, with retries. Returns the unchanged text of the answer.
    pub(super) async fn get(&self, path: &[&str], query: &Query<'_>) -> Result<String, ApiError> {
        self.get_again(path, query, Again::Always).await
    }

    /// Sends a GET request without retries. Returns the unchanged text of the answer.
    pub(super) async fn get_once(
        &self,
        path: &[&str],
        query: &Query<'_>,
    ) -> Result<String, ApiError> {
        self.get_again(path, query, Again::Never).await
    }

    async fn get_again(
        &self,
        path: &[&str],
        query: &Query<'_>,
        again: Again,
    ) -> Result<String, ApiError> {
        let url = self.url(path);
        let request = self.client.get(url.clone()).query(query);
        self.send(request, url, again).await
    }

    /// Sends a POST request that changes nothing, with retries.
    pub(super) async fn ask(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<String, ApiError> {
        let url = self.url(path);
        let request = self.client.post(url.clone()).json(body);
        self.send(request, url, Again::Always).await
    }

    /// Sends a request that changes something. Returns the unchanged text of the answer. `key` is
    /// an idempotency key, which makes retries safe.
    pub(super) async fn change(
        &self,
        method: Method,
        path: &[&str],
        key: Option<&str>,
        body: &impl Serialize,
    ) -> Result<String, ApiError> {
        let url = self.url(path);
        let again = match key {
            _ if method.is_idempotent() => Again::Always,
            Some(_) => Again::Always,
            None => Again::IfNotTaken,
        };
        let mut request = self.client.request(method, url.clone()).json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        self.send(request, url, again).await
    }

    /// Sends one event or a batch. Returns the unchanged text of the answer.
    pub(super) async fn post_events(
        &self,
        content_type: &'static str,
        body: String,
        how: Emitting,
    ) -> Result<String, ApiError> {
        let url = self.url(&["v1", "events"]);
        let mut request = self.client.post(url.clone());
        if !how.wait {
            request = request.query(&[("wait", "false")]);
        }
        if how.strict {
            request = request.query(&[("strict", "true")]);
        }
        let request = request.header(CONTENT_TYPE, content_type).body(body);
        // A copy of an event changes nothing.
        self.send(request, url, Again::Always).await
    }

    /// The timeouts of this client.
    pub(super) fn patience(&self) -> Patience {
        self.patience
    }

    /// The URL of a path. The segments are escaped here.
    pub(super) fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Opens a stream of NDJSON, without retries.
    pub(super) async fn stream(&self, path: &[&str], query: &Query<'_>) -> Result<Lines, ApiError> {
        let url = self.url(path);
        let request = self.client.get(url.clone()).query(query);
        let request = request.header(ACCEPT, NDJSON).timeout(STREAM_TIMEOUT);
        let response = self.open(self.identified(request), &url).await;
        let answered = self.answered.load(Ordering::Relaxed);
        let response = response.map_err(|failed| failed.seen(!answered))?;
        let read = Vec::new();
        Ok(Lines { response, read })
    }

    async fn send(
        &self,
        request: RequestBuilder,
        url: Url,
        again: Again,
    ) -> Result<String, ApiError> {
        let request = self.identified(request);
        let (request, url) = (&request, &url);
        let call = || async move {
            let request = request.try_clone().expect("the body is not a stream");
            self.send_once(request, url).await
        };
        self.patience.call(again, &self.answered, call).await
    }

    /// Adds the identity of the caller.
    fn identified(&self, mut request: RequestBuilder) -> RequestBuilder {
        if let Some(tenant) = &self.who.tenant {
            request = request.header("X-Tenant-ID", tenant);
        }
        if let Some(key) = &self.who.key {
            request = request.bearer_auth(key);
        }
        request
    }

    async fn send_once(&self, request: RequestBuilder, url: &Url) -> Result<String, Failed> {
        let response = self.open(request, url).await?;
        let body = response.text().await;
        body.map_err(|error| self.no_answer(&error))
    }

    /// Sends a request. Returns an answer whose body is not read yet, or the error of one that is no success.
    async fn open(&self, request: RequestBuilder, url: &Url) -> Result<Response, Failed> {
        let response = request.send().await;
        let response = response.map_err(|error| self.no_answer(&error))?;
        let peer = response.extensions().get::<TlsInfo>();
        if let Some(certificate) = peer.and_then(TlsInfo::peer_certificate)
            && let Some(validity) = Validity::of(certificate)
        {
            self.certificate.get_or_init(|| validity);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_success() {
            self.answered.store(true, Ordering::Relaxed);
            return Ok(response);
        }
        let body = response.text().await;
        let body = body.map_err(|error| self.no_answer(&error))?;
        self.answered.store(true, Ordering::Relaxed);
        let (url, status_code) = (url.clone(), status.as_u16());
        if let (true, Some(location)) = (status.is_redirection(), headers.get(LOCATION)) {
            let location = String::from_utf8_lossy(location.as_bytes());
            return Err(Failed::from(ApiError::Moved {
                url,
                status: status_code,
                location: shown(&location),
            }));
        }
        let error = match serde_json::from_str(&body) {
            Ok(problem) => ApiError::Problem(Box::new(problem)),
            Err(_other) => ApiError::Foreign {
                url,
                status: status_code,
                body: shown(&body),
            },
        };
        let seconds = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let seconds: Option<u64> = seconds.and_then(|seconds| seconds.trim().parse().ok());
        Err(Failed {
            retry_after: seconds.map(Duration::from_secs),
            ..Failed::from(error)
        })
    }

    /// Converts the error of a request that got no answer.
    fn no_answer(&self, error: &reqwest::Error) -> Failed {
        let url = self.base.clone();
        if let Some(failure) = tls_failure(error) {
            let why = self.tls.explain(&failure);
            return Failed::from(ApiError::Tls { url, why });
        }
        Failed {
            refused: error.is_connect() && !error.is_timeout(),
            ..Failed::from(ApiError::Unreachable {
                url,
                cause: root_cause(error).to_string(),
                nobody: false,
            })
        }
    }
}

/// Reads `http://HOST:PORT` or `HOST:PORT`, which gets this scheme.
fn base(url: &str, scheme: &str) -> Result<Url, Usage> {
    let has_scheme = url.contains("://");
    let usage = |why: &str| Usage(format!("--url {url:?}: {why}"));
    let whole = if has_scheme {
        Url::parse(url)
    } else {
        Url::parse(&format!("{scheme}://{url}"))
    };
    let base = whole.map_err(|error| usage(&error.to_string()))?;
    if !base.username().is_empty() || base.password().is_some() {
        // The error does not repeat the URL, which contains a secret.
        let why = "--url must not contain a user or password; set the key as SESSION_LEDGER_KEY";
        return Err(Usage(why.to_owned()));
    }
    // A single word is more likely a mistake than a host.
    let is_whole = has_scheme || base.port().is_some();
    if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() || !is_whole {
        return Err(usage("write http://HOST:PORT or https://HOST:PORT"));
    }
    Ok(base)
}

/// Parses an answer.
pub(super) fn read<T: DeserializeOwned>(answer: &str) -> anyhow::Result<T> {
    serde_json::from_str(answer).context("the answer is not what this version expects")
}

/// Shortens a text and escapes it for one line.
fn shown(text: &str) -> String {
    let text: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    terminal::one_line(&text).into_owned()
}

fn describe(problem: &Problem) -> String {
    let detail = terminal::one_line(&problem.detail);
    let mut lines = vec![format!("{detail} ({})", problem.code)];
    let in_detail = words(&problem.detail);
    for error in &problem.errors {
        if words(&error.field).is_subset(&in_detail) && words(&error.message).is_subset(&in_detail)
        {
            // The detail has everything that this error says.
            continue;
        }
        let code = error
            .code
            .as_ref()
            .map_or(String::new(), |code| format!(" ({code})"));
        let colon = if error.field.is_empty() { "" } else { ": " };
        let [field, message] = [&error.field, &error.message].map(|text| terminal::one_line(text));
        lines.push(format!("  {field}{colon}{message}{code}"));
    }
    lines.join("\n")
}

fn words(text: &str) -> BTreeSet<&str> {
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let words = text.split(|c| !in_word(c)).map(|w| w.trim_matches('.'));
    words.filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
#[path = "client_tests.rs"]
pub(in crate::cli) mod tests;
