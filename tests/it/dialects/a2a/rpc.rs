//! A2A over JSON-RPC: envelopes, errors and roles.

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::auth::{Role, Roles};

use super::{MOUNT, get, send};
use crate::support::app::{App, NOW, grant};
use crate::support::client::{Answer, Client, created};

async fn call(client: &Client, method: &str, params: Value) -> Answer {
    let request = json!({"jsonrpc": "2.0", "id": "r-1", "method": method, "params": params});
    send(client, Method::POST, "/rpc", &request.to_string()).await
}

/// Checks an error of the envelope.
#[track_caller]
fn check(answer: &Answer, code: i32, reason: &str, said: &str) {
    let body = answer.ok();
    let error = &body["error"];
    assert_eq!(error["code"], code, "{body}");
    assert!(
        error["message"].as_str().unwrap().contains(said),
        "{said}: {body}"
    );
    assert_eq!(error["data"][0]["reason"], reason, "{body}");
    assert!(body.get("result").is_none(), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_bindings_give_the_same_answers() {
    let app = App::start().await;
    let client = app.client("acme");
    for id in ["s1", "s2", "s3"] {
        client.apply(&created(id, "a1", NOW)).await;
    }
    for (params, query) in [
        (json!({}), "/tasks"),
        (
            json!({"pageSize": 2, "tenant": "acme"}),
            "/tasks?pageSize=2",
        ),
        (json!({"pageSize": 2.0, "tenant": ""}), "/tasks?pageSize=2"),
        (
            json!({"contextId": "s2", "includeArtifacts": true, "pageToken": ""}),
            "/tasks?contextId=s2&includeArtifacts=true",
        ),
        (
            json!({"status": "TASK_STATE_WORKING", "statusTimestampAfter": NOW, "historyLength": 1}),
            "/tasks?status=TASK_STATE_WORKING&statusTimestampAfter=2026-01-31T12:00:00Z",
        ),
    ] {
        let answer = call(&client, "ListTasks", params).await;
        assert_eq!(answer.header("content-type"), "application/json");
        let answer = answer.ok();
        assert_eq!(
            (&answer["jsonrpc"], &answer["id"]),
            (&json!("2.0"), &json!("r-1"))
        );
        assert_eq!(answer["result"], get(&client, query).await.ok(), "{query}");
    }
    let one = call(&client, "GetTask", json!({"id": "s2"})).await.ok();
    assert_eq!(one["result"], get(&client, "/tasks/s2").await.ok());
    let canceled = call(&client, "CancelTask", json!({"id": "s2"})).await.ok();
    assert_eq!(canceled["result"], get(&client, "/tasks/s2").await.ok());
    assert_eq!(canceled["result"]["status"]["state"], "TASK_STATE_CANCELED");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_parameter_is_named() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    for (method, params, said) in [
        ("GetTask", json!({}), "params.id is required"),
        ("GetTask", json!({"id": 7}), "params.id must be a string"),
        (
            "GetTask",
            json!({"id": "s1", "historyLength": -1}),
            "params.historyLength",
        ),
        ("ListTasks", json!([]), "params must be an object"),
        ("ListTasks", json!({"pageSize": 0}), "from 1 to 100"),
        ("ListTasks", json!({"status": "done"}), "params.status"),
        ("ListTasks", json!({"tenant": "globex"}), "params.tenant"),
        ("ListTasks", json!({"pageToken": "x"}), "nextPageToken"),
        (
            "ListTasks",
            json!({"includeArtifacts": "yes"}),
            "params.includeArtifacts",
        ),
        (
            "ListTasks",
            json!({"statusTimestampAfter": "now"}),
            "params.statusTimestampAfter",
        ),
    ] {
        let answer = call(&client, method, params).await;
        check(&answer, -32602, "INVALID_PARAMS", said);
    }
    for id in ["none", "a/b", "count"] {
        let answer = call(&client, "GetTask", json!({"id": id})).await;
        check(&answer, -32001, "TASK_NOT_FOUND", "no such task");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_ledger_does_not_serve_has_an_error_of_a2a() {
    let app = App::start().await;
    let client = app.client("acme");
    let since = call(&client, "ListTasks", json!({"statusTimestampAfter": NOW}));
    let since = since.await;
    check(&since, -32004, "UNSUPPORTED_OPERATION", "needs a contextId");
    for method in [
        "SendMessage",
        "SendStreamingMessage",
        "SubscribeToTask",
        "GetExtendedAgentCard",
    ] {
        let answer = call(&client, method, json!({})).await;
        check(&answer, -32004, "UNSUPPORTED_OPERATION", "runs no agents");
    }
    for verb in ["Create", "Get", "Delete"] {
        let method = format!("{verb}TaskPushNotificationConfig");
        let answer = call(&client, &method, json!({})).await;
        check(
            &answer,
            -32003,
            "PUSH_NOTIFICATION_NOT_SUPPORTED",
            "no push",
        );
    }
    let old = call(&client, "tasks/get", json!({"id": "s1"})).await;
    check(&old, -32601, "METHOD_NOT_FOUND", "tasks/get");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_envelope_has_no_id() {
    let app = App::start().await;
    let client = app.client("acme");
    for (body, code) in [
        ("{", -32700),
        ("[]", -32600),
        (r#"{"jsonrpc":"2.0"}"#, -32600),
    ] {
        let answer = send(&client, Method::POST, "/rpc", body).await;
        check(&answer, code, "INVALID_REQUEST", "the body");
        assert_eq!(answer.json()["id"], Value::Null);
    }
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ListTasks"}).to_string();
    let old = [("a2a-version", "0.3")];
    let path = format!("{MOUNT}/rpc");
    let answer = client.send(Method::POST, &path, &old, body.into()).await;
    check(&answer, -32009, "VERSION_NOT_SUPPORTED", "0.3");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_method_needs_the_role_of_its_call() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let owner = app.client_with_key("acme", Roles::ALL).await;
    owner.apply(&created("s1", "a1", NOW)).await;
    let with = async |role: Role| {
        let key = app.key(grant("acme", [role].into_iter().collect())).await;
        app.client("acme").with_key(&key)
    };
    let (reader, writer) = (with(Role::Read).await, with(Role::Write).await);
    let task = || json!({"id": "s1"});
    assert_eq!(call(&reader, "CancelTask", task()).await.status, 403);
    assert_eq!(call(&writer, "GetTask", task()).await.status, 403);
    assert_eq!(call(&writer, "ListTasks", json!({})).await.status, 403);
    assert_eq!(
        call(&with(Role::Audit).await, "GetTask", task())
            .await
            .status,
        403
    );
    let shown = call(&reader, "GetTask", task()).await.ok();
    assert_eq!(shown["result"]["status"]["state"], "TASK_STATE_WORKING");
    let canceled = call(&writer, "CancelTask", task()).await.ok();
    assert_eq!(canceled["result"]["status"]["state"], "TASK_STATE_CANCELED");
    check(
        &call(&writer, "CancelTask", task()).await,
        -32002,
        "TASK_NOT_CANCELABLE",
        "has ended",
    );
    app.stop().await;
}
