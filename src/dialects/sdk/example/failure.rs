//! Failures in Acme's words: a text and a code.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::http::problem::style::Failure;

pub(super) fn word(failure: &Failure<'_>) -> (StatusCode, Value) {
    let code = failure.problem.code();
    (
        code.status(),
        json!({"error": failure.text(), "code": code.as_str()}),
    )
}
