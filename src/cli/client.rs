//! Calls to a ledger's HTTP API.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::terminal;
use crate::cli::Usage;
use crate::cli::patience::{Again, Patience};
use crate::http::dto::Problem;

/// Longest part of an answer that nobody expected to show, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// Media type of one event.
pub(super) const ONE_EVENT: &str = "application/cloudevents+json";
/// Media type of a batch of events.
pub(super) const EVENT_BATCH: &str = "application/cloudevents-batch+json";

/// The API of one ledger, as one caller sees it.
#[derive(Clone)]
pub(super) struct Api {
    base: Url,
    who: Identity,
    client: Client,
    patience: Patience,
    /// Whether the server has ever answered.
    heard: Arc<AtomicBool>,
}

/// As whom to ask. Not printable.
#[derive(Clone)]
pub(super) struct Identity {
    /// A key or a token.
    pub(super) key: Option<String>,
    /// The tenant, if the key does not say it, or there is none.
    pub(super) tenant: Option<String>,
}

impl Identity {
    /// A tenant, of a server that asks for no credentials.
    pub(super) fn tenant(tenant: &str) -> Self {
        Self {
            key: None,
            tenant: Some(tenant.to_owned()),
        }
    }

    /// Whoever has a key.
    pub(super) fn key(key: String) -> Self {
        Self {
            key: Some(key),
            tenant: None,
        }
    }
}

/// Why a call has no good answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// Nobody answers there.
    #[error(
        "no answer from {url} ({cause}). Is a ledger running there? `session-ledger serve --help` \
         says how to start one, --url where to look for it"
    )]
    Unreachable {
        url: Url,
        cause: String,
        /// Whether nothing has ever listened there, so that nothing was sent.
        nobody: bool,
    },
    /// The ledger says what is wrong.
    #[error("{}", describe(.0))]
    Problem(Box<Problem>),
    /// Something answers that it is elsewhere. Not followed: bodies and headers hold secrets.
    #[error(
        "{url} answered {status}: it is at {location} instead. Nothing is sent there unasked; if \
         that is your ledger, give its address as --url"
    )]
    Moved {
        url: Url,
        status: u16,
        location: String,
    },
    /// Something answers, but not as a ledger does.
    #[error("{url} answered {status}, and not as a ledger does: {body}")]
    Foreign { url: Url, status: u16, body: String },
}

/// A call that failed, and what that says of making it again.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: ApiError,
    /// Nobody listens there.
    pub(super) refused: bool,
    /// How long the server asks to wait.
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

impl ApiError {
    /// Whether the same call may go through later: the server was silent or had too much to do.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { nobody, .. } => !nobody,
            Self::Problem(problem) => matches!(problem.status, 429 | 503),
            // From what stands before the server.
            Self::Foreign { status, .. } => matches!(status, 429 | 502..=504),
            Self::Moved { .. } => false,
        }
    }

    /// Whether the call was made too soon after others, and so was not looked at.
    pub(super) fn is_rate_limit(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.status == 429,
            Self::Foreign { status, .. } => *status == 429,
            Self::Unreachable { .. } | Self::Moved { .. } => false,
        }
    }

    /// The error, and what to do about it if it may pass.
    pub(super) fn with_advice(self, advice: impl FnOnce() -> String) -> anyhow::Error {
        if self.is_passing() {
            anyhow::anyhow!("{self}\n{}", advice())
        } else {
            self.into()
        }
    }
}

/// Parameters of a query.
pub(super) type Query<'a> = Vec<(&'static str, &'a str)>;

/// How events are given to the API.
#[derive(Debug, Clone, Copy)]
pub(super) struct Emitting {
    /// Whether the answer waits for the verdicts.
    pub(super) wait: bool,
    /// Whether members of data that have no effect are refused.
    pub(super) strict: bool,
}

impl Api {
    /// The ledger at a URL.
    pub(super) fn new(url: &str, who: Identity) -> anyhow::Result<Self> {
        Self::with_patience(url, who, Patience::default())
    }

    /// A client of the ledger at a URL, with its own bounds on waiting.
    pub(super) fn with_patience(
        url: &str,
        who: Identity,
        patience: Patience,
    ) -> anyhow::Result<Self> {
        let base = base(url)?;
        // A proxy would come from the environment unasked, and between us and loopback is none.
        let mut client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(patience.connect)
            .read_timeout(patience.silence)
            .timeout(patience.answer);
        if base.scheme() == "http" {
            // The system's certificates are not needed, and a small container has none.
            client = client.tls_certs_only([]);
        }
        let client = client.build().context("cannot make an HTTP client")?;
        Ok(Self {
            base,
            who,
            client,
            patience,
            heard: Arc::default(),
        })
    }

    /// Asks for something, and gives the answer's text as it came.
    pub(super) async fn get(&self, path: &[&str], query: &Query<'_>) -> Result<String, ApiError> {
        self.get_again(path, query, Again::Always).await
    }

    /// Asks for something once.
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

    /// Asks for something that stands in a body, and changes nothing.
    pub(super) async fn ask(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<String, ApiError> {
        let url = self.url(path);
        let request = self.client.post(url.clone()).json(body);
        self.send(request, url, Again::Always).await
    }

    /// Asks for a change, and gives the answer's text as it came. The key, if any, makes a retry safe.
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

    /// Sends one event or a batch, and gives the answer's text as it came.
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

    /// How long to go on trying.
    pub(super) fn patience(&self) -> Patience {
        self.patience
    }

    /// The URL of a path, each segment given as it is.
    pub(super) fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    async fn send(
        &self,
        request: RequestBuilder,
        url: Url,
        again: Again,
    ) -> Result<String, ApiError> {
        let mut request = request;
        if let Some(tenant) = &self.who.tenant {
            request = request.header("X-Tenant-ID", tenant);
        }
        if let Some(key) = &self.who.key {
            request = request.bearer_auth(key);
        }
        let (request, url) = (&request, &url);
        let call = || async move {
            let request = request.try_clone().expect("no body of ours is a stream");
            self.send_once(request, url).await
        };
        self.patience.call(again, &self.heard, call).await
    }

    async fn send_once(&self, request: RequestBuilder, url: &Url) -> Result<String, Failed> {
        let answer = async {
            let response = request.send().await?;
            let status = response.status();
            let headers = response.headers().clone();
            Ok::<_, reqwest::Error>((status, headers, response.text().await?))
        };
        let (status, headers, body) = answer.await.map_err(|error| Failed {
            refused: error.is_connect() && !error.is_timeout(),
            ..Failed::from(ApiError::Unreachable {
                url: self.base.clone(),
                cause: root_cause(&error),
                nobody: false,
            })
        })?;
        self.heard.store(true, Ordering::Relaxed);
        if status.is_success() {
            return Ok(body);
        }
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
}

/// Reads `http://HOST:PORT`, also without its scheme.
fn base(url: &str) -> Result<Url, Usage> {
    let has_scheme = url.contains("://");
    let scheme = if has_scheme { "" } else { "http://" };
    let usage = |why: &str| Usage(format!("--url {url:?}: {why}"));
    let base = Url::parse(&format!("{scheme}{url}")).map_err(|error| usage(&error.to_string()))?;
    if !base.username().is_empty() || base.password().is_some() {
        // Not repeated: it holds a secret.
        let why = "--url: write no user or password into it; show a key as SESSION_LEDGER_KEY";
        return Err(Usage(why.to_owned()));
    }
    // A word alone is more likely a mistake than a host.
    let is_whole = has_scheme || base.port().is_some();
    if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() || !is_whole {
        return Err(usage("write http://HOST:PORT"));
    }
    Ok(base)
}

/// Reads an answer.
pub(super) fn read<T: DeserializeOwned>(answer: &str) -> anyhow::Result<T> {
    serde_json::from_str(answer).context("the answer is not what this version expects")
}

/// The part of a text that is worth showing, on one line.
fn shown(text: &str) -> String {
    let text: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    terminal::one_line(&text).into_owned()
}

/// The innermost cause: what the operating system said.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn describe(problem: &Problem) -> String {
    let detail = terminal::one_line(&problem.detail);
    let mut lines = vec![format!("{detail} ({})", problem.code)];
    let said = words(&problem.detail);
    for error in &problem.errors {
        if words(&error.field).is_subset(&said) && words(&error.message).is_subset(&said) {
            // The API says it twice, for programs and for people; people read both.
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
