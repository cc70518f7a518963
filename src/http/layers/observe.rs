//! The outermost layer: gives each request its id and span, measures it, and writes its problem.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use tracing::field::Empty;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::http::layers::{drain_body, shed};
use crate::http::problem::Problem;
use crate::http::problem::style::ErrorStyle;
use crate::http::state::App;
use crate::metrics::trace;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Says whether pages of other sites may load an answer as an image or a script. For requests by
/// `fetch`, CORS decides instead.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// The longest request id that the server accepts from a caller.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// The route label of a request that matches no route. Unknown paths must not create time series.
const NO_ROUTE: &str = "unmatched";
/// The label of a method that is none of HTTP.
const OTHER_METHOD: &str = "other";
/// Routes that monitoring asks every few seconds.
const UNTRACED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Sees every request first and every answer last.
pub(crate) async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let request_id = request_id(request.headers());
    let span = span(method, route, &request_id);
    begin_trace(&span, method, route, &request);

    let handle = async |request| shed::refuse_or(&app, request, next).await;
    let mut response = drain_body::answer(request, handle)
        .instrument(span.clone())
        .await;

    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        match response.extensions_mut().remove::<ErrorStyle>() {
            Some(style) => style.write(&problem, &mut response, &request_id),
            None => problem.write(&mut response, &request_id),
        }
    }
    let headers = response.headers_mut();
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(CACHE_CONTROL).or_insert(no_store);
    secure(headers);
    if let Ok(value) = HeaderValue::try_from(request_id) {
        headers.insert(REQUEST_ID, value);
    }
    let (status, took) = (response.status().as_u16(), started.elapsed());
    app.metrics().request(route, method, status, took);
    span.in_scope(|| log_answer(method, route, status, took));
    trace::end(&span, status);
    response
}

/// The span of a request, for log lines and for traces. At level `error`, so that a log filter for errors
/// keeps the request id of each error.
fn span(method: &str, route: &str, request_id: &str) -> Span {
    if UNTRACED.contains(&route) {
        return tracing::error_span!("request", request.id = %request_id, method, route);
    }
    tracing::error_span!(
        target: trace::TARGET,
        "request",
        request.id = %request_id,
        method,
        route,
        otel.name = Empty,
        otel.kind = Empty,
    )
}

fn begin_trace(span: &Span, method: &str, route: &str, request: &Request) {
    let header = |name| request.headers().get(name)?.to_str().ok();
    let request = trace::Request {
        method: Some(method).filter(|method| *method != OTHER_METHOD),
        route: Some(route).filter(|route| *route != NO_ROUTE),
        path: request.uri().path(),
        traceparent: header(trace::TRACEPARENT),
        tracestate: header(trace::TRACESTATE),
    };
    trace::begin(span, request);
}

/// Adds headers that keep browsers from guessing the content type, and other sites from embedding
/// the answer.
fn secure(headers: &mut HeaderMap) {
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(nothing);
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    let same_origin = HeaderValue::from_static("same-origin");
    headers.insert(RESOURCE_POLICY, same_origin);
}

fn log_answer(method: &str, route: &str, status: u16, took: Duration) {
    let latency_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    tracing::debug!(
        status,
        latency.us = latency_us,
        "answered {method} {route} with {status}"
    );
}

/// The caller's request id if it is safe in a header and in a log line, otherwise a new one.
fn request_id(headers: &HeaderMap) -> String {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    headers
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()))
        .filter(|id| id.bytes().all(harmless))
        .map_or_else(|| Uuid::now_v7().to_string(), ToOwned::to_owned)
}

/// The metrics label of a method. Callers can invent methods, and each would be a new time series.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => OTHER_METHOD,
    }
}
