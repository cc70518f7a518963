//! The dashboard at `/ui/` is served as browsers expect, to every caller.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::HeaderMap;

use crate::support::app::App;
use crate::support::client::{Answer, Client};
use crate::support::connection::{rest, send};
use crate::ui_files;

/// The largest size of the whole dashboard as it is sent, in bytes. It then loads within two seconds on a slow
/// mobile connection.
const SENT_BYTES_MAX: usize = 150_000;

async fn with_credentials() -> (App, Client) {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let client = app.client("acme");
    (app, client)
}

/// Sends a request without any header that the test does not name.
async fn bare(client: &Client, method: Method, path: &str, known: Option<&str>) -> Answer {
    let mut headers = HeaderMap::new();
    if let Some(known) = known {
        headers.insert("if-none-match", known.parse().unwrap());
    }
    client.send_bare(method, path, headers, Vec::new()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_file_of_the_dashboard_is_served_without_a_credential() {
    let (app, client) = with_credentials().await;
    let types = BTreeMap::from([
        ("html", "text/html; charset=utf-8"),
        ("css", "text/css; charset=utf-8"),
        ("js", "text/javascript; charset=utf-8"),
        ("svg", "image/svg+xml"),
    ]);
    for (path, text) in ui_files::all() {
        let answer = bare(&client, Method::GET, &format!("/ui/{path}"), None).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (200, text.as_str()),
            "{path}"
        );
        let extension = path.rsplit_once('.').unwrap().1;
        assert_eq!(answer.header("content-type"), types[extension], "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cache-control"), "no-cache", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
    }
    let index = bare(&client, Method::GET, "/ui/", None).await;
    let named = bare(&client, Method::GET, "/ui/index.html", None).await;
    assert_eq!(index.text, named.text);
    let head = bare(&client, Method::HEAD, "/ui/", None).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_may_load_and_call_only_its_own_server() {
    let (app, client) = with_credentials().await;
    let answer = bare(&client, Method::GET, "/ui/", None).await;
    let policy = answer.header("content-security-policy").to_owned();
    let mut rules: Vec<&str> = policy.split("; ").collect();
    rules.sort_unstable();
    assert_eq!(
        rules,
        [
            "base-uri 'none'",
            "connect-src 'self'",
            "default-src 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "img-src 'self'",
            "require-trusted-types-for 'script'",
            "script-src 'self'",
            "style-src 'self'",
            "trusted-types 'none'",
        ]
    );
    // A browser takes the headers of a 304 for those of its copy.
    let known = answer.header("etag");
    let again = bare(&client, Method::GET, "/ui/", Some(known)).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    for name in ["content-security-policy", "etag", "cache-control", "vary"] {
        assert_eq!(again.header(name), answer.header(name), "{name}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_the_browser_has_is_not_sent_again() {
    let (app, client) = with_credentials().await;
    let mut tags = BTreeMap::new();
    for (path, _) in ui_files::all() {
        let path = format!("/ui/{path}");
        let answer = bare(&client, Method::GET, &path, None).await;
        let tag = answer.header("etag").to_owned();
        let again = bare(&client, Method::GET, &path, Some(&tag)).await;
        assert_eq!((again.status, again.text.as_str()), (304, ""), "{path}");
        let other = bare(&client, Method::GET, &path, Some("W/\"0\"")).await;
        assert_eq!(other.status, 200, "{path}");
        assert_eq!(tags.insert(tag, path), None, "two files have one tag");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_without_a_slash_leads_to_the_page() {
    let (app, client) = with_credentials().await;
    let request = "GET /ui HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = rest(send(&app, request).await).await;
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    // A proxy may serve the ledger below a path of its own.
    assert!(answer.contains("location: ui/\r\n"), "{answer}");
    let followed = bare(&client, Method::GET, "/ui", None).await;
    assert_eq!(followed.header("content-type"), "text/html; charset=utf-8");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_paths_and_methods_are_problems_as_elsewhere() {
    let (app, client) = with_credentials().await;
    for path in [
        "/ui/none.js",
        "/ui/lib",
        "/ui/lib/",
        "/ui/%2e%2e/Cargo.toml",
        "/ui/..%2fsrc%2flib.rs",
        "/ui//etc/hosts",
        "/ui/%ff.js",
        "/uix",
    ] {
        let answer = bare(&client, Method::GET, path, None).await;
        answer.problem(404, "route_not_found");
    }
    for path in ["/ui", "/ui/", "/ui/main.js"] {
        let answer = bare(&client, Method::POST, path, None).await;
        answer.problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), "GET,HEAD", "{path}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_dashboard_is_small_when_it_is_compressed() {
    let (app, client) = with_credentials().await;
    let mut sent = 0;
    for (path, _) in ui_files::all() {
        let accepted = [("accept-encoding", "gzip")];
        let (_, bytes) = client.fetch(&format!("/ui/{path}"), &accepted).await;
        sent += bytes.len();
    }
    assert!(sent < SENT_BYTES_MAX, "{sent}");
    app.stop().await;
}
