//! The commands that call a server with TLS, and servers that ask for certificates of clients.

use std::path::Path;
use std::time::Duration;

use session_ledger::app::tls::TlsFiles;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::server::{status, until_failed};
use crate::support::app::{App, Serving};
use crate::support::certs::{Ca, connect, text};
use crate::support::cli::{Server, command, run, stderr, stdout};
use crate::support::connection::ENDLESS;

/// Starts a server with these files, and more arguments.
fn serve(dir: &Path, tls: &[String], more: &[&str]) -> Server {
    let mut args: Vec<&str> = tls.iter().map(String::as_str).collect();
    args.extend(more);
    Server::start_with(&dir.join("data"), &args)
}

/// Lists sessions with these arguments. Returns the error, or nothing if the command succeeds.
fn list(url: &str, args: &[&str]) -> String {
    let list = ["list", "--tenant", "acme", "--url", url];
    let output = run(&[&list[..], args].concat());
    if output.status.success() {
        return String::new();
    }
    let error = stderr(&output);
    assert_ne!(error, "", "{output:?}");
    error
}

#[test]
fn commands_check_the_certificate_of_a_server() {
    let (ca, other, dir) = (Ca::new(), Ca::new(), tempfile::tempdir().unwrap());
    let own = ca.pair().write(dir.path(), "server");
    let server = serve(dir.path(), &own.args("tls"), &[]);
    let (url, ca_file) = (server.url(), text(&ca.write(dir.path(), "own")));
    let trusting = ["--ca-cert", &ca_file];
    assert_eq!(list(url, &trusting), "");
    let bare = url.strip_prefix("https://").unwrap();
    assert_eq!(list(bare, &trusting), "");
    let by_name = url.replace("127.0.0.1", "localhost");
    assert_eq!(list(&by_name, &trusting), "");

    let error = list(url, &[]);
    assert!(
        error.contains("name the file of its CA with --ca-cert"),
        "{error}"
    );
    let other = text(&other.write(dir.path(), "other"));
    let error = list(url, &["--ca-cert", &other]);
    assert!(error.contains(&format!("--ca-cert {other}")), "{error}");
    let error = list(&url.replace("https", "http"), &[]);
    assert!(error.contains("use https:// in the URL"), "{error}");
    let error = list(url, &["--ca-cert", &text(&own.key)]);
    assert!(
        error.contains("--ca-cert") && error.contains("no certificate"),
        "{error}"
    );

    let mut listed = command(&["list", "--tenant", "acme", "--url", url]);
    let listed = listed.env("SESSION_LEDGER_CA_CERT", &ca_file).output();
    assert!(listed.unwrap().status.success());
    let doctor = run(&["doctor", "--url", url, "--ca-cert", &ca_file]);
    let said = stdout(&doctor);
    assert!(doctor.status.success(), "{said}");
    assert!(said.contains("server certificate  ok"), "{said}");
    let keys = ["keys", "list", "--tenant", "acme", "--url", url];
    let keys = run(&[&keys[..], &trusting].concat());
    assert!(keys.status.success(), "{}", stderr(&keys));
    drop(server);

    let plain = Server::start(&dir.path().join("plain"));
    let error = list(&plain.url().replace("http", "https"), &trusting);
    assert!(error.contains("write http:// in --url"), "{error}");
}

#[test]
fn commands_explain_a_wrong_name_and_a_wrong_time() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let ca_file = text(&ca.write(dir.path(), "own"));
    let trusting = ["--ca-cert", &ca_file];
    let elsewhere = ca
        .pair_for(&["ledger.example"])
        .write(dir.path(), "elsewhere");
    let server = serve(dir.path(), &elsewhere.args("tls"), &[]);
    let error = list(server.url(), &trusting);
    assert!(error.contains("for other host names"), "{error}");
    drop(server);
    let soon = ca
        .pair_until(Duration::from_hours(24))
        .write(dir.path(), "soon");
    let server = serve(dir.path(), &soon.args("tls"), &[]);
    let doctor = stdout(&run(&[
        "doctor",
        "--url",
        server.url(),
        "--ca-cert",
        &ca_file,
    ]));
    assert!(doctor.contains("server certificate  warn"), "{doctor}");
    drop(server);
    let old = ca.expired_pair().write(dir.path(), "old");
    let server = serve(dir.path(), &old.args("tls"), &[]);
    let error = list(server.url(), &trusting);
    assert!(error.contains("has expired"), "{error}");
    server.until_logged("must be renewed: it expired");
}

#[test]
fn commands_show_a_certificate_to_a_server_that_requires_one() {
    let (ca, of_clients, dir) = (Ca::new(), Ca::new(), tempfile::tempdir().unwrap());
    let own = ca.pair().write(dir.path(), "server");
    let client_ca = text(&of_clients.write(dir.path(), "clients"));
    let server = serve(
        dir.path(),
        &own.args("tls"),
        &["--tls-client-ca", &client_ca],
    );
    let (url, ca_file) = (server.url(), text(&ca.write(dir.path(), "own")));
    let known = of_clients
        .pair_for(&["client.example"])
        .write(dir.path(), "known");
    let known = known.args("client");
    let with = |pair: &[String; 4]| {
        let args = [&["--ca-cert".to_owned(), ca_file.clone()][..], pair].concat();
        list(url, &args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert_eq!(with(&known), "");
    let error = list(url, &["--ca-cert", &ca_file]);
    assert!(
        error.contains("give one with --client-cert and --client-key"),
        "{error}"
    );
    let unknown = ca.pair().write(dir.path(), "unknown");
    let error = with(&unknown.args("client"));
    assert!(
        error.contains(&format!("--client-cert {}", text(&unknown.cert))),
        "{error}"
    );
    let [cert, cert_file, key, _] = known.clone();
    let error = with(&[cert, cert_file, key, text(&unknown.key)]);
    assert!(
        error.contains("--client-key") && error.contains("not the key"),
        "{error}"
    );

    let mut doctor = command(&["doctor", "--url", url]);
    doctor.env("SESSION_LEDGER_CA_CERT", &ca_file);
    doctor.env("SESSION_LEDGER_CLIENT_CERT", &known[1]);
    doctor.env("SESSION_LEDGER_CLIENT_KEY", &known[3]);
    assert!(doctor.output().unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_without_a_certificate_of_the_ca_get_no_answer() {
    let (ca, of_clients, dir) = (Ca::new(), Ca::new(), tempfile::tempdir().unwrap());
    let own = ca.pair().write(dir.path(), "server");
    let client_ca = of_clients.write(dir.path(), "clients");
    let app = App::start_serving(Serving {
        patience: ENDLESS,
        tls: Some(TlsFiles::new(own.cert, own.key, Some(client_ca))),
        ..Serving::default()
    })
    .await;
    let known = of_clients.pair_for(&["client.example"]);
    let mut stream = connect(app.host(), &ca, Some(&known), &[]).await.unwrap();
    assert_eq!(status(&mut stream).await, "HTTP/1.1 200 OK");
    let expired = of_clients.expired_pair();
    for (own, count) in [None, Some(&ca.pair()), Some(&expired)]
        .into_iter()
        .zip(1..)
    {
        // TLS 1.3 tells a client that it was rejected only after the client's handshake.
        let mut answer = Vec::new();
        if let Ok(mut stream) = connect(app.host(), &ca, own, &[]).await {
            let get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
            drop(stream.write_all(get).await);
            drop(stream.read_to_end(&mut answer).await);
        }
        assert_eq!(answer, b"", "{count}");
        until_failed(&app, "client_certificate", count).await;
    }
    app.stop().await;
}
