//! Whether the API's document lists the problems that the server answers with.

use std::sync::LazyLock;

use serde_json::Value;
use session_ledger::http::openapi;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&openapi::text()).unwrap());

/// Checks a problem of the ledger's own API: its operation lists the code for the status. Paths and methods
/// that the document does not have are passed over, and so are answers of dialects.
#[track_caller]
pub(crate) fn check(method: &str, path: &str, status: u16, body: &str) {
    let Ok(problem) = serde_json::from_str::<Value>(body) else {
        return;
    };
    let is_problem = problem["type"]
        .as_str()
        .is_some_and(|text| text.starts_with("urn:session-ledger:"));
    let (true, Some(code)) = (is_problem, problem["code"].as_str()) else {
        return;
    };
    let path = path.split('?').next().unwrap();
    let Some(operation) = operation(method, path) else {
        return;
    };
    let status = status.to_string();
    let codes = codes(operation, &status);
    let method_is_of_another_path = code == "method_not_allowed";
    assert!(
        codes.contains(&code) || method_is_of_another_path,
        "the document does not list {code} ({status}) for {method} {path}: {codes:?}"
    );
}

/// The codes that an operation may answer with: its own, and those of every operation.
pub(crate) fn codes<'d>(operation: &'d Value, status: &str) -> Vec<&'d str> {
    let shared = &DOCUMENT["components"]["responses"][status];
    let is_described = !operation["responses"][status].is_null();
    let lists = [&operation["x-codes"][status], &shared["x-codes"]];
    let words = lists
        .into_iter()
        .filter_map(Value::as_str)
        .flat_map(|list| list.split(", "));
    words.filter(|_| is_described).collect()
}

fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let exact = paths.get(path);
    let fits = |template: &str| {
        let (template, path) = (template.split('/'), path.split('/'));
        template.clone().count() == path.clone().count()
            && template
                .zip(path)
                .all(|(one, other)| one == other || one.starts_with('{') && !other.is_empty())
    };
    let item = exact.or_else(|| {
        paths
            .iter()
            .find(|(template, _)| fits(template))
            .map(|(_, item)| item)
    });
    item?.get(method.to_lowercase())
}
