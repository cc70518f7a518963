//! More writes than may wait for their verdicts: the next one waits for its turn, and its body stays unread. If
//! too many wait already, it is refused at once.

use futures_util::future::join_all;
use session_ledger::domain::limits::{WRITERS_MAX, WRITERS_QUEUED_MAX};
use session_ledger::log::EventLog as _;
use tokio::io::AsyncWriteExt as _;

use crate::support::app::{App, NOW};
use crate::support::client::created;
use crate::support::connection::{rest, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_turn_does_not_come_is_refused_before_its_body_is_read() {
    let app = App::start().await;
    let turns = join_all((0..WRITERS_MAX).map(|_| app.ledger.turn())).await;
    let head = "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nX-Tenant-ID: acme\r\n\
                Content-Type: application/json\r\nContent-Length: 100\r\n\
                Expect: 100-continue\r\nConnection: close\r\n\r\n";
    // Without "100 Continue" before it.
    let refused = rest(send(&app, head).await).await.to_lowercase();
    assert!(refused.starts_with("http/1.1 503"), "{refused}");
    assert!(refused.contains("too_many_waiters"), "{refused}");
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    // A command needs a turn as well.
    let client = app.client("acme");
    let answer = client.post(
        "/v1/agent-sessions",
        "application/json",
        "{\"agent_id\":\"a1\"}",
    );
    answer.await.problem(503, "too_many_waiters");
    assert!(app.is_empty());
    drop(turns);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_refused_before_their_caller_is_known_while_no_more_may_wait() {
    let app = App::start().await;
    let turns = join_all((0..WRITERS_MAX).map(|_| app.ledger.turn())).await;
    let queued = join_all((0..WRITERS_QUEUED_MAX).map(|_| app.ledger.turn()));
    let ask = async |target: &str| {
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
        );
        rest(send(&app, &head).await).await
    };
    let asking = async {
        until_queued(&app, WRITERS_QUEUED_MAX).await;
        let refused = ask("/v1/events").await;
        assert!(refused.contains("too_many_waiters"), "{refused}");
        assert!(refused.contains("x-request-id: "), "{refused}");
        // This one would not wait for a verdict.
        let unknown = ask("/v1/events?wait=false").await;
        assert!(unknown.contains("tenant_required"), "{unknown}");
    };
    tokio::select! {
        biased;
        _ = queued => panic!("the turns are taken"),
        () = asking => {}
    }
    drop(turns);
    app.stop().await;
}

/// Waits until so many writes wait for their turn.
async fn until_queued(app: &App, queued: usize) {
    while app.ledger.writes().queued != queued {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_goes_on_when_its_turn_comes() {
    let app = App::start().await;
    let turns = join_all((0..WRITERS_MAX).map(|_| app.ledger.turn())).await;
    let client = app.client("acme");
    let event = created("s1", "a1", NOW);
    let end_turns = async {
        until_queued(&app, 1).await;
        let metrics = client.get("/metrics").await.text;
        for (state, count) in [("running", WRITERS_MAX), ("queued", 1)] {
            let line = format!("session_ledger_writes{{state=\"{state}\"}} {count}\n");
            assert!(metrics.contains(&line), "{metrics}");
        }
        drop(turns);
    };
    let (position, ()) = tokio::join!(client.apply(&event), end_turns);
    assert_eq!(position, app.log.known_head().get());
    assert_eq!(
        (app.ledger.writes().running, app.ledger.writes().queued),
        (0, 0)
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_body_is_late_gives_its_turn_to_others() {
    let app = App::start().await;
    let turns = join_all((1..WRITERS_MAX).map(|_| app.ledger.turn())).await;
    let body = created("late", "a1", NOW).to_string();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nX-Tenant-ID: acme\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut late = send(&app, &head).await;
    while app.ledger.writes().running < WRITERS_MAX {
        tokio::task::yield_now().await;
    }
    app.client("acme").apply(&created("s1", "a1", NOW)).await;
    late.write_all(body.as_bytes()).await.unwrap();
    let answer = rest(late).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    drop(turns);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_and_a_write_that_asks_for_no_verdict_need_no_turn() {
    let app = App::start().await;
    let turns = join_all((0..WRITERS_MAX).map(|_| app.ledger.turn())).await;
    let client = app.client("acme");
    let event = created("s1", "a1", NOW).to_string();
    let sent = client.post("/v1/events?wait=false", "application/json", event);
    let position = sent.await.json()["position"].as_u64().unwrap();
    let read = format!("/v1/agent-sessions?min_position={position}");
    assert_eq!(client.get(&read).await.ok()["total"], 1);
    drop(turns);
    app.stop().await;
}
