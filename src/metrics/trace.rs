//! Spans of the ledger's own work, for traces of OpenTelemetry.
//!
//! Spans with the target [`TARGET`] are exported, and no others. They have the level `trace`, except that of a
//! request, which log lines show too. So while nothing is exported, no subscriber wants them and they cost
//! next to nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::Status;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::domain::limits::TRACES_PATH_CHARS_MAX;

/// The target of the spans that are exported.
pub const TARGET: &str = "session_ledger_trace";
/// The header with the id of a trace and of the span that calls, as W3C Trace Context defines it.
pub const TRACEPARENT: &str = "traceparent";
/// The header with what tracing systems add to it.
pub const TRACESTATE: &str = "tracestate";
/// From this status on, the server has failed, and not its client.
const SERVER_ERROR: u16 = 500;

/// Whether spans are exported. Only ever turned on.
static EXPORTED: AtomicBool = AtomicBool::new(false);

/// Notes that spans are exported from now on.
pub fn turn_on() {
    EXPORTED.store(true, Ordering::Relaxed);
}

fn is_on() -> bool {
    EXPORTED.load(Ordering::Relaxed)
}

/// A request, as its span shows it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its method; `None` if it is none of HTTP.
    pub method: Option<&'a str>,
    /// The template of its route; `None` if it matches none.
    pub route: Option<&'a str>,
    /// Its path.
    pub path: &'a str,
    /// Its header `traceparent`.
    pub traceparent: Option<&'a str>,
    /// Its header `tracestate`.
    pub tracestate: Option<&'a str>,
}

/// Makes a span, which has not been entered yet, the one of a request. Its parent is the caller's span.
pub fn begin(span: &Span, request: Request<'_>) {
    if !is_on() || span.is_disabled() {
        return;
    }
    if request.traceparent.is_some() {
        let parent = TraceContextPropagator::new().extract(&request);
        if let Err(error) = span.set_parent(parent) {
            tracing::debug!("the trace of a caller is not continued: {error}");
        }
    }
    let method = request.method.unwrap_or("HTTP");
    match request.route {
        Some(route) => {
            span.record(
                "otel.name",
                tracing::field::display(format_args!("{method} {route}")),
            );
            span.set_attribute("http.route", route.to_owned());
        }
        None => {
            span.record("otel.name", method);
        }
    }
    span.record("otel.kind", "server");
    let method = request.method.unwrap_or("_OTHER").to_owned();
    span.set_attribute("http.request.method", method);
    let path: String = request.path.chars().take(TRACES_PATH_CHARS_MAX).collect();
    span.set_attribute("url.path", path);
}

/// Notes the status of the answer to a request.
pub fn end(span: &Span, status: u16) {
    if !is_on() || span.is_disabled() {
        return;
    }
    span.set_attribute("http.response.status_code", i64::from(status));
    if SERVER_ERROR <= status {
        span.set_attribute("error.type", status.to_string());
        span.set_status(Status::error(""));
    }
}

/// The current span as the header [`TRACEPARENT`] names it; `None` if nothing is exported, or if there is no
/// span.
pub fn traceparent() -> Option<String> {
    if !is_on() {
        return None;
    }
    let mut headers = HashMap::new();
    let context = Span::current().context();
    TraceContextPropagator::new().inject_context(&context, &mut headers);
    headers.remove(TRACEPARENT)
}

impl Extractor for Request<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TRACEPARENT => self.traceparent,
            TRACESTATE => self.tracestate,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}
