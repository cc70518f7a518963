//! `as_of`: answers as of a past position or time, and pages that stay as they are.

use serde_json::{Value, json};

use session_ledger::auth::{Grant, Role};
use session_ledger::domain::AgentId;

use crate::support::app::{App, NOW, grant};
use crate::support::client::{Client, created, event};

/// The reads that can show a past state.
const READS: [&str; 12] = [
    "/v1/agent-sessions",
    "/v1/agent-sessions?agent_id=a1",
    "/v1/agent-sessions?status=active&status=handed_off&limit=2",
    "/v1/agent-sessions?limit=1&offset=1",
    "/v1/agent-sessions?created_after=2026-01-31T12:00:02Z",
    "/v1/agent-sessions/count",
    "/v1/agent-sessions/count?status=terminated",
    "/v1/agent-sessions/s1",
    "/v1/agent-sessions/s2/lineage",
    "/v1/agents",
    "/v1/agents?status=suspended",
    "/v1/agents/a1",
];

/// Returns the path with another parameter.
fn with(path: &str, parameter: &str) -> String {
    let sign = if path.contains('?') { '&' } else { '?' };
    format!("{path}{sign}{parameter}")
}

/// Returns what a read answers, without what depends on later records or on the cursors' form.
async fn answer(client: &Client, path: &str) -> (u16, Value) {
    let answer = client.get(path).await;
    let mut body = answer.json();
    if let Some(members) = body.as_object_mut() {
        members.remove("instance");
        let cursor = members.remove("next_cursor");
        members.insert(
            "has_next".to_owned(),
            json!(cursor.is_some_and(|cursor| !cursor.is_null())),
        );
        if let Some(as_of) = members.get_mut("as_of") {
            as_of["caught_up"] = Value::Null;
        }
    }
    (answer.status, body)
}

fn second(second: u32) -> String {
    format!("2026-01-31T12:00:{second:02}.000000Z")
}

/// A history in which everything changes that a read shows.
fn history() -> Vec<Value> {
    let mut opened = created("s1", "a1", &second(1));
    opened["data"]["metadata"] = json!({"step": 1});
    let mut child = created("s3", "a1", &second(6));
    child["data"]["parent_session_id"] = json!("s2");
    let agent = json!({"agent_type": "worker", "trust_level": "low"});
    vec![
        opened,
        event("e2", "agent.registered", "a1", &agent),
        created("s2", "a2", &second(3)),
        event(
            "e4",
            "session.refreshed",
            "s1",
            &json!({"metadata": {"step": 2}, "phase": "running"}),
        ),
        event("e5", "agent.suspended", "a1", &json!({})),
        event("e6", "agent.reinstated", "a1", &json!({})),
        child,
        event(
            "e8",
            "session.handed_off",
            "s2",
            &json!({"to_agent_id": "a1", "session_id": "s4"}),
        ),
        event(
            "e9",
            "session.terminated",
            "s1",
            &json!({"outcome": "completed"}),
        ),
        event(
            "e10",
            "session.terminated",
            "s1",
            &json!({"outcome": "deleted"}),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_as_of_a_position_or_a_time_is_the_one_that_was_given_then() {
    let app = App::start().await;
    let (acme, globex) = (app.client("acme"), app.client("globex"));
    let mut given = Vec::new();
    for (number, event) in (0_u32..).zip(history()) {
        // Another tenant's records are on the log too.
        globex
            .apply(&created(&format!("g{number}"), "a1", NOW))
            .await;
        app.set_time(&second(2 * number));
        let position = acme.apply(&event).await;
        for path in READS {
            given.push((
                position,
                second(2 * number + 1),
                path,
                answer(&acme, path).await,
            ));
        }
        app.set_time(&second(2 * number + 1));
    }
    let head = given.last().unwrap().0;
    for (position, time, path, then) in given {
        let by_position = with(path, &format!("as_of={position}"));
        assert_eq!(answer(&acme, &by_position).await, then, "{by_position}");
        // The clock of the log may be ahead of a time that has just passed.
        if position < head {
            let by_time = with(path, &format!("as_of={time}"));
            assert_eq!(answer(&acme, &by_time).await, then, "{by_time}");
        }
    }
    for nothing in ["0", "2026-01-31T11:59:59Z", "1999-12-31T23:59:59%2B01:00"] {
        let list = acme
            .get(&format!("/v1/agent-sessions?as_of={nothing}"))
            .await
            .ok();
        assert_eq!((&list["total"], &list["sessions"]), (&json!(0), &json!([])));
        assert_eq!(list["as_of"]["position"], json!(0));
        let one = acme
            .get(&format!("/v1/agent-sessions/s1?as_of={nothing}"))
            .await;
        one.problem(404, "not_found");
    }
}

/// Follows the cursors of a listing. Calls `between` before each page but the first. Returns the rows and the
/// totals.
async fn follow(
    client: &Client,
    path: &str,
    mut between: impl AsyncFnMut(),
) -> (Vec<Value>, Vec<Value>) {
    let (mut rows, mut totals) = (Vec::new(), Vec::new());
    let mut next = path.to_owned();
    loop {
        let page = client.get(&next).await.ok();
        let name = if page["sessions"].is_array() {
            "sessions"
        } else {
            "agents"
        };
        rows.extend(page[name].as_array().unwrap().iter().cloned());
        totals.push(page["total"].clone());
        let Some(cursor) = page["next_cursor"].as_str() else {
            return (rows, totals);
        };
        next = with(path, &format!("cursor={cursor}"));
        between().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_as_of_now_stay_as_they_are_while_the_ledger_changes() {
    let app = App::start().await;
    let acme = app.client("acme");
    for number in 0..7 {
        acme.apply(&created(&format!("s{number}"), &format!("a{number}"), NOW))
            .await;
    }
    let mut number = 0;
    for path in [
        "/v1/agent-sessions?as_of=now&limit=3",
        "/v1/agent-sessions?as_of=now&limit=3&status=active",
        "/v1/agents?as_of=now&limit=3",
    ] {
        let whole = path.replace("&limit=3", "");
        let before = follow(&acme, &whole, async || {}).await;
        let (rows, totals) = follow(&acme, path, async || {
            number += 1;
            // Of the sessions and agents that are not listed yet, and of new ones.
            let (old, agent) = (format!("s{}", number % 7), format!("a{}", number % 7));
            let metadata = json!({"metadata": {"changed": number}});
            acme.apply(&event(
                &format!("r{number}"),
                "session.refreshed",
                &old,
                &metadata,
            ))
            .await;
            acme.apply(&event(
                &format!("t{number}"),
                "session.terminated",
                &old,
                &json!({}),
            ))
            .await;
            acme.apply(&created(&format!("new{number}"), &agent, NOW))
                .await;
            acme.apply(&event(
                &format!("g{number}"),
                "agent.suspended",
                &agent,
                &json!({}),
            ))
            .await;
        })
        .await;
        assert_eq!(rows, before.0, "{path}");
        assert!(
            totals.iter().all(|total| *total == before.1[0]),
            "{totals:?}"
        );
        assert!(1 < totals.len());
    }
    assert!(
        (3..7).contains(&number),
        "each step changes other sessions: {number}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_expired_after_its_deadline_also_as_of_a_time() {
    let app = App::start().await;
    let acme = app.client("acme");
    let mut opened = created("s1", "a1", NOW);
    opened["data"]["expires_at"] = json!(second(10));
    acme.apply(&opened).await;
    app.set_time(&second(30));
    for (time, status) in [
        (5, "active"),
        (9, "active"),
        (10, "expired"),
        (29, "expired"),
    ] {
        let path = format!("/v1/agent-sessions/s1?as_of={}", second(time));
        assert_eq!(
            acme.get(&path).await.ok()["status"],
            json!(status),
            "{time}"
        );
    }
    let now = acme.get("/v1/agent-sessions/s1?as_of=now").await.ok();
    assert_eq!(now["status"], json!("expired"));
    // The record of the opening is from before the deadline.
    let position = app.projection.position();
    let then = acme
        .get(&format!("/v1/agent-sessions/s1?as_of={position}"))
        .await
        .ok();
    assert_eq!(then["status"], json!("active"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_cannot_be_shown_is_a_problem_that_names_the_parameter() {
    let app = App::start().await;
    let acme = app.client("acme");
    for number in 0..3 {
        acme.apply(&created(&format!("s{number}"), "a1", NOW)).await;
    }
    let head = app.projection.position().get();
    for path in READS {
        for beyond in [&(head + 1).to_string(), "2999-01-01T00:00:00Z"] {
            let answer = acme.get(&with(path, &format!("as_of={beyond}"))).await;
            let problem = answer.problem(409, "position_beyond_head");
            assert_eq!(problem["errors"][0]["field"], json!("as_of"), "{problem}");
        }
        for wrong in ["", "yesterday", "-1", "2026-01-31"] {
            let answer = acme.get(&with(path, &format!("as_of={wrong}"))).await;
            let problem = answer.problem(400, "invalid_parameter");
            assert_eq!(problem["errors"][0]["field"], json!("as_of"), "{problem}");
        }
    }
    let cursor = async |path: &str| {
        let page = acme.get(path).await.ok();
        page["next_cursor"].as_str().unwrap().to_owned()
    };
    let present = cursor("/v1/agent-sessions?limit=1").await;
    let past = cursor(&format!("/v1/agent-sessions?limit=1&as_of={head}")).await;
    for (cursor, as_of) in [(&present, "now"), (&present, "2"), (&past, "2")] {
        let path = format!("/v1/agent-sessions?limit=1&cursor={cursor}&as_of={as_of}");
        let problem = acme.get(&path).await.problem(400, "cursor_mismatch");
        assert_eq!(problem["errors"][0]["field"], json!("as_of"), "{problem}");
    }
    for as_of in ["", "&as_of=now", &format!("&as_of={head}")] {
        let path = format!("/v1/agent-sessions?limit=1&cursor={past}{as_of}");
        assert_eq!(acme.get(&path).await.ok()["total"], json!(3));
    }
    // The links of a page lead to pages of one state, and the document describes cursors of both kinds.
    let page = acme
        .get("/v1/agent-sessions?limit=1&offset=1&as_of=now")
        .await;
    let links = page.header("link").to_owned();
    assert_eq!(
        links.matches(&format!("as_of={head}")).count(),
        3,
        "{links}"
    );
    let document: Value = serde_json::from_str(include_str!("../../schemas/openapi.json")).unwrap();
    let pattern = &document["components"]["parameters"]["Cursor"]["schema"]["pattern"];
    let pattern = jsonschema::validator_for(&json!({"pattern": pattern})).unwrap();
    for cursor in [&present, &past] {
        assert!(pattern.is_valid(&json!(cursor)), "{cursor}");
    }
    let other = format!("/v1/agent-sessions?limit=1&status=active&cursor={past}");
    acme.get(&other).await.problem(400, "cursor_mismatch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_of_an_agent_sees_only_that_agents_past_and_learns_no_times_of_others() {
    let app = App::start_with_credentials(|credentials| credentials).await;
    let write = app
        .client_with_key("acme", [Role::Read, Role::Write].into_iter().collect())
        .await;
    write.apply(&created("s1", "a1", NOW)).await;
    let position = write.apply(&created("s2", "a2", NOW)).await;
    write.apply(&created("s3", "a1", NOW)).await;
    let bound = Grant {
        agent: Some(AgentId::parse("a1").unwrap()),
        ..grant("acme", [Role::Read].into_iter().collect())
    };
    let bound = app.client("acme").with_key(&app.key(bound).await);
    let list = bound
        .get(&format!("/v1/agent-sessions?as_of={position}"))
        .await
        .ok();
    assert_eq!(
        (&list["total"], &list["sessions"][0]["session_id"]),
        (&json!(1), &json!("s1"))
    );
    assert_eq!(list["as_of"]["time"], Value::Null);
    let other = bound
        .get(&format!("/v1/agent-sessions/s2?as_of={position}"))
        .await;
    other.problem(404, "not_found");
    for path in [
        "/v1/agent-sessions",
        "/v1/agent-sessions/s1",
        "/v1/agents/a1",
    ] {
        let answer = bound.get(&with(path, &format!("as_of={NOW}"))).await;
        answer.problem(403, "agent_bound");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_is_not_folded_in_time_is_a_503_and_without_a_history_there_is_none() {
    let app = App::start_without_fold().await;
    let body = created("s1", "a1", NOW).to_string();
    let position = app.publish("ledger.v1.acme.session.created", body).await;
    let acme = app.client("acme");
    let answer = acme
        .get(&format!("/v1/agent-sessions?as_of={position}"))
        .await;
    let problem = answer.problem(503, "not_caught_up");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("history file"), "{detail}");

    let app = App::start_without_history().await;
    let acme = app.client("acme");
    acme.apply(&created("s1", "a1", NOW)).await;
    for path in READS {
        acme.get(&with(path, "as_of=now"))
            .await
            .problem(400, "history_off");
    }
    assert_eq!(acme.get("/v1/agent-sessions").await.ok()["total"], json!(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_filtered_by_the_time_of_the_log() {
    let app = App::start().await;
    let (acme, globex) = (app.client("acme"), app.client("globex"));
    let mut recorded = Vec::new();
    for number in 0..6_u32 {
        app.set_time(&second(2 * number));
        globex
            .apply(&created(&format!("g{number}"), "a1", NOW))
            .await;
        let position = acme.apply(&created(&format!("s{number}"), "a1", NOW)).await;
        recorded.push((2 * number, position));
    }
    app.set_time(&second(30));
    for (after, before) in [
        (None, None),
        (Some(4), None),
        (None, Some(6)),
        (Some(3), Some(8)),
        (Some(8), Some(3)),
    ] {
        let mut path = "/v1/events?limit=100".to_owned();
        for (name, time) in [("recorded_after", after), ("recorded_before", before)] {
            if let Some(time) = time {
                path = format!("{path}&{name}={}", second(time));
            }
        }
        let is_in = |time: &u32| {
            after.is_none_or(|after| after <= *time) && before.is_none_or(|before| *time < before)
        };
        let expected: Vec<u64> = recorded
            .iter()
            .filter(|(time, _)| is_in(time))
            .map(|(_, position)| *position)
            .collect();
        for order in ["oldest", "newest"] {
            let page = acme.get(&format!("{path}&order={order}")).await.ok();
            let events = page["events"].as_array().unwrap().iter();
            let mut found: Vec<u64> = events
                .map(|one| one["position"].as_u64().unwrap())
                .collect();
            if order == "newest" {
                found.reverse();
            }
            assert_eq!(found, expected, "{path}");
        }
    }
    for (name, events) in [("recorded_after", 0), ("recorded_before", recorded.len())] {
        let path = format!("/v1/events?{name}=2999-01-01T00:00:00Z");
        let page = acme.get(&path).await.ok();
        assert_eq!(page["events"].as_array().unwrap().len(), events, "{path}");
    }
}
