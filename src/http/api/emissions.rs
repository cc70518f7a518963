//! Appends events that the server has made from what a runtime sent in a format of its own.

use crate::hooks::Emission;
use crate::http::api::events::appended::{check, emitter};
use crate::http::problem::Problem;
use crate::http::request::caller::{Caller, Write};
use crate::http::state::App;
use crate::ledger::Receipt;

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
    let events = events.into_iter();
    let events = events.map(|event| check(rules, emitter(caller), event.json.into(), false));
    let events = events.collect::<Result<Vec<_>, _>>()?;
    let turn = app.ledger().turn().await?;
    let receipts = turn.append_and_wait(caller.tenant(), events).await?;
    Ok(receipts.into_iter().collect::<Result<_, _>>()?)
}
