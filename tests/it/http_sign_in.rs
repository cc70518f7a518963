//! Sign-in codes: what they stand for, how often, for how long and where.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use session_ledger::auth::{Role, Roles};

use crate::support::app::{App, ORIGIN, grant};
use crate::support::client::{Answer, Client};

const CODES: &str = "/v1/sign-in-codes";
const SIGN_IN: &str = "/sign-in";

/// Makes a code.
async fn make(client: &Client) -> String {
    let made = client.send(Method::POST, CODES, &[], Vec::new()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.header("cache-control"), "no-store");
    made.json()["code"].as_str().unwrap().to_owned()
}

/// Gives a code back, as a page does: without a credential.
async fn sign_in(client: &Client, code: &str) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("x-sign-in-code", code.parse().unwrap());
    client
        .send_bare(Method::POST, SIGN_IN, headers, Vec::new())
        .await
}

fn is_refused(answer: &Answer) {
    let problem = answer.problem(422, "invalid_sign_in_code");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("session-ledger ui"), "{detail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_gives_the_key_that_made_it_once() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    for roles in [Roles::ALL, [Role::Read].into_iter().collect()] {
        let key = app.key(grant("acme", roles)).await;
        let code = make(&app.client("acme").with_key(&key)).await;
        let client = app.client("nobody");
        let given = sign_in(&client, &code).await;
        let expected = json!({"credential": key, "tenant_id": "acme"});
        assert_eq!(given.ok(), expected);
        assert_eq!(given.header("cache-control"), "no-store");
        is_refused(&sign_in(&client, &code).await);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_valid_for_a_minute() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let client = app.client_with_key("acme", Roles::ALL).await;
    let made = client.send(Method::POST, CODES, &[], Vec::new()).await;
    assert_eq!(made.json()["expires_at"], "2026-01-31T12:01:00.000000Z");
    let (first, second) = (make(&client).await, make(&client).await);
    app.set_time("2026-01-31T12:00:59.999999Z");
    sign_in(&client, &first).await.ok();
    app.set_time("2026-01-31T12:01:00.000000Z");
    is_refused(&sign_in(&client, &second).await);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_server_that_made_a_code_knows_it() {
    let start = || App::start_with_credentials(|keys_alone| keys_alone);
    let (one, other) = (start().await, start().await);
    let code = make(&one.client_with_key("acme", Roles::ALL).await).await;
    is_refused(&sign_in(&other.client("acme"), &code).await);
    sign_in(&one.client("acme"), &code).await.ok();
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fifth_code_of_a_caller_ends_its_first_one_and_none_of_others() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let client = app.client_with_key("acme", Roles::ALL).await;
    let other = make(&app.client_with_key("acme", Roles::ALL).await).await;
    let mut codes = Vec::new();
    for _ in 0..5 {
        codes.push(make(&client).await);
    }
    is_refused(&sign_in(&client, &codes[0]).await);
    for code in codes[1..].iter().chain([&other]) {
        sign_in(&client, code).await.ok();
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_requires_no_credentials_gives_the_tenant() {
    let app = App::start().await;
    let client = app.client("acme");
    let given = sign_in(&client, &make(&client).await).await.ok();
    assert_eq!(given, json!({"credential": null, "tenant_id": "acme"}));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_is_no_code_is_refused_and_not_repeated() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let client = app.client("acme");
    for wrong in ["", "slk_0123", &"g".repeat(64), &"0".repeat(64), "*"] {
        let answer = sign_in(&client, wrong).await;
        is_refused(&answer);
        assert!(wrong.len() < 2 || !answer.text.contains(wrong), "{wrong}");
    }
    let none = HeaderMap::new();
    let answer = client
        .send_bare(Method::POST, SIGN_IN, none, Vec::new())
        .await;
    is_refused(&answer);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_code_is_made_without_a_credential() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let none = HeaderMap::new();
    let client = app.client("acme");
    let answer = client.send_bare(Method::POST, CODES, none, Vec::new());
    answer.await.problem(401, "credential_required");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_other_sites_cannot_sign_in() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let preflight = [
        ("origin", ORIGIN),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "x-sign-in-code"),
    ];
    let client = app.client("acme");
    let answer = client
        .send(Method::OPTIONS, SIGN_IN, &preflight, Vec::new())
        .await;
    let allowed = answer.header("access-control-allow-headers");
    assert!(!allowed.contains("x-sign-in-code"), "{allowed}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_has_what_requests_of_the_page_need() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let code = make(&app.client_with_key("acme", Roles::ALL).await).await;
    let given: Value = sign_in(&app.client("nobody"), &code).await.ok();
    let tenant = given["tenant_id"].as_str().unwrap();
    let client = app.client(tenant);
    let client = client.with_key(given["credential"].as_str().unwrap());
    let headers = [("x-tenant-id", tenant)];
    let listed = client
        .send(Method::GET, "/v1/agent-sessions", &headers, Vec::new())
        .await;
    assert_eq!(listed.ok()["total"], 0);
    app.stop().await;
}
