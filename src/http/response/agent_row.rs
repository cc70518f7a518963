//! Writes an agent as a row of the API, directly from the stored bytes.
//!
//! Scopes and metadata are copied unchanged, because they were validated as JSON before they were
//! stored. Tests compare rows with the serde output of [`Agent`](crate::http::dto::Agent).

use crate::http::response::json::Json;
use crate::projection::{KnownAgent, StoreError};

/// Writes an agent with its session counts.
pub(crate) fn write(out: &mut Json, agent: &KnownAgent) -> Result<(), StoreError> {
    let row = agent.row()?;
    out.raw("{\"agent_id\":");
    out.text(row.agent_id);
    out.texts(row.texts.each());
    out.raw(",\"status\":");
    out.text(row.status.as_str());
    out.raw(",\"registered\":");
    out.value(&row.registered);
    out.raw(",\"trust_score\":");
    out.value(&row.trust_score_milli.map(|milli| f64::from(milli) / 1000.0));
    out.raw(",\"scopes\":");
    out.raw(row.scopes.unwrap_or("null"));
    out.raw(",\"metadata\":");
    out.raw(row.metadata.unwrap_or("{}"));
    out.raw(",\"session_count\":");
    out.value(&agent.sessions);
    out.raw(",\"active_session_count\":");
    out.value(&agent.active_sessions);
    out.raw(",\"expires_at\":");
    out.time_or_null(row.expires_at);
    out.raw(",\"suspended_at\":");
    out.time_or_null(row.suspended_at);
    out.raw(",\"revoked_at\":");
    out.time_or_null(row.revoked_at);
    out.raw(",\"created_at\":");
    out.time(row.created_at);
    out.raw(",\"recorded_at\":");
    out.time(row.recorded_at);
    out.raw(",\"updated_at\":");
    out.time(row.updated_at);
    out.raw("}");
    Ok(())
}
