//! An agent in the words of Truthlocks, and its trust level and score.
//!
//! Editors expect that every agent has a name, a type and a score. So the answers have defaults for
//! fields that no event has set.

use super::object::Object;
use super::scope;
use crate::domain::TenantId;
use crate::http::response::json::Json;
use crate::projection::{AgentRow, KnownAgent, StoreError};

/// The trust score of an agent without one, in thousandths. This API registers agents with it.
pub(super) const TRUST_SCORE_MILLI_DEFAULT: u16 = 500;
const UNKNOWN: &str = "unknown";
/// The scopes of an agent without a bound.
const UNBOUNDED: &str = "[\"*\"]";

/// Writes an agent.
pub(super) fn write(
    out: &mut Json,
    tenant: &TenantId,
    agent: &KnownAgent,
) -> Result<(), StoreError> {
    let mut object = Object::begin(out);
    write_members(&mut object, tenant, agent)?;
    object.end();
    Ok(())
}

/// Writes the members of an agent into an object that has other members too.
pub(super) fn write_members(
    object: &mut Object<'_>,
    tenant: &TenantId,
    agent: &KnownAgent,
) -> Result<(), StoreError> {
    let row = agent.row()?;
    let name = row.texts.display_name.unwrap_or(row.agent_id);
    let scopes = row.scopes.unwrap_or(UNBOUNDED);
    object.value("id", row.agent_id);
    object.value("agent_id", row.agent_id);
    object.value("tenant_id", tenant);
    object.value("agent_type", row.texts.agent_type.unwrap_or(UNKNOWN));
    object.value("display_name", name);
    object.value("name", name);
    object.value("description", &row.texts.description);
    object.value("status", row.status.as_str());
    object.value("trust_level", trust_level(&row));
    object.value("trust_score", &trust_score(&row));
    scope::write(object, scopes);
    object.raw("capabilities", scopes);
    object.raw("metadata", row.metadata.unwrap_or("{}"));
    write_keys(object, &row);
    object.value("session_count", &agent.sessions);
    object.value("parent_agent_id", &row.texts.parent_agent_id);
    // The depth is known only for agents without a parent.
    let depth = row.texts.parent_agent_id.is_none().then_some(0);
    object.value("delegation_depth", &depth);
    object.value("created_by_user_id", &row.texts.created_by_user_id);
    object.raw("compromised_at", "null");
    object.value("expires_at", &row.expires_at);
    object.value("suspended_at", &row.suspended_at);
    object.value("revoked_at", &row.revoked_at);
    object.value("created_at", &row.created_at);
    object.value("updated_at", &row.updated_at);
    Ok(())
}

/// Writes the registered public key, if any. The ledger makes no keys, and knows no algorithm.
fn write_keys(object: &mut Object<'_>, row: &AgentRow<'_>) {
    object.value("public_key", &row.texts.public_key);
    object.value("key_id", &row.texts.key_id);
    object.member("keys", |out| {
        out.raw("[");
        if let Some(key) = row.texts.public_key {
            let mut object = Object::begin(out);
            object.value("kid", &row.texts.key_id);
            object.raw("algorithm", "null");
            object.value("public_key", key);
            object.value("status", row.status.as_str());
            object.end();
        }
        out.raw("]");
    });
}

/// Writes the trust level and score that an event has set. The ledger computes nothing.
pub(super) fn write_trust(out: &mut Json, agent: &KnownAgent) -> Result<(), StoreError> {
    let row = agent.row()?;
    let mut object = Object::begin(out);
    object.value("agent_id", row.agent_id);
    object.value("score", &trust_score(&row));
    object.value("trust_score", &trust_score(&row));
    object.value("level", trust_level(&row));
    object.value("trust_level", trust_level(&row));
    object.raw("factors", "[]");
    object.value("computed_at", &row.updated_at);
    object.value("updated_at", &row.updated_at);
    object.end();
    Ok(())
}

fn trust_level<'a>(row: &AgentRow<'a>) -> &'a str {
    row.texts.trust_level.unwrap_or(UNKNOWN)
}

fn trust_score(row: &AgentRow<'_>) -> f64 {
    let milli = row.trust_score_milli.unwrap_or(TRUST_SCORE_MILLI_DEFAULT);
    f64::from(milli) / 1000.0
}
