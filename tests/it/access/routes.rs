//! The calls of all APIs, as these list them.

use std::fmt;

use reqwest::Method;
use serde_json::Value;
use session_ledger::auth::Role;
use session_ledger::dialects::Dialect;
use session_ledger::http::openapi;

/// A call.
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// `None` is the ledger's own API.
    pub(super) dialect: Option<Dialect>,
    pub(super) method: Method,
    /// With `{id}` or `{position}` where something is named.
    pub(super) path: String,
    /// One of these will do; none is a call that anybody may make.
    pub(super) one_of: Vec<Role>,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path, .. } = self;
        write!(f, "{}: {method} {path}", self.api())
    }
}

impl Route {
    /// The name of the API that has it.
    pub(super) fn api(&self) -> &'static str {
        self.dialect.map_or("native", Dialect::as_str)
    }

    /// Whether it is about sessions, agents and so on: a segment of the path.
    pub(super) fn is_about(&self, thing: &str) -> bool {
        self.path.split('/').any(|segment| segment == thing)
    }
}

/// Every call. One that ends all sessions of whoever makes it comes last.
pub(super) fn all() -> Vec<Route> {
    let dialects = Dialect::ALL.into_iter().flat_map(of_dialect);
    let mut routes: Vec<Route> = of_the_api().into_iter().chain(dialects).collect();
    routes.sort_by_key(|route| route.method == Method::DELETE && !route.path.contains('{'));
    routes
}

/// Those of the document.
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
    let mut roles: Vec<Role> = words.map(|word| Role::parse(word).unwrap()).collect();
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
