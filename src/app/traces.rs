//! Exports the spans of the ledger's own work (`metrics::trace`) by OTLP over HTTP.
//!
//! The crates of OpenTelemetry read most of their settings from the standard variables themselves: the name
//! of the service, resource attributes, headers, the sampler, the size and the delay of batches.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::http::{Request, Response};
use bytes::{Bytes, BytesMut};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Key, KeyValue};
use opentelemetry_http::{HttpClient, HttpError, ResponseBodyTooLarge};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tokio_util::context::TokioContext;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::domain::limits::{TRACES_ANSWER_BYTES_MAX, TRACES_EXPORT_WAIT_MS, TRACES_FLUSH_WAIT_MS};
use crate::metrics::trace;

/// The name of the instrumentation, and of the service unless a variable names it.
const NAME: &str = "session-ledger";

/// Exports spans.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The endpoint or another setting is wrong.
    #[error("the exporter of traces has a wrong setting")]
    Setting(#[from] ExporterBuildError),
    /// The client for the endpoint cannot be made.
    #[error("the exporter of traces has no HTTP client")]
    Client(#[from] reqwest::Error),
}

impl Traces {
    /// Begins to export spans to a URL, on a thread of its own. Call it on a runtime.
    pub fn start(endpoint: &str) -> Result<Self, TracesError> {
        let http = reqwest::Client::builder()
            // The headers may have a key, which is for this address only.
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_millis(TRACES_EXPORT_WAIT_MS))
            .build()?;
        let client = Client {
            http,
            runtime: Handle::current(),
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(endpoint)
            .with_http_client(client)
            .build()?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_batch_exporter(exporter)
            .build();
        trace::turn_on();
        Ok(Self(provider))
    }

    /// Takes the spans that are to be exported.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let ours = filter_fn(|metadata| metadata.is_span() && metadata.target() == trace::TARGET);
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(NAME))
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(ours)
    }

    /// Exports the last spans, for a bounded time.
    pub async fn stop(self) {
        let at_most = Duration::from_millis(TRACES_FLUSH_WAIT_MS);
        let stopped = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(at_most));
        match stopped.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the last spans were not exported: {error}"),
            Err(panicked) => tracing::warn!("the last spans were not exported: {panicked}"),
        }
    }
}

/// What the spans are of. Without a variable that says otherwise, the service has our name.
fn resource() -> Resource {
    let detected = Resource::builder().build();
    let service = Key::from_static_str("service.name");
    let is_named = detected.get(&service);
    let is_named = is_named.is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder().with_attribute(version);
    if is_named {
        return builder.build();
    }
    builder.with_service_name(NAME).build()
}

/// Sends the requests of the exporter, which polls them on a thread outside the runtime.
struct Client {
    http: reqwest::Client,
    runtime: Handle,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl HttpClient for Client {
    fn send_bytes<'client, 'future>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'future>>
    where
        'client: 'future,
        Self: 'future,
    {
        let sent = send(self.http.clone(), request);
        Box::pin(TokioContext::new(sent, self.runtime.clone()))
    }
}

async fn send(
    http: reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let mut answer = http.execute(request.try_into()?).await?;
    let mut response = Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        headers.clone_from(answer.headers());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await? {
        if TRACES_ANSWER_BYTES_MAX < body.len() + chunk.len() {
            return Err(ResponseBodyTooLarge::new().into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(response.body(body.freeze())?)
}
