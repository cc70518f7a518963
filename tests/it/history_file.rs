//! The history file of a real server: ahead of its log, damaged, lost, or never made.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::cli::{Server, run, stderr, stdout};

/// How long a server may take to make its history file again.
const WAIT: Duration = Duration::from_secs(30);
const HISTORY: &str = "history.redb";

fn open(server: &Server, session: &str) {
    server.ok(&["sessions", "create", session, "--agent", "a-1"]);
}

/// Lists the sessions as of now, as soon as the server has the history.
fn list(server: &Server) -> Value {
    let started = Instant::now();
    loop {
        let listed = run(&server.args(&["list", "--as-of", "now", "--json"]));
        if listed.status.success() {
            return serde_json::from_str(&stdout(&listed)).unwrap();
        }
        assert!(started.elapsed() < WAIT, "{}", stderr(&listed));
    }
}

fn stop(server: Server) {
    let (code, log) = server.terminate();
    assert_eq!(code, Some(0), "{log}");
}

fn copy(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[test]
fn a_file_that_is_ahead_of_the_log_damaged_or_lost_is_made_again() {
    let (dir, older) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(dir.path());
    server.ok(&["agents", "register", "a-1"]);
    open(&server, "s-1");
    let expected = list(&server);
    assert_eq!(expected["total"], json!(1));
    stop(server);
    copy(dir.path(), older.path());

    let server = Server::start(dir.path());
    for session in ["s-2", "s-3"] {
        open(&server, session);
    }
    assert_eq!(list(&server)["total"], json!(3));
    stop(server);
    let history = older.path().join(HISTORY);
    let newer = fs::read(dir.path().join(HISTORY)).unwrap();
    let torn = newer[..newer.len() / 2].to_vec();
    for bytes in [Some(newer), Some(torn), Some(b"no database".to_vec()), None] {
        match bytes {
            Some(bytes) => fs::write(&history, bytes).unwrap(),
            None => fs::remove_file(&history).unwrap(),
        }
        let server = Server::start(older.path());
        assert_eq!(list(&server), expected);
        stop(server);
    }
}

#[test]
fn a_server_that_keeps_no_history_says_so_and_leaves_the_file_alone() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &["--no-history"]);
    server.ok(&["agents", "register", "a-1"]);
    open(&server, "s-1");
    let refused = run(&server.args(&["list", "--as-of", "now"]));
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("--no-history"),
        "{}",
        stderr(&refused)
    );
    assert!(!dir.path().join(HISTORY).exists());
    stop(server);
    // Later it is made of all records.
    let server = Server::start(dir.path());
    assert_eq!(list(&server)["total"], json!(1));
    stop(server);
}
