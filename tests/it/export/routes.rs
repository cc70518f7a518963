//! The calls of exports: the end at any position or time, and pages.

use serde_json::json;
use session_ledger::auth::{Role, Roles};
use session_ledger::domain::AgentId;

use super::{draw, fill, history};
use crate::support::app::{App, grant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_an_export_is_that_of_a_position_or_a_time_and_the_status_has_the_last_one() {
    let app = App::start().await;
    let client = app.client("acme");
    let step = |tenant| (tenant, 1, 1, Vec::new());
    app.set_time("2026-01-31T12:00:01Z");
    let first = fill(&app, &[step(0), step(1)]).await.get() - 1;
    app.set_time("2026-01-31T12:00:05Z");
    let last = fill(&app, &[step(1), step(0), step(1)]).await.get();
    let end = async |until: &str| client.get(&format!("/v1/export{until}")).await.ok();
    let now = end("").await;
    assert_eq!((&now["events"], &now["until"]), (&json!(2), &json!(last)));
    assert_eq!(now["last_position"], json!(last - 1));
    let status = client.get("/v1/status").await.ok();
    assert_eq!(
        (&status["events"], &status["chain"]),
        (&now["events"], &now["chain"])
    );
    let early = end(&format!("?until={first}")).await;
    assert_eq!(
        (&early["events"], &early["until"]),
        (&json!(1), &json!(first))
    );
    // A time leads to the tenant's own last event.
    let then = end("?until=2026-01-31T12:00:04Z").await;
    assert_eq!(then["until"], json!(first));
    assert_eq!(then["chain"], early["chain"]);
    let none = end("?until=1").await;
    assert_eq!(
        (&none["events"], &none["last_position"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(none["chain"], json!("0".repeat(64)));

    let beyond = last + 1;
    for path in [
        "/v1/export?until=2099-01-31T12:00:00Z".to_owned(),
        format!("/v1/export?until={beyond}"),
        format!("/v1/export/events?until={beyond}"),
    ] {
        let problem = client.get(&path).await.problem(409, "position_beyond_head");
        assert_eq!(problem["errors"][0]["field"], "until");
        assert!(
            problem["detail"].as_str().unwrap().starts_with("until is"),
            "{problem}"
        );
    }
    let beyond = client
        .get(&format!("/v1/export/events?after={beyond}"))
        .await;
    beyond.problem(409, "position_beyond_head");
    for wrong in [
        "/v1/export?until=soon",
        "/v1/export/events?limit=5001",
        "/v1/export/events?until=now",
    ] {
        client.get(wrong).await.problem(400, "invalid_parameter");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_have_every_event_once_and_the_last_one_says_so() {
    let app = App::start().await;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let head = fill(&app, &draw(&mut runner, history(60))).await;
    let client = app.client("acme");
    let all = client.get("/v1/export/events").await;
    for limit in [1, 2, 7] {
        let (mut text, mut after) = (String::new(), "0".to_owned());
        loop {
            let path = format!("/v1/export/events?after={after}&until={head}&limit={limit}");
            let page = client.get(&path).await;
            assert!(page.text.lines().count() <= limit);
            text.push_str(&page.text);
            match page.header("x-next-after") {
                "" => break,
                next => next.clone_into(&mut after),
            }
        }
        assert_eq!(text, all.text);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_is_bound_to_an_agent_gets_no_export() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let mut bound = grant("acme", Roles::from_iter([Role::Audit]));
    bound.agent = Some(AgentId::parse("a").unwrap());
    let key = app.key(bound).await;
    let client = app.client("acme").with_key(&key);
    for path in ["/v1/export", "/v1/export/events"] {
        let problem = client.get(path).await.problem(403, "agent_bound");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("that is not bound"),
            "{problem}"
        );
    }
    let status = client.get("/v1/status").await;
    // It needs any role.
    assert_eq!(
        (status.ok()["chain"].clone(), status.ok()["events"].clone()),
        (json!(null), json!(null))
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_by_time_needs_the_history_file() {
    let app = App::start_without_history().await;
    let client = app.client("acme");
    client.get("/v1/export?until=now").await.ok();
    let problem = client.get("/v1/export?until=2026-01-31T12:00:00Z").await;
    problem.problem(400, "history_off");
    app.stop().await;
}
