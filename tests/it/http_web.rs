//! What browsers, caches and people expect of the API: origins, validators, links, safe headers, one
//! host name, and a page at the root.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::{App, NOW, ORIGIN};
use crate::support::client::{Answer, Client, created};

async fn with_sessions(count: usize) -> (App, Client) {
    let app = App::start().await;
    let client = app.client("acme");
    for number in 0..count {
        client
            .apply(&created(&format!("s{number}"), "a1", NOW))
            .await;
    }
    (app, client)
}

async fn get(client: &Client, path: &str, headers: &[(&str, &str)]) -> Answer {
    client.send(Method::GET, path, headers, Vec::new()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_pages_of_configured_origins_may_call_the_api() {
    let (app, client) = with_sessions(1).await;
    let page = "/v1/agent-sessions";
    let preflight = |origin: &'static str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            (
                "access-control-request-headers",
                "authorization,idempotency-key",
            ),
        ];
        let client = client.clone();
        async move {
            client
                .send(Method::OPTIONS, page, &headers, Vec::new())
                .await
        }
    };
    let answer = preflight(ORIGIN).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
    assert!(
        answer
            .header("access-control-allow-methods")
            .contains("DELETE")
    );
    let allowed = answer.header("access-control-allow-headers");
    assert!(allowed.contains("authorization") && allowed.contains("idempotency-key"));
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    let answer = get(&client, page, &[("origin", ORIGIN)]).await;
    assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
    assert!(
        answer
            .header("access-control-expose-headers")
            .contains("etag")
    );
    // Errors have the header too, or a page could not read them.
    let answer = get(&client, "/v1/agent-sessions/none", &[("origin", ORIGIN)]).await;
    assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
    answer.problem(404, "not_found");
    let other = "https://evil.example";
    assert_eq!(
        preflight(other).await.header("access-control-allow-origin"),
        ""
    );
    let answer = get(&client, page, &[("origin", other)]).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_the_client_already_has_is_not_sent_again() {
    let (app, client) = with_sessions(3).await;
    let paths = [
        "/v1/agent-sessions?limit=2",
        "/v1/agent-sessions/count",
        "/v1/agents",
    ];
    for path in paths {
        let first = client.get(path).await;
        let tag = first.header("etag");
        assert!(tag.starts_with("W/\""), "{tag}");
        assert_eq!(first.header("cache-control"), "private, no-cache");
        assert!(first.header("vary").contains("authorization"), "{path}");
        let known = [("if-none-match", tag)];
        let again = get(&client, path, &known).await;
        assert_eq!((again.status, again.text.as_str()), (304, ""), "{path}");
        assert_eq!(again.header("etag"), tag);
        assert_eq!(again.header("cache-control"), "private, no-cache");
        // The tag does not match another query or another tenant.
        let and = if path.contains('?') { '&' } else { '?' };
        let other = get(&client, &format!("{path}{and}status=active"), &known).await;
        assert_eq!(other.status, 200);
        let foreign = get(&app.client("globex"), path, &known).await;
        assert_eq!(foreign.status, 200);
    }
    let tags = async || {
        let mut tags = Vec::new();
        for path in paths {
            tags.push(client.get(path).await.header("etag").to_owned());
        }
        tags
    };
    let before = tags().await;
    client.apply(&created("s-new", "a1", NOW)).await;
    for ((path, old), new) in paths.iter().zip(&before).zip(tags().await) {
        assert_ne!(old, &new);
        let changed = get(&client, path, &[("if-none-match", old)]).await;
        assert_eq!(changed.status, 200, "{path}");
        let both = format!("{old}, {new}");
        let known = get(&client, path, &[("if-none-match", &both)]).await;
        assert_eq!(known.status, 304, "{path}");
    }
    // A single read depends on the clock, so it has no tag.
    let single = client.get("/v1/agent-sessions/s1").await;
    assert_eq!(single.header("etag"), "");
    assert_eq!(single.header("cache-control"), "no-store");
    app.stop().await;
}

/// Returns the page that an answer links to.
fn linked(answer: &Answer, relation: &str) -> Option<String> {
    let wanted = format!("; rel=\"{relation}\"");
    let mut links = answer.header("link").split(", ");
    let found = links.find_map(|link| link.strip_suffix(&wanted))?;
    Some(found.strip_prefix('<')?.strip_suffix('>')?.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_link_to_each_other() {
    let (app, client) = with_sessions(5).await;
    for (path, rows) in [
        ("/v1/agent-sessions", "sessions"),
        ("/v1/events", "events"),
        ("/v1/agent-sessions/s1/events", "events"),
    ] {
        let expected = if path.ends_with("s1/events") { 1 } else { 5 };
        let mut reference = "?limit=2".to_owned();
        let mut found = 0;
        loop {
            let page = client.get(&format!("{path}{reference}")).await;
            found += page.ok()[rows].as_array().unwrap().len();
            assert_eq!(
                linked(&page, "first").as_deref(),
                Some("?limit=2"),
                "{path}"
            );
            match linked(&page, "next") {
                Some(next) => reference = next,
                None => break,
            }
        }
        assert_eq!(found, expected, "{path}");
    }
    let listed = client
        .get("/v1/agent-sessions?offset=3&status=active&limit=2")
        .await;
    let before = linked(&listed, "prev").unwrap();
    assert_eq!(before, "?status=active&limit=2&offset=1");
    let listed = client.get("/v1/agent-sessions?offset=1&limit=2").await;
    assert_eq!(linked(&listed, "prev"), None);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_security_headers_for_browsers() {
    let (app, client) = with_sessions(1).await;
    for path in [
        "/v1/agent-sessions",
        "/v1/agent-sessions/none",
        "/none",
        "/metrics",
        "/compat/agi/v1/sessions",
        "/compat/agi/none",
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        let policy = answer.header("content-security-policy");
        assert_eq!(
            policy, "default-src 'none'; frame-ancestors 'none'",
            "{path}"
        );
        let shared = answer.header("cross-origin-resource-policy");
        assert_eq!(shared, "same-origin", "{path}");
        assert!(!answer.header("cache-control").is_empty(), "{path}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_serves_a_page_for_people() {
    let app = App::start().await;
    let none = reqwest::header::HeaderMap::new();
    let client = app.client("acme");
    let page = client.send_bare(Method::GET, "/", none, Vec::new()).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    for link in ["/ui/", "/openapi.json", "/readyz", "/healthz", "/metrics"] {
        assert!(page.text.contains(&format!("href=\"{link}\"")), "{link}");
        client.get(link).await;
    }
    // Browsers ignore a style whose hash the policy does not name.
    let style = page.text.split_once("<style>").unwrap().1;
    let style = style.split_once("</style>").unwrap().0;
    let hash = STANDARD.encode(Sha256::digest(style));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(
        policy.contains(&format!("style-src 'sha256-{hash}'")),
        "{policy}"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_1_1_request_must_name_its_host_once() {
    let app = App::start().await;
    let ask = async |head: &str| {
        let mut stream = TcpStream::connect(app.host()).await.unwrap();
        let head = format!("{head}Connection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    for refused in [
        "GET /healthz HTTP/1.1\r\n",
        "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n",
        "GET /healthz HTTP/1.1\r\nHost: a b\r\n",
        "GET http://a/healthz HTTP/1.1\r\n",
    ] {
        let answer = ask(refused).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{refused}: {answer}");
        assert!(answer.contains("host_required"), "{refused}: {answer}");
    }
    let answer = ask("GET /compat/agi/v1/sessions HTTP/1.1\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(!answer.contains("urn:session-ledger"), "{answer}");
    for taken in [
        "GET /healthz HTTP/1.1\r\nHost: a\r\n",
        "GET /healthz HTTP/1.1\r\nHost:\r\n",
        "GET /healthz HTTP/1.0\r\n",
    ] {
        let answer = ask(taken).await;
        assert_eq!(answer.split(' ').nth(1), Some("200"), "{taken}: {answer}");
    }
    app.stop().await;
}
