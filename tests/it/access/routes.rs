//! The calls of all APIs, from the APIs' own lists.

use std::fmt;

use reqwest::Method;
use serde_json::Value;
use session_ledger::auth::Role;
use session_ledger::dialects::Dialect;
use session_ledger::http::openapi;

/// A call of an API.
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// The dialect. `None` is the native API.
    pub(super) dialect: Option<Dialect>,
    pub(super) method: Method,
    /// The path. `{id}` and `{position}` are its parameters.
    pub(super) path: String,
    /// The caller needs one of these roles. If there are none, the call needs no credential.
    pub(super) one_of: Vec<Role>,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path, .. } = self;
        write!(f, "{}: {method} {path}", self.api())
    }
}

impl Route {
    /// The name of the API.
    pub(super) fn api(&self) -> &'static str {
        self.dialect.map_or("native", Dialect::as_str)
    }

    /// Whether the path has this segment, such as `agents`.
    pub(super) fn is_about(&self, thing: &str) -> bool {
        self.path.split('/').any(|segment| segment == thing)
    }
}

/// Returns every call. A call that ends all sessions of its caller comes last.
pub(super) fn all() -> Vec<Route> {
    let dialects = Dialect::ALL.iter().copied().flat_map(of_dialect);
    let mut routes: Vec<Route> = of_the_api().into_iter().chain(dialects).collect();
    routes.sort_by_key(|route| route.method == Method::DELETE && !route.path.contains('{'));
    routes
}

/// Returns the calls in the document of the native API.
pub(super) fn of_the_api() -> Vec<Route> {
    let document: Value = serde_json::from_str(&openapi::text()).unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            routes.push(Route {
                dialect: None,
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                one_of: roles(operation),
            });
        }
    }
    routes
}

fn roles(operation: &Value) -> Vec<Role> {
    let requirements = operation["security"].as_array().into_iter().flatten();
    let words = requirements
        .flat_map(|one| one.as_object().unwrap().values())
        .map(|roles| roles[0].as_str().unwrap());
    let mut roles: Vec<Role> = words.map(|word| word.parse().unwrap()).collect();
    roles.sort_unstable();
    roles.dedup();
    roles
}

fn of_dialect(dialect: Dialect) -> impl Iterator<Item = Route> {
    dialect.calls().into_iter().map(move |call| Route {
        dialect: Some(dialect),
        method: call.method,
        path: call.path,
        one_of: call.one_of.to_vec(),
    })
}
