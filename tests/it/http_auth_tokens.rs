//! Tokens (JWT): which are accepted, and how the server follows the keys that sign them.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use axum::routing::get;
use serde_json::{Value, json};
use session_ledger::auth::jwt::{ClaimRules, KeySetSource, Pace, Secret, TokenConfig, Tokens};
use session_ledger::domain::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::app::{App, NOW, grant};
use crate::support::client::{Answer, created};
use crate::support::tokens::{Signer, key_set};

const LIST: &str = "/v1/agent-sessions";
const ISSUER: &str = "https://issuer.example";
const SECRET: &[u8] = b"a secret of at least 32 bytes, as the hash is long";

fn now_s() -> i64 {
    Timestamp::parse(NOW).unwrap().micros() / 1_000_000
}

/// Returns valid claims with some changes. Null removes a claim.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "sub": "ci", "aud": "ledger", "exp": now_s() + 600,
        "tenant_id": "acme", "roles": ["read"],
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    claims
}

fn config(key_set: Option<KeySetSource>) -> TokenConfig {
    TokenConfig {
        key_set,
        pace: None,
        secret: Secret::new(SECRET),
        rules: ClaimRules {
            issuer: Some(ISSUER.to_owned()),
            audiences: vec!["ledger".to_owned()],
            ..ClaimRules::default()
        },
    }
}

/// A ledger that accepts tokens, and the task that follows their keys.
struct Issued {
    app: App,
    follower: JoinSet<()>,
    stop: CancellationToken,
}

impl Issued {
    async fn start(config: TokenConfig) -> Self {
        let tokens = Arc::new(Tokens::open(config).await.unwrap());
        let (mut follower, stop) = (JoinSet::new(), CancellationToken::new());
        follower.spawn(Arc::clone(&tokens).run(stop.clone()));
        let app = App::start_with_credentials(|mut credentials| {
            credentials.tokens = Some(tokens);
            credentials
        });
        let app = app.await;
        Self {
            app,
            follower,
            stop,
        }
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.app.client("acme").with_key(token).get(path).await
    }

    async fn list(&self, token: &str) -> Answer {
        self.get(LIST, token).await
    }

    #[track_caller]
    fn is_refused(answer: &Answer) {
        answer.problem(401, "invalid_credential");
        assert!(answer.headers.contains_key("www-authenticate"));
    }

    async fn stop(mut self) {
        self.stop.cancel();
        self.follower.join_next().await.unwrap().unwrap();
        self.app.stop().await;
    }
}

/// Writes a key set to a file.
fn file_of(signers: &[&Signer]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(key_set(signers).as_bytes()).unwrap();
    file
}

fn source(file: &tempfile::NamedTempFile) -> KeySetSource {
    KeySetSource::File(file.path().to_path_buf())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_algorithm_is_accepted() {
    let signers = [Signer::rs256("r"), Signer::es256("e"), Signer::eddsa("d")];
    let file = file_of(&signers.each_ref());
    let ledger = Issued::start(config(Some(source(&file)))).await;
    for signer in signers.iter().chain([&Signer::hs256(SECRET)]) {
        ledger.list(&signer.token(&claims(&json!({})))).await.ok();
    }
    // A token that names no key is checked with every key for its algorithm.
    let nameless = signers[1].token_with(&json!({"kid": null}), &claims(&json!({})));
    ledger.list(&nameless).await.ok();
    ledger.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_decides_the_algorithm_not_the_token() {
    let (rsa, ec) = (Signer::rs256("r"), Signer::es256("e"));
    let file = file_of(&[&rsa, &ec]);
    let ledger = Issued::start(config(Some(source(&file)))).await;
    let good = claims(&json!({}));
    let mut forged = vec![
        // Signed with the public key as a shared secret.
        Signer::hs256(&rsa.public_bytes()).token_with(&json!({"kid": "r"}), &good),
        Signer::hs256(key_set(&[&rsa]).as_bytes()).token_with(&json!({"kid": "r"}), &good),
        Signer::hs256(&ec.public_bytes()).token_with(&json!({"kid": "e"}), &good),
        // Another key with the same id, and the same key with another id.
        Signer::es256("e").token(&good),
        ec.token_with(&json!({"kid": "r"}), &good),
        rsa.token_with(&json!({"kid": "unknown"}), &good),
        // The header names another algorithm than the one used.
        ec.token_with(&json!({"alg": "RS256"}), &good),
        ec.token_with(&json!({"alg": "EdDSA"}), &good),
        ec.token_with(&json!({"alg": "ES384"}), &good),
        ec.token_with(&json!({"alg": "HS256"}), &good),
        // A critical extension, which a verifier must understand.
        ec.token_with(&json!({"crit": ["b64"], "b64": false}), &good),
    ];
    for alg in ["none", "None", "NONE", ""] {
        let token = ec.token_with(&json!({"alg": alg}), &good);
        let (unsigned, _) = token.rsplit_once('.').unwrap();
        forged.extend([format!("{unsigned}."), token.clone()]);
    }
    let sound = ec.token(&good);
    let (message, signature) = sound.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let other = ec.token(&claims(&json!({"tenant_id": "globex"})));
    let payload = other.split('.').nth(1).unwrap();
    forged.extend([
        format!("{header}.{payload}.{signature}"),
        format!("{message}."),
        message.to_owned(),
        format!("{sound}.x"),
        format!("{message}.{}", &signature[..signature.len() - 4]),
    ]);
    for token in &forged {
        Issued::is_refused(&ledger.list(token).await);
    }
    ledger.list(&sound).await.ok();
    ledger.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_token_with_invalid_claims_gets_an_equal_answer() {
    let ledger = Issued::start(config(None)).await;
    let signer = Signer::hs256(SECRET);
    let mut answers = Vec::new();
    for changes in [
        json!({"exp": null}),
        json!({"exp": now_s() - 31}),
        json!({"nbf": now_s() + 31}),
        json!({"iss": "https://other.example"}),
        json!({"aud": "other"}),
        json!({"aud": null}),
        json!({"sub": null}),
        json!({"tenant_id": null}),
        json!({"tenant_id": "no tenant"}),
        json!({"agent_id": 7}),
    ] {
        let answer = ledger.list(&signer.token(&claims(&changes))).await;
        Issued::is_refused(&answer);
        let mut problem = answer.json();
        problem["instance"] = json!(null);
        answers.push(problem);
    }
    let wrong_secret =
        Signer::hs256(b"another secret of at least 32 bytes").token(&claims(&json!({})));
    Issued::is_refused(&ledger.list(&wrong_secret).await);
    assert!(answers.windows(2).all(|two| two[0] == two[1]));
    ledger.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_expires_by_the_servers_clock() {
    let ledger = Issued::start(config(None)).await;
    let token = Signer::hs256(SECRET).token(&claims(&json!({"exp": now_s() + 10})));
    ledger.list(&token).await.ok();
    ledger.app.set_time("2026-01-31T12:00:39.999Z");
    ledger.list(&token).await.ok();
    ledger.app.set_time("2026-01-31T12:00:40Z");
    Issued::is_refused(&ledger.list(&token).await);
    ledger.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_with_a_token_for_several_tenants_must_choose_one() {
    let ledger = Issued::start(config(None)).await;
    let several = json!({"tenant_id": null, "tenants": ["acme", "globex"], "roles": "read write"});
    let client = ledger.app.client("acme");
    let client = client.with_key(&Signer::hs256(SECRET).token(&claims(&several)));
    let as_tenant = async |tenant: &str| {
        let header = [("x-tenant-id", tenant)];
        client
            .send(reqwest::Method::GET, LIST, &header, Vec::new())
            .await
    };
    client.get(LIST).await.problem(400, "tenant_required");
    as_tenant("acme").await.ok();
    as_tenant("globex").await.ok();
    as_tenant("initech").await.problem(403, "tenant_forbidden");
    ledger.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_and_agent_of_a_token_count_like_those_of_a_key() {
    let ledger = Issued::start(config(None)).await;
    let signer = Signer::hs256(SECRET);
    let with = |changes| signer.token(&claims(&changes));
    let none = with(json!({"roles": ["superuser"]}));
    ledger
        .get("/v1/status", &none)
        .await
        .problem(403, "role_required");
    let event = created("s1", "a1", NOW);
    let client = |token: &str| ledger.app.client("acme").with_key(token);
    let writer = client(&with(json!({"roles": "write"})));
    assert_eq!(writer.emit(&event).await.status, 201);
    let bound = json!({"roles": ["write", "admin"], "agent_id": "a1"});
    let bound = client(&with(bound));
    // A change of keys names the token's bearer as its author.
    let admin = with(json!({"roles": "admin"}));
    let json = [("content-type", "application/json")];
    let body = br#"{"roles":["read"]}"#.to_vec();
    let issued = client(&admin)
        .send(reqwest::Method::POST, "/v1/keys", &json, body)
        .await;
    assert_eq!(issued.json()["issued_by"], format!("{ISSUER}|ci"));
    bound.emit(&event).await.problem(403, "agent_bound");
    let body = br#"{"roles":["write"]}"#.to_vec();
    let issued = bound
        .send(reqwest::Method::POST, "/v1/keys", &json, body)
        .await;
    issued.problem(403, "agent_bound");
    ledger.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_work_beside_tokens_and_are_never_mistaken_for_them() {
    let ledger = Issued::start(config(None)).await;
    let read = [session_ledger::auth::Role::Read].into_iter().collect();
    let key = ledger.app.key(grant("acme", read)).await;
    ledger.list(&key).await.ok();
    let token = Signer::hs256(SECRET).token(&claims(&json!({})));
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("x-api-key", token.parse().unwrap());
    let client = ledger.app.client("acme");
    let answer = client.send_bare(reqwest::Method::GET, LIST, headers, Vec::new());
    Issued::is_refused(&answer.await);
    ledger.stop().await;
}

/// Repeats a request until its answer has this status. Another task follows the keys.
async fn until(status: u16, ask: impl AsyncFn() -> Answer) -> Answer {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let answer = ask().await;
            if answer.status == status {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap()
}

/// Reloads all the time, and whenever a token names an unknown key.
const QUICK: Pace = Pace {
    every: Duration::from_millis(10),
    at_most_every: Duration::ZERO,
    wait: WAIT,
};

/// Longer than any successful fetch takes.
const WAIT: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_set_in_a_file_is_read_again_when_it_changes() {
    let (old, new) = (Signer::eddsa("old"), Signer::eddsa("new"));
    let file = file_of(&[&old]);
    let config = TokenConfig {
        pace: Some(QUICK),
        ..config(Some(source(&file)))
    };
    let ledger = Issued::start(config).await;
    let (with_old, with_new) = (
        old.token(&claims(&json!({}))),
        new.token(&claims(&json!({}))),
    );
    ledger.list(&with_old).await.ok();
    Issued::is_refused(&ledger.list(&with_new).await);

    std::fs::write(file.path(), key_set(&[&old, &new])).unwrap();
    until(200, async || ledger.list(&with_new).await).await;
    ledger.list(&with_old).await.ok();

    // A half-written file removes no key.
    std::fs::write(file.path(), "{\"keys\":").unwrap();
    // A token with an unknown key makes the server read the file at once.
    let unknown = Signer::eddsa("unknown").token(&claims(&json!({})));
    Issued::is_refused(&ledger.list(&unknown).await);
    ledger.list(&with_new).await.ok();
    std::fs::write(file.path(), key_set(&[&new])).unwrap();
    until(401, async || ledger.list(&with_old).await).await;
    ledger.list(&with_new).await.ok();
    ledger.stop().await;
}

/// An issuer's server: it publishes a key set, and counts the requests for it.
struct Issuer {
    url: String,
    answer: Arc<Mutex<(StatusCode, String)>>,
    asked: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl Issuer {
    async fn start(signers: &[&Signer]) -> Self {
        let answer = Arc::new(Mutex::new((StatusCode::OK, key_set(signers))));
        let asked = Arc::new(AtomicUsize::new(0));
        let (answers, counted) = (Arc::clone(&answer), Arc::clone(&asked));
        let route = get(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            std::future::ready(answers.lock().unwrap().clone())
        });
        let moved = get(|| async { axum::response::Redirect::temporary("/keys") });
        let router = axum::Router::new()
            .route("/keys", route)
            .route("/moved", moved);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            answer,
            asked,
            _server: server,
        }
    }

    fn publish(&self, status: StatusCode, text: String) {
        *self.answer.lock().unwrap() = (status, text);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn source(&self, path: &str) -> KeySetSource {
        // reqwest needs a TLS provider even for plain HTTP. Installing a second one has no effect.
        drop(rustls::crypto::ring::default_provider().install_default());
        KeySetSource::parse(&format!("{}{path}", self.url)).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_set_behind_a_url_is_fetched_again_for_an_unknown_key() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let issuer = Issuer::start(&[&old]).await;
    let pace = Some(Pace {
        every: Duration::from_hours(1),
        at_most_every: Duration::ZERO,
        wait: WAIT,
    });
    let config = TokenConfig {
        pace,
        ..config(Some(issuer.source("/keys")))
    };
    let ledger = Issued::start(config).await;
    let (with_old, with_new) = (
        old.token(&claims(&json!({}))),
        new.token(&claims(&json!({}))),
    );
    ledger.list(&with_old).await.ok();
    assert_eq!(issuer.asked(), 1, "a known key is not fetched again");

    // While the issuer fails, known keys stay valid.
    issuer.publish(StatusCode::INTERNAL_SERVER_ERROR, key_set(&[&new]));
    Issued::is_refused(&ledger.list(&with_new).await);
    ledger.list(&with_old).await.ok();
    issuer.publish(StatusCode::OK, "<html>".to_owned());
    Issued::is_refused(&ledger.list(&with_new).await);
    ledger.list(&with_old).await.ok();
    issuer.publish(StatusCode::OK, " ".repeat(300 * 1024) + &key_set(&[&new]));
    Issued::is_refused(&ledger.list(&with_new).await);

    issuer.publish(StatusCode::OK, key_set(&[&new]));
    ledger.list(&with_new).await.ok();
    Issued::is_refused(&ledger.list(&with_old).await);
    ledger.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_keys_do_not_make_the_server_exceed_its_fetch_rate() {
    let issuer = Issuer::start(&[&Signer::es256("known")]).await;
    let pace = Some(Pace {
        every: Duration::from_hours(1),
        at_most_every: Duration::from_hours(1),
        wait: WAIT,
    });
    let config = TokenConfig {
        pace,
        ..config(Some(issuer.source("/keys")))
    };
    let ledger = Issued::start(config).await;
    for kid in 0..20 {
        let token = Signer::es256(&kid.to_string()).token(&claims(&json!({})));
        Issued::is_refused(&ledger.list(&token).await);
    }
    assert_eq!(issuer.asked(), 1);
    ledger.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_is_down_at_start_is_asked_again() {
    let signer = Signer::es256("k");
    let issuer = Issuer::start(&[&signer]).await;
    issuer.publish(StatusCode::SERVICE_UNAVAILABLE, String::new());
    let config = TokenConfig {
        pace: Some(QUICK),
        ..config(Some(issuer.source("/keys")))
    };
    let ledger = Issued::start(config).await;
    let token = signer.token(&claims(&json!({})));
    Issued::is_refused(&ledger.list(&token).await);
    issuer.publish(StatusCode::OK, key_set(&[&signer]));
    until(200, async || ledger.list(&token).await).await;
    ledger.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_never_answers_delays_no_request_for_long() {
    const TOKENS: usize = 10;
    let wait = Duration::from_secs(1);
    let pace = Pace {
        every: Duration::from_hours(1),
        at_most_every: Duration::from_millis(50),
        wait,
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    drop(rustls::crypto::ring::default_provider().install_default());
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let (mut silent, counted) = (JoinSet::new(), Arc::clone(&asked));
    silent.spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            held.push(connection);
        }
    });
    let config = TokenConfig {
        pace: Some(pace),
        ..config(Some(KeySetSource::parse(&url).unwrap()))
    };
    let ledger = Arc::new(Issued::start(config).await);
    tokio::time::sleep(pace.at_most_every).await;

    let started = std::time::Instant::now();
    let mut requests = JoinSet::new();
    for kid in 0..TOKENS {
        let token = Signer::es256(&kid.to_string()).token(&claims(&json!({})));
        let ledger = Arc::clone(&ledger);
        requests.spawn(async move { ledger.list(&token).await });
    }
    while let Some(answer) = requests.join_next().await {
        Issued::is_refused(&answer.unwrap());
    }
    let took = started.elapsed();
    // One after another, the requests would take ten times as long.
    assert!(took < 4 * wait, "{took:?}");
    let asked = asked.load(Ordering::SeqCst);
    assert!((2..=3).contains(&asked), "{asked} fetches");
    Arc::into_inner(ledger).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_of_the_key_set_is_not_followed() {
    let signer = Signer::es256("k");
    let issuer = Issuer::start(&[&signer]).await;
    let ledger = Issued::start(config(Some(issuer.source("/moved")))).await;
    Issued::is_refused(&ledger.list(&signer.token(&claims(&json!({})))).await);
    assert_eq!(issuer.asked(), 0);
    ledger.stop().await;
}

#[tokio::test]
async fn a_file_that_is_not_a_key_set_is_rejected_at_start() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "-----BEGIN PUBLIC KEY-----").unwrap();
    let error = Tokens::open(config(Some(source(&file))))
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("not a key set"), "{error}");
    let missing = KeySetSource::File("/nowhere/keys.json".into());
    assert!(Tokens::open(config(Some(missing))).await.is_err());
}
