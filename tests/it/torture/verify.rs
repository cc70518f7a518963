//! Compares the read model of each stopped ledger with a new fold of its log, and with the others.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::torture::ledger::Ledger;
use crate::torture::{Finding, Run};

/// Runs `verify` on each ledger. A file whose bytes were flipped, and which the ledger has not replaced since
/// then, is not a finding if `verify` and `rebuild` both say that it is damaged; then the rebuilt one is compared.
/// Returns the digests as text.
pub(crate) async fn all(run: &Run<'_>) -> Result<String, Finding> {
    let mut text = String::new();
    let mut digests = Vec::new();
    for (number, ledger) in run.world.ledgers.iter().enumerate() {
        let more = run.world.offline_arguments(number);
        let mut verified = offline(run, "verify", ledger.dir(), &more).await;
        if !verified.status.success() && ledger.may_be_damaged() && verified.stdout.is_empty() {
            let rebuilt = offline(run, "rebuild", ledger.dir(), &more).await;
            let result = json(&rebuilt)["comparison"]["result"].clone();
            if result != "unreadable" {
                return Err(Finding(format!(
                    "expected: verify and rebuild agree on ledger {number}; seen: {} and {}",
                    said(&verified),
                    said(&rebuilt)
                )));
            }
            writeln!(
                text,
                "ledger {number}: damage that nothing had read was found at the end"
            )
            .unwrap();
            verified = offline(run, "verify", ledger.dir(), &more).await;
        }
        let told = json(&verified);
        let is_equal = told["differences"].as_array().is_some_and(Vec::is_empty);
        if !verified.status.success() || !is_equal || told["log_position"] != told["model_position"]
        {
            return Err(Finding(format!(
                "expected: the read model of ledger {number} is what the log gives, up to its end; seen: {}",
                said(&verified)
            )));
        }
        let digest = told["model_digest"].as_str().unwrap_or_default().to_owned();
        writeln!(
            text,
            "ledger {number}: position {}, digest {digest}, equal to that of a new fold of the log",
            told["model_position"]
        )
        .unwrap();
        digests.push(digest);
    }
    if digests.iter().any(|digest| *digest != digests[0]) {
        return Err(Finding(format!(
            "expected: equal digests of all ledgers; seen: {digests:?}"
        )));
    }
    Ok(text)
}

/// Runs a command on the directory of a ledger.
async fn offline(run: &Run<'_>, name: &str, dir: &Path, more: &[String]) -> Output {
    let mut command = Ledger::command(&run.world.binary);
    command
        .arg(name)
        .arg("--data-dir")
        .arg(dir)
        .arg("--json")
        .args(more);
    spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

fn said(output: &Output) -> String {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    format!("{} {out} {err}", output.status)
}
