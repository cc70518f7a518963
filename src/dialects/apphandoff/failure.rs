//! Failures in `AppHandoff`'s words: a text, a code, and the error of each field.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::domain::Reason;
use crate::http::problem::FieldProblem;
use crate::http::problem::code::Code;
use crate::http::problem::style::Failure;

const NO_PROJECT: &str = "There is no such project, or the credential has no access to it";

/// Converts a problem to a status and a body.
pub(super) fn word(failure: &Failure<'_>) -> (StatusCode, Value) {
    let (status, mut body) = match failure.problem.code() {
        // An invalid id is the id of no project. The answer must not reveal whether a project is
        // missing or belongs to another tenant.
        Code::InvalidParameter | Code::Event(Reason::NotFound) => (
            StatusCode::FORBIDDEN,
            json!({"error": NO_PROJECT, "code": "FORBIDDEN"}),
        ),
        code => (code.status(), said(failure)),
    };
    if status == StatusCode::UNAUTHORIZED {
        // That code asks the user to link a GitHub account again. The ledger has no such accounts.
        body["reconnect"] = json!(false);
    }
    if let Some(seconds) = failure.retry_after_s {
        body["retryAfter"] = json!(seconds);
    }
    (status, body)
}

fn said(failure: &Failure<'_>) -> Value {
    let code = failure.problem.code().as_str().to_ascii_uppercase();
    let mut body = json!({"error": failure.text(), "code": code});
    let errors = failure.problem.errors();
    if !errors.is_empty() {
        body["fieldErrors"] = first_of_each(errors);
        let issues = errors.iter().map(|error| {
            let FieldProblem { field, message, .. } = error;
            json!({"path": field, "message": message})
        });
        body["issues"] = issues.collect();
    }
    body
}

fn first_of_each(errors: &[FieldProblem]) -> Value {
    let mut by_field = Map::new();
    for FieldProblem { field, message, .. } in errors {
        by_field
            .entry(field.as_str())
            .or_insert_with(|| json!(message));
    }
    Value::Object(by_field)
}
