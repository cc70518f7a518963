//! Two agents that hand back and forth: one lineage in the ledger's own API and on the command line, and
//! the same sessions in every API.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use session_ledger::auth::Roles;

use super::views::{Caller, View};
use crate::support::app::{App, grant};
use crate::support::cli;

/// How often the first agent hands over to the second one, and gets back.
const ROUNDS: usize = 10;
const AGENTS: [&str; 2] = ["triage", "billing"];
const EVERY_PROJECT: &str = "00000000-0000-0000-0000-000000000000";

async fn send(caller: &Caller, path: &str, body: &Value) -> Value {
    let answer = caller
        .client
        .post(path, "application/json", body.to_string());
    let answer = answer.await;
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
    answer.json()
}

/// Opens a session and hands it over and back. Returns the ids, the root first.
async fn chain(caller: &Caller) -> Vec<String> {
    for agent in AGENTS {
        send(caller, "/v1/agents", &json!({"agent_id": agent})).await;
    }
    let sessions = "/v1/agent-sessions";
    let opened = json!({"agent_id": AGENTS[0], "session_id": "h0", "ttl_seconds": 3600});
    send(caller, sessions, &opened).await;
    let mut ids = vec!["h0".to_owned()];
    for number in 1..=2 * ROUNDS {
        let path = format!("{sessions}/{}/handoff", ids[number - 1]);
        let id = format!("h{number}");
        let to = json!({"to_agent_id": AGENTS[number % 2], "session_id": id});
        let child = send(caller, &path, &to).await;
        assert_eq!(child["session"]["session_id"], *id);
        ids.push(id);
    }
    ids
}

fn id_of<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap()
}

/// What an API must show of the chain: the ids, each with a word for its state.
fn expected(ids: &[String], ended: &'static str, open: &'static str) -> BTreeSet<(String, String)> {
    let last = ids.len() - 1;
    let word = |number| if number == last { open } else { ended };
    let rows = ids.iter().enumerate();
    let rows = rows.map(|(number, id)| (id.clone(), word(number).to_owned()));
    rows.collect()
}

/// Checks the list of one API against the chain.
async fn check(caller: &Caller, view: View, ids: &[String]) {
    let mut rows = Vec::new();
    for agent in AGENTS {
        rows.extend(view.list(caller, agent).await);
    }
    let of = |row: &Value| match view {
        View::Native | View::Agi | View::Truthlocks => {
            let id = id_of(row, "session_id").to_owned();
            (id, id_of(row, "status").to_owned())
        }
        View::A2a => {
            // All tasks are in the context of the first one.
            assert_eq!(row["contextId"], *ids[0], "{row}");
            let state = row["status"]["state"].as_str().unwrap();
            (id_of(row, "id").to_owned(), state.to_owned())
        }
        View::AppHandoff => (id_of(row, "session_id").to_owned(), "there".to_owned()),
        View::Otas => (id_of(row, "id").to_owned(), String::new()),
    };
    let shown: BTreeSet<_> = rows.iter().map(of).collect();
    let expected = match view {
        View::Native | View::Truthlocks => expected(ids, "handed_off", "active"),
        View::A2a => expected(ids, "TASK_STATE_COMPLETED", "TASK_STATE_WORKING"),
        View::Agi => expected(ids, "terminated", "ready"),
        // Only the live session is in this list.
        View::AppHandoff => expected(&ids[ids.len() - 1..], "", "there"),
        View::Otas => expected(ids, "", ""),
    };
    assert_eq!(shown, expected, "{view:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_agents_that_hand_back_and_forth_are_one_lineage_in_every_api() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let caller = Caller::new(&app, "acme").await;
    let ids = chain(&caller).await;
    let (root, last) = (&ids[0], &ids[ids.len() - 1]);

    let lineage = format!("/v1/agent-sessions/{root}/lineage?limit=200");
    let lineage = caller.client.get(&lineage).await.ok();
    assert_eq!(lineage["holder"]["session_id"], **last);
    assert_eq!(lineage["next_after"], Value::Null, "{lineage}");
    let below = lineage["descendants"].as_array().unwrap();
    assert_eq!(below.len(), 2 * ROUNDS);
    for (index, node) in below.iter().enumerate() {
        let number = index + 1;
        assert_eq!(node["depth"], number);
        assert_eq!(node["session"]["session_id"], *ids[number]);
        assert_eq!(node["session"]["parent_session_id"], *ids[index]);
        assert_eq!(node["session"]["agent_id"], AGENTS[number % 2]);
    }
    let above = format!("/v1/agent-sessions/{last}/lineage");
    let above = caller.client.get(&above).await.ok();
    let above = above["ancestors"].as_array().unwrap().iter();
    let above: Vec<_> = above.map(|row| id_of(row, "session_id")).collect();
    assert_eq!(above, ids[..2 * ROUNDS]);

    for view in View::ALL {
        check(&caller, view, &ids).await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_context_of_a_chain_is_its_root_and_agents_see_their_part() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let caller = Caller::new(&app, "acme").await;
    let ids = chain(&caller).await;
    let page = |filters: &str| format!("/compat/a2a/tasks?pageSize=4&contextId=h0{filters}");
    let (mut found, mut path) = (Vec::new(), page(""));
    loop {
        let answer = caller.client.get(&path).await.ok();
        assert_eq!(answer["totalSize"], ids.len());
        let tasks = answer["tasks"].as_array().unwrap().iter();
        found.extend(tasks.map(|task| id_of(task, "id").to_owned()));
        match answer["nextPageToken"].as_str().unwrap() {
            "" => break,
            token => path = page(&format!("&pageToken={token}")),
        }
    }
    found.reverse();
    assert_eq!(found, ids);
    let completed = page("&status=TASK_STATE_COMPLETED");
    let completed = caller.client.get(&completed).await.ok();
    assert_eq!(completed["totalSize"], 2 * ROUNDS);
    // The session of a hand-off is no root, so there is no context with its id.
    let inner = "/compat/a2a/tasks?contextId=h1";
    assert_eq!(caller.client.get(inner).await.ok()["totalSize"], 0);

    // A key that is bound to an agent sees the sessions of that agent. The root of the others is not shown.
    let mut bound = grant("acme", Roles::ALL);
    bound.roles = [session_ledger::auth::Role::Read].into_iter().collect();
    bound.agent = Some(session_ledger::domain::AgentId::parse(AGENTS[0]).unwrap());
    let bound = app.client("acme").with_key(&app.key(bound).await);
    let listed = bound.get("/compat/a2a/tasks").await.ok();
    assert_eq!(listed["totalSize"], ROUNDS + 1);
    for task in listed["tasks"].as_array().unwrap() {
        let is_root = task["id"] == "h0";
        assert_eq!(task.get("contextId").is_some(), is_root, "{task}");
    }
    let own = bound.get("/compat/a2a/tasks?contextId=h0").await.ok();
    assert_eq!(own["totalSize"], 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_shows_a_chain_as_one_branch() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let caller = Caller::new(&app, "acme").await;
    let ids = chain(&caller).await;
    let url = format!("http://{}", app.host());
    let args = ["show", "h7", "--tree", "--url", &url];
    let args = args.map(str::to_owned);
    let key = app.key(grant("acme", Roles::ALL)).await;
    let shown = tokio::task::spawn_blocking(move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        cli::with_key(&key, &args)
    });
    let output = shown.await.unwrap();
    let tree = cli::stdout(&output);
    assert!(output.status.success(), "{}", cli::stderr(&output));
    // Each session stands below the one that handed over to it, one step further in.
    let mut indent = None;
    for (id, line) in ids.iter().zip(tree.lines().skip(1)) {
        let row = line.trim_start_matches(['|', ' ', '-', '*']);
        assert_eq!(row.split_whitespace().next(), Some(id.as_str()), "{tree}");
        let branch = Some(line.len() - row.len());
        assert!(indent < branch, "{id}: {tree}");
        indent = branch;
    }
    assert_eq!(tree.lines().count(), 1 + ids.len(), "{tree}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_last_session_of_a_chain_is_live() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let caller = Caller::new(&app, "acme").await;
    let ids = chain(&caller).await;
    let path = format!("/compat/apphandoff/api/projects/{EVERY_PROJECT}/agent-activity");
    let activity = caller.client.get(&path).await.ok();
    assert_eq!(
        activity["sessions"].as_array().unwrap().len(),
        1,
        "{activity}"
    );
    let ended = activity["session_history"].as_array().unwrap();
    assert_eq!(ended.len(), ids.len() - 1);
    let working = caller
        .client
        .get("/compat/a2a/tasks?status=TASK_STATE_WORKING");
    let working = working.await.ok();
    assert_eq!(working["totalSize"], 1);
    assert_eq!(working["tasks"][0]["id"], *ids[ids.len() - 1]);
    app.stop().await;
}
