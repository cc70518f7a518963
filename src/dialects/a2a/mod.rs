//! A2A: tasks of the agent-to-agent protocol, version 1.0, for `a2a-sdk` and other clients.
//!
//! - A session is a task. The context of a task is the root of the tree of its session, so a chain of
//!   hand-offs is one context.
//! - Clients list, get and cancel tasks, over HTTP+JSON (`GET /tasks`) or JSON-RPC (`POST /rpc`). Both have
//!   the same parts: `request` reads, `list` and `tasks` answer, `failure` words errors.
//! - Messages, streams and push notifications need an agent. The ledger runs none, so these calls get the
//!   error that A2A has for operations that a server does not support.
//! - The state of a task is a function of the status and the outcome of its session, by which listings are
//!   divided. So every state is a filter with an exact total.

mod card;
mod failure;
mod list;
mod request;
mod rest;
mod rpc;
mod state;
mod task;
mod tasks;
mod version;

use axum::http::Method;

use crate::dialects::sdk::calls::Calls;
use crate::dialects::sdk::definition::Definition;
use crate::http::layers::authenticate::CredentialScheme;
use crate::http::problem::style::ErrorStyle;
use crate::http::request::caller::{Anyone, Read, ReadOrWrite, Write};

/// `mount_point` is the path below which clients find the dialect on the server's main address.
pub(super) fn definition(mount_point: String) -> Definition {
    let (get, post) = (Method::GET, Method::POST);
    let task = "/tasks/{id}";
    let pushes = "/tasks/{id}/pushNotificationConfigs";
    let push = "/tasks/{id}/pushNotificationConfigs/{config}";
    let known = Calls::default()
        .on(post.clone(), rpc::PATH, ReadOrWrite, rpc::call)
        .on(get.clone(), "/tasks", Read, rest::list)
        .on(get.clone(), task, Read, rest::get)
        // A router cannot divide `{id}:cancel`, so the handler does.
        .on(post.clone(), task, Write, rest::act)
        .on(post.clone(), "/message:send", Anyone, rest::runtime)
        .on(post.clone(), "/message:stream", Anyone, rest::runtime)
        .on(get.clone(), "/extendedAgentCard", Anyone, rest::runtime)
        .on(get.clone(), pushes, Anyone, rest::push)
        .on(post, pushes, Anyone, rest::push)
        .on(get, push, Anyone, rest::push)
        .on(Method::DELETE, push, Anyone, rest::push);
    Definition {
        known: vec![(known, CredentialScheme::usual())],
        open: Calls::default().open(card::PATH, move |base| card::show(base, &mount_point)),
        style: ErrorStyle::new(failure::word),
        cors: None,
    }
}
