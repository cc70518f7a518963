//! Requests of the editors' own clients, and the members that these clients read.

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::auth::Roles;

use super::{MOUNT, check_failure, get, made};
use crate::support::app::{App, grant};
use crate::support::client::{Answer, Client};

/// An editor: its base path, its headers besides the key, a body that registers an agent, and the
/// members that it reads.
struct Editor {
    base: &'static str,
    headers: &'static [(&'static str, &'static str)],
    registers: Value,
    /// The type of the agent that it registers.
    agent_type: &'static str,
    scopes: Value,
    /// The member with the rows of a list.
    rows: &'static str,
    /// Texts in a row and in the answer to a registration.
    texts: &'static [&'static str],
    /// The path for trust, before and after the agent's id.
    trust: [&'static str; 2],
    /// Texts in the answer for trust. `score` is its number.
    trust_texts: &'static [&'static str],
    score: &'static str,
    /// The body that suspends or revokes an agent.
    ends_with: &'static str,
}

const JSON: (&str, &str) = ("content-type", "application/json");
const ACCEPT: (&str, &str) = ("accept", "application/json");
const TENANT: (&str, &str) = ("x-tenant-id", "acme");

/// VS Code.
fn vs_code() -> Editor {
    Editor {
        base: "/v1",
        headers: &[JSON, ACCEPT],
        registers: json!({"display_name": "ci", "agent_type": "model", "scopes": []}),
        agent_type: "model",
        scopes: json!([]),
        rows: "agents",
        texts: &[
            "agent_id",
            "display_name",
            "trust_level",
            "status",
            "created_at",
        ],
        trust: ["/agents/", "/trust-score"],
        trust_texts: &["trust_level", "computed_at"],
        score: "trust_score",
        ends_with: "",
    }
}

fn editors() -> Vec<Editor> {
    vec![
        vs_code(),
        // The previous version.
        Editor {
            base: "/v1/machine-identity",
            headers: &[JSON, ACCEPT, TENANT],
            registers: json!({
                "display_name": "ci", "type": "tool", "capabilities": ["read", "deploy"],
            }),
            agent_type: "tool",
            scopes: json!(["read", "deploy"]),
            rows: "data",
            trust: ["/trust/", "/score"],
            ..vs_code()
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
            rows: "agents",
            texts: &["id", "agent_id", "name", "status"],
            trust: ["/agents/", "/trust-score"],
            trust_texts: &[],
            score: "score",
            ends_with: r#"{"reason": "left"}"#,
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
            rows: "agents",
            texts: &["agent_id", "name", "agent_type", "status", "trust_level"],
            trust: ["/agents/", "/trust"],
            trust_texts: &["trust_level"],
            score: "trust_score",
            ends_with: "",
        },
    ]
}

async fn send(client: &Client, editor: &Editor, method: Method, path: &str, body: &str) -> Answer {
    let path = format!("{MOUNT}{}{path}", editor.base);
    client
        .send(method, &path, editor.headers, body.into())
        .await
}

#[track_caller]
fn check_texts(object: &Value, names: &[&str]) {
    for name in names {
        assert!(object[name].is_string(), "{name}: {object}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn editors_register_list_suspend_and_revoke_agents() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let key = app.key(grant("acme", Roles::ALL)).await;
    let client = app.client("acme").with_key(&key);
    for editor in editors() {
        let body = editor.registers.to_string();
        let row = made(&send(&client, &editor, Method::POST, "/agents", &body).await);
        let path = "/agents?limit=200&offset=0";
        let page = send(&client, &editor, Method::GET, path, "").await.ok();
        assert_eq!(page[editor.rows][0], row);
        assert!(page["total"].is_u64());
        check_texts(&row, editor.texts);
        assert_eq!(
            (&row["name"], &row["display_name"]),
            (&json!("ci"), &json!("ci"))
        );
        assert_eq!(row["agent_type"], editor.agent_type);
        assert_eq!(row["capabilities"], editor.scopes);
        assert!(row["trust_score"].is_f64(), "{row}");

        let id = row["agent_id"].as_str().unwrap();
        let path = editor.trust.join(id);
        let trust = send(&client, &editor, Method::GET, &path, "").await.ok();
        check_texts(&trust, editor.trust_texts);
        assert!(trust[editor.score].is_f64(), "{trust}");

        for (call, status) in [("suspend", "suspended"), ("revoke", "revoked")] {
            let path = format!("/agents/{id}/{call}");
            let ended = send(&client, &editor, Method::POST, &path, editor.ends_with);
            assert_eq!(ended.await.ok()["status"], status);
        }
    }
    assert_eq!(get(&client, "/v1/agents?status=revoked").await["total"], 4);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_accepted_in_each_header_that_clients_use() {
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

/// Returns the answer to a key of acme that names these tenants.
async fn naming(client: &Client, tenants: &[&str]) -> Answer {
    let tenants: Vec<_> = tenants.iter().map(|name| ("x-tenant-id", *name)).collect();
    let path = format!("{MOUNT}/v1/agents");
    client.send(Method::GET, &path, &tenants, Vec::new()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_tenant_counts_as_missing_and_another_tenant_is_forbidden() {
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
    // The credential is checked first.
    let nobody = app.client("acme").with_key("nobody");
    check_failure(&naming(&nobody, &["a b"]).await, 401, "UNAUTHORIZED", "");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_credentials_the_key_names_the_tenant_if_the_header_is_empty() {
    let app = App::start().await;
    let client = app.client("acme").with_key("tenant:acme");
    assert_eq!(naming(&client, &[""]).await.ok()["total"], 0);
    check_failure(&naming(&client, &["a b"]).await, 403, "FORBIDDEN", "");
    let nobody = app.client("acme").with_key("nobody");
    let answer = naming(&nobody, &[""]).await;
    check_failure(&answer, 400, "INVALID_INPUT", "X-Tenant-ID");
    app.stop().await;
}
