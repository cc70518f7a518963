//! How the command line logs in to NATS, and that it shows the credentials nowhere.

use std::process::Output;

use crate::support::cli::{command, stderr, stdout};
use crate::support::nats::NatsServer;

const VARIABLE: &str = "SESSION_LEDGER_NATS_URL";

/// Starts a server that requires a login. Returns it and its address with the login in it.
async fn server(authorization: &str, login: &str) -> (NatsServer, String) {
    let nats = NatsServer::start_with(&format!("authorization {{ {authorization} }}")).await;
    let url = nats.url().replace("nats://", &format!("nats://{login}@"));
    (nats, url)
}

/// Runs `doctor` with these variables.
fn doctor(variables: &[(&str, &str)]) -> Output {
    let mut doctor = command(&["doctor"]);
    doctor.envs(variables.iter().copied()).output().unwrap()
}

#[track_caller]
fn gets_in(output: &Output) {
    let said = stdout(output);
    assert!(
        said.contains("nats server       ok"),
        "{said}{}",
        stderr(output)
    );
    assert!(said.contains("nats credentials  ok"), "{said}");
}

#[tokio::test]
async fn a_user_and_password_in_the_address_log_in() {
    let authorization = r#"user: "a@b", password: "p:%,1""#;
    let (nats, url) = server(authorization, "a%40b:p%3A%25%2C1").await;
    gets_in(&doctor(&[(VARIABLE, &url)]));
    let bare = nats.url();
    let name = ("SESSION_LEDGER_NATS_USER", "a@b");
    let password = ("SESSION_LEDGER_NATS_PASSWORD", "p:%,1");
    gets_in(&doctor(&[(VARIABLE, bare), name, password]));
    assert_eq!(doctor(&[(VARIABLE, bare)]).status.code(), Some(1));
    let twice = doctor(&[(VARIABLE, &url), name, password]);
    assert_eq!(twice.status.code(), Some(2));
    assert!(stderr(&twice).contains("remove one of them"), "{twice:?}");
}

#[tokio::test]
async fn a_token_from_the_address_a_variable_or_a_file_logs_in() {
    let (nats, url) = server(r#"token: "s3cr/t""#, "s3cr%2Ft").await;
    gets_in(&doctor(&[(VARIABLE, &url)]));
    let bare = (VARIABLE, nats.url());
    gets_in(&doctor(&[bare, ("SESSION_LEDGER_NATS_TOKEN", "s3cr/t")]));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s3cr/t\n").unwrap();
    let path = file.path().to_str().unwrap();
    gets_in(&doctor(&[bare, ("SESSION_LEDGER_NATS_TOKEN_FILE", path)]));
}

#[tokio::test]
async fn the_credentials_in_the_address_are_shown_nowhere() {
    let (nats, _url) = server(r#"user: "u", password: "right""#, "").await;
    let wrong = nats.url().replace("nats://", "nats://u:s3cret@");
    let refused = doctor(&[(VARIABLE, &wrong)]);
    assert_eq!(refused.status.code(), Some(1));
    let malformed = doctor(&[(VARIABLE, "nats://u:s3cret@h:port")]);
    assert_eq!(malformed.status.code(), Some(2));
    let dir = tempfile::tempdir().unwrap();
    let serve = |more: &[&str]| {
        let mut serve = command(&["serve", "--log-level", "trace"]);
        serve
            .args(["--listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir.path());
        serve.args(more).env(VARIABLE, &wrong).output().unwrap()
    };
    let (tried, help) = (serve(&[]), serve(&["--help"]));
    assert_eq!(tried.status.code(), Some(1));
    for output in [refused, malformed, tried, help] {
        let said = stdout(&output) + &stderr(&output);
        assert!(!said.contains("s3cret"), "{said}");
        assert!(!said.is_empty());
    }
}
