//! Whether each client has what the ledger has.

use serde_json::Value;

use super::followed::{HISTORIES, LISTINGS};
use crate::follower::{Follower, HeldRow};
use crate::http::{self, Connection};

/// How many followers of listings and of histories have something else. Nothing may be published meanwhile.
pub(super) async fn wrong(
    connection: &mut Connection,
    key: &str,
    since: u64,
    followers: &[Follower],
) -> [(&'static str, u64); 2] {
    let mut wrong = [
        (
            "clients whose rows or totals are not those of the listing",
            0,
        ),
        (
            "clients that missed an event, or got one twice or out of order",
            0,
        ),
    ];
    for (number, listing) in LISTINGS.iter().enumerate() {
        let (query, window) = (listing.query, listing.window);
        let list = format!("/v1/agent-sessions?{query}limit={window}");
        let page = connection.json(&http::get(&list, key)).await;
        let count = format!("/v1/agent-sessions/count?{}", query.trim_end_matches('&'));
        let count = connection.json(&http::get(&count, key)).await;
        let followers = followers.iter().filter(|one| one.what == number);
        let others = followers.filter(|one| !holds(one, &page, &count));
        wrong[0].1 += others.count() as u64;
    }
    for (number, (query, _)) in (LISTINGS.len()..).zip(HISTORIES) {
        let all = positions(connection, key, query, since).await;
        let followers = followers.iter().filter(|one| one.what == number);
        let others = followers.filter(|one| one.events != all);
        wrong[1].1 += others.count() as u64;
    }
    wrong
}

fn holds(follower: &Follower, page: &Value, count: &Value) -> bool {
    let row = |row: &HeldRow| serde_json::from_slice(&row.session).unwrap();
    let rows: Vec<Value> = follower.rows.iter().map(row).collect();
    let synced: Value = serde_json::from_slice(&follower.synced).unwrap();
    page["sessions"] == Value::from(rows)
        && page["total"] == synced["total"]
        && count["by_status"] == synced["by_status"]
}

/// The positions of all events after one that match a filter. One that was parked first did not match a filter by agent
/// when it came.
async fn positions(connection: &mut Connection, key: &str, query: &str, since: u64) -> Vec<u64> {
    let (mut all, mut after) = (Vec::new(), Some(since));
    while let Some(from) = after {
        let target = format!("/v1/events?{query}limit=1000&after={from}");
        let page = connection.json(&http::get(&target, key)).await;
        let events = page["events"].as_array().expect("a page has events");
        let matched = |event: &&Value| event["settled_at"].is_null() || !query.contains("agent_id");
        let events = events.iter().filter(matched);
        let positions = events.map(|event| event["position"].as_u64());
        all.extend(positions.map(|position| position.expect("an event has a position")));
        after = page["next_after"].as_u64();
    }
    all
}
