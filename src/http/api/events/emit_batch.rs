//! Batches of `POST /v1/events`. The server checks all events before it writes any.

use std::fmt;

use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::limits::BATCH_EVENTS_MAX;
use crate::domain::{Rules, Verdict};
use crate::http::api::events::appended::{
    FirstVerdicts, appended, check as check_event, emitter, first_verdicts,
};
use crate::http::dto;
use crate::http::problem::code::{Code, log_code, refused_parts};
use crate::http::problem::{FieldProblem, Problem};
use crate::http::request::caller::{Caller, Write};
use crate::http::request::json_body;
use crate::http::response::body;
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::ledger::{Receipt, Submission, Turn};
use crate::log::LogError;
use crate::query::{AsOf, Sight};

/// Bodies up to this size are checked on the calling thread: the blocking pool would cost more.
const CHECK_INLINE_BYTES_MAX: usize = 32 * 1024;
/// The most errors that an answer lists.
const ERRORS_MAX: usize = 100;

type Receipts = Vec<Result<Receipt, LogError>>;

/// Appends a batch and answers with a result for each event.
pub(crate) async fn append(
    app: &App,
    caller: Caller<Write>,
    turn: Option<Turn<'_>>,
    body: Bytes,
    strict: bool,
) -> Result<Response, Problem> {
    let tenant = caller.tenant().clone();
    let submissions = check(app.ledger().rules(), caller, body, strict).await?;
    let ignored: Vec<Vec<String>> = submissions
        .iter()
        .map(|submission| submission.ignored().to_vec())
        .collect();
    let receipts: Receipts = if submissions.is_empty() {
        Vec::new()
    } else if let Some(turn) = &turn {
        turn.append_and_wait(&tenant, submissions).await?
    } else {
        let positions = app.ledger().append(submissions).await?.into_iter();
        let pending = |position| Receipt {
            position,
            verdict: None,
        };
        positions.map(|one| one.map(pending)).collect()
    };
    refuse_if_none_was_written(&receipts)?;
    let written = receipts.iter().filter_map(|one| one.as_ref().ok());
    let firsts = first_verdicts(app, &tenant, written).await?;
    // The whole tenant: callers that are bound to an agent cannot emit events.
    let sight = Sight::of_tenant(&tenant);
    let as_of = app.read(|snapshot| Ok(AsOf::of(snapshot, sight)?));
    // The events are written, whatever the read model shows now.
    let as_of = as_of.unwrap_or(AsOf::NOTHING);
    let answer = dto::BatchResult {
        results: receipts
            .iter()
            .zip(ignored)
            .map(|(one, ignored)| item(one, &firsts, ignored))
            .collect(),
        as_of: app.as_of(as_of),
    };
    let status = match turn {
        Some(_) => Success::Ok,
        None => Success::Accepted,
    };
    Ok(body::json_with_status(status, &answer))
}

async fn check(
    rules: Rules,
    caller: Caller<Write>,
    body: Bytes,
    strict: bool,
) -> Result<Vec<Submission>, Problem> {
    let length = body.len();
    let check = move || check_now(rules, &caller, &body, strict);
    if length <= CHECK_INLINE_BYTES_MAX {
        return check();
    }
    tokio::task::spawn_blocking(check)
        .await
        .unwrap_or_else(|_panicked| Err(Problem::new(Code::InternalError)))
}

fn check_now(
    rules: Rules,
    caller: &Caller<Write>,
    body: &Bytes,
    strict: bool,
) -> Result<Vec<Submission>, Problem> {
    let emitter = emitter(caller);
    let Elements(elements) = json_body::array(body)?;
    if BATCH_EVENTS_MAX < elements.len() {
        return Err(Problem::new(Code::BatchTooLarge));
    }
    let mut valid = Vec::with_capacity(elements.len());
    let (mut invalid_count, mut errors) = (0, Vec::new());
    for (index, element) in elements.iter().enumerate() {
        let event = body.slice_ref(element.get().as_bytes());
        match check_event(rules, emitter, event, strict) {
            Ok(submission) => valid.push(submission),
            Err(refused) => {
                invalid_count += 1;
                let (code, fields) = refused_parts(&refused);
                errors.extend(fields.into_iter().map(|(field, message)| FieldProblem {
                    field: in_batch(index, &field),
                    message,
                    code: Some(code.as_str()),
                }));
            }
        }
    }
    if invalid_count == 0 {
        return Ok(valid);
    }
    errors.truncate(ERRORS_MAX);
    let all = elements.len();
    let are_invalid = match invalid_count {
        1 => format!("1 event of {all} is invalid"),
        _ => format!("{invalid_count} events of {all} are invalid"),
    };
    Err(Problem::new(Code::InvalidBatch)
        .with_detail(format!(
            "nothing was written, because {are_invalid}; `errors` names the wrong fields by index"
        ))
        .with_coded_errors(errors))
}

/// The path of a field in a batch: `[3].data.agent_id`, or `[3]` for the whole event.
fn in_batch(index: usize, field: &str) -> String {
    let dot = if field.is_empty() { "" } else { "." };
    format!("[{index}]{dot}{field}")
}

/// Returns a problem if no event is known to be on the log.
fn refuse_if_none_was_written(receipts: &Receipts) -> Result<(), Problem> {
    let errors: Vec<&LogError> = receipts
        .iter()
        .filter_map(|one| one.as_ref().err())
        .collect();
    if errors.is_empty() || errors.len() < receipts.len() {
        return Ok(());
    }
    // Report the least certain error: `Unconfirmed` before the others.
    let unsure = errors
        .iter()
        .find(|error| matches!(error, LogError::Unconfirmed(_)))
        .or(errors.first());
    unsure.map_or(Ok(()), |error| Err(Problem::from((*error).clone())))
}

fn item(
    receipt: &Result<Receipt, LogError>,
    firsts: &FirstVerdicts,
    ignored: Vec<String>,
) -> dto::BatchItem {
    match receipt {
        Ok(receipt) => dto::BatchItem {
            status: status(receipt.verdict.map(|row| row.verdict)),
            appended: Some(appended(receipt, firsts, ignored)),
            error: None,
        },
        Err(error) => {
            let code = log_code(error);
            dto::BatchItem {
                status: code.status().as_u16(),
                appended: None,
                error: Some(code.as_str().to_owned()),
            }
        }
    }
}

/// The status that an answer to this event alone would have.
fn status(verdict: Option<Verdict>) -> u16 {
    match Success::of_verdict(verdict) {
        Ok(success) => success.as_u16(),
        Err(reason) => Code::Event(reason).status().as_u16(),
    }
}

/// The elements of an array, each as JSON text. Keeps at most one element more than the limit, so
/// that an array of many small elements does not use much memory.
struct Elements<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ArrayVisitor;
        impl<'de> Visitor<'de> for ArrayVisitor {
            type Value = Elements<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element::<&RawValue>()? {
                    if elements.len() <= BATCH_EVENTS_MAX {
                        elements.push(element);
                    }
                }
                Ok(Elements(elements))
            }
        }
        deserializer.deserialize_seq(ArrayVisitor)
    }
}
