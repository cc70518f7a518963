//! `show --tree`: prints the sessions above and below one.

use std::process::ExitCode;

use serde_json::Value;

use crate::cli::CommandResult;
use crate::cli::client::{Api, read};
use crate::cli::show::State;
use crate::cli::{output, table};
use crate::domain::limits::PAGE_ROWS_MAX;
use crate::http::dto::{Lineage, Session};

/// The most sessions below the session that are printed.
const DESCENDANTS_MAX: usize = 1_000;

/// Prints the lineage of a session, as a tree or as the API's JSON. With a past state, all its pages show that
/// state. Otherwise they may show later and later states, and the JSON names the first.
pub(super) async fn print(api: &Api, id: &str, state: Option<State>, json: bool) -> CommandResult {
    let mut lineage: Value = page(api, id, None, state.as_ref()).await?;
    // Of `now` or a time, the first page says which position that is.
    let position = lineage["as_of"]["position"].to_string();
    let state = state.map(|(name, _)| (name, position));
    while let Some(after) = lineage["next_after"].as_str().map(str::to_owned) {
        if DESCENDANTS_MAX <= descendants(&mut lineage).len() {
            break;
        }
        let mut next: Value = page(api, id, Some(&after), state.as_ref()).await?;
        let more = std::mem::take(descendants(&mut next));
        descendants(&mut lineage).extend(more);
        lineage["next_after"] = next["next_after"].take();
    }
    if json {
        output::json(&lineage.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let lineage: Lineage = serde_json::from_value(lineage)?;
    output::data(&tree(&lineage))?;
    let root = lineage.ancestors.first().filter(|_| lineage.more_ancestors);
    if let Some(root) = root {
        let id = &root.session_id;
        output::note(format_args!(
            "the sessions above {id} are left out: ask for its tree"
        ));
    }
    let cut = lineage.descendants.iter().filter(|below| below.more_below);
    for id in cut.map(|below| &below.session.session_id) {
        output::note(format_args!(
            "the sessions below {id} are left out: ask for its tree"
        ));
    }
    if lineage.next_after.is_some() {
        output::note(format_args!(
            "only the first {DESCENDANTS_MAX} sessions below it are shown: ask for the tree of one of them"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

async fn page(
    api: &Api,
    id: &str,
    after: Option<&str>,
    state: Option<&State>,
) -> anyhow::Result<Value> {
    let limit = PAGE_ROWS_MAX.to_string();
    let mut query = vec![("limit", limit.as_str())];
    query.extend(after.map(|after| ("after", after)));
    query.extend(state.map(|(name, state)| (*name, state.as_str())));
    let path = ["v1", "agent-sessions", id, "lineage"];
    read(&api.get(&path, &query).await?)
}

fn descendants(lineage: &mut Value) -> &mut Vec<Value> {
    let member = &mut lineage["descendants"];
    if !member.is_array() {
        *member = Value::Array(Vec::new());
    }
    member.as_array_mut().expect("it was just made one")
}

/// A table whose first column is a tree. An asterisk marks the session.
fn tree(lineage: &Lineage) -> String {
    let mut rows = table::table(&["SESSION", "AGENT", "STATUS", "CREATED", "HANDED OFF TO"]);
    let mut add = |depth: usize, mark: &str, session: &Session| {
        let branch = match depth.checked_sub(1) {
            Some(above) => format!("{}|- ", "|  ".repeat(above)),
            None => String::new(),
        };
        rows.add_row([
            format!("{branch}{mark}{}", session.session_id),
            session.agent_id.clone(),
            session.status.clone(),
            table::time(&session.created_at),
            table::or_dash(session.handed_off_session_id.as_deref()).to_owned(),
        ]);
    };
    for (depth, ancestor) in lineage.ancestors.iter().enumerate() {
        add(depth, "", ancestor);
    }
    let depth = lineage.ancestors.len();
    add(depth, "* ", &lineage.session);
    for below in &lineage.descendants {
        add(depth + usize::from(below.depth), "", &below.session);
    }
    table::text(&rows)
}
