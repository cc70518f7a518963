//! A server in memory, for the target that makes requests.

use std::cell::OnceCell;
use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::http::{Method, Request};
use axum::response::Response;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use redb::backends::InMemoryBackend;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::auth::{Access, Keys};
use crate::dialects::{self, Call, Dialect};
use crate::domain::{Clock, Rules, Timestamp};
use crate::http::{Hosts, Services, StreamTasks, openapi};
use crate::ledger::{Commands, Ledger, TokenSecret};
use crate::log::{EmbeddedLog, EventLog as _, NewRecord};
use crate::projection::{Commit, Prepared, Projection, Store};

const NOW_US: i64 = 1_700_000_000_000_000;
/// The sessions of the ledger, half of them in a project.
const SESSIONS: u64 = 9;

static PATHS: LazyLock<Vec<String>> = LazyLock::new(paths_that_read);

thread_local! {
    static SERVER: OnceCell<(Runtime, TowerToHyperService<axum::Router>)> = const { OnceCell::new() };
}

/// Makes a request: a byte that chooses the path, the id and the query, as in a URL.
pub(super) fn get(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    let Ok(rest) = std::str::from_utf8(rest) else {
        return;
    };
    let (id, query) = rest.split_once('?').unwrap_or(("s1", rest));
    let path = &PATHS[usize::from(*choice) % PATHS.len()];
    // Ids of sessions and agents, and positions.
    let path = path
        .split('/')
        .map(|part| if part.starts_with('{') { id } else { part });
    let path = path.collect::<Vec<_>>().join("/");
    let request = Request::get(format!("{path}?{query}"))
        .header("host", "localhost")
        .header("x-tenant-id", "acme")
        .header("x-otas-project-id", "acme")
        .body(Body::empty());
    let Ok(request) = request else {
        return;
    };
    SERVER.with(|server| {
        let (runtime, router) = server.get_or_init(start);
        let response: Result<Response, _> = runtime.block_on(router.call(request));
        let response = response.expect("the router always answers");
        let status = response.status().as_u16();
        // A dialect answers 501 to calls of the other API that it does not have.
        let is_left_out = status == 501 && path.starts_with("/compat/");
        assert!(status < 500 || is_left_out, "{status} on {path}?{query}");
    });
}

/// The paths of all GET requests for something of a tenant, sorted. Parameters are in braces.
fn paths_that_read() -> Vec<String> {
    let document: Value = serde_json::from_str(&openapi::text()).expect("the document is JSON");
    let paths = document["paths"].as_object().into_iter().flatten();
    let native = paths
        .filter(|(path, item)| path.starts_with("/v1/") && item.get("get").is_some())
        .map(|(path, _)| path.clone());
    let of_dialect = |dialect: &Dialect| {
        let reads = |call: &Call| call.method == Method::GET;
        let name = dialect.as_str();
        let calls = dialect.calls().into_iter().filter(reads);
        calls.map(move |call| format!("/compat/{name}{}", call.path))
    };
    let mut paths: Vec<String> = native
        .chain(Dialect::ALL.iter().flat_map(of_dialect))
        .collect();
    paths.sort_unstable();
    paths
}

/// A clock that stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros_clamped(NOW_US)
    }
}

fn start() -> (Runtime, TowerToHyperService<axum::Router>) {
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime starts");
    let router = runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(Still);
        let log = || EmbeddedLog::open_on(InMemoryBackend::new, Arc::new(Still));
        let log = || Arc::new(log().expect("a log in memory opens"));
        let store = Store::open_on(InMemoryBackend::new()).expect("a read model in memory opens");
        let (log, keys) = (log(), Arc::new(Keys::new(log())));
        let batch = appended(&log).await;
        let folded = store.fold(&batch, Commit::Visible);
        folded.expect("events are folded");
        let projection = Projection::of(store).expect("it can be read");
        let projection = Arc::new(projection);
        let ledger = Ledger::new(
            Arc::<EmbeddedLog>::clone(&log),
            Arc::clone(&projection),
            Arc::clone(&clock),
        );
        let secret = TokenSecret::new([7; TokenSecret::BYTES]);
        let services = Services {
            commands: Commands::new(ledger.clone(), secret),
            ledger,
            projection,
            past: None,
            log,
            access: Arc::new(Access::Everybody),
            keys,
            clock,
            metrics: Arc::default(),
            streams: StreamTasks::default(),
            origins: Vec::new(),
            trace_url: None,
        };
        dialects::router(services, Hosts::Any)
    });
    (runtime, TowerToHyperService::new(router))
}

/// Appends the events of all sessions, whose bodies the server reads from the log.
async fn appended(log: &EmbeddedLog) -> Vec<Prepared> {
    let appended = log.append((1..=SESSIONS).map(opened).collect()).await;
    let positions: Result<Vec<_>, _> = appended.into_iter().collect();
    let records = log.get(positions.expect("a log in memory takes records"));
    let records = records.await.expect("a log in memory has its records");
    let prepared = records.into_iter();
    prepared
        .map(|record| Prepared::new(Rules::V1, record))
        .collect()
}

fn opened(number: u64) -> NewRecord {
    let project = if number.is_multiple_of(2) {
        r#","project_id":"p1""#
    } else {
        ""
    };
    let body = format!(
        r#"{{"specversion":"1.0","id":"e{number}","source":"/fuzz","type":"session.created","subject":"s{number}","data":{{"agent_id":"a1"{project}}}}}"#
    );
    NewRecord {
        subject: "ledger.v1.acme.session.created".into(),
        private: bytes::Bytes::new(),
        body: body.into(),
    }
}
