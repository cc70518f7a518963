//! Properties of every dialect, at every address where it is served.

use std::num::NonZeroU32;

use reqwest::Method;
use reqwest::header::HeaderMap;
use session_ledger::auth::{RateLimit, RateLimits, Role, Roles};
use session_ledger::dialects::Dialect;

use crate::support::app::{App, grant};
use crate::support::cli::{Server, command, fails};
use crate::support::client::{Answer, Client};

/// Returns a path that the dialect serves to callers with a credential.
fn a_path(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::A2a => "/tasks",
        Dialect::Agi => "/v1/sessions",
        Dialect::AppHandoff => "/projects/00000000-0000-0000-0000-000000000000/agent-sessions",
        Dialect::Otas => "/api/agent/v1/list/",
        Dialect::Truthlocks => "/v1/agent-sessions",
    }
}

/// Returns the headers in which its clients send a credential and the name of a tenant.
fn shown(dialect: Dialect, credential: &str, tenant: &str) -> Vec<(&'static str, String)> {
    match dialect {
        Dialect::A2a | Dialect::Agi | Dialect::AppHandoff | Dialect::Truthlocks => vec![
            ("authorization", format!("Bearer {credential}")),
            ("x-tenant-id", tenant.to_owned()),
        ],
        Dialect::Otas => vec![
            ("x-otas-user-token", credential.to_owned()),
            ("x-otas-project-id", tenant.to_owned()),
        ],
    }
}

/// Returns the statuses for a caller without credentials and for one with two.
fn refusals(dialect: Dialect) -> [u16; 2] {
    match dialect {
        Dialect::A2a | Dialect::Agi | Dialect::AppHandoff | Dialect::Truthlocks => [401, 400],
        Dialect::Otas => [400, 401],
    }
}

/// Whether its clients always name the tenant.
fn clients_name_a_tenant(dialect: Dialect) -> bool {
    match dialect {
        Dialect::A2a | Dialect::Agi | Dialect::AppHandoff | Dialect::Truthlocks => false,
        Dialect::Otas => true,
    }
}

fn mounted(dialect: Dialect, path: &str) -> String {
    format!("/compat/{}{path}", dialect.as_str())
}

/// Sends a request with only these headers.
async fn send(
    client: &Client,
    method: Method,
    path: &str,
    headers: &[(&'static str, String)],
) -> Answer {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    client.send_bare(method, path, map, Vec::new()).await
}

async fn get(client: &Client, path: &str, headers: &[(&'static str, String)]) -> Answer {
    send(client, Method::GET, path, headers).await
}

/// Checks that an answer has the dialect's own format, and not that of the native API.
#[track_caller]
fn check_own(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    for name in ["type", "instance", "title"] {
        assert!(body.get(name).is_none(), "{body}");
    }
    assert!(!answer.text.contains("urn:session-ledger"), "{body}");
    assert!(!answer.text.contains("openapi.json lists"), "{body}");
    assert_ne!(answer.header("x-request-id"), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_failure_of_a_dialect_has_the_native_error_format() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let client = app.client("none");
    let key = app.key(grant("acme", Roles::ALL)).await;
    let admin = [Role::Admin].into_iter().collect();
    let admin = app.key(grant("acme", admin)).await;
    for &dialect in Dialect::ALL {
        let path = mounted(dialect, a_path(dialect));
        let good = shown(dialect, &key, "acme");
        assert_eq!(get(&client, &path, &good).await.status, 200);
        let [nobody, two] = refusals(dialect);
        check_own(&get(&client, &path, &[]).await, nobody);
        let wrong = shown(dialect, "wrong", "acme");
        check_own(&get(&client, &path, &wrong).await, 401);
        let both = [good.clone(), wrong].concat();
        check_own(&get(&client, &path, &both).await, two);
        let foreign = shown(dialect, &key, "globex");
        check_own(&get(&client, &path, &foreign).await, 403);
        let admin = shown(dialect, &admin, "acme");
        check_own(&get(&client, &path, &admin).await, 403);
        let wrong_method = send(&client, Method::PUT, &path, &good).await;
        check_own(&wrong_method, 405);
        assert_ne!(wrong_method.header("allow"), "");
        for nowhere in ["/", "/none", "//v1/sessions", "/v1/agent-sessions/count"] {
            check_own(&get(&client, &mounted(dialect, nowhere), &good).await, 404);
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_limited_caller_learns_when_to_retry_in_whole_seconds() {
    let one = NonZeroU32::MIN;
    let limit = RateLimit {
        per_second: one,
        burst: one,
    };
    let app = App::start_with_credentials(|mut credentials| {
        credentials.rate_limits = Some(RateLimits::new(limit));
        credentials
    });
    let app = app.await;
    for &dialect in Dialect::ALL {
        let client = app.client("none");
        let key = app.key(grant("acme", Roles::ALL)).await;
        let headers = shown(dialect, &key, "acme");
        let path = mounted(dialect, a_path(dialect));
        let mut answer = get(&client, &path, &headers).await;
        while answer.status == 200 {
            assert_eq!(answer.header("x-ratelimit-limit"), "1");
            answer = get(&client, &path, &headers).await;
        }
        check_own(&answer, 429);
        assert_eq!(answer.header("retry-after"), "1");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialects_ignore_unknown_parameters() {
    let app = App::start().await;
    for &dialect in Dialect::ALL {
        let path = mounted(dialect, a_path(dialect));
        let headers = shown(dialect, "anybody", "acme");
        let path = format!("{path}?utm=1&utm=2");
        let answer = get(&app.client("none"), &path, &headers).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_credentials_a_key_can_name_the_tenant() {
    let app = App::start().await;
    let nameless = |dialect: &Dialect| !clients_name_a_tenant(*dialect);
    for dialect in Dialect::ALL.iter().copied().filter(nameless) {
        let path = mounted(dialect, a_path(dialect));
        let as_key = app.client("none").with_key("tenant:acme");
        assert_eq!(as_key.get(&path).await.status, 200);
        for wrong in ["acme", "tenant:", "tenant:a b", "slk_0123456789abcdef_00"] {
            check_own(&app.client("none").with_key(wrong).get(&path).await, 400);
        }
    }
    app.stop().await;
}

/// Returns the dialect's own address, which the server logged.
fn address_of(server: &Server, dialect: Dialect) -> String {
    let said = format!("only the dialect `{}` on ", dialect.as_str());
    let (_, rest) = server.started().split_once(&said).unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialects_own_address_follows_the_rules_of_the_main_address() {
    let dir = tempfile::tempdir().unwrap();
    for &dialect in Dialect::ALL {
        let listen = format!("{}=127.0.0.1:0", dialect.as_str());
        let server = Server::start_with(dir.path(), &["--dialect", &listen]);
        let url = address_of(&server, dialect);
        assert_ne!(url, server.url());
        let alone = Client::new(&url, "acme");
        let mut headers = shown(dialect, "anybody", "acme");
        let answer = get(&alone, a_path(dialect), &headers).await;
        assert_eq!(answer.status, 200);
        // The address serves nothing else, and accepts only host names of this machine.
        for elsewhere in [
            "/healthz",
            "/openapi.json",
            "/v1/events",
            "/compat/agi/v1/sessions",
        ] {
            check_own(&alone.get(elsewhere).await, 404);
        }
        headers.push(("host", "evil.example".to_owned()));
        check_own(&get(&alone, a_path(dialect), &headers).await, 421);
        let (code, logged) = server.terminate();
        assert_eq!(code, Some(0), "{logged}");
        assert!(!logged.contains("WARN"), "{logged}");
        let addr = url.strip_prefix("http://").unwrap();
        assert!(std::net::TcpStream::connect(addr).is_err());
    }
}

#[test]
fn the_environment_can_name_several_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let output = command(&["serve", "--no-auth", "--data-dir"])
        .arg(dir.path().join("ledger"))
        .env("SESSION_LEDGER_DIALECTS", "agi=127.0.0.1:0,agi=0.0.0.0:0")
        .output();
    let output = output.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("0.0.0.0:0 can be reached"), "{said}");
}

#[test]
fn an_invalid_dialect_address_is_rejected_with_the_expected_form() {
    for wrong in ["klingon=127.0.0.1:0", "127.0.0.1:0", "agi=", "agi"] {
        let said = fails(&["serve", "--data-dir", "none", "--dialect", wrong], 2);
        assert!(said.contains("HOST:PORT"), "{wrong}: {said}");
    }
}
