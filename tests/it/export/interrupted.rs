//! Exports of random histories, in one run, in several runs, and interrupted anywhere.

use std::sync::atomic::Ordering::SeqCst;

use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use session_ledger::domain::Position;
use session_ledger::export::{check, compare};

use super::{Remote, TENANTS, draw, export_to, files, fill, history, lines, record};
use crate::support::app::App;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_has_the_exact_bytes_of_every_event_of_its_tenant_and_of_no_other() {
    let app = App::start().await;
    let steps = draw(&mut TestRunner::deterministic(), history(150));
    fill(&app, &steps).await;
    for (number, tenant) in TENANTS.iter().enumerate() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("e");
        let remote = Remote::new(app.client(tenant));
        let manifest = export_to(&dir, &remote, &remote.end_at("now").await)
            .await
            .unwrap();
        assert_eq!(check(&dir, |_, _| {}).unwrap().unwrap(), manifest);
        // The first record of the log is that of the rules.
        let own = steps
            .iter()
            .enumerate()
            .filter(|(_, step)| step.0 == number);
        let expected: Vec<_> = own
            .map(|(index, step)| (index as u64 + 2, record(index as u64 + 2, step)))
            .collect();
        let found = lines(&dir);
        assert_eq!(found.len(), expected.len());
        for (line, (position, record)) in found.iter().zip(&expected) {
            assert_eq!(line["position"], json!(position));
            assert_eq!(line["subject"], json!(record.subject));
            let is_text = std::str::from_utf8(&record.body);
            let body = is_text.map_or(Value::Null, |text| json!(text));
            assert_eq!(line["body"], body, "{line}");
            let by = (!record.private.is_empty()).then_some("0123456789abcdef");
            assert_eq!(line["written_by"].as_str(), by);
        }
        // Verdicts are those that the API shows.
        let events = app.client(tenant).get("/v1/events?limit=1000").await.ok();
        for (line, event) in found.iter().zip(events["events"].as_array().unwrap()) {
            for name in [
                "position",
                "verdict",
                "reason",
                "first_position",
                "settled_at",
                "recorded_at",
            ] {
                assert_eq!(line[name], event[name], "{line}");
            }
        }
        for verdict in ["applied", "duplicate", "rejected", "parked"] {
            let has = |line: &Value| line["verdict"] == verdict;
            assert!(found.iter().any(has), "no event of {tenant} is {verdict}");
        }
        assert!(found.iter().any(|line| !line["settled_at"].is_null()));
        for (name, bytes) in files(&dir) {
            let text = String::from_utf8(bytes).unwrap();
            for other in TENANTS.iter().filter(|other| *other != tenant) {
                assert!(!text.contains(*other), "{name} has {other}");
            }
            assert!(!text.contains("emitted"), "a private part is in {name}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_export_has_the_same_files() {
    let app = App::start().await;
    let mut runner = TestRunner::deterministic();
    let steps = draw(&mut runner, history(200));
    let (first, later) = steps.split_at(steps.len() / 2);
    let place = tempfile::tempdir().unwrap();
    let whole = place.path().join("whole");
    let middle = fill(&app, first).await;
    let remote = Remote::new(app.client("acme"));
    let early = remote.end_at("now").await;
    assert_eq!(early.until, middle);
    export_to(&whole, &remote, &early).await.unwrap();
    fill(&app, later).await;
    let goal = remote.end_at("now").await;
    export_to(&whole, &remote, &goal).await.unwrap();
    let expected = files(&whole);
    assert!(5 < expected.len(), "{}", expected.len());

    for number in 0..8 {
        let dir = place.path().join(number.to_string());
        let mut interrupted = 0;
        // Each run ends after a few pages; one that was interrupted first goes on to its own end.
        for goal in [&early, &goal] {
            loop {
                remote
                    .fails_after
                    .store(draw(&mut runner, 0_usize..6), SeqCst);
                match export_to(&dir, &remote, goal).await {
                    Ok(_) => break,
                    Err(error) => assert_eq!(error, "the test ends here"),
                }
                interrupted += 1;
                let checked = check(&dir, |_, _| {}).unwrap().unwrap();
                assert_eq!(checked.unfinished_until, Some(goal.until.get()));
                // What a killed process can leave: files without a name, and one that no manifest names.
                std::fs::write(dir.join(".writing-abc"), "torn").unwrap();
                std::fs::write(dir.join("events-00000000000000009999.ndjson"), "torn").unwrap();
                check(&dir, |_, _| {}).unwrap().unwrap();
                remote.fails_after.store(usize::MAX, SeqCst);
                let present = remote.end_at("now").await;
                let compared = compare((&dir, &checked), &remote, &present, |_, _| {}).await;
                assert!(compared.unwrap().is_none());
                std::fs::remove_file(dir.join("events-00000000000000009999.ndjson")).unwrap();
                let at_most = 500;
                assert!(interrupted < at_most, "the export does not get on");
            }
        }
        remote.fails_after.store(usize::MAX, SeqCst);
        assert_eq!(files(&dir), expected, "after {interrupted} interruptions");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_has_the_verdicts_as_of_its_end() {
    let app = App::start().await;
    // A refresh that waits, and the creation of its session.
    let waiting = [(0, 3, 1, Vec::new()), (1, 1, 1, Vec::new())];
    let opening = [(0, 1, 1, Vec::new())];
    fill(&app, &waiting).await;
    let remote = Remote::new(app.client("acme"));
    let place = tempfile::tempdir().unwrap();
    let [parts, early, late] = ["parts", "early", "late"].map(|name| place.path().join(name));
    export_to(&parts, &remote, &remote.end_at("now").await)
        .await
        .unwrap();
    let head = fill(&app, &opening).await;
    let verdicts = |dir| -> Vec<(Value, Value)> {
        let lines = lines(dir).into_iter();
        lines
            .map(|line| (line["verdict"].clone(), line["settled_at"].clone()))
            .collect()
    };
    let (goal, before) = (remote.end_at("now").await, head.get() - 1);
    for (dir, goal) in [
        (&parts, &goal),
        (&late, &goal),
        (&early, &remote.end_at(&before.to_string()).await),
    ] {
        export_to(dir, &remote, goal).await.unwrap();
        check(dir, |_, _| {}).unwrap().unwrap();
    }
    let parked = (json!("parked"), Value::Null);
    let settled = (json!("applied"), json!(head));
    let opened = (json!("applied"), Value::Null);
    assert_eq!(verdicts(&early), std::slice::from_ref(&parked));
    assert_eq!(verdicts(&late), [settled, opened.clone()]);
    assert_eq!(verdicts(&parts), [parked, opened]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_continued_only_with_the_same_tenant_and_ledger_and_to_a_later_end() {
    let (app, other) = (App::start().await, App::start().await);
    let steps = draw(&mut TestRunner::deterministic(), history(60));
    fill(&app, &steps).await;
    fill(&other, &steps[1..]).await;
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("e");
    let remote = Remote::new(app.client("acme"));
    let goal = remote.end_at("now").await;
    remote.fails_after.store(3, SeqCst);
    export_to(&dir, &remote, &goal).await.unwrap_err();
    remote.fails_after.store(usize::MAX, SeqCst);
    let before = files(&dir);
    let earlier = remote.end_at("3").await;
    let globex = Remote::new(app.client("globex"));
    let foreign = Remote::new(other.client("acme"));
    for (source, goal, says) in [
        (&remote, earlier, "leave out --until, or give a later one"),
        (&globex, globex.end_at("now").await, "is of the tenant acme"),
        (
            &foreign,
            foreign.end_at("now").await,
            "it is another ledger",
        ),
    ] {
        let error = export_to(&dir, source, &goal).await.unwrap_err();
        assert!(error.contains(says), "{error}");
    }
    assert_eq!(files(&dir), before);
    export_to(&dir, &remote, &goal).await.unwrap();
    // An earlier end adds nothing, and takes nothing away.
    let manifest = export_to(&dir, &remote, &remote.end_at("3").await)
        .await
        .unwrap();
    assert_eq!(
        (manifest.until, manifest.events),
        (goal.until, goal.chain.events)
    );
    let empty = Remote::new(app.client("nobody"));
    let none = place.path().join("none");
    let manifest = export_to(&none, &empty, &empty.end_at("now").await)
        .await
        .unwrap();
    assert_eq!((manifest.events, manifest.last), (0, None));
    assert!(Position::ZERO < manifest.until);
    check(&none, |_, _| {}).unwrap().unwrap();
    app.stop().await;
    other.stop().await;
}
