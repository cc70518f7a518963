//! Replay, single events, rejections and a tenant's own counts.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{App, NOW};
use crate::support::client::{Client, created, event};

/// Emits seven events: two sessions of two agents, a refresh, an ending, one that is rejected, one that
/// is parked, and a duplicate.
async fn fill(client: &Client) {
    client.apply(&created("s1", "a1", NOW)).await;
    client.apply(&created("s2", "a2", NOW)).await;
    client
        .apply(&event(
            "r1",
            "session.refreshed",
            "s1",
            &json!({"phase": "running"}),
        ))
        .await;
    client
        .apply(&event(
            "t1",
            "session.terminated",
            "s1",
            &json!({"reason": "done"}),
        ))
        .await;
    client
        .emit(&event("r2", "session.refreshed", "s1", &json!({})))
        .await
        .problem(409, "not_active");
    client
        .emit(&event("r3", "session.refreshed", "s9", &json!({})))
        .await;
    client.emit(&created("s2", "a2", NOW)).await.ok();
}

fn positions(page: &Value) -> Vec<u64> {
    let events = page["events"].as_array().unwrap();
    events
        .iter()
        .map(|event| event["position"].as_u64().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_has_every_event_with_its_verdict() {
    let app = App::start().await;
    let client = app.client("acme");
    fill(&client).await;
    let page = client.get("/v1/events").await.ok();
    let short: Vec<Value> = page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| json!([event["position"], event["type"], event["verdict"]]))
        .collect();
    let expected = json!([
        [2, "session.created", "applied"],
        [3, "session.created", "applied"],
        [4, "session.refreshed", "applied"],
        [5, "session.terminated", "applied"],
        [6, "session.refreshed", "rejected"],
        [7, "session.refreshed", "parked"],
        [8, "session.created", "duplicate"],
    ]);
    assert_eq!(Value::from(short), expected);
    assert_eq!(
        (&page["limit"], &page["next_after"]),
        (&json!(100), &Value::Null)
    );
    assert_eq!(
        page["as_of"],
        json!({"position": 8, "time": NOW, "caught_up": true})
    );
    assert_eq!(page["events"][0]["event"], created("s1", "a1", NOW));
    assert_eq!(page["events"][6]["first_position"], 3);

    for (query, expected) in [
        ("after=6", vec![7, 8]),
        ("limit=2", vec![2, 3]),
        ("type=session.terminated", vec![5]),
        ("session_id=s1", vec![2, 4, 5, 6]),
        ("agent_id=a2", vec![3, 8]),
        ("agent_id=nobody", vec![]),
        ("session_id=s1&type=session.created", vec![2]),
        (
            "type=session.created&type=session.terminated",
            vec![2, 3, 5, 8],
        ),
        ("verdict=rejected&verdict=parked", vec![6, 7]),
        ("reason=not_active&reason=invalid", vec![6]),
        ("reason=parked", vec![7]),
        ("verdict=applied&reason=not_active", vec![]),
        ("after=3&before=6", vec![4, 5]),
        ("after=5&before=6", vec![]),
        ("after=6&before=3", vec![]),
        ("order=newest&limit=2", vec![8, 7]),
        ("order=newest&after=6", vec![8, 7]),
        ("order=newest&before=5&type=session.created", vec![3, 2]),
        ("source=/nowhere", vec![]),
        ("actor=nobody", vec![]),
    ] {
        let page = client.get(&format!("/v1/events?{query}")).await.ok();
        assert_eq!(positions(&page), expected, "{query}");
    }
    app.stop().await;
}

/// Reads a listing of events page by page, and checks that each link to the next page leads there.
async fn walk(client: &Client, query: &str) -> Vec<u64> {
    let (mut seen, mut path) = (Vec::new(), format!("/v1/events?{query}"));
    loop {
        let answer = client.get(&path).await;
        let page = answer.ok();
        seen.extend(positions(&page));
        let param = if query.contains("order=newest") {
            "before"
        } else {
            "after"
        };
        let at = page[format!("next_{param}")].as_u64();
        let at = at.map(|at| format!("{param}={at}"));
        let both = [&page["next_after"], &page["next_before"]];
        assert!(both.iter().any(|next| next.is_null()), "{page}");
        let Some(at) = at else {
            assert!(!answer.header("link").contains("rel=\"next\""));
            return seen;
        };
        let link = answer.header("link").split(", ").last().unwrap();
        let link = link.strip_prefix("<").unwrap();
        let (link, _) = link.split_once(">; rel=\"next\"").unwrap();
        assert!(link.ends_with(&at), "{link} {at}");
        path = format!("/v1/events{link}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_continues_where_a_page_ends() {
    let app = App::start().await;
    let client = app.client("acme");
    fill(&client).await;
    for filter in [
        "",
        "&session_id=s1",
        "&type=session.created",
        "&after=3",
        "&before=7",
    ] {
        let whole = walk(&client, &format!("limit=100{filter}")).await;
        for limit in 1..=3 {
            let oldest = walk(&client, &format!("limit={limit}{filter}")).await;
            assert_eq!(oldest, whole, "{filter}");
            let mut newest = walk(&client, &format!("limit={limit}&order=newest{filter}")).await;
            newest.reverse();
            assert_eq!(newest, whole, "{filter}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_of_a_project_has_the_events_of_its_sessions() {
    let app = App::start().await;
    let client = app.client("acme");
    let project = "0190a5b0-0000-7000-8000-00000000000b";
    let in_project = |id: &str, project: &str| {
        let mut opened = created(id, "a1", NOW);
        opened["data"]["project_id"] = json!(project);
        opened
    };
    let first = client.apply(&in_project("s1", project)).await;
    client.apply(&in_project("s2", "other")).await;
    client.apply(&created("s3", "a2", NOW)).await;
    let ended = event("t1", "session.terminated", "s1", &json!({}));
    let ended = client.apply(&ended).await;
    for (query, expected) in [
        (format!("project_id={project}"), vec![first, ended]),
        (
            format!("project_id={}", project.to_uppercase()),
            vec![first, ended],
        ),
        (
            format!("project_id={project}&type=session.terminated"),
            vec![ended],
        ),
        (format!("project_id={project}&agent_id=a2"), vec![]),
        ("project_id=unknown".to_owned(), vec![]),
    ] {
        let page = client.get(&format!("/v1/events?{query}")).await.ok();
        assert_eq!(positions(&page), expected, "{query}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_as_ndjson_is_one_event_a_line() {
    let app = App::start().await;
    let client = app.client("acme");
    fill(&client).await;
    let pretty = serde_json::to_string_pretty(&created("s3", "a1", NOW)).unwrap();
    client.post("/v1/events", "application/json", pretty).await;
    let headers = [("accept", "text/html, application/x-ndjson;q=0.9")];
    let get = async |path: &str| client.send(Method::GET, path, &headers, Vec::new()).await;
    let answer = get("/v1/events?limit=3").await;
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    assert_eq!(answer.header("x-next-after"), "4");
    let rest = get("/v1/events?after=4").await;
    assert_eq!(answer.header("x-as-of-position"), "9");
    assert_eq!(rest.header("x-next-after"), "9", "to continue later");
    assert_eq!(rest.header("x-as-of-position"), "9");
    let newest = get("/v1/events?order=newest&limit=2").await;
    assert_eq!(newest.header("x-next-before"), "8");
    let oldest = get("/v1/events?order=newest&before=3").await;
    assert!(!oldest.headers.contains_key("x-next-before"));
    let beyond = get("/v1/events?after=12").await;
    beyond.problem(409, "position_beyond_head");
    let lines: Vec<Value> = [answer.text, rest.text]
        .iter()
        .flat_map(|text| text.lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let page = client.get("/v1/events").await.ok();
    assert_eq!((lines.len(), &Value::from(lines)), (8, &page["events"]));
    let stranger = app.client("nobody");
    let none = stranger.send(Method::GET, "/v1/events", &headers, Vec::new());
    assert_eq!(none.await.header("x-next-after"), "9");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ndjson_is_sent_only_to_clients_that_accept_it() {
    let app = App::start().await;
    let client = app.client("acme");
    for (accept, media_type) in [
        ("application/x-ndjson", "application/x-ndjson"),
        ("application/X-NDJSON; q=0.001", "application/x-ndjson"),
        ("application/x-ndjson;q=0", "application/json"),
        ("application/x-ndjson; Q=0.000, */*", "application/json"),
        ("*/*", "application/json"),
    ] {
        let headers = [("accept", accept)];
        let answer = client.send(Method::GET, "/v1/events", &headers, Vec::new());
        let answer = answer.await;
        assert_eq!(answer.header("content-type"), media_type, "{accept}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sessions_history_is_paged_by_number() {
    let app = App::start().await;
    let client = app.client("acme");
    fill(&client).await;
    let path = "/v1/agent-sessions/s1/events";
    let whole = client.get(path).await.ok();
    assert_eq!(
        (positions(&whole), &whole["total"]),
        (vec![2, 4, 5], &json!(3))
    );
    let first = client.get(&format!("{path}?limit=2")).await.ok();
    assert_eq!(
        (positions(&first), &first["next_after"]),
        (vec![2, 4], &json!(2))
    );
    let last = client.get(&format!("{path}?limit=2&after=2")).await.ok();
    assert_eq!(
        (positions(&last), &last["next_after"]),
        (vec![5], &Value::Null)
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejections_are_newest_first_with_their_totals() {
    let app = App::start().await;
    let client = app.client("acme");
    fill(&client).await;
    let page = client.get("/v1/rejections").await.ok();
    assert_eq!((positions(&page), &page["total"]), (vec![7, 6], &json!(2)));
    assert_eq!(page["by_reason"], json!({"not_active": 1, "parked": 1}));
    assert_eq!(
        page["events"][1]["detail"],
        "the session has ended and cannot change any more"
    );
    let first = client.get("/v1/rejections?limit=1").await.ok();
    assert_eq!(
        (positions(&first), &first["next_before"]),
        (vec![7], &json!(7))
    );
    let last = client.get("/v1/rejections?limit=1&before=7").await.ok();
    assert_eq!(
        (positions(&last), &last["next_before"]),
        (vec![6], &Value::Null)
    );
    let parked = client.get("/v1/rejections?reason=parked").await.ok();
    assert_eq!((positions(&parked), &parked["total"]), (vec![7], &json!(1)));
    let none = client.get("/v1/rejections?reason=id_reused").await.ok();
    assert_eq!((positions(&none), &none["total"]), (vec![], &json!(0)));
    let both = "/v1/rejections?reason=parked&reason=not_active";
    let both = client.get(both).await.ok();
    assert_eq!((positions(&both), &both["total"]), (vec![7, 6], &json!(2)));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_counts_only_the_tenants_own_data() {
    let app = App::start().await;
    fill(&app.client("acme")).await;
    let mut status = app.client("acme").get("/v1/status").await.ok();
    let digest = status["digest"].take();
    assert_eq!(digest.as_str().unwrap().len(), 32, "{digest}");
    let chain = status["chain"].take();
    assert_eq!(chain.as_str().unwrap().len(), 64, "{chain}");
    let by_status = json!({"active": 1, "terminated": 1, "expired": 0, "handed_off": 0});
    let expected = json!({
        "tenant": "acme",
        "sessions": {"total": 2, "by": by_status},
        "rejections": {"total": 2, "by": {"not_active": 1, "parked": 1}},
        "digest": null,
        "events": 7,
        "chain": null,
        "rules_version": 2,
        "caller": {"roles": ["read", "write", "audit", "admin"], "agent_id": null},
        "trace_url": null,
        "as_of": {"position": 8, "time": NOW, "caught_up": true},
    });
    assert_eq!(status, expected);
    let empty = app.client("other").get("/v1/status").await.ok();
    assert_eq!(empty["digest"], "0".repeat(32));
    assert_eq!(
        (&empty["events"], &empty["chain"]),
        (&json!(0), &json!("0".repeat(64)))
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_tenants_data_looks_missing() {
    let app = App::start().await;
    fill(&app.client("acme")).await;
    let other = app.client("other");
    // First as an unknown tenant, then as a tenant with its own data.
    for round in 0..2 {
        for (foreign, missing) in [
            ("/v1/agent-sessions/s1", "/v1/agent-sessions/none"),
            (
                "/v1/agent-sessions/s1/events",
                "/v1/agent-sessions/none/events",
            ),
            ("/v1/events/1", "/v1/events/999"),
        ] {
            let told = async |path| {
                let mut problem = other.get(path).await.problem(404, "not_found");
                problem["instance"].take();
                problem
            };
            assert_eq!(
                told(foreign).await,
                told(missing).await,
                "{foreign} in round {round}"
            );
        }
        for path in [
            "/v1/agent-sessions",
            "/v1/agent-sessions?agent_id=a1",
            "/v1/events",
            "/v1/rejections",
        ] {
            let page = other.get(path).await.ok();
            let rows = page
                .get("sessions")
                .or(page.get("events"))
                .unwrap()
                .as_array()
                .unwrap();
            let own = rows
                .iter()
                .all(|row| row.to_string().contains("own-session"));
            assert!(own && rows.len() <= round, "{path}: {page}");
        }
        let status = other.get("/v1/status").await.ok();
        assert_eq!(
            (&status["sessions"]["total"], &status["rejections"]["total"]),
            (&json!(round), &json!(0))
        );
        if round == 0 {
            other.apply(&created("own-session", "own-agent", NOW)).await;
        }
    }
    // Equal ids in another tenant name other sessions and agents.
    other.apply(&created("s1", "a1", NOW)).await;
    assert_eq!(
        other.get("/v1/agent-sessions/s1").await.ok()["status"],
        "active"
    );
    assert_eq!(
        app.client("acme").get("/v1/agent-sessions/s1").await.ok()["status"],
        "terminated"
    );
    app.stop().await;
}
