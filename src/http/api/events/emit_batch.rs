//! Batches of `POST /v1/events`: all are checked before any is written.

use std::fmt;

use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::Rules;
use crate::domain::limits::BATCH_EVENTS_MAX;
use crate::http::api::events::appended::{
    AppendQuery, FirstVerdicts, appended, check as check_event, emitter, first_verdicts,
};
use crate::http::dto;
use crate::http::problem::code::{Code, log_code, refused_parts, verdict_status};
use crate::http::problem::{FieldProblem, Problem};
use crate::http::request::caller::{Caller, Write};
use crate::http::request::json_body;
use crate::http::response::body;
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::ledger::{Outcome, Submission};
use crate::log::LogError;
use crate::query::{AsOf, Sight};

/// Bodies up to this size are checked where they are: handing them over costs more.
const CHECK_INLINE_BYTES_MAX: usize = 32 * 1024;
/// Most errors that an answer lists.
const ERRORS_MAX: usize = 100;

type Outcomes = Vec<Result<Outcome, LogError>>;

/// Appends a batch and answers with a result for each event.
pub(crate) async fn append(
    app: &App,
    caller: Caller<Write>,
    body: Bytes,
    query: AppendQuery,
) -> Result<Response, Problem> {
    let tenant = caller.tenant().clone();
    let strict = query.strict;
    let submissions = check(app.ledger().rules(), caller, body, strict).await?;
    let ignored: Vec<Vec<String>> = submissions
        .iter()
        .map(|submission| submission.ignored().to_vec())
        .collect();
    let outcomes: Outcomes = if submissions.is_empty() {
        Vec::new()
    } else if query.wait {
        app.ledger().append_and_wait(&tenant, submissions).await?
    } else {
        let positions = app.ledger().append(submissions).await?.into_iter();
        let pending = |position| Outcome {
            position,
            verdict: None,
        };
        positions.map(|one| one.map(pending)).collect()
    };
    refuse_if_none_was_written(&outcomes)?;
    let written = outcomes.iter().filter_map(|one| one.as_ref().ok());
    let firsts = first_verdicts(app, &tenant, written).await?;
    // Who is bound to an agent emits no events.
    let sight = Sight::of_tenant(&tenant);
    let as_of = app.read(|snapshot| Ok(AsOf::of(snapshot, sight)?))?;
    let answer = dto::BatchResult {
        results: outcomes
            .iter()
            .zip(ignored)
            .map(|(one, ignored)| item(one, &firsts, ignored))
            .collect(),
        as_of: app.as_of(as_of),
    };
    let status = if query.wait {
        Success::Ok
    } else {
        Success::Accepted
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
    let mut fit = Vec::with_capacity(elements.len());
    let (mut unfit, mut errors) = (0, Vec::new());
    for (index, element) in elements.iter().enumerate() {
        let event = body.slice_ref(element.get().as_bytes());
        match check_event(rules, emitter, event, strict) {
            Ok(submission) => fit.push(submission),
            Err(refused) => {
                unfit += 1;
                let (code, fields) = refused_parts(&refused);
                errors.extend(fields.into_iter().map(|(field, message)| FieldProblem {
                    field: in_batch(index, &field),
                    message,
                    code: Some(code.as_str()),
                }));
            }
        }
    }
    if unfit == 0 {
        return Ok(fit);
    }
    errors.truncate(ERRORS_MAX);
    let all = elements.len();
    let are_unfit = match unfit {
        1 => format!("1 event of {all} is unfit"),
        _ => format!("{unfit} events of {all} are unfit"),
    };
    Err(Problem::new(Code::InvalidBatch)
        .with_detail(format!(
            "nothing was written, because {are_unfit}; `errors` names what is wrong by index"
        ))
        .with_coded_errors(errors))
}

/// Such as `[3].data.agent_id`, or `[3]` for the event as a whole.
fn in_batch(index: usize, field: &str) -> String {
    let dot = if field.is_empty() { "" } else { "." };
    format!("[{index}]{dot}{field}")
}

/// With nothing on the log for sure, the batch as a whole has failed.
fn refuse_if_none_was_written(outcomes: &Outcomes) -> Result<(), Problem> {
    let errors: Vec<&LogError> = outcomes
        .iter()
        .filter_map(|one| one.as_ref().err())
        .collect();
    if errors.is_empty() || errors.len() < outcomes.len() {
        return Ok(());
    }
    // The one that says least of what was written stands for all.
    let unsure = errors
        .iter()
        .find(|error| matches!(error, LogError::Unconfirmed(_)))
        .or(errors.first());
    unsure.map_or(Ok(()), |error| Err(Problem::from((*error).clone())))
}

fn item(
    outcome: &Result<Outcome, LogError>,
    firsts: &FirstVerdicts,
    ignored: Vec<String>,
) -> dto::BatchItem {
    match outcome {
        Ok(outcome) => dto::BatchItem {
            status: verdict_status(outcome.verdict.map(|row| row.verdict)).as_u16(),
            appended: Some(appended(outcome, firsts, ignored)),
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

/// The elements of an array, each as its own text; of a longer array only so many as tell that it is
/// too long, so that a body of small elements takes no more memory than it should.
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
