//! Every cell of the transition tables in `domain::session` and `domain::agent` that a client can reach,
//! as stories.

use serde_json::{Value, json};

use super::story::{SentBy, Step, Story, with};

/// The events about sessions that clients may send.
pub(super) const SESSION_EVENTS: [&str; 4] = [
    "session.created",
    "session.refreshed",
    "session.handed_off",
    "session.terminated",
];
pub(super) const SESSION_STATES: [&str; 5] =
    ["unknown", "active", "terminated", "expired", "handed_off"];

pub(super) const AGENT_EVENTS: [&str; 5] = [
    "agent.registered",
    "agent.updated",
    "agent.suspended",
    "agent.reinstated",
    "agent.revoked",
];
pub(super) const AGENT_STATES: [&str; 5] =
    ["unknown", "implicit", "active", "suspended", "revoked"];

/// The agents that are registered before the stories of sessions begin.
pub(super) const AGENTS: [&str; 2] = ["a-1", "a-2"];

fn created(ttl_seconds: u64) -> Step {
    let data = json!({
        "agent_id": "a-1", "scopes": ["files:read", "net:read"], "metadata": {"k": 1},
        "project_id": "p-1", "phase": "ready", "ttl_seconds": ttl_seconds,
    });
    Step::new("session.created", data)
}

fn refreshed() -> Step {
    let data = json!({"ttl_seconds": 7200, "phase": "running", "metadata": {"k": null, "n": 2}});
    Step::new("session.refreshed", data)
}

fn handed_off(child: &str) -> Step {
    let data = json!({
        "to_agent_id": "a-2", "session_id": child, "scopes": ["files:read"],
        "metadata": {"from": "a-1"}, "ttl_seconds": 60, "reason": "another matter",
    });
    Step::new("session.handed_off", data)
}

fn terminated() -> Step {
    let data = json!({"outcome": "completed", "reason": "done"});
    Step::new("session.terminated", data)
}

fn deleted() -> Step {
    Step::new("session.terminated", json!({"outcome": "deleted"}))
}

/// A deletion of an ended session, and another one. The session keeps how it ended.
fn deleted_once(deleted_again: &'static str) -> [Step; 2] {
    [
        deleted().changes(json!({"deleted_at": "$now", "updated_at": "$now"})),
        deleted().refused(deleted_again),
    ]
}

/// Returns the row of a session about which only its opening is known, with some members replaced.
fn opened(id: &str, members: &Value) -> Value {
    let row = json!({
        "session_id": id, "status": "active",
        "agent_name": null, "agent_key_id": null, "phase": null, "outcome": null,
        "expires_at": null, "parent_session_id": null, "handed_off_to": null,
        "handed_off_session_id": null, "project_id": null, "user_id": null, "machine_id": null,
        "caller_role": null, "caller_origin": null, "ip_address": null, "user_agent": null,
        "refreshed_at": null, "terminated_at": null, "deleted_at": null,
        "last_activity_at": "$opened",
        "created_at": "$opened", "recorded_at": "$opened", "updated_at": "$opened",
        "time_adjusted": false,
    });
    with(&row, members)
}

/// Returns the row of a session that [`created`] opens.
fn row(id: &str, expires_at: &str) -> Value {
    let members = json!({
        "agent_id": "a-1", "scopes": ["files:read", "net:read"], "metadata": {"k": 1},
        "project_id": "p-1", "phase": "ready", "expires_at": expires_at,
    });
    opened(id, &members)
}

/// Returns the row of the child that [`handed_off`] opens.
pub(super) fn child(id: &str, parent: &str) -> Value {
    let members = json!({
        "agent_id": "a-2", "scopes": ["files:read"], "metadata": {"from": "a-1"},
        "project_id": "p-1", "parent_session_id": parent, "expires_at": "$now+60",
        "created_at": "$now", "recorded_at": "$now", "updated_at": "$now",
        "last_activity_at": "$now",
    });
    opened(id, &members)
}

/// The rejections of every event after a session has ended.
fn ended(terminated_again: &'static str) -> [Step; 4] {
    [
        created(3600).refused("already_exists"),
        refreshed().refused("not_active"),
        handed_off("nobody").refused("not_active"),
        terminated().refused(terminated_again),
    ]
}

pub(super) fn sessions() -> Vec<Story> {
    let unknown = vec![
        refreshed().too_early(),
        handed_off("nobody").too_early(),
        terminated().too_early(),
    ];
    let mut terminates = vec![
        created(3600).changes(row("terminates", "$opened+3600")),
        created(3600).refused("already_exists"),
        refreshed().changes(json!({
            "refreshed_at": "$now", "last_activity_at": "$now", "updated_at": "$now",
            "expires_at": "$now+7200", "phase": "running", "metadata": {"n": 2},
        })),
        terminated().changes(json!({
            "status": "terminated", "outcome": "completed", "terminated_at": "$now",
            "updated_at": "$now",
        })),
    ];
    terminates.extend(ended("already_ended"));
    terminates.extend(deleted_once("already_ended"));
    terminates.extend(ended("already_ended"));
    let mut is_deleted = vec![
        created(3600).changes(row("is-deleted", "$opened+3600")),
        deleted().changes(json!({
            "status": "terminated", "outcome": "deleted", "terminated_at": "$now",
            "deleted_at": "$now", "updated_at": "$now",
        })),
        deleted().refused("already_ended"),
    ];
    is_deleted.extend(ended("already_ended"));
    let mut hands_off = vec![
        created(3600).changes(row("hands-off", "$opened+3600")),
        handed_off("child").changes(json!({
            "status": "handed_off", "handed_off_to": "a-2", "handed_off_session_id": "child",
            "updated_at": "$now",
        })),
    ];
    hands_off.extend(ended("not_active"));
    hands_off.extend(deleted_once("not_active"));
    hands_off.extend(ended("not_active"));
    let expired = json!({"status": "expired", "updated_at": "$opened+1"});
    let mut expires = vec![
        created(1).unseen(),
        Step::new("session.expired", json!({}))
            .sent_by(SentBy::Ledger)
            .changes(with(&row("expires", "$opened+1"), &expired)),
    ];
    expires.extend(ended("not_active"));
    expires.extend(deleted_once("not_active"));
    // The runtime's termination is dated before the expiry, so it replaces it. A deletion never does.
    let early_deletion = deleted().sent_by(SentBy::RuntimeAtOpening);
    expires.push(early_deletion.refused("not_active"));
    expires.push(terminated().sent_by(SentBy::RuntimeAtOpening).changes(
        json!({"status": "terminated", "outcome": "completed", "terminated_at": "$opened"}),
    ));
    [
        ("never-opens", unknown),
        ("terminates", terminates),
        ("is-deleted", is_deleted),
        ("hands-off", hands_off),
        ("expires", expires),
    ]
    .map(|(id, steps)| Story { id, steps })
    .into()
}

fn registered() -> Step {
    Step::new("agent.registered", profile())
}

fn updated() -> Step {
    let data = json!({
        "display_name": "Six", "scopes": ["net:read"], "metadata": {"team": "y"},
        "trust_level": "verified_org", "trust_score": 0.75,
    });
    let changes = with(&data, &json!({"updated_at": "$now"}));
    Step::new("agent.updated", data).changes(changes)
}

fn suspended() -> Step {
    Step::new("agent.suspended", json!({"reason": "odd"})).changes(json!({
        "status": "suspended", "suspended_at": "$now", "updated_at": "$now",
    }))
}

fn reinstated() -> Step {
    Step::new("agent.reinstated", json!({"reason": "a test"})).changes(json!({
        "status": "active", "suspended_at": null, "updated_at": "$now",
    }))
}

fn revoked() -> Step {
    Step::new("agent.revoked", json!({"reason": "leaked"})).changes(json!({
        "status": "revoked", "revoked_at": "$now", "updated_at": "$now",
    }))
}

/// Returns every field of an agent's registration.
fn profile() -> Value {
    json!({
        "agent_type": "worker", "display_name": "Seven", "description": "Reads mail.",
        "scopes": ["files:*", "!files:delete"], "metadata": {"team": "x"},
        "trust_level": "authenticated", "trust_score": 0.5, "public_key": "MCow", "key_id": "k-1",
        "parent_agent_id": "a-0", "created_by_user_id": "u-1",
        "expires_at": "2999-01-31T00:00:00.000000Z",
    })
}

/// Returns the row of a known agent without data, with some members replaced.
fn agent(id: &str, members: &Value) -> Value {
    let row = json!({
        "agent_id": id, "agent_type": null, "display_name": null, "description": null,
        "status": "active", "registered": true, "trust_level": null, "trust_score": null,
        "scopes": null, "metadata": {}, "public_key": null, "key_id": null,
        "parent_agent_id": null, "created_by_user_id": null, "session_count": 0,
        "active_session_count": 0, "expires_at": null, "suspended_at": null, "revoked_at": null,
        "created_at": "$opened", "recorded_at": "$opened", "updated_at": "$opened",
    });
    with(&row, members)
}

/// A session that names the agent, and ends.
fn mentioned(id: &str) -> Step {
    let members = json!({"agent_type": "unknown", "registered": false, "session_count": 1});
    Step::new("session.created", json!({"agent_id": id}))
        .sent_by(SentBy::FirstSession)
        .changes(agent(id, &members))
}

pub(super) fn agents() -> Vec<Story> {
    let unknown = vec![
        updated().refused("not_found"),
        suspended().refused("not_found"),
        reinstated().refused("not_found"),
        revoked().refused("not_found"),
    ];
    let whole_life = vec![
        registered().changes(agent("lives", &profile())),
        registered().refused("already_exists"),
        updated(),
        reinstated().refused("not_suspended"),
        suspended(),
        registered().refused("already_exists"),
        updated(),
        suspended().refused("already_suspended"),
        reinstated(),
        revoked(),
        registered().refused("already_exists"),
        updated().refused("agent_revoked"),
        suspended().refused("agent_revoked"),
        reinstated().refused("agent_revoked"),
        revoked().refused("already_revoked"),
    ];
    let revoked_from_suspended = vec![
        registered().changes(agent("sinks", &profile())),
        suspended(),
        revoked(),
    ];
    let adopted = with(
        &profile(),
        &json!({"registered": true, "updated_at": "$now"}),
    );
    let implicit = vec![
        mentioned("implicit"),
        reinstated().refused("not_suspended"),
        updated(),
        registered().changes(adopted),
    ];
    let implicit_suspended = vec![mentioned("implicit-suspended"), suspended()];
    let implicit_revoked = vec![mentioned("implicit-revoked"), revoked()];
    [
        ("nobody", unknown),
        ("lives", whole_life),
        ("sinks", revoked_from_suspended),
        ("implicit", implicit),
        ("implicit-suspended", implicit_suspended),
        ("implicit-revoked", implicit_revoked),
    ]
    .map(|(id, steps)| Story { id, steps })
    .into()
}
