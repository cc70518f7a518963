//! Code that appends of one event and of a batch share: the query, the check, and the result.

use std::collections::HashMap;

use bytes::Bytes;

use crate::domain::{Position, Rules, TenantId, Verdict};
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::caller::{Caller, Write};
use crate::http::request::extract::{QueryParams, Values};
use crate::http::request::param::AnyParam;
use crate::http::request::params::{STRICT, WAIT};
use crate::http::state::App;
use crate::ledger::{Emitter, Receipt, Submission, SubmissionError};

/// The verdicts on the first copies of duplicates, by position.
pub(crate) type FirstVerdicts = HashMap<Position, Verdict>;

/// The query of an append.
#[derive(Debug)]
pub(crate) struct AppendQuery {
    pub(crate) wait: bool,
    /// Whether unknown members of `data` are an error.
    pub(crate) strict: bool,
}

impl QueryParams for AppendQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[&WAIT, &STRICT];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        Ok(Self {
            wait: values.flag(&WAIT),
            strict: values.flag(&STRICT),
        })
    }
}

/// The emitter of the events in a request.
pub(crate) fn emitter(caller: &Caller<Write>) -> Emitter<'_> {
    let principal = caller.principal();
    Emitter {
        tenant: &principal.tenant,
        credential: principal.id.as_deref(),
    }
}

/// Checks an event. With `strict`, unknown members of `data` are an error.
pub(crate) fn check(
    rules: Rules,
    emitter: Emitter<'_>,
    event: Bytes,
    strict: bool,
) -> Result<Submission, SubmissionError> {
    let submission = Submission::check(rules, emitter, event)?;
    if strict {
        return submission.strictly();
    }
    Ok(submission)
}

/// Looks up the verdicts on the first copies of duplicates, because the answer shows them too.
pub(crate) async fn first_verdicts<'o>(
    app: &App,
    tenant: &TenantId,
    receipts: impl IntoIterator<Item = &'o Receipt>,
) -> Result<FirstVerdicts, Problem> {
    let verdicts = receipts.into_iter().filter_map(|receipt| receipt.verdict);
    let firsts: Vec<Position> = verdicts
        .filter_map(|row| match row.verdict {
            Verdict::Duplicate(first) => Some(first),
            Verdict::Applied | Verdict::Parked | Verdict::Rejected(_) => None,
        })
        .collect();
    if firsts.is_empty() {
        return Ok(FirstVerdicts::new());
    }
    let tenant = tenant.clone();
    let found = app.scan(move |snapshot| {
        let mut found = FirstVerdicts::with_capacity(firsts.len());
        if let Some(tenant) = snapshot.of_tenant(&tenant)? {
            for first in firsts {
                if let Some(row) = tenant.verdict(first)? {
                    found.insert(first, row.verdict);
                }
            }
        }
        Ok(found)
    });
    // The events are written, so the answer must not say otherwise.
    found
        .await
        .map_err(|_unread| Problem::new(Code::VerdictUnreadable))
}

/// The result of an append, as clients see it.
pub(crate) fn appended(
    receipt: &Receipt,
    firsts: &FirstVerdicts,
    ignored: Vec<String>,
) -> dto::Appended {
    let row = receipt.verdict;
    let verdict = row.map(|row| row.verdict);
    let first = match verdict {
        Some(Verdict::Duplicate(first)) => Some(first),
        Some(Verdict::Applied | Verdict::Parked | Verdict::Rejected(_)) | None => None,
    };
    let reason = match verdict {
        Some(Verdict::Rejected(reason)) => Some(reason),
        Some(Verdict::Applied | Verdict::Parked | Verdict::Duplicate(_)) | None => None,
    };
    let first_verdict = first.and_then(|first| firsts.get(&first));
    dto::Appended {
        position: receipt.position.get(),
        verdict: verdict.map_or("pending", Verdict::as_str).to_owned(),
        reason: reason.map(|reason| reason.code().to_owned()),
        detail: reason.map(|reason| reason.advice().to_owned()),
        first_position: first.map(Position::get),
        first_verdict: first_verdict.map(|verdict| verdict.as_str().to_owned()),
        settled_at: row.and_then(|row| row.settled_at).map(Position::get),
        ignored,
    }
}
