//! A server that has just started: it shows no older state than before it stopped.

use std::net::SocketAddr;
use std::sync::Arc;

use session_ledger::app::clock::SystemClock;
use session_ledger::app::{Config, start};
use session_ledger::log::{EmbeddedLog, EventLog, NewRecord};

use crate::support::client::{Client, created};
use crate::support::nats_ledger::CREATED;

const TIME: &str = "2026-01-31T12:00:00Z";
/// Enough that the fold takes longer than the first requests.
const SESSIONS: usize = 40_000;

#[tokio::test(flavor = "multi_thread")]
async fn reads_wait_for_what_was_on_the_log_at_the_start_and_the_server_is_not_ready_before() {
    let dir = tempfile::tempdir().unwrap();
    let records = (0..SESSIONS).map(|number| NewRecord {
        subject: CREATED.into(),
        private: bytes::Bytes::new(),
        body: created(&format!("s{number}"), "a1", TIME)
            .to_string()
            .into(),
    });
    let log = EmbeddedLog::open(&dir.path().join("log.redb"), Arc::new(SystemClock)).unwrap();
    let appended = log.append(records.collect()).await;
    assert!(appended.iter().all(Result::is_ok));
    log.close().await;
    drop(log);

    let config = Config::local(dir.path().to_owned(), SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = Box::pin(start(config)).await.unwrap();
    let client = Client::new(&server.url(), "acme");
    let mut early = 0;
    loop {
        let ready = client.get("/readyz").await;
        let session = client.get("/v1/agent-sessions/s0").await;
        let page = client.get("/v1/agent-sessions?limit=1").await;
        // What was asked later shows at least as much.
        if ready.status == 200 {
            assert_eq!(session.status, 200, "{}", session.text);
        } else {
            early += 1;
            let said = ready.problem(503, "not_ready")["detail"].clone();
            assert!(
                said.as_str().unwrap().contains("has just started"),
                "{said}"
            );
        }
        match page.status {
            200 => assert_eq!(page.json()["total"], SESSIONS, "{}", page.text),
            _ => drop(page.problem(503, "not_caught_up")),
        }
        if ready.status == 200 {
            break;
        }
    }
    assert!(early > 0, "the fold was faster than the first request");
    server.stop().await.unwrap();
}
