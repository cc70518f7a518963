//! Help, completions, schemas and usage errors of the command line.

use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};

use crate::support::cli::{command, fails, ok};

/// Every command and group. The name of a command in a group begins with the group.
const COMMANDS: [&str; 39] = [
    "serve",
    "demo",
    "ui",
    "emit",
    "hook",
    "list",
    "show",
    "events",
    "sessions",
    "sessions create",
    "sessions refresh",
    "sessions handoff",
    "sessions terminate",
    "sessions introspect",
    "agents",
    "agents list",
    "agents show",
    "agents register",
    "agents update",
    "agents suspend",
    "agents reinstate",
    "agents revoke",
    "keys",
    "keys issue",
    "keys list",
    "keys revoke",
    "rebuild",
    "verify",
    "backup",
    "restore",
    "export",
    "verify-export",
    "doctor",
    "rules",
    "rules adopt",
    "streams",
    "streams create",
    "schema",
    "completions",
];

/// Returns the help of a command or group, or the top-level help if the name is empty.
fn help(name: &str) -> String {
    let words = name.split_whitespace().chain(["--help"]);
    ok(&words.collect::<Vec<_>>())
}

#[test]
fn every_command_has_help_with_examples() {
    for name in COMMANDS {
        let (group, last) = name.rsplit_once(' ').unwrap_or(("", name));
        let overview = help(group);
        assert!(
            overview.contains(&format!("  {last} ")),
            "{name} is missing"
        );
        let help = help(name);
        assert!(help.contains("Example"), "{name}: {help}");
        assert!(help.contains(&format!("session-ledger {name}")), "{name}");
    }
}

#[test]
fn every_command_is_listed_here() {
    for group in ["", "sessions", "agents", "rules", "streams"] {
        let overview = help(group);
        let (_, listed) = overview.split_once("\nCommands:\n").unwrap();
        let lines = listed.lines().take_while(|line| !line.is_empty());
        for line in lines.filter(|line| !line.starts_with("  help ")) {
            let last = line.split_whitespace().next().unwrap();
            let name = format!("{group} {last}");
            assert!(COMMANDS.contains(&name.trim()), "{name}");
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of options")]
fn options_stand_under_their_heading() {
    for (name, heading, options) in [
        (
            "list",
            "Which sessions:",
            &["--agent", "--created-before"][..],
        ),
        ("list", "Which page:", &["--limit", "--cursor", "--all"]),
        ("list", "Output:", &["--json"]),
        (
            "list",
            "Which ledger:",
            &[
                "--url",
                "--key-file",
                "--ca-cert",
                "--client-cert",
                "--client-key",
                "--data-dir",
                "--tenant",
            ],
        ),
        (
            "keys issue",
            "The key:",
            &["--role", "--agent", "--expires"],
        ),
        (
            "keys issue",
            "NATS:",
            &["--nats-url", "--nats-ca", "--nats-nkey-file"],
        ),
        ("serve", "TLS:", &["--tls-cert"]),
        ("emit", "The event:", &["--agent", "--file"]),
        ("emit", "Output:", &["--json", "--no-wait"]),
        ("hook", "Options:", &["--print-settings"]),
        ("hook", "The sessions:", &["--agent", "--project", "--ttl"]),
        ("hook", "The spool:", &["--spool"]),
        (
            "hook",
            "Which ledger:",
            &[
                "--url",
                "--key-file",
                "--ca-cert",
                "--client-cert",
                "--client-key",
                "--tenant",
            ],
        ),
        (
            "events",
            "Which events:",
            &["--after", "--type", "--follow"],
        ),
        (
            "ui",
            "Which ledger:",
            &[
                "--url",
                "--key-file",
                "--ca-cert",
                "--client-cert",
                "--client-key",
                "--tenant",
            ],
        ),
        ("show", "Options:", &["--json"]),
        (
            "agents list",
            "Which agents:",
            &["--type", "--status", "--trust-level"],
        ),
        ("agents list", "Which page:", &["--limit", "--cursor"]),
        ("agents list", "Output:", &["--json"]),
        ("agents show", "Options:", &["--json"]),
        (
            "sessions create",
            "The session:",
            &["--agent", "--ttl", "--scope"],
        ),
        ("sessions create", "Arguments:", &["[SESSION]"]),
        (
            "sessions refresh",
            "The request:",
            &["--idempotency-key", "--data"],
        ),
        ("agents update", "The agent:", &["--type", "--public-key"]),
        ("agents update", "Output:", &["--json"]),
        ("rebuild", "Options:", &["--accept-truncation", "--json"]),
        ("verify", "Options:", &["--json"]),
        ("doctor", "Options:", &["--json", "--url"]),
    ] {
        let help = help(name);
        let (_, section) = help.split_once(&format!("\n{heading}\n")).unwrap();
        let section = section.split("\n\n").next().unwrap();
        for option in options {
            let is_here = |line: &str| line.trim_start().starts_with(option);
            assert!(section.lines().any(is_here), "{name} {option}: {help}");
        }
        if heading == "Which ledger:" {
            let is_option = |line: &&str| line.trim_start().starts_with("--");
            let begins = |line: &&str| line.len() - line.trim_start().len() < 10;
            let count = section.lines().filter(is_option).filter(begins).count();
            assert_eq!(count, options.len(), "{help}");
        }
    }
}

/// Examples have at most 80 columns, so that a terminal does not wrap them inside a flag.
#[test]
fn examples_are_short() {
    for name in COMMANDS {
        let help = help(name);
        let (_, examples) = help.split_once("\nExample").unwrap();
        for line in examples.lines() {
            assert!(line.len() <= 80, "{name}: {line}");
        }
    }
}

#[test]
fn wrong_usage_exits_with_2_and_says_what_is_right() {
    for (args, said) in [
        (&["list"][..], "--tenant"),
        (&["list", "--tenant", "a b"], "must not hold"),
        (&["list", "--tenant", "a", "--limit", "201"], "201"),
        (&["list", "--tenant", "a", "--status", "alive"], "active"),
        (&["list", "--tenant", "a", "--url", "nowhere"], "--url"),
        (&["emit", "--tenant", "a"], "<TYPE>"),
        (
            &["agents", "list", "--tenant", "a", "--status", "expired"],
            "suspended",
        ),
        (&["agents", "show", "--tenant", "a"], "<AGENT>"),
        (
            &["emit", "session.expired", "s", "--tenant", "a"],
            "session.created",
        ),
        (&["demo", "--for", "soon"], "20s"),
        (&["serve"], "--data-dir"),
        (&["schema", "nothing"], "openapi"),
        (&["nothing"], "nothing"),
        (&["sessions"], "introspect"),
        (&["sessions", "handoff", "s", "--tenant", "a"], "--to-agent"),
        (&["agents", "rename"], "rename"),
        (&["streams", "create"], "--nats-url"),
    ] {
        let error = fails(args, 2);
        assert!(error.contains(said), "{args:?}: {error}");
    }
}

/// Neither help nor an error shows a secret from the environment.
#[test]
fn help_shows_no_secret() {
    let (name, secret) = ("SESSION_LEDGER_REFRESH_TOKEN", "slrt_secret");
    for args in [
        &["sessions", "refresh", "--help"][..],
        &["sessions", "refresh"],
    ] {
        let output = command(args).env(name, secret).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("<SESSION>"), "{said}");
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn a_server_without_credentials_must_be_requested_explicitly() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("ledger");
    let data_dir = ["--data-dir", data.to_str().unwrap()];
    let serve = |more: &[&'static str]| [&["serve"], &data_dir[..], more].concat();
    let exposed = fails(&serve(&["--no-auth", "--listen", "0.0.0.0:0"]), 2);
    assert!(exposed.contains("--trust-network"), "{exposed}");
    let wrong = fails(
        &serve(&["--no-auth", "--nats-url", "nats://h", "--nats-user", "u"]),
        2,
    );
    assert!(wrong.contains("SESSION_LEDGER_NATS_PASSWORD"), "{wrong}");
    let both = fails(&serve(&["--no-auth", "--rate-limit", "5"]), 2);
    assert!(both.contains("requires no credentials"), "{both}");
    assert!(!data.exists(), "a rejected start creates nothing");
}

#[test]
fn an_unknown_log_level_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("ledger");
    let serve = ["serve", "--no-auth", "--data-dir", data.to_str().unwrap()];
    for wrong in ["verbose", "info,verbose", "session_ledger::http", "a=b"] {
        let error = fails(&[&serve[..], &["--log-level", wrong]].concat(), 2);
        assert!(error.contains("--log-level"), "{wrong}: {error}");
        if wrong != "a=b" {
            assert!(error.contains("error, warn, info, debug"), "{error}");
        }
    }
    assert!(!data.exists(), "a rejected start creates nothing");
    assert!(ok(&["serve", "--help"]).contains("[default: info,async_nats=warn]"));
}

#[test]
fn completions_are_valid_scripts_of_the_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = ok(&["completions", shell]);
        for word in ["rebuild", "introspect", "trust-level"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("completions.bash");
    fs::write(&file, ok(&["completions", "bash"])).unwrap();
    let parsed = Command::new("bash").arg("-n").arg(&file).status().unwrap();
    assert!(parsed.success());
}

#[test]
fn the_schema_command_prints_and_writes_the_committed_schemas() {
    let names = ok(&["schema"]);
    assert!(
        names.lines().any(|name| name == "session.created"),
        "{names}"
    );
    let committed = fs::read_to_string("schemas/events/session.created.json").unwrap();
    assert_eq!(ok(&["schema", "session.created"]), committed);
    let dir = tempfile::tempdir().unwrap();
    ok(&["schema", "--write", dir.path().to_str().unwrap()]);
    for name in names.lines() {
        let path = match name {
            "asyncapi" | "openapi" | "verdict" | "verdict_gap" => format!("{name}.json"),
            event => format!("events/{event}.json"),
        };
        let written = fs::read_to_string(dir.path().join(&path)).unwrap();
        let value: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert!(value.is_object(), "{path}");
    }
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let mut child = command(&["schema", "openapi"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Close the pipe unread. The document is larger than a pipe's buffer.
    drop(child.stdout.take());
    let mut said = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
    assert!(child.wait().unwrap().success());
}
