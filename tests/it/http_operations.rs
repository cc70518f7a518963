//! Health, metrics, request ids and unknown routes.

use reqwest::Method;
use serde_json::json;

use crate::support::app::{App, NOW};
use crate::support::client::created;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_metrics_need_no_tenant() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    client.get("/v1/agent-sessions/s1").await.ok();
    client.get("/nowhere/at/all").await;
    let none = reqwest::header::HeaderMap::new;
    for path in ["/healthz", "/readyz"] {
        let answer = client
            .send_bare(Method::GET, path, none(), Vec::new())
            .await;
        assert_eq!(answer.ok(), json!({"status": "ok"}));
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let answer = client
        .send_bare(Method::GET, "/metrics", none(), Vec::new())
        .await;
    assert!(
        answer
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    for line in [
        "session_ledger_position 2",
        "session_ledger_log_head 2",
        "session_ledger_lag_records 0",
        r#"session_ledger_verdicts_total{verdict="applied",reason=""} 2"#,
        r#"session_ledger_http_request_seconds_count{route="/v1/agent-sessions/{id}",method="GET",status="200"} 1"#,
        r#"session_ledger_http_request_seconds_count{route="unmatched",method="GET",status="404"} 1"#,
        "# TYPE session_ledger_verdicts_total counter",
    ] {
        assert!(
            answer.text.lines().any(|found| found == line),
            "{line} in {}",
            answer.text
        );
    }
    assert!(!answer.text.contains("# EOF"), "{}", answer.text);
    let asked = [(
        "accept",
        "application/openmetrics-text;version=1.0.0, text/plain;q=0.5",
    )];
    let answer = client
        .send(Method::GET, "/metrics", &asked, Vec::new())
        .await;
    let kind = answer.header("content-type");
    assert!(
        kind.starts_with("application/openmetrics-text; version=1.0.0"),
        "{kind}"
    );
    assert!(answer.text.ends_with("# EOF\n"), "{}", answer.text);
    assert!(
        answer
            .text
            .contains("# TYPE session_ledger_verdicts counter\n")
    );
    assert_eq!(answer.header("vary"), "accept");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_harmless_request_id_is_kept() {
    let app = App::start().await;
    let client = app.client("acme");
    let send = async |id: &str| {
        client
            .send(
                Method::GET,
                "/v1/events/9",
                &[("x-request-id", id)],
                Vec::new(),
            )
            .await
    };
    let answer = send("trace-1:a.b_c").await;
    assert_eq!(answer.header("x-request-id"), "trace-1:a.b_c");
    assert_eq!(
        answer.problem(404, "not_found")["instance"],
        "trace-1:a.b_c"
    );
    for odd in ["", "a b", "<script>", &"x".repeat(129)] {
        let answer = send(odd).await;
        assert_eq!(answer.header("x-request-id").len(), 36, "{odd:?}");
        answer.problem(404, "not_found");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_routes_and_methods_are_answered_with_problems() {
    let app = App::start().await;
    let client = app.client("acme");
    for path in [
        "/v1",
        "/v1/sessions",
        "/v1/agent-sessions/",
        "/v1/agent-sessions/a/b",
        "/v2/events",
    ] {
        client.get(path).await.problem(404, "route_not_found");
    }
    for (method, path, allow) in [
        (Method::DELETE, "/v1/agent-sessions", "GET,HEAD,POST"),
        (Method::PUT, "/v1/events", "GET,HEAD,POST"),
        (Method::POST, "/healthz", "GET,HEAD"),
    ] {
        let answer = client.send(method, path, &[], Vec::new()).await;
        let mut allowed: Vec<&str> = answer.header("allow").split(',').collect();
        allowed.sort_unstable();
        assert_eq!(allowed.join(","), allow, "{path}");
        answer.problem(405, "method_not_allowed");
    }
    app.stop().await;
}
