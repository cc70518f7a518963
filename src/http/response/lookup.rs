//! Looks up the session that an answer is about.

use crate::domain::{Reason, SessionId};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::state::App;
use crate::projection::{RowBytes, Snapshot};
use crate::query::{self, Sight};

/// Returns a session; a problem if it does not exist or the caller may not see it.
pub(crate) fn session(app: &App, sight: Sight<'_>, id: &SessionId) -> Result<RowBytes, Problem> {
    app.read(|snapshot| session_in(snapshot, sight, id))
}

/// Returns a session of a snapshot; a problem if it does not exist or the caller may not see it.
pub(crate) fn session_in(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    id: &SessionId,
) -> Result<RowBytes, Problem> {
    let found = query::sessions::get(snapshot, sight, id)?;
    found.ok_or_else(session_not_found)
}

/// The problem for a session that does not exist or that the caller may not see. The caller cannot
/// distinguish the two.
pub(crate) fn session_not_found() -> Problem {
    Problem::new(Code::Event(Reason::NotFound)).with_detail("there is no such session")
}
