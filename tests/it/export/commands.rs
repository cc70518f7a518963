//! `export` and `verify-export` as an auditor runs them, and the check of docs/export.md.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use bytes::Bytes;
use serde_json::{Value, json};
use session_ledger::export::check;

use crate::support::cli::{Server, command, fails, ok, run, stderr, stdout, with_key};
use crate::support::nats::NatsServer;
use crate::support::python;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn issue(dir: &Path, more: &[&str]) -> String {
    let args = [
        "keys",
        "issue",
        "--json",
        "--tenant",
        "acme",
        "--data-dir",
        text(dir),
    ];
    let issued: Value = serde_json::from_str(&ok(&[&args[..], more].concat())).unwrap();
    issued["key"].as_str().unwrap().to_owned()
}

fn fill(server: &Server) {
    for tenant in ["acme", "globex"] {
        let url = ["--url", server.url(), "--tenant", tenant];
        for id in ["s-1", "s-2", "s-3"] {
            ok(&[&["emit", "session.created", id, "--agent", "a-1"], &url[..]].concat());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auditor_exports_carries_away_and_verifies() {
    let place = tempfile::tempdir().unwrap();
    let [ledger, to] = ["ledger", "e"].map(|name| place.path().join(name));
    let auditor = issue(&ledger, &["--role", "audit"]);
    let writer = issue(&ledger, &["--role", "write"]);
    let bound = issue(&ledger, &["--role", "audit", "--agent", "a-1"]);
    let server = Server::start_guarded(&ledger, &[]);
    let url = ["--url", server.url()];
    let call = |key: &str, args: &[&str]| with_key(key, &[args, &url].concat());
    let emit = |args: &[&str]| assert!(call(&writer, &[&["emit"], args].concat()).status.success());
    emit(&["session.created", "s-1", "--agent", "a-1"]);
    let export = ["export", "--json", "--to", text(&to)];
    let exported = |key: &str| -> Value {
        let output = call(key, &export);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str(&stdout(&output)).unwrap()
    };
    for (key, says) in [(&writer, "role_required"), (&bound, "agent_bound")] {
        let refused = call(key, &export);
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains(says), "{refused:?}");
        assert!(!to.exists());
    }
    assert_eq!(exported(&auditor)["added"], 1);
    emit(&["session.terminated", "s-1"]);
    let second = exported(&auditor);
    assert_eq!(
        (&second["added"], &second["events"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(exported(&auditor)["added"], 0);

    let verify = ["verify-export", text(&to)];
    let chain = second["chain"].as_str().unwrap();
    assert!(ok(&verify).contains(chain));
    let against = with_key(
        &auditor,
        &[&verify[..], &["--server", server.url()]].concat(),
    );
    assert!(
        stdout(&against).contains("has the same events"),
        "{against:?}"
    );
    assert_eq!(
        python::run(super::program(), &[text(&to)]).await.trim(),
        chain
    );
    // As an archive, and up to an earlier end.
    let first = ["export", "--until", "2", "--to", "-"];
    let archive = call(&auditor, &first);
    let (file, unpacked) = (place.path().join("e.tar"), place.path().join("t"));
    fs::write(&file, &archive.stdout).unwrap();
    fs::create_dir(&unpacked).unwrap();
    let untar = ["-xf", text(&file), "-C", text(&unpacked)];
    assert!(
        std::process::Command::new("tar")
            .args(untar)
            .status()
            .unwrap()
            .success()
    );
    let checked = check(&unpacked, |_, _| {}).unwrap().unwrap();
    assert_eq!((checked.events, checked.until.get()), (1, 2));
    server.terminate();
}

#[test]
fn a_difference_is_an_exit_code_and_names_the_place() {
    let place = tempfile::tempdir().unwrap();
    let [ledger, to] = ["ledger", "e"].map(|name| place.path().join(name));
    let server = Server::start(&ledger);
    fill(&server);
    server.ok(&["export", "--to", text(&to)]);
    let file = to.join("events-00000000000000000002.ndjson");
    let intact = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = intact.lines().collect();
    fs::write(&file, format!("{}\n{}\n", lines[0], lines[2])).unwrap();
    let differs = run(&["verify-export", text(&to)]);
    assert_eq!(differs.status.code(), Some(1));
    let said = stdout(&differs);
    let expected = "DIFFERENCE: events-00000000000000000002.ndjson, line 2, position 4: ";
    assert!(said.starts_with(expected), "{said}");
    let as_json = run(&["verify-export", text(&to), "--json"]);
    let as_json: Value = serde_json::from_str(&stdout(&as_json)).unwrap();
    assert_eq!(as_json["difference"]["line"], 2);
    assert_eq!(as_json["export"], Value::Null);
    fs::write(&file, intact).unwrap();
    ok(&["verify-export", text(&to)]);

    let error = fails(&["verify-export", text(place.path())], 1);
    assert!(error.contains("there is no export in"), "{error}");
    fs::write(place.path().join("thesis.tex"), "").unwrap();
    let error = fails(&server.args(&["export", "--to", text(place.path())]), 1);
    assert!(error.contains("has files and no manifest.json"), "{error}");
    let error = fails(
        &server.args(&["export", "--to", text(&to), "--until", "soon"]),
        2,
    );
    assert!(error.contains("--until"), "{error}");
    server.terminate();
    // Without a server, from the directory of its ledger.
    let here = ["--data-dir", text(&ledger), "--tenant", "globex"];
    let other = place.path().join("g");
    ok(&[&["export", "--to", text(&other)], &here[..]].concat());
    let found = check(&other, |_, _| {}).unwrap().unwrap();
    assert_eq!((found.tenant.as_str(), found.events), ("globex", 3));
}

/// Each run adds what the server has taken since the run before.
#[test]
fn an_export_of_a_server_under_load_is_sound_after_each_run() {
    let place = tempfile::tempdir().unwrap();
    let [ledger, to, whole] = ["ledger", "e", "whole"].map(|name| place.path().join(name));
    let server = Server::start(&ledger);
    let mut emitting: Vec<_> = ["acme", "globex"]
        .into_iter()
        .map(|tenant| {
            let url = ["--url", server.url(), "--tenant", tenant];
            let mut child = command(&[&["emit", "--file", "-"], &url[..]].concat())
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let mut stdin = child.stdin.take().unwrap();
            for number in 0..3_000 {
                let event = json!({
                    "specversion": "1.0", "id": format!("e-{number}"), "source": "urn:test",
                    "type": "session.created", "subject": format!("s-{number}"),
                    "data": {"agent_id": "a-1"},
                });
                writeln!(stdin, "{event}").unwrap();
            }
            child
        })
        .collect();
    let export = |to: &Path| server.ok(&["export", "--to", text(to)]);
    let verify = |to: &Path| {
        let verify = ["verify-export", text(to), "--tenant", "acme"];
        ok(&[&verify[..], &["--server", server.url()]].concat())
    };
    while emitting
        .iter_mut()
        .any(|one| one.try_wait().unwrap().is_none())
    {
        export(&to);
        verify(&to);
    }
    export(&to);
    export(&whole);
    let [to, whole] = [&to, &whole].map(|dir| check(dir, |_, _| {}).unwrap().unwrap());
    assert_eq!((to.events, to.chain()), (3_000, whole.chain()));
    server.terminate();
}

#[test]
fn a_server_that_was_restored_from_an_older_backup_is_behind() {
    let place = tempfile::tempdir().unwrap();
    let [old, backup, new, to] = ["old", "backup", "new", "e"].map(|name| place.path().join(name));
    let server = Server::start(&old);
    server.ok(&["emit", "session.created", "s-1", "--agent", "a-1"]);
    server.terminate();
    ok(&["backup", "--data-dir", text(&old), "--to", text(&backup)]);
    let server = Server::start(&old);
    server.ok(&["emit", "session.created", "s-2", "--agent", "a-1"]);
    server.ok(&["export", "--to", text(&to)]);
    server.terminate();
    ok(&["restore", text(&backup), "--data-dir", text(&new)]);
    let server = Server::start(&new);
    let verify = [
        "verify-export",
        text(&to),
        "--tenant",
        "acme",
        "--server",
        server.url(),
    ];
    let behind = run(&verify);
    assert_eq!(behind.status.code(), Some(1), "{behind:?}");
    assert!(
        stdout(&behind).contains("ends at position 2, before the end of the export"),
        "{behind:?}"
    );
    server.ok(&["emit", "session.created", "s-3", "--agent", "a-1"]);
    let differs = run(&verify);
    let said = stdout(&differs);
    assert!(
        said.contains("line 2, position 3: the server has another event here"),
        "{said}"
    );
    let error = fails(&server.args(&["export", "--to", text(&to)]), 1);
    assert!(error.contains("it is another ledger"), "{error}");
    server.terminate();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_on_nats_is_exported_with_messages_in_binary_mode_and_bytes_that_are_no_text() {
    let nats = NatsServer::start().await;
    let place = tempfile::tempdir().unwrap();
    let [ledger, to] = ["ledger", "e"].map(|name| place.path().join(name));
    let server = Server::start_with(&ledger, &["--nats-url", nats.url()]);
    fill(&server);
    let runtime = async_nats::connect(nats.url()).await.unwrap();
    let stream = async_nats::jetstream::new(runtime);
    let subject = "ledger.v1.acme.session.created";
    let mut headers = async_nats::HeaderMap::new();
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", "b-1"),
        ("ce-source", "/b"),
        ("ce-type", "session.created"),
        ("ce-subject", "caf%C3%A9"),
        ("ce-datacontenttype", "application/json"),
    ] {
        headers.insert(name, value);
    }
    let data = Bytes::from_static(br#"{"agent_id":"a-1"}"#);
    stream
        .publish_with_headers(subject, headers, data)
        .await
        .unwrap()
        .await
        .unwrap();
    let raw = Bytes::from_static(&[0xff, 0, b'\n', 0xfe]);
    stream.publish(subject, raw).await.unwrap().await.unwrap();
    server.ok(&["export", "--to", text(&to)]);
    let lines = super::lines(&to);
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[3]["verdict"], "applied");
    assert!(
        lines[3]["body"].as_str().unwrap().contains("caf\u{e9}"),
        "{}",
        lines[3]
    );
    assert_eq!(
        (&lines[4]["body_base64"], &lines[4]["reason"]),
        (&json!("/wAK/g=="), &json!("not_json"))
    );
    let verify = [
        "verify-export",
        text(&to),
        "--tenant",
        "acme",
        "--server",
        server.url(),
    ];
    let verified = ok(&verify);
    assert!(
        verified.contains("ok: 5 events of the tenant acme"),
        "{verified}"
    );
    python::run(super::program(), &[text(&to)]).await;
    server.terminate();
}
