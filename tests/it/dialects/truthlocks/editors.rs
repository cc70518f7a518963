//! Requests as the editors' own clients send them, and the members that these read of the answers.

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::auth::Roles;

use super::{MOUNT, check_failure, get, made};
use crate::support::app::{App, grant};
use crate::support::client::{Answer, Client};

/// An editor: its base path, its headers beside the key, and a body that registers an agent.
struct Editor {
    base: &'static str,
    headers: &'static [(&'static str, &'static str)],
    registers: Value,
    /// What an agent of it is called and does.
    agent_type: &'static str,
    scopes: Value,
}

const JSON: (&str, &str) = ("content-type", "application/json");
const ACCEPT: (&str, &str) = ("accept", "application/json");
const TENANT: (&str, &str) = ("x-tenant-id", "acme");

fn editors() -> Vec<Editor> {
    vec![
        // VS Code, and how it did before.
        Editor {
            base: "/v1",
            headers: &[JSON, ACCEPT],
            registers: json!({"display_name": "ci", "agent_type": "model", "scopes": []}),
            agent_type: "model",
            scopes: json!([]),
        },
        Editor {
            base: "/v1/machine-identity",
            headers: &[JSON, ACCEPT, TENANT],
            registers: json!({
                "display_name": "ci", "type": "tool", "capabilities": ["read", "deploy"],
            }),
            agent_type: "tool",
            scopes: json!(["read", "deploy"]),
        },
        // JetBrains.
        Editor {
            base: "/v1",
            headers: &[
                ("content-type", "application/json; charset=utf-8"),
                ACCEPT,
                TENANT,
            ],
            registers: json!({
                "display_name": "ci", "agent_type": "tool", "scopes": ["code:review"],
                "parent_agent_id": "maip-agent:01HXYZ9A1B2C3D4E5F",
            }),
            agent_type: "tool",
            scopes: json!(["code:review"]),
        },
        // Neovim.
        Editor {
            base: "/v1/machine-identity",
            headers: &[JSON, ACCEPT, TENANT],
            registers: json!({
                "name": "ci", "agent_type": "editor",
                "capabilities": ["file_edit", "git_commit", "code_review"],
                "metadata": {"editor": "neovim", "plugin_version": "1.0.0", "platform": "Linux"},
            }),
            agent_type: "editor",
            scopes: json!(["file_edit", "git_commit", "code_review"]),
        },
    ]
}

async fn send(client: &Client, editor: &Editor, method: Method, path: &str, body: &str) -> Answer {
    let path = format!("{MOUNT}{}{path}", editor.base);
    client
        .send(method, &path, editor.headers, body.into())
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn editors_register_list_suspend_and_revoke_agents() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let key = app.key(grant("acme", Roles::ALL)).await;
    let client = app.client("acme").with_key(&key);
    for editor in editors() {
        let body = editor.registers.to_string();
        let row = made(&send(&client, &editor, Method::POST, "/agents", &body).await);
        let id = row["agent_id"].as_str().unwrap();
        assert_eq!((&row["id"], &row["name"]), (&json!(id), &json!("ci")));
        assert_eq!(row["display_name"], "ci");
        assert_eq!(
            (&row["agent_type"], &row["scopes"]),
            (&json!(editor.agent_type), &editor.scopes)
        );
        assert!(
            row["trust_score"].is_f64() && row["trust_level"].is_string(),
            "{row}"
        );

        let page = send(
            &client,
            &editor,
            Method::GET,
            "/agents?limit=200&offset=0",
            "",
        )
        .await
        .ok();
        let listed = &page["agents"][0];
        assert_eq!(*listed, row);
        assert_eq!(listed["capabilities"], editor.scopes);
        assert!(page["total"].is_u64());

        for call in ["trust-score", "trust"] {
            let path = format!("/agents/{id}/{call}");
            let trust = send(&client, &editor, Method::GET, &path, "").await.ok();
            assert!(
                trust["trust_score"].is_f64() && trust["score"].is_f64(),
                "{trust}"
            );
        }
        // With a content type and no body, as one of them does, and with a reason, as another.
        let path = format!("/agents/{id}/suspend");
        let suspended = send(&client, &editor, Method::POST, &path, "").await.ok();
        assert_eq!(
            (&suspended["status"], &suspended["id"]),
            (&json!("suspended"), &json!(id))
        );
        let path = format!("/agents/{id}/revoke");
        let revoked = send(
            &client,
            &editor,
            Method::POST,
            &path,
            r#"{"reason": "left"}"#,
        )
        .await
        .ok();
        assert_eq!(revoked["status"], "revoked");
        assert!(revoked["revoked_at"].is_string());
    }
    assert_eq!(get(&client, "/v1/agents?status=revoked").await["total"], 4);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_may_be_shown_in_each_way_that_clients_know() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let key = app.key(grant("acme", Roles::ALL)).await;
    let path = format!("{MOUNT}/v1/agents");
    for (name, value) in [
        ("x-api-key", key.clone()),
        ("authorization", format!("ApiKey {key}")),
        ("authorization", format!("Bearer {key}")),
    ] {
        for tenant in [None, Some("acme")] {
            let mut headers = reqwest::header::HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            if let Some(tenant) = tenant {
                headers.insert("x-tenant-id", tenant.parse().unwrap());
            }
            let client = app.client("acme");
            let answer = client
                .send_bare(Method::GET, &path, headers, Vec::new())
                .await;
            assert_eq!(answer.ok()["total"], 0);
        }
    }
    app.stop().await;
}

/// What the dialect says to a key of acme that names these tenants.
async fn naming(client: &Client, tenants: &[&str]) -> Answer {
    let tenants: Vec<_> = tenants.iter().map(|name| ("x-tenant-id", *name)).collect();
    let path = format!("{MOUNT}/v1/agents");
    client.send(Method::GET, &path, &tenants, Vec::new()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_tenant_is_none_and_any_but_the_keys_is_forbidden() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let key = app.key(grant("acme", Roles::ALL)).await;
    let client = app.client("acme").with_key(&key);
    for tenants in [&["acme"][..], &[], &[""], &["", ""], &["", "acme"]] {
        assert_eq!(naming(&client, tenants).await.ok()["total"], 0);
    }
    let long = "x".repeat(65);
    for tenants in [
        &["globex"][..],
        &["", "globex"],
        &["acme", "acme"],
        &["a b"],
        &["acme/"],
        &["\u{e9}"],
        &[&long],
    ] {
        let answer = naming(&client, tenants).await;
        check_failure(&answer, 403, "FORBIDDEN", "X-Tenant-ID");
    }
    // Who it is comes first.
    let nobody = app.client("acme").with_key("nobody");
    check_failure(&naming(&nobody, &["a b"]).await, 401, "UNAUTHORIZED", "");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_credentials_an_empty_tenant_leaves_it_to_the_key() {
    let app = App::start().await;
    let client = app.client("acme").with_key("tenant:acme");
    assert_eq!(naming(&client, &[""]).await.ok()["total"], 0);
    check_failure(&naming(&client, &["a b"]).await, 403, "FORBIDDEN", "");
    let nobody = app.client("acme").with_key("nobody");
    let answer = naming(&nobody, &[""]).await;
    check_failure(&answer, 400, "INVALID_INPUT", "X-Tenant-ID");
    app.stop().await;
}
