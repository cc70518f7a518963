//! Exports that somebody has made again with other events, so that all hashes fit: a server finds them.

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use session_ledger::domain::causes::BoxError;
use session_ledger::domain::{Position, TenantId};
use session_ledger::export::{Difference, End, Line, Source, What, check, compare};
use session_ledger::log::chain::TenantChain;
use session_ledger::log::{EventLog as _, NewRecord};

use super::{Remote, draw, export_to, fill, history};
use crate::support::app::App;

/// A ledger that somebody has made up: some lines, and the chain over them.
struct Forged {
    lines: Vec<String>,
    end: End,
}

impl Forged {
    /// Makes one whose log ends at a position.
    fn new(lines: Vec<String>, until: Position) -> Self {
        let tenant = TenantId::parse("acme").unwrap();
        let mut chain = TenantChain::EMPTY;
        for line in &lines {
            let line = Line::read(line.as_bytes()).unwrap();
            chain = line.follow(&tenant, &chain).unwrap();
        }
        let tenant = tenant.to_string();
        let end = End {
            tenant,
            until,
            chain,
        };
        Self { lines, end }
    }
}

impl Source for Forged {
    fn end(&self, _until: Position) -> BoxFuture<'_, Result<End, BoxError>> {
        async { Ok(self.end.clone()) }.boxed()
    }

    fn page(&self, after: Position, _until: Position) -> BoxFuture<'_, Result<String, BoxError>> {
        let position = |line: &str| Line::read(line.as_bytes()).unwrap().position();
        let lines = self.lines.iter().filter(|line| after < position(line));
        let page: Vec<&str> = lines.take(5).map(String::as_str).collect();
        let mut page = page.join("\n");
        page.push('\n');
        async { Ok(page) }.boxed()
    }
}

/// Changes a member of a line.
fn edit(line: &str, name: &str, value: Value) -> String {
    // Lines have their members in an order, and readers do not depend on it.
    let mut line: Value = serde_json::from_str(line).unwrap();
    if name == "body" {
        line.as_object_mut().unwrap().remove("body_base64");
    }
    line[name] = value;
    line.to_string()
}

async fn all_lines(remote: &Remote, end: &End) -> Vec<String> {
    let (mut lines, mut after) = (Vec::<String>::new(), Position::ZERO);
    while after < end.chain.position {
        let page = remote.page(after, end.until).await.unwrap();
        lines.extend(page.lines().map(str::to_owned));
        after = Line::read(lines.last().unwrap().as_bytes())
            .unwrap()
            .position();
    }
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_finds_an_export_that_was_made_again_with_other_events() {
    let app = App::start().await;
    let mut runner = TestRunner::deterministic();
    let steps = draw(&mut runner, history(90));
    let head = fill(&app, &steps).await;
    let remote = Remote::new(app.client("acme"));
    let present = remote.end_at("now").await;
    let original = all_lines(&remote, &present).await;
    let place = tempfile::tempdir().unwrap();
    for number in 0..60_usize {
        let mut lines = original.clone();
        let at = draw(&mut runner, 1..lines.len() - 1);
        let position = Line::read(lines[at].as_bytes()).unwrap().position();
        match number % 6 {
            0 => drop(lines.remove(at)),
            1 => lines[at] = edit(&lines[at], "body", "{}".into()),
            2 => {
                lines[at] = edit(
                    &lines[at],
                    "recorded_at",
                    "2026-01-31T12:00:00.000001Z".into(),
                );
            }
            3 => lines[at] = edit(&lines[at], "verdict", "forged".into()),
            4 => lines[at] = edit(&lines[at], "private_sha256", "00".repeat(32).into()),
            // The first events, as if there were no more.
            _ => lines.truncate(at),
        }
        let forged = Forged::new(lines, head);
        let dir = place.path().join(number.to_string());
        let manifest = export_to(&dir, &forged, &forged.end).await.unwrap();
        // By itself, the export is sound.
        assert_eq!(check(&dir, |_, _| {}).unwrap().unwrap(), manifest);
        let found = compare((&dir, &manifest), &remote, &present, |_, _| {})
            .await
            .unwrap();
        let found = found.unwrap_or_else(|| panic!("change {number} is not found"));
        let Difference {
            position: named,
            what,
            ..
        } = &found;
        match number % 6 {
            // The next event is named, and the one that is missing.
            0 => assert!(
                matches!(what, What::Lacks(lacks) if *lacks == position),
                "{found}"
            ),
            3 => assert!(matches!(what, What::Verdict), "{found}"),
            5 => assert!(matches!(what, What::Count(..)), "{found}"),
            _ => assert!(matches!(what, What::Server), "{found}"),
        }
        if !matches!(number % 6, 0 | 5) {
            assert_eq!(*named, Some(position), "{found}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_compared_up_to_the_end_of_a_server_that_has_less() {
    let (app, restored) = (App::start().await, App::start().await);
    let steps = draw(&mut TestRunner::deterministic(), history(120));
    fill(&app, &steps).await;
    let place = tempfile::tempdir().unwrap();
    let remote = Remote::new(app.client("acme"));
    let [dir, forged] = ["e", "forged"].map(|name| place.path().join(name));
    let goal = remote.end_at("now").await;
    let manifest = export_to(&dir, &remote, &goal).await.unwrap();
    // Both logs begin with the same records, at the same times.
    fill(&restored, &steps[..steps.len() / 2]).await;
    let behind = Remote::new(restored.client("acme"));
    let present = behind.end_at("now").await;
    assert!(present.until < manifest.until);
    let found = compare((&dir, &manifest), &behind, &present, |_, _| {})
        .await
        .unwrap();
    assert!(found.is_none(), "{found:?}");

    let mut lines = all_lines(&remote, &goal).await;
    lines[2] = edit(&lines[2], "body", "{}".into());
    let source = Forged::new(lines, goal.until);
    let manifest = export_to(&forged, &source, &source.end).await.unwrap();
    let found = compare((&forged, &manifest), &behind, &present, |_, _| {})
        .await
        .unwrap();
    assert!(found.is_some());
    // A server that goes on has the export as its beginning.
    fill(&app, &[(0, 1, 5, Vec::new()), (1, 2, 0, vec![255])]).await;
    let manifest = session_ledger::export::open(&dir).unwrap();
    let present = remote.end_at("now").await;
    let found = compare((&dir, &manifest), &remote, &present, |_, _| {})
        .await
        .unwrap();
    assert!(found.is_none(), "{found:?}");
    app.stop().await;
    restored.stop().await;
}

/// A page ends when it has too many bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_events_come_in_several_pages() {
    let app = App::start().await;
    let record = |byte: u8| NewRecord {
        subject: "ledger.v1.acme.session.created".into(),
        private: Bytes::new(),
        // Each control character takes six bytes in JSON.
        body: vec![byte; 60_000].into(),
    };
    let records: Vec<_> = (0..20_u8).map(|number| record(number % 3)).collect();
    for appended in app.log.append(records).await {
        appended.unwrap();
    }
    let head = app.log.head().await.unwrap();
    let mut remote = Remote::new(app.client("acme"));
    remote.limit = 5_000;
    let end = remote.end_at(&head.to_string()).await;
    let page = remote.page(Position::ZERO, head).await.unwrap();
    assert!(page.lines().count() < 20);
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("e");
    let manifest = export_to(&dir, &remote, &end).await.unwrap();
    assert_eq!(manifest.events, 20);
    check(&dir, |_, _| {}).unwrap().unwrap();
    app.stop().await;
}
