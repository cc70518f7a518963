//! No secret is taken as an argument, and secrets come from files and variables.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::certs::{put, text};
use crate::support::cli::{Server, fails, ok, run, stdout};
use crate::support::nats::NatsServer;

#[test]
fn a_secret_among_the_arguments_is_refused_and_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data_dir = text(&data);
    let nats = ["--nats-url", "nats://127.0.0.1:1"];
    let serve = ["serve", "--data-dir", &data_dir];
    let of_serve = |more: &[&'static str]| [&serve[..], &nats, more].concat();
    for (args, instead) in [
        (vec!["list", "--key", "s3cret"], "--key-file"),
        (vec!["keys", "list", "--key=s3cret"], "SESSION_LEDGER_KEY"),
        (vec!["agents", "list", "--key", "s3cret"], "--key-file"),
        (
            of_serve(&["--nats-user", "u", "--nats-password", "s3cret"]),
            "--nats-password-file",
        ),
        (of_serve(&["--nats-token", "s3cret"]), "--nats-token-file"),
        (
            vec!["doctor", "--nats-url", "nats://u:s3cret@127.0.0.1:1"],
            "SESSION_LEDGER_NATS_URL",
        ),
        (
            vec![
                "streams",
                "create",
                "--nats-url",
                "127.0.0.1:1,s3cret@127.0.0.1:2",
            ],
            "--nats-user",
        ),
        (
            vec!["doctor", "--nats-url", "nats://u:s3cret/more@127.0.0.1:1"],
            "SESSION_LEDGER_NATS_URL",
        ),
        (
            vec!["list", "--url", "https://u:s3cret@127.0.0.1:1"],
            "SESSION_LEDGER_KEY",
        ),
        (
            vec!["list", "--url", "u:s3cret/more@127.0.0.1:1"],
            "--key-file",
        ),
        (
            vec!["restore", "b", "--replica", "http://s3cret@127.0.0.1:1"],
            "SESSION_LEDGER_KEY",
        ),
        (
            of_serve(&["--jwt-jwks", "https://u:s3cret@127.0.0.1:1/keys"]),
            "SESSION_LEDGER_JWT_JWKS",
        ),
        (
            vec!["sessions", "refresh", "s-1", "--refresh-token", "s3cret"],
            "SESSION_LEDGER_REFRESH_TOKEN",
        ),
        (
            vec!["sessions", "introspect", "s3cret"],
            "SESSION_LEDGER_TOKEN",
        ),
    ] {
        let error = fails(&args, 2);
        assert!(
            error.contains("other users of this machine"),
            "{args:?}: {error}"
        );
        assert!(error.contains(instead), "{args:?}: {error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    assert!(!data.exists(), "a refused command creates nothing");
}

#[test]
fn a_key_comes_from_a_file_and_the_file_goes_before_the_variable() {
    let dir = tempfile::tempdir().unwrap();
    let data = text(&dir.path().join("data"));
    let issue = [
        "keys", "issue", "--tenant", "acme", "--role", "read", "--json",
    ];
    let issued = ok(&[&issue[..], &["--data-dir", &data]].concat());
    let issued: serde_json::Value = serde_json::from_str(&issued).unwrap();
    let file = dir.path().join("key");
    put(&file, &format!("{}\n", issued["key"].as_str().unwrap()));
    let server = Server::start_guarded(data.as_ref(), &[]);
    let list = ["list", "--url", server.url(), "--key-file", &text(&file)];
    ok(&list);
    let mut with_variable = crate::support::cli::command(&list);
    let listed = with_variable
        .env("SESSION_LEDGER_KEY", "slk_wrong")
        .output();
    assert!(listed.unwrap().status.success());
    put(&file, "");
    let error = fails(&list, 1);
    assert!(
        error.contains("--key-file") && error.contains("is empty"),
        "{error}"
    );
}

/// One rule holds for all files with secrets.
#[tokio::test]
async fn doctor_names_files_with_secrets_that_every_user_can_read() {
    let nats = NatsServer::start_with("authorization { user: u, password: \"right\" }").await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    put(&file, "right");
    let path = text(&file);
    let doctor = [
        "doctor",
        "--json",
        "--nats-url",
        nats.url(),
        "--nats-user",
        "u",
        "--nats-password-file",
        &path,
    ];
    for (mode, is_exposed) in [(0o640, false), (0o644, true)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let said = stdout(&run(&doctor));
        assert_eq!(said.contains("\"secret file\""), is_exposed, "{said}");
    }
}
