//! `GET /projects/{id}/agent-activity` and its batch: the live sessions of a project, their work,
//! and the newest sessions that have ended.

use axum::extract::State;
use axum::response::Response;
use serde_json::Value;

use super::project::{Project, missing};
use super::session;
use crate::auth::Principal;
use crate::dialects::sdk::fields::{Fields, wrong};
use crate::dialects::sdk::whole_list::{Part, WholeLists};
use crate::domain::filter::Owner;
use crate::domain::limits::PAGE_ROWS_DEFAULT;
use crate::domain::session::Status;
use crate::domain::{SessionFilter, StatusSet};
use crate::http::problem::Problem;
use crate::http::request::body::Body;
use crate::http::request::caller::{Caller, Read};
use crate::http::request::extract::Path;
use crate::http::response::json::Json;
use crate::http::state::App;
use crate::query::{self, PageStart, Sight};

/// The most projects of a batch, from the vendor's documents.
const PROJECTS_MAX: usize = 25;
/// The statuses of ended sessions.
const ENDED: [Status; 3] = [Status::Terminated, Status::Expired, Status::HandedOff];
/// Bytes of a usual history.
const HISTORY_BYTES: usize = 4096;

pub(super) async fn of_project(
    State(app): State<App>,
    caller: Caller<Read>,
    Path(project): Path<Project>,
) -> Result<Response, Problem> {
    let principal = caller.principal();
    let owner = project.owner(&app, caller.sight())?;
    let mut parts = vec![Part::text("{")];
    describe(&app, caller.sight(), owner, &mut parts)?;
    present(principal, parts).answer(&app)
}

pub(super) async fn of_projects(
    State(app): State<App>,
    caller: Caller<Read>,
    Body(body): Body,
) -> Result<Response, Problem> {
    let principal = caller.principal();
    let asked = asked(&Fields::parse(&body)?)?;
    let mut parts = vec![Part::text("{\"results\":[")];
    for (number, id) in asked.iter().enumerate() {
        let project = Project::parse(id).map_err(|_cannot_be| missing())?;
        let owner = project.owner(&app, caller.sight())?;
        let mut head = Json::default();
        head.raw(if number == 0 { "" } else { "," });
        head.raw("{\"project_id\":");
        head.text(id);
        head.raw(",");
        parts.push(Part::Text(head.into_bytes()));
        describe(&app, caller.sight(), owner, &mut parts)?;
    }
    parts.push(Part::text("]}"));
    present(principal, parts).answer(&app)
}

/// The ids that a batch names.
fn asked(fields: &Fields<'_>) -> Result<Vec<String>, Problem> {
    const NAME: &str = "project_ids";
    let ids: Option<Vec<Value>> = fields
        .raw(NAME)
        .and_then(|raw| serde_json::from_str(raw).ok());
    let ids = ids.filter(|ids| (1..=PROJECTS_MAX).contains(&ids.len()));
    let ids = ids.ok_or_else(|| {
        let message = format!("must be a list of 1 to {PROJECTS_MAX} ids of projects");
        wrong(NAME, message)
    })?;
    let id = |(number, id): (usize, &Value)| {
        let text = id.as_str().map(ToOwned::to_owned);
        text.ok_or_else(|| wrong(&format!("{NAME}.{number}"), "must be a string"))
    };
    ids.iter().enumerate().map(id).collect()
}

/// Adds the members of a project, without the opening brace.
fn describe(
    app: &App,
    sight: Sight<'_>,
    owner: Owner,
    parts: &mut Vec<Part>,
) -> Result<(), Problem> {
    let mut history = Json::with_capacity(HISTORY_BYTES);
    // No event reports the progress of a task.
    history.raw("],\"checkpoints\":[],\"session_history\":[");
    write_history(app, sight, owner.clone(), &mut history)?;
    history.raw("]}");
    parts.push(Part::text("\"sessions\":["));
    parts.push(Part::Rows(SessionFilter {
        owner,
        statuses: StatusSet::only(Status::Active),
        ..SessionFilter::default()
    }));
    parts.push(Part::Text(history.into_bytes()));
    Ok(())
}

/// Writes the newest sessions that have ended.
fn write_history(app: &App, sight: Sight<'_>, owner: Owner, out: &mut Json) -> Result<(), Problem> {
    let filter = SessionFilter {
        owner,
        statuses: StatusSet::of(&ENDED).expect("three statuses are some"),
        ..SessionFilter::default()
    };
    let (start, rows_max) = (PageStart::Offset(0), usize::from(PAGE_ROWS_DEFAULT));
    let page = app.read(|snapshot| {
        let page = query::sessions::list(snapshot, sight, &filter, start, rows_max);
        Ok(page?)
    })?;
    for (number, stored) in page.rows.iter().enumerate() {
        out.raw(if number == 0 { "" } else { "," });
        session::write_done(out, &stored.row()?);
    }
    Ok(())
}

fn present(principal: &Principal, parts: Vec<Part>) -> WholeLists {
    WholeLists {
        principal: principal.clone(),
        shows: session::is_live,
        write: session::write_present,
        parts,
    }
}
