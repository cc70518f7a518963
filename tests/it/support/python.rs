//! Published Python clients, as their users run them: scripts in their own process.

use std::process::{Command, Output, Stdio};

#[expect(
    clippy::disallowed_methods,
    reason = "the Python to test with is not a setting of the ledger"
)]
fn python() -> String {
    std::env::var("SESSION_LEDGER_TEST_PYTHON").unwrap_or_else(|_| {
        panic!("SESSION_LEDGER_TEST_PYTHON must name a Python with the clients: run ./scripts/test")
    })
}

/// Runs a script, which must succeed. Returns its stdout.
pub(crate) async fn run(script: &'static str, args: &[&str]) -> String {
    // The script's errors are shown with the test's.
    let output = output(script, args, Stdio::inherit()).await;
    assert!(
        output.status.success(),
        "the script failed; its message is above"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a script, which must exit with 1. Returns its stderr.
pub(crate) async fn fails(script: &'static str, args: &[&str]) -> String {
    let output = output(script, args, Stdio::piped()).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

async fn output(script: &'static str, args: &[&str], errors: Stdio) -> Output {
    let mut command = Command::new(python());
    command.args(["-c", script]).args(args);
    // With these variables, clients would use a proxy for 127.0.0.1.
    for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(variable);
        command.env_remove(variable.to_lowercase());
    }
    command.stdout(Stdio::piped()).stderr(errors);
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    ended.await.unwrap()
}
