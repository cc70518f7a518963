//! Requests to the ledgers of a run, and which answers are findings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::torture::book::{Book, count};
use crate::torture::{Finding, TENANT};

/// How long a client waits for an answer. A ledger itself waits up to 9 s for the log and the fold.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long a client waits for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// How long a health check may take.
const READY_MAX: Duration = Duration::from_secs(5);

/// The ledgers of a run.
pub(crate) struct Address {
    doors: Vec<String>,
    /// The API key of all clients.
    key: String,
    http: reqwest::Client,
    book: Arc<Book>,
}

/// A request of a client.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) body: Option<&'a Value>,
    /// The idempotency key of a command.
    pub(crate) key: Option<&'a str>,
}

/// An answer that is neither lost nor an advice to try again.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) sent: Instant,
    pub(crate) ledger: usize,
}

impl Address {
    pub(crate) fn new(doors: Vec<String>, key: &str, book: Arc<Book>) -> Self {
        // reqwest needs a TLS provider even for plain HTTP. Installing a second one has no effect.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(ANSWER_MAX)
            .connect_timeout(CONNECT_MAX)
            .build()
            .unwrap();
        Self {
            doors,
            key: key.to_owned(),
            http,
            book,
        }
    }

    /// The number of ledgers.
    pub(crate) fn ledgers(&self) -> usize {
        self.doors.len()
    }

    pub(crate) async fn get(&self, ledger: usize, path: &str) -> Result<Option<Answer>, Finding> {
        let (method, body, key) = (Method::GET, None, None);
        let request = Request {
            method,
            path,
            body,
            key,
        };
        self.send(ledger, &request).await
    }

    /// Sends a request to a ledger. Returns `None` if the client should try again.
    pub(crate) async fn send(
        &self,
        ledger: usize,
        request: &Request<'_>,
    ) -> Result<Option<Answer>, Finding> {
        let url = format!("{}{}", self.doors[ledger], request.path);
        let mut builder = self.http.request(request.method.clone(), url);
        builder = builder
            .header("x-tenant-id", TENANT)
            .header("x-api-key", &self.key);
        if let Some(key) = request.key {
            builder = builder.header("idempotency-key", key);
        }
        if let Some(body) = request.body {
            builder = builder
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let sent = Instant::now();
        let response = match builder.send().await {
            Ok(response) => response,
            Err(error) if error.is_builder() => panic!("not a request: {error}"),
            Err(_lost) => {
                count(&self.book.counts.lost);
                return Ok(None);
            }
        };
        let status = response.status();
        let may_retry = response.headers().contains_key("retry-after");
        let Ok(text) = response.text().await else {
            count(&self.book.counts.lost);
            return Ok(None);
        };
        let asked = || format!("{} {} at ledger {ledger}", request.method, request.path);
        let Ok(body) = serde_json::from_str::<Value>(&text) else {
            return Err(Finding(format!(
                "expected: JSON for {}; seen: {status} {text}",
                asked()
            )));
        };
        if status == StatusCode::SERVICE_UNAVAILABLE {
            if !may_retry || !body["code"].is_string() {
                return Err(Finding(format!(
                    "expected: a 503 with Retry-After and a code for {}; seen: {text}",
                    asked()
                )));
            }
            count(&self.book.counts.later);
            return Ok(None);
        }
        // The write is on the log, and a fault may have hit the read model before the ledger read the verdict.
        if request.method != Method::GET && body["code"] == "verdict_unreadable" {
            count(&self.book.counts.unreadable);
            return Ok(None);
        }
        if status.is_server_error() {
            return Err(Finding(format!(
                "expected: no {status} for {}; seen: {text}",
                asked()
            )));
        }
        Ok(Some(Answer {
            status: status.as_u16(),
            body,
            sent,
            ledger,
        }))
    }

    /// Reads a session that its writer has changed at this position. The ledger must show the change. Returns
    /// false if the client should try again.
    pub(crate) async fn read_own(
        &self,
        ledger: usize,
        session: &str,
        position: u64,
    ) -> Result<bool, Finding> {
        let expected = self.book.status_of(session);
        let path = format!("/v1/agent-sessions/{session}?min_position={position}");
        let Some(answer) = self.get(ledger, &path).await? else {
            return Ok(false);
        };
        if answer.status != 200 || answer.body["status"] != expected {
            return Err(Finding(format!(
                "expected: status {expected} of {session} at position {position} of ledger {ledger}; seen: \
                 {} {}",
                answer.status, answer.body
            )));
        }
        count(&self.book.counts.own_reads);
        self.book.read(answer.sent, ledger);
        Ok(true)
    }

    /// Whether all ledgers are ready. The error says which one is not, and why.
    pub(crate) async fn all_ready(&self) -> Result<(), String> {
        for (ledger, door) in self.doors.iter().enumerate() {
            let request = self.http.get(format!("{door}/readyz")).timeout(READY_MAX);
            let why = match request.send().await {
                Ok(response) if response.status() == StatusCode::OK => continue,
                Ok(response) => response.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            return Err(format!("ledger {ledger} is not ready: {why}"));
        }
        Ok(())
    }
}
