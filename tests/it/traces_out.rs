//! Traces of the server's own work: which spans it exports to a collector, and where their ids go.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::Method;
use axum::routing::post;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::support::cli::Server;
use crate::support::client::{Answer, Client};
use crate::support::nats::NatsServer;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A collector of traces. It keeps what it gets.
struct Collector {
    url: String,
    requests: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    _serving: JoinSet<()>,
}

impl Collector {
    async fn start() -> Self {
        let requests = Arc::<Mutex<Vec<_>>>::default();
        let kept = Arc::clone(&requests);
        let take = move |body: Bytes| {
            let kept = Arc::clone(&kept);
            async move {
                let request = ExportTraceServiceRequest::decode(body).unwrap();
                kept.lock().await.push(request);
            }
        };
        let routes = Router::new().route("/v1/traces", post(take));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async { axum::serve(listener, routes).await.unwrap() });
        Self {
            url,
            requests,
            _serving: serving,
        }
    }

    /// All spans so far.
    async fn spans(&self) -> Vec<Span> {
        let requests = self.requests.lock().await;
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// The value of an attribute of the resource.
    async fn resource(&self, key: &str) -> Option<String> {
        let requests = self.requests.lock().await;
        let resource = requests.first()?.resource_spans.first()?.resource.clone()?;
        attribute(&resource.attributes, key)
    }
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let pair = attributes.iter().find(|pair| pair.key == key)?;
    match pair.value.clone()?.value? {
        Any::StringValue(text) => Some(text),
        Any::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

fn of(span: &Span, key: &str) -> Option<String> {
    attribute(&span.attributes, key)
}

#[track_caller]
fn named<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let found = spans.iter().find(|span| span.name == name);
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    found.unwrap_or_else(|| panic!("{name} is not in {names:?}"))
}

fn serve(dir: &Path, more: &[&str], variables: &[(&str, &str)]) -> Server {
    Server::start_with_variables(dir, &[&["--no-auth"], more].concat(), variables)
}

/// Ends a server, which exports its last spans then. It must do so on a thread that may wait.
async fn end(server: Server) -> String {
    let ended = tokio::task::spawn_blocking(|| server.terminate());
    let (code, log) = ended.await.unwrap();
    assert_eq!(code, Some(0), "{log}");
    log
}

fn created(id: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/test", "type": "session.created",
        "subject": id, "data": {"agent_id": "triage"}})
}

/// Emits an event as a caller that is traced.
async fn emit(client: &Client, event: &Value) -> Answer {
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let headers = [
        ("content-type", "application/json"),
        ("traceparent", traceparent.as_str()),
    ];
    let body = event.to_string().into_bytes();
    client
        .send(Method::POST, "/v1/events", &headers, body)
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_appends_batches_and_pages_are_spans() {
    let collector = Collector::start().await;
    let dir = tempfile::tempdir().unwrap();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str())];
    let server = serve(dir.path(), &[], &variables);
    let client = Client::new(server.url(), "acme");
    assert_eq!(emit(&client, &created("s-1")).await.status, 201);
    assert_eq!(client.get("/v1/agent-sessions").await.status, 200);
    assert_eq!(client.get("/v1/agent-sessions/none").await.status, 404);
    for unseen in ["/healthz", "/readyz", "/metrics"] {
        client.get(unseen).await;
    }
    end(server).await;

    let spans = collector.spans().await;
    let request = named(&spans, "POST /v1/events");
    assert_eq!(hex::encode(&request.trace_id), TRACE);
    assert_eq!(hex::encode(&request.parent_span_id), CALLER);
    assert_eq!(request.kind, 2, "a span of a server");
    for (key, expected) in [
        ("http.request.method", "POST"),
        ("http.route", "/v1/events"),
        ("url.path", "/v1/events"),
        ("http.response.status_code", "201"),
    ] {
        assert_eq!(of(request, key).as_deref(), Some(expected), "{key}");
    }
    let append = named(&spans, "append");
    assert_eq!(append.parent_span_id, request.span_id);
    assert_eq!(of(append, "records").as_deref(), Some("1"));
    let fold = spans.iter().filter(|span| span.name == "fold");
    let folded = fold.filter_map(|span| of(span, "records")?.parse::<u64>().ok());
    assert!(1 <= folded.sum::<u64>());
    let page = named(&spans, "page");
    assert_eq!(
        page.parent_span_id,
        named(&spans, "GET /v1/agent-sessions").span_id
    );
    let missing = named(&spans, "GET /v1/agent-sessions/{id}");
    let status = missing.status.clone().unwrap_or_default();
    assert_eq!(
        status.code, 0,
        "what a client does wrong is no failure of the server"
    );
    let routes: Vec<_> = spans
        .iter()
        .filter_map(|span| of(span, "http.route"))
        .collect();
    assert!(
        routes.iter().all(|route| route.starts_with("/v1")),
        "{routes:?}"
    );
    assert_eq!(
        collector.resource("service.name").await.as_deref(),
        Some("session-ledger")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_standard_variables_count() {
    let collector = Collector::start().await;
    let exact = format!("{}/v1/traces", collector.url);
    let dir = tempfile::tempdir().unwrap();
    let variables = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", exact.as_str()),
        ("OTEL_SERVICE_NAME", "ledger-eu"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=test",
        ),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
    ];
    let server = serve(dir.path(), &[], &variables);
    let client = Client::new(server.url(), "acme");
    client.get("/v1/agent-sessions").await.ok();
    assert_eq!(emit(&client, &created("s-1")).await.status, 201);
    end(server).await;
    // Only the caller that is traced is sampled.
    let spans = collector.spans().await;
    assert!(!spans.is_empty());
    assert!(
        spans
            .iter()
            .all(|span| hex::encode(&span.trace_id) == TRACE)
    );
    assert_eq!(
        collector.resource("service.name").await.as_deref(),
        Some("ledger-eu")
    );
    let environment = collector.resource("deployment.environment.name").await;
    assert_eq!(environment.as_deref(), Some("test"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_exported_if_a_variable_says_so() {
    let collector = Collector::start().await;
    for off in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()), off];
        let server = serve(dir.path(), &[], &variables);
        let client = Client::new(server.url(), "acme");
        client.get("/v1/agent-sessions").await.ok();
        end(server).await;
    }
    assert!(collector.requests.lock().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_delays_neither_requests_nor_the_end() {
    // A socket that accepts connections and answers nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
    ];
    let server = serve(dir.path(), &[], &variables);
    let client = Client::new(server.url(), "acme");
    for number in 0..20 {
        let answer = emit(&client, &created(&format!("s-{number}"))).await;
        assert_eq!(answer.status, 201);
    }
    let began = Instant::now();
    end(server).await;
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_on_nats_names_the_span_that_appended_it() {
    let collector = Collector::start().await;
    let nats = NatsServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str())];
    let server = serve(dir.path(), &["--nats-url", nats.url()], &variables);
    let client = Client::new(server.url(), "acme");
    let event = created("s-1");
    let position = emit(&client, &event).await.json()["position"]
        .as_u64()
        .unwrap();
    let connection = async_nats::connect(nats.url()).await.unwrap();
    let context = async_nats::jetstream::new(connection);
    let stream = context.get_stream("LEDGER").await.unwrap();
    let stored = stream.get_raw_message(position).await.unwrap();
    // The event has the bytes that the client sent.
    assert_eq!(stored.payload, event.to_string());
    end(server).await;
    let spans = collector.spans().await;
    let append = spans
        .iter()
        .find(|span| span.name == "append" && hex::encode(&span.trace_id) == TRACE);
    let expected = format!("00-{TRACE}-{}-01", hex::encode(&append.unwrap().span_id));
    assert_eq!(
        stored.headers.get("traceparent").unwrap().as_str(),
        expected
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_name_the_trace_of_an_event_and_the_link_to_traces() {
    let dir = tempfile::tempdir().unwrap();
    let link = "https://traces.example/{trace_id}";
    let server = serve(dir.path(), &["--trace-url", link], &[]);
    let client = Client::new(server.url(), "acme");
    let mut traced = created("s-1");
    traced["traceparent"] = json!(format!("00-{TRACE}-{CALLER}-01"));
    client.apply(&traced).await;
    for (id, wrong) in [
        ("s-2", Value::Null),
        ("s-3", json!("00-0-0-01")),
        ("s-4", json!(format!("00-{}-{CALLER}-01", "0".repeat(32)))),
    ] {
        let mut event = created(id);
        event["traceparent"] = wrong;
        client.apply(&event).await;
    }
    let listed = client.get("/v1/events").await.ok();
    let ids: Vec<&Value> = listed["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["trace_id"])
        .collect();
    assert_eq!(
        ids,
        [&json!(TRACE), &Value::Null, &Value::Null, &Value::Null]
    );
    let history = client.get("/v1/agent-sessions/s-1/events").await.ok();
    assert_eq!(history["events"][0]["trace_id"], TRACE);
    assert_eq!(client.get("/v1/status").await.ok()["trace_url"], link);
    end(server).await;
}
