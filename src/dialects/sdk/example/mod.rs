//! An example of a dialect: it lists the runs of Acme, which are sessions of the ledger. Compiled
//! only with the tests.

mod failure;

use axum::{extract::State, http::Method, response::Response};
use serde_json::json;

use crate::dialects::sdk::{calls::Calls, definition::Definition};
use crate::domain::{SessionFilter, StatusSet, session::Status};
use crate::http::layers::authenticate::CredentialScheme;
use crate::http::problem::{Problem, style::ErrorStyle};
use crate::http::request::caller::{Caller, Read};
use crate::http::request::extract::{LenientQuery, QueryParams, Values};
use crate::http::request::param::{AnyParam, Number, Param, Word};
use crate::http::request::params::ROWS_LIMIT;
use crate::http::{response::body, state::App};
use crate::query::{PageStart, sessions};

pub(super) fn definition() -> Definition {
    let known = Calls::default().on(Method::GET, "/acme/runs", Read, list);
    Definition {
        known: vec![(known, CredentialScheme::usual())],
        open: Calls::default(),
        style: ErrorStyle::new(failure::word),
        cors: None,
    }
}

const STATE: Param<Word<RunState>> = Param {
    name: "state",
    about: "Only runs in this state.",
    component: None,
    shape: Word::any(),
};
const MAX: Param<Number> = Param {
    name: "max",
    ..ROWS_LIMIT
};

#[derive(strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
enum RunState {
    Live,
    Done,
}

/// Which runs to list, and how many at most.
struct ListQuery(SessionFilter, u16);

impl QueryParams for ListQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[&STATE, &MAX];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        let statuses: &[Status] = match values.word(&STATE) {
            Some(RunState::Live) => &[Status::Active],
            Some(RunState::Done) => &[Status::Terminated, Status::Expired, Status::HandedOff],
            None => Status::ALL,
        };
        let filter = SessionFilter {
            statuses: StatusSet::of(statuses).unwrap_or(StatusSet::ALL),
            ..SessionFilter::default()
        };
        Ok(Self(filter, values.limit(&MAX)))
    }
}

async fn list(
    State(app): State<App>,
    caller: Caller<Read>,
    LenientQuery(ListQuery(filter, max)): LenientQuery<ListQuery>,
) -> Result<Response, Problem> {
    app.read(|snapshot| {
        let start = PageStart::Offset(0);
        let page = sessions::list(snapshot, caller.sight(), &filter, start, max.into())?;
        let mut runs = Vec::new();
        for stored in &page.rows {
            let row = stored.row()?;
            let status = row.status_at(app.now()).as_str();
            runs.push(json!({"id": row.session_id, "status": status}));
        }
        Ok(body::json_of(&json!({"runs": runs, "total": page.total})))
    })
}

#[test]
fn the_example_has_its_route() {
    let calls = definition().known.into_iter().map(|(calls, _)| calls);
    let paths = calls.flat_map(Calls::into_list).map(|call| call.path);
    assert_eq!(paths.collect::<Vec<_>>(), ["/acme/runs"]);
}
