//! Sessions: an agent opens them with its key, and users of the project list them.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde_json::json;

use super::failure::{Failure, Refusal, success};
use super::words::iso;
use super::{agent, meta, session_token};
use crate::dialects::sdk::change::{self, Change};
use crate::dialects::sdk::whole_list::WholeList;
use crate::domain::command::NewSession;
use crate::domain::event::{Created, Deadline};
use crate::domain::filter::Owner;
use crate::domain::session::Profile;
use crate::domain::{Reason, SessionFilter, Timestamp};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::caller::{Caller, Read};
use crate::http::response::json::Json;
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::ledger::ClientKind;
use crate::projection::SessionRow;

/// Lists every session of an agent, also those that have ended.
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller<Read>,
    uri: Uri,
) -> Result<Response, Failure> {
    let id = agent_id(&uri).ok_or(Refusal::AgentIdRequired)?;
    let agent = agent::find(&app, caller.sight(), &id)?.ok_or(Refusal::NoAccess)?;
    let id = json!(agent.id);
    let before = format!(
        r#"{{"status":1,"status_description":"agent_sessions_listed","response":{{"agent_id":{id},"sessions":["#
    );
    let list = WholeList {
        principal: caller.principal().clone(),
        filter: SessionFilter {
            owner: Owner::agent(agent.id),
            ..SessionFilter::default()
        },
        shows: |_row, _now| true,
        write,
        frame: [before, "]}}".to_owned()],
    };
    Ok(list.answer(&app)?)
}

/// The agent that the query names. As on the vendor's servers, the last of several counts. An empty
/// id counts as absent.
fn agent_id(uri: &Uri) -> Option<String> {
    let query = uri.query().unwrap_or_default();
    let named = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "agent_id");
    let id = named.last()?.1.into_owned();
    Some(id).filter(|id| !id.is_empty())
}

fn write(out: &mut Json, row: &SessionRow<'_>, _now: Timestamp) {
    out.raw("{\"id\":");
    out.text(row.session_id);
    out.raw(",\"agent_key_id\":");
    out.text_or_null(row.profile.agent_key_id);
    out.raw(",\"created_at\":");
    out.text(&iso(row.created_at));
    out.raw(",\"meta\":");
    out.raw(meta::shown(row.metadata));
    out.raw("}");
}

/// Opens a session for the agent of the key.
pub(super) async fn create(
    State(app): State<App>,
    Change(command): Change,
) -> Result<Response, Failure> {
    let by = command.by();
    let agent = agent::of_key(&app, command.sight())?;
    let metadata = meta::read(&command.body)?;
    let created = Created {
        deadline: Some(Deadline::after_seconds(session_token::TTL_S.into())),
        metadata,
        profile: Profile {
            agent_key_id: by.actor.map(Into::into),
            ..Profile::default()
        },
        ..Created::new(agent.id.clone())
    };
    let new = NewSession { id: None, created };
    let done = app.commands().create(by, new, ClientKind::Simple).await;
    let done = done.map_err(Problem::from).map_err(refused)?;
    let stepped = change::stepped(&app, &command, &done.session, &done).map_err(refused)?;
    let (status, opened_at) = match &stepped {
        Some(stepped) => {
            let row = stepped.session.row().map_err(change::after_writing)?;
            (Success::Ok, row.created_at)
        }
        None => (Success::Accepted, app.now()),
    };
    let payload = json!({
        "Header_value": "X-OTAS-AGENT-SESSION-TOKEN",
        "jwt_token": session_token::issue(&app, &done.session, &agent.id, opened_at),
    });
    Ok(success(
        status,
        "agent_session_created",
        "response",
        &payload,
    ))
}

/// The agent may have been suspended after its key was checked.
fn refused(problem: Problem) -> Failure {
    match problem.code() {
        Code::Event(Reason::AgentSuspended | Reason::AgentRevoked | Reason::AgentExpired) => {
            Refusal::InvalidAgentKey.into()
        }
        _ => problem.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_is_the_last_one_that_the_query_names() {
        let check = |query: &str, expected: Option<&str>| {
            let uri: Uri = format!("/list/{query}").parse().unwrap();
            assert_eq!(agent_id(&uri).as_deref(), expected, "{query}");
        };
        check("", None);
        check("?agent_id=", None);
        check("?agent_id", None);
        check("?agent=a", None);
        check("?agent_id=a&x=1&agent_id=b+%2Bc", Some("b +c"));
        check("?agent_id=%ff%00", Some("\u{fffd}\0"));
    }
}
