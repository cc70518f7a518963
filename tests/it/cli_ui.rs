//! The command `ui`, and the link that a demo prints.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::json;

use crate::support::cli::{Server, command, ok, run, stderr, stdout, with_key};
use crate::support::client::{Answer, Client};

/// Returns the code in a link to the dashboard of a server.
fn code<'a>(link: &'a str, url: &str) -> &'a str {
    let code = link
        .strip_prefix(url)
        .and_then(|rest| rest.strip_prefix("/ui#code="));
    code.unwrap_or_else(|| panic!("{link}"))
}

async fn sign_in(url: &str, code: &str) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("x-sign-in-code", code.parse().unwrap());
    let client = Client::new(url, "nobody");
    client
        .send_bare(Method::POST, "/sign-in", headers, Vec::new())
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_signs_in_as_the_caller_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let issue = ["keys", "issue", "--data-dir", path, "--tenant", "acme"];
    let issued = ok(&[&issue[..], &["--role", "read"]].concat());
    let key = issued.lines().last().unwrap();
    let key = key.strip_prefix("key     ").unwrap();
    let server = Server::start_guarded(dir.path(), &[]);

    let output = with_key(key, &["ui", "--url", server.url()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let (link, note) = (stdout(&output), stderr(&output));
    assert!(note.contains("works once"), "{note}");
    let code = code(link.trim_end(), server.url());
    let given = sign_in(server.url(), code).await;
    let expected = json!({"credential": key, "tenant_id": "acme"});
    assert_eq!(given.ok(), expected);
    sign_in(server.url(), code)
        .await
        .problem(422, "invalid_sign_in_code");

    let none = run(&["ui", "--url", server.url()]);
    assert_eq!(none.status.code(), Some(2), "{}", stderr(&none));
    let wrong = with_key("slk_wrong", &["ui", "--url", server.url()]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(stderr(&wrong).contains("(invalid_credential)"));
    let (_code, logged) = server.terminate();
    assert!(!logged.contains(code) && !logged.contains(key), "{logged}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_of_a_server_without_credentials_names_the_tenant() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let link = server.ok(&["ui"]);
    let given = sign_in(server.url(), code(link.trim_end(), server.url())).await;
    assert_eq!(given.ok()["tenant_id"], "acme");
}

#[test]
fn a_demo_prints_a_link_to_its_dashboard() {
    let args = ["demo", "--for", "1s", "--listen", "127.0.0.1:0"];
    let output = command(&args).output().unwrap();
    let note = stderr(&output);
    assert!(output.status.success(), "{note}");
    let link = note.lines().map(str::trim);
    let link = link.filter(|line| line.contains("/ui#code=")).count();
    assert_eq!(link, 1, "{note}");
}
