//! Identity providers: with the settings that `docs/operations.md` shows, a server accepts their tokens.
//!
//! The tests read the settings from the document. The tokens have the claims that the provider documents
//! for access tokens; each test names the page.

use std::fs;

use serde_json::{Value, json};
use session_ledger::app::clock::SystemClock;
use session_ledger::domain::Clock as _;

use crate::support::cli::Server;
use crate::support::client::Client;
use crate::support::tokens::{Signer, key_set};

/// The heading of the table of providers.
const HEADING: &str = "| provider | settings | what to set up there |";

/// Returns the settings that the document shows for each provider: options and their values.
fn documented() -> Vec<(String, Vec<(String, String)>)> {
    let document = fs::read_to_string("docs/operations.md").unwrap();
    let (_, table) = document
        .split_once(HEADING)
        .expect("the table of providers");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        // In this cell, only options with their values are in backquotes.
        let options = cells[2].split('`').skip(1).step_by(2).map(|option| {
            let (name, value) = option.split_once(' ').expect("an option and its value");
            (name.to_owned(), value.to_owned())
        });
        (cells[1].to_owned(), options.collect())
    };
    rows.map(row).collect()
}

fn now_s() -> i64 {
    SystemClock.now().micros() / 1_000_000
}

/// Starts a server with the documented settings of a provider, but with keys from a file. Returns the
/// status of a request that needs the role read, and of one that needs the role admin.
async fn answers(provider: &str, claims: &Value) -> (u16, u16) {
    let documented = documented();
    let (_, settings) = documented
        .iter()
        .find(|(name, _)| name == provider)
        .unwrap_or_else(|| panic!("{provider} has no row: {documented:?}"));
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::rs256("provider-key");
    let file = dir.path().join("keys.json");
    fs::write(&file, key_set(&[&signer])).unwrap();
    let value = |(name, value): &(String, String)| match &**name {
        "--jwt-jwks" => file.to_str().unwrap().to_owned(),
        _ => value.clone(),
    };
    let args = settings.iter().flat_map(|it| [it.0.clone(), value(it)]);
    let args: Vec<String> = args.collect();
    assert!(args.iter().any(|arg| arg == "--jwt-issuer"), "{args:?}");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let server = Server::start_guarded(&dir.path().join("ledger"), &args);
    let client = Client::new(server.url(), "acme").with_key(&signer.token(claims));
    let read = client.get("/v1/agent-sessions").await.status;
    let admin = client.get("/v1/keys").await.status;
    (read, admin)
}

/// Checks that a provider's token may only read, and that with the claims in `without` it may not even
/// read.
async fn check(provider: &str, claims: Value, without: Value) {
    assert_eq!(answers(provider, &claims).await, (200, 403), "{claims}");
    let mut lacking = claims;
    for (name, value) in without.as_object().unwrap() {
        lacking[name] = value.clone();
    }
    assert_eq!(answers(provider, &lacking).await, (403, 403), "{lacking}");
}

#[test]
fn every_provider_of_the_table_has_a_test() {
    let documented = documented();
    let names: Vec<&str> = documented.iter().map(|(name, _)| &**name).collect();
    assert_eq!(
        names,
        [
            "Keycloak",
            "Zitadel",
            "Auth0",
            "Amazon Cognito",
            "Microsoft Entra ID"
        ]
    );
}

/// <https://www.keycloak.org/docs/latest/server_admin/#_oidc_token_role_mappings> and, for
/// `organization`, `#_managing_organizations`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keycloak() {
    let claims = json!({
        "exp": now_s() + 300, "iat": now_s(), "jti": "onrtac:7919ca9d-dea7-414e-9e99-0839769f1f40",
        "iss": "https://keycloak.example/realms/main", "aud": ["session-ledger", "account"],
        "sub": "144bdeab-9bbf-47d6-9ec4-55982cd20e82", "typ": "Bearer", "azp": "agents",
        "sid": "2cbeda29-fe54-46ae-9018-d5cdde7ff518", "acr": "1", "allowed-origins": ["/*"],
        "realm_access": {"roles": ["default-roles-main", "offline_access", "admin"]},
        "resource_access": {
            "session-ledger": {"roles": ["read", "write"]},
            "account": {"roles": ["manage-account", "view-profile"]},
        },
        "scope": "organization email profile", "email_verified": true,
        "organization": ["acme"], "preferred_username": "marco",
    });
    let others = json!({"resource_access": {"account": {"roles": ["admin", "read"]}}});
    check("Keycloak", claims.clone(), others).await;
    // The mapper can be set to add the ids of organizations.
    let mut with_ids = claims;
    with_ids["organization"] = json!({"acme": {"id": "42c3e46f-2477-44d7-a85b-d3b43f6b31fa"}});
    assert_eq!(answers("Keycloak", &with_ids).await.0, 200);
}

/// <https://zitadel.com/docs/apis/openidoauth/claims>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zitadel() {
    let of_org = json!({"283716530216435713": "acme.zitadel.example"});
    let claims = json!({
        "iss": "https://acme.zitadel.example", "sub": "285040512305496065",
        "aud": ["284912302812495873@agents", "284912302812495873", "283716530216435999"],
        "exp": now_s() + 43_200, "iat": now_s(), "nbf": now_s(), "jti": "V2_285040512305496066",
        "client_id": "284912302812495873@agents",
        "urn:zitadel:iam:user:resourceowner:id": "283716530216435713",
        "urn:zitadel:iam:user:resourceowner:name": "Acme",
        "urn:zitadel:iam:user:resourceowner:primary_domain": "acme.zitadel.example",
        "urn:zitadel:iam:org:project:roles": {"read": of_org, "write": of_org},
        "urn:zitadel:iam:org:project:283716530216435999:roles": {"read": of_org, "write": of_org},
    });
    let others = json!({"urn:zitadel:iam:org:project:roles": {"reader": of_org}});
    check("Zitadel", claims, others).await;
}

/// <https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles> and, for `org_id`,
/// <https://auth0.com/docs/manage-users/organizations/using-tokens>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auth0() {
    let claims = json!({
        "iss": "https://acme.eu.auth0.com/", "sub": "auth0|6553da60a54af58e29493993",
        "aud": ["https://ledger.example/", "https://acme.eu.auth0.com/userinfo"],
        "iat": now_s(), "exp": now_s() + 86_400, "azp": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja",
        "scope": "openid profile read:sessions", "org_id": "org_9ybsU1dN2dKfDkBi",
        "permissions": ["read:sessions", "write:sessions"],
    });
    check(
        "Auth0",
        claims,
        json!({"permissions": ["read:users", "admin"]}),
    )
    .await;
}

/// <https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html>
///
/// An access token of the client credentials grant. It has no `aud`, and names no tenant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cognito() {
    let claims = json!({
        "sub": "1example23456789", "token_use": "access", "scope": "ledger/read ledger/write",
        "auth_time": now_s(), "exp": now_s() + 3600, "iat": now_s(), "version": 2,
        "iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_EXAMPLE",
        "jti": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "client_id": "1example23456789",
    });
    check(
        "Amazon Cognito",
        claims,
        json!({"scope": "other/read read"}),
    )
    .await;
}

/// <https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entra_id() {
    let id = |n| format!("{n:08x}-71bc-4a1e-9f13-0123456789ab");
    let groups: Vec<String> = (0..200).map(id).collect();
    let tenant = "bbbbcccc-1111-dddd-2222-eeee3333ffff";
    let claims = json!({
        "aud": "00001111-aaaa-2222-bbbb-3333cccc4444", "ver": "2.0", "tid": tenant,
        "iss": format!("https://login.microsoftonline.com/{tenant}/v2.0"),
        "iat": now_s(), "nbf": now_s(), "exp": now_s() + 4_000, "aio": "AXQAi/8IAAAA",
        "azp": "11112222-bbbb-3333-cccc-4444dddd5555", "azpacr": "1", "uti": "ij4xB",
        "oid": "22223333-cccc-4444-dddd-5555eeee6666", "rh": "0.AAAA", "groups": groups,
        "sub": "dxjV5CfXUnZ8mX1wXlO0Nq0qLkqT5tD", "roles": ["Ledger.Read", "Ledger.Write"],
    });
    check(
        "Microsoft Entra ID",
        claims.clone(),
        json!({"roles": ["Other.Read"]}),
    )
    .await;
    // A token on behalf of a user has its permissions as scopes, in one text.
    let mut delegated = claims;
    delegated["roles"] = json!([]);
    delegated["scp"] = json!("Ledger.Read User.Read");
    assert_eq!(answers("Microsoft Entra ID", &delegated).await.0, 200);
}
