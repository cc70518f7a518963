//! Credentials: which are accepted, for which tenant and role, and what other callers get.

use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use session_ledger::auth::{Grant, RateLimit, RateLimits, Role, Roles};
use session_ledger::domain::{AgentId, Timestamp};

use crate::support::app::{App, NOW, grant};
use crate::support::client::{Answer, Client, created};

const LIST: &str = "/v1/agent-sessions";

fn roles(roles: &[Role]) -> Roles {
    roles.iter().copied().collect()
}

async fn start() -> App {
    App::start_with_credentials(|keys_alone| keys_alone).await
}

/// Sends a request with only these headers.
async fn ask(app: &App, headers: &[(&'static str, &str)]) -> Answer {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    let client = app.client("acme");
    client.send_bare(Method::GET, LIST, map, Vec::new()).await
}

/// Returns the status and the problem, without the members that differ in every answer.
fn anonymous(answer: &Answer) -> (u16, Value) {
    let mut problem = answer.json();
    problem["instance"] = json!(null);
    (answer.status, problem)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_accepted_in_each_supported_header() {
    let app = start().await;
    let key = app.key(grant("acme", Roles::ALL)).await;
    let bearer = format!("Bearer {key}");
    for headers in [
        &[("x-api-key", &*key)][..],
        &[("authorization", &bearer)],
        &[("authorization", &format!("ApiKey {key}"))],
        &[("authorization", &format!("bearer {key}"))],
        &[("authorization", &bearer), ("x-api-key", &key)],
        &[("authorization", &bearer), ("x-tenant-id", "acme")],
    ] {
        ask(&app, headers).await.ok();
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_a_credential_is_rejected_with_instructions() {
    let app = start().await;
    for headers in [&[][..], &[("x-tenant-id", "acme")]] {
        let answer = ask(&app, headers).await;
        let problem = answer.problem(401, "credential_required");
        assert!(problem["detail"].as_str().unwrap().contains("X-API-Key"));
        let challenges = answer.headers.get_all("www-authenticate").iter();
        let challenges: Vec<_> = challenges.map(|value| value.to_str().unwrap()).collect();
        let expected = [
            "Bearer realm=\"session-ledger\"",
            "ApiKey realm=\"session-ledger\"",
        ];
        assert_eq!(challenges, expected);
    }
    for path in ["/", "/healthz", "/readyz", "/metrics", "/openapi.json"] {
        let answer = app
            .client("acme")
            .send_bare(Method::GET, path, HeaderMap::new(), Vec::new())
            .await;
        assert_eq!(answer.status, 200, "{path}");
    }
    ask(&app, &[]).await.problem(401, "credential_required");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_key_gets_an_equal_answer_that_does_not_repeat_it() {
    let app = start().await;
    let good = app.key(grant("acme", Roles::ALL)).await;
    let forged = format!(
        "{}{}",
        &good[..good.len() - 1],
        if good.ends_with('0') { '1' } else { '0' }
    );
    let unknown = format!("slk_{}_{}", "0".repeat(16), "0".repeat(64));
    let expires_at = Timestamp::parse("2026-01-31T12:00:01Z");
    let expired = app
        .key(Grant {
            expires_at,
            ..grant("acme", Roles::ALL)
        })
        .await;
    let revoked = app.key(grant("acme", Roles::ALL)).await;
    ask(&app, &[("x-api-key", &revoked)]).await.ok();
    let id = &revoked[4..20];
    let admin = app.client("acme").with_key(&good);
    let path = format!("/v1/keys/{id}");
    let answer = admin.send(Method::DELETE, &path, &[], Vec::new()).await;
    assert_eq!(answer.ok()["revoked_at"], NOW);
    ask(&app, &[("x-api-key", &expired)]).await.ok();
    app.set_time("2026-01-31T12:00:01Z");

    let long = "k".repeat(33_000);
    let token = "eyJhbGciOiJIUzI1NiJ9.e30.c2ln";
    let mut answers = Vec::new();
    for key in [
        &forged,
        &unknown,
        &expired,
        &revoked,
        "slk_",
        "secret",
        &long,
        token,
        &good[4..],
    ] {
        for headers in [
            [("x-api-key", key.to_owned())],
            [("authorization", format!("Bearer {key}"))],
        ] {
            let [(name, value)] = &headers;
            let answer = ask(&app, &[(*name, value)]).await;
            answer.problem(401, "invalid_credential");
            assert!(!answer.text.contains(key), "{}", answer.text);
            assert!(answer.headers.contains_key("www-authenticate"));
            answers.push(anonymous(&answer));
        }
    }
    assert!(
        answers.windows(2).all(|two| two[0] == two[1]),
        "{answers:?}"
    );
    ask(&app, &[("x-api-key", &good)]).await.ok();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_schemes_and_empty_headers_are_not_credentials() {
    let app = start().await;
    let key = app.key(grant("acme", Roles::ALL)).await;
    let bearer = format!("Bearer {key}");
    for foreign in ["Basic dXNlcjpzZWNyZXQ=", "Token secret", &key] {
        ask(&app, &[("authorization", foreign), ("x-api-key", &key)])
            .await
            .ok();
        let answer = ask(&app, &[("authorization", foreign)]).await;
        let problem = answer.problem(401, "credential_required");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("send `Authorization: Bearer`"), "{detail}");
        assert!(!answer.text.contains(foreign), "{}", answer.text);
        assert!(answer.headers.contains_key("www-authenticate"));
    }
    for empty in ["", "Bearer", "ApiKey "] {
        ask(&app, &[("authorization", empty), ("x-api-key", &key)])
            .await
            .ok();
        let answer = ask(&app, &[("authorization", empty)]).await;
        answer.problem(401, "credential_required");
    }
    ask(&app, &[("x-api-key", ""), ("authorization", &bearer)])
        .await
        .ok();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_different_credentials_are_rejected() {
    let app = start().await;
    let key = app.key(grant("acme", Roles::ALL)).await;
    let other = app.key(grant("acme", Roles::ALL)).await;
    let bearer = format!("Bearer {other}");
    let answer = ask(&app, &[("x-api-key", &key), ("authorization", &bearer)]).await;
    answer.problem(400, "several_credentials");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_works_only_for_its_tenant() {
    let app = start().await;
    let key = app.key(grant("acme", Roles::ALL)).await;
    let as_tenant =
        async |tenant: &str| ask(&app, &[("x-api-key", &key), ("x-tenant-id", tenant)]).await;
    as_tenant("acme").await.ok();
    for other in ["globex", "ACME"] {
        as_tenant(other).await.problem(403, "tenant_forbidden");
    }
    as_tenant("a b").await.problem(400, "invalid_tenant");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_without_the_role_learns_which_roles_suffice() {
    let app = start().await;
    let writer = app.client_with_key("acme", roles(&[Role::Write])).await;
    let problem = writer.get(LIST).await.problem(403, "role_required");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.ends_with(": read"), "{detail}");
    writer.apply(&created("s1", "a1", NOW)).await;
    let problem = writer.get("/v1/agent-sessions/s1/events").await;
    let problem = problem.problem(403, "role_required");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.ends_with(": read, audit"), "{detail}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_bound_key_cannot_emit_events() {
    let app = start().await;
    let agent = Some(AgentId::parse("a1").unwrap());
    let key = app
        .key(Grant {
            agent,
            ..grant("acme", roles(&[Role::Read, Role::Write]))
        })
        .await;
    let bound = app.client("acme").with_key(&key);
    let answer = bound.emit(&created("s1", "a1", NOW)).await;
    let problem = answer.problem(403, "agent_bound");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("sessions of that agent")
    );
    assert_eq!(bound.get(LIST).await.ok()["total"], 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_limited_caller_learns_its_quota_and_when_to_retry() {
    let limit = RateLimit {
        per_second: 1.try_into().unwrap(),
        burst: 2.try_into().unwrap(),
    };
    let app = App::start_with_credentials(|mut credentials| {
        credentials.rate_limits = Some(RateLimits::new(limit));
        credentials
    })
    .await;
    let standing = |answer: &Answer| {
        let names = ["limit", "remaining", "reset", "policy"];
        names.map(|name| answer.header(&format!("x-ratelimit-{name}")).to_owned())
    };
    // The limit refills every second, so an attempt that takes longer proves nothing.
    let [first, second, third] = loop {
        let one = app.client_with_key("acme", roles(&[Role::Read])).await;
        let started = Instant::now();
        let three = [LIST, "/v1/events", LIST].map(|path| one.get(path));
        let [first, second, third] = three;
        let three = [first.await, second.await, third.await];
        if started.elapsed() < Duration::from_secs(1) {
            break three;
        }
    };
    first.ok();
    assert_eq!(standing(&first), ["2", "1", "1", "1;w=1;burst=2"]);
    // Errors count as well, and have the headers too.
    second.problem(403, "role_required");
    assert_eq!(standing(&second)[1], "0");
    third.problem(429, "rate_limited");
    assert_eq!(third.header("retry-after"), "1");
    assert_eq!(standing(&third), ["2", "0", "2", "1;w=1;burst=2"]);
    // Another credential of the tenant has its own limit. Callers without a credential have none.
    let other = app.client_with_key("acme", roles(&[Role::Read])).await;
    other.get(LIST).await.ok();
    for _ in 0..5 {
        let nobody = ask(&app, &[]).await;
        nobody.problem(401, "credential_required");
        assert_eq!(nobody.header("x-ratelimit-limit"), "");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_limits_no_answer_mentions_them() {
    let app = start().await;
    let client = app.client_with_key("acme", Roles::ALL).await;
    for _ in 0..20 {
        let answer = client.get(LIST).await;
        answer.ok();
        assert_eq!(answer.header("x-ratelimit-limit"), "");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_access_control_ignores_credentials() {
    let app = App::start().await;
    let client: Client = app.client("acme");
    for (name, value) in [
        ("x-api-key", "nonsense"),
        ("authorization", "Bearer nonsense"),
    ] {
        let headers = [(name, value), ("x-tenant-id", "acme")];
        client
            .send(Method::GET, LIST, &headers, Vec::new())
            .await
            .ok();
    }
    app.stop().await;
}
