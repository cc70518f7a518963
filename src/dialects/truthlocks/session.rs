//! A session in the words of Truthlocks. No token is part of it.

use super::object::Object;
use super::scope;
use crate::domain::Timestamp;
use crate::http::response::json::Json;
use crate::projection::SessionRow;

/// Writes a session as it is at this time. Past its deadline it is not active, even if its expiry
/// is not on the log yet.
pub(super) fn write(out: &mut Json, row: &SessionRow<'_>, now: Timestamp) {
    let mut object = Object::begin(out);
    write_members(&mut object, row, now);
    object.end();
}

/// Writes the members of a session into an object that has other members too.
pub(super) fn write_members(object: &mut Object<'_>, row: &SessionRow<'_>, now: Timestamp) {
    object.value("id", row.session_id);
    object.value("session_id", row.session_id);
    object.value("agent_id", row.agent_id);
    object.value("status", row.status_at(now).as_str());
    scope::write(object, row.scopes);
    object.raw("metadata", row.metadata);
    object.value("expires_at", &row.expires_at);
    object.value("parent_session_id", &row.parent_session_id);
    object.value("handed_off_to", &row.handed_off_to);
    object.value("ip_address", &row.profile.ip_address);
    object.value("user_agent", &row.profile.user_agent);
    object.value("refreshed_at", &row.refreshed_at);
    object.value("terminated_at", &row.terminated_at);
    object.value("created_at", &row.created_at);
    object.value("updated_at", &row.updated_at);
}
