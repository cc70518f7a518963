//! The roles in the API's document, and what a tenant without data sees.

use reqwest::Method;
use serde_json::Value;
use session_ledger::auth::Roles;

use super::routes::{Route, of_the_api};
use crate::support::app::{App, NOW, grant};
use crate::support::client::created;

#[test]
fn every_route_below_v1_names_its_roles_and_no_other_route_needs_one() {
    for route in of_the_api() {
        let asks = !route.one_of.is_empty();
        assert_eq!(asks, route.path.starts_with("/v1/"), "{route}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_without_data_sees_nothing_of_other_tenants() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let acme = app.client_with_key("acme", Roles::ALL).await;
    acme.apply(&created("s1", "a1", NOW)).await;
    let key_of = async |tenant: &str| app.key(grant(tenant, Roles::ALL)).await;
    let (globex, initech) = (key_of("globex").await, key_of("initech").await);
    // The answers to both tenants are equal, except for the names of the tenant and the key.
    let seen = async |route: &Route, tenant: &str, key: &str| {
        let client = app.client(tenant).with_key(key);
        let text = client.get(&route.path).await.ok().to_string();
        let text = text.replace(tenant, "TENANT").replace(&key[4..20], "KEY");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let of_many = |route: &Route| {
        !route.one_of.is_empty()
            && route.method == Method::GET
            && !route.path.contains('{')
            // The answer of a stream is no JSON, and the lists beside it have the same rows.
            && !route.path.ends_with("/stream")
            // The answer has no line, which is no JSON either.
            && route.path != "/v1/export/events"
            // An operator reads the records of all tenants.
            && !route.path.starts_with("/v1/backup")
    };
    let mut checked = 0;
    for route in of_the_api().into_iter().filter(of_many) {
        let (one, other) = (
            seen(&route, "globex", &globex).await,
            seen(&route, "initech", &initech).await,
        );
        assert_eq!(one, other, "{route}");
        assert!(!one.to_string().contains("s1"), "{one}");
        // The answer does not say when another tenant last wrote.
        let time = one.pointer("/as_of/time");
        assert!(time.is_none_or(Value::is_null), "{route}: {one}");
        checked += 1;
    }
    assert!(5 <= checked);
    app.stop().await;
}
