//! Commands on a terminal: control characters that callers sent, completions, and spans of time.

use serde_json::{Value, json};

use crate::support::cli::{Server, command, fails, ok, with_input};
use crate::support::python;

/// A Python script that runs a command on a terminal, and prints what the terminal received.
const TERMINAL: &str = r#"
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
text = b""
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    text += part
os.waitpid(pid, 0)
sys.stdout.buffer.write(text)
"#;

/// A C0 and a C1 control, a bidi override and isolate, a zero-width space and a line feed.
const ODD: &str = "x\u{1b}[2J\u{9b}31m\u{202e}\u{2066}\u{200b}\n9 fake";
const SHOWN: &str = r"x\u001b[2J\u009b31m\u202e\u2066\u200b\n9 fake";

fn harmless(text: &str) -> bool {
    let allowed = |c: char| matches!(c, '\n' | '\r');
    let odd = ['\u{202e}', '\u{2066}', '\u{200b}'];
    !text.contains(|c: char| (c.is_control() && !allowed(c)) || odd.contains(&c))
}

#[tokio::test]
async fn no_control_character_reaches_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let event = json!({
        "specversion": "1.0", "id": "e-1", "source": "urn:test", "type": "session.created",
        "subject": "s-1", "data": {"agent_id": "a-1", "metadata": {"note": ODD}},
    });
    let (code, emitted) = with_input(&server.args(&["emit", "--file", "-"]), &event.to_string());
    assert_eq!(code, Some(0), "{emitted}");
    let metadata = json!({"note": ODD}).to_string();
    server.ok(&["agents", "register", "a-1", "--metadata", &metadata]);
    for args in [
        &["list"][..],
        &["list", "--json"],
        &["show", "s-1"],
        &["show", "s-1", "--json"],
        &["events"],
        &["agents", "list"],
        &["agents", "show", "a-1"],
        &["agents", "show", "a-1", "--json"],
        // The error message repeats the rejected argument.
        &["show", ODD],
        &["list", "--cursor", ODD],
        &["list", "--status", ODD],
        &["list", "--created-after", ODD],
    ] {
        let all = server.args(args);
        // Tables and text are escaped even in a pipe.
        if !args.contains(&"--json") && args != ["events"] {
            let output = command(&all).output().unwrap();
            let piped = [output.stdout, output.stderr].concat();
            let piped = String::from_utf8(piped).unwrap();
            assert!(harmless(&piped), "{args:?}: {piped:?}");
        }
        let program = env!("CARGO_BIN_EXE_session-ledger");
        let shown = python::run(TERMINAL, &[&[program], &all[..]].concat()).await;
        assert!(harmless(&shown), "{args:?}: {shown:?}");
        assert!(!shown.is_empty(), "{args:?}");
    }
    for args in [["show", "s-1"].as_slice(), &["agents", "show", "a-1"]] {
        let shown = server.ok(args);
        assert!(shown.contains(SHOWN), "{shown}");
        assert!(
            !shown.lines().any(|line| line.starts_with("9 fake")),
            "{shown}"
        );
    }
    // Programs get the original bytes.
    let piped = server.ok(&["show", "s-1", "--json"]);
    let piped: Value = serde_json::from_str(&piped).unwrap();
    assert_eq!(piped["session"]["metadata"]["note"], ODD);
}

#[test]
fn bash_completes_subcommands_and_their_options() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("completions.bash");
    std::fs::write(&script, ok(&["completions", "bash"])).unwrap();
    // Calls the registered function as bash does: with the command, the word and the previous word.
    let ask = r#"
        source "$1"; shift
        function=$(complete -p session-ledger | sed 's/.*-F \([^ ]*\).*/\1/')
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let completed = |words: &[&str]| {
        let mut bash = std::process::Command::new("bash");
        bash.args(["-c", ask, "bash"])
            .arg(&script)
            .arg("session-ledger")
            .args(words);
        let output = bash.output().unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(completed(&["se"]), ["serve", "sessions"]);
    assert_eq!(completed(&["sessions", "te"]), ["terminate"]);
    assert_eq!(
        completed(&["agents", "re"]),
        ["register", "reinstate", "revoke"]
    );
    assert_eq!(completed(&["list", "--st"]), ["--status"]);
    assert_eq!(completed(&["sessions", "create", "--age"]), ["--agent"]);
}

#[test]
fn sessions_are_filtered_by_how_long_ago_they_were_created() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let ago = [
        "emit",
        "session.created",
        "s-1",
        "--agent",
        "a",
        "--time",
        "2026-01-31T00:00:00Z",
    ];
    server.ok(&ago);
    server.ok(&["emit", "session.created", "s-2", "--agent", "a"]);
    let listed = |args: &[&str]| {
        let page = server.ok(&[&["list", "--json"], args].concat());
        let page: Value = serde_json::from_str(&page).unwrap();
        let rows = page["sessions"].as_array().unwrap().clone();
        rows.iter()
            .map(|row| row["session_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&["--created-after", "1h"]), ["s-2"]);
    assert_eq!(listed(&["--created-after", "yesterday"]), ["s-2"]);
    assert_eq!(listed(&["--created-before", "2 days ago"]), ["s-1"]);
    let said = fails(&server.args(&["list", "--created-after", "soon"]), 2);
    assert!(said.contains("--created-after"), "{said}");
    assert!(said.contains("2 days"), "{said}");
}
