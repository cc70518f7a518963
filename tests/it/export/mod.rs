//! Exports: what they have, how they continue, which changes a check finds, and the commands.

mod changed;
mod commands;
mod interrupted;
mod replaced;
mod routes;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use serde_json::{Value, json};
use session_ledger::domain::causes::BoxError;
use session_ledger::domain::{Position, Timestamp};
use session_ledger::export::{End, Manifest, SegmentSize, Source, Target, export};
use session_ledger::log::chain::TenantChain;
use session_ledger::log::{EventLog as _, NewRecord};

use crate::support::app::{App, NOW};
use crate::support::client::Client;

const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
/// Few lines fill such a segment.
const SMALL: SegmentSize = SegmentSize {
    events: 7,
    bytes: u64::MAX,
};

/// A record of a random history: its tenant, its kind, its session and some bytes.
type Step = (usize, u8, u8, Vec<u8>);

/// A history of several tenants, whose events get every verdict.
fn history(length: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (
        0..TENANTS.len(),
        0_u8..7,
        0_u8..6,
        prop::collection::vec(any::<u8>(), 0..24),
    );
    prop::collection::vec(step, length)
}

fn record(position: u64, (tenant, kind, session, bytes): &Step) -> NewRecord {
    let tenant = TENANTS[*tenant];
    let event_type = match kind {
        // The last session never opens.
        0..=2 if *session < 5 => "session.created",
        0..=4 => "session.refreshed",
        _ => "session.terminated",
    };
    let event = json!({
        "specversion": "1.0",
        // Some events come again.
        "id": if *kind == 0 { format!("c{session}") } else { format!("e{position}") },
        "source": "/tests \u{e9} \"quoted\"",
        "type": event_type,
        "subject": format!("s{session}"),
        "data": if event_type == "session.created" { json!({"agent_id": "a"}) } else { json!({}) },
    });
    let (prefix, private) = if *kind == 4 {
        let private = r#"{"emitted":true,"written_by":"0123456789abcdef"}"#;
        ("ledger.sys.v1", Bytes::from_static(private.as_bytes()))
    } else {
        ("ledger.v1", Bytes::new())
    };
    NewRecord {
        subject: format!("{prefix}.{tenant}.{event_type}").into(),
        private,
        body: if *kind == 2 {
            bytes.clone().into()
        } else {
            format!("{event:#}\r\n").into()
        },
    }
}

/// Appends a history, and waits until it is folded. Returns the head of the log.
async fn fill(app: &App, steps: &[Step]) -> Position {
    let next = app.log.head().await.unwrap().get() + 1;
    let records = (next..).zip(steps);
    let records = records
        .map(|(position, step)| record(position, step))
        .collect();
    for appended in app.log.append(records).await {
        appended.unwrap();
    }
    let head = app.log.head().await.unwrap();
    let soon = std::time::Duration::from_mins(1);
    app.projection.wait_for(head, soon).await;
    head
}

/// A ledger behind its API. Its pages are short, and from some page on it fails.
struct Remote {
    client: Client,
    limit: usize,
    fails_after: std::sync::atomic::AtomicUsize,
}

impl Remote {
    fn new(client: Client) -> Self {
        Self {
            client,
            limit: 3,
            fails_after: usize::MAX.into(),
        }
    }

    async fn end_at(&self, until: &str) -> End {
        let answer = self.client.get(&format!("/v1/export?until={until}")).await;
        end(&answer.ok())
    }
}

fn end(answer: &Value) -> End {
    let mut head = [0; 32];
    hex::decode_to_slice(answer["chain"].as_str().unwrap(), &mut head).unwrap();
    let number = |name: &str| answer[name].as_u64().unwrap();
    End {
        tenant: answer["tenant"].as_str().unwrap().to_owned(),
        until: Position::new(number("until")),
        chain: TenantChain {
            events: number("events"),
            position: Position::new(number("last_position")),
            head,
        },
    }
}

impl Source for Remote {
    fn end(&self, until: Position) -> BoxFuture<'_, Result<End, BoxError>> {
        async move { Ok(self.end_at(&until.to_string()).await) }.boxed()
    }

    fn page(&self, after: Position, until: Position) -> BoxFuture<'_, Result<String, BoxError>> {
        use std::sync::atomic::Ordering::SeqCst;
        async move {
            if self.fails_after.load(SeqCst) == 0 {
                return Err("the test ends here".into());
            }
            self.fails_after.fetch_sub(1, SeqCst);
            let limit = self.limit;
            let path = format!("/v1/export/events?after={after}&until={until}&limit={limit}");
            let answer = self.client.get(&path).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            Ok(answer.text)
        }
        .boxed()
    }
}

fn now() -> Timestamp {
    Timestamp::parse(NOW).unwrap()
}

/// Exports into a directory up to an end, in small segments.
async fn export_to(dir: &Path, source: &dyn Source, goal: &End) -> Result<Manifest, String> {
    let target = Target::directory(dir, now()).map_err(|error| error.to_string())?;
    let done = export(target, source, goal, (SMALL, now()), |_, _| {}).await;
    let target = done.map_err(|error| error.to_string())?;
    Ok(target.finish(now()).unwrap())
}

/// The names and contents of the files of an export.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    });
    named.filter(|(name, _)| name != "lock").collect()
}

/// The lines of all files of an export.
fn lines(dir: &Path) -> Vec<Value> {
    let mut lines = Vec::new();
    for (name, bytes) in files(dir) {
        if name.ends_with(".ndjson") {
            let text = String::from_utf8(bytes).unwrap();
            lines.extend(
                text.lines()
                    .map(|line| serde_json::from_str::<Value>(line).unwrap()),
            );
        }
    }
    lines
}

/// A value of a strategy; the same in each run.
fn draw<S: Strategy>(runner: &mut proptest::test_runner::TestRunner, strategy: S) -> S::Value {
    use proptest::strategy::ValueTree as _;
    strategy.new_tree(runner).unwrap().current()
}

/// The Python program of docs/export.md.
fn program() -> &'static str {
    let document = include_str!("../../../docs/export.md");
    let (_, program) = document.split_once("```python\n").unwrap();
    program.split_once("```").unwrap().0
}
