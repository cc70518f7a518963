//! Calls to a ledger's HTTP API.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cli::Usage;
use crate::http::dto::Problem;

/// How long to wait for a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// How long to wait for an answer. The server itself gives up waiting for verdicts much earlier.
const ANSWER_WAIT: Duration = Duration::from_mins(1);
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
    Unreachable { url: Url, cause: String },
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

/// Parameters of a query.
pub(super) type Query<'a> = Vec<(&'static str, &'a str)>;

impl Api {
    /// The ledger at a URL.
    pub(super) fn new(url: &str, who: Identity) -> anyhow::Result<Self> {
        let usage = |why: &str| Usage(format!("--url {url:?}: {why}"));
        let base = Url::parse(url).map_err(|error| usage(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(usage("write http://HOST:PORT").into());
        }
        // A proxy would come from the environment unasked, and between us and loopback is none.
        let mut client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_WAIT)
            .timeout(ANSWER_WAIT);
        if base.scheme() == "http" {
            // The system's certificates are not needed, and a small container has none.
            client = client.tls_certs_only([]);
        }
        let client = client.build().context("cannot make an HTTP client")?;
        Ok(Self { base, who, client })
    }

    /// Asks for something, and gives the answer's text as it came.
    pub(super) async fn get(&self, path: &[&str], query: &Query<'_>) -> Result<String, ApiError> {
        let url = self.url(path);
        self.send(self.client.get(url.clone()).query(query), url)
            .await
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
        let mut request = self.client.request(method, url.clone()).json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        self.send(request, url).await
    }

    /// Sends one event or a batch, and gives the answer's text as it came.
    pub(super) async fn post_events(
        &self,
        content_type: &'static str,
        body: String,
        wait: bool,
    ) -> Result<String, ApiError> {
        let url = self.url(&["v1", "events"]);
        let mut request = self.client.post(url.clone());
        if !wait {
            request = request.query(&[("wait", "false")]);
        }
        self.send(request.header(CONTENT_TYPE, content_type).body(body), url)
            .await
    }

    /// The URL of a path, each segment given as it is.
    pub(super) fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    async fn send(&self, request: RequestBuilder, url: Url) -> Result<String, ApiError> {
        let mut request = request;
        if let Some(tenant) = &self.who.tenant {
            request = request.header("X-Tenant-ID", tenant);
        }
        if let Some(key) = &self.who.key {
            request = request.bearer_auth(key);
        }
        let answer = async {
            let response = request.send().await?;
            let status = response.status();
            let location = response.headers().get(LOCATION).cloned();
            Ok::<_, reqwest::Error>((status, location, response.text().await?))
        };
        let (status, location, body) = answer.await.map_err(|error| ApiError::Unreachable {
            url: self.base.clone(),
            cause: root_cause(&error),
        })?;
        if status.is_success() {
            return Ok(body);
        }
        if let (true, Some(location)) = (status.is_redirection(), location) {
            let location = String::from_utf8_lossy(location.as_bytes());
            return Err(ApiError::Moved {
                url,
                status: status.as_u16(),
                location: location.chars().take(SHOWN_CHARS_MAX).collect(),
            });
        }
        Err(match serde_json::from_str(&body) {
            Ok(problem) => ApiError::Problem(Box::new(problem)),
            Err(_other) => foreign(url, status.as_u16(), &body),
        })
    }
}

/// Reads an answer.
pub(super) fn read<T: DeserializeOwned>(answer: &str) -> anyhow::Result<T> {
    serde_json::from_str(answer).context("the answer is not what this version expects")
}

fn foreign(url: Url, status: u16, body: &str) -> ApiError {
    let body = body.chars().take(SHOWN_CHARS_MAX).collect();
    ApiError::Foreign { url, status, body }
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
    let mut lines = vec![format!("{} ({})", problem.detail, problem.code)];
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
        let (field, message) = (&error.field, &error.message);
        lines.push(format!("  {field}{colon}{message}{code}"));
    }
    lines.join("\n")
}

fn words(text: &str) -> BTreeSet<&str> {
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let words = text.split(|c| !in_word(c)).map(|w| w.trim_matches('.'));
    words.filter(|word| !word.is_empty()).collect()
}
