//! API keys on the command line, and servers that require them.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use session_ledger::app::clock::SystemClock;
use session_ledger::domain::Clock as _;

use crate::support::cli::{Server, command, fails, ok, run, stderr, stdout, with_key};
use crate::support::client::Client;
use crate::support::nats::NatsServer;
use crate::support::tokens::Signer;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Issues a key in the ledger that `place` names. Returns its id and the key.
fn issue(place: &[&str], roles: &[&str]) -> (String, String) {
    let roles = roles.iter().flat_map(|role| ["--role", *role]);
    let args: Vec<&str> = ["keys", "issue", "--json"]
        .into_iter()
        .chain(roles)
        .collect();
    let issued = json(&ok(&[&args, place].concat()));
    let text = |name: &str| issued[name].as_str().unwrap().to_owned();
    (text("key_id"), text("key"))
}

fn in_directory(dir: &Path) -> Vec<&str> {
    vec!["--data-dir", dir.to_str().unwrap(), "--tenant", "acme"]
}

#[test]
fn the_first_key_can_be_issued_before_the_server_first_starts() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("ledger");
    let (_, key) = issue(&in_directory(&data), &["read", "write"]);
    let server = Server::start_guarded(&data, &[]);
    assert!(!server.started().contains("no key"), "{}", server.started());
    let emit = [
        "emit",
        "session.created",
        "s-1",
        "--agent",
        "a-1",
        "--url",
        server.url(),
    ];
    let emitted = with_key(&key, &emit);
    assert!(stdout(&emitted).contains("applied"), "{}", stderr(&emitted));
    let listed = with_key(&key, &["list", "--json", "--url", server.url()]);
    assert_eq!(json(&stdout(&listed))["total"], 1);

    let nobody = fails(&["list", "--url", server.url(), "--tenant", "acme"], 1);
    assert!(nobody.contains("credential_required"), "{nobody}");
    let foreign = with_key(&key, &["list", "--url", server.url(), "--tenant", "globex"]);
    assert!(stderr(&foreign).contains("tenant_forbidden"), "{foreign:?}");
    let wrong = with_key("slk_wrong", &["list", "--url", server.url()]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(stderr(&wrong).contains("invalid_credential"), "{wrong:?}");
    assert!(!stderr(&wrong).contains("slk_wrong"), "{wrong:?}");
    let (_, logged) = server.terminate();
    assert!(!logged.contains(&key), "{logged}");
}

#[test]
fn keys_and_their_revocations_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (kept_id, kept) = issue(&in_directory(dir.path()), &["read", "admin"]);
    let (gone_id, gone) = issue(&in_directory(dir.path()), &["read"]);
    let server = Server::start_guarded(dir.path(), &[]);
    let of_server = |args: &[&str]| {
        let output = with_key(&kept, &[args, &["--url", server.url()]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let revoked = of_server(&["keys", "revoke", &gone_id]);
    assert!(
        revoked.starts_with(&format!("revoked  {gone_id}  20")),
        "{revoked}"
    );
    of_server(&[
        "keys",
        "issue",
        "--role",
        "write",
        "--name",
        "ci",
        "--expires",
        "30d",
    ]);
    let listed = json(&of_server(&["keys", "list", "--json"]));
    assert_eq!(listed.as_array().unwrap().len(), 3);
    let by = |key: usize, what: &str| listed[key][what].as_str();
    assert_eq!(by(0, "issued_by"), Some(&*kept_id));
    assert_eq!(by(1, "issued_by"), Some("operator"));
    assert_eq!(by(1, "revoked_by"), Some(&*kept_id));
    assert_eq!(by(2, "revoked_by"), None);
    server.terminate();

    let again = json(&ok(&[
        &["keys", "list", "--json"],
        &in_directory(dir.path())[..],
    ]
    .concat()));
    assert_eq!(again, listed);
    let table = ok(&[&["keys", "list"], &in_directory(dir.path())[..]].concat());
    let rows: Vec<&str> = table.lines().collect();
    assert!(
        rows[0].starts_with("KEY") && rows[1].contains("ci"),
        "{table}"
    );
    assert!(rows[3].starts_with(&kept_id), "{table}");
    assert!(
        rows[1].contains(&kept_id) && rows[3].contains("operator"),
        "{table}"
    );
    let server = Server::start_guarded(dir.path(), &[]);
    let list = ["list", "--url", server.url()];
    assert!(with_key(&kept, &list).status.success());
    assert!(stderr(&with_key(&gone, &list)).contains("invalid_credential"));
}

#[test]
fn a_server_without_keys_says_how_to_issue_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let server = Server::start_guarded(dir.path(), &[]);
    let expected =
        format!("session-ledger keys issue --data-dir {path} --tenant TENANT --role admin");
    assert!(server.started().contains(&expected), "{}", server.started());
    let held = [
        &["keys", "issue", "--role", "admin"],
        &in_directory(dir.path())[..],
    ]
    .concat();
    let told = fails(&held, 1);
    for part in [
        "a server holds the directory",
        "SESSION_LEDGER_KEY",
        "--url",
        "stop the server",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn listing_keys_does_not_create_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("none");
    let missing = fails(&[&["keys", "list"], &in_directory(&data)[..]].concat(), 1);
    assert!(missing.contains("there is no ledger in"), "{missing}");
    assert!(!data.exists());
    issue(&in_directory(&data), &["read"]);
    let unknown = [
        &["keys", "revoke", "0123456789abcdef"],
        &in_directory(&data)[..],
    ]
    .concat();
    assert!(fails(&unknown, 1).contains("there is no key 0123456789abcdef of acme"));
    let of_other = ["keys", "list", "--json", "--tenant", "globex", "--data-dir"];
    assert_eq!(
        ok(&[&of_other[..], &[data.to_str().unwrap()]].concat()),
        "[]\n"
    );
}

#[test]
fn wrong_usage_of_keys_fails_before_anything_is_created() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("ledger");
    let issue = |more: &[&str]| {
        let args = [&["keys", "issue"], &in_directory(&data)[..], more].concat();
        (run(&args).status.code(), stderr(&run(&args)))
    };
    for (more, said) in [
        (&[][..], "--role"),
        (&["--role", "god"], "audit"),
        (&["--role", "read", "--expires", "soon"], "30d"),
        (&["--role", "read", "--agent", "a/b"], "--agent"),
    ] {
        let (code, told) = issue(more);
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains(said), "{told}");
    }
    for more in [
        &["--role", "read", "--expires", "2020-01-01T00:00:00Z"][..],
        &["--role", "admin", "--agent", "a-1"],
        &["--role", "read", "--name", ""],
    ] {
        assert_eq!(issue(more).0, Some(1), "{more:?}");
    }
    let nobody = fails(&["keys", "list"], 2);
    assert!(
        nobody.contains("SESSION_LEDGER_KEY") && nobody.contains("--data-dir"),
        "{nobody}"
    );
    let whose = ["keys", "list", "--data-dir", dir.path().to_str().unwrap()];
    assert!(fails(&whose, 2).contains("--tenant is required"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_enable_tokens_and_rate_limits() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("ledger");
    let secret = dir.path().join("secret");
    let serve = |more: &[&str]| {
        let args = ["serve", "--data-dir", data.to_str().unwrap()];
        fails(&[&args, more].concat(), 2)
    };
    let secret_path = secret.to_str().unwrap();
    std::fs::write(&secret, "short\n").unwrap();
    let with_secret = ["--jwt-hs256-secret-file", secret_path];
    assert!(serve(&with_secret).contains("32 bytes or more"));
    assert!(serve(&["--jwt-jwks", "http://issuer.example/keys"]).contains("https"));
    assert!(serve(&["--jwt-issuer", "x"]).contains("--jwt-jwks"));
    assert!(serve(&["--rate-burst", "5"]).contains("--rate-limit"));
    assert!(serve(&["--rate-limit", "0"]).contains("--rate-limit"));
    assert!(!data.exists(), "a rejected start creates nothing");

    std::fs::write(&secret, "a secret of at least thirty-two bytes\n").unwrap();
    let (_, key) = issue(&in_directory(&data), &["read"]);
    let claims = ["--jwt-audience", "ledger", "--jwt-claim-tenant", "tenant"];
    let limit = ["--rate-limit", "1", "--rate-burst", "1"];
    let more = [&with_secret[..], &claims, &limit].concat();
    let server = Server::start_guarded(&data, &more);
    let list = ["list", "--url", server.url()];
    assert!(with_key(&key, &list).status.success());
    let claims = serde_json::json!({
        "sub": "ci", "aud": "ledger", "tenant": "acme", "roles": "read",
        "exp": SystemClock.now().micros() / 1_000_000 + 600,
    });
    let token = Signer::hs256(b"a secret of at least thirty-two bytes").token(&claims);
    let listed = with_key(&token, &list);
    assert!(listed.status.success(), "{}", stderr(&listed));
    // The limit refills by one request per second, so some of many requests exceed it.
    let mut limited = false;
    for _ in 0..100 {
        limited |= status(&server, &key).await == 429;
    }
    assert!(limited);
}

/// Returns the status that a server answers to a request with this key.
async fn status(server: &Server, key: &str) -> u16 {
    let client = Client::new(server.url(), "acme").with_key(key);
    client.get("/v1/agent-sessions").await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_and_its_revocation_reach_every_node_within_a_second() {
    let nats = NatsServer::start().await;
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let on_nats = ["--nats-url", nats.url()];
    let nodes = dirs
        .each_ref()
        .map(|dir| Server::start_guarded(dir.path(), &on_nats));
    assert!(
        nodes[0]
            .started()
            .contains("keys issue --tenant TENANT --role admin")
    );
    let place = [&on_nats[..], &["--tenant", "acme"]].concat();
    let (_, admin) = issue(&place, &["admin"]);
    // As in `serve`, `--data-dir` holds no log if the logs are on NATS.
    let dir = dirs[0].path().to_str().unwrap();
    let (id, key) = issue(&[&place[..], &["--data-dir", dir]].concat(), &["read"]);
    let within_a_second = async |node: &Server, expected: u16| {
        let started = Instant::now();
        while status(node, &key).await != expected {
            assert!(
                started.elapsed() < Duration::from_secs(1),
                "not {expected} in time"
            );
        }
        started.elapsed()
    };
    for node in &nodes {
        within_a_second(node, 200).await;
    }
    let client = Client::new(nodes[0].url(), "acme").with_key(&admin);
    let path = format!("/v1/keys/{id}");
    let revoked = client
        .send(reqwest::Method::DELETE, &path, &[], Vec::new())
        .await;
    assert!(revoked.ok()["revoked_at"].is_string());
    assert_eq!(
        status(&nodes[0], &key).await,
        401,
        "immediately on the node that revoked it"
    );
    let took = within_a_second(&nodes[1], 401).await;
    println!("the other node rejected it after {took:?}");
    let listed = ok(&[&["keys", "list", "--json"], &place[..]].concat());
    assert_eq!(json(&listed)[0]["revoked_at"], revoked.json()["revoked_at"]);

    // A node that starts later knows the revocation before it answers.
    let dir = tempfile::tempdir().unwrap();
    let late = Server::start_guarded(dir.path(), &on_nats);
    assert_eq!(status(&late, &key).await, 401);
    assert_eq!(
        status(&late, &admin).await,
        403,
        "it has only the role admin"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_follow_the_log_of_keys_is_not_ready() {
    let nats = NatsServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_guarded(dir.path(), &["--nats-url", nats.url()]);
    let (_, key) = issue(&["--nats-url", nats.url(), "--tenant", "acme"], &["read"]);
    let client = Client::new(server.url(), "acme").with_key(&key);
    while status(&server, &key).await != 200 {}
    client.get("/readyz").await.ok();
    // Deleting the stream revokes no key, but the node raises an alarm.
    let jetstream = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    jetstream.delete_stream("LEDGER_ADMIN").await.unwrap();
    let started = Instant::now();
    loop {
        let ready = client.get("/readyz").await;
        if ready.status == 503 {
            assert!(ready.text.contains("log of keys"), "{}", ready.text);
            break;
        }
        assert!(started.elapsed() < Duration::from_mins(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(status(&server, &key).await, 200, "known keys stay valid");
    server.until_logged("can no longer follow the log of keys");
}

#[test]
fn arguments_override_variables() {
    let dir = tempfile::tempdir().unwrap();
    let with = |variable: (&str, &str), more: &[&str]| {
        let args = [
            &["keys", "issue", "--role", "read", "--tenant", "acme"],
            more,
        ]
        .concat();
        command(&args).env(variable.0, variable.1).output().unwrap()
    };
    let data = dir.path().join("ledger");
    let data = ["--data-dir", data.to_str().unwrap()];
    // No server listens on port 1.
    let url = ("SESSION_LEDGER_URL", "http://127.0.0.1:1");
    let key = ("SESSION_LEDGER_KEY", "slk_of_a_server");
    let nats = ("SESSION_LEDGER_NATS_URL", "nats://127.0.0.1:1");
    for variable in [url, key] {
        let issued = with(variable, &data);
        assert!(issued.status.success(), "{}", stderr(&issued));
        // Neither address answers. The error shows which one was tried.
        let on_nats = with(variable, &["--nats-url", nats.1]);
        assert_eq!(on_nats.status.code(), Some(1));
        assert!(!stderr(&on_nats).contains("http"), "{}", stderr(&on_nats));
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), key.1).unwrap();
    for server in [
        ["--url", url.1],
        ["--key-file", file.path().to_str().unwrap()],
    ] {
        let asked = with(nats, &server);
        assert_eq!(asked.status.code(), Some(1));
        assert!(stderr(&asked).contains("no answer from http"), "{asked:?}");
        for log in [data, ["--nats-url", nats.1]] {
            let both = with(("SESSION_LEDGER_TENANT", "acme"), &[server, log].concat());
            assert_eq!(both.status.code(), Some(2), "{both:?}");
        }
    }
    let unclear = with(nats, &data);
    assert_eq!(unclear.status.code(), Some(2));
    assert!(stderr(&unclear).contains(nats.0), "{unclear:?}");
}

#[cfg(unix)]
#[test]
fn a_directory_that_the_ledger_creates_is_private_to_its_user() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (issued, served) = (dir.path().join("issued"), dir.path().join("served"));
    issue(&in_directory(&issued), &["read"]);
    Server::start_guarded(&served, &[]).terminate();
    assert_eq!((mode(&issued), mode(&served)), (0o700, 0o700));
    // The ledger does not change the permissions of a directory that it did not create.
    std::fs::set_permissions(&issued, std::fs::Permissions::from_mode(0o750)).unwrap();
    Server::start_guarded(&issued, &[]).terminate();
    assert_eq!(mode(&issued), 0o750);
}

#[test]
fn help_does_not_show_a_key_from_the_environment() {
    let help = command(&["list", "--help"])
        .env("SESSION_LEDGER_KEY", "slk_secret")
        .output()
        .unwrap();
    assert!(!stdout(&help).contains("slk_secret"));
    assert!(stdout(&help).contains("SESSION_LEDGER_KEY"));
}
