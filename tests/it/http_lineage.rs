//! The lineage of a session: the sessions above it, below it, and at the end of its hand-offs.

use std::collections::HashMap;

use serde_json::{Value, json};

use session_ledger::auth::{Grant, Role};
use session_ledger::domain::AgentId;

use crate::support::app::{App, NOW, grant};
use crate::support::client::{Client, created, event};

/// What a test knows of the sessions that it has opened.
#[derive(Default)]
struct Forest {
    sessions: Vec<String>,
    parent: HashMap<String, String>,
    children: HashMap<String, Vec<String>>,
    successor: HashMap<String, String>,
    events: Vec<Value>,
}

impl Forest {
    fn open(&mut self, parent: Option<&str>) -> String {
        let id = format!("s{}", self.sessions.len());
        let mut opened = created(&id, &format!("a{}", self.sessions.len() % 3), NOW);
        if let Some(parent) = parent {
            opened["data"]["parent_session_id"] = json!(parent);
            self.add(parent, &id);
        }
        self.events.push(opened);
        self.sessions.push(id.clone());
        id
    }

    fn hand_off(&mut self, from: &str) -> String {
        // Characters that a link has to escape.
        let id = format!("h{}:~", self.sessions.len());
        let data = json!({"to_agent_id": "a1", "session_id": id});
        let number = self.events.len();
        let handed_off = event(&format!("e{number}"), "session.handed_off", from, &data);
        self.events.push(handed_off);
        self.add(from, &id);
        self.successor.insert(from.to_owned(), id.clone());
        self.sessions.push(id.clone());
        id
    }

    fn add(&mut self, parent: &str, child: &str) {
        self.parent.insert(child.to_owned(), parent.to_owned());
        let children = self.children.entry(parent.to_owned()).or_default();
        children.push(child.to_owned());
    }

    /// Sends the events that have not been sent, and waits for their verdicts.
    async fn send(&mut self, client: &Client) {
        for events in std::mem::take(&mut self.events).chunks(1_000) {
            let body = Value::from(events).to_string();
            let media_type = "application/cloudevents-batch+json";
            let answer = client.post("/v1/events", media_type, body).await.ok();
            for result in answer["results"].as_array().unwrap() {
                assert_eq!(result["verdict"], "applied", "{result}");
            }
        }
    }

    fn ancestors(&self, id: &str) -> Vec<String> {
        let above = std::iter::successors(self.parent.get(id), |id| self.parent.get(*id));
        let mut above: Vec<String> = above.cloned().collect();
        above.reverse();
        above
    }

    fn holder<'a>(&'a self, id: &'a str) -> &'a str {
        let mut at = id;
        while let Some(next) = self.successor.get(at) {
            at = next;
        }
        at
    }

    fn descendants(&self, id: &str, depth: u64, found: &mut Vec<(u64, String)>) {
        for child in self.children.get(id).into_iter().flatten() {
            found.push((depth, child.clone()));
            self.descendants(child, depth + 1, found);
        }
    }
}

fn ids(sessions: &Value) -> Vec<String> {
    let sessions = sessions.as_array().unwrap().iter();
    let id = |session: &Value| session["session_id"].as_str().unwrap().to_owned();
    sessions.map(id).collect()
}

fn nodes(page: &Value) -> Vec<(u64, String)> {
    let nodes = page["descendants"].as_array().unwrap().iter();
    let node = |node: &Value| {
        let id = node["session"]["session_id"].as_str().unwrap();
        (node["depth"].as_u64().unwrap(), id.to_owned())
    };
    nodes.map(node).collect()
}

fn path(id: &str) -> String {
    format!("/v1/agent-sessions/{id}/lineage")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lineage_is_that_of_a_naive_model_for_random_forests() {
    let app = App::start().await;
    let mut random = fastrand::Rng::with_seed(13);
    for tenant in ["acme", "globex"] {
        let client = app.client(tenant);
        let mut forest = Forest::default();
        let mut open: Vec<String> = Vec::new();
        for _ in 0..80 {
            let id = match random.usize(0..10) {
                2..7 if !open.is_empty() => {
                    let parent = random.choice(&open).unwrap().clone();
                    forest.open(Some(&parent))
                }
                7.. if !open.is_empty() => {
                    let from = open.swap_remove(random.usize(..open.len()));
                    forest.hand_off(&from)
                }
                _ => forest.open(None),
            };
            open.push(id);
        }
        forest.send(&client).await;
        for id in &forest.sessions {
            let mut expected = Vec::new();
            forest.descendants(id, 1, &mut expected);
            let limit = random.usize(1..5);
            let (mut found, mut next) = (Vec::new(), format!("{}?limit={limit}", path(id)));
            loop {
                let answer = client.get(&next).await;
                let page = answer.ok();
                assert_eq!(page["session"]["session_id"], **id);
                assert_eq!(ids(&page["ancestors"]), forest.ancestors(id), "{id}");
                assert_eq!(page["more_ancestors"], false);
                assert_eq!(page["holder"]["session_id"], *forest.holder(id));
                found.extend(nodes(&page));
                let link = answer.header("link").split(", ").last().unwrap();
                match page["next_after"].as_str() {
                    Some(after) => {
                        assert_eq!(after, found.last().unwrap().1);
                        let (query, _) = link.split_once(">; rel=\"next\"").unwrap();
                        next = format!("{}{}", path(id), query.strip_prefix('<').unwrap());
                    }
                    None => break,
                }
            }
            assert_eq!(found, expected, "{id}, {limit} at a time");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_chain_is_cut_and_goes_on_in_the_lineage_of_its_last_session() {
    let app = App::start().await;
    let client = app.client("acme");
    let mut forest = Forest::default();
    let mut last = forest.open(None);
    for _ in 0..1_010 {
        last = forest.hand_off(&last);
    }
    forest.send(&client).await;
    let walk = async |from: &str| {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = client
                .get(&format!("{}?limit=200{after}", path(from)))
                .await
                .ok();
            found.extend(page["descendants"].as_array().unwrap().clone());
            match page["next_after"].as_str() {
                Some(id) => after = format!("&after={id}"),
                None => return found,
            }
        }
    };
    let found = walk("s0").await;
    assert_eq!(found.len(), 1_000);
    let cut: Vec<bool> = found
        .iter()
        .map(|node| node["more_below"] == true)
        .collect();
    assert!(cut[999] && !cut[..999].contains(&true));
    let deepest = found[999]["session"]["session_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(walk(&deepest).await.len(), 10);

    let page = client.get(&path(&last)).await.ok();
    let above = forest.ancestors(&last);
    assert_eq!(ids(&page["ancestors"]), above[above.len() - 200..]);
    assert_eq!(page["more_ancestors"], true);
    let first = client.get(&path("s0")).await.ok();
    assert_eq!(first["holder"]["session_id"], *last);
    // Too deep, so no page can have ended there.
    let refused = client.get(&format!("{}?after={last}", path("s0"))).await;
    refused.problem(400, "invalid_parameter");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_starts_only_after_a_descendant() {
    let app = App::start().await;
    let client = app.client("acme");
    let mut forest = Forest::default();
    let root = forest.open(None);
    let child = forest.open(Some(&root));
    let other = forest.open(None);
    forest.send(&client).await;
    let after = |id: &str| format!("{}?after={id}", path(&root));
    assert!(nodes(&client.get(&after(&child)).await.ok()).is_empty());
    for id in [&root, &other, "unknown"] {
        let refused = client
            .get(&after(id))
            .await
            .problem(400, "invalid_parameter");
        assert_eq!(refused["errors"][0]["field"], "after");
    }
    client.get(&path("unknown")).await.problem(404, "not_found");
    let stranger = app.client("globex");
    stranger.get(&path(&root)).await.problem(404, "not_found");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_an_agent_is_shown_only_what_it_reaches_through_that_agents_sessions() {
    let app = App::start_with_credentials(|credentials| credentials).await;
    let client = app
        .client_with_key("acme", [Role::Write].into_iter().collect())
        .await;
    let mut forest = Forest::default();
    // The agents are a0, a1, a2, a0, a1, a2, a0; the hand-off is to a1.
    let root = forest.open(None);
    let other = forest.open(Some(&root));
    let below_other = forest.open(Some(&other));
    let own = forest.open(Some(&root));
    forest.open(Some(&below_other));
    forest.open(None);
    // Of a0, and below sessions of others.
    let hidden_own = forest.open(Some(&below_other));
    forest.hand_off(&own);
    forest.send(&client).await;
    let of_a0 = Grant {
        agent: Some(AgentId::parse("a0").unwrap()),
        ..grant("acme", [Role::Read].into_iter().collect())
    };
    let bound = client.with_key(&app.key(of_a0).await);
    let page = bound.get(&path(&root)).await.ok();
    assert_eq!(nodes(&page), [(1, own.clone())]);
    let page = bound.get(&path(&own)).await.ok();
    assert_eq!(ids(&page["ancestors"]), [&*root]);
    assert_eq!(
        (&page["holder"], &page["descendants"]),
        (&Value::Null, &json!([]))
    );
    bound.get(&path(&other)).await.problem(404, "not_found");
    bound.get(&path(&hidden_own)).await.ok();
    for hidden in [&other, &below_other, &hidden_own] {
        let after = format!("{}?after={hidden}", path(&root));
        bound.get(&after).await.problem(400, "invalid_parameter");
    }
    app.stop().await;
}

/// The ids of a listing's pages, of two rows each, and its total.
async fn listed(client: &Client, filter: &str) -> (Vec<String>, u64) {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client
            .get(&format!("/v1/agent-sessions?limit=2&{filter}{cursor}"))
            .await
            .ok();
        rows.extend(ids(&page["sessions"]));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (rows, page["total"].as_u64().unwrap()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roots_and_children_are_listings_with_totals_now_and_then() {
    let app = App::start().await;
    let client = app.client("acme");
    let mut forest = Forest::default();
    let root = forest.open(None);
    let child = forest.open(Some(&root));
    forest.open(Some(&child));
    let other = forest.open(None);
    forest.open(Some(&root));
    forest.send(&client).await;
    let then = client.get("/v1/agent-sessions").await.ok()["as_of"]["position"].clone();
    let handed = forest.hand_off(&other);
    forest.open(None);
    forest.send(&client).await;
    let escaped = handed.replace(':', "%3A").replace('~', "%7E");
    for (filter, expected) in [
        ("root=true".to_owned(), vec!["s6", "s3", "s0"]),
        ("root=true&status=active".to_owned(), vec!["s6", "s0"]),
        ("root=false".to_owned(), vec![&*handed, "s4", "s2", "s1"]),
        (format!("parent_session_id={root}"), vec!["s4", "s1"]),
        (format!("parent_session_id={child}"), vec!["s2"]),
        (format!("parent_session_id={other}"), vec![&*handed]),
        (format!("parent_session_id={escaped}"), vec![]),
        ("parent_session_id=unknown".to_owned(), vec![]),
        (format!("parent_session_id={root}&root=true"), vec![]),
        (
            "agent_id=a0&agent_id=a2".to_owned(),
            vec!["s6", "s3", "s2", "s0"],
        ),
        ("agent_id=a0&agent_id=a0&root=false".to_owned(), vec![]),
        (format!("root=true&as_of={then}"), vec!["s3", "s0"]),
        (
            format!("root=true&status=active&as_of={then}"),
            vec!["s3", "s0"],
        ),
        (format!("root=false&as_of={then}"), vec!["s4", "s2", "s1"]),
        (format!("parent_session_id={other}&as_of={then}"), vec![]),
    ] {
        let (rows, total) = listed(&client, &filter).await;
        assert_eq!(
            (rows, total),
            (
                expected.iter().map(ToString::to_string).collect(),
                expected.len() as u64
            ),
            "{filter}"
        );
    }
    app.stop().await;
}
