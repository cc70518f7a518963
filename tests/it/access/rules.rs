//! What each call must answer to each credential: rules for all calls, and the exceptions.

use reqwest::Method;
use session_ledger::auth::Role;
use session_ledger::dialects::Dialect;

use super::routes::Route;
use super::world::{Credential, MARKS, OTHERS, OWN, Whose};

/// The expected answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Status(u16),
    /// This status, and this word in the text.
    Word(u16, &'static str),
    /// Any answer that does not reject the caller and does not report a missing resource.
    Served,
    /// An answer equal to that for a missing resource.
    Missing,
}

/// What must be true of a call's answer to a credential.
pub(super) struct Rule {
    pub(super) expected: Expected,
    /// The marks that the answer may show.
    pub(super) marks: Vec<&'static str>,
    /// The reason of the exception that applies.
    pub(super) exception: Option<&'static str>,
}

/// An exception from the rules.
struct Exception {
    reason: &'static str,
    calls: fn(&Route) -> bool,
    callers: fn(&Credential) -> bool,
    expected: Expected,
    marks: &'static [&'static str],
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        reason: "AGI opens a session for any agent that the caller names, and repeats the name",
        calls: |route| route.dialect == Some(Dialect::Agi) && opens_a_session(route),
        callers: |caller| caller.whose == Whose::OtherTenant,
        expected: Expected::Served,
        marks: &[OWN],
    },
    Exception {
        reason: "a call of JSON-RPC names its method, and that of the test needs the role read",
        calls: |route| route.path == "/rpc",
        callers: |caller| caller.roles == [Role::Write],
        expected: Expected::Word(403, "role"),
        marks: &[],
    },
    Exception {
        reason: "a caller with only the role write cannot see events that others wrote",
        calls: |route| route.path == "/v1/events/{position}",
        callers: |caller| caller.roles == [Role::Write],
        expected: Expected::Missing,
        marks: &[],
    },
    Exception {
        reason: "an operator backs up the records of every tenant",
        calls: |route| route.path.starts_with("/v1/backup/"),
        callers: |caller| caller.roles.contains(&Role::Operator),
        expected: Expected::Served,
        marks: &MARKS,
    },
    Exception {
        reason: "an agent-bound caller cannot emit events, which could be about any agent",
        calls: |route| {
            let is_of_events = is(route, &Method::POST, "/v1/events");
            let is_of_events = is_of_events || is(route, &Method::POST, "/v1/traces");
            route.dialect.is_none() && (is_of_events || is_a_hook(route))
        },
        callers: is_bound,
        expected: Expected::Word(403, "agent_bound"),
        marks: &[],
    },
    Exception {
        reason: "an agent-bound caller cannot change agents",
        calls: changes_an_agent,
        callers: is_bound,
        expected: Expected::Word(403, "agent_bound"),
        marks: &[],
    },
    Exception {
        reason: "rejected events and projects are not separated by agent",
        calls: |route| route.path == "/v1/rejections" || route.is_about("projects"),
        callers: is_bound,
        expected: Expected::Word(403, "agent_bound"),
        marks: &[],
    },
    Exception {
        reason: "keys belong to the tenant, not to an agent",
        calls: |route| route.path == "/v1/keys/history",
        callers: is_bound,
        expected: Expected::Word(403, "agent_bound"),
        marks: &[],
    },
    Exception {
        reason: "an export has the events of all agents",
        calls: |route| route.path.starts_with("/v1/export"),
        callers: is_bound,
        expected: Expected::Word(403, "agent_bound"),
        marks: &[],
    },
    Exception {
        reason: "a session for another agent is forbidden, not missing: the caller named the agent",
        calls: |route| opens_a_session(route),
        callers: |caller| caller.whose == Whose::OtherAgent,
        expected: Expected::Status(403),
        marks: &[],
    },
    Exception {
        reason: "OTAS creates an agent and a key in one call, which needs both roles",
        calls: |route| route.path == "/api/agent/v1/create/",
        callers: |caller| caller.whose == Whose::Tenant && caller.roles == [Role::Admin],
        expected: Expected::Word(403, "forbidden"),
        marks: &[],
    },
    Exception {
        reason: "agents of OTAS send an agent-bound key, and any other key is invalid",
        calls: |route| is_of_otas_agents(route),
        callers: |caller| !is_bound(caller) && caller.whose != Whose::Nobodys,
        expected: Expected::Word(401, "invalid_agent_key"),
        marks: &[],
    },
];

/// Returns the reason of each exception.
pub(super) fn exceptions() -> impl Iterator<Item = &'static str> {
    EXCEPTIONS.iter().map(|one| one.reason)
}

/// Returns what a call must answer to a credential.
pub(super) fn find(route: &Route, caller: &Credential) -> Rule {
    let may =
        route.one_of.is_empty() || caller.roles.iter().any(|role| route.one_of.contains(role));
    let rule = |expected, marks: &[&'static str]| Rule {
        expected,
        marks: marks.to_vec(),
        exception: None,
    };
    if route.path == "/sign-in" {
        // The code in its header counts, and not the credential.
        return rule(Expected::Word(422, "invalid_sign_in_code"), &[]);
    }
    if route.one_of.is_empty() {
        return rule(Expected::Status(200), &[]);
    }
    if caller.whose == Whose::Nobodys {
        return rule(Expected::Status(unknown(route)), &[]);
    }
    if !may {
        let word = match route.dialect {
            None => "role_required",
            Some(Dialect::Otas) => "forbidden",
            Some(_) => "role",
        };
        return rule(Expected::Word(403, word), &[]);
    }
    let fits = |one: &&Exception| (one.calls)(route) && (one.callers)(caller);
    if let Some(exception) = EXCEPTIONS.iter().find(fits) {
        return Rule {
            exception: Some(exception.reason),
            ..rule(exception.expected, exception.marks)
        };
    }
    match caller.whose {
        Whose::OtherTenant | Whose::OtherAgent if names_something(route) => {
            rule(Expected::Missing, &[])
        }
        Whose::OtherTenant | Whose::Nobodys => rule(Expected::Served, &[]),
        Whose::OtherAgent => rule(Expected::Served, &[OTHERS]),
        Whose::OwnAgent => rule(Expected::Served, &[OWN]),
        // A caller with only the role write sees what it changed, and nothing else.
        Whose::Tenant if caller.roles == [Role::Write] => rule(Expected::Served, &[OWN]),
        Whose::Tenant => rule(Expected::Served, &MARKS),
    }
}

/// Returns the status for a caller without a credential.
fn unknown(route: &Route) -> u16 {
    match route.dialect {
        Some(Dialect::Otas) if !is_of_otas_agents(route) => 400,
        Some(_) | None => 401,
    }
}

fn is_bound(caller: &Credential) -> bool {
    matches!(caller.whose, Whose::OwnAgent | Whose::OtherAgent)
}

fn is(route: &Route, method: &Method, path: &str) -> bool {
    route.method == *method && route.path == path
}

fn is_a_hook(route: &Route) -> bool {
    route.path.starts_with("/v1/hooks/")
}

/// Whether a call changes an agent.
fn changes_an_agent(route: &Route) -> bool {
    let asks = route.method == Method::GET || route.path.ends_with("/compute");
    route.is_about("agents") && !asks
}

fn opens_a_session(route: &Route) -> bool {
    let path = route.path.as_str();
    let sessions = ["/agent-sessions", "/sessions"];
    route.method == Method::POST && sessions.iter().any(|end| path.ends_with(end))
}

pub(super) fn is_of_otas_agents(route: &Route) -> bool {
    let path = route.path.as_str();
    [
        "/api/agent/v1/session/create/",
        "/api/agent/v1/auth/verify/",
    ]
    .contains(&path)
}

/// Whether a request names a resource, in its path or where OTAS and `AppHandoff` name it.
fn names_something(route: &Route) -> bool {
    let elsewhere = [
        "/user/authenticate/",
        "/sessions/list/",
        "/key/create/",
        "/key/revoke/",
        "/agent-activity/batch",
    ];
    let creates = opens_a_session(route);
    let in_path = route.path.contains('{') && !is_a_hook(route);
    in_path || creates || elsewhere.iter().any(|end| route.path.ends_with(end))
}
