//! Every route of the document, with every role, and with the credential of another tenant.
//!
//! The tables are made from the document, so that a route that is added is tested or fails.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::auth::{Role, Roles};
use session_ledger::http::openapi;

use crate::support::app::{App, NOW, grant};
use crate::support::client::{Answer, Client, created};

/// An operation of the document.
struct Operation {
    method: Method,
    path: String,
    id: String,
    /// One of these will do.
    roles: BTreeSet<String>,
}

impl Operation {
    fn is_open(&self) -> bool {
        !self.path.starts_with("/v1/")
    }

    /// The path of something: of what exists, or of what does not.
    fn path_of(&self, things: &Things) -> String {
        let id = match self.path.split('/').nth(2).unwrap_or_default() {
            "agent-sessions" => &things.session,
            "agents" => &things.agent,
            "keys" => &things.key,
            _ => "",
        };
        let path = self.path.replace("{id}", id);
        let path = path.replace("{position}", &things.position);
        assert!(
            !path.contains(['{', '}']) && !path.contains("//"),
            "what is {path}?"
        );
        path
    }

    /// A body that the operation takes.
    fn body(&self) -> Value {
        match &*self.id {
            "refresh_session" => json!({"refresh_token": "slrt_none"}),
            "hand_off_session" => json!({"to_agent_id": "a2"}),
            "update_agent" => json!({"display_name": "other"}),
            _ => json!({}),
        }
    }

    async fn send(&self, client: &Client, things: &Things) -> Answer {
        let json = [("content-type", "application/json")];
        let body = match self.method {
            Method::GET => Vec::new(),
            _ => self.body().to_string().into_bytes(),
        };
        let path = self.path_of(things);
        client.send(self.method.clone(), &path, &json, body).await
    }
}

/// Ids of things.
struct Things {
    session: String,
    agent: String,
    key: String,
    position: String,
}

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&openapi::text()).unwrap();
    let schemes = &document["components"]["securitySchemes"];
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let security = operation["security"].as_array();
            let requirements = security.into_iter().flatten();
            let mut roles = BTreeSet::new();
            for (scheme, role) in requirements.flat_map(|one| one.as_object().unwrap()) {
                assert!(schemes[scheme].is_object(), "{scheme}");
                roles.insert(role[0].as_str().unwrap().to_owned());
            }
            operations.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                id: operation["operationId"].as_str().unwrap().to_owned(),
                roles,
            });
        }
    }
    operations
}

/// A ledger in which the tenant `acme` has one of everything.
async fn start() -> (App, Things) {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let acme = app.client_with_key("acme", Roles::ALL).await;
    let position = acme.apply(&created("s1", "a1", NOW)).await;
    let things = Things {
        session: "s1".to_owned(),
        agent: "a1".to_owned(),
        key: app.key(grant("acme", Roles::ALL)).await[4..20].to_owned(),
        position: position.to_string(),
    };
    (app, things)
}

#[test]
fn every_route_of_the_api_says_which_roles_will_do_and_no_other_asks() {
    for operation in operations() {
        let asks = !operation.roles.is_empty();
        assert_eq!(asks, !operation.is_open(), "{}", operation.path);
        for role in &operation.roles {
            assert!(Role::parse(role).is_some(), "{role}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_route_serves_the_roles_that_it_names_and_no_others() {
    let (app, things) = start().await;
    for operation in operations() {
        for role in Role::ALL {
            let client = app
                .client_with_key("acme", [role].into_iter().collect())
                .await;
            let answer = operation.send(&client, &things).await;
            let what = format!("{} {} as {role:?}", operation.method, operation.path);
            if operation.is_open() {
                assert_eq!(answer.status, 200, "{what}");
            } else if operation.roles.contains(role.as_str()) {
                assert_ne!(answer.status, 401, "{what}: {}", answer.text);
                assert!(
                    !answer.text.contains("role_required"),
                    "{what}: {}",
                    answer.text
                );
            } else {
                let problem = answer.problem(403, "role_required");
                let detail = problem["detail"].as_str().unwrap();
                let named = |role: &String| detail.contains(role.as_str());
                assert!(operation.roles.iter().all(named), "{what}: {detail}");
            }
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_another_tenants_looks_as_if_it_were_not_there() {
    let (app, theirs) = start().await;
    let nothing = Things {
        session: "s9".to_owned(),
        agent: "a9".to_owned(),
        key: "0".repeat(16),
        position: "9999999".to_owned(),
    };
    let globex = app.client_with_key("globex", Roles::ALL).await;
    let of_one_thing = |operation: &Operation| operation.path.contains('{');
    for operation in operations().into_iter().filter(of_one_thing) {
        let foreign = operation.send(&globex, &theirs).await;
        let missing = operation.send(&globex, &nothing).await;
        let what = format!("{} {}", operation.method, operation.path);
        assert_eq!(foreign.status, 404, "{what}: {}", foreign.text);
        assert_eq!(without_ids(&foreign), without_ids(&missing), "{what}");
    }
    app.stop().await;
}

/// The body without the ids of the request and of the event that was rejected.
fn without_ids(answer: &Answer) -> (u16, Value) {
    let mut body = answer.json();
    for name in ["instance", "position"] {
        if let Some(member) = body.get_mut(name) {
            *member = Value::Null;
        }
    }
    (answer.status, body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_among_others_sees_as_much_as_one_alone() {
    let (app, things) = start().await;
    let key_of = async |tenant: &str| app.key(grant(tenant, Roles::ALL)).await;
    let (globex, initech) = (key_of("globex").await, key_of("initech").await);
    // Everything of the second is of the first as well, but for the tenant's and the key's names.
    let seen = async |operation: &Operation, tenant: &str, key: &str| {
        let client = app.client(tenant).with_key(key);
        let answer = operation.send(&client, &things).await;
        let mut body = without_ids(&answer);
        let text = body.1.to_string();
        let text = text.replace(tenant, "TENANT").replace(&key[4..20], "KEY");
        body.1 = serde_json::from_str(&text).unwrap();
        body
    };
    let of_many = |operation: &Operation| {
        !operation.is_open() && operation.method == Method::GET && !operation.path.contains('{')
    };
    let mut checked = 0;
    for operation in operations().into_iter().filter(of_many) {
        let (one, other) = (
            seen(&operation, "globex", &globex).await,
            seen(&operation, "initech", &initech).await,
        );
        assert_eq!(one, other, "{}", operation.path);
        assert_eq!(one.0, 200, "{}: {}", operation.path, one.1);
        assert!(!one.1.to_string().contains("s1"), "{}", one.1);
        checked += 1;
    }
    assert!(5 <= checked);
    app.stop().await;
}
