//! Appends events that the server has made from what a runtime sent in a format of its own.

use tokio::task::spawn_blocking;

use crate::hooks::Emission;
use crate::http::api::events::appended::{check, emitter};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::caller::{Caller, Write};
use crate::http::state::App;
use crate::ledger::Receipt;

/// So many events are checked on the calling thread: the blocking pool would cost more.
const CHECK_INLINE_EVENTS_MAX: usize = 64;

/// Appends events and waits for their verdicts. Returns a receipt for each event, in their order.
pub(crate) async fn append(
    app: &App,
    caller: &Caller<Write>,
    events: Vec<Emission>,
) -> Result<Vec<Receipt>, Problem> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let rules = app.ledger().rules();
    let (count, by) = (events.len(), caller.clone());
    let check_all = move || {
        let events = events.into_iter();
        let events = events.map(|event| check(rules, emitter(&by), event.json.into(), false));
        events.collect::<Result<Vec<_>, _>>()
    };
    let events = if count <= CHECK_INLINE_EVENTS_MAX {
        check_all()?
    } else {
        let checked = spawn_blocking(check_all).await;
        checked.map_err(|_panicked| Problem::new(Code::InternalError))??
    };
    let turn = app.ledger().turn().await?;
    let receipts = turn.append_and_wait(caller.tenant(), events).await?;
    Ok(receipts.into_iter().collect::<Result<_, _>>()?)
}
