//! A small HTTP client of the ledger, and its answers.

use axum::http::Request;
use axum::http::request::Builder;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::documented;
use super::http2::{self, Http2Answer};

/// A client for one tenant.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    tenant: String,
    key: Option<String>,
}

/// An answer of the server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Client {
    pub(crate) fn new(url: &str, tenant: &str) -> Self {
        // reqwest needs a TLS provider even for plain HTTP. Installing a second one has no effect.
        drop(rustls::crypto::ring::default_provider().install_default());
        Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            url: url.to_owned(),
            tenant: tenant.to_owned(),
            key: None,
        }
    }

    /// Returns a client that sends a key or token instead of the tenant's name.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        let key = Some(format!("Bearer {key}"));
        Self {
            key,
            ..self.clone()
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Vec::new()).await
    }

    /// Gets the headers and the undecoded bytes of an answer.
    pub(crate) async fn fetch(&self, path: &str, headers: &[(&str, &str)]) -> (HeaderMap, Vec<u8>) {
        let response = self.open(path, headers).await;
        let headers = response.headers().clone();
        (headers, response.bytes().await.unwrap().to_vec())
    }

    /// Gets an answer whose body is not read yet.
    pub(crate) async fn open(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let request = self.http.get(format!("{}{path}", self.url));
        let request = match &self.key {
            Some(key) => request.header("authorization", key),
            None => request.header("x-tenant-id", &self.tenant),
        };
        let with_header = |request: reqwest::RequestBuilder, (name, value): &(&str, &str)| {
            request.header(*name, *value)
        };
        let request = headers.iter().fold(request, with_header);
        request.send().await.unwrap()
    }

    /// Returns a client for another tenant of the same server.
    pub(crate) fn of(&self, tenant: &str) -> Self {
        let tenant = tenant.to_owned();
        Self {
            tenant,
            ..self.clone()
        }
    }

    /// Gets an answer over HTTP/2, from a server that may send only so many bytes before they are read.
    pub(crate) async fn open_http2(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        window_bytes: u32,
    ) -> Http2Answer {
        let url = format!("{}{path}", self.url);
        let request = Request::get(url).header("x-tenant-id", &self.tenant);
        let with_header =
            |request: Builder, (name, value): &(&str, &str)| request.header(*name, *value);
        let request = headers.iter().fold(request, with_header).body(()).unwrap();
        http2::get(request, window_bytes).await
    }

    /// Posts a body with this content type.
    pub(crate) async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let headers = [("content-type", content_type)];
        self.send(Method::POST, path, &headers, body.into()).await
    }

    /// Posts one structured event and waits for its verdict.
    pub(crate) async fn emit(&self, event: &Value) -> Answer {
        let body = event.to_string();
        self.post("/v1/events", "application/cloudevents+json", body)
            .await
    }

    /// Posts one structured event, which must be applied. Returns its position.
    pub(crate) async fn apply(&self, event: &Value) -> u64 {
        let answer = self.emit(event).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()["position"].as_u64().unwrap()
    }

    /// Sends a request. Adds the header of the tenant or the key, unless `headers` has it.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            all.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        match &self.key {
            Some(key) if !all.contains_key("authorization") => {
                all.insert("authorization", key.parse().unwrap());
            }
            None if !all.contains_key("x-tenant-id") => {
                all.insert("x-tenant-id", self.tenant.parse().unwrap());
            }
            Some(_) | None => {}
        }
        self.send_bare(method, path, all, body).await
    }

    /// Sends with these headers and no others. A problem must be one that the API's document lists.
    pub(crate) async fn send_bare(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Answer {
        let url = format!("{}{path}", self.url);
        let request = self.http.request(method.clone(), url);
        let response = request.headers(headers).body(body).send().await.unwrap();
        let answer = Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        };
        documented::check(method.as_str(), path, answer.status, &answer.text);
        answer
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the body. The status must be 200.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// Returns the problem document. Checks its status, its code and the members that every problem has.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.json();
        assert_eq!(
            (self.status, &problem["code"]),
            (status, &json!(code)),
            "{problem}"
        );
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(
            problem["type"],
            json!(format!("urn:session-ledger:problem:{code}"))
        );
        assert_eq!(problem["status"], json!(status));
        assert_eq!(problem["instance"], json!(self.header("x-request-id")));
        for text in ["title", "detail", "instance"] {
            assert!(
                problem[text].as_str().is_some_and(|text| !text.is_empty()),
                "{problem}"
            );
        }
        problem
    }
}

/// Returns a `session.created` with its own event id.
pub(crate) fn created(session: &str, agent: &str, time: &str) -> Value {
    json!({
        "specversion": "1.0",
        "id": format!("created-{session}"),
        "source": "/tests",
        "type": "session.created",
        "subject": session,
        "time": time,
        "data": {"agent_id": agent},
    })
}

/// Returns an event about a session or agent.
pub(crate) fn event(id: &str, event_type: &str, session: &str, data: &Value) -> Value {
    json!({
        "specversion": "1.0",
        "id": id,
        "source": "/tests",
        "type": event_type,
        "subject": session,
        "data": data,
    })
}
