//! A server and its client commands, each in its own process.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::support::cli::{Server, command, fails, ok, run, stderr, stdout, with_input};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Opens `count` sessions, `s-0` and so on, in one request.
fn open_sessions(server: &Server, count: usize) {
    let event = |number: usize| {
        format!(
            r#"{{"specversion":"1.0","id":"{number}","source":"urn:test","type":"session.created",
                "subject":"s-{number}","data":{{"agent_id":"agent-{}"}}}}"#,
            number % 2
        )
    };
    let events: Vec<String> = (0..count).map(event).collect();
    let (code, _) = with_input(&server.args(&["emit", "--file", "-"]), &events.join("\n"));
    assert_eq!(code, Some(0));
}

#[test]
fn emitted_events_are_listed_shown_and_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let created = [
        "emit",
        "session.created",
        "s-1",
        "--agent",
        "a-1",
        "--id",
        "e-1",
    ];
    assert!(server.ok(&created).contains("applied"));
    assert!(server.ok(&created).contains("duplicate"));
    server.ok(&["emit", "session.refreshed", "s-1", "--phase", "running"]);

    let listed = server.ok(&["list", "--agent", "a-1", "--status", "active"]);
    let row = listed.lines().nth(1).unwrap();
    assert!(
        row.starts_with("s-1") && row.contains("running"),
        "{listed}"
    );
    let page = json(&server.ok(&["list", "--json", "--status", "terminated"]));
    assert_eq!(page["total"], 0);

    let shown = server.ok(&["show", "s-1"]);
    assert!(shown.contains("session.refreshed"), "{shown}");
    let shown = json(&server.ok(&["show", "s-1", "--json"]));
    assert_eq!(shown["session"]["phase"], "running");
    assert_eq!(shown["events"].as_array().unwrap().len(), 2);

    let lines = server.ok(&["events"]);
    let verdicts: Vec<Value> = lines
        .lines()
        .map(|line| json(line)["verdict"].clone())
        .collect();
    assert_eq!(verdicts, ["applied", "duplicate", "applied"]);
    let after = server.ok(&["events", "--after", "3", "--type", "session.refreshed"]);
    assert_eq!(json(&after)["position"], 4);
    let copies = server.ok(&["events", "--verdict", "duplicate", "--verdict", "parked"]);
    assert_eq!(json(&copies)["position"], 3);
    let newest = server.ok(&["events", "--newest", "--before", "4"]);
    let newest: Vec<Value> = newest
        .lines()
        .map(|line| json(line)["position"].clone())
        .collect();
    assert_eq!(newest, [3, 2]);
}

#[test]
fn data_without_effect_is_rejected_unless_lenient() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let typo = r#"{"agent_id": "a-1", "ttl": 60}"#;
    let emit = ["emit", "session.created", "s-1", "--data", typo];
    let refused = run(&server.args(&emit));
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("data.ttl") && said.contains("ttl_seconds"),
        "{said}"
    );
    let taken = server.ok(&[&emit[..], &["--lenient"]].concat());
    assert!(taken.contains("no effect: data.ttl"), "{taken}");
}

#[test]
fn failed_commands_exit_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    server.ok(&["emit", "session.created", "s-1", "--agent", "a-1"]);
    let again = run(&server.args(&["emit", "session.created", "s-1", "--agent", "a-1"]));
    assert_eq!(again.status.code(), Some(1));
    assert!(stdout(&again).contains("already_exists"), "{again:?}");
    let unfit = fails(&server.args(&["emit", "session.created", "s-2"]), 1);
    assert!(unfit.contains("data.agent_id: is required"), "{unfit}");
    let unknown = fails(&server.args(&["show", "s-2"]), 1);
    assert!(unknown.contains("no such session"), "{unknown}");
    let nobody = ["list", "--tenant", "acme", "--url", "http://127.0.0.1:1"];
    assert!(fails(&nobody, 1).contains("session-ledger serve"));
}

#[test]
fn messages_are_accurate_and_printed_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    for (option, value, code) in [("--cursor", "none", 1), ("--created-after", "soon", 2)] {
        let error = fails(&server.args(&["list", option, value]), code);
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let parked = server.ok(&["emit", "session.refreshed", "s-1", "--phase", "running"]);
    assert!(parked.contains("waits for its session to open"), "{parked}");
    // A directory can be opened, but not read as a file.
    let unread = dir.path().to_str().unwrap();
    let error = fails(&server.args(&["emit", "--file", unread]), 1);
    assert!(error.contains("cannot read"), "{error}");
    assert!(!error.contains("JSON"), "{error}");
    let file = dir.path().join("event.json");
    std::fs::write(&file, "{").unwrap();
    let error = fails(&server.args(&["emit", "--file", file.to_str().unwrap()]), 1);
    assert!(error.contains("not JSON"), "{error}");
}

#[test]
fn all_pages_are_listed_to_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    open_sessions(&server, 7);
    let pages = server.ok(&["list", "--limit", "3", "--all", "--json"]);
    let rows: Vec<usize> = pages
        .lines()
        .map(|page| json(page)["sessions"].as_array().unwrap().len())
        .collect();
    assert_eq!(rows, [3, 3, 1]);
    let table = server.ok(&["list", "--limit", "2", "--all", "--agent", "agent-1"]);
    assert_eq!(table.lines().count(), 1 + 3, "{table}");
}

#[test]
fn agents_are_listed_and_shown_with_their_sessions() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    open_sessions(&server, 3);
    for (kind, data) in [
        (
            "agent.registered",
            r#"{"agent_type":"worker","trust_level":"high"}"#,
        ),
        ("agent.suspended", "{}"),
    ] {
        let event = format!(
            r#"{{"specversion":"1.0","id":"{kind}","source":"urn:test","type":"{kind}",
                "subject":"agent-0","data":{data}}}"#
        );
        let (code, _) = with_input(&server.args(&["emit", "--file", "-"]), &event);
        assert_eq!(code, Some(0));
    }
    let listed = server.ok(&["agents", "list"]);
    assert_eq!(listed.lines().count(), 1 + 2, "{listed}");
    let listed = server.ok(&[
        "agents",
        "list",
        "--type",
        "worker",
        "--trust-level",
        "high",
    ]);
    let row: Vec<&str> = listed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        &row[..6],
        ["agent-0", "worker", "suspended", "high", "2", "2"]
    );
    let page = json(&server.ok(&["agents", "list", "--json", "--status", "active"]));
    assert_eq!(page["agents"][0]["agent_id"], "agent-1");
    let pages = server.ok(&["agents", "list", "--limit", "1", "--all", "--json"]);
    assert_eq!(pages.lines().count(), 2, "{pages}");
    let shown = server.ok(&["agents", "show", "agent-0"]);
    assert!(shown.starts_with("agent_id"), "{shown}");
    let shown = json(&server.ok(&["agents", "show", "agent-0", "--json"]));
    assert_eq!(shown["session_count"], 2);
    let unknown = fails(&server.args(&["agents", "show", "agent-2"]), 1);
    assert!(unknown.contains("no such agent"), "{unknown}");
}

#[test]
fn a_follower_sees_events_as_they_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let args = server.args(&["events", "--follow", "--limit", "2"]);
    let mut follower = command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    for position in 2..=3 {
        let id = format!("s-{position}");
        server.ok(&["emit", "session.created", &id, "--agent", "a-1"]);
        let line = lines.next().unwrap().unwrap();
        assert_eq!(json(&line)["position"], position);
    }
    assert!(follower.wait().unwrap().success());
}

#[test]
fn a_followed_list_shows_each_change_as_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    server.ok(&["emit", "session.created", "s-1", "--agent", "a-1"]);
    let args = server.args(&["list", "--follow", "--status", "active", "--limit", "1"]);
    let mut follower = command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().starts_with("s-1\ta-1\tactive\t-\t"));
    server.ok(&["emit", "session.created", "s-2", "--agent", "a-2"]);
    assert_eq!(next(), "s-1\t(left)");
    assert!(next().starts_with("s-2\ta-2\tactive\t"));
    server.ok(&["emit", "session.terminated", "s-2"]);
    assert_eq!(next(), "s-2\t(left)");
    assert!(next().starts_with("s-1\ta-1\tactive\t"));
    follower.kill().unwrap();
    follower.wait().unwrap();
    let refused = command(&server.args(&["list", "--follow", "--all"])).output();
    assert_eq!(refused.unwrap().status.code(), Some(2));
}

#[test]
fn followers_go_on_when_the_server_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    server.ok(&["emit", "session.created", "s-1", "--agent", "a-1"]);
    let start = |args: &[&str]| {
        let mut follower = command(&server.args(args))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(follower.stdout.take().unwrap()).lines();
        (follower, lines)
    };
    let (mut list, mut rows) = start(&["list", "--follow"]);
    let (mut events, mut history) = start(&["events", "--follow", "--limit", "2"]);
    assert!(rows.next().unwrap().unwrap().starts_with("s-1\t"));
    assert_eq!(json(&history.next().unwrap().unwrap())["position"], 2);
    let address = server.url().trim_start_matches("http://").to_owned();
    let (code, logged) = server.terminate();
    assert_eq!(code, Some(0), "{logged}");
    let server = Server::start_at(dir.path(), &address);
    server.ok(&["emit", "session.created", "s-2", "--agent", "a-1"]);
    // Rows that have not changed are not shown again.
    assert!(rows.next().unwrap().unwrap().starts_with("s-2\t"));
    assert_eq!(json(&history.next().unwrap().unwrap())["position"], 3);
    assert!(events.wait().unwrap().success());
    list.kill().unwrap();
    list.wait().unwrap();
}

#[test]
fn sigterm_loses_no_acknowledged_event() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    open_sessions(&server, 500);
    // This command does not wait: the event is folded by this server before it stops, or by the next.
    let late = ["emit", "session.terminated", "s-0", "--no-wait"];
    assert!(server.ok(&late).contains("pending"));
    let (code, logged) = server.terminate();
    assert_eq!(code, Some(0), "{logged}");
    assert!(logged.contains("stopped at position"), "{logged}");

    let server = Server::start(dir.path());
    let page = server.ok(&["list", "--json", "--min-position", "501", "--limit", "1"]);
    assert_eq!(json(&page)["total"], 500);
    let ended = server.ok(&["list", "--json", "--status", "terminated"]);
    assert_eq!(json(&ended)["sessions"][0]["session_id"], "s-0");
}

#[test]
fn a_directory_has_at_most_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let server = Server::start(dir.path());
    let second = [
        "serve",
        "--data-dir",
        path,
        "--no-auth",
        "--listen",
        "127.0.0.1:0",
    ];
    for args in [
        &second[..],
        &["list", "--tenant", "acme", "--data-dir", path],
        &["rebuild", "--data-dir", path],
        &["verify", "--data-dir", path],
    ] {
        let error = fails(args, 1);
        assert!(
            error.contains("another ledger holds the directory"),
            "{args:?}: {error}"
        );
        assert!(error.contains("--url"), "{error}");
    }
    let taken = server.url().strip_prefix("http://").unwrap();
    let other = dir.path().join("other");
    let other = other.to_str().unwrap();
    let same_port = ["serve", "--data-dir", other, "--no-auth", "--listen", taken];
    assert!(fails(&same_port, 1).contains("cannot listen on"));
}

#[test]
fn commands_can_read_a_directory_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let missing = fails(&["list", "--tenant", "acme", "--data-dir", path], 1);
    assert!(missing.contains("there is no ledger in"), "{missing}");
    let server = Server::start(dir.path());
    open_sessions(&server, 3);
    server.terminate();
    let offline = |args: &[&str]| ok(&[args, &["--tenant", "acme", "--data-dir", path]].concat());
    assert!(offline(&["emit", "session.terminated", "s-0"]).contains("applied"));
    assert_eq!(json(&offline(&["list", "--json"]))["total"], 3);
    assert!(offline(&["show", "s-0"]).contains("terminated"));
    assert_eq!(offline(&["events"]).lines().count(), 4);
}

#[test]
fn doctor_reports_whether_a_server_is_ready() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    assert!(ok(&["doctor", "--url", server.url()]).contains("server ready  ok"));
    let path = dir.path().to_str().unwrap();
    assert!(ok(&["doctor", "--data-dir", path]).contains("holds the directory"));
    let url = server.url().to_owned();
    server.terminate();
    let output = run(&["doctor", "--url", &url, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(json(&stdout(&output))[0]["result"], "fail");
    assert!(ok(&["doctor", "--data-dir", path]).contains("position 1"));
}

#[test]
fn doctor_checks_the_server_that_the_environment_names() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let doctor = |args: &[&str], url: &str| {
        let mut command = command(&[&["doctor"], args].concat());
        let output = command.env("SESSION_LEDGER_URL", url).output().unwrap();
        stdout(&output)
    };
    let checked = doctor(&[], server.url());
    assert!(checked.contains(&format!("{}: it answers", server.url())));
    let path = dir.path().to_str().unwrap();
    let checked = doctor(&["--data-dir", path], server.url());
    assert!(!checked.contains("server alive"), "{checked}");
    let nobody = "http://127.0.0.1:1";
    assert!(doctor(&[], nobody).contains(nobody));
    assert!(doctor(&["--url", server.url()], nobody).contains("it answers"));
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    server.ok(&["emit", "session.created", "s-1", "--agent", "a-1"]);
    server.terminate();
    let path = dir.path().to_str().unwrap();
    let verified = command(&["verify", "--data-dir", path])
        .env("SESSION_LEDGER_NATS_URL", "")
        .env("SESSION_LEDGER_NATS_USER", "")
        .env("SESSION_LEDGER_NATS_CREDS", "")
        .env("SESSION_LEDGER_NATS_REPLICAS", "")
        .env("SESSION_LEDGER_STREAM", "")
        .output()
        .unwrap();
    assert!(verified.status.success(), "{}", stderr(&verified));
    let checked = command(&["doctor", "--data-dir", path])
        .env("SESSION_LEDGER_NATS_URL", "")
        .output()
        .unwrap();
    assert!(!stdout(&checked).contains("nats"), "{checked:?}");
    // This also holds for the commands of a group.
    for list in [&["list"][..], &["agents", "list"]] {
        let listed = command(&[list, &["--data-dir", path]].concat())
            .env("SESSION_LEDGER_TENANT", "")
            .output()
            .unwrap();
        assert_eq!(listed.status.code(), Some(2));
        assert!(stderr(&listed).contains("required"), "{listed:?}");
    }
}

/// A container may have no CA certificates. The health check once failed without them.
#[test]
fn plain_http_needs_no_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let none = dir.path().join("none");
    let output = command(&["doctor", "--url", server.url()])
        .env("SSL_CERT_FILE", &none)
        .env("SSL_CERT_DIR", &none)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    server.terminate();
}
