//! The connections to NATS: TLS in both directions, and logins by key pair and by signed credentials.
//! Every command that connects to NATS is tried with each of them.

use std::path::Path;

use nkeys::KeyPair;

use crate::support::certs::{Ca, PairFiles, put, text};
use crate::support::cli::{Server, ok, run, stderr, stdout};
use crate::support::nats::NatsServer;
use crate::support::nats_jwt::Operator;

/// Runs every command that connects to NATS with these arguments. All must succeed.
fn every_command(dir: &Path, nats: &[&str]) {
    let data = text(&dir.join("data"));
    let run = |command: &[&str]| ok(&[command, nats].concat());
    let made = run(&["streams", "create"]);
    assert!(made.contains("LEDGER: created"), "{made}");
    let checked = run(&["doctor"]);
    assert!(checked.contains("nats stream       ok"), "{checked}");
    run(&["keys", "issue", "--tenant", "acme", "--role", "admin"]);
    let server = Server::start_with(Path::new(&data), nats);
    server.ok(&["emit", "session.created", "s-1", "--agent", "a-1"]);
    assert!(server.ok(&["list"]).contains("s-1"));
    let (code, logged) = server.terminate();
    assert_eq!(code, Some(0), "{logged}");
    assert!(run(&["verify", "--data-dir", &data]).contains("ok:"));
    assert!(run(&["rebuild", "--data-dir", &data]).contains("equal"));
    let copy = text(&dir.join("copy"));
    run(&["backup", "--to", &copy]);
    assert!(run(&["rules", "adopt"]).contains("rules version"));
}

/// Runs `doctor`, which must fail. Returns what it says.
#[track_caller]
fn refused(url: &str, args: &[&str]) -> String {
    let output = run(&[&["doctor", "--nats-url", url], args].concat());
    assert!(!output.status.success(), "{args:?}: {output:?}");
    let said = stdout(&output) + &stderr(&output);
    // The table wraps long lines.
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check(url: &str, args: &[&str], says: &str) {
    let said = refused(url, args);
    assert!(said.contains(says), "{args:?}: {says}: {said}");
}

/// The configuration of a server with a certificate.
fn tls(own: &PairFiles, more: &str) -> String {
    let (cert, key) = (text(&own.cert), text(&own.key));
    format!("tls {{\n cert_file: \"{cert}\"\n key_file: \"{key}\"\n timeout: 5\n {more}\n}}")
}

#[tokio::test]
async fn certificates_are_checked_in_both_directions() {
    let (ca, of_clients, dir) = (Ca::new(), Ca::new(), tempfile::tempdir().unwrap());
    let own = ca.pair().write(dir.path(), "server");
    let client_ca = text(&of_clients.write(dir.path(), "clients"));
    let demands = tls(&own, &format!("ca_file: \"{client_ca}\"\n verify: true"));
    let nats = NatsServer::start_with(&demands).await;
    let url = nats.url().replace("tls://", "nats://");
    let ca_file = text(&ca.write(dir.path(), "own"));
    let known = of_clients
        .pair_for(&["ledger.example"])
        .write(dir.path(), "known");
    let known = known.args("nats-client");
    let [known_cert, known_cert_file, known_key, known_key_file] = &known;
    let own = [
        known_cert.as_str(),
        known_cert_file,
        known_key,
        known_key_file,
    ];
    let trust = ["--nats-ca", &ca_file];

    check(&url, &own, "name the file of its CA with --nats-ca");
    let wrong = format!("not from a CA in --nats-ca {client_ca}");
    check(
        &url,
        &[&["--nats-ca", &client_ca], &own[..]].concat(),
        &wrong,
    );
    let missing = "it requires a certificate; give one with --nats-client-cert";
    check(&url, &trust, missing);
    let unknown = ca.pair().write(dir.path(), "unknown");
    let rejected = format!(
        "rejects the certificate in --nats-client-cert {}",
        text(&unknown.cert)
    );
    let unknown = unknown.args("nats-client");
    let unknown: Vec<&str> = unknown.iter().map(String::as_str).collect();
    check(&url, &[&trust, &unknown[..]].concat(), &rejected);
    check(&url, &["--nats-ca", known_key_file], "--nats-ca");
    let mixed = [own[0], own[1], own[2], unknown[3]];
    check(
        &url,
        &[&trust, &mixed[..]].concat(),
        "not the key of the first certificate",
    );

    for url in [&url, &url.replace("nats://", "tls://")] {
        let (dir, nats) = (tempfile::tempdir().unwrap(), ["--nats-url", url]);
        if url.starts_with("tls") {
            ok(&[&["doctor", "--stream", "LEDGER"], &nats[..], &trust, &own].concat());
        } else {
            every_command(dir.path(), &[&nats[..], &trust, &own].concat());
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused_if_there_is_a_ca() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let nats = NatsServer::start().await;
    let ca_file = text(&ca.write(dir.path(), "own"));
    check(
        nats.url(),
        &["--nats-ca", &ca_file],
        "it does not speak TLS",
    );
}

#[tokio::test]
async fn tls_can_be_the_first_thing_on_a_connection() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let own = ca.pair().write(dir.path(), "server");
    let ca_file = text(&ca.write(dir.path(), "own"));
    let token = dir.path().join("token");
    put(&token, "s3cret\n");
    let token = text(&token);
    let first = tls(&own, "handshake_first: true") + "\nauthorization { token: s3cret }";
    let nats = NatsServer::start_with(&first).await;
    let args = [
        "--nats-url",
        nats.url(),
        "--nats-token-file",
        &token,
        "--nats-ca",
        &ca_file,
        "--nats-tls-first",
    ];
    every_command(&dir.path().join("first"), &args);
    let nats = NatsServer::start_with(&tls(&own, "")).await;
    let trust = ["--nats-ca", &ca_file, "--nats-tls-first"];
    check(nats.url(), &trust, "leave out --nats-tls-first");
}

#[tokio::test]
async fn a_key_pair_logs_in() {
    let dir = tempfile::tempdir().unwrap();
    let user = KeyPair::new_user();
    let users = format!(
        "authorization {{ users: [ {{ nkey: {} }} ] }}",
        user.public_key()
    );
    let nats = NatsServer::start_with(&users).await;
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        put(&path, content);
        text(&path)
    };
    let seed = file("seed", &(user.seed().unwrap() + "\n"));
    let other = KeyPair::new_user();
    let wrong = file("wrong", &other.seed().unwrap());
    let says = format!(
        "rejects the nkey in --nats-nkey-file; its configuration must have a user with \
                        the nkey {}",
        other.public_key()
    );
    check(nats.url(), &["--nats-nkey-file", &wrong], &says);
    check(nats.url(), &[], "it requires a login");
    let account = file("account", &KeyPair::new_account().seed().unwrap());
    for (path, says) in [
        (&account, "the seed of a NATS user"),
        (&file("text", "hunter2"), "the seed of a NATS user"),
        (&file("empty", ""), "the first line of the file is empty"),
        (&text(&dir.path().join("none")), "cannot be read"),
    ] {
        let said = refused(nats.url(), &["--nats-nkey-file", path]);
        assert!(
            said.contains(says) && said.contains("--nats-nkey-file"),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
    every_command(
        dir.path(),
        &["--nats-url", nats.url(), "--nats-nkey-file", &seed],
    );
}

#[tokio::test]
async fn a_credentials_file_of_an_operator_logs_in() {
    let (operator, dir) = (Operator::new(), tempfile::tempdir().unwrap());
    let nats = NatsServer::start_with(operator.config()).await;
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        put(&path, content);
        text(&path)
    };
    let creds = file("creds", &operator.creds());
    let other = file("other", &Operator::new().creds());
    check(
        nats.url(),
        &["--nats-creds", &other],
        &format!("rejects the credentials in --nats-creds {other}"),
    );
    let broken = file("broken", "nothing");
    check(
        nats.url(),
        &["--nats-creds", &broken],
        "must have a JWT and the seed",
    );
    check(nats.url(), &[], "it requires a login");
    every_command(
        dir.path(),
        &["--nats-url", nats.url(), "--nats-creds", &creds],
    );
}
