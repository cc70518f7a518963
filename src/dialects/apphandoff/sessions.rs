//! `GET /projects/{id}/agent-sessions`: the live sessions of a project, or all of them.
//!
//! The ledger lists a project's sessions by status and time of creation, not by their last sign of
//! life. So the server reads all open sessions, a page at a time, and shows the live ones. Silent
//! sessions cost time until they end. With a deadline they end by themselves.

use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::project::Project;
use super::session;
use crate::dialects::sdk::whole_list::WholeList;
use crate::domain::session::Status;
use crate::domain::{SessionFilter, StatusSet};
use crate::http::problem::Problem;
use crate::http::request::caller::{Caller, Read};
use crate::http::request::extract::Path;
use crate::http::state::App;

pub(super) async fn list(
    State(app): State<App>,
    caller: Caller<Read>,
    Path(project): Path<Project>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let only_live = !asks_for_all(query.as_deref().unwrap_or_default());
    let statuses = if only_live {
        StatusSet::only(Status::Active)
    } else {
        StatusSet::ALL
    };
    let list = WholeList {
        principal: caller.principal().clone(),
        filter: SessionFilter {
            owner: project.owner(&app, caller.sight())?,
            statuses,
            ..SessionFilter::default()
        },
        shows: if only_live {
            session::is_live
        } else {
            |_row, _now| true
        },
        write: session::write,
        frame: ["{\"sessions\":[".to_owned(), "]}".to_owned()],
    };
    list.answer(&app)
}

/// Whether the query has `active=false`. No other parameter widens the list.
fn asks_for_all(query: &str) -> bool {
    // Python clients send `False`.
    form_urlencoded::parse(query.as_bytes())
        .any(|(name, value)| name == "active" && value.eq_ignore_ascii_case("false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_false_widens_the_list() {
        for all in [
            "active=false",
            "active=False",
            "utm=1&active=false",
            "active=f%61lse",
        ] {
            assert!(asks_for_all(all), "{all}");
        }
        for live in [
            "",
            "active",
            "active=",
            "active=true",
            "active=0",
            "inactive=false",
        ] {
            assert!(!asks_for_all(live), "{live}");
        }
    }
}
