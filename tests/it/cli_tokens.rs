//! Tokens on a running server: the keys and claims that it accepts, and what it logs about others.

use std::path::Path;

use serde_json::{Value, json};
use session_ledger::app::clock::SystemClock;
use session_ledger::domain::Clock as _;
use session_ledger::domain::limits::CREDENTIAL_BYTES_MAX;

use crate::support::cli::{Server, fails, ok};
use crate::support::client::Client;
use crate::support::tokens::Signer;

const LIST: &str = "/v1/agent-sessions";

/// Starts a server that accepts tokens signed with the keys of a set, and logs why it rejects others.
fn serve(dir: &Path, keys: &[Value], more: &[&str]) -> Server {
    let key_set = key_set(dir, keys);
    let args = ["--jwt-jwks", &key_set, "--log-level", "debug"];
    Server::start_guarded(&dir.join("ledger"), &[&args, more].concat())
}

fn key_set(dir: &Path, keys: &[Value]) -> String {
    let file = dir.join("keys.json");
    std::fs::write(&file, json!({"keys": keys}).to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Returns valid claims with some changes. Null removes a claim.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://id.example", "sub": "ci", "tenant_id": "acme", "roles": ["read"],
        "exp": SystemClock.now().micros() / 1_000_000 + 600,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let members = claims.as_object_mut().unwrap();
    members.retain(|_, value| !value.is_null());
    claims
}

async fn status(server: &Server, token: &str) -> u16 {
    let client = Client::new(server.url(), "acme").with_key(token);
    client.get(LIST).await.status
}

/// Returns a key as in a key set (JWK), with one member changed.
fn jwk(signer: &Signer, name: &str, value: &str) -> Value {
    let mut jwk = signer.jwk();
    jwk[name] = json!(value);
    jwk
}

fn nameless(signer: &Signer) -> Value {
    let mut jwk = signer.jwk();
    jwk.as_object_mut().unwrap().remove("kid");
    jwk
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_usable_key_is_tried_and_the_others_are_logged() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two, three) = (Signer::eddsa("1"), Signer::eddsa("2"), Signer::es256("3"));
    let rsa = jwk(&Signer::rs256("4"), "alg", "RS512");
    let keys = [
        jwk(&one, "alg", "Ed25519"),
        two.jwk(),
        nameless(&three),
        rsa,
    ];
    let server = serve(dir.path(), &keys, &[]);
    let told = "the key set for tokens has 3 of 4 keys usable; skipped: \"4\" (for \"RS512\")";
    assert!(server.started().contains(told), "{}", server.started());
    let good = claims(&json!({}));
    for (signer, header) in [
        (&one, json!({})),
        (&one, json!({"alg": "Ed25519"})),
        (&two, json!({"alg": "Ed25519"})),
        (&one, json!({"kid": null})),
        (&two, json!({"kid": null})),
        (&three, json!({})),
        (&three, json!({"kid": null})),
    ] {
        let token = signer.token_with(&header, &good);
        assert_eq!(status(&server, &token).await, 200, "{header}");
    }
    let stranger = Signer::eddsa("stranger");
    for header in [
        json!({"kid": null}),
        json!({"kid": "1"}),
        json!({"kid": "9", "alg": "Ed25519"}),
        json!({"alg": "Ed448"}),
    ] {
        let token = stranger.token_with(&header, &good);
        assert_eq!(status(&server, &token).await, 401, "{header}");
    }
    let (_, logged) = server.terminate();
    for why in [
        "it names no key, and no key of the key set made its signature",
        "its signature was not made with the key \"1\"",
        "it names the key \"9\", and the key set has no key of that name",
        "it is signed with \"Ed448\"; RS256, ES256, EdDSA (or Ed25519) and HS256 are accepted",
    ] {
        assert!(logged.contains(why), "{why}: {logged}");
    }
}

#[test]
fn a_key_set_without_a_usable_key_is_rejected_at_start_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let key_set = key_set(dir.path(), &[jwk(&Signer::rs256("a"), "alg", "RS512")]);
    let data = dir.path().join("ledger");
    let args = [
        "serve",
        "--data-dir",
        data.to_str().unwrap(),
        "--jwt-jwks",
        &key_set,
    ];
    let told = fails(&args, 1);
    assert!(told.contains("\"a\" (for \"RS512\")"), "{told}");
}

/// Returns the claims of an Entra ID user in this many groups.
fn in_groups(count: usize) -> Value {
    let id = |n| format!("{n:08x}-71bc-4a1e-9f13-0123456789ab");
    let groups: Vec<String> = (0..count).map(id).collect();
    claims(&json!({"groups": groups}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_with_many_groups_is_accepted_and_one_that_is_too_long_is_logged() {
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::rs256("k");
    let server = serve(dir.path(), &[signer.jwk()], &[]);
    let long = signer.token(&in_groups(480));
    assert!((CREDENTIAL_BYTES_MAX * 3 / 4..CREDENTIAL_BYTES_MAX).contains(&long.len()));
    for token in [&signer.token(&in_groups(157)), &long] {
        assert_eq!(status(&server, token).await, 200, "{} bytes", token.len());
        assert_eq!(
            status_by_http2(&server, token).await,
            200,
            "{} bytes",
            token.len()
        );
    }
    let too_long = signer.token(&in_groups(700));
    assert_eq!(status(&server, &too_long).await, 401);
    assert_eq!(status_by_http2(&server, &too_long).await, 401);
    let (_, logged) = server.terminate();
    let why = format!(
        "the credential has {} bytes, and the limit is {CREDENTIAL_BYTES_MAX}",
        too_long.len()
    );
    assert!(logged.contains(&why), "{logged}");
}

async fn status_by_http2(server: &Server, token: &str) -> u16 {
    let address = server.url().strip_prefix("http://").unwrap();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let mut driver = tokio::task::JoinSet::new();
    driver.spawn(connection);
    let request = axum::http::Request::get(format!("{}{LIST}", server.url()))
        .header("authorization", format!("Bearer {token}"));
    let mut client = client.ready().await.unwrap();
    let (answer, _) = client
        .send_request(request.body(()).unwrap(), true)
        .unwrap();
    answer.await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicate_claim_is_rejected_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::eddsa("k");
    let server = serve(dir.path(), &[signer.jwk()], &[]);
    let good = claims(&json!({})).to_string();
    let with = |more: &str| signer.token_of(&json!({}), &good.replacen('{', more, 1));
    assert_eq!(status(&server, &with("{")).await, 200);
    let twice = [
        (r#"{"tenant_id":"globex","#, "tenant_id"),
        (r#"{"exp":1,"#, "exp"),
        (r#"{"x":{"y":1,"y":2},"#, "y"),
    ];
    for (more, _) in twice {
        assert_eq!(status(&server, &with(more)).await, 401, "{more}");
    }
    let (_, logged) = server.terminate();
    for (_, name) in twice {
        let why = format!("it has the claim \"{name}\" twice");
        assert!(logged.contains(&why), "{why}: {logged}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_that_matches_no_claim_is_logged() {
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::eddsa("k");
    let settings = [
        "--jwt-claim-roles",
        "realm_access.roles,scope",
        "--jwt-role-prefix",
        "ledger/",
        "--jwt-claim-tenant",
        "org.id",
    ];
    let server = serve(dir.path(), &[signer.jwk()], &settings);
    let with = |changes: Value| signer.token(&claims(&changes));
    let of_org = json!({"org": {"id": "acme"}, "scope": "openid read", "roles": ["read"]});
    assert_eq!(status(&server, &with(of_org)).await, 403);
    let good = json!({"org": {"id": "acme"}, "realm_access": {"roles": ["ledger/read"]}});
    assert_eq!(status(&server, &with(good)).await, 200);
    assert_eq!(status(&server, &with(json!({"org": "acme"}))).await, 401);
    assert_eq!(
        status(&server, &with(json!({"org": {"id": "a b"}}))).await,
        401
    );
    let (_, logged) = server.terminate();
    for told in [
        "a token of \"https://id.example|ci\" gives no role: it has no claim `realm_access.roles`; \
         words in its claim `scope` match no role: \"openid\", \"read\"",
        "gives the roles read: it has no claim `scope`",
        "it names no tenant: it has no claim `org.id`",
        "it names no tenant: its claim `org.id` holds no id",
    ] {
        assert!(logged.contains(told), "{told}: {logged}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_callers_are_counted_and_logged_once_per_kind() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("ledger");
    let place = ["--data-dir", data.to_str().unwrap(), "--tenant", "acme"];
    let issue = |role| {
        let args = ["keys", "issue", "--json", "--role", role];
        let issued: Value = serde_json::from_str(&ok(&[&args, &place[..]].concat())).unwrap();
        let text = |name: &str| issued[name].as_str().unwrap().to_owned();
        (text("key_id"), text("key"))
    };
    let (writer_id, writer) = issue("write");
    let (revoked_id, revoked) = issue("read");
    ok(&[&["keys", "revoke", &revoked_id], &place[..]].concat());
    let server = Server::start_guarded(&data, &[]);
    for _ in 0..3 {
        assert_eq!(status(&server, &revoked).await, 401);
        assert_eq!(status(&server, &writer).await, 403);
    }
    assert_eq!(status(&server, "nonsense").await, 401);
    let client = Client::new(server.url(), "acme");
    client.get(LIST).await.problem(401, "credential_required");
    let foreign = client.with_key(&writer);
    let to_globex = [("x-tenant-id", "globex")];
    let answer = foreign.send(reqwest::Method::GET, LIST, &to_globex, Vec::new());
    answer.await.problem(403, "tenant_forbidden");
    let metrics = client.get("/metrics").await.text;
    for (code, reason, count) in [
        ("invalid_credential", "key_revoked", 3),
        ("invalid_credential", "not_a_key", 1),
        ("role_required", "", 3),
        ("tenant_forbidden", "", 1),
        ("credential_required", "", 1),
    ] {
        let line = format!(
            "session_ledger_refused_total{{code=\"{code}\",reason=\"{reason}\"}} {count}\n"
        );
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    let (_, logged) = server.terminate();
    for (told, times) in [
        (
            &*format!(
                "rejected a request with 401 invalid_credential: the key {revoked_id} is revoked"
            ),
            1,
        ),
        (
            "rejected a request with 401 invalid_credential: the credential is not a key",
            1,
        ),
        (
            "rejected a request with 403 role_required: the credential needs one of these roles",
            1,
        ),
        ("rejected a request with 403 tenant_forbidden", 1),
        ("rejected a request with 401 credential_required", 0),
        // The log names the caller if the credential is valid.
        (&*format!("principal.id=\"{writer_id}\""), 2),
    ] {
        assert_eq!(logged.matches(told).count(), times, "{told}: {logged}");
    }
    assert!(
        !logged.contains("nonsense") && !logged.contains(&writer[21..]),
        "{logged}"
    );
}

#[test]
fn settings_without_effect_are_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let key_set = key_set(dir.path(), &[Signer::eddsa("k").jwk()]);
    let data = dir.path().join("ledger");
    let refused = |more: &[&str]| {
        let args = ["serve", "--data-dir", data.to_str().unwrap()];
        fails(&[&args, more].concat(), 2)
    };
    let with_keys = |more: &[&str]| refused(&[&["--jwt-jwks", &key_set], more].concat());
    for alone in [
        &["--jwt-issuer", "x"][..],
        &["--jwt-tenant", "acme"],
        &["--jwt-claim-tenant", "org"],
        &["--jwt-claim-roles", "scope"],
        &["--jwt-claim-agent", "bot"],
        &["--jwt-role-prefix", "ledger/"],
        &["--jwt-role-map", "ops=admin"],
    ] {
        assert!(refused(alone).contains("--jwt-jwks"), "{alone:?}");
        let unasked = refused(&[&["--no-auth"], alone].concat());
        assert!(unasked.contains("leave out --jwt-"), "{unasked}");
    }
    for (more, told) in [
        (["--jwt-claim-roles", ""], "a claim's name"),
        (["--jwt-claim-agent", " agent"], "a claim's name"),
        (["--jwt-claim-tenant", "a.b.c.d.e.f.g.h.i.j"], "8 dots"),
        (
            ["--jwt-claim-tenant", "a,b,c,d,e,f,g,h,i"],
            "8 claims at most",
        ),
        (["--jwt-role-prefix", ""], "a prefix has"),
        (["--jwt-role-map", "ops"], "WORD=ROLE"),
        (["--jwt-role-map", "ops=god"], "read, write, audit, admin"),
        (["--jwt-role-map", "=read"], "a word has"),
        (["--jwt-tenant", "a b"], "--jwt-tenant"),
    ] {
        let refused = with_keys(&more);
        assert!(refused.contains(told), "{more:?}: {refused}");
    }
    let both = with_keys(&["--jwt-tenant", "acme", "--jwt-claim-tenant", "org"]);
    assert!(both.contains("--jwt-claim-tenant"), "{both}");
    assert!(!data.exists(), "a rejected start creates nothing");
}
