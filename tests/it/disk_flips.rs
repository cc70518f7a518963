//! Bits of the built-in logs that flip on the disk: an error, or the right answer.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use session_ledger::app::{Config, start};

use crate::disk_faults::{SESSIONS, folded, ledger};
use crate::support::client::Client;

/// Reads all events, page by page; the status of the first page that fails.
async fn all_events(client: &Client) -> Result<Vec<serde_json::Value>, u16> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let answer = client
            .get(&format!("/v1/events?limit=100&after={after}"))
            .await;
        if answer.status != 200 {
            return Err(answer.status);
        }
        let page = answer.json();
        events.extend(page["events"].as_array().unwrap().clone());
        match page["next_after"].as_u64() {
            Some(next) => after = next,
            None => return Ok(events),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_a_built_in_log_is_never_an_answer() {
    let whole = folded().await;
    let server = ledger(whole.path()).await;
    let expected = all_events(&Client::new(&server.url(), "acme"))
        .await
        .unwrap();
    server.stop().await.unwrap();
    assert_eq!(expected.len(), SESSIONS);
    let mut random = fastrand::Rng::with_seed(10);
    let mut noticed = 0;
    for log in ["log.redb", "admin.redb"].into_iter().cycle().take(24) {
        let dir = tempfile::tempdir().unwrap();
        // About half of the ledgers have a read model that was folded before.
        let files = ["log.redb", "admin.redb", "token.secret", "model.redb"];
        for file in &files[..3 + usize::from(random.bool())] {
            fs::copy(whole.path().join(file), dir.path().join(file)).unwrap();
        }
        let mut bytes = fs::read(dir.path().join(log)).unwrap();
        // Behind redb's header.
        let place = random.usize(8_192..bytes.len());
        bytes[place] ^= 1 << random.u8(0..8);
        fs::write(dir.path().join(log), bytes).unwrap();

        let config = Config::local(dir.path().to_owned(), SocketAddr::from(([127, 0, 0, 1], 0)));
        let Ok(server) = Box::pin(start(config)).await else {
            noticed += 1;
            continue;
        };
        let client = Client::new(&server.url(), "acme");
        // Ready, or stopped by the damage.
        let stopped = ["the fold has stopped", "does not read the log of keys"];
        let ready = loop {
            let answer = client.get("/readyz").await;
            if answer.status == 200 || stopped.iter().any(|why| answer.text.contains(why)) {
                break answer.status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let read = all_events(&client).await;
        match &read {
            // A fold that has stopped shows its last state.
            Ok(events) if ready != 200 => assert!(expected.starts_with(events)),
            Ok(events) => assert_eq!(events, &expected, "{log}, byte {place}"),
            Err(status) => assert!(*status >= 500, "{status}: {log}, byte {place}"),
        }
        if ready == 200 {
            let count = client.get("/v1/agent-sessions/count").await.ok();
            assert_eq!(count["total"], SESSIONS, "{log}, byte {place}");
        }
        noticed += usize::from(ready != 200 || read.is_err());
        drop(server.stop().await);
    }
    assert!(
        noticed > 2,
        "only {noticed} flips were in bytes that a read uses"
    );
}
