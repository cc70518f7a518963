//! Failures of A2A over HTTP+JSON: their shape, and the calls that the ledger does not serve.

use reqwest::Method;
use serde_json::json;
use session_ledger::auth::{Role, Roles};

use super::{MOUNT, get, send};
use crate::support::app::{App, NOW, grant};
use crate::support::client::{Answer, created};

/// Checks a failure: a `google.rpc.Status` with the reason of A2A, or with one of the ledger.
#[track_caller]
pub(super) fn check(answer: &Answer, status: u16, reason: &str, said: &str) {
    let body = answer.json();
    assert_eq!(answer.status, status, "{body}");
    assert_eq!(answer.header("content-type"), "application/json");
    let error = &body["error"];
    assert_eq!(error["code"], status);
    assert!(
        error["message"].as_str().unwrap().contains(said),
        "{said}: {body}"
    );
    let info = &error["details"][0];
    assert_eq!(info["@type"], "type.googleapis.com/google.rpc.ErrorInfo");
    assert_eq!(info["reason"], reason, "{body}");
    // Maps of protocol buffers have texts alone.
    let metadata = info["metadata"].as_object().unwrap();
    assert!(
        metadata.values().all(serde_json::Value::is_string),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_parameter_is_named() {
    let app = App::start().await;
    let client = app.client("acme");
    for (query, field, said) in [
        ("pageSize=0", "pageSize", "whole number from 1 to 100"),
        ("pageSize=101", "pageSize", "whole number from 1 to 100"),
        ("pageSize=x", "pageSize", "whole number"),
        ("pageSize=1&pageSize=2", "pageSize", "once"),
        ("status=working", "status", "TASK_STATE_WORKING"),
        ("historyLength=-1", "historyLength", "whole number"),
        ("includeArtifacts=yes", "includeArtifacts", "true or false"),
        (
            "statusTimestampAfter=now",
            "statusTimestampAfter",
            "RFC 3339",
        ),
        ("pageToken=x", "pageToken", "nextPageToken"),
        ("contextId=%ff", "contextId", "UTF-8"),
    ] {
        let answer = get(&client, &format!("/tasks?{query}")).await;
        check(&answer, 400, "INVALID_PARAMS", said);
        let violations = &answer.json()["error"]["details"][1];
        assert_eq!(
            violations["@type"],
            "type.googleapis.com/google.rpc.BadRequest"
        );
        assert_eq!(violations["fieldViolations"][0]["field"], field, "{query}");
    }
    // What is empty or unspecified is no filter.
    let nothing = "contextId=&status=TASK_STATE_UNSPECIFIED&pageToken=&other=1";
    assert_eq!(get(&client, &format!("/tasks?{nothing}")).await.status, 200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_without_an_index_says_what_to_ask_instead() {
    let app = App::start().await;
    let client = app.client("acme");
    let since = "statusTimestampAfter=2026-01-31T12:00:00Z";
    for filters in [
        "",
        "&status=TASK_STATE_COMPLETED",
        "&status=TASK_STATE_REJECTED",
    ] {
        let answer = get(&client, &format!("/tasks?{since}{filters}")).await;
        check(&answer, 400, "UNSUPPORTED_OPERATION", "needs a contextId");
    }
    for filters in [
        "&status=TASK_STATE_WORKING",
        "&contextId=none",
        "&contextId=a/b",
    ] {
        let answer = get(&client, &format!("/tasks?{since}{filters}")).await;
        assert_eq!(answer.ok()["totalSize"], 0, "{filters}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_must_serve_is_unsupported() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    for (method, path) in [
        (Method::POST, "/message:send"),
        (Method::POST, "/message:stream"),
        (Method::POST, "/tasks/s1:subscribe"),
        (Method::GET, "/tasks/s1:subscribe"),
        (Method::GET, "/extendedAgentCard"),
    ] {
        let answer = send(&client, method, path, "{}").await;
        check(&answer, 400, "UNSUPPORTED_OPERATION", "runs no agents");
    }
    for (method, path) in [
        (Method::GET, "/tasks/s1/pushNotificationConfigs"),
        (Method::POST, "/tasks/s1/pushNotificationConfigs"),
        (Method::GET, "/tasks/s1/pushNotificationConfigs/c"),
        (Method::DELETE, "/tasks/s1/pushNotificationConfigs/c"),
    ] {
        let answer = send(&client, method, path, "{}").await;
        check(
            &answer,
            400,
            "PUSH_NOTIFICATION_NOT_SUPPORTED",
            "no push notifications",
        );
    }
    for (method, path) in [
        (Method::GET, "/tasks/none"),
        (Method::GET, "/tasks/count"),
        (Method::POST, "/tasks/none:cancel"),
        (Method::POST, "/tasks/s1:restart"),
        (Method::POST, "/tasks/s1"),
        (Method::POST, "/tasks/:cancel"),
    ] {
        let answer = send(&client, method, path, "{}").await;
        check(&answer, 404, "TASK_NOT_FOUND", "no such task");
    }
    // The tenant is that of the credential, so paths do not name it.
    check(
        &get(&client, "/acme/tasks").await,
        404,
        "METHOD_NOT_FOUND",
        "/acme/tasks",
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_id_may_hold_colons() {
    let app = App::start().await;
    let client = app.client("acme");
    for id in ["a:b", "a:cancel"] {
        client.apply(&created(id, "a1", NOW)).await;
        assert_eq!(get(&client, &format!("/tasks/{id}")).await.ok()["id"], id);
        let canceled = send(&client, Method::POST, &format!("/tasks/{id}:cancel"), "").await;
        assert_eq!(canceled.ok()["status"]["state"], "TASK_STATE_CANCELED");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_of_the_protocol_is_refused() {
    let app = App::start().await;
    let client = app.client("acme");
    for (version, status) in [("1.0", 200), ("1.2.3", 200), ("0.3", 400), ("2.0", 400)] {
        let path = format!("{MOUNT}/tasks");
        let named = [("a2a-version", version)];
        let answer = client.send(Method::GET, &path, &named, Vec::new()).await;
        if status == 400 {
            check(&answer, 400, "VERSION_NOT_SUPPORTED", version);
        }
        assert_eq!(answer.status, status, "{version}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_without_the_role_learns_which_one_is_needed() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let writer = app.client_with_key("acme", Roles::ALL).await;
    writer.apply(&created("s1", "a1", NOW)).await;
    let key = app
        .key(grant("acme", [Role::Read].into_iter().collect()))
        .await;
    let reader = app.client("acme").with_key(&key);
    let answer = send(&reader, Method::POST, "/tasks/s1:cancel", "{}").await;
    check(&answer, 403, "ROLE_REQUIRED", "write");
    assert_eq!(answer.json()["error"]["status"], "PERMISSION_DENIED");
    let nobody = app.client("none").with_key("nobody");
    let answer = get(&nobody, "/tasks").await;
    check(&answer, 401, "INVALID_CREDENTIAL", "not valid");
    assert_ne!(answer.header("www-authenticate"), "");
    let shown = get(&reader, "/tasks/s1").await.ok();
    assert_eq!(
        shown["status"],
        json!({"state": "TASK_STATE_WORKING", "timestamp": "2026-01-31T12:00:00.000Z"})
    );
    app.stop().await;
}
